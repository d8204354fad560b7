//! JSON Pointers (RFC 6901) into a body: some services put the signature or its time stamp there.
//!
//! The value is taken from the raw text, so that a number is the digits that were sent, however large
//! (a floating point number would change an id beyond 2^53). Only the way to the value is looked at; no
//! tree is built, and nothing recurses. An object that names a step of the way twice is refused, since
//! two readers could choose differently.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;

/// A pointer to one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    steps: Vec<String>,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The body is not JSON.
    NotJson,
    /// Nothing stands there.
    Missing,
    /// An object on the way has the name twice.
    Twice,
    /// What stands there is neither a string nor a number.
    Kind,
}

impl Pointer {
    /// Reads `/signature/token`. The empty pointer, the whole body, is none: it is no single value.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let steps = json::steps(text).filter(|steps| !steps.is_empty())?;
        Some(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// The text of the string or number that it points to.
    pub(super) fn find<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, str>, Lost> {
        let mut raw: &RawValue = serde_json::from_slice(body).map_err(|_| Lost::NotJson)?;
        for step in &self.steps {
            raw = match raw.get().as_bytes().first() {
                Some(b'{') => member(raw, step)?,
                Some(b'[') => item(raw, step)?,
                _ => return Err(Lost::Missing),
            };
        }
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<&str>(text) {
                Ok(plain) => Ok(Cow::Borrowed(plain)),
                // Strings with escapes cannot be borrowed.
                Err(_) => serde_json::from_str(text).map(Cow::Owned).map_err(|_| Lost::Kind),
            },
            Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(text)),
            _ => Err(Lost::Kind),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn member<'a>(raw: &'a RawValue, name: &str) -> Result<&'a RawValue, Lost> {
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    let found = reader.deserialize_map(Member(name)).map_err(|_| Lost::NotJson)?;
    match found[..] {
        [] => Err(Lost::Missing),
        [one] => Ok(one),
        _ => Err(Lost::Twice),
    }
}

fn item<'a>(raw: &'a RawValue, step: &str) -> Result<&'a RawValue, Lost> {
    let place = json::index(step).ok_or(Lost::Missing)?;
    let mut reader = serde_json::Deserializer::from_str(raw.get());
    let found = reader.deserialize_seq(Item(place)).map_err(|_| Lost::NotJson)?;
    found.ok_or(Lost::Missing)
}

/// Takes the values of one name out of an object, two at the most.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(same) = map.next_key_seed(Same(self.0))? {
            if same && found.len() < 2 {
                found.push(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a name is this one.
struct Same<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Same<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Same<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// Takes one item out of an array.
struct Item(usize);

impl<'de> Visitor<'de> for Item {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut place) = (None, 0);
        loop {
            if place == self.0 {
                found = items.next_element::<&RawValue>()?;
                if found.is_none() {
                    return Ok(None);
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::STEPS_MAX;

    fn find(pointer: &str, body: &str) -> Result<String, Lost> {
        let pointer = Pointer::parse(pointer).unwrap();
        pointer.find(body.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn values_are_the_text_that_was_sent() {
        let body = r#" {"a":{"b/c":[1,"x\u00e9\n",{"~":12345678901234567890123}]},"n":1.50e3,"":"e"} "#;
        let table = [
            ("/a/b~1c/0", "1"),
            ("/a/b~1c/1", "xé\n"),
            ("/a/b~1c/2/~0", "12345678901234567890123"),
            ("/n", "1.50e3"),
            ("/", "e"),
        ];
        for (pointer, expected) in table {
            assert_eq!(find(pointer, body).as_deref(), Ok(expected), "{pointer}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let table = [
            ("/a", "", Lost::NotJson),
            ("/a", "{\"a\":1", Lost::NotJson),
            ("/a", "{\"a\":1} x", Lost::NotJson),
            ("/a", "{}", Lost::Missing),
            ("/a", "7", Lost::Missing),
            ("/a/b", "{\"a\":\"b\"}", Lost::Missing),
            ("/00", "[1]", Lost::Missing),
            ("/-", "[1]", Lost::Missing),
            ("/1", "[1]", Lost::Missing),
            ("/+0", "[1]", Lost::Missing),
            ("/99999999999999999999999", "[1]", Lost::Missing),
            ("/a", r#"{"a":1,"\u0061":2}"#, Lost::Twice),
            ("/a/b", r#"{"a":{"b":1,"b":1}}"#, Lost::Twice),
            ("/a", r#"{"a":true}"#, Lost::Kind),
            ("/a", r#"{"a":null}"#, Lost::Kind),
            ("/a", r#"{"a":{}}"#, Lost::Kind),
            ("/a", r#"{"a":"\ud800"}"#, Lost::Kind),
        ];
        for (pointer, body, lost) in table {
            assert_eq!(find(pointer, body), Err(lost), "{pointer} {body}");
        }
        assert_eq!(
            Pointer::parse("/a").unwrap().find(b"{\"a\":\"\xff\"}"),
            Err(Lost::NotJson)
        );
    }

    #[test]
    fn pointers_are_checked() {
        for text in ["", "a", "a/b", "/~", "/~2", &"/a".repeat(STEPS_MAX + 1)] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
        assert_eq!(Pointer::parse("/a~1b/0").unwrap().to_string(), "/a~1b/0");
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(find("/b", &deep).as_deref(), Ok("1"));
        assert_eq!(find("/a/0/0", &deep), Err(Lost::Kind));
    }
}
