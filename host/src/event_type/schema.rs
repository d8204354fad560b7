//! A JSON Schema, compiled once, and what it says about a payload.
//!
//! A schema reaches nothing: the crate is built without what fetches references from files or the
//! network, so that a `$ref` to elsewhere is a fault on saving. Its patterns are matched in linear time.
//! The draft is the one that `$schema` names, and 2020-12 where it names none. What its references make of it
//! is counted before it is compiled ([`super::cost`]), and so bounded.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use serde_json::value::RawValue;

use super::cost::{self, Cost, CostFault};
use crate::json::Fault;

/// Most violations that are told of one call.
pub const VIOLATIONS_MAX: usize = 20;
/// Largest compiled pattern of a schema, in bytes: a date, an address or a hundred repetitions of a
/// character fit many times. A schema may have [`cost::PATTERNS_MAX`] of them.
pub const PATTERN_BYTES_MAX: usize = 64 * 1_024;
/// Most memory in which one pattern remembers what it has matched, in bytes.
const PATTERN_CACHE_BYTES_MAX: usize = 64 * 1_024;
/// Largest product of a payload's bytes and a schema's subschemas of which it is told what is wrong: all
/// that is wrong is collected at first, and each takes memory. A payload of 256 KiB has room for a hundred
/// subschemas and more.
const TOLD_MAX: u64 = 32 << 20;
/// Longest text that is told, in characters: schemas may have long lists of what is allowed.
const DETAIL_CHARACTERS_MAX: usize = 300;

/// Why a schema is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// Neither an object nor a boolean.
    #[error("must be a JSON Schema: an object, or true or false")]
    Form,
    /// It does not compile.
    #[error("is not a JSON Schema that can be used: {0}")]
    Compile(String),
    /// It would cost too much.
    #[error(transparent)]
    Cost(#[from] CostFault),
}

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    cost: Cost,
}

impl Schema {
    /// Compiles a schema.
    pub fn compile(raw: &RawValue) -> Result<Self, SchemaFault> {
        let schema: Value =
            serde_json::from_str(raw.get()).map_err(|error| SchemaFault::Compile(bounded(&error)))?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err(SchemaFault::Form);
        }
        let cost = cost::of(&schema)?;
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_CACHE_BYTES_MAX);
        let compiled = jsonschema::options()
            .with_pattern_options(patterns)
            .build(&schema);
        compiled
            .map(|validator| Self { validator, cost })
            .map_err(|error| SchemaFault::Compile(bounded(&error)))
    }

    /// How many patterns it has.
    pub fn patterns(&self) -> usize {
        self.cost.patterns
    }

    /// What is wrong with a payload: [`VIOLATIONS_MAX`] at the most, each with the pointer into it. Values
    /// are not repeated, since they may be nobody's business.
    pub fn violations(&self, payload: &[u8]) -> Vec<Fault> {
        let value: Value = match serde_json::from_slice(payload) {
            Ok(value) => value,
            Err(error) => {
                return vec![Fault {
                    pointer: String::new(),
                    detail: format!("is not JSON, and the type has a schema: {error}"),
                }];
            }
        };
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        if (payload.len() as u64).saturating_mul(self.cost.subschemas) > TOLD_MAX {
            return vec![Fault {
                pointer: String::new(),
                detail: "does not keep to its schema; it is too long to say where".to_owned(),
            }];
        }
        let errors = self.validator.iter_errors(&value).take(VIOLATIONS_MAX);
        let told = errors.map(|error| Fault {
            pointer: error.instance_path().to_string(),
            detail: match error.kind() {
                ValidationErrorKind::FalseSchema => "is not allowed here".to_owned(),
                _ => bounded(&error.masked()),
            },
        });
        told.collect()
    }
}

fn bounded(text: &dyn std::fmt::Display) -> String {
    let text = text.to_string();
    match text.chars().count() > DETAIL_CHARACTERS_MAX {
        true => text.chars().take(DETAIL_CHARACTERS_MAX).chain(['…']).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Schema, SchemaFault> {
        Schema::compile(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_schema_compiles_or_says_why_not() {
        for good in [
            "{}",
            "true",
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}"#,
            r##"{"$defs":{"n":{"type":"number"}},"properties":{"a":{"$ref":"#/$defs/n"}}}"##,
        ] {
            assert!(compile(good).is_ok(), "{good}");
        }
        assert_eq!(compile("5").unwrap_err(), SchemaFault::Form);
        for bad in [
            r#"{"type": 5}"#,
            r#"{"pattern": "("}"#,
            r#"{"pattern": "^\\w{1000}$"}"#,
        ] {
            assert!(matches!(compile(bad), Err(SchemaFault::Compile(_))), "{bad}");
        }
        for elsewhere in ["https://example.com/schema.json", "file:///etc/passwd"] {
            let fault = CostFault::Reference(elsewhere.to_owned());
            let schema = format!(r#"{{"$ref": "{elsewhere}"}}"#);
            assert_eq!(compile(&schema).unwrap_err(), SchemaFault::Cost(fault));
        }
    }

    #[test]
    fn violations_name_their_place_and_repeat_no_value() {
        let text = r#"{"type":"object","required":["id"],"properties":{"n":{"type":"number"},
                       "list":{"items":{"type":"string"}}},"additionalProperties":false}"#;
        let schema = compile(text).unwrap();
        let found = schema.violations(br#"{"id":1}"#);
        assert!(!found.is_empty(), "id is not a property: {found:?}");
        let schema = compile(&text.replace(r#""n":"#, r#""id":{},"n":"#)).unwrap();
        assert!(schema.violations(br#"{"id":1,"n":1.0,"list":["a"]}"#).is_empty());
        let found = schema.violations(br#"{"n":"s3cret","list":["a",5]}"#);
        let mut places: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["", "/list/1", "/n"]);
        assert!(
            found.iter().all(|fault| !fault.detail.contains("s3cret")),
            "{found:?}"
        );
        assert_eq!(schema.violations(b"{")[0].pointer, "");
        let nothing = compile("false").unwrap();
        assert_eq!(nothing.violations(b"1")[0].detail, "is not allowed here");
    }

    #[test]
    fn only_so_many_violations_are_told() {
        let schema = compile(r#"{"items":{"type":"string"}}"#).unwrap();
        let many = format!("[{}]", ["1"; 100].join(","));
        assert_eq!(schema.violations(many.as_bytes()).len(), VIOLATIONS_MAX);
    }

    #[test]
    fn what_is_wrong_with_much_is_not_collected() {
        let schema = compile(r#"{"items":{"anyOf":[{"type":"string"},{"type":"null"}]}}"#).unwrap();
        let long = format!("[{}1]", "1,".repeat(4 << 20));
        let found = schema.violations(long.as_bytes());
        assert_eq!(found.len(), 1);
        assert!(found[0].detail.contains("too long to say where"), "{found:?}");
    }
}
