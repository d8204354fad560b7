//! What has to be done now and then: dropping old segments, and failing what was held too long.
//!
//! It runs at the start and then every [`EVERY`], on the clock; work per round is bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::activity::{Activity, Feed};
use crate::clock::Clock;
use crate::delivery::{Cause, Change, Pending};
use crate::id::RequestId;
use crate::ingest::Ingest;
use crate::registry::Registry;
use crate::store::{self, Retention, Store};
use crate::subscription::Status;
use crate::time::Timestamp;

/// Time between rounds.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Rows of the ledger that are looked at in one go.
const PAGE: usize = 1_000;

/// What it works on.
pub struct Housekeeping {
    /// What is tidied.
    pub store: Arc<dyn Store>,
    /// Which subscriptions hold their deliveries.
    pub registry: Arc<Registry>,
    /// Tells the time.
    pub clock: Clock,
    /// Hears of what it fails.
    pub feed: Feed,
    /// Where that is told as an event.
    pub ingest: Arc<Ingest>,
    /// How long things are kept.
    pub keeping: Keeping,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// History.
    pub history: Retention,
    /// A delivery that is held.
    pub held_max: Duration,
}

impl Housekeeping {
    /// Runs until it is told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let next = self.clock.now().plus(EVERY);
            if let Err(error) = self.round().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "housekeeping could not finish its round"
                );
            }
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// One round. The one half is done whatever became of the other.
    pub async fn round(&self) -> store::Result<()> {
        let failed = self.fail_held_too_long().await;
        let mut expired = self.store.expire(self.clock.now(), self.keeping.history).await?;
        while expired.segments > 0 {
            tracing::info!(
                segments = expired.segments,
                carried = expired.carried,
                "old history was dropped"
            );
            expired = self.store.expire(self.clock.now(), self.keeping.history).await?;
        }
        failed
    }

    async fn fail_held_too_long(&self) -> store::Result<()> {
        let now = self.clock.now();
        let oldest = now.minus(self.keeping.held_max);
        let mut after = RequestId::from_number(0);
        loop {
            let rows = self.store.pending(after, PAGE).await?;
            let Some(last) = rows.last().copied() else {
                return Ok(());
            };
            // Rows are in the order of their age: behind the first young one there are no old ones.
            let old = rows.iter().take_while(|row| row.delivery.time() < oldest);
            // One row a delivery: what ends it ends all its requests.
            let old = old.filter(|row| row.request.number() == row.delivery.number());
            for row in old.filter(|row| self.is_held_since(row, oldest, now)) {
                self.fail(*row, now).await?;
            }
            if rows.len() < PAGE || last.delivery.time() >= oldest {
                return Ok(());
            }
            after = last.request;
        }
    }

    async fn fail(&self, pending: Pending, at: Timestamp) -> store::Result<()> {
        let reason = "it was held longer than dispatch.held_max".to_owned();
        let why = reason.clone();
        let change = Change::Abandoned {
            pending,
            cause: Cause::HeldTooLong,
            reason,
            at,
        };
        match self.store.record(self.store.epoch(), vec![change]).await {
            Ok(_) => {
                tracing::warn!(delivery.id = %pending.delivery, "a delivery was held too long and has failed");
                if let Some(route) = self.registry.route(pending.subscription) {
                    let tenant = route.subscription().tenant;
                    self.feed
                        .tell(|| Activity::ended(tenant, &pending, "failed", Some(why), at));
                    self.ingest.tell_failed(tenant, pending.delivery).await;
                }
                Ok(())
            }
            // Somebody ended it in between.
            Err(store::Error::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the row's subscription has been held all the time since then.
    fn is_held_since(&self, row: &Pending, time: Timestamp, now: Timestamp) -> bool {
        let Some(route) = self.registry.route(row.subscription) else {
            return false;
        };
        is_held(&route.subscription().status, time, now)
    }
}

/// Whether what has this status has been held all the time since then, and will not go out just now. Where a
/// try is due it may be under way, and what came of it must not be lost.
fn is_held(status: &Status, time: Timestamp, now: Timestamp) -> bool {
    match status {
        Status::Enabled => false,
        Status::Held {
            probe_at: Some(at), ..
        } if *at <= now => false,
        Status::Disabled { since, .. } | Status::Held { since, .. } => *since <= time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_now_is_left_alone() {
        let at = Timestamp::from_millis;
        let held = |since, probe_at: Option<i64>| Status::Held {
            since: at(since),
            reason: "off".to_owned(),
            probe_at: probe_at.map(at),
        };
        let disabled = |since| Status::Disabled {
            since: at(since),
            reason: "410".to_owned(),
        };
        let table = [
            (Status::Enabled, false),
            (disabled(10), true),
            (disabled(11), false),
            (held(10, None), true),
            (held(11, None), false),
            (held(10, Some(101)), true),
            (held(10, Some(100)), false),
            (held(10, Some(99)), false),
        ];
        for (status, expected) in table {
            assert_eq!(is_held(&status, at(10), at(100)), expected, "{status:?}");
        }
    }
}
