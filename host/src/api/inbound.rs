//! `/webhooks/{source}`: where other services deliver. No key: the source's verification decides.
//!
//! A source of the default tenant is at `/webhooks/{name}`, one of another tenant at
//! `/webhooks/{tenant}/{name}`. One that is not there and one that is switched off answer alike.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};

use super::Shared;
use super::bodies::{Taken, read_stranger};
use super::problem::{Kind, Problem};
use super::remote::sender;
use super::server::Peer;
use crate::id::TenantId;
use crate::intake::{Answer, BodyFault, Head, Refused};
use crate::reception::Refusal;
use crate::source;

/// How the paths of sources begin.
pub const PREFIX: &str = "/webhooks/";
/// Tells who looks at the sender's log which event a request became.
const EVENT_ID: HeaderName = HeaderName::from_static("hookway-event-id");

/// Takes a request to a source of the default tenant: events by POST, and handshakes.
#[utoipa::path(
    post, path = "/webhooks/{source}", tag = "sources", operation_id = "receive", security(()),
    request_body(
        content = Option<Vec<u8>>, content_type = "application/octet-stream",
        description = "Whatever the service sends, of any media type: kept byte for byte. Handshakes come by other \
                       methods too, as the source's preset says"
    ),
    params(("source" = String, Path, description = "Its name, or `src_…`")),
    responses((status = 200, description = "Received, and durable; or what the source says instead"))
)]
pub async fn receive(
    State(state): State<Shared>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = state.control.default_tenant();
    taken(&state, tenant, &source, request).await
}

/// Takes a request to a source of a tenant: events by POST, and handshakes.
#[utoipa::path(
    post, path = "/webhooks/{tenant}/{source}", tag = "sources", operation_id = "receive_of_tenant",
    security(()),
    request_body(
        content = Option<Vec<u8>>, content_type = "application/octet-stream",
        description = "Whatever the service sends, of any media type: kept byte for byte"
    ),
    params(
        ("tenant" = String, Path, description = "Its name, or `tnt_…`"),
        ("source" = String, Path, description = "Its name, or `src_…`"),
    ),
    responses((status = 200, description = "Received, and durable; or what the source says instead"))
)]
pub async fn receive_of_tenant(
    State(state): State<Shared>,
    Path((tenant, source)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = state
        .control
        .tenant(&tenant)
        .ok_or_else(|| Problem::not_found("source"))?;
    taken(&state, tenant, &source, request).await
}

async fn taken(state: &Shared, tenant: TenantId, name: &str, request: Request) -> Result<Response, Problem> {
    let found = state
        .control
        .source(tenant, name)
        .filter(|entry| entry.source().enabled);
    let entry = found.ok_or_else(|| Problem::not_found("source"))?;
    let (parts, body) = request.into_parts();
    // Only a server of another kind than ours leaves it out; then nobody is allowed by address.
    let peer = parts.extensions.get::<Peer>();
    let peer = peer.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
    let head = Head {
        method: &parts.method,
        headers: &parts.headers,
        query: parts.uri.query(),
        path: parts.uri.path(),
        remote: sender(peer, &parts.headers, &state.limits.trusted_proxies),
    };
    let max = state.intake.body_bytes_max(&entry);
    // Who must not see what was refused must not see it in what is missing either.
    let same_answer = entry.source().settings.always_ok;
    // Given back when this request is over: until then the body is in memory.
    let mut taken = state.bodies.of(entry.source().id);
    let whole = whole(state, head, body, max, &mut taken);
    match state.intake.receive(entry, head, whole).await {
        Answer::Taken { response, first } => {
            let mut answer = answer(response);
            if let Ok(id) = HeaderValue::from_str(&first.to_string())
                && !same_answer
            {
                answer.headers_mut().insert(EVENT_ID, id);
            }
            Ok(answer)
        }
        Answer::Silenced(parts) | Answer::Handshake(parts) => Ok(answer(parts)),
        Answer::Refused(refused) => Err(problem(refused)),
    }
}

async fn whole(
    state: &Shared,
    head: Head<'_>,
    body: Body,
    max: usize,
    taken: &mut Taken,
) -> Result<Bytes, BodyFault> {
    let time = state.limits.body_timeout;
    let read = read_stranger(head.headers, body, max, time, taken).await;
    read.map_err(|problem| BodyFault {
        reason: match problem.kind() {
            Kind::TooLarge => Refusal::Body,
            Kind::Unavailable => Refusal::Unavailable,
            // It broke off, or its chunks are none.
            Kind::Malformed => Refusal::MalformedBody,
            _ => Refusal::SlowBody,
        },
        detail: problem.detail().to_owned(),
    })
}

fn answer(parts: source::AnswerParts) -> Response {
    let mut answer = (parts.status, parts.body).into_response();
    // What axum thinks of bytes is not what the source says of them.
    answer.headers_mut().remove(CONTENT_TYPE);
    let headers = answer.headers_mut();
    headers.extend(parts.headers);
    // No answer to a machine is a page: it stands beside whatever else is served from here.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    answer
}

/// What the sender is told where a request is refused for this reason.
pub(crate) const fn kind(reason: Refusal) -> Kind {
    match reason {
        Refusal::Address => Kind::AddressRefused,
        Refusal::Handshake => Kind::HandshakeRefused,
        Refusal::Rate => Kind::RateLimited,
        Refusal::Method => Kind::MethodNotAllowed,
        Refusal::Body => Kind::TooLarge,
        Refusal::SlowBody => Kind::SlowBody,
        Refusal::Unsigned | Refusal::MalformedSignature | Refusal::Mismatch | Refusal::Stale => {
            Kind::Unverified
        }
        Refusal::MalformedBody => Kind::Malformed,
        Refusal::Attributes => Kind::Invalid,
        Refusal::Conflict => Kind::IdempotencyConflict,
        Refusal::Certificate | Refusal::Unavailable => Kind::Unavailable,
    }
}

fn problem(refused: Refused) -> Problem {
    let kind = kind(refused.reason);
    let mut problem = Problem::new(kind, refused.detail);
    if refused.reason == Refusal::Method {
        // RFC 9110, section 15.5.6. Handshakes are no method that anybody else could use.
        problem = problem.with_header(ALLOW, HeaderValue::from_static("POST"));
    }
    match refused.retry_after {
        None => problem,
        Some(wait) => problem.with_header(RETRY_AFTER, wait.as_secs().max(1).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_history_says_is_what_the_sender_was_told() {
        for reason in Refusal::ALL {
            let refused = Refused {
                reason: *reason,
                detail: String::new(),
                retry_after: None,
            };
            let told = problem(refused).kind().status().as_u16();
            assert_eq!(told, reason.status(), "{}", reason.as_str());
            assert!((400..500).contains(&told) || told == 503, "{}", reason.as_str());
        }
    }
}
