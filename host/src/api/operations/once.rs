//! Sending again at once: one event to whom it matches today, or a list of deliveries.

use axum::Json;
use axum::extract::{Path, State};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde::Serialize;

use crate::api::Shared;
use crate::api::extract::{Caller, JsonBody, May, ToManage};
use crate::api::problem::Problem;
use crate::id::{DeliveryId, EventId, SubscriptionId};
use crate::json::{Faults, Fields};
use crate::store::Resend;

/// Most deliveries that one call sends again.
pub const RESEND_MAX: usize = 1_000;
/// Resends under way at once; the store writes them together.
const RESENDS_AT_ONCE: usize = 64;

/// For which subscription an event is replayed.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct ReplayIn {
    /// The id or key of a subscription, whatever it matches; every one that the event matches today where
    /// none is named.
    subscription: Option<String>,
}

/// New deliveries of an event.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ReplayOut {
    /// The event.
    #[schema(value_type = String)]
    event_id: EventId,
    /// One for each subscription; none where the event matches none today.
    deliveries: Vec<RenewedOut>,
}

/// A new delivery.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RenewedOut {
    /// Its id.
    #[schema(value_type = String)]
    id: DeliveryId,
    /// Its subscription.
    #[schema(value_type = String)]
    subscription_id: SubscriptionId,
    /// `pending`, or `held` while the subscription is not enabled.
    status: &'static str,
}

/// Makes new deliveries of one event, through today's plugins.
#[utoipa::path(
    post, path = "/api/v1/events/{id}/replay", tag = "events", operation_id = "replay_event",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`evt_…`")),
    request_body = Option<ReplayIn>,
    responses((status = 202, description = "Will be sent", body = ReplayOut))
)]
pub async fn replay_event(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<ReplayOut>), Problem> {
    let event_id: EventId = id.parse().map_err(|_| Problem::not_found("event"))?;
    let mut faults = Faults::default();
    let mut named = None;
    if !body.is_empty() {
        let mut fields = Fields::of(body.text(), "")?;
        named = fields.text("subscription", &mut faults);
        fields.finish(&mut faults);
    }
    let named = faults.or(named).map_err(Problem::invalid)?;
    let subscription = match named {
        None => None,
        Some(text) => {
            let route = state.control.subscription(caller.tenant, &text);
            let route = route.ok_or_else(|| {
                let detail = "there is no subscription with this id or key";
                Problem::invalid(Faults::one("/subscription", detail))
            })?;
            Some(route.subscription().id)
        }
    };
    let rows = state
        .recovery
        .replay_event(caller.tenant, event_id, subscription)
        .await?;
    let deliveries = rows.iter().map(|row| RenewedOut {
        id: row.delivery,
        subscription_id: row.subscription,
        status: waiting(&state, row.subscription),
    });
    let deliveries = deliveries.collect();
    Ok((StatusCode::ACCEPTED, Json(ReplayOut { event_id, deliveries })))
}

fn waiting(state: &Shared, subscription: SubscriptionId) -> &'static str {
    match state.registry.route(subscription) {
        Some(route) if route.subscription().status.is_enabled() => "pending",
        _ => "held",
    }
}

/// Which deliveries are sent again.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct ResendIn {
    /// Ids of deliveries, `dlv_…`; 1,000 at the most.
    ids: Vec<String>,
}

/// What became of a list of deliveries that were to be sent again.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ResendsOut {
    /// One for each id, in the order given.
    data: Vec<ResentOut>,
    /// How many are sent.
    sent: usize,
}

/// What became of one of them.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ResentOut {
    /// The id that was given.
    id: String,
    /// `queued` (it had ended), `hastened` (it was pending), `filtered`, `expired`,
    /// `subscription_gone` or `not_found`.
    result: &'static str,
}

/// Sends the same requests of many deliveries again, under the same ids. Those that cannot be sent do
/// not keep the others.
#[utoipa::path(
    post, path = "/api/v1/deliveries/resend", tag = "deliveries", operation_id = "resend_deliveries",
    security(("key" = ["manage"])),
    request_body = ResendIn,
    responses((status = 202, description = "What becomes of each", body = ResendsOut))
)]
pub async fn resend(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<(StatusCode, Json<ResendsOut>), Problem> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(body.text(), "")?;
    let ids: Option<Vec<String>> = fields.read("ids", "a list of ids of deliveries", &mut faults);
    fields.finish(&mut faults);
    if !ids
        .as_ref()
        .is_some_and(|ids| (1..=RESEND_MAX).contains(&ids.len()))
        && faults.is_empty()
    {
        faults.add(
            "/ids",
            format!("must be a list of 1 to {RESEND_MAX} ids of deliveries"),
        );
    }
    let ids = faults.or(ids.unwrap_or_default()).map_err(Problem::invalid)?;
    let each = ids.into_iter().map(|id| resend_one(&state, &caller, id));
    let answers: Vec<Result<ResentOut, Problem>> =
        stream::iter(each).buffered(RESENDS_AT_ONCE).collect().await;
    let data = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let sent = data
        .iter()
        .filter(|one| matches!(one.result, "queued" | "hastened"));
    let sent = sent.count();
    Ok((StatusCode::ACCEPTED, Json(ResendsOut { data, sent })))
}

async fn resend_one(state: &Shared, caller: &Caller, id: String) -> Result<ResentOut, Problem> {
    let result = match id.parse::<DeliveryId>() {
        Err(_) => "not_found",
        Ok(delivery) => match state.store.delivery(delivery).await? {
            Some(detail) if detail.summary.tenant == caller.tenant => {
                if state.registry.route(detail.summary.subscription).is_none() {
                    "subscription_gone"
                } else {
                    let now = state.clock.now();
                    match state.store.resend(Some(caller.tenant), delivery, now).await? {
                        Resend::Queued(rows) => {
                            state.wake.queue(rows);
                            "queued"
                        }
                        Resend::Hastened(rows) => {
                            state.wake.queue(rows);
                            "hastened"
                        }
                        Resend::Filtered => "filtered",
                        Resend::Expired => "expired",
                        Resend::Missing => "not_found",
                    }
                }
            }
            _ => "not_found",
        },
    };
    Ok(ResentOut { id, result })
}
