//! What deliveries mean for the life of their subscription: it is disabled by its profile's rule, held
//! and tried again, and goes on.
//!
//! A subscription that is held with a time to try is closed until then, and open for one request at a
//! time from then on. What that one gives decides: to be held once more, or to go on.

use std::sync::Arc;
use std::time::Duration;

use super::lane::LaneMode;
use super::permit::Report;
use super::tools::{Stop, Stopped, Tools};
use crate::delivery::{Attempt, AttemptResult, Next};
use crate::id::SubscriptionId;
use crate::meter::{Outcome, Sample};
use crate::registry::Registry;
use crate::routing::Route;
use crate::store::{InARow, Recorded};
use crate::subscription::Status;
use crate::time::Timestamp;
use crate::verdict::HOLD_PROBE_SECONDS_MAX;

/// Looks at a subscription that changes whenever its rule is about to disable it. Changes are made one
/// after another and take milliseconds; whoever changes it more often is asked again at the next failure.
const LOOKS_MAX: u32 = 8;

/// Longest wait before a subscription that is held is tried again.
const PROBE_MAX: Duration = Duration::from_secs(HOLD_PROBE_SECONDS_MAX as u64);

/// How a lane stands.
pub(super) fn mode_of(tools: &Tools, id: SubscriptionId, now: Timestamp) -> LaneMode {
    let Some(route) = tools.registry.route(id) else {
        return LaneMode::Gone;
    };
    let (subscription, profile) = (route.subscription(), &route.edition().profile);
    let endpoint = &subscription.endpoint;
    match subscription.status {
        Status::Enabled => LaneMode::Open {
            max_in_flight: endpoint
                .max_in_flight
                .or(profile.max_in_flight)
                .unwrap_or(tools.in_flight)
                .get(),
            rate: endpoint.rate_limit.or(profile.rate_limit.map(|rate| rate.0)),
        },
        Status::Held {
            probe_at: Some(at), ..
        } if may_probe(at, now) => LaneMode::Open {
            max_in_flight: 1,
            rate: None,
        },
        Status::Held { .. } | Status::Disabled { .. } => LaneMode::Held,
    }
}

/// When the next subscription that is held may try; those that may already are not among them.
pub(super) fn next_probe(registry: &Registry, now: Timestamp) -> Option<Timestamp> {
    let snapshot = registry.snapshot();
    let routes = snapshot.routes.values();
    let times = routes.filter_map(|route| route.subscription().status.probe_at());
    times.filter(|at| !may_probe(*at, now)).min()
}

/// Whether the time to try has come; it also has where it is further ahead than it can have been put, for
/// then the clock was set back.
pub(super) fn may_probe(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at > now.plus(PROBE_MAX)
}

/// Whether failures one after another disable a subscription, and why.
pub fn disabled_by(route: &Route, row: InARow) -> Option<String> {
    let few = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let rule = route.edition().profile.auto_disable?;
    let disables = rule.disables(few(row.failed), few(row.exhausted));
    disables.then(|| rule.reason())
}

/// An attempt, for the meter.
pub(super) fn sample_of(attempt: &Attempt, next: &Next) -> Sample {
    Sample {
        outcome: match next {
            Next::Delivered => Outcome::Delivered,
            Next::Again { .. } => Outcome::Retried,
            Next::Failed { .. } => Outcome::Failed,
        },
        answered_in_ms: match &attempt.result {
            AttemptResult::Response { .. } => Some(attempt.duration_ms),
            AttemptResult::Error { .. } => None,
        },
    }
}

/// What is known after an attempt.
pub(super) struct After {
    pub(super) report: Report,
    pub(super) recorded: Recorded,
    pub(super) sample: Sample,
    /// Hops of the event that was sent.
    pub(super) hops: u8,
}

/// Does what follows from an attempt whose outcome is committed. Its permit is still held, so nothing
/// more of a subscription that tries is sent before it is known how it goes on.
pub(super) async fn follow(tools: &Tools, route: &Arc<Route>, after: After, now: Timestamp) {
    let After {
        report,
        recorded,
        sample,
        hops,
    } = after;
    let subscription = route.subscription();
    if report.sent {
        tools.meters.record(subscription.id, now, sample);
    }
    let disables = match recorded.failing {
        Some(row) => disable(tools, route, row, hops).await,
        None => false,
    };
    if !disables && report.sent && !report.stops && subscription.status.probe_at().is_some() {
        // Whatever came, it was not that the endpoint is off.
        tools.steward.resume(subscription, hops).await;
    }
}

/// Disables a subscription if its rule says so after a failure; whether it does. One that was changed while
/// the request was under way is asked as it is now, with the failures as they are now: a change that leaves
/// the row of failures must not save it, and one that began the row anew must.
async fn disable(tools: &Tools, tried: &Arc<Route>, row: InARow, hops: u8) -> bool {
    let id = tried.subscription().id;
    let same = tools
        .registry
        .route(id)
        .is_some_and(|now| Arc::ptr_eq(&now, tried));
    let mut known = same.then(|| (Arc::clone(tried), row));
    for _ in 0..LOOKS_MAX {
        let (route, row) = match known.take() {
            Some(known) => known,
            None => match look_again(tools, id).await {
                Some(found) => found,
                None => return false,
            },
        };
        let Some(reason) = disabled_by(&route, row) else {
            return false;
        };
        // Where it could not be written, the next failure asks again, and so does the next start.
        let stopped = tools
            .steward
            .stop(route.subscription(), Stop::Disable, reason, hops);
        match stopped.await {
            Stopped::Done | Stopped::Unwritten => return true,
            Stopped::MovedOn => {}
        }
    }
    true
}

/// A subscription that could be disabled and its row of failures. The route first: if a person enables it in
/// between, it has another version than this one.
async fn look_again(tools: &Tools, id: SubscriptionId) -> Option<(Arc<Route>, InARow)> {
    let route = tools.registry.route(id)?;
    if matches!(route.subscription().status, Status::Disabled { .. }) {
        return None;
    }
    match tools.store.failing().await {
        Ok(rows) => {
            let mut rows = rows.into_iter();
            rows.find(|(failing, _)| *failing == id)
                .map(|(_, row)| (route, row))
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, subscription.id = %id, "its failures in a row could not be read");
            None
        }
    }
}
