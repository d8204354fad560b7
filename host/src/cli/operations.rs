//! `hookway recover`, `hookway replay` and `hookway operations`: sending again what failed, and old events
//! through today's plugins, in the background; and how far that is.

use std::time::Duration;

use clap::ValueEnum;
use http::Method;
use serde_json::{Map, Value, json};

use super::client::{Answer, Body, Client, given};
use super::output::{Column, Output, Tone, cell};
use super::{Context, Failure};

const COLUMNS: [Column; 7] = [
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("DONE", "/progress/done"),
    ("OF", "/progress/total"),
    ("BEGAN", "/created_at"),
    ("SUBSCRIPTION", "/asked/subscription_id"),
];
const FIELDS: [Column; 16] = [
    ("id", "/id"),
    ("kind", "/kind"),
    ("state", "/state"),
    ("subscription", "/asked/subscription_id"),
    ("looked at", "/progress/looked_at"),
    ("to send", "/progress/total"),
    ("sent", "/progress/done"),
    ("expired", "/progress/skipped/expired"),
    ("on their way", "/progress/skipped/pending"),
    ("changed", "/progress/skipped/changed"),
    ("subscription gone", "/progress/skipped/subscription_gone"),
    ("damaged", "/progress/skipped/damaged"),
    ("up to", "/progress/position/time"),
    ("error", "/progress/error"),
    ("began", "/created_at"),
    ("ended", "/ended_at"),
];
/// Pause between two looks at an operation that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What to do with operations.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List operations, newest first
    #[command(after_help = "Examples:\n  hookway operations list\n  hookway operations list --running")]
    List {
        /// Only those that have not ended
        #[arg(long)]
        running: bool,
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one operation: what was asked for and how far it is
    #[command(after_help = "Examples:
  hookway operations show op_01j…
  hookway operations show op_01j… --wait")]
    Show {
        /// Its id
        id: String,
        /// Wait until it has ended
        #[arg(long)]
        wait: bool,
    },
    /// Stop an operation; what it has sent stays sent
    #[command(after_help = "Example:\n  hookway operations cancel op_01j…")]
    Cancel {
        /// Its id
        id: String,
    },
}

/// What is sent again, as far as both verbs know it.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The subscription (id or key); all of them where none is named
    subscription: Option<String>,
    /// Nothing older than this time, such as 2026-05-19T16:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Nothing from this time on
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only types that match this pattern; may be given several times
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// Only what failed for this cause; may be given several times
    #[arg(long = "cause", value_name = "CAUSE")]
    causes: Vec<String>,
    /// Only what was last answered with this status code; may be given several times
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<u16>,
    /// Deliveries per second [default: 100]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Only count; nothing is sent
    #[arg(long, conflicts_with = "wait")]
    preview: bool,
    /// Wait until it has ended and tell how far it is
    #[arg(long)]
    wait: bool,
}

/// What to recover.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway recover leads --preview
  hookway recover leads --since 2026-05-19T16:30:00Z --wait
  hookway recover --cause timeout --rate 500          # of all subscriptions")]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    asked: Asked,
}

/// What became last of an event for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Whatever became of it.
    Any,
    /// It was delivered.
    Delivered,
    /// It failed.
    Failed,
    /// A plugin filtered it.
    Filtered,
    /// There never was a delivery of it.
    None,
}

/// What to replay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway replay leads --status filtered --wait        # after the plugin was corrected
  hookway replay leads --status none --since 2026-05-19T16:30:00Z --preview   # what it never had
  hookway replay --event evt_01j…                      # one event, to all that match it today")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    asked: Asked,
    /// Only events of which this became
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Only this event, at once
    #[arg(long, value_name = "EVENT", conflicts_with_all = [
        "since", "until", "types", "causes", "codes", "rate", "preview", "wait", "status"])]
    event: Option<String>,
}

/// Sends again what failed.
pub(super) async fn recover(args: RecoverArgs, context: &Context) -> Result<(), Failure> {
    begin("recover", args.asked, None, context).await
}

/// Makes new deliveries of old events.
pub(super) async fn replay(args: ReplayArgs, context: &Context) -> Result<(), Failure> {
    if let Some(event) = args.event {
        return replay_event(&event, args.asked.subscription, context).await;
    }
    let status = args.status.and_then(|status| status.to_possible_value());
    let status = status.map(|value| value.get_name().to_owned());
    begin("replay", args.asked, status, context).await
}

async fn replay_event(event: &str, subscription: Option<String>, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, &context.output);
    let body = subscription.map_or(json!({}), |subscription| json!({ "subscription": subscription }));
    let path = ["events", event, "replay"];
    let answer = client
        .call(Method::POST, &path, &[], Body::Json(body.to_string()))
        .await?;
    if output.json {
        return output.answer(&answer);
    }
    let deliveries = answer["deliveries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if deliveries.is_empty() {
        return output.line("no subscription matches it today; name one to send it there all the same");
    }
    for delivery in deliveries {
        let [id, to, status] = ["id", "subscription_id", "status"].map(|name| cell(&delivery[name]));
        output.line(&format!("{id}  to {to}  {status}"))?;
    }
    Ok(())
}

impl Asked {
    fn body(&self, status: Option<String>) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            let given = match &value {
                Value::Null | Value::Bool(false) => false,
                Value::Array(list) => !list.is_empty(),
                _ => true,
            };
            if given {
                body.insert(name.to_owned(), value);
            }
        };
        put("since", json!(self.since));
        put("until", json!(self.until));
        put("types", json!(self.types));
        put("status", json!(status));
        put("causes", json!(self.causes));
        put("codes", json!(self.codes));
        put("rate", json!(self.rate));
        put("preview", json!(self.preview));
        body
    }
}

async fn begin(kind: &str, asked: Asked, status: Option<String>, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, &context.output);
    let mut body = asked.body(status);
    let answer = match &asked.subscription {
        Some(id) => {
            let body = Body::Json(Value::Object(body).to_string());
            client
                .call(Method::POST, &["subscriptions", id, kind], &[], body)
                .await?
        }
        None => {
            body.insert("kind".to_owned(), json!(kind));
            let body = Body::Json(Value::Object(body).to_string());
            client.call(Method::POST, &["operations"], &[], body).await?
        }
    };
    if asked.preview {
        return preview(output, &answer);
    }
    let id = cell(&answer["id"]);
    if asked.wait {
        return wait(&client, output, &id).await;
    }
    if output.json {
        return output.answer(&answer);
    }
    output.line(&format!(
        "{id} is under way; `hookway operations show {id}` tells how far it is"
    ))
}

fn preview(output: &Output, answer: &Answer) -> Result<(), Failure> {
    if output.json {
        return output.answer(answer);
    }
    output.line(&format!("{} would be sent", cell(&answer["matches"])))?;
    let types = answer["by_type"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for each in types {
        output.line(&format!("  {}  {}", cell(&each["count"]), cell(&each["type"])))?;
    }
    let others = answer["other_types"].as_u64().unwrap_or_default();
    if others > 0 {
        output.line(&format!("  {others}  of other types"))?;
    }
    for reason in skipped(&answer["skipped"]) {
        output.line(&output.tone(Tone::Odd, &format!("  not: {reason}")))?;
    }
    Ok(())
}

/// What is not sent, by reason, in words.
fn skipped(skipped: &Value) -> Vec<String> {
    let reasons = [
        ("expired", "expired: the body is no longer kept"),
        ("pending", "on their way already"),
        ("changed", "ended in another way meanwhile"),
        ("subscription_gone", "of a subscription that was removed"),
        ("damaged", "damaged in the store"),
    ];
    let counted = reasons.iter().filter_map(|(name, words)| {
        let count = skipped[*name].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {words}"))
    });
    counted.collect()
}

/// One line that tells how far an operation is.
fn progress(operation: &Value) -> String {
    let progress = &operation["progress"];
    let done = progress["done"].as_u64().unwrap_or_default();
    match progress["total"].as_u64() {
        None => "counting".to_owned(),
        Some(0) => format!("{done} of 0"),
        Some(total) => format!("{done} of {total} ({} %)", done.saturating_mul(100) / total),
    }
}

async fn wait(client: &Client, output: &Output, id: &str) -> Result<(), Failure> {
    let mut told = String::new();
    loop {
        let operation = client.get(&["operations", id], &[]).await?;
        let now = progress(&operation);
        if now != told && !output.json {
            output.note(&format!("{id}  {now}"));
            told = now;
        }
        let state = cell(&operation["state"]);
        if state != "running" {
            ended(output, &operation)?;
            return match state.as_str() {
                "finished" => Ok(()),
                _ => Err(Failure::other(format!("{id} is {state}"))),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn ended(output: &Output, operation: &Answer) -> Result<(), Failure> {
    if output.json {
        return output.answer(operation);
    }
    let (id, state) = (cell(&operation["id"]), cell(&operation["state"]));
    output.line(&format!("{id}  {state}: {}", progress(operation)))?;
    for reason in skipped(&operation["progress"]["skipped"]) {
        output.line(&output.tone(Tone::Odd, &format!("  not: {reason}")))?;
    }
    Ok(())
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let (client, output) = (context.client()?, &context.output);
    match verb {
        Verb::List {
            running,
            limit,
            cursor,
        } => {
            let query = given([
                ("running", running.then(|| "true".to_owned())),
                ("limit", limit.map(|limit| limit.to_string())),
                ("cursor", cursor),
            ]);
            let page = client.get(&["operations"], &query).await?;
            output.page(&page, &COLUMNS, "no operations")
        }
        Verb::Show { id, wait: true } => wait(&client, output, &id).await,
        Verb::Show { id, wait: false } => show(output, &client.get(&["operations", &id], &[]).await?),
        Verb::Cancel { id } => {
            let path = ["operations", id.as_str(), "cancel"];
            let answer = client.call(Method::POST, &path, &[], Body::Nothing).await?;
            show(output, &answer)
        }
    }
}

fn show(output: &Output, operation: &Answer) -> Result<(), Failure> {
    if output.json {
        output.answer(operation)
    } else {
        output.fields(operation, &FIELDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_sent() {
        let mut asked = Asked {
            subscription: Some("leads".to_owned()),
            since: None,
            until: None,
            types: Vec::new(),
            causes: Vec::new(),
            codes: Vec::new(),
            rate: None,
            preview: false,
            wait: false,
        };
        assert_eq!(Value::Object(asked.body(None)), json!({}));
        asked.types = vec!["a.*".to_owned()];
        asked.codes = vec![503];
        asked.preview = true;
        let body = Value::Object(asked.body(Some("none".to_owned())));
        let expected = json!({"types": ["a.*"], "codes": [503], "preview": true, "status": "none"});
        assert_eq!(body, expected);
    }

    #[test]
    fn progress_is_a_line() {
        for (operation, expected) in [
            (json!({"progress": {"done": 0, "total": null}}), "counting"),
            (json!({"progress": {"done": 0, "total": 0}}), "0 of 0"),
            (
                json!({"progress": {"done": 50, "total": 200}}),
                "50 of 200 (25 %)",
            ),
        ] {
            assert_eq!(progress(&operation), expected);
        }
        let reasons = skipped(&json!({"expired": 2, "pending": 0}));
        assert_eq!(reasons, ["2 expired: the body is no longer kept"]);
    }
}
