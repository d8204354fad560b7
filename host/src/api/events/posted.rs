//! What is posted to `/events`: Hookway's own JSON, or CloudEvents in any of their three modes.
//!
//! The headers say which, before the body is looked at ([`Mode::of`]). A CloudEvent in binary mode may have
//! a body of any media type, so only the others have to be text. Every form has the same limits, and in
//! every form `data` stays a slice of the body that arrived.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::body;
use crate::api::Shared;
use crate::api::bodies::read_body;
use crate::api::extract::{JsonBody, check_encoding};
use crate::api::problem::{Kind, Problem};
use crate::cloudevents::Mode;
use crate::digest::Digest;
use crate::event::Draft;
use crate::json;

/// What the headers of CloudEvents' attributes begin with.
const ATTRIBUTE_PREFIX: &str = "ce-";

/// How a call carries its events: for the places of faults, and for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Form {
    /// One event is the body.
    One,
    /// An array of events is the body.
    Many,
    /// The attributes of one event are in headers.
    Headers,
}

impl Form {
    /// Where an attribute of the event at this place was given.
    pub(in crate::api) fn place(self, index: usize, attribute: &str) -> String {
        match self {
            Self::One => json::pointer("", attribute),
            Self::Many => json::pointer(&format!("/{index}"), attribute),
            Self::Headers if attribute == "datacontenttype" => CONTENT_TYPE.as_str().to_owned(),
            Self::Headers => format!("{ATTRIBUTE_PREFIX}{attribute}"),
        }
    }

    /// The place below an attribute to which this pointer leads.
    pub(super) fn below(self, index: usize, attribute: &str, pointer: &str) -> String {
        match self {
            // The body is the data.
            Self::Headers if attribute == "data" => pointer.to_owned(),
            _ => format!("{}{pointer}", self.place(index, attribute)),
        }
    }
}

/// A body with events, read whole and not yet parsed.
pub struct Posted {
    pub(super) headers: HeaderMap,
    body: Body,
}

enum Body {
    Json(JsonBody),
    CloudEvents(Mode, Bytes),
}

impl FromRequest<Shared> for Posted {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let headers = parts.headers;
        // What is wrong here is the header that says what the body is.
        let mode = Mode::of(&headers).map_err(|faults| {
            let detail = faults
                .into_vec()
                .pop()
                .map_or_else(String::new, |fault| fault.detail);
            Problem::new(Kind::MediaType, detail)
        })?;
        let body = match mode {
            None => Body::Json(JsonBody::read(&headers, body, state).await?),
            Some(mode) => {
                check_encoding(&headers)?;
                let limits = &state.limits;
                let bytes = read_body(&headers, body, limits.body_bytes_max, limits.body_timeout).await?;
                Body::CloudEvents(mode, bytes)
            }
        };
        Ok(Self { headers, body })
    }
}

impl Posted {
    /// The events, all or none, and how the call carries them.
    pub(super) fn drafts(&self, events_max: usize) -> Result<(Vec<Draft>, Form), Problem> {
        match &self.body {
            Body::Json(json) => {
                let form = match json::kind_of(json.text()) {
                    "an array" => Form::Many,
                    _ => Form::One,
                };
                Ok((body::drafts(json, form == Form::Many, events_max)?, form))
            }
            Body::CloudEvents(mode, bytes) => {
                let form = match mode {
                    Mode::Binary => Form::Headers,
                    Mode::Structured => Form::One,
                    Mode::Batched => Form::Many,
                };
                Ok((mode.drafts(&self.headers, bytes, events_max)?, form))
            }
        }
    }

    /// Tells two calls apart: the body, and where the headers say part of the event, these headers.
    pub(super) fn fingerprint(&self) -> Digest {
        let (mode, bytes) = match &self.body {
            Body::Json(json) => return Digest::of(&json.bytes),
            Body::CloudEvents(mode, bytes) => (mode, bytes),
        };
        let body = Digest::of(bytes);
        if *mode != Mode::Binary {
            return body;
        }
        let mut said: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .filter(|(name, _)| name.starts_with(ATTRIBUTE_PREFIX) || *name == CONTENT_TYPE.as_str())
            .collect();
        said.sort_unstable();
        // No header has a line break in it, so no two sets of headers give the same text.
        let mut text = Vec::from(*body.as_bytes());
        for (name, value) in said {
            text.extend([name.as_bytes(), b":", value, b"\n"].concat());
        }
        Digest::of(&text)
    }
}
