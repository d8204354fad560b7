//! Telling those who watch what happens to a delivery.
//!
//! That a delivery has ended is told once, with its last request: which one that is, the store knows.
//! It is asked only where a delivery may have several requests and somebody wants to know.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::tools::Tools;
use crate::activity::{Activity, What};
use crate::delivery::{Attempt, AttemptResult, Next, Pending, State};
use crate::event::Event;
use crate::id::{DeliveryId, TenantId};
use crate::time::Timestamp;

/// Ends of deliveries with several requests that are remembered: their last requests may end at once.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// How much of its delivery a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it: the delivery ends with the row.
    Whole,
    /// All or a part of it.
    Perhaps,
}

/// Ends that were told, so that none is told twice. One delivery may end again after a resend.
#[derive(Debug)]
pub struct Told(Mutex<LruCache<(DeliveryId, Timestamp, u32), ()>>);

impl Default for Told {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_MAX)))
    }
}

impl Told {
    /// Whether nobody told this end, after so many attempts, before.
    fn first(&self, delivery: DeliveryId, at: Timestamp, attempts: u32) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.put((delivery, at, attempts), ()).is_none()
    }
}

/// A request was sent. To be told once that is committed: whoever begins to watch meanwhile finds it in
/// history or hears of it.
pub(super) fn attempted(
    row: &Pending,
    event: &Event,
    attempt: &Attempt,
    next: &Next,
    now: Timestamp,
) -> Activity {
    let (status_code, error) = match &attempt.result {
        AttemptResult::Response { status, .. } => (Some(*status), None),
        AttemptResult::Error { kind, detail } => (None, Some(format!("{}: {detail}", kind.as_str()))),
    };
    let (outcome, next_attempt_at) = match next {
        Next::Again { due_at, .. } => ("pending", Some(*due_at)),
        Next::Delivered => ("delivered", None),
        Next::Failed { .. } => ("failed", None),
    };
    let what = What::Attempted {
        event_id: row.event,
        delivery_id: row.delivery,
        subscription_id: row.subscription,
        number: attempt.number,
        status_code,
        error,
        duration_ms: attempt.duration_ms,
        outcome,
        next_attempt_at,
    };
    Activity {
        time: now,
        tenant: event.tenant,
        what,
    }
}

/// The plugins made nothing of a row, and run again when it is due.
pub(super) fn run_failed(
    tools: &Tools,
    row: &Pending,
    event: &Event,
    plugin: String,
    reason: String,
    now: Timestamp,
) {
    tools.feed.tell(|| Activity {
        time: now,
        tenant: event.tenant,
        what: What::RunFailed {
            event_id: row.event,
            delivery_id: row.delivery,
            subscription_id: row.subscription,
            number: row.runs,
            plugin,
            reason,
            next_run_at: row.due_at,
        },
    });
}

/// How a row ended.
pub(super) struct End {
    /// `delivered`, `filtered` or `failed`.
    pub(super) status: &'static str,
    /// Why, unless it was delivered.
    pub(super) reason: Option<String>,
    /// When.
    pub(super) at: Timestamp,
}

/// A row ended, and its delivery with it if it was the last.
pub(super) async fn ended(tools: &Tools, row: &Pending, event: &Event, share: Share, end: End) {
    let watched = tools.feed.watchers() > 0;
    let end = match share {
        Share::Whole => end,
        Share::Perhaps if end.status != "failed" && !watched => return,
        Share::Perhaps => match whole_end(tools, row.delivery).await {
            Some((_, end, attempts)) if tools.told.first(row.delivery, end.at, attempts) => end,
            _ => return,
        },
    };
    if end.status == "failed" {
        // The reason is on the delivery; it may have a plugin's words in it, which no log should.
        tracing::warn!(
            delivery.id = %row.delivery,
            subscription.id = %row.subscription,
            attempts = row.attempts,
            "a delivery has failed for good"
        );
    }
    let End { status, reason, at } = end;
    tools
        .feed
        .tell(|| Activity::ended(event.tenant, row, status, reason, at));
    if status == "failed" {
        tools.ingest.tell_failed(event.tenant, row.delivery).await;
    }
}

/// Whose a delivery is and how all of it ended, if it has, and after how many attempts.
async fn whole_end(tools: &Tools, id: DeliveryId) -> Option<(TenantId, End, u32)> {
    // Where the store cannot say, the delivery is right all the same; only nobody hears of its end.
    let summary = tools.store.delivery(id).await.ok()??.summary;
    let (status, reason, at) = match summary.state {
        State::Pending { .. } => return None,
        State::Delivered { at } => ("delivered", None, at),
        State::Filtered { at, reason } => ("filtered", Some(reason), at),
        State::Failed { at, reason } => ("failed", Some(reason), at),
    };
    Some((summary.tenant, End { status, reason, at }, summary.attempts))
}

/// A row was given up without an attempt, and its delivery with it if it was the last.
pub(super) async fn abandoned(tools: &Tools, row: &Pending) {
    // Of a subscription that is gone its removal was told; its rows, which may be many, say no more.
    if let Some(route) = tools.registry.route(row.subscription) {
        let tenant = route.subscription().tenant;
        tools.ingest.tell_failed(tenant, row.delivery).await;
    }
    if tools.feed.watchers() == 0 {
        return;
    }
    // Its event may be gone, so the delivery says whose it is.
    if let Some((tenant, end, attempts)) = whole_end(tools, row.delivery).await
        && tools.told.first(row.delivery, end.at, attempts)
    {
        let End { status, reason, at } = end;
        tools
            .feed
            .tell(|| Activity::ended(tenant, row, status, reason, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_once_and_another_end_of_the_same_delivery_again() {
        let told = Told::default();
        let (delivery, at) = (DeliveryId::from_number(1), Timestamp::from_millis(5));
        assert!(told.first(delivery, at, 3));
        assert!(!told.first(delivery, at, 3));
        assert!(told.first(delivery, at, 4), "it was sent again");
        assert!(told.first(delivery, Timestamp::from_millis(6), 3));
        assert!(told.first(DeliveryId::from_number(2), at, 3));
    }
}
