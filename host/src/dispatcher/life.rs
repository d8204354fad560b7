//! What deliveries mean for the life of their subscription: it is disabled by its profile's rule, held
//! and tried again, and goes on.
//!
//! A subscription that is held with a time to try is closed until then, and open for one request at a
//! time from then on. What that one gives decides: to be held once more, or to go on.

use std::sync::Arc;

use super::lane::LaneMode;
use super::permit::Report;
use super::tools::{Stop, Tools};
use crate::delivery::{Attempt, AttemptResult, Next};
use crate::id::SubscriptionId;
use crate::meter::{Outcome, Sample};
use crate::registry::Registry;
use crate::routing::Route;
use crate::store::{InARow, Recorded};
use crate::subscription::Status;
use crate::time::Timestamp;

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
        } if at <= now => LaneMode::Open {
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
    times.filter(|at| *at > now).min()
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

/// Does what follows from an attempt whose outcome is committed. Its permit is still held, so nothing
/// more of a subscription that tries is sent before it is known how it goes on.
pub(super) async fn follow(
    tools: &Tools,
    route: &Arc<Route>,
    report: Report,
    recorded: Recorded,
    sample: Sample,
    now: Timestamp,
) {
    let subscription = route.subscription();
    if report.sent {
        tools.meters.record(subscription.id, now, sample);
    }
    let disabled = recorded.failing.and_then(|row| disabled_by(route, row));
    if let Some(reason) = disabled {
        // Where it could not be written, the next failure asks again, and so does the next start.
        tools.steward.stop(subscription, Stop::Disable, reason).await;
    } else if report.sent && !report.stops && subscription.status.probe_at().is_some() {
        // Whatever came, it was not that the endpoint is off.
        tools.steward.resume(subscription).await;
    }
}
