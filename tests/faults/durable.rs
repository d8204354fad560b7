//! Events whose content follows from a number, and whether a data directory has those that were acknowledged.

use std::path::Path;
use std::sync::Arc;

use hookway::store::Store as _;
use hookway::store::sqlite::{SqliteOptions, SqliteStore};
use hookway::time::Timestamp;

use crate::support::TestRouter;
use crate::vfs::Disk;

/// An event that was acknowledged: its id, and the number that its content follows from.
pub type Acknowledged = (String, u64);

/// What was looked for, and what of it was not there as it should be.
#[derive(Debug, Default)]
pub struct Looked {
    pub events: usize,
    pub lost: usize,
    pub wrong: usize,
}

/// A router on a disk that the test holds.
pub async fn router_on(prepare: impl FnOnce(&Disk)) -> (TestRouter, Arc<Disk>) {
    let mut disk = None;
    let router = TestRouter::with(|config| {
        let held = Disk::below(&config.data_dir);
        prepare(&held);
        disk = Some(held);
    });
    let router = router.await;
    (router, disk.expect("made before the start"))
}

/// The data of event `n`; its length is between a line and several pages.
pub fn data_of(n: u64) -> String {
    let pad = "x".repeat(usize::try_from(n * 7_919 % 30_011).expect("small"));
    format!(r#"{{"n":{n},"mark":"mark-{n:016x}","pad":"{pad}"}}"#)
}

/// Sends event `n`; gives its id where it was acknowledged, and otherwise the answer's status, which must
/// say that the fault is ours.
pub async fn send(router: &TestRouter, n: u64) -> Result<String, u16> {
    let body = format!(r#"{{"type":"load.made","data":{}}}"#, data_of(n));
    let json = [("content-type", "application/json")];
    let answer = router.call_raw("POST", "/api/v1/events", &json, body).await;
    match answer.status {
        202 => Ok(answer.str("/id")),
        status => {
            assert!(status >= 500, "{}", answer.text);
            Err(status)
        }
    }
}

/// Opens the store of a directory that is nobody's now: every event, the counters, the whole file.
pub async fn look_at(path: &Path, acknowledged: &[Acknowledged], looked: &mut Looked) -> Result<(), String> {
    let options = SqliteOptions::new(path, Timestamp::from_millis(1_779_208_200_000));
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&options)).await;
    let store = opened
        .expect("it does not panic")
        .map_err(|error| format!("{error:?}"))?;
    for (id, n) in acknowledged {
        looked.events += 1;
        match store.event(id.parse().expect("an id")).await {
            Ok(Some(event)) if event.event.data == data_of(*n).as_bytes() => {}
            Ok(Some(_)) => looked.wrong += 1,
            Ok(None) => looked.lost += 1,
            Err(error) => return Err(format!("{id}: {error:?}")),
        }
    }
    let counters = store.counters(None).await.map_err(|error| format!("{error:?}"))?;
    store.close().await.map_err(|error| format!("{error:?}"))?;
    drop(store);
    let database = rusqlite::Connection::open(path.join("hookway.db")).map_err(|error| error.to_string())?;
    let one = |sql: &str| {
        database
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .map_err(|error| error.to_string())
    };
    let verdict = one("PRAGMA integrity_check")?;
    if verdict != "ok" {
        return Err(verdict);
    }
    let pending = one("SELECT cast(count(*) AS TEXT) FROM pending")?;
    let ended = counters.delivered + counters.filtered + counters.failed;
    if counters.pending.to_string() != pending || counters.created != ended + counters.pending {
        return Err(format!("{counters:?}, but {pending} rows are pending"));
    }
    Ok(())
}
