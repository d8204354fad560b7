//! `/tenants`: owners of everything else; for who administers the whole router.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::Shared;
use super::extract::{Caller, JsonBody, May, Query, ToAdminister};
use super::page::Page;
use super::problem::{Kind, Problem};
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
}

/// A tenant.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TenantOut {
    /// Its id.
    #[schema(value_type = String)]
    id: TenantId,
    /// Its name, which may stand for the id in `Hookway-Tenant`.
    name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Tenant> for TenantOut {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name.clone(),
            created_at: tenant.created_at,
        }
    }
}

fn check_router_wide(caller: &Caller) -> Result<(), Problem> {
    match caller.principal.tenant {
        None => Ok(()),
        Some(_) => Err(Problem::new(Kind::Forbidden, "the key is bound to one tenant")),
    }
}

/// Makes a tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants", tag = "tenants", operation_id = "create_tenant",
    request_body = TenantIn,
    responses((status = 201, description = "Made", body = TenantOut))
)]
pub async fn create(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<(StatusCode, Json<TenantOut>), Problem> {
    check_router_wide(&caller)?;
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let name = fields.text("name", &mut faults).unwrap_or_default();
    fields.finish(&mut faults);
    faults.or(())?;
    let tenant = state.control.create_tenant(name).await?;
    Ok((StatusCode::CREATED, Json(TenantOut::from(&tenant))))
}

/// Lists tenants.
#[utoipa::path(
    get, path = "/api/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    responses((status = 200, description = "All of them", body = Page<TenantOut>))
)]
pub async fn list(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    query: Query,
) -> Result<Json<Page<TenantOut>>, Problem> {
    check_router_wide(&caller)?;
    query.finish()?;
    Ok(Json(Page::whole(
        state.control.tenants().iter().map(TenantOut::from).collect(),
    )))
}
