//! The right to be under way, and what the loop hears when it ends.
//!
//! A permit tells the loop when it is dropped, however that happens, so that no row can be forgotten
//! and no permit lost.

use tokio::sync::mpsc;

use super::queue::Health;
use crate::delivery::Pending;
use crate::id::SubscriptionId;
use crate::time::Timestamp;

pub(super) enum Outcome {
    BecameSlow(SubscriptionId),
    Ended(Ended),
}

pub(super) struct Ended {
    pub(super) row: Pending,
    pub(super) was_slow: bool,
    pub(super) health: Health,
    pub(super) pause: Option<Timestamp>,
    pub(super) fate: Fate,
}

pub(super) enum Fate {
    /// Gone from the ledger.
    Finished,
    /// In the ledger with this new state.
    Again(Pending),
    /// Replaced in the ledger by these rows.
    Parts(Vec<Pending>),
    /// The store has failed for good.
    Unrecorded,
    /// The task panicked.
    Broken,
}

/// The right to be under way. When it goes, however that happens, the loop hears of it.
pub(super) struct Permit {
    pub(super) row: Pending,
    was_slow: bool,
    pub(super) health: Health,
    pub(super) pause: Option<Timestamp>,
    pub(super) fate: Option<Fate>,
    outcomes: mpsc::Sender<Outcome>,
}

impl Permit {
    pub(super) fn new(row: Pending, outcomes: mpsc::Sender<Outcome>) -> Self {
        Self {
            row,
            was_slow: false,
            health: Health::Unknown,
            pause: None,
            fate: None,
            outcomes,
        }
    }

    /// The loop gives the permit to others.
    pub(super) fn became_slow(&mut self) {
        self.was_slow = true;
        self.send(Outcome::BecameSlow(self.row.subscription));
    }

    fn send(&self, outcome: Outcome) {
        // The channel has room for two messages of every row under way; only a loop that has ended
        // does not take it.
        let _loop_has_ended = self.outcomes.try_send(outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Without a fate the task panicked: a bug of ours. The row is not tried again before the next
        // start, so that the bug cannot burn an endpoint; the ledger still has it.
        let fate = self.fate.take().unwrap_or(Fate::Broken);
        let (row, was_slow, health, pause) = (self.row, self.was_slow, self.health, self.pause);
        self.send(Outcome::Ended(Ended {
            row,
            was_slow,
            health,
            pause,
            fate,
        }));
    }
}
