//! Guests that misbehave: each is stopped where the contract says, its delivery tells what happened, memory,
//! threads and files come back, and other subscriptions do not notice.
//!
//! The guards: checks before compiling, deadlines that are set before the first instruction, a limiter,
//! threads of their own with shares. Negative controls: with the limits widened the same judge finds guests
//! that are not stopped ([`widened`]); an instance that is kept tells that the check of isolation sees state;
//! what stays in memory on purpose is seen ([`returned`]); and with the guests on a single thread others wait
//! ([`beside`]).

mod beside;
mod few_slots;
mod forged;
mod greedy;
mod returned;
mod seen;
mod widened;
mod zoo;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::zoo::{Ends, Guest, zoo};
use crate::daemon::Daemon;
use crate::extent::Extent;
use crate::support::Receiver;
use crate::wrap;

/// Longest reason and log line (the defaults of `plugins.reason_bytes` and `plugins.log_line_bytes`).
const TEXT_BYTES_MAX: usize = 1 << 10;
fn component(functions: &str) -> Vec<u8> {
    wat::parse_str(wrap::component(functions)).unwrap()
}

/// What is wrong with how a guest was met, before it was run; and its subscription where it may be run.
async fn install(
    router: &Daemon,
    receiver: &Receiver,
    guest: &Guest,
    isolation: &str,
) -> Result<Option<String>, String> {
    let stored = router.push(guest.name, guest.component.clone()).await;
    if let Ends::Unloaded(says) = guest.ends {
        return match stored.status {
            422 | 400 if stored.text.contains(says) => Ok(None),
            status => Err(format!(
                "{}: {status}, and no word of {says:?}: {}",
                guest.name, stored.text
            )),
        };
    }
    if !matches!(stored.status, 200 | 201) {
        return Err(format!("{}: {}", guest.name, stored.text));
    }
    let body = json!({
        "name": guest.name, "url": receiver.url(), "events": ["a"], "isolation": isolation,
        "plugins": [{"name": guest.name, "config": {"a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}}],
    });
    let saved = router.post("/api/v1/subscriptions", &body).await;
    match (guest.ends, saved.status) {
        (Ends::Unsaved(says), 400..=499) if saved.text.contains(says) => Ok(None),
        (Ends::Fault(..) | Ends::Within(..), 201) => Ok(Some(saved.str("/id"))),
        _ => Err(format!("{}: {:?}, but {}", guest.name, guest.ends, saved.text)),
    }
}

/// Whether a delivery is one of this event, and its plugin has run for it.
fn ran_for(delivery: &Value, event: &str) -> bool {
    let runs = delivery["plugin_runs"].as_array();
    delivery["event_id"] == event && runs.is_some_and(|runs| !runs.is_empty())
}

/// What is wrong with the record of a guest's first run for an event.
fn judge(name: &str, ends: Ends, delivery: &Value) -> Option<String> {
    let run = &delivery["plugin_runs"][0];
    let reason = run["reason"].as_str().unwrap_or_default();
    let told = match ends {
        Ends::Fault(kind, says) => run["fault"] == kind && reason.contains(says) && !reason.is_empty(),
        Ends::Within(outcome, says) => run["outcome"] == outcome && reason.contains(says),
        Ends::Unloaded(_) | Ends::Unsaved(_) => false,
    };
    let logs = run["logs"].as_array().cloned().unwrap_or_default();
    let texts = logs
        .iter()
        .filter_map(|line| line["message"].as_str())
        .chain([reason]);
    let plain = texts
        .clone()
        .all(|text| text.len() <= TEXT_BYTES_MAX && !text.chars().any(|c| c.is_control() || c == '\u{202e}'));
    let no_attempt = run["outcome"] != "fault" || delivery["attempts"] == json!([]);
    (!(told && plain && logs.len() <= 64 && no_attempt)).then(|| format!("{name}: {ends:?}, but {run}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_guest_is_contained_and_its_record_says_how() {
    let waves = Extent::wanted().of(3, 100);
    let receiver = Receiver::start().await;
    // Room for those that only do much, on a machine that has other things to do.
    let mut router = Daemon::start(&["plugins.transform_ms=500ms", "plugins.configure_ms=500ms"]);
    let zoo = zoo();
    let (mut wrong, mut installed) = (Vec::new(), Vec::new());
    for guest in &zoo {
        match install(&router, &receiver, guest, "subscription").await {
            Ok(Some(subscription)) => installed.push((guest, subscription)),
            Ok(None) => {}
            Err(what) => wrong.push(what),
        }
        assert!(router.lives(), "{} ended the router; {wrong:#?}", guest.name);
    }
    let (mut runs, mut met, mut late) = (0, BTreeSet::new(), BTreeMap::new());
    for wave in 0..waves {
        let event = router.send(&json!({"type": "a", "data": {"wave": wave}})).await;
        for (guest, subscription) in &installed {
            let Some(ends) = guest.ends_in(wave) else {
                continue;
            };
            let delivery = router
                .delivery(subscription, |delivery| ran_for(delivery, &event))
                .await;
            runs += 1;
            // Who only does much needs the processor for it. Where others have it, the time of a run may pass
            // before it is done; it must be done in one of the waves.
            match judge(guest.name, ends, &delivery) {
                None => {
                    met.insert(guest.name);
                    late.remove(guest.name);
                }
                Some(what)
                    if matches!(ends, Ends::Within(..))
                        && delivery["plugin_runs"][0]["fault"] == "timeout" =>
                {
                    if !met.contains(guest.name) {
                        late.insert(guest.name, what);
                    }
                }
                Some(what) => wrong.push(format!("wave {wave}: {what}")),
            }
        }
    }
    assert!(wrong.is_empty() && late.is_empty(), "{wrong:#?} {late:#?}");
    assert!(router.lives() && !router.panicked());
    println!(
        "guests: {} kinds ({} refused before they run), {runs} records in {waves} waves, each as it should be",
        zoo.len(),
        zoo.len() - installed.len(),
    );
}

/// Looks for what another one left in memory, a global and a table, and leaves something.
const SMUGGLER: &str = r#"
    (data (i32.const 2048) "zero" "left")
    (global $left (mut i32) (i32.const 0))
    (func $transform (param i32) (result i32)
      (local $at i32) (local $found i32)
      (local.set $found (global.get $left))
      (local.set $at (i32.const 131072))
      (if (i32.lt_u (memory.size) (i32.const 64)) (then (drop (memory.grow (i32.const 62)))))
      (loop $next
        (local.set $found (i32.or (local.get $found) (i32.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 4194304))))
      (memory.fill (i32.const 131072) (i32.const 0xa5) (i32.const 4063232))
      (global.set $left (i32.const 1))
      (call $filtered (select (i32.const 2052) (i32.const 2048) (local.get $found)) (i32.const 4)))"#;

async fn smuggled(isolation: &str, events: usize) -> usize {
    let router = Daemon::start(&["plugins.transform_ms=2s"]);
    let receiver = Receiver::start().await;
    router.push("smuggler", component(SMUGGLER)).await.expect(201);
    let body = json!({"name": "s", "url": receiver.url(), "events": ["*"], "isolation": isolation,
        "plugins": [{"name": "smuggler", "config": {}}]});
    let subscription = router.subscribe(&body).await;
    let mut found = 0;
    for n in 0..events {
        let event = router.send(&json!({"type": "a", "data": n})).await;
        let done = |delivery: &Value| delivery["event_id"] == event && delivery["status"] == "filtered";
        let delivery = router.delivery(&subscription, done).await;
        found += usize::from(delivery["reason"].as_str().unwrap().contains("left"));
    }
    found
}

/// W4: what one instance wrote no other one reads. The control is the instance that is kept on purpose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_smuggled_from_event_to_event() {
    let events = Extent::wanted().of(60, 1_000);
    assert_eq!(smuggled("event", events).await, 0);
    let kept = smuggled("subscription", 5).await;
    assert!(kept >= 3, "the check would not see what is left: {kept}");
    println!(
        "guests: {events} instances after one that fills 4 MiB, 0 found it; control: {kept} of 5 found it"
    );
}
