//! Trying a plugin: one event through one fresh instance, and nothing is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::Shared;
use crate::api::attempts::{LogOut, text_or_base64};
use crate::api::events::{EventIn, Form, draft, problem_of};
use crate::api::extract::{JsonBody, May, ToManage};
use crate::api::problem::{Kind, Problem};
use crate::api::subscriptions::empty_config;
use crate::delivery::FaultKind;
use crate::digest::Digest;
use crate::event::Draft;
use crate::json::{Faults, Fields, Given};
use crate::plugin::{GuestEvent, GuestOutcome, GuestRequest, Plugin, Run};

/// What to try.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct RunIn {
    /// An event, as it would be accepted.
    event: EventIn,
    /// Headers of a request that would have brought it, by name; as a source would keep them.
    headers: Option<BTreeMap<String, String>>,
    /// The configuration; `{}` where none is given.
    config: Option<serde_json::Value>,
    /// The version; today's where none is named.
    digest: Option<String>,
}

/// What a run gave. Nothing was sent.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RunResult {
    /// The version that ran.
    #[schema(value_type = String)]
    digest: Digest,
    /// `deliver`, `filtered`, `reject`, `retry`, `misconfigured` or `fault`.
    outcome: &'static str,
    /// The plugin's reason, or what it broke.
    reason: Option<String>,
    /// The kind of fault.
    #[schema(value_type = Option<String>)]
    fault: Option<FaultKind>,
    /// Not before this many milliseconds, for `retry`.
    after_ms: Option<u32>,
    /// What would be sent.
    requests: Vec<RunRequest>,
    /// Events that would be raised.
    events: Vec<RunEvent>,
    /// What it logged.
    logs: Vec<LogOut>,
    /// Lines that did not fit.
    logs_dropped: u32,
    /// How long it ran, a fresh instance included.
    duration_us: u64,
    /// Memory of the instance after the run.
    memory_bytes: u64,
}

/// A request that a plugin made.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RunRequest {
    /// The endpoint's own where none.
    method: Option<&'static str>,
    /// Path and query; the endpoint's own where none.
    path: Option<String>,
    /// Headers.
    headers: Vec<(String, String)>,
    /// The body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Not to be sent before this many milliseconds have passed.
    delay_ms: Option<u32>,
    /// A later request with the same key is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup_key: Option<String>,
}

impl From<GuestRequest> for RunRequest {
    fn from(request: GuestRequest) -> Self {
        let (body, body_base64) = text_or_base64(&request.body);
        let GuestRequest {
            method,
            path,
            headers,
            delay_ms,
            dedup_key,
            ..
        } = request;
        Self {
            method,
            path,
            headers,
            body,
            body_base64,
            delay_ms,
            dedup_key,
        }
    }
}

/// An event that a plugin raised.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RunEvent {
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// What it is about.
    subject: Option<String>,
    /// The media type of its data.
    datacontenttype: String,
    /// Extension attributes.
    extensions: BTreeMap<String, String>,
    /// Its data, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// Its data, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl From<GuestEvent> for RunEvent {
    fn from(event: GuestEvent) -> Self {
        let (data, data_base64) = text_or_base64(&event.data);
        Self {
            event_type: event.event_type,
            subject: event.subject,
            datacontenttype: event.content_type,
            extensions: event.attributes.into_iter().collect(),
            data,
            data_base64,
        }
    }
}

impl RunResult {
    /// The record of a run: of this router's, and of the command line's where it needs no router.
    pub(crate) fn new(plugin: &Plugin, run: Run) -> Self {
        let mut result = Self {
            digest: plugin.digest(),
            outcome: "deliver",
            reason: None,
            fault: None,
            after_ms: None,
            requests: Vec::new(),
            events: Vec::new(),
            logs: run.logs.iter().map(LogOut::from).collect(),
            logs_dropped: run.logs_dropped,
            duration_us: run.duration_us,
            memory_bytes: run.memory_bytes,
        };
        let (outcome, reason) = match run.result {
            Ok(GuestOutcome::Deliver(output)) => {
                result.requests = output.requests.into_iter().map(RunRequest::from).collect();
                result.events = output.events.into_iter().map(RunEvent::from).collect();
                return result;
            }
            Ok(GuestOutcome::Filtered(reason)) => ("filtered", reason),
            Ok(GuestOutcome::Reject(reason)) => ("reject", reason),
            Ok(GuestOutcome::Retry { reason, after_ms }) => {
                result.after_ms = after_ms;
                ("retry", reason)
            }
            Ok(GuestOutcome::Misconfigured(reason)) => ("misconfigured", reason),
            Err(fault) => {
                result.fault = Some(fault.kind);
                ("fault", fault.detail)
            }
        };
        Self {
            outcome,
            reason: Some(reason),
            ..result
        }
    }
}

/// Headers as a source keeps them: names in lower case.
pub(crate) fn lower_case(headers: BTreeMap<String, String>) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect()
}

/// Runs a plugin on an event and sends nothing.
#[utoipa::path(
    post, path = "/api/v1/plugins/{name}/run", tag = "plugins", operation_id = "run_plugin",
    security(("key" = ["manage"])),
    params(("name" = String, Path, description = "Its name")),
    request_body = RunIn,
    responses((status = 200, description = "What it gave", body = RunResult))
)]
pub async fn run(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    body: JsonBody,
) -> Result<Json<RunResult>, Problem> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let digest = fields.read("digest", "64 hexadecimal digits", &mut faults);
    let config: Box<RawValue> = match fields.given("config") {
        Given::Value(raw) => raw.to_owned(),
        Given::Absent | Given::Null => empty_config(),
    };
    let headers: Option<BTreeMap<String, String>> =
        fields.read("headers", "an object of strings", &mut faults);
    let draft = match fields.given("event") {
        Given::Value(raw) => draft(raw.get(), "/event", &body.bytes)
            .map_err(|error| faults.append(error.into_faults()))
            .ok(),
        Given::Absent | Given::Null => {
            faults.add("/event", "must be given");
            None
        }
    };
    fields.finish(&mut faults);
    let with_headers = |draft: Draft| Draft {
        headers: lower_case(headers.unwrap_or_default()),
        ..draft
    };
    let draft = faults.or(draft)?.map(with_headers).into_iter().collect();
    let events = state.ingest.events_from(caller.tenant, draft, state.clock.now());
    let events = events.map_err(|error| problem_of(error, Form::One))?;
    let Some(event) = events.into_iter().next() else {
        return Err(Problem::new(Kind::Malformed, "there is no event"));
    };
    let (plugin, run) = state
        .control
        .run_plugin(&name, digest, config.get(), Arc::clone(&event))
        .await?;
    Ok(Json(RunResult::new(&plugin, run)))
}
