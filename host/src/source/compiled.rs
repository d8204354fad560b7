//! A source, ready for requests: preset and settings put together, every template read, everything
//! checked that can be checked before a request comes.

mod check;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method, StatusCode};

use super::answering::{AnswerParts, Answered, Handshakes, Proof, header_name, header_value};
use super::attributes::{Attributes, ITEMS_MAX};
use super::body;
use super::preset::Preset;
use super::request::{Refused, Request};
use super::template::{self, Own};
use super::{ANSWER_BYTES_MAX, ANSWER_HEADERS_MAX, Conflict, Format, Response, Source, Verification};
use crate::cloudevents::Mode;
use crate::event::Draft;
use crate::json::{self, Faults, Unreadable};
use crate::reception::Refusal;

/// A source, ready for requests.
#[derive(Debug)]
pub struct Compiled {
    source: Arc<Source>,
    preset: &'static Preset,
    verification: Verification,
    handshakes: Handshakes,
    attributes: Attributes,
    on_conflict: Conflict,
    response: AnswerParts,
}

impl Compiled {
    /// Puts a source together with its preset. Faults have pointers into the source's document.
    pub fn new(source: Arc<Source>, preset: &'static Preset) -> Result<Self, Faults> {
        if let Some(why) = &source.unread {
            let detail = format!("its stored settings cannot be read ({why}); remove it and make it anew");
            return Err(Faults::one("", detail));
        }
        let mut faults = Faults::default();
        let settings = &source.settings;
        let given = settings.handshakes.as_deref();
        let handshakes = Handshakes::read(given.unwrap_or(&preset.handshakes), "/handshakes", &mut faults);
        let mapping = settings.events.over(&preset.events);
        let attributes = Attributes::read(&mapping, "/events", &mut faults);
        let response = settings.response.as_ref().or(preset.response.as_ref());
        let response = read_response(&response.cloned().unwrap_or_default(), &mut faults);
        check::source(&source, &mut faults);
        let verification = settings.verification.as_ref().unwrap_or(&preset.verification);
        check::secrets(&source, verification, &handshakes, &mut faults);
        check::signing(&source, preset, &handshakes, &mut faults);
        check::verification(&source, verification, &mut faults);
        if attributes.format() == Format::Cloudevents {
            check::own_attributes(&settings.events, &mut faults);
        }
        let compiled = Self {
            preset,
            verification: verification.clone(),
            handshakes,
            attributes,
            on_conflict: mapping.on_conflict.unwrap_or_default(),
            response,
            source,
        };
        faults.or(compiled)
    }

    /// The source.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Its preset.
    pub fn preset(&self) -> &'static Preset {
        self.preset
    }

    /// How a request proves where it comes from.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// What follows where an id comes again with other content.
    pub fn on_conflict(&self) -> Conflict {
        self.on_conflict
    }

    /// What a request that was taken is answered.
    pub fn response(&self) -> &AnswerParts {
        &self.response
    }

    /// Whether requests with this method can be anything at all here: events come by POST, handshakes by
    /// what they say. The others are answered 405.
    pub fn takes(&self, method: &Method) -> bool {
        *method == Method::POST || self.handshakes.knows(method)
    }

    /// Whether some handshake must pass the verification first, so that it is worth asking
    /// [`Compiled::handshake`] a second time behind it.
    pub fn has_verified_handshakes(&self) -> bool {
        self.handshakes.any_verified()
    }

    /// The answer, if the request is a handshake. Ask with `verified = false` before the verification,
    /// which only finds handshakes that need none, and with `true` behind it: only if it was passed with a
    /// secret or asks for none, not where an optional signature was missing.
    pub fn handshake(&self, request: &Request<'_>, verified: bool) -> Option<Result<Answered, Refused>> {
        let proof = Proof {
            own: Own {
                secret: self.source.secrets.first().map(|newest| &newest.secret),
                rate: self.source.settings.rate_limit,
            },
            verify_token: self.source.verify_token.as_ref(),
        };
        self.handshakes.answer(request, verified, proof)
    }

    /// The events of a request that passed the verification: all of them, or why none. Their headers are
    /// for the caller to add.
    pub fn drafts(&self, request: &Request<'_>) -> Result<Vec<Draft>, Refused> {
        if self.handshakes.any_signs_unverified() && template::is_signable(request.body) {
            // Whoever asks for the handshake gets a signature over such a text.
            let detail = "the body could be a challenge that this source signed for anybody";
            return Err(Refused::new(Refusal::MalformedBody, detail));
        }
        let content_type =
            body::check(request).map_err(|fault| Refused::new(Refusal::MalformedBody, fault.to_string()))?;
        match self.attributes.format() {
            Format::Raw => self.attributes.drafts(request, &self.source.name, &content_type),
            Format::Cloudevents => cloudevents(request),
        }
    }
}

fn cloudevents(request: &Request<'_>) -> Result<Vec<Draft>, Refused> {
    let told = |reason, faults: Faults| {
        let each = faults.into_vec().into_iter().map(|fault| {
            let place = if fault.pointer.is_empty() {
                "the event"
            } else {
                &fault.pointer
            };
            format!("{place}: {}", fault.detail)
        });
        let detail = each.collect::<Vec<_>>().join("; ");
        Refused::new(
            reason,
            super::attributes::cut(&detail, crate::reception::DETAIL_BYTES_MAX),
        )
    };
    let mode = Mode::of(request.headers).map_err(|faults| told(Refusal::MalformedBody, faults))?;
    let Some(mode) = mode else {
        let detail = "not a CloudEvent: neither the header `ce-specversion` nor the media type \
                      application/cloudevents+json (or -batch+json)";
        return Err(Refused::new(Refusal::MalformedBody, detail));
    };
    mode.drafts(request.headers, request.body, ITEMS_MAX)
        .map_err(|error| match error {
            Unreadable::Syntax(detail) => Refused::new(Refusal::MalformedBody, detail),
            Unreadable::Faults(faults) => told(Refusal::Attributes, faults),
        })
}

fn read_response(response: &Response, faults: &mut Faults) -> AnswerParts {
    let status = StatusCode::from_u16(response.status)
        .ok()
        .filter(StatusCode::is_success);
    if status.is_none() {
        faults.add("/response/status", "must lie between 200 and 299");
    }
    let status = status.unwrap_or_default();
    if response.body.len() > ANSWER_BYTES_MAX {
        faults.add(
            "/response/body",
            format!("is longer than {ANSWER_BYTES_MAX} bytes"),
        );
    }
    // RFC 9110 sections 15.3.5 and 15.3.6: these have no content.
    let without = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    if without && !response.body.is_empty() {
        faults.add(
            "/response/body",
            format!("an answer with status {} has no body", status.as_u16()),
        );
    }
    if response.headers.len() > ANSWER_HEADERS_MAX {
        faults.add(
            "/response/headers",
            format!("has more than {ANSWER_HEADERS_MAX} headers"),
        );
    }
    let mut headers = Vec::new();
    for (name, value) in response.headers.iter().take(ANSWER_HEADERS_MAX) {
        let at = json::pointer("/response/headers", name);
        match (response_header(name), header_value(value)) {
            (Err(fault), _) => faults.add(at, fault),
            (_, None) => faults.add(at, "must be printable ASCII"),
            (Ok(name), Some(value)) => headers.push((name, value)),
        }
    }
    AnswerParts {
        status,
        headers,
        body: Bytes::copy_from_slice(response.body.as_bytes()),
    }
}

fn response_header(name: &str) -> Result<HeaderName, String> {
    if name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()) {
        return Ok(CONTENT_TYPE);
    }
    header_name(name)
}

#[cfg(test)]
pub(in crate::source) mod tests;
