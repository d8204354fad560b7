//! `hookway send`: one event in, by hand.

use std::time::Duration;

use data_encoding::BASE64;
use http::Method;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{Answer, Body, Client};
use super::follow::follow;
use super::indent::indented;
use super::output::{Tone, cell};
use super::span::{shown, span};
use super::story::{Depth, Story, Telling};
use super::tail::line;
use super::{Context, Failure, input};
use crate::clock::Clock;
use crate::event::is_json;

/// Flags of `send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway send alert.created --data '{\"title\":\"Disk full\",\"severity\":\"critical\"}'
  hookway send order.paid --data @order.json --id ord_17 --source shop
  echo '{}' | hookway send ping --data -
  hookway send order.paid --data @order.json --wait && echo delivered

Exit codes with --wait: 0 every delivery was delivered or filtered, 1 one failed, is held or took too long.")]
pub(super) struct Args {
    /// The event type, such as alert.created
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The payload: JSON, @FILE, or - for standard input
    #[arg(long, default_value = "{}", value_name = "JSON")]
    data: String,
    /// The event's id; the same id with the same content is accepted once
    #[arg(long)]
    id: Option<String>,
    /// Where the event comes from
    #[arg(long)]
    source: Option<String>,
    /// What the event is about
    #[arg(long)]
    subject: Option<String>,
    /// When it happened, RFC 3339 [default: now]
    #[arg(long)]
    time: Option<String>,
    /// Media type of the payload; what is not JSON is sent as it is
    #[arg(long, default_value = "application/json", value_name = "MEDIA-TYPE")]
    content_type: String,
    /// Makes the whole call safe to repeat
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

/// Whether to wait for what becomes of the event.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Wait {
    /// Follow the event until its deliveries have ended, and tell its story
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to follow it
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span, requires = "wait")]
    pub(super) timeout: Duration,
}

/// What is posted.
#[derive(Serialize)]
pub(super) struct Draft<'a> {
    #[serde(rename = "type")]
    pub(super) event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datacontenttype: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data_base64: Option<String>,
}

impl Draft<'_> {
    /// The body of the call.
    pub(super) fn text(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| Failure::because("the event cannot be written", error))
    }
}

impl Args {
    /// The body of the call. JSON data is spliced in byte for byte.
    fn body(&self, bytes: Vec<u8>) -> Result<String, Failure> {
        let (data, data_base64) = if is_json(&self.content_type) {
            (Some(input::json("--data", bytes)?), None)
        } else {
            (None, Some(BASE64.encode(&bytes)))
        };
        let draft = Draft {
            event_type: &self.event_type,
            id: self.id.as_deref(),
            source: self.source.as_deref(),
            subject: self.subject.as_deref(),
            time: self.time.as_deref(),
            datacontenttype: Some(&*self.content_type).filter(|given| *given != crate::event::JSON),
            data,
            data_base64,
        };
        draft.text()
    }
}

/// Sends the event.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let body = args.body(input::argument(&args.data)?)?;
    let headers: Vec<_> = args
        .idempotency_key
        .iter()
        .map(|key| ("idempotency-key", key.as_str()))
        .collect();
    let client = context.client()?;
    let answer = client
        .call_with(Method::POST, &["events"], &[], Body::Json(body), &headers)
        .await?;
    if args.wait.wait {
        return see_through(context, &client, &answer, args.wait.timeout).await;
    }
    accepted(context, &answer)
}

/// Says that an event was accepted, and what matched.
pub(super) fn accepted(context: &Context, answer: &Answer) -> Result<(), Failure> {
    let output = &context.output;
    if output.json {
        return output.answer(answer);
    }
    let id = cell(&answer["id"]);
    let count = answer["matched"].as_u64().unwrap_or(0);
    let (tone, subscriptions) = match count {
        0 => (
            Tone::Odd,
            format!("no subscription matched; `hookway events why {id}` says why not"),
        ),
        1 => (Tone::Good, "1 subscription matched".to_owned()),
        count => (Tone::Good, format!("{count} subscriptions matched")),
    };
    let again = if answer["duplicate"] == true {
        " (accepted before)"
    } else {
        ""
    };
    output.line(&format!(
        "{}  {}{again}",
        output.tone(Tone::Title, &id),
        output.tone(tone, &subscriptions)
    ))?;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let detail = cell(&warning["detail"]);
        output.line(&format!("  {}", output.tone(Tone::Odd, &detail)))?;
    }
    Ok(())
}

/// Follows an accepted event to its end, tells its story, and fails if a delivery did not end well.
pub(super) async fn see_through(
    context: &Context,
    client: &Client,
    answer: &Answer,
    patience: Duration,
) -> Result<(), Failure> {
    let output = &context.output;
    let id = cell(&answer["id"]);
    output.note(&format!(
        "{id} was accepted; following it for up to {}",
        shown(patience)
    ));
    let told = |activity: &Value| {
        if !output.json && activity.is_object() {
            output.note(&line(
                &output.of_notes(),
                activity,
                &cell(&activity["subscription_id"]),
            ));
        }
    };
    let followed = follow(client, &id, patience, told).await?;
    let story = Story::of(client, &id).await?;
    if output.json {
        output.line(&indented(&story.document()))?;
    } else {
        let telling = Telling {
            output,
            now: Clock::system().now(),
            depth: Depth::Short,
        };
        output.lines(&story.lines(&telling))?;
    }
    let troubles = followed.troubles.join(", ");
    if troubles.is_empty() {
        return Ok(());
    }
    Err(Failure::other(if followed.to_the_end {
        troubles
    } else {
        format!("not all has ended within {}: {troubles}", shown(patience))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(content_type: &str) -> Args {
        Args {
            event_type: "a.b".into(),
            data: String::new(),
            id: Some("1".into()),
            source: None,
            subject: None,
            time: None,
            content_type: content_type.into(),
            idempotency_key: None,
            wait: Wait::default(),
        }
    }

    #[test]
    fn json_goes_byte_for_byte_and_other_things_in_base64() {
        let json = args("application/json")
            .body(b"{ \"n\": 1.50 }".to_vec())
            .unwrap();
        assert_eq!(json, r#"{"type":"a.b","id":"1","data":{ "n": 1.50 }}"#);
        let text = args("text/plain").body(b"hi".to_vec()).unwrap();
        assert_eq!(
            text,
            r#"{"type":"a.b","id":"1","datacontenttype":"text/plain","data_base64":"aGk="}"#
        );
        assert!(args("application/json").body(b"hi".to_vec()).is_err());
    }
}
