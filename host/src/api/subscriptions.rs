//! `/subscriptions` and `/webhooks`: the routing table, row by row.

mod body;
mod retry;
mod shown;
pub mod stats;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::Shared;
use super::extract::{JsonBody, May, Query, ToManage, ToRead, if_match};
use super::page::{List, Page};
use super::problem::Problem;
use crate::control::subscriptions::OVERLAP_DEFAULT;
use crate::json::{Faults, Fields};
use crate::routing::Route;
use crate::secret::Secret;

pub(super) use body::empty_config;
pub use body::{StepIn, SubscriptionIn};
pub use retry::{RetryIn, RetryShown};
pub use shown::{CountersOut, StepOut, SubscriptionOut};

pub(super) use body::wish;

/// Makes a subscription. The answer is the only one that shows its secret.
#[utoipa::path(
    post, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "create_subscription",
    security(("key" = ["manage"])),
    request_body = SubscriptionIn,
    responses((status = 201, description = "Made", body = SubscriptionOut))
)]
pub async fn create(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let made = state
        .control
        .create_subscription(caller.tenant, wish(&body)?)
        .await?;
    Ok(SubscriptionOut::new(&made, &caller)
        .with_secret(&made)
        .answer(StatusCode::CREATED))
}

/// Lists subscriptions, newest first.
#[utoipa::path(
    get, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    security(("key" = ["read"])),
    params(
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<SubscriptionOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<SubscriptionOut>>, Problem> {
    let (limit, before) = (
        query.limit()?,
        query.cursor(List::Subscriptions)?.unwrap_or(i64::MAX),
    );
    query.finish()?;
    let mut routes = state.control.subscriptions(caller.tenant);
    routes.retain(|route| route.subscription().id.number() < before);
    let number = |route: &Arc<Route>| route.subscription().id.number();
    let page = Page::cut(List::Subscriptions, routes, limit, number, |route| {
        SubscriptionOut::new(route.subscription(), &caller)
    });
    Ok(Json(page))
}

/// Shows one subscription, with counts of its deliveries.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    responses((status = 200, description = "The subscription", body = SubscriptionOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let route = state
        .control
        .subscription(caller.tenant, &id)
        .ok_or_else(|| Problem::not_found("subscription"))?;
    let counters = state.store.counters(Some(route.subscription().id)).await?;
    let mut shown = SubscriptionOut::new(route.subscription(), &caller);
    shown.deliveries = Some(counters.into());
    Ok(shown.answer(StatusCode::OK))
}

/// Changes what is given; null takes away (RFC 7396). `If-Match` guards against changes in between.
#[utoipa::path(
    patch, path = "/api/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "update_subscription",
    security(("key" = ["manage"])),
    params(
        ("id" = String, Path, description = "`sub_…` or its key"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = SubscriptionIn,
    responses((status = 200, description = "Changed", body = SubscriptionOut))
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
        .update_subscription(caller.tenant, &id, wish(&body)?, version)
        .await?;
    Ok(SubscriptionOut::new(&changed, &caller).answer(StatusCode::OK))
}

/// Removes a subscription. Deliveries that are still pending fail.
#[utoipa::path(
    delete, path = "/api/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "delete_subscription",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
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
        .delete_subscription(caller.tenant, &id, if_match(&headers)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets deliveries go out again, those that were held first.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/enable", tag = "subscriptions", operation_id = "enable_subscription",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    responses((status = 200, description = "Enabled", body = SubscriptionOut))
)]
pub async fn enable(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let changed = state.control.enable_subscription(caller.tenant, &id).await?;
    Ok(SubscriptionOut::new(&changed, &caller).answer(StatusCode::OK))
}

/// Why a subscription is switched off.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct DisableIn {
    /// For whoever wonders later.
    reason: Option<String>,
}

/// Holds deliveries until it is enabled again. Nothing is lost.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/disable", tag = "subscriptions", operation_id = "disable_subscription",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<DisableIn>,
    responses((status = 200, description = "Disabled", body = SubscriptionOut))
)]
pub async fn disable(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut reason = None;
    if !body.is_empty() {
        let mut faults = Faults::default();
        let mut fields = Fields::of(body.text(), "")?;
        reason = fields.text("reason", &mut faults);
        fields.finish(&mut faults);
        faults.or(())?;
    }
    let changed = state
        .control
        .disable_subscription(caller.tenant, &id, reason)
        .await?;
    Ok(SubscriptionOut::new(&changed, &caller).answer(StatusCode::OK))
}

/// How a secret is changed.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct RotateIn {
    /// The new secret; made where none is given.
    secret: Option<String>,
    /// How long the old one signs beside it: 86,400 where nothing is said, 0 for not at all.
    overlap_seconds: Option<u32>,
}

/// Puts a new secret first; the old one signs beside it for a while. The answer shows the new one.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/rotate-secret", tag = "subscriptions",
    operation_id = "rotate_subscription_secret",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<RotateIn>,
    responses((status = 200, description = "Rotated", body = SubscriptionOut))
)]
pub async fn rotate_secret(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (secret, overlap) = rotation(&body)?;
    let changed = state
        .control
        .rotate_secret(caller.tenant, &id, secret, overlap)
        .await?;
    Ok(SubscriptionOut::new(&changed, &caller)
        .with_secret(&changed)
        .answer(StatusCode::OK))
}

/// Reads the new secret, if one is given, and how long the old one counts beside it.
pub(super) fn rotation(body: &JsonBody) -> Result<(Option<Secret>, Duration), Problem> {
    if body.is_empty() {
        return Ok((None, OVERLAP_DEFAULT));
    }
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let secret = fields.read("secret", "a string", &mut faults);
    let seconds: Option<u32> = fields.read("overlap_seconds", "a number of seconds", &mut faults);
    fields.finish(&mut faults);
    faults.or(())?;
    let overlap = seconds.map_or(OVERLAP_DEFAULT, |seconds| Duration::from_secs(seconds.into()));
    Ok((secret, overlap))
}
