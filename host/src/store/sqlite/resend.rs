//! Resending: a finished delivery goes back into the ledger, a pending one becomes due now.
//!
//! A delivery is in one place: in the ledger while it is pending, else in exactly one segment. So
//! its finished row goes when it returns. Numbers of attempts and runs go on where they were; the
//! retry schedule starts anew. Of a failed delivery with several requests, those that were accepted
//! stay accepted; of a delivered one, all are sent again.

use rusqlite::{Connection, Row, params};

use super::segments::{self, Phase, Segment};
use super::sum::{self, Moving};
use super::work::{End, Work};
use super::{append, last_attempt, ledger, row};
use crate::delivery::{Attempt, Cause, Pending, Stage};
use crate::id::{DeliveryId, EventId, RequestId, SubscriptionId};
use crate::profile;
use crate::store::{Error, Resend, Result};
use crate::time::Timestamp;

/// A finished delivery.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) id: i64,
    pub(super) tenant: i64,
    pub(super) event: i64,
    pub(super) subscription: i64,
    pub(super) event_type: String,
    pub(super) end: End,
    pub(super) at: Timestamp,
    pub(super) reason: Option<String>,
    pub(super) attempts: u32,
    pub(super) runs: u16,
    pub(super) rendered: bool,
    pub(super) parts: Vec<(RequestId, Stage, u16)>,
    pub(super) cause: Option<Cause>,
    pub(super) code: Option<u16>,
    pub(super) profile: Option<profile::Number>,
    /// The attempt that ended it, where it has no row of its own.
    pub(super) last: Option<Attempt>,
}

/// What the row of a delivery says of the attempt that ended it.
fn packed_last<'r>(row: &'r Row<'_>) -> Result<Option<&'r [u8]>> {
    Ok(row
        .get_ref(16)?
        .as_blob_or_null()
        .map_err(rusqlite::Error::from)?)
}

impl Finished {
    /// A row of `delivery_<n>`, whole; [`Error::Damaged`] with its name where it is not what was written.
    pub(super) fn read(row: &Row<'_>) -> Result<Self> {
        let parts: Option<Vec<u8>> = row.get(11)?;
        let mut finished = Self {
            id: row.get(0)?,
            tenant: row.get(1)?,
            event: row.get(2)?,
            subscription: row.get(3)?,
            event_type: row.get(4)?,
            end: End::from_number(row.get(5)?)?,
            at: Timestamp::from_millis(row.get(6)?),
            reason: row.get(7)?,
            attempts: row.get(8)?,
            runs: row.get(9)?,
            rendered: row.get(10)?,
            parts: row::read_parts(parts.as_deref().unwrap_or_default())?,
            cause: row
                .get_ref(13)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)?
                .and_then(Cause::parse),
            code: row.get(14)?,
            profile: row.get::<_, Option<i64>>(12)?.map(profile::Number::new),
            last: None,
        };
        if !finished.fits(row)? {
            return Err(Error::Damaged {
                what: DeliveryId::from_number(finished.id).to_string(),
            });
        }
        let last = packed_last(row)?.map(|last| last_attempt::read(finished.id, last));
        finished.last = last.transpose()?;
        Ok(finished)
    }

    /// Whether the row is what was written; of one that was written before there were sums, that cannot be
    /// told.
    fn fits(&self, row: &Row<'_>) -> Result<bool> {
        let Some(sum) = row.get(15)? else {
            return Ok(true);
        };
        let fixed = sum::Fixed {
            request: self.id,
            delivery: self.id,
            event: self.event,
            subscription: self.subscription,
            tenant: self.tenant,
            event_type: self.event_type.as_bytes(),
            profile: self.profile.map(profile::Number::get),
        };
        let end = sum::of_columns(row, &[5, 6, 7, 11, 13, 14])? + sum::last_attempt(packed_last(row)?);
        let expected = fixed.in_history(self.attempts.into(), self.runs.into(), self.rendered, end);
        Ok(sum::agree(sum, expected))
    }

    /// The requests that plugins made for it.
    pub(super) fn requests(&self) -> Vec<i64> {
        if !self.parts.is_empty() {
            self.parts.iter().map(|(request, ..)| request.number()).collect()
        } else if self.rendered {
            vec![self.id]
        } else {
            Vec::new()
        }
    }

    /// Whether everything that is needed to send it again is in these segments.
    pub(super) fn is_kept(&self, conn: &Connection, segments: &[Segment]) -> Result<bool> {
        let mut kept = segments::has(conn, segments, "event", self.event)?;
        for request in self.requests() {
            kept = kept && segments::has(conn, segments, "request", request)?;
        }
        Ok(kept)
    }

    /// The rows of the ledger that send it again.
    fn reopened(&self, now: Timestamp) -> Vec<Pending> {
        let part = |request, stage, attempts| Pending {
            request,
            delivery: DeliveryId::from_number(self.id),
            event: EventId::from_number(self.event),
            subscription: SubscriptionId::from_number(self.subscription),
            profile: self.profile,
            stage,
            attempts,
            tries: 0,
            throttles: 0,
            runs: self.runs,
            due_at: now,
        };
        if self.parts.is_empty() {
            let stage = if self.rendered {
                Stage::Rendered
            } else {
                Stage::Accepted
            };
            let attempts = u16::try_from(self.attempts).unwrap_or(u16::MAX);
            return vec![part(RequestId::from_number(self.id), stage, attempts)];
        }
        let again = |&(request, stage, attempts): &(RequestId, Stage, u16)| {
            let stays = self.end == End::Failed && stage == Stage::PartDelivered;
            part(request, if stays { stage } else { Stage::Rendered }, attempts)
        };
        self.parts.iter().map(again).collect()
    }
}

/// Resends.
pub(super) fn apply(
    work: &mut Work<'_>,
    tenant: Option<i64>,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Resend> {
    let number = id.number();
    let foreign = |owner: i64| tenant.is_some_and(|tenant| tenant != owner);
    if let Some(mut entry) = ledger::entry(work.conn, number)? {
        if foreign(entry.tenant) {
            return Ok(Resend::Missing);
        }
        let mut update = work.statement(&ledger::DUE)?;
        for part in entry.parts.iter_mut().filter(|part| ledger::is_open(part.stage)) {
            part.due_at = now;
            let due = now.as_millis();
            update.execute(params![
                part.request.number(),
                due,
                sum::moving(&[(Moving::DueAt, due)])
            ])?;
        }
        return Ok(Resend::Hastened(entry.parts));
    }
    let mut all = segments::load(work.conn)?;
    let found = segments::find(work.conn, &all, "delivery", number, Finished::read)?;
    let Some((n, finished)) = found.filter(|(_, finished)| !foreign(finished.tenant)) else {
        return Ok(Resend::Missing);
    };
    if finished.end == End::Filtered {
        return Ok(Resend::Filtered);
    }
    Ok(match put_back(work, &mut all, n, finished, now)? {
        Some(rows) => Resend::Queued(rows),
        None => Resend::Expired,
    })
}

/// What became of a failed delivery that was to be pending again.
#[derive(Clone, Debug)]
pub(super) enum Reopened {
    /// It is; these are its rows.
    Rows(Vec<Pending>),
    /// It is pending already.
    Pending,
    /// It was delivered or filtered in the meantime.
    EndedOtherwise,
    /// It, or what is needed to send it, is not kept any more.
    Expired,
}

/// Makes a failed delivery pending again.
pub(super) fn reopen_failed(
    work: &mut Work<'_>,
    tenant: i64,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Reopened> {
    if ledger::entry(work.conn, id.number())?.is_some() {
        return Ok(Reopened::Pending);
    }
    let mut all = segments::load(work.conn)?;
    let found = segments::find(work.conn, &all, "delivery", id.number(), Finished::read)?;
    let Some((n, finished)) = found.filter(|(_, finished)| finished.tenant == tenant) else {
        return Ok(Reopened::Expired);
    };
    if finished.end != End::Failed {
        return Ok(Reopened::EndedOtherwise);
    }
    Ok(match put_back(work, &mut all, n, finished, now)? {
        Some(rows) => Reopened::Rows(rows),
        None => Reopened::Expired,
    })
}

/// Moves a finished delivery from its segment into the ledger; none where its body is not kept.
fn put_back(
    work: &mut Work<'_>,
    all: &mut Vec<Segment>,
    n: i64,
    finished: Finished,
    now: Timestamp,
) -> Result<Option<Vec<Pending>>> {
    // What is leaving may be gone before it is sent.
    all.retain(|segment| segment.phase != Phase::Leaving);
    if !finished.is_kept(work.conn, all)? {
        return Ok(None);
    }
    // What ended it then is one attempt among others now.
    if let Some(last) = &finished.last {
        append::attempt(work, last)?;
    }
    work.conn
        .prepare_cached(&format!("DELETE FROM delivery_{n} WHERE id = ?"))?
        .execute([finished.id])?;
    let parts = finished.reopened(now);
    let entry = ledger::Entry {
        tenant: finished.tenant,
        event_type: finished.event_type,
        parts,
    };
    ledger::insert(work.conn, &entry)?;
    work.reopened(finished.subscription, finished.end);
    Ok(Some(entry.parts))
}
