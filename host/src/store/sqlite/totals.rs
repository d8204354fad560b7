//! What everybody may know of the writer: totals of what was committed since the store was opened, whether
//! there was room, and that a segment was closed.
//!
//! The totals only grow, for metrics. They are moved with the counters, in the transaction in which it
//! happens, and told after its commit: what is undone is not counted. (The counters in the database say how
//! things stand, so they go back where a dead letter is sent again; these do not.)

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::work::End;
use crate::store::Committed;

/// The totals as the writer knows them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals(Committed);

/// What everybody may read and wait for.
#[derive(Debug, Default)]
pub(super) struct Told {
    totals: [AtomicU64; 5],
    full: AtomicBool,
    closed_segment: Notify,
}

impl Totals {
    /// A transaction is about to be committed.
    pub(super) fn transaction(&mut self) {
        self.0.transactions += 1;
    }

    /// A delivery was created.
    pub(super) fn created(&mut self) {
        self.0.created += 1;
    }

    /// A delivery ended.
    pub(super) fn ended(&mut self, end: End) {
        match end {
            End::Delivered => self.0.delivered += 1,
            End::Filtered => self.0.filtered += 1,
            End::Failed => self.0.failed += 1,
        }
    }
}

impl Told {
    /// These are committed.
    pub(super) fn tell(&self, Totals(committed): Totals) {
        let Committed {
            transactions,
            created,
            delivered,
            filtered,
            failed,
        } = committed;
        let numbers = [transactions, created, delivered, filtered, failed];
        for (told, number) in self.totals.iter().zip(numbers) {
            told.store(number, Ordering::Relaxed);
        }
    }

    /// Whether there was room for all that was to be written last.
    pub(super) fn found_room(&self, found: bool) {
        self.full.store(!found, Ordering::Relaxed);
    }

    /// Whether there was no room for what was to be written last.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// A segment was closed, which is committed.
    pub(super) fn segment_was_closed(&self) {
        self.closed_segment.notify_one();
    }

    /// Waits until one was closed since the last time that this was waited for.
    pub(super) async fn closed_segment(&self) {
        self.closed_segment.notified().await;
    }

    /// What was told last.
    pub(super) fn read(&self) -> Committed {
        let [transactions, created, delivered, filtered, failed] =
            self.totals.each_ref().map(|told| told.load(Ordering::Relaxed));
        Committed {
            transactions,
            created,
            delivered,
            filtered,
            failed,
        }
    }
}
