//! Answers to handshakes: which requests are one, and what they are answered.
//!
//! Whatever comes from the request is a guest in the answer: it is short, it is escaped where the answer
//! is JSON, it never ends a header, and no browser takes the answer for a page
//! (`X-Content-Type-Options: nosniff`, and only plain text or JSON may have values in it).

use std::cell::Cell;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use subtle::ConstantTimeEq as _;

use super::pointer::Pointers;
use super::request::{Refused, Request};
use super::template::{Own, Site, TEMPLATE_BYTES_MAX, Template};
use super::view::View;
use super::{ANSWER_BYTES_MAX, ANSWER_HEADERS_MAX, Answer, Handshake};
use crate::digest::Digest;
use crate::event;
use crate::json::{self, Faults};
use crate::reception::Refusal;
use crate::secret::Secret;

/// Most handshakes of one source.
pub const HANDSHAKES_MAX: usize = 16;
/// Most conditions of one handshake.
pub const CONDITIONS_MAX: usize = 8;
/// Longest value of the request in an answer, in bytes. Challenges have a few dozen; the validation
/// tokens of Microsoft a few hundred.
pub const CHALLENGE_BYTES_MAX: usize = 1_024;
/// Longest name of a handshake, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A handshake that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The name of the handshake.
    pub name: String,
    /// Its answer.
    pub parts: AnswerParts,
}

/// An answer, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerParts {
    /// The status.
    pub status: StatusCode,
    /// The headers, `content-type` among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// What the source has to answer with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof<'a> {
    /// What only answers can say.
    pub(super) own: Own<'a>,
    /// What a handshake must show, where that is not the newest secret.
    pub(super) verify_token: Option<&'a Secret>,
}

/// The handshakes of a source, every template of them read.
#[derive(Debug)]
pub(super) struct Handshakes {
    pointers: Pointers,
    handshakes: Vec<Ready>,
}

#[derive(Debug)]
struct Ready {
    name: String,
    method: Method,
    verified: bool,
    when: Vec<(Template, Must)>,
    status: StatusCode,
    content_type: HeaderValue,
    is_json: bool,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Template>,
}

/// What must hold for a value.
#[derive(Debug)]
enum Must {
    BeThere,
    Be(String),
    BeTheVerifyToken,
}

impl Handshakes {
    /// Reads handshakes; `base` points to them in the source's document.
    pub(super) fn read(handshakes: &[Handshake], base: &str, faults: &mut Faults) -> Self {
        let mut read = Self {
            pointers: Pointers::default(),
            handshakes: Vec::new(),
        };
        if handshakes.len() > HANDSHAKES_MAX {
            faults.add(base, format!("has more than {HANDSHAKES_MAX} handshakes"));
            return read;
        }
        for (place, handshake) in handshakes.iter().enumerate() {
            let ready = Ready::read(handshake, &format!("{base}/{place}"), &mut read.pointers, faults);
            read.handshakes.extend(ready);
        }
        read
    }

    /// Whether a request with this method may be a handshake.
    pub(super) fn knows(&self, method: &Method) -> bool {
        self.handshakes
            .iter()
            .any(|handshake| handshake.method == *method)
    }

    /// Whether one must pass the verification first.
    pub(super) fn any_verified(&self) -> bool {
        self.handshakes.iter().any(|handshake| handshake.verified)
    }

    /// Whether one asks for the verify token.
    pub(super) fn wants_verify_token(&self) -> bool {
        let asks = |(_, must): &(Template, Must)| matches!(must, Must::BeTheVerifyToken);
        self.handshakes
            .iter()
            .any(|handshake| handshake.when.iter().any(asks))
    }

    /// Whether an answer signs something.
    pub(super) fn any_signs(&self) -> bool {
        self.handshakes.iter().any(Ready::signs)
    }

    /// Whether an answer signs something for whoever asks.
    pub(super) fn any_signs_unverified(&self) -> bool {
        self.handshakes
            .iter()
            .any(|handshake| !handshake.verified && handshake.signs())
    }

    /// The answer, if the request is a handshake. `verified`: whether it passed the verification.
    pub(super) fn answer(
        &self,
        request: &Request<'_>,
        verified: bool,
        proof: Proof<'_>,
    ) -> Option<Result<Answered, Refused>> {
        let view = View::new(request, request.body, &self.pointers);
        let mut open = self
            .handshakes
            .iter()
            .filter(|handshake| handshake.method == *request.method && (verified || !handshake.verified));
        open.find_map(|handshake| handshake.answer(&view, proof))
    }
}

impl Ready {
    fn read(handshake: &Handshake, at: &str, pointers: &mut Pointers, faults: &mut Faults) -> Option<Self> {
        if let Err(fault) = event::check_text(&handshake.name, NAME_BYTES_MAX) {
            faults.add(format!("{at}/name"), fault.to_string());
        }
        let method = ["GET", "HEAD", "OPTIONS", "POST", "PUT"]
            .contains(&handshake.method.as_str())
            .then(|| Method::from_bytes(handshake.method.as_bytes()).ok())
            .flatten();
        if method.is_none() {
            faults.add(format!("{at}/method"), "must be GET, HEAD, OPTIONS, POST or PUT");
        }
        if handshake.when.len() > CONDITIONS_MAX {
            faults.add(
                format!("{at}/when"),
                format!("has more than {CONDITIONS_MAX} conditions"),
            );
            return None;
        }
        let mut when = Vec::with_capacity(handshake.when.len());
        for (place, condition) in handshake.when.iter().enumerate() {
            let at = format!("{at}/when/{place}");
            let must = match (&condition.is, condition.is_verify_token) {
                (None, true) => Must::BeTheVerifyToken,
                (None, false) => Must::BeThere,
                (Some(text), false) if (1..=TEMPLATE_BYTES_MAX).contains(&text.len()) => {
                    Must::Be(text.clone())
                }
                (Some(_), false) => {
                    faults.add(
                        format!("{at}/is"),
                        format!("must be 1 to {TEMPLATE_BYTES_MAX} bytes"),
                    );
                    continue;
                }
                (Some(_), true) => {
                    faults.add(format!("{at}/is"), "cannot be given beside `is_verify_token`");
                    continue;
                }
            };
            match Template::parse(&condition.value, Site::Look, TEMPLATE_BYTES_MAX, pointers) {
                Ok(template) => when.push((template, must)),
                Err(fault) => faults.add(format!("{at}/value"), fault.to_string()),
            }
        }
        let answer = &handshake.answer;
        let at = format!("{at}/answer");
        let status = StatusCode::from_u16(answer.status)
            .ok()
            .filter(StatusCode::is_success);
        if status.is_none() {
            faults.add(format!("{at}/status"), "must lie between 200 and 299");
        }
        let headers = read_headers(answer, &at, pointers, faults);
        let body = (!answer.body.is_empty())
            .then(|| read_body(answer, &at, pointers, faults))
            .flatten();
        Some(Self {
            name: handshake.name.clone(),
            method: method?,
            verified: handshake.verified,
            when,
            status: status?,
            content_type: read_content_type(answer, &at, faults)?,
            is_json: event::is_json(&answer.content_type),
            headers,
            body,
        })
    }

    fn signs(&self) -> bool {
        let mut templates = self
            .body
            .iter()
            .chain(self.headers.iter().map(|(_, template)| template));
        templates.any(Template::signs)
    }

    fn answer(&self, view: &View<'_>, proof: Proof<'_>) -> Option<Result<Answered, Refused>> {
        let mut token_shown = true;
        for (template, must) in &self.when {
            let value = template.text(view);
            match must {
                Must::BeThere => drop(value?),
                Must::Be(text) if value.as_ref() == Some(text) => {}
                Must::Be(_) => return None,
                // Looked at last: whether a request is this handshake does not depend on it.
                Must::BeTheVerifyToken => {
                    let token = proof.verify_token.or(proof.own.secret);
                    token_shown &= token.is_some_and(|token| {
                        // Over the digests, so that the time does not tell how long the token is.
                        let shown = Digest::of(value.unwrap_or_default().as_bytes());
                        let token = Digest::of(token.reveal().as_bytes());
                        bool::from(shown.as_bytes().ct_eq(token.as_bytes()))
                    });
                }
            }
        }
        if !token_shown {
            let detail = format!("`{}`: the verify token is missing or another one", self.name);
            return Some(Err(Refused::new(Refusal::Handshake, detail)));
        }
        self.parts(view, proof.own).transpose()
    }

    /// The answer; none where what it echoes is not there, so that it was not this handshake.
    fn parts(&self, view: &View<'_>, own: Own<'_>) -> Result<Option<Answered>, Refused> {
        let refuse = |detail: String| Refused::new(Refusal::Handshake, format!("`{}`: {detail}", self.name));
        let too_long = Cell::new(None);
        let fill = |template: &Template, json: bool| {
            template
                .fill(view, own, |value, text| {
                    if value.len() > CHALLENGE_BYTES_MAX {
                        too_long.set(Some(value.len()));
                    } else if json {
                        escape(value, text);
                    } else {
                        text.push_str(value);
                    }
                })
                .map_err(|fault| refuse(fault.to_string()))
        };
        let body = match &self.body {
            None => String::new(),
            Some(template) => match fill(template, self.is_json)? {
                Some(body) => body,
                None => return Ok(None),
            },
        };
        let mut headers = vec![
            (CONTENT_TYPE, self.content_type.clone()),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        for (name, template) in &self.headers {
            let Some(value) = fill(template, false)? else {
                return Ok(None);
            };
            let value = header_value(&value)
                .ok_or_else(|| refuse(format!("what `{name}` would say is not printable ASCII")))?;
            headers.push((name.clone(), value));
        }
        if let Some(length) = too_long.get() {
            let detail = format!("a value has {length} bytes; {CHALLENGE_BYTES_MAX} are echoed at the most");
            return Err(refuse(detail));
        }
        Ok(Some(Answered {
            name: self.name.clone(),
            parts: AnswerParts {
                status: self.status,
                headers,
                body: body.into(),
            },
        }))
    }
}

fn read_content_type(answer: &Answer, at: &str, faults: &mut Faults) -> Option<HeaderValue> {
    let read = event::check_text(&answer.content_type, event::CONTENT_TYPE_BYTES_MAX)
        .ok()
        .and_then(|()| header_value(&answer.content_type));
    if read.is_none() {
        faults.add(
            format!("{at}/content_type"),
            "must be a media type such as `text/plain`",
        );
    }
    read
}

fn read_headers(
    answer: &Answer,
    at: &str,
    pointers: &mut Pointers,
    faults: &mut Faults,
) -> Vec<(HeaderName, Template)> {
    let at = format!("{at}/headers");
    if answer.headers.len() > ANSWER_HEADERS_MAX {
        faults.add(at, format!("has more than {ANSWER_HEADERS_MAX} headers"));
        return Vec::new();
    }
    let mut headers = Vec::with_capacity(answer.headers.len());
    for (name, value) in &answer.headers {
        let at = json::pointer(&at, name);
        match (
            header_name(name),
            Template::parse(value, Site::Answer, TEMPLATE_BYTES_MAX, pointers),
        ) {
            (Err(fault), _) => faults.add(at, fault),
            (_, Err(fault)) => faults.add(at, fault.to_string()),
            (Ok(name), Ok(template)) => headers.push((name, template)),
        }
    }
    headers
}

/// The value of a header, if it is printable ASCII. [`HeaderValue`] itself takes more.
pub(super) fn header_value(text: &str) -> Option<HeaderValue> {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    HeaderValue::from_str(text).ok().filter(|_| printable)
}

/// The name of a header that an answer may set.
pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    /// Headers that the HTTP server sets itself, or that would make an answer more than an answer.
    const RESERVED: [&str; 11] = [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "location",
        "set-cookie",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-content-type-options",
    ];
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name".to_owned())?;
    if RESERVED.contains(&name.as_str()) {
        return Err(format!("the header `{name}` cannot be set here"));
    }
    Ok(name)
}

fn read_body(answer: &Answer, at: &str, pointers: &mut Pointers, faults: &mut Faults) -> Option<Template> {
    let at = format!("{at}/body");
    let template = match Template::parse(&answer.body, Site::Answer, ANSWER_BYTES_MAX, pointers) {
        Ok(template) => template,
        Err(fault) => {
            faults.add(at, fault.to_string());
            return None;
        }
    };
    if event::is_json(&answer.content_type) {
        // An atom outside a string would let a request write members of its own. A placeholder that is
        // no JSON value shows it.
        let sketch = template.sketch("x");
        if serde_json::from_str::<serde::de::IgnoredAny>(&sketch).is_err() {
            let detail = "must be JSON whose atoms stand within strings; `{{` and `}}` stand for braces";
            faults.add(at, detail);
        }
    } else if !template.is_fixed() && !event::essence(&answer.content_type).eq_ignore_ascii_case("text/plain")
    {
        faults.add(
            at,
            "may only have atoms where `content_type` is text/plain or JSON",
        );
    }
    Some(template)
}

/// Writes a value as the inside of a JSON string. HTML that stands in it is harmless with `nosniff`.
fn escape(value: &str, text: &mut String) {
    let quoted = serde_json::Value::from(value).to_string();
    text.push_str(&quoted[1..quoted.len() - 1]);
}

#[cfg(test)]
mod tests;
