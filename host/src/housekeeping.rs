//! What has to be done now and then: dropping old segments, and failing what was held too long.
//!
//! It runs at the start and then every [`EVERY`], on the clock; work per round is bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::delivery::{Change, Pending};
use crate::id::RequestId;
use crate::registry::Registry;
use crate::store::{self, Retention, Store};

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
            if let Err(error) = self.round().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "housekeeping could not finish its round"
                );
            }
            let next = self.clock.now().plus(EVERY);
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// One round.
    pub async fn round(&self) -> store::Result<()> {
        self.fail_held_too_long().await?;
        loop {
            let expired = self.store.expire(self.clock.now(), self.keeping.history).await?;
            if expired.segments == 0 {
                return Ok(());
            }
            tracing::info!(
                segments = expired.segments,
                carried = expired.carried,
                "old history was dropped"
            );
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
            let changes: Vec<Change> = old
                .filter(|row| self.is_held(row))
                .map(|row| abandoned(*row, now))
                .collect();
            if !changes.is_empty() {
                tracing::warn!(
                    deliveries = changes.len(),
                    "deliveries were held too long and have failed"
                );
                self.store.record(self.store.epoch(), changes).await?;
            }
            if rows.len() < PAGE || last.delivery.time() >= oldest {
                return Ok(());
            }
            after = last.request;
        }
    }

    fn is_held(&self, row: &Pending) -> bool {
        self.registry
            .route(row.subscription)
            .is_some_and(|route| !route.subscription().status.is_enabled())
    }
}

fn abandoned(pending: Pending, at: crate::time::Timestamp) -> Change {
    Change::Abandoned {
        pending,
        reason: "it was held longer than dispatch.held_max".to_owned(),
        at,
    }
}
