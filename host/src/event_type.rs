//! The event type as something that is described: its name, the group it belongs to, what it means in
//! several languages, the JSON Schema of its payload, and a sample.
//!
//! Types need not be described: any event with a good name is taken. A description is for people who
//! choose what to subscribe to, for test events ([`crate::trial`]), and, where the operator says so, for
//! holding payloads to their schema when they come in ([`Schema`]). Types of well-known products come as
//! catalogues, which are data ([`catalogue`]).
//!
//! Invariants: what passed [`Definition::check`] is bounded, its schema compiles, and its sample keeps to
//! its schema. Schema and sample stay the bytes that they came as.

pub mod catalogue;
mod compact;
pub mod cost;
pub mod language;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use schema::{PATTERN_BYTES_MAX, Schema, SchemaFault, VIOLATIONS_MAX};

use crate::event;
use crate::id::TenantId;
use crate::json::{self, Faults};
use crate::time::Timestamp;

/// Longest name of a group, in bytes.
pub const GROUP_BYTES_MAX: usize = 64;
/// Most languages in which one type is described.
pub const LANGUAGES_MAX: usize = 32;
/// Longest description in one language, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// Largest schema, in bytes. Schemas of webhooks that are published have 2 to 20 KiB; all of them are
/// compiled and in memory.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1_024;
/// Largest sample, in bytes: what is sent as a test should fit into any receiver's body limit.
pub const SAMPLE_BYTES_MAX: usize = 64 * 1_024;
/// The one name that cannot be described, because `/event-types/load` is a path of the API itself.
pub const RESERVED_NAME: &str = "load";

/// What is said about a type of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The type, as events carry it.
    pub name: String,
    /// What it is listed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it means, by language (BCP 47).
    #[serde(default)]
    pub descriptions: BTreeMap<String, String>,
    /// JSON Schema of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Box<RawValue>>,
    /// A payload as it may look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Box<RawValue>>,
    /// Whether new subscriptions should choose another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
}

/// A type of events that a tenant has described.
#[derive(Clone, Debug)]
pub struct EventType {
    /// The owner.
    pub tenant: TenantId,
    /// What is said about it.
    pub definition: Definition,
    /// Counts up with every change; the ETag.
    pub version: u64,
    /// When it was first described.
    pub created_at: Timestamp,
    /// When that was last changed.
    pub updated_at: Timestamp,
}

/// What becomes of an event that does not keep to what is said about its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// It is accepted.
    #[default]
    Off,
    /// It is refused, and its whole call with it.
    Refuse,
}

impl PartialEq for Definition {
    /// Schemas and samples are the same where their bytes are.
    fn eq(&self, other: &Self) -> bool {
        let raw = |value: &Option<Box<RawValue>>| value.as_ref().map(|raw| raw.get().to_owned());
        self.name == other.name
            && self.group == other.group
            && self.descriptions == other.descriptions
            && self.deprecated == other.deprecated
            && raw(&self.schema) == raw(&other.schema)
            && raw(&self.sample) == raw(&other.sample)
    }
}

impl Definition {
    /// Checks everything and compiles the schema, if there is one. `base` is the pointer to the definition.
    pub fn check(&self, base: &str, faults: &mut Faults) -> Option<Schema> {
        let at = |name: &str| json::pointer(base, name);
        if self.name.is_empty() {
            faults.add(at("name"), "must be given");
        } else if let Err(fault) = event::check_type(&self.name) {
            faults.add(at("name"), fault.to_string());
        } else if self.name.starts_with(event::OWN_TYPE_PREFIX) {
            faults.add(
                at("name"),
                "must not start with `hookway.`, which is for the router's own events",
            );
        } else if self.name == RESERVED_NAME {
            faults.add(
                at("name"),
                "must not be `load`, which is a path of the API itself",
            );
        }
        if let Some(group) = &self.group
            && let Err(fault) = event::check_text(group, GROUP_BYTES_MAX)
        {
            faults.add(at("group"), fault.to_string());
        }
        self.check_descriptions(&at("descriptions"), faults);
        let schema = self.checked_schema(&at("schema"), faults);
        self.check_sample(schema.as_ref(), &at("sample"), faults);
        schema
    }

    fn check_descriptions(&self, base: &str, faults: &mut Faults) {
        if self.descriptions.len() > LANGUAGES_MAX {
            let count = self.descriptions.len();
            faults.add(
                base,
                format!("has {count} languages; {LANGUAGES_MAX} are allowed"),
            );
            return;
        }
        for (tag, text) in &self.descriptions {
            let pointer = json::pointer(base, tag);
            if !language::is_tag(tag) {
                faults.add(pointer, "is not a language tag such as `en` or `es-MX` (BCP 47)");
            } else if let Err(fault) = event::check_text(text, DESCRIPTION_BYTES_MAX) {
                faults.add(pointer, fault.to_string());
            }
        }
    }

    fn checked_schema(&self, pointer: &str, faults: &mut Faults) -> Option<Schema> {
        let raw = self.schema.as_ref()?;
        if raw.get().len() > SCHEMA_BYTES_MAX {
            faults.add(pointer, format!("is longer than {SCHEMA_BYTES_MAX} bytes"));
            return None;
        }
        Schema::compile(raw)
            .map_err(|fault| faults.add(pointer, fault.to_string()))
            .ok()
    }

    fn check_sample(&self, schema: Option<&Schema>, pointer: &str, faults: &mut Faults) {
        let Some(raw) = &self.sample else {
            return;
        };
        if raw.get().len() > SAMPLE_BYTES_MAX {
            faults.add(pointer, format!("is longer than {SAMPLE_BYTES_MAX} bytes"));
            return;
        }
        for violation in schema
            .map(|schema| schema.violations(raw.get().as_bytes()))
            .unwrap_or_default()
        {
            let place = format!("{pointer}{}", violation.pointer);
            faults.add(
                place,
                format!("does not keep to the schema: {}", violation.detail),
            );
        }
    }

    /// What the type means, in the language that the caller likes best (`Accept-Language`), and which
    /// language that is.
    pub fn description(&self, accept_language: &str) -> Option<(&str, &str)> {
        let tags: Vec<&str> = self.descriptions.keys().map(String::as_str).collect();
        let tag = language::choose(accept_language, &tags)?;
        Some((tag, self.descriptions.get(tag)?))
    }
}
