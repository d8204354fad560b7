//! JSON as CEL values, built while it is read: no tree of JSON values in between.
//!
//! Whole numbers become `int` (or `uint` where they are too large), others `double`, so that
//! `data.count + 1` means what it says.

use std::collections::HashMap;
use std::fmt;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A CEL value.
pub(super) type Boxed = Box<dyn Val>;

struct Node(Boxed);

/// The CEL value of a JSON text. serde_json bounds how deep it may be nested.
pub(super) fn from_json(text: &[u8]) -> Result<Boxed, serde_json::Error> {
    serde_json::from_slice::<Node>(text).map(|node| node.0)
}

/// A CEL string.
pub(super) fn string(text: &str) -> Boxed {
    Box::new(CelString::from(text.to_owned()))
}

/// A CEL string, or null.
pub(super) fn optional(text: Option<&str>) -> Boxed {
    text.map_or_else(null, string)
}

/// The CEL null.
pub(super) fn null() -> Boxed {
    Box::new(CelNull)
}

/// A CEL map of strings.
pub(super) fn strings(pairs: &[(String, String)]) -> Boxed {
    let entries = pairs
        .iter()
        .map(|(name, value)| (key(name.clone()), string(value)));
    Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
}

fn key(name: String) -> CelMapKey<'static> {
    CelMapKey::from(name)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Boxed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Boxed, E> {
        Ok(null())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Boxed, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Boxed, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Boxed, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Box::new(CelInt::from(value))),
            Err(_) => Ok(Box::new(CelUInt::from(value))),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<Boxed, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Boxed, E> {
        Ok(string(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Boxed, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Boxed, A::Error> {
        let mut values: Vec<Boxed> = Vec::new();
        while let Some(Node(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Box::new(CelList::from(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Boxed, A::Error> {
        let mut entries = HashMap::new();
        while let Some((name, Node(value))) = map.next_entry::<String, Node>()? {
            entries.insert(key(name), value);
        }
        Ok(Box::new(CelMap::from(entries)))
    }
}
