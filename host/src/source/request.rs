//! A request to a source, as everything here looks at it: borrowed, whole, not yet believed.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use crate::reception::Refusal;

/// A request to a source.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What stands behind the `?`, as it came.
    pub query: Option<&'a str>,
    /// The raw body, whole.
    pub body: &'a Bytes,
}

impl<'a> Request<'a> {
    /// The media type, as it was written; none where there is none that can be read.
    pub fn content_type(&self) -> Option<&'a str> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The parameters of the query, decoded, in their order. Names stay as they are: the dots of
    /// `hub.challenge` are dots.
    pub fn query_parameters(&self) -> url::form_urlencoded::Parse<'a> {
        url::form_urlencoded::parse(self.query.unwrap_or_default().as_bytes())
    }
}

/// Why a request became neither events nor an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// As a word.
    pub reason: Refusal,
    /// For people.
    pub detail: String,
}

impl Refused {
    /// A refusal.
    pub fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}
