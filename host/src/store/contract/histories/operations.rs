//! Histories with operations: everything that failed is recovered in one step, events get new deliveries,
//! and what walks find is what the model says.

use std::collections::BTreeMap;

use super::super::candidates::{all_events, all_failed, walk_events, walk_failed};
use super::super::operations::step;
use super::super::{Backend, TENANT, model};
use super::Pair;
use crate::delivery::{NewDelivery, Pending, Stage, State};
use crate::id::{DeliveryId, EventId, Id, SubscriptionId};
use crate::operation::{Asked, Fate, Kind, Operation, Put, Renewed, Stepped};
use crate::profile;

impl<B: Backend> Pair<B> {
    /// Makes everything that failed and can be sent pending again.
    pub(super) async fn recover(&mut self) {
        let now = self.maker.now;
        let found = walk_failed(&*self.store, all_failed(now)).await;
        let failed = |delivery: &model::Delivery| matches!(delivery.state, State::Failed { .. });
        let expected = self
            .model
            .deliveries
            .iter()
            .filter(|(_, delivery)| failed(delivery));
        let expected: Vec<(DeliveryId, bool)> = expected
            .map(|(id, delivery)| (*id, self.model.is_kept(delivery)))
            .collect();
        let shown: Vec<_> = found.iter().map(|found| (found.id, found.kept)).collect();
        assert_eq!(shown, expected);

        let id = self.maker.requests(Id::from_number(1), 2)[1].id.same_number();
        let begun = Operation::new(id, TENANT, Asked::everything(Kind::Recover), now);
        assert!(self.store.add_operation(begun.clone()).await.unwrap());
        let ids: Vec<DeliveryId> = found.iter().map(|found| found.id).collect();
        let taken = crate::operation::Step {
            then: crate::operation::State::Finished,
            ..step(&self.maker, &begun, Put::Again(ids))
        };
        let Stepped::Moved(moved, rows) = self.store.step(taken).await.unwrap() else {
            panic!("it runs");
        };
        let kept: Vec<DeliveryId> = expected
            .iter()
            .filter(|(_, kept)| *kept)
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(moved.progress.done, kept.len() as u64);
        assert_eq!(
            moved.progress.skipped.expired,
            (expected.len() - kept.len()) as u64
        );
        let mut put = Vec::new();
        for id in kept {
            let again = self.model.deliveries[&id].again(now);
            self.model.set(id, State::Pending { due_at: now });
            put.extend(again.iter().copied());
            self.model.deliveries.get_mut(&id).unwrap().rows = again;
        }
        assert_eq!(rows, put);
    }

    /// Makes a new delivery of an event that was accepted once.
    pub(super) async fn renew(&mut self, which: usize) {
        let events: Vec<EventId> = self
            .model
            .deliveries
            .values()
            .map(|delivery| delivery.event)
            .collect();
        if events.is_empty() {
            return;
        }
        let (event, now) = (events[which % events.len()], self.maker.now);
        let subscription = self.subscriptions[which % 3];
        let profile = profile::Number::new(9);
        let delivery: DeliveryId = self.maker.requests(Id::from_number(1), 2)[1].id.same_number();
        let new = Renewed {
            delivery: NewDelivery {
                id: delivery,
                subscription,
                profile,
            },
            event,
            event_type: "alert.created".to_owned(),
        };
        let made = self.store.renew(TENANT, vec![new], now).await.unwrap();
        if !self.model.events.contains(&event) {
            assert_eq!(made, [None]);
            return;
        }
        let row = Pending {
            request: delivery.same_number(),
            delivery,
            event,
            subscription,
            profile: Some(profile),
            stage: Stage::Accepted,
            attempts: 0,
            tries: 0,
            throttles: 0,
            runs: 0,
            due_at: now,
        };
        assert_eq!(made, [Some(row)]);
        let pending = model::Delivery {
            subscription,
            event,
            rows: vec![row],
            ended: Vec::new(),
            state: State::Pending { due_at: now },
            attempts: 0,
        };
        self.model.deliveries.insert(delivery, pending);
        self.model.counter(delivery, 1);
        let counters = self.model.counters.entry(subscription).or_default();
        counters.created += 1;
    }

    /// Events and what became last of each are as the model says.
    pub(super) async fn compare_walks(&self) {
        let mut expected: BTreeMap<EventId, BTreeMap<SubscriptionId, Fate>> = self
            .model
            .events
            .iter()
            .map(|id| (*id, BTreeMap::new()))
            .collect();
        for delivery in self.model.deliveries.values() {
            let fate = match &delivery.state {
                State::Pending { .. } => Fate::Pending,
                State::Delivered { .. } => Fate::Delivered,
                State::Filtered { .. } => Fate::Filtered,
                State::Failed { .. } => Fate::Failed,
            };
            if let Some(last) = expected.get_mut(&delivery.event)
                && last.get(&delivery.subscription) != Some(&Fate::Pending)
            {
                last.insert(delivery.subscription, fate);
            }
        }
        let found = walk_events(&*self.store, all_events()).await;
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|event| {
                let last = event.last.into_iter().map(|(id, last)| (id, last.fate));
                (event.id, last.collect::<BTreeMap<_, _>>())
            })
            .collect();
        assert_eq!(found, expected);
    }
}
