//! `/plugins`: which there are, uploading a version, trying one on an event.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Shared;
use super::attempts::{LogOut, text_or_base64};
use super::events::{draft, problem_of};
use super::extract::{Caller, JsonBody, May, Query, ToManage, ToRead, read_body};
use super::page::Page;
use super::problem::{Kind, Problem};
use super::subscriptions::empty_config;
use crate::control::plugins::Known;
use crate::delivery::FaultKind;
use crate::digest::Digest;
use crate::id::SubscriptionId;
use crate::json::{Faults, Fields, Given};
use crate::plugin::{GuestEvent, GuestOutcome, GuestRequest, Manifest, Plugin, Run};
use crate::store::PluginVersion;
use crate::time::Timestamp;

/// A plugin.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PluginOut {
    /// The name that subscriptions use.
    name: String,
    /// `first-party` (in the binary) or `uploaded`.
    origin: &'static str,
    /// Today's component.
    #[schema(value_type = String)]
    digest: Digest,
    /// Its version, by its own word.
    version: String,
    /// What it does, by its own word.
    summary: String,
    /// Subscriptions that use it, in any version.
    #[schema(value_type = Vec<String>)]
    used_by: Vec<SubscriptionId>,
}

/// A plugin with all that is known of it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PluginWhole {
    /// The plugin.
    #[serde(flatten)]
    plugin: PluginOut,
    /// JSON Schema of its configuration.
    config_schema: Option<serde_json::Value>,
    /// Event types that it can do something with; empty means all.
    event_types: Vec<String>,
    /// Everything that it can reach.
    imports: Vec<String>,
    /// Uploaded versions, newest first.
    versions: Vec<VersionOut>,
}

/// An uploaded version.
#[derive(Serialize, utoipa::ToSchema)]
pub struct VersionOut {
    /// The component.
    #[schema(value_type = String)]
    digest: Digest,
    /// Its size in bytes.
    size: u64,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    uploaded_at: Timestamp,
    /// Whether subscriptions that name no digest use it.
    current: bool,
}

impl From<&PluginVersion> for VersionOut {
    fn from(version: &PluginVersion) -> Self {
        Self {
            digest: version.digest,
            size: version.size,
            uploaded_at: version.uploaded_at,
            current: version.current,
        }
    }
}

impl PluginOut {
    fn new(known: Known, manifest: &Manifest) -> Self {
        Self {
            name: known.name,
            origin: if known.versions.is_empty() {
                "first-party"
            } else {
                "uploaded"
            },
            digest: known.current,
            version: manifest.version.clone(),
            summary: manifest.summary.clone(),
            used_by: known.used_by,
        }
    }
}

/// Lists the plugins that subscriptions can name.
#[utoipa::path(
    get, path = "/api/v1/plugins", tag = "plugins", operation_id = "list_plugins",
    responses((status = 200, description = "All of them, by name", body = Page<PluginOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    query: Query,
) -> Result<Json<Page<PluginOut>>, Problem> {
    query.finish()?;
    let mut data = Vec::new();
    for name in state.control.catalogue().names(caller.tenant) {
        let Some(known) = state.control.plugin(caller.tenant, &name) else {
            continue;
        };
        let manifest = manifest_of(&state, &caller, &known).await?;
        data.push(PluginOut::new(known, &manifest));
    }
    Ok(Json(Page::whole(data)))
}

/// What a plugin says of itself: as it was stored, so that a list needs no compiler.
async fn manifest_of(state: &Shared, caller: &Caller, known: &Known) -> Result<Manifest, Problem> {
    let stored = known
        .versions
        .iter()
        .find(|version| version.digest == known.current);
    match stored.and_then(|version| serde_json::from_str(&version.manifest).ok()) {
        Some(manifest) => Ok(manifest),
        None => Ok(state
            .control
            .manifest(caller.tenant, &known.name, known.current)
            .await?),
    }
}

/// Shows one plugin.
#[utoipa::path(
    get, path = "/api/v1/plugins/{name}", tag = "plugins", operation_id = "get_plugin",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The plugin", body = PluginWhole))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<PluginWhole>, Problem> {
    Ok(Json(whole(&state, &caller, &name).await?))
}

async fn whole(state: &Shared, caller: &Caller, name: &str) -> Result<PluginWhole, Problem> {
    let known = state
        .control
        .plugin(caller.tenant, name)
        .ok_or_else(|| Problem::not_found("plugin"))?;
    let plugin = state
        .control
        .catalogue()
        .resolve(caller.tenant, name, Some(known.current))
        .await;
    let plugin = plugin.map_err(crate::control::Error::from)?;
    let manifest = plugin.manifest();
    Ok(PluginWhole {
        config_schema: manifest.config_schema.clone(),
        event_types: manifest.event_types.clone(),
        imports: plugin.imports().to_vec(),
        versions: known.versions.iter().map(VersionOut::from).collect(),
        plugin: PluginOut::new(known, manifest),
    })
}

/// A plugin after an upload.
#[derive(Serialize, utoipa::ToSchema)]
pub struct UploadOut {
    /// The plugin.
    #[serde(flatten)]
    plugin: PluginWhole,
    /// Subscriptions that are held now because their configuration does not suit the new version.
    #[schema(value_type = Vec<String>)]
    held: Vec<SubscriptionId>,
}

/// Uploads a component and makes it today's version. 409 tells which subscriptions would break.
#[utoipa::path(
    put, path = "/api/v1/plugins/{name}", tag = "plugins", operation_id = "upload_plugin",
    params(
        ("name" = String, Path, description = "The name that subscriptions use"),
        ("force" = Option<bool>, Query, description = "Take it although subscriptions break, and hold those"),
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component"),
    responses(
        (status = 201, description = "A new version", body = UploadOut),
        (status = 200, description = "It was today's version before", body = UploadOut),
    )
)]
pub async fn upload(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    mut query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<UploadOut>), Problem> {
    let force = query.switch("force")?;
    query.finish()?;
    let limits = &state.limits;
    let component = read_body(&headers, body, limits.component_bytes_max, limits.body_timeout).await?;
    let uploaded = state
        .control
        .upload_plugin(caller.tenant, &name, component, force)
        .await?;
    let status = if uploaded.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let plugin = whole(&state, &caller, &name).await?;
    Ok((
        status,
        Json(UploadOut {
            plugin,
            held: uploaded.held,
        }),
    ))
}

/// Removes an uploaded plugin that nobody uses.
#[utoipa::path(
    delete, path = "/api/v1/plugins/{name}", tag = "plugins", operation_id = "delete_plugin",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    state.control.remove_plugin(caller.tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to try.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct RunIn {
    /// An event, as it would be accepted.
    event: super::events::EventIn,
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
}

impl From<GuestRequest> for RunRequest {
    fn from(request: GuestRequest) -> Self {
        let (body, body_base64) = text_or_base64(&request.body);
        let GuestRequest {
            method,
            path,
            headers,
            delay_ms,
            ..
        } = request;
        Self {
            method,
            path,
            headers,
            body,
            body_base64,
            delay_ms,
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
            data,
            data_base64,
        }
    }
}

impl RunResult {
    fn new(plugin: &Plugin, run: Run) -> Self {
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

/// Runs a plugin on an event and sends nothing.
#[utoipa::path(
    post, path = "/api/v1/plugins/{name}/run", tag = "plugins", operation_id = "run_plugin",
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
    let draft = faults.or(draft)?.into_iter().collect();
    let events = state.ingest.events_from(caller.tenant, draft, state.clock.now());
    let events = events.map_err(|error| problem_of(error, false))?;
    let Some(event) = events.into_iter().next() else {
        return Err(Problem::new(Kind::Malformed, "there is no event"));
    };
    let (plugin, run) = state
        .control
        .run_plugin(&name, digest, config.get(), Arc::clone(&event))
        .await?;
    Ok(Json(RunResult::new(&plugin, run)))
}
