//! The one shape of every refusal: problem details (RFC 9457).
//!
//! `type` is one of a closed set of references that clients may branch on; `detail` is for people and may
//! change. A problem travels to the frame ([`super::frame`]) as a value, where the request id is known:
//! there it is written out, and its cause, which no client ever sees, is logged once.
//!
//! `type` is a link that always works: `/problems/<slug>` of the very router that refused ([`pages`]), on
//! machines without a way out, too. RFC 9457 allows a relative reference (3.1.1), which the client resolves
//! against the URL that it asked, and recommends the full path for it, as here. Every kind has its page in
//! `docs/problems`, compiled in below, so that a kind without a page is no program.

mod html;
pub mod pages;

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::json::{Fault, Faults, Unreadable};
use crate::{space, store};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// The path of the pages; before every slug in `type`.
pub const PAGES: &str = "/problems";
/// The page that lists all others.
pub const INDEX: &str = include_str!("../../../docs/problems/README.md");
/// When to come again after "too much is waiting", in seconds: the writer drains its queue in less.
const RETRY_AFTER_SECONDS: u32 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $status:ident $slug:literal $title:literal;)*) => {
        /// What kind of problem. A closed set: clients branch on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind, for the tests and the document.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];
            /// The HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)* }
            }
            /// The last part of `type`.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)* }
            }
            /// The same words for every problem of the kind.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
            /// `type`: [`PAGES`], a slash and the slug.
            pub const fn reference(self) -> &'static str {
                match self { $(Self::$kind => concat!("/problems/", $slug),)* }
            }
            /// What it means and what to do: the text of the page.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$kind => include_str!(concat!("../../../docs/problems/", $slug, ".md")),)*
                }
            }
            /// The kind with this slug.
            pub fn of_slug(slug: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
            }
        }
    };
}

kinds! {
    /// The body is not JSON, not UTF-8, or nests too deep.
    Malformed BAD_REQUEST "malformed" "The body cannot be read";
    /// A query parameter or header is wrong.
    Parameter BAD_REQUEST "invalid-parameter" "A parameter is not valid";
    /// No key, or none that is known.
    Unauthorized UNAUTHORIZED "unauthorized" "A valid API key is needed";
    /// A source got a request whose signature, token or password is missing or wrong.
    Unverified UNAUTHORIZED "unverified" "The request could not be verified";
    /// The key does not have the scope.
    Forbidden FORBIDDEN "forbidden" "The key may not do this";
    /// A source does not take requests from this address.
    AddressRefused FORBIDDEN "address-refused" "The address may not send here";
    /// A handshake that does not show what the source wants to see.
    HandshakeRefused FORBIDDEN "handshake-refused" "The handshake is refused";
    /// Nothing there, or nothing of this tenant.
    NotFound NOT_FOUND "not-found" "There is no such thing";
    /// The path knows other methods.
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "The path does not take this method";
    /// The body did not arrive in time.
    SlowBody REQUEST_TIMEOUT "request-timeout" "The request took too long to arrive";
    /// It contradicts what is there.
    Conflict CONFLICT "conflict" "It contradicts what is there";
    /// The id or `Idempotency-Key` came before with other content.
    IdempotencyConflict CONFLICT "idempotency-conflict" "The id or key was used before with other content";
    /// The body has expired.
    Expired GONE "expired" "It has expired";
    /// `If-Match` names another version.
    Changed PRECONDITION_FAILED "changed" "It was changed in between";
    /// The body is too large.
    TooLarge PAYLOAD_TOO_LARGE "too-large" "The body is too large";
    /// The body is in a format that is not taken.
    MediaType UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body's format is not taken";
    /// Fields of the body are wrong.
    Invalid UNPROCESSABLE_ENTITY "invalid" "The request is not valid";
    /// More than is allowed in this time; the caller adds `Retry-After`.
    RateLimited TOO_MANY_REQUESTS "rate-limited" "Too many requests";
    /// Our fault.
    Internal INTERNAL_SERVER_ERROR "internal" "Something went wrong on our side";
    /// Too much is waiting; come again.
    Overloaded SERVICE_UNAVAILABLE "overloaded" "Too much is waiting";
    /// Shutting down, or the answer took too long.
    Unavailable SERVICE_UNAVAILABLE "unavailable" "The router cannot answer now";
    /// The disk is full.
    StorageFull INSUFFICIENT_STORAGE "storage-full" "The disk is full";
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    faults: Vec<Fault>,
    headers: Vec<(http::HeaderName, HeaderValue)>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// What is written.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// What kind: `/problems/…`, a closed set; the router answers it with a page that says what to do.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The same words for every problem of the kind.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong here, for people.
    detail: &'a str,
    /// To be quoted when asking for help; also in the log.
    request_id: &'a str,
    /// What is wrong in the body, field by field.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            kind,
            detail,
            faults: Vec::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    /// Nothing of this name or id, or nothing that is this tenant's.
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no such {what}"))
    }

    /// A query parameter or header that is wrong.
    pub fn parameter(name: &str, detail: &str) -> Self {
        Self::new(Kind::Parameter, format!("`{name}` {detail}"))
    }

    /// No key or no good one; says so the way RFC 6750 asks.
    pub fn unauthorized(detail: &str) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"hookway\"");
        Self::new(Kind::Unauthorized, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Our fault; the cause goes to the log and nowhere else.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(Kind::Internal, "it has been logged under the request id").with_cause(cause)
    }

    /// Fields of the body are wrong.
    pub fn invalid(faults: Faults) -> Self {
        let faults = faults.into_vec();
        let detail = match faults.as_slice() {
            [one] if one.pointer.is_empty() => format!("the body {}", one.detail),
            [one] => format!("`{}` {}", one.pointer, one.detail),
            many => format!("{} fields are wrong; `errors` names them", many.len()),
        };
        Self {
            faults,
            ..Self::new(Kind::Invalid, detail)
        }
    }

    /// Adds a header to the answer.
    pub fn with_header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds what breaks, field by field, to a problem of another kind.
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults.into_vec();
        self
    }

    /// Keeps a cause for the log.
    pub fn with_cause(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is wrong here, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The whole chain of causes, for the log.
    pub fn chain(&self) -> Option<String> {
        let first: &(dyn Error + 'static) = self.cause.as_deref()?;
        let mut text = first.to_string();
        let mut next = first.source();
        while let Some(cause) = next {
            // Writing to a string cannot fail.
            let _written = write!(text, ": {cause}");
            next = cause.source();
        }
        Some(text)
    }

    /// The answer, now that the request id is known.
    pub fn answer(&self, request_id: &str) -> Response {
        let document = Document {
            kind: self.kind.reference(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            request_id,
            errors: &self.faults,
        };
        // Texts and numbers always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut answer = (self.kind.status(), body).into_response();
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        for (name, value) in &self.headers {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
        answer
    }
}

/// Leaves the problem on the answer for the frame to write out.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = self.kind.status().into_response();
        answer.extensions_mut().insert(Arc::new(self));
        answer
    }
}

impl From<Unreadable> for Problem {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Syntax(detail) => Self::new(Kind::Malformed, format!("not JSON: {detail}")),
            Unreadable::Faults(faults) => Self::invalid(faults),
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let retry = HeaderValue::from(RETRY_AFTER_SECONDS);
        match error {
            store::Error::Full(_) => Self::new(Kind::StorageFull, "nothing was kept; free some space")
                .with_cause(error)
                .with_header(RETRY_AFTER, space::AGAIN.as_secs().into()),
            store::Error::Busy => {
                Self::new(Kind::Overloaded, "nothing was kept; send it again").with_header(RETRY_AFTER, retry)
            }
            store::Error::Closed | store::Error::Fenced => Self::new(
                Kind::Unavailable,
                "the router is shutting down or lost its database; nothing was kept",
            )
            .with_cause(error)
            .with_header(RETRY_AFTER, retry),
            store::Error::Taken { what } => Self::new(Kind::Conflict, format!("{what} is taken")),
            store::Error::Changed => Self::new(Kind::Changed, "read it again, then change it"),
            store::Error::Missing { what } => Self::not_found(what),
            store::Error::Damaged { .. } | store::Error::Backend(_) => Self::internal(error),
        }
    }
}

/// Said once in the log, not once a call: it is no fault of the call.
impl From<space::Low> for Problem {
    fn from(low: space::Low) -> Self {
        Self::new(Kind::StorageFull, low.to_string()).with_header(RETRY_AFTER, space::AGAIN.as_secs().into())
    }
}

/// The answer to a method that the path does not take; the frame fills in `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("`{ALLOW}` says which it takes"))
}

/// The answer to a path that is not there.
pub async fn not_found() -> Problem {
    Problem::not_found("path; /openapi.json lists what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(problem: &Problem) -> String {
        let answer = problem.answer("r-1");
        assert_eq!(answer.headers()[CONTENT_TYPE], MEDIA_TYPE);
        let body = http_body_util::BodyExt::collect(answer.into_body());
        let body = futures_util::FutureExt::now_or_never(body)
            .unwrap()
            .unwrap()
            .to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn a_problem_is_written_as_rfc_9457_asks() {
        let faults = Faults::one("/url", "must be an https URL");
        assert_eq!(
            written(&Problem::invalid(faults)),
            r#"{"type":"/problems/invalid","title":"The request is not valid","status":422,"#.to_owned()
                + r#""detail":"`/url` must be an https URL","request_id":"r-1","#
                + r#""errors":[{"pointer":"/url","detail":"must be an https URL"}]}"#
        );
        assert_eq!(
            written(&Problem::not_found("event")),
            r#"{"type":"/problems/not-found","title":"There is no such thing","status":404,"#.to_owned()
                + r#""detail":"there is no such event","request_id":"r-1"}"#
        );
    }

    /// Clients branch on these: a change here is a change of the contract.
    #[test]
    fn the_kinds_are_a_closed_and_stable_set() {
        let kinds: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{} {}", kind.status().as_u16(), kind.slug()))
            .collect();
        assert_eq!(
            kinds,
            [
                "400 malformed",
                "400 invalid-parameter",
                "401 unauthorized",
                "401 unverified",
                "403 forbidden",
                "403 address-refused",
                "403 handshake-refused",
                "404 not-found",
                "405 method-not-allowed",
                "408 request-timeout",
                "409 conflict",
                "409 idempotency-conflict",
                "410 expired",
                "412 changed",
                "413 too-large",
                "415 unsupported-media-type",
                "422 invalid",
                "429 rate-limited",
                "500 internal",
                "503 overloaded",
                "503 unavailable",
                "507 storage-full",
            ]
        );
    }

    #[test]
    fn a_cause_is_for_the_log_only() {
        let secret = std::io::Error::other("/var/lib/hookway/db: disk I/O error");
        let problem = Problem::from(store::Error::Backend(secret.into()));
        assert!(!written(&problem).contains("disk"));
        assert_eq!(
            problem.chain().unwrap(),
            "the database failed: /var/lib/hookway/db: disk I/O error",
            "the log gets the chain"
        );
    }

    #[test]
    fn the_stores_troubles_have_their_statuses() {
        let full = store::Error::Full(std::io::Error::other("x").into());
        let table = [
            (full, 507),
            (store::Error::Busy, 503),
            (store::Error::Closed, 503),
        ];
        for (error, status) in table {
            assert_eq!(Problem::from(error).kind().status().as_u16(), status);
        }
        let busy = Problem::from(store::Error::Busy).answer("r");
        assert_eq!(busy.headers()[RETRY_AFTER], "1");
    }
}
