//! `/tenants`: owners of everything else; for who administers the whole router.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;

use super::Shared;
use super::extract::{Caller, JsonBody, May, Query, ToAdminister};
use super::page::Page;
use super::problem::Problem;
use super::wishes::Wishes;
use crate::control::tenants::TenantWish;
use crate::event_type::Strictness;
use crate::id::TenantId;
use crate::json::{Faults, Fields};
use crate::store::Tenant;
use crate::time::Timestamp;

/// A new tenant.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct TenantIn {
    /// A unique slug.
    name: String,
    /// What it is called in deliveries (`{tenant}` in profiles, such as WorkFlows' `orgId`); its name where
    /// nothing is said. It can be set once.
    external_id: Option<String>,
    /// The profile of its subscriptions that name none; `standard-webhooks` where nothing is said.
    default_profile: Option<String>,
    /// Whether payloads of its events by the API must keep to the schemas of their types: `off` or `refuse`;
    /// what the operator has configured (`ingest.validate`) where nothing is said.
    validate_events: Option<String>,
}

/// What can be changed of a tenant.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct TenantChange {
    /// What it is called in deliveries. It can be set once.
    external_id: Option<String>,
    /// The profile of its subscriptions that name none.
    default_profile: Option<String>,
    /// Whether payloads of its events by the API must keep to the schemas of their types: `off` or `refuse`.
    validate_events: Option<String>,
}

/// A tenant.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TenantOut {
    /// Its id.
    #[schema(value_type = String)]
    id: TenantId,
    /// Its name, which may stand for the id in `Hookway-Tenant`.
    name: String,
    /// What it is called in deliveries, if that is not its name.
    external_id: Option<String>,
    /// The profile of its subscriptions that name none.
    default_profile: String,
    /// Whether payloads of its events must keep to their schemas, if it has said so: `off` or `refuse`.
    #[schema(value_type = Option<String>)]
    validate_events: Option<Strictness>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Tenant> for TenantOut {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name.clone(),
            external_id: tenant.settings.external_id.clone(),
            default_profile: tenant
                .settings
                .default_profile
                .clone()
                .unwrap_or_default()
                .to_string(),
            validate_events: tenant.settings.validate_events,
            created_at: tenant.created_at,
        }
    }
}

/// Makes a tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants", tag = "tenants", operation_id = "create_tenant",
    security(("key" = ["admin", "router"])),
    request_body = TenantIn,
    responses((status = 201, description = "Made", body = TenantOut))
)]
pub async fn create(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<(StatusCode, Json<TenantOut>), Problem> {
    caller.must_be_the_routers()?;
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let name = fields.text("name", &mut faults).unwrap_or_default();
    let wish = wish(fields, faults)?;
    let tenant = state.control.create_tenant(name, wish).await?;
    Ok((StatusCode::CREATED, Json(TenantOut::from(&tenant))))
}

fn wish(fields: Fields<'_>, mut faults: Faults) -> Result<TenantWish, Problem> {
    let mut wishes = Wishes {
        fields,
        faults: &mut faults,
    };
    let wish = TenantWish {
        external_id: wishes.set("external_id", "a string"),
        default_profile: wishes.set("default_profile", "the name of a profile"),
        validate_events: wishes.set("validate_events", "`off` or `refuse`"),
    };
    wishes.fields.finish(wishes.faults);
    Ok(faults.or(wish)?)
}

/// The tenant that a path names, for who may see it: its own keys and those of the whole router.
fn named(caller: &Caller, state: &Shared, id: &str) -> Result<TenantId, Problem> {
    let found = state.control.tenant(id);
    let own = |tenant: &TenantId| caller.principal.tenant.is_none_or(|bound| bound == *tenant);
    found.filter(own).ok_or_else(|| Problem::not_found("tenant"))
}

/// Shows one tenant.
#[utoipa::path(
    get, path = "/api/v1/tenants/{id}", tag = "tenants", operation_id = "get_tenant",
    security(("key" = ["admin"])),
    params(("id" = String, Path, description = "`ten_…` or its name")),
    responses((status = 200, description = "The tenant", body = TenantOut))
)]
pub async fn show(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<TenantOut>, Problem> {
    let id = named(&caller, &state, &id)?;
    let tenants = state.control.tenants();
    let tenant = tenants.iter().find(|tenant| tenant.id == id);
    let tenant = tenant.ok_or_else(|| Problem::not_found("tenant"))?;
    Ok(Json(TenantOut::from(tenant)))
}

/// Changes what is given; null takes away (RFC 7396).
#[utoipa::path(
    patch, path = "/api/v1/tenants/{id}", tag = "tenants", operation_id = "update_tenant",
    security(("key" = ["admin"])),
    params(("id" = String, Path, description = "`ten_…` or its name")),
    request_body = TenantChange,
    responses((status = 200, description = "Changed", body = TenantOut))
)]
pub async fn update(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Json<TenantOut>, Problem> {
    let id = named(&caller, &state, &id)?;
    let wish = wish(Fields::of(body.text(), "")?, Faults::default())?;
    let tenant = state.control.update_tenant(id, wish).await?;
    Ok(Json(TenantOut::from(&tenant)))
}

/// Lists tenants.
#[utoipa::path(
    get, path = "/api/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    security(("key" = ["admin", "router"])),
    responses((status = 200, description = "All of them", body = Page<TenantOut>))
)]
pub async fn list(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    query: Query,
) -> Result<Json<Page<TenantOut>>, Problem> {
    caller.must_be_the_routers()?;
    query.finish()?;
    Ok(Json(Page::whole(
        state.control.tenants().iter().map(TenantOut::from).collect(),
    )))
}
