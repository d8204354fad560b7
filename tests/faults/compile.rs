//! Components that are made to be expensive to compile, and compiled ones that were changed.
//!
//! The guards: a look at the bytes before compiling, a child with limits, and a MAC before anything is
//! loaded. While all of it happens, deliveries go on and the router lives. Negative control: with the look
//! switched off as far as the configuration allows, the same bombs reach the child, which ends at its limits;
//! and the same bombs cost the compiler what is claimed.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::daemon::Daemon;
use crate::extent::Extent;
use crate::support::Receiver;
use crate::wrap;

/// Longest time for the answer to one upload: the child's whole time and some more.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// How much more memory the router itself may have, in KiB.
const PEAK_KIB_MAX: u64 = 96 << 10;

/// A bomb: what it is, its bytes, and what the refusal says.
struct Bomb {
    name: &'static str,
    component: Vec<u8>,
    says: &'static str,
}

fn guest(name: &'static str, functions: &str, says: &'static str) -> Bomb {
    let component = wat::parse_str(wrap::component(functions)).expect("the guest is text");
    Bomb {
        name,
        component,
        says,
    }
}

fn raw(name: &'static str, text: &str, says: &'static str) -> Bomb {
    Bomb {
        name,
        component: wat::parse_str(text).expect("text"),
        says,
    }
}

/// A function of so many control blocks, one after another.
fn blocks(count: usize) -> String {
    let mut body = String::new();
    for _ in 0..count {
        body.push_str("(if (local.get 0) (then (local.set 1 (i32.add (local.get 1) (local.get 0)))))");
    }
    format!("(func $bomb (param i32) (result i32) (local i32) {body} (local.get 1))")
}

/// A function of blocks inside of each other.
fn nesting(depth: usize) -> String {
    format!(
        "(func $bomb (param i32) (result i32) {} (nop) {} (i32.const 1))",
        "(block ".repeat(depth),
        ")".repeat(depth)
    )
}

/// A function of many locals that all live through many loops.
fn locals(count: usize, loops: usize) -> String {
    let mut body = String::new();
    for _ in 0..loops {
        body.push_str("(loop $l ");
        for local in (1..count).step_by(count / 16 + 1) {
            let _ = write!(
                body,
                "(local.set {local} (i32.add (local.get {local}) (local.get {})))",
                local - 1
            );
        }
        body.push_str("(br_if $l (local.get 0)))");
    }
    format!(
        "(func $bomb (param i32) (result i32) (local {}) {body} (local.get 1))",
        "i32 ".repeat(count)
    )
}

/// Components inside of each other, each of which makes the one inside twice.
fn instances(levels: usize) -> String {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for level in 1..=levels {
        text = format!(
            "(component $c{level} {text} (instance (instantiate $c{0})) (instance (instantiate $c{0})))",
            level - 1
        );
    }
    format!("(component {text} (instance (instantiate $c{levels})))")
}

/// Types that double in size.
fn types(levels: usize) -> String {
    let mut text = "(type $t0 (tuple u64 u64))".to_owned();
    for level in 1..=levels {
        let _ = write!(text, "(type $t{level} (tuple $t{0} $t{0}))", level - 1);
    }
    format!("(component {text} (import \"x\" (func (param \"x\" $t{levels}))))")
}

fn bombs() -> Vec<Bomb> {
    let mut large_data = b"\0asm\x0d\0\x01\0".to_vec();
    large_data.resize(8 << 20, 0);
    large_data.push(0);
    vec![
        guest("many control blocks", &blocks(40_000), "plugins.function_bytes"),
        guest("deep control blocks", &nesting(10_000), "plugins.control_depth"),
        guest("just too deep", &nesting(257), "plugins.control_depth"),
        guest("many locals", &locals(20_000, 100), "plugins.function_locals"),
        guest(
            "very many functions",
            &"(func (result i32) (i32.const 1))".repeat(25_000),
            "plugins.functions",
        ),
        raw(
            "instances that double",
            &instances(24),
            "plugins.flattened_instances",
        ),
        raw(
            "instances that double a few times",
            &instances(7),
            "plugins.flattened_instances",
        ),
        raw("types that double", &types(60), "not valid"),
        Bomb {
            name: "too many bytes",
            component: large_data,
            says: "plugins.component_bytes",
        },
    ]
}

/// Bombs that the look lets through: within every bound, but as expensive as they may be.
fn sly() -> Vec<Bomb> {
    vec![
        guest("as many control blocks as may be", &blocks(14_000), ""),
        guest(
            "as deep as may be, often",
            &(0..60)
                .map(|n| nesting(250).replace("$bomb", &format!("$bomb{n}")))
                .collect::<String>(),
            "",
        ),
        guest("as many locals as may be", &locals(1_900, 120), ""),
        guest(
            "as many functions as may be",
            &"(func (result i32) (i32.const 1))".repeat(19_000),
            "",
        ),
    ]
}

/// Uploads one, and says the status, the text and how long it took.
async fn upload(router: &Daemon, bomb: &Bomb) -> (u16, String, Duration) {
    #[expect(clippy::disallowed_methods, reason = "how long the answer takes is bounded")]
    let started = Instant::now();
    let answer = router.push("bomb", bomb.component.clone()).await;
    (answer.status, answer.text, started.elapsed())
}

/// Sends events without a pause and counts what arrives, until the other future ends.
async fn beside<T>(router: &Daemon, receiver: &Receiver, other: impl Future<Output = T>) -> (T, usize) {
    let before = receiver.received().len();
    let sending = async {
        loop {
            router.send(&json!({"type": "a", "data": 1})).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::select! {
        () = sending => unreachable!("it never ends"),
        done = other => done,
    };
    (done, receiver.received().len() - before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused_or_end_within_the_limits() {
    let mut router = Daemon::start(&["plugins.compile_cpu_seconds=2", "plugins.compile_wall_ms=20s"]);
    let receiver = Receiver::start().await;
    router
        .subscribe(&json!({"name": "h", "url": receiver.url(), "events": ["*"]}))
        .await;
    router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
    let before = router.held();
    router.forget_peak();
    let (mut slowest, mut stopped, mut compiled, mut delivered) = (Duration::ZERO, 0, 0, 0);
    let bombs = bombs();
    for bomb in &bombs {
        let ((status, text, took), arrived) = beside(&router, &receiver, upload(&router, bomb)).await;
        // What is beyond the limit of a body says so in its own way.
        assert!(matches!(status, 413 | 422), "{}: {status} {text}", bomb.name);
        assert!(status == 413 || text.contains(bomb.says), "{}: {text}", bomb.name);
        (slowest, delivered) = (slowest.max(took), delivered + arrived);
        assert!(router.lives(), "{}", bomb.name);
    }
    let sly = sly();
    for bomb in &sly {
        let ((status, text, took), arrived) = beside(&router, &receiver, upload(&router, bomb)).await;
        match status {
            200 | 201 => compiled += 1,
            422 => {
                assert!(text.contains("compil"), "{}: {text}", bomb.name);
                stopped += 1;
            }
            _ => panic!("{}: {status} {text}", bomb.name),
        }
        assert!(took <= ANSWER_MAX, "{}: {took:?}", bomb.name);
        (slowest, delivered) = (slowest.max(took), delivered + arrived);
        assert!(router.lives(), "{}", bomb.name);
    }
    assert!(delivered > 0, "deliveries go on meanwhile");
    let after = router.held();
    assert!(
        after.peak_kib <= before.rss_kib + PEAK_KIB_MAX,
        "{after:?} after {before:?}"
    );
    println!(
        "compile: {} bombs refused before compiling, {} within the bounds ({stopped} stopped, {compiled} compiled), \
         slowest answer {:.1} s, {delivered} deliveries meanwhile, router peak +{} KiB",
        bombs.len(),
        sly.len(),
        slowest.as_secs_f32(),
        after.peak_kib.saturating_sub(before.rss_kib),
    );
}

/// The control: with bounds as wide as they go, a bomb reaches the compiler and only the child's limits are
/// left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_look_the_child_is_what_stops_them() {
    let mut router = Daemon::start(&[
        "plugins.compile_cpu_seconds=2",
        "plugins.function_bytes=8 MiB",
        "plugins.function_locals=50000",
        "plugins.flattened_instances=10000",
        "plugins.core_instances=200",
    ]);
    let bombs = bombs();
    let mut reached = 0;
    for name in [
        "many control blocks",
        "many locals",
        "instances that double a few times",
    ] {
        let bomb = bombs.iter().find(|bomb| bomb.name == name).unwrap();
        let (status, text, _) = upload(&router, bomb).await;
        assert!(
            !text.contains(bomb.says),
            "{name}: the check would pass without its guard: {text}"
        );
        reached += usize::from(status == 422 && text.contains("compil"));
        assert!(router.lives(), "{name}");
    }
    assert!(reached > 0, "none was expensive");
    println!("compile, control: {reached} of 3 reached the child and ended there");
}

fn artefacts(data: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![data.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => open.push(path),
                Some(ending) if ending == "artefact" => found.push(path),
                _ => {}
            }
        }
    }
    found
}

/// One way to change a file.
fn mutated(mut bytes: Vec<u8>, kind: usize, random: &mut rand::rngs::StdRng) -> Vec<u8> {
    let place = random.random_range(0..bytes.len());
    match kind % 6 {
        0 => bytes.truncate(place),
        1 => bytes[place] ^= 1 << random.random_range(0..8),
        2 => bytes[..32.min(place)].fill(0),
        3 => bytes = [&b"\x7fELF\x02\x01\x01"[..], &bytes].concat(),
        4 => bytes.extend_from_slice(b"more"),
        // Another version of the engine would write another text where this one has its own.
        _ => {
            bytes = String::from_utf8_lossy(&bytes)
                .replace("48.0", "47.0")
                .into_bytes()
        }
    }
    bytes
}

/// W6: a changed artefact is never loaded, but compiled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_artefacts_are_never_loaded() {
    let rounds = Extent::wanted().of(12, 300);
    let data = tempfile::tempdir().unwrap();
    let echo = wat::parse_str(wrap::component("")).unwrap();
    let receiver = Receiver::start().await;
    let subscription = {
        let router = Daemon::on(data.path(), &[]);
        router.push("echo", echo).await.expect(201);
        let plugins = json!([{"name": "echo", "config": {}}]);
        router
            .subscribe(&json!({"name": "e", "url": receiver.url(), "events": ["*"], "plugins": plugins}))
            .await
    };
    let mut random = rand::rngs::StdRng::seed_from_u64(6);
    let mut refused = 0;
    for round in 0..rounds {
        let mut changed = Vec::new();
        for path in artefacts(data.path()) {
            let bytes = mutated(fs::read(&path).unwrap(), round, &mut random);
            fs::write(&path, &bytes).unwrap();
            changed.push((path, bytes));
        }
        assert!(!changed.is_empty(), "there are artefacts");
        let mut router = Daemon::on(data.path(), &[]);
        // To its end, or the next start would begin with it.
        let event = router.send(&json!({"type": "a", "data": round})).await;
        let arrived =
            |delivery: &serde_json::Value| delivery["event_id"] == event && delivery["status"] == "delivered";
        router.delivery(&subscription, arrived).await;
        assert!(router.lives());
        // What was changed was written anew, or the router never looked at it.
        refused += changed
            .iter()
            .filter(|(path, bytes)| fs::read(path).unwrap() != *bytes)
            .count();
    }
    assert!(refused >= rounds, "only {refused} were compiled again");
    // The control: one that nobody changed is loaded as it is.
    let before: Vec<_> = artefacts(data.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().modified().unwrap())
        .collect();
    let router = Daemon::on(data.path(), &[]);
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    let arrived =
        |delivery: &serde_json::Value| delivery["event_id"] == event && delivery["status"] == "delivered";
    router.delivery(&subscription, arrived).await;
    let after: Vec<_> = artefacts(data.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().modified().unwrap())
        .collect();
    assert_eq!(before, after, "it would be compiled again in any case");
    println!(
        "compile: {refused} changed artefacts in {rounds} starts, 0 loaded; control: unchanged ones are loaded"
    );
}
