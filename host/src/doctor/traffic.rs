//! Checks of what goes through: subscriptions that do not deliver, and deliveries that wait too long.

use std::sync::Arc;
use std::time::Duration;

use super::listed;
use crate::checkup::Check;
use crate::dispatcher::Waits;
use crate::subscription::{Status, Subscription};
use crate::time::Timestamp;

/// A wait that is too long, where alerts about it are switched off.
const LAG_MAX: Duration = Duration::from_secs(5 * 60);

/// Which subscriptions do not deliver, and why.
pub(super) fn subscriptions(all: &[Arc<Subscription>]) -> Check {
    let mut stopped: Vec<&Arc<Subscription>> = all.iter().collect();
    stopped.retain(|subscription| !subscription.status.is_enabled());
    if stopped.is_empty() {
        return Check::ok("subscriptions", format!("{} enabled", all.len()));
    }
    stopped.sort_by_key(|subscription| subscription.id.number());
    let told: Vec<String> = stopped.iter().map(|subscription| told(subscription)).collect();
    Check::warn(
        "subscriptions",
        format!(
            "{} of {} do not deliver: {}",
            stopped.len(),
            all.len(),
            listed(&told)
        ),
        "mend what stopped them, then `hookway subscriptions enable`; what waits for them fails after \
         dispatch.held_max",
    )
}

fn told(subscription: &Subscription) -> String {
    let word = match subscription.status {
        Status::Enabled => "enabled",
        Status::Disabled { .. } => "disabled",
        Status::Held { .. } => "held",
    };
    let reason = subscription.status.reason().unwrap_or_default();
    format!("{} ({}) is {word}: {reason}", subscription.name, subscription.id)
}

/// How long what is due waits for its turn.
pub(super) fn lag(
    waits: Result<Option<Waits>, &str>,
    pending: u64,
    now: Timestamp,
    alert: Duration,
) -> Check {
    let max = if alert.is_zero() { LAG_MAX } else { alert };
    let waits = match waits {
        Ok(waits) => waits,
        Err(why) => return Check::warn("lag", why, "the router is overloaded, or hangs: see its log"),
    };
    let Some(waits) = waits else {
        return Check::ok(
            "lag",
            format!("nothing that is due waits; {pending} pending in all"),
        );
    };
    let waited = now.since(waits.since);
    let shown = format!(
        "a delivery of {} is due for {} s; {pending} pending in all",
        waits.subscription,
        waited.as_secs()
    );
    match waited <= max {
        true => Check::ok("lag", shown),
        false => Check::warn(
            "lag",
            shown,
            "see whether its endpoint is slow (`hookway subscriptions show`), and whether \
             dispatch.in_flight_max or max_in_flight of the subscription are too small; docs/runbook.md, \
             \"Deliveries lag behind\"",
        ),
    }
}
