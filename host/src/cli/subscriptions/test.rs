//! `hookway subscriptions test`: one test event, really signed and really sent, and what is probably wrong.

use std::collections::BTreeMap;

use http::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Fields;
use super::secret::SecretFlags;
use crate::cli::client::{Answer, Body};
use crate::cli::output::{Tone, cell, clean};
use crate::cli::{Context, Failure, input};

/// Longest body that is shown to people, in characters; `--json` shows it whole.
const BODY_CHARACTERS_MAX: usize = 2_000;

/// What to try.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The id or key of a subscription; without it, one that is not stored is tried
    #[arg(required_unless_present_any = ["url", "file"], conflicts_with_all = ["secret_file", "secret_env", "unsigned"])]
    id: Option<String>,
    /// A file with a subscription as JSON, which is not stored (- for standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "url", "profile", "plugins", "headers"])]
    file: Option<String>,
    /// Where to send (@FILE keeps a URL with a token out of the shell's history)
    #[arg(long, conflicts_with = "id")]
    url: Option<String>,
    /// How deliveries look and behave
    #[arg(long, conflicts_with = "id")]
    profile: Option<String>,
    /// A plugin, with its configuration as JSON or @FILE; up to four, in order
    #[arg(long = "plugin", value_name = "NAME[=JSON]", conflicts_with = "id")]
    plugins: Vec<String>,
    /// A header of the request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", conflicts_with = "id")]
    headers: Vec<String>,
    #[command(flatten)]
    secret: SecretFlags,
    /// The type of the event [default: one that the subscription takes]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The payload: JSON, @FILE, or - for standard input [default: the sample of the type]
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
}

impl Args {
    /// The body of the call. The payload keeps its bytes.
    fn body(&self) -> Result<String, Failure> {
        let mut objects: Vec<String> = Vec::new();
        if let Some(path) = &self.file {
            objects.push(input::json(path, input::file(path)?)?.get().to_owned());
        } else if self.id.is_none() {
            let fields = Fields {
                url: self.url.clone(),
                profile: self.profile.clone(),
                plugins: self.plugins.clone(),
                headers: self.headers.clone(),
                ..Fields::default()
            };
            objects.push(fields.body()?);
        }
        let mut body = self.secret.members()?;
        body.extend(
            self.event_type
                .as_ref()
                .map(|name| ("event_type".to_owned(), json!(name))),
        );
        objects.push(Value::Object(body).to_string());
        if let Some(data) = &self.data {
            let data = input::json("--data", input::argument(data)?)?;
            objects.push(format!("{{\"data\":{data}}}"));
        }
        joined(objects.iter().map(String::as_str))
    }
}

/// The members of several objects as one, each value as it was written; of one that is there twice, the last.
pub(super) fn joined<'a>(objects: impl Iterator<Item = &'a str>) -> Result<String, Failure> {
    let mut members = BTreeMap::new();
    for object in objects {
        let read: BTreeMap<String, Box<RawValue>> = serde_json::from_str(object)
            .map_err(|error| Failure::usage(format!("the subscription is not a JSON object: {error}")))?;
        members.extend(read);
    }
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, raw)| format!("{}:{raw}", json!(name)))
        .collect();
    Ok(format!("{{{}}}", members.join(",")))
}

/// Tries it. It fails where the receiver did not take the event.
pub(in crate::cli) async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let body = Body::Json(args.body()?);
    let client = context.client()?;
    let tried = match &args.id {
        Some(id) => {
            client
                .call(Method::POST, &["subscriptions", id, "test"], &[], body)
                .await?
        }
        None => {
            client
                .call(Method::POST, &["subscriptions", "test"], &[], body)
                .await?
        }
    };
    if context.output.json {
        context.output.answer(&tried)?;
    } else {
        context.output.lines(&story(context, &tried))?;
    }
    match tried["verdict"].as_str() {
        Some("delivered" | "filtered") => Ok(()),
        verdict => Err(Failure::other(format!(
            "the test event was not taken: {}",
            verdict.unwrap_or("no verdict")
        ))),
    }
}

fn story(context: &Context, tried: &Answer) -> Vec<String> {
    let output = &context.output;
    let mut lines = Vec::new();
    if let Some(secret) = tried["secret"].as_str() {
        lines.push(format!(
            "signed with a secret made for this test: {}",
            clean(secret)
        ));
    }
    let sample = format!(
        "{} ({})",
        cell(&tried["event"]["type"]),
        cell(&tried["event"]["sample"])
    );
    lines.push(format!("{} {sample}", output.tone(Tone::Faint, "event")));
    for run in tried["plugin_runs"].as_array().into_iter().flatten() {
        let outcome = cell(&run["outcome"]);
        let toned = output.tone(Tone::of_status(&outcome), &outcome);
        lines.push(format!(
            "{} {}: {toned} {}",
            output.tone(Tone::Faint, "plugin"),
            cell(&run["plugin"]),
            cell(&run["reason"])
        ));
    }
    let request = &tried["request"];
    if request.is_object() {
        let line = format!("{} {}", cell(&request["method"]), cell(&request["url"]));
        lines.push(output.tone(Tone::Title, &line));
        lines.extend(headers(&request["headers"]));
        lines.extend(body(request));
    }
    let response = &tried["response"];
    if response.is_object() {
        lines.push(output.tone(Tone::Title, &format!("answered {}", response["status_code"])));
        lines.extend(headers(&response["headers"]));
        lines.extend(body(response));
    }
    let verdict = cell(&tried["verdict"]);
    let toned = output.tone(Tone::of_status(&verdict), &verdict);
    let took = tried["duration_ms"]
        .as_u64()
        .map(|ms| format!(" (took {ms} ms)"))
        .unwrap_or_default();
    let reason = match cell(&tried["reason"]) {
        reason if reason.is_empty() => reason,
        reason => format!(": {reason}"),
    };
    let title = output.tone(Tone::Faint, "verdict");
    lines.push(format!("{title} {toned}{took}{reason}"));
    for finding in tried["diagnosis"].as_array().into_iter().flatten() {
        let code = output.tone(Tone::Odd, &cell(&finding["code"]));
        lines.push(format!("\n{code}: {}", cell(&finding["detail"])));
        lines.push(format!("  {}", cell(&finding["hint"])));
    }
    lines
}

fn headers(pairs: &Value) -> Vec<String> {
    let line = |pair: &Value| format!("  {}: {}", cell(&pair[0]), cell(&pair[1]));
    pairs.as_array().into_iter().flatten().map(line).collect()
}

fn body(of: &Value) -> Option<String> {
    let text = of["body"].as_str().or(of["body_base64"].as_str())?;
    if text.is_empty() {
        return None;
    }
    let mut shown = clean(&text.chars().take(BODY_CHARACTERS_MAX).collect::<String>());
    if text.chars().count() > BODY_CHARACTERS_MAX {
        shown.push('…');
    }
    Some(format!("\n  {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            id: None,
            file: None,
            url: Some("https://example.com/in".to_owned()),
            profile: Some("plain".to_owned()),
            plugins: Vec::new(),
            headers: Vec::new(),
            secret: SecretFlags::default(),
            event_type: Some("lead.created".to_owned()),
            data: Some("{\"n\": 1.0}".to_owned()),
        }
    }

    #[test]
    fn flags_become_a_body_and_the_payload_keeps_its_bytes() {
        assert_eq!(
            args().body().unwrap(),
            r#"{"data":{"n": 1.0},"event_type":"lead.created","profile":"plain","url":"https://example.com/in"}"#
        );
        let stored = Args {
            id: Some("leads".to_owned()),
            url: None,
            profile: None,
            event_type: None,
            data: None,
            ..args()
        };
        assert_eq!(stored.body().unwrap(), "{}");
    }
}
