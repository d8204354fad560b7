//! The pieces that a story is told in: a plugin run, an attempt, headers, a body.
//!
//! Whatever came from outside is shown with its control characters escaped, and cut where it is long;
//! what was cut is said, with the switch that shows it.

use serde_json::Value;

use crate::cli::indent::indented;
use crate::cli::output::{Output, Tone, cell, clean};

/// Lines of a body that are shown where all of it is not wanted.
const BODY_LINES: usize = 12;
/// Lines of a body that are shown where the body is what matters; more than most have.
const LONG_BODY_LINES: usize = 80;
/// Characters of such a line; a body without line breaks would fill the terminal.
const LINE_CHARACTERS_MAX: usize = 160;
/// Characters of a digest that are shown: enough to tell versions apart, and what `--plugin` pins show.
const DIGEST_CHARACTERS: usize = 12;
/// What stands under a heading begins here.
pub(in crate::cli) const INDENT: &str = "      ";

/// How much of bodies and headers is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Depth {
    /// The beginning.
    Short,
    /// Most of it.
    Long,
    /// Everything.
    Full,
}

/// The elements of a member that is a list.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A run, in a line that begins with what it is.
pub(in crate::cli) fn run_line(output: &Output, run: &Value) -> String {
    format!("{} {}", output.tone(Tone::Title, "plugin"), run_text(output, run))
}

/// A run: what the plugin decided, how long it took, what memory it had.
pub(in crate::cli) fn run_text(output: &Output, run: &Value) -> String {
    let outcome = cell(&run["outcome"]);
    let name = output.tone(Tone::Title, &cell(&run["plugin"]));
    let micros = run["duration_us"].as_f64().unwrap_or_default();
    let digest = cell(&run["digest"]);
    let digest: String = digest
        .trim_start_matches("sha256:")
        .chars()
        .take(DIGEST_CHARACTERS)
        .collect();
    let fault = Some(cell(&run["fault"])).filter(|fault| !fault.is_empty());
    let why = Some(cell(&run["reason"])).filter(|why| !why.is_empty());
    let emitted = match run["events"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => " and 1 event emitted".to_owned(),
        Some(events) => format!(" and {events} events emitted"),
    };
    format!(
        "{name}  {}{}{}  {:.2} ms  {} KiB  {}{}",
        output.tone(Tone::of_status(&outcome), &outcome),
        fault.map(|fault| format!(" ({fault})")).unwrap_or_default(),
        emitted,
        micros / 1_000.0,
        run["memory_bytes"].as_u64().unwrap_or_default() / 1_024,
        output.tone(Tone::Faint, &digest),
        why.map(|why| format!("\n    {why}")).unwrap_or_default(),
    )
}

/// What a run logged.
pub(super) fn log_lines(output: &Output, run: &Value) -> Vec<String> {
    let mut lines: Vec<String> = list(run, "logs")
        .iter()
        .map(|log| {
            let level = cell(&log["level"]);
            let tone = match level.as_str() {
                "error" => Tone::Bad,
                "warn" => Tone::Odd,
                _ => Tone::Faint,
            };
            format!(
                "{INDENT}{}  {}",
                output.tone(tone, &format!("{level:5}")),
                cell(&log["message"])
            )
        })
        .collect();
    let dropped = run["logs_dropped"].as_u64().unwrap_or(0);
    if dropped > 0 {
        let note = format!("{INDENT}… {dropped} more lines did not fit into the run's log");
        lines.push(output.tone(Tone::Faint, &note));
    }
    lines
}

/// An attempt: what came back, when, how long it took.
pub(in crate::cli) fn attempt_line(output: &Output, attempt: &Value) -> String {
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

/// Headers, one a line.
pub(super) fn header_lines(output: &Output, headers: &Value) -> Vec<String> {
    let pairs = headers.as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |pair: &Value| {
        let text = format!("{INDENT}{}: {}", cell(&pair[0]), cell(&pair[1]));
        output.tone(Tone::Faint, &text)
    };
    pairs.iter().map(line).collect()
}

/// A body that is text, or the size of one that is not.
pub(in crate::cli) fn body_lines(output: &Output, part: &Value, depth: Depth) -> Vec<String> {
    if let Some(bytes) = part["body_base64"].as_str().and_then(base64_bytes) {
        return vec![output.tone(Tone::Faint, &format!("{INDENT}{bytes} bytes that are no text"))];
    }
    let text = part["body"].as_str().unwrap_or_default();
    let mut lines = cut_lines(output, text, depth);
    if part["truncated"] == true {
        let note = format!("{INDENT}… it was longer; this much was kept");
        lines.push(output.tone(Tone::Faint, &note));
    }
    lines
}

fn base64_bytes(text: &str) -> Option<usize> {
    data_encoding::BASE64
        .decode(text.as_bytes())
        .ok()
        .map(|bytes| bytes.len())
}

/// A text as its first lines, and a word on what is missing.
pub(in crate::cli) fn cut_lines(output: &Output, text: &str, depth: Depth) -> Vec<String> {
    let all = pretty(text);
    let shown = match depth {
        Depth::Full => all.len(),
        Depth::Long => LONG_BODY_LINES.min(all.len()),
        Depth::Short => BODY_LINES.min(all.len()),
    };
    let mut cut = false;
    let mut lines: Vec<String> = all[..shown]
        .iter()
        .map(|line| match line.char_indices().nth(LINE_CHARACTERS_MAX) {
            Some((end, _)) if depth != Depth::Full => {
                cut = true;
                format!("{INDENT}{}…", &line[..end])
            }
            _ => format!("{INDENT}{line}"),
        })
        .collect();
    let more = all.len() - shown;
    let note = match (more, cut) {
        (0, false) => return lines,
        (0, true) => format!("{INDENT}… long lines are cut (--full)"),
        (1, _) => format!("{INDENT}… 1 more line (--full)"),
        (more, _) => format!("{INDENT}… {more} more lines (--full)"),
    };
    lines.push(output.tone(Tone::Faint, &note));
    lines
}

/// A body as lines that are safe to show: JSON indented, other text as it is.
pub(in crate::cli) fn pretty(text: &str) -> Vec<String> {
    let text = match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => indented(text),
        Err(_) => text.to_owned(),
    };
    text.lines().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::ColourWhen;

    fn plain() -> Output {
        Output::new(false, ColourWhen::Never, true)
    }

    #[test]
    fn runs_and_attempts_are_lines() {
        let output = plain();
        let run = json!({"plugin": "slack", "digest": "abcdef0123456789", "outcome": "filtered",
            "reason": "severity info is below warning", "duration_us": 412, "memory_bytes": 1_179_648});
        assert_eq!(
            run_line(&output, &run),
            "plugin slack  filtered  0.41 ms  1152 KiB  abcdef012345\n    severity info is below warning"
        );
        let run = json!({"plugin": "mine", "digest": "ab", "outcome": "fault", "fault": "trap",
            "reason": "unreachable", "duration_us": 5, "memory_bytes": 0,
            "logs": [{"level": "warn", "message": "hi\u{1b}"}], "logs_dropped": 2});
        assert!(run_line(&output, &run).contains("fault (trap)  0.01 ms"));
        assert_eq!(
            log_lines(&output, &run),
            [
                "      warn   hi\\u{1b}",
                "      … 2 more lines did not fit into the run's log"
            ]
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
    fn bodies_are_indented_where_they_are_json() {
        assert_eq!(
            pretty("{\"b\":1.0,\"a\":1}"),
            ["{", "  \"b\": 1.0,", "  \"a\": 1", "}"]
        );
        assert_eq!(pretty("a\x1b[2J\nb"), ["a\\u{1b}[2J", "b"]);
    }

    #[test]
    fn what_is_long_is_cut_and_it_is_said() {
        let output = plain();
        let body = |text: &str, depth| body_lines(&output, &json!({ "body": text }), depth);
        let many = "busy\n".repeat(14);
        assert_eq!(body(&many, Depth::Short).len(), 13);
        assert_eq!(
            body(&many, Depth::Short).last().unwrap(),
            "      … 2 more lines (--full)"
        );
        assert_eq!(body(&many, Depth::Full).len(), 14);
        let wide = "é".repeat(200);
        let short = body(&wide, Depth::Short);
        assert_eq!(short[0], format!("      {}…", "é".repeat(160)));
        assert_eq!(short[1], "      … long lines are cut (--full)");
        assert_eq!(body(&wide, Depth::Full), [format!("      {wide}")]);
        let part = json!({"body_base64": "AAEC", "truncated": false});
        assert_eq!(
            body_lines(&output, &part, Depth::Short),
            ["      3 bytes that are no text"]
        );
        let part = json!({"body": "x", "truncated": true});
        assert_eq!(
            body_lines(&output, &part, Depth::Short)[1],
            "      … it was longer; this much was kept"
        );
        assert!(body_lines(&output, &json!(null), Depth::Short).is_empty());
    }
}
