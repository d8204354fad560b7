//! Background operations as rows, and their steps.
//!
//! A step is one transaction: what it puts into the ledger, and where the operation stands then. It is
//! taken only by an operation that still runs and stands where the step was made, so that neither a
//! crash nor a second runner skips or doubles anything. What was found by a reader is looked at again
//! here: in between a person may have resent it, or it may have expired.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::ledger;
use super::newest::{Filter, Newest};
use super::resend::{self, Reopened};
use super::segments::{self, Phase, Segment};
use super::work::Work;
use crate::delivery::{Pending, Stage};
use crate::id::{DeliveryId, OperationId, TenantId};
use crate::operation::{Operation, Progress, Put, Renewed, Skipped, State, Step, Stepped};
use crate::store::{Error, OperationQuery, Result, WHOLE_DATABASE};
use crate::time::Timestamp;

const COLUMNS: &str = "id, tenant, state, document, progress, created_at, ended_at";

const fn state_number(state: State) -> i64 {
    match state {
        State::Running => 0,
        State::Finished => 1,
        State::Cancelled => 2,
        State::Failed => 3,
    }
}

fn read(row: &Row<'_>) -> Result<Operation> {
    let id = OperationId::from_number(row.get(0)?);
    let damaged = |_| Error::Damaged {
        what: format!("the operation {id}"),
    };
    Ok(Operation {
        id,
        tenant: TenantId::from_number(row.get(1)?),
        state: match row.get::<_, i64>(2)? {
            0 => State::Running,
            1 => State::Finished,
            2 => State::Cancelled,
            _ => State::Failed,
        },
        asked: serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)
            .map_err(damaged)?,
        progress: serde_json::from_str(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?)
            .map_err(damaged)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        ended_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
    })
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Backend(error.into()))
}

/// Adds one, unless its tenant has so many that run. The oldest that have ended make room.
pub(super) fn add(
    work: &mut Work<'_>,
    operation: &Operation,
    running_max: usize,
    kept_max: usize,
) -> Result<bool> {
    let tenant = operation.tenant.number();
    let running: i64 = work
        .statement("SELECT count(*) FROM operation WHERE tenant = ? AND state = 0")?
        .query_row([tenant], |row| row.get(0))?;
    if usize::try_from(running).unwrap_or(usize::MAX) >= running_max {
        return Ok(false);
    }
    work.statement(
        "INSERT INTO operation (id, tenant, state, document, progress, created_at, ended_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        operation.id.number(),
        tenant,
        state_number(operation.state),
        text(&operation.asked)?,
        text(&operation.progress)?,
        operation.created_at.as_millis(),
        operation.ended_at.map(Timestamp::as_millis),
    ])?;
    work.used_elsewhere(operation.id.number());
    work.statement(
        "DELETE FROM operation WHERE tenant = ?1 AND state > 0 AND id NOT IN
             (SELECT id FROM operation WHERE tenant = ?1 AND state > 0 ORDER BY id DESC LIMIT ?2)",
    )?
    .execute(params![tenant, i64::try_from(kept_max).unwrap_or(i64::MAX)])?;
    Ok(true)
}

pub(super) fn operation(conn: &Connection, id: OperationId) -> Result<Option<Operation>> {
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM operation WHERE id = ?"))?;
    let found = query.query_row([id.number()], |row| Ok(read(row))).optional()?;
    found.transpose()
}

pub(super) fn operations(conn: &Connection, query: &OperationQuery) -> Result<Vec<Operation>> {
    let mut filter = Filter::default();
    filter.add("id < ?", query.before.map(OperationId::number));
    filter.add("tenant = ?", query.tenant.map(TenantId::number));
    filter.add("state = ?", query.running.then_some(0_i64));
    let mut newest = Newest::new(query.limit);
    newest.ask(conn, (COLUMNS, "operation", "id"), &filter, |row| {
        let operation = read(row)?;
        Ok((operation.id.number(), operation))
    })?;
    Ok(newest.into_vec())
}

/// Ends one that runs; none where there is no such one, or it has ended.
pub(super) fn end(
    work: &mut Work<'_>,
    id: OperationId,
    state: State,
    error: Option<&str>,
    now: Timestamp,
) -> Result<Option<Operation>> {
    let Some(mut operation) = running(work, id)? else {
        return Ok(None);
    };
    operation.state = state;
    operation.ended_at = state.is_over().then_some(now);
    operation.progress.error = error.map(str::to_owned);
    write(work, &operation)?;
    Ok(Some(operation))
}

fn running(work: &Work<'_>, id: OperationId) -> Result<Option<Operation>> {
    Ok(operation(work.conn, id)?.filter(|operation| !operation.state.is_over()))
}

fn write(work: &Work<'_>, operation: &Operation) -> Result<()> {
    work.statement("UPDATE operation SET state = ?2, progress = ?3, ended_at = ?4 WHERE id = ?1")?
        .execute(params![
            operation.id.number(),
            state_number(operation.state),
            text(&operation.progress)?,
            operation.ended_at.map(Timestamp::as_millis),
        ])?;
    Ok(())
}

/// Takes a step.
pub(super) fn step(work: &mut Work<'_>, step: &Step) -> Result<Stepped> {
    let found = running(work, step.operation)?;
    let Some(mut operation) = found.filter(|operation| operation.progress.position == step.from) else {
        return Ok(Stepped::Refused);
    };
    let mut skipped = step.skipped;
    let mut rows = Vec::new();
    let staying = staying(work.conn)?;
    let mut done = 0;
    match &step.put {
        Put::Again(ids) => {
            for id in ids {
                done += u64::from(put_back(
                    work,
                    &operation,
                    *id,
                    step.now,
                    &mut skipped,
                    &mut rows,
                )?);
            }
        }
        Put::New(new) => {
            let tenant = operation.tenant.number();
            for renewed in new {
                match renew(work, &staying, tenant, renewed, step.now)? {
                    Some(row) => {
                        rows.push(row);
                        done += 1;
                    }
                    None => skipped.expired += 1,
                }
            }
        }
    }
    operation.state = step.then;
    operation.ended_at = step.then.is_over().then_some(step.now);
    let Progress {
        looked_at,
        total,
        done: all_done,
        skipped: all_skipped,
        position,
        error: _,
    } = &mut operation.progress;
    *looked_at += step.looked_at;
    *total = step.total.or(*total);
    *all_done += done;
    *all_skipped += skipped;
    *position = step.to;
    write(work, &operation)?;
    Ok(Stepped::Moved(Box::new(operation), rows))
}

fn put_back(
    work: &mut Work<'_>,
    operation: &Operation,
    id: DeliveryId,
    now: Timestamp,
    skipped: &mut Skipped,
    rows: &mut Vec<Pending>,
) -> Result<bool> {
    let reopened = resend::reopen_failed(work, operation.tenant.number(), id, now);
    match reopened {
        // It is read whole before anything of it is written. One must not keep all others from being sent.
        Err(Error::Damaged { what }) if what != WHOLE_DATABASE => {
            tracing::error!(what, "stored data is damaged; it is not sent again");
            skipped.damaged += 1;
            return Ok(false);
        }
        reopened => match reopened? {
            Reopened::Rows(reopened) => {
                rows.extend(reopened);
                return Ok(true);
            }
            Reopened::Pending => skipped.pending += 1,
            Reopened::EndedOtherwise => skipped.changed += 1,
            Reopened::Expired => skipped.expired += 1,
        },
    }
    Ok(false)
}

/// The segments of which nothing is about to go.
fn staying(conn: &Connection) -> Result<Vec<Segment>> {
    let mut all = segments::load(conn)?;
    all.retain(|segment| segment.phase != Phase::Leaving);
    Ok(all)
}

/// Makes new deliveries of old events, all in one; none where the event has expired.
pub(super) fn renew_all(
    work: &mut Work<'_>,
    tenant: TenantId,
    new: &[Renewed],
    now: Timestamp,
) -> Result<Vec<Option<Pending>>> {
    let staying = staying(work.conn)?;
    let each = new
        .iter()
        .map(|new| renew(work, &staying, tenant.number(), new, now));
    each.collect()
}

/// The ledger's row keeps its event from expiring from now on, wherever that lies.
fn renew(
    work: &mut Work<'_>,
    staying: &[Segment],
    tenant: i64,
    new: &Renewed,
    now: Timestamp,
) -> Result<Option<Pending>> {
    if !segments::has(work.conn, staying, "event", new.event.number())? {
        return Ok(None);
    }
    let row = Pending {
        request: new.delivery.id.same_number(),
        delivery: new.delivery.id,
        event: new.event,
        subscription: new.delivery.subscription,
        profile: Some(new.delivery.profile),
        stage: Stage::Accepted,
        attempts: 0,
        tries: 0,
        throttles: 0,
        runs: 0,
        due_at: now,
    };
    let entry = ledger::Entry {
        tenant,
        event_type: new.event_type.clone(),
        parts: vec![row],
    };
    ledger::insert(work.conn, &entry)?;
    work.used(new.delivery.id.number());
    work.created(new.delivery.subscription.number());
    Ok(Some(row))
}
