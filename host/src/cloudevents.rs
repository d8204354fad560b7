//! CloudEvents 1.0.2 over HTTP, inbound: binary, structured and batched requests become drafts.
//!
//! | mode | known by | data |
//! |---|---|---|
//! | binary | the header `ce-specversion` | the body as it is, of its `content-type` |
//! | structured | `application/cloudevents+json` | the member `data` (a slice of the body) or `data_base64` |
//! | batched | `application/cloudevents-batch+json` | an array of the above |
//!
//! Choices where the specification leaves them open:
//!
//! - A `type` must be one of ours (`event::check_type`): segments of letters, digits, `_`, `-`, `:` and `/`
//!   joined by single dots, as in `com.github.push.v1`. Others are a fault and not rewritten: what a
//!   subscription matches is what the producer wrote.
//! - Every attribute that is not the core's is an extension, `dataschema` among them, kept as text in the
//!   canonical form of its type (`true`, `7`).
//! - An event without data has the JSON value `null`; empty bytes where its media type is not JSON.
//! - Version 0.3 is refused. Other formats than JSON are refused.
//!
//! Faults have the JSON Pointer of what is wrong; of headers the name, `ce-id`. Data is never parsed and
//! written again.

mod binary;
mod structured;

pub use structured::decoded;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::event::{self, Draft};
use crate::json::{Faults, Unreadable};

/// The version that is taken.
const VERSION: &str = "1.0";
/// The header that makes a request a CloudEvent in binary mode.
const VERSION_HEADER: &str = "ce-specversion";

/// What the media types of CloudEvents begin with.
const MEDIA_TYPES: &[u8] = b"application/cloudevents";

/// How a request carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in headers, data in the body.
    Binary,
    /// One event in the body.
    Structured,
    /// An array of events in the body.
    Batched,
}

impl Mode {
    /// The mode of a request; none where it is no CloudEvent.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Faults> {
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let content_type = content_type.unwrap_or_default();
        // Every event of the API comes by here, and most are no CloudEvents.
        let begins = content_type.trim_ascii_start().get(..MEDIA_TYPES.len());
        if !begins.is_some_and(|begin| begin.eq_ignore_ascii_case(MEDIA_TYPES)) {
            return Ok(headers.contains_key(VERSION_HEADER).then_some(Self::Binary));
        }
        let content_type = String::from_utf8_lossy(content_type).to_ascii_lowercase();
        let mut parts = content_type.split(';').map(str::trim);
        let mode = match parts.next().unwrap_or_default() {
            "application/cloudevents+json" => Self::Structured,
            "application/cloudevents-batch+json" => Self::Batched,
            other => {
                let detail = format!("`{other:.80}` is not taken; send `application/cloudevents+json`");
                return Err(Faults::one("content-type", detail));
            }
        };
        let other_charset = |parameter: &str| {
            let charset = parameter
                .strip_prefix("charset=")
                .map(|name| name.trim_matches('"'));
            charset.is_some_and(|name| !matches!(name, "utf-8" | "utf8" | "us-ascii"))
        };
        if parts.any(other_charset) {
            return Err(Faults::one(
                "content-type",
                "JSON is UTF-8; other charsets are not taken",
            ));
        }
        Ok(Some(mode))
    }

    /// The events of a request in this mode: all of them, or what is wrong. `events_max` bounds a batch.
    pub fn drafts(
        self,
        headers: &HeaderMap,
        body: &Bytes,
        events_max: usize,
    ) -> Result<Vec<Draft>, Unreadable> {
        match self {
            Self::Binary => Ok(vec![binary::draft(headers, body)?]),
            Self::Structured => structured::one(body),
            Self::Batched => structured::many(body, events_max),
        }
    }
}

/// Checks what both modes have alike. `at` makes the place of a fault from the name of an attribute.
fn check(draft: &Draft, at: impl Fn(&str) -> String, faults: &mut Faults) {
    let text = |value: &Option<String>, max| event::check_text(value.as_deref().unwrap_or_default(), max);
    let subject = draft
        .subject
        .as_deref()
        .map_or(Ok(()), |text| event::check_text(text, event::SUBJECT_BYTES_MAX));
    let content_type = draft.content_type.as_deref().map_or(Ok(()), |text| {
        event::check_text(text, event::CONTENT_TYPE_BYTES_MAX)
    });
    let content_type_name = if at("id") == "ce-id" {
        "content-type".to_owned()
    } else {
        at("datacontenttype")
    };
    let checks = [
        (at("id"), text(&draft.id, event::PRODUCER_ID_BYTES_MAX)),
        (at("source"), text(&draft.source, event::SOURCE_BYTES_MAX)),
        (at("type"), event::check_type(&draft.event_type)),
        (at("subject"), subject),
        (content_type_name, content_type),
    ];
    for (place, result) in checks {
        if let Err(fault) = result {
            faults.add(place, fault.to_string());
        }
    }
    if draft.event_type.starts_with(event::OWN_TYPE_PREFIX) {
        let detail = format!(
            "must not begin with `{}`: these are Hookway's own",
            event::OWN_TYPE_PREFIX
        );
        faults.add(at("type"), detail);
    }
    if draft.extensions.len() > event::EXTENSIONS_MAX {
        let detail = format!("more than {} extension attributes", event::EXTENSIONS_MAX);
        faults.add("", detail);
    }
    for (name, value) in &draft.extensions {
        // An empty text is a value like any other (CloudEvents 1.0.2, "Type System").
        let value = if value.is_empty() {
            Ok(())
        } else {
            event::check_text(value, event::EXTENSION_BYTES_MAX)
        };
        if let Err(fault) = event::check_extension_name(name).and(value) {
            faults.add(at(name), format!("extension attribute: {fault}"));
        }
    }
}

fn check_version(version: Option<&str>, at: &str, faults: &mut Faults) {
    match version {
        Some(VERSION) => {}
        Some("0.3") => faults.add(at, "version 0.3 is not taken; send 1.0"),
        Some(_) => faults.add(at, "must be `1.0`"),
        None => faults.add(at, "must be given: `1.0`"),
    }
}

#[cfg(test)]
mod tests;
