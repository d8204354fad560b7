//! Guests that misbehave: each is stopped where the contract says, its delivery tells what happened, memory,
//! threads and files come back, and other subscriptions do not notice.
//!
//! The guards: checks before compiling, deadlines that are set before the first instruction, a limiter,
//! threads of their own with shares. Negative controls: an instance that is kept tells that the check of
//! isolation sees state; and with the guests on a single thread others wait.

mod zoo;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::zoo::{Ends, Guest, zoo};
use crate::daemon::{Daemon, Held};
use crate::extent::Extent;
use crate::percentile::p99;
use crate::support::Receiver;
use crate::wrap;

/// How much memory may stay behind, in KiB: kept artefacts, and what the allocator keeps of the peak.
const LEFT_KIB_MAX: u64 = 128 << 10;
/// Longest reason and log line (the defaults of `plugins.reason_bytes` and `plugins.log_line_bytes`).
const TEXT_BYTES_MAX: usize = 1 << 10;
/// How much more the p99 of others may be, where a quarter is less than that.
const SLOWER_MAX: Duration = Duration::from_millis(5);

/// Events of the healthy subscription in one window, and how long they may take in all.
const WINDOW: usize = 100;
const WINDOW_MAX: Duration = Duration::from_secs(3);
/// Windows alone and beside others, in turns.
const ROUNDS: (usize, usize) = (4, 15);
/// The same of the control, where what is fed in one round takes long to be done.
const CONTROL_ROUNDS: usize = 2;
/// Between two events for those that loop, and how long they are at it before it is measured.
const FEED_EVERY: Duration = Duration::from_millis(200);
const AT_IT_AFTER: Duration = Duration::from_secs(1);

fn component(functions: &str) -> Vec<u8> {
    wat::parse_str(wrap::component(functions)).unwrap()
}

/// What is wrong with how a guest was met, before it was run; and its subscription where it may be run.
async fn install(router: &Daemon, receiver: &Receiver, guest: &Guest) -> Result<Option<String>, String> {
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
        "name": guest.name, "url": receiver.url(), "events": ["a"],
        "plugins": [{"name": guest.name, "config": {"a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}}],
    });
    let saved = router.post("/api/v1/subscriptions", &body).await;
    match (guest.ends, saved.status) {
        (Ends::Unsaved(says), 400..=499) if saved.text.contains(says) => Ok(None),
        (Ends::Fault(..) | Ends::Within(..), 201) => Ok(Some(saved.str("/id"))),
        _ => Err(format!("{}: {:?}, but {}", guest.name, guest.ends, saved.text)),
    }
}

/// What is wrong with the record of a guest's first run.
fn judge(guest: &Guest, delivery: &Value) -> Option<String> {
    let run = &delivery["plugin_runs"][0];
    let reason = run["reason"].as_str().unwrap_or_default();
    let told = match guest.ends {
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
    (!(told && plain && logs.len() <= 64 && no_attempt))
        .then(|| format!("{}: {:?}, but {run}", guest.name, guest.ends))
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
        match install(&router, &receiver, guest).await {
            Ok(Some(subscription)) => installed.push((guest, subscription)),
            Ok(None) => {}
            Err(what) => wrong.push(what),
        }
        assert!(router.lives(), "{} ended the router; {wrong:#?}", guest.name);
    }
    let mut first = router.held();
    let (mut runs, mut late) = (0, BTreeMap::new());
    for wave in 0..waves {
        let event = router.send(&json!({"type": "a", "data": {"wave": wave}})).await;
        for (guest, subscription) in &installed {
            let ran = |delivery: &Value| {
                delivery["event_id"] == event
                    && delivery["plugin_runs"]
                        .as_array()
                        .is_some_and(|runs| !runs.is_empty())
            };
            // Who said that its configuration is at fault is held from then on.
            if wave > 0 && guest.name == "says-it-is-misconfigured" {
                continue;
            }
            let delivery = router.delivery(subscription, ran).await;
            runs += 1;
            // Who only does much needs the processor for it. Where others have it, the time of a run may pass
            // before it is done; it must be done in one of the waves.
            match (judge(guest, &delivery), guest.ends) {
                (None, _) => drop(late.remove(guest.name)),
                (Some(what), Ends::Within(..)) if delivery["plugin_runs"][0]["fault"] == "timeout" => {
                    if wave == 0 {
                        late.insert(guest.name, what);
                    }
                }
                (what, _) => wrong.extend(what.filter(|_| wave == 0)),
            }
        }
        if wave == 0 {
            first = router.held();
        }
    }
    assert!(wrong.is_empty() && late.is_empty(), "{wrong:#?} {late:#?}");
    for (_, subscription) in &installed {
        let path = format!("/api/v1/subscriptions/{subscription}");
        router.call("DELETE", &path, &json!({})).await.expect(204);
    }
    let fits = |held: Held| {
        held.rss_kib <= first.rss_kib + LEFT_KIB_MAX
            && held.threads <= first.threads + 4
            && held.descriptors <= first.descriptors + 8
    };
    let after = router
        .until_it_holds("memory, threads and files come back", fits)
        .await;
    assert!(router.lives());
    println!(
        "guests: {} kinds ({} refused before they run), {runs} runs, left {:+} KiB, {:+} threads, {:+} descriptors",
        zoo.len(),
        zoo.len() - installed.len(),
        i128::from(after.rss_kib) - i128::from(first.rss_kib),
        i128::from(after.threads) - i128::from(first.threads),
        i128::from(after.descriptors) - i128::from(first.descriptors),
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

/// From accepted to received, one event after another.
async fn window(router: &Daemon, receiver: &Receiver) -> Duration {
    let mut times: Vec<Duration> = Vec::new();
    // Where everybody waits, a few tell as much.
    while times.len() < WINDOW && times.iter().sum::<Duration>() < WINDOW_MAX {
        let n = times.len();
        let came = receiver.received().len();
        #[expect(
            clippy::disallowed_methods,
            reason = "the latency of other subscriptions is what is measured"
        )]
        let started = Instant::now();
        router.send(&json!({"type": "healthy", "data": n})).await;
        receiver.wait_for(came + 1).await;
        times.push(started.elapsed());
    }
    p99(times)
}

/// The p99 of a healthy subscription alone and beside eight others whose plugins loop.
struct Beside {
    alone: Duration,
    beside: Duration,
    /// Events for the eight.
    fed: usize,
}

/// Measures both in turns, so that whatever else this machine does comes to both; of each the best round is
/// what the router itself can do.
async fn beside_loops(settings: &[&str], rounds: usize) -> Beside {
    const LOOPS: [&str; 8] = [
        include_str!("../guests/spin.wat"),
        include_str!("../guests/spin_after_return.wat"),
        include_str!("../guests/memory_bomb.wat"),
        include_str!("../guests/recursion.wat"),
        include_str!("../guests/log_flood.wat"),
        "(func $transform (param i32) (result i32) (loop $a (memory.fill (i32.const 65536) (i32.const 7) (i32.const 65536)) (br $a)) unreachable)",
        "(func $transform (param i32) (result i32) (loop $a (call $log (i32.const 2) (i32.const 1024) (i32.const 4)) (br $a)) unreachable)",
        "(func $transform (param i32) (result i32) (loop $a (drop (memory.grow (i32.const 0))) (br $a)) unreachable)",
    ];
    let router = Daemon::start(settings);
    let (receiver, nobody) = (Receiver::start().await, Receiver::start().await);
    let healthy = json!([{"name": "slack", "config": {}}]);
    router
        .subscribe(&json!({"name": "h", "url": receiver.url(), "events": ["healthy"], "plugins": healthy}))
        .await;
    let mut looping = Vec::new();
    for (number, guest) in LOOPS.iter().enumerate() {
        let name = format!("loop{number}");
        router.push(&name, component(guest)).await.expect(201);
        let plugins = json!([{"name": name, "config": {}}]);
        let body = json!({"name": name, "url": nobody.url(), "events": ["loop"], "plugins": plugins});
        looping.push(router.subscribe(&body).await);
    }
    window(&router, &receiver).await;
    let (mut alone, mut beside, mut fed) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        alone.push(window(&router, &receiver).await);
        let feeding = async {
            loop {
                router.send(&json!({"type": "loop", "data": 1})).await;
                fed += 1;
                tokio::time::sleep(FEED_EVERY).await;
            }
        };
        let measuring = async {
            // They are at it before it is measured.
            tokio::time::sleep(AT_IT_AFTER).await;
            beside.push(window(&router, &receiver).await);
        };
        tokio::select! {
            () = feeding => {}
            () = measuring => {}
        }
        at_rest(&router, &looping).await;
    }
    let best = |times: Vec<Duration>| times.into_iter().min().expect("there were rounds");
    Beside {
        alone: best(alone),
        beside: best(beside),
        fed,
    }
}

/// Waits until none of these has a first run before it. What is tried again comes later than the next round.
async fn at_rest(router: &Daemon, subscriptions: &[String]) {
    for subscription in subscriptions {
        let ran = |delivery: &Value| {
            delivery["plugin_runs"]
                .as_array()
                .is_some_and(|runs| !runs.is_empty())
        };
        router.delivery(subscription, ran).await;
    }
}

/// What the p99 may be beside loops. The priority of threads for slow guests is ten steps below that of the
/// router; where this test itself runs so low that there are no such steps, the guests compete with everybody
/// for the processor, and all that can be held is that nobody waits for more than a few of them.
fn allowed(alone: Duration) -> Duration {
    const STEPS: i64 = 10;
    const LOWEST: i64 = 19;
    const TIME_LIMIT: Duration = Duration::from_millis(100);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name: state first, niceness as the 17th (proc(5)).
    let niceness = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(16));
    let niceness: i64 = niceness.and_then(|text| text.parse().ok()).expect("a number");
    if niceness + STEPS > LOWEST {
        println!("guests: at niceness {niceness} priorities cannot be told apart; run it at 9 or less");
        return alone + 4 * TIME_LIMIT;
    }
    (alone * 5 / 4).max(alone + SLOWER_MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_do_not_notice_eight_that_loop() {
    let Beside { alone, beside, fed } = beside_loops(&[], Extent::wanted().of(ROUNDS.0, ROUNDS.1)).await;
    println!("guests: p99 {alone:.1?} alone, {beside:.1?} beside 8 plugins that loop ({fed} events each)");
    assert!(beside <= allowed(alone), "{beside:?} beside, {alone:?} alone");
}

/// The control: one thread for all guests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_on_one_thread_others_wait() {
    let Beside { alone, beside, fed } = beside_loops(&["plugins.threads=1"], CONTROL_ROUNDS).await;
    println!(
        "guests, control: p99 {alone:.1?} alone, {beside:.1?} beside 8 plugins that loop on one thread ({fed} \
         events each)"
    );
    assert!(
        beside > allowed(alone),
        "the check would not see guests in the way: {beside:?}, {alone:?} alone"
    );
}
