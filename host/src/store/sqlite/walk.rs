//! Walking through deliveries by id, from either end, with any filter and at a bounded cost.
//!
//! Deliveries lie in the ledger while they are pending, else each in one segment, and segments overlap.
//! So each of these sources gives its rows in the order of the ids, a chunk at a time, and the walk
//! always takes the next one of all. A source is first asked when it may hold the next row. What an
//! index finds is asked of SQL; everything else is looked at row by row and counted, and where the
//! count is at its bound, the page ends early and says from where to go on.

use std::collections::VecDeque;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::resend::Finished;
use super::segments::{self, Phase, Segment};
use super::work::End;
use super::{history, ledger, row};
use crate::delivery::State;
use crate::id::{DeliveryId, EventId, SubscriptionId, TenantId};
use crate::store::{DeliveryPage, DeliveryQuery, DeliverySummary, LastAttempt, Order, Result, StateFilter};
use crate::time::Timestamp;

/// Rows that one call looks at: some ten milliseconds of reading.
pub(super) const LOOKED_AT_MAX: usize = 20_000;
/// Longest page.
const PAGE_MAX: usize = 1_000;
/// Rows of the first chunk of a source, and of the later ones.
const FIRST_CHUNK_MIN: usize = 16;
const CHUNK: usize = 1_024;

/// One page.
pub(super) fn deliveries(conn: &Connection, query: &DeliveryQuery) -> Result<DeliveryPage> {
    let limit = query.limit.min(PAGE_MAX);
    if limit == 0 {
        return Ok(DeliveryPage::default());
    }
    let bounds = Bounds::of(query);
    let all = segments::load(conn)?;
    let mut sources = sources(query, &all);
    let mut page = DeliveryPage::default();
    let (mut looked_at, mut last) = (0, None);
    while let Some((id, row)) = next(conn, query, &bounds, &mut sources, limit)? {
        if last == Some(id) {
            continue;
        }
        if looked_at == LOOKED_AT_MAX || row.is_some() && page.deliveries.len() == limit {
            page.next = last.map(DeliveryId::from_number);
            break;
        }
        looked_at += 1;
        last = Some(id);
        page.deliveries.extend(row);
    }
    if query.last_attempts {
        for delivery in &mut page.deliveries {
            delivery.last_attempt = last_attempt(conn, &all, delivery)?;
        }
    }
    Ok(page)
}

/// Which ids the walk is about; both ends are outside.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    above: i64,
    below: i64,
}

impl Bounds {
    fn of(query: &DeliveryQuery) -> Self {
        let first = |time: Timestamp| DeliveryId::first_at(time).number();
        let above = query.after.map_or(0, DeliveryId::number);
        let below = query.before.map_or(i64::MAX, DeliveryId::number);
        Self {
            above: above.max(query.since.map_or(0, |time| first(time) - 1)),
            below: below.min(query.until.map_or(i64::MAX, first)),
        }
    }
}

/// The ledger, or a segment.
struct Source<'s> {
    segment: Option<&'s Segment>,
    /// The last id that was read; the next chunk begins behind it.
    read: Option<i64>,
    /// Read and not taken yet: the id, and the delivery if it is wanted.
    rows: VecDeque<(i64, Option<DeliverySummary>)>,
    at_end: bool,
}

fn sources<'s>(query: &DeliveryQuery, all: &'s [Segment]) -> Vec<Source<'s>> {
    let source = |segment| Source {
        segment,
        read: None,
        rows: VecDeque::new(),
        at_end: false,
    };
    // What is pending has neither cause nor code yet.
    let ended_only = query.cause.is_some() || query.code.is_some();
    let pending_only = query.state == Some(StateFilter::Pending);
    let ledger = match query.state {
        None | Some(StateFilter::Pending) => !ended_only,
        Some(_) => false,
    };
    let mut sources = Vec::new();
    if ledger {
        sources.push(source(None));
    }
    if !pending_only {
        sources.extend(all.iter().map(|segment| source(Some(segment))));
    }
    sources
}

impl Source<'_> {
    /// The best id that a source may still hold beyond what was read.
    fn edge(&self, order: Order, bounds: &Bounds) -> i64 {
        let (low, high) = self
            .segment
            .map_or((0, i64::MAX), |segment| (segment.low, segment.high));
        match (order, self.read) {
            (Order::NewestFirst, None) => high.min(bounds.below.saturating_sub(1)),
            (Order::NewestFirst, Some(read)) => read - 1,
            (Order::OldestFirst, None) => low.max(bounds.above.saturating_add(1)),
            (Order::OldestFirst, Some(read)) => read.saturating_add(1),
        }
    }
}

/// Whether `a` comes before `b`.
fn comes_first(order: Order, a: i64, b: i64) -> bool {
    match order {
        Order::NewestFirst => a > b,
        Order::OldestFirst => a < b,
    }
}

/// The next row of all sources.
fn next(
    conn: &Connection,
    query: &DeliveryQuery,
    bounds: &Bounds,
    sources: &mut [Source<'_>],
    limit: usize,
) -> Result<Option<(i64, Option<DeliverySummary>)>> {
    loop {
        let mut best: Option<(i64, usize)> = None;
        for (place, source) in sources.iter().enumerate() {
            let Some((id, _)) = source.rows.front() else {
                continue;
            };
            if best.is_none_or(|(known, _)| comes_first(query.order, *id, known)) {
                best = Some((*id, place));
            }
        }
        let may_be_first = |source: &Source<'_>| {
            let edge = source.edge(query.order, bounds);
            source.rows.is_empty()
                && !source.at_end
                && best.is_none_or(|(known, _)| !comes_first(query.order, known, edge))
        };
        // The one that may hold the very next row is asked first; the others are perhaps never asked.
        let unread = sources.iter_mut().filter(|source| may_be_first(source));
        let first = unread.reduce(|a, b| {
            let (edge_a, edge_b) = (a.edge(query.order, bounds), b.edge(query.order, bounds));
            if comes_first(query.order, edge_b, edge_a) {
                b
            } else {
                a
            }
        });
        if let Some(source) = first {
            read_chunk(conn, query, bounds, source, limit)?;
            continue;
        }
        return Ok(best.and_then(|(_, place)| sources[place].rows.pop_front()));
    }
}

/// Reads the next rows of a source.
fn read_chunk(
    conn: &Connection,
    query: &DeliveryQuery,
    bounds: &Bounds,
    source: &mut Source<'_>,
    limit: usize,
) -> Result<()> {
    let chunk = match source.read {
        None => (limit + 1).clamp(FIRST_CHUNK_MIN, CHUNK),
        Some(_) => CHUNK,
    };
    let mut bounds = *bounds;
    let direction = match query.order {
        Order::NewestFirst => {
            bounds.below = source.read.unwrap_or(bounds.below);
            "DESC"
        }
        Order::OldestFirst => {
            bounds.above = source.read.unwrap_or(bounds.above);
            "ASC"
        }
    };
    let mut values = vec![Value::from(bounds.above), Value::from(bounds.below)];
    let sql = match source.segment {
        None => format!(
            "SELECT {} FROM pending
             WHERE request > ? AND request < ? ORDER BY request {direction} LIMIT {chunk}",
            ledger::COLUMNS
        ),
        Some(segment) => {
            let mut found = String::new();
            // Only a sealed one has indexes; asked of another, SQL would search without a bound.
            if segment.phase == Phase::Sealed {
                if let Some(subscription) = query.subscription {
                    found.push_str(" AND subscription = ?");
                    values.push(subscription.number().into());
                }
                if let Some(event) = query.event {
                    found.push_str(" AND event = ?");
                    values.push(event.number().into());
                }
                // Word for word as the index says it, or the index does not count.
                if query.state == Some(StateFilter::Failed) || query.cause.is_some() {
                    found.push_str(" AND state = 3");
                }
            }
            format!(
                "SELECT * FROM delivery_{} WHERE id > ? AND id < ?{found} ORDER BY id {direction} LIMIT {chunk}",
                segment.n
            )
        }
    };
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        let (id, delivery) = match source.segment {
            None => pending(conn, row, query)?,
            Some(_) => ended(row, query)?,
        };
        source.read = Some(id);
        source.rows.push_back((id, delivery));
    }
    source.at_end = count < chunk;
    Ok(())
}

/// A row of the ledger. The first of each delivery stands for it.
fn pending(
    conn: &Connection,
    row: &Row<'_>,
    query: &DeliveryQuery,
) -> Result<(i64, Option<DeliverySummary>)> {
    let id: i64 = row.get(0)?;
    let wanted = row.get::<_, i64>(1)? == id
        && is(query.event.map(EventId::number), row.get(2)?)
        && is(query.subscription.map(SubscriptionId::number), row.get(3)?)
        && is(query.tenant.map(TenantId::number), row.get(ledger::TENANT)?)
        && is_of_type(query, row, ledger::EVENT_TYPE)?;
    if !wanted {
        return Ok((id, None));
    }
    let entry = history::unless_damaged(ledger::entry_of(conn, row))?;
    Ok((id, entry.as_ref().map(history::of_entry)))
}

/// A row of a segment.
fn ended(row: &Row<'_>, query: &DeliveryQuery) -> Result<(i64, Option<DeliverySummary>)> {
    let id: i64 = row.get(0)?;
    let state = query.state.map(|state| match state {
        // The ledger is asked for these, and nobody else.
        StateFilter::Pending => 0,
        StateFilter::Delivered => End::Delivered.number(),
        StateFilter::Filtered => End::Filtered.number(),
        StateFilter::Failed => End::Failed.number(),
    });
    let code: Option<u16> = row.get(14)?;
    let wanted = is(query.tenant.map(TenantId::number), row.get(1)?)
        && is(query.event.map(EventId::number), row.get(2)?)
        && is(query.subscription.map(SubscriptionId::number), row.get(3)?)
        && is(state, row.get(5)?)
        && (query.code.as_ref()).is_none_or(|codes| code.is_some_and(|code| codes.contains(code)))
        && is_of_type(query, row, 4)?;
    if !wanted {
        return Ok((id, None));
    }
    let finished = history::unless_damaged(Finished::read(row))?;
    let finished = finished.filter(|finished| query.cause.is_none_or(|cause| finished.cause == Some(cause)));
    let mut delivery = finished.map(history::of_finished);
    if let (Some(delivery), false) = (&mut delivery, query.last_attempts) {
        delivery.last_attempt = None;
    }
    Ok((id, delivery))
}

fn is(wanted: Option<i64>, found: i64) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

fn is_of_type(query: &DeliveryQuery, row: &Row<'_>, column: usize) -> Result<bool> {
    let Some(pattern) = &query.event_type else {
        return Ok(true);
    };
    let found = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(pattern.matches(found))
}

/// The last attempt of a delivery; none where it has none, or they have expired.
fn last_attempt(
    conn: &Connection,
    all: &[Segment],
    delivery: &DeliverySummary,
) -> Result<Option<LastAttempt>> {
    if delivery.attempts == 0 || matches!(delivery.state, State::Filtered { .. }) {
        return Ok(None);
    }
    if delivery.last_attempt.is_some() {
        return Ok(delivery.last_attempt);
    }
    let id = delivery.id.number();
    let mut last: Option<LastAttempt> = None;
    for segment in all.iter().filter(|segment| segment.may_hold(id)) {
        // Whole, for only then it tells whether it is what was written.
        let sql = format!(
            "SELECT * FROM attempt_{} WHERE delivery = ? ORDER BY started_at DESC, number DESC LIMIT 1",
            segment.n
        );
        let mut query = conn.prepare_cached(&sql)?;
        let mut rows = query.query([id])?;
        let found = match rows.next()? {
            Some(row) => history::unless_damaged(row::attempt(row))?,
            None => None,
        };
        if let Some(found) = found.as_ref().map(history::of_attempt)
            && last.is_none_or(|known| known.started_at < found.started_at)
        {
            last = Some(found);
        }
    }
    Ok(last)
}
