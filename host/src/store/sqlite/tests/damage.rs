//! Files that are not what was written.

use super::super::{OpenError, accept, fingerprint, schema};
use super::Directory;
use crate::store::contract::{self, Backend as _, Maker, Size};
use crate::store::{Error, Store as _, files};

#[test]
fn a_damaged_structure_is_refused() {
    let directory = Directory::new(Size::Usual);
    drop(directory.sqlite());
    let path = directory.dir.path().join(files::DATABASE);
    let mut bytes = std::fs::read(&path).unwrap();
    let page = usize::try_from(schema::PAGE_BYTES).unwrap();
    // The second page is the root of the first table.
    bytes[page..page + 64].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = directory.open_error();
    assert!(
        matches!(&error, OpenError::Damaged { .. }) && error.to_string().contains(files::DATABASE),
        "{error:?}"
    );
    std::fs::write(&path, vec![0xa5; 2 * page]).unwrap();
    assert!(matches!(directory.open_error(), OpenError::Damaged { .. }));
}

#[test]
fn a_database_that_was_lost_is_not_made_anew() {
    let directory = Directory::new(Size::Usual);
    drop(directory.sqlite());
    let path = directory.dir.path().join(files::DATABASE);
    let log = directory.dir.path().join("hookway.db-wal");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(directory.open_error(), OpenError::Lost { .. }));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(directory.open_error(), OpenError::Lost { .. }));
    assert!(!path.exists());
    // A log without its database says the same, and stays.
    std::fs::write(directory.dir.path().join(files::LOCK), b"").unwrap();
    std::fs::write(&log, [0; 32]).unwrap();
    assert!(matches!(directory.open_error(), OpenError::Lost { .. }));
    assert!(log.exists() && !path.exists());
    std::fs::remove_file(&log).unwrap();
    std::fs::write(&path, whole).unwrap();
    drop(directory.sqlite());
}

#[test]
fn a_database_of_which_nothing_is_left_is_not_made_anew() {
    let directory = Directory::new(Size::Usual);
    drop(directory.sqlite());
    let path = directory.dir.path().join(files::DATABASE);
    std::fs::remove_file(&path).unwrap();
    // As one is whose first transactions stood in a log that is damaged: whole, and empty.
    directory
        .database()
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); DROP TABLE t")
        .unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
    assert!(matches!(directory.open_error(), OpenError::Lost { .. }));
    std::fs::write(directory.dir.path().join(files::LOCK), b"").unwrap();
    drop(directory.sqlite());
}

#[tokio::test]
async fn rows_of_earlier_versions_are_told_by_their_content() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let new = maker.matched(maker.event(None, "old"), &[]);
    contract::done(store.accept(maker.call(vec![new.clone()])).await.unwrap());
    drop(store);
    let content = fingerprint::of_event(&new.event);
    let database = directory.database();
    database
        .execute("UPDATE event_1 SET hash = ?", [content])
        .unwrap();
    let store = directory.sqlite();
    assert!(store.event(new.event.id).await.unwrap().is_some());
    drop(store);
    // What is not content counts too in rows of today.
    let hash = accept::of_row(&new, &content);
    database
        .execute(
            "UPDATE event_1 SET hash = ?, received_at = received_at + 1",
            [hash],
        )
        .unwrap();
    let store = directory.sqlite();
    assert!(matches!(
        store.event(new.event.id).await,
        Err(Error::Damaged { .. })
    ));
}

#[tokio::test]
async fn a_changed_byte_is_never_delivered() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let new = maker.matched(maker.event(None, "ORIGINAL"), &[maker.subscription()]);
    contract::done(store.accept(maker.call(vec![new.clone()])).await.unwrap());
    let row = contract::all_pending(&store).await[0];
    let requests = maker.requests(row.delivery, 1);
    store
        .record(store.epoch(), vec![maker.rendered(&row, requests)])
        .await
        .unwrap();
    drop(store);

    let change = "UPDATE event_1 SET data = CAST('0RIGINAL' AS BLOB);
                  UPDATE request_1 SET body = CAST('{\"part\":1}' AS BLOB)";
    directory.database().execute_batch(change).unwrap();
    let store = directory.sqlite();
    let event = store.events_by_id(vec![new.event.id]).await;
    assert!(
        matches!(&event, Err(Error::Damaged { what }) if *what == new.event.id.to_string()),
        "{event:?}"
    );
    let request = store.request(row.request).await;
    assert!(matches!(&request, Err(Error::Damaged { what }) if *what == row.request.to_string()));
    // What is damaged is one event; the store goes on.
    let other = maker.matched(maker.event(None, "fine"), &[]);
    contract::done(store.accept(maker.call(vec![other.clone()])).await.unwrap());
    assert!(store.event(other.event.id).await.unwrap().is_some());
}
