//! Deliveries of version 6, whose last attempts have rows of their own.

use rusqlite::params;

use super::super::Directory;
use crate::delivery::{AttemptResult, Next};
use crate::store::contract::{self, Backend, Maker, Size};
use crate::store::sqlite::{last_attempt, pack, sum};
use crate::store::{DeliveryQuery, Store};

/// Makes a database of today one of version 6.
pub(super) fn as_version_6(directory: &Directory) {
    let conn = directory.database();
    let segments: Vec<i64> = {
        let mut query = conn.prepare("SELECT n FROM segment").unwrap();
        let numbers = query.query_map([], |row| row.get(0)).unwrap();
        numbers.map(Result::unwrap).collect()
    };
    for n in segments {
        let rows: Vec<(i64, Vec<u8>)> = {
            let sql = format!("SELECT id, last FROM delivery_{n} WHERE last IS NOT NULL");
            let mut query = conn.prepare(&sql).unwrap();
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        for (id, bytes) in rows {
            let attempt = last_attempt::read(id, &bytes).unwrap();
            let AttemptResult::Response {
                status,
                headers,
                body,
                truncated,
            } = &attempt.result
            else {
                panic!("the maker makes answers");
            };
            let values = params![
                id,
                id,
                attempt.number,
                attempt.started_at.as_millis(),
                attempt.duration_ms,
                attempt.resend,
                pack::pairs(&attempt.signature_headers),
                status,
                rusqlite::types::Null,
                rusqlite::types::Null,
                pack::pairs(headers),
                truncated,
                Some(&body[..]).filter(|body| !body.is_empty()),
            ];
            let insert = format!("INSERT INTO attempt_{n} VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
            sum::insert(&mut conn.prepare(&insert).unwrap(), values).unwrap();
            let unsaid = format!("UPDATE delivery_{n} SET sum = sum - ? WHERE id = ?");
            conn.execute(&unsaid, params![sum::last_attempt(Some(&bytes)), id])
                .unwrap();
        }
        conn.execute_batch(&format!("ALTER TABLE delivery_{n} DROP COLUMN last"))
            .unwrap();
    }
    conn.pragma_update(None, "user_version", 6).unwrap();
}

#[tokio::test]
async fn deliveries_of_version_6_are_read_and_sent_again() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let store = directory.sqlite();
    let subscription = maker.subscription();
    let new = maker.matched(maker.event(None, "{}"), &[subscription]);
    let id = new.deliveries[0].id;
    contract::done(store.accept(maker.call(vec![new])).await.unwrap());
    let row = contract::all_pending(&store).await[0];
    store
        .record(store.epoch(), vec![maker.attempted(&row, Next::Delivered)])
        .await
        .unwrap();
    let before = store.delivery(id).await.unwrap().unwrap();
    drop(store);
    as_version_6(&directory);

    let store = directory.sqlite();
    assert_eq!(store.delivery(id).await.unwrap().unwrap(), before);
    let query = DeliveryQuery {
        limit: 10,
        last_attempts: true,
        ..DeliveryQuery::default()
    };
    let listed = store.deliveries(query).await.unwrap().deliveries;
    assert_eq!(listed, [before.summary]);
    maker.pass(std::time::Duration::from_secs(10));
    store.resend(None, id, maker.now).await.unwrap();
    let row = contract::all_pending(&store).await[0];
    assert_eq!(row.attempts, 1);
    store
        .record(store.epoch(), vec![maker.attempted(&row, Next::Delivered)])
        .await
        .unwrap();
    let numbers =
        |attempts: &[crate::delivery::Attempt]| attempts.iter().map(|one| one.number).collect::<Vec<_>>();
    let shown = store.delivery(id).await.unwrap().unwrap();
    assert_eq!(numbers(&shown.attempts), [1, 2]);
    // And those of today when they go back.
    maker.pass(std::time::Duration::from_secs(10));
    store.resend(None, id, maker.now).await.unwrap();
    assert_eq!(
        store.delivery(id).await.unwrap().unwrap().attempts,
        shown.attempts
    );
}
