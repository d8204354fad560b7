//! What a command that fails costs the others of its transaction: nothing, also of what is done beside.

use super::*;
use crate::store::Result;

/// Has something written in one transaction with a command that fails.
async fn beside_a_failure<T>(store: &SqliteStore, call: impl Future<Output = Result<T>>) -> Result<T> {
    let (release, held) = hold(store);
    let (mut held, mut call) = (Box::pin(held), Box::pin(call));
    assert!(poll(&mut held).is_pending());
    let fail = |_: &mut super::super::work::Work<'_>| Err::<(), _>(Error::Missing { what: "it" });
    let mut failing = Box::pin(store.queue.call(Kind::Outcome, 0, fail));
    assert!(poll(&mut failing).is_pending() && poll(&mut call).is_pending());
    drop(release);
    let (held, failed, done) = futures_util::future::join3(held, failing, call).await;
    held.unwrap();
    assert!(matches!(failed, Err(Error::Missing { .. })), "{failed:?}");
    done
}

#[tokio::test]
async fn ids_are_put_in_order_also_while_every_batch_has_one_that_fails() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let store = directory.sqlite();
    for n in 0..4 {
        let new = maker.matched(maker.event(Some(&format!("id-{n}")), "{}"), &[]);
        let accepted = beside_a_failure(&store, store.accept(maker.call(vec![new]))).await;
        assert!(!contract::done(accepted.unwrap())[0].duplicate);
        // The next one opens another table, and with the one after it this is sealed.
        maker.pass(contract::WINDOW / 6);
    }
    let sealed = "SELECT count(*) FROM seen_run WHERE state = 1";
    let sealed = directory
        .database()
        .query_row(sealed, [], |row| row.get::<_, i64>(0));
    assert_eq!(sealed, Ok(2));
    // And what was put in order is found, by this process and by the next.
    let mut store = store;
    for start in 0..2 {
        let again = (0..4).map(|n| maker.matched(maker.event(Some(&format!("id-{n}")), "{}"), &[]));
        let accepted = store.accept(maker.call(again.collect())).await.unwrap();
        assert!(
            contract::done(accepted).iter().all(|event| event.duplicate),
            "after start {start}"
        );
        drop(store);
        store = directory.sqlite();
    }
}

#[tokio::test]
async fn outcomes_land_on_a_disk_that_is_found_full_behind_a_failure() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let new = |data: &str| maker.matched(maker.event(None, data), &[maker.subscription()]);
    contract::done(store.accept(maker.call(vec![new("{}")])).await.unwrap());
    let row = contract::all_pending(&store).await[0];
    let room = |work: &mut super::super::work::Work<'_>| {
        let used: i64 = work
            .conn
            .pragma_query_value(None, "page_count", |row| row.get(0))?;
        let sql = format!("PRAGMA max_page_count = {}", used + 6);
        Ok(work.conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
    };
    store.queue.call(Kind::Outcome, 0, room).await.unwrap();

    let large = store.accept(maker.call(vec![new(&"x".repeat(1 << 20))]));
    let outcome = store.record(store.epoch(), vec![maker.attempted(&row, Next::Delivered)]);
    let both = async { Ok(futures_util::future::join(large, outcome).await) };
    let (large, outcome) = beside_a_failure(&store, both).await.unwrap();
    assert!(matches!(large, Err(Error::Full(_))), "{large:?}");
    outcome.unwrap();
    assert!(store.queue.is_full());
    assert!(contract::all_pending(&store).await.is_empty());
}
