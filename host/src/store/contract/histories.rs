//! The comparison with a model: random histories, and a store that must agree with it at every step.
//!
//! The model is the contract without disks: maps from ids to what they should be. It knows nothing of
//! segments; after an expiry it looks which finished deliveries and which bodies are gone (that is the
//! backend's choice) and insists that nothing pending is among them.

mod accept;
mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{Backend, Maker, Size, all_pending, failed};
use crate::delivery::{AfterRun, Change, Next, Pending, RunOutcome, Stage, State};
use crate::id::SubscriptionId;
use crate::reception::Reception;
use crate::store::{Counters, DeliveryQuery, ReceptionQuery, Resend, Retention, Store};

use super::model::Model;

/// One step of a history.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Step {
    /// Accepts events.
    Accept(accept::Call),
    /// Records that a source refused a request.
    Refuse,
    /// Records something for some of what is pending.
    Record { which: usize, what: u8, many: usize },
    /// Resends something.
    Resend { which: usize },
    /// Recovers everything that failed.
    Recover,
    /// Makes a new delivery of an old event.
    Renew { which: usize },
    /// Leaves the store and opens it again.
    Reopen,
    /// Lets time pass.
    Pass { hours: u64 },
    /// Expires.
    Expire { days: u64, kilobytes: u64 },
}

/// Histories.
pub(in crate::store) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => accept::calls().prop_map(Step::Accept),
        1 => Just(Step::Refuse),
        6 => (any::<usize>(), 0_u8..12, 1_usize..4)
            .prop_map(|(which, what, many)| Step::Record { which, what, many }),
        2 => any::<usize>().prop_map(|which| Step::Resend { which }),
        1 => Just(Step::Recover),
        2 => any::<usize>().prop_map(|which| Step::Renew { which }),
        1 => Just(Step::Reopen),
        1 => (1_u64..30).prop_map(|hours| Step::Pass { hours }),
        1 => (1_u64..4, 2_u64..40).prop_map(|(days, kilobytes)| Step::Expire { days, kilobytes }),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A store, a model and what moves both.
struct Pair<B> {
    backend: B,
    store: std::sync::Arc<dyn Store>,
    maker: Maker,
    model: Model,
    subscriptions: [SubscriptionId; 3],
}

/// Runs one history.
pub(in crate::store) async fn agrees<B: Backend>(steps: Vec<Step>) {
    let backend = B::new(Size::Tiny);
    let maker = Maker::new();
    let subscriptions = [maker.subscription(), maker.subscription(), maker.subscription()];
    let model = Model {
        deliveries: BTreeMap::new(),
        events: BTreeSet::new(),
        requests: BTreeSet::new(),
        seen: BTreeMap::new(),
        receptions: BTreeMap::new(),
        counters: BTreeMap::new(),
    };
    let store = backend.open(maker.now);
    let mut pair = Pair {
        backend,
        store,
        maker,
        model,
        subscriptions,
    };
    for step in steps {
        pair.maker.pass(Duration::from_millis(7));
        match step {
            Step::Accept(call) => pair.accept(call).await,
            Step::Refuse => pair.refuse().await,
            Step::Record { which, what, many } => pair.record(which, what, many).await,
            Step::Resend { which } => pair.resend(which).await,
            Step::Recover => pair.recover().await,
            Step::Renew { which } => pair.renew(which).await,
            Step::Reopen => {
                pair.store.close().await.unwrap();
                pair.store = pair.backend.open(pair.maker.now);
            }
            Step::Pass { hours } => pair.maker.pass(Duration::from_secs(3_600 * hours)),
            Step::Expire { days, kilobytes } => pair.expire(days, kilobytes).await,
        }
        pair.compare().await;
    }
}

impl<B: Backend> Pair<B> {
    async fn record(&mut self, which: usize, what: u8, many: usize) {
        let mut changes = Vec::new();
        for place in 0..many {
            let open = |row: &Pending| matches!(row.stage, Stage::Accepted | Stage::Rendered);
            let open: Vec<_> = self.model.ledger().into_iter().filter(open).collect();
            if open.is_empty() {
                break;
            }
            let row = open[which.wrapping_add(place) % open.len()];
            changes.push(self.change(row, what));
        }
        self.store.record(self.store.epoch(), changes).await.unwrap();
    }

    /// A change, made to the model at once.
    fn change(&mut self, row: Pending, what: u8) -> Change {
        let (now, id) = (self.maker.now, row.delivery);
        let reason = "because".to_owned();
        let due_at = now.plus(Duration::from_secs(60));
        let accepted = row.stage == Stage::Accepted;
        match what {
            0..3 if accepted => {
                let requests = self.maker.requests(id, usize::from(what) + 1);
                let delivery = self.model.deliveries.get_mut(&id).unwrap();
                let runs = row.runs + 1;
                let rest = requests[1..].iter().map(|request| Pending {
                    request: request.id,
                    attempts: 0,
                    tries: 0,
                    throttles: 0,
                    runs,
                    due_at: now,
                    stage: Stage::Rendered,
                    ..row
                });
                let first = Pending {
                    tries: 0,
                    throttles: 0,
                    runs,
                    due_at: now,
                    stage: Stage::Rendered,
                    ..row
                };
                delivery.rows = std::iter::once(first).chain(rest).collect();
                self.model
                    .requests
                    .extend(requests.iter().map(|request| request.id.number()));
                self.model.refresh_due(id);
                self.maker.rendered(&row, requests)
            }
            3 | 4 if accepted => {
                let runs = vec![self.maker.run(
                    &row,
                    RunOutcome::Reject {
                        reason: reason.clone(),
                    },
                )];
                for part in &mut self.model.deliveries.get_mut(&id).unwrap().rows {
                    part.runs += 1;
                }
                let (next, state) = if what == 3 {
                    let filtered = State::Filtered {
                        at: now,
                        reason: reason.clone(),
                    };
                    (AfterRun::Filtered { reason }, filtered)
                } else {
                    self.model.deliveries.get_mut(&id).unwrap().rows[0].due_at = due_at;
                    (AfterRun::Again { due_at }, State::Pending { due_at })
                };
                self.model.set(id, state);
                Change::Ran {
                    pending: row,
                    runs,
                    next,
                    emitted: Vec::new(),
                    at: now,
                }
            }
            5 => {
                for part in &mut self.model.deliveries.get_mut(&id).unwrap().rows {
                    if matches!(part.stage, Stage::Accepted | Stage::Rendered) {
                        part.stage = if accepted { part.stage } else { Stage::PartFailed };
                    }
                }
                self.model.set(
                    id,
                    State::Failed {
                        at: now,
                        reason: reason.clone(),
                    },
                );
                Change::Abandoned {
                    pending: row,
                    cause: crate::delivery::Cause::Expired,
                    reason,
                    at: now,
                }
            }
            _ => self.attempted(row, what),
        }
    }

    fn attempted(&mut self, row: Pending, what: u8) -> Change {
        let (now, id) = (self.maker.now, row.delivery);
        let delivery = self.model.deliveries.get_mut(&id).unwrap();
        delivery.attempts += 1;
        let part = delivery
            .rows
            .iter_mut()
            .find(|part| part.request == row.request)
            .unwrap();
        part.attempts += 1;
        if what.is_multiple_of(3) {
            (part.due_at, part.tries, part.throttles) = (now.plus(Duration::from_secs(9)), 3, 1);
            let next = Next::Again {
                due_at: part.due_at,
                tries: 3,
                throttles: 1,
            };
            self.model.refresh_due(id);
            return self.maker.attempted(&row, next);
        }
        let good = what % 3 == 1;
        let single = delivery.rows.len() == 1;
        let part = delivery
            .rows
            .iter_mut()
            .find(|part| part.request == row.request)
            .unwrap();
        if !single {
            part.stage = if good {
                Stage::PartDelivered
            } else {
                Stage::PartFailed
            };
        }
        let others = delivery.rows.iter().filter(|other| other.request != row.request);
        if others.clone().any(|other| other.stage == Stage::Rendered) {
            self.model.refresh_due(id);
            let next = if good { Next::Delivered } else { failed("500") };
            return self.maker.attempted(&row, next);
        }
        let broken = others.clone().any(|other| other.stage == Stage::PartFailed);
        let (next, state) = match (good, broken) {
            (true, false) => (Next::Delivered, State::Delivered { at: now }),
            (true, true) => {
                let reason = "another request of this delivery failed".to_owned();
                (Next::Delivered, State::Failed { at: now, reason })
            }
            (false, _) => (
                failed("no"),
                State::Failed {
                    at: now,
                    reason: "no".to_owned(),
                },
            ),
        };
        self.model.set(id, state);
        self.maker.attempted(&row, next)
    }

    async fn resend(&mut self, which: usize) {
        let ids: Vec<_> = self.model.deliveries.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let (id, now) = (ids[which % ids.len()], self.maker.now);
        let answer = self.store.resend(None, id, now).await.unwrap();
        let delivery = self.model.deliveries.get_mut(&id).unwrap();
        if matches!(delivery.state, State::Pending { .. }) {
            for row in &mut delivery.rows {
                if matches!(row.stage, Stage::Accepted | Stage::Rendered) {
                    row.due_at = now;
                }
            }
            assert_eq!(answer, Resend::Hastened(delivery.rows.clone()));
            self.model.refresh_due(id);
            return;
        }
        if matches!(delivery.state, State::Filtered { .. }) {
            assert_eq!(answer, Resend::Filtered);
            return;
        }
        let delivery = &self.model.deliveries[&id];
        if !self.model.is_kept(delivery) {
            assert_eq!(answer, Resend::Expired);
            return;
        }
        let rows = delivery.again(now);
        assert_eq!(answer, Resend::Queued(rows.clone()));
        self.model.set(id, State::Pending { due_at: now });
        self.model.deliveries.get_mut(&id).unwrap().rows = rows;
    }

    async fn expire(&mut self, days: u64, kilobytes: u64) {
        let age = Duration::from_secs(days * 24 * 3_600);
        let retention = Retention {
            age,
            bytes: kilobytes << 10,
        };
        self.store.expire(self.maker.now, retention).await.unwrap();
        let query = DeliveryQuery {
            limit: 1_000,
            ..DeliveryQuery::default()
        };
        let left: BTreeSet<_> = self
            .store
            .deliveries(query)
            .await
            .unwrap()
            .deliveries
            .iter()
            .map(|d| d.id)
            .collect();
        self.model
            .deliveries
            .retain(|id, delivery| left.contains(id) || matches!(delivery.state, State::Pending { .. }));
        let left: BTreeSet<_> = self.receptions().await.iter().map(|kept| kept.id).collect();
        self.model.receptions.retain(|id, _| left.contains(id));
        let ids: Vec<_> = self.model.events.iter().copied().collect();
        let bodies = self.store.events_by_id(ids.clone()).await.unwrap();
        let needed: BTreeSet<_> = self.model.ledger().iter().map(|row| row.event).collect();
        for (id, body) in ids.iter().zip(bodies) {
            if body.is_none() {
                assert!(!needed.contains(id), "an undelivered event is gone");
                self.model.events.remove(id);
            }
        }
        let rendered: BTreeSet<_> = self
            .model
            .ledger()
            .iter()
            .map(|row| row.request.number())
            .collect();
        for id in self.model.requests.clone() {
            if self
                .store
                .request(crate::id::RequestId::from_number(id))
                .await
                .unwrap()
                .is_none()
            {
                assert!(!rendered.contains(&id), "an unsent request is gone");
                self.model.requests.remove(&id);
            }
        }
    }

    async fn receptions(&self) -> Vec<Reception> {
        let query = ReceptionQuery {
            limit: 1_000,
            ..ReceptionQuery::default()
        };
        self.store.receptions(query).await.unwrap()
    }

    async fn compare(&self) {
        let store = &*self.store;
        assert_eq!(all_pending(store).await, self.model.ledger());
        let mut sum = Counters::default();
        for subscription in self.subscriptions {
            let counters = store.counters(Some(subscription)).await.unwrap();
            assert_eq!(
                counters,
                self.model
                    .counters
                    .get(&subscription)
                    .copied()
                    .unwrap_or_default()
            );
            let Counters {
                created,
                delivered,
                filtered,
                failed,
                pending,
            } = counters;
            assert_eq!(created, delivered + filtered + failed + pending);
            sum.created += created;
            sum.pending += pending;
        }
        let whole = store.counters(None).await.unwrap();
        assert_eq!((whole.created, whole.pending), (sum.created, sum.pending));
        let query = DeliveryQuery {
            limit: 1_000,
            ..DeliveryQuery::default()
        };
        let listed = store.deliveries(query).await.unwrap().deliveries;
        let listed = listed
            .iter()
            .map(|d| (d.id, d.event, d.state.clone(), d.attempts));
        let expected = self.model.deliveries.iter().rev();
        let expected = expected.map(|(id, d)| (*id, d.event, d.state.clone(), d.attempts));
        assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert!(
            self.receptions()
                .await
                .iter()
                .eq(self.model.receptions.values().rev())
        );
        self.compare_walks().await;
    }
}
