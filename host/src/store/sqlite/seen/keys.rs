//! Where in the tables of keys a key is: what the writer keeps in memory of them.
//!
//! A table is written at its end, which costs next to nothing, and while it is, an index in memory says
//! where in it a key is. When the next one is opened it is *sealed*: its keys are written once more, in
//! order, a slice with each transaction, and the index makes way for a [`Filter`]. So memory is bounded:
//! one index of [`KEYS_MAX`] keys for each series, one for the table that is being sealed, and a byte for
//! each key in the window.
//!
//! What is here follows the commits: keys of a transaction that is under way are with its
//! [`Work`](crate::store::sqlite::work::Work).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rusqlite::{Connection, params};

use super::filter::Filter;
use super::{Layout, Table, is_newest, tag_of};
use crate::store::{Error, Result};

/// Keys in a table; the next one is opened then. Its index takes three megabytes, and putting it in order
/// some ten milliseconds, for which the writer stands still.
pub(super) const KEYS_MAX: usize = 131_072;
/// Keys of a table that are put in order with one transaction: a fraction of a millisecond. More than a
/// transaction of the usual size brings, so that a table is sealed before the next one is full.
const SEALED_AT_ONCE: usize = 512;

/// Rows by tag. Tags are random, so they need no hashing.
type Index = HashMap<i64, u32, BuildHasherDefault<AsItIs>>;

/// Takes a number for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = number.cast_unsigned();
    }
}

/// What is known of a key in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is not in it.
    Absent,
    /// It is in this row, or another one with the same tag is.
    Row(u32),
    /// The table's order says.
    Ordered,
    /// The table is found by key, as those of before version 4 are.
    ByKey,
}

/// Of all tables.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Keys {
    indexes: HashMap<i64, Index>,
    filters: HashMap<i64, Filter>,
    sealing: Option<Sealing>,
}

/// A table that is being sealed.
#[derive(Debug)]
struct Sealing {
    n: i64,
    /// All its keys, in order.
    order: Vec<(i64, u32)>,
    /// How many of them are committed.
    done: usize,
}

/// A step of sealing that is not committed yet.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Step {
    done: usize,
    filter: Option<Filter>,
}

impl Keys {
    /// Reads what is needed: filters as they are stored, and the keys of tables that have none yet.
    pub(in crate::store::sqlite) fn load(conn: &Connection, tables: &[Table]) -> Result<Self> {
        let mut keys = Self::default();
        for table in tables.iter().filter(|table| table.layout == Layout::Log) {
            let n = table.n;
            let stored: Option<Vec<u8>> =
                conn.query_row("SELECT filter FROM seen WHERE n = ?", [n], |row| row.get(0))?;
            match stored {
                Some(bytes) => {
                    let filter = Filter::from_bytes(&bytes).ok_or_else(|| Error::Damaged {
                        what: format!("the filter of the table seen_{n}"),
                    })?;
                    keys.filters.insert(n, filter);
                }
                None => {
                    keys.indexes.insert(n, read_index(conn, n)?);
                }
            }
        }
        Ok(keys)
    }

    /// What is known of a key in a table.
    pub(super) fn find(&self, table: &Table, tag: i64) -> Known {
        if table.layout == Layout::ByKey {
            return Known::ByKey;
        }
        if let Some(filter) = self.filters.get(&table.n) {
            return if filter.may_hold(tag) {
                Known::Ordered
            } else {
                Known::Absent
            };
        }
        // One that was opened in the transaction that is under way has no index yet.
        let row = self.indexes.get(&table.n).and_then(|index| index.get(&tag));
        row.map_or(Known::Absent, |row| Known::Row(*row))
    }

    /// Keys in a table that is not sealed.
    pub(super) fn len(&self, n: i64) -> usize {
        self.indexes.get(&n).map_or(0, Index::len)
    }

    /// Puts a slice of the oldest table that takes no more keys in order, in the transaction that is under
    /// way. Nothing where there is nothing to be done.
    pub(in crate::store::sqlite) fn seal(
        &mut self,
        conn: &Connection,
        tables: &[Table],
    ) -> Result<Option<Step>> {
        if self.sealing.is_none() {
            let full = |table: &&Table| self.indexes.contains_key(&table.n) && !is_newest(tables, table);
            let Some(table) = tables.iter().find(full) else {
                return Ok(None);
            };
            let index = self.indexes.get(&table.n).into_iter().flatten();
            let mut order: Vec<(i64, u32)> = index.map(|(tag, row)| (*tag, *row)).collect();
            order.sort_unstable();
            let (n, done) = (table.n, 0);
            self.sealing = Some(Sealing { n, order, done });
        }
        let Some(Sealing { n, order, done }) = &self.sealing else {
            return Ok(None);
        };
        let end = order.len().min(done + SEALED_AT_ONCE);
        // What a process before this one has put in order is there already.
        let mut insert = conn.prepare_cached(&format!("INSERT OR IGNORE INTO order_{n} VALUES (?, ?)"))?;
        for (tag, row) in &order[*done..end] {
            insert.execute(params![tag, row])?;
        }
        let mut filter = None;
        if end == order.len() {
            let whole = Filter::of(order.iter().map(|(tag, _)| *tag));
            let sql = "UPDATE seen SET filter = ? WHERE n = ?";
            conn.execute(sql, params![whole.to_bytes(), n])?;
            filter = Some(whole);
        }
        Ok(Some(Step { done: end, filter }))
    }

    /// What was committed: keys by table and tag, a step of sealing, and which tables there are.
    pub(in crate::store::sqlite) fn follow(
        &mut self,
        fresh: impl Iterator<Item = ((i64, i64), u32)>,
        step: Option<Step>,
        tables: &[Table],
    ) {
        for ((n, tag), row) in fresh {
            self.indexes.entry(n).or_default().insert(tag, row);
        }
        if let (Some(step), Some(sealing)) = (step, &mut self.sealing) {
            sealing.done = step.done;
            if let Some(filter) = step.filter {
                self.indexes.remove(&sealing.n);
                self.filters.insert(sealing.n, filter);
                self.sealing = None;
            }
        }
        if self.indexes.len() + self.filters.len() > tables.len() {
            let there = |n: &i64| tables.iter().any(|table| table.n == *n);
            self.indexes.retain(|n, _| there(n));
            self.filters.retain(|n, _| there(n));
            self.sealing.take_if(|sealing| !there(&sealing.n));
        }
    }
}

fn read_index(conn: &Connection, n: i64) -> Result<Index> {
    let mut index = Index::default();
    let mut query = conn.prepare(&format!("SELECT id, key FROM seen_{n} ORDER BY id"))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        // Of two rows with one key the later counts: the first had left the window when it came again.
        index.insert(tag_of(&row.get(1)?), row.get(0)?);
    }
    Ok(index)
}
