//! What a rule asks of an answer beside its status: services that say in the body what their status
//! does not (Slack's `ok`, Make's `Queue is full`).
//!
//! Invariants: only the part of the body that is kept is looked at, which the profile bounds; it is read
//! as JSON at the most once for a verdict, and only if a rule asks; a body that was cut, or is no JSON,
//! answers no question about its JSON.

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

/// Longest text that a rule may look for, in bytes. Those in use are a line.
pub const WANTED_BYTES_MAX: usize = 512;

/// The body of an answer, as the rules see it.
pub(super) struct Answer<'a> {
    body: &'a [u8],
    truncated: bool,
    json: OnceCell<Option<Value>>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(body: &'a [u8], truncated: bool) -> Self {
        Self {
            body,
            truncated,
            json: OnceCell::new(),
        }
    }

    /// What stands at this place of the body; nothing where the body was cut or is no JSON.
    pub(super) fn at(&self, pointer: &JsonPlace) -> Option<&Value> {
        // serde_json bounds the depth itself, and the body is bounded by the profile.
        let read = || match self.truncated {
            true => None,
            false => serde_json::from_slice(self.body).ok(),
        };
        self.json.get_or_init(read).as_ref()?.pointer(&pointer.0)
    }
}

/// A place in a JSON body: a JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPlace(String);

impl TryFrom<String> for JsonPlace {
    type Error = ConditionFault;

    fn try_from(text: String) -> Result<Self, ConditionFault> {
        match json::steps(&text) {
            Some(_) => Ok(Self(text)),
            None => Err(ConditionFault::Pointer {
                pointer: text.chars().take(80).collect(),
            }),
        }
    }
}

impl From<JsonPlace> for String {
    fn from(place: JsonPlace) -> Self {
        place.0
    }
}

/// What a rule asks of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is this text, blanks around it aside.
    Equals(String),
    /// This text stands in it.
    Contains(String),
    /// It is JSON, and this value stands at this place.
    Json(JsonCondition),
}

/// A value at a place of a JSON body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of pointer and equals")]
pub struct JsonCondition {
    /// Where.
    pub pointer: JsonPlace,
    /// Which text, number or boolean.
    pub equals: Value,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFault {
    /// Not a pointer.
    #[error("`{pointer}` is not a JSON Pointer such as /ok")]
    Pointer {
        /// What was written.
        pointer: String,
    },
    /// Too much to look for.
    #[error("a text to look for in the body must have at most {WANTED_BYTES_MAX} bytes")]
    TooLong,
    /// Every body has it.
    #[error("body_contains must not be empty: every body contains it")]
    Empty,
    /// Several questions in one rule.
    #[error("one of body, body_contains and json in a rule, not several")]
    Several,
    /// A value that is none.
    #[error("json.equals must be a text, a number or true or false")]
    Value,
}

impl Condition {
    /// The condition that was written, if one was.
    pub(super) fn of(
        body: Option<String>,
        contains: Option<String>,
        json: Option<JsonCondition>,
    ) -> Result<Option<Self>, ConditionFault> {
        let within = |text: &str| (text.len() <= WANTED_BYTES_MAX).then_some(());
        match (body, contains, json) {
            (None, None, None) => Ok(None),
            (Some(text), None, None) => {
                within(&text).ok_or(ConditionFault::TooLong)?;
                Ok(Some(Self::Equals(text)))
            }
            (None, Some(text), None) if text.is_empty() => Err(ConditionFault::Empty),
            (None, Some(text), None) => {
                within(&text).ok_or(ConditionFault::TooLong)?;
                Ok(Some(Self::Contains(text)))
            }
            (None, None, Some(json)) => match &json.equals {
                Value::Bool(_) | Value::Number(_) => Ok(Some(Self::Json(json))),
                Value::String(text) => {
                    within(text).ok_or(ConditionFault::TooLong)?;
                    Ok(Some(Self::Json(json)))
                }
                Value::Null | Value::Array(_) | Value::Object(_) => Err(ConditionFault::Value),
            },
            _ => Err(ConditionFault::Several),
        }
    }

    /// Whether the body has what is asked for.
    pub(super) fn holds(&self, answer: &Answer<'_>) -> bool {
        match self {
            Self::Equals(text) => {
                !answer.truncated && answer.body.trim_ascii() == text.as_bytes().trim_ascii()
            }
            // What stands in the kept part stands in the whole.
            Self::Contains(text) => answer
                .body
                .windows(text.len())
                .any(|window| window == text.as_bytes()),
            Self::Json(JsonCondition { pointer, equals }) => answer.at(pointer).is_some_and(|found| {
                match (found.as_f64(), equals.as_f64()) {
                    // `1` and `1.0` are one number, however a service writes it.
                    (Some(found), Some(wanted)) => found == wanted,
                    _ => found == equals,
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What bodies are put together of: nearly JSON, and what the rules below look for.
    const PIECES: [&[u8]; 16] = [
        b"{", b"}", b"[", b"]", b"\"ok\"", b":", b",", b"false", b"ok", b" ", b"1", b"1e999", b"\"a\":[",
        b"\\ud800", b"\xff", b"null",
    ];

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => prop::sample::select(PIECES.map(<[u8]>::to_vec).to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..8),
            1 => Just(br#"{"ok":false,"a":[1.0]}"#.to_vec()),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// Whatever an endpoint answers, each rule says yes or no, and only ever says yes to what stands there.
        #[test]
        fn whatever_is_answered_is_judged(body in bodies(), truncated: bool) {
            let answer = Answer::new(&body, truncated);
            if Condition::Equals("ok".to_owned()).holds(&answer) {
                prop_assert!(!truncated && body.trim_ascii() == b"ok");
            }
            let text = String::from_utf8_lossy(&body);
            let contains = Condition::Contains("ok".to_owned()).holds(&answer);
            prop_assert_eq!(contains, text.contains("ok"));
            for (pointer, equals) in [("/ok", Value::from(false)), ("/a/0", 1.into()), ("", "ok".into())] {
                if json(pointer, equals.clone()).holds(&answer) {
                    let whole: Value = serde_json::from_slice(&body).unwrap();
                    prop_assert!(!truncated);
                    let found = whole.pointer(pointer).unwrap();
                    prop_assert!(*found == equals || found.as_f64() == equals.as_f64());
                }
            }
        }
    }

    fn json(pointer: &str, equals: Value) -> Condition {
        let pointer = JsonPlace::try_from(pointer.to_owned()).unwrap();
        Condition::of(None, None, Some(JsonCondition { pointer, equals }))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn conditions_hold_and_do_not() {
        let equals = |text: &str| Condition::Equals(text.to_owned());
        let contains = |text: &str| Condition::Contains(text.to_owned());
        let table: [(Condition, &[u8], bool); 20] = [
            (equals("ok"), b"ok", true),
            (equals("ok"), b" ok\r\n", true),
            (equals("ok"), b"OK", false),
            (equals("ok"), b"okay", false),
            (equals(""), b"", true),
            (equals(""), b"\n", true),
            (contains("Queue is full"), b"Error: Queue is full.", true),
            (contains("Queue is full"), b"queue is full", false),
            (contains("x"), b"", false),
            (contains("x"), b"\xff x \xfe", true),
            (json("/ok", false.into()), br#"{"ok":false}"#, true),
            (json("/ok", false.into()), br#"{"ok":true}"#, false),
            (json("/ok", false.into()), br#"{"ok":"false"}"#, false),
            (json("/ok", false.into()), br#"{"error":1}"#, false),
            (json("/ok", false.into()), b"no json", false),
            (json("/a/0/b~1c", "x".into()), br#"{"a":[{"b/c":"x"}]}"#, true),
            (json("/code", 404.into()), br#"{"code":404}"#, true),
            (json("/code", 404.into()), br#"{"code":404.0}"#, true),
            (json("/code", 404.into()), br#"{"code":"404"}"#, false),
            (json("", "x".into()), br#""x""#, true),
        ];
        for (condition, body, expected) in table {
            let answer = Answer::new(body, false);
            assert_eq!(condition.holds(&answer), expected, "{condition:?} {body:?}");
        }
    }

    #[test]
    fn a_body_that_was_cut_is_neither_whole_nor_json() {
        let cut = |body: &'static [u8]| Answer::new(body, true);
        assert!(!Condition::Equals("ok".to_owned()).holds(&cut(b"ok")));
        assert!(Condition::Contains("ok".to_owned()).holds(&cut(b"it is ok, and")));
        assert!(!json("/ok", true.into()).holds(&cut(br#"{"ok":true}"#)));
    }

    #[test]
    fn a_body_is_read_once() {
        let answer = Answer::new(br#"{"ok":true}"#, false);
        let place = JsonPlace::try_from("/ok".to_owned()).unwrap();
        assert!(answer.json.get().is_none(), "nobody has asked yet");
        assert!(!Condition::Contains("no".to_owned()).holds(&answer));
        assert!(answer.json.get().is_none(), "nobody has asked for JSON yet");
        let first = std::ptr::from_ref(answer.at(&place).unwrap());
        assert_eq!(std::ptr::from_ref(answer.at(&place).unwrap()), first);
    }

    #[test]
    fn deep_bodies_are_no_json() {
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        let answer = Answer::new(&deep, false);
        assert!(
            answer
                .at(&JsonPlace::try_from("/0".to_owned()).unwrap())
                .is_none()
        );
    }
}
