//! Checkpoints: when the writer moves what is in the WAL into the database.
//!
//! Only the writer's thread does it, between two transactions, so no commit ever runs beside a
//! checkpoint. The WAL is asked after each commit how much of it was not moved yet (SQLite's `NOOP`
//! checkpoint, a look at shared memory). Above a threshold what readers allow is moved; above a
//! higher one the WAL is started anew; when nothing comes for a while it is emptied, and then
//! nothing wakes the thread any more.

use std::time::Duration;

use rusqlite::Connection;

use super::schema::PAGE_BYTES;
use crate::store::Result;

/// Above this much that was not moved yet, what can be moved is (bytes). Larger values make commits
/// slower now and then, smaller ones sync the database more often (measured: 8 MiB).
const MOVE_ABOVE: u64 = 8 << 20;
/// Above this size the WAL is started anew, waiting for readers (bytes).
const RESTART_ABOVE: u64 = 64 << 20;
/// How long the writer may wait for readers to let go of the WAL, its connection's busy time-out.
pub(super) const READERS_WAIT: Duration = Duration::from_millis(50);
/// After this time without a command the WAL is emptied.
const IDLE: Duration = Duration::from_millis(500);

/// What is known of the WAL.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Whether there may be something in the WAL.
    dirty: bool,
    /// Frames in the WAL when the last restart was refused by a reader: not tried again at once.
    refused_at: u64,
}

/// The two numbers that SQLite tells: frames in the WAL, and how many of them were moved.
struct Frames {
    busy: bool,
    all: u64,
    moved: u64,
}

impl Checkpoints {
    /// At the start there is at least the epoch in the WAL, and after a crash more.
    pub(super) const fn new() -> Self {
        Self {
            dirty: true,
            refused_at: 0,
        }
    }

    /// How long to wait for a command; for ever where the WAL is empty.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.dirty.then_some(IDLE)
    }

    /// After a commit: moves what has grown too large.
    pub(super) fn after_commit(&mut self, conn: &Connection) -> Result<()> {
        self.dirty = true;
        let frames = run(conn, "NOOP")?;
        if (frames.all.saturating_sub(frames.moved)) * PAGE_BYTES < MOVE_ABOVE {
            return Ok(());
        }
        let frames = run(conn, "PASSIVE")?;
        let size = frames.all.saturating_sub(self.refused_at) * PAGE_BYTES;
        if size >= RESTART_ABOVE {
            let restarted = run(conn, "RESTART")?;
            self.refused_at = if restarted.busy { restarted.all } else { 0 };
        }
        Ok(())
    }

    /// When nothing came for a while: empties the WAL, unless a reader is in it.
    pub(super) fn when_idle(&mut self, conn: &Connection) -> Result<()> {
        let frames = run(conn, "TRUNCATE")?;
        self.dirty = frames.busy;
        if !frames.busy {
            self.refused_at = 0;
        }
        Ok(())
    }
}

fn run(conn: &Connection, mode: &str) -> Result<Frames> {
    let mut statement = conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    let frames = statement.query_row([], |row| {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok(Frames {
            busy: row.get::<_, i64>(0)? != 0,
            all: number(row.get(1)?),
            moved: number(row.get(2)?),
        })
    })?;
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_writer_empties_the_wal_and_sleeps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let wal = dir.path().join("x.db-wal");
        let conn = Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
            .unwrap();
        let mut checkpoints = Checkpoints::new();

        // Somebody reads an old state: it cannot be emptied, so the writer will look again.
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        checkpoints.after_commit(&conn).unwrap();
        checkpoints.when_idle(&conn).unwrap();
        assert_eq!(checkpoints.wait(), Some(IDLE));

        reader.execute_batch("COMMIT").unwrap();
        checkpoints.when_idle(&conn).unwrap();
        assert_eq!(checkpoints.wait(), None);
        assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
        conn.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        checkpoints.after_commit(&conn).unwrap();
        assert_eq!(checkpoints.wait(), Some(IDLE));
    }
}
