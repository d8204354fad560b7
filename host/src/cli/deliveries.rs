//! `hookway deliveries`: what became of an event for a subscription, and once more by hand.

use clap::ValueEnum;
use http::Method;
use serde_json::{Value, json};

use super::client::Body;
use super::indent::indented;
use super::output::{Column, Output, Tone, cell};
use super::{Context, Failure};

const COLUMNS: [Column; 7] = [
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("EVENT", "/event_type"),
    ("SUBSCRIPTION", "/subscription_id"),
    ("ATTEMPTS", "/attempt_count"),
    ("NEXT", "/next_attempt_at"),
    ("REASON", "/reason"),
];
const FIELDS: [Column; 9] = [
    ("id", "/id"),
    ("status", "/status"),
    ("reason", "/reason"),
    ("next attempt", "/next_attempt_at"),
    ("event", "/event_id"),
    ("event type", "/event_type"),
    ("subscription", "/subscription_id"),
    ("created", "/created_at"),
    ("ended", "/ended_at"),
];
/// Lines of a body that are shown where `--full` is not given.
const BODY_LINES: usize = 12;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Status {
    /// Something is still to be done.
    Pending,
    /// Accepted by the endpoint.
    Delivered,
    /// A plugin decided that there is nothing to send.
    Filtered,
    /// A dead letter.
    Failed,
    /// Pending, and its subscription is off.
    Held,
}

/// What to do with deliveries.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List deliveries, newest first
    #[command(after_help = "Examples:
  hookway deliveries list --status failed
  hookway deliveries list --subscription slack-alerts --limit 20 --json")]
    List {
        /// Only those that stand so
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// Only this subscription's (id or key)
        #[arg(long)]
        subscription: Option<String>,
        /// Only this event's
        #[arg(long)]
        event: Option<String>,
        /// How many at the most
        #[arg(long)]
        limit: Option<u32>,
        /// Goes on where the page before ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one delivery: plugin runs, attempts, what comes next
    #[command(after_help = "Example:\n  hookway deliveries show dlv_01j…")]
    Show {
        /// Its id
        id: String,
        /// Whole bodies and all headers
        #[arg(long)]
        full: bool,
    },
    /// Send the same request again
    #[command(after_help = "Example:\n  hookway deliveries resend dlv_01j…")]
    Resend {
        /// Its id
        id: String,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let output = &context.output;
    match verb {
        Verb::List {
            status,
            subscription,
            event,
            limit,
            cursor,
        } => {
            let status = status
                .and_then(|s| s.to_possible_value())
                .map(|value| value.get_name().to_owned());
            let query = [
                ("status", status),
                ("subscription", subscription),
                ("event", event),
                ("limit", limit.map(|limit| limit.to_string())),
                ("cursor", cursor),
            ];
            let query: Vec<_> = query
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            output.page(
                &client.get(&["deliveries"], &query).await?,
                &COLUMNS,
                "no deliveries",
            )
        }
        Verb::Show { id, full } => {
            let delivery = client.get(&["deliveries", &id], &[]).await?;
            if output.json {
                output.answer(&delivery)
            } else {
                output.lines(&lines_of(output, &delivery, full))
            }
        }
        Verb::Resend { id } => {
            let answer = client
                .call(Method::POST, &["deliveries", &id, "resend"], &[], Body::Nothing)
                .await?;
            if output.json {
                return if answer.is_null() {
                    output.json(&json!({ "id": id }))
                } else {
                    output.answer(&answer)
                };
            }
            output.line(&format!(
                "{id} is on its way again; `hookway deliveries show {id}` tells how it goes"
            ))
        }
    }
}

/// A delivery with everything that happened to it, as lines.
fn lines_of(output: &Output, delivery: &Value, full: bool) -> Vec<String> {
    let mut lines = output.field_lines(delivery, &FIELDS);
    for run in list(delivery, "plugin_runs") {
        lines.extend([String::new(), run_line(output, run)]);
        lines.extend(list(run, "logs").iter().map(|log| {
            format!(
                "    {}  {}",
                output.tone(Tone::Faint, &cell(&log["level"])),
                cell(&log["message"])
            )
        }));
    }
    for request in list(delivery, "requests") {
        lines.extend([String::new(), request_line(output, request)]);
        lines.extend(body(output, "", request, full));
    }
    for attempt in list(delivery, "attempts") {
        lines.extend([String::new(), attempt_line(output, attempt)]);
        if full {
            lines.extend(headers(output, "sent", &attempt["request_headers"]));
            lines.extend(headers(output, "received", &attempt["response"]["headers"]));
        }
        lines.extend(body(output, "received", &attempt["response"], full));
    }
    lines
}

/// A request: what is sent, whatever the number of attempts.
fn request_line(output: &Output, request: &Value) -> String {
    let name = output.tone(Tone::Title, &format!("request {}", cell(&request["id"])));
    format!("{name}  {} {}", cell(&request["method"]), cell(&request["url"]))
        .trim_end()
        .to_owned()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A run, in a line that begins with what it is.
pub(super) fn run_line(output: &Output, run: &Value) -> String {
    format!("{} {}", output.tone(Tone::Title, "plugin"), run_text(output, run))
}

/// A run: what the plugin decided, how long it took, what memory it had.
pub(super) fn run_text(output: &Output, run: &Value) -> String {
    let outcome = cell(&run["outcome"]);
    let name = output.tone(Tone::Title, &cell(&run["plugin"]));
    let micros = run["duration_us"].as_f64().unwrap_or_default();
    let digest = cell(&run["digest"]);
    let digest: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
    let why = Some(cell(&run["reason"])).filter(|why| !why.is_empty());
    format!(
        "{name}  {}  {:.2} ms  {} KiB  {}{}",
        output.tone(Tone::of_status(&outcome), &outcome),
        micros / 1_000.0,
        run["memory_bytes"].as_u64().unwrap_or_default() / 1_024,
        output.tone(Tone::Faint, &digest),
        why.map(|why| format!("\n    {why}")).unwrap_or_default(),
    )
}

/// An attempt: what came back, when, how long it took.
pub(super) fn attempt_line(output: &Output, attempt: &Value) -> String {
    let status = cell(&attempt["status_code"]);
    let (tone, result) = match status.chars().next() {
        None => (Tone::Bad, cell(&attempt["error"])),
        Some('2') => (Tone::Good, status),
        Some(_) => (Tone::Odd, status),
    };
    let number = output.tone(Tone::Title, &format!("attempt {}", cell(&attempt["number"])));
    let by = if attempt["resend"] == true {
        "  (resend)"
    } else {
        ""
    };
    let why = cell(&attempt["error_detail"]);
    let why = if why.is_empty() {
        why
    } else {
        format!("\n    {why}")
    };
    let started = output.tone(Tone::Faint, &cell(&attempt["started_at"]));
    format!(
        "{number}  {}  {} ms  {started}{by}{why}",
        output.tone(tone, &result),
        cell(&attempt["duration_ms"])
    )
}

fn headers(output: &Output, what: &str, headers: &Value) -> Vec<String> {
    let pairs = headers.as_array().map(Vec::as_slice).unwrap_or_default();
    let title = (!pairs.is_empty()).then(|| output.tone(Tone::Faint, &format!("    {what}")));
    let lines = pairs.iter().map(|pair| {
        format!(
            "      {}: {}",
            output.tone(Tone::Faint, &cell(&pair[0])),
            cell(&pair[1])
        )
    });
    title.into_iter().chain(lines).collect()
}

fn body(output: &Output, what: &str, part: &Value, full: bool) -> Vec<String> {
    let Some(text) = part["body"].as_str().filter(|text| !text.is_empty()) else {
        return Vec::new();
    };
    let all = pretty(text);
    let shown = if full {
        all.len()
    } else {
        BODY_LINES.min(all.len())
    };
    let title = (!what.is_empty()).then(|| output.tone(Tone::Faint, &format!("    {what} body")));
    let mut lines: Vec<String> = title.into_iter().collect();
    lines.extend(all[..shown].iter().map(|line| format!("      {line}")));
    if all.len() > shown {
        let more = format!("      … {} more lines (--full)", all.len() - shown);
        lines.push(output.tone(Tone::Faint, &more));
    }
    lines
}

/// A body as lines that are safe to show: JSON indented, other text as it is.
pub(super) fn pretty(text: &str) -> Vec<String> {
    let text = match serde_json::from_str::<Value>(text) {
        Ok(_) => indented(text),
        Err(_) => text.to_owned(),
    };
    text.lines().map(super::output::clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ColourWhen;

    #[test]
    fn runs_and_attempts_are_lines() {
        let output = Output::new(false, ColourWhen::Never, true);
        let run = json!({"plugin": "slack", "digest": "abcdef0123456789", "outcome": "filtered",
            "reason": "severity info is below warning", "duration_us": 412, "memory_bytes": 1_179_648});
        assert_eq!(
            run_line(&output, &run),
            "plugin slack  filtered  0.41 ms  1152 KiB  abcdef012345\n    severity info is below warning"
        );
        let attempt = json!({"number": 2, "started_at": "T", "duration_ms": 5, "status_code": 503});
        assert_eq!(attempt_line(&output, &attempt), "attempt 2  503  5 ms  T");
        let attempt = json!({"number": 1, "started_at": "T", "duration_ms": 0, "error": "refused",
            "error_detail": "10.0.0.1 is private", "resend": true});
        assert_eq!(
            attempt_line(&output, &attempt),
            "attempt 1  refused  0 ms  T  (resend)\n    10.0.0.1 is private"
        );
    }

    #[test]
    fn a_delivery_is_told_from_its_start_to_its_end() {
        let output = Output::new(false, ColourWhen::Never, true);
        let delivery = json!({
            "id": "dlv_1", "status": "pending", "next_attempt_at": "T9", "event_id": "evt_1",
            "event_type": "push", "subscription_id": "sub_1", "created_at": "T0", "ended_at": null,
            "plugin_runs": [{"plugin": "slack", "digest": "ab", "outcome": "deliver", "duration_us": 400,
                "memory_bytes": 2048, "logs": [{"level": "info", "message": "hi\u{1b}"}]}],
            "requests": [{"id": "req_1", "method": "POST", "url": "https://x/…", "body": "[1]"}],
            "attempts": [{"number": 1, "started_at": "T1", "duration_ms": 5, "status_code": 503,
                "request_headers": [["webhook-id", "req_1"]],
                "response": {"headers": [["retry-after", "5"]], "body": "busy\n".repeat(14)}}],
        });
        let short = lines_of(&output, &delivery, false);
        let expected = [
            "id            dlv_1",
            "status        pending",
            "next attempt  T9",
            "event         evt_1",
            "event type    push",
            "subscription  sub_1",
            "created       T0",
            "",
            "plugin slack  deliver  0.40 ms  2 KiB  ab",
            "    info  hi\\u{1b}",
            "",
            "request req_1  POST https://x/…",
            "      [",
            "        1",
            "      ]",
            "",
            "attempt 1  503  5 ms  T1",
            "    received body",
        ];
        assert_eq!(short[..expected.len()], expected);
        assert_eq!(short.last().unwrap(), "      … 2 more lines (--full)");
        let full = lines_of(&output, &delivery, true);
        assert!(full.contains(&"      webhook-id: req_1".to_owned()));
        assert!(full.contains(&"      retry-after: 5".to_owned()));
        assert_eq!(full.iter().filter(|line| line.ends_with("busy")).count(), 14);
    }

    #[test]
    fn bodies_are_indented_where_they_are_json() {
        assert_eq!(
            pretty("{\"b\":1.0,\"a\":1}"),
            ["{", "  \"b\": 1.0,", "  \"a\": 1", "}"]
        );
        assert_eq!(pretty("a\x1b[2J\nb"), ["a\\u{1b}[2J", "b"]);
    }
}
