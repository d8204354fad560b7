//! The names of Hookway's own events, as a profile shows them.
//!
//! Hookway says what happens to subscriptions, keys and deliveries as ordinary events of its own types
//! (`hookway.subscription.disabled`). A product that is reproduced may have names of its own for some of
//! them; its profile maps them, so that who subscribes through this profile asks for, and is sent, the
//! product's names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{self, AttributeFault, OWN_TYPE_PREFIX};
use crate::own_event;

/// Types of the events that Hookway raises about itself and that a profile may name otherwise.
pub const OPERATIONAL_TYPES: [&str; own_event::ALL.len()] = own_event::ALL;

/// From Hookway's own types to a product's names. Every name stands for one type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct OperationalEvents(BTreeMap<String, String>);

/// What is wrong with the names of own events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationalFault {
    /// Not one of ours.
    #[error("operational_events: there is no type `{own}`; there are {}", OPERATIONAL_TYPES.join(", "))]
    Unknown {
        /// What was written.
        own: String,
    },
    /// A name that no event can have.
    #[error("operational_events: `{name}` is no event type: {fault}")]
    Name {
        /// What was written.
        name: String,
        /// What is wrong.
        #[source]
        fault: AttributeFault,
    },
    /// A name of ours for something else.
    #[error("operational_events: `{name}` begins with `{OWN_TYPE_PREFIX}`, which no product's name may")]
    Ours {
        /// What was written.
        name: String,
    },
    /// A name for two types.
    #[error("operational_events: the name `{name}` is given twice")]
    Twice {
        /// Which.
        name: String,
    },
}

impl OperationalEvents {
    /// The own type that this name stands for.
    pub fn own_type_of(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(_, shown)| *shown == name);
        found.map(|(own, _)| own.as_str())
    }

    /// The name under which an own type is shown: the product's, or the type itself.
    pub fn shown_type<'a>(&'a self, own: &'a str) -> &'a str {
        self.0.get(own).map_or(own, String::as_str)
    }

    /// Own types and their names, by type.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(own, shown)| (own.as_str(), shown.as_str()))
    }

    /// Whether no type has another name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for OperationalEvents {
    type Error = OperationalFault;

    fn try_from(names: BTreeMap<String, String>) -> Result<Self, OperationalFault> {
        let shown = |text: &String| text.chars().take(event::TYPE_BYTES_MAX).collect();
        let mut seen: Vec<&str> = Vec::with_capacity(OPERATIONAL_TYPES.len());
        for (own, name) in &names {
            if !OPERATIONAL_TYPES.contains(&own.as_str()) {
                return Err(OperationalFault::Unknown { own: shown(own) });
            }
            if let Err(fault) = event::check_type(name) {
                return Err(OperationalFault::Name {
                    name: shown(name),
                    fault,
                });
            }
            if name.starts_with(OWN_TYPE_PREFIX) {
                return Err(OperationalFault::Ours { name: name.clone() });
            }
            if seen.contains(&name.as_str()) {
                return Err(OperationalFault::Twice { name: name.clone() });
            }
            seen.push(name);
        }
        Ok(Self(names))
    }
}

impl From<OperationalEvents> for BTreeMap<String, String> {
    fn from(events: OperationalEvents) -> Self {
        events.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_both_directions() {
        let names: OperationalEvents =
            serde_json::from_str(r#"{"hookway.subscription.disabled":"webhook.disabled"}"#).unwrap();
        assert_eq!(
            names.shown_type("hookway.subscription.disabled"),
            "webhook.disabled"
        );
        assert_eq!(names.shown_type("hookway.key.created"), "hookway.key.created");
        assert_eq!(
            names.own_type_of("webhook.disabled"),
            Some("hookway.subscription.disabled")
        );
        assert_eq!(names.own_type_of("hookway.subscription.disabled"), None);
        assert_eq!(names.iter().count(), 1);
        assert!(OperationalEvents::default().is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, expected) in [
            (r#"{"hookway.nothing":"a.b"}"#, "there is no type"),
            (r#"{"endpoint.created":"a.b"}"#, "there is no type"),
            (r#"{"hookway.key.created":"a b"}"#, "no event type"),
            (r#"{"hookway.key.created":""}"#, "no event type"),
            (r#"{"hookway.key.created":"hookway.key.deleted"}"#, "begins with"),
            (
                r#"{"hookway.key.created":"a","hookway.key.deleted":"a"}"#,
                "twice",
            ),
        ] {
            let fault = serde_json::from_str::<OperationalEvents>(text)
                .unwrap_err()
                .to_string();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }
}
