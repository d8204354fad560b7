//! Data in the form of a web form (`application/x-www-form-urlencoded`), as some services still send
//! their webhooks.
//!
//! Read as the URL Standard says (section 5.1): `&` between pairs, `=` after a name, `+` for a space,
//! `%` and two digits for a byte. Nothing is an error there: a `%` without digits stays as it is, and
//! bytes that are no UTF-8 become the replacement character. The order of the pairs is kept.

use serde_json::{Map, Value};

/// The pairs of a form, in order; a name may come more than once.
pub(crate) fn pairs(data: &[u8]) -> Vec<(String, String)> {
    let parts = data.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    let pair = |part: &[u8]| match part.iter().position(|&byte| byte == b'=') {
        Some(at) => (decoded(&part[..at]), decoded(&part[at + 1..])),
        None => (decoded(part), String::new()),
    };
    parts.map(pair).collect()
}

/// The form as an object of strings; a name that comes more than once has an array of them.
pub(crate) fn object(data: &[u8]) -> Value {
    let mut members = Map::new();
    for (name, value) in pairs(data) {
        let value = Value::String(value);
        match members.get_mut(&name) {
            None => drop(members.insert(name, value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(members)
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = &after[2..];
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_are_read_as_the_url_standard_says() {
        for (text, expected) in [
            ("", vec![]),
            ("a=1&b=2", vec![("a", "1"), ("b", "2")]),
            (
                "Body=Hello+there%21&From=%2B15551234",
                vec![("Body", "Hello there!"), ("From", "+15551234")],
            ),
            (
                "a&=b&&c==d&e=",
                vec![("a", ""), ("", "b"), ("c", "=d"), ("e", "")],
            ),
            (
                "p=100%&q=%4&r=%zz&s=%C3%A9",
                vec![("p", "100%"), ("q", "%4"), ("r", "%zz"), ("s", "é")],
            ),
            ("x=%ff", vec![("x", "\u{fffd}")]),
        ] {
            let read = pairs(text.as_bytes());
            let read: Vec<_> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn repeated_names_are_arrays() {
        assert_eq!(
            object(b"to=a&to=b&subject=x&to=c"),
            json!({"to": ["a", "b", "c"], "subject": "x"})
        );
        assert_eq!(object(b""), json!({}));
    }

    #[test]
    fn no_bytes_stop_it() {
        // Every pair of bytes, alone and between others: enough for every branch above.
        for high in 0..=u8::MAX {
            for low in 0..=u8::MAX {
                pairs(&[high, low]);
                pairs(&[b'%', high, low, b'=', high]);
            }
        }
    }
}
