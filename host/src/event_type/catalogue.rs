//! Catalogues: the types of a product as a document, in the binary or a caller's own.
//!
//! The built-in ones are the JSON files beside this one. Each says which of its samples were printed in
//! its product's own document; the others, and all schemas, were made for Hookway.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::compact::compact;
use super::{Definition, Schema};
use crate::json::{self, Faults};

/// Most types of one document that is loaded.
pub const TYPES_MAX: usize = 1_000;

/// A built-in catalogue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The name by which it is loaded; also the name of the product's profile.
    pub name: String,
    /// The product.
    pub title: String,
    /// The language of the product's own document.
    pub language: String,
    /// Where texts, samples and schemas come from.
    pub note: String,
    /// The types whose samples were printed in the product's own document.
    pub printed_samples: Vec<String>,
    /// The types, in the order of the product's document.
    pub event_types: Vec<Definition>,
}

impl Catalogue {
    /// What it says about a type.
    pub fn named(&self, event_type: &str) -> Option<&Definition> {
        self.event_types
            .iter()
            .find(|definition| definition.name == event_type)
    }
}

static BUILT_IN: LazyLock<[Catalogue; 4]> = LazyLock::new(|| {
    let read = |text| {
        let mut catalogue: Catalogue =
            serde_json::from_str(text).expect("the built-in catalogues keep the rules, as a test shows");
        for definition in &mut catalogue.event_types {
            definition.schema = definition.schema.take().map(flat);
            definition.sample = definition.sample.take().map(flat);
        }
        catalogue
    };
    [
        read(include_str!("catalogues/workflows.json")),
        read(include_str!("catalogues/aetherflow.json")),
        read(include_str!("catalogues/inboundflow.json")),
        read(include_str!("catalogues/workflux.json")),
    ]
});

fn flat(raw: Box<RawValue>) -> Box<RawValue> {
    RawValue::from_string(compact(raw.get())).unwrap_or(raw)
}

/// The catalogues in the binary.
pub fn built_ins() -> &'static [Catalogue] {
    &*BUILT_IN
}

/// The catalogue of this name in the binary.
pub fn built_in(name: &str) -> Option<&'static Catalogue> {
    BUILT_IN.iter().find(|catalogue| catalogue.name == name)
}

/// Checks a whole document; every type with its compiled schema, or all that is wrong. `base` is the
/// pointer to the list of types.
pub fn checked(
    definitions: Vec<Definition>,
    base: &str,
) -> Result<Vec<(Definition, Option<Schema>)>, Faults> {
    let mut faults = Faults::default();
    if definitions.len() > TYPES_MAX {
        let count = definitions.len();
        return Err(Faults::one(
            base,
            format!("has {count} types; {TYPES_MAX} are allowed"),
        ));
    }
    let mut names = std::collections::HashSet::with_capacity(definitions.len());
    let mut checked = Vec::with_capacity(definitions.len());
    for (place, definition) in definitions.into_iter().enumerate() {
        let base = format!("{base}/{place}");
        let schema = definition.check(&base, &mut faults);
        if !names.insert(definition.name.clone()) {
            faults.add(json::pointer(&base, "name"), "is given twice");
        }
        checked.push((definition, schema));
    }
    faults.or(checked)
}
