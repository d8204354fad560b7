//! What a body is, by its media type, and whether it is that: the check between verification and
//! events. It never changes a byte.
//!
//! JSON must be one JSON value, a form a form, XML well-formed without a DTD ([`xml`]). Everything else
//! is taken as it is. What would have to be unpacked to be looked at (compressed bodies, multipart) is
//! refused: what is signed, stored and delivered is the same bytes.

mod xml;

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::value::RawValue;

use super::request::Request;
use super::view::{FORM, PARAMETERS_MAX};
use crate::event::{self, AttributeFault, CONTENT_TYPE_BYTES_MAX};
use crate::json;

pub(super) use xml::XmlFault;

/// The media type of a body of which nothing is said and that is not JSON.
const UNKNOWN: &str = "application/octet-stream";

/// Why a body is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    #[error(
        "the header `content-type` is there more than once, so that two readers could choose differently"
    )]
    SeveralTypes,
    #[error("the header `content-type` {0}")]
    ContentType(#[source] AttributeFault),
    #[error("the body is compressed (`content-encoding: {0}`); send it as it is")]
    Compressed(String),
    #[error("`{0}` is not taken; send JSON, a form, XML or plain bytes")]
    Multipart(String),
    #[error("the media type says JSON but the body is empty")]
    Empty,
    #[error("the media type says JSON but the body is not: {0}")]
    Json(String),
    #[error(transparent)]
    TooDeep(#[from] json::TooDeep),
    #[error("the media type says a form but the body is not: {0}")]
    Form(&'static str),
    #[error("the media type says XML but the body is not taken: {0}")]
    Xml(#[from] XmlFault),
}

/// Checks the body of a request and gives its media type, as it was written.
pub(super) fn check<'r>(request: &Request<'r>) -> Result<Cow<'r, str>, BodyFault> {
    if let Some(coding) = request.headers.get(CONTENT_ENCODING) {
        let coding = coding.as_bytes().trim_ascii();
        if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
            let shown: String = String::from_utf8_lossy(coding).chars().take(40).collect();
            return Err(BodyFault::Compressed(shown));
        }
    }
    if request.headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(BodyFault::SeveralTypes);
    }
    let body = &request.body[..];
    let Some(content_type) = request.content_type() else {
        let is_json = check_json(body).is_ok();
        return Ok(if is_json { event::JSON } else { UNKNOWN }.into());
    };
    event::check_text(content_type, CONTENT_TYPE_BYTES_MAX).map_err(BodyFault::ContentType)?;
    match event::essence(content_type).to_ascii_lowercase().as_str() {
        _ if event::is_json(content_type) => check_json(body)?,
        FORM => check_form(body)?,
        kind if kind == "text/xml" || kind == "application/xml" || kind.ends_with("+xml") => {
            xml::check(charset(content_type), body)?;
        }
        kind if kind.starts_with("multipart/") => return Err(BodyFault::Multipart(kind.to_owned())),
        _ => {}
    }
    Ok(content_type.into())
}

/// The parameter `charset` of a media type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })
}

/// One JSON value, not too deep, in UTF-8 (RFC 8259 section 8.1 knows no other encoding).
fn check_json(body: &[u8]) -> Result<(), BodyFault> {
    if body.is_empty() {
        return Err(BodyFault::Empty);
    }
    json::check_depth(body)?;
    let text = str::from_utf8(body).map_err(|error| BodyFault::Json(error.to_string()))?;
    if text.starts_with('\u{feff}') {
        let detail = "it begins with a byte order mark, which JSON does not have";
        return Err(BodyFault::Json(detail.to_owned()));
    }
    serde_json::from_str::<&RawValue>(text)
        .map(|_| ())
        .map_err(|error| BodyFault::Json(error.to_string()))
}

/// Names and values with whole percent escapes. What they decode to may be in any encoding.
fn check_form(body: &[u8]) -> Result<(), BodyFault> {
    if body.iter().filter(|b| **b == b'&').count() >= PARAMETERS_MAX {
        return Err(BodyFault::Form("it has more than 1,024 parameters"));
    }
    // A line end behind a form is common with hand-made requests and means nothing to any parser.
    let trimmed = body.trim_ascii_end();
    if trimmed.iter().any(|b| b.is_ascii_control() || *b == b' ') {
        return Err(BodyFault::Form(
            "it has spaces or control characters that are not encoded",
        ));
    }
    let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
    let broken = |(at, b): (usize, &u8)| *b == b'%' && !(hex(body.get(at + 1)) && hex(body.get(at + 2)));
    if body.iter().enumerate().any(broken) {
        return Err(BodyFault::Form("a `%` is not followed by two hexadecimal digits"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
