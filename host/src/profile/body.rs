//! What a profile makes of a body: [`Mode`] says how its JSON is written.
//!
//! In `raw`, data is neither parsed nor copied; the other modes promise the same of bytes that are in
//! their form already. What is said to be JSON and is not cannot be written in a mode that has to read it;
//! that is a fault, and no attempt is worth making.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::about::{About, Facts};
use super::envelope::{Envelope, is_blank};
use super::{Profile, form};
use crate::event::is_json;
use crate::json::{self, NotStable};

/// How the JSON of a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Data as it came, byte for byte.
    #[default]
    Raw,
    /// Data without white space between its tokens, and otherwise as it came.
    Compact,
    /// The whole body as JavaScript would write what it has read, for receivers that check a signature
    /// against `JSON.stringify(JSON.parse(body))`.
    JsStableJson,
    /// The envelope as `application/x-www-form-urlencoded`, each of its fields a pair.
    Form,
}

impl Mode {
    /// Whether this is what a profile has that says nothing.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a body cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderFault {
    /// It is said to be JSON.
    #[error("the body is said to be JSON and cannot be written as such: {0}")]
    NotJson(NotStable),
    /// It should have members.
    #[error("the data is no JSON object whose members could be the fields of a form: {detail}")]
    NotAnObject {
        /// What it is, or has.
        detail: String,
    },
}

/// A body and its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The media type.
    pub content_type: String,
    /// The body.
    pub body: Body,
}

/// A body that is the data itself, or the data between two pieces of an envelope. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The data itself.
    Whole(Bytes),
    /// The data with something before and after it.
    Spliced {
        /// What stands before the data.
        before: Bytes,
        /// The data as it came.
        data: Bytes,
        /// What stands after the data.
        after: Bytes,
    },
}

impl Body {
    /// The pieces, in order; what signing is fed with.
    pub fn pieces(&self) -> [&[u8]; 3] {
        match self {
            Self::Whole(data) => [&[], data, &[]],
            Self::Spliced { before, data, after } => [before, data, after],
        }
    }

    /// How long the body is, in bytes.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body in one piece. This copies a spliced body, once, and never a whole one.
    pub fn into_bytes(self) -> Bytes {
        if let Self::Whole(data) = self {
            return data;
        }
        let mut bytes = BytesMut::with_capacity(self.len());
        self.pieces()
            .iter()
            .for_each(|piece| bytes.extend_from_slice(piece));
        bytes.freeze()
    }
}

impl Profile {
    /// The body for a delivery, and its media type.
    pub fn render(&self, about: About<'_>) -> Result<Rendered, RenderFault> {
        self.put_around(about, about.event.data.clone(), &about.event.content_type)
    }

    /// The envelope around data that a plugin made from the event. Nobody has looked at that yet, and what
    /// claims to be JSON without being it could write members of the envelope.
    pub fn wrap(&self, about: About<'_>, data: Bytes, content_type: &str) -> Result<Rendered, RenderFault> {
        let is_part = matches!(self.envelope, Envelope::Object { .. });
        if is_part && is_json(content_type) && !is_blank(&data) {
            json::compact(&data).map_err(RenderFault::NotJson)?;
        }
        self.put_around(about, data, content_type)
    }

    fn put_around(&self, about: About<'_>, data: Bytes, content_type: &str) -> Result<Rendered, RenderFault> {
        let facts = Facts {
            about,
            shown_type: self.shown_type(&about.event.event_type),
            content_type,
            version: self.version,
            attempt_at: None,
        };
        match self.body {
            Mode::Raw => Ok(self.envelope.wrap(&facts, data)),
            Mode::Compact => Ok(self.envelope.wrap(&facts, self.normalise(content_type, data)?)),
            Mode::JsStableJson => {
                let Rendered { content_type, body } = self.envelope.wrap(&facts, data);
                let body = self.normalise(&content_type, body.into_bytes())?;
                Ok(Rendered {
                    content_type,
                    body: Body::Whole(body),
                })
            }
            Mode::Form => form::render(&self.envelope, &facts, data),
        }
    }

    /// A body of this media type as the profile's mode wants JSON to be written, also where a plugin made
    /// it. What is no JSON, and what is in this form already, stays the bytes it was.
    pub fn normalise(&self, content_type: &str, body: Bytes) -> Result<Bytes, RenderFault> {
        let written = match self.body {
            Mode::Raw | Mode::Form => return Ok(body),
            _ if !is_json(content_type) || is_blank(&body) => return Ok(body),
            Mode::Compact => json::compact(&body),
            Mode::JsStableJson => json::stable(&body),
        };
        written.map_err(RenderFault::NotJson)
    }
}
