//! Accepting events: key, conflicts, then rows; everything of a call or nothing.
//!
//! Whatever can refuse a call is looked up before the first row is written, so a refusal leaves
//! nothing to undo. Hashes come with the call; they were computed by the caller's task.

use std::collections::HashMap;

use rusqlite::params;

use super::fingerprint::{self, Fingerprint, Keyed};
use super::seen::{self, SeenCall, SeenEvent};
use super::work::Work;
use super::{pack, reception_rows, sum};
use crate::delivery::NewEvent;
use crate::event::Event;
use crate::reception::Outcome;
use crate::source::Conflict;
use crate::store::{Accept, Accepted, AcceptedEvent, Result};

/// A call with its hashes.
#[derive(Debug)]
pub(super) struct Prepared {
    call: Accept,
    /// Key and content of the call.
    idempotency: Option<(Fingerprint, Fingerprint)>,
    events: Vec<Hashes>,
}

/// Of one event.
#[derive(Clone, Copy, Debug)]
struct Hashes {
    content: Fingerprint,
    row: Fingerprint,
    key: Option<Fingerprint>,
}

impl Prepared {
    pub(super) fn new(call: Accept, keyed: &Keyed) -> Self {
        let idempotency = call.idempotency.as_ref().map(|idempotency| {
            let [content, _] = halves(idempotency.content.as_bytes());
            (keyed.of_call(call.tenant.number(), idempotency), content)
        });
        let came_to = call.reception.as_ref().map(|reception| reception.source);
        let hash = |new: &NewEvent| {
            let content = fingerprint::of_event(&new.event);
            Hashes {
                content,
                row: of_row(new, &content),
                key: keyed.of_event(&new.event, came_to),
            }
        };
        let events = call.events.iter().map(hash).collect();
        Self {
            call,
            idempotency,
            events,
        }
    }

    /// About how many bytes the call writes.
    pub(super) fn weight(&self) -> usize {
        let reception = self.call.reception.as_deref().map_or(0, reception_rows::weight);
        self.call.events.iter().map(weight).sum::<usize>() + reception
    }
}

/// The hash that is stored with an event.
pub(super) fn of_row(new: &NewEvent, content: &Fingerprint) -> Fingerprint {
    fingerprint::of_event_row(&new.event, matched(new), content)
}

/// How many subscriptions an event met.
fn matched(new: &NewEvent) -> u32 {
    u32::try_from(new.deliveries.len()).unwrap_or(u32::MAX)
}

fn halves(bytes: &[u8; 32]) -> [Fingerprint; 2] {
    let mut halves = [[0; 16]; 2];
    halves.as_flattened_mut().copy_from_slice(bytes);
    halves
}

/// About how many bytes an event and its deliveries take.
pub(super) fn weight(new: &NewEvent) -> usize {
    512 + new.event.data.len() + pack::length(&new.event.headers) + 128 * new.deliveries.len()
}

/// Accepts a call.
pub(super) fn apply(work: &mut Work<'_>, prepared: &Prepared) -> Result<Accepted> {
    let call = &prepared.call;
    work.begin(call.now)?;
    if let Some((key, content)) = &prepared.idempotency
        && let Some(seen) = seen::call(work, key, call)?
    {
        if seen.content != *content {
            return Ok(Accepted::KeyConflict);
        }
        receive(work, call, &seen.answer, 0)?;
        return Ok(Accepted::Done(seen.answer));
    }
    let (answers, changed) = match look_up(work, prepared)? {
        LookedUp::Answers { answers, changed } => (answers, changed),
        LookedUp::Conflict { index } => return Ok(Accepted::EventConflict { index }),
    };
    for ((new, hashes), answer) in call.events.iter().zip(&prepared.events).zip(&answers) {
        if answer.duplicate {
            continue;
        }
        insert(work, new, &hashes.row)?;
        if let Some(key) = &hashes.key {
            let seen = SeenEvent {
                content: hashes.content,
                id: answer.id,
                matched: answer.matched,
            };
            seen::remember_event(work, key, seen, call)?;
        }
    }
    if let Some((key, content)) = &prepared.idempotency {
        let seen = SeenCall {
            content: *content,
            answer: answers.clone(),
        };
        seen::remember_call(work, key, &seen, call)?;
    }
    receive(work, call, &answers, changed)?;
    Ok(Accepted::Done(answers))
}

/// Stores the call's reception, if it has one, with what became of its events.
fn receive(work: &mut Work<'_>, call: &Accept, answers: &[AcceptedEvent], changed: u32) -> Result<()> {
    let Some(reception) = call.reception.as_deref() else {
        return Ok(());
    };
    let outcome = answers.first().map(|first| {
        let duplicates = answers.iter().filter(|answer| answer.duplicate).count();
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Outcome::Accepted {
            first: first.id,
            events: count(answers.len() - duplicates),
            duplicates: count(duplicates),
            changed,
        }
    });
    reception_rows::insert(work, reception, outcome.as_ref().unwrap_or(&reception.outcome))
}

/// What a look-up before the first write found.
enum LookedUp {
    /// One for each event, and how many of the repetitions have other content.
    Answers {
        answers: Vec<AcceptedEvent>,
        changed: u32,
    },
    /// The first that conflicts.
    Conflict { index: usize },
}

/// What each event's answer is, or the first that conflicts where that is refused. A call may name the
/// same id twice; then the second is a repetition of the first.
fn look_up(work: &Work<'_>, prepared: &Prepared) -> Result<LookedUp> {
    let call = &prepared.call;
    let mut answers = Vec::with_capacity(call.events.len());
    let mut changed = 0;
    let mut earlier: HashMap<Fingerprint, SeenEvent> = HashMap::new();
    for (index, (new, hashes)) in call.events.iter().zip(&prepared.events).enumerate() {
        let fresh = SeenEvent {
            content: hashes.content,
            id: new.event.id,
            matched: matched(new),
        };
        let mut found = None;
        if let Some(key) = &hashes.key {
            found = match earlier.get(key) {
                Some(seen) => Some(*seen),
                None => seen::event(work, key, call)?,
            };
            if found.is_none() {
                earlier.insert(*key, fresh);
            }
        }
        if found.is_some_and(|seen| seen.content != hashes.content) {
            match call.on_conflict {
                Conflict::Refuse => return Ok(LookedUp::Conflict { index }),
                Conflict::Duplicate => changed += 1,
            }
        }
        let SeenEvent { id, matched, .. } = found.unwrap_or(fresh);
        answers.push(AcceptedEvent {
            id,
            matched,
            duplicate: found.is_some(),
        });
    }
    Ok(LookedUp::Answers { answers, changed })
}

/// Stores an event and a ledger row for each of its deliveries.
pub(super) fn insert(work: &mut Work<'_>, new: &NewEvent, hash: &Fingerprint) -> Result<()> {
    let Event {
        id,
        tenant,
        source,
        producer_id,
        event_type,
        subject,
        time,
        received_at,
        content_type,
        extensions,
        headers,
        data,
        hops,
    } = &*new.event;
    let headers = pack::pairs(headers);
    let mut statement = work.statement(&work.tally.sql.event)?;
    statement.execute(params![
        id.number(),
        tenant.number(),
        source,
        producer_id,
        event_type,
        subject,
        time.as_millis(),
        received_at.as_millis(),
        content_type,
        pack::pairs(extensions),
        hops,
        matched(new),
        hash,
        &data[..],
        headers,
    ])?;
    drop(statement);
    work.stored(id.number(), data.len() + headers.as_ref().map_or(0, Vec::len));
    let mut statement = work.statement(
        "INSERT INTO pending (request, delivery, event, subscription, tenant, stage, attempts, tries,
                              throttles, runs, due_at, event_type, profile, sum)
         VALUES (?1, ?1, ?2, ?3, ?4, 0, 0, 0, 0, 0, ?5, ?6, ?7, ?8)",
    )?;
    for delivery in &new.deliveries {
        let fixed = sum::Fixed {
            request: delivery.id.number(),
            delivery: delivery.id.number(),
            event: id.number(),
            subscription: delivery.subscription.number(),
            tenant: tenant.number(),
            event_type: event_type.as_bytes(),
            profile: Some(delivery.profile.get()),
        };
        statement.execute(params![
            fixed.delivery,
            fixed.event,
            fixed.subscription,
            fixed.tenant,
            received_at.as_millis(),
            event_type,
            fixed.profile,
            fixed.accepted(received_at.as_millis()),
        ])?;
        work.used(delivery.id.number());
        work.created(delivery.subscription.number());
    }
    Ok(())
}
