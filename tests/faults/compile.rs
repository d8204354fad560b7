//! Components that are made to be expensive to compile, and compiled ones that were changed.
//!
//! The guards: a look at the bytes before compiling, a child with limits, and a MAC before anything is
//! loaded. While all of it happens, deliveries go on as fast as without, and the router lives. Negative
//! controls: with the look switched off as far as the configuration allows, the same bombs reach the child;
//! one bomb ends at the child's memory where that is little, and at its time where that is; deliveries that
//! wait until a compilation is over are noticed; and what is refused for its MAC is loaded once it has the
//! right one.

mod artefacts;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::daemon::Daemon;
use crate::percentile::median;
use crate::support::Receiver;
use crate::wrap;

/// Longest time for the answer to one upload: the child's whole time and some more.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// Between two events, and how many tell how it is without compilers.
const PAUSE: Duration = Duration::from_millis(50);
const ALONE: Duration = Duration::from_secs(3);
/// How much longer a delivery may take beside a compiler: in the middle a fraction of what a compiler takes
/// that reaches its limit, which is a second, and at the most little more than one of these.
const USUAL_MORE: Duration = Duration::from_millis(250);
const ONE_MORE: Duration = Duration::from_millis(1_500);
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

/// A function of many locals that all live through many loops to its end: each loop costs the compiler a
/// value for each of them.
fn living(count: usize, loops: usize) -> String {
    let (mut first, mut last) = (String::new(), String::new());
    for local in 1..=count {
        let _ = write!(
            first,
            "(local.set {local} (i32.add (local.get 0) (i32.const {})))",
            local % 64
        );
        let _ = write!(last, "(local.set 0 (i32.add (local.get 0) (local.get {local})))");
    }
    format!(
        "(func $bomb (param i32) (result i32) (local {}) {first} {} {last} (local.get 0))",
        "i32 ".repeat(count),
        "(loop $l (br_if $l (local.get 0)))".repeat(loops)
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
        guest("as many as may be that all live", &living(1_900, 2_000), ""),
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

/// Sends one event after another, each once the one before has arrived, until the other future ends; says how
/// long each took. One that had not arrived by then took at least so long.
async fn beside<T>(
    router: &Daemon,
    receiver: &Receiver,
    other: impl Future<Output = T>,
) -> (T, Vec<Duration>) {
    let took = std::cell::RefCell::new(Vec::new());
    let under_way = std::cell::Cell::new(None);
    let sending = async {
        for n in 0_u64.. {
            #[expect(
                clippy::disallowed_methods,
                reason = "the latency of others is what is measured"
            )]
            let started = Instant::now();
            under_way.set(Some(started));
            let text = format!("{started:?} {n}");
            router.send(&json!({"type": "a", "data": text.as_str()})).await;
            let arrived = |body: &[u8]| body.windows(text.len()).any(|window| window == text.as_bytes());
            receiver
                .wait_until(ANSWER_MAX, |all| {
                    all.iter().rev().any(|request| arrived(&request.body))
                })
                .await;
            took.borrow_mut().push(started.elapsed());
            under_way.set(None);
            tokio::time::sleep(PAUSE).await;
        }
    };
    let done = tokio::select! {
        () = sending => unreachable!("it never ends"),
        done = other => done,
    };
    let mut took = took.into_inner();
    took.extend(under_way.get().map(|started| started.elapsed()));
    (done, took)
}

/// Whether deliveries beside compilers starve: all of them, or any of them for long.
fn starved(alone: &[Duration], beside: &[Duration]) -> Option<String> {
    let longest = |times: &[Duration]| times.iter().copied().max().unwrap_or_default();
    let (usual, usual_beside) = (median(alone.to_vec()), median(beside.to_vec()));
    let (most, most_beside) = (longest(alone), longest(beside));
    (usual_beside > usual * 4 + USUAL_MORE || most_beside > most + ONE_MORE).then(|| {
        format!("{usual:?} in the middle and {most:?} at the most alone, {usual_beside:?} and {most_beside:?} beside")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused_or_end_within_the_limits() {
    let mut router = Daemon::start(&["plugins.compile_cpu_seconds=1", "plugins.compile_wall_ms=20s"]);
    let receiver = Receiver::start().await;
    router
        .subscribe(&json!({"name": "h", "url": receiver.url(), "events": ["*"]}))
        .await;
    router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
    let before = router.held();
    router.forget_peak();
    let (_, alone) = beside(&router, &receiver, tokio::time::sleep(ALONE)).await;
    let (mut slowest, mut stopped, mut compiled, mut meanwhile) = (Duration::ZERO, 0, 0, Vec::new());
    let mut limited = Vec::new();
    let bombs = bombs();
    for bomb in &bombs {
        let ((status, text, took), latencies) = beside(&router, &receiver, upload(&router, bomb)).await;
        // What is beyond the limit of a body says so in its own way.
        assert!(matches!(status, 413 | 422), "{}: {status} {text}", bomb.name);
        assert!(status == 413 || text.contains(bomb.says), "{}: {text}", bomb.name);
        slowest = slowest.max(took);
        meanwhile.extend(latencies);
        assert!(router.lives(), "{}", bomb.name);
    }
    let sly = sly();
    for bomb in &sly {
        let ((status, text, took), latencies) = beside(&router, &receiver, upload(&router, bomb)).await;
        match status {
            200 | 201 => compiled += 1,
            422 => {
                assert!(text.contains("compil"), "{}: {text}", bomb.name);
                stopped += 1;
                limited.push(took);
            }
            _ => panic!("{}: {status} {text}", bomb.name),
        }
        assert!(took <= ANSWER_MAX, "{}: {took:?}", bomb.name);
        slowest = slowest.max(took);
        meanwhile.extend(latencies);
        assert!(router.lives(), "{}", bomb.name);
    }
    assert_eq!(starved(&alone, &meanwhile), None);
    // The control: had each delivery waited for the compiler of its time to end.
    assert!(
        stopped > 0 && starved(&alone, &limited).is_some(),
        "waiting for compilers would not be noticed: {limited:?}"
    );
    let after = router.held();
    assert!(
        after.peak_kib <= before.rss_kib + PEAK_KIB_MAX,
        "{after:?} after {before:?}"
    );
    println!(
        "compile: {} bombs refused before compiling, {} within the bounds ({stopped} stopped, {compiled} compiled), \
         slowest answer {:.1} s; deliveries {:.1?} in the middle alone, {:.1?} beside ({} of them, {:.1?} at the most); \
         router peak +{} KiB",
        bombs.len(),
        sly.len(),
        slowest.as_secs_f32(),
        median(alone),
        median(meanwhile.clone()),
        meanwhile.len(),
        meanwhile.iter().max().expect("there were some"),
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

/// The child's two limits, each by itself: the same bomb ends at its memory where there is little of that and
/// much time, and at its time where there is little of that and much memory. A component that is none is
/// compiled in as little memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_ends_at_its_memory_and_at_its_time() {
    const LITTLE_MEMORY: [&str; 3] = [
        "plugins.compile_address_space_bytes=256 MiB",
        "plugins.compile_cpu_seconds=60",
        "plugins.compile_wall_ms=2min",
    ];
    const LITTLE_TIME: [&str; 3] = [
        "plugins.compile_address_space_bytes=8 GiB",
        "plugins.compile_cpu_seconds=1",
        "plugins.compile_wall_ms=2min",
    ];
    let bomb = guest("it lives", &living(1_900, 2_000), "");
    let mut router = Daemon::start(&LITTLE_MEMORY);
    router
        .push("none", wat::parse_str(wrap::component("")).unwrap())
        .await
        .expect(201);
    let (status, memory, at_memory) = upload(&router, &bomb).await;
    assert_eq!(status, 422, "{memory}");
    assert!(
        memory.contains("memory allocation of") && !memory.contains("SIGKILL"),
        "{memory}"
    );
    assert!(router.lives());
    let mut router = Daemon::start(&LITTLE_TIME);
    let (status, time, at_time) = upload(&router, &bomb).await;
    assert_eq!(status, 422, "{time}");
    assert!(
        time.contains("signal: 9") && !time.contains("memory allocation"),
        "{time}"
    );
    assert!(router.lives());
    println!(
        "compile: one bomb ends at 256 MiB after {:.1} s, and at 1 s of processor after {:.1} s",
        at_memory.as_secs_f32(),
        at_time.as_secs_f32()
    );
}

/// A new version that does not compile changes nothing: the old one serves while it is tried and afterwards.
/// The control: one that does takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_version_serves_on_where_a_new_one_does_not_compile() {
    let mut router = Daemon::start(&["plugins.compile_cpu_seconds=1", "plugins.transform_ms=5s"]);
    let receiver = Receiver::start().await;
    router
        .push("bomb", wat::parse_str(wrap::component("")).unwrap())
        .await
        .expect(201);
    let plugins = json!([{"name": "bomb", "config": {}}]);
    let subscription = router
        .subscribe(&json!({"name": "s", "url": receiver.url(), "events": ["a"], "plugins": plugins}))
        .await;
    let digest = async || {
        router
            .get("/api/v1/plugins/bomb")
            .await
            .expect(200)
            .str("/digest")
    };
    let before = digest().await;
    let bomb = guest("it lives", &living(1_900, 2_000), "");
    let ((status, text, _), meanwhile) = beside(&router, &receiver, upload(&router, &bomb)).await;
    assert!(status == 422 && text.contains("compil"), "{status} {text}");
    assert!(!meanwhile.is_empty());
    let ended_as = async |status: &str| {
        let event = router.send(&json!({"type": "a", "data": "after"})).await;
        let ended = |delivery: &serde_json::Value| {
            delivery["event_id"] == event.as_str() && delivery["status"] == status
        };
        router.delivery(&subscription, ended).await;
    };
    ended_as("delivered").await;
    assert_eq!(digest().await, before);
    let filters =
        "(func $transform (param i32) (result i32) (call $filtered (i32.const 1024) (i32.const 4)))";
    let next = wat::parse_str(wrap::component(filters)).unwrap();
    let stored = router.push("bomb", next).await;
    assert!(matches!(stored.status, 200 | 201), "{}", stored.text);
    ended_as("filtered").await;
    assert!(router.lives());
    println!(
        "compile: the old version served {} events while a new one did not compile; control: one that does takes over",
        meanwhile.len()
    );
}
