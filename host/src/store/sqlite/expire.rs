//! Expiry: segments close by age, and leave when they are too old or too many.
//!
//! Everything here runs in small steps, each a command of its own among all others, so that no step
//! holds the writer for long: a few dozen carried events, one dropped table. What has to
//! be carried is found by a reader. Before that the segment is marked as leaving; from then on a
//! resend from it is refused, so what is pending in it can only become less, and no step can miss
//! anything. A crash between two steps leaves a segment that the next call goes on with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::reach;
use super::readers::Readers;
use super::schema::SEGMENT_TABLES;
use super::seen;
use super::segments::{self, Phase, Segment};
use super::work::Work;
use super::writer::{Kind, Queue};
use crate::store::{Expired, Result, Retention};
use crate::time::Timestamp;

/// Segments dropped by one call.
const DROPPED_AT_ONCE: usize = 4;
/// Segments looked at by one call in search of some that can be dropped.
const CANDIDATES_MAX: usize = 64;
/// Rows of the ledger read in one transaction while searching what must be carried.
const LEDGER_PAGE: usize = 20_000;
/// Events, requests or deliveries carried in one transaction.
const CARRIED_AT_ONCE: usize = 64;
/// An old segment with no more pending events than this is always worth dropping. (Where there is too much of
/// history, one that is all pending is not: what is carried is as large.)
const CARRY_ANYWAY: usize = 64;
/// Steps of forgetting keys in one call.
const FORGET_STEPS: usize = 64;
/// The open segment closes after this part of the age of retention, so that age works with little
/// traffic too.
const SEGMENTS_PER_AGE: u32 = 8;

/// What of a segment is still needed.
#[derive(Debug, Default)]
struct Needed {
    events: BTreeSet<i64>,
    requests: BTreeSet<i64>,
    /// Deliveries whose attempts and runs are in it.
    histories: BTreeSet<i64>,
}

/// Does all that is due, within bounds.
pub(super) async fn run(
    queue: &Queue,
    readers: &Arc<Readers>,
    now: Timestamp,
    retention: Retention,
) -> Result<Expired> {
    let mut expired = Expired::default();
    step(queue, move |work| close_where_old(work, now, retention)).await?;
    drop_tables(queue, readers).await?;
    let chosen = choose(readers, now, retention).await?;
    expired.more |= !chosen.is_empty();
    for n in chosen {
        expired.carried += leave(queue, readers, n).await?;
        expired.segments += 1;
    }
    drop_tables(queue, readers).await?;
    expired.more |= forget(queue, now).await?;
    Ok(expired)
}

/// Forgets ids that have left the window. Whether there is more to forget.
async fn forget(queue: &Queue, now: Timestamp) -> Result<bool> {
    for _ in 0..FORGET_STEPS {
        if !step(queue, move |work| seen::forget(work, now)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One step of the writer. Making room is allowed when the disk is full.
async fn step<T, F>(queue: &Queue, run: F) -> Result<T>
where
    T: Send + 'static,
    F: FnMut(&mut Work<'_>) -> Result<T> + Send + 'static,
{
    queue.call(Kind::Outcome, 0, run).await
}

fn close_where_old(work: &mut Work<'_>, now: Timestamp, retention: Retention) -> Result<()> {
    work.tally.latest = work.tally.latest.max(now);
    if !work.tally.holds_rows() {
        return Ok(());
    }
    let opened: Option<i64> = work
        .conn
        .query_row("SELECT opened_at FROM segment WHERE state = 0", [], |row| {
            row.get(0)
        })
        .optional()?;
    // One that was opened as far ahead, before the clock was set back, would stay open for as long.
    let old = |opened| {
        let opened = Timestamp::from_millis(opened);
        now.since(opened).max(opened.since(now)) >= retention.age / SEGMENTS_PER_AGE
    };
    if opened.is_some_and(old) {
        work.roll(now)
    } else {
        Ok(())
    }
}

/// Whether a segment is older than history may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Old,
    /// It is not, but there is too much of it.
    Young,
}

/// Which segments leave in this call, oldest first.
async fn choose(readers: &Arc<Readers>, now: Timestamp, retention: Retention) -> Result<Vec<i64>> {
    let all = readers.read(segments::load).await?;
    let mut bytes = 0_u64;
    // Each was closed before those that are newer, whatever a clock said that has been set back since.
    let mut closed_at: Option<Timestamp> = None;
    let mut candidates: Vec<(Segment, Age)> = Vec::new();
    for segment in all {
        bytes = bytes.saturating_add(segment.bytes);
        let own = segment.closed_at.map(Timestamp::from_millis);
        closed_at = own.map(|own| closed_at.map_or(own, |newer| newer.min(own)));
        let old = closed_at.is_some_and(|at| now.since(at) >= retention.age);
        let may_go = match segment.phase {
            Phase::Open => false,
            Phase::Closed | Phase::Sealed => old || bytes > retention.bytes,
            Phase::Leaving => true,
        };
        if may_go {
            candidates.push((segment, if old { Age::Old } else { Age::Young }));
        }
    }
    candidates.reverse();
    candidates.truncate(CANDIDATES_MAX);
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let segments = candidates.iter().map(|(segment, _)| *segment).collect();
    let mut needed = search(readers, segments).await?;
    let mut chosen = Vec::new();
    for (Segment { n, phase, .. }, age) in candidates {
        let pending = needed.remove(&n).map_or(0, |needed| needed.events.len());
        let worth_it = phase == Phase::Leaving
            || age == Age::Old && pending <= CARRY_ANYWAY
            || pending <= readers.read(move |conn| count_what_came(conn, n)).await? / 2;
        if worth_it {
            chosen.push(n);
        }
        if chosen.len() == DROPPED_AT_ONCE {
            break;
        }
    }
    Ok(chosen)
}

/// Receptions count too: whoever fills a segment with requests that are refused must not keep it.
fn count_what_came(conn: &Connection, n: i64) -> Result<usize> {
    let sql = format!("SELECT (SELECT count(*) FROM event_{n}) + (SELECT count(*) FROM reception_{n})");
    let count: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Carries what is needed out of a segment and gives it up. Gives how many events were carried.
async fn leave(queue: &Queue, readers: &Arc<Readers>, n: i64) -> Result<u64> {
    step(queue, move |work| {
        let sql = "UPDATE segment SET state = 3 WHERE n = ? AND state BETWEEN 1 AND 3";
        work.conn.execute(sql, [n])?;
        Ok(())
    })
    .await?;
    let mut leaving = readers.read(segments::load).await?;
    leaving.retain(|segment| segment.n == n);
    let needed = search(readers, leaving).await?.remove(&n).unwrap_or_default();
    let carried = u64::try_from(needed.events.len()).unwrap_or(u64::MAX);
    for (kind, key, ids) in [
        ("event", "id", &needed.events),
        ("request", "id", &needed.requests),
        ("attempt", "delivery", &needed.histories),
        ("run", "delivery", &needed.histories),
    ] {
        let ids: Vec<i64> = ids.iter().copied().collect();
        for part in ids.chunks(CARRIED_AT_ONCE) {
            let part = part.to_vec();
            step(queue, move |work| carry(work, kind, key, n, &part)).await?;
        }
    }
    step(queue, move |work| {
        work.conn
            .execute("UPDATE segment SET state = 4 WHERE n = ? AND state = 3", [n])?;
        Ok(())
    })
    .await?;
    Ok(carried)
}

/// Copies rows to the open segment. What is there already, from a call that was interrupted, stays.
fn carry(work: &mut Work<'_>, kind: &str, key: &str, from: i64, ids: &[i64]) -> Result<()> {
    let latest = work.tally.latest;
    work.begin(latest)?;
    let into = work.tally.open;
    let payload = reach::payload_of(kind);
    let mut size = work.statement(&format!(
        "SELECT coalesce(sum({payload}), 0) FROM {kind}_{from} WHERE {key} = ?"
    ))?;
    let mut copy = work.statement(&format!(
        "INSERT OR IGNORE INTO {kind}_{into} SELECT * FROM {kind}_{from} WHERE {key} = ?"
    ))?;
    for id in ids {
        if copy.execute([id])? > 0 {
            let bytes: i64 = size.query_row([id], |row| row.get(0))?;
            work.stored(*id, usize::try_from(bytes).unwrap_or(0));
        }
    }
    Ok(())
}

/// What of these segments is pending. The ledger is read page by page; see the module for why that
/// misses nothing that matters once a segment is leaving.
async fn search(readers: &Arc<Readers>, of: Vec<Segment>) -> Result<BTreeMap<i64, Needed>> {
    let mut needed: BTreeMap<i64, Needed> = BTreeMap::new();
    let mut after = 0;
    let of = Arc::new(of);
    loop {
        let of = Arc::clone(&of);
        let (page, last) = readers.read(move |conn| search_page(conn, &of, after)).await?;
        for (
            n,
            Needed {
                events,
                requests,
                histories,
            },
        ) in page
        {
            let whole = needed.entry(n).or_default();
            whole.events.extend(events);
            whole.requests.extend(requests);
            whole.histories.extend(histories);
        }
        match last {
            Some(last) => after = last,
            None => return Ok(needed),
        }
    }
}

/// Looks in one segment for what belongs to a row of the ledger.
struct Look<'c> {
    segment: Segment,
    tables: [CachedStatement<'c>; 4],
}

/// The places of the tables in [`Look`].
const EVENT: usize = 0;
const REQUEST: usize = 1;
const ATTEMPT: usize = 2;
const RUN: usize = 3;

impl<'c> Look<'c> {
    fn new(conn: &'c Connection, segment: Segment) -> Result<Self> {
        let n = segment.n;
        let exists = |table: &str, key: &str| {
            conn.prepare_cached(&format!("SELECT 1 FROM {table}_{n} WHERE {key} = ?"))
        };
        let tables = [
            exists("event", "id")?,
            exists("request", "id")?,
            exists("attempt", "delivery")?,
            exists("run", "delivery")?,
        ];
        Ok(Self { segment, tables })
    }

    fn has(&mut self, table: usize, id: i64) -> Result<bool> {
        Ok(self.segment.may_hold(id) && self.tables[table].exists([id])?)
    }
}

fn search_page(
    conn: &Connection,
    of: &[Segment],
    after: i64,
) -> Result<(BTreeMap<i64, Needed>, Option<i64>)> {
    let mut ledger = conn.prepare_cached(
        "SELECT request, delivery, event, stage, attempts, runs FROM pending
         WHERE request > ? ORDER BY request LIMIT ?",
    )?;
    let mut rows = ledger.query(params![after, i64::try_from(LEDGER_PAGE).unwrap_or(i64::MAX)])?;
    let mut needed: BTreeMap<i64, Needed> = BTreeMap::new();
    let (mut count, mut last) = (0, after);
    let mut segments = of
        .iter()
        .map(|segment| Look::new(conn, *segment))
        .collect::<Result<Vec<_>>>()?;
    while let Some(row) = rows.next()? {
        let (request, delivery, event): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let rendered = row.get::<_, i64>(3)? > 0;
        let happened = row.get::<_, i64>(4)? > 0 || row.get::<_, i64>(5)? > 0;
        (count, last) = (count + 1, request);
        for look in &mut segments {
            let needed = needed.entry(look.segment.n).or_default();
            if look.has(EVENT, event)? {
                needed.events.insert(event);
            }
            if rendered && look.has(REQUEST, request)? {
                needed.requests.insert(request);
            }
            if happened && (look.has(ATTEMPT, delivery)? || look.has(RUN, delivery)?) {
                needed.histories.insert(delivery);
            }
        }
    }
    Ok((needed, (count == LEDGER_PAGE).then_some(last)))
}

/// Drops the tables of segments that were given up, one in a transaction.
async fn drop_tables(queue: &Queue, readers: &Arc<Readers>) -> Result<()> {
    let gone = readers.read(|conn| {
        let mut query = conn.prepare_cached("SELECT n FROM segment WHERE state = 4 ORDER BY n")?;
        let numbers = query.query_map([], |row| row.get::<_, i64>(0))?;
        Ok(numbers.collect::<rusqlite::Result<Vec<_>>>()?)
    });
    for n in gone.await? {
        for kind in SEGMENT_TABLES {
            let sql = format!("DROP TABLE IF EXISTS {kind}_{n}");
            step(queue, move |work| Ok(work.conn.execute_batch(&sql)?)).await?;
        }
        step(queue, move |work| {
            work.conn.execute("DELETE FROM segment WHERE n = ?", [n])?;
            Ok(())
        })
        .await?;
    }
    Ok(())
}
