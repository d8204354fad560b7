//! The way in: drafts become events, meet their subscriptions in memory, and are accepted in one
//! durable transaction; then, and only then, the dispatcher hears of them.
//!
//! Every way in (API, inbound sources, events that plugins emit, Hookway's own) goes through [`Ingest`], so
//! that limits, matching and the promise "accepted is durable" are in one place.

mod failed;
mod own;
mod unmatched;
mod warned;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

pub use unmatched::Unmatched;
pub use warned::Warned;

use crate::activity::{Activity, Feed, What};
use crate::clock::Clock;
use crate::delivery::{NewDelivery, NewEvent, Pending, Stage};
use crate::event::{self, AttributeFault, Draft, Event};
use crate::id::{EventId, Generator, RequestId, TenantId};
use crate::metrics::{Came, Metrics, Stage as Timed, Via};
use crate::own_event;
use crate::reception::Reception;
use crate::registry::Registry;
use crate::registry::event_types::Violation;
use crate::sentinel::Gauges;
use crate::source::Conflict;
use crate::space::{Low, Space};
use crate::store::{self, Accept, Accepted, AcceptedEvent, Idempotency, Series, Store};
use crate::time::Timestamp;

/// Most work of holding a call's events to their schemas that is done on the threads that answer calls, as
/// bytes of payloads by subschemas: some milliseconds.
const WORK_INLINE_MAX: u64 = 2 << 20;
/// Who does more than that, two at a time, so that a processor is left for others.
static CHECKS: Semaphore = Semaphore::const_new(2);

/// A fault in one attribute of one draft.
#[derive(Debug, PartialEq, Eq)]
pub struct DraftFault {
    /// Which draft of the call.
    pub index: usize,
    /// Which attribute, by its name in the API.
    pub attribute: &'static str,
    /// The pointer to the place below the attribute; empty for the whole of it.
    pub below: String,
    /// What is wrong.
    pub detail: String,
}

/// Why nothing of a call was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Attributes are wrong.
    #[error("{} of the events' attributes are wrong", .0.len())]
    Drafts(Vec<DraftFault>),
    /// The call's `Idempotency-Key` came before with another body.
    #[error("the idempotency key was used before with another body")]
    KeyConflict,
    /// An event's id came before with other content.
    #[error("event {index} has the id of an earlier event with other content")]
    EventConflict {
        /// Its place in the call.
        index: usize,
    },
    /// There is no room on the disk for anything new.
    #[error(transparent)]
    Low(#[from] Low),
    /// The store says no.
    #[error("the events could not be stored")]
    Store(#[from] store::Error),
}

/// What became of one event of a call.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What is stored.
    pub accepted: AcceptedEvent,
    /// What its producer should know; nothing of one that had been accepted before.
    pub warnings: Vec<Warned>,
}

/// Gives accepted deliveries to the dispatcher. Never blocks and never fails: what does not fit in
/// memory is fetched from the store later.
pub trait Handover: Send + Sync + 'static {
    /// This event and these rows of its ledger are durable now.
    fn offer(&self, event: Arc<Event>, rows: Vec<Pending>);
}

/// Tells the dispatcher of rows of the ledger that are due now because a person asked for it: a
/// resend. Never blocks and never fails, as with [`Handover`]; bodies are read from the store.
pub trait Wake: Send + Sync + 'static {
    /// These rows are due now. Rows that it holds already are moved up, not doubled.
    fn queue(&self, rows: Vec<Pending>);

    /// New rows are in the ledger, from this number on, of which nobody handed over anything.
    fn unread(&self, from: RequestId);
}

/// The way in.
pub struct Ingest {
    /// Where events become durable.
    pub store: Arc<dyn Store>,
    /// Which subscriptions there are.
    pub registry: Arc<Registry>,
    /// Makes ids.
    pub ids: Arc<Generator>,
    /// Tells the time.
    pub clock: Clock,
    /// Hears of what was accepted.
    pub dispatcher: Arc<dyn Handover>,
    /// Hears of it too.
    pub feed: Feed,
    /// Counts it.
    pub gauges: Arc<Gauges>,
    /// Whether there is room for anything new. What Hookway tells of itself is taken all the same.
    pub space: Arc<Space>,
    /// Counts everything, and how long it took.
    pub metrics: Arc<Metrics>,
    /// Says in the log what nobody wanted.
    pub unmatched: Unmatched,
    /// Within this time an id or key of the API counts as seen.
    pub idempotency_window: Duration,
    /// Within this time an id that comes to a source again is a repetition.
    pub repetition_window: Duration,
}

impl Ingest {
    /// Accepts a call of the API whole or not at all. Durable when it answers.
    pub async fn accept(
        &self,
        tenant: TenantId,
        drafts: Vec<Draft>,
        idempotency: Option<Idempotency>,
    ) -> Result<Vec<Taken>, Error> {
        self.space.check()?;
        let drafts = self.checked(tenant, drafts).await?;
        let now = self.clock.now();
        let events = self.routed(tenant, drafts, now)?;
        let warnings: Vec<_> = events.iter().map(|new| self.warnings(new)).collect();
        let call = Accept {
            tenant,
            idempotency,
            events,
            now,
            window: self.idempotency_window,
            series: Series::Api,
            on_conflict: Conflict::Refuse,
            reception: None,
        };
        let accepted = self.commit(call).await?.into_iter();
        let taken = accepted.zip(warnings).map(|(accepted, mut warnings)| {
            if accepted.duplicate {
                warnings.clear();
            }
            Taken { accepted, warnings }
        });
        Ok(taken.collect())
    }

    /// Accepts a request to a source whole or not at all, and keeps the reception with its events.
    /// Durable when it answers.
    pub async fn receive(
        &self,
        drafts: Vec<Draft>,
        reception: Reception,
        on_conflict: Conflict,
    ) -> Result<Vec<AcceptedEvent>, Error> {
        self.space.check()?;
        let (tenant, now) = (reception.tenant, reception.received_at);
        let call = Accept {
            tenant,
            idempotency: None,
            events: self.routed(tenant, drafts, now)?,
            now,
            window: self.repetition_window,
            series: Series::Sources,
            on_conflict,
            reception: Some(Box::new(reception)),
        };
        self.commit(call).await
    }

    /// Holds events of the API to what the operator asks of them. What sources bring is as their services
    /// made it, who would only send the same again.
    async fn checked(&self, tenant: TenantId, drafts: Vec<Draft>) -> Result<Vec<Draft>, Error> {
        if self.registry.event_types().work(tenant, &drafts) <= WORK_INLINE_MAX {
            let violations = self.registry.event_types().violations(tenant, &drafts);
            return refused(violations).map(|()| drafts);
        }
        let permit = CHECKS.acquire().await.map_err(|_| store::Error::Closed)?;
        let registry = Arc::clone(&self.registry);
        let checks = move || {
            // Held to the end of the work, also where who asked has gone away.
            let _permit = permit;
            (registry.event_types().violations(tenant, &drafts), drafts)
        };
        let checked = tokio::task::spawn_blocking(checks).await;
        let (violations, drafts) = checked.map_err(|_| store::Error::Closed)?;
        refused(violations).map(|()| drafts)
    }

    fn routed(&self, tenant: TenantId, drafts: Vec<Draft>, now: Timestamp) -> Result<Vec<NewEvent>, Error> {
        let events = self.events_from(tenant, drafts, now)?;
        Ok(events.into_iter().map(|event| self.route(event, now)).collect())
    }

    /// What the profiles of the subscriptions that get an event warn of.
    fn warnings(&self, new: &NewEvent) -> Vec<Warned> {
        let snapshot = self.registry.snapshot();
        let matched = new.deliveries.iter().filter_map(|delivery| {
            let route = snapshot.routes.get(&delivery.subscription)?;
            Some((delivery.subscription, &route.edition().profile))
        });
        warned::warned(&new.event, matched)
    }

    async fn commit(&self, call: Accept) -> Result<Vec<AcceptedEvent>, Error> {
        let (events, now, series) = (call.events.clone(), call.now, call.series);
        let began = self.clock.mark();
        let answered = self.store.accept(call).await;
        let answered = answered.inspect_err(|error| self.metrics.unwritten(error.unwritten()))?;
        self.metrics.took(Timed::Commit, self.clock.since(began));
        match answered {
            Accepted::Done(accepted) => {
                self.count(&events, &accepted, now, series);
                self.hand_over(events, &accepted, now);
                Ok(accepted)
            }
            Accepted::KeyConflict => Err(Error::KeyConflict),
            Accepted::EventConflict { index } => Err(Error::EventConflict { index }),
        }
    }

    /// What Hookway tells of itself says nothing about producers.
    fn count(&self, events: &[NewEvent], accepted: &[AcceptedEvent], now: Timestamp, series: Series) {
        self.metrics.came(via(events, series), came(events, accepted));
        if let Some(first) = events.first()
            && !own_event::is_own(&first.event.event_type)
        {
            let repeated = accepted.iter().filter(|answer| answer.duplicate).count();
            self.gauges
                .accepted(first.event.tenant, accepted.len(), repeated, now);
        }
    }

    /// Finds the subscriptions of an event and gives each of them a delivery.
    pub fn route(&self, event: Arc<Event>, now: Timestamp) -> NewEvent {
        let matches = self.registry.snapshot().table.matches(&event);
        let deliveries = matches
            .routes
            .iter()
            .map(|route| NewDelivery {
                id: self.ids.next(now),
                subscription: route.subscription().id,
                profile: route.edition().number,
            })
            .collect();
        NewEvent { event, deliveries }
    }

    /// Tells the dispatcher and who is watching of events that are durable now.
    pub fn hand_over(&self, events: Vec<NewEvent>, accepted: &[AcceptedEvent], now: Timestamp) {
        for (new, answer) in events.into_iter().zip(accepted) {
            if answer.duplicate {
                continue;
            }
            if answer.matched == 0 && !own_event::is_own(&new.event.event_type) {
                self.unmatched.tell(&new.event, now);
            }
            self.feed.tell(|| Activity {
                time: now,
                tenant: new.event.tenant,
                what: What::Accepted {
                    event_id: answer.id,
                    event_type: new.event.event_type.clone(),
                    source: new.event.source.clone(),
                    matched: answer.matched,
                },
            });
            let rows = new.deliveries.iter().map(|delivery| Pending {
                request: delivery.id.same_number(),
                delivery: delivery.id,
                event: new.event.id,
                subscription: delivery.subscription,
                profile: Some(delivery.profile),
                stage: Stage::Accepted,
                attempts: 0,
                tries: 0,
                throttles: 0,
                runs: 0,
                due_at: now,
            });
            let rows: Vec<Pending> = rows.collect();
            if !rows.is_empty() {
                self.dispatcher.offer(new.event, rows);
            }
        }
    }

    /// Makes events of drafts, or says what is wrong with them. Nothing is stored.
    pub fn events_from(
        &self,
        tenant: TenantId,
        drafts: Vec<Draft>,
        now: Timestamp,
    ) -> Result<Vec<Arc<Event>>, Error> {
        let mut faults = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            faults.extend(self::faults(index, draft));
        }
        if !faults.is_empty() {
            return Err(Error::Drafts(faults));
        }
        Ok(drafts
            .into_iter()
            .map(|draft| Arc::new(event_from(draft, tenant, self.ids.next(now), now)))
            .collect())
    }
}

/// How the events of a call came. Those that Hookway tells of itself come alone.
fn via(events: &[NewEvent], series: Series) -> Via {
    match (events.first(), series) {
        (Some(first), _) if own_event::is_own(&first.event.event_type) => Via::Own,
        (_, Series::Api) => Via::Api,
        (_, Series::Sources) => Via::Source,
    }
}

fn came(events: &[NewEvent], accepted: &[AcceptedEvent]) -> Came {
    let mut came = Came::default();
    for (new, answer) in events.iter().zip(accepted) {
        if answer.duplicate {
            came.duplicate += 1;
        } else {
            came.new += 1;
            came.bytes += new.event.data.len() as u64;
        }
    }
    came
}

fn refused(violations: Vec<Violation>) -> Result<(), Error> {
    if violations.is_empty() {
        return Ok(());
    }
    let fault = |violation: Violation| DraftFault {
        index: violation.index,
        attribute: violation.attribute,
        below: violation.below,
        detail: violation.detail,
    };
    Err(Error::Drafts(violations.into_iter().map(fault).collect()))
}

/// Makes an event of one draft, or says what is wrong with it.
pub fn event_of(
    draft: Draft,
    tenant: TenantId,
    id: EventId,
    now: Timestamp,
) -> Result<Event, Vec<DraftFault>> {
    let faults: Vec<DraftFault> = faults(0, &draft).collect();
    if faults.is_empty() {
        Ok(event_from(draft, tenant, id, now))
    } else {
        Err(faults)
    }
}

fn faults(index: usize, draft: &Draft) -> impl Iterator<Item = DraftFault> {
    check(draft).map(move |(attribute, fault)| DraftFault {
        index,
        attribute,
        below: String::new(),
        detail: fault.to_string(),
    })
}

fn check(draft: &Draft) -> impl Iterator<Item = (&'static str, AttributeFault)> {
    let text =
        |value: &Option<String>, max| value.as_ref().map_or(Ok(()), |text| event::check_text(text, max));
    let mut results = vec![
        ("type", event::check_type(&draft.event_type)),
        ("id", text(&draft.id, event::PRODUCER_ID_BYTES_MAX)),
        ("source", text(&draft.source, event::SOURCE_BYTES_MAX)),
        ("subject", text(&draft.subject, event::SUBJECT_BYTES_MAX)),
        (
            "datacontenttype",
            text(&draft.content_type, event::CONTENT_TYPE_BYTES_MAX),
        ),
    ];
    if draft.event_type.starts_with(event::OWN_TYPE_PREFIX) {
        let allowed = "names that do not start with `hookway.`, which is for the router's own events";
        results.push(("type", Err(AttributeFault::Characters { allowed })));
    }
    if draft.extensions.len() > event::EXTENSIONS_MAX {
        results.push((
            "extensions",
            Err(AttributeFault::TooLong {
                max: event::EXTENSIONS_MAX,
            }),
        ));
    }
    for (name, value) in &draft.extensions {
        results.push(("extensions", event::check_extension_name(name)));
        if !value.is_empty() {
            results.push(("extensions", event::check_text(value, event::EXTENSION_BYTES_MAX)));
        }
    }
    results
        .into_iter()
        .filter_map(|(name, result)| result.err().map(|fault| (name, fault)))
}

fn event_from(draft: Draft, tenant: TenantId, id: EventId, now: Timestamp) -> Event {
    Event {
        id,
        tenant,
        source: draft.source.unwrap_or_else(|| event::API_SOURCE.to_owned()),
        producer_id: draft.id,
        event_type: draft.event_type,
        subject: draft.subject,
        time: draft.time.unwrap_or(now),
        received_at: now,
        content_type: draft.content_type.unwrap_or_else(|| event::JSON.to_owned()),
        extensions: draft.extensions,
        headers: draft.headers,
        data: draft.data,
        hops: 0,
    }
}
