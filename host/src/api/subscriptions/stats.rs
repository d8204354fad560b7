//! `GET /subscriptions/{id}/stats`: how an endpoint does, over the last hour and the last day.
//!
//! The numbers are of attempts, kept in memory: they begin at nothing with every start of the router,
//! and `since` says when that was.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use crate::api::Shared;
use crate::api::extract::{May, Query, ToRead};
use crate::api::problem::Problem;
use crate::id::SubscriptionId;
use crate::meter::{Counts, Span, Times};
use crate::time::Timestamp;

/// How a subscription does.
#[derive(Serialize, utoipa::ToSchema)]
pub struct StatsOut {
    /// The subscription.
    #[schema(value_type = String)]
    subscription_id: SubscriptionId,
    /// Since when this is counted: mostly since the router was started.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The last hour.
    last_hour: WindowOut,
    /// The last 24 hours.
    last_day: WindowOut,
}

/// A stretch of time.
#[derive(Serialize, utoipa::ToSchema)]
pub struct WindowOut {
    /// Requests that were sent, each as often as it was.
    attempts: u64,
    /// Attempts that were not accepted.
    failed_attempts: u64,
    /// Requests that were accepted.
    delivered: u64,
    /// Requests that were given up.
    failed: u64,
    /// Attempts that are to be repeated.
    retried: u64,
    /// The part of all attempts that was accepted, from 0 to 1; null where there were none.
    success_rate: Option<f64>,
    /// How long answers took, in milliseconds, right to an eighth; null where none came.
    response_ms: Option<TimesOut>,
}

/// Response times in milliseconds.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TimesOut {
    /// Half of all took no longer.
    p50: u32,
    /// 95 of 100 took no longer.
    p95: u32,
    /// 99 of 100 took no longer.
    p99: u32,
    /// The longest, exactly.
    max: u32,
}

impl WindowOut {
    fn new(counts: &Counts, times: Option<Times>) -> Self {
        Self {
            attempts: counts.attempts,
            failed_attempts: counts.failed_attempts,
            delivered: counts.delivered,
            failed: counts.failed,
            retried: counts.retried,
            success_rate: counts.success_rate(),
            response_ms: times.map(|Times { p50, p95, p99, max }| TimesOut { p50, p95, p99, max }),
        }
    }
}

/// Shows success rate and response times of the last hour and the last day.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}/stats", tag = "subscriptions",
    operation_id = "show_subscription_stats",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    responses((status = 200, description = "How it does", body = StatsOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<StatsOut>, Problem> {
    query.finish()?;
    let Some(route) = state.control.subscription(caller.tenant, &id) else {
        return Err(Problem::not_found("subscription"));
    };
    let (id, now) = (route.subscription().id, state.clock.now());
    let window = |span: Span| {
        let counts = state.meters.window(id, now, span.length());
        WindowOut::new(&counts, state.meters.times(id, now, span))
    };
    Ok(Json(StatsOut {
        subscription_id: id,
        since: state.meters.since(id, now),
        last_hour: window(Span::Hour),
        last_day: window(Span::Day),
    }))
}
