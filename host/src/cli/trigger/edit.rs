//! Changes to a JSON document, as people write them: `customer.name=Ada`, `/items/0/price=5`, `area`.
//!
//! A path is a JSON Pointer (RFC 6901) where it begins with a slash, else names joined by dots. Missing
//! objects on the way are made; list elements must be there, or be the next one.

use std::fmt;

use serde_json::{Map, Value};

/// Most steps of a path. JSON that the router takes is hardly deeper.
const STEPS_MAX: usize = 64;

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    /// As it was written.
    path: String,
    steps: Vec<String>,
    /// What is set; nothing is removed.
    value: Option<Value>,
}

/// Why a change cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Something on the way has no members.
    #[error("there is no member {step:?}: what holds it is neither an object nor a list")]
    NoParent {
        /// The step.
        step: String,
    },
    /// A list has no such element.
    #[error("{step:?} is no element of the list, which has {length}")]
    NoElement {
        /// The step.
        step: String,
        /// How many there are.
        length: usize,
    },
    /// What is to be removed is not there.
    #[error("it is not there")]
    Missing,
}

impl Edit {
    /// Reads `PATH=VALUE`; for clap.
    pub(super) fn set(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("write it as PATH=VALUE")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self {
            path: path.to_owned(),
            steps: steps(path)?,
            value: Some(value),
        })
    }

    /// Sets what a JSON Pointer leads to.
    pub(super) fn at(pointer: &str, value: Value) -> Result<Self, String> {
        Ok(Self {
            path: pointer.to_owned(),
            steps: steps(pointer)?,
            value: Some(value),
        })
    }

    /// Reads `PATH`; for clap.
    pub(super) fn remove(text: &str) -> Result<Self, String> {
        Ok(Self {
            path: text.to_owned(),
            steps: steps(text)?,
            value: None,
        })
    }

    /// Makes the change.
    pub(super) fn apply(&self, document: &mut Value) -> Result<(), Fault> {
        let Some((last, way)) = self.steps.split_last() else {
            return Err(Fault::Missing);
        };
        let mut at = document;
        for step in way {
            at = match &self.value {
                Some(_) => entered(at, step)?,
                None => found(at, step).ok_or(Fault::Missing)?,
            };
        }
        match &self.value {
            Some(value) => value.clone_into(entered(at, last)?),
            None => taken(at, last)?,
        }
        Ok(())
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switch = if self.value.is_some() {
            "--override"
        } else {
            "--remove"
        };
        write!(f, "{switch} {}", self.path)
    }
}

fn steps(path: &str) -> Result<Vec<String>, String> {
    let steps: Vec<String> = match path.strip_prefix('/') {
        // The order matters: "~01" is "~1" and not "/".
        Some(pointer) => pointer
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect(),
        None => path.split('.').map(str::to_owned).collect(),
    };
    if steps.len() > STEPS_MAX {
        return Err(format!("a path has at most {STEPS_MAX} steps"));
    }
    if !path.starts_with('/') && steps.iter().any(String::is_empty) {
        return Err("a path is names joined by dots, or a JSON pointer such as /a/0/b".to_owned());
    }
    Ok(steps)
}

/// The member of that name, made if it is not there.
fn entered<'v>(value: &'v mut Value, step: &str) -> Result<&'v mut Value, Fault> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(members) => Ok(members.entry(step).or_insert(Value::Null)),
        Value::Array(elements) => {
            let length = elements.len();
            let index = step.parse().ok().filter(|index| *index <= length);
            let index: usize = index.ok_or_else(|| Fault::NoElement {
                step: step.to_owned(),
                length,
            })?;
            if index == length {
                elements.push(Value::Null);
            }
            Ok(&mut elements[index])
        }
        _ => Err(Fault::NoParent {
            step: step.to_owned(),
        }),
    }
}

fn found<'v>(value: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(members) => members.get_mut(step),
        Value::Array(elements) => elements.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn taken(value: &mut Value, step: &str) -> Result<(), Fault> {
    match value {
        Value::Object(members) => members.remove(step).map(drop).ok_or(Fault::Missing),
        Value::Array(elements) => {
            let index = step.parse().ok().filter(|index| *index < elements.len());
            let index: usize = index.ok_or(Fault::Missing)?;
            elements.remove(index);
            Ok(())
        }
        _ => Err(Fault::Missing),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_dotted_or_pointers_and_values_json_or_text() {
        let cases = [
            ("a=1", json!({"a": 1})),
            ("a=x", json!({"a": "x"})),
            ("a=\"1\"", json!({"a": "1"})),
            ("a=", json!({"a": ""})),
            ("a=b=c", json!({"a": "b=c"})),
            ("a.b.c=true", json!({"a": {"b": {"c": true}}})),
            ("/a.b/c~1d/~01=null", json!({"a.b": {"c/d": {"~1": null}}})),
        ];
        for (text, expected) in cases {
            let mut document = json!({});
            Edit::set(text).unwrap().apply(&mut document).unwrap();
            assert_eq!(document, expected, "{text}");
        }
        for wrong in ["a", "", "=1", "a..b=1", ".a=1"] {
            assert!(Edit::set(wrong).is_err(), "{wrong}");
        }
        assert!(Edit::remove(&"a.".repeat(STEPS_MAX + 1)).is_err());
    }

    #[test]
    fn lists_have_places() {
        let mut document = json!({"l": [{"a": 1}, 2]});
        let mut apply = |edit: Result<Edit, String>| edit.unwrap().apply(&mut document);
        apply(Edit::set("l.0.a=5")).unwrap();
        apply(Edit::set("l.2=new")).unwrap();
        apply(Edit::remove("/l/1")).unwrap();
        let beyond = apply(Edit::set("l.7=x")).unwrap_err();
        assert_eq!(beyond.to_string(), "\"7\" is no element of the list, which has 2");
        assert!(matches!(
            apply(Edit::set("l.0.a.b=x")),
            Err(Fault::NoParent { .. })
        ));
        assert_eq!(apply(Edit::remove("l.9")), Err(Fault::Missing));
        assert_eq!(apply(Edit::remove("x.y")), Err(Fault::Missing));
        assert_eq!(document, json!({"l": [{"a": 5}, "new"]}));
    }

    proptest! {
        #[test]
        fn what_was_set_is_there_and_can_be_removed(names in prop::collection::vec("[a-z]{1,4}", 1..6), number: i32) {
            let path = names.join(".");
            let mut document = json!({"kept": {"x": 1}});
            Edit::set(&format!("{path}={number}")).unwrap().apply(&mut document).unwrap();
            prop_assert_eq!(document.pointer(&format!("/{}", names.join("/"))), Some(&json!(number)));
            Edit::remove(&path).unwrap().apply(&mut document).unwrap();
            prop_assert_eq!(document.pointer(&format!("/{}", names.join("/"))), None);
        }

        #[test]
        fn any_path_is_answered(text in ".{0,40}") {
            let mut document = json!({"a": [1]});
            if let Ok(edit) = Edit::set(&text) {
                let _either = edit.apply(&mut document);
            }
            if let Ok(edit) = Edit::remove(&text) {
                let _either = edit.apply(&mut document);
            }
        }
    }
}
