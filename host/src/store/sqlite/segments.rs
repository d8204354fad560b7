//! Segments: which there are, and where in them a row can be.
//!
//! A segment is a set of tables that is written until it has reached a size, then gets its indexes, and is
//! dropped whole in the end. The row of each says which id numbers its tables can hold, so that a look-up
//! asks few of them. That of the open one is written only now and then, for its bounds change with every
//! transaction: until it is closed, any number can be in it. An event and a request lie in one place; while a
//! segment is leaving they may lie in two, with the same content.

use rusqlite::Connection;

use crate::store::Result;

/// How far a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is written.
    Open,
    /// It is full.
    Closed,
    /// It has its indexes.
    Sealed,
    /// What is pending in it is being carried over; nothing finished in it can be resent any more.
    Leaving,
}

/// One segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) n: i64,
    pub(super) phase: Phase,
    pub(super) low: i64,
    pub(super) high: i64,
    /// Of the open one, what had been counted when its row was written last.
    pub(super) bytes: u64,
    pub(super) closed_at: Option<i64>,
}

impl Segment {
    /// Whether a row with this number can be in it.
    pub(super) fn may_hold(&self, id: i64) -> bool {
        (self.low..=self.high).contains(&id)
    }
}

/// All that can be read, newest first. The ones whose tables are being dropped are not among them.
pub(super) fn load(conn: &Connection) -> Result<Vec<Segment>> {
    let mut query = conn.prepare_cached(
        "SELECT n, state, low, high, bytes, closed_at FROM segment
         WHERE state < 4 ORDER BY n DESC",
    )?;
    let segments = query.query_map([], |row| {
        let phase = match row.get::<_, i64>(1)? {
            0 => Phase::Open,
            1 => Phase::Closed,
            2 => Phase::Sealed,
            _ => Phase::Leaving,
        };
        let (low, high) = match phase {
            Phase::Open => (0, i64::MAX),
            Phase::Closed | Phase::Sealed | Phase::Leaving => (row.get(2)?, row.get(3)?),
        };
        Ok(Segment {
            n: row.get(0)?,
            phase,
            low,
            high,
            bytes: row.get::<_, i64>(4)?.unsigned_abs(),
            closed_at: row.get(5)?,
        })
    })?;
    Ok(segments.collect::<rusqlite::Result<_>>()?)
}

/// The first of these segments that has a row with this key in its table of the kind.
pub(super) fn find<T>(
    conn: &Connection,
    segments: &[Segment],
    kind: &str,
    id: i64,
    read: fn(&rusqlite::Row<'_>) -> Result<T>,
) -> Result<Option<(i64, T)>> {
    for segment in segments.iter().filter(|segment| segment.may_hold(id)) {
        let sql = format!("SELECT * FROM {kind}_{} WHERE id = ?", segment.n);
        let mut query = conn.prepare_cached(&sql)?;
        let mut rows = query.query([id])?;
        if let Some(row) = rows.next()? {
            return Ok(Some((segment.n, read(row)?)));
        }
    }
    Ok(None)
}

/// Whether one of these segments has a row with this key in its table of the kind.
pub(super) fn has(conn: &Connection, segments: &[Segment], kind: &str, id: i64) -> Result<bool> {
    for segment in segments.iter().filter(|segment| segment.may_hold(id)) {
        let sql = format!("SELECT 1 FROM {kind}_{} WHERE id = ?", segment.n);
        if conn.prepare_cached(&sql)?.exists([id])? {
            return Ok(true);
        }
    }
    Ok(false)
}
