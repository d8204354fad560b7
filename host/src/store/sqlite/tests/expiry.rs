//! Expiry that is interrupted, and what it leaves in the file.

use super::Directory;
use crate::delivery::{Next, Pending};
use crate::store::Store;
use crate::store::contract::{self, Backend, Maker, Size};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::writer::Kind;

/// Events in several closed segments, whose deliveries are all pending.
async fn pending_segments(directory: &Directory) -> (SqliteStore, Maker, Vec<Pending>) {
    let maker = Maker::new();
    let store = directory.sqlite();
    let subscription = maker.subscription();
    for _ in 0..12 {
        let new = maker.matched(maker.event(None, &"x".repeat(900)), &[subscription]);
        contract::done(store.accept(maker.call(vec![new])).await.unwrap());
    }
    let rows = contract::all_pending(&store).await;
    (store, maker, rows)
}

async fn deliver(store: &SqliteStore, maker: &Maker, rows: &[Pending]) {
    let ended = rows.iter().map(|row| maker.attempted(row, Next::Delivered));
    store.record(store.epoch(), ended.collect()).await.unwrap();
}

/// The same, where the first delivery is pending and all others have ended.
async fn segments(directory: &Directory) -> (SqliteStore, [Pending; 2]) {
    let (store, maker, rows) = pending_segments(directory).await;
    deliver(&store, &maker, &rows[1..]).await;
    (store, [rows[0], rows[1]])
}

async fn change(store: &SqliteStore, sql: &'static str) {
    let run = move |work: &mut crate::store::sqlite::work::Work<'_>| Ok(work.conn.execute_batch(sql)?);
    store.queue.call(Kind::Outcome, 0, run).await.unwrap();
}

const EVERYTHING_GOES: crate::store::Retention = crate::store::Retention {
    age: std::time::Duration::ZERO,
    bytes: 0,
};

#[tokio::test]
async fn nothing_is_resent_from_a_leaving_segment() {
    let directory = Directory::new(Size::Tiny);
    let (store, [pending, ended]) = segments(&directory).await;
    change(&store, "UPDATE segment SET state = 3 WHERE n = 1").await;
    let refused = store.resend(None, ended.delivery, contract::START).await.unwrap();
    assert_eq!(refused, crate::store::Resend::Expired);
    // What is pending in it can still be read and sent.
    let bodies = store.events_by_id(vec![pending.event]).await.unwrap();
    assert!(bodies[0].is_some());
}

#[tokio::test]
async fn an_expiry_that_was_interrupted_goes_on() {
    let stops = [
        "UPDATE segment SET state = 3 WHERE n = 1",
        // Half carried: the copy is there, and so is the original.
        "UPDATE segment SET state = 3 WHERE n = 1;
         INSERT INTO event_5 SELECT * FROM event_1;
         UPDATE segment SET low = (SELECT low FROM segment WHERE n = 1) WHERE n = 5",
        // Half dropped.
        "UPDATE segment SET state = 4 WHERE n = 2; DROP TABLE event_2; DROP TABLE request_2",
    ];
    for stop in stops {
        let directory = Directory::new(Size::Tiny);
        let (store, [pending, _]) = segments(&directory).await;
        change(&store, stop).await;
        drop(store);
        let store = directory.sqlite();
        for _ in 0..6 {
            let query = crate::store::EventQuery {
                limit: 100,
                ..Default::default()
            };
            let mut listed: Vec<_> = store
                .events(query)
                .await
                .unwrap()
                .iter()
                .map(|stored| stored.event.id)
                .collect();
            let count = listed.len();
            listed.dedup();
            assert_eq!(count, listed.len(), "{stop}");
            let bodies = store.events_by_id(vec![pending.event]).await.unwrap();
            assert!(bodies[0].is_some(), "{stop}");
            store.expire(contract::START, EVERYTHING_GOES).await.unwrap();
        }
        assert_eq!(contract::all_pending(&store).await, [pending]);
        drop(store);
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('event_1', 'event_2', 'run_2')";
        let left: i64 = directory
            .database()
            .query_row(tables, [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0, "{stop}");
    }
}

#[tokio::test]
async fn what_is_all_pending_is_not_carried_round_and_round() {
    let directory = Directory::new(Size::Tiny);
    let (store, maker, rows) = pending_segments(&directory).await;
    // There is too much of it, but what is carried would be as much.
    let retention = crate::store::Retention {
        age: std::time::Duration::from_secs(3_600),
        bytes: 0,
    };
    let expired = store.expire(contract::START, retention).await.unwrap();
    assert_eq!(expired, crate::store::Expired::default());
    deliver(&store, &maker, &rows[1..]).await;
    let mut carried = 0;
    loop {
        let expired = store.expire(contract::START, retention).await.unwrap();
        carried += expired.carried;
        if !expired.more {
            break;
        }
    }
    assert!(carried <= 1, "{carried}");
    assert_eq!(contract::all_pending(&store).await, rows[..1]);
}

#[tokio::test]
async fn full_segments_get_their_indexes_one_by_one_the_newest_first() {
    let directory = Directory::new(Size::Tiny);
    let (store, _) = segments(&directory).await;
    let number = |sql: &str| -> i64 {
        let database = directory.database();
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let full = number("SELECT count(*) FROM segment WHERE state = 1");
    assert!(full >= 3, "{full}");
    let newest = number("SELECT max(n) FROM segment WHERE state = 1");
    // Those that SQLite makes by itself are not counted.
    let indexes = || number("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL");
    for made in 1..=6 {
        assert!(store.index_history().await.unwrap());
        assert_eq!(indexes(), made);
    }
    assert!(store.index_history().await.unwrap());
    assert_eq!(number("SELECT n FROM segment WHERE state = 2"), newest);
    // What was begun goes on where it stopped.
    assert!(store.index_history().await.unwrap());
    drop(store);
    let store = directory.sqlite();
    let mut steps = 1;
    while store.index_history().await.unwrap() {
        steps += 1;
    }
    assert_eq!((steps, indexes()), ((full - 1) * 7, full * 6));
    assert_eq!(number("SELECT count(*) FROM segment WHERE state = 1"), 0);
}

#[tokio::test]
async fn keys_that_left_the_window_take_no_room() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let store = directory.sqlite();
    let named = |maker: &Maker, count: usize| {
        let event = |n| maker.matched(maker.event(Some(&format!("{}-{n}", maker.now)), "{}"), &[]);
        maker.call((0..count).map(event).collect())
    };
    // More than one step of forgetting removes.
    contract::done(store.accept(named(&maker, 17_000)).await.unwrap());
    let retention = crate::store::Retention {
        age: contract::WINDOW * 100,
        bytes: u64::MAX,
    };
    let mut most = 0;
    for _ in 0..20 {
        maker.pass(std::time::Duration::from_secs(4 * 3_600));
        contract::done(store.accept(named(&maker, 1)).await.unwrap());
        store.expire(maker.now, retention).await.unwrap();
        let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'seen_[0-9]*'";
        let tables: i64 = directory
            .database()
            .query_row(count, [], |row| row.get(0))
            .unwrap();
        most = most.max(tables);
    }
    // Six of the window, and one on either side that overlaps it.
    assert!((6..=8).contains(&most), "{most}");
}

#[tokio::test]
async fn two_windows_in_turns_open_few_tables() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let store = directory.sqlite();
    let retention = crate::store::Retention {
        age: contract::WINDOW * 1_000,
        bytes: u64::MAX,
    };
    let (mut api, mut sources) = (0, 0);
    // 21 days in half hours.
    for n in 0..1_008 {
        maker.pass(std::time::Duration::from_secs(1_800));
        let event = |by: &str| maker.matched(maker.event(Some(&format!("{by}-{n}")), "{}"), &[]);
        let call = maker.call(vec![event("api")]);
        contract::done(store.accept(call).await.unwrap());
        let source = crate::id::SourceId::from_number(7);
        let call = maker.received_call(vec![event("source")], source);
        contract::done(store.accept(call).await.unwrap());
        if n % 12 == 0 {
            store.expire(maker.now, retention).await.unwrap();
            let count =
                "SELECT count(*) FILTER (WHERE series = 0), count(*) FILTER (WHERE series = 1) FROM seen";
            let (now_api, now_sources): (i64, i64) = directory
                .database()
                .query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            api = api.max(now_api);
            sources = sources.max(now_sources);
        }
    }
    // Of each, six of its window, and one on either side that overlaps it.
    assert!((6..=9).contains(&api), "{api}");
    assert!((6..=9).contains(&sources), "{sources}");
}

#[tokio::test]
async fn refused_requests_do_not_keep_a_segment() {
    // More events than are carried in any case, all of them pending: alone they stay where they are.
    for (refusals, dropped) in [(0, 0), (80, 1)] {
        let directory = Directory::new(Size::Usual);
        let maker = Maker::new();
        let store = directory.sqlite();
        let subscription = maker.subscription();
        let new = |_| maker.matched(maker.event(None, "{}"), &[subscription]);
        contract::done(
            store
                .accept(maker.call((0..70).map(new).collect()))
                .await
                .unwrap(),
        );
        let source = crate::id::SourceId::from_number(7);
        let receptions = (0..refusals).map(|_| maker.reception(source));
        store.record_receptions(receptions.collect()).await.unwrap();
        let expired = store.expire(contract::START, EVERYTHING_GOES).await.unwrap();
        assert_eq!(expired.segments, dropped);
        assert_eq!(expired.carried, u64::from(dropped) * 70);
        assert_eq!(contract::all_pending(&store).await.len(), 70);
        let query = crate::store::ReceptionQuery {
            limit: 100,
            ..Default::default()
        };
        assert!(store.receptions(query).await.unwrap().is_empty());
    }
}
