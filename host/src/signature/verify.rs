//! Verifying: whether an inbound request was signed with one of the secrets of its source, and not
//! too long ago.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;

use super::scheme::{Encoding, Presence, Scheme};
use super::sign::{Keyring, Signed};
use super::template::FieldValue;
use crate::time::Timestamp;

/// Most signatures in one header that are tried; a sender in the middle of a rotation sends two.
pub const CANDIDATES_MAX: usize = 16;
/// Longest signature header that is read, in bytes.
const HEADER_BYTES_MAX: usize = 4_096;

/// A request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The full public URL that it was sent to.
    pub url: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// A request that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Signed with one of the secrets.
    Signed {
        /// Which, in the order they were given: 0 is the newest.
        secret: usize,
    },
    /// Not signed, which the scheme allows.
    Unsigned,
}

/// Why a request did not pass. Says nothing that helps to forge one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is not there.
    #[error("the header `{header}` is missing")]
    Missing {
        /// Which.
        header: String,
    },
    /// A header is there more than once, so that two readers could choose differently.
    #[error("the header `{header}` is there more than once")]
    Duplicate {
        /// Which.
        header: String,
    },
    /// A header does not have the form of the scheme.
    #[error("the header `{header}` is not {expected}")]
    Malformed {
        /// Which.
        header: String,
        /// What was expected.
        expected: String,
    },
    /// The time stamp is too old: a replay, or a clock that is behind.
    #[error("the time stamp is {seconds} s old, {tolerance} s are allowed: check the sender's clock")]
    TooOld {
        /// How old it is.
        seconds: u64,
        /// How old it may be.
        tolerance: u32,
    },
    /// The time stamp lies ahead.
    #[error("the time stamp is {seconds} s ahead, {tolerance} s are allowed: check both clocks")]
    TooNew {
        /// How far ahead it is.
        seconds: u64,
        /// How far it may be.
        tolerance: u32,
    },
    /// The signature is another one.
    #[error("the signature does not match: another secret, or the body or URL changed on the way")]
    Mismatch,
}

impl Keyring {
    /// Checks the signature of a request against every secret.
    pub fn verify(&self, request: &Incoming<'_>, now: Timestamp) -> Result<Verified, VerifyError> {
        let scheme = &*self.scheme;
        let Some(header) = single(request.headers, &scheme.header)? else {
            return match scheme.presence {
                Presence::Optional => Ok(Verified::Unsigned),
                Presence::Required => Err(VerifyError::Missing {
                    header: scheme.names.signature.clone(),
                }),
            };
        };
        let parsed = parse(scheme, header)?;
        let timestamp = match &scheme.timestamp_header {
            Some(name) => required(request.headers, name)?,
            None => parsed.timestamp.unwrap_or_default(),
        };
        check_age(scheme, timestamp, now)?;
        let id = match &scheme.id_header {
            Some(name) => required(request.headers, name)?,
            None => "",
        };
        let signed = Signed {
            id,
            timestamp,
            url: request.url,
            body: &[request.body],
        };
        let mut found = None;
        for (place, key) in self.keys.iter().enumerate() {
            let expected = key.mac(scheme, &signed);
            for candidate in &parsed.signatures {
                if bool::from(expected.ct_eq(candidate)) && found.is_none() {
                    found = Some(place);
                }
            }
        }
        found
            .map(|secret| Verified::Signed { secret })
            .ok_or(VerifyError::Mismatch)
    }
}

struct Parsed<'a> {
    signatures: Vec<Vec<u8>>,
    timestamp: Option<&'a str>,
}

/// Takes the header apart. Parts with another prefix are passed over: they are other versions of the
/// signature (`v1a,…` in Standard Webhooks, `v0=…` at Stripe).
fn parse<'a>(scheme: &Scheme, header: &'a str) -> Result<Parsed<'a>, VerifyError> {
    let malformed = || VerifyError::Malformed {
        header: scheme.names.signature.clone(),
        expected: format!(
            "of the form `{}` with a {} signature",
            scheme.format,
            scheme.encoding.name()
        ),
    };
    if header.len() > HEADER_BYTES_MAX {
        return Err(malformed());
    }
    let parts: Vec<&str> = match scheme.format.delimiter.or(scheme.separator) {
        Some(delimiter) => header.split(delimiter).map(str::trim).collect(),
        None => vec![header],
    };
    let mut parsed = Parsed {
        signatures: Vec::new(),
        timestamp: None,
    };
    for part in parts {
        for field in &scheme.format.fields {
            let Some(value) = part.strip_prefix(field.prefix.as_str()) else {
                continue;
            };
            match field.value {
                FieldValue::Signature if value.is_empty() => {}
                FieldValue::Signature => parsed
                    .signatures
                    .push(scheme.encoding.decode(value).ok_or_else(malformed)?),
                FieldValue::Timestamp if parsed.timestamp.is_some() => return Err(malformed()),
                FieldValue::Timestamp => parsed.timestamp = Some(value),
            }
            break;
        }
    }
    let complete = parsed.timestamp.is_some() == scheme.format.has_timestamp();
    if !complete || parsed.signatures.is_empty() || parsed.signatures.len() > CANDIDATES_MAX {
        return Err(malformed());
    }
    Ok(parsed)
}

fn check_age(scheme: &Scheme, timestamp: &str, now: Timestamp) -> Result<(), VerifyError> {
    if scheme.timestamp_header.is_none() && !scheme.format.has_timestamp() {
        return Ok(());
    }
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|b| b.is_ascii_digit());
    let Some(sent) = timestamp.parse::<i64>().ok().filter(|_| digits) else {
        return Err(VerifyError::Malformed {
            header: scheme
                .names
                .timestamp
                .as_ref()
                .unwrap_or(&scheme.names.signature)
                .clone(),
            expected: "seconds since 1970, in digits".to_owned(),
        });
    };
    let Some(tolerance) = scheme.tolerance_seconds else {
        return Ok(());
    };
    let now = now.as_seconds();
    let seconds = now.abs_diff(sent);
    if seconds <= u64::from(tolerance) {
        Ok(())
    } else if sent < now {
        Err(VerifyError::TooOld { seconds, tolerance })
    } else {
        Err(VerifyError::TooNew { seconds, tolerance })
    }
}

/// The value of a header that may be there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(VerifyError::Duplicate {
            header: name.to_string(),
        });
    }
    value.to_str().map(Some).map_err(|_| VerifyError::Malformed {
        header: name.to_string(),
        expected: "printable ASCII".to_owned(),
    })
}

fn required<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, VerifyError> {
    single(headers, name)?.ok_or_else(|| VerifyError::Missing {
        header: name.to_string(),
    })
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hexadecimal",
            Self::Base64 => "base64",
        }
    }

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
            Self::Base64 => BASE64.decode(text.as_bytes()).ok(),
        }
    }
}
