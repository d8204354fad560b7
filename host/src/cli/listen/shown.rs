//! How a request that arrived is shown: as lines for people, as one JSON line for machines.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::cli::output::{Output, Tone, clean};
use crate::cli::receiver::Received;
use crate::cli::story::{Depth, INDENT, cut_lines};

/// What was found about a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It was not looked at.
    Not,
    /// It is right.
    Right,
    /// It is not, and why.
    Wrong(String),
}

/// A request as lines.
pub(super) fn lines(output: &Output, received: &Received, checked: &Checked, depth: Depth) -> Vec<String> {
    let time = received.at.to_string();
    let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
    let query = received.query.as_ref().map(|query| format!("?{query}"));
    let status = received.answered.as_u16();
    let tone = if received.answered.is_success() {
        Tone::Good
    } else {
        Tone::Odd
    };
    let mut lines = vec![format!(
        "{}  {} {}{}  answered {}",
        output.tone(Tone::Faint, time),
        received.method,
        clean(&received.path),
        clean(&query.unwrap_or_default()),
        output.tone(tone, &status.to_string()),
    )];
    for (name, value) in &received.headers {
        let value = clean(&String::from_utf8_lossy(value.as_bytes()));
        lines.push(output.tone(Tone::Faint, &format!("{INDENT}{name}: {value}")));
    }
    match &received.body {
        Err(error) => lines.push(output.tone(Tone::Bad, &format!("{INDENT}{error}"))),
        Ok(body) => match str::from_utf8(body) {
            Ok(text) => lines.extend(cut_lines(output, text, depth)),
            Err(_) => {
                let note = format!("{INDENT}{} bytes that are no text", body.len());
                lines.push(output.tone(Tone::Faint, &note));
            }
        },
    }
    match checked {
        Checked::Not => {}
        Checked::Right => lines.push(format!("  {}", output.tone(Tone::Good, "signature right"))),
        Checked::Wrong(why) => {
            lines.push(format!(
                "  {}: {}",
                output.tone(Tone::Bad, "signature wrong"),
                clean(why)
            ));
        }
    }
    lines
}

/// A request as a document.
pub(super) fn document(received: &Received, checked: &Checked) -> Value {
    let headers: Vec<(String, String)> = received
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    let signature = match checked {
        Checked::Not => Value::Null,
        Checked::Right => json!({ "right": true }),
        Checked::Wrong(why) => json!({ "right": false, "why": why }),
    };
    let mut document = json!({
        "time": received.at,
        "method": received.method.as_str(),
        "path": received.path,
        "query": received.query,
        "headers": headers,
        "answered": received.answered.as_u16(),
        "signature": signature,
    });
    match &received.body {
        Err(error) => document["error"] = json!(error.to_string()),
        Ok(body) => match str::from_utf8(body) {
            Ok(text) => document["body"] = json!(text),
            Err(_) => document["body_base64"] = json!(BASE64.encode(body)),
        },
    }
    document
}
