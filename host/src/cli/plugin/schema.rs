//! The JSON Schema of a configuration as a table that people read: field, type, default, description.
//!
//! It shows what schemas of plugins mostly have: objects in objects (`a.b`), lists (`a[]`), choices, and
//! references within the schema. What it does not know it leaves to `--schema`, which prints it whole.

use serde_json::{Value, json};

/// Deepest nesting that is shown; a schema may refer to itself.
const DEPTH_MAX: usize = 4;
/// Deepest nesting of a type (a list of lists) that is written out.
const TYPE_DEPTH_MAX: usize = 2;
/// Most choices that are written out. With the depth it bounds what a schema of references to itself, of the
/// 64 KiB that it may have, can cost.
const CHOICES_MAX: usize = 32;
/// Most rows.
const ROWS_MAX: usize = 200;

/// One row a field: `field`, `type`, `default`, `description`.
pub(super) fn rows(schema: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    object(schema, schema, "", 0, &mut rows);
    rows
}

fn object(root: &Value, schema: &Value, path: &str, depth: usize, rows: &mut Vec<Value>) {
    let schema = resolved(root, schema);
    let required = schema["required"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let fields = schema["properties"].as_object();
    for (name, field) in fields.into_iter().flatten() {
        if rows.len() == ROWS_MAX {
            return;
        }
        let whole = resolved(root, field);
        let place = format!("{path}{name}");
        let default = if required.contains(&json!(name)) {
            "required".to_owned()
        } else {
            match field.get("default").or_else(|| whole.get("default")) {
                None | Some(Value::Null) => String::new(),
                Some(value) => value.to_string(),
            }
        };
        let description = [field, whole]
            .into_iter()
            .find_map(|from| from["description"].as_str());
        rows.push(json!({
            "field": place,
            "type": type_of(root, whole, 0),
            "default": default,
            // A break of a line in a comment of the source is none in a table.
            "description": description.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        }));
        if depth < DEPTH_MAX {
            object(root, inner(root, whole), &format!("{place}."), depth + 1, rows);
            let items = &inner(root, whole)["items"];
            object(root, items, &format!("{place}[]."), depth + 1, rows);
        }
    }
}

/// What a reference within the schema points to.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        let Some(pointer) = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#')) else {
            break;
        };
        schema = root.pointer(pointer).unwrap_or(&Value::Null);
    }
    schema
}

/// `T` of `T | null`, or the schema itself.
fn inner<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let options = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let some: Vec<&Value> = options.iter().filter(|option| option["type"] != "null").collect();
    match some.as_slice() {
        [one] => resolved(root, one),
        _ => schema,
    }
}

fn type_of(root: &Value, schema: &Value, depth: usize) -> String {
    if depth > TYPE_DEPTH_MAX {
        return "…".to_owned();
    }
    let schema = inner(root, schema);
    if let Some(values) = schema["enum"].as_array() {
        return joined(values.iter().map(Value::to_string));
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(options) = schema[choice].as_array() {
            return joined(
                options
                    .iter()
                    .map(|option| type_of(root, resolved(root, option), depth + 1)),
            );
        }
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect::<Vec<_>>(),
    };
    let named = kinds
        .into_iter()
        .filter(|kind| *kind != "null")
        .map(|kind| match kind {
            "array" => format!(
                "list of {}",
                type_of(root, resolved(root, &schema["items"]), depth + 1)
            ),
            kind => kind.to_owned(),
        });
    match joined(named) {
        text if text.is_empty() => "anything".to_owned(),
        text => text,
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<String> = texts.take(CHOICES_MAX).collect();
    texts.dedup();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_schema_is_a_table() {
        let schema = json!({
            "type": "object",
            "required": ["channel"],
            "properties": {
                "channel": {"type": "string", "description": "Where\nto."},
                "count": {"type": ["integer", "null"], "default": null},
                "least": {"$ref": "#/$defs/Severity", "default": "low"},
                "link": {"anyOf": [{"$ref": "#/$defs/Link"}, {"type": "null"}]},
                "tags": {"type": "array", "items": {"type": "string"}, "default": []},
                "any": true,
            },
            "$defs": {
                "Severity": {"description": "How bad.", "oneOf": [{"const": "low"}, {"const": "high"}]},
                "Link": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"},
                    "next": {"$ref": "#/$defs/Link"}}},
            },
        });
        let rows = rows(&schema);
        let line = |row: &Value| {
            let texts = ["field", "type", "default", "description"].map(|name| row[name].as_str().unwrap());
            texts.join("|")
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        for expected in [
            "channel|string|required|Where to.",
            "count|integer||",
            "least|\"low\" or \"high\"|\"low\"|How bad.",
            "link|object||",
            "link.url|string|required|",
            "tags|list of string|[]|",
            "any|anything||",
        ] {
            assert!(lines.contains(&expected.to_owned()), "{expected}: {lines:#?}");
        }
        // A schema that refers to itself comes to an end.
        assert!(lines.len() < 30, "{lines:#?}");
    }

    proptest! {
        #[test]
        fn no_schema_stops_it(json in schemas()) {
            prop_assert!(rows(&json).len() <= ROWS_MAX);
        }
    }

    /// Values of which schemas are made, with references to themselves.
    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({"$ref": "#"})),
            Just(json!({"$ref": "#/properties/a"})),
            Just(json!({"type": "string"})),
            Just(json!(["null", "array"])),
            Just(json!(null)),
            Just(json!(5)),
        ];
        leaf.prop_recursive(5, 60, 4, |inner| {
            let names = prop_oneof![
                Just("properties"),
                Just("items"),
                Just("anyOf"),
                Just("oneOf"),
                Just("type"),
                Just("enum"),
                Just("required"),
                Just("default"),
                Just("a"),
                Just("b"),
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((names, inner), 0..5).prop_map(|members| members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()),
            ]
        })
    }

    #[test]
    fn a_type_that_is_made_of_itself_comes_to_an_end() {
        for whole in [
            json!({"type": "array", "items": {"$ref": "#"}, "properties": {"a": {"$ref": "#"}}}),
            json!({"oneOf": [{"$ref": "#"}], "properties": {"a": {"$ref": "#"}}}),
            json!({"oneOf": vec![json!({"$ref": "#"}); 3_000], "properties": {"a": {"$ref": "#"}}}),
        ] {
            assert!(!rows(&whole).is_empty());
        }
    }

    #[test]
    fn what_is_no_schema_of_an_object_is_no_table() {
        for schema in [
            json!(true),
            json!(null),
            json!({"type": "string"}),
            json!({"$ref": "#"}),
        ] {
            assert!(rows(&schema).is_empty(), "{schema}");
        }
    }
}
