//! A signature scheme as data.
//!
//! In its written form (JSON or TOML) a scheme looks like this, the one of Standard Webhooks:
//!
//! ```toml
//! algorithm = "hmac-sha256"
//! secret = "whsec-base64"
//! input = "{id}.{ts}.{body}"
//! encoding = "base64"
//! header = "webhook-signature"
//! format = "v1,{sig}"
//! separator = " "
//! ts_header = "webhook-timestamp"
//! id_header = "webhook-id"
//! tolerance_seconds = 300
//! ```

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::secret::SecretKind;
use super::template::{Format, Input, InputPiece};

/// Longest tolerance of a time stamp's age, in seconds. A day; more would not stop a replay.
pub const TOLERANCE_SECONDS_MAX: u32 = 24 * 60 * 60;

/// The MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-1; for old services (Twilio), still unbroken as a MAC.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal; lower case when we write, either when we read.
    Hex,
    /// Base64, standard alphabet, with padding.
    Base64,
}

/// Whether an inbound request must carry the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// One without is accepted as unsigned; one with a wrong signature is refused all the same.
    Optional,
}

/// A signature scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Scheme {
    pub(super) algorithm: Algorithm,
    pub(super) secret: SecretKind,
    pub(super) input: Input,
    pub(super) encoding: Encoding,
    pub(super) header: HeaderName,
    pub(super) format: Format,
    pub(super) separator: Option<char>,
    pub(super) timestamp_header: Option<HeaderName>,
    pub(super) id_header: Option<HeaderName>,
    pub(super) tolerance_seconds: Option<u32>,
    pub(super) presence: Presence,
    /// Header names as they were written, for those who read them in a log.
    pub(super) names: Names,
}

/// Header names with their upper and lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) signature: String,
    pub(super) timestamp: Option<String>,
    pub(super) id: Option<String>,
}

/// What is wrong with a scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeFault {
    /// A template that is no text.
    #[error("a template must be 1 to 256 printable ASCII characters")]
    Template,
    /// A brace without its other half.
    #[error("a template has a brace without its other half")]
    Brace,
    /// An unknown atom.
    #[error("`{{{atom}}}` is unknown here; known are {known}")]
    Atom {
        /// What was written.
        atom: String,
        /// What could have been.
        known: &'static str,
    },
    /// A signature that does not cover the body.
    #[error(
        "the input must contain {{body}} or {{form_sorted}}: a signature that does not cover the body is none"
    )]
    BodyNotSigned,
    /// A format that cannot be read back.
    #[error("the format needs {0}")]
    Format(&'static str),
    /// A name that is no header name.
    #[error("`{name}` is not a header name")]
    HeaderName {
        /// What was written.
        name: String,
    },
    /// A time stamp that stands nowhere.
    #[error(
        "there must be exactly one place for the time stamp, `ts_header` or {{ts}} in the format, to {what}"
    )]
    Timestamp {
        /// What needs it.
        what: &'static str,
    },
    /// An id that stands nowhere.
    #[error("the input has {{id}} but there is no `id_header`")]
    Id,
    /// A tolerance that is too long.
    #[error("tolerance_seconds must lie between 1 and {TOLERANCE_SECONDS_MAX}")]
    Tolerance,
    /// A separator that is none.
    #[error(
        "the separator must be one character that no signature has, and the format may have one value only"
    )]
    Separator,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(alias = "alg")]
    algorithm: Algorithm,
    secret: SecretKind,
    input: String,
    encoding: Encoding,
    header: String,
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ts_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

impl Scheme {
    /// The scheme of Standard Webhooks.
    pub fn standard_webhooks() -> Self {
        let written = Written {
            algorithm: Algorithm::HmacSha256,
            secret: SecretKind::WhsecBase64,
            input: "{id}.{ts}.{body}".to_owned(),
            encoding: Encoding::Base64,
            header: "webhook-signature".to_owned(),
            format: "v1,{sig}".to_owned(),
            separator: Some(" ".to_owned()),
            ts_header: Some("webhook-timestamp".to_owned()),
            id_header: Some("webhook-id".to_owned()),
            tolerance_seconds: Some(300),
            optional: false,
        };
        Self::try_from(written).expect("the built-in scheme keeps the rules, as a test shows")
    }

    /// What the text of a secret means under this scheme.
    pub const fn secret_kind(&self) -> SecretKind {
        self.secret
    }

    /// The headers that signing sets; nobody else may.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        let others = self.timestamp_header.iter().chain(&self.id_header);
        std::iter::once(&self.header).chain(others)
    }

    /// The header that carries the id, if the scheme has one.
    pub fn id_header(&self) -> Option<&HeaderName> {
        self.id_header.as_ref()
    }
}

impl TryFrom<Written> for Scheme {
    type Error = SchemeFault;

    fn try_from(written: Written) -> Result<Self, SchemeFault> {
        let header = |name: &str| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| SchemeFault::HeaderName {
                name: name.chars().take(80).collect(),
            })
        };
        let input = Input::parse(&written.input)?;
        let format = Format::parse(&written.format)?;
        match (written.ts_header.is_some(), format.has_timestamp()) {
            (true, true) => {
                return Err(SchemeFault::Timestamp {
                    what: "know which to trust",
                });
            }
            (false, false) if input.has(&InputPiece::Timestamp) => {
                return Err(SchemeFault::Timestamp { what: "sign it" });
            }
            (false, false) if written.tolerance_seconds.is_some() => {
                return Err(SchemeFault::Timestamp {
                    what: "check its age",
                });
            }
            _ => {}
        }
        if written.id_header.is_none() && input.has(&InputPiece::Id) {
            return Err(SchemeFault::Id);
        }
        if !written
            .tolerance_seconds
            .is_none_or(|seconds| (1..=TOLERANCE_SECONDS_MAX).contains(&seconds))
        {
            return Err(SchemeFault::Tolerance);
        }
        Ok(Self {
            algorithm: written.algorithm,
            secret: written.secret,
            encoding: written.encoding,
            header: header(&written.header)?,
            separator: written
                .separator
                .as_deref()
                .map(|text| separator(text, &format))
                .transpose()?,
            timestamp_header: written.ts_header.as_deref().map(header).transpose()?,
            id_header: written.id_header.as_deref().map(header).transpose()?,
            tolerance_seconds: written.tolerance_seconds,
            presence: if written.optional {
                Presence::Optional
            } else {
                Presence::Required
            },
            names: Names {
                signature: written.header,
                timestamp: written.ts_header,
                id: written.id_header,
            },
            input,
            format,
        })
    }
}

fn separator(text: &str, format: &Format) -> Result<char, SchemeFault> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // A format with two fields carries several signatures as several fields.
        (Some(one @ (' ' | ',' | ';' | '|')), None)
            if format.delimiter.is_none() && !format.signature_prefix().contains(one) =>
        {
            Ok(one)
        }
        _ => Err(SchemeFault::Separator),
    }
}

impl From<Scheme> for Written {
    fn from(scheme: Scheme) -> Self {
        Self {
            algorithm: scheme.algorithm,
            secret: scheme.secret,
            input: scheme.input.to_string(),
            encoding: scheme.encoding,
            header: scheme.names.signature,
            format: scheme.format.to_string(),
            separator: scheme.separator.map(String::from),
            ts_header: scheme.names.timestamp,
            id_header: scheme.names.id,
            tolerance_seconds: scheme.tolerance_seconds,
            optional: scheme.presence == Presence::Optional,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, serde_json::Value)]) -> Result<Scheme, String> {
        let mut document = serde_json::to_value(Scheme::standard_webhooks()).unwrap();
        for (name, value) in changes {
            document[*name] = value.clone();
        }
        serde_json::from_value(document).map_err(|error| error.to_string())
    }

    #[test]
    fn the_built_in_scheme_is_data_like_any_other() {
        assert_eq!(read(&[]), Ok(Scheme::standard_webhooks()));
        let headers: Vec<_> = Scheme::standard_webhooks().headers().cloned().collect();
        assert_eq!(headers, ["webhook-signature", "webhook-timestamp", "webhook-id"]);
    }

    #[test]
    fn faults_say_what_is_wrong() {
        let table: [(&[(&str, serde_json::Value)], &str); 11] = [
            (&[("input", "{id}.{ts}".into())], "does not cover the body"),
            (&[("input", "{nonce}{body}".into())], "`{nonce}` is unknown"),
            (
                &[("header", "no header".into())],
                "`no header` is not a header name",
            ),
            (
                &[("ts_header", serde_json::Value::Null)],
                "one place for the time stamp",
            ),
            (
                &[("ts_header", serde_json::Value::Null), ("input", "{body}".into())],
                "to check its age",
            ),
            (&[("format", "t={ts},v1={sig}".into())], "know which to trust"),
            (&[("id_header", serde_json::Value::Null)], "no `id_header`"),
            (&[("tolerance_seconds", 0.into())], "tolerance_seconds"),
            (&[("tolerance_seconds", 86_401.into())], "tolerance_seconds"),
            (&[("separator", ",".into())], "separator"),
            (&[("color", "red".into())], "unknown field"),
        ];
        for (changes, expected) in table {
            let error = read(changes).unwrap_err();
            assert!(error.contains(expected), "{changes:?}: {error}");
        }
    }
}
