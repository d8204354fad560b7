//! Arrays and objects taken apart by one level: raw values that borrow from the text, as many as are
//! allowed. What is more is counted and not kept, so that a body of millions of zeros does not become a
//! list that is many times its size.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::Error as _};
use serde_json::value::RawValue;

/// Most members of an object that is read field by field. An event has some fifty at the most, and what
/// may have any number of names (headers, configurations) is far below.
pub const MEMBERS_MAX: usize = 1_024;

/// The items of an array, `max` at the most, and how many there are.
pub(super) fn items(text: &str, max: usize) -> serde_json::Result<(Vec<&RawValue>, usize)> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Items { max }.deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

struct Items {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Items {
    type Value = (Vec<&'de RawValue>, usize);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = (Vec<&'de RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.max {
            match array.next_element()? {
                Some(item) => items.push(item),
                None => {
                    let count = items.len();
                    return Ok((items, count));
                }
            }
        }
        let mut count = items.len();
        while array.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok((items, count))
    }
}

/// An object as a list of its members, names borrowed where they have no escapes.
pub(super) struct Split<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Split<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Split<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    if members.len() == MEMBERS_MAX {
                        let detail = format!("an object has more than {MEMBERS_MAX} members");
                        return Err(A::Error::custom(detail));
                    }
                    members.push((name, value));
                }
                Ok(Split(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed where it has no escapes.
pub struct Name<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_allowed_is_counted_and_not_kept() {
        for (text, max, kept, count) in [
            ("[]", 3, 0, 0),
            ("[1,2]", 3, 2, 2),
            ("[1,2,3]", 3, 3, 3),
            ("[1,2,3,{},5]", 3, 3, 5),
            ("[1]", 0, 0, 1),
        ] {
            let (items, found) = items(text, max).unwrap();
            assert_eq!((items.len(), found), (kept, count), "{text}");
        }
        let many = format!("[{}0]", "0,".repeat(1_000_000));
        let (items, found) = items(&many, 1_000).unwrap();
        assert_eq!(found, 1_000_001);
        assert!(items.capacity() <= 4_096, "{}", items.capacity());
        for broken in ["[1", "[1,]", "[1] x", "{}", "[1,2,3,x]"] {
            assert!(super::items(broken, 2).is_err(), "{broken}");
        }
    }

    #[test]
    fn members_are_bounded() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(serde_json::from_str::<Split<'_>>(&object(MEMBERS_MAX)).is_ok());
        let large = object(MEMBERS_MAX + 1);
        let refused = serde_json::from_str::<Split<'_>>(&large);
        assert!(
            refused
                .err()
                .unwrap()
                .to_string()
                .contains("more than 1024 members")
        );
    }
}
