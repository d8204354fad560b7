//! Binary mode: attributes in headers named `ce-…`, percent-encoded; the body is the data
//! (HTTP Protocol Binding 1.0.2, section 3.1).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::value::RawValue;

use super::{VERSION_HEADER, check, check_version};
use crate::event::{self, Draft};
use crate::json::{self, Faults};
use crate::time::Timestamp;

/// What the headers of attributes begin with.
const PREFIX: &str = "ce-";

pub(super) fn draft(headers: &HeaderMap, body: &Bytes) -> Result<Draft, Faults> {
    let mut faults = Faults::default();
    let mut draft = Draft::default();
    let mut version = None;
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        let value = match single(headers, name.as_str()).and_then(decoded) {
            Ok(value) => value,
            Err(detail) => {
                faults.add(name.as_str(), detail);
                continue;
            }
        };
        match attribute {
            "specversion" => version = Some(value),
            "id" => draft.id = Some(value),
            "source" => draft.source = Some(value),
            "type" => draft.event_type = value,
            "subject" => draft.subject = Some(value),
            "time" => match Timestamp::parse(&value) {
                Ok(time) => draft.time = Some(time),
                Err(fault) => faults.add(name.as_str(), fault.to_string()),
            },
            "datacontenttype" => faults.add(name.as_str(), "is said by the header `content-type`"),
            "data" | "data_base64" => faults.add(name.as_str(), "the data is the body"),
            _ => draft.extensions.push((attribute.to_owned(), value)),
        }
    }
    check_version(version.as_deref(), VERSION_HEADER, &mut faults);
    match single(headers, CONTENT_TYPE.as_str()) {
        Ok(value) if !value.is_empty() => draft.content_type = value.to_str().ok().map(str::to_owned),
        Ok(_) | Err("is missing") => {}
        Err(detail) => faults.add(CONTENT_TYPE.as_str(), detail),
    }
    draft.data = data(body, &mut draft.content_type, &mut faults);
    check(&draft, |name| format!("{PREFIX}{name}"), &mut faults);
    faults.or(draft)
}

/// The body as it is; JSON that says it is JSON, since envelopes rely on it.
fn data(body: &Bytes, content_type: &mut Option<String>, faults: &mut Faults) -> Bytes {
    let is_json = event::is_json(content_type.as_deref().unwrap_or(event::JSON));
    if body.is_empty() && is_json {
        return Bytes::from_static(b"null");
    }
    let fault = if json::check_depth(body).is_err() {
        Some(json::TooDeep.to_string())
    } else {
        let parsed = serde_json::from_slice::<&RawValue>(body);
        parsed.err().map(|error| format!("the body is not JSON: {error}"))
    };
    match (fault, content_type.is_some()) {
        // Nothing is said about the body, so it is what it looks like.
        (Some(_), false) => *content_type = Some("application/octet-stream".to_owned()),
        (Some(detail), true) if is_json => faults.add("", detail),
        _ => {}
    }
    body.clone()
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h HeaderValue, &'static str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or("is missing")?;
    match values.next() {
        None => Ok(value),
        Some(_) => Err("is there more than once, so that two readers could choose differently"),
    }
}

/// The value of an attribute (section 3.1.3.2): quotes as older senders put them are taken off, then
/// percent escapes are decoded, once.
fn decoded(value: &HeaderValue) -> Result<String, &'static str> {
    let text = value
        .to_str()
        .map_err(|_| "must be printable ASCII; percent-encode the UTF-8 of everything else")?;
    let mut bytes = unquoted(text)?.into_bytes();
    let (mut read, mut write) = (0, 0);
    while let Some(byte) = bytes.get(read).copied() {
        let escaped = (byte == b'%').then(|| bytes.get(read + 1..read + 3)).flatten();
        bytes[write] = match (byte, escaped.and_then(hex)) {
            (b'%', None) => {
                return Err("has a `%` that is not followed by two hexadecimal digits; write `%25`");
            }
            (b'%', Some(decoded)) => {
                read += 2;
                decoded
            }
            (byte, _) => byte,
        };
        read += 1;
        write += 1;
    }
    bytes.truncate(write);
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 behind its percent escapes")
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// A quoted string (RFC 7230 section 3.2.6) without its quotes; other text as it is.
fn unquoted(text: &str) -> Result<String, &'static str> {
    const BROKEN: &str = "has a quote without its other half; percent-encode quotes";
    let Some(quoted) = text.strip_prefix('"') else {
        return Ok(text.to_owned());
    };
    let mut plain = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    loop {
        match chars.next().ok_or(BROKEN)? {
            '"' => break,
            '\\' => plain.push(chars.next().ok_or(BROKEN)?),
            c => plain.push(c),
        }
    }
    if chars.as_str().is_empty() {
        Ok(plain)
    } else {
        Err(BROKEN)
    }
}
