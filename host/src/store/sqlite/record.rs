//! Recording what happened: the attempt or run and the next state, in one transaction.
//!
//! The ledger decides what a change means. A change to something that is not pending is an error of
//! the caller ([`Error::Missing`]) and the call leaves nothing; so is an attempt that is not the next
//! one of its request, for its caller went by an old reading. A delivery with several requests ends
//! when none of its parts is open, whatever the caller believed: a part that is still open can never
//! be lost by a wrong guess. It is delivered when every part was.
//!
//! A delivery that failed at its endpoint moves the row of failures of its subscription, once, when it
//! ends; one that was accepted begins the row anew.

use rusqlite::params;

use super::fingerprint::{self, Fingerprint};
use super::sum::{self, Moving};
use super::work::{End, Work};
use super::{accept, append, last_attempt, ledger, pack, row};
use crate::delivery::{
    AfterRun, Attempt, AttemptResult, Cause, Change, GivenUp, NewEvent, Next, Pending, PluginRun, Request,
    Stage,
};
use crate::profile;
use crate::store::{Error, Recorded, Result};
use crate::time::Timestamp;

/// Why a delivery failed whose last request was accepted.
const ANOTHER_FAILED: &str = "another request of this delivery failed";
/// `tries` of a part that failed with its schedule at its end: more than any schedule has. A part that
/// failed needs no tries any more, and a resend begins at none.
const EXHAUSTED: u16 = u16::MAX;

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
        let requests = requests.iter().map(fingerprint::of_request_row).collect();
        let emitted = emitted
            .iter()
            .map(|new| accept::of_row(new, &fingerprint::of_event(&new.event)))
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
#[derive(Clone, Copy)]
struct Ending<'a> {
    end: End,
    cause: Option<Cause>,
    reason: Option<&'a str>,
    /// The status of the answer, where there was one.
    code: Option<u16>,
    /// Whether it counts against the endpoint, and how much.
    blame: Option<GivenUp>,
    /// When what ended it began.
    began: Timestamp,
    at: Timestamp,
    /// What ended it, if it was an attempt.
    attempt: Option<&'a Attempt>,
    runs: Option<u16>,
}

impl<'a> Ending<'a> {
    /// Without an attempt or a run.
    fn plain(end: End, cause: Option<Cause>, reason: Option<&'a str>, at: Timestamp) -> Self {
        Self {
            end,
            cause,
            reason,
            code: None,
            blame: None,
            began: at,
            at,
            attempt: None,
            runs: None,
        }
    }

    /// The number of the attempt that ended it.
    fn number(&self) -> Option<u16> {
        self.attempt.map(|attempt| attempt.number)
    }
}

/// What a change came to.
type Outcome = Result<Recorded>;

/// The row is not there, or there is more than one.
enum Ended {
    Whole(Recorded),
    NoSuchRow,
}

/// Writes one change.
pub(super) fn apply(work: &mut Work<'_>, prepared: &Prepared) -> Outcome {
    let recorded = match &prepared.change {
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
            Recorded::default()
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
            Recorded::default()
        }
        Change::Attempted {
            pending,
            attempt,
            next,
            at,
        } => {
            work.begin(*at)?;
            attempted(work, pending, attempt, next, *at)?
        }
        Change::Abandoned {
            pending,
            cause,
            reason,
            at,
        } => {
            work.begin(*at)?;
            let ending = Ending::plain(End::Failed, Some(*cause), Some(reason), *at);
            match end_single(work, pending, &ending)? {
                Ended::Whole(recorded) => recorded,
                Ended::NoSuchRow => {
                    let entry = ledger::entry(work.conn, pending.delivery.number())?;
                    end_whole(work, entry.ok_or(NOT_PENDING)?, &ending)?
                }
            }
        }
    };
    match &prepared.change {
        Change::Rendered { emitted, .. } | Change::Ran { emitted, .. } => {
            let mut pairs = emitted.iter().zip(&prepared.emitted);
            pairs.try_for_each(|(new, hash)| accept::insert(work, new, hash))?;
        }
        Change::Attempted { .. } | Change::Abandoned { .. } => {}
    }
    Ok(recorded)
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
    let first_due = due(&requests[0]);
    let sum = sum::siblings(siblings.as_deref())
        + sum::moving(&[
            (Moving::Stage, 1),
            (Moving::Runs, runs.into()),
            (Moving::DueAt, first_due),
        ]);
    let mut update = work.statement(&ledger::RENDERED)?;
    require_one(update.execute(params![delivery, runs, first_due, siblings, sum])?)?;
    let mut insert = work.statement(&ledger::SIBLING)?;
    for (request, hash) in requests.iter().zip(hashes) {
        append::request(work, request, hash)?;
    }
    for request in &requests[1..] {
        let (number, due) = (request.id.number(), due(request));
        let sum = sum::sibling(delivery, number, siblings.as_deref()) + sum::moving(&[(Moving::DueAt, due)]);
        require_one(insert.execute(params![number, tenant, due, delivery, sum])?)?;
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
    let (end, cause, reason) = match next {
        AfterRun::Filtered { reason } => (End::Filtered, None, reason),
        AfterRun::Failed { cause, reason } => (End::Failed, Some(*cause), reason),
        AfterRun::Again { due_at } => {
            let due = due_at.as_millis();
            let sum = sum::moving(&[(Moving::Runs, runs.into()), (Moving::DueAt, due)]);
            let values = params![pending.request.number(), runs, due, sum];
            return require_one(work.statement(&ledger::RAN)?.execute(values)?);
        }
    };
    let ending = Ending {
        runs: Some(runs),
        ..Ending::plain(end, cause, Some(reason), at)
    };
    match end_single(work, pending, &ending)? {
        Ended::Whole(_) => Ok(()),
        Ended::NoSuchRow => Err(NOT_PENDING),
    }
}

fn attempted(
    work: &mut Work<'_>,
    pending: &Pending,
    attempt: &Attempt,
    next: &Next,
    at: Timestamp,
) -> Outcome {
    let code = match &attempt.result {
        AttemptResult::Response { status, .. } => Some(*status),
        AttemptResult::Error { .. } => None,
    };
    let ended = Ending {
        code,
        attempt: Some(attempt),
        began: attempt.started_at,
        ..Ending::plain(End::Delivered, None, None, at)
    };
    match next {
        Next::Again {
            due_at,
            tries,
            throttles,
        } => {
            let (request, due) = (pending.request.number(), due_at.as_millis());
            let sum = sum::moving(&[
                (Moving::Attempts, attempt.number.into()),
                (Moving::DueAt, due),
                (Moving::Tries, (*tries).into()),
                (Moving::Throttles, (*throttles).into()),
            ]);
            let values = params![request, attempt.number, due, tries, throttles, sum];
            require_one(work.statement(&ledger::AGAIN)?.execute(values)?)?;
            append::attempt(work, attempt)?;
            Ok(Recorded::default())
        }
        Next::Delivered => end_part(work, pending, attempt, &ended),
        Next::Failed {
            cause,
            reason,
            given_up,
        } => {
            let ending = Ending {
                end: End::Failed,
                cause: Some(*cause),
                reason: Some(reason),
                blame: Some(*given_up).filter(|_| cause.is_endpoints()),
                ..ended
            };
            end_part(work, pending, attempt, &ending)
        }
    }
}

/// Ends a delivery that has one row. What ended it is written with it.
fn end_single(work: &mut Work<'_>, pending: &Pending, ending: &Ending<'_>) -> Result<Ended> {
    let request = pending.request.number();
    let mut insert = work.statement(&work.tally.sql.delivery_from_ledger)?;
    let (state, at) = (ending.end.number(), ending.at.as_millis());
    let cause = ending.cause.map(Cause::as_str);
    let none = rusqlite::types::Null;
    let last = ending.attempt.and_then(last_attempt::packed);
    let said = sum::of(&[&state, &at, &ending.reason, &none, &cause, &ending.code])?
        + sum::last_attempt(last.as_deref());
    let inserted = insert.execute(params![
        request,
        state,
        at,
        ending.reason,
        ending.number(),
        ending.runs,
        cause,
        ending.code,
        sum::ending(said, ending.attempt.is_some()),
        last,
    ])?;
    if inserted == 0 {
        return Ok(Ended::NoSuchRow);
    }
    if let (Some(attempt), None) = (ending.attempt, &last) {
        append::attempt(work, attempt)?;
    }
    work.statement("DELETE FROM pending WHERE request = ?")?
        .execute([request])?;
    work.stored(request, last.map_or(0, |last| last.len()));
    let subscription = pending.subscription.number();
    count(work, subscription, ending.end, ending.blame, ending.began).map(Ended::Whole)
}

/// Takes note of an end, and of what it means for the row of failures.
fn count(
    work: &mut Work<'_>,
    subscription: i64,
    end: End,
    blame: Option<GivenUp>,
    began: Timestamp,
) -> Outcome {
    work.ended(subscription, end);
    let failing = match (end, blame) {
        (End::Failed, Some(given_up)) => work.failed_in_a_row(subscription, given_up, began)?,
        (End::Delivered, _) => {
            work.begin_row(subscription);
            None
        }
        (End::Failed | End::Filtered, _) => None,
    };
    Ok(Recorded { failing })
}

/// Ends one request by an attempt, and its delivery if no other is open.
fn end_part(work: &mut Work<'_>, pending: &Pending, attempt: &Attempt, ending: &Ending<'_>) -> Outcome {
    if let Ended::Whole(recorded) = end_single(work, pending, ending)? {
        return Ok(recorded);
    }
    let recorded = end_one_of_several(work, pending, ending)?;
    append::attempt(work, attempt)?;
    Ok(recorded)
}

fn end_one_of_several(work: &mut Work<'_>, pending: &Pending, ending: &Ending<'_>) -> Outcome {
    let mut entry = ledger::entry(work.conn, pending.delivery.number())?.ok_or(NOT_PENDING)?;
    let part = entry
        .parts
        .iter_mut()
        .find(|part| part.request == pending.request);
    let part = part
        .filter(|part| ledger::is_open(part.stage))
        .filter(|part| ending.number().is_none_or(|number| number == part.attempts + 1))
        .ok_or(NOT_PENDING)?;
    part.stage = match ending.end {
        End::Delivered => Stage::PartDelivered,
        End::Filtered | End::Failed => Stage::PartFailed,
    };
    part.attempts = ending.number().unwrap_or(part.attempts);
    if ending.blame == Some(GivenUp::Exhausted) {
        part.tries = EXHAUSTED;
    }
    let part = *part;
    if entry.parts.iter().any(|part| ledger::is_open(part.stage)) {
        let stage = ledger::stage_number(part.stage);
        let sum = sum::moving(&[
            (Moving::Stage, stage),
            (Moving::Attempts, part.attempts.into()),
            (Moving::Tries, part.tries.into()),
        ]);
        let values = params![part.request.number(), stage, part.attempts, part.tries, sum];
        require_one(work.statement(&ledger::PART)?.execute(values)?)?;
        return Ok(Recorded::default());
    }
    end_whole(work, entry, ending)
}

/// Ends a delivery with several rows; what is open failed.
fn end_whole(work: &mut Work<'_>, mut entry: ledger::Entry, ending: &Ending<'_>) -> Outcome {
    let failed = |part: &Pending| part.stage == Stage::PartFailed;
    let exhausted = entry
        .parts
        .iter()
        .any(|part| failed(part) && part.tries == EXHAUSTED);
    for part in &mut entry.parts {
        if ledger::is_open(part.stage) {
            part.stage = Stage::PartFailed;
        }
    }
    let (end, cause, reason) = if !entry.parts.iter().any(failed) {
        (End::Delivered, None, None)
    } else if ending.end == End::Failed {
        (End::Failed, ending.cause, ending.reason)
    } else {
        (End::Failed, Some(Cause::AnotherRequest), Some(ANOTHER_FAILED))
    };
    // One delivery counts once, as badly as the worst of its requests.
    let blame = match cause {
        Some(cause) if cause.is_endpoints() && exhausted => Some(GivenUp::Exhausted),
        Some(Cause::AnotherRequest) => Some(GivenUp::AtOnce),
        _ => ending.blame,
    };
    let first = entry.parts[0];
    let (state, at) = (end.number(), ending.at.as_millis());
    let (cause, parts) = (cause.map(Cause::as_str), row::parts(&entry.parts));
    let sum = sum::of(&[&state, &at, &reason, &parts, &cause, &ending.code])?;
    let fixed = sum::Fixed::of(&first, entry.tenant, entry.event_type.as_bytes());
    let sum = fixed.in_history(entry.attempts().into(), first.runs.into(), true, sum);
    work.statement(&work.tally.sql.delivery)?.execute(params![
        first.delivery.number(),
        entry.tenant,
        first.event.number(),
        first.subscription.number(),
        entry.event_type,
        state,
        at,
        reason,
        entry.attempts(),
        first.runs,
        1,
        parts,
        first.profile.map(profile::Number::get),
        cause,
        ending.code,
        sum,
        rusqlite::types::Null,
    ])?;
    let mut delete = work.statement("DELETE FROM pending WHERE request = ?")?;
    for part in &entry.parts {
        delete.execute([part.request.number()])?;
    }
    work.stored(first.delivery.number(), 0);
    count(work, first.subscription.number(), end, blame, ending.began)
}
