//! JSON Pointers (RFC 6901) of all templates of a source, looked up together in one pass over a body.
//!
//! The body is walked along the pointers only: no tree is built, what nobody asked for is skipped, and
//! what is found are slices of the text, so that a number keeps every digit it had. Where a name is
//! given twice, the last one counts, as in JavaScript.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{self, Name, STEPS_MAX};

/// Longest pointer, in bytes.
const POINTER_BYTES_MAX: usize = 256;
/// What is wrong with a pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a JSON Pointer such as `/data/id`: `/` before each of up to {STEPS_MAX} names, `~1` for `/` and \
     `~0` for `~` within them"
)]
pub(super) struct NotAPointer;

/// Pointers, as one tree of names. A number stands for each, in the order they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Pointers {
    root: Node,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    slot: Option<usize>,
    children: Vec<(String, Node)>,
}

impl Pointers {
    /// Adds a pointer and gives its number; one that is known already keeps it.
    pub(super) fn add(&mut self, text: &str) -> Result<usize, NotAPointer> {
        let steps = Some(text).filter(|text| text.len() <= POINTER_BYTES_MAX);
        let steps = steps.and_then(json::steps).ok_or(NotAPointer)?;
        let mut node = &mut self.root;
        for step in steps {
            let place = match node.children.iter().position(|(name, _)| *name == step) {
                Some(place) => place,
                None => {
                    node.children.push((step, Node::default()));
                    node.children.len() - 1
                }
            };
            node = &mut node.children[place].1;
        }
        let slot = *node.slot.get_or_insert(self.count);
        self.count = self.count.max(slot + 1);
        Ok(slot)
    }

    /// What stands at each pointer, as raw JSON; nothing at all where the text is not one JSON value or
    /// nests too deep.
    pub(super) fn find<'t>(&self, text: &'t [u8]) -> Vec<Option<&'t str>> {
        let nothing = vec![None; self.count];
        if self.count == 0 || json::check_depth(text).is_err() {
            return nothing;
        }
        let Ok(text) = str::from_utf8(text) else {
            return nothing;
        };
        let mut found = nothing.clone();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let walk = Walk {
            node: &self.root,
            found: &mut found,
        };
        match walk
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
        {
            Ok(()) => found,
            Err(_) => nothing,
        }
    }
}

struct Walk<'n, 'f, 't> {
    node: &'n Node,
    found: &'f mut Vec<Option<&'t str>>,
}

impl Node {
    /// Takes back what was found here: the same name came again.
    fn forget(&self, found: &mut [Option<&str>]) {
        if let Some(slot) = self.slot {
            found[slot] = None;
        }
        self.children.iter().for_each(|(_, child)| child.forget(found));
    }

    fn child(&self, name: &str) -> Option<&Self> {
        let known = self.children.iter().find(|(known, _)| known == name);
        known.map(|(_, child)| child)
    }
}

impl<'t> DeserializeSeed<'t> for Walk<'_, '_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        self.node.forget(self.found);
        let Some(slot) = self.node.slot else {
            return deserializer.deserialize_any(self);
        };
        let raw = <&'t RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        self.found[slot] = Some(raw);
        if !self.node.children.is_empty() && raw.starts_with(['{', '[']) {
            let mut inner = serde_json::Deserializer::from_str(raw);
            inner.deserialize_any(self).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

impl<'t> Visitor<'t> for Walk<'_, '_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match self.node.child(&name) {
                Some(node) => map.next_value_seed(Walk {
                    node,
                    found: self.found,
                })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<(), A::Error> {
        // Looked up once, not for every item: arrays may be long.
        let children = self.node.children.iter();
        let wanted: Vec<(usize, &Node)> = children
            .filter_map(|(step, node)| Some((json::index(step)?, node)))
            .collect();
        let mut place = 0_usize;
        loop {
            let node = wanted.iter().find(|(index, _)| *index == place);
            let more = match node {
                Some((_, node)) => seq.next_element_seed(Walk {
                    node,
                    found: self.found,
                })?,
                None => seq.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if more.is_none() {
                return Ok(());
            }
            place += 1;
        }
    }

    // Values without members have nothing that a longer pointer could mean.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(pointer: &str, text: &str) -> Option<String> {
        let mut pointers = Pointers::default();
        let slot = pointers.add(pointer).unwrap();
        pointers.find(text.as_bytes())[slot].map(str::to_owned)
    }

    #[test]
    fn the_examples_of_the_standard() {
        let text =
            r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        for (pointer, found) in [
            ("", text),
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(find(pointer, text).as_deref(), Some(found), "{pointer}");
        }
        for pointer in ["/foo/2", "/foo/00", "/foo/-", "/bar", "/foo/0/x", "/foo/bar"] {
            assert_eq!(find(pointer, text), None, "{pointer}");
        }
        for pointer in ["foo", "/~", "/~2", "/a~", &"/a".repeat(17), &"/".repeat(300)] {
            assert_eq!(Pointers::default().add(pointer), Err(NotAPointer), "{pointer}");
        }
    }

    #[test]
    fn several_are_found_in_one_pass_also_where_one_lies_within_another() {
        let mut pointers = Pointers::default();
        let slots = ["/a", "/a/b", "/a/b/0", "/c", "/a/b"].map(|pointer| pointers.add(pointer).unwrap());
        assert_eq!(slots, [0, 1, 2, 3, 1]);
        let text = br#" {"x":[{}], "a": {"b":[12345678901234567890123, 1.0]}, "c":"d"} "#;
        assert_eq!(
            pointers.find(text),
            [
                Some(r#"{"b":[12345678901234567890123, 1.0]}"#),
                Some("[12345678901234567890123, 1.0]"),
                Some("12345678901234567890123"),
                Some(r#""d""#)
            ]
        );
    }

    #[test]
    fn of_a_name_that_is_given_twice_the_last_counts_whole() {
        assert_eq!(find("/a", r#"{"a":1,"a":2}"#).as_deref(), Some("2"));
        assert_eq!(find("/a/b", r#"{"a":{"b":1},"a":{}}"#), None);
        assert_eq!(find("/a/b", r#"{"a":{"b":1},"\u0061":7}"#), None);
    }

    #[test]
    fn text_that_is_not_json_to_its_end_has_nothing() {
        for text in [
            "",
            "{",
            r#"{"a":1} x"#,
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":1}{"a":2}"#,
        ] {
            assert_eq!(find("/a", text), None, "{text}");
        }
        let deep = format!(r#"{{"a":1,"b":{}1{}}}"#, "[".repeat(70), "]".repeat(70));
        assert_eq!(find("/a", &deep), None);
        let mut pointers = Pointers::default();
        pointers.add("/a").unwrap();
        assert_eq!(pointers.find(b"{\"a\":\"\xff\"}"), [None]);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "[\\[\\]{}\",:a-c\\\\0-9 ]{0,64}", pointer in "(/[a-c0]{0,2}){0,3}") {
            let _either = find(&pointer, &text);
        }

        #[test]
        fn it_finds_what_a_tree_has(
            value in proptest::collection::btree_map("[a-c]", proptest::collection::vec(any::<i64>(), 0..3), 0..3),
            pointer in "/[a-c](/[0-2])?",
        ) {
            let tree = serde_json::to_value(&value).unwrap();
            let text = tree.to_string();
            let expected = tree.pointer(&pointer).map(ToString::to_string);
            prop_assert_eq!(find(&pointer, &text), expected);
        }
    }
}
