//! What a plugin gives back: requests to the subscription's endpoint, and new events.
//!
//! Scheme, host and port of a request are never a plugin's to choose, and headers that belong to
//! the host are refused there. A request without anything but a body is what most plugins need, and
//! all that one in the middle of a chain may return.

use crate::outcome::{Failure, reject};
use serde::Serialize;
use std::time::Duration;

/// An HTTP method that a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
}

/// The room that a body begins with: most have that much, and growing to it step by step copies it as often.
const BODY: usize = 1_024;

fn written<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = Vec::with_capacity(BODY);
    serde_json::to_writer(&mut body, value)?;
    Ok(body)
}

/// One request to be sent to the subscription's endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The endpoint's own method (mostly POST) where none is given.
    pub method: Option<Method>,
    /// Path and query, joined to the endpoint's URL; the URL as it is where none is given.
    pub path: Option<String>,
    /// Added to the profile's headers. Names are lower-case.
    pub headers: Vec<(String, String)>,
    /// The body, sent byte for byte.
    pub body: Vec<u8>,
    /// A second request with the same key in the same output is dropped.
    pub dedup_key: Option<String>,
    /// Requests with the same key are to be sent in order. Hookway does not do so yet and refuses an
    /// output that asks for it.
    pub ordering_key: Option<String>,
    /// Not to be sent before this time has passed.
    pub delay: Option<Duration>,
}

impl Request {
    /// A request with this body, byte for byte.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// A request whose body is the value as compact JSON. JSON is what a profile sends unless told
    /// otherwise, so no header is added.
    ///
    /// # Errors
    /// [`Failure::Reject`] where the value has no JSON form, such as a map with keys that are not
    /// strings. A `serde_json::Value` always has one.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Failure> {
        let body = written(value)
            .map_err(|error| reject(format!("cannot write the request's body as JSON: {error}")))?;
        Ok(Self::new(body))
    }

    /// Uses another method than the endpoint's own.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Joins a path and query to the endpoint's URL.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Drops this request where the output has one with the same key before it.
    #[must_use]
    pub fn dedup_key(mut self, key: impl Into<String>) -> Self {
        self.dedup_key = Some(key.into());
        self
    }

    /// Sends this request after earlier ones with the same key. Not done yet: Hookway refuses it.
    #[must_use]
    pub fn ordering_key(mut self, key: impl Into<String>) -> Self {
        self.ordering_key = Some(key.into());
        self
    }

    /// Sends this request no earlier than after this time.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }
}

/// An event that a plugin derives from the one it was given. It enters as a new event of the same
/// tenant; a hop limit stops loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedEvent {
    /// The event type, such as `alert.critical`.
    pub event_type: String,
    /// What the event is about.
    pub subject: Option<String>,
    /// The media type of `data`.
    pub content_type: String,
    /// CloudEvents extension attributes.
    pub attributes: Vec<(String, String)>,
    /// The payload.
    pub data: Vec<u8>,
}

impl EmittedEvent {
    /// An event whose data is the value as compact JSON.
    ///
    /// # Errors
    /// [`Failure::Reject`] where the value has no JSON form.
    pub fn json<T: Serialize + ?Sized>(event_type: impl Into<String>, value: &T) -> Result<Self, Failure> {
        let data = written(value)
            .map_err(|error| reject(format!("cannot write the new event's data as JSON: {error}")))?;
        Ok(Self {
            event_type: event_type.into(),
            subject: None,
            content_type: "application/json".to_owned(),
            attributes: Vec::new(),
            data,
        })
    }

    /// Says what the event is about.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds a CloudEvents extension attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_ascii_lowercase(), value.into()));
        self
    }
}

/// What a run decided to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Mostly one. None together with an emitted event is allowed.
    pub requests: Vec<Request>,
    /// New events.
    pub events: Vec<EmittedEvent>,
}

impl Output {
    /// Adds a request.
    #[must_use]
    pub fn request(mut self, request: Request) -> Self {
        self.requests.push(request);
        self
    }

    /// Adds a new event.
    #[must_use]
    pub fn emit(mut self, event: EmittedEvent) -> Self {
        self.events.push(event);
        self
    }
}

impl From<Request> for Output {
    fn from(request: Request) -> Self {
        Self {
            requests: vec![request],
            events: Vec::new(),
        }
    }
}

impl From<Vec<Request>> for Output {
    fn from(requests: Vec<Request>) -> Self {
        Self {
            requests,
            events: Vec::new(),
        }
    }
}

impl<const N: usize> From<[Request; N]> for Output {
    fn from(requests: [Request; N]) -> Self {
        Self {
            requests: requests.into(),
            events: Vec::new(),
        }
    }
}

impl From<EmittedEvent> for Output {
    fn from(event: EmittedEvent) -> Self {
        Self {
            requests: Vec::new(),
            events: vec![event],
        }
    }
}
