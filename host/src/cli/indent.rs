//! JSON as it came, only with line breaks.
//!
//! Reading JSON into a tree and writing it again would sort members, drop digits of numbers and rewrite
//! escapes. People compare what they see here with what they sent and with what was signed, so the text
//! stays: only the white space between its tokens changes.

/// One more step to the right.
const STEP: &str = "  ";

/// A JSON text, one member or element a line. What is not JSON comes out as it can; check it before.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim_start();
    while let Some(first) = rest.chars().next() {
        let token = match first {
            '"' => string_length(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            _ => rest
                .find([',', ':', '{', '}', '[', ']', '"', ' ', '\t', '\r', '\n'])
                .unwrap_or(rest.len()),
        };
        let (text, after) = rest.split_at(token);
        rest = after.trim_start();
        match first {
            '{' | '[' if rest.starts_with(['}', ']']) => {
                out.push(first);
                out.push_str(&rest[..1]);
                rest = rest[1..].trim_start();
            }
            '{' | '[' => {
                depth += 1;
                out.push(first);
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(first);
            }
            ',' => {
                out.push(',');
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(text),
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(STEP, depth));
}

/// The length of the string at the start, with both its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_token_stays_as_it_was() {
        let given = r#" {"z":1.50,"a" : [ ],"n":12345678901234567890123,
            "s":"\u00e9 {\"x\":[1,2]} \\","e":{},"l":[null,-0,1E3] } "#;
        let expected = concat!(
            "{\n",
            "  \"z\": 1.50,\n",
            "  \"a\": [],\n",
            "  \"n\": 12345678901234567890123,\n",
            "  \"s\": \"\\u00e9 {\\\"x\\\":[1,2]} \\\\\",\n",
            "  \"e\": {},\n",
            "  \"l\": [\n    null,\n    -0,\n    1E3\n  ]\n",
            "}"
        );
        assert_eq!(indented(given), expected);
        for scalar in ["null", "5", "\"a\"", "[]"] {
            assert_eq!(indented(scalar), scalar);
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_tree_would_be_where_nothing_can_be_lost(keys in proptest::collection::btree_map(".*", ".*", 0..5)) {
            let value: Value = serde_json::json!({ "a": keys, "b": [true, keys.len()] });
            prop_assert_eq!(indented(&value.to_string()), format!("{value:#}"));
        }

        #[test]
        fn what_is_not_json_does_not_stop_it(text in ".*") {
            indented(&text);
        }
    }
}
