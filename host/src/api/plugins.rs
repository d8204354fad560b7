//! `/plugins`: which there are, uploading a version, trying one on an event.

pub mod run;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::Shared;
use super::bodies::read_body;
use super::extract::{Caller, May, Query, ToManage, ToRead};
use super::page::Page;
use super::problem::Problem;
use crate::control::plugins::Known;
use crate::digest::Digest;
use crate::id::SubscriptionId;
use crate::plugin::{Manifest, Plugin};
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
    /// What its component says and asks for.
    #[serde(flatten)]
    component: ComponentOut,
    /// Uploaded versions, newest first.
    versions: Vec<VersionOut>,
}

/// What is seen in a component alone, wherever it lies.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ComponentOut {
    /// JSON Schema of its configuration.
    config_schema: Option<serde_json::Value>,
    /// Event types that it can do something with; empty means all.
    event_types: Vec<String>,
    /// Headers of the event's request that it is given.
    wants_headers: Vec<String>,
    /// Everything that it can reach.
    imports: Vec<String>,
    /// Everything that it offers.
    exports: Vec<String>,
    /// Its size in bytes.
    size: usize,
}

impl From<&Plugin> for ComponentOut {
    fn from(plugin: &Plugin) -> Self {
        let manifest = plugin.manifest();
        Self {
            config_schema: manifest.config_schema.clone(),
            event_types: manifest.event_types.clone(),
            wants_headers: manifest.wants_headers.clone(),
            imports: plugin.imports().to_vec(),
            exports: plugin.exports().to_vec(),
            size: plugin.bytes(),
        }
    }
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
    security(("key" = ["read"])),
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
    security(("key" = ["read"])),
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
        component: ComponentOut::from(&*plugin),
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
    security(("key" = ["manage"])),
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
    security(("key" = ["manage"])),
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
