//! Receptions: what came to a source, and what became of it.

use clap::ValueEnum;
use data_encoding::BASE64;
use serde_json::Value;

use crate::cli::client::given;
use crate::cli::output::{Column, Output, Tone, cell, write_bytes};
use crate::cli::story::{Depth, body_lines, relative};
use crate::cli::{Context, Failure};
use crate::clock::Clock;
use crate::time::Timestamp;

const COLUMNS: [Column; 7] = [
    ("ID", "/id"),
    ("RECEIVED", "/received_at"),
    ("OUTCOME", "/outcome"),
    ("STATUS", "/status"),
    ("FROM", "/remote"),
    ("BYTES", "/bytes"),
    ("WHAT", "/what"),
];
const FIELDS: [Column; 13] = [
    ("id", "/id"),
    ("source", "/source_id"),
    ("from", "/remote"),
    ("method", "/method"),
    ("answered", "/status"),
    ("bytes", "/bytes"),
    ("sha256", "/sha256"),
    ("handshake", "/handshake"),
    ("event", "/event_id"),
    ("new events", "/events"),
    ("repeated events", "/duplicates"),
    ("refused", "/reason"),
    ("because", "/detail"),
];

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Outcome {
    /// It became events, or repeated earlier ones.
    Accepted,
    /// It was a handshake and was answered.
    Handshake,
    /// It was refused.
    Refused,
}

/// Which receptions to list.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    /// The source's id or name
    id: String,
    /// Only what came to this
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// How many at the most
    #[arg(long)]
    limit: Option<u32>,
    /// Goes on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

/// Which reception to show.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Show {
    /// Its id
    id: String,
    /// Whole bodies
    #[arg(long)]
    full: bool,
    /// Only the body, byte for byte, where it was kept
    #[arg(long, conflicts_with = "full")]
    body: bool,
}

/// Lists what came to a source.
pub(super) async fn list(args: List, context: &Context) -> Result<(), Failure> {
    let outcome = args.outcome.and_then(|outcome| outcome.to_possible_value());
    let query = given([
        ("outcome", outcome.map(|value| value.get_name().to_owned())),
        ("limit", args.limit.map(|limit| limit.to_string())),
        ("cursor", args.cursor),
    ]);
    let output = &context.output;
    let path = ["sources", &args.id, "receptions"];
    let page = context.client()?.get(&path, &query).await?;
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if output.json || rows.is_empty() {
        return output.page(&page, &COLUMNS, "nothing has come");
    }
    let rows: Vec<Value> = rows.iter().map(readable).collect();
    output.rows(&rows, &COLUMNS)?;
    output.more(&page)
}

/// Shows one reception.
pub(super) async fn show(args: Show, context: &Context) -> Result<(), Failure> {
    let reception = context.client()?.get(&["receptions", &args.id], &[]).await?;
    let output = &context.output;
    if args.body {
        return write_bytes(&body(&reception)?);
    }
    if output.json {
        return output.answer(&reception);
    }
    let depth = if args.full { Depth::Full } else { Depth::Short };
    output.lines(&lines(output, &reception, Clock::system().now(), depth))
}

/// A reception with the one thing that says most about it.
fn readable(reception: &Value) -> Value {
    let mut shown = reception.clone();
    let reason = cell(&reception["reason"]);
    let detail = cell(&reception["detail"]);
    let what = [
        cell(&reception["event_id"]),
        cell(&reception["handshake"]),
        match (reason.is_empty(), detail.is_empty()) {
            (false, false) => format!("{reason}: {detail}"),
            _ => reason,
        },
    ];
    shown["what"] = what.into_iter().find(|text| !text.is_empty()).into();
    shown
}

/// A reception as lines.
fn lines(output: &Output, reception: &Value, now: Timestamp, depth: Depth) -> Vec<String> {
    let outcome = cell(&reception["outcome"]);
    let tone = match outcome.as_str() {
        "refused" => Tone::Bad,
        "accepted" => Tone::Good,
        _ => Tone::Plain,
    };
    let received = cell(&reception["received_at"]);
    let ago = Timestamp::parse(&received).map(|time| format!(" ({})", relative(time, now)));
    let mut lines = vec![format!(
        "{}  {}{}",
        output.tone(tone, &outcome),
        output.tone(Tone::Faint, &received),
        ago.unwrap_or_default()
    )];
    lines.extend(output.field_lines(reception, &FIELDS));
    if let Some(headers) = reception["headers"].as_object() {
        for (name, value) in headers {
            let text = format!("      {}: {}", cell(&name.as_str().into()), cell(value));
            lines.push(output.tone(Tone::Faint, &text));
        }
    }
    match body(reception).map(String::from_utf8) {
        Ok(Ok(text)) => {
            let part = serde_json::json!({ "body": text });
            lines.extend(body_lines(output, &part, depth));
        }
        Ok(Err(_)) => lines.extend(body_lines(output, reception, depth)),
        Err(_) => {}
    }
    let unrecorded = reception["unrecorded"].as_u64().unwrap_or(0);
    if unrecorded > 0 {
        let note =
            format!("{unrecorded} refusals before this one were counted but not kept: there were too many");
        lines.push(output.tone(Tone::Odd, &note));
    }
    lines
}

/// The body, where it was kept.
fn body(reception: &Value) -> Result<Vec<u8>, Failure> {
    let text = reception["body_base64"].as_str().ok_or_else(|| {
        Failure::other(
            "its body is not here: that of an accepted request is its event's data, and that of a refused one is \
             kept only while the source has keep_refused",
        )
    })?;
    BASE64
        .decode(text.as_bytes())
        .map_err(|error| Failure::because("the body in the answer is no base64", error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::ColourWhen;

    fn refused() -> Value {
        json!({"id": "rcp_1", "source_id": "src_1", "received_at": "2026-05-19T16:29:58.000Z", "remote": "192.0.2.7",
            "method": "POST", "status": 401, "bytes": 7, "outcome": "refused", "reason": "mismatch",
            "detail": "the signature does not match", "headers": {"user-agent": "GitHub-Hookshot/1\u{1b}"},
            "unrecorded": 3, "body_base64": "eyJhIjoxfQ=="})
    }

    #[test]
    fn a_refusal_says_why() {
        let output = Output::new(false, ColourWhen::Never, true);
        let now = Timestamp::parse("2026-05-19T16:30:00Z").unwrap();
        assert_eq!(
            lines(&output, &refused(), now, Depth::Short),
            [
                "refused  2026-05-19T16:29:58.000Z (2 s ago)",
                "id               rcp_1",
                "source           src_1",
                "from             192.0.2.7",
                "method           POST",
                "answered         401",
                "bytes            7",
                "refused          mismatch",
                "because          the signature does not match",
                "      user-agent: GitHub-Hookshot/1\\u{1b}",
                "      {",
                "        \"a\": 1",
                "      }",
                "3 refusals before this one were counted but not kept: there were too many",
            ]
        );
        assert_eq!(
            readable(&refused())["what"],
            "mismatch: the signature does not match"
        );
    }

    #[test]
    fn what_was_taken_names_its_event_or_handshake() {
        assert_eq!(readable(&json!({"event_id": "evt_1"}))["what"], "evt_1");
        assert_eq!(readable(&json!({"handshake": "slack"}))["what"], "slack");
        assert_eq!(readable(&json!({}))["what"], Value::Null);
        assert_eq!(body(&refused()).unwrap(), b"{\"a\":1}");
        assert!(body(&json!({})).is_err());
    }
}
