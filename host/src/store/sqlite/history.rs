//! Reading: the ledger for the dispatcher, events and deliveries for people.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::newest::{Filter, Newest, by_newest};
use super::resend::Finished;
use super::segments::{self, Segment};
use super::work::End;
use super::{ledger, reach, row};
use crate::delivery::{Attempt, AttemptResult, Pending, PluginRun, Request, State};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, RequestId, SubscriptionId, TenantId};
use crate::store::{
    Counters, DeliveryDetail, DeliverySummary, Error, EventQuery, InARow, LastAttempt, Result, StoredEvent,
    WHOLE_DATABASE,
};

pub(super) fn newest_id(conn: &Connection) -> Result<i64> {
    Ok(reach::newest(conn)?)
}

pub(super) fn pending(conn: &Connection, after: RequestId, limit: usize) -> Result<Vec<Pending>> {
    let columns = ledger::COLUMNS;
    let sql = format!("SELECT {columns} FROM pending WHERE request > ? ORDER BY request");
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query([after.number()])?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        found.extend(unless_damaged(ledger::read(row))?);
    }
    Ok(found)
}

/// What was read, unless it is damaged: then the log names it, and the others are read all the same.
pub(super) fn unless_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(Error::Damaged { what }) if what != WHOLE_DATABASE => {
            tracing::error!(
                what,
                "stored data is damaged and left out; restore a backup if it is needed"
            );
            Ok(None)
        }
        read => read.map(Some),
    }
}

pub(super) fn events_by_id(conn: &Connection, ids: &[EventId]) -> Result<Vec<Option<Arc<Event>>>> {
    let all = segments::load(conn)?;
    let body = |id: &EventId| {
        let found = segments::find(conn, &all, "event", id.number(), row::event)?;
        Ok(found.map(|(_, stored)| stored.event))
    };
    ids.iter().map(body).collect()
}

pub(super) fn request(conn: &Connection, id: RequestId) -> Result<Option<Request>> {
    let all = segments::load(conn)?;
    let found = segments::find(conn, &all, "request", id.number(), row::request)?;
    Ok(found.map(|(_, request)| request))
}

pub(super) fn event(conn: &Connection, id: EventId) -> Result<Option<StoredEvent>> {
    let all = segments::load(conn)?;
    let found = segments::find(conn, &all, "event", id.number(), row::event)?;
    Ok(found.map(|(_, stored)| stored))
}

pub(super) fn events(conn: &Connection, query: EventQuery) -> Result<Vec<StoredEvent>> {
    let mut filter = Filter::default();
    filter.add("id < ?", query.before.map(EventId::number));
    filter.add(
        "id >= ?",
        query.since.map(|time| EventId::first_at(time).number()),
    );
    filter.add("id < ?", query.until.map(|time| EventId::first_at(time).number()));
    filter.add("tenant = ?", query.tenant.map(TenantId::number));
    filter.add("event_type = ?", query.event_type);
    filter.add("source = ?", query.source);
    let mut newest = Newest::new(query.limit);
    for segment in by_newest(conn)? {
        if newest.is_full(segment.high) {
            break;
        }
        let table = format!("event_{}", segment.n);
        newest.ask(conn, ("*", &table, "id"), &filter, |row| {
            let stored = row::event(row)?;
            Ok((stored.event.id.number(), stored))
        })?;
    }
    Ok(newest.into_vec())
}

pub(super) fn of_entry(entry: &ledger::Entry) -> DeliverySummary {
    let first = &entry.parts[0];
    DeliverySummary {
        id: first.delivery,
        tenant: TenantId::from_number(entry.tenant),
        event: first.event,
        event_type: entry.event_type.clone(),
        subscription: first.subscription,
        state: State::Pending {
            due_at: entry.due_at(),
        },
        attempts: entry.attempts(),
        cause: None,
        code: None,
        last_attempt: None,
        profile: first.profile,
    }
}

pub(super) fn of_finished(finished: Finished) -> DeliverySummary {
    let at = finished.at;
    let reason = finished.reason.unwrap_or_default();
    DeliverySummary {
        id: DeliveryId::from_number(finished.id),
        tenant: TenantId::from_number(finished.tenant),
        event: EventId::from_number(finished.event),
        event_type: finished.event_type,
        subscription: SubscriptionId::from_number(finished.subscription),
        state: match finished.end {
            End::Delivered => State::Delivered { at },
            End::Filtered => State::Filtered { at, reason },
            End::Failed => State::Failed { at, reason },
        },
        attempts: finished.attempts,
        cause: finished.cause,
        code: finished.code,
        last_attempt: finished.last.as_ref().map(of_attempt),
        profile: finished.profile,
    }
}

/// What lists say of a delivery's last attempt.
pub(super) fn of_attempt(last: &Attempt) -> LastAttempt {
    LastAttempt {
        started_at: last.started_at,
        duration_ms: last.duration_ms,
        status: match &last.result {
            AttemptResult::Response { status, .. } => Some(*status),
            AttemptResult::Error { .. } => None,
        },
    }
}

pub(super) fn delivery(conn: &Connection, id: DeliveryId) -> Result<Option<DeliveryDetail>> {
    let all = segments::load(conn)?;
    let number = id.number();
    let (mut summary, requests, last) = if let Some(entry) = ledger::entry(conn, number)? {
        let rendered = entry
            .parts
            .iter()
            .filter(|part| part.stage != crate::delivery::Stage::Accepted);
        (
            of_entry(&entry),
            rendered.map(|part| part.request.number()).collect(),
            None,
        )
    } else {
        match segments::find(conn, &all, "delivery", number, Finished::read)? {
            Some((_, mut finished)) => {
                let (requests, last) = (finished.requests(), finished.last.take());
                (of_finished(finished), requests, last)
            }
            None => return Ok(None),
        }
    };
    let mut kept = Vec::new();
    for request in requests {
        let found = segments::find(conn, &all, "request", request, row::request)?;
        kept.extend(found.map(|(_, request)| request));
    }
    let mut runs: Vec<PluginRun> = every(conn, &all, "run", number, row::run)?;
    runs.sort_by_key(|run| (run.run, run.step));
    runs.dedup_by_key(|run| (run.run, run.step));
    let mut attempts: Vec<Attempt> = every(conn, &all, "attempt", number, row::attempt)?;
    attempts.extend(last);
    attempts.sort_by_key(|attempt| (attempt.started_at, attempt.request, attempt.number));
    attempts.dedup_by_key(|attempt| (attempt.request, attempt.number));
    summary.last_attempt = attempts.last().map(of_attempt);
    Ok(Some(DeliveryDetail {
        summary,
        requests: kept,
        runs,
        attempts,
    }))
}

/// All rows of a delivery in the tables of a kind. While a segment leaves, a row may be in two.
fn every<T>(
    conn: &Connection,
    segments: &[Segment],
    kind: &str,
    delivery: i64,
    read: fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for segment in segments.iter().filter(|segment| segment.may_hold(delivery)) {
        let mut query =
            conn.prepare_cached(&format!("SELECT * FROM {kind}_{} WHERE delivery = ?", segment.n))?;
        let mut rows = query.query(params![delivery])?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
    }
    Ok(found)
}

pub(super) fn counters(conn: &Connection, subscription: Option<SubscriptionId>) -> Result<Counters> {
    let mut query = conn.prepare_cached(
        "SELECT coalesce(sum(created), 0), coalesce(sum(delivered), 0), coalesce(sum(filtered), 0),
                coalesce(sum(failed), 0), coalesce(sum(pending), 0)
         FROM counter WHERE ?1 IS NULL OR subscription = ?1",
    )?;
    let number = |row: &Row<'_>, column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
    let counters = query.query_row([subscription.map(SubscriptionId::number)], |row| {
        Ok(Counters {
            created: number(row, 0)?,
            delivered: number(row, 1)?,
            filtered: number(row, 2)?,
            failed: number(row, 3)?,
            pending: number(row, 4)?,
        })
    })?;
    Ok(counters)
}

pub(super) fn failing(conn: &Connection) -> Result<Vec<(SubscriptionId, InARow)>> {
    let mut query = conn.prepare_cached(
        "SELECT subscription, failed_in_a_row, exhausted_in_a_row FROM counter
         WHERE failed_in_a_row > 0 ORDER BY subscription",
    )?;
    let rows = query.query_map([], |row| {
        let in_a_row = InARow {
            failed: row.get::<_, i64>(1)?.unsigned_abs(),
            exhausted: row.get::<_, i64>(2)?.unsigned_abs(),
        };
        Ok((SubscriptionId::from_number(row.get(0)?), in_a_row))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
