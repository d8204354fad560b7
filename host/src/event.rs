//! The event: an immutable fact with the attributes of CloudEvents 1.0.
//!
//! Its `data` is bytes and stays these bytes: nothing in Hookway parses and writes it again on the
//! way to an endpoint. Names and sizes are bounded here, once, for every way in.

use bytes::Bytes;

use crate::id::{EventId, TenantId};
use crate::time::Timestamp;

/// The source of events that came by `POST /api/v1/events` and named no other.
pub const API_SOURCE: &str = "api";
/// Prefix of the types of Hookway's own events; `*` does not match them.
pub const OWN_TYPE_PREFIX: &str = "hookway.";
/// The media type of `data` where the producer named none.
pub const JSON: &str = "application/json";

/// Longest event type, in bytes.
pub const TYPE_BYTES_MAX: usize = 128;
/// Longest id given by a producer, in bytes.
pub const PRODUCER_ID_BYTES_MAX: usize = 256;
/// Longest source, in bytes (CloudEvents sources are URI references).
pub const SOURCE_BYTES_MAX: usize = 256;
/// Longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 512;
/// Longest media type, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Most extension attributes of one event.
pub const EXTENSIONS_MAX: usize = 32;
/// Longest value of an extension attribute, in bytes.
pub const EXTENSION_BYTES_MAX: usize = 1_024;

/// One event. Cheap to share behind an `Arc`; never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Hookway's own id, the row key.
    pub id: EventId,
    /// The owner.
    pub tenant: TenantId,
    /// Where the event entered.
    pub source: String,
    /// The `id` attribute that the producer gave, unique per tenant and source within a window.
    pub producer_id: Option<String>,
    /// The event type, such as `alert.created`.
    pub event_type: String,
    /// What the event is about within its source.
    pub subject: Option<String>,
    /// When it happened, by the producer's word, or when it was received.
    pub time: Timestamp,
    /// When Hookway received it.
    pub received_at: Timestamp,
    /// The media type of `data`.
    pub content_type: String,
    /// CloudEvents extension attributes, in the order given.
    pub extensions: Vec<(String, String)>,
    /// Headers of the request that brought it, names in lower case, credentials masked. Only events of
    /// sources have them; they are no part of what the event says.
    pub headers: Vec<(String, String)>,
    /// The payload, byte for byte.
    pub data: Bytes,
    /// How many plugins, one after another, derived this event from others; 0 for one that came in.
    pub hops: u8,
}

/// An event as a producer gave it, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The CloudEvents `id`.
    pub id: Option<String>,
    /// The CloudEvents `source`.
    pub source: Option<String>,
    /// The type.
    pub event_type: String,
    /// The subject.
    pub subject: Option<String>,
    /// When it happened; now where it is not said.
    pub time: Option<Timestamp>,
    /// The media type of `data`; JSON where it is not said.
    pub content_type: Option<String>,
    /// Extension attributes.
    pub extensions: Vec<(String, String)>,
    /// Headers of the request that brought it, where a source keeps them.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub data: Bytes,
}

impl Event {
    /// The CloudEvents `id`: the producer's, or Hookway's where it gave none.
    pub fn cloudevents_id(&self) -> String {
        self.producer_id.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// Whether `data` says of itself that it is JSON.
    pub fn is_json(&self) -> bool {
        is_json(&self.content_type)
    }
}

/// What of a media type stands before its parameters.
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether a media type means JSON: `application/json` or any `+json` (RFC 6839), parameters aside.
pub fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.eq_ignore_ascii_case(JSON)
        || essence.len() > 5 && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
}

/// What is wrong with an attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeFault {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Too long.
    #[error("is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// A character that the attribute cannot carry.
    #[error("may only have {allowed}")]
    Characters {
        /// What it can carry.
        allowed: &'static str,
    },
}

/// Checks an event type: segments of letters, digits, `_` and `-`, joined by single dots.
pub fn check_type(text: &str) -> Result<(), AttributeFault> {
    check_length(text, TYPE_BYTES_MAX)?;
    let segment = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'/'))
    };
    if text.split('.').all(segment) {
        Ok(())
    } else {
        Err(AttributeFault::Characters {
            allowed: "segments of letters, digits, `_`, `-`, `:` and `/`, joined by single dots",
        })
    }
}

/// Checks a text attribute: not empty, no longer than `max` bytes, no control characters.
pub fn check_text(text: &str, max: usize) -> Result<(), AttributeFault> {
    check_length(text, max)?;
    if text.chars().any(char::is_control) {
        return Err(AttributeFault::Characters {
            allowed: "characters that are not control characters",
        });
    }
    Ok(())
}

/// Names that no extension attribute may have, since the event itself says them. (`dataschema` is kept as
/// an extension attribute.)
const OWN_ATTRIBUTES: [&str; 8] = [
    "data",
    "datacontenttype",
    "id",
    "source",
    "specversion",
    "subject",
    "time",
    "type",
];

/// Checks the name of an extension attribute: lower-case letters and digits, 20 at the most
/// (CloudEvents 1.0.2, "Naming Conventions"), and none of the event's own.
pub fn check_extension_name(name: &str) -> Result<(), AttributeFault> {
    check_length(name, 20)?;
    if OWN_ATTRIBUTES.contains(&name) {
        return Err(AttributeFault::Characters {
            allowed: "names that are no attribute of the event itself",
        });
    }
    if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(AttributeFault::Characters {
            allowed: "lower-case letters and digits",
        })
    }
}

fn check_length(text: &str, max: usize) -> Result<(), AttributeFault> {
    match text.len() {
        0 => Err(AttributeFault::Empty),
        length if length > max => Err(AttributeFault::TooLong { max }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_dotted_names() {
        for good in [
            "alert.created",
            "push",
            "a.b-c.d_e",
            "com.github.push",
            "customers/data_request",
        ] {
            assert_eq!(check_type(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", ".a", "a b", "alert.*", "é"] {
            assert!(check_type(bad).is_err(), "{bad}");
        }
        assert!(check_type(&"a".repeat(129)).is_err());
    }

    #[test]
    fn extensions_have_names_of_their_own() {
        for good in ["traceparent", "dataschema", "a1", "types"] {
            assert_eq!(check_extension_name(good), Ok(()), "{good}");
        }
        let long = "a".repeat(21);
        for bad in OWN_ATTRIBUTES.into_iter().chain(["", "A", "a-b", "a_b", &long]) {
            assert!(check_extension_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_recognised_by_its_media_type() {
        for yes in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.x+json",
        ] {
            assert!(is_json(yes), "{yes}");
        }
        for no in ["text/plain", "+json", "application/jsonl", ""] {
            assert!(!is_json(no), "{no}");
        }
    }
}
