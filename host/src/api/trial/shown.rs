//! How a test is shown: whole, for who may manage the subscription may see what it sends.

use serde::Serialize;

use crate::api::attempts::{RunOut, text_or_base64};
use crate::delivery::AttemptResult;
use crate::diagnosis::Finding;
use crate::id::EventId;
use crate::trial::{Exchange, Outcome, SampleFrom, Tried};
use crate::verdict::Verdict;

/// What became of a test.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TestOut {
    /// The event that it was tried with. It was not accepted and is not in history.
    event: EventTried,
    /// What was sent; null where the plugins gave nothing to send.
    request: Option<RequestSent>,
    /// What came back.
    response: Option<ResponseGot>,
    /// Why nothing came back.
    error: Option<ErrorOut>,
    /// How long it took.
    duration_ms: Option<u32>,
    /// What it means by the profile: `delivered`, `retry`, `throttle`, `fail`, `hold` or `disable`;
    /// `filtered` where a plugin filtered it.
    verdict: &'static str,
    /// Why it means that, where it is not `delivered`.
    reason: Option<String>,
    /// Whether a plugin filtered it, so that nothing was to be sent.
    filtered: bool,
    /// What the plugins did.
    plugin_runs: Vec<RunOut>,
    /// Requests that the plugins made beside this one; they were not sent.
    more_requests: usize,
    /// The signing secret, if it was made for this test. It is not kept: give it with the subscription, if it
    /// is to stay the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// What is probably wrong, the most telling first; empty where all seems well.
    diagnosis: Vec<FindingOut>,
}

/// The event of a test.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EventTried {
    /// Its id, as plugins and envelopes saw it.
    #[schema(value_type = String)]
    id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// Where its payload is from: `given`, `event_type` (the tenant's own sample), `catalogue` (the built-in
    /// one of the profile's name), `own_event` (one of Hookway's own) or `generic`.
    #[schema(value_type = String)]
    sample: SampleFrom,
}

/// The request of a test.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RequestSent {
    /// The method.
    method: String,
    /// The URL.
    url: String,
    /// The headers, signature included.
    headers: Vec<(String, String)>,
    /// The body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The answer to a test.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ResponseGot {
    /// The status.
    status_code: u16,
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

/// Why there was no answer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ErrorOut {
    /// `dns`, `connect`, `tls`, `timeout`, `protocol`, `refused`, `invalid`, or `plugin`.
    kind: &'static str,
    /// What exactly went wrong.
    detail: String,
}

/// One thing that is probably wrong.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FindingOut {
    /// A word that programs can branch on.
    code: &'static str,
    /// What was seen.
    detail: String,
    /// What to do.
    hint: String,
}

impl From<&Finding> for FindingOut {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.as_str(),
            detail: finding.detail.clone(),
            hint: finding.hint.clone(),
        }
    }
}

impl From<Tried> for TestOut {
    fn from(tried: Tried) -> Self {
        let diagnosis = tried.outcome.diagnosis().iter().map(FindingOut::from).collect();
        let blank = Self {
            event: EventTried {
                id: tried.event.id,
                event_type: tried.event.event_type.clone(),
                sample: tried.sample,
            },
            request: None,
            response: None,
            error: None,
            duration_ms: None,
            verdict: "filtered",
            reason: None,
            filtered: false,
            plugin_runs: tried.runs.iter().map(RunOut::from).collect(),
            more_requests: 0,
            secret: tried.generated.map(|secret| secret.reveal().to_owned()),
            diagnosis,
        };
        match tried.outcome {
            Outcome::Sent(exchange) => blank.with_exchange(*exchange),
            Outcome::Filtered { reason } => Self {
                filtered: true,
                reason: Some(reason),
                ..blank
            },
            Outcome::PluginFailed { verdict, reason } => Self {
                verdict,
                error: Some(ErrorOut {
                    kind: "plugin",
                    detail: reason.clone(),
                }),
                reason: Some(reason),
                ..blank
            },
        }
    }
}

impl TestOut {
    fn with_exchange(self, exchange: Exchange) -> Self {
        let (body, body_base64) = text_or_base64(&exchange.body);
        let (response, error) = match exchange.result {
            AttemptResult::Response {
                status,
                headers,
                body,
                truncated,
            } => {
                let (body, body_base64) = text_or_base64(&body);
                let got = ResponseGot {
                    status_code: status,
                    headers,
                    body,
                    body_base64,
                    truncated,
                };
                (Some(got), None)
            }
            AttemptResult::Error { kind, detail } => (
                None,
                Some(ErrorOut {
                    kind: kind.as_str(),
                    detail,
                }),
            ),
        };
        Self {
            request: Some(RequestSent {
                method: exchange.method,
                url: exchange.url,
                headers: exchange.headers,
                body,
                body_base64,
            }),
            response,
            error,
            duration_ms: Some(exchange.duration_ms),
            verdict: exchange.verdict.as_str(),
            reason: reason(&exchange.verdict),
            more_requests: exchange.more_requests,
            ..self
        }
    }
}

fn reason(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Delivered => None,
        Verdict::Retry { reason, .. }
        | Verdict::Throttle { reason, .. }
        | Verdict::Fail { reason, .. }
        | Verdict::Hold { reason, .. }
        | Verdict::Disable { reason, .. } => Some(reason.to_string()),
    }
}
