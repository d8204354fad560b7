//! `/profiles`: how deliveries look and behave, as versioned data.
//!
//! A profile is shown as the document that it is: what `GET` shows can be changed and put back under a name
//! of one's own. A version is never changed; `PUT` adds the next one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::extract::{Caller, JsonBody, May, Query, ToManage, ToRead};
use super::page::Page;
use super::problem::Problem;
use super::{PREFIX, Shared};
use crate::json::{self, Faults};
use crate::profile::{Edition, Profile};
use crate::time::Timestamp;

/// A profile in one of its versions.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProfileOut {
    /// Its name, as subscriptions say it.
    name: String,
    /// Its version. A subscription keeps one by `name@version`.
    version: u32,
    /// Whether it is a profile of the router itself.
    built_in: bool,
    /// When the version was made; for those of the router, when it was first seen here.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The keys of subscriptions that have this version now.
    used_by: Vec<String>,
}

/// A profile with all that it says.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProfileWhole {
    /// The profile.
    #[serde(flatten)]
    shown: ProfileOut,
    /// All its versions, oldest first.
    versions: Vec<u32>,
    /// What it says; docs/profiles.md has every field.
    profile: Value,
}

impl ProfileOut {
    fn new(edition: &Edition, state: &Shared, caller: &Caller) -> Self {
        let routes = state.control.subscriptions(caller.tenant);
        let has = |id: &crate::routing::Route| id.edition().number == edition.number;
        let users = routes.iter().filter(|route| has(route));
        Self {
            name: edition.profile.name.clone(),
            version: edition.profile.version,
            built_in: edition.tenant.is_none(),
            created_at: edition.created_at,
            used_by: users.map(|route| route.subscription().id.to_string()).collect(),
        }
    }
}

fn whole(edition: &Arc<Edition>, state: &Shared, caller: &Caller) -> ProfileWhole {
    let shelf = state.control.shelf();
    let versions = shelf.versions(caller.tenant, &edition.profile.name);
    ProfileWhole {
        shown: ProfileOut::new(edition, state, caller),
        versions: versions.iter().map(|known| known.profile.version).collect(),
        // What was read from a document always becomes one.
        profile: serde_json::to_value(&edition.profile).unwrap_or_default(),
    }
}

/// Lists the profiles that there are, each in its newest version, by name.
#[utoipa::path(
    get, path = "/api/v1/profiles", tag = "profiles", operation_id = "list_profiles",
    security(("key" = ["read"])),
    responses((status = 200, description = "All of them", body = Page<ProfileOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    query: Query,
) -> Result<Json<Page<ProfileOut>>, Problem> {
    query.finish()?;
    let shelf = state.control.shelf();
    let known = shelf.known(caller.tenant).into_iter();
    let shown = known.map(|edition| ProfileOut::new(edition, &state, &caller));
    Ok(Json(Page::whole(shown.collect())))
}

/// Shows one profile, in its newest version or the one that is asked for.
#[utoipa::path(
    get, path = "/api/v1/profiles/{name}", tag = "profiles", operation_id = "get_profile",
    security(("key" = ["read"])),
    params(
        ("name" = String, Path, description = "Its name, or `name@version`"),
    ),
    responses((status = 200, description = "The profile", body = ProfileWhole))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<ProfileWhole>, Problem> {
    let shelf = state.control.shelf();
    let choice = name.parse().map_err(|_| Problem::not_found("profile"))?;
    let edition = shelf
        .find(caller.tenant, &choice)
        .ok_or_else(|| Problem::not_found("profile"))?;
    Ok(Json(whole(edition, &state, &caller)))
}

/// Makes a profile, or its next version. The same again makes nothing.
#[utoipa::path(
    put, path = "/api/v1/profiles/{name}", tag = "profiles", operation_id = "put_profile",
    security(("key" = ["manage"])),
    params(("name" = String, Path, description = "Its name")),
    request_body(content = serde_json::Value, description = "What it says; docs/profiles.md has every field"),
    responses(
        (status = 200, description = "It says this already", body = ProfileWhole),
        (status = 201, description = "Made", body = ProfileWhole),
    )
)]
pub async fn put(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let profile = read(&name, body.text())?;
    let put = state.control.put_profile(caller.tenant, &name, profile).await?;
    let shown = Json(whole(&put.edition, &state, &caller));
    let status = if put.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut answer = (status, shown).into_response();
    let place = format!("{PREFIX}/profiles/{name}@{}", put.edition.profile.version);
    if let (StatusCode::CREATED, Ok(place)) = (status, HeaderValue::from_str(&place)) {
        answer.headers_mut().insert(LOCATION, place);
    }
    Ok(answer)
}

/// Removes a profile with all its versions. Refused while a subscription has it; deliveries that look like
/// it go on to do so.
#[utoipa::path(
    delete, path = "/api/v1/profiles/{name}", tag = "profiles", operation_id = "delete_profile",
    security(("key" = ["manage"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    state.control.remove_profile(caller.tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A document, whose name and version are not its own business: the path says the one, the router the
/// other.
fn read(name: &str, text: &str) -> Result<Profile, Problem> {
    let mut document: Value = serde_json::from_str(text)
        .map_err(|error| Problem::new(super::problem::Kind::Malformed, error.to_string()))?;
    let Some(fields) = document.as_object_mut() else {
        return Err(Problem::invalid(Faults::one("", "must be an object")));
    };
    if fields.get("name").is_some_and(|given| given != name) {
        let detail = format!("is another than the path's, `{name}`; leave it out");
        return Err(Problem::invalid(Faults::one("/name", detail)));
    }
    fields.insert("name".to_owned(), name.into());
    fields.insert("version".to_owned(), 1.into());
    serde_path_to_error::deserialize(document).map_err(|error| {
        let place = json::place("", error.path());
        Problem::invalid(Faults::one(place, error.into_inner().to_string()))
    })
}
