//! What is counted, what is refused, and that what passes is checked to its end: without the limits these
//! tests would not end.

use std::fmt::Write as _;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::event_type::{Schema, SchemaFault};

fn compile(schema: &Value) -> Result<Schema, SchemaFault> {
    Schema::compile(&RawValue::from_string(schema.to_string()).unwrap())
}

/// `levels` definitions, each of which is made of the next ones.
fn tower(levels: usize, made: impl Fn(Value) -> Value) -> Value {
    let mut defs = serde_json::Map::new();
    for level in 0..levels {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
        defs.insert(format!("a{level}"), made(next));
    }
    defs.insert(format!("a{levels}"), json!({"type": "object"}));
    json!({"$defs": defs, "$ref": "#/$defs/a0"})
}

#[test]
fn subschemas_are_counted_with_their_references_written_out() {
    let two = json!({"properties": {"a": {"$ref": "#/$defs/s"}, "b": {"$ref": "#/$defs/s"}},
                     "$defs": {"s": {"not": {"type": "null"}}, "unused": {"allOf": [true, true]}}});
    // The root, and two references of three each.
    let subschemas = |schema: &Value| of(schema).unwrap().subschemas;
    assert_eq!(subschemas(&two), 7);
    assert_eq!(subschemas(&json!(true)), 1);
    assert_eq!(
        subschemas(&json!({"properties": {"$ref": {"type": "string"}}})),
        2
    );
}

#[test]
fn references_that_double_with_each_level_are_refused_at_once() {
    for made in [
        |next: Value| json!({"allOf": [next, next]}),
        |next: Value| json!({"anyOf": [next, next]}),
        |next: Value| json!({"oneOf": [next], "not": next}),
        |next: Value| json!({"if": next, "then": next}),
        |next: Value| json!({"properties": {"x": next, "y": next}}),
        |next: Value| json!({"items": next, "contains": next}),
        |next: Value| json!({"allOf": [next], "unevaluatedProperties": false}),
        |next: Value| json!({"dependentSchemas": {"x": next, "y": next}}),
    ] {
        assert_eq!(of(&tower(30, made)), Err(CostFault::Subschemas));
        assert!(compile(&tower(5, made)).is_ok());
    }
    let fault = compile(&tower(30, |next| json!({"allOf": [next, next]}))).unwrap_err();
    assert!(
        fault.to_string().contains("more than 10000 subschemas"),
        "{fault}"
    );
}

#[test]
fn a_circle_on_one_value_is_refused() {
    for circle in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"not": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
    ] {
        assert_eq!(of(&circle), Err(CostFault::Circle), "{circle}");
    }
}

#[test]
fn a_schema_may_contain_itself_once_at_a_place() {
    for good in [
        json!({"properties": {"children": {"items": {"$ref": "#"}}, "parent": {"$ref": "#"}}}),
        json!({"anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]}),
        json!({"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}}),
        json!({"prefixItems": [{"$ref": "#"}, {"$ref": "#"}], "items": {"$ref": "#"}}),
        json!({"oneOf": [{"properties": {"and": {"items": {"$ref": "#"}}}}, {"properties": {"not": {"$ref": "#"}}}]}),
        json!({"$id": "https://a.example/x", "properties": {"a": {"$ref": "https://a.example/x#/$defs/n~1%25"}},
               "$defs": {"n/%": {"type": "null"}}}),
    ] {
        assert!(of(&good).is_ok(), "{good}");
        assert!(compile(&good).is_ok(), "{good}");
    }
    for bad in [
        json!({"allOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]}),
        json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}),
        json!({"properties": {"a": {"$ref": "#"}}, "patternProperties": {"^a": {"$ref": "#"}}}),
        json!({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}),
        json!({"allOf": [{"properties": {"a": {"$ref": "#"}}}], "unevaluatedProperties": false}),
        json!({"allOf": [{"properties": {"b": {}}, "additionalProperties": {"$ref": "#"}},
                         {"properties": {"a": {"$ref": "#"}}}]}),
        json!({"properties": {"a": {"$ref": "#"}}, "anyOf": [{"properties": {"a": {"$ref": "#/$defs/other"}}}],
               "$defs": {"other": {"items": {"$ref": "#/$defs/other"}}}}),
    ] {
        assert_eq!(of(&bad), Err(CostFault::Doubles), "{bad}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused() {
    for (schema, fault) in [
        (
            json!({"$ref": "#/$defs/none"}),
            CostFault::Reference("#/$defs/none".into()),
        ),
        (json!({"$ref": "#anchor"}), CostFault::Reference("#anchor".into())),
        (json!({"$ref": "#/%zz"}), CostFault::Reference("#/%zz".into())),
        (
            json!({"$ref": "other.json"}),
            CostFault::Reference("other.json".into()),
        ),
        (
            json!({"not": {"$dynamicRef": "#x"}}),
            CostFault::Keyword("$dynamicRef"),
        ),
        (
            json!({"not": {"$recursiveRef": "#"}}),
            CostFault::Keyword("$recursiveRef"),
        ),
        (
            json!({"not": {"$id": "https://b.example/"}}),
            CostFault::Keyword("$id"),
        ),
        (
            json!({"$ref": "#/$defs/a/$defs/b", "$defs": {"a": {"$id": "x", "$defs": {"b": true}}}}),
            CostFault::Keyword("$id"),
        ),
    ] {
        assert_eq!(of(&schema), Err(fault), "{schema}");
    }
}

#[test]
fn only_so_many_patterns() {
    let schema = |count: usize| {
        let named: serde_json::Map<String, Value> =
            (1..count).map(|n| (format!("^a{n}"), json!(true))).collect();
        json!({"pattern": "^x", "patternProperties": named})
    };
    assert!(of(&schema(PATTERNS_MAX)).is_ok());
    let more = PATTERNS_MAX + 1;
    assert_eq!(of(&schema(more)), Err(CostFault::Patterns(more)));
}

#[test]
fn chains_are_bounded_and_the_longest_fits_on_a_stack() {
    let longest = tower(CHAIN_MAX / 2 - 2, |next| json!({"allOf": [next]}));
    assert!(compile(&longest).unwrap().violations(b"{}").is_empty());
    assert_eq!(
        of(&tower(CHAIN_MAX, |next| json!({"allOf": [next]}))),
        Err(CostFault::Chain)
    );

    let endless = |chain: usize| {
        let mut inner = json!({"properties": {"a": {"$ref": "#"}}, "maxProperties": 1});
        for _ in 1..chain {
            inner = json!({"allOf": [inner]});
        }
        inner
    };
    assert_eq!(of(&endless(ENDLESS_CHAIN_MAX + 1)), Err(CostFault::Chain));
    let schema = compile(&endless(ENDLESS_CHAIN_MAX - 1)).unwrap();
    let deep = |end: &str| {
        let mut text = String::new();
        for _ in 0..126 {
            let _ = write!(text, r#"{{"a":"#);
        }
        format!("{text}{end}{}", "}".repeat(126))
    };
    assert!(schema.violations(deep("{}").as_bytes()).is_empty());
    assert_eq!(schema.violations(deep(r#"{"b":1,"c":2}"#).as_bytes()).len(), 1);
}

#[test]
fn schemas_of_any_form_are_judged_in_a_short_time() {
    // Each subschema contains each other.
    let names: Vec<String> = (0..100).map(|n| format!("#/$defs/n{n}")).collect();
    let all = || {
        names
            .iter()
            .enumerate()
            .map(|(n, name)| (format!("p{n}"), json!({"$ref": name})))
    };
    let defs: serde_json::Map<String, Value> = (0..100)
        .map(|n| {
            (
                format!("n{n}"),
                json!({"properties": all().collect::<serde_json::Map<_, _>>()}),
            )
        })
        .collect();
    let _ = of(&json!({"$ref": "#/$defs/n0", "$defs": defs}));
    // Many ways to the same.
    let wide: Vec<Value> = (0..1_000).map(|_| json!({"items": {"$ref": "#"}})).collect();
    assert_eq!(of(&json!({"allOf": wide})), Err(CostFault::Doubles));
    // Some kinds of nodes that contain one another, as in a language's syntax tree.
    let kinds: Vec<Value> = (0..12)
        .map(|n| json!({"$ref": format!("#/$defs/k{n}")}))
        .collect();
    let mut defs: serde_json::Map<String, Value> = (0..12)
        .map(|n| {
            (
                format!("k{n}"),
                json!({"properties": {format!("of{n}"): {"$ref": "#/$defs/any"}}}),
            )
        })
        .collect();
    defs.insert("any".to_owned(), json!({"oneOf": kinds}));
    assert!(compile(&json!({"$ref": "#/$defs/any", "$defs": defs})).is_ok());
}
