//! Remembered ids under everything that can happen to them, with small numbers: many runs of few keys.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::store::contract::{self, Maker};
use crate::store::sqlite::work::{Fixed, Tally};

/// So few that there are many levels.
const SMALL: Sizes = Sizes {
    index_rows: 256,
    fan_in: 4,
    steps_least: 32,
};
const WINDOW: Duration = contract::WINDOW;
const FIXED: Fixed = Fixed {
    epoch: 0,
    segment_bytes: i64::MAX,
};

/// The writer's part of a store, without its thread.
struct House {
    conn: Connection,
    tally: Tally,
    keys: Keys,
    asks: Accept,
    /// Whether the last transaction found nothing to do beside.
    rests: bool,
    /// Keys that each transaction is taken to have brought, at least.
    brought: usize,
    /// Time that really passed, whatever the clock was set to.
    passed: Duration,
    _dir: TempDir,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = Connection::open(dir.path().join("keys.db")).unwrap();
        schema::prepare_writer(&mut conn).unwrap();
        conn.pragma_update(None, "synchronous", "OFF").unwrap();
        // Nobody else moves the log into the database here.
        let _: i64 = conn
            .pragma_update_and_check(None, "wal_autocheckpoint", 1_000, |row| row.get(0))
            .unwrap();
        let tally = Tally::load(&conn).unwrap();
        let keys = Keys::load(&conn, &tally.seen, SMALL).unwrap();
        let asks = Maker::new().call(Vec::new());
        Self {
            conn,
            tally,
            keys,
            asks,
            rests: false,
            brought: 0,
            passed: Duration::ZERO,
            _dir: dir,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.asks.now = self.asks.now.plus(time);
        self.passed += time;
    }

    fn start_again(&mut self) {
        self.tally = Tally::load(&self.conn).unwrap();
        self.keys = Keys::load(&self.conn, &self.tally.seen, SMALL).unwrap();
    }

    /// A transaction, which may be undone when all of it is written.
    fn transaction<T>(&mut self, undone: bool, run: impl FnOnce(&mut Work<'_>, &Accept) -> T) -> T {
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut work = Work::new(&self.conn, &FIXED, &self.keys, &self.tally).unwrap();
        let value = run(&mut work, &self.asks);
        let mut tally = work.finish().unwrap();
        let brought = tally.fresh.len().max(self.brought);
        let step = self.keys.step(&self.conn, &tally.seen, brought).unwrap();
        self.rests = step.is_none();
        if undone {
            self.conn.execute_batch("ROLLBACK").unwrap();
        } else {
            self.conn.execute_batch("COMMIT").unwrap();
            self.keys
                .follow(std::mem::take(&mut tally.fresh), step, &tally.seen);
            self.tally = tally;
        }
        value
    }

    /// Looks for ids and keeps those that are new. Gives which event each was seen with.
    fn send(&mut self, ids: &[u64]) -> Vec<Option<i64>> {
        self.transaction(false, |work, asks| {
            ids.iter().map(|id| send(work, asks, *id)).collect()
        })
    }

    /// Transactions as if each brought a key, until nothing is to be done any more.
    fn rest(&mut self) {
        self.brought = 1;
        self.idle();
        self.brought = 0;
    }

    /// Transactions that bring nothing, until they find nothing to do.
    fn idle(&mut self) {
        for _ in 0..100_000 {
            self.transaction(false, |_, _| ());
            if self.rests {
                return;
            }
        }
        panic!("there is always more to do");
    }

    fn forget(&mut self) {
        while self.transaction(false, |work, asks| forget(work, asks.now).unwrap()) {}
    }

    fn count(&self, sql: &str) -> i64 {
        self.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// What is there is what is known of.
    fn check(&self) {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'order_*'";
        assert_eq!(self.count(tables), self.count("SELECT count(*) FROM seen_run"));
        let orphans = "SELECT count(*) FROM seen_filter WHERE run NOT IN (SELECT n FROM seen_run)";
        assert_eq!(self.count(orphans), 0);
        assert_eq!(
            self.count("SELECT count(*) FROM seen_run WHERE state = 1"),
            i64::try_from(self.keys.runs()).unwrap()
        );
    }
}

fn send(work: &mut Work<'_>, asks: &Accept, id: u64) -> Option<i64> {
    let key = key(asks.series, id);
    if let Some(seen) = event(work, &key, asks).unwrap() {
        return Some(seen.id.number());
    }
    let seen = SeenEvent {
        content: key,
        // As many as there are rows.
        id: EventId::from_number(event_of(id, asks.now)),
        matched: 1,
    };
    remember_event(work, &key, seen, asks).unwrap();
    None
}

fn event_of(id: u64, now: Timestamp) -> i64 {
    (i64::try_from(id).unwrap() << 20) + now.as_millis() % (1 << 20)
}

/// Spreads numbers as a hash does (splitmix64, Steele et al. 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn key(series: Series, id: u64) -> Fingerprint {
    let apart = series_number(series).unsigned_abs() << 60;
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(id | apart).to_be_bytes());
    key[8..].copy_from_slice(&mix(!id).to_be_bytes());
    key
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 += 1;
        mix(self.0) % bound
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// What has to be known of an id.
#[derive(Clone, Copy)]
struct Entry {
    at: Timestamp,
    passed: Duration,
    event: i64,
}

/// Whatever comes when: each answer is the one of a plain map. What the clock calls young but really is older
/// than the shortest window may have been forgotten, and nothing else.
#[test]
fn every_answer_is_that_of_a_map() {
    let (mut house, mut dice) = (House::new(), Dice(7));
    let mut model: BTreeMap<(Series, u64), Entry> = BTreeMap::new();
    let (mut ids, mut seen, mut starts, mut most) = (0, 0, 0, 0);
    while ids < 200_000 {
        house.asks.series = if dice.one_in(3) {
            Series::Sources
        } else {
            Series::Api
        };
        house.asks.window = if dice.one_in(200) { WINDOW * 2 } else { WINDOW };
        // About nine thousand ids in a table.
        house.pass(Duration::from_secs(dice.below(64)));
        match dice.below(2_000) {
            0 => house.asks.now = Timestamp::from_millis(house.asks.now.as_millis() - 3_600_000 * 3),
            1 => house.asks.now = Timestamp::from_millis(house.asks.now.as_millis() - 3_600_000 * 9),
            2 => house.pass(Duration::from_secs(3_600 * dice.below(30))),
            3..9 => {
                house.start_again();
                starts += 1;
            }
            9..40 => house.forget(),
            _ => {}
        }
        let sent: Vec<u64> = (0..dice.below(40))
            .map(|n| match dice.below(12) {
                0 => dice.below(ids + 1),
                1 => ids.saturating_sub(dice.below(4_000)),
                _ => ids + n,
            })
            .collect();
        if dice.one_in(50) {
            house.transaction(true, |work, asks| {
                for id in &sent {
                    send(work, asks, *id);
                }
            });
        }
        let answers = house.send(&sent);
        for (id, answer) in sent.iter().zip(answers) {
            let (now, passed) = (house.asks.now, house.passed);
            let known = model.get(&(house.asks.series, *id));
            let counts = known.filter(|entry| within(entry.at.as_millis(), now, house.asks.window));
            let forgotten = counts.is_some_and(|entry| passed - entry.passed >= WINDOW);
            if answer.is_some() || !forgotten {
                assert_eq!(answer, counts.map(|entry| entry.event), "{id} of {ids}");
            }
            seen += u64::from(answer.is_some());
            if answer.is_none() {
                let event = event_of(*id, now);
                model.insert(
                    (house.asks.series, *id),
                    Entry {
                        at: now,
                        passed,
                        event,
                    },
                );
            }
        }
        ids += sent.len() as u64;
        most = most.max(house.keys.runs());
    }
    assert!(seen > 10_000 && starts > 10, "{seen} seen, {starts} starts");
    // Of some six hundred indexes that were sealed.
    assert!(most < 80, "{most} runs");
    house.asks.window = WINDOW;
    house.forget();
    house.rest();
    house.check();
    assert!(
        house.keys.runs() <= 2 * 9 + 2 * 6,
        "{} runs at rest",
        house.keys.runs()
    );
}

#[test]
fn of_many_keys_there_are_few_runs() {
    let mut house = House::new();
    for first in (0..60_000).step_by(30) {
        house.send(&(first..first + 30).collect::<Vec<_>>());
        // 234 indexes make four levels; while the longest runs are merged, a few of the shortest wait.
        assert!(
            house.keys.runs() < 36,
            "{} runs of {first} keys",
            house.keys.runs()
        );
        assert!(
            house.keys.indexed() <= 3 * 256,
            "{} rows in memory",
            house.keys.indexed()
        );
    }
    house.rest();
    assert!(house.keys.runs() <= 4 * 3, "{} runs", house.keys.runs());
    // Another table follows: what is left of this one becomes one run.
    house.pass(WINDOW / 6);
    house.send(&[60_000]);
    house.rest();
    house.check();
    assert_eq!((house.keys.runs(), house.keys.indexed()), (1, 1));
    let (first, last, level): (i64, i64, i64) = house
        .conn
        .query_row(
            "SELECT first, last, level FROM seen_run WHERE state = 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((first, last), (1, 60_000), "level {level}");
    assert!((0..=60_000).all(|id| house.send(&[id])[0].is_some()));
    // When it leaves, nothing is left of it.
    house.pass(WINDOW * 2);
    house.forget();
    house.rest();
    house.check();
    assert_eq!(house.count("SELECT count(*) FROM seen_run"), 0);
    assert_eq!(house.count("SELECT count(*) FROM seen_filter"), 0);
}

#[test]
fn what_a_start_interrupts_begins_anew() {
    let mut house = House::new();
    let mut ids = 0;
    let mut interrupted = 0;
    while interrupted < 20 {
        house.send(&[ids]);
        ids += 1;
        assert!(ids < 20_000, "interrupted {interrupted} times");
        let busy = match interrupted % 2 {
            0 => house.keys.is_merging(),
            _ => house.keys.is_sealing(),
        };
        // At another place each time: in the keys, in the filter, before anything.
        if busy && ids % (3 + interrupted / 2 % 5) == 0 {
            house.start_again();
            interrupted += 1;
            house.check();
        }
    }
    assert!((0..ids).all(|id| house.send(&[id])[0].is_some()));
    house.rest();
    house.check();
    assert!((0..ids).all(|id| house.send(&[id])[0].is_some()));
    assert_eq!(house.count("SELECT count(*) FROM seen_run WHERE state <> 1"), 0);
}

#[test]
fn a_merge_is_given_up_with_its_table() {
    let mut house = House::new();
    for id in 0.. {
        house.send(&[id]);
        assert!(id < 20_000, "nothing is merged");
        if house.keys.is_merging() && id > 2_000 {
            break;
        }
    }
    house.pass(WINDOW / 6);
    house.send(&[1 << 30]);
    assert!(house.keys.is_merging());
    house.pass(WINDOW * 2);
    house.transaction(false, |work, asks| assert!(forget(work, asks.now).unwrap()));
    assert!(!house.keys.is_merging());
    house.rest();
    house.check();
    assert_eq!(house.count("SELECT count(*) FROM seen_run"), 0);
}

/// Where the room is low nothing new comes in, and what is left is for outcomes: their transactions write
/// nothing of keys, and give back what is not needed any more.
#[test]
fn what_brings_no_keys_puts_none_in_order_and_makes_room() {
    let mut house = House::new();
    let mut ids = 0;
    let mut idle_while = |busy: fn(&Keys) -> bool| {
        while !busy(&house.keys) {
            house.send(&[ids]);
            ids += 1;
            assert!(ids < 20_000, "never busy");
        }
        let pages = |house: &House| {
            let all = house.count("SELECT page_count FROM pragma_page_count");
            (
                all,
                all - house.count("SELECT freelist_count FROM pragma_freelist_count"),
            )
        };
        let orders = "SELECT count(*) FROM seen_run WHERE state <> 2";
        let before = (pages(&house), house.count(orders));
        house.idle();
        house.transaction(false, |_, _| ());
        let after = (pages(&house), house.count(orders));
        assert_eq!(after.1, before.1);
        assert!(
            after.0.0 == before.0.0 && after.0.1 <= before.0.1,
            "{before:?} {after:?}"
        );
        assert!(busy(&house.keys), "it went on");
        assert_eq!(house.count("SELECT count(*) FROM seen_run WHERE state = 2"), 0);
        assert!((0..ids).all(|id| house.send(&[id])[0].is_some()));
    };
    idle_while(Keys::is_sealing);
    idle_while(Keys::is_merging);
    // What leaves with its table goes, although nothing comes.
    let before = house.keys.runs();
    house.pass(WINDOW / 6);
    house.send(&[ids]);
    house.pass(WINDOW * 2);
    house.forget();
    house.idle();
    assert!(before > 3 && house.keys.runs() == 0, "{before} runs");
    assert_eq!(house.count("SELECT count(*) FROM seen_run"), 0);
    house.check();
}

#[test]
fn a_filter_that_is_not_whole_is_made_anew() {
    let mut house = House::new();
    (0..3_000).for_each(|id| drop(house.send(&[id])));
    house.rest();
    for damage in [
        "DELETE FROM seen_filter",
        "UPDATE seen_filter SET bytes = substr(bytes, 1, length(bytes) - 8)",
        "UPDATE seen_filter SET bytes = x''",
    ] {
        house.conn.execute_batch(damage).unwrap();
        house.start_again();
        assert!((0..3_000).all(|id| house.send(&[id])[0].is_some()), "{damage}");
        let claimed = (3_000..4_000).filter(|id| {
            let tag = tag_of(&key(Series::Api, *id));
            house.keys.of(1).unwrap().runs(tag).next().is_some()
        });
        assert!(claimed.count() < 300, "{damage}");
    }
}

#[test]
fn a_run_of_other_rows_is_damaged() {
    let mut house = House::new();
    (0..300).for_each(|id| drop(house.send(&[id])));
    house.rest();
    for damage in [
        "last = 301",
        "last = 9223372036854775807",
        "first = -1",
        "first = 300",
    ] {
        let sql = format!("BEGIN; UPDATE seen_run SET {damage}");
        house.conn.execute_batch(&sql).unwrap();
        let loaded = Keys::load(&house.conn, &house.tally.seen, SMALL);
        assert!(
            matches!(&loaded, Err(Error::Damaged { what }) if what.contains("order_1")),
            "{damage}: {loaded:?}"
        );
        house.conn.execute_batch("ROLLBACK").unwrap();
    }
}
