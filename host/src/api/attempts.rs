//! How plugin runs, requests and attempts are shown.
//!
//! What was sent is not stored whole: it follows from subscription, profile, event and stored request,
//! and [`crate::outbound`] puts it together as it did for the dispatcher. Endpoint URLs and the headers that
//! the operator configured are secrets: whole for `manage`, masked for `read`. Each body is shown
//! once, with its request, and not with every attempt, so that an answer stays bounded.

use data_encoding::BASE64;
use serde::Serialize;

use super::Sent;
use super::extract::Caller;
use crate::delivery::{Attempt, AttemptResult, LogLine, PluginRun, Request, RunOutcome};
use crate::digest::Digest;
use crate::event::Event;
use crate::id::RequestId;
use crate::outbound::{self, Endpoint};
use crate::profile::{Edition, Profile};
use crate::routing::Route;
use crate::secret::masked_url;
use crate::store::DeliveryDetail;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// What stands for a secret value.
const MASK: &str = "…";
/// Headers that carry credentials, whoever set them.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// What one plugin did in one run.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RunOut {
    /// 1 for the first run; all steps of one chain share it.
    run: u16,
    /// Place in the subscription's list, from 0.
    step: u8,
    /// The plugin.
    plugin: String,
    /// The exact component.
    #[schema(value_type = String)]
    digest: Digest,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// How long it took.
    duration_us: u64,
    /// Memory of the instance after the run.
    memory_bytes: u64,
    /// `deliver`, `filtered`, `reject`, `retry`, `misconfigured` or `fault`.
    outcome: &'static str,
    /// How many requests it gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u32>,
    /// How many events it emitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u32>,
    /// The plugin's reason, or what it broke.
    reason: Option<String>,
    /// The kind of fault.
    #[schema(value_type = Option<String>)]
    fault: Option<crate::delivery::FaultKind>,
    /// What it logged.
    logs: Vec<LogOut>,
    /// Lines that did not fit.
    logs_dropped: u32,
}

/// A line that a plugin logged.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LogOut {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[schema(value_type = String)]
    level: crate::delivery::LogLevel,
    /// The text.
    message: String,
}

impl From<&LogLine> for LogOut {
    fn from(line: &LogLine) -> Self {
        Self {
            level: line.level,
            message: line.message.clone(),
        }
    }
}

impl From<&PluginRun> for RunOut {
    fn from(run: &PluginRun) -> Self {
        let (outcome, reason, fault) = match &run.outcome {
            RunOutcome::Deliver { .. } => ("deliver", None, None),
            RunOutcome::Filtered { reason } => ("filtered", Some(reason), None),
            RunOutcome::Reject { reason } => ("reject", Some(reason), None),
            RunOutcome::Retry { reason, .. } => ("retry", Some(reason), None),
            RunOutcome::Misconfigured { reason } => ("misconfigured", Some(reason), None),
            RunOutcome::Fault { kind, detail } => ("fault", Some(detail), Some(*kind)),
        };
        let (requests, events) = match run.outcome {
            RunOutcome::Deliver { requests, events } => (Some(requests), Some(events)),
            _ => (None, None),
        };
        Self {
            requests,
            events,
            run: run.run,
            step: run.step,
            plugin: run.plugin.clone(),
            digest: run.digest,
            started_at: run.started_at,
            duration_us: run.duration_us,
            memory_bytes: run.memory_bytes,
            outcome,
            reason: reason.cloned(),
            fault,
            logs: run.logs.iter().map(LogOut::from).collect(),
            logs_dropped: run.logs_dropped,
        }
    }
}

/// A request of a delivery.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RequestOut {
    /// Its id, which is sent as `webhook-id`.
    #[schema(value_type = String)]
    id: RequestId,
    /// The method.
    method: String,
    /// The URL: whole for `manage`, masked for `read`; null where the subscription was removed.
    url: Option<String>,
    /// The body as it is sent, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body as it is sent, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// One sending of a request and what came back.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AttemptOut {
    /// 1 for the first.
    number: u16,
    /// The request.
    #[schema(value_type = String)]
    request_id: RequestId,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// How long it took.
    duration_ms: u32,
    /// The status of the answer, if there was one.
    status_code: Option<u16>,
    /// Why there was none: `dns`, `connect`, `tls`, `timeout`, `protocol`, `refused` or `invalid`.
    error: Option<&'static str>,
    /// What exactly went wrong.
    error_detail: Option<String>,
    /// Whether a person asked for it.
    resend: bool,
    /// The headers that were sent, by name; null where they cannot be told any more.
    request_headers: Option<Vec<(String, String)>>,
    /// What came back.
    response: Option<ResponseOut>,
}

/// An endpoint's answer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ResponseOut {
    /// Its headers.
    headers: Vec<(String, String)>,
    /// The start of its body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The start of its body, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Whether the body was longer.
    truncated: bool,
}

/// The request as it went over the wire: what follows from subscription, profile, event and stored
/// request, and what the attempt kept because it does not follow (time stamp, signature). None where
/// it cannot be told any more.
fn sent(
    route: &Route,
    look: &Profile,
    event: &Event,
    request: Option<&Request>,
    attempt: &Attempt,
) -> Option<Sent> {
    let endpoint = Endpoint::unsigned(route.subscription(), look).ok()?;
    let about = route.about(event, attempt.delivery);
    let mut outbound = endpoint.request(look, about, attempt.started_at, request).ok()?;
    outbound::add_headers(&mut outbound.headers, &attempt.signature_headers).ok()?;
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Some(Sent {
        method: outbound.method.to_string(),
        url: outbound.url.to_string(),
        headers: outbound
            .headers
            .iter()
            .map(|(name, value)| (endpoint.spelling(name).to_owned(), text(value)))
            .collect(),
        body: outbound.body,
    })
}

/// The requests and attempts of a delivery, as this caller may see them.
pub(super) fn shown(
    caller: &Caller,
    detail: &DeliveryDetail,
    route: Option<&Route>,
    look: Option<&Edition>,
    event: Option<&Event>,
) -> (Vec<RequestOut>, Vec<AttemptOut>) {
    let mut requests: Vec<RequestOut> = Vec::new();
    let mut attempts = Vec::with_capacity(detail.attempts.len());
    let stored = |id: RequestId| detail.requests.iter().find(|request| request.id == id);
    for attempt in &detail.attempts {
        let request = stored(attempt.request);
        let known = route.zip(look).zip(event);
        let sent =
            known.and_then(|((route, look), event)| sent(route, &look.profile, event, request, attempt));
        let sent = match (sent, route) {
            (Some(sent), Some(route)) if !caller.sees_secrets() => Some(masked(sent, route.subscription())),
            (sent, _) => sent,
        };
        if requests.iter().all(|known| known.id != attempt.request) {
            requests.extend(sent.as_ref().map(|sent| RequestOut::new(attempt.request, sent)));
        }
        attempts.push(AttemptOut::new(attempt, sent));
    }
    // Those that were not sent yet, and those whose sending cannot be put together any more.
    for request in &detail.requests {
        if requests.iter().all(|known| known.id != request.id) {
            requests.push(RequestOut::stored(request));
        }
    }
    requests.sort_by_key(|request| request.id);
    (requests, attempts)
}

fn masked(mut sent: Sent, subscription: &Subscription) -> Sent {
    sent.url = masked_url(&sent.url);
    for (name, value) in &mut sent.headers {
        let configured = subscription
            .endpoint
            .headers
            .iter()
            .any(|(own, _)| own.eq_ignore_ascii_case(name));
        if configured
            || CREDENTIALS
                .iter()
                .any(|credential| credential.eq_ignore_ascii_case(name))
        {
            MASK.clone_into(value);
        }
    }
    sent
}

/// A body as text if it is text, else in base64.
pub(super) fn text_or_base64(body: &[u8]) -> (Option<String>, Option<String>) {
    match str::from_utf8(body) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(BASE64.encode(body))),
    }
}

impl RequestOut {
    fn new(id: RequestId, sent: &Sent) -> Self {
        let (body, body_base64) = text_or_base64(&sent.body);
        Self {
            id,
            method: sent.method.clone(),
            url: Some(sent.url.clone()),
            body,
            body_base64,
        }
    }

    fn stored(request: &Request) -> Self {
        let (body, body_base64) = text_or_base64(&request.body);
        Self {
            id: request.id,
            method: request.method.clone(),
            url: None,
            body,
            body_base64,
        }
    }
}

impl AttemptOut {
    fn new(attempt: &Attempt, sent: Option<Sent>) -> Self {
        let (status_code, error, error_detail, response) = match &attempt.result {
            AttemptResult::Response {
                status,
                headers,
                body,
                truncated,
            } => {
                let (body, body_base64) = text_or_base64(body);
                let response = ResponseOut {
                    headers: headers.clone(),
                    body,
                    body_base64,
                    truncated: *truncated,
                };
                (Some(*status), None, None, Some(response))
            }
            AttemptResult::Error { kind, detail } => (None, Some(kind.as_str()), Some(detail.clone()), None),
        };
        Self {
            number: attempt.number,
            request_id: attempt.request,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            status_code,
            error,
            error_detail,
            resend: attempt.resend,
            request_headers: sent.map(|sent| sent.headers),
            response,
        }
    }
}
