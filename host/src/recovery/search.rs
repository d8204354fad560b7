//! Looks for what an operation wants, page by page: failed deliveries, or pairs of an old event and a
//! subscription that matches it today.
//!
//! A page is looked for by readers, beside the writer; the transaction that puts it in looks at each of
//! them again. Bodies are read only where a filter has to see them, and few at a time.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Error, Parts};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, SubscriptionId};
use crate::operation::{Choice, Kind, Operation, Position, Skipped, Wanted};
use crate::profile;
use crate::routing::Route;
use crate::store::{self, Earlier, EventWalk, FailedWalk, OldEvent, Store, Walked};

/// Rows that a page looks at, for each that may be found. More is read in vain where a page is full soon,
/// less makes many pages where little is wanted.
const LOOKED_AT_PER_FOUND: usize = 4;
/// Fewest rows that a page looks at.
const LOOKED_AT_MIN: usize = 500;
/// Most rows that a page looks at, where one subscription matters.
const LOOKED_AT_MAX: usize = 5_000;
/// Most events that a page looks at where all subscriptions matter: each may have a delivery for every one.
const EVENTS_OF_ALL_MAX: usize = 250;
/// Bodies in memory at once, for filters.
const BODIES_AT_ONCE: usize = 16;

/// One that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) what: What,
    pub(super) event_type: String,
}

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// This delivery, which failed.
    Failed(DeliveryId),
    /// A delivery of this event.
    Event {
        event: EventId,
        subscription: SubscriptionId,
        /// How it will look.
        profile: profile::Number,
    },
}

/// A part of what is wanted.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) candidates: Vec<Candidate>,
    pub(super) skipped: Skipped,
    pub(super) looked_at: u64,
    pub(super) position: Position,
    pub(super) end: bool,
}

/// The search of one operation.
pub(super) struct Search<'a> {
    parts: &'a Parts,
    operation: &'a Operation,
    choice: &'a Choice,
}

impl<'a> Search<'a> {
    pub(super) fn new(parts: &'a Parts, operation: &'a Operation, choice: &'a Choice) -> Self {
        Self {
            parts,
            operation,
            choice,
        }
    }

    /// The next page behind a position, with at most so many candidates.
    pub(super) async fn page(&self, from: Option<Position>, limit: usize) -> Result<Page, Error> {
        match self.operation.asked.kind {
            Kind::Recover => self.failed(from, limit).await,
            Kind::Replay => self.events(from, limit).await,
        }
    }

    fn looked_at_max(limit: usize) -> usize {
        limit
            .saturating_mul(LOOKED_AT_PER_FOUND)
            .clamp(LOOKED_AT_MIN, LOOKED_AT_MAX)
    }

    async fn failed(&self, from: Option<Position>, limit: usize) -> Result<Page, Error> {
        let asked = self.choice.asked();
        let (after, to) = asked.range(self.operation.id);
        let walk = FailedWalk {
            tenant: self.operation.tenant,
            subscription: asked.subscription,
            after: from.map_or(after, Position::whole),
            to,
            failed_by: self.operation.created_at,
            limit,
            looked_at_max: Self::looked_at_max(limit),
        };
        let walked = self.parts.store.failed_deliveries(walk).await?;
        let mut page = page_of(&walked);
        for found in walked.found {
            if !self.choice.wants_type(&found.event_type) || !self.choice.wants_end(found.cause, found.code) {
                continue;
            }
            if self.parts.registry.route(found.subscription).is_none() {
                page.skipped.subscription_gone += 1;
            } else if !found.kept {
                page.skipped.expired += 1;
            } else {
                page.candidates.push(Candidate {
                    what: What::Failed(found.id),
                    event_type: found.event_type,
                });
            }
        }
        Ok(page)
    }

    /// The subscriptions that matter, in the order of their ids.
    fn routes(&self) -> Result<Vec<Arc<Route>>, Error> {
        let asked = self.choice.asked();
        let snapshot = self.parts.registry.snapshot();
        if let Some(id) = asked.subscription {
            let route = snapshot.routes.get(&id).ok_or(Error::SubscriptionGone)?;
            return Ok(vec![Arc::clone(route)]);
        }
        let own = |route: &&Arc<Route>| route.subscription().tenant == self.operation.tenant;
        let mut routes: Vec<_> = snapshot.routes.values().filter(own).cloned().collect();
        routes.sort_by_key(|route| route.subscription().id);
        Ok(routes)
    }

    async fn events(&self, from: Option<Position>, limit: usize) -> Result<Page, Error> {
        let asked = self.choice.asked();
        let (after, to) = asked.range(self.operation.id);
        let routes = self.routes()?;
        let from = from.unwrap_or(Position::behind(after));
        let most = match asked.subscription {
            Some(_) => LOOKED_AT_MAX,
            None => EVENTS_OF_ALL_MAX,
        };
        let walk = EventWalk {
            tenant: self.operation.tenant,
            subscription: asked.subscription,
            after: from.whole(),
            to,
            looked_at_max: Self::looked_at_max(limit).min(most),
            earlier: if self.choice.asks_for_ends() {
                Earlier::Everything
            } else {
                Earlier::Pending
            },
        };
        let walked = self.parts.store.old_events(walk).await?;
        let mut page = page_of(&walked);
        let pairs = self.pairs(&walked.found, &routes, from);
        let mut bodies = Bodies::new(&*self.parts.store, &pairs);
        for (place, pair) in pairs.iter().enumerate() {
            if page.candidates.len() == limit {
                // The event of the last pair, and what is behind it, is looked at again by the next page.
                let last = &pairs[place - 1];
                let before = walked.found.partition_point(|event| event.id < last.event.id);
                page.looked_at = before as u64;
                page.end = false;
                page.position = last.position();
                break;
            }
            match bodies.verdict(place).await? {
                Verdict::Passes if pair.wanted == Wanted::Pending => page.skipped.pending += 1,
                Verdict::Passes => page.candidates.push(Candidate {
                    what: What::Event {
                        event: pair.event.id,
                        subscription: pair.route.subscription().id,
                        profile: pair.route.edition().number,
                    },
                    event_type: pair.event.event_type.clone(),
                }),
                Verdict::Held => {}
                Verdict::Expired => page.skipped.expired += 1,
                Verdict::Damaged => page.skipped.damaged += 1,
            }
        }
        Ok(page)
    }

    /// The pairs that are wanted, as far as types and what became of them say.
    fn pairs<'e>(&self, events: &'e [OldEvent], routes: &[Arc<Route>], from: Position) -> Vec<Pair<'e>> {
        let mut pairs = Vec::new();
        for event in events {
            if !self.choice.wants_type(&event.event_type) {
                continue;
            }
            let last: HashMap<SubscriptionId, _> = event.last.iter().map(|(id, last)| (*id, last)).collect();
            for route in routes {
                let wanted = self
                    .choice
                    .wants_last(last.get(&route.subscription().id).copied());
                let pair = Pair {
                    event,
                    route: Arc::clone(route),
                    wanted,
                };
                if wanted != Wanted::No && pair.position() > from && route.wants_type(&event.event_type) {
                    pairs.push(pair);
                }
            }
        }
        pairs
    }
}

fn page_of<T>(walked: &Walked<T>) -> Page {
    Page {
        candidates: Vec::new(),
        skipped: Skipped::default(),
        looked_at: walked.looked_at,
        position: Position::behind(walked.up_to),
        end: walked.end,
    }
}

/// An event and a subscription.
struct Pair<'e> {
    event: &'e OldEvent,
    route: Arc<Route>,
    wanted: Wanted,
}

impl Pair<'_> {
    /// Whether what the route says of the event depends on more than its type.
    fn needs_body(&self) -> bool {
        self.route.looks_into(&self.event.event_type)
    }

    fn position(&self) -> Position {
        Position {
            number: self.event.id.number(),
            subscription: self.route.subscription().id.number(),
        }
    }
}

/// What a subscription's filter says of an event.
enum Verdict {
    /// It goes there.
    Passes,
    /// It does not.
    Held,
    /// What the filter has to see is no longer kept.
    Expired,
    /// It is damaged.
    Damaged,
}

enum Body {
    Kept(Arc<Event>),
    Expired,
    Damaged,
}

/// The bodies that filters have to see, a few at a time.
struct Bodies<'a> {
    store: &'a dyn Store,
    pairs: &'a [Pair<'a>],
    loaded: HashMap<EventId, Body>,
}

impl<'a> Bodies<'a> {
    fn new(store: &'a dyn Store, pairs: &'a [Pair<'a>]) -> Self {
        Self {
            store,
            pairs,
            loaded: HashMap::new(),
        }
    }

    /// What the filter of this pair says. Pairs are asked in their order.
    async fn verdict(&mut self, place: usize) -> store::Result<Verdict> {
        let pair = &self.pairs[place];
        if !pair.needs_body() {
            return Ok(Verdict::Passes);
        }
        if !self.loaded.contains_key(&pair.event.id) {
            self.load(place).await?;
        }
        Ok(match self.loaded.get(&pair.event.id) {
            Some(Body::Kept(event)) if pair.route.lets_through(event) => Verdict::Passes,
            Some(Body::Kept(_)) => Verdict::Held,
            Some(Body::Damaged) => Verdict::Damaged,
            Some(Body::Expired) | None => Verdict::Expired,
        })
    }

    async fn load(&mut self, place: usize) -> store::Result<()> {
        self.loaded.clear();
        let filtered = self.pairs[place..].iter().filter(|pair| pair.needs_body());
        let mut ids: Vec<EventId> = filtered.map(|pair| pair.event.id).take(BODIES_AT_ONCE).collect();
        ids.dedup();
        match self.store.events_by_id(ids.clone()).await {
            Ok(events) => self.keep(ids, events),
            Err(store::Error::Damaged { .. }) => {
                for id in ids {
                    match self.store.events_by_id(vec![id]).await {
                        Ok(events) => self.keep(vec![id], events),
                        Err(store::Error::Damaged { .. }) => {
                            self.loaded.insert(id, Body::Damaged);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn keep(&mut self, ids: Vec<EventId>, events: Vec<Option<Arc<Event>>>) {
        let bodies = events
            .into_iter()
            .map(|event| event.map_or(Body::Expired, Body::Kept));
        self.loaded.extend(ids.into_iter().zip(bodies));
    }
}
