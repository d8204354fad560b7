//! The data of an event, as a tree that borrows its texts from the event.
//!
//! A `serde_json::Value` copies every name and every text before anybody knows which of them are shown. Most
//! are not, so this tree borrows what it can. It reads what a `Value` reads and writes what a `Value` writes:
//! members are in the order of their names, and of two with the same name the last one counts.

use hookway_plugin::Event;
use hookway_plugin::serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use hookway_plugin::serde::ser::{Serialize, Serializer};
use hookway_plugin::serde_json::{self, Number, Value};
use std::borrow::Cow;
use std::fmt;

/// A value.
#[derive(Debug, PartialEq)]
pub(crate) enum Data<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// Values in order.
    List(Vec<Data<'a>>),
    /// Values with names.
    Object(Members<'a>),
}

/// What an object has, in the order of the names.
#[derive(Debug, PartialEq)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Data<'a>)>);

impl<'a> Data<'a> {
    /// The data of an event, from JSON or from a web form; none where it is neither.
    pub(crate) fn of(event: &'a Event) -> Option<Self> {
        if event.is_form() {
            event.value().ok().map(Self::from)
        } else {
            serde_json::from_slice(&event.data).ok()
        }
    }

    /// The text, where it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, where it is a list.
    pub(crate) fn as_list(&self) -> Option<&[Data<'a>]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether it is `true`.
    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// A member, where it is an object that has one of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// What stands at the end of a JSON Pointer (RFC 6901).
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer
            .strip_prefix('/')?
            .split('/')
            .try_fold(self, |value, token| {
                let token = match token.contains('~') {
                    true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
                    false => Cow::Borrowed(token),
                };
                match value {
                    Self::Object(members) => members.get(&token),
                    Self::List(items) => items.get(index(&token)?),
                    _ => None,
                }
            })
    }

    /// The value as people read it: texts without quotes, nothing for `null`, JSON for the rest.
    pub(crate) fn show(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            other => Cow::Owned(other.to_string()),
        }
    }
}

impl<'a> Members<'a> {
    /// The member of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Data<'a>> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value)
    }

    /// All of them, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Data<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    fn new(mut members: Vec<(Cow<'a, str>, Data<'a>)>) -> Self {
        // Stable, so that the last of several with one name is the last of them still.
        members.sort_by(|one, other| one.0.cmp(&other.0));
        members.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(members)
    }
}

/// A place in a list: digits, without a sign and without zeros in front.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['+', '0']);
    token.parse().ok().filter(|_| plain)
}

impl fmt::Display for Data<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<Value> for Data<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(is) => Self::Bool(is),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                Self::Object(Members::new(
                    members
                        .map(|(name, value)| (Cow::Owned(name), Self::from(value)))
                        .collect(),
                ))
            }
        }
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(is) => serializer.serialize_bool(*is),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

/// The name of a member. (A `Cow` alone would be read into a copy.)
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ReadName)
    }
}

struct ReadName;

impl<'de> Visitor<'de> for ReadName {
    type Value = Name<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Data<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Data::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Self::Value, E> {
        Ok(Data::Bool(is))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Data::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Data::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map_or(Data::Null, Data::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Data::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Data::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Data::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some((Name(name), value)) = members.next_entry()? {
            found.push((name, value));
        }
        Ok(Data::Object(Members::new(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 8] = [
        "null",
        "[]",
        "[true, false, [-1, 0, 18446744073709551615, 1.50, -0.0, 1e300]]",
        r#""plain""#,
        r#"{"z": "a\"b\u00fc", "a": {"é": "ü"}, "m\n": [{}], "": null}"#,
        r#"{"b": 1, "a": {"x": 1}, "b": 2, "a": "last", "b": 3}"#,
        r#"{"a/b": {"c~d": [10, 11]}, "a": ["zero", {"01": 1}]}"#,
        r#"{"1": "member"}"#,
    ];

    #[test]
    fn it_reads_and_writes_what_a_value_does() {
        for text in TEXTS {
            let value: Value = serde_json::from_str(text).expect("JSON");
            let data: Data<'_> = serde_json::from_str(text).expect("JSON");
            assert_eq!(data.to_string(), value.to_string());
            assert_eq!(Data::from(value.clone()), data);
            for pointer in [
                "",
                "/",
                "/a",
                "/a/0",
                "/a/1/01",
                "/a/01",
                "/a/+1",
                "/a~1b/c~0d/1",
                "/z",
                "/1",
                "a",
                "/2/0",
            ] {
                let found = data.pointer(pointer).map(ToString::to_string);
                assert_eq!(
                    found,
                    value.pointer(pointer).map(ToString::to_string),
                    "{pointer}"
                );
            }
        }
        for bad in ["", "{", "[1,]", "1e999", "{1: 2}", r#""\ud800""#, "1 2"] {
            assert!(serde_json::from_str::<Value>(bad).is_err(), "{bad}");
            assert!(serde_json::from_str::<Data<'_>>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_needs_no_decoding_is_borrowed() {
        let data: Data<'_> = serde_json::from_str(TEXTS[4]).expect("JSON");
        let borrowed = |data: Option<&Data<'_>>| matches!(data, Some(Data::Text(Cow::Borrowed(_))));
        assert!(borrowed(data.pointer("/a/é")));
        assert!(!borrowed(data.get("z")));
        assert!(data.get("z").is_some());
    }
}
