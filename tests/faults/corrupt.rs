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
//! A log that is damaged ends for SQLite where the damage begins. What came behind is gone, and this must be
//! said, by `hookway doctor` and at the start, and of no log that ends where it should; only of one that was cut,
//! or damaged in its very last frames, nobody can tell. Without such a log nothing may be missing.
//!
//! Control: the same damage and the same router, with the hashes of events made to fit what stands there, as if
//! nobody compared them. SQLite has no checksums of its own, so it must give wrong bytes.

mod damage;
mod said;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::chance::Chance;
use crate::extent::Extent;
use crate::panics;
use crate::support::receiver::Received;
use crate::support::{Receiver, Reply, TestRouter};
use crate::vfs::copy_of;
use crate::wrap;
use damage::{Damage, Log, damage};

/// Events in the files.
const EVENTS: u64 = 40;
/// Longest that a start or an end may take on damaged files; the usual one is far below a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Files with a past, and what it was.
struct Past {
    dir: tempfile::TempDir,
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
    /// Events that stood behind the damage in a log, which SQLite takes for its end.
    lost: usize,
    /// Deliveries of which that is true, whole or in part: they were made again, or sent again.
    undone: usize,
    /// Files of which doctor and start say that their log ends early.
    said: usize,
    /// Files whose log was cut, or damaged at its end, and that lack something: a crash leaves the same.
    untold_end: usize,
    /// Events and deliveries that are not there although the log is as it was.
    vanished: Vec<String>,
    /// Logs of which it was not said that they end early, and such of which it was and do not.
    silent: Vec<String>,
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
    /// Suddenly: all of it is in the log.
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
    let log_stays = match stop {
        Stop::Clean => None,
        Stop::Sudden => Some(said::log_stays(&router.data_dir()).await),
    };
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
    drop(log_stays);
    let bodies = receiver.received().into_iter().map(|request| {
        let body = request.body.to_vec();
        (request.header("webhook-id").to_owned(), (request.path, body))
    });
    Past {
        dir,
        bodies: bodies.collect(),
        receiver,
        events,
        deliveries,
    }
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
async fn serve(past: &Past, data: &Path, Damage { how, log }: &Damage, found: &mut Found) {
    said::forget();
    let doctor = said::by_doctor(data);
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
    look_at_what_is_said(doctor, how, *log, found);
    let missing = found.lost + found.undone;
    let reaches = *log != Log::Untouched;
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
            404 if reaches => found.lost += 1,
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
            200 if reaches => found.undone += 1,
            200 => found.wrong.push(format!(
                "{how}: {id} is shown as {:.3000}, and was {:.3000}",
                answer.text,
                shown.to_string()
            )),
            404 if reaches => found.undone += 1,
            404 => found.vanished.push(format!("{how}: {id}")),
            500.. => found.untold += 1,
            _ => panic!("{how}: {}", answer.text),
        }
    }
    if *log == Log::AtItsEnd && found.lost + found.undone > missing {
        found.untold_end += 1;
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

/// A log that ends before its end is told by doctor and by the start, and no other is.
fn look_at_what_is_said(doctor: bool, how: &str, log: Log, found: &mut Found) {
    let start = said::by_start();
    found.said += usize::from(start);
    let wrong = match log {
        Log::InTheMidst => !start || !doctor,
        Log::Untouched => start || doctor,
        Log::AtItsEnd => start != doctor,
    };
    if wrong {
        found
            .silent
            .push(format!("{how}: doctor {doctor}, start {start}, {log:?}"));
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

/// Copies a past, damages the copy as the seed says, does something more to it, and looks what a router makes of
/// it.
async fn look(past: &Past, seed: u64, more: impl FnOnce(&Path), found: &mut Found) {
    let mut chance = Chance::of(seed);
    // The first number chose the past.
    let _past = chance.next();
    let dir = tempfile::tempdir().expect("a directory");
    copy_of(past.dir.path(), dir.path(), |_| true);
    let mut damage = damage(dir.path(), &mut chance);
    damage.how = format!("seed {seed}, {}", damage.how);
    more(dir.path());
    serve(past, dir.path(), &damage, found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_refused_or_only_right_bytes_are_served() {
    panics::remember();
    said::listen();
    let seeds = Extent::wanted().of(60, 500);
    let pasts = [
        past(Stop::Clean, Size::Line).await,
        past(Stop::Clean, Size::Pages).await,
        past(Stop::Sudden, Size::Line).await,
    ];
    let mut found = Found::default();
    for past in &pasts {
        let nothing = Damage {
            how: "nothing".to_owned(),
            log: Log::Untouched,
        };
        let dir = tempfile::tempdir().expect("a directory");
        copy_of(past.dir.path(), dir.path(), |_| true);
        serve(past, dir.path(), &nothing, &mut found).await;
    }
    assert_eq!((found.right, found.said), (3 * past_events(), 0), "{found:?}");
    let mut found = Found::default();
    for seed in 0..seeds {
        let past = &pasts[Chance::of(seed).index(pasts.len())];
        look(past, seed, |_| {}, &mut found).await;
    }
    let (events, deliveries) = (
        found.served * past_events(),
        found.served * pasts[0].deliveries.len(),
    );
    println!(
        "corruption: {seeds} seeds, {} refused, {} served with {events} events: {} right, {} withheld, {} behind \
         the damage in a log, and {deliveries} deliveries: {} told, {} withheld, {} with less of their history, {} \
         undone by the damage in a log; {} logs said to end early, {} cut or damaged at their end; {} vanished, {} \
         requests sent, {} deliveries failed, {} wrong",
        found.refused,
        found.served,
        found.right,
        found.withheld,
        found.lost,
        found.told,
        found.untold,
        found.less,
        found.undone,
        found.said,
        found.untold_end,
        found.vanished.len(),
        found.sent,
        found.failed,
        found.wrong.len()
    );
    let faults = [&found.wrong, &found.poor, &found.vanished, &found.silent];
    assert!(
        faults.iter().all(|faults| faults.is_empty()),
        "wrong, refused without a name, vanished, silent: {faults:#?}"
    );
    panics::none();
    assert_eq!(found.right + found.withheld + found.lost, events);
    let of_deliveries = found.told + found.untold + found.less + found.undone;
    assert_eq!(of_deliveries, deliveries);
    assert!(
        found.refused > 0 && found.served > 0 && found.sent > 0 && found.told > 0 && found.said > 0,
        "it shows nothing: {found:?}"
    );
}

fn past_events() -> usize {
    usize::try_from(EVENTS).expect("few")
}

/// Gives each event the hash that fits what stands there now: a router that compares them finds as much as one
/// that does not. (A hash of the content alone is one of an earlier version, and counts.)
fn take_the_hashes_away(data: &Path) -> Result<(), rusqlite::Error> {
    let database = rusqlite::Connection::open(data.join("hookway.db"))?;
    let mut query = database.prepare("SELECT id, event_type, subject, content_type, data FROM event_1")?;
    let rows = query.query_map([], |row| {
        let [kind, subject, content] = [row.get(1)?, row.get(2)?, row.get(3)?].map(|text: String| text);
        let data: Vec<u8> = row.get(4)?;
        let mut hash = Sha256::new();
        let text = |hash: &mut Sha256, text: &[u8]| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        text(&mut hash, kind.as_bytes());
        hash.update([1]);
        text(&mut hash, subject.as_bytes());
        text(&mut hash, content.as_bytes());
        // It has no extensions.
        hash.update(0_u64.to_be_bytes());
        text(&mut hash, &data);
        Ok((row.get::<_, i64>(0)?, hash.finalize()[..16].to_vec()))
    })?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    drop(query);
    for (id, hash) in rows {
        database.execute(
            "UPDATE event_1 SET hash = ? WHERE id = ?",
            rusqlite::params![hash, id],
        )?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_hashes_the_same_router_gives_wrong_bytes() {
    said::listen();
    let past = past(Stop::Clean, Size::Pages).await;
    let (mut with, mut without) = (Found::default(), Found::default());
    for seed in 0..30 {
        look(&past, seed, |_| {}, &mut with).await;
        // What cannot be read at all keeps its hash, and is noticed by other means.
        look(&past, seed, |data| drop(take_the_hashes_away(data)), &mut without).await;
    }
    println!(
        "corruption, without the hashes of events: 30 seeds, {} served, {} events right, {} withheld, {} wrong \
         (with them {} withheld, {} wrong)",
        without.served,
        without.right,
        without.withheld,
        without.wrong.len(),
        with.withheld,
        with.wrong.len()
    );
    assert!(with.wrong.is_empty() && with.withheld > 0, "{:#?}", with.wrong);
    assert!(!without.wrong.is_empty(), "the check notices nothing");
}
