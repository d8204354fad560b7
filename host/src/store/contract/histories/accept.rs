//! What comes in, by either door.

use proptest::prelude::*;

use super::super::model::{Delivery, Seen};
use super::super::{Backend, SOURCES_WINDOW, WINDOW};
use super::Pair;
use crate::delivery::{NewDelivery, Pending, Stage, State};
use crate::id::SourceId;
use crate::reception::{Outcome, Refusal};
use crate::source::Conflict;
use crate::store::{Accept, Accepted, AcceptedEvent, Series};

const SOURCE: SourceId = SourceId::from_number(7);

/// By which door a call comes.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Door {
    Api,
    /// A source with this policy; it leaves a reception.
    Source(Conflict),
}

/// A call that brings events.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Call {
    door: Door,
    count: usize,
    /// The producer's id of the first event; none for 0.
    name: u8,
    content: u8,
    /// How many subscriptions each event matches.
    matches: usize,
}

/// Calls.
pub(super) fn calls() -> impl Strategy<Value = Call> {
    let door = prop_oneof![
        2 => Just(Door::Api),
        1 => Just(Door::Source(Conflict::Refuse)),
        1 => Just(Door::Source(Conflict::Duplicate)),
    ];
    (door, 1_usize..4, 0_u8..6, 0_u8..2, 0_usize..4).prop_map(|(door, count, name, content, matches)| Call {
        door,
        count,
        name,
        content,
        matches,
    })
}

impl<B: Backend> Pair<B> {
    pub(super) async fn accept(&mut self, call: Call) {
        let Call {
            door,
            count,
            name,
            content,
            matches,
        } = call;
        let now = self.maker.now;
        let (series, window) = match door {
            Door::Api => (Series::Api, WINDOW),
            Door::Source(_) => (Series::Sources, SOURCES_WINDOW),
        };
        let news: Vec<_> = (0..count)
            .map(|place| {
                // Only the first has a name, so that a call is either whole or a conflict.
                let name = (place == 0 && name > 0).then(|| name.to_string());
                let event = self
                    .maker
                    .event(name.as_deref(), &format!("{content}{}", "x".repeat(300)));
                self.maker.matched(event, &self.subscriptions[..matches])
            })
            .collect();
        let seen = self
            .model
            .seen
            .get(&(series, name))
            .filter(|seen| name > 0 && now.since(seen.at) < window)
            .copied();
        let call = match door {
            Door::Api => self.maker.call(news.clone()),
            Door::Source(on_conflict) => Accept {
                on_conflict,
                ..self.maker.received_call(news.clone(), SOURCE)
            },
        };
        let (on_conflict, reception) = (call.on_conflict, call.reception.clone());
        let accepted = self.store.accept(call).await.unwrap();
        let changed = seen.is_some_and(|seen| seen.content != content);
        if changed && on_conflict == Conflict::Refuse {
            assert_eq!(accepted, Accepted::EventConflict { index: 0 });
            return;
        }
        let matched = u32::try_from(matches).unwrap();
        let fresh = |new: &crate::delivery::NewEvent| AcceptedEvent {
            id: new.event.id,
            matched,
            duplicate: false,
        };
        let mut expected: Vec<_> = news.iter().map(fresh).collect();
        if let Some(seen) = seen {
            expected[0] = AcceptedEvent {
                id: seen.id,
                matched: seen.matched,
                duplicate: true,
            };
        } else if name > 0 {
            self.model.seen.insert(
                (series, name),
                Seen {
                    content,
                    at: now,
                    id: news[0].event.id,
                    matched,
                },
            );
        }
        if let Some(mut reception) = reception {
            let duplicates = u32::from(seen.is_some());
            reception.outcome = Outcome::Accepted {
                first: expected[0].id,
                events: u32::try_from(count).unwrap() - duplicates,
                duplicates,
                changed: u32::from(changed),
            };
            self.model.receptions.insert(reception.id, *reception);
        }
        assert_eq!(accepted, Accepted::Done(expected));
        for new in news.iter().skip(usize::from(seen.is_some())) {
            self.model.events.insert(new.event.id);
            for NewDelivery {
                id,
                subscription,
                profile,
            } in &new.deliveries
            {
                let row = Pending {
                    request: id.same_number(),
                    delivery: *id,
                    event: new.event.id,
                    subscription: *subscription,
                    profile: Some(*profile),
                    stage: Stage::Accepted,
                    attempts: 0,
                    tries: 0,
                    throttles: 0,
                    runs: 0,
                    due_at: now,
                };
                let delivery = Delivery {
                    subscription: *subscription,
                    event: new.event.id,
                    rows: vec![row],
                    ended: Vec::new(),
                    state: State::Pending { due_at: now },
                    attempts: 0,
                };
                self.model.deliveries.insert(*id, delivery);
                self.model.counters.entry(*subscription).or_default().created += 1;
                self.model.counter(*id, 1);
            }
        }
    }

    pub(super) async fn refuse(&mut self) {
        let mut reception = self.maker.reception(SOURCE);
        reception.outcome = Outcome::Refused {
            reason: Refusal::Stale,
            detail: "x".repeat(300),
        };
        self.store
            .record_receptions(vec![reception.clone()])
            .await
            .unwrap();
        self.model.receptions.insert(reception.id, reception);
    }
}
