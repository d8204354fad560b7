//! Telling those who watch what happens to a delivery.

use super::tools::Tools;
use crate::activity::{Activity, What};
use crate::delivery::{Attempt, AttemptResult, Next, Pending};
use crate::event::Event;
use crate::time::Timestamp;

/// A request was sent.
pub(super) fn attempted(
    tools: &Tools,
    row: &Pending,
    event: &Event,
    attempt: &Attempt,
    next: &Next,
    now: Timestamp,
) {
    tools.feed.tell(|| {
        let (status_code, error) = match &attempt.result {
            AttemptResult::Response { status, .. } => (Some(*status), None),
            AttemptResult::Error { kind, detail } => (None, Some(format!("{}: {detail}", kind.as_str()))),
        };
        let next_attempt_at = match next {
            Next::Again { due_at, .. } => Some(*due_at),
            _ => None,
        };
        let what = What::Attempted {
            event_id: row.event,
            delivery_id: row.delivery,
            subscription_id: row.subscription,
            number: attempt.number,
            status_code,
            error,
            duration_ms: attempt.duration_ms,
            next_attempt_at,
        };
        Activity {
            time: now,
            tenant: event.tenant,
            what,
        }
    });
}

/// A delivery ended.
pub(super) fn ended(
    tools: &Tools,
    row: &Pending,
    event: &Event,
    status: &'static str,
    reason: Option<String>,
    now: Timestamp,
) {
    if status == "failed" {
        // The reason is on the delivery; it may have a plugin's words in it, which no log should.
        tracing::warn!(
            delivery.id = %row.delivery,
            subscription.id = %row.subscription,
            attempts = row.attempts,
            "a delivery has failed for good"
        );
    }
    tools.feed.tell(|| {
        let what = What::Ended {
            event_id: row.event,
            delivery_id: row.delivery,
            subscription_id: row.subscription,
            status,
            reason,
        };
        Activity {
            time: now,
            tenant: event.tenant,
            what,
        }
    });
}
