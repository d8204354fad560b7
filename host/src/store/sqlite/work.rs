//! One write transaction in the making: the connection, the open segment, and what is added up over
//! the batch and written once at its end.
//!
//! Counters and the bounds of the open segment change with nearly every command; each is kept in memory
//! while the batch runs and costs one statement for the whole of it. What is in [`Tally`] becomes the
//! writer's own only after the commit. The greatest id is written where nothing else would tell it; see
//! [`reach`]. That we still own what we write is read first: nobody else can take it over
//! before the end of a transaction that may write.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::seen::{self, Keys};
use super::sum;
use super::totals::Totals;
use super::{reach, schema};
use crate::delivery::GivenUp;
use crate::store::{Error, InARow, Result};
use crate::time::Timestamp;

/// What a row costs beside its payload, for the size of a segment (bytes; a guess that is never far
/// off, and the byte budget of retention is not an exact science).
pub(super) const ROW_BYTES: i64 = 64;
/// The row of the open segment is written when so much was added since it was written last (bytes): a 32nd
/// of a segment of the usual size. Retention knows of no more than that too late, and no start has to count
/// more anew.
const UNCOUNTED_MAX: i64 = 1 << 20;

/// What the writer knows between batches; the database says the same.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// The open segment.
    pub(super) open: i64,
    /// Bytes in it, as its row says.
    open_bytes: i64,
    /// Bytes that have been added since its row was written.
    bytes: i64,
    /// The least number among its keys.
    low: i64,
    /// The greatest.
    high: i64,
    /// The tables of keys that were seen, of all series, oldest first.
    pub(super) seen: Vec<seen::Table>,
    /// Keys that this batch has brought.
    pub(super) fresh: seen::Fresh,
    /// The latest `now` that any command gave.
    pub(super) latest: Timestamp,
    /// The statements that write to the open segment.
    pub(super) sql: Arc<SegmentSql>,
    counters: HashMap<i64, Moves>,
    /// What was committed since the start, with this batch.
    pub(super) totals: Totals,
    /// From when on attempts of a subscription count in its row of failures, where a person enabled it or
    /// its rule changed since the start. No attempt outlives the process, so no restart needs it. Shared
    /// with the batch: it changes rarely.
    rows_from: Arc<HashMap<i64, Timestamp>>,
    /// The greatest number of an id that was used since the start.
    newest: i64,
    /// Whether it has to be noted with this transaction.
    note_newest: bool,
}

/// How the counters of one subscription move.
#[derive(Clone, Copy, Debug, Default)]
struct Moves {
    created: i64,
    delivered: i64,
    filtered: i64,
    failed: i64,
    pending: i64,
    row: Row,
}

/// How the row of failures of one subscription moves: since the last delivery that was accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// It began anew in this batch; what is stored does not count any more.
    anew: bool,
    failed: i64,
    exhausted: i64,
    /// What is stored, once somebody had to know.
    stored: Option<(i64, i64)>,
}

/// How a delivery ended; the numbers in `delivery_<n>.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// 1
    Delivered,
    /// 2
    Filtered,
    /// 3
    Failed,
}

impl End {
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Delivered => 1,
            Self::Filtered => 2,
            Self::Failed => 3,
        }
    }

    pub(super) fn from_number(number: i64) -> Result<Self> {
        match number {
            1 => Ok(Self::Delivered),
            2 => Ok(Self::Filtered),
            3 => Ok(Self::Failed),
            _ => Err(Error::Damaged {
                what: format!("state {number} of a delivery"),
            }),
        }
    }
}

/// The statements that write to the open segment, put together once per segment.
#[derive(Debug)]
pub(super) struct SegmentSql {
    pub(super) event: String,
    pub(super) request: String,
    pub(super) attempt: String,
    pub(super) run: String,
    pub(super) delivery: String,
    pub(super) reception: String,
    pub(super) delivery_from_ledger: String,
}

impl SegmentSql {
    fn new(n: i64) -> Self {
        let insert = |table: &str, columns: usize| {
            let places = vec!["?"; columns].join(", ");
            format!("INSERT INTO {table}_{n} VALUES ({places})")
        };
        Self {
            event: insert("event", 15),
            request: insert("request", 8),
            attempt: insert("attempt", 14),
            run: insert("run", 16),
            delivery: insert("delivery", 17),
            reception: insert("reception", 20),
            delivery_from_ledger: format!(
                "INSERT INTO delivery_{n}
                 SELECT request, tenant, event, subscription, event_type, ?2, ?3, ?4,
                        coalesce(?5, attempts), coalesce(?6, runs), stage = 1, NULL, profile, ?7, ?8, {sum}, ?10
                 FROM pending WHERE request = ?1 AND delivery = ?1 AND siblings IS NULL
                   AND (?5 IS NULL OR attempts = ?5 - 1)",
                sum = sum::from_ledger("?9", "coalesce(?6, runs)"),
            ),
        }
    }
}

/// What does not change as long as the store is open.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The epoch under which we own what we write.
    pub(super) epoch: i64,
    /// A segment is rolled when it has more bytes.
    pub(super) segment_bytes: i64,
}

/// A write transaction.
#[derive(Debug)]
pub(super) struct Work<'c> {
    pub(super) conn: &'c Connection,
    pub(super) fixed: &'c Fixed,
    pub(super) keys: &'c Keys,
    pub(super) tally: Tally,
}

impl Tally {
    /// Reads it from the database. Of the open segment's bounds its tables know more than its row.
    pub(super) fn load(conn: &Connection) -> Result<Self> {
        let mut tally = Self {
            open: 0,
            open_bytes: 0,
            bytes: 0,
            low: i64::MAX,
            high: 0,
            seen: seen::load(conn)?,
            fresh: seen::Fresh::default(),
            latest: Timestamp::from_millis(0),
            sql: Arc::new(SegmentSql::new(0)),
            counters: HashMap::new(),
            totals: Totals::default(),
            rows_from: Arc::default(),
            newest: 0,
            note_newest: false,
        };
        let sql = "SELECT n, bytes, opened_at, low, high FROM segment WHERE state = 0";
        let mut query = conn.prepare(sql)?;
        let mut rows = query.query([])?;
        if let Some(row) = rows.next()? {
            tally.open = row.get(0)?;
            tally.sql = Arc::new(SegmentSql::new(tally.open));
            tally.open_bytes = row.get(1)?;
            tally.latest = Timestamp::from_millis(row.get(2)?);
            (tally.low, tally.high) = (row.get(3)?, row.get(4)?);
            tally.bytes = reach::bytes_above(conn, tally.open, tally.high)?;
            if let Some((low, high)) = reach::of_segment(conn, tally.open)? {
                tally.low = tally.low.min(low);
                tally.high = tally.high.max(high);
            }
        }
        Ok(tally)
    }

    /// Whether any row was written to the open segment.
    pub(super) const fn holds_rows(&self) -> bool {
        self.low <= self.high
    }
}

impl<'c> Work<'c> {
    /// Begins with what the writer knows, if we still own what we write. In a transaction that may write.
    pub(super) fn new(conn: &'c Connection, fixed: &'c Fixed, keys: &'c Keys, tally: &Tally) -> Result<Self> {
        let mut owner = conn.prepare_cached("SELECT epoch FROM owner")?;
        let epoch: i64 = owner.query_row([], |row| row.get(0))?;
        if epoch != fixed.epoch {
            return Err(Error::Fenced);
        }
        Ok(Self {
            conn,
            fixed,
            keys,
            tally: tally.clone(),
        })
    }

    /// A statement, prepared once.
    pub(super) fn statement(&self, sql: &str) -> Result<CachedStatement<'c>> {
        Ok(self.conn.prepare_cached(sql)?)
    }

    /// Closes the open segment, if there is one, and opens the next.
    pub(super) fn roll(&mut self, now: Timestamp) -> Result<()> {
        if self.tally.open > 0 {
            self.write_segment()?;
            self.note_newest()?;
            self.conn.execute(
                "UPDATE segment SET state = 1, closed_at = ?2 WHERE n = ?1",
                params![self.tally.open, now.as_millis()],
            )?;
        }
        let last: i64 = self
            .conn
            .query_row("SELECT coalesce(max(n), 0) FROM segment", [], |row| row.get(0))?;
        // A dropped segment's number is not used again: the open one is always the last.
        let n = last.max(self.tally.open) + 1;
        self.conn.execute_batch(&schema::segment_tables(n))?;
        self.conn.execute(
            "INSERT INTO segment (n, state, low, high, bytes, opened_at) VALUES (?1, 0, ?2, 0, 0, ?3)",
            params![n, i64::MAX, now.as_millis()],
        )?;
        self.tally.open = n;
        (self.tally.open_bytes, self.tally.bytes) = (0, 0);
        (self.tally.low, self.tally.high) = (i64::MAX, 0);
        self.tally.sql = Arc::new(SegmentSql::new(n));
        Ok(())
    }

    /// Takes note of the time that a command brought, and makes sure that there is an open segment
    /// with room in it. Every command that stores rows calls this first.
    pub(super) fn begin(&mut self, now: Timestamp) -> Result<()> {
        self.tally.latest = self.tally.latest.max(now);
        let bytes = self.tally.open_bytes + self.tally.bytes;
        if self.tally.open == 0 || bytes >= self.fixed.segment_bytes {
            self.roll(self.tally.latest)?;
        }
        Ok(())
    }

    /// Takes note of a row that went into the open segment.
    pub(super) fn stored(&mut self, id: i64, payload_bytes: usize) {
        self.tally.low = self.tally.low.min(id);
        self.tally.high = self.tally.high.max(id);
        self.tally.bytes += ROW_BYTES + i64::try_from(payload_bytes).unwrap_or(i64::MAX / 2);
        self.used(id);
    }

    /// Takes note of an id number, so that it is never used again: one of a row in the ledger or in the
    /// open segment.
    pub(super) fn used(&mut self, id: i64) {
        self.tally.newest = self.tally.newest.max(id);
    }

    /// Takes note of the id number of any other row, which may be gone at the next start.
    pub(super) fn used_elsewhere(&mut self, id: i64) {
        self.tally.note_newest = true;
        self.used(id);
    }

    /// A delivery was created.
    pub(super) fn created(&mut self, subscription: i64) {
        let moves = self.tally.counters.entry(subscription).or_default();
        moves.created += 1;
        moves.pending += 1;
        self.tally.totals.created();
    }

    /// A delivery ended.
    pub(super) fn ended(&mut self, subscription: i64, end: End) {
        self.moved(subscription, end, 1);
        self.tally.totals.ended(end);
    }

    /// A delivery that had ended is pending again.
    pub(super) fn reopened(&mut self, subscription: i64, end: End) {
        self.moved(subscription, end, -1);
    }

    /// The endpoint accepted a delivery: the subscription's row of failures begins anew.
    pub(super) fn begin_row(&mut self, subscription: i64) {
        let moves = self.tally.counters.entry(subscription).or_default();
        moves.row = Row {
            anew: true,
            ..Row::default()
        };
    }

    /// A person enables the subscription, or its rule changes: its row of failures begins with attempts
    /// that begin now.
    pub(super) fn begin_row_from(&mut self, subscription: i64, now: Timestamp) {
        self.begin_row(subscription);
        Arc::make_mut(&mut self.tally.rows_from).insert(subscription, now);
    }

    /// The subscription is gone.
    pub(super) fn forget_row(&mut self, subscription: i64) {
        if self.tally.rows_from.contains_key(&subscription) {
            Arc::make_mut(&mut self.tally.rows_from).remove(&subscription);
        }
    }

    /// A delivery failed at the endpoint by an attempt that began then. Gives the row of failures with it;
    /// none where it began before the row did.
    pub(super) fn failed_in_a_row(
        &mut self,
        subscription: i64,
        given_up: GivenUp,
        began: Timestamp,
    ) -> Result<Option<InARow>> {
        let from = self.tally.rows_from.get(&subscription);
        if from.is_some_and(|from| began < *from) {
            return Ok(None);
        }
        let mut row = self.tally.counters.entry(subscription).or_default().row;
        let stored = match row.stored {
            _ if row.anew => (0, 0),
            Some(stored) => stored,
            None => {
                let sql = "SELECT failed_in_a_row, exhausted_in_a_row FROM counter WHERE subscription = ?";
                let mut query = self.statement(sql)?;
                let found = query.query_row([subscription], |row| Ok((row.get(0)?, row.get(1)?)));
                found.optional()?.unwrap_or_default()
            }
        };
        row.stored = Some(stored);
        row.failed += 1;
        row.exhausted += i64::from(given_up == GivenUp::Exhausted);
        self.tally.counters.entry(subscription).or_default().row = row;
        Ok(Some(InARow {
            failed: (stored.0 + row.failed).unsigned_abs(),
            exhausted: (stored.1 + row.exhausted).unsigned_abs(),
        }))
    }

    fn moved(&mut self, subscription: i64, end: End, by: i64) {
        let moves = self.tally.counters.entry(subscription).or_default();
        moves.pending -= by;
        match end {
            End::Delivered => moves.delivered += by,
            End::Filtered => moves.filtered += by,
            End::Failed => moves.failed += by,
        }
    }

    /// Writes what was added up.
    pub(super) fn finish(mut self) -> Result<Tally> {
        if self.tally.bytes >= UNCOUNTED_MAX {
            self.write_segment()?;
        }
        let mut update = self.statement(
            "UPDATE counter SET created = created + ?2, delivered = delivered + ?3,
                 filtered = filtered + ?4, failed = failed + ?5, pending = pending + ?6,
                 failed_in_a_row = failed_in_a_row * ?7 + ?8,
                 exhausted_in_a_row = exhausted_in_a_row * ?7 + ?9
             WHERE subscription = ?1",
        )?;
        let mut insert = self.statement(
            "INSERT INTO counter (subscription, created, delivered, filtered, failed, pending,
                                  failed_in_a_row, exhausted_in_a_row)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?8, ?9)",
        )?;
        for (subscription, moves) in self.tally.counters.drain() {
            let Moves {
                created,
                delivered,
                filtered,
                failed,
                pending,
                row,
            } = moves;
            let values = params![
                subscription,
                created,
                delivered,
                filtered,
                failed,
                pending,
                i64::from(!row.anew),
                row.failed,
                row.exhausted,
            ];
            if update.execute(values)? == 0 {
                insert.execute(values)?;
            }
        }
        if self.tally.note_newest {
            self.note_newest()?;
        }
        self.tally.totals.transaction();
        Ok(self.tally)
    }

    fn note_newest(&mut self) -> Result<()> {
        let mut note = self
            .conn
            .prepare_cached("UPDATE owner SET newest = max(newest, ?)")?;
        note.execute([self.tally.newest])?;
        self.tally.note_newest = false;
        Ok(())
    }

    /// Writes the row of the open segment.
    fn write_segment(&mut self) -> Result<()> {
        let tally = &mut self.tally;
        tally.open_bytes += std::mem::take(&mut tally.bytes);
        let sql = "UPDATE segment SET low = ?2, high = ?3, bytes = ?4 WHERE n = ?1";
        let mut update = self.conn.prepare_cached(sql)?;
        update.execute(params![tally.open, tally.low, tally.high, tally.open_bytes])?;
        Ok(())
    }
}
