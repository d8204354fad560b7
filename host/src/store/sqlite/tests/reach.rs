//! Id numbers and the bounds of segments, above all after an end that nobody prepared for.

use std::time::Duration;

use super::super::reach;
use super::*;
use crate::delivery::Pending;
use crate::id::{EventId, EventKind, Generator, OperationId, SourceId, TenantId};
use crate::operation::{Asked, Kind as Purpose, Operation};
use crate::store::{EventQuery, Operations as _, Retention, Tenant};

const EVERYTHING_GOES: Retention = Retention {
    age: Duration::ZERO,
    bytes: 0,
};

/// The store as a process finds it that starts after this one was killed.
async fn killed(store: &SqliteStore, directory: &Directory) -> (Directory, SqliteStore) {
    let image = Directory::new(directory.size);
    crash_image(store, directory.dir.path(), image.dir.path()).await;
    let after = image.sqlite();
    (image, after)
}

/// A row of `segment`: its low and high number and its bytes.
fn segment(directory: &Directory, n: i64) -> (i64, i64, i64) {
    let sql = "SELECT low, high, bytes FROM segment WHERE n = ?";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    directory.database().query_row(sql, [n], read).unwrap()
}

fn noted(directory: &Directory) -> i64 {
    let sql = "SELECT newest FROM owner";
    directory.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn accept(store: &SqliteStore, maker: &Maker, new: crate::delivery::NewEvent) {
    contract::done(store.accept(maker.call(vec![new])).await.unwrap());
}

async fn deliver(store: &SqliteStore, maker: &Maker, row: &Pending) {
    let change = maker.attempted(row, Next::Delivered);
    store.record(store.epoch(), vec![change]).await.unwrap();
}

/// Closes the open segment.
async fn roll(store: &SqliteStore) {
    let run = |work: &mut crate::store::sqlite::work::Work<'_>| work.roll(contract::START);
    store.queue.call(Kind::Outcome, 0, run).await.unwrap();
}

async fn events(store: &SqliteStore) -> Vec<EventId> {
    let query = EventQuery {
        limit: 1_000,
        ..EventQuery::default()
    };
    let found = store.events(query).await.unwrap();
    found.iter().map(|stored| stored.event.id).collect()
}

/// Has the store use some greater numbers, in one of all the ways in which it does, and gives the greatest.
async fn use_some(store: &SqliteStore, maker: &Maker, way: usize) -> i64 {
    match way {
        0 => {
            let new = maker.matched(maker.event(None, "{}"), &[]);
            let id = new.event.id;
            accept(store, maker, new).await;
            id.number()
        }
        1 | 3 => {
            let new = maker.matched(maker.event(None, "{}"), &[SUBSCRIPTION, SUBSCRIPTION]);
            let id = new.deliveries[1].id;
            accept(store, maker, new).await;
            id.number()
        }
        2 => {
            let refused = maker.reception(SourceId::from_number(7));
            let id = refused.id;
            store.record_receptions(vec![refused]).await.unwrap();
            id.number()
        }
        4 => {
            // The greatest is in the ledger for a moment, and gone from there when the delivery ends.
            let row = contract::all_pending(store).await[0];
            let requests = maker.requests(row.delivery, 3);
            let id = requests[2].id;
            let change = maker.rendered(&row, requests);
            store.record(store.epoch(), vec![change]).await.unwrap();
            for row in contract::all_pending(store).await {
                deliver(store, maker, &row).await;
            }
            assert!(contract::all_pending(store).await.is_empty());
            id.number()
        }
        5 => {
            let new = contract::config::subscription(maker, None);
            let id = new.id;
            store.add_subscription(Arc::new(new)).await.unwrap();
            store.remove_subscription(id).await.unwrap();
            id.number()
        }
        6 => {
            let new = contract::sources::source(maker, "deploys");
            let id = new.id;
            store.add_source(Arc::new(new)).await.unwrap();
            store.remove_source(id).await.unwrap();
            id.number()
        }
        7 => {
            let id: OperationId = maker.subscription().same_number();
            let tenant = TenantId::from_number(1);
            let new = Operation::new(id, tenant, Asked::everything(Purpose::Replay), maker.now);
            assert!(store.add_operation(new).await.unwrap());
            id.number()
        }
        8 => {
            let id: TenantId = maker.subscription().same_number();
            let (name, created_at) = ("other".to_owned(), maker.now);
            let tenant = Tenant {
                id,
                name,
                created_at,
                settings: crate::store::TenantSettings::default(),
            };
            store.add_tenant(tenant).await.unwrap();
            id.number()
        }
        9 => {
            let key = crate::store::Key {
                id: maker.subscription().same_number(),
                tenant: None,
                name: "mine".to_owned(),
                hash: crate::digest::Digest::of(b"key"),
                scopes: "admin".to_owned(),
                created_at: maker.now,
                revoked_at: None,
            };
            let id = key.id;
            store.add_key(key).await.unwrap();
            id.number()
        }
        _ => {
            // Everything ends, and the segments of before are closed and dropped.
            let new = maker.matched(maker.event(None, "{}"), &[SUBSCRIPTION]);
            let id = new.deliveries[0].id;
            accept(store, maker, new).await;
            for row in contract::all_pending(store).await {
                deliver(store, maker, &row).await;
            }
            while store.expire(maker.now, EVERYTHING_GOES).await.unwrap().segments > 0 {}
            assert!(events(store).await.is_empty());
            id.number()
        }
    }
}

const SUBSCRIPTION: crate::id::SubscriptionId = crate::id::SubscriptionId::from_number(5);
const WAYS: usize = 11;

#[tokio::test]
async fn no_number_is_used_again_after_a_kill() {
    for size in [Size::Usual, Size::Tiny] {
        let directory = Directory::new(size);
        let maker = Maker::new();
        let store = directory.sqlite();
        for way in 0..WAYS {
            let used = use_some(&store, &maker, way).await;
            assert!(store.newest_id().await.unwrap() >= used, "{way}: who asks now");
            let (image, after) = killed(&store, &directory).await;
            let newest = after.newest_id().await.unwrap();
            assert!(newest >= used, "{way}: {newest} and not {used}");
            assert_eq!(
                noted(&image),
                newest,
                "{way}: it is noted before anything is written"
            );
            // The clock was set back meanwhile.
            let ids = Generator::new(0);
            ids.observe(newest);
            let next = ids.next::<EventKind>(Timestamp::from_millis(0));
            assert!(next.number() > used, "{way}");
        }
    }
}

#[tokio::test]
async fn a_copy_knows_its_newest_number() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let place = tempfile::tempdir().unwrap();
    for way in 0..WAYS {
        let used = use_some(&store, &maker, way).await;
        let into = place.path().join(way.to_string());
        crate::store::Copies::snapshot(&store, into.clone())
            .await
            .unwrap();
        let copy = super::super::check(&into).unwrap();
        assert!(copy.newest >= used, "{way}: {} and not {used}", copy.newest);
    }
}

#[tokio::test]
async fn nothing_but_rows_is_written_with_most_transactions() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let new = || maker.matched(maker.event(Some("a"), "{}"), &[SUBSCRIPTION]);
    accept(&store, &maker, new()).await;
    let before = (noted(&directory), segment(&directory, 1));
    for _ in 0..10 {
        let new = maker.matched(maker.event(None, "{}"), &[SUBSCRIPTION]);
        accept(&store, &maker, new).await;
    }
    assert_eq!((noted(&directory), segment(&directory, 1)), before);

    // A repetition alone writes nothing at all.
    let log = directory.dir.path().join("hookway.db-wal");
    let length = || std::fs::metadata(&log).unwrap().len();
    let before = length();
    let answers = contract::done(store.accept(maker.call(vec![new()])).await.unwrap());
    assert!(answers[0].duplicate);
    assert_eq!(length(), before);

    // Retention hears of what comes all the same.
    let large = maker.matched(maker.event(None, &"x".repeat(1 << 20)), &[]);
    accept(&store, &maker, large).await;
    let (low, high, bytes) = segment(&directory, 1);
    assert!((1 << 20..1 << 21).contains(&bytes), "{bytes}");
    assert_eq!(reach::of_segment(&directory.database(), 1), Ok(Some((low, high))));
}

/// A store with a closed segment, and an open one with rows of both; their first delivery and the event
/// behind.
async fn two_segments(directory: &Directory, maker: &Maker) -> (SqliteStore, Pending, EventId) {
    let store = directory.sqlite();
    accept(
        &store,
        maker,
        maker.matched(maker.event(None, "{}"), &[SUBSCRIPTION]),
    )
    .await;
    let first = contract::all_pending(&store).await[0];
    accept(&store, maker, maker.matched(maker.event(None, "{}"), &[])).await;
    roll(&store).await;
    let new = maker.matched(maker.event(None, "second"), &[SUBSCRIPTION]);
    let second = new.event.id;
    accept(&store, maker, new).await;
    store
        .record_receptions(vec![maker.reception(SourceId::from_number(7))])
        .await
        .unwrap();
    // It belongs below everything else that is in this segment.
    deliver(&store, maker, &first).await;
    (store, first, second)
}

#[tokio::test]
async fn a_segment_that_is_closed_after_a_kill_is_found_by_all_its_rows() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, first, second) = two_segments(&directory, &maker).await;
    let (image, after) = killed(&store, &directory).await;
    // Once as it was left, once with more behind it.
    let last = maker.matched(maker.event(None, "third"), &[]);
    let third = last.event.id;
    for more in [false, true] {
        let (image, after) = match more {
            false => (&image, &after),
            true => (&directory, &store),
        };
        if more {
            accept(after, &maker, last.clone()).await;
        }
        roll(after).await;
        let (low, high, _) = segment(image, 2);
        let found = reach::of_segment(&image.database(), 2).unwrap().unwrap();
        assert_eq!((low, high), found);
        assert_eq!(low, first.delivery.number());
        assert_eq!(high >= third.number(), more);
        let detail = after.delivery(first.delivery).await.unwrap().unwrap();
        assert_eq!(detail.attempts.len(), 1);
        assert!(after.event(second).await.unwrap().is_some());
        let mut all = contract::all_pending(after).await;
        all.retain(|row| row.event == second);
        assert_eq!(all.len(), 1);
    }
}

#[tokio::test]
async fn a_kill_forgets_no_size_and_keeps_nothing_for_ever() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let large = maker.matched(maker.event(None, &"x".repeat(2 << 20)), &[]);
    accept(&store, &maker, large).await;
    // Behind what the row of the segment tells.
    for _ in 0..20 {
        let new = maker.matched(maker.received(None, &"x".repeat(9_000)), &[SUBSCRIPTION]);
        contract::done(
            store
                .accept(maker.received_call(vec![new], SourceId::from_number(7)))
                .await
                .unwrap(),
        );
    }
    for row in contract::all_pending(&store).await {
        deliver(&store, &maker, &row).await;
    }
    let (image, after) = killed(&store, &directory).await;
    assert!(segment(&image, 1).2 < (2 << 20) + 9_000);
    roll(&after).await;
    roll(&store).await;
    assert_eq!(segment(&image, 1), segment(&directory, 1));
    assert!(segment(&image, 1).2 > (2 << 20) + 20 * 9_000);

    // What a segment holds is known too where nothing was ever noted of it: it closes by age.
    let new = maker.matched(maker.event(None, "{}"), &[]);
    accept(&store, &maker, new).await;
    let (_image, after) = killed(&store, &directory).await;
    assert_eq!(events(&after).await.len(), 22);
    while after.expire(maker.now, EVERYTHING_GOES).await.unwrap().segments > 0 {}
    assert!(events(&after).await.is_empty());
}
