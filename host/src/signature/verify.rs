//! Verifying: whether an inbound request was signed with one of the secrets of its source, and not
//! too long ago.
//!
//! The scheme fixes everything; the request chooses nothing. Every signature that the request carries is
//! tried with every key. Headers and values that are there twice are refused.

use std::borrow::Cow;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;

use super::certificate::Certificate;
use super::message::{BodyKind, Message, Parts};
use super::pointer::{Lost, Pointer};
use super::scheme::{Coverage, Encoding, Place, Presence, Scheme, TimestampFormat, TimestampPlace};
use super::sign::Keyring;
use super::template::FieldValue;
use crate::digest::Digest;
use crate::event::essence;
use crate::time::Timestamp;

mod fault;

pub use fault::{Checked, Failure, VerifyError};

/// Most signatures in one header that are tried; a sender in the middle of a rotation sends two.
pub const CANDIDATES_MAX: usize = 16;
/// Longest signature that is read, in bytes, with everything that stands beside it.
const SIGNATURE_BYTES_MAX: usize = 4_096;

/// A request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The full public URL that it was sent to, with its query.
    pub url: &'a str,
    /// The raw body.
    pub body: &'a [u8],
    /// What was fetched from [`Keyring::certificate_url`], where that gave an address: a chain in PEM or a
    /// certificate in DER.
    pub certificate: Option<&'a [u8]>,
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

impl Keyring {
    /// Checks the signature of a request against every secret.
    pub fn verify(&self, request: &Incoming<'_>, now: Timestamp) -> Result<Verified, VerifyError> {
        self.verify_among(request, now, |_| true)
    }

    /// Whether a request carries a signature where this scheme has it, right or wrong.
    pub fn is_signed(&self, request: &Incoming<'_>) -> bool {
        !matches!(signature(&self.scheme, request), Ok(None))
    }

    /// As [`Self::verify`], against the secrets that are usable: some may have run out.
    pub fn verify_among(
        &self,
        request: &Incoming<'_>,
        now: Timestamp,
        usable: impl Fn(usize) -> bool,
    ) -> Result<Verified, VerifyError> {
        let scheme = &*self.scheme;
        let Some(written) = signature(scheme, request)? else {
            return match scheme.presence {
                Presence::Optional => Ok(Verified::Unsigned),
                Presence::Required => Err(VerifyError::Missing {
                    place: scheme.signature_place(),
                }),
            };
        };
        let parsed = parse(scheme, &written)?;
        let timestamp = match &scheme.timestamp {
            Some(TimestampPlace::Header(header)) => required(request.headers, &header.name)?.into(),
            Some(TimestampPlace::Pointer(pointer)) => json_text(pointer, request.body)?,
            Some(TimestampPlace::Format) => parsed.timestamp.unwrap_or_default().into(),
            None => Cow::Borrowed(""),
        };
        check_age(scheme, &timestamp, now)?;
        let id = match &scheme.id_header {
            Some(header) => required(request.headers, &header.name)?,
            None => "",
        };
        let kind = BodyKind::of_headers(request.headers);
        check_coverage(scheme, request, kind)?;
        let body = [request.body];
        let parts = Parts {
            id,
            timestamp: &timestamp,
            url: request.url,
            headers: request.headers,
            body: &body,
            kind,
        };
        let message = Message::of(scheme, &parts)?;
        let certificate = match scheme.needs_certificate() {
            true => Some(Certificate::read(request.certificate)?),
            false => None,
        };
        let (mut found, mut tried) = (None, 0);
        for (place, key) in self.keys.iter().enumerate().filter(|(place, _)| usable(*place)) {
            tried += 1;
            if key.verifies(&message, &parsed.signatures, certificate.as_ref()) && found.is_none() {
                found = Some(place);
            }
        }
        match found {
            Some(secret) => Ok(Verified::Signed { secret }),
            None if tried == 0 => Err(VerifyError::NoSecret),
            None => Err(VerifyError::Mismatch(Box::new(Checked::new(
                scheme,
                tried,
                request.url,
                request.body,
            )))),
        }
    }
}

impl Scheme {
    /// Where the signature stands, for people.
    pub fn signature_place(&self) -> String {
        match &self.signature {
            Place::Header(header) => in_header(&header.written),
            Place::Pointer(pointer) => in_body(pointer),
        }
    }
}

/// The signature as it was sent, if it was.
fn signature<'a>(scheme: &Scheme, request: &Incoming<'a>) -> Result<Option<Cow<'a, str>>, VerifyError> {
    match &scheme.signature {
        Place::Header(header) => Ok(single(request.headers, &header.name)?.map(Cow::Borrowed)),
        Place::Pointer(pointer) => match json_text(pointer, request.body) {
            Err(VerifyError::Missing { .. }) => Ok(None),
            found => found.map(Some),
        },
    }
}

struct Parsed<'a> {
    signatures: Vec<Vec<u8>>,
    timestamp: Option<&'a str>,
}

/// Takes the signature's text apart. Parts with another prefix are passed over: they are other versions
/// of the signature (`v1a,…` in Standard Webhooks, `v0=…` at Stripe).
fn parse<'a>(scheme: &Scheme, written: &'a str) -> Result<Parsed<'a>, VerifyError> {
    let malformed = || VerifyError::Malformed {
        place: scheme.signature_place(),
        expected: format!(
            "of the form `{}` with a {} signature",
            scheme.format,
            scheme.encoding.name()
        ),
    };
    if written.len() > SIGNATURE_BYTES_MAX {
        return Err(malformed());
    }
    let parts: Vec<&str> = match scheme.format.delimiter.or(scheme.separator) {
        Some(delimiter) => written.split(delimiter).map(str::trim).collect(),
        None => vec![written],
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

fn check_age(scheme: &Scheme, text: &str, now: Timestamp) -> Result<(), VerifyError> {
    let place = match &scheme.timestamp {
        None => return Ok(()),
        Some(TimestampPlace::Header(header)) => in_header(&header.written),
        Some(TimestampPlace::Pointer(pointer)) => in_body(pointer),
        Some(TimestampPlace::Format) => format!("the time stamp in {}", scheme.signature_place()),
    };
    let Some(sent) = scheme.timestamp_format.seconds(text) else {
        return Err(VerifyError::Malformed {
            place,
            expected: scheme.timestamp_format.name().to_owned(),
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

/// Whether what is signed covers this body: directly, as a form, or by its digest in the URL.
fn check_coverage(scheme: &Scheme, request: &Incoming<'_>, kind: BodyKind) -> Result<(), VerifyError> {
    let form_or_empty = kind == BodyKind::Form || request.body.is_empty();
    let parameter = match (scheme.coverage, &scheme.body_digest_query) {
        (Coverage::Every | Coverage::Nothing, _) => return Ok(()),
        (Coverage::FormsAndDigest, Some(parameter)) => parameter,
        _ if form_or_empty => return Ok(()),
        _ => return Err(VerifyError::NotCovered),
    };
    let place = || format!("the parameter `{parameter}` in the URL");
    let Some(digest) = query_parameter(request.url, parameter)? else {
        return match form_or_empty {
            true => Ok(()),
            false => Err(VerifyError::Missing { place: place() }),
        };
    };
    // Where it stands it must hold, for forms too: else the signature of another body could be sent with
    // an empty form.
    let Ok(digest) = HEXLOWER_PERMISSIVE.decode(digest.as_bytes()) else {
        return Err(VerifyError::Malformed {
            place: place(),
            expected: "a SHA-256 in hexadecimal digits".to_owned(),
        });
    };
    if bool::from(Digest::of(request.body).as_bytes()[..].ct_eq(&digest)) {
        Ok(())
    } else {
        Err(VerifyError::BodyDigest {
            parameter: parameter.clone(),
        })
    }
}

/// The value of a parameter of the URL's query that may be there once.
pub fn query_parameter<'a>(url: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, VerifyError> {
    let whole = url.split('#').next().unwrap_or_default();
    let query = whole.split_once('?').map_or("", |(_, query)| query);
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    let first = values.next().map(|(_, value)| value);
    match values.next() {
        None => Ok(first),
        Some(_) => Err(VerifyError::Duplicate {
            place: format!("the parameter `{name}` in the URL"),
        }),
    }
}

/// The value of a header that may be there once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let place = || in_header(name.as_str());
    if values.next().is_some() {
        return Err(VerifyError::Duplicate { place: place() });
    }
    value.to_str().map(Some).map_err(|_| VerifyError::Malformed {
        place: place(),
        expected: "printable ASCII".to_owned(),
    })
}

pub(super) fn required<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, VerifyError> {
    single(headers, name)?.ok_or_else(|| VerifyError::Missing {
        place: in_header(name.as_str()),
    })
}

/// The string or number at a place in a JSON body.
pub(super) fn json_text<'a>(pointer: &Pointer, body: &'a [u8]) -> Result<Cow<'a, str>, VerifyError> {
    pointer.find(body).map_err(|lost| {
        let place = in_body(pointer);
        let malformed = |place, expected: &str| VerifyError::Malformed {
            place,
            expected: expected.to_owned(),
        };
        match lost {
            Lost::Missing => VerifyError::Missing { place },
            Lost::Twice => VerifyError::Duplicate { place },
            Lost::Kind => malformed(place, "a string or a number"),
            Lost::NotJson => malformed("the body".to_owned(), "JSON"),
        }
    })
}

fn in_header(name: &str) -> String {
    format!("the header `{name}`")
}

fn in_body(pointer: &Pointer) -> String {
    format!("`{pointer}` in the body")
}

impl BodyKind {
    /// What a body of this media type is.
    pub(super) fn of(content_type: &str) -> Self {
        match essence(content_type).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            true => Self::Form,
            false => Self::Other,
        }
    }

    /// What the headers say; a media type that cannot be read is no form's.
    fn of_headers(headers: &HeaderMap) -> Self {
        match single(headers, &http::header::CONTENT_TYPE) {
            Ok(Some(text)) => Self::of(text),
            _ => Self::Other,
        }
    }
}

impl TimestampFormat {
    const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds since 1970, in digits",
            Self::Milliseconds => "milliseconds since 1970, in digits",
            Self::Rfc3339 => "a time as RFC 3339 writes it",
        }
    }

    /// The time in seconds since 1970.
    fn seconds(self, text: &str) -> Option<i64> {
        let number = || {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<i64>().ok().filter(|_| digits)
        };
        match self {
            Self::Seconds => number(),
            Self::Milliseconds => Some(number()? / 1_000),
            Self::Rfc3339 => Some(Timestamp::parse(text).ok()?.as_seconds()),
        }
    }
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
