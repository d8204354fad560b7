//! `/event-types`: what a tenant says about its types of events, and the catalogues that come with the
//! router.

mod body;
mod shown;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Shared;
use super::extract::{JsonBody, May, Query, ToManage, ToRead, if_match};
use super::page::Page;
use super::problem::Problem;
use crate::event_type::catalogue;

pub use body::{EventTypeIn, LoadIn};
pub use shown::{CatalogueOut, EventTypeOut, LoadedOut};

use body::{Read, read};

/// What the caller likes to read.
fn language(headers: &HeaderMap) -> &str {
    headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Lists the described event types by name, without their schemas and samples.
#[utoipa::path(
    get, path = "/api/v1/event-types", tag = "event types", operation_id = "list_event_types",
    security(("key" = ["read"])),
    params(
        ("group" = Option<String>, Query, description = "Only those of this group"),
        ("Accept-Language" = Option<String>, Header, description = "The language of `description`"),
    ),
    responses((status = 200, description = "All of them", body = Page<EventTypeOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response, Problem> {
    let group = query.text("group");
    query.finish()?;
    let types = state.control.event_types(caller.tenant);
    let wanted = types.values().filter(|known| {
        let own = known.event_type.definition.group.as_deref();
        group.is_none() || own == group.as_deref()
    });
    let shown = wanted.map(|known| EventTypeOut::summary(known, language(&headers)));
    let mut answer = Json(Page::whole(shown.collect())).into_response();
    answer
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept-language"));
    Ok(answer)
}

/// Shows one event type with its schema and its sample.
#[utoipa::path(
    get, path = "/api/v1/event-types/{name}", tag = "event types", operation_id = "get_event_type",
    security(("key" = ["read"])),
    params(
        ("name" = String, Path, description = "The type, such as `alert.created`"),
        ("Accept-Language" = Option<String>, Header, description = "The language of `description`"),
    ),
    responses((status = 200, description = "The event type", body = EventTypeOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let known = state
        .control
        .event_type(caller.tenant, &name)
        .ok_or_else(|| Problem::not_found("event type"))?;
    Ok(EventTypeOut::whole(&known, language(&headers)).answer(StatusCode::OK))
}

/// Describes a type of events. Nothing else changes: events of types that nobody described are taken too,
/// unless `ingest.unknown_types` says otherwise.
#[utoipa::path(
    post, path = "/api/v1/event-types", tag = "event types", operation_id = "create_event_type",
    security(("key" = ["manage"])),
    request_body = EventTypeIn,
    responses((status = 201, description = "Described", body = EventTypeOut))
)]
pub async fn create(
    caller: May<ToManage>,
    State(state): State<Shared>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let Read { name, wish } = read(&body, None)?;
    let made = state.control.create_event_type(caller.tenant, name, wish).await?;
    Ok(EventTypeOut::whole(&made, language(&headers)).answer(StatusCode::CREATED))
}

/// Describes a type anew, whole; what is not given is not kept. `If-Match` guards against changes in between.
#[utoipa::path(
    put, path = "/api/v1/event-types/{name}", tag = "event types", operation_id = "put_event_type",
    security(("key" = ["manage"])),
    params(
        ("name" = String, Path, description = "The type, such as `alert.created`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = EventTypeIn,
    responses(
        (status = 200, description = "Changed", body = EventTypeOut),
        (status = 201, description = "Described for the first time", body = EventTypeOut),
    )
)]
pub async fn put(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let Read { name, wish } = read(&body, Some(name))?;
    let version = if_match(&headers)?;
    let known = state
        .control
        .put_event_type(caller.tenant, name, wish, version)
        .await?;
    let status = match known.event_type.version {
        1 => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    Ok(EventTypeOut::whole(&known, language(&headers)).answer(status))
}

/// Changes what is given; null takes away (RFC 7396). `If-Match` guards against changes in between.
#[utoipa::path(
    patch, path = "/api/v1/event-types/{name}", tag = "event types", operation_id = "update_event_type",
    security(("key" = ["manage"])),
    params(
        ("name" = String, Path, description = "The type, such as `alert.created`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = EventTypeIn,
    responses((status = 200, description = "Changed", body = EventTypeOut))
)]
pub async fn update(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let Read { name, wish } = read(&body, Some(name))?;
    let version = if_match(&headers)?;
    let changed = state
        .control
        .update_event_type(caller.tenant, &name, wish, version)
        .await?;
    Ok(EventTypeOut::whole(&changed, language(&headers)).answer(StatusCode::OK))
}

/// Forgets what is said about a type. Its events stay, and more may come.
#[utoipa::path(
    delete, path = "/api/v1/event-types/{name}", tag = "event types", operation_id = "delete_event_type",
    security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The type, such as `alert.created`")),
    responses((status = 204, description = "Forgotten"))
)]
pub async fn remove(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    state
        .control
        .delete_event_type(caller.tenant, &name, if_match(&headers)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Describes many types at once, all or none: those of a built-in catalogue, or of a document of one's own.
/// Types that are there already are replaced.
#[utoipa::path(
    post, path = "/api/v1/event-types/load", tag = "event types", operation_id = "load_event_types",
    security(("key" = ["manage"])),
    request_body = LoadIn,
    responses((status = 200, description = "What was added and changed", body = LoadedOut))
)]
pub async fn load(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<Json<LoadedOut>, Problem> {
    let definitions = body::definitions(&body)?;
    let loaded = state
        .control
        .load_event_types(caller.tenant, definitions, "/event_types")
        .await?;
    Ok(Json(loaded.into()))
}

/// Lists the catalogues that come with the router.
#[utoipa::path(
    get, path = "/api/v1/event-type-catalogues", tag = "event types",
    operation_id = "list_event_type_catalogues",
    security(("key" = ["read"])),
    responses((status = 200, description = "All of them", body = Page<CatalogueOut>))
)]
pub async fn catalogues(_caller: May<ToRead>) -> Json<Page<CatalogueOut>> {
    Json(Page::whole(
        catalogue::built_ins().iter().map(CatalogueOut::from).collect(),
    ))
}
