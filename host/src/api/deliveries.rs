//! `/deliveries`: what became of events, attempt by attempt, and sending one again.
//!
//! `held` is no stored state: a pending delivery whose subscription is not enabled is shown as held,
//! with that subscription's reason. So a list by `held` or `pending` sorts what the store gives. One
//! page looks at a bounded number of rows, whatever is asked for, and the cursor goes on from there.

pub mod causes;
mod filters;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;

use super::Shared;
use super::attempts::{AttemptOut, RequestOut, RunOut, shown};
use super::extract::{Caller, May, Query, ToManage, ToRead};
use super::page::{List, Page, cursor};
use super::problem::{Kind, Problem};
use crate::delivery::{Cause, State as Stands};
use crate::id::{DeliveryId, EventId, SubscriptionId, TenantId};
use crate::registry::Snapshot;
use crate::store::{DeliveryDetail, DeliveryQuery, DeliverySummary, Resend, StateFilter};
use crate::subscription::Status;
use crate::time::Timestamp;

use filters::Filters;
pub(super) use filters::read_time;

/// Rows that one page by `held` or `pending` looks at, so that a request costs a bounded time.
const ROWS_LOOKED_AT_MAX: usize = 2_000;

/// A delivery.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeliveryOut {
    /// Its id, and the `webhook-id` of its only request.
    #[schema(value_type = String)]
    id: DeliveryId,
    /// Its event.
    #[schema(value_type = String)]
    event_id: EventId,
    /// The type of its event.
    event_type: String,
    /// Its subscription.
    #[schema(value_type = String)]
    subscription_id: SubscriptionId,
    /// `pending`, `delivered`, `filtered`, `failed` or `held`.
    status: &'static str,
    /// Why it is filtered, failed or held.
    reason: Option<String>,
    /// Why it failed, as one word: what was wrong the last time.
    #[schema(value_type = Option<String>)]
    cause: Option<Cause>,
    /// The status of the last answer, if there was one.
    status_code: Option<u16>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// When it is tried next, if it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// How many attempts there were.
    attempt_count: u32,
    /// When the last one began.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_attempt_at: Option<Timestamp>,
    /// How long the last one took.
    last_duration_ms: Option<u32>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A delivery with everything that happened to it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DeliveryWhole {
    /// The delivery.
    #[serde(flatten)]
    delivery: DeliveryOut,
    /// What its plugins did.
    plugin_runs: Vec<RunOut>,
    /// What is sent; each once, whatever the number of attempts.
    requests: Vec<RequestOut>,
    /// Each sending and what came back.
    attempts: Vec<AttemptOut>,
}

impl DeliveryOut {
    fn new(summary: &DeliverySummary, snapshot: &Snapshot) -> Self {
        let (status, reason, ended_at, next_attempt_at) = match (&summary.state, held(summary, snapshot)) {
            (Stands::Pending { .. }, Some(reason)) => ("held", Some(reason.to_owned()), None, None),
            (Stands::Pending { due_at }, None) => ("pending", None, None, Some(*due_at)),
            (Stands::Delivered { at }, _) => ("delivered", None, Some(*at), None),
            (Stands::Filtered { at, reason }, _) => ("filtered", Some(reason.clone()), Some(*at), None),
            (Stands::Failed { at, reason }, _) => ("failed", Some(reason.clone()), Some(*at), None),
        };
        Self {
            id: summary.id,
            event_id: summary.event,
            event_type: summary.event_type.clone(),
            subscription_id: summary.subscription,
            status,
            reason,
            cause: summary.cause,
            status_code: summary.code.or_else(|| summary.last_attempt?.status),
            ended_at,
            next_attempt_at,
            attempt_count: summary.attempts,
            last_attempt_at: summary.last_attempt.map(|last| last.started_at),
            last_duration_ms: summary.last_attempt.map(|last| last.duration_ms),
            created_at: summary.id.time(),
        }
    }
}

/// Why a pending delivery is held, if it is.
fn held<'s>(summary: &DeliverySummary, snapshot: &'s Snapshot) -> Option<&'s str> {
    if !matches!(summary.state, Stands::Pending { .. }) {
        return None;
    }
    match &snapshot.routes.get(&summary.subscription)?.subscription().status {
        Status::Enabled => None,
        Status::Disabled { reason, .. } | Status::Held { reason, .. } => Some(reason.as_str()),
    }
}

/// Which deliveries are wanted, by the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Stored(StateFilter),
    Held,
    NotHeld,
}

impl Wanted {
    fn of(word: Option<&str>) -> Result<Self, Problem> {
        Ok(match word {
            None => Self::All,
            Some("pending") => Self::NotHeld,
            Some("held") => Self::Held,
            Some("delivered") => Self::Stored(StateFilter::Delivered),
            Some("filtered") => Self::Stored(StateFilter::Filtered),
            Some("failed") => Self::Stored(StateFilter::Failed),
            Some(_) => {
                let known = "must be pending, held, delivered, filtered or failed";
                return Err(Problem::parameter("status", known));
            }
        })
    }

    const fn filter(self) -> Option<StateFilter> {
        match self {
            Self::All => None,
            Self::Stored(filter) => Some(filter),
            Self::Held | Self::NotHeld => Some(StateFilter::Pending),
        }
    }

    fn keeps(self, summary: &DeliverySummary, snapshot: &Snapshot) -> bool {
        match self {
            Self::All | Self::Stored(_) => true,
            Self::Held => held(summary, snapshot).is_some(),
            Self::NotHeld => held(summary, snapshot).is_none(),
        }
    }
}

/// Lists deliveries, newest first.
#[utoipa::path(
    get, path = "/api/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    security(("key" = ["read"])),
    params(
        ("status" = Option<String>, Query, description = "pending, held, delivered, filtered or failed"),
        ("subscription" = Option<String>, Query, description = "`sub_…` or a key"),
        ("event" = Option<String>, Query, description = "`evt_…`"),
        ("type" = Option<String>, Query, description = "A type, or a pattern such as `alert.*`"),
        ("cause" = Option<String>, Query, description = "Why it failed: `auth`, `timeout`, `server`, …"),
        ("code" = Option<String>, Query, description = "The status of the last answer: `404`, `4xx`, `500-599`, or several, joined by commas"),
        ("since" = Option<String>, Query, description = "Made at this time or later (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Made before this time (RFC 3339)"),
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before; a page may be short, or empty, and have a next one"),
    ),
    responses((status = 200, description = "A page", body = Page<DeliveryOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<DeliveryOut>>, Problem> {
    let subscription = match query.text("subscription") {
        Some(given) => Some(subscription_of(&state, caller.tenant, &given)?),
        None => None,
    };
    page(&state, &caller, query, subscription).await
}

/// Lists the deliveries of one subscription, newest first.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}/deliveries", tag = "subscriptions",
    operation_id = "list_subscription_deliveries",
    security(("key" = ["read"])),
    params(
        ("id" = String, Path, description = "`sub_…` or its key"),
        ("status" = Option<String>, Query, description = "pending, held, delivered, filtered or failed"),
        ("event" = Option<String>, Query, description = "`evt_…`"),
        ("type" = Option<String>, Query, description = "A type, or a pattern such as `alert.*`"),
        ("cause" = Option<String>, Query, description = "Why it failed: `auth`, `timeout`, `server`, …"),
        ("code" = Option<String>, Query, description = "The status of the last answer: `404`, `4xx`, `500-599`, or several, joined by commas"),
        ("since" = Option<String>, Query, description = "Made at this time or later (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Made before this time (RFC 3339)"),
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<DeliveryOut>))
)]
pub async fn list_of_subscription(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Page<DeliveryOut>>, Problem> {
    let Some(route) = state.control.subscription(caller.tenant, &id) else {
        return Err(Problem::not_found("subscription"));
    };
    page(&state, &caller, query, Some(route.subscription().id)).await
}

/// The subscription that a parameter names; one that was removed only by its id.
fn subscription_of(state: &Shared, tenant: TenantId, given: &str) -> Result<SubscriptionId, Problem> {
    match state.control.subscription(tenant, given) {
        Some(route) => Ok(route.subscription().id),
        None => given
            .parse()
            .map_err(|_| Problem::parameter("subscription", "must be the id or key of a subscription")),
    }
}

async fn page(
    state: &Shared,
    caller: &Caller,
    mut query: Query,
    subscription: Option<SubscriptionId>,
) -> Result<Json<Page<DeliveryOut>>, Problem> {
    let limit = query.limit()?;
    let wanted = Wanted::of(query.text("status").as_deref())?;
    let before = query.cursor(List::Deliveries)?.map(DeliveryId::from_number);
    let event = query.read::<EventId>("event", "the id of an event, `evt_…`")?;
    let filters = Filters::of(&mut query)?;
    query.finish()?;
    let mut walk = filters.onto(DeliveryQuery {
        tenant: Some(caller.tenant),
        subscription,
        event,
        state: wanted.filter(),
        before,
        last_attempts: true,
        limit,
        ..DeliveryQuery::default()
    });
    let snapshot = state.registry.snapshot();
    let (mut data, mut looked_at) = (Vec::new(), 0);
    let next = loop {
        let page = state.store.deliveries(walk.clone()).await?;
        let (found, fits) = (page.deliveries.len(), limit - data.len());
        let mut kept = page
            .deliveries
            .iter()
            .filter(|row| wanted.keeps(row, &snapshot))
            .peekable();
        let mut last = None;
        for row in kept.by_ref().take(fits) {
            last = Some(row.id);
            data.push(DeliveryOut::new(row, &snapshot));
        }
        if kept.peek().is_some() {
            break last;
        }
        looked_at += found;
        // A page that is short and has a next one cost as much as one call may.
        let enough = data.len() == limit || looked_at >= ROWS_LOOKED_AT_MAX || found < limit;
        match page.next {
            None => break None,
            Some(next) if enough => break Some(next),
            Some(next) => walk.before = Some(next),
        }
    };
    let next = next.map(|last| cursor(List::Deliveries, last.number()));
    Ok(Json(Page { data, next }))
}

/// Shows one delivery with its plugin runs and attempts.
#[utoipa::path(
    get, path = "/api/v1/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The delivery", body = DeliveryWhole))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryWhole>, Problem> {
    let detail = own(&state, &caller, &id).await?;
    let snapshot = state.registry.snapshot();
    let event = state
        .store
        .event(detail.summary.event)
        .await?
        .map(|stored| stored.event);
    let route = snapshot.routes.get(&detail.summary.subscription);
    let look = route.and_then(|route| state.registry.edition(detail.summary.profile, route));
    let (requests, attempts) = shown(
        &caller,
        &detail,
        route.map(Arc::as_ref),
        look.as_deref(),
        event.as_deref(),
    );
    Ok(Json(DeliveryWhole {
        delivery: DeliveryOut::new(&detail.summary, &snapshot),
        plugin_runs: detail.runs.iter().map(RunOut::from).collect(),
        requests,
        attempts,
    }))
}

async fn own(state: &Shared, caller: &Caller, id: &str) -> Result<DeliveryDetail, Problem> {
    let id: DeliveryId = id.parse().map_err(|_| Problem::not_found("delivery"))?;
    let detail = state.store.delivery(id).await?;
    let own = detail.filter(|detail| detail.summary.tenant == caller.tenant);
    own.ok_or_else(|| Problem::not_found("delivery"))
}

/// A delivery that is sent again.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ResendOut {
    /// The delivery.
    #[schema(value_type = String)]
    id: DeliveryId,
    /// `pending`, or `held` while its subscription is not enabled.
    status: &'static str,
    /// How many requests are sent.
    requests: usize,
}

/// Sends the same request again, under the same id. A pending delivery is sent now.
#[utoipa::path(
    post, path = "/api/v1/deliveries/{id}/resend", tag = "deliveries", operation_id = "resend_delivery",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 202, description = "Will be sent", body = ResendOut))
)]
pub async fn resend(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<ResendOut>), Problem> {
    let delivery = own(&state, &caller, &id).await?.summary;
    let Some(route) = state.registry.route(delivery.subscription) else {
        return Err(Problem::new(Kind::Conflict, "its subscription was removed"));
    };
    let resent = state
        .store
        .resend(Some(caller.tenant), delivery.id, state.clock.now())
        .await?;
    let rows = match resent {
        Resend::Queued(rows) | Resend::Hastened(rows) => rows,
        Resend::Filtered => {
            let detail = "a plugin filtered it, so there is no request that could be sent again";
            return Err(Problem::new(Kind::Conflict, detail));
        }
        Resend::Expired => return Err(Problem::new(Kind::Expired, "its body is no longer kept")),
        Resend::Missing => return Err(Problem::not_found("delivery")),
    };
    let requests = rows.len();
    state.wake.queue(rows);
    let status = if route.subscription().status.is_enabled() {
        "pending"
    } else {
        "held"
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(ResendOut {
            id: delivery.id,
            status,
            requests,
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_api_are_the_words_of_the_store() {
        let table = [
            (None, Wanted::All, None),
            (Some("pending"), Wanted::NotHeld, Some(StateFilter::Pending)),
            (Some("held"), Wanted::Held, Some(StateFilter::Pending)),
            (
                Some("failed"),
                Wanted::Stored(StateFilter::Failed),
                Some(StateFilter::Failed),
            ),
        ];
        for (word, wanted, filter) in table {
            assert_eq!(Wanted::of(word).unwrap(), wanted);
            assert_eq!(wanted.filter(), filter);
        }
        assert!(Wanted::of(Some("Failed")).is_err());
    }
}
