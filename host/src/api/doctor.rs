//! `/doctor`: the router looks at itself, for who administers it. Nothing is changed by it.

use axum::Json;
use axum::extract::State;

use super::Shared;
use super::extract::{May, Query, ToAdminister};
use super::problem::Problem;
use crate::checkup::Checkup;
use crate::checkup::stride::{Place, Stride};
use crate::doctor::Names;

/// Looks at database, machine, configuration, plugins, subscriptions and what waits, and says of each how it
/// is and what to do.
#[utoipa::path(
    get, path = "/api/v1/doctor", tag = "health", operation_id = "doctor",
    security(("key" = ["admin", "router"])),
    params(("dns" = Option<bool>, Query, description = "Look the names of endpoints up too")),
    responses((status = 200, description = "What was found", body = Checkup))
)]
pub async fn checkup(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Checkup>, Problem> {
    caller.must_be_the_routers()?;
    let names = match query.switch("dns")? {
        true => Names::LookedUp,
        false => Names::LeftAlone,
    };
    query.finish()?;
    Ok(Json(state.doctor.checkup(names).await?))
}

/// Goes a stride through everything that is stored, and compares. Call it again with `next` as the cursor
/// until there is none.
#[utoipa::path(
    get, path = "/api/v1/doctor/recount", tag = "health", operation_id = "doctor_recount",
    security(("key" = ["admin", "router"])),
    params(("cursor" = Option<String>, Query, description = "`next` of the stride before")),
    responses((status = 200, description = "What this stride found", body = Stride))
)]
pub async fn recount(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Stride>, Problem> {
    caller.must_be_the_routers()?;
    let from = query.read("cursor", "`next` of the stride before")?;
    query.finish()?;
    let stride = state.doctor.recount(from.unwrap_or(Place::first())).await?;
    Ok(Json(stride))
}
