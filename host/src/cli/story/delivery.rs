//! One delivery, from its plugins to its end: what ran, what was sent, what came back, what comes next
//! and what a person can do about it.

use serde_json::Value;

use super::curl;
use super::pieces::{Depth, INDENT, attempt_line, body_lines, header_lines, list, log_lines, run_line};
use super::when::absolute_and_relative;
use crate::cli::output::{Output, Tone, cell};
use crate::time::Timestamp;

/// How a story is told.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Telling<'a> {
    /// The colours.
    pub(in crate::cli) output: &'a Output,
    /// When it is told.
    pub(in crate::cli) now: Timestamp,
    /// How much of it.
    pub(in crate::cli) depth: Depth,
}

/// A delivery as lines. `to` is how its subscription is called.
pub(in crate::cli) fn delivery_lines(telling: &Telling<'_>, delivery: &Value, to: &str) -> Vec<String> {
    let output = telling.output;
    let mut lines = vec![heading(output, delivery, to)];
    for run in list(delivery, "plugin_runs") {
        lines.push(stepped(&run_line(output, run)));
        lines.extend(log_lines(output, run));
    }
    let requests = list(delivery, "requests");
    let attempts = list(delivery, "attempts");
    for request in requests {
        let own = |attempt: &&Value| attempt["request_id"] == request["id"];
        let last = attempts.iter().rfind(own);
        lines.push(stepped(&request_line(output, request)));
        if let Some(last) = last {
            lines.extend(header_lines(output, &last["request_headers"]));
        }
        lines.extend(body_lines(output, request, telling.depth));
        for attempt in attempts.iter().filter(own) {
            lines.extend(attempt_lines(telling, attempt));
        }
    }
    // A request that has expired leaves its attempts behind.
    let orphan = |attempt: &&Value| {
        requests
            .iter()
            .all(|request| request["id"] != attempt["request_id"])
    };
    for attempt in attempts.iter().filter(orphan) {
        lines.extend(attempt_lines(telling, attempt));
    }
    lines.extend(end_lines(telling, delivery));
    lines.extend(repeat_lines(output, delivery));
    lines
}

fn heading(output: &Output, delivery: &Value, to: &str) -> String {
    let status = cell(&delivery["status"]);
    let name = format!("delivery {}", cell(&delivery["id"]));
    format!(
        "{}  {}  to {to}",
        output.tone(Tone::Title, &name),
        output.tone(Tone::of_status(&status), &status)
    )
}

fn request_line(output: &Output, request: &Value) -> String {
    let name = output.tone(Tone::Title, &format!("request {}", cell(&request["id"])));
    let url = Some(cell(&request["url"])).filter(|url| !url.is_empty());
    let url = url.unwrap_or_else(|| output.tone(Tone::Faint, "not sent yet, or no longer known where to"));
    format!("{name}  {} {url}", cell(&request["method"]))
}

fn attempt_lines(telling: &Telling<'_>, attempt: &Value) -> Vec<String> {
    let mut lines = vec![stepped(&attempt_line(telling.output, attempt))];
    if telling.depth == Depth::Full {
        lines.extend(header_lines(telling.output, &attempt["response"]["headers"]));
    }
    lines.extend(body_lines(telling.output, &attempt["response"], telling.depth));
    lines
}

/// A piece a step to the right, whose second line is its reason.
fn stepped(piece: &str) -> String {
    format!("  {}", piece.replace("\n    ", &format!("\n{INDENT}")))
}

/// Where the delivery stands, why, and what a person can do.
fn end_lines(telling: &Telling<'_>, delivery: &Value) -> Vec<String> {
    let output = telling.output;
    let (id, subscription) = (cell(&delivery["id"]), cell(&delivery["subscription_id"]));
    let reason = cell(&delivery["reason"]);
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let status = cell(&delivery["status"]);
    let at = |name: &str| absolute_and_relative(&cell(&delivery[name]), telling.now);
    let stands = |what: &str, rest: &str| format!("  {}{rest}", output.tone(Tone::of_status(&status), what));
    let hint = |text: String| format!("{INDENT}{}", output.tone(Tone::Faint, &text));
    let ended = at("ended_at");
    match status.as_str() {
        "delivered" => vec![stands("delivered", &format!("  {ended}"))],
        "filtered" => vec![stands("filtered", &format!("  {ended}{because}"))],
        "failed" => vec![
            stands("failed", &format!("  {ended}{because}")),
            hint(if list(delivery, "requests").is_empty() {
                format!("when the cause is mended: hookway deliveries resend {id}   (runs the plugins again)")
            } else {
                format!("when the cause is mended: hookway deliveries resend {id}   (sends the same request)")
            }),
        ],
        "held" => vec![
            stands("held", &because),
            hint(format!(
                "lets it go out: hookway subscriptions enable {subscription}"
            )),
        ],
        "pending" => vec![
            stands("next attempt", &format!("  {}", at("next_attempt_at"))),
            hint(format!("sooner: hookway deliveries resend {id}")),
        ],
        other => vec![stands(other, &because)],
    }
}

fn repeat_lines(output: &Output, delivery: &Value) -> Vec<String> {
    let repeats = curl::repeats(delivery);
    let mut lines = Vec::new();
    if !repeats.is_empty() {
        lines.push(format!(
            "  {}",
            output.tone(Tone::Faint, "the last attempt again, with its signature:")
        ));
    }
    for repeat in repeats {
        // It is not indented behind its line breaks, which may belong to the body.
        lines.push(repeat.line);
        if !repeat.unknown.is_empty() {
            let note = format!(
                "  this key does not see {}: set it, or use a key with the scope manage",
                repeat.unknown.join(", ")
            );
            lines.push(output.tone(Tone::Faint, &note));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::ColourWhen;

    fn told(delivery: &Value, depth: Depth) -> Vec<String> {
        let output = Output::new(false, ColourWhen::Never, true);
        let telling = Telling {
            output: &output,
            now: Timestamp::parse("2026-05-19T16:30:00Z").unwrap(),
            depth,
        };
        delivery_lines(&telling, delivery, "Alerts (sub_1)")
    }

    fn pending() -> Value {
        json!({
            "id": "dlv_1", "status": "pending", "reason": null, "next_attempt_at": "2026-05-19T16:34:30.000Z",
            "event_id": "evt_1", "event_type": "push", "subscription_id": "sub_1",
            "plugin_runs": [{"plugin": "slack", "digest": "ab", "outcome": "deliver", "duration_us": 400,
                "memory_bytes": 2048, "logs": [{"level": "info", "message": "hi\u{1b}"}]}],
            "requests": [{"id": "req_1", "method": "POST", "url": "https://example.com/x", "body": "[1]"}],
            "attempts": [
                {"number": 1, "request_id": "req_1", "started_at": "T1", "duration_ms": 7, "error": "timeout",
                 "error_detail": "no whole answer within 20 s", "request_headers": [["webhook-timestamp", "1"]],
                 "response": null},
                {"number": 2, "request_id": "req_1", "started_at": "T2", "duration_ms": 5, "status_code": 503,
                 "request_headers": [["webhook-id", "req_1"], ["webhook-timestamp", "2"]],
                 "response": {"headers": [["retry-after", "5"]], "body": "busy", "truncated": false}}],
        })
    }

    #[test]
    fn a_delivery_is_told_from_its_plugins_to_what_comes_next() {
        let expected = [
            "delivery dlv_1  pending  to Alerts (sub_1)",
            "  plugin slack  deliver  0.40 ms  2 KiB  ab",
            "      info   hi\\u{1b}",
            "  request req_1  POST https://example.com/x",
            "      webhook-id: req_1",
            "      webhook-timestamp: 2",
            "      [",
            "        1",
            "      ]",
            "  attempt 1  timeout  7 ms  T1\n      no whole answer within 20 s",
            "  attempt 2  503  5 ms  T2",
            "      busy",
            "  next attempt  2026-05-19T16:34:30.000Z (in 4 min 30 s)",
            "      sooner: hookway deliveries resend dlv_1",
            "  the last attempt again, with its signature:",
            "curl -sSi -X POST https://example.com/x -H 'webhook-id: req_1' -H 'webhook-timestamp: 2' \
             -H accept: --data-binary '[1]'",
        ];
        assert_eq!(told(&pending(), Depth::Short), expected);
        assert!(told(&pending(), Depth::Full).contains(&"      retry-after: 5".to_owned()));
    }

    #[test]
    fn every_state_says_what_to_do() {
        let ends = |status: &str, requests: Value| {
            let delivery = json!({"id": "dlv_1", "status": status, "reason": "why", "subscription_id": "sub_1",
                "ended_at": "2026-05-19T16:29:58.000Z", "requests": requests});
            told(&delivery, Depth::Short)
        };
        let request = json!([{"id": "req_1", "method": "POST", "url": null, "body": ""}]);
        assert_eq!(
            ends("failed", request),
            [
                "delivery dlv_1  failed  to Alerts (sub_1)",
                "  request req_1  POST not sent yet, or no longer known where to",
                "  failed  2026-05-19T16:29:58.000Z (2 s ago): why",
                "      when the cause is mended: hookway deliveries resend dlv_1   (sends the same request)",
            ]
        );
        assert!(ends("failed", json!([]))[2].ends_with("(runs the plugins again)"));
        assert_eq!(
            ends("held", json!([]))[1..],
            [
                "  held: why",
                "      lets it go out: hookway subscriptions enable sub_1"
            ]
        );
        assert_eq!(
            ends("filtered", json!([]))[1..],
            ["  filtered  2026-05-19T16:29:58.000Z (2 s ago): why"]
        );
    }

    #[test]
    fn attempts_whose_request_is_gone_are_still_told() {
        let mut delivery = pending();
        delivery["requests"] = json!([]);
        let lines = told(&delivery, Depth::Short);
        assert!(
            lines.contains(&"  attempt 2  503  5 ms  T2".to_owned()),
            "{lines:#?}"
        );
    }
}
