//! `GET /deliveries/causes`: dead letters grouped by why they failed, the largest group first.
//!
//! It takes the filters of the list of deliveries, so what a group counts is what the list shows with
//! `status=failed` and the group's `cause` and `code`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::filters::{read_time, read_types};
use super::subscription_of;
use crate::api::Shared;
use crate::api::extract::{May, Query, ToRead};
use crate::api::problem::Problem;
use crate::delivery::Cause;
use crate::id::DeliveryId;
use crate::store::{CauseGroup, CauseQuery};
use crate::time::Timestamp;

/// Dead letters, grouped.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CausesOut {
    /// The groups, the largest first.
    data: Vec<CauseOut>,
    /// Whether there are more than a million dead letters, and the oldest are not counted. Ask for less
    /// with `since`, `until`, `subscription` or `type`.
    truncated: bool,
}

/// Dead letters with the same cause and the same status.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CauseOut {
    /// Why they failed, as one word; null where they failed before causes were kept.
    #[schema(value_type = Option<String>)]
    cause: Option<Cause>,
    /// The status of the last answer; null where there was none.
    code: Option<u16>,
    /// How many.
    count: u64,
    /// When the first of them failed.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When the last of them failed.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// The newest of them.
    #[schema(value_type = String)]
    sample_delivery_id: DeliveryId,
    /// Why that one failed, in words.
    sample_reason: String,
}

impl From<CauseGroup> for CauseOut {
    fn from(group: CauseGroup) -> Self {
        Self {
            cause: group.cause,
            code: group.code,
            count: group.count,
            first_at: group.first_at,
            last_at: group.last_at,
            sample_delivery_id: group.sample,
            sample_reason: group.sample_reason,
        }
    }
}

/// Groups dead letters by why they failed.
#[utoipa::path(
    get, path = "/api/v1/deliveries/causes", tag = "deliveries", operation_id = "list_causes",
    security(("key" = ["read"])),
    params(
        ("subscription" = Option<String>, Query, description = "`sub_…` or a key"),
        ("type" = Option<String>, Query, description = "A type, or a pattern such as `alert.*`"),
        ("since" = Option<String>, Query, description = "Made at this time or later (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Made before this time (RFC 3339)"),
    ),
    responses((status = 200, description = "The groups", body = CausesOut))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<CausesOut>, Problem> {
    let subscription = match query.text("subscription") {
        Some(given) => Some(subscription_of(&state, caller.tenant, &given)?),
        None => None,
    };
    let wanted = CauseQuery {
        tenant: Some(caller.tenant),
        subscription,
        event_type: read_types(&mut query)?,
        since: read_time(&mut query, "since")?,
        until: read_time(&mut query, "until")?,
    };
    query.finish()?;
    let causes = state.store.causes(wanted).await?;
    Ok(Json(CausesOut {
        data: causes.groups.into_iter().map(CauseOut::from).collect(),
        truncated: causes.truncated,
    }))
}
