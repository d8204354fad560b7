//! Walking upwards through deliveries and events, over all segments at once.
//!
//! A row lies in the segment that was open when it was written, so a late one lies in a younger segment
//! than its id suggests. Each segment is read in the order of its keys and the readings are merged, one
//! row of each at a time: a walk costs what it looks at, however many segments there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rusqlite::{Connection, Row, Rows, params};

use super::resend::Finished;
use super::segments::{self, Phase, Segment};
use super::work::End;
use crate::delivery::Cause;
use crate::id::{DeliveryId, EventId, SubscriptionId};
use crate::operation::{Fate, Last};
use crate::store::{Earlier, EventWalk, FailedDelivery, FailedWalk, OldEvent, Result, Walked};

/// What a walk goes through and where it ends.
struct Span {
    after: i64,
    to: i64,
    limit: usize,
    looked_at_max: usize,
}

/// The next row of one segment.
fn step<T>(
    rows: &mut Rows<'_>,
    read: &impl Fn(&Row<'_>) -> Result<Option<T>>,
) -> Result<Option<(i64, Option<T>)>> {
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, read(row)?))),
        None => Ok(None),
    }
}

/// Reads rows in the order of their keys until enough were found or looked at. `read` gives nothing for a
/// row that is only looked at. The first column is the key.
fn merged<T>(
    conn: &Connection,
    segments: &[Segment],
    (columns, kind): (&str, &str),
    span: &Span,
    read: impl Fn(&Row<'_>) -> Result<Option<T>>,
) -> Result<Walked<T>> {
    let mut statements = Vec::new();
    for segment in segments {
        if segment.high > span.after && segment.low <= span.to {
            let n = segment.n;
            statements.push(conn.prepare_cached(&format!(
                "SELECT {columns} FROM {kind}_{n} WHERE id > ?1 AND id <= ?2 ORDER BY id"
            ))?);
        }
    }
    let mut sources = Vec::with_capacity(statements.len());
    for statement in &mut statements {
        sources.push(statement.query(params![span.after, span.to])?);
    }
    let mut heads = BinaryHeap::new();
    let mut values: Vec<Option<T>> = Vec::with_capacity(sources.len());
    for (place, source) in sources.iter_mut().enumerate() {
        let head = step(source, &read)?;
        let (key, value) = head.map_or((None, None), |(key, value)| (Some(key), value));
        values.push(value);
        heads.extend(key.map(|key| Reverse((key, place))));
    }
    let mut walked = Walked {
        found: Vec::new(),
        looked_at: 0,
        up_to: span.after,
        end: false,
    };
    while walked.found.len() < span.limit && walked.looked_at < span.looked_at_max as u64 {
        let Some(Reverse((key, place))) = heads.pop() else {
            walked.up_to = walked.up_to.max(span.to);
            walked.end = true;
            break;
        };
        let value = values[place].take();
        // While a segment leaves, an event that is carried over is in two places.
        if key > walked.up_to {
            walked.up_to = key;
            walked.looked_at += 1;
            walked.found.extend(value);
        }
        if let Some((key, value)) = step(&mut sources[place], &read)? {
            values[place] = value;
            heads.push(Reverse((key, place)));
        }
    }
    Ok(walked)
}

/// Walks through failed deliveries.
pub(super) fn failed(conn: &Connection, walk: &FailedWalk) -> Result<Walked<FailedDelivery>> {
    let all = segments::load(conn)?;
    let span = Span {
        after: walk.after,
        to: walk.to,
        limit: walk.limit,
        looked_at_max: walk.looked_at_max,
    };
    let wanted = |row: &Row<'_>| -> Result<Option<Finished>> {
        let wanted = row.get::<_, i64>(5)? == End::Failed.number()
            && row.get::<_, i64>(1)? == walk.tenant.number()
            && row.get::<_, i64>(6)? <= walk.failed_by.as_millis()
            && walk
                .subscription
                .is_none_or(|subscription| row.get(3) == Ok(subscription.number()));
        if !wanted {
            return Ok(None);
        }
        Finished::read(row).map(Some)
    };
    let walked = merged(conn, &all, ("*", "delivery"), &span, wanted)?;
    let mut found = Vec::with_capacity(walked.found.len());
    let mut staying = all;
    staying.retain(|segment| segment.phase != Phase::Leaving);
    for finished in walked.found {
        found.push(FailedDelivery {
            id: DeliveryId::from_number(finished.id),
            event: EventId::from_number(finished.event),
            subscription: SubscriptionId::from_number(finished.subscription),
            cause: finished.cause,
            code: finished.code,
            kept: finished.is_kept(conn, &staying)?,
            event_type: finished.event_type,
        });
    }
    Ok(Walked {
        found,
        looked_at: walked.looked_at,
        up_to: walked.up_to,
        end: walked.end,
    })
}

/// Walks through events.
pub(super) fn events(conn: &Connection, walk: &EventWalk) -> Result<Walked<OldEvent>> {
    let mut all = segments::load(conn)?;
    let span = Span {
        after: walk.after,
        to: walk.to,
        limit: usize::MAX,
        looked_at_max: walk.looked_at_max,
    };
    let staying: Vec<Segment> = all
        .iter()
        .copied()
        .filter(|segment| segment.phase != Phase::Leaving)
        .collect();
    let columns = ("id, tenant, event_type", "event");
    let mut walked = merged(conn, &staying, columns, &span, |row| {
        if row.get::<_, i64>(1)? != walk.tenant.number() {
            return Ok(None);
        }
        Ok(Some(OldEvent {
            id: EventId::from_number(row.get(0)?),
            event_type: row.get(2)?,
            last: Vec::new(),
        }))
    })?;
    let (Some(first), Some(last)) = (walked.found.first(), walked.found.last()) else {
        return Ok(walked);
    };
    let between = (first.id.number(), last.id.number());
    if walk.earlier == Earlier::Pending {
        all.clear();
    }
    let mut last = last_of(conn, &all, walk, between)?;
    for event in &mut walked.found {
        event.last = last.remove(&event.id.number()).unwrap_or_default();
    }
    Ok(walked)
}

type LastOfEvents = BTreeMap<i64, Vec<(SubscriptionId, Last)>>;

/// What became last of the events between two numbers. A delivery is younger than its event, so that
/// what lies wholly before the first event has none of theirs.
fn last_of(
    conn: &Connection,
    segments: &[Segment],
    walk: &EventWalk,
    (first, last): (i64, i64),
) -> Result<LastOfEvents> {
    let subscription = walk.subscription.map(SubscriptionId::number);
    // The delivery that says it, and what it says, by event and subscription.
    let mut newest: BTreeMap<(i64, i64), (i64, Last)> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.high >= first) {
        // The plus keeps the index by subscription away: that by event finds less.
        let mut query = conn.prepare_cached(&format!(
            "SELECT event, subscription, id, state, cause, code FROM delivery_{}
             WHERE event BETWEEN ?1 AND ?2 AND +tenant = ?3 AND (?4 IS NULL OR +subscription = ?4)",
            segment.n
        ))?;
        let mut rows = query.query(params![first, last, walk.tenant.number(), subscription])?;
        while let Some(row) = rows.next()? {
            let (pair, id) = ((row.get(0)?, row.get(1)?), row.get(2)?);
            if newest.get(&pair).is_some_and(|(known, _)| *known > id) {
                continue;
            }
            let fate = match End::from_number(row.get(3)?)? {
                End::Delivered => Fate::Delivered,
                End::Filtered => Fate::Filtered,
                End::Failed => Fate::Failed,
            };
            let cause = row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?;
            let (cause, code) = (cause.and_then(Cause::parse), row.get(5)?);
            newest.insert(pair, (id, Last { fate, cause, code }));
        }
    }
    let mut query = conn.prepare_cached(
        "SELECT event, subscription FROM pending
         WHERE request > ?1 AND event BETWEEN ?1 AND ?2 AND tenant = ?3
           AND (?4 IS NULL OR subscription = ?4)",
    )?;
    let mut rows = query.query(params![first, last, walk.tenant.number(), subscription])?;
    while let Some(row) = rows.next()? {
        let pending = Last {
            fate: Fate::Pending,
            cause: None,
            code: None,
        };
        // Whatever else became of it: something is on its way.
        newest.insert((row.get(0)?, row.get(1)?), (i64::MAX, pending));
    }
    let mut by_event = LastOfEvents::new();
    for ((event, subscription), (_, last)) in newest {
        let entry = (SubscriptionId::from_number(subscription), last);
        by_event.entry(event).or_default().push(entry);
    }
    Ok(by_event)
}
