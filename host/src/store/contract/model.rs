//! The contract without disks: maps from ids to what they should be, moved along with a store by
//! [`super::histories`].

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::{Pending, Stage, State};
use crate::id::{DeliveryId, EventId, ReceptionId, SubscriptionId};
use crate::reception::Reception;
use crate::store::{Counters, Series};
use crate::time::Timestamp;

/// What a delivery should be.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) subscription: SubscriptionId,
    pub(super) event: EventId,
    /// Empty once it has ended.
    pub(super) rows: Vec<Pending>,
    /// Its rows when it ended.
    pub(super) ended: Vec<Pending>,
    pub(super) state: State,
    pub(super) attempts: u32,
}

impl Delivery {
    /// Its rows when it is sent again.
    pub(super) fn again(&self, now: Timestamp) -> Vec<Pending> {
        let was_failed = matches!(self.state, State::Failed { .. });
        let again = |row: &Pending| Pending {
            tries: 0,
            throttles: 0,
            due_at: now,
            stage: match row.stage {
                Stage::Accepted => Stage::Accepted,
                Stage::PartDelivered if was_failed => Stage::PartDelivered,
                _ => Stage::Rendered,
            },
            ..*row
        };
        self.ended.iter().map(again).collect()
    }
}

/// What was accepted under a producer's id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) content: u8,
    pub(super) at: Timestamp,
    pub(super) id: EventId,
    pub(super) matched: u32,
}

/// Everything, as it should be.
pub(super) struct Model {
    pub(super) deliveries: BTreeMap<DeliveryId, Delivery>,
    pub(super) events: BTreeSet<EventId>,
    pub(super) requests: BTreeSet<i64>,
    pub(super) seen: BTreeMap<(Series, u8), Seen>,
    /// As lists show them: without bodies.
    pub(super) receptions: BTreeMap<ReceptionId, Reception>,
    pub(super) counters: BTreeMap<SubscriptionId, Counters>,
}

impl Model {
    /// Whether everything that is needed to send an ended delivery again is kept.
    pub(super) fn is_kept(&self, delivery: &Delivery) -> bool {
        let sendable =
            |row: &Pending| row.stage == Stage::Accepted || self.requests.contains(&row.request.number());
        self.events.contains(&delivery.event) && delivery.ended.iter().all(sendable)
    }

    pub(super) fn ledger(&self) -> Vec<Pending> {
        let mut rows: Vec<Pending> = self
            .deliveries
            .values()
            .flat_map(|delivery| delivery.rows.clone())
            .collect();
        rows.sort_by_key(|row| row.request);
        rows
    }

    pub(super) fn counter(&mut self, id: DeliveryId, by: i64) {
        let delivery = &self.deliveries[&id];
        let counters = self.counters.entry(delivery.subscription).or_default();
        let place = match &delivery.state {
            State::Pending { .. } => &mut counters.pending,
            State::Delivered { .. } => &mut counters.delivered,
            State::Filtered { .. } => &mut counters.filtered,
            State::Failed { .. } => &mut counters.failed,
        };
        *place = place.checked_add_signed(by).expect("a counter below zero");
    }

    pub(super) fn set(&mut self, id: DeliveryId, state: State) {
        self.counter(id, -1);
        let delivery = self.deliveries.get_mut(&id).unwrap();
        if !matches!(state, State::Pending { .. }) {
            delivery.ended = std::mem::take(&mut delivery.rows);
        }
        delivery.state = state;
        self.counter(id, 1);
    }

    pub(super) fn refresh_due(&mut self, id: DeliveryId) {
        let delivery = self.deliveries.get_mut(&id).unwrap();
        let open = delivery
            .rows
            .iter()
            .filter(|row| matches!(row.stage, Stage::Accepted | Stage::Rendered));
        if let Some(due_at) = open.map(|row| row.due_at).min() {
            delivery.state = State::Pending { due_at };
        }
    }
}
