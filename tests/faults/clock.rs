//! Clocks that jump, by seconds and by years, forwards and back, while the router runs and while it does not:
//! nothing is lost, ids go on growing, nobody waits for a clock that is gone, and a jump forwards opens no
//! flood.
//!
//! The clock stands still unless the test moves it, so that what the router *experiences* is known exactly:
//! time that passed, without the jumps. A retry must come when its wait has been experienced, neither sooner
//! (but for a jump forwards) nor later. Where due times were read from the database after the clock was set
//! back, or an attempt was under way at that moment, the bound is the longest wait that anything may ask for.
//! The controls are a router whose clamp on due times is out of reach, with a clock that is set back, and a lane
//! without its limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::account::{Account, Noted, token};
use crate::counting::{Counting, FLAKY, PLAIN};
use crate::extent::Extent;
use crate::seed::Seed;
use crate::support::TestRouter;

/// A lane that may get [`BURST`] requests at once, and as many in a second.
const LIMITED: &str = "limited";
const LANES: [&str; 3] = [PLAIN, FLAKY, LIMITED];
const BURST: usize = 10;
/// Requests in flight of the lane that refuses at first.
const IN_FLIGHT: usize = 4;
/// The wait before a retry, in milliseconds, and by how much of it it may vary.
const WAIT_MS: u64 = 5_000;
const JITTER: f64 = 0.2;
/// Longest time that passes in one go, in milliseconds: as much later may a retry be seen.
const STEP_MS: u64 = 20_000;
/// The longest that an endpoint may ask to be left alone, and a little: the bound for due times that were
/// written by another clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60 + 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Farthest that the clock may get from where it began: ids have room to the year 2089.
const FARTHEST: Duration = Duration::from_secs(40 * 365 * 24 * 60 * 60);
/// Journeys, each with a router of its own.
const JOURNEYS: (u64, u64) = (20, 2_000);
const STEPS: u64 = 14;

/// A router whose clock jumps.
struct Journey {
    router: TestRouter,
    account: Arc<Account>,
    receiver: Counting,
    experienced: Duration,
    /// How far the clock is from where it would be without jumps, in milliseconds.
    off: i64,
    events: u64,
    last_id: String,
    forwards: Vec<u64>,
    /// When due times may have been taken over from another clock, as experienced.
    carried: Vec<u64>,
    jumps: u64,
    faults: Vec<String>,
}

/// How the router is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetUp {
    AsItShould,
    /// What the ledger says is taken for true, however far ahead it is.
    Unclamped,
    /// The lane that should be limited is not.
    Unlimited,
}

impl Journey {
    async fn start(set_up: SetUp) -> Self {
        let account = Arc::new(Account::default());
        let receiver = Counting::start(account.clone()).await;
        let router = TestRouter::with(|config| {
            config.dispatch.retry_waits = Some(vec![Duration::from_millis(WAIT_MS); 5]);
            if set_up == SetUp::Unclamped {
                // Nothing may wait for longer than anything may be asked to: plugins may ask for 49 days now.
                config.plugins.delay_ms = u32::MAX;
            }
        })
        .await;
        for lane in LANES {
            let mut wish = json!({"name": lane, "key": lane, "url": receiver.url(lane), "events": ["*"],
                "max_in_flight": IN_FLIGHT});
            if lane == LIMITED && set_up != SetUp::Unlimited {
                wish["max_in_flight"] = json!(64);
                wish["rate_limit"] = json!({"requests": BURST, "per_seconds": 1, "burst": BURST});
            }
            router.subscribe(&wish).await;
        }
        Self {
            router,
            account,
            receiver,
            experienced: Duration::ZERO,
            off: 0,
            events: 0,
            last_id: String::new(),
            forwards: Vec::new(),
            carried: Vec::new(),
            jumps: 0,
            faults: Vec::new(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.experienced.as_millis()).expect("a short journey")
    }

    /// Waits until the router has done what it can do now, and looks at how much came at once.
    async fn rest(&mut self, before: usize) {
        // What the first finds at rest may not have looked at the clock yet; the second asks behind that.
        self.router.settle().await;
        self.router.settle().await;
        let came = self.account.arrived(LIMITED) - before;
        // A bucket that is full holds no more, however long it was left alone.
        if came > BURST {
            self.faults
                .push(format!("{came} requests at once in the limited lane"));
        }
    }

    async fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.events += 1;
            self.account.will_send(self.events);
            let id = self
                .router
                .send(&json!({"type": "t", "data": token(self.events)}))
                .await;
            self.account.acknowledge(self.events);
            if id <= self.last_id {
                self.faults.push(format!("the id {id} follows {}", self.last_id));
            }
            self.last_id = id;
        }
    }

    /// Time passes as it should.
    async fn pass(&mut self, by: Duration) {
        let before = self.account.arrived(LIMITED);
        self.experienced += by;
        self.account.stamp(self.now());
        self.router.clock.advance(by);
        self.rest(before).await;
    }

    fn jump(&mut self, seed: &mut Seed, back: bool) {
        // As many by seconds as by years.
        let longest = u64::try_from(10 * YEAR.as_millis()).expect("ten years");
        let longest = longest >> seed.within(0..28);
        let by = seed.within(1_000..longest.max(2_000));
        let signed = i64::try_from(by).expect("ten years");
        let off = self.off + if back { -signed } else { signed };
        // No further than six years back: the clock began in 2026, and ids in 2020.
        let limits = -6 * i64::try_from(YEAR.as_millis()).expect("a year")
            ..i64::try_from(FARTHEST.as_millis()).expect("forty years");
        if !limits.contains(&off) {
            return;
        }
        self.off = off;
        self.jumps += 1;
        if back {
            self.router.clock.turn_back(Duration::from_millis(by));
        } else {
            self.router.clock.advance(Duration::from_millis(by));
            self.forwards.push(self.now());
        }
    }

    async fn step(&mut self, seed: &mut Seed) {
        let before = self.account.arrived(LIMITED);
        match seed.within(0..8) {
            0..=1 => self.send(seed.within(1..30)).await,
            2..=3 => return self.pass(Duration::from_millis(seed.within(1..STEP_MS))).await,
            4 => self.jump(seed, false),
            5 => self.jump(seed, true),
            6 => {
                // Set back while something is under way: what it will say of itself is of the old clock.
                self.send(seed.within(1..30)).await;
                self.jump(seed, true);
                self.carried.push(self.now());
            }
            _ => {
                self.router.stop().await;
                let back = seed.once_in(2);
                self.jump(seed, back);
                self.router.start_again().await;
                self.carried.push(self.now());
                // A new router begins with full buckets.
                self.rest(before).await;
                return;
            }
        }
        self.rest(before).await;
    }

    /// Lets time pass until everything has arrived; true where it has, within the bounds.
    async fn arrive(&mut self) -> bool {
        let steps = 30 + self.events / BURST as u64;
        for _ in 0..steps {
            if self.account.judge(&LANES).lost.is_empty() {
                return true;
            }
            self.pass(Duration::from_secs(1)).await;
        }
        for _ in 0..LONGEST.as_secs() / HOUR.as_secs() + 2 {
            self.pass(HOUR).await;
        }
        for _ in 0..steps {
            self.pass(Duration::from_secs(1)).await;
        }
        self.account.judge(&LANES).lost.is_empty()
    }

    /// Looks at when retries came.
    fn look_at_waits(&mut self) {
        let mut refused: HashMap<String, u64> = HashMap::new();
        for Noted { lane, id, status, at } in self.account.noted() {
            if lane != FLAKY {
                continue;
            }
            let Some(begun) = refused.remove(&id) else {
                assert_eq!(status, 503, "{id} is refused first");
                refused.insert(id, at);
                continue;
            };
            let waited = at - begun;
            let between = |times: &[u64]| times.iter().any(|time| (begun..=at).contains(time));
            let shortest = WAIT_MS as f64 * (1.0 - JITTER);
            if (waited as f64) < shortest && !between(&self.forwards) {
                self.faults.push(format!("{id} was retried after {waited} ms"));
            }
            let longest = (WAIT_MS as f64).mul_add(1.0 + JITTER, STEP_MS as f64);
            if waited as f64 > longest && !between(&self.carried) {
                self.faults.push(format!("{id} waited for {waited} ms"));
            }
        }
    }

    /// Goes through all of it; gives what was wrong.
    async fn travel(mut self, seed: &mut Seed) -> Travelled {
        self.account.begin_life();
        for _ in 0..STEPS {
            self.step(seed).await;
        }
        if !self.arrive().await {
            let lost = self.account.judge(&LANES).lost.len();
            self.faults
                .push(format!("{lost} deliveries wait for longer than anything may"));
        }
        self.look_at_waits();
        let most = self.receiver.at_once(FLAKY);
        if most > IN_FLIGHT {
            self.faults.push(format!("{most} requests in flight"));
        }
        for lane in LANES {
            let shown = self.router.get(&format!("/api/v1/subscriptions/{lane}")).await;
            let count = |name: &str| shown.body["deliveries"][name].as_u64().unwrap_or_default();
            let counted = ["delivered", "filtered", "failed", "pending"].map(count);
            if count("created") != self.events || counted.iter().sum::<u64>() != self.events {
                self.faults
                    .push(format!("{lane}: {} created, {counted:?}", count("created")));
            }
        }
        self.faults.extend(self.account.judge(&LANES).verdict(0).err());
        // One that is only dropped keeps its threads, and the next journey begins beside it.
        self.router.stop().await;
        Travelled {
            events: self.events,
            jumps: self.jumps,
            faults: self.faults,
        }
    }
}

struct Travelled {
    events: u64,
    jumps: u64,
    faults: Vec<String>,
}

#[tokio::test]
async fn clocks_that_jump_lose_nothing_and_nobody_waits_for_them() {
    let mut seed = Seed::wanted("clock");
    let journeys = Extent::wanted().of(JOURNEYS.0, JOURNEYS.1);
    let (mut events, mut jumps) = (0, 0);
    for journey in 0..journeys {
        let first = seed.next();
        let travelled = Journey::start(SetUp::AsItShould).await;
        let travelled = travelled.travel(&mut Seed::from_number(first)).await;
        let faults = &travelled.faults[..travelled.faults.len().min(10)];
        assert!(
            faults.is_empty(),
            "journey {journey}, which begins with {first}: {faults:#?}"
        );
        events += travelled.events;
        jumps += travelled.jumps;
    }
    println!(
        "clock: {journeys} journeys with {jumps} jumps of 1 s to 10 years, {events} events on {} lanes, lost 0, \
         repeated 0, too early 0, too late 0, at most {BURST} at once where {BURST} are allowed",
        LANES.len(),
    );
}

/// Deliveries that wait while the router is stopped and its clock is set back by a year; how many of them wait for
/// longer than anything may.
async fn set_back_while_stopped(set_up: SetUp) -> Vec<(String, u64)> {
    let mut journey = Journey::start(set_up).await;
    journey.account.begin_life();
    journey.send(20).await;
    journey.rest(journey.account.arrived(LIMITED)).await;
    journey.router.stop().await;
    journey.router.clock.turn_back(YEAR);
    journey.router.start_again().await;
    let arrived = journey.arrive().await;
    let lost = journey.account.judge(&LANES).lost;
    assert_eq!(arrived, lost.is_empty());
    journey.router.stop().await;
    lost
}

#[tokio::test]
async fn control_without_the_clamp_a_clock_that_is_gone_is_waited_for() {
    let with = set_back_while_stopped(SetUp::AsItShould).await;
    let without = set_back_while_stopped(SetUp::Unclamped).await;
    println!(
        "clock, control: set back by a year, {} of 20 deliveries wait too long without the clamp, {} with it",
        without.len(),
        with.len()
    );
    assert!(with.is_empty(), "{with:?}");
    assert!(!without.is_empty(), "the check sees no difference");
    assert!(without.iter().all(|(lane, _)| lane == FLAKY), "{without:?}");
}

#[tokio::test]
async fn control_a_flood_is_caught() {
    let mut journey = Journey::start(SetUp::Unlimited).await;
    journey.account.begin_life();
    let before = journey.account.arrived(LIMITED);
    journey.send(30).await;
    journey.rest(before).await;
    println!("clock, control: {:?}", journey.faults);
    assert!(journey.faults[0].contains("at once"), "{:?}", journey.faults);
}
