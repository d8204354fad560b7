//! Files that are not what was written: refused with a reason, or only right bytes are served.
//!
//! A router is stopped, or ends without a stop, with deliveries that were made, that wait for their next try,
//! and that wait with what a plugin made. Its files are damaged as a seed says: flipped bits and bytes, a cut
//! end, zeroed pages, swapped pages, a sector of something else. Then a router starts on them. It may refuse,
//! with a text that names the file; or serve, and then each event that it gives must be the event that it
//! gave before, to the last field, each delivery that had ended must be told as before, with its attempts and
//! runs, and each request that it sends must have the body that this `webhook-id` had before. What it cannot
//! give it must say, and a delivery whose data is damaged fails and says so.
//!
//! Control: the same files read without the router's checks. SQLite has no checksums; it calls files sound
//! whose bodies are wrong, and those are what the checks are for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::extent::Extent;
use crate::panics;
use crate::support::receiver::Received;
use crate::support::{Receiver, Reply, TestRouter};
use crate::vfs::copy_of;
use crate::wrap;

/// Events in the files.
const EVENTS: u64 = 40;
/// Longest that a start or an end may take on damaged files; the usual one is far below a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// The size of the database's pages.
const PAGE: usize = 8_192;

/// Files with a past, and what it was.
struct Past {
    dir: tempfile::TempDir,
    size: Size,
    receiver: Receiver,
    /// By number: the event as the API showed it.
    events: BTreeMap<String, (u64, Value)>,
    /// Those that had ended, as the API showed them.
    deliveries: BTreeMap<String, Value>,
    /// By `webhook-id`: the body that was sent.
    bodies: BTreeMap<String, (String, Vec<u8>)>,
}

/// What became of damaged files.
#[derive(Debug, Default)]
struct Found {
    refused: usize,
    served: usize,
    /// Events that were given as they were.
    right: usize,
    /// Events that were not given, with an error that says so.
    withheld: usize,
    /// Deliveries that were told as before, and such that were not told, with an error that says so.
    told: usize,
    untold: usize,
    /// Deliveries of whose history rows cannot be found any more; what is shown of them is right.
    less: usize,
    /// Events that are not there: the end of a log that is damaged is where it was cut, for all that anybody
    /// can tell, so what came behind that is gone.
    missing: usize,
    /// Events that are not there although the log is as it was.
    vanished: Vec<String>,
    /// Requests that were sent as before.
    sent: usize,
    /// Deliveries that failed because their data is damaged.
    failed: usize,
    wrong: Vec<String>,
    /// Refusals that name no file.
    poor: Vec<String>,
}

/// How a router is left before its files are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// In order: everything is in the database.
    Clean,
    /// Suddenly: most of it is in the log.
    Sudden,
}

/// How much there is in each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// A line: damage meets what is said about events more often than their bodies.
    Line,
    /// Up to several pages.
    Pages,
}

/// The data of event `n`.
fn data_of(n: u64, size: Size) -> String {
    let length = match size {
        Size::Line => 20 + n % 50,
        Size::Pages => n * 7_919 % 30_011,
    };
    let pad = "x".repeat(usize::try_from(length).expect("small"));
    format!(r#"{{"n":{n},"pad":"{pad}"}}"#)
}

/// Makes a past.
async fn past(stop: Stop, size: Size) -> Past {
    let dir = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start().await;
    let mut router = TestRouter::start().await;
    let component = wat::parse_str(wrap::component(include_str!("../guests/echo.wat"))).expect("it is text");
    let wasm = [("content-type", "application/wasm")];
    let pushed = router
        .call_raw("PUT", "/api/v1/plugins/echo", &wasm, component)
        .await;
    assert!(matches!(pushed.status, 200 | 201), "{}", pushed.text);
    let shaping = json!([{"name": "echo"}]);
    for (name, path, plugins) in [
        ("made", "made", json!([])),
        ("waits", "waits", json!([])),
        ("shaped", "shaped", shaping),
    ] {
        let url = receiver.url().replace("/hook", &format!("/{path}"));
        let body = json!({"name": name, "url": url, "events": ["load.*"], "plugins": plugins});
        router.subscribe(&body).await;
    }
    let mut events = BTreeMap::new();
    for n in 0..EVENTS {
        // The first half is delivered everywhere; the second waits everywhere.
        if n == EVENTS / 2 {
            router.settle().await;
            receiver.now_answer(Reply::Status(500));
        }
        let body = format!(
            r#"{{"type":"load.made","subject":"number {n}","id":"{n}","data":{}}}"#,
            data_of(n, size)
        );
        let json = [("content-type", "application/json")];
        let answer = router.call_raw("POST", "/api/v1/events", &json, body).await;
        events.insert(answer.expect(202).str("/id"), (n, Value::Null));
    }
    router.settle().await;
    for (id, (_, shown)) in &mut events {
        *shown = router.get(&format!("/api/v1/events/{id}")).await.expect(200).body;
    }
    let ended = router.get("/api/v1/deliveries?status=delivered&limit=100").await;
    let mut deliveries = BTreeMap::new();
    for delivery in ended.expect(200).body["data"].as_array().expect("a list") {
        let id = delivery["id"].as_str().expect("an id").to_owned();
        let shown = router.get(&format!("/api/v1/deliveries/{id}")).await;
        deliveries.insert(id, shown.expect(200).body);
    }
    match stop {
        Stop::Clean => router.stop().await,
        Stop::Sudden => {}
    }
    copy_of(&router.data_dir(), dir.path(), |name| !name.ends_with("-shm"));
    let bodies = receiver.received().into_iter().map(|request| {
        let body = request.body.to_vec();
        (request.header("webhook-id").to_owned(), (request.path, body))
    });
    Past {
        dir,
        bodies: bodies.collect(),
        size,
        receiver,
        events,
        deliveries,
    }
}

/// A place that is not empty, if one is found: most of a small database is.
fn used(bytes: &[u8], chance: &mut Chance) -> usize {
    let mut at = chance.index(bytes.len());
    for _ in 0..32 {
        if bytes[at] != 0 {
            break;
        }
        at = chance.index(bytes.len());
    }
    at
}

/// Damages one of the files of a directory, and says how.
fn damage(dir: &Path, chance: &mut Chance) -> String {
    let mut files: Vec<PathBuf> = vec![dir.join("hookway.db")];
    let log = dir.join("hookway.db-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        files.push(log);
    }
    let file = files.swap_remove(chance.index(files.len()));
    let mut bytes = std::fs::read(&file).expect("it is there");
    let pages = bytes.len() / PAGE;
    let what = match chance.below(6) {
        0 => {
            let count = 1 + chance.index(8);
            for _ in 0..count {
                let at = used(&bytes, chance);
                bytes[at] ^= 1 << chance.below(8);
            }
            format!("{count} bits flipped")
        }
        1 => {
            let count = 1 + chance.index(64);
            for _ in 0..count {
                let at = used(&bytes, chance);
                bytes[at] = bytes[at].wrapping_add(1 + chance.below(255).to_le_bytes()[0]);
            }
            format!("{count} bytes changed")
        }
        2 => {
            let length = if chance.once_in(4) {
                0
            } else {
                chance.index(bytes.len())
            };
            bytes.truncate(length);
            format!("cut to {length} bytes")
        }
        3 => {
            let page = chance.index(pages.max(1));
            let end = ((page + 1) * PAGE).min(bytes.len());
            bytes[page * PAGE..end].fill(0);
            format!("page {} zeroed", page + 1)
        }
        4 if pages > 1 => {
            let (one, other) = (chance.index(pages), chance.index(pages));
            for at in 0..PAGE {
                bytes.swap(one * PAGE + at, other * PAGE + at);
            }
            format!("pages {} and {} swapped", one + 1, other + 1)
        }
        _ => {
            let at = chance.index(bytes.len().saturating_sub(512));
            let end = (at + 512).min(bytes.len());
            bytes[at..end]
                .iter_mut()
                .for_each(|byte| *byte = chance.next().to_le_bytes()[0]);
            format!("a sector of something else at {at}")
        }
    };
    std::fs::write(&file, bytes).expect("it is written");
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    format!("{name}: {what}")
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Starts a router on damaged files, if it lets itself, and compares what it says and sends with the past.
async fn serve(past: &Past, data: &Path, how: &str, found: &mut Found) {
    past.receiver.now_answer(Reply::Status(200));
    let before = past.receiver.received().len();
    let starting = TestRouter::try_with(|config| data.clone_into(&mut config.data_dir));
    let started = tokio::time::timeout(PATIENCE, starting).await;
    let mut router = match started.unwrap_or_else(|_| panic!("{how}: the start hangs")) {
        Ok(router) => router,
        Err(error) => {
            let text = chain(&error);
            if !text.contains("hookway.db") {
                found.poor.push(format!("{how}: {text}"));
            }
            found.refused += 1;
            return;
        }
    };
    found.served += 1;
    for _ in 0..3 {
        router.clock.advance(Duration::from_secs(60));
        let settled = router.router().settled();
        if tokio::time::timeout(Duration::from_secs(1), settled)
            .await
            .is_ok()
        {
            break;
        }
    }
    for (id, (n, shown)) in &past.events {
        let answer = router.get(&format!("/api/v1/events/{id}")).await;
        match answer.status {
            200 if answer.body == *shown => found.right += 1,
            200 => found
                .wrong
                .push(format!("{how}: event {n} is shown as {:.300}", answer.text)),
            404 if how.contains("-wal") => found.missing += 1,
            404 => found.vanished.push(format!("{how}: event {n}")),
            500.. => found.withheld += 1,
            _ => panic!("{how}: {}", answer.text),
        }
    }
    for (id, shown) in &past.deliveries {
        let answer = router.get(&format!("/api/v1/deliveries/{id}")).await;
        match answer.status {
            200 if answer.body == *shown => found.told += 1,
            200 if has_less(&answer.body, shown) => found.less += 1,
            // Its outcome was behind the damage in the log, so it was sent again.
            200 if how.contains("-wal") => found.missing += 1,
            200 => found.wrong.push(format!(
                "{how}: {id} is shown as {:.3000}, and was {:.3000}",
                answer.text,
                shown.to_string()
            )),
            404 if how.contains("-wal") => found.missing += 1,
            404 => found.vanished.push(format!("{how}: {id}")),
            500.. => found.untold += 1,
            _ => panic!("{how}: {}", answer.text),
        }
    }
    let failed = router.get("/api/v1/deliveries?status=failed&limit=100").await;
    found.failed += failed.body["data"].as_array().map_or(0, Vec::len);
    let ended = tokio::time::timeout(PATIENCE, router.end()).await;
    // Files that are damaged need not close well.
    let _ended = ended.unwrap_or_else(|_| panic!("{how}: the end hangs"));
    for request in &past.receiver.received()[before..] {
        found.sent += 1;
        if let Some(why) = differs(past, request) {
            found.wrong.push(format!("{how}: {why}"));
        }
    }
}

/// Whether all that is shown of a delivery is as it was, and only rows of its history are not there: they are
/// found by their keys, and one whose key was damaged is found by nobody but `doctor --full`.
fn has_less(now: &Value, before: &Value) -> bool {
    let (Some(now), Some(before)) = (now.as_object(), before.as_object()) else {
        return false;
    };
    let some_of = |now: &Value, before: &Value| {
        let (Some(now), Some(before)) = (now.as_array(), before.as_array()) else {
            return false;
        };
        // Where a request went is known by its attempts.
        let says_less = |now: &Value, before: &Value| match (now.as_object(), before.as_object()) {
            (Some(now), Some(before)) => now
                .iter()
                .all(|(name, now)| now.is_null() || before.get(name) == Some(now)),
            _ => false,
        };
        now.iter()
            .all(|one| before.iter().any(|before| says_less(one, before)))
    };
    before.iter().all(|(name, before)| {
        let now = now.get(name).unwrap_or(&Value::Null);
        match name.as_str() {
            "attempts" | "plugin_runs" | "requests" => some_of(now, before),
            "last_attempt_at" | "last_duration_ms" => now.is_null() || now == before,
            _ => now == before,
        }
    })
}

/// How a request differs from what was sent under its id before.
fn differs(past: &Past, request: &Received) -> Option<String> {
    let id = request.header("webhook-id");
    let Some((path, body)) = past.bodies.get(id) else {
        return Some(format!("a request to {} under the new id {id}", request.path));
    };
    let same = *path == request.path && *body == request.body;
    (!same).then(|| {
        let (was, is) = (
            String::from_utf8_lossy(body),
            String::from_utf8_lossy(&request.body),
        );
        format!("{id} was {path} {was:.200} and is {} {is:.200}", request.path)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_refused_or_only_right_bytes_are_served() {
    panics::remember();
    let seeds = Extent::wanted().of(60, 500);
    let pasts = [
        past(Stop::Clean, Size::Line).await,
        past(Stop::Clean, Size::Pages).await,
        past(Stop::Sudden, Size::Line).await,
    ];
    let mut found = Found::default();
    for seed in 0..seeds {
        let mut chance = Chance::of(seed);
        let past = &pasts[chance.index(pasts.len())];
        let dir = tempfile::tempdir().expect("a directory");
        copy_of(past.dir.path(), dir.path(), |_| true);
        let how = format!("seed {seed}, {}", damage(dir.path(), &mut chance));
        serve(past, dir.path(), &how, &mut found).await;
    }
    println!(
        "corruption: {seeds} seeds, {} refused, {} served: {} events right, {} withheld, {} deliveries told, {} \
         withheld, {} with less of their history, {} of both behind the damage in a log, {} vanished; {} requests sent, {} deliveries failed, {} wrong",
        found.refused,
        found.served,
        found.right,
        found.withheld,
        found.told,
        found.untold,
        found.less,
        found.missing,
        found.vanished.len(),
        found.sent,
        found.failed,
        found.wrong.len()
    );
    assert!(
        found.wrong.is_empty() && found.poor.is_empty(),
        "{:#?} {:#?}",
        found.wrong,
        found.poor
    );
    panics::none();
    assert!(
        found.refused > 0 && found.served > 0 && found.sent > 0 && found.told > 0,
        "it shows nothing: {found:?}"
    );
}

/// Bodies of events that are not what was stored, in a file that SQLite calls sound.
fn wrong_and_unnoticed(past: &Past, data: &Path) -> Result<usize, rusqlite::Error> {
    let database = rusqlite::Connection::open(data.join("hookway.db"))?;
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(0);
    }
    let mut query = database.prepare("SELECT id, data FROM event_1")?;
    let mut rows = query.query([])?;
    let mut wrong = 0;
    while let Some(row) = rows.next()? {
        let id = hookway::id::EventId::from_number(row.get(0)?).to_string();
        let body: Vec<u8> = row.get(1)?;
        let same = past
            .events
            .get(&id)
            .is_some_and(|(n, _)| body == data_of(*n, past.size).as_bytes());
        wrong += usize::from(!same);
    }
    Ok(wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn control_sqlite_calls_files_sound_whose_bodies_are_wrong() {
    let past = past(Stop::Clean, Size::Pages).await;
    let (mut files, mut wrong) = (0, 0);
    for seed in 0..60 {
        let dir = tempfile::tempdir().expect("a directory");
        copy_of(past.dir.path(), dir.path(), |_| true);
        damage(dir.path(), &mut Chance::of(seed));
        // What cannot be read at all is noticed.
        let bodies = wrong_and_unnoticed(&past, dir.path()).unwrap_or(0);
        files += usize::from(bodies > 0);
        wrong += bodies;
    }
    println!(
        "corruption, without the check: 60 seeds, {wrong} wrong bodies in {files} files that SQLite calls sound"
    );
    assert!(wrong > 0);
}
