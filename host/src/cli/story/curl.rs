//! A request as a line for the shell that sends it again: `curl`, quoted so that exactly the same
//! method, URL, headers and body arrive.
//!
//! The signature is the one of the last attempt; nobody else's secret is needed to repeat it, and who
//! checks its age takes it for some minutes. What cannot stand in a shell's argument or would be too
//! long to copy comes through a pipe: `hookway deliveries show … --body | curl … --data-binary @-`.

use serde_json::Value;

use super::pieces::list;
use crate::cli::output::drives_a_terminal;

/// Longest body that stands in the line itself, in bytes; about two screens.
const INLINE_BYTES_MAX: usize = 4_096;
/// What the API shows in place of a secret.
const MASK: char = '…';
/// Headers that curl makes itself.
const OF_THE_CLIENT: [&str; 3] = ["content-length", "host", "transfer-encoding"];

/// How a request is repeated.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Repeat {
    /// For the shell.
    pub(in crate::cli) line: String,
    /// Variables that the line needs, for what this key may not see.
    pub(in crate::cli) unknown: Vec<String>,
}

/// The line that repeats a request of a delivery as its last attempt sent it. None where it was not
/// sent yet or cannot be told any more.
pub(in crate::cli) fn repeat(delivery: &Value, request: &Value) -> Option<Repeat> {
    let id = request["id"].as_str()?;
    let attempt = list(delivery, "attempts")
        .iter()
        .rev()
        .find(|attempt| attempt["request_id"] == id)?;
    let headers = attempt["request_headers"].as_array()?;
    let url = request["url"].as_str()?;
    let mut unknown = Vec::new();
    let mut line = format!("curl -sSi -X {}", quoted(request["method"].as_str()?));
    if url.contains(['[', ']', '{', '}']) {
        // Else curl would take them for a pattern of several URLs.
        line.push_str(" -g");
    }
    let url = if url.contains(MASK) {
        unknown.push("ENDPOINT_URL".to_owned());
        "\"$ENDPOINT_URL\"".to_owned()
    } else {
        quoted(url)
    };
    line.push_str(&format!(" {url}"));
    let mut accepts = false;
    for pair in headers {
        let (name, value) = (pair[0].as_str()?, pair[1].as_str()?);
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        if OF_THE_CLIENT.iter().any(|known| is(known)) {
            continue;
        }
        accepts |= is("accept");
        line.push_str(" -H ");
        line.push_str(&header(name, value, &mut unknown));
    }
    if !accepts {
        // Else curl would add one of its own.
        line.push_str(" -H accept:");
    }
    let line = match inline(request) {
        Some(text) => {
            // curl reads a file where --data-binary begins with @, and --data-raw never does.
            let switch = if text.starts_with('@') {
                "--data-raw"
            } else {
                "--data-binary"
            };
            format!("{line} {switch} {}", quoted(text))
        }
        None => {
            let which = if list(delivery, "requests").len() > 1 {
                format!(" --request {}", quoted(id))
            } else {
                String::new()
            };
            let delivery = quoted(delivery["id"].as_str()?);
            format!("hookway deliveries show {delivery} --body{which} | {line} --data-binary @-")
        }
    };
    Some(Repeat { line, unknown })
}

/// The lines that repeat every request of a delivery that was sent.
pub(in crate::cli) fn repeats(delivery: &Value) -> Vec<Repeat> {
    list(delivery, "requests")
        .iter()
        .filter_map(|request| repeat(delivery, request))
        .collect()
}

/// A header as curl takes it.
fn header(name: &str, value: &str, unknown: &mut Vec<String>) -> String {
    if value == MASK.to_string() {
        let upper = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        let variable: String = name.chars().map(upper).collect();
        let header = format!("\"{name}: $HEADER_{variable}\"");
        unknown.push(format!("HEADER_{variable}"));
        return header;
    }
    if value.is_empty() {
        // With a colon and nothing behind it, curl would leave the header out.
        return quoted(&format!("{name};"));
    }
    quoted(&format!("{name}: {value}"))
}

/// The body, where it can stand in the line: short text without what a terminal acts on.
fn inline(request: &Value) -> Option<&str> {
    if request["body_base64"].is_string() {
        return None;
    }
    let text = request["body"].as_str().unwrap_or_default();
    let shown = |c: char| c == '\n' || c == '\t' || !drives_a_terminal(c);
    (text.len() <= INLINE_BYTES_MAX && text.chars().all(shown)).then_some(text)
}

/// A text as one argument of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery(url: &str, body: &Value) -> Value {
        let mut request = json!({"id": "req_1", "method": "POST", "url": url});
        for (name, value) in body.as_object().unwrap() {
            request[name] = value.clone();
        }
        json!({
            "id": "dlv_1", "requests": [request],
            "attempts": [
                {"number": 1, "request_id": "req_1", "request_headers": [["webhook-timestamp", "1"]]},
                {"number": 2, "request_id": "req_1", "request_headers": [
                    ["content-type", "application/json"], ["content-length", "5"], ["x-name", "O'Neil $HOME"],
                    ["x-empty", ""], ["webhook-timestamp", "2"]]},
            ],
        })
    }

    fn line(url: &str, body: &Value) -> Repeat {
        repeats(&delivery(url, body)).remove(0)
    }

    #[test]
    fn it_is_the_last_attempt_quoted_for_a_shell() {
        let repeat = line(
            "https://example.com/a?b=[1]&c=d",
            &json!({"body": "{\"it's\": \"$1\"}\n"}),
        );
        assert_eq!(
            repeat.line,
            "curl -sSi -X POST -g 'https://example.com/a?b=[1]&c=d' -H 'content-type: application/json' \
             -H 'x-name: O'\\''Neil $HOME' -H 'x-empty;' -H 'webhook-timestamp: 2' -H accept: \
             --data-binary '{\"it'\\''s\": \"$1\"}\n'"
        );
        assert!(repeat.unknown.is_empty());
    }

    #[test]
    fn what_cannot_be_copied_comes_through_a_pipe() {
        let long = "x".repeat(INLINE_BYTES_MAX + 1);
        for body in [
            json!({"body_base64": "AAEC"}),
            json!({ "body": long }),
            json!({"body": "a\u{1b}[2J"}),
            json!({"body": "a\r\nb"}),
            json!({"body": "a\u{202e}b"}),
        ] {
            let repeat = line("https://example.com/", &body);
            let begin = "hookway deliveries show dlv_1 --body | curl -sSi -X POST https://example.com/ ";
            assert!(repeat.line.starts_with(begin), "{}", repeat.line);
            assert!(repeat.line.ends_with(" --data-binary @-"), "{}", repeat.line);
        }
        let mut two = delivery("https://example.com/", &json!({"body_base64": "AAEC"}));
        two["requests"]
            .as_array_mut()
            .unwrap()
            .push(json!({"id": "req_2"}));
        let of_one = repeats(&two).remove(0);
        let begin = "hookway deliveries show dlv_1 --body --request req_1 | curl ";
        assert!(of_one.line.starts_with(begin), "{}", of_one.line);
        let at = line("https://example.com/", &json!({"body": "@/etc/passwd"}));
        assert!(at.line.ends_with(" --data-raw @/etc/passwd"), "{}", at.line);
        let empty = line("https://example.com/", &json!({}));
        assert!(empty.line.ends_with(" --data-binary ''"), "{}", empty.line);
    }

    #[test]
    fn what_the_key_may_not_see_is_a_variable() {
        let mut masked = delivery("https://example.com/…", &json!({"body": "x"}));
        masked["attempts"][1]["request_headers"] = json!([["x-api-key", "…"]]);
        let repeat = repeats(&masked).remove(0);
        assert_eq!(
            repeat.line,
            "curl -sSi -X POST \"$ENDPOINT_URL\" -H \"x-api-key: $HEADER_X_API_KEY\" -H accept: --data-binary x"
        );
        assert_eq!(repeat.unknown, ["ENDPOINT_URL", "HEADER_X_API_KEY"]);
    }

    #[test]
    fn what_was_not_sent_cannot_be_repeated() {
        let mut pending = delivery("https://example.com/", &json!({"body": "x"}));
        pending["attempts"] = json!([]);
        assert!(repeats(&pending).is_empty());
        assert!(repeats(&json!({})).is_empty());
    }
}
