//! The right to be under way, and what the loop hears when it ends.
//!
//! A permit tells the loop when it is dropped, however that happens, so that no row can be forgotten
//! and no permit lost.

use tokio::sync::mpsc;

use super::lane::Health;
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
    pub(super) report: Report,
    pub(super) fate: Fate,
}

/// What was learnt on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    /// How the endpoint, or the plugin before it, did.
    pub(super) health: Health,
    /// Until when the endpoint wants to be left alone.
    pub(super) pause: Option<Timestamp>,
    /// Whether a request was sent, which is what a rate counts.
    pub(super) sent: bool,
    /// Whether the answer stops the subscription.
    pub(super) stops: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            health: Health::Unknown,
            pause: None,
            sent: false,
            stops: false,
        }
    }
}

pub(super) enum Fate {
    /// Gone from the ledger.
    Finished,
    /// In the ledger with this new state.
    Again(Pending),
    /// Replaced in the ledger by these rows.
    Parts(Vec<Pending>),
    /// The ledger says something else of it than we did.
    Misread,
    /// The store has failed for good.
    Unrecorded,
    /// The task panicked.
    Broken,
}

/// The right to be under way. When it goes, however that happens, the loop hears of it.
pub(super) struct Permit {
    pub(super) row: Pending,
    /// Whether a person asked for this attempt.
    pub(super) resend: bool,
    was_slow: bool,
    pub(super) report: Report,
    pub(super) fate: Option<Fate>,
    outcomes: mpsc::Sender<Outcome>,
}

impl Permit {
    pub(super) fn new(row: Pending, resend: bool, outcomes: mpsc::Sender<Outcome>) -> Self {
        Self {
            row,
            resend,
            was_slow: false,
            report: Report::default(),
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
        let ended = Ended {
            row: self.row,
            was_slow: self.was_slow,
            report: self.report,
            fate,
        };
        self.send(Outcome::Ended(ended));
    }
}
