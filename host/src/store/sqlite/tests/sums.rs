//! Rows that are not what was written: each is named, none is acted on, and no change makes it look whole.

use rusqlite::types::Value;

use super::super::migrations::CONFIGURED;
use super::*;
use crate::checkup::stride::{Place, Stride};
use crate::delivery::{Cause, Change, GivenUp, Pending};
use crate::id::{DeliveryId, RequestId};
use crate::operation::{Kind, Put, Stepped};
use crate::store::{DeliveryQuery, Inspection as _, Operations as _};

/// What a look at everything says is wrong.
async fn faults(store: &SqliteStore) -> Vec<String> {
    let (mut faults, mut next) = (Vec::new(), Some(Place::first()));
    while let Some(place) = next {
        let stride: Stride = store.recount(place).await.unwrap();
        faults.extend(stride.faults);
        next = stride.next;
    }
    faults
}

async fn listed(store: &SqliteStore) -> Vec<DeliveryId> {
    let query = DeliveryQuery {
        limit: 100,
        ..DeliveryQuery::default()
    };
    let page = store.deliveries(query).await.unwrap();
    page.deliveries.iter().map(|delivery| delivery.id).collect()
}

async fn row_of(store: &SqliteStore, delivery: DeliveryId) -> Pending {
    let rows = store.pending(RequestId::from_number(delivery.number() - 1), 1);
    rows.await.unwrap()[0]
}

/// A store with so many deliveries that wait.
async fn waiting(directory: &Directory, maker: &Maker, count: usize) -> (SqliteStore, Vec<DeliveryId>) {
    let store = directory.sqlite();
    let subscriptions: Vec<_> = (0..count).map(|_| maker.subscription()).collect();
    let new = maker.matched(maker.event(None, "{}"), &subscriptions);
    let ids = new.deliveries.iter().map(|delivery| delivery.id).collect();
    contract::done(store.accept(maker.call(vec![new])).await.unwrap());
    (store, ids)
}

async fn record(store: &SqliteStore, change: Change) {
    store.record(store.epoch(), vec![change]).await.unwrap();
}

fn again(maker: &Maker) -> Next {
    Next::Again {
        due_at: maker.now.plus(std::time::Duration::from_secs(9)),
        tries: 1,
        throttles: 1,
    }
}

/// The columns of a table, without the sum, and whether each is a number.
fn columns(conn: &Connection, table: &str) -> Vec<(String, bool)> {
    let mut query = conn
        .prepare("SELECT name, type = 'INTEGER' FROM pragma_table_info(?)")
        .unwrap();
    let found = query.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)));
    let mut columns: Vec<(String, bool)> = found.unwrap().map(Result::unwrap).collect();
    let all = columns.len();
    columns.retain(|(name, _)| name != "sum");
    assert_eq!(columns.len(), all - 1, "{table}");
    columns
}

#[tokio::test]
async fn every_bit_of_a_row_of_the_ledger_counts() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, ids) = waiting(&directory, &maker, 3).await;
    let row = row_of(&store, ids[1]).await;
    let requests = maker.requests(ids[1], 2);
    record(&store, maker.rendered(&row, requests)).await;
    let all = contract::all_pending(&store).await;
    assert_eq!(all.len(), 4);
    assert_eq!(faults(&store).await, Vec::<String>::new());

    let database = directory.database();
    // Only what the tables themselves allow is left to the sums.
    database
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    let damaged = format!("the ledger's row of {}", ids[1]);
    let mut bits = 0;
    for (column, is_number) in columns(&database, "pending") {
        let select = format!("SELECT {column} FROM pending WHERE request = ?");
        let update = format!("UPDATE pending SET {column} = ?2 WHERE request = ?1");
        let number = ids[1].number();
        let before: Value = database.query_row(&select, [number], |row| row.get(0)).unwrap();
        let others: Vec<Value> = match &before {
            // The number by which a row is found stays: it would be another row.
            _ if column == "request" => Vec::new(),
            Value::Integer(before) => (0..63).map(|bit| Value::Integer(before ^ (1 << bit))).collect(),
            Value::Text(text) => {
                let flipped = |at: usize| {
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] ^= 2;
                    Value::Text(String::from_utf8(bytes).unwrap())
                };
                (0..text.len()).map(flipped).collect()
            }
            Value::Blob(blob) => {
                let flipped = |bit: usize| {
                    let mut bytes = blob.clone();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    Value::Blob(bytes)
                };
                (0..blob.len() * 8).map(flipped).collect()
            }
            before => panic!("{column}: {before:?}"),
        };
        assert!(is_number || !matches!(before, Value::Integer(_)));
        for other in others {
            database.execute(&update, (number, &other)).unwrap();
            bits += 1;
            let left = contract::all_pending(&store).await;
            assert!(
                left.len() == 3 && left.iter().all(|row| row.request.number() != number),
                "{column} = {other:?}"
            );
            if bits % 16 == 1 {
                assert!(!listed(&store).await.contains(&ids[1]), "{column} = {other:?}");
                let shown = store.delivery(ids[1]).await;
                assert!(
                    matches!(&shown, Err(Error::Damaged { what }) if what.starts_with("the ledger's row of")),
                    "{column}: {shown:?}"
                );
                let found = faults(&store).await;
                let named =
                    |fault: &String| fault.contains("the ledger's row of") && fault.contains("is damaged");
                assert!(found.iter().any(named), "{column}: {found:?}");
            }
        }
        database.execute(&update, (number, &before)).unwrap();
        assert_eq!(contract::all_pending(&store).await, all, "{column}");
    }
    assert!(bits > 12 * 63, "{bits}");

    // A sum that is gone, or another.
    for other in ["NULL", "sum + 1", "sum - 2147483648"] {
        let damage = format!(
            "UPDATE pending SET sum = {other} WHERE request = {}",
            ids[1].number()
        );
        database.execute_batch("SAVEPOINT damage").unwrap();
        database.execute_batch(&damage).unwrap();
        database.execute_batch("RELEASE damage").unwrap();
        let shown = store.delivery(ids[1]).await;
        assert!(
            matches!(&shown, Err(Error::Damaged { what }) if *what == damaged),
            "{other}: {shown:?}"
        );
    }
}

#[tokio::test]
async fn no_change_makes_a_damaged_row_look_whole() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, ids) = waiting(&directory, &maker, 4).await;
    let rows = contract::all_pending(&store).await;
    directory
        .database()
        .execute_batch(
            "UPDATE pending SET tenant = 77; UPDATE pending SET tries = 4 WHERE request = delivery",
        )
        .unwrap();
    // What is in memory goes on: it is put off, rendered, delivered, and hastened.
    record(&store, maker.attempted(&rows[0], again(&maker))).await;
    record(&store, maker.rendered(&rows[1], maker.requests(ids[1], 3))).await;
    record(&store, maker.attempted(&rows[2], Next::Delivered)).await;
    let refused = store.resend(None, ids[3], maker.now).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    assert!(contract::all_pending(&store).await.is_empty());
    assert!(listed(&store).await.is_empty());
    for id in ids {
        let shown = store.delivery(id).await;
        assert!(matches!(shown, Err(Error::Damaged { .. })), "{shown:?}");
    }
    // Two first rows, three of one delivery, one that ended.
    let found = faults(&store).await;
    let damaged = found.iter().filter(|fault| fault.ends_with("is damaged"));
    assert!(damaged.count() >= 6, "{found:?}");
}

#[tokio::test]
async fn damage_that_a_change_writes_over_stays_named() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, ids) = waiting(&directory, &maker, 1).await;
    let row = row_of(&store, ids[0]).await;
    directory
        .database()
        .execute_batch("UPDATE pending SET tries = 4")
        .unwrap();
    record(&store, maker.attempted(&row, again(&maker))).await;
    // The sum kept the difference, though: better one that is named too many.
    assert!(contract::all_pending(&store).await.is_empty());
}

#[tokio::test]
async fn a_recovery_leaves_out_what_is_damaged() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, ids) = waiting(&directory, &maker, 3).await;
    for row in contract::all_pending(&store).await {
        let failed = Next::Failed {
            cause: Cause::Timeout,
            reason: "no answer".to_owned(),
            given_up: GivenUp::AtOnce,
        };
        record(&store, maker.attempted(&row, failed)).await;
    }
    let damage = "UPDATE delivery_1 SET subscription = subscription + 1 WHERE id = ?";
    directory.database().execute(damage, [ids[1].number()]).unwrap();
    let begun = contract::operations::operation(&maker, Kind::Recover);
    assert!(store.add_operation(begun.clone()).await.unwrap());
    let step = contract::operations::step(&maker, &begun, Put::Again(ids.clone()));
    let Stepped::Moved(moved, rows) = store.step(step).await.unwrap() else {
        panic!("it runs");
    };
    assert_eq!((moved.progress.done, moved.progress.skipped.damaged), (2, 1));
    let sent: Vec<DeliveryId> = rows.iter().map(|row| row.delivery).collect();
    assert_eq!(sent, [ids[0], ids[2]]);
}

#[tokio::test]
async fn a_request_whose_delivery_is_gone_is_named() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, ids) = waiting(&directory, &maker, 1).await;
    let row = row_of(&store, ids[0]).await;
    record(&store, maker.rendered(&row, maker.requests(ids[0], 2))).await;
    directory
        .database()
        .execute_batch("DELETE FROM pending WHERE request = delivery")
        .unwrap();
    let found = faults(&store).await;
    let named =
        |fault: &String| fault.contains("is in the ledger, but its delivery") && fault.contains("know");
    assert!(found.iter().any(named), "{found:?}");
}

#[tokio::test]
async fn history_that_is_not_what_was_written_is_named() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let (store, ids) = waiting(&directory, &maker, 2).await;
    let source = maker.subscription().same_number();
    let receive = maker.received_call(vec![maker.matched(maker.received(Some("a"), "{}"), &[])], source);
    let reception = receive.reception.as_ref().unwrap().id;
    contract::done(store.accept(receive).await.unwrap());
    for (place, id) in ids.iter().enumerate() {
        let row = row_of(&store, *id).await;
        let requests = maker.requests(*id, 1 + place);
        let numbers: Vec<RequestId> = requests.iter().map(|request| request.id).collect();
        record(&store, maker.rendered(&row, requests)).await;
        for request in numbers {
            let rows = contract::all_pending(&store).await;
            let row = rows.iter().find(|row| row.request == request).unwrap();
            record(&store, maker.attempted(row, again(&maker))).await;
            let row = Pending { attempts: 1, ..*row };
            record(&store, maker.attempted(&row, Next::Delivered)).await;
        }
    }
    assert_eq!(faults(&store).await, Vec::<String>::new());
    assert_eq!(listed(&store).await.len(), 2);

    let database = directory.database();
    database
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    let mut values = 0;
    for table in ["attempt", "run", "delivery", "reception"] {
        for (column, is_number) in columns(&database, &format!("{table}_1")) {
            // These are how rows are found; and a body that is not there has nothing to change.
            if ["id", "delivery"].contains(&column.as_str()) {
                continue;
            }
            let changed = match is_number {
                // All other numbers say the same as 1.
                true if column == "rendered" => "1 - rendered".to_owned(),
                true => format!("coalesce({column}, 0) + 2"),
                false => format!(
                    "CAST(coalesce({column}, '') || 'x' AS {})",
                    kind_of(&database, table, &column)
                ),
            };
            database
                .execute_batch("CREATE TEMP TABLE kept AS SELECT 1")
                .unwrap();
            database.execute_batch("DROP TABLE kept").unwrap();
            let all = format!("CREATE TEMP TABLE kept AS SELECT * FROM {table}_1");
            database.execute_batch(&all).unwrap();
            let damage = format!("UPDATE OR IGNORE {table}_1 SET {column} = {changed}");
            let count = database.execute(&damage, []).unwrap();
            assert!(count > 0, "{table}.{column}");
            values += 1;
            let found = faults(&store).await;
            let named = found.iter().filter(|fault| fault.ends_with("is damaged")).count();
            assert_eq!(named, count, "{table}.{column}: {found:?}");
            match table {
                "reception" => {
                    let read = store.reception(reception).await;
                    assert!(matches!(read, Err(Error::Damaged { .. })), "{column}: {read:?}");
                }
                "delivery" => {
                    assert!(listed(&store).await.is_empty(), "{column}");
                    let again = store.resend(None, ids[0], maker.now).await;
                    assert!(matches!(again, Err(Error::Damaged { .. })), "{column}: {again:?}");
                }
                _ => {
                    let read = store.delivery(ids[1]).await;
                    assert!(
                        matches!(read, Err(Error::Damaged { .. })),
                        "{table}.{column}: {read:?}"
                    );
                }
            }
            let restore =
                format!("DELETE FROM {table}_1; INSERT INTO {table}_1 SELECT * FROM kept; DROP TABLE kept");
            database.execute_batch(&restore).unwrap();
        }
    }
    assert!(values > 50, "{values}");
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

fn kind_of(conn: &Connection, table: &str, column: &str) -> String {
    conn.query_row(
        "SELECT type FROM pragma_table_info(?) WHERE name = ?",
        [&format!("{table}_1"), column],
        |row| row.get(0),
    )
    .unwrap()
}

#[tokio::test]
async fn what_is_configured_is_not_read_where_it_is_damaged() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let subscription = Arc::new(contract::config::subscription(&maker, Some("a")));
    store.add_subscription(Arc::clone(&subscription)).await.unwrap();
    let source = contract::sources::source(&maker, "deploys");
    store.add_source(Arc::new(source)).await.unwrap();
    assert_eq!(faults(&store).await, Vec::<String>::new());
    let database = directory.database();
    for table in CONFIGURED {
        assert!(columns(&database, table).len() > 2);
        let unsummed = format!("SELECT count(*) FROM {table} WHERE sum IS NULL");
        let unsummed: i64 = database.query_row(&unsummed, [], |row| row.get(0)).unwrap();
        assert_eq!(unsummed, 0, "{table}");
    }
    // A pattern that is a pattern still.
    database
        .execute_batch(
            "UPDATE subscription SET document = replace(document, 'alert.*', 'blert.*');
             UPDATE tenant SET name = 'defaulu';
             UPDATE source SET name = 'deployt'",
        )
        .unwrap();
    let read = store.subscriptions().await;
    let name = subscription.id.to_string();
    assert!(
        matches!(&read, Err(Error::Damaged { what }) if *what == name),
        "{read:?}"
    );
    assert!(matches!(store.tenants().await, Err(Error::Damaged { .. })));
    assert!(matches!(store.sources().await, Err(Error::Damaged { .. })));
    let changed = store
        .update_subscription(subscription, 1, crate::store::Row::GoesOn)
        .await;
    assert!(
        matches!(changed, Err(Error::Damaged { .. } | Error::Changed)),
        "{changed:?}"
    );
    let found = faults(&store).await;
    for table in ["subscription", "tenant", "source"] {
        let named = |fault: &String| fault.contains(&format!("the table {table} ("));
        assert!(found.iter().any(named), "{table}: {found:?}");
    }
}
