//! Runs: the keys of successive rows of a table, once more and in order.
//!
//! Each has a table of its own (`order_<n>`), which was written from left to right, a row of `seen_run` and a
//! filter in memory and in `seen_filter`. It counts when it is whole; until then the runs that it is made of
//! do, or an index in memory. What is not whole at a start was being made, and is removed as what was merged
//! is: slice by slice, because even to drop a table SQLite reads each page of it. There is `order_<n>`
//! exactly when there is its row.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::filter::Filter;
use crate::store::sqlite::schema;
use crate::store::{Error, Result};

/// Rows that are removed for one that would be written: removing whole pages takes little.
const REMOVED_PER_STEP: usize = 4;
/// Parts of a filter that are removed at once.
const PARTS_REMOVED_AT_ONCE: usize = 8;

/// The numbers in `seen_run.state`. Of one that leaves only the number is known.
const BEING_MADE: i64 = 0;
const WHOLE: i64 = 1;
const LEAVING: i64 = 2;

/// One that is whole, or will be.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) n: i64,
    pub(super) level: u8,
    /// The rows of its table that it covers.
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) filter: Filter,
}

impl Run {
    /// Whether a run can cover these of so many rows.
    fn is_of(first: i64, last: i64, rows: i64) -> bool {
        (1..=last.saturating_add(1)).contains(&first) && last <= rows
    }
}

/// So many keys at most have these rows.
pub(super) fn room(first: i64, last: i64) -> usize {
    usize::try_from(last - first + 1).unwrap_or(0)
}

/// What of runs is in the database.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Those that are whole, by table, oldest first.
    pub(super) whole: BTreeMap<i64, Vec<Run>>,
    /// The numbers of those that are to be removed.
    pub(super) leaving: Vec<i64>,
    /// The number of the next.
    pub(super) next: i64,
}

/// Reads the runs. What a process before this one was making is to be removed from now on.
pub(super) fn load(conn: &Connection) -> Result<Stored> {
    let sql = "UPDATE seen_run SET state = ?1 WHERE state = ?2 OR seen NOT IN (SELECT n FROM seen)";
    conn.execute(sql, [LEAVING, BEING_MADE])?;
    let mut stored = Stored::default();
    let sql = "SELECT n, seen, level, first, last, state FROM seen_run ORDER BY first";
    let mut query = conn.prepare(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let n = row.get(0)?;
        stored.next = stored.next.max(n);
        if row.get::<_, i64>(5)? != WHOLE {
            stored.leaving.push(n);
            continue;
        }
        let table = row.get(1)?;
        let (first, last) = (row.get(3)?, row.get(4)?);
        if !Run::is_of(first, last, rows_of(conn, table)?) {
            let what = format!("the rows {first} to {last} of the table order_{n}");
            return Err(Error::Damaged { what });
        }
        let filter = match read_filter(conn, n, room(first, last))? {
            Some(filter) => filter,
            None => filter_anew(conn, n, room(first, last))?,
        };
        let of_table: &mut Vec<Run> = stored.whole.entry(table).or_default();
        of_table.push(Run {
            n,
            level: row.get::<_, i64>(2)?.try_into().unwrap_or(u8::MAX),
            first,
            last,
            filter,
        });
    }
    stored.next += 1;
    Ok(stored)
}

/// The last row of a table; of one that is just leaving, and empty already, more than it ever had.
fn rows_of(conn: &Connection, table: i64) -> Result<i64> {
    let sql = format!("SELECT max(id) FROM seen_{table}");
    let last: Option<i64> = conn.query_row(&sql, [], |row| row.get(0))?;
    Ok(last.unwrap_or(i64::MAX >> 16))
}

fn read_filter(conn: &Connection, n: i64, keys: usize) -> Result<Option<Filter>> {
    let mut query = conn.prepare_cached("SELECT bytes FROM seen_filter WHERE run = ? ORDER BY part")?;
    let mut rows = query.query([n])?;
    let mut bytes = Vec::new();
    while let Some(row) = rows.next()? {
        let part = row.get_ref(0)?.as_blob();
        bytes.extend_from_slice(part.map_err(|_| Error::Damaged {
            what: format!("the filter of the table order_{n}"),
        })?);
    }
    Ok(Filter::from_bytes(&bytes, keys))
}

/// Makes the filter of a run whose own cannot be used.
fn filter_anew(conn: &Connection, n: i64, keys: usize) -> Result<Filter> {
    tracing::warn!("the filter of the table order_{n} is not whole and is made anew");
    let mut filter = Filter::with_room(keys);
    let mut query = conn.prepare(&format!("SELECT tag FROM order_{n}"))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        filter.insert(row.get(0)?);
    }
    Ok(filter)
}

/// Makes the table of a run, and its row.
pub(super) fn create(conn: &Connection, table: i64, run: &Run) -> Result<()> {
    conn.execute_batch(&schema::order_table(run.n))?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO seen_run (n, seen, level, first, last, state) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    insert.execute(params![run.n, table, run.level, run.first, run.last, BEING_MADE])?;
    Ok(())
}

/// Stores a part of its filter.
pub(super) fn store_filter(conn: &Connection, run: &Run, number: usize) -> Result<()> {
    let mut insert = conn.prepare_cached("INSERT INTO seen_filter (run, part, bytes) VALUES (?, ?, ?)")?;
    insert.execute(params![run.n, number as i64, run.filter.part(number)])?;
    Ok(())
}

/// From now on it counts, and those that it was made of do not.
pub(super) fn finish(conn: &Connection, run: i64, sources: &[i64]) -> Result<()> {
    let mut update = conn.prepare_cached("UPDATE seen_run SET state = ?2 WHERE n = ?1")?;
    update.execute([run, WHOLE])?;
    for source in sources {
        update.execute([*source, LEAVING])?;
    }
    Ok(())
}

/// Has all runs of a table removed, those too that are being made.
pub(super) fn leave(conn: &Connection, table: i64) -> Result<()> {
    let sql = "UPDATE seen_run SET state = ?2 WHERE seen = ?1";
    conn.execute(sql, [table, LEAVING])?;
    Ok(())
}

/// Whether something is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Some,
    Nothing,
}

/// Removes a slice of one that leaves.
pub(super) fn remove(conn: &Connection, n: i64, steps: usize) -> Result<Left> {
    let mut parts = conn.prepare_cached(
        "DELETE FROM seen_filter WHERE run = ?1
           AND part IN (SELECT part FROM seen_filter WHERE run = ?1 ORDER BY part LIMIT ?2)",
    )?;
    if parts.execute(params![n, PARTS_REMOVED_AT_ONCE as i64])? >= PARTS_REMOVED_AT_ONCE {
        return Ok(Left::Some);
    }
    let rows = steps.saturating_mul(REMOVED_PER_STEP).max(1);
    let removed = conn
        .prepare_cached(&format!(
            "DELETE FROM order_{n} WHERE tag <= coalesce(
                 (SELECT tag FROM order_{n} ORDER BY tag LIMIT 1 OFFSET ?), {})",
            i64::MAX
        ))?
        .execute([i64::try_from(rows - 1).unwrap_or(i64::MAX)])?;
    if removed >= rows {
        return Ok(Left::Some);
    }
    conn.execute_batch(&format!("DROP TABLE order_{n}"))?;
    conn.execute("DELETE FROM seen_run WHERE n = ?", [n])?;
    Ok(Left::Nothing)
}
