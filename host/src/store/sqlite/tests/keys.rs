//! Ids of producers: found in memory, in order on the disk, and after a start.

use super::*;
use crate::store::AcceptedEvent;

/// More than two indexes of keys.
const MANY: usize = 300_000;
/// Events in one call.
const TOGETHER: usize = 4_000;

fn name(n: usize) -> String {
    format!("order-{n}")
}

async fn send(store: &dyn Store, maker: &Maker, names: Vec<String>, data: &str) -> Vec<AcceptedEvent> {
    let event = |name: &String| maker.matched(maker.event(Some(name), data), &[]);
    contract::done(
        store
            .accept(maker.call(names.iter().map(event).collect()))
            .await
            .unwrap(),
    )
}

fn count(directory: &Directory, sql: &str) -> i64 {
    directory.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

const TABLES: &str = "SELECT count(*) FROM seen";
const RUNS: &str = "SELECT count(*) FROM seen_run WHERE state = 1";

#[tokio::test]
async fn a_key_is_found_wherever_it_lies() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let mut store = directory.sqlite();
    let mut ids = Vec::new();
    for first in (0..MANY).step_by(TOGETHER) {
        let names = (first..first + TOGETHER).map(name).collect();
        let accepted = send(&store, &maker, names, "{}").await;
        assert!(accepted.iter().all(|event| !event.duplicate), "from {first} on");
        ids.extend(accepted.iter().map(|event| event.id));
    }
    // However many keys there are: a table is opened by time.
    assert_eq!((count(&directory, TABLES), count(&directory, RUNS)), (1, 2));

    let sample = || (0..MANY).step_by(7_919);
    // Found by the index in memory and by runs, and by what a start makes of them.
    for start in 0..2 {
        let accepted = send(&store, &maker, sample().map(name).collect(), "{}").await;
        for (n, event) in sample().zip(accepted) {
            assert!(
                event.duplicate && event.id == ids[n],
                "{} after start {start}",
                name(n)
            );
        }
        drop(store);
        store = directory.sqlite();
    }

    // Another table follows. Each transaction puts some of this one in order, whoever brings it.
    maker.pass(contract::WINDOW / 6);
    let mut more = 0;
    while count(&directory, RUNS) != 1 {
        for _ in 0..64 {
            more += 1;
            assert!(more < 4_000, "the runs never become one");
            send(&store, &maker, vec![format!("more-{more}")], "{}").await;
        }
        if more % 512 == 128 && more < 1_100 {
            // In the middle of it.
            drop(store);
            store = directory.sqlite();
        }
    }
    for start in 0..2 {
        let accepted = send(&store, &maker, sample().map(name).collect(), "{}").await;
        for (n, event) in sample().zip(accepted) {
            assert!(
                event.duplicate && event.id == ids[n],
                "{} in one run, start {start}",
                name(n)
            );
        }
        let new = send(&store, &maker, vec![format!("new-{start}")], "{}").await;
        assert!(!new[0].duplicate);
        drop(store);
        store = directory.sqlite();
    }
    let run = count(&directory, "SELECT n FROM seen_run WHERE state = 1");
    let ordered = format!("SELECT count(*) FROM order_{run}");
    let stored = "SELECT count(*) FROM seen_1";
    assert_eq!(count(&directory, &ordered), count(&directory, stored));
}

#[tokio::test]
async fn what_is_undone_was_not_seen() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let first = send(&store, &maker, vec![name(1)], "{}").await;
    // Refused as a whole: the other event of the call left nothing, neither stored nor in memory.
    let events = [(name(2), "{}"), (name(1), "[]")];
    let event = |(name, data): &(String, &str)| maker.matched(maker.event(Some(name), data), &[]);
    let refused = store
        .accept(maker.call(events.iter().map(event).collect()))
        .await
        .unwrap();
    assert!(
        matches!(refused, crate::store::Accepted::EventConflict { index: 1 }),
        "{refused:?}"
    );
    let again = send(&store, &maker, vec![name(1), name(2)], "{}").await;
    assert!(again[0].duplicate && again[0].id == first[0].id);
    assert!(!again[1].duplicate);
}
