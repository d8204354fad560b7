//! What was seen: the ids of producers and the `Idempotency-Key`s of calls, within a window.
//!
//! Keys are random to a B-tree: in a large one each touches a page of its own, the one thing that makes
//! ingest slow and writes several times what came. So ids of producers are written one after another into a
//! row of tables, each for a sixth of the window; [`keys`] knows where in them a key is. A table is dropped
//! whole when the youngest key in it has left the window. (`Idempotency-Key`s are few, and their tables are
//! found by key; so are all tables of before version 4, until they have left.) Time is compared exactly: a
//! key that is still stored but older than the window was not seen. Namespaces are apart: an id never meets
//! an `Idempotency-Key`. Each series has tables of its own, because its window is: with one row of tables,
//! two windows in turns would open a table with every call. The series are numbered together.

mod build;
mod filter;
mod index;
mod keys;
mod plan;
mod run;
#[cfg(test)]
mod tests;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

pub(super) use self::filter::PART_BYTES;
pub(super) use self::index::Fresh;
pub(super) use self::keys::{Keys, Sizes, Step};
use super::fingerprint::Fingerprint;
use super::work::Work;
use super::{pack, schema};
use crate::id::EventId;
use crate::store::{Accept, AcceptedEvent, Error, Result, Series};
use crate::time::Timestamp;

/// Into how many tables a window is split; one more is looked at while the oldest leaves.
const TABLES_PER_WINDOW: u32 = 6;
/// Keys removed in one transaction before their table is dropped.
const REMOVED_AT_ONCE: i64 = 16_384;

/// One of the rolling tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    n: i64,
    series: Series,
    opened_at: Timestamp,
    window: Duration,
    layout: Layout,
}

/// How the ids of producers lie in a table; the numbers in `seen.layout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// 0: by key. No new ones are made.
    ByKey,
    /// 1: one after another.
    Log,
}

/// A series as it is stored.
const fn series_number(series: Series) -> i64 {
    match series {
        Series::Api => 0,
        Series::Sources => 1,
    }
}

fn series(number: i64) -> Result<Series> {
    let found = Series::ALL
        .into_iter()
        .find(|series| series_number(*series) == number);
    found.ok_or_else(|| Error::Damaged {
        what: format!("series {number} of keys that were seen"),
    })
}

/// An event that was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenEvent {
    pub(super) content: Fingerprint,
    pub(super) id: EventId,
    pub(super) matched: u32,
}

/// A call that was seen, with the answer that it got.
#[derive(Clone, Debug)]
pub(super) struct SeenCall {
    pub(super) content: Fingerprint,
    pub(super) answer: Vec<AcceptedEvent>,
}

/// The tables there are, oldest first.
pub(super) fn load(conn: &Connection) -> Result<Vec<Table>> {
    let mut query = conn.prepare("SELECT n, opened_at, window_ms, series, layout FROM seen ORDER BY n")?;
    let mut rows = query.query([])?;
    let mut tables = Vec::new();
    while let Some(row) = rows.next()? {
        tables.push(Table {
            n: row.get(0)?,
            opened_at: Timestamp::from_millis(row.get(1)?),
            window: Duration::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
            series: series(row.get(3)?)?,
            layout: match row.get::<_, i64>(4)? {
                0 => Layout::ByKey,
                _ => Layout::Log,
            },
        });
    }
    Ok(tables)
}

/// The tables of a series, oldest first.
fn of(tables: &[Table], series: Series) -> impl DoubleEndedIterator<Item = &Table> {
    tables.iter().filter(move |table| table.series == series)
}

/// The first half of a key, which says where it is; nearly always it alone.
fn tag_of(key: &Fingerprint) -> i64 {
    let [first, _] = *key.as_chunks::<8>().0 else {
        return 0;
    };
    i64::from_be_bytes(first)
}

/// Whether something written then is within the window now. A clock that went back counts as now.
fn within(at: i64, now: Timestamp, window: Duration) -> bool {
    now.since(Timestamp::from_millis(at)) < window
}

/// The event that came under this key within the window.
pub(super) fn event(work: &Work<'_>, key: &Fingerprint, asks: &Accept) -> Result<Option<SeenEvent>> {
    for table in of(&work.tally.seen, asks.series).rev() {
        if let Some((at, seen)) = look(work, table, key)? {
            // The newest table comes first, so an older entry cannot be within the window either.
            return Ok(within(at, asks.now, asks.window).then_some(seen));
        }
    }
    Ok(None)
}

/// The latest entry of a key in a table, with when it was written. Where there is none, which is nearly
/// always, memory says so.
fn look(work: &Work<'_>, table: &Table, key: &Fingerprint) -> Result<Option<(i64, SeenEvent)>> {
    let (n, tag) = (table.n, tag_of(key));
    if table.layout == Layout::ByKey {
        return read(work, &format!("FROM seen_{n} WHERE key = ?"), params![key]);
    }
    let held = work.keys.of(n);
    let rows = held.into_iter().flat_map(|held| held.rows(tag));
    for row in work.tally.fresh.find(n, tag).into_iter().chain(rows) {
        let from = format!("FROM seen_{n} WHERE id = ? AND key = ?");
        if let Some(found) = read(work, &from, params![row, key])? {
            return Ok(Some(found));
        }
    }
    for run in held.into_iter().flat_map(|held| held.runs(tag)) {
        let from = format!(
            "FROM order_{run} JOIN seen_{n} ON id = row WHERE tag = ? AND key = ? ORDER BY row DESC LIMIT 1"
        );
        if let Some(found) = read(work, &from, params![tag, key])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn read(work: &Work<'_>, from: &str, values: &[&dyn ToSql]) -> Result<Option<(i64, SeenEvent)>> {
    let mut query = work.statement(&format!("SELECT content, at, event, matched {from}"))?;
    let found = query.query_row(values, |row| {
        let seen = SeenEvent {
            content: row.get(0)?,
            id: EventId::from_number(row.get(2)?),
            matched: row.get(3)?,
        };
        Ok((row.get(1)?, seen))
    });
    Ok(found.optional()?)
}

/// The call that came under this key within the window.
pub(super) fn call(work: &Work<'_>, key: &Fingerprint, asks: &Accept) -> Result<Option<SeenCall>> {
    for table in of(&work.tally.seen, asks.series).rev() {
        let sql = format!("SELECT content, at, answer FROM call_{} WHERE key = ?", table.n);
        let mut query = work.statement(&sql)?;
        let found = query.query_row([key], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        });
        if let Some((content, at, answer)) = found.optional()? {
            if !within(at, asks.now, asks.window) {
                return Ok(None);
            }
            return Ok(Some(SeenCall {
                content,
                answer: read_answer(&answer)?,
            }));
        }
    }
    Ok(None)
}

/// Opens the next table of the series when its newest is a sixth of the window old. One that was opened as
/// far ahead of now, before the clock was set back, would not be for as long; it is followed by another too.
fn newest(work: &mut Work<'_>, asks: &Accept) -> Result<i64> {
    let Accept {
        now, window, series, ..
    } = *asks;
    let last = of(&work.tally.seen, series).next_back();
    if let Some(last) = last
        && now.since(last.opened_at).max(last.opened_at.since(now)) < window / TABLES_PER_WINDOW
        && window <= last.window
        && last.layout == Layout::Log
    {
        return Ok(last.n);
    }
    let n = work.tally.seen.last().map_or(1, |last| last.n + 1);
    work.conn.execute_batch(&schema::seen_tables(n))?;
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    work.conn.execute(
        "INSERT INTO seen (n, opened_at, window_ms, series, layout) VALUES (?, ?, ?, ?, 1)",
        params![n, now.as_millis(), window_ms, series_number(series)],
    )?;
    work.tally.seen.push(Table {
        n,
        series,
        opened_at: now,
        window,
        layout: Layout::Log,
    });
    Ok(n)
}

/// Keeps an event's key.
pub(super) fn remember_event(
    work: &mut Work<'_>,
    key: &Fingerprint,
    seen: SeenEvent,
    call: &Accept,
) -> Result<()> {
    let n = newest(work, call)?;
    let mut insert = work.statement(&format!("INSERT INTO seen_{n} VALUES (NULL, ?, ?, ?, ?, ?)"))?;
    let row = insert.insert(params![
        key,
        seen.content,
        call.now.as_millis(),
        seen.id.number(),
        seen.matched
    ])?;
    work.tally.fresh.insert(n, tag_of(key), row);
    Ok(())
}

/// Keeps a call's key and answer.
pub(super) fn remember_call(
    work: &mut Work<'_>,
    key: &Fingerprint,
    seen: &SeenCall,
    call: &Accept,
) -> Result<()> {
    let n = newest(work, call)?;
    let answer = pack::numbers(
        seen.answer
            .iter()
            .flat_map(|event| [event.id.number(), i64::from(event.matched)]),
    );
    let mut insert = work.statement(&format!("INSERT OR REPLACE INTO call_{n} VALUES (?, ?, ?, ?)"))?;
    insert.execute(params![key, seen.content, call.now.as_millis(), answer])?;
    Ok(())
}

/// The answer as a repetition gets it.
fn read_answer(bytes: &[u8]) -> Result<Vec<AcceptedEvent>> {
    let numbers = pack::read_numbers(bytes)?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::Damaged {
            what: "the answer to a call".to_owned(),
        });
    }
    let event = |[id, matched]: &[i64; 2]| AcceptedEvent {
        id: EventId::from_number(*id),
        matched: u32::try_from(*matched).unwrap_or(u32::MAX),
        duplicate: true,
    };
    Ok(pairs.iter().map(event).collect())
}

/// Removes a bounded part of what has left the window; `true` while there is more.
///
/// A table goes when one after it in its series is older than the longest window of any of them, because
/// then its own youngest key is too. Any of those after it, for the next may be dated by a clock that has
/// been set back since.
pub(super) fn forget(work: &mut Work<'_>, now: Timestamp) -> Result<bool> {
    let past = |series: &Series| past(&work.tally.seen, *series, now);
    let Some(oldest) = Series::ALL.iter().find_map(past) else {
        return Ok(false);
    };
    let n = oldest.n;
    let by: &[(&str, &str)] = match oldest.layout {
        Layout::ByKey => &[("seen", "key"), ("call", "key")],
        Layout::Log => &[("seen", "id"), ("call", "key")],
    };
    for (table, column) in by {
        // A blob is greater than any number, and this one greater than any key.
        let removed = work.conn.execute(
            &format!(
                "DELETE FROM {table}_{n} WHERE {column} <= coalesce(
                     (SELECT {column} FROM {table}_{n} ORDER BY {column} LIMIT 1 OFFSET ?), x'{}')",
                "ff".repeat(17)
            ),
            [REMOVED_AT_ONCE - 1],
        )?;
        if i64::try_from(removed).unwrap_or(i64::MAX) >= REMOVED_AT_ONCE {
            return Ok(true);
        }
    }
    for (table, _) in by {
        work.conn.execute_batch(&format!("DROP TABLE {table}_{n}"))?;
    }
    work.conn.execute("DELETE FROM seen WHERE n = ?", [oldest.n])?;
    run::leave(work.conn, n)?;
    work.tally.seen.retain(|table| table.n != oldest.n);
    Ok(true)
}

/// The oldest table of a series, if nothing in it can count any more.
fn past(tables: &[Table], series: Series, now: Timestamp) -> Option<Table> {
    let mut all = of(tables, series);
    let oldest = all.next()?;
    let after = all.map(|table| table.opened_at).min()?;
    let window = of(tables, series).map(|table| table.window).max()?;
    (now.since(after) >= window).then_some(*oldest)
}
