//! `/operations`, `/subscriptions/{id}/recover` and `/replay`: sending again what failed, and old events
//! through today's plugins; and the same at once for one event or a list of deliveries.
//!
//! Operations run in the background: the answer is the operation, and reading it tells how far it is.
//! With `preview` nothing is begun and the answer is what an operation would put in.

mod asked;
pub mod once;
mod shown;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::Shared;
use super::extract::{Caller, JsonBody, May, Query, ToManage, ToRead};
use super::page::{List, Page};
use super::problem::{Kind as ProblemKind, Problem};
use crate::id::OperationId;
use crate::json::Faults;
use crate::operation::{Kind, Operation};
use crate::recovery;
use crate::store::OperationQuery;

pub use asked::{AskedIn, OperationIn};
pub use shown::{AskedOut, OperationOut, PositionOut, PreviewOut, ProgressOut, TypeCount};

impl From<recovery::Error> for Problem {
    fn from(error: recovery::Error) -> Self {
        let detail = error.to_string();
        match error {
            recovery::Error::Pattern(fault) => Self::invalid(Faults::one("/types", fault.to_string())),
            recovery::Error::SubscriptionGone => Self::not_found("subscription"),
            recovery::Error::Missing(what) => Self::not_found(what),
            recovery::Error::TooMany | recovery::Error::TooManyPreviews | recovery::Error::Over(_) => {
                Self::new(ProblemKind::Conflict, detail)
            }
            recovery::Error::Stopping => Self::new(ProblemKind::Unavailable, detail),
            recovery::Error::Expired => Self::new(ProblemKind::Expired, detail),
            recovery::Error::Store(error) => error.into(),
        }
    }
}

/// Begins what was read, or counts it.
async fn answer(state: &Shared, caller: &Caller, wanted: asked::Wanted) -> Result<Response, Problem> {
    if wanted.preview {
        let preview = state.recovery.preview(caller.tenant, wanted.asked).await?;
        return Ok(Json(PreviewOut::new(preview)).into_response());
    }
    let operation = state.recovery.begin(caller.tenant, wanted.asked).await?;
    Ok(OperationOut::new(operation).answer(StatusCode::ACCEPTED))
}

async fn of_subscription(
    state: &Shared,
    caller: &Caller,
    id: &str,
    kind: Kind,
    body: &JsonBody,
) -> Result<Response, Problem> {
    let route = state.control.subscription(caller.tenant, id);
    let route = route.ok_or_else(|| Problem::not_found("subscription"))?;
    let mut wanted = asked::of_subscription(kind, body)?;
    wanted.asked.subscription = Some(route.subscription().id);
    answer(state, caller, wanted).await
}

/// Sends everything of this subscription that failed again, in the background: the same requests under
/// the same ids. With `preview` it only counts.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/recover", tag = "subscriptions",
    operation_id = "recover_subscription",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<AskedIn>,
    responses(
        (status = 202, description = "Begun", body = OperationOut),
        (status = 200, description = "The preview", body = PreviewOut),
    )
)]
pub async fn recover(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    of_subscription(&state, &caller, &id, Kind::Recover, &body).await
}

/// Makes new deliveries of old events for this subscription, in the background, through today's plugins:
/// events that match its patterns and its filter today. With `preview` it only counts.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/replay", tag = "subscriptions",
    operation_id = "replay_subscription",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<AskedIn>,
    responses(
        (status = 202, description = "Begun", body = OperationOut),
        (status = 200, description = "The preview", body = PreviewOut),
    )
)]
pub async fn replay(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    of_subscription(&state, &caller, &id, Kind::Replay, &body).await
}

/// Begins an operation for one subscription or for all of the tenant.
#[utoipa::path(
    post, path = "/api/v1/operations", tag = "operations", operation_id = "create_operation",
    security(("key" = ["manage"])),
    request_body = OperationIn,
    responses(
        (status = 202, description = "Begun", body = OperationOut),
        (status = 200, description = "The preview", body = PreviewOut),
    )
)]
pub async fn begin(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let named = |text: &str| {
        let route = state.control.subscription(caller.tenant, text)?;
        Some(route.subscription().id)
    };
    let wanted = asked::of_tenant(&body, named)?;
    answer(&state, &caller, wanted).await
}

/// Lists operations, newest first.
#[utoipa::path(
    get, path = "/api/v1/operations", tag = "operations", operation_id = "list_operations",
    security(("key" = ["read"])),
    params(
        ("running" = Option<bool>, Query, description = "Only those that have not ended"),
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<OperationOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<OperationOut>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(List::Operations)?.map(OperationId::from_number);
    let running = query.switch("running")?;
    query.finish()?;
    let wanted = OperationQuery {
        tenant: Some(caller.tenant),
        running,
        before,
        limit: limit + 1,
    };
    let rows = state.store.operations(wanted).await?;
    let number = |operation: &Operation| operation.id.number();
    Ok(Json(Page::cut(
        List::Operations,
        rows,
        limit,
        number,
        OperationOut::new,
    )))
}

/// Shows one operation and how far it is.
#[utoipa::path(
    get, path = "/api/v1/operations/{id}", tag = "operations", operation_id = "get_operation",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`op_…`")),
    responses((status = 200, description = "The operation", body = OperationOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<OperationOut>, Problem> {
    let found = state.store.operation(operation_id(&id)?).await?;
    let own = found.filter(|operation| operation.tenant == caller.tenant);
    let operation = own.ok_or_else(|| Problem::not_found("operation"))?;
    Ok(Json(OperationOut::new(operation)))
}

/// Stops an operation between two steps. What it has put in stays.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/cancel", tag = "operations", operation_id = "cancel_operation",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`op_…`")),
    responses((status = 200, description = "Cancelled", body = OperationOut))
)]
pub async fn cancel(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<OperationOut>, Problem> {
    let operation = state.recovery.cancel(caller.tenant, operation_id(&id)?).await?;
    Ok(Json(OperationOut::new(operation)))
}

fn operation_id(id: &str) -> Result<OperationId, Problem> {
    id.parse().map_err(|_| Problem::not_found("operation"))
}
