//! What is signed, put together from a scheme's input and a request, in the order of the input.
//!
//! The body is referred to, not copied; only what stands in a JSON body or a form is taken out of it.

use std::borrow::Cow;

use http::HeaderMap;

use super::scheme::Scheme;
use super::template::InputPiece;
use super::verify::{VerifyError, json_text, required};

/// Where the parts come from, for both directions.
pub(super) struct Parts<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [&'a [u8]],
    pub(super) kind: BodyKind,
}

/// What a body is, where a scheme treats forms in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Anything else.
    Other,
}

/// What is signed.
pub(super) struct Message<'a> {
    parts: Vec<Part<'a>>,
    body: &'a [&'a [u8]],
}

enum Part<'a> {
    Text(Cow<'a, str>),
    Body,
    Secret,
}

impl<'a> Message<'a> {
    /// Finds every part that the scheme signs.
    pub(super) fn of(scheme: &'a Scheme, from: &Parts<'a>) -> Result<Self, VerifyError> {
        let mut parts = Vec::with_capacity(scheme.input.0.len());
        for piece in &scheme.input.0 {
            let text = match piece {
                InputPiece::Body => {
                    parts.push(Part::Body);
                    continue;
                }
                InputPiece::Secret => {
                    parts.push(Part::Secret);
                    continue;
                }
                InputPiece::Text(text) => text.as_str().into(),
                InputPiece::Timestamp => from.timestamp.into(),
                InputPiece::Id => from.id.into(),
                InputPiece::Url => from.url.into(),
                InputPiece::Header(name) => required(from.headers, name)?.into(),
                InputPiece::Json(pointer) => match from.body {
                    [whole] => json_text(pointer, whole)?,
                    pieces => json_text(pointer, &pieces.concat())?.into_owned().into(),
                },
                InputPiece::Crc32 => {
                    let mut sum = crc32fast::Hasher::new();
                    from.body.iter().for_each(|piece| sum.update(piece));
                    sum.finalize().to_string().into()
                }
                InputPiece::FormSorted => match from.kind {
                    BodyKind::Form => form_sorted(&from.body.concat()).into(),
                    BodyKind::Other => "".into(),
                },
            };
            parts.push(Part::Text(text));
        }
        Ok(Self {
            parts,
            body: from.body,
        })
    }

    /// Hands every byte over, in order. `secret` is the text for `{secret}`.
    pub(super) fn feed(&self, secret: &str, mut take: impl FnMut(&[u8])) {
        for part in &self.parts {
            match part {
                Part::Text(text) => take(text.as_bytes()),
                Part::Secret => take(secret.as_bytes()),
                Part::Body => self.body.iter().for_each(|piece| take(piece)),
            }
        }
    }

    /// Everything in one piece, for algorithms that cannot take pieces.
    pub(super) fn whole(&self, secret: &str) -> Vec<u8> {
        let mut whole = Vec::new();
        self.feed(secret, |piece| whole.extend_from_slice(piece));
        whole
    }
}

/// The parameters of a form, sorted by name, each name directly followed by its value. A name that comes
/// several times has its values sorted too, and equal ones once, as Twilio's libraries do it. (Where a
/// name ends and its value begins is not signed; that is Twilio's choice.)
fn form_sorted(body: &[u8]) -> String {
    let mut parameters: Vec<_> = url::form_urlencoded::parse(body).collect();
    parameters.sort_unstable();
    parameters.dedup();
    let mut text = String::with_capacity(body.len());
    for (name, value) in parameters {
        text.push_str(&name);
        text.push_str(&value);
    }
    text
}
