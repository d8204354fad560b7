//! Others beside guests that loop: how long an event of a healthy subscription takes from accepted to
//! received, alone and beside eight plugins that never end.
//!
//! What it shows, and what not. One round is up to a hundred events, one after another, and its p99 the
//! second longest of them; rounds alone and beside come in turns. Whoever else uses the machine makes rounds
//! slow, on both sides. So the narrow bound is held by the best round of each side: the router has no reason
//! of its own to make others wait, for in a whole round beside eight loops none waited. That it is so in
//! every round is not shown by this; a wide bound, a few times the time limit of a run, is held by the middle
//! round beside loops, so that a fault that comes and goes is seen where it makes others wait for runs. A
//! single event in a hundred that waits is seen by neither.
//!
//! The narrow bound needs priorities: threads for slow guests stand ten steps below the router's, and where
//! this test itself runs lower than nine there are no ten steps left. There it cannot judge and fails, with
//! what to do; `cargo xtask faults` leaves it out by name there, and says so. The wide bound is judged
//! everywhere.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::component;
use crate::daemon::Daemon;
use crate::extent::Extent;
use crate::percentile::{median, p99};
use crate::support::Receiver;

/// How much more the p99 of others may be in the best round, where a quarter is less than that.
const SLOWER_MAX: Duration = Duration::from_millis(5);
/// How much more it may be in the middle round: four times the time limit of a run.
const WAITS_MAX: Duration = Duration::from_millis(4 * 100);

/// Events of the healthy subscription in one window, and how long they may take in all.
const WINDOW: usize = 100;
const WINDOW_MAX: Duration = Duration::from_secs(3);
/// Windows alone and beside others, in turns.
const ROUNDS: (usize, usize) = (4, 15);
/// The same where only the wide bound is held, and in the control, where what is fed in one round takes long
/// to be done.
const FEW_ROUNDS: usize = 2;
/// Between two events for those that loop, and how long they are at it before it is measured.
const FEED_EVERY: Duration = Duration::from_millis(200);
const AT_IT_AFTER: Duration = Duration::from_secs(1);

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

/// The p99 of a healthy subscription in each round, alone and beside eight others whose plugins loop.
struct Beside {
    alone: Vec<Duration>,
    beside: Vec<Duration>,
    /// Events for the eight.
    fed: usize,
}

impl Beside {
    /// The best round alone, and the best beside.
    fn best(&self) -> (Duration, Duration) {
        let best = |times: &[Duration]| times.iter().copied().min().expect("there were rounds");
        (best(&self.alone), best(&self.beside))
    }

    /// The middle round beside; the worse one where there are two.
    fn middle(&self) -> Duration {
        median(self.beside.clone())
    }

    /// Whether others waited for runs.
    fn wide(&self) -> Result<(), String> {
        let ((alone, _), beside) = (self.best(), self.middle());
        match beside <= alone + WAITS_MAX {
            true => Ok(()),
            false => Err(format!(
                "{beside:?} beside in the middle round, {alone:?} alone in the best"
            )),
        }
    }

    /// Whether others noticed.
    fn narrow(&self) -> Result<(), String> {
        let (alone, beside) = self.best();
        match beside <= (alone * 5 / 4).max(alone + SLOWER_MAX) {
            true => Ok(()),
            false => Err(format!("{beside:?} beside, {alone:?} alone, in the best round")),
        }
    }
}

impl std::fmt::Display for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((alone, beside), middle) = (self.best(), self.middle());
        write!(
            f,
            "p99 {alone:.1?} alone, {beside:.1?} beside 8 plugins that loop (the best of {} rounds; {middle:.1?} in the \
             middle one; {} events each for the 8)",
            self.alone.len(),
            self.fed,
        )
    }
}

/// Measures both in turns, so that whatever else this machine does comes to both.
async fn beside_loops(settings: &[&str], rounds: usize) -> Beside {
    const LOOPS: [&str; 8] = [
        include_str!("../../guests/spin.wat"),
        include_str!("../../guests/spin_after_return.wat"),
        include_str!("../../guests/memory_bomb.wat"),
        include_str!("../../guests/recursion.wat"),
        include_str!("../../guests/log_flood.wat"),
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
    Beside { alone, beside, fed }
}

/// Waits until none of these has a first run before it. What is tried again comes later than the next round.
async fn at_rest(router: &Daemon, subscriptions: &[String]) {
    for subscription in subscriptions {
        let runs = |delivery: &Value| delivery["plugin_runs"].as_array().map_or(0, Vec::len);
        router.delivery(subscription, |delivery| runs(delivery) > 0).await;
    }
}

/// The priority of this process, from -20 to 19, low ones last.
fn niceness() -> i64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name: state first, niceness as the 17th (proc(5)).
    let niceness = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(16));
    niceness.and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_do_not_notice_eight_that_loop() {
    const STEPS: i64 = 10;
    const LOWEST: i64 = 19;
    let niceness = niceness();
    assert!(
        niceness + STEPS <= LOWEST,
        "cannot judge: at niceness {niceness} there are no {STEPS} steps below the router for guests that are slow. \
         Run it at 9 or less, or leave it out by name: -E 'not test(others_do_not_notice_eight_that_loop)'"
    );
    let measured = beside_loops(&[], Extent::wanted().of(ROUNDS.0, ROUNDS.1)).await;
    println!("guests: {measured}");
    measured.narrow().unwrap_or_else(|what| panic!("{what}"));
    measured.wide().unwrap_or_else(|what| panic!("{what}"));
}

/// What can be said at any priority: nobody waits for more than a few of those that loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_wait_for_a_few_that_loop_at_the_most() {
    let measured = beside_loops(&[], Extent::wanted().of(FEW_ROUNDS, ROUNDS.1)).await;
    println!("guests, at niceness {}: {measured}", niceness());
    measured.wide().unwrap_or_else(|what| panic!("{what}"));
}

/// The control: one thread for all guests. Both bounds see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_on_one_thread_others_wait() {
    let measured = beside_loops(&["plugins.threads=1"], FEW_ROUNDS).await;
    println!("guests, control on one thread: {measured}");
    assert!(
        measured.wide().is_err() && measured.narrow().is_err(),
        "the check would not see guests in the way: {measured}"
    );
}
