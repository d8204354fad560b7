//! A profile as TOML that is pleasant to edit: what it is first, then single values, then lists with one
//! entry a line, then tables. The TOML library would write a list of pairs with every string on a line of
//! its own, in the order of the alphabet.
//!
//! What is written reads back as the same profile, but for its version, which the router counts, and the name
//! of a built-in one, which cannot be put again: both are comments.

use serde_json::{Map, Value};

use crate::cli::Failure;

/// Fields in the order in which people read them; others come behind, by name.
const ORDER: [&str; 35] = [
    "title",
    "description",
    "user_agent",
    "timeout_seconds",
    "transport",
    "body",
    "envelope",
    "headers",
    "algorithm",
    "secret",
    "input",
    "encoding",
    "header",
    "format",
    "separator",
    "ts_header",
    "id_header",
    "required",
    "keys",
    "also",
    "waits",
    "jitter",
    "otherwise",
    "network",
    "status",
    "class",
    "rules",
    "refuse_urls",
    "rate_limit",
    "max_in_flight",
    "auto_disable",
    "signature",
    "schedule",
    "classes",
    "operational_events",
];

/// Whose a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Built in.
    Router,
    /// Made by a tenant.
    Tenant,
}

/// The profile as TOML, which has no null: what is null is not said.
pub(super) fn written(document: &Value, owner: Owner) -> Result<String, Failure> {
    let mut text = String::new();
    let empty = Map::new();
    let fields = document.as_object().unwrap_or(&empty);
    for name in ["name", "version"] {
        let Some(value) = fields.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        let comment = match (name, owner) {
            ("name", Owner::Tenant) => "",
            _ => "# ",
        };
        text.push_str(&format!("{comment}{name} = {}\n", inline(value)?));
    }
    let rest: Vec<(&String, &Value)> = ordered(fields)
        .into_iter()
        .filter(|(name, _)| !matches!(name.as_str(), "name" | "version"))
        .collect();
    table(&mut text, "", &rest)?;
    Ok(text)
}

/// The members of a table, single values first, in the order in which people read them.
fn ordered(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut there: Vec<_> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    there.sort_by_key(|(name, _)| (place(name).unwrap_or(ORDER.len()), name.as_str()));
    there
}

/// Writes the members of a table, and behind them the tables in it.
fn table(text: &mut String, path: &str, fields: &[(&String, &Value)]) -> Result<(), Failure> {
    let shapes = [Shape::Single, Shape::Several, Shape::Table];
    for shape in shapes {
        for (name, value) in fields.iter().filter(|(_, value)| Shape::of(value) == shape) {
            let key = key(name);
            match value {
                Value::Object(members) if shape == Shape::Table => {
                    let path = match path {
                        "" => key,
                        path => format!("{path}.{key}"),
                    };
                    text.push_str(&format!("\n[{path}]\n"));
                    table(text, &path, &ordered(members))?;
                }
                Value::Array(entries) if shape == Shape::Several => {
                    text.push_str(&format!("{key} = [\n"));
                    for entry in entries {
                        text.push_str(&format!("  {},\n", inline(entry)?));
                    }
                    text.push_str("]\n");
                }
                value => text.push_str(&format!("{key} = {}\n", inline(value)?)),
            }
        }
    }
    Ok(())
}

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// On its line.
    Single,
    /// A list of lists or tables: one a line.
    Several,
    /// Under a heading.
    Table,
}

impl Shape {
    fn of(value: &Value) -> Self {
        let compound = |value: &Value| value.is_array() || value.is_object();
        match value {
            Value::Array(entries) if entries.iter().any(compound) => Self::Several,
            Value::Object(_) => Self::Table,
            _ => Self::Single,
        }
    }
}

/// A value on a line.
fn inline(value: &Value) -> Result<String, Failure> {
    match value {
        Value::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(inline).collect::<Result<_, _>>()?;
            Ok(format!("[{}]", entries.join(", ")))
        }
        Value::Object(members) => {
            let members: Vec<String> = ordered(members)
                .into_iter()
                .map(|(name, value)| Ok(format!("{} = {}", key(name), inline(value)?)))
                .collect::<Result<_, Failure>>()?;
            Ok(match members.is_empty() {
                true => "{}".to_owned(),
                false => format!("{{ {} }}", members.join(", ")),
            })
        }
        single => toml::Value::try_from(single)
            .map(|value| value.to_string())
            .map_err(|error| Failure::usage(format!("it cannot be shown as TOML, use --json: {error}"))),
    }
}

/// A key, quoted where it has to be.
fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match !name.is_empty() && name.bytes().all(bare) {
        true => name.to_owned(),
        false => toml::Value::String(name.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{Profile, built_in, built_ins};

    #[test]
    fn every_built_in_profile_reads_back_as_it_was() {
        for profile in built_ins() {
            let document = serde_json::to_value(profile).unwrap();
            let text = written(&document, Owner::Router).unwrap();
            let mut read: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(
                read.get("name").is_none() && read.get("version").is_none(),
                "{text}"
            );
            assert!(
                text.starts_with(&format!("# name = {:?}\n# version = ", profile.name)),
                "{text}"
            );
            read["name"] = json!(profile.name);
            read["version"] = json!(profile.version);
            let back: Profile = serde_json::from_value(read).unwrap();
            assert_eq!(&back, profile, "{text}");
        }
    }

    #[test]
    fn it_is_laid_out_for_people() {
        let document = serde_json::to_value(built_in("inboundflow").unwrap()).unwrap();
        let text = written(&document, Owner::Tenant).unwrap();
        assert!(
            text.starts_with("name = \"inboundflow\"\n# version = 1\ntitle = "),
            "{text}"
        );
        assert!(
            text.contains(
                "envelope = [\n  [\"event\", \"{type}\"],\n  [\"timestamp\", \"{time:iso-ms}\"],\n"
            ),
            "{text}"
        );
        let lines: Vec<&str> = text.lines().collect();
        let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
        assert!(at("timeout_seconds") < at("envelope") && at("envelope") < at("[signature]"));
        assert!(at("[signature]") < at("[schedule]") && at("algorithm") < at("format"));
    }

    #[test]
    fn odd_keys_and_values_stay_what_they_are() {
        let document =
            json!({"b": {"a.b": "x\n\"y\"", "none": null, "deep": {"n": 1.5}}, "a": [[], [{}, "'"]]});
        let text = written(&document, Owner::Tenant).unwrap();
        let read: Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let expected = json!({"b": {"a.b": "x\n\"y\"", "deep": {"n": 1.5}}, "a": [[], [{}, "'"]]});
        assert_eq!(read, expected, "{text}");
    }
}
