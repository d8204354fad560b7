//! Carries out background operations: `recover` and `replay`.
//!
//! Each operation that runs has a task: it looks for what is wanted ([`search`]), has the store put it in
//! and move the operation in one transaction, wakes the dispatcher, waits as its rate says, and goes on.
//! One step of an operation is under way at a time. What an operation is and how far it is lives in the
//! store alone, so that a crash between two steps costs nothing: the next start goes on where it stood.
//! Time is asked of the clock only.

mod announce;
mod previews;
mod search;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub use announce::{Announce, Herald};

use crate::clock::Clock;
use crate::delivery::{NewDelivery, Pending};
use crate::id::{EventId, Generator, OperationId, SubscriptionId, TenantId};
use crate::ingest::Wake;
use crate::operation::{Asked, Choice, Kind, Operation, Put, Renewed, Skipped, State, Step, Stepped};
use crate::registry::Registry;
use crate::routing::PatternFault;
use crate::store::{self, OperationQuery, Store};
use previews::{PREVIEWS_MAX, Previews};
use search::{Candidate, Page, Search, What};

/// Rows counted in one page: a reading of some ten milliseconds.
const COUNT_PAGE: usize = 5_000;
/// Types that a preview tells apart; the others are counted together.
pub const TYPES_MAX: usize = 100;
/// Pause before a step is tried again that the store could not take.
const RETRY: Duration = Duration::from_secs(1);
/// A step that the store refused so often in a row fails its operation.
const TRIES_MAX: u32 = 60;
/// Operations that run at the same time, of all tenants; more wait for one to end.
const AT_ONCE_MAX: usize = 256;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pattern of types is wrong.
    #[error("a type is not valid")]
    Pattern(#[from] PatternFault),
    /// The subscription was removed.
    #[error("its subscription was removed")]
    SubscriptionGone,
    /// There is no such thing.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Too many run.
    #[error(
        "{} operations are running; wait for one to end, or cancel one",
        crate::operation::RUNNING_MAX
    )]
    TooMany,
    /// It has ended already.
    #[error("the operation has ended; it is {}", .0.as_str())]
    Over(State),
    /// Too many previews are counted.
    #[error(
        "{PREVIEWS_MAX} previews of this tenant are being counted; ask again when one of them has answered"
    )]
    TooManyPreviews,
    /// The router stops.
    #[error("the router is shutting down; nothing was changed, ask again when it has started")]
    Stopping,
    /// The body of the event is no longer kept.
    #[error("the body of the event is no longer kept")]
    Expired,
    /// The store says no.
    #[error("the store failed")]
    Store(#[from] store::Error),
}

/// What operations work on; handed over by the wiring.
pub struct Parts {
    /// Where deliveries, events and operations are.
    pub store: Arc<dyn Store>,
    /// Which subscriptions there are and what they match.
    pub registry: Arc<Registry>,
    /// Makes ids.
    pub ids: Arc<Generator>,
    /// Tells the time.
    pub clock: Clock,
    /// Is told of rows that are due.
    pub wake: Arc<dyn Wake>,
    /// Is told of operations that have ended.
    pub announce: Arc<dyn Announce>,
    /// Turns true when the router stops.
    pub stop: watch::Receiver<bool>,
}

/// What an operation would put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// How many.
    pub matches: u64,
    /// Those that are wanted and would not be put in.
    pub skipped: Skipped,
    /// How many of each type, of the first [`TYPES_MAX`] types.
    pub by_type: BTreeMap<String, u64>,
    /// How many of further types.
    pub other_types: u64,
}

impl Preview {
    fn add(&mut self, page: Page) {
        self.skipped += page.skipped;
        self.matches += page.candidates.len() as u64;
        for candidate in page.candidates {
            if let Some(count) = self.by_type.get_mut(&candidate.event_type) {
                *count += 1;
            } else if self.by_type.len() < TYPES_MAX {
                self.by_type.insert(candidate.event_type, 1);
            } else {
                self.other_types += 1;
            }
        }
    }
}

/// The operations of a router.
pub struct Recovery {
    parts: Parts,
    begun: Notify,
    previews: Previews,
}

impl Recovery {
    /// Nothing runs before [`Self::run`] does.
    pub fn new(parts: Parts) -> Arc<Self> {
        let begun = Notify::new();
        let previews = Previews::default();
        Arc::new(Self {
            parts,
            begun,
            previews,
        })
    }

    /// Counts what an operation would put in now. Nothing is changed.
    pub async fn preview(&self, tenant: TenantId, asked: Asked) -> Result<Preview, Error> {
        let _counting = self.previews.begin(tenant).ok_or(Error::TooManyPreviews)?;
        let now = self.parts.clock.now();
        let operation = Operation::new(self.parts.ids.next(now), tenant, asked, now);
        let choice = Choice::new(operation.asked.clone())?;
        self.count(&operation, &choice).await
    }

    /// Begins an operation. It is durable when this answers.
    pub async fn begin(&self, tenant: TenantId, asked: Asked) -> Result<Operation, Error> {
        Choice::new(asked.clone())?;
        let now = self.parts.clock.now();
        let operation = Operation::new(self.parts.ids.next(now), tenant, asked, now);
        if !self.parts.store.add_operation(operation.clone()).await? {
            return Err(Error::TooMany);
        }
        self.begun.notify_one();
        Ok(operation)
    }

    /// Stops an operation between two steps. What it has put in stays.
    pub async fn cancel(&self, tenant: TenantId, id: OperationId) -> Result<Operation, Error> {
        let store = &self.parts.store;
        let found = store.operation(id).await?;
        let found = found.filter(|operation| operation.tenant == tenant);
        let found = found.ok_or(Error::Missing("operation"))?;
        let now = self.parts.clock.now();
        match store.end_operation(id, State::Cancelled, None, now).await? {
            Some(operation) => {
                self.parts.announce.ended(&operation).await;
                Ok(operation)
            }
            None => {
                let state = store.operation(id).await?.map_or(found.state, |now| now.state);
                Err(Error::Over(state))
            }
        }
    }

    /// Makes new deliveries of one event: for the subscription that is named, whatever it matches, or for
    /// each that the event matches today.
    pub async fn replay_event(
        &self,
        tenant: TenantId,
        id: EventId,
        subscription: Option<SubscriptionId>,
    ) -> Result<Vec<Pending>, Error> {
        let stored = self.parts.store.event(id).await?;
        let stored = stored.filter(|stored| stored.event.tenant == tenant);
        let event = stored.ok_or(Error::Missing("event"))?.event;
        let registry = &self.parts.registry;
        let routes = match subscription {
            Some(subscription) => vec![registry.route(subscription).ok_or(Error::SubscriptionGone)?],
            None => registry.snapshot().table.matches(&event).routes,
        };
        let now = self.parts.clock.now();
        let new = routes.iter().map(|route| Renewed {
            delivery: NewDelivery {
                id: self.parts.ids.next(now),
                subscription: route.subscription().id,
                profile: route.edition().number,
            },
            event: id,
            event_type: event.event_type.clone(),
        });
        let rows = self.parts.store.renew(tenant, new.collect(), now).await?;
        let rows: Option<Vec<Pending>> = rows.into_iter().collect();
        let rows = rows.ok_or(Error::Expired)?;
        self.wake(Kind::Replay, &rows);
        Ok(rows)
    }

    /// Carries out what runs, until it is told to stop; a step that is under way ends first.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut under_way: HashSet<OperationId> = HashSet::new();
        loop {
            match self.running().await {
                Ok(operations) => {
                    for operation in operations {
                        if under_way.len() < AT_ONCE_MAX && under_way.insert(operation.id) {
                            let (this, stop) = (Arc::clone(&self), stop.clone());
                            tasks.spawn(async move {
                                let id = operation.id;
                                this.carry_out(operation, stop).await;
                                id
                            });
                        }
                    }
                }
                Err(store::Error::Closed) => break,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the running operations could not be read; they are read again"
                    );
                    let again = self.parts.clock.now().plus(RETRY);
                    tokio::select! {
                        () = self.parts.clock.sleep_until(again) => continue,
                        _ = stop.wait_for(|stop| *stop) => break,
                    }
                }
            }
            tokio::select! {
                () = self.begun.notified() => {}
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                    Ok(id) => { under_way.remove(&id); }
                    // It stays among those under way, so that a bug does not run again and again.
                    Err(error) => tracing::error!(%error, "an operation ended in a bug of the router; it waits for the next start"),
                },
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn running(&self) -> store::Result<Vec<Operation>> {
        let query = OperationQuery {
            running: true,
            limit: AT_ONCE_MAX,
            ..OperationQuery::default()
        };
        self.parts.store.operations(query).await
    }

    /// Takes one step after another until the operation has ended or the router stops.
    async fn carry_out(&self, mut operation: Operation, mut stop: watch::Receiver<bool>) {
        let mut tries = 0;
        while !*stop.borrow() {
            let pause = match self.step(&operation).await {
                Ok(Stepped::Refused) => return,
                Ok(Stepped::Moved(moved, rows)) => {
                    tries = 0;
                    self.wake(moved.asked.kind, &rows);
                    let put = moved.progress.done - operation.progress.done;
                    operation = *moved;
                    if operation.state.is_over() {
                        self.parts.announce.ended(&operation).await;
                        return;
                    }
                    operation.asked.pause(usize::try_from(put).unwrap_or(usize::MAX))
                }
                Err(Error::Stopping | Error::Store(store::Error::Closed | store::Error::Fenced)) => return,
                // Whoever waits for room waits as long as it takes.
                Err(Error::Store(store::Error::Busy | store::Error::Full(_))) => RETRY,
                Err(error) => {
                    tries += 1;
                    let transient = matches!(error, Error::Store(_)) && tries < TRIES_MAX;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        operation.id = %operation.id,
                        "a step of an operation failed"
                    );
                    if !transient && self.give_up(&operation, &error).await {
                        return;
                    }
                    RETRY
                }
            };
            if !pause.is_zero() {
                let next = self.parts.clock.now().plus(pause);
                tokio::select! {
                    () = self.parts.clock.sleep_until(next) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
            }
        }
    }

    /// Ends an operation that cannot go on; `false` where that could not be written.
    async fn give_up(&self, operation: &Operation, error: &Error) -> bool {
        let now = self.parts.clock.now();
        let why = Some(error.to_string());
        let store = &self.parts.store;
        match store.end_operation(operation.id, State::Failed, why, now).await {
            Ok(Some(ended)) => self.parts.announce.ended(&ended).await,
            // Somebody ended it.
            Ok(None) => {}
            Err(_) => return false,
        }
        true
    }

    /// The next step: the first counts, the others put in.
    async fn step(&self, operation: &Operation) -> Result<Stepped, Error> {
        let choice = Choice::new(operation.asked.clone())?;
        let from = operation.progress.position;
        let mut step = Step {
            operation: operation.id,
            from,
            to: from,
            looked_at: 0,
            skipped: Skipped::default(),
            put: Put::Again(Vec::new()),
            total: None,
            then: State::Running,
            now: self.parts.clock.now(),
        };
        if operation.progress.total.is_none() {
            step.total = Some(self.count(operation, &choice).await?.matches);
            return Ok(self.parts.store.step(step).await?);
        }
        let search = Search::new(&self.parts, operation, &choice);
        let page = search.page(from, operation.asked.step_max()).await?;
        step.now = self.parts.clock.now();
        step.to = Some(page.position);
        step.looked_at = page.looked_at;
        step.skipped = page.skipped;
        step.put = self.put(operation.asked.kind, page.candidates, step.now);
        if page.end {
            step.then = State::Finished;
        }
        Ok(self.parts.store.step(step).await?)
    }

    fn put(&self, kind: Kind, found: Vec<Candidate>, now: crate::time::Timestamp) -> Put {
        let (mut failed, mut new) = (Vec::new(), Vec::new());
        for candidate in found {
            match candidate.what {
                What::Failed(id) => failed.push(id),
                What::Event {
                    event,
                    subscription,
                    profile,
                } => new.push(Renewed {
                    delivery: NewDelivery {
                        id: self.parts.ids.next(now),
                        subscription,
                        profile,
                    },
                    event,
                    event_type: candidate.event_type,
                }),
            }
        }
        match kind {
            Kind::Recover => Put::Again(failed),
            Kind::Replay => Put::New(new),
        }
    }

    async fn count(&self, operation: &Operation, choice: &Choice) -> Result<Preview, Error> {
        let search = Search::new(&self.parts, operation, choice);
        let (mut preview, mut position) = (Preview::default(), None);
        loop {
            // Everything may be a matter of minutes.
            if *self.parts.stop.borrow() {
                return Err(Error::Stopping);
            }
            let page = search.page(position, COUNT_PAGE).await?;
            let end = page.end;
            position = Some(page.position);
            preview.add(page);
            if end {
                return Ok(preview);
            }
        }
    }

    /// Tells the dispatcher of rows that are durable. It reads them from the ledger; what it does not hear
    /// of now, it finds at its next start.
    fn wake(&self, kind: Kind, rows: &[Pending]) {
        if rows.is_empty() {
            return;
        }
        match kind {
            Kind::Recover => self.parts.wake.queue(rows.to_vec()),
            // Nobody asked for these attempts: they are the first of new deliveries.
            Kind::Replay => {
                if let Some(first) = rows.iter().map(|row| row.request).min() {
                    self.parts.wake.unread(first);
                }
            }
        }
    }
}
