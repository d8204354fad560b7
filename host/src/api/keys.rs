//! `/keys`: API keys. A key is shown in the answer that makes it and never again.
//!
//! Who administers one tenant sees and makes keys of that tenant only; who administers the router
//! chooses with `router: true` a key that is bound to none.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;

use super::Shared;
use super::extract::{Caller, JsonBody, May, Query, ToAdminister};
use super::page::Page;
use super::problem::{Kind, Problem};
use crate::auth::{Scope, Scopes};
use crate::control::keys::NewKey;
use crate::id::{KeyId, TenantId};
use crate::json::{self, Faults, Fields, Given};
use crate::store::Key;
use crate::time::Timestamp;

/// A new key.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct KeyIn {
    /// For people.
    name: String,
    /// Some of `ingest`, `metrics`, `read`, `manage`, `admin`.
    scopes: Vec<String>,
    /// Whether it acts for any tenant; else it is bound to the tenant of this request.
    router: Option<bool>,
}

/// A key, without the key.
#[derive(Serialize, utoipa::ToSchema)]
pub struct KeyOut {
    /// Its id.
    #[schema(value_type = String)]
    id: KeyId,
    /// For people.
    name: String,
    /// The tenant it is bound to; null for a key of the whole router.
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// The name of this tenant.
    tenant: Option<String>,
    /// What it may be used for.
    scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// The key itself: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyOut {
    fn of(key: Key, state: &Shared) -> Self {
        Self {
            id: key.id,
            name: key.name,
            tenant_id: key.tenant,
            tenant: key.tenant.and_then(|id| state.control.tenant_name(id)),
            scopes: key.scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            key: None,
        }
    }
}

/// Makes a key. The answer is the only one that shows it.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "keys", operation_id = "create_key",
    security(("key" = ["admin"])),
    request_body = KeyIn,
    responses((status = 201, description = "Made", body = KeyOut))
)]
pub async fn create(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<(StatusCode, Json<KeyOut>), Problem> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let name = fields.text("name", &mut faults).unwrap_or_default();
    let scopes = scopes(&mut fields, &mut faults);
    let router = fields
        .read("router", "true or false", &mut faults)
        .unwrap_or(false);
    fields.finish(&mut faults);
    faults.or(())?;
    if router && caller.principal.tenant.is_some() {
        let detail = "the key is bound to a tenant and cannot make one that is not";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let tenant = (!router).then_some(caller.tenant);
    let (key, secret) = state.control.create_key(NewKey { name, tenant, scopes }).await?;
    let shown = KeyOut {
        key: Some(secret.reveal().to_owned()),
        ..KeyOut::of(key, &state)
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

fn scopes(fields: &mut Fields<'_>, faults: &mut Faults) -> Scopes {
    let Given::Value(raw) = fields.given("scopes") else {
        return Scopes::default();
    };
    match json::items(raw.get(), "/scopes", Scope::ALL.len()) {
        Ok(items) => {
            let read = items.into_iter().enumerate().filter_map(|(place, item)| {
                let pointer = format!("/scopes/{place}");
                let word: String = json::read(item, &pointer, "a string", faults)?;
                word.parse::<Scope>()
                    .map_err(|fault| faults.add(pointer, format!("is {fault}")))
                    .ok()
            });
            read.collect()
        }
        Err(error) => {
            faults.append(error.into_faults());
            Scopes::default()
        }
    }
}

/// The keys that a caller sees: the tenant's, or all where they administer the router and named none.
fn seen_by(caller: &Caller, all: bool) -> Option<TenantId> {
    if all && caller.principal.tenant.is_none() {
        None
    } else {
        Some(caller.tenant)
    }
}

/// Lists keys, revoked ones too, newest first.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys", operation_id = "list_keys",
    security(("key" = ["admin"])),
    params(("all" = Option<bool>, Query, description = "Those of every tenant and of the router, for who administers it")),
    responses((status = 200, description = "All of them", body = Page<KeyOut>))
)]
pub async fn list(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<KeyOut>>, Problem> {
    let all = query.switch("all")?;
    query.finish()?;
    let keys = state.control.keys(seen_by(&caller, all)).await?;
    let shown = keys.into_iter().map(|key| KeyOut::of(key, &state));
    Ok(Json(Page::whole(shown.collect())))
}

/// Revokes a key. It opens nothing from now on.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "keys", operation_id = "revoke_key",
    security(("key" = ["admin"])),
    params(("id" = String, Path, description = "`key_…`")),
    responses((status = 204, description = "Revoked"))
)]
pub async fn revoke(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: KeyId = id.parse().map_err(|_| Problem::not_found("key"))?;
    state.control.revoke_key(seen_by(&caller, true), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
