//! The contract on SQLite, and what only this backend promises.

mod apart;
mod damage;
mod expiry;
mod keys;
mod migrations;
mod reach;
mod sums;

use std::path::Path;
use std::sync::{Arc, mpsc};

use rusqlite::{Connection, ffi};
use tempfile::TempDir;

use super::writer::Kind;
use super::{OpenError, SqliteOptions, SqliteStore};
use crate::delivery::Next;
use crate::store::contract::{self, Backend, Maker, Size};
use crate::store::{Error, Store, files};
use crate::time::Timestamp;

/// A data directory that goes with the test.
struct Directory {
    dir: TempDir,
    size: Size,
}

impl Directory {
    fn options(&self, now: Timestamp) -> SqliteOptions {
        let segment_bytes = match self.size {
            Size::Usual => super::SEGMENT_BYTES_DEFAULT,
            Size::Tiny => 2_000,
        };
        SqliteOptions {
            segment_bytes,
            ..SqliteOptions::new(self.dir.path(), now)
        }
    }

    fn sqlite(&self) -> SqliteStore {
        SqliteStore::open(&self.options(contract::START)).unwrap()
    }

    /// The database, opened beside the store or after it.
    fn database(&self) -> Connection {
        Connection::open(self.dir.path().join(files::DATABASE)).unwrap()
    }

    fn open_error(&self) -> OpenError {
        SqliteStore::open(&self.options(contract::START)).unwrap_err()
    }
}

impl Backend for Directory {
    fn new(size: Size) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            size,
        }
    }

    fn open(&self, now: Timestamp) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.options(now)).unwrap())
    }
}

contract::contract_tests! { Directory }

#[test]
fn a_second_process_is_refused() {
    let directory = Directory::new(Size::Usual);
    let first = directory.sqlite();
    let error = directory.open_error();
    assert!(
        matches!(error, OpenError::Files(files::Error::InUse { .. })),
        "{error:?}"
    );
    drop(first);
    drop(directory.sqlite());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = Directory::new(Size::Usual);
    drop(directory.sqlite());
    directory
        .database()
        .pragma_update(None, "user_version", 1_000)
        .unwrap();
    let error = directory.open_error();
    assert!(
        matches!(error, OpenError::Newer { found: 1_000, .. }),
        "{error:?}"
    );
    let version = directory
        .database()
        .pragma_query_value(None, "user_version", |row| row.get(0));
    assert_eq!(version, Ok(1_000));
}

#[test]
fn a_database_of_another_program_is_refused() {
    let directory = Directory::new(Size::Usual);
    let key = directory.dir.path().join(files::SECRETS_KEY);
    std::fs::write(key, "00".repeat(32)).unwrap();
    directory
        .database()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    assert!(matches!(directory.open_error(), OpenError::NotOurs));
}

#[test]
fn a_wrong_or_missing_key_is_refused() {
    let directory = Directory::new(Size::Usual);
    drop(directory.sqlite());
    let key = directory.dir.path().join(files::SECRETS_KEY);
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    assert!(matches!(directory.open_error(), OpenError::WrongKey));
    std::fs::remove_file(&key).unwrap();
    let error = directory.open_error();
    assert!(
        matches!(error, OpenError::Files(files::Error::KeyMissing { .. })),
        "{error:?}"
    );
    std::fs::write(&key, right).unwrap();
    drop(directory.sqlite());
}

#[tokio::test]
async fn damaged_headers_do_not_hold_an_event_back() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let new = maker.matched(maker.received(None, "{}"), &[maker.subscription()]);
    contract::done(store.accept(maker.call(vec![new.clone()])).await.unwrap());
    drop(store);
    directory
        .database()
        .execute_batch("UPDATE event_1 SET headers = x'ffffffff00'")
        .unwrap();
    let store = directory.sqlite();
    let read = store.event(new.event.id).await.unwrap().unwrap().event;
    assert_eq!((&read.data, &read.headers[..]), (&new.event.data, &[][..]));
}

#[tokio::test]
async fn secrets_are_not_in_the_file() {
    let directory = Directory::new(Size::Usual);
    let store = directory.sqlite();
    let subscription = contract::config::subscription(&Maker::new(), None);
    store.add_subscription(Arc::new(subscription)).await.unwrap();
    let source = contract::sources::source(&Maker::new(), "deploys");
    store.add_source(Arc::new(source)).await.unwrap();
    store.close().await.unwrap();
    let bytes = std::fs::read(directory.dir.path().join(files::DATABASE)).unwrap();
    let contains = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(contains(b"Alerts to Slack") && contains(b"Every deploy"));
    assert!(!contains(b"T0KEN") && !contains(b"t0ken"));
}

/// Copies what a machine that loses power now would find, with the torn end of an unfinished write.
async fn crash_image(store: &SqliteStore, from: &Path, to: &Path) {
    let (from, to) = (from.to_owned(), to.to_owned());
    let copy = move |_: &mut super::work::Work<'_>| {
        for file in [files::DATABASE, "hookway.db-wal", files::SECRETS_KEY] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let wal = std::fs::OpenOptions::new()
            .append(true)
            .open(to.join("hookway.db-wal"))
            .unwrap();
        std::io::Write::write_all(&mut &wal, &[0x5a; 5_000]).unwrap();
        Ok(())
    };
    // On the writer's thread, so that nothing moves meanwhile.
    store.queue.call(Kind::Ingest, 0, copy).await.unwrap();
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let directory = Directory::new(Size::Tiny);
    let maker = Maker::new();
    let store = directory.sqlite();
    let subscription = maker.subscription();
    for round in 0..8 {
        let calls = (0..20).map(|n| {
            let event = maker.event(Some(&format!("{round}-{n}")), &"x".repeat(200));
            store.accept(maker.call(vec![maker.matched(event, &[subscription])]))
        });
        let mut acknowledged = Vec::new();
        for answer in futures_util::future::join_all(calls).await {
            acknowledged.push(contract::done(answer.unwrap())[0].id);
        }
        let rows = contract::all_pending(&store).await;
        let half = rows
            .iter()
            .step_by(2)
            .map(|row| maker.attempted(row, Next::Delivered));
        store.record(store.epoch(), half.collect()).await.unwrap();

        let image = Directory::new(Size::Tiny);
        crash_image(&store, directory.dir.path(), image.dir.path()).await;
        let after = image.sqlite();
        assert_eq!(
            after.counters(None).await.unwrap(),
            store.counters(None).await.unwrap()
        );
        assert_eq!(
            contract::all_pending(&after).await,
            contract::all_pending(&store).await
        );
        let bodies = after.events_by_id(acknowledged).await.unwrap();
        assert!(bodies.iter().all(Option::is_some));
        assert!(after.epoch() > store.epoch());
        let ok: String = image
            .database()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(ok, "ok");
    }
}

/// Keeps the writer busy until the sender is dropped, so that what comes meanwhile is one batch.
fn hold(
    store: &SqliteStore,
) -> (
    mpsc::SyncSender<()>,
    impl Future<Output = crate::store::Result<()>> + '_,
) {
    let (release, held) = mpsc::sync_channel::<()>(1);
    let wait = move |_: &mut super::work::Work<'_>| {
        let _ = held.recv();
        Ok(())
    };
    (release, store.queue.call(Kind::Outcome, 0, wait))
}

#[tokio::test]
async fn outcomes_land_on_a_full_disk() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let subscription = maker.subscription();
    let event = || maker.matched(maker.event(Some("again"), "{}"), &[subscription]);
    contract::done(store.accept(maker.call(vec![event()])).await.unwrap());
    let row = contract::all_pending(&store).await[0];
    let room = |pages: i64| {
        let limit = move |work: &mut super::work::Work<'_>| {
            let used: i64 = work
                .conn
                .pragma_query_value(None, "page_count", |row| row.get(0))?;
            let _: i64 =
                work.conn
                    .query_row(&format!("PRAGMA max_page_count = {}", used + pages), [], |row| {
                        row.get(0)
                    })?;
            Ok(())
        };
        store.queue.call(Kind::Outcome, 0, limit)
    };
    room(6).await.unwrap();

    let (release, held) = hold(&store);
    let large = maker.matched(maker.event(Some("large"), &"x".repeat(1 << 20)), &[subscription]);
    let ingest = store.accept(maker.call(vec![large.clone()]));
    let outcome = store.record(store.epoch(), vec![maker.attempted(&row, Next::Delivered)]);
    let all = futures_util::future::join3(held, ingest, outcome);
    drop(release);
    let (held, ingest, outcome) = all.await;
    held.unwrap();
    assert!(matches!(ingest, Err(Error::Full(_))), "{ingest:?}");
    outcome.unwrap();
    assert!(contract::all_pending(&store).await.is_empty());
    assert_eq!(store.counters(None).await.unwrap().created, 1);

    // There is room again: the same store goes on, and what was refused was not seen.
    room(1_000).await.unwrap();
    assert!(!contract::done(store.accept(maker.call(vec![large])).await.unwrap())[0].duplicate);
}

#[tokio::test]
async fn a_failed_sync_ends_the_writer() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let call = || maker.call(vec![maker.matched(maker.event(None, "{}"), &[])]);
    contract::done(store.accept(call()).await.unwrap());
    let fail = |_: &mut super::work::Work<'_>| {
        let code = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
        Err::<(), _>(rusqlite::Error::SqliteFailure(code, None).into())
    };
    let (release, held) = hold(&store);
    let failing = store.queue.call(Kind::Outcome, 0, fail);
    let all = futures_util::future::join3(held, failing, store.accept(call()));
    drop(release);
    let (_, failed, beside) = all.await;
    assert!(matches!(failed, Err(Error::Backend(_))));
    assert!(beside.is_err(), "nobody may believe that it was written");
    assert!(matches!(store.accept(call()).await, Err(Error::Closed)));
    drop(store);
    // The next start decides by the WAL.
    let store = directory.sqlite();
    let query = crate::store::EventQuery {
        limit: 10,
        ..Default::default()
    };
    assert_eq!(store.events(query).await.unwrap().len(), 1);
}

/// Looks once whether something is ready.
fn poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}

#[tokio::test]
async fn ingest_leaves_room_for_outcomes() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    let event = maker.matched(maker.event(None, "{}"), &[maker.subscription()]);
    contract::done(store.accept(maker.call(vec![event])).await.unwrap());
    let row = contract::all_pending(&store).await[0];

    let (release, held) = hold(&store);
    let mut held = Box::pin(held);
    assert!(poll(&mut held).is_pending());
    let mut waiting = Vec::new();
    let busy = loop {
        let mut accept = store.accept(maker.call(Vec::new()));
        match poll(&mut accept) {
            std::task::Poll::Ready(answer) => break answer,
            std::task::Poll::Pending => waiting.push(accept),
        }
        assert!(waiting.len() < 100_000, "the queue has no end");
    };
    assert!(matches!(busy, Err(Error::Busy)));
    let mut outcome = store.record(store.epoch(), vec![maker.attempted(&row, Next::Delivered)]);
    assert!(poll(&mut outcome).is_pending());
    drop(release);
    outcome.await.unwrap();
    for accept in waiting {
        accept.await.unwrap();
    }
    held.await.unwrap();
    contract::done(store.accept(maker.call(Vec::new())).await.unwrap());
}

#[tokio::test]
async fn a_second_owner_fences_the_first() {
    let directory = Directory::new(Size::Usual);
    let maker = Maker::new();
    let store = directory.sqlite();
    // As if the lock had not worked.
    directory
        .database()
        .execute_batch("UPDATE owner SET epoch = epoch + 1")
        .unwrap();
    let refused = store
        .accept(maker.call(vec![maker.matched(maker.event(None, "{}"), &[])]))
        .await;
    assert!(matches!(refused, Err(Error::Fenced)), "{refused:?}");
    // Not even for a moment, within the transaction.
    let begun = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&begun);
    let run = move |_: &mut super::work::Work<'_>| {
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    };
    let refused = store.queue.call(Kind::Outcome, 0, run).await;
    assert!(matches!(refused, Err(Error::Fenced)), "{refused:?}");
    assert!(!begun.load(std::sync::atomic::Ordering::SeqCst));
    let left = directory
        .database()
        .query_row("SELECT count(*) FROM segment", [], |row| row.get(0));
    assert_eq!(left, Ok(0));
}

#[tokio::test]
async fn the_writer_syncs_and_checkpoints_by_itself() {
    let directory = Directory::new(Size::Usual);
    let store = directory.sqlite();
    let settings = |work: &mut super::work::Work<'_>| {
        let get = |name| {
            work.conn
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        Ok((get("synchronous")?, get("wal_autocheckpoint")?, get("page_size")?))
    };
    let (synchronous, autocheckpoint, page) = store.queue.call(Kind::Ingest, 0, settings).await.unwrap();
    assert_eq!((synchronous, autocheckpoint, page), (2, 0, 8_192));

    // Far more than the threshold goes through the WAL, and it stays small.
    let maker = Maker::new();
    for _ in 0..24 {
        let new = maker.matched(maker.event(None, &"x".repeat(2 << 20)), &[]);
        contract::done(store.accept(maker.call(vec![new])).await.unwrap());
    }
    let wal = directory.dir.path().join("hookway.db-wal");
    let bytes = std::fs::metadata(&wal).unwrap().len();
    assert!(bytes < 16 << 20, "{bytes}");
    store.close().await.unwrap();
    assert!(!wal.exists());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_history_agrees_with_the_model(steps in contract::histories::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(contract::histories::agrees::<Directory>(steps));
    }
}
