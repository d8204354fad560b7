//! What checking a configuration by a plugin's schema can cost, bounded before the schema is used. Pure.
//!
//! A schema is checked by the host, on a thread that no deadline stops. Sixty lines whose references go
//! twice to the next line ask for 2^60 steps, and a reference to itself for more. So a schema must be
//! finite with all its references written out, and not larger than a form that a person can fill in.

use std::collections::HashMap;

use serde_json::Value;

/// Most parts of a schema with all references written out. A long form has a few hundred.
const PARTS_MAX: u64 = 4_000;
/// Longest chain of references.
const CHAIN_MAX: usize = 64;
/// Keywords behind which data stands, not schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
/// Keywords that make references mean something else than a place in this schema.
const MOVING: [&str; 5] = [
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
];

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unbounded {
    /// It never ends.
    #[error("`{0}` refers to itself; write the schema without recursion")]
    Circle(String),
    /// It is too large.
    #[error("with all references written out it has more than {PARTS_MAX} parts")]
    Large,
    /// References go on for too long.
    #[error("references go through more than {CHAIN_MAX} others")]
    Chain,
    /// A reference that is no place in this schema.
    #[error("`$ref` must be a place in this schema, such as `#/$defs/name`, and not {0:?}")]
    Reference(String),
    /// A keyword that moves references.
    #[error("the keyword `{0}` is not supported")]
    Moving(String),
}

/// Says whether checking by this schema is bounded.
pub(super) fn check(schema: &Value) -> Result<(), Unbounded> {
    let mut walk = Walk {
        root: schema,
        known: HashMap::new(),
        chain: Vec::new(),
    };
    walk.place("", schema).map(drop)
}

struct Walk<'s> {
    root: &'s Value,
    known: HashMap<String, u64>,
    /// The places whose parts are being counted.
    chain: Vec<String>,
}

impl<'s> Walk<'s> {
    /// The parts of what stands at this place.
    fn place(&mut self, pointer: &str, value: &'s Value) -> Result<u64, Unbounded> {
        if let Some(known) = self.known.get(pointer) {
            return Ok(*known);
        }
        if self.chain.iter().any(|place| place == pointer) {
            return Err(Unbounded::Circle(format!("#{pointer}")));
        }
        if self.chain.len() >= CHAIN_MAX {
            return Err(Unbounded::Chain);
        }
        self.chain.push(pointer.to_owned());
        let parts = self.parts(value)?;
        self.chain.pop();
        self.known.insert(pointer.to_owned(), parts);
        Ok(parts)
    }

    fn parts(&mut self, value: &'s Value) -> Result<u64, Unbounded> {
        let mut parts = 1_u64;
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let inside = match (name.as_str(), value) {
                        ("$ref", Value::String(to)) => self.reference(to)?,
                        ("$id", Value::String(_)) if !std::ptr::eq(value, self.own_id()) => {
                            return Err(Unbounded::Moving(name.clone()));
                        }
                        (moving, Value::String(_) | Value::Bool(_)) if MOVING.contains(&moving) => {
                            return Err(Unbounded::Moving(name.clone()));
                        }
                        (data, _) if DATA.contains(&data) => 1,
                        _ => self.parts(value)?,
                    };
                    parts = parts.saturating_add(inside);
                }
            }
            Value::Array(items) => {
                for item in items {
                    parts = parts.saturating_add(self.parts(item)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if parts > PARTS_MAX {
            return Err(Unbounded::Large);
        }
        Ok(parts)
    }

    /// The `$id` of the whole schema, which moves nothing.
    fn own_id(&self) -> &'s Value {
        self.root.get("$id").unwrap_or(&Value::Null)
    }

    fn reference(&mut self, to: &str) -> Result<u64, Unbounded> {
        let pointer = to.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let found = pointer.and_then(|pointer| Some((pointer, self.root.pointer(pointer)?)));
        match found {
            Some((pointer, value)) => self.place(pointer, value),
            None => Err(Unbounded::Reference(to.chars().take(80).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usual_schemas_are_bounded() {
        for schema in [
            json!(true),
            json!({"type": "object", "properties": {"$ref": {"type": "string"}, "a": {"$ref": "#/$defs/a"}},
                "$defs": {"a": {"enum": [{"$ref": "x"}]}}, "$id": "https://example.com/x"}),
            json!({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {}}}),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let circle = |place: &str| Err(Unbounded::Circle(place.to_owned()));
        assert_eq!(check(&json!({"$ref": "#"})), circle("#"));
        assert_eq!(check(&json!({"allOf": [{"$ref": "#/allOf"}]})), circle("#/allOf"));
        let tree =
            json!({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
        assert_eq!(check(&tree), circle("#/$defs/n"));
        assert!(matches!(
            check(&json!({"$ref": "http://a/"})),
            Err(Unbounded::Reference(_))
        ));
        assert!(matches!(
            check(&json!({"not": {"$id": "x"}})),
            Err(Unbounded::Moving(_))
        ));
        assert!(matches!(
            check(&json!({"$dynamicRef": "#x"})),
            Err(Unbounded::Moving(_))
        ));
    }

    #[test]
    fn what_doubles_is_refused_by_its_size() {
        let mut definitions = serde_json::Map::from_iter([("d0".to_owned(), json!({}))]);
        for level in 1..40 {
            let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
            definitions.insert(format!("d{level}"), json!({"allOf": [below, below]}));
        }
        let schema = json!({"$defs": definitions, "$ref": "#/$defs/d39"});
        assert_eq!(check(&schema), Err(Unbounded::Large));
        let mut chain = serde_json::Map::new();
        for level in 0..100 {
            chain.insert(
                format!("d{level}"),
                json!({"$ref": format!("#/$defs/d{}", level + 1)}),
            );
        }
        chain.insert("d100".to_owned(), json!({}));
        assert_eq!(
            check(&json!({"$ref": "#/$defs/d0", "$defs": chain})),
            Err(Unbounded::Chain)
        );
    }
}
