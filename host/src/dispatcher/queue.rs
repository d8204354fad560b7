//! What is due, when, and who goes next: the dispatcher's memory. Pure: no clock, no I/O.
//!
//! Every subscription has a lane of rows that are due; lanes that may start something stand in a
//! ring and take turns. Rows that are due later wait in `timers`; lanes that must pause (a rate
//! limit, an endpoint that asked for it) wait in `wakes`.
//!
//! Memory is bounded. A row that does not fit is *spilled*: it stays in the store, and the lowest
//! spilled number per lane says from where the ledger has to be read again when there is room. What is
//! due goes before what is due later: a due row that finds memory full takes the place of the latest
//! timer, and every lane may have [`LANE_ROWS_MIN`] rows whatever the others have. Rows of a held lane
//! are always spilled, so that a backlog nobody can deliver costs nothing.
//!
//! A sick endpoint costs the others nothing: a request that takes longer than a moment gives its
//! permit back and is counted as slow instead, and a lane whose last request failed or was slow may
//! only probe.

mod load;
mod set_back;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

pub use load::{Lanes, Load, Waits};

use super::lane::{Health, LANE_ROWS_MIN, Lane, LaneMode, QueueLimits};
use super::place::{Offered, Place};
use crate::delivery::Pending;
use crate::id::{RequestId, SubscriptionId};
use crate::time::Timestamp;

/// Pause before a row is read again that was misread twice.
const MISREAD_RETRY: Duration = Duration::from_secs(5);
/// Rows of which it is remembered that they were misread; one that is forgotten is only read sooner.
const MISREAD_MAX: usize = 10_000;

/// All lanes and timers.
#[derive(Debug)]
pub(super) struct Queue {
    limits: QueueLimits,
    lanes: HashMap<SubscriptionId, Lane>,
    ring: VecDeque<SubscriptionId>,
    timers: BTreeMap<(Timestamp, RequestId), Pending>,
    wakes: BTreeSet<(Timestamp, SubscriptionId)>,
    /// Every row that is in a lane, in a timer or under way.
    known: HashMap<RequestId, Place>,
    /// Lanes that have spilled rows.
    spilled: HashSet<SubscriptionId>,
    in_flight: usize,
    slow: usize,
    /// Slow requests that still count as in flight, because too many were slow when they became so.
    slow_in_flight: usize,
    /// Of the rows that were spilled because the timers were full, or that wait after they were misread:
    /// when the first is due, and the lowest number. They are read when that time has come.
    timer_spill: Option<(Timestamp, RequestId)>,
    /// From this number on, rows of any lane may be in the store only: at the start, and after rows
    /// were offered that did not arrive.
    unread_from: Option<RequestId>,
    /// Rows that ended or were spilled while the ledger is being read: what a page says of them may be old.
    changed_while_reading: Option<HashSet<RequestId>>,
    /// Rows that the ledger said something else of, and that have not got on since.
    misread: HashSet<RequestId>,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            ring: VecDeque::new(),
            timers: BTreeMap::new(),
            wakes: BTreeSet::new(),
            known: HashMap::new(),
            spilled: HashSet::new(),
            in_flight: 0,
            slow: 0,
            slow_in_flight: 0,
            timer_spill: None,
            unread_from: Some(RequestId::from_number(0)),
            changed_while_reading: None,
            misread: HashSet::new(),
        }
    }

    /// Takes a row in, or spills it. `mode` is asked for a lane that does not exist yet.
    pub(super) fn offer(&mut self, row: Pending, now: Timestamp, mode: impl FnOnce() -> LaneMode) -> Offered {
        let changed = self.changed_while_reading.as_ref();
        if changed.is_some_and(|set| set.contains(&row.request)) || self.known.contains_key(&row.request) {
            return Offered::Known;
        }
        let lane = self
            .lanes
            .entry(row.subscription)
            .or_insert_with(|| Lane::new(mode(), now));
        if lane.mode == LaneMode::Held {
            self.spill(row.subscription, row.request);
            return Offered::Spilled;
        }
        if row.due_at <= now && lane.due.len() >= LANE_ROWS_MIN {
            let lane_full = lane.due.len() >= lane.rows_max(&self.limits);
            if lane_full || self.is_full() && !self.spill_latest_timer() {
                self.spill(row.subscription, row.request);
                return Offered::Spilled;
            }
        }
        self.place(row, now);
        Offered::Placed
    }

    fn is_full(&self) -> bool {
        self.known.len() >= self.limits.rows_max
    }

    /// Puts a row that is under way, or new, where its due time says.
    fn place(&mut self, row: Pending, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&row.subscription) else {
            // Only a lane without any row is ever removed, so this cannot be; the ledger has the row.
            self.forget(row.request);
            return self.unread(row.request);
        };
        if row.due_at > now {
            lane.timed += 1;
            self.known.insert(row.request, Place::Timer(row.due_at));
            self.timers.insert((row.due_at, row.request), row);
            if self.known.len() > self.limits.rows_max {
                self.spill_latest_timer();
            }
            return;
        }
        lane.due.push_back(row);
        self.known.insert(row.request, Place::Due);
        self.give_turn(row.subscription);
    }

    /// Leaves a row to the store.
    fn spill(&mut self, subscription: SubscriptionId, row: RequestId) {
        self.forget(row);
        self.changed(row);
        if let Some(lane) = self.lanes.get_mut(&subscription) {
            lane.spilled_from = Some(lane.spilled_from.map_or(row, |from| from.min(row)));
            self.spilled.insert(subscription);
        }
    }

    fn forget(&mut self, row: RequestId) {
        self.known.remove(&row);
    }

    /// Makes room where what is due last waits. False where nothing waits.
    fn spill_latest_timer(&mut self) -> bool {
        let Some(((due, request), row)) = self.timers.pop_last() else {
            return false;
        };
        if let Some(lane) = self.lanes.get_mut(&row.subscription) {
            lane.timed -= 1;
        }
        self.forget(request);
        self.changed(request);
        self.read_at(due, request);
        true
    }

    /// What a page of the ledger that is being read says of a row is old from now on.
    fn changed(&mut self, row: RequestId) {
        if let Some(changed) = &mut self.changed_while_reading {
            changed.insert(row);
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
        self.known.insert(row.request, Place::UnderWay);
        self.give_turn(subscription);
        Some(row)
    }

    /// A row under way takes long: its permit goes to somebody else, unless too many are slow.
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

    /// A row is no longer under way. What becomes of it, the caller says in the same breath:
    /// [`Self::again`], [`Self::finished`] or [`Self::broken`].
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

    /// A row that was under way sent nothing: it costs the lane's rate nothing.
    pub(super) fn sent_nothing(&mut self, subscription: SubscriptionId) {
        let lane = self.lanes.get_mut(&subscription);
        if let Some(bucket) = lane.and_then(|lane| lane.bucket.as_mut()) {
            bucket.give_back();
        }
    }

    /// A row that was under way is due again.
    pub(super) fn again(&mut self, row: Pending, now: Timestamp) {
        self.misread.remove(&row.request);
        let wanted = self.known.get(&row.request) == Some(&Place::UnderWayAndWanted);
        let row = Pending {
            due_at: if wanted { now } else { row.due_at },
            ..row
        };
        match self.lanes.get(&row.subscription) {
            Some(lane) if lane.mode != LaneMode::Held => self.place(row, now),
            _ => self.spill(row.subscription, row.request),
        }
    }

    /// A row is gone from the ledger, or replaced by others.
    pub(super) fn finished(&mut self, row: RequestId) {
        self.misread.remove(&row);
        let place = self.known.remove(&row);
        if place == Some(Place::UnderWayAndWanted) {
            // It was put into the ledger again while it was under way.
            self.unread(row);
        } else {
            self.changed(row);
        }
    }

    /// The ledger says something else of a row than we did: it is read again. At once the first time; a row
    /// that is misread again would never be right, and is not to keep the dispatcher busy.
    pub(super) fn misread(&mut self, row: RequestId, now: Timestamp) {
        self.forget(row);
        self.changed(row);
        if self.misread.len() >= MISREAD_MAX {
            self.misread.clear();
        }
        if self.misread.insert(row) {
            self.unread(row);
        } else {
            self.read_at(now.plus(MISREAD_RETRY), row);
        }
    }

    /// Reads from this row on when the time has come.
    fn read_at(&mut self, due: Timestamp, row: RequestId) {
        let (earliest, lowest) = self.timer_spill.unwrap_or((due, row));
        self.timer_spill = Some((earliest.min(due), lowest.min(row)));
    }

    /// A row that stays in the ledger but is not to be tried again by this process.
    pub(super) fn broken(&mut self, row: RequestId) {
        self.forget(row);
    }

    /// A row is in the ledger anew with the number of one that was finished.
    pub(super) fn revive(&mut self, row: RequestId) {
        if let Some(changed) = &mut self.changed_while_reading {
            changed.remove(&row);
        }
    }

    /// A person wants a row now. One that waits is due now, one that is under way is looked at again
    /// when it has ended. False where the row is not known: the ledger knows it.
    pub(super) fn hasten(&mut self, row: RequestId, now: Timestamp) -> bool {
        match self.known.get(&row).copied() {
            Some(Place::Timer(due)) => {
                if let Some(waiting) = self.timers.remove(&(due, row)) {
                    if let Some(lane) = self.lanes.get_mut(&waiting.subscription) {
                        lane.timed -= 1;
                    }
                    self.place(
                        Pending {
                            due_at: now,
                            ..waiting
                        },
                        now,
                    );
                }
                true
            }
            Some(Place::UnderWay) => {
                self.known.insert(row, Place::UnderWayAndWanted);
                true
            }
            Some(Place::Due | Place::UnderWayAndWanted) => true,
            None => false,
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
            let Some(lane) = self.lanes.get_mut(&row.subscription) else {
                self.forget(row.request);
                self.unread(row.request);
                continue;
            };
            lane.timed -= 1;
            if lane.mode == LaneMode::Held {
                self.spill(row.subscription, row.request);
            } else {
                self.place(row, now);
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
        let spilled = self
            .timer_spill
            .filter(|_| self.changed_while_reading.is_none())
            .map(|(due, _)| due);
        [timer, wake, spilled].into_iter().flatten().min()
    }

    /// Follows a change of subscriptions.
    pub(super) fn refresh(&mut self, now: Timestamp, mode: impl Fn(SubscriptionId) -> LaneMode) {
        let lanes: Vec<SubscriptionId> = self.lanes.keys().copied().collect();
        for subscription in lanes {
            let Some(lane) = self.lanes.get_mut(&subscription) else {
                continue;
            };
            let new = mode(subscription);
            if lane.mode != new {
                lane.follow(new, now);
                if new == LaneMode::Held {
                    for row in std::mem::take(&mut lane.due) {
                        self.spill(subscription, row.request);
                    }
                }
            }
            if self.lanes.get(&subscription).is_some_and(Lane::is_idle) {
                self.lanes.remove(&subscription);
            } else {
                self.give_turn(subscription);
            }
        }
    }

    /// From where the ledger should be read now, because rows are only there and there is room.
    pub(super) fn read_from(&self, now: Timestamp) -> Option<RequestId> {
        if self.changed_while_reading.is_some() {
            return None;
        }
        let timers = self
            .timer_spill
            .filter(|(due, _)| *due <= now)
            .map(|(_, lowest)| lowest);
        if self.known.len() - self.timers.len() > self.limits.rows_max / 2 {
            return timers;
        }
        let wants =
            |lane: &&Lane| lane.mode != LaneMode::Held && lane.due.len() <= lane.rows_max(&self.limits) / 2;
        let lanes = self.spilled.iter().filter_map(|id| self.lanes.get(id));
        let lanes = lanes.filter(wants).filter_map(|lane| lane.spilled_from).min();
        [timers, lanes, self.unread_from].into_iter().flatten().min()
    }

    /// The ledger is being read from `from` to its end: what was spilled there is offered again.
    pub(super) fn reading(&mut self, from: RequestId) {
        self.changed_while_reading = Some(HashSet::new());
        self.timer_spill = self.timer_spill.filter(|(_, lowest)| *lowest < from);
        self.unread_from = self.unread_from.filter(|unread| *unread < from);
        let lanes = &mut self.lanes;
        self.spilled.retain(|id| {
            let Some(lane) = lanes.get_mut(id) else {
                return false;
            };
            if lane.mode != LaneMode::Held && lane.spilled_from.is_some_and(|spilled| spilled >= from) {
                lane.spilled_from = None;
            }
            lane.spilled_from.is_some()
        });
    }

    /// The ledger was read to its end, or to where memory is full.
    pub(super) fn read(&mut self) {
        self.changed_while_reading = None;
    }

    /// Whether reading on would only spill.
    pub(super) fn has_no_room(&self) -> bool {
        self.known.len() - self.timers.len() >= self.limits.rows_max
    }

    /// From this number on, rows may be in the store that nobody offered, or whose offer was lost.
    pub(super) fn unread(&mut self, from: RequestId) {
        self.unread_from = Some(self.unread_from.map_or(from, |earlier| earlier.min(from)));
    }

    /// Whether a lane gets on so badly that handing it payloads would only fill memory.
    pub(super) fn is_stuck(&self, subscription: SubscriptionId) -> bool {
        self.lanes.get(&subscription).is_some_and(Lane::is_stuck)
    }

    /// Rows under way, slow ones included.
    pub(super) fn under_way(&self) -> usize {
        self.in_flight + self.slow
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
