//! What is due, when, and who goes next: the dispatcher's memory. Pure: no clock, no I/O.
//!
//! Every subscription has a lane of rows that are due; lanes that may start something stand in a
//! ring and take turns. Rows that are due later wait in `timers`; lanes that must pause (a rate
//! limit, an endpoint that asked for it) wait in `wakes`.
//!
//! Memory is bounded. A row that does not fit is *spilled*: it stays in the store, and the lowest
//! spilled number per lane says from where the ledger has to be read again when there is room. Rows
//! of a held lane are always spilled, so that a backlog nobody can deliver costs nothing.
//!
//! A sick endpoint costs the others nothing: a request that takes longer than a moment gives its
//! permit back and is counted as slow instead, and a lane whose last request failed or was slow may
//! only have [`SICK_IN_FLIGHT_MAX`] requests under way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::bucket::Bucket;
use crate::delivery::Pending;
use crate::id::{RequestId, SubscriptionId};
use crate::subscription::RateLimit;
use crate::time::Timestamp;

/// Requests under way to an endpoint that is failing or slow: one that hangs and one that probes.
pub(super) const SICK_IN_FLIGHT_MAX: u16 = 2;

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

#[derive(Debug)]
struct Lane {
    mode: LaneMode,
    due: VecDeque<Pending>,
    in_flight: u16,
    in_ring: bool,
    sick: bool,
    bucket: Option<Bucket>,
    paused_until: Option<Timestamp>,
    /// Lowest number of a row that is only in the store.
    spilled_from: Option<RequestId>,
}

impl Lane {
    fn new(mode: LaneMode, now: Timestamp) -> Self {
        let bucket = bucket_of(mode, now);
        Self {
            mode,
            due: VecDeque::new(),
            in_flight: 0,
            in_ring: false,
            sick: false,
            bucket,
            paused_until: None,
            spilled_from: None,
        }
    }

    fn in_flight_max(&self) -> u16 {
        match self.mode {
            LaneMode::Open { max_in_flight, .. } if self.sick => max_in_flight.min(SICK_IN_FLIGHT_MAX),
            LaneMode::Open { max_in_flight, .. } => max_in_flight,
            LaneMode::Held => 0,
            LaneMode::Gone => SICK_IN_FLIGHT_MAX,
        }
    }

    fn wants_turn(&self) -> bool {
        !self.due.is_empty() && self.in_flight < self.in_flight_max()
    }

    fn spill(&mut self, row: RequestId) {
        self.spilled_from = Some(self.spilled_from.map_or(row, |from| from.min(row)));
    }

    fn is_idle(&self) -> bool {
        self.due.is_empty()
            && self.in_flight == 0
            && self.spilled_from.is_none()
            && self.paused_until.is_none()
    }
}

fn bucket_of(mode: LaneMode, now: Timestamp) -> Option<Bucket> {
    match mode {
        LaneMode::Open { rate: Some(rate), .. } => Some(Bucket::new(rate, now)),
        _ => None,
    }
}

/// All lanes and timers.
#[derive(Debug)]
pub(super) struct Queue {
    limits: QueueLimits,
    lanes: HashMap<SubscriptionId, Lane>,
    ring: VecDeque<SubscriptionId>,
    timers: BTreeMap<(Timestamp, RequestId), Pending>,
    wakes: BTreeSet<(Timestamp, SubscriptionId)>,
    /// Every row that is in a lane, in a timer or under way.
    known: HashSet<RequestId>,
    in_flight: usize,
    slow: usize,
    /// Slow requests that still count as in flight, because too many were slow when they became so.
    slow_in_flight: usize,
    /// When the earliest row is due that was spilled because the timers were full.
    timer_spill: Option<Timestamp>,
    /// From this number on, rows of any lane may be in the store only: at the start, and after rows
    /// were offered that did not arrive.
    unread_from: Option<RequestId>,
    /// Rows that were finished while the ledger is being read: what a page says of them is old.
    finished_while_reading: Option<HashSet<RequestId>>,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            ring: VecDeque::new(),
            timers: BTreeMap::new(),
            wakes: BTreeSet::new(),
            known: HashSet::new(),
            in_flight: 0,
            slow: 0,
            slow_in_flight: 0,
            timer_spill: None,
            unread_from: Some(RequestId::from_number(0)),
            finished_while_reading: None,
        }
    }

    /// Takes a row in, or spills it. `mode` is asked for a lane that does not exist yet.
    pub(super) fn offer(&mut self, row: Pending, now: Timestamp, mode: impl FnOnce() -> LaneMode) -> bool {
        let finished = self
            .finished_while_reading
            .as_ref()
            .is_some_and(|set| set.contains(&row.request));
        if finished || self.known.contains(&row.request) {
            return true;
        }
        let lane = self
            .lanes
            .entry(row.subscription)
            .or_insert_with(|| Lane::new(mode(), now));
        let full = self.known.len() >= self.limits.rows_max || lane.due.len() >= self.limits.lane_rows_max;
        if lane.mode == LaneMode::Held || full && row.due_at <= now {
            lane.spill(row.request);
            return false;
        }
        self.known.insert(row.request);
        self.place(row, now);
        true
    }

    /// Puts a row that is under way, or new, where its due time says.
    fn place(&mut self, row: Pending, now: Timestamp) {
        if row.due_at > now {
            self.timers.insert((row.due_at, row.request), row);
            self.spill_latest_timer();
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&row.subscription) {
            lane.due.push_back(row);
        }
        self.give_turn(row.subscription);
    }

    fn spill_latest_timer(&mut self) {
        if self.known.len() <= self.limits.rows_max {
            return;
        }
        if let Some(((due, request), row)) = self.timers.pop_last() {
            self.known.remove(&request);
            self.timer_spill = Some(self.timer_spill.map_or(due, |earliest| earliest.min(due)));
            if let Some(lane) = self.lanes.get_mut(&row.subscription) {
                lane.spill(request);
            }
        }
    }

    fn give_turn(&mut self, subscription: SubscriptionId) {
        if let Some(lane) = self.lanes.get_mut(&subscription)
            && !lane.in_ring
            && lane.wants_turn()
        {
            lane.in_ring = true;
            self.ring.push_back(subscription);
        }
    }

    /// The next row to start, if anything may start now. It is under way from then on.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Pending> {
        let mut turns = self.ring.len();
        while turns > 0 && self.in_flight < self.limits.in_flight_max {
            turns -= 1;
            let subscription = self.ring.pop_front()?;
            if let Some(row) = self.take_turn(subscription, now) {
                return Some(row);
            }
        }
        None
    }

    fn take_turn(&mut self, subscription: SubscriptionId, now: Timestamp) -> Option<Pending> {
        let lane = self.lanes.get_mut(&subscription)?;
        lane.in_ring = false;
        if !lane.wants_turn() {
            return None;
        }
        if lane.sick && self.slow >= self.limits.slow_max {
            // Too many are slow already; a slow one that ends lets a sick lane try again.
            lane.in_ring = true;
            self.ring.push_back(subscription);
            return None;
        }
        if let Some(until) = lane.paused_until {
            if until > now {
                self.wakes.insert((until, subscription));
                return None;
            }
            lane.paused_until = None;
        }
        if let Some(Err(due)) = lane.bucket.as_mut().map(|bucket| bucket.take(now)) {
            self.wakes.insert((due, subscription));
            return None;
        }
        let row = lane.due.pop_front()?;
        lane.in_flight += 1;
        self.in_flight += 1;
        self.give_turn(subscription);
        Some(row)
    }

    /// A request under way takes long: its permit goes to somebody else, unless too many are slow.
    pub(super) fn became_slow(&mut self, subscription: SubscriptionId) {
        if self.slow < self.limits.slow_max {
            self.in_flight = self.in_flight.saturating_sub(1);
            self.slow += 1;
        } else {
            self.slow_in_flight += 1;
        }
        if let Some(lane) = self.lanes.get_mut(&subscription) {
            lane.sick = true;
        }
    }

    /// A row is no longer under way. It is either offered again by [`Self::again`] or finished by
    /// [`Self::finished`], by the caller, in the same breath.
    pub(super) fn ended(&mut self, subscription: SubscriptionId, was_slow: bool, health: Health) {
        self.give_back(was_slow);
        if let Some(lane) = self.lanes.get_mut(&subscription) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            match health {
                Health::Well => lane.sick = false,
                Health::Sick => lane.sick = true,
                Health::Unknown => {}
            }
        }
        self.give_turn(subscription);
    }

    fn give_back(&mut self, was_slow: bool) {
        if was_slow && self.slow_in_flight == 0 {
            self.slow = self.slow.saturating_sub(1);
            return;
        }
        if was_slow {
            self.slow_in_flight -= 1;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A row that was under way is due again.
    pub(super) fn again(&mut self, row: Pending, now: Timestamp) {
        let held = self
            .lanes
            .get(&row.subscription)
            .is_none_or(|lane| lane.mode == LaneMode::Held);
        if held {
            self.known.remove(&row.request);
            if let Some(lane) = self.lanes.get_mut(&row.subscription) {
                lane.spill(row.request);
            }
            return;
        }
        self.place(row, now);
    }

    /// A row is gone from the ledger.
    pub(super) fn finished(&mut self, row: RequestId) {
        self.known.remove(&row);
        if let Some(finished) = &mut self.finished_while_reading {
            finished.insert(row);
        }
    }

    /// A row is in the ledger again after it was finished, or replaces one with its number.
    pub(super) fn revive(&mut self, row: RequestId) {
        if let Some(finished) = &mut self.finished_while_reading {
            finished.remove(&row);
        }
    }

    /// A person wants a row now: it no longer waits for its time, and may be offered anew. A row that
    /// is due or under way stays where it is.
    pub(super) fn hasten(&mut self, row: RequestId) {
        self.revive(row);
        let waiting = self.timers.keys().find(|(_, request)| *request == row).copied();
        if let Some(key) = waiting {
            self.timers.remove(&key);
            self.known.remove(&row);
        }
    }

    /// An endpoint asked for a pause.
    pub(super) fn pause(&mut self, subscription: SubscriptionId, until: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(&subscription) {
            lane.paused_until = Some(lane.paused_until.map_or(until, |earlier| earlier.max(until)));
        }
    }

    /// Moves what became due into its lane.
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let row = entry.remove();
            match self.lanes.get_mut(&row.subscription) {
                Some(lane) if lane.mode == LaneMode::Held => {
                    lane.spill(row.request);
                    self.known.remove(&row.request);
                }
                Some(lane) => {
                    lane.due.push_back(row);
                    self.give_turn(row.subscription);
                }
                None => {
                    self.known.remove(&row.request);
                }
            }
        }
        while let Some((due, subscription)) = self.wakes.first().copied() {
            if due > now {
                break;
            }
            self.wakes.pop_first();
            self.give_turn(subscription);
        }
    }

    /// When [`Self::tick`] has something to do next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let timer = self.timers.first_key_value().map(|((due, _), _)| *due);
        let wake = self.wakes.first().map(|(due, _)| *due);
        let spilled = self.timer_spill.filter(|_| self.finished_while_reading.is_none());
        [timer, wake, spilled].into_iter().flatten().min()
    }

    /// Follows a change of subscriptions.
    pub(super) fn refresh(&mut self, now: Timestamp, mode: impl Fn(SubscriptionId) -> LaneMode) {
        let lanes: Vec<SubscriptionId> = self.lanes.keys().copied().collect();
        for subscription in lanes {
            let new = mode(subscription);
            let Some(lane) = self.lanes.get_mut(&subscription) else {
                continue;
            };
            if lane.mode != new {
                lane.mode = new;
                lane.bucket = bucket_of(new, now);
                lane.sick = false;
                lane.paused_until = None;
                if new == LaneMode::Held {
                    while let Some(row) = lane.due.pop_front() {
                        self.known.remove(&row.request);
                        lane.spill(row.request);
                    }
                }
            }
            if lane.is_idle() && !lane.in_ring {
                self.lanes.remove(&subscription);
            } else {
                self.give_turn(subscription);
            }
        }
    }

    /// From where the ledger should be read now, because rows are only there and there is room.
    pub(super) fn read_from(&mut self, now: Timestamp) -> Option<RequestId> {
        if self.finished_while_reading.is_some() {
            return None;
        }
        let timers_due = self.timer_spill.is_some_and(|due| due <= now);
        let room = self.known.len() <= self.limits.rows_max / 2;
        let wants = |lane: &&Lane| {
            lane.mode != LaneMode::Held
                && (timers_due || room && lane.due.len() <= self.limits.lane_rows_max / 2)
        };
        let lanes = self
            .lanes
            .values()
            .filter(wants)
            .filter_map(|lane| lane.spilled_from)
            .min();
        let from = [lanes, self.unread_from.filter(|_| room)]
            .into_iter()
            .flatten()
            .min();
        if timers_due && from.is_none() {
            // Only held lanes have spilled rows; they are read when they are released.
            self.timer_spill = None;
        }
        from
    }

    /// The ledger is being read from `from` to its end: lanes forget what they spilled there, for it
    /// will be offered again.
    pub(super) fn reading(&mut self, from: RequestId) {
        self.finished_while_reading = Some(HashSet::new());
        self.timer_spill = None;
        self.unread_from = None;
        for lane in self.lanes.values_mut().filter(|lane| lane.mode != LaneMode::Held) {
            if lane.spilled_from.is_some_and(|spilled| spilled >= from) {
                lane.spilled_from = None;
            }
        }
    }

    /// The ledger was read to its end.
    pub(super) fn read(&mut self) {
        self.finished_while_reading = None;
    }

    /// From this number on, rows may be in the store that nobody offered, or whose offer was lost.
    pub(super) fn unread(&mut self, from: RequestId) {
        self.unread_from = Some(self.unread_from.map_or(from, |earlier| earlier.min(from)));
    }

    /// Whether a lane has so much to do that handing it payloads would only fill memory.
    pub(super) fn is_behind(&self, subscription: SubscriptionId, rows: usize) -> bool {
        self.lanes
            .get(&subscription)
            .is_some_and(|lane| lane.due.len() > rows || lane.sick)
    }

    /// Requests under way, slow ones included.
    pub(super) fn under_way(&self) -> usize {
        self.in_flight + self.slow
    }

    /// Whether rows are still to be read from the ledger before this memory can be called complete.
    pub(super) fn is_reading(&self) -> bool {
        self.finished_while_reading.is_some() || self.unread_from.is_some()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
