//! How much the dispatcher has to do, for whoever looks.

use super::Queue;
use crate::dispatcher::lane::{Lane, LaneMode};
use crate::id::SubscriptionId;
use crate::time::Timestamp;

/// What is due and waits longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Whose it is.
    pub subscription: SubscriptionId,
    /// Since when it waits.
    pub since: Timestamp,
}

/// How much there is to do, after everything that could start has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// What waits longest for its turn.
    pub waits: Option<Waits>,
    /// Rows that may start.
    pub due: usize,
    /// Rows that are due later.
    pub later: usize,
    /// Rows under way, without the slow ones.
    pub in_flight: usize,
    /// Rows that have been under way for long.
    pub slow: usize,
    /// Lanes, by how they are.
    pub lanes: Lanes,
    /// Lanes of which some rows are only in the store.
    pub spilled: usize,
    /// Messages that wait for the loop.
    pub inbox: usize,
}

/// Lanes, by how they are. Each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    /// Their endpoints take what comes.
    pub well: usize,
    /// Their endpoints fail or are slow.
    pub sick: usize,
    /// They wait: for their rate, or because the endpoint asked for it.
    pub paused: usize,
    /// Their subscriptions are not enabled, or gone.
    pub held: usize,
}

impl Queue {
    /// How much there is to do.
    pub(in crate::dispatcher) fn load(&self) -> Load {
        let mut load = Load {
            later: self.timers.len(),
            in_flight: self.in_flight,
            slow: self.slow,
            spilled: self.spilled.len(),
            ..Load::default()
        };
        for (subscription, lane) in &self.lanes {
            load.take_in(*subscription, lane);
        }
        load
    }
}

impl Load {
    /// Adds what a lane has to do.
    fn take_in(&mut self, subscription: SubscriptionId, lane: &Lane) {
        self.due += lane.due.len();
        let count = match lane.mode {
            LaneMode::Held | LaneMode::Gone => &mut self.lanes.held,
            LaneMode::Open { .. } if lane.sick => &mut self.lanes.sick,
            LaneMode::Open { .. } if lane.paused_until.is_some() => &mut self.lanes.paused,
            LaneMode::Open { .. } => &mut self.lanes.well,
        };
        *count += 1;
        let waits = lane.waits_since().map(|since| Waits { subscription, since });
        let earlier = |waits: &Waits| (waits.since, waits.subscription);
        self.waits = self.waits.into_iter().chain(waits).min_by_key(earlier);
    }
}
