//! Logs as crashes leave them, and damaged ones; SQLite itself says what it reads of each.

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// Transactions of a log.
const TRANSACTIONS: u64 = 12;
#[expect(
    clippy::cast_possible_truncation,
    reason = "a page is smaller than any address space"
)]
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES as usize;

/// A database with a log, as a process that was killed leaves it: nobody has it open.
struct Left {
    dir: TempDir,
}

impl Left {
    /// Each transaction has one row, and of every third one the rows have several pages.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("live.db")).unwrap();
        conn.pragma_update(None, "page_size", 8_192).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)")
            .unwrap();
        write(&conn, TRANSACTIONS);
        Self::of(&conn, dir)
    }

    /// What is on the disk now.
    fn of(conn: &Connection, dir: TempDir) -> Self {
        let live = dir.path().join("live.db");
        std::fs::copy(&live, dir.path().join("x.db")).unwrap();
        std::fs::copy(dir.path().join("live.db-wal"), dir.path().join("x.db-wal")).unwrap();
        assert_eq!(conn.path().map(Path::new), Some(live.as_path()));
        Self { dir }
    }

    fn database(&self) -> std::path::PathBuf {
        self.dir.path().join("x.db")
    }

    fn log(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("x.db-wal")).unwrap()
    }

    fn set_log(&self, bytes: &[u8]) {
        std::fs::write(self.dir.path().join("x.db-wal"), bytes).unwrap();
    }

    fn ends_early(&self) -> Option<EndsEarly> {
        ends_early(&self.database()).unwrap()
    }

    /// Rows that SQLite finds, in a copy: it changes what it opens.
    fn rows(&self) -> u64 {
        let dir = tempfile::tempdir().unwrap();
        for name in ["x.db", "x.db-wal"] {
            std::fs::copy(self.dir.path().join(name), dir.path().join(name)).unwrap();
        }
        let conn = Connection::open(dir.path().join("x.db")).unwrap();
        let count = conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        count.map_or(0, i64::unsigned_abs)
    }
}

fn write(conn: &Connection, transactions: u64) {
    for n in 0..transactions {
        let bytes = if n % 3 == 0 { 30_000 } else { 10 };
        conn.execute("INSERT INTO t VALUES (randomblob(?))", [bytes])
            .unwrap();
    }
}

fn frames(log: &[u8]) -> u64 {
    ((log.len() - HEADER_BYTES) / FRAME_BYTES) as u64
}

/// Where frame `number` begins.
fn place(number: u64) -> usize {
    HEADER_BYTES + (usize::try_from(number).unwrap() - 1) * FRAME_BYTES
}

#[test]
fn a_log_that_a_killed_process_left_ends_where_it_should() {
    let left = Left::new();
    assert_eq!((left.ends_early(), left.rows()), (None, TRANSACTIONS));
    let whole = left.log();
    for cut in [
        0,
        1,
        31,
        32,
        33,
        60,
        FRAME_BYTES,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        left.set_log(&whole[..cut]);
        assert_eq!(left.ends_early(), None, "cut to {cut}");
    }
    let none = tempfile::tempdir().unwrap();
    assert_eq!(ends_early(&none.path().join("x.db")).unwrap(), None);
}

#[test]
fn every_frame_that_takes_others_with_it_is_named() {
    let left = Left::new();
    let whole = left.log();
    let of = frames(&whole);
    let ends = |number: u64| big(&whole, place(number) + 4) > 0;
    assert!(of > 20 && ends(of));
    for at in 1..=of {
        // The number of its page, the mark of its end, its salts, and its page.
        for offset in [1, 6, 9, 14, 30, 4_000, FRAME_BYTES - 1] {
            let mut log = whole.clone();
            log[place(at) + offset] ^= 4;
            left.set_log(&log);
            if offset == 30 {
                assert!(left.rows() < TRANSACTIONS, "frame {at}");
            }
            let said = left.ends_early();
            // Behind one whose salts are not known only the second is seen to continue something.
            let seen = match offset {
                9 | 14 => at + 2 <= of,
                _ => at < of,
            };
            let expected = seen.then_some(EndsEarly { at, of });
            assert_eq!(said, expected, "frame {at} of {of}, offset {offset}");
        }
        // Its checksum.
        let mut log = whole.clone();
        log[place(at) + 17] ^= 4;
        left.set_log(&log);
        let expected = (at + 2 <= of).then_some(EndsEarly { at, of });
        assert_eq!(left.ends_early(), expected, "frame {at} of {of}, its checksum");
    }
    let last = EndsEarly { at: 3, of };
    assert!(last.to_string().contains("ends early, at frame 3 of"), "{last}");
}

#[test]
fn a_damaged_header_takes_everything_and_is_named() {
    let left = Left::new();
    let whole = left.log();
    let of = frames(&whole);
    for at in [0, 8, 16, 20, 25] {
        let mut log = whole.clone();
        log[at] ^= 4;
        left.set_log(&log);
        assert_eq!(left.rows(), 0);
        assert_eq!(left.ends_early(), Some(EndsEarly { at: 0, of }), "byte {at}");
    }
    // With the first frames.
    let mut log = whole;
    log[..20_000].fill(0);
    left.set_log(&log);
    assert_eq!(left.ends_early(), Some(EndsEarly { at: 0, of }));
}

#[test]
fn what_lies_behind_the_end_by_right_is_not_taken_for_damage() {
    // A transaction that was under way: its last frame has a header and no page yet.
    let left = Left::new();
    let whole = left.log();
    let mut log = whole.clone();
    let of = frames(&whole);
    let ends: Vec<u64> = (1..=of)
        .filter(|number| big(&whole, place(*number) + 4) > 0)
        .collect();
    // The last transaction with several frames.
    let pair = ends.windows(2).rev().find(|pair| pair[1] - pair[0] > 3).unwrap();
    let last = pair[1];
    log.truncate(place(last + 1));
    let page = place(last) + FRAME_HEADER_BYTES;
    log[page..].fill(0);
    left.set_log(&log);
    assert_eq!(left.ends_early(), None);

    // The next process goes on where it began, and is killed too: frames of the former stand behind.
    let conn = Connection::open(left.database()).unwrap();
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0; DELETE FROM t WHERE rowid = 2")
        .unwrap();
    let log = left.log();
    assert_eq!(frames(&log), last, "the log did not begin anew");
    let salts = words(&log, 16);
    assert_eq!(
        words(&log, place(last) + 8),
        salts,
        "and they are of the same log"
    );
    assert_eq!(left.ends_early(), None);

    // A log that began anew, in front of what is left of the one before.
    conn.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
    write(&conn, 2);
    let log = left.log();
    assert_ne!(words(&log, 16), salts);
    assert_eq!(frames(&log), last, "the former is behind it");
    assert_eq!(left.ends_early(), None);
}

#[test]
fn of_a_torn_last_transaction_only_one_that_has_its_end_looks_like_damage() {
    let left = Left::new();
    let whole = left.log();
    let of = frames(&whole);
    let ends: Vec<u64> = (1..=of)
        .filter(|number| big(&whole, place(*number) + 4) > 0)
        .collect();
    let pair = ends.windows(2).rev().find(|pair| pair[1] - pair[0] > 3).unwrap();
    let (first, last) = (pair[0] + 1, pair[1]);
    let torn = |number: u64| {
        let mut log = whole[..place(last + 1).min(whole.len())].to_vec();
        log[place(number)..place(number + 1)].fill(0);
        left.set_log(&log);
        left.ends_early()
    };
    assert_eq!(torn(last), None);
    assert_eq!(torn(first), Some(EndsEarly { at: first, of: last }));
}
