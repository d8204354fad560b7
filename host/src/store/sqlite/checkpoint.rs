//! Checkpoints: when the writer moves what is in the WAL into the database.
//!
//! Only the writer's thread does it, between two transactions, so no commit ever runs beside a
//! checkpoint. The WAL is asked after each commit how much of it was not moved yet (SQLite's `NOOP`
//! checkpoint, a look at shared memory). Above a threshold what readers allow is moved; above a
//! higher one the WAL is started anew; when nothing comes for a while it is emptied, and then
//! nothing wakes the thread any more.
//!
//! A reading that lasts keeps the WAL from being started anew, and it grows with what comes in. So where it
//! has grown too large, those who read for long are told to come again ([`Readers::relieve`]); only a backup
//! is let be, which ends by itself or when the disk is low.

use std::time::Duration;

use rusqlite::Connection;

use super::readers::Readers;
use super::schema::PAGE_BYTES;
use crate::store::Result;

/// Above this much that was not moved yet, what can be moved is (bytes). Larger values make commits
/// slower now and then, smaller ones sync the database more often (measured: 8 MiB).
const MOVE_ABOVE: u64 = 8 << 20;
/// Above this size the WAL is started anew, waiting for readers (bytes).
const RESTART_ABOVE: u64 = 64 << 20;
/// From this size on, readings that last are ended (bytes). With the step below it stays under 256 MiB.
const PRESSED_ABOVE: u64 = 128 << 20;
/// How often that is tried, in bytes of growth: a reading must have lasted over one whole step.
const PRESSED_STEP: u64 = 32 << 20;
/// How long the writer may wait for readers to let go of the WAL, its connection's busy time-out.
pub(super) const READERS_WAIT: Duration = Duration::from_millis(50);
/// After this time without a command the WAL is emptied.
const IDLE: Duration = Duration::from_millis(500);

/// From where on what is done, in bytes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    move_above: u64,
    restart_above: u64,
    pressed_above: u64,
    pressed_step: u64,
}

const BOUNDS: Bounds = Bounds {
    move_above: MOVE_ABOVE,
    restart_above: RESTART_ABOVE,
    pressed_above: PRESSED_ABOVE,
    pressed_step: PRESSED_STEP,
};

/// What is known of the WAL.
#[derive(Debug)]
pub(super) struct Checkpoints {
    bounds: Bounds,
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
            bounds: BOUNDS,
            dirty: true,
            refused_at: 0,
        }
    }

    /// How long to wait for a command; for ever where the WAL is empty.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.dirty.then_some(IDLE)
    }

    /// After a commit: moves what has grown too large.
    pub(super) fn after_commit(&mut self, conn: &Connection, readers: &Readers) -> Result<()> {
        self.dirty = true;
        let frames = run(conn, "NOOP")?;
        if (frames.all.saturating_sub(frames.moved)) * PAGE_BYTES < self.bounds.move_above {
            return Ok(());
        }
        let frames = run(conn, "PASSIVE")?;
        let pressed = frames.all * PAGE_BYTES >= self.bounds.pressed_above;
        let step = match pressed {
            true => self.bounds.pressed_step,
            false => self.bounds.restart_above,
        };
        if frames.all.saturating_sub(self.refused_at) * PAGE_BYTES >= step {
            let restarted = run(conn, "RESTART")?;
            self.refused_at = if restarted.busy { restarted.all } else { 0 };
            if restarted.busy && pressed {
                readers.relieve();
            }
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
        let none = Readers::new(path.clone(), 1);

        // Somebody reads an old state: it cannot be emptied, so the writer will look again.
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        checkpoints.after_commit(&conn, &none).unwrap();
        checkpoints.when_idle(&conn).unwrap();
        assert_eq!(checkpoints.wait(), Some(IDLE));

        reader.execute_batch("COMMIT").unwrap();
        checkpoints.when_idle(&conn).unwrap();
        assert_eq!(checkpoints.wait(), None);
        assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
        conn.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        checkpoints.after_commit(&conn, &none).unwrap();
        assert_eq!(checkpoints.wait(), Some(IDLE));
    }

    /// As much as there is between two checkpoints, in small.
    const SMALL: Bounds = Bounds {
        move_above: MOVE_ABOVE / 64,
        restart_above: RESTART_ABOVE / 64,
        pressed_above: PRESSED_ABOVE / 64,
        pressed_step: PRESSED_STEP / 64,
    };
    /// The bound that is promised, in small.
    const BOUND: u64 = (256 << 20) / 64;

    /// Writes four times the bound while somebody reads, and gives the largest size that the log had.
    fn written(conn: &Connection, wal: &std::path::Path, readers: &Readers) -> u64 {
        let mut checkpoints = Checkpoints {
            bounds: SMALL,
            ..Checkpoints::new()
        };
        let mut largest = 0;
        for _ in 0..4 * BOUND / (64 << 10) {
            conn.execute("INSERT INTO t VALUES (randomblob(64000))", [])
                .unwrap();
            checkpoints.after_commit(conn, readers).unwrap();
            largest = largest.max(std::fs::metadata(wal).unwrap().len());
        }
        checkpoints.when_idle(conn).unwrap();
        largest
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reading_that_lasts_is_ended_before_the_log_outgrows_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let (path, wal) = (dir.path().join("x.db"), dir.path().join("x.db-wal"));
        let conn = Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::from_millis(1)).unwrap();
        conn.pragma_update(None, "page_size", 8_192).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF;
             CREATE TABLE t (x)",
        )
        .unwrap();
        let readers = Readers::new(path.clone(), 2);
        let (begun, reads) = tokio::sync::oneshot::channel();
        let endless = {
            let readers = readers.clone();
            tokio::spawn(async move {
                let count = move |conn: &Connection| {
                    conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?;
                    begun.send(()).unwrap();
                    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
                    Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))?)
                };
                readers.read(count).await
            })
        };
        reads.await.unwrap();
        let largest = written(&conn, &wal, &readers);
        assert!(largest <= BOUND, "{largest} bytes, more than {BOUND}");
        let ended = endless.await.unwrap();
        assert!(matches!(ended, Err(crate::store::Error::Busy)), "{ended:?}");
        assert_eq!(
            std::fs::metadata(&wal).unwrap().len(),
            0,
            "the log is small again"
        );
        // Who comes again is served.
        let count =
            |conn: &Connection| Ok(conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?);
        assert!(readers.read(count).await.unwrap() > 0);

        // Control: somebody of whom the readers know nothing, and nobody tells.
        let foreign = Connection::open(&path).unwrap();
        foreign.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        let largest = written(&conn, &wal, &readers);
        assert!(largest > BOUND, "the check notices nothing: {largest} bytes");
    }
}
