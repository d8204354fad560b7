//! What has to be done now and then: dropping old segments, giving the others their indexes, and failing what
//! was held too long.
//!
//! A round runs at the start and then every [`EVERY`], on the clock. History is looked after whenever a
//! segment has been closed, too, so that it keeps up with whatever comes: the more is written, the more
//! often. Its indexes are made at leisure: where much is written for long they wait for quieter hours.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::activity::{Activity, Feed};
use crate::clock::{Clock, Following};
use crate::delivery::{Cause, Change, Pending};
use crate::id::RequestId;
use crate::ingest::Ingest;
use crate::registry::Registry;
use crate::store::{self, Retention, Store};
use crate::subscription::Status;
use crate::time::Timestamp;

/// Time between rounds.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// How often the time that history took is waited before it is looked after again: the more is pending, the
/// longer it takes, and it is not to keep a processor busy.
const REST_PER_WORK: u32 = 4;
/// The same of an index, for which the writer stands still: so few acknowledgements wait for one that not
/// even the slowest hundredth of them shows it.
const REST_PER_INDEX: u32 = 250;
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

/// What has to be done.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// Everything.
    Round,
    /// What is over the bounds of history.
    History,
    /// An index of history.
    Index,
}

/// When it may be done.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    round: Timestamp,
    history: Timestamp,
    /// `None` while no index is missing.
    index: Option<Timestamp>,
}

impl Times {
    /// Something was done and took so long, until now.
    fn after(&mut self, done: Due, unindexed: bool, took: Duration, now: Timestamp) {
        let rested = |share: u32| now.plus(took.saturating_mul(share).min(EVERY));
        let mut index = now;
        match done {
            Due::Round => {}
            Due::History => self.history = rested(REST_PER_WORK),
            Due::Index => {
                self.index = None;
                index = rested(REST_PER_INDEX);
            }
        }
        if unindexed {
            self.index.get_or_insert(index);
        }
    }

    /// Now. Where the clock was set back, what is waited for comes as if it had not been.
    fn follow(&mut self, following: &mut Following) -> Timestamp {
        let (now, by) = following.now();
        self.set_back(by);
        now
    }

    fn set_back(&mut self, by: Duration) {
        self.round = self.round.minus(by);
        self.history = self.history.minus(by);
        self.index = self.index.map(|at| at.minus(by));
    }
}

impl Housekeeping {
    /// Runs until it is told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut due = Due::Round;
        let mut times = Times::default();
        let mut following = self.clock.follow();
        loop {
            let began = times.follow(&mut following);
            let mark = self.clock.mark();
            let (done, unindexed) = match due {
                Due::Round => {
                    // What becomes due while it runs is for the next one.
                    times.round = began.plus(EVERY);
                    (self.round().await, true)
                }
                // A segment was closed, which has no indexes yet.
                Due::History => (self.expire().await, true),
                Due::Index => match self.store.index_history().await {
                    Ok(unindexed) => (Ok(()), unindexed),
                    Err(error) => (Err(error), false),
                },
            };
            if let Err(error) = done {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "housekeeping could not finish its round"
                );
            }
            let now = times.follow(&mut following);
            times.after(due, unindexed, self.clock.since(mark), now);
            due = tokio::select! {
                due = self.next_due(&times) => due,
                _ = stop.wait_for(|stop| *stop) => return,
            };
        }
    }

    /// Waits for what has to be done next.
    async fn next_due(&self, times: &Times) -> Due {
        let closed = async {
            self.clock.sleep_until(times.history).await;
            self.store.closed_segment().await;
        };
        let index = async {
            match times.index {
                Some(at) => self.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.clock.sleep_until(times.round) => Due::Round,
            () = closed => Due::History,
            () = index => Due::Index,
        }
    }

    /// One round. The one half is done whatever became of the other.
    pub async fn round(&self) -> store::Result<()> {
        let failed = self.fail_held_too_long().await;
        self.expire().await?;
        failed
    }

    async fn expire(&self) -> store::Result<()> {
        loop {
            let expired = self.store.expire(self.clock.now(), self.keeping.history).await?;
            if expired.segments > 0 {
                let (segments, carried) = (expired.segments, expired.carried);
                tracing::info!(segments, carried, "old history was dropped");
            }
            if !expired.more {
                return Ok(());
            }
        }
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
    fn it_rests_after_what_it_did() {
        let at = Timestamp::from_millis;
        let mut times = Times::default();
        let millis = Duration::from_millis;
        times.after(Due::Round, true, millis(500), at(1_500));
        assert_eq!(times.history, Timestamp::default());
        assert_eq!(times.index, Some(at(1_500)), "an index may be missing");
        // One that took 10 ms is followed by another one 2.5 s later, whatever else is done meanwhile.
        times.after(Due::Index, true, millis(10), at(2_010));
        assert_eq!(times.index, Some(at(4_510)));
        times.after(Due::History, true, millis(100), at(3_100));
        assert_eq!((times.history, times.index), (at(3_500), Some(at(4_510))));
        times.after(Due::Index, false, millis(1), at(4_511));
        assert_eq!(times.index, None);
        // However long it took, it goes on with the next round.
        times.after(Due::Index, true, millis(60_000), at(5_000));
        assert_eq!(times.index, Some(at(5_000).plus(EVERY)));
        times.round = at(9_000);
        times.set_back(millis(1_000));
        assert_eq!(times.round, at(8_000));
        assert_eq!(
            (times.history, times.index),
            (at(2_500), Some(at(4_000).plus(EVERY)))
        );
    }

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
