//! Recording what happened: the attempt or run and the next state, in one transaction.
//!
//! The ledger decides what a change means. A change to something that is not pending is an error of
//! the caller ([`Error::Missing`]) and the call leaves nothing; so is an attempt that is not the next
//! one of its request, for its caller went by an old reading. A delivery with several requests ends
//! when none of its parts is open, whatever the caller believed: a part that is still open can never
//! be lost by a wrong guess. It is delivered when every part was.

use rusqlite::params;

use super::fingerprint::{self, Fingerprint};
use super::work::{End, Work};
use super::{accept, append, ledger, pack, row};
use crate::delivery::{
    AfterRun, Attempt, AttemptResult, Change, NewEvent, Next, Pending, PluginRun, Request, Stage,
};
use crate::profile;
use crate::store::{Error, Result};
use crate::time::Timestamp;

/// Why a delivery failed whose last request was accepted.
const ANOTHER_FAILED: &str = "another request of this delivery failed";

/// A change with the hashes of what it brings.
#[derive(Debug)]
pub(super) struct Prepared {
    change: Change,
    requests: Vec<Fingerprint>,
    emitted: Vec<Fingerprint>,
}

impl Prepared {
    pub(super) fn new(change: Change) -> Self {
        let (requests, emitted): (&[Request], &[NewEvent]) = match &change {
            Change::Rendered {
                requests, emitted, ..
            } => (requests, emitted),
            Change::Ran { emitted, .. } => (&[], emitted),
            Change::Attempted { .. } | Change::Abandoned { .. } => (&[], &[]),
        };
        let requests = requests.iter().map(fingerprint::of_request).collect();
        let emitted = emitted
            .iter()
            .map(|new| fingerprint::of_event(&new.event))
            .collect();
        Self {
            change,
            requests,
            emitted,
        }
    }

    /// About how many bytes the change writes.
    pub(super) fn weight(&self) -> usize {
        256 + match &self.change {
            Change::Rendered {
                requests, emitted, ..
            } => {
                let bodies: usize = requests.iter().map(|request| 256 + request.body.len()).sum();
                bodies + emitted.iter().map(accept::weight).sum::<usize>()
            }
            Change::Ran { emitted, .. } => emitted.iter().map(accept::weight).sum(),
            Change::Attempted { attempt, .. } => match &attempt.result {
                AttemptResult::Response { body, .. } => body.len(),
                AttemptResult::Error { detail, .. } => detail.len(),
            },
            Change::Abandoned { reason, .. } => reason.len(),
        }
    }
}

/// How a part ended.
struct Ending<'a> {
    end: End,
    reason: Option<&'a str>,
    at: Timestamp,
    attempts: Option<u16>,
    runs: Option<u16>,
}

/// Writes one change.
pub(super) fn apply(work: &mut Work<'_>, prepared: &Prepared) -> Result<()> {
    match &prepared.change {
        Change::Rendered {
            pending,
            tenant,
            runs,
            requests,
            emitted: _,
            at,
        } => {
            work.begin(*at)?;
            let tenant = tenant.number();
            rendered(work, pending, tenant, runs, requests, &prepared.requests, *at)?;
            append::runs(work, pending, runs)?;
        }
        Change::Ran {
            pending,
            runs,
            next,
            emitted: _,
            at,
        } => {
            work.begin(*at)?;
            ran(work, pending, runs, next, *at)?;
            append::runs(work, pending, runs)?;
        }
        Change::Attempted {
            pending,
            attempt,
            next,
            at,
        } => {
            work.begin(*at)?;
            attempted(work, pending, attempt, next, *at)?;
            append::attempt(work, attempt)?;
        }
        Change::Abandoned { pending, reason, at } => {
            work.begin(*at)?;
            let reason = Some(reason.as_str());
            let ending = Ending {
                end: End::Failed,
                reason,
                at: *at,
                attempts: None,
                runs: None,
            };
            if !end_single(work, pending, &ending)? {
                let entry = ledger::entry(work.conn, pending.delivery.number())?;
                end_whole(work, entry.ok_or(NOT_PENDING)?, &ending)?;
            }
        }
    }
    match &prepared.change {
        Change::Rendered { emitted, .. } | Change::Ran { emitted, .. } => {
            let mut pairs = emitted.iter().zip(&prepared.emitted);
            pairs.try_for_each(|(new, hash)| accept::insert(work, new, hash))
        }
        Change::Attempted { .. } | Change::Abandoned { .. } => Ok(()),
    }
}

const NOT_PENDING: Error = Error::Missing {
    what: "pending delivery",
};

fn require_one(changed: usize) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(NOT_PENDING) }
}

fn runs_after(pending: &Pending, runs: &[PluginRun]) -> u16 {
    runs.iter().map(|run| run.run).fold(pending.runs, u16::max)
}

fn rendered(
    work: &mut Work<'_>,
    pending: &Pending,
    tenant: i64,
    runs: &[PluginRun],
    requests: &[Request],
    hashes: &[Fingerprint],
    at: Timestamp,
) -> Result<()> {
    let delivery = pending.delivery.number();
    let well_formed = requests
        .first()
        .is_some_and(|first| first.id.number() == delivery)
        && requests
            .iter()
            .all(|request| request.delivery == pending.delivery);
    if !well_formed {
        let why = "a rendered delivery needs requests of its own, the first with its number";
        return Err(Error::Backend(why.into()));
    }
    let due = |request: &Request| request.not_before.unwrap_or(at).as_millis();
    let siblings = pack::numbers(requests.iter().skip(1).map(|request| request.id.number()));
    let siblings = Some(siblings).filter(|siblings| !siblings.is_empty());
    let runs = runs_after(pending, runs);
    let mut update = work.statement(
        "UPDATE pending SET stage = 1, runs = ?2, due_at = ?3, siblings = ?4, tries = 0, throttles = 0
         WHERE request = ?1 AND delivery = ?1 AND stage = 0 AND siblings IS NULL",
    )?;
    require_one(update.execute(params![delivery, runs, due(&requests[0]), siblings])?)?;
    let mut insert = work.statement(
        "INSERT INTO pending (request, delivery, event, subscription, tenant, stage, attempts, tries,
                              throttles, runs, due_at, event_type, profile)
         SELECT ?1, delivery, event, subscription, ?2, 1, 0, 0, 0, runs, ?3, event_type, profile
         FROM pending WHERE request = ?4",
    )?;
    for (request, hash) in requests.iter().zip(hashes) {
        append::request(work, request, hash)?;
    }
    for request in &requests[1..] {
        require_one(insert.execute(params![request.id.number(), tenant, due(request), delivery])?)?;
        work.used(request.id.number());
    }
    Ok(())
}

fn ran(
    work: &mut Work<'_>,
    pending: &Pending,
    runs: &[PluginRun],
    next: &AfterRun,
    at: Timestamp,
) -> Result<()> {
    let runs = runs_after(pending, runs);
    let (end, reason) = match next {
        AfterRun::Filtered { reason } => (End::Filtered, reason),
        AfterRun::Failed { reason } => (End::Failed, reason),
        AfterRun::Again { due_at } => {
            let mut update =
                work.statement("UPDATE pending SET runs = ?2, due_at = ?3 WHERE request = ?1")?;
            let values = params![pending.request.number(), runs, due_at.as_millis()];
            return require_one(update.execute(values)?);
        }
    };
    let ending = Ending {
        end,
        reason: Some(reason),
        at,
        attempts: None,
        runs: Some(runs),
    };
    if end_single(work, pending, &ending)? {
        Ok(())
    } else {
        Err(NOT_PENDING)
    }
}

fn attempted(
    work: &mut Work<'_>,
    pending: &Pending,
    attempt: &Attempt,
    next: &Next,
    at: Timestamp,
) -> Result<()> {
    let attempts = Some(attempt.number);
    let ending = |end, reason| Ending {
        end,
        reason,
        at,
        attempts,
        runs: None,
    };
    match next {
        Next::Again {
            due_at,
            tries,
            throttles,
        } => {
            let mut update = work.statement(
                "UPDATE pending SET attempts = ?2, due_at = ?3, tries = ?4, throttles = ?5
                 WHERE request = ?1 AND stage < 2 AND attempts = ?2 - 1",
            )?;
            let request = pending.request.number();
            let values = params![request, attempt.number, due_at.as_millis(), tries, throttles];
            require_one(update.execute(values)?)
        }
        Next::Delivered => end_part(work, pending, &ending(End::Delivered, None)),
        Next::Failed { reason } => end_part(work, pending, &ending(End::Failed, Some(reason))),
    }
}

/// Ends a delivery that has one row; `false` where there is no such row.
fn end_single(work: &mut Work<'_>, pending: &Pending, ending: &Ending<'_>) -> Result<bool> {
    let request = pending.request.number();
    let mut insert = work.statement(&work.tally.sql.delivery_from_ledger)?;
    let inserted = insert.execute(params![
        request,
        ending.end.number(),
        ending.at.as_millis(),
        ending.reason,
        ending.attempts,
        ending.runs,
        None::<&str>,
        None::<u16>,
    ])?;
    if inserted == 0 {
        return Ok(false);
    }
    work.statement("DELETE FROM pending WHERE request = ?")?
        .execute([request])?;
    work.stored(request, 0);
    work.ended(pending.subscription.number(), ending.end);
    Ok(true)
}

/// Ends one request, and its delivery if no other is open.
fn end_part(work: &mut Work<'_>, pending: &Pending, ending: &Ending<'_>) -> Result<()> {
    if end_single(work, pending, ending)? {
        return Ok(());
    }
    let mut entry = ledger::entry(work.conn, pending.delivery.number())?.ok_or(NOT_PENDING)?;
    let part = entry
        .parts
        .iter_mut()
        .find(|part| part.request == pending.request);
    let part = part
        .filter(|part| ledger::is_open(part.stage))
        .filter(|part| ending.attempts.is_none_or(|number| number == part.attempts + 1))
        .ok_or(NOT_PENDING)?;
    part.stage = match ending.end {
        End::Delivered => Stage::PartDelivered,
        End::Filtered | End::Failed => Stage::PartFailed,
    };
    part.attempts = ending.attempts.unwrap_or(part.attempts);
    let part = *part;
    if entry.parts.iter().any(|part| ledger::is_open(part.stage)) {
        let mut update = work.statement("UPDATE pending SET stage = ?2, attempts = ?3 WHERE request = ?1")?;
        let stage = ledger::stage_number(part.stage);
        return require_one(update.execute(params![part.request.number(), stage, part.attempts])?);
    }
    end_whole(work, entry, ending)
}

/// Ends a delivery with several rows; what is open failed.
fn end_whole(work: &mut Work<'_>, mut entry: ledger::Entry, ending: &Ending<'_>) -> Result<()> {
    for part in &mut entry.parts {
        if ledger::is_open(part.stage) {
            part.stage = Stage::PartFailed;
        }
    }
    let failed = entry.parts.iter().any(|part| part.stage == Stage::PartFailed);
    let (end, reason) = if failed {
        (End::Failed, Some(ending.reason.unwrap_or(ANOTHER_FAILED)))
    } else {
        (End::Delivered, None)
    };
    let first = entry.parts[0];
    work.statement(&work.tally.sql.delivery)?.execute(params![
        first.delivery.number(),
        entry.tenant,
        first.event.number(),
        first.subscription.number(),
        entry.event_type,
        end.number(),
        ending.at.as_millis(),
        reason,
        entry.attempts(),
        first.runs,
        1,
        row::parts(&entry.parts),
        first.profile.map(profile::Number::get),
        None::<&str>,
        None::<u16>,
    ])?;
    let mut delete = work.statement("DELETE FROM pending WHERE request = ?")?;
    for part in &entry.parts {
        delete.execute([part.request.number()])?;
    }
    work.stored(first.delivery.number(), 0);
    work.ended(first.subscription.number(), end);
    Ok(())
}
