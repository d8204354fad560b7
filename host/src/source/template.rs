//! Templates: fixed text with atoms that a request fills in, such as
//! `github.{header:x-github-event}.{json:/action}`.
//!
//! | atom | what it is |
//! |---|---|
//! | `{header:name}` | the first value of a header |
//! | `{query:name}` | the first value of a parameter of the query; dots in names stay dots |
//! | `{form:name}` | the first value of a parameter of a form body |
//! | `{json:/pointer}` | what stands at a JSON Pointer: a string decoded, a number or boolean verbatim |
//! | `{sha256}` | the SHA-256 of the body (of the item, where the body is split), in hexadecimal |
//! | `{method}` | the method |
//! | `{rate}` | requests per minute that the source allows, or `*`; in answers |
//! | `{hmac-sha256-hex:atom}`, `{hmac-sha256-base64:atom}` | a signature over another atom; in answers |
//!
//! `{{` and `}}` stand for braces. A template whose atoms are not all there has no text at all.

use std::borrow::Cow;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderName;

use super::pointer::Pointers;
use super::view::View;
use crate::secret::Secret;
use crate::subscription::RateLimit;

/// Longest template for an attribute, a condition or a header, in bytes.
pub(super) const TEMPLATE_BYTES_MAX: usize = 512;
/// Longest text that an answer signs, in bytes.
const SIGNED_BYTES_MAX: usize = 256;

/// A template, ready to be filled in.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Atom(Atom),
}

#[derive(Clone, Debug)]
enum Atom {
    Header(HeaderName),
    Query(String),
    Form(String),
    Json(usize),
    Sha256,
    Method,
    Rate,
    Hmac(Encoding, Box<Atom>),
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Hex,
    Base64,
}

/// Where a template stands, which decides what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// In an attribute of an event or in a condition.
    Look,
    /// In an answer.
    Answer,
}

/// What only answers can say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    /// The newest secret.
    pub(super) secret: Option<&'a Secret>,
    /// The rate that the source allows.
    pub(super) rate: Option<RateLimit>,
}

/// Why an answer cannot be given although everything in it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillFault {
    /// What is to be signed could be more than a challenge.
    #[error(
        "what is to be signed must be 1 to {SIGNED_BYTES_MAX} letters, digits and `._~+/=-`, as challenges are"
    )]
    Unsignable,
    /// There is nothing to sign with.
    #[error("there is no secret to sign with")]
    NoSecret,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateFault {
    #[error("must be 1 to {max} bytes without control characters")]
    Text { max: usize },
    #[error("has a brace without its other half at byte {at}; `{{{{` and `}}}}` stand for braces")]
    Brace { at: usize },
    #[error("`{{{atom}}}` at byte {at} is unknown here; known are {known}")]
    Unknown {
        atom: String,
        at: usize,
        known: &'static str,
    },
    #[error("`{{{atom}}}` at byte {at} names no header")]
    Header { atom: String, at: usize },
    #[error("`{{{atom}}}` at byte {at} {fault}")]
    Pointer {
        atom: String,
        at: usize,
        #[source]
        fault: super::pointer::NotAPointer,
    },
}

impl Template {
    /// Reads a template; its pointers are added to those that are looked up together.
    pub(super) fn parse(
        text: &str,
        site: Site,
        max: usize,
        pointers: &mut Pointers,
    ) -> Result<Self, TemplateFault> {
        if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
            return Err(TemplateFault::Text { max });
        }
        let mut pieces = Vec::new();
        let mut fixed = String::new();
        let mut at = 0;
        while let Some(step) = text[at..].find(['{', '}']) {
            let (brace, rest) = (at + step, &text[at + step..]);
            fixed.push_str(&text[at..brace]);
            if rest.starts_with("{{") || rest.starts_with("}}") {
                fixed.push_str(&rest[..1]);
                at = brace + 2;
                continue;
            }
            let inner = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let Some((name, _)) = inner.filter(|(name, _)| !name.contains('{')) else {
                return Err(TemplateFault::Brace { at: brace });
            };
            if !fixed.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut fixed)));
            }
            pieces.push(Piece::Atom(Atom::parse(name, brace, site, pointers)?));
            at = brace + name.len() + 2;
        }
        fixed.push_str(&text[at..]);
        if !fixed.is_empty() {
            pieces.push(Piece::Text(fixed));
        }
        Ok(Self(pieces))
    }

    /// The text for a request; none where an atom is not there.
    pub(super) fn text(&self, view: &View<'_>) -> Option<String> {
        let own = Own {
            secret: None,
            rate: None,
        };
        let as_is = |value: &str, into: &mut String| into.push_str(value);
        // Templates outside answers have no atoms that could fail.
        self.fill(view, own, as_is).ok().flatten()
    }

    /// The text for a request, each value written by `write`; none where an atom is not there.
    pub(super) fn fill(
        &self,
        view: &View<'_>,
        own: Own<'_>,
        mut write: impl FnMut(&str, &mut String),
    ) -> Result<Option<String>, FillFault> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Atom(atom) => match atom.value(view, own)? {
                    Some(value) => write(&value, &mut text),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }

    /// The text with the same placeholder in every atom's place.
    pub(super) fn sketch(&self, placeholder: &str) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            text.push_str(match piece {
                Piece::Text(fixed) => fixed,
                Piece::Atom(_) => placeholder,
            });
        }
        text
    }

    /// Whether it is the same for every request.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Whether it signs something.
    pub(super) fn signs(&self) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Atom(Atom::Hmac(..))))
    }
}

impl Atom {
    fn parse(text: &str, at: usize, site: Site, pointers: &mut Pointers) -> Result<Self, TemplateFault> {
        let shown = || text.chars().take(80).collect::<String>();
        let unknown = || TemplateFault::Unknown {
            atom: shown(),
            at,
            known: match site {
                Site::Look => {
                    "{header:name}, {query:name}, {form:name}, {json:/pointer}, {sha256} and {method}"
                }
                Site::Answer => {
                    "{header:name}, {query:name}, {form:name}, {json:/pointer}, {method}, {rate}, \
                     {hmac-sha256-hex:…} and {hmac-sha256-base64:…}"
                }
            },
        };
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let answer = site == Site::Answer;
        match (kind, name) {
            ("header", Some(name)) => HeaderName::from_bytes(name.as_bytes())
                .map(Self::Header)
                .map_err(|_| TemplateFault::Header { atom: shown(), at }),
            ("query", Some(name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            ("form", Some(name)) if !name.is_empty() => Ok(Self::Form(name.to_owned())),
            ("json", Some(pointer)) => pointers.add(pointer).map(Self::Json).map_err(|fault| {
                let atom = shown();
                TemplateFault::Pointer { atom, at, fault }
            }),
            ("sha256", None) if !answer => Ok(Self::Sha256),
            ("method", None) => Ok(Self::Method),
            ("rate", None) if answer => Ok(Self::Rate),
            ("hmac-sha256-hex" | "hmac-sha256-base64", Some(of)) if answer && !of.starts_with("hmac") => {
                let encoding = if kind.ends_with("hex") {
                    Encoding::Hex
                } else {
                    Encoding::Base64
                };
                let of = Self::parse(of, at, site, pointers)?;
                Ok(Self::Hmac(encoding, Box::new(of)))
            }
            _ => Err(unknown()),
        }
    }

    fn value<'r>(&self, view: &View<'r>, own: Own<'_>) -> Result<Option<Cow<'r, str>>, FillFault> {
        Ok(match self {
            Self::Header(name) => view.header(name),
            Self::Query(name) => view.query(name),
            Self::Form(name) => view.form(name),
            Self::Json(slot) => view.json(*slot),
            Self::Sha256 => Some(view.digest().to_string().into()),
            Self::Method => Some(view.request.method.as_str().into()),
            Self::Rate => Some(per_minute(own.rate).into()),
            Self::Hmac(encoding, of) => match of.value(view, own)? {
                None => None,
                Some(text) => Some(encoding.signature(&text, own.secret)?.into()),
            },
        })
    }
}

impl Encoding {
    /// Signs a challenge. The rule on its characters keeps this from being a way to have anything else
    /// signed: no JSON object, no form with two parameters and no `v0:…` is made of them.
    fn signature(self, text: &str, secret: Option<&Secret>) -> Result<String, FillFault> {
        if !is_signable(text.as_bytes()) {
            return Err(FillFault::Unsignable);
        }
        let secret = secret.ok_or(FillFault::NoSecret)?;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.reveal().as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        let bytes = mac.finalize().into_bytes();
        Ok(match self {
            Self::Hex => HEXLOWER.encode(&bytes),
            Self::Base64 => BASE64.encode(&bytes),
        })
    }
}

/// Whether an answer to a handshake would sign this text.
pub(super) fn is_signable(text: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"._~+/=-".contains(b);
    (1..=SIGNED_BYTES_MAX).contains(&text.len()) && text.iter().all(allowed)
}

/// A rate as `WebHook-Allowed-Rate` says it: requests per minute, one at the least.
fn per_minute(rate: Option<RateLimit>) -> String {
    let Some(rate) = rate else {
        return "*".to_owned();
    };
    let requests = u64::from(rate.requests.get()) * 60 / u64::from(rate.per_seconds.get());
    requests.max(1).to_string()
}

#[cfg(test)]
mod tests;
