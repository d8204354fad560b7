//! `/sources`: the addresses at which other services deliver, and the presets that know these services.

mod body;
mod shown;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::Shared;
use super::extract::{JsonBody, May, Query, ToManage, ToRead, if_match};
use super::page::{List, Page};
use super::problem::Problem;
use super::subscriptions::RotateIn;
use crate::control::set::Set;
use crate::control::sources::Wish;
use crate::intake::Entry;
use crate::source::preset::{self, SecretMaker};

pub use body::{MappingIn, ResponseIn, SourceIn};
pub use shown::SourceOut;

use body::wish;

/// Makes a source. The answer is the only one that shows a secret made here; one that was given is not
/// repeated.
#[utoipa::path(
    post, path = "/api/v1/sources", tag = "sources", operation_id = "create_source",
    security(("key" = ["manage"])),
    request_body = SourceIn,
    responses((status = 201, description = "Made", body = SourceOut))
)]
pub async fn create(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let wish = wish(&body)?;
    let given = matches!(wish.secret, Set::To(_));
    let made = state.control.create_source(caller.tenant, wish).await?;
    let mut shown = SourceOut::new(&made, &state);
    if !given {
        shown = shown.with_secret(&made);
    }
    Ok(shown.answer(StatusCode::CREATED))
}

/// Lists sources, newest first.
#[utoipa::path(
    get, path = "/api/v1/sources", tag = "sources", operation_id = "list_sources",
    security(("key" = ["read"])),
    params(
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<SourceOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<SourceOut>>, Problem> {
    let (limit, before) = (query.limit()?, query.cursor(List::Sources)?.unwrap_or(i64::MAX));
    query.finish()?;
    let mut entries = state.control.sources(caller.tenant);
    entries.retain(|entry| entry.source().id.number() < before);
    let number = |entry: &Arc<Entry>| entry.source().id.number();
    let page = Page::cut(List::Sources, entries, limit, number, |entry| {
        SourceOut::new(&entry, &state)
    });
    Ok(Json(page))
}

/// Shows one source.
#[utoipa::path(
    get, path = "/api/v1/sources/{id}", tag = "sources", operation_id = "get_source",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`src_…` or its name")),
    responses((status = 200, description = "The source", body = SourceOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let entry = state
        .control
        .source(caller.tenant, &id)
        .ok_or_else(|| Problem::not_found("source"))?;
    Ok(SourceOut::new(&entry, &state).answer(StatusCode::OK))
}

/// Changes what is given; null takes away (RFC 7396). `If-Match` guards against changes in between.
#[utoipa::path(
    patch, path = "/api/v1/sources/{id}", tag = "sources", operation_id = "update_source",
    security(("key" = ["manage"])),
    params(
        ("id" = String, Path, description = "`src_…` or its name"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = SourceIn,
    responses((status = 200, description = "Changed", body = SourceOut))
)]
pub async fn update(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let version = if_match(&headers)?;
    let changed = state
        .control
        .update_source(caller.tenant, &id, wish(&body)?, version)
        .await?;
    Ok(SourceOut::new(&changed, &state).answer(StatusCode::OK))
}

/// Removes a source. What it accepted stays in history and is delivered.
#[utoipa::path(
    delete, path = "/api/v1/sources/{id}", tag = "sources", operation_id = "delete_source",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`src_…` or its name")),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    state
        .control
        .delete_source(caller.tenant, &id, if_match(&headers)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn switch(caller: &May<ToManage>, state: &Shared, id: &str, on: bool) -> Result<Response, Problem> {
    let wish = Wish {
        enabled: Set::To(on),
        ..Wish::default()
    };
    let changed = state.control.update_source(caller.tenant, id, wish, None).await?;
    Ok(SourceOut::new(&changed, state).answer(StatusCode::OK))
}

/// Takes requests again.
#[utoipa::path(
    post, path = "/api/v1/sources/{id}/enable", tag = "sources", operation_id = "enable_source",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`src_…` or its name")),
    responses((status = 200, description = "Enabled", body = SourceOut))
)]
pub async fn enable(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    switch(&caller, &state, &id, true).await
}

/// Answers 404 to every request until it is enabled again.
#[utoipa::path(
    post, path = "/api/v1/sources/{id}/disable", tag = "sources", operation_id = "disable_source",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`src_…` or its name")),
    responses((status = 200, description = "Disabled", body = SourceOut))
)]
pub async fn disable(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    switch(&caller, &state, &id, false).await
}

/// Puts a new secret first; the old one is accepted beside it for a while. The answer shows a secret that
/// was made here.
#[utoipa::path(
    post, path = "/api/v1/sources/{id}/rotate-secret", tag = "sources", operation_id = "rotate_source_secret",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`src_…` or its name")),
    request_body = Option<RotateIn>,
    responses((status = 200, description = "Rotated", body = SourceOut))
)]
pub async fn rotate_secret(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (secret, overlap) = super::subscriptions::rotation(&body)?;
    let given = secret.is_some();
    let changed = state
        .control
        .rotate_source_secret(caller.tenant, &id, secret, overlap)
        .await?;
    let mut shown = SourceOut::new(&changed, &state);
    if !given {
        shown = shown.with_secret(&changed);
    }
    Ok(shown.answer(StatusCode::OK))
}

/// A service that Hookway knows.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PresetOut {
    /// The name, for `preset` of a source.
    name: String,
    /// The service.
    title: String,
    /// Where it describes its webhooks.
    documentation: Option<String>,
    /// Where the secret is entered, or found, at the service.
    secret: Option<String>,
    /// `hookway` (it is made where none is given) or `service` (it must be given).
    #[schema(value_type = Option<String>)]
    secret_made_by: Option<SecretMaker>,
    /// Where the verify token is entered at the service, where a handshake shows one.
    verify_token: Option<String>,
}

/// Lists the services that Hookway knows.
#[utoipa::path(
    get, path = "/api/v1/source-presets", tag = "sources", operation_id = "list_source_presets",
    security(("key" = ["read"])),
    responses((status = 200, description = "All of them", body = Page<PresetOut>))
)]
pub async fn presets(_caller: May<ToRead>) -> Json<Page<PresetOut>> {
    let shown = preset::all().iter().map(|preset| PresetOut {
        name: preset.name.clone(),
        title: preset.title.clone(),
        documentation: preset.documentation.clone(),
        secret: preset.secret.clone(),
        secret_made_by: preset.secret_made_by,
        verify_token: preset.verify_token.clone(),
    });
    Json(Page::whole(shown.collect()))
}
