//! What a plugin says of itself, checked, and the check of a configuration against its schema. Pure.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bindings::exports::hookway::plugin::plugin as guest;
use super::log::clean;
use super::schema;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest version, in bytes.
const VERSION_BYTES_MAX: usize = 64;
/// Longest summary, in bytes; the rest is cut off.
const SUMMARY_BYTES_MAX: usize = 512;
/// Largest schema, in bytes.
const SCHEMA_BYTES_MAX: usize = 64 * 1_024;
/// Most headers that a plugin may want, and most event types.
const LIST_MAX: usize = 64;
/// Longest item of these lists, in bytes.
const LIST_ITEM_BYTES_MAX: usize = 128;
/// Most problems that are reported of one configuration.
const PROBLEMS_MAX: usize = 32;
/// Longest text of a problem, in bytes.
const PROBLEM_BYTES_MAX: usize = 512;
/// Largest compiled pattern of a schema, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// JSON Schema of its configuration.
    pub config_schema: Option<Value>,
    /// Headers that it wants to see, in lower case.
    pub wants_headers: Vec<String>,
    /// Event types that it can do something with; empty means all.
    pub event_types: Vec<String>,
}

/// A fault in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: a JSON Pointer, empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

/// A manifest that breaks the contract.
#[derive(Debug, thiserror::Error)]
#[error("the plugin's manifest is not valid: {0}")]
pub struct ManifestError(String);

/// Checks what `describe` returned.
pub(super) fn check(manifest: guest::Manifest) -> Result<(Manifest, Option<Validator>), ManifestError> {
    let fail = |what: &str| Err(ManifestError(what.to_owned()));
    let slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    let name = &manifest.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(slug) {
        return fail("`name` must be 1 to 64 lower-case letters, digits, `-` and `_`");
    }
    let version = &manifest.version;
    if version.is_empty()
        || version.len() > VERSION_BYTES_MAX
        || !version.bytes().all(|b| b.is_ascii_graphic())
    {
        return fail("`version` must be 1 to 64 visible ASCII characters");
    }
    for (list, what) in [
        (&manifest.wants_headers, "wants-headers"),
        (&manifest.event_types, "event-types"),
    ] {
        let fits = |item: &String| {
            (1..=LIST_ITEM_BYTES_MAX).contains(&item.len()) && item.bytes().all(|b| b.is_ascii_graphic())
        };
        if list.len() > LIST_MAX || !list.iter().all(fits) {
            return fail(&format!(
                "`{what}` must be at most 64 texts of 1 to 128 visible ASCII characters"
            ));
        }
    }
    let mut config_schema = None;
    let mut validator = None;
    if let Some(text) = &manifest.config_schema {
        if text.len() > SCHEMA_BYTES_MAX {
            return fail("`config-schema` is longer than 64 KiB");
        }
        let schema = serde_json::from_str(text)
            .map_err(|error| ManifestError(format!("`config-schema` is not JSON: {error}")))?;
        let built = compile(&schema).map_err(|why| ManifestError(format!("`config-schema`: {why}")))?;
        (config_schema, validator) = (Some(schema), Some(built));
    }
    let checked = Manifest {
        summary: clean(&manifest.summary, SUMMARY_BYTES_MAX),
        wants_headers: manifest
            .wants_headers
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        event_types: manifest.event_types,
        name: manifest.name,
        version: manifest.version,
        config_schema,
    };
    Ok((checked, validator))
}

/// The crate is built without the features that fetch references, so a schema reaches nothing; its
/// patterns are matched in linear time.
fn compile(schema: &Value) -> Result<Validator, String> {
    schema::check(schema).map_err(|why| why.to_string())?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        .build(schema)
        .map_err(|error| clean(&error.to_string(), PROBLEM_BYTES_MAX))
}

/// What is wrong with a configuration by its schema. Values are not repeated: they may be secrets.
pub(super) fn problems(validator: Option<&Validator>, config: &[u8]) -> Vec<Problem> {
    let value: Value = match serde_json::from_slice(config) {
        Ok(value) => value,
        Err(error) => {
            return vec![Problem {
                pointer: String::new(),
                detail: format!("not JSON: {error}"),
            }];
        }
    };
    let Some(validator) = validator else {
        return Vec::new();
    };
    validator
        .iter_errors(&value)
        .take(PROBLEMS_MAX)
        .map(|error| Problem {
            pointer: error.instance_path().to_string(),
            detail: match error.kind() {
                ValidationErrorKind::FalseSchema => "nothing may be given here".to_owned(),
                _ => clean(&error.masked().to_string(), PROBLEM_BYTES_MAX),
            },
        })
        .collect()
}

/// What `configure` complained about, bounded.
pub(super) fn complaints(problems: Vec<guest::Problem>) -> Vec<Problem> {
    let mut checked: Vec<_> = problems
        .into_iter()
        .take(PROBLEMS_MAX)
        .map(|problem| Problem {
            pointer: clean(&problem.pointer, PROBLEM_BYTES_MAX),
            detail: clean(&problem.detail, PROBLEM_BYTES_MAX),
        })
        .collect();
    if checked.is_empty() {
        checked.push(Problem {
            pointer: String::new(),
            detail: "the plugin refused the configuration and did not say why".to_owned(),
        });
    }
    checked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What schemas are put together of, often enough so that they are some.
    const PIECES: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"type\":",
        "\"object\"",
        "\"string\"",
        "\"properties\":{\"a\":",
        "\"$ref\":\"#\"",
        "\"$ref\":\"#/$defs/a\"",
        "\"$defs\":{\"a\":",
        "{\"pattern\":\"^(a|b)*$\"}",
        "true",
        "\"enum\":[1]",
        "\"allOf\":[",
        "\"minimum\":1e999",
        "\"$id\":\"http://a\"",
        "\"required\":[\"a\"]",
        "\"format\":\"date\"",
        "null",
        "\"pattern\":\"(a{1000}){1000}\"",
        "\"$anchor\":\"a\"",
    ];

    fn schemas() -> impl Strategy<Value = String> {
        let pieces = prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..24);
        prop_oneof![
            2 => pieces.prop_map(|pieces| pieces.concat()),
            // Members of an object, which is a schema more often.
            3 => prop::collection::vec(prop::sample::select(vec![
                "\"type\":\"object\"", "\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":2}}", "\"$ref\":\"#/$defs/a\"",
                "\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"type\":\"object\"}}", "\"required\":[\"a\",\"b\"]",
                "\"additionalProperties\":false", "\"not\":{}", "\"if\":{\"$ref\":\"#\"}", "\"patternProperties\":{\"^a+$\":true}",
                "\"const\":{\"$ref\":\"#\"}", "\"oneOf\":[{\"type\":5}]",
            ]), 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => any::<String>(),
        ]
    }

    proptest! {
        /// Whatever a guest says of itself is refused, or within every bound; and whatever schema is taken checks
        /// whatever configuration, with a list that is bounded too.
        #[test]
        fn whatever_a_guest_says_is_refused_or_bounded(
            name in prop_oneof!["[a-z0-9_-]{1,70}", any::<String>()],
            version in prop_oneof!["[ -~]{1,70}", any::<String>()],
            summary in any::<String>(),
            schema in prop::option::of(schemas()),
            list in prop::collection::vec(prop_oneof![4 => "[!-~]{1,130}", 1 => any::<String>()], 0..70),
            config in prop_oneof![Just("{\"a\":\"xyz\",\"c\":1}".to_owned()), any::<String>()],
        ) {
            let said = guest::Manifest {
                name, version, summary, config_schema: schema, wants_headers: list.clone(), event_types: list,
            };
            if let Ok((manifest, validator)) = check(said) {
                prop_assert!(manifest.name.len() <= NAME_BYTES_MAX && manifest.version.len() <= VERSION_BYTES_MAX);
                prop_assert!(manifest.summary.len() <= SUMMARY_BYTES_MAX);
                prop_assert!(manifest.wants_headers.len() <= LIST_MAX && manifest.event_types.len() <= LIST_MAX);
                let found = problems(validator.as_ref(), config.as_bytes());
                prop_assert!(found.len() <= PROBLEMS_MAX);
            }
        }
    }

    fn guest(name: &str, schema: Option<&str>) -> guest::Manifest {
        guest::Manifest {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            summary: "A\u{1b}[2Jplugin".to_owned(),
            config_schema: schema.map(str::to_owned),
            wants_headers: vec!["X-GitHub-Event".to_owned()],
            event_types: Vec::new(),
        }
    }

    #[test]
    fn manifests_are_checked() {
        let (manifest, validator) = check(guest("slack", None)).unwrap();
        assert_eq!(manifest.wants_headers, ["x-github-event"]);
        assert!(validator.is_none() && !manifest.summary.contains('\u{1b}'));
        for name in ["", "Slack", "a b", &"a".repeat(65)] {
            assert!(check(guest(name, None)).is_err(), "{name}");
        }
        for schema in [
            "{",
            r#"{"type": 5}"#,
            r#"{"$ref": "https://example.com/schema.json"}"#,
        ] {
            assert!(check(guest("slack", Some(schema))).is_err(), "{schema}");
        }
        assert!(check(guest("slack", Some(&"[".repeat(200)))).is_err());
    }

    #[test]
    fn a_schema_says_where_and_never_repeats_a_value() {
        let schema = r#"{"type":"object","required":["channel"],
            "properties":{"channel":{"type":"string","pattern":"^#"},"a/b":{"type":"integer"}}}"#;
        let (_, validator) = check(guest("slack", Some(schema))).unwrap();
        let found = problems(validator.as_ref(), br#"{"channel":"hunter2","a/b":"hunter2"}"#);
        let mut pointers: Vec<_> = found.iter().map(|problem| problem.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/a~1b", "/channel"]);
        assert!(
            found.iter().all(|problem| !problem.detail.contains("hunter2")),
            "{found:?}"
        );
        assert!(problems(validator.as_ref(), br##"{"channel":"#a"}"##).is_empty());
        let nothing = r#"{"type":"object","additionalProperties":false}"#;
        let (_, validator) = check(guest("slack", Some(nothing))).unwrap();
        let found = problems(validator.as_ref(), br#"{"channel":"hunter2"}"#);
        assert!(found[0].detail.starts_with("nothing may"), "{found:?}");
        assert_eq!(problems(None, b"{").len(), 1);
        assert!(problems(None, b"{}").is_empty());
    }
}
