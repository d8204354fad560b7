//! Where the attributes of an event stand in a request.
//!
//! Each attribute has alternatives, templates such as `github.{header:x-github-event}.{json:/action}`;
//! the first of which every part is there is taken.

use serde::{Deserialize, Serialize};

/// Where type, id and subject of an event come from. What is `None` is left to the preset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// What requests are: bodies to keep as they are, or CloudEvents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// JSON Pointer (RFC 6901) to an array in the body, each item of which is an event of its own; the
    /// empty pointer is the body itself. Templates then look at the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Alternatives for the type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Vec<String>>,
    /// Alternatives for the id by which a repetition is known. No alternatives: nothing is a repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Vec<String>>,
    /// Alternatives for the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Vec<String>>,
    /// What follows where an id comes again with other content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<Conflict>,
}

impl Mapping {
    /// This one, and where it says nothing the other.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        let either =
            |own: &Option<Vec<String>>, other: &Option<Vec<String>>| own.as_ref().or(other.as_ref()).cloned();
        Self {
            format: self.format.or(other.format),
            split: self.split.as_ref().or(other.split.as_ref()).cloned(),
            event_type: either(&self.event_type, &other.event_type),
            id: either(&self.id, &other.id),
            subject: either(&self.subject, &other.subject),
            on_conflict: self.on_conflict.or(other.on_conflict),
        }
    }
}

/// What requests of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Bodies, kept as they are.
    Raw,
    /// CloudEvents 1.0: binary, structured or batched.
    Cloudevents,
}

/// What follows where an id comes again with other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// 409: nothing of the request is accepted.
    #[default]
    Refuse,
    /// It counts as the repetition that it says it is. For services that change details of a repetition.
    Duplicate,
}
