//! The JSON Schema of a configuration as a table that people read: field, type, default, description.
//!
//! It shows what schemas of plugins mostly have: objects in objects (`a.b`), lists (`a[]`), choices, and
//! references within the schema. What it does not know it leaves to `--schema`, which prints it whole.

use serde_json::{Value, json};

/// Deepest nesting that is shown; a schema may refer to itself.
const DEPTH_MAX: usize = 4;
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
            "type": type_of(root, whole),
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

fn type_of(root: &Value, schema: &Value) -> String {
    let schema = inner(root, schema);
    if let Some(values) = schema["enum"].as_array() {
        return joined(values.iter().map(Value::to_string));
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(options) = schema[choice].as_array() {
            return joined(options.iter().map(|option| type_of(root, resolved(root, option))));
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
            "array" => format!("list of {}", type_of(root, resolved(root, &schema["items"]))),
            kind => kind.to_owned(),
        });
    match joined(named) {
        text if text.is_empty() => "anything".to_owned(),
        text => text,
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<String> = texts.collect();
    texts.dedup();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
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
