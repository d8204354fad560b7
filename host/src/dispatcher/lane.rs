//! One subscription's lane: the rows of it that are due, and what keeps them from going.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bucket::Bucket;
use crate::delivery::Pending;
use crate::id::RequestId;
use crate::subscription::RateLimit;
use crate::time::Timestamp;

/// Requests under way to an endpoint that is failing or slow: one that hangs and one that probes.
const SICK_IN_FLIGHT_MAX: u16 = 2;

/// Due rows that every lane may have in memory, however full it is.
pub(super) const LANE_ROWS_MIN: usize = 16;
/// Due rows in memory for a lane that is sick or pausing: more would only wait there.
const STUCK_LANE_ROWS_MAX: usize = 64;

/// How much may be in memory and under way.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Requests under way in all, slow ones aside.
    pub in_flight_max: usize,
    /// Slow requests under way in all.
    pub slow_max: usize,
    /// Rows in memory in all.
    pub rows_max: usize,
    /// Due rows in memory for one subscription.
    pub lane_rows_max: usize,
}

/// What a lane needs to know of its subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneMode {
    /// Deliveries go out.
    Open {
        /// Requests under way at once.
        max_in_flight: u16,
        /// Requests per time.
        rate: Option<RateLimit>,
    },
    /// Deliveries are held.
    Held,
    /// The subscription was deleted: its rows are taken out to be failed.
    Gone,
}

/// How an endpoint did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, and in time.
    Well,
    /// It failed or was slow.
    Sick,
    /// Nothing was learnt.
    Unknown,
}

/// The lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) mode: LaneMode,
    pub(super) due: VecDeque<Pending>,
    pub(super) in_flight: u16,
    /// Rows of this lane that wait in `timers`.
    pub(super) timed: usize,
    pub(super) in_ring: bool,
    pub(super) sick: bool,
    pub(super) bucket: Option<Bucket>,
    pub(super) paused_until: Option<Timestamp>,
    /// Since when its rows may go: nothing waited for us before.
    open_since: Timestamp,
    /// Lowest number of a row that is only in the store.
    pub(super) spilled_from: Option<RequestId>,
}

impl Lane {
    pub(super) fn new(mode: LaneMode, now: Timestamp) -> Self {
        let bucket = bucket_of(mode, now);
        Self {
            mode,
            due: VecDeque::new(),
            in_flight: 0,
            timed: 0,
            in_ring: false,
            sick: false,
            bucket,
            paused_until: None,
            open_since: now,
            spilled_from: None,
        }
    }

    /// Follows a change of its subscription: what was learnt of the endpoint says nothing any more.
    pub(super) fn follow(&mut self, mode: LaneMode, now: Timestamp) {
        if self.mode == LaneMode::Held {
            self.open_since = now;
        }
        self.mode = mode;
        self.bucket = bucket_of(mode, now);
        self.sick = false;
        self.paused_until = None;
    }

    /// The clock was set back by so much: what is paused stays so for as long as was left.
    pub(super) fn set_back(&mut self, by: Duration) {
        for row in &mut self.due {
            row.due_at = row.due_at.minus(by);
        }
        self.paused_until = self.paused_until.map(|until| until.minus(by));
        self.open_since = self.open_since.minus(by);
    }

    /// Since when the row that is next waits for its turn.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        self.due.front().map(|row| row.due_at.max(self.open_since))
    }

    pub(super) fn in_flight_max(&self) -> u16 {
        match self.mode {
            LaneMode::Open { max_in_flight, .. } if self.sick => max_in_flight.min(SICK_IN_FLIGHT_MAX),
            LaneMode::Open { max_in_flight, .. } => max_in_flight,
            LaneMode::Held => 0,
            LaneMode::Gone => SICK_IN_FLIGHT_MAX,
        }
    }

    pub(super) fn wants_turn(&self) -> bool {
        !self.due.is_empty() && self.in_flight < self.in_flight_max()
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.sick || self.paused_until.is_some()
    }

    pub(super) fn rows_max(&self, limits: &QueueLimits) -> usize {
        let most = limits.lane_rows_max.max(LANE_ROWS_MIN);
        if self.is_stuck() {
            most.min(STUCK_LANE_ROWS_MAX)
        } else {
            most
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        let nothing = self.due.is_empty() && self.in_flight == 0 && self.timed == 0;
        nothing && self.spilled_from.is_none() && self.paused_until.is_none() && !self.in_ring
    }
}

pub(super) fn bucket_of(mode: LaneMode, now: Timestamp) -> Option<Bucket> {
    match mode {
        LaneMode::Open { rate: Some(rate), .. } => Some(Bucket::new(rate, now)),
        _ => None,
    }
}
