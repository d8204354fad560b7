//! A disk that fills: events are refused, what was accepted is delivered, and with room everything goes on by
//! itself.
//!
//! Guards: the marks (events stop while there is still room for outcomes) and the ballast (outcomes can be
//! recorded when there is none). Controls, each with its guard taken away: without the mark the same free space
//! stops no events; without the ballast outcomes cannot be recorded, and even then nothing that was accepted may
//! be lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;

use crate::extent::Extent;
use crate::small_disk::{SmallDisk, inside};
use crate::support::client::Answer;
use crate::support::{Process, Receiver, Reply};

/// The size of the disk: small, so that filling it takes no time.
const DISK: u64 = 64 << 20;
/// The mark that these tests set, and the ballast: a sixteenth of the disk.
const MARK: &str = "store.disk_free_min=8 MiB";
/// What is free below that mark, and above every other limit.
const BELOW_THE_MARK: u64 = 6 << 20;
const PERCENT: &str = "store.disk_free_min_percent=90";
/// The longest that things may take to go on by themselves (reference: five seconds after there is room).
const SOON: Duration = Duration::from_secs(5);
/// A test waits this long for anything else.
const PATIENCE: Duration = Duration::from_secs(30);
/// In the control: so long nothing was recorded.
const LONG_ENOUGH: Duration = Duration::from_secs(6);

struct Scene {
    disk: SmallDisk,
    router: Process,
    receiver: Receiver,
    accepted: Vec<String>,
    refused: BTreeMap<u16, usize>,
}

impl Scene {
    async fn begin(settings: &[&str]) -> Self {
        let disk = SmallDisk::of(DISK);
        let mut all =
            vec!["dispatch.retry_waits=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"];
        all.push("dispatch.in_flight_per_subscription=64");
        all.extend(settings);
        let router = Process::start_with(&disk.path().join("data"), &all);
        let receiver = Receiver::start().await;
        let scene = Self {
            disk,
            router,
            receiver,
            accepted: Vec::new(),
            refused: BTreeMap::new(),
        };
        let subscription = json!({ "name": "all", "url": scene.receiver.url(), "events": ["*"] });
        scene.router.subscribe(&subscription).await;
        let source = json!({ "name": "plain", "verification": { "kind": "none" } });
        scene.router.post("/api/v1/sources", &source).await.expect(201);
        scene
    }

    /// Sends an event and gives what was answered. Which were accepted is remembered.
    async fn send_one(&mut self) -> Answer {
        let id = format!("{:032x}", rand::random::<u128>());
        let event = json!({ "type": "room.test", "id": id, "data": { "id": id, "filler": "x".repeat(900) } });
        let answer = self.router.post("/api/v1/events", &event).await;
        match answer.status {
            202 => self.accepted.push(id),
            other => *self.refused.entry(other).or_default() += 1,
        }
        answer
    }

    /// Sends so many.
    async fn send(&mut self, count: usize) {
        for _ in 0..count {
            self.send_one().await;
        }
    }

    /// Sends events until the answer is this one; how long that took, or none where it took too long.
    async fn comes(&mut self, status: u16, patience: Duration) -> Option<Duration> {
        let began = now();
        while self.send_one().await.status != status {
            if began.elapsed() > patience {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(began.elapsed())
    }

    /// The same, where it must come.
    async fn send_until(&mut self, status: u16, patience: Duration) -> Duration {
        let came = self.comes(status, patience).await;
        came.unwrap_or_else(|| {
            let (free, refused) = (self.disk.free(), &self.refused);
            panic!("no {status} within {patience:?}; {free} bytes free, refused {refused:?}")
        })
    }

    /// Fills the disk to below the mark; how long it takes until events are refused, if they are.
    async fn stops_below_the_mark(&mut self) -> Option<Duration> {
        self.disk.fill_to(BELOW_THE_MARK);
        self.comes(507, SOON).await
    }

    /// How often each event arrived.
    fn arrived(&self) -> BTreeMap<String, usize> {
        let mut arrived = BTreeMap::new();
        for received in self.receiver.received() {
            let id = received.json()["data"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            *arrived.entry(id).or_default() += 1;
        }
        arrived
    }

    /// Waits until nothing is pending any more. False where it takes longer.
    async fn nothing_pending(&self, patience: Duration) -> bool {
        let began = now();
        loop {
            let page = self.router.get("/api/v1/deliveries?status=pending&limit=1").await;
            if page.status == 200 && page.body["data"].as_array().is_some_and(Vec::is_empty) {
                return true;
            }
            if began.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the log is emptied into the database: what is written from then on needs new room.
    async fn log_is_empty(&self) {
        let log = self.disk.path().join("data/hookway.db-wal");
        let began = now();
        while std::fs::metadata(&log).is_ok_and(|about| about.len() > 0) {
            assert!(began.elapsed() < PATIENCE, "the log is never emptied");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything that was accepted has arrived and nothing is pending: how many were lost, and how many
    /// arrivals were more than one.
    async fn account(&self) -> (usize, usize) {
        assert!(
            self.nothing_pending(PATIENCE).await,
            "deliveries are still pending"
        );
        let arrived = self.arrived();
        let lost = self
            .accepted
            .iter()
            .filter(|id| !arrived.contains_key(*id))
            .count();
        let more = arrived.values().map(|times| times - 1).sum();
        (lost, more)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a router takes is what this is about"
)]
fn now() -> Instant {
    Instant::now()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

#[test]
fn below_the_mark_events_are_refused_and_deliveries_go_on() {
    if !inside("full::below_the_mark_events_are_refused_and_deliveries_go_on") {
        return;
    }
    run(async {
        let rounds = Extent::wanted().of(3, 10);
        let mut scene = Scene::begin(&[MARK, PERCENT]).await;
        let (mut slowest_stop, mut slowest_start) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..rounds {
            // The receiver is down: what is accepted waits for the disk to be full.
            scene.receiver.now_answer(Reply::Status(503));
            scene.send(100).await;
            let stopped = scene.stops_below_the_mark().await;
            slowest_stop = slowest_stop.max(stopped.expect("events are refused"));
            let refused = scene.send_one().await.expect(507);
            assert_eq!(refused.str("/type"), "/problems/storage-full");
            let unheard = scene.router.post("/webhooks/plain", &json!({ "a": 1 })).await;
            for answer in [refused, unheard.expect(503)] {
                assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
            }
            scene.router.get("/readyz").await.expect(503);
            scene.router.get("/api/v1/events?limit=1").await.expect(200);
            // It is up again: everything that was accepted is delivered while the disk stays full.
            scene.receiver.now_answer(Reply::Status(200));
            assert!(scene.nothing_pending(PATIENCE).await, "deliveries do not go on");
            assert_eq!(scene.send_one().await.status, 507, "it was still full");
            scene.disk.make_room();
            slowest_start = slowest_start.max(scene.send_until(202, SOON).await);
            scene.router.get("/readyz").await.expect(200);
        }
        let alerts = "/api/v1/events?type=hookway.alert.disk_space&limit=10";
        let told = scene.router.get(alerts).await;
        assert_eq!(
            told.body["data"].as_array().map(Vec::len),
            Some(1),
            "one alert for all of it: {}",
            told.text
        );
        // What arrived while the receiver was down was refused by it, so only the last arrival counts.
        let (lost, _) = scene.account().await;
        println!(
            "full, below the mark: {rounds} rounds, {} accepted, refused {:?}, {lost} lost, \
             stopped within {slowest_stop:?}, went on within {slowest_start:?}",
            scene.accepted.len(),
            scene.refused
        );
        assert_eq!(lost, 0);
        assert!(!scene.router.panicked());
    });
}

#[test]
fn control_without_the_mark_the_same_free_space_stops_nothing() {
    if !inside("full::control_without_the_mark_the_same_free_space_stops_nothing") {
        return;
    }
    run(async {
        let mut scene = Scene::begin(&["store.disk_free_min=0", PERCENT]).await;
        scene.send(100).await;
        let stopped = scene.stops_below_the_mark().await;
        let (lost, _) = scene.account().await;
        println!(
            "full, control without the mark: {} accepted with {} KiB free, refused {:?}, {lost} lost; stopped \
             within {stopped:?} (must be none)",
            scene.accepted.len(),
            scene.disk.free() >> 10,
            scene.refused
        );
        assert_eq!(stopped, None, "the check does not notice that the mark is gone");
        assert_eq!((lost, scene.refused.len()), (0, 0));
    });
}

/// Fills the disk to the last byte under deliveries whose answers come only then. In how many rounds their
/// outcomes could not be recorded while it was full, what was lost, and what arrived more than once.
async fn to_the_last_byte(scene: &mut Scene, rounds: usize, patience: Duration) -> (usize, usize, usize) {
    let mut unrecorded = 0;
    for _ in 0..rounds {
        let (gate, closed) = watch::channel(false);
        scene.receiver.now_answer(Reply::Once(closed));
        let before = scene.receiver.received().len();
        scene.send(50).await;
        // A lane whose endpoint is slow has fewer in flight; the others follow when those are recorded.
        scene.receiver.wait_for(before + 10).await;
        // From here on, whatever is written needs room on the disk that it has not got yet.
        scene.log_is_empty().await;
        scene.disk.fill_to(0);
        scene.send_until(507, SOON).await;
        gate.send_replace(true);
        scene.receiver.now_answer(Reply::Status(200));
        if !scene.nothing_pending(patience).await {
            unrecorded += 1;
        }
        assert_eq!(scene.send_one().await.status, 507, "it was still full");
        scene.disk.make_room();
        scene.send_until(202, SOON + SOON).await;
        assert!(
            scene.nothing_pending(PATIENCE).await,
            "outcomes are never recorded"
        );
    }
    let (lost, twice) = scene.account().await;
    (unrecorded, lost, twice)
}

#[test]
fn on_a_full_disk_outcomes_are_recorded_in_the_ballasts_room() {
    if !inside("full::on_a_full_disk_outcomes_are_recorded_in_the_ballasts_room") {
        return;
    }
    run(async {
        let rounds = Extent::wanted().of(3, 10);
        // No mark: the disk is really full, in the middle of commits.
        let mut scene = Scene::begin(&["store.disk_free_min=0", "store.ballast_bytes=4 MiB"]).await;
        let (unrecorded, lost, twice) = to_the_last_byte(&mut scene, rounds, PATIENCE).await;
        println!(
            "full, to the last byte: {rounds} rounds, {} accepted, refused {:?}, {lost} lost, {twice} twice, \
             {unrecorded} rounds in which outcomes could not be recorded",
            scene.accepted.len(),
            scene.refused
        );
        assert_eq!((unrecorded, lost, twice), (0, 0, 0));
        assert!(!scene.router.panicked());
    });
}

#[test]
fn control_without_ballast_outcomes_wait_for_room() {
    if !inside("full::control_without_ballast_outcomes_wait_for_room") {
        return;
    }
    run(async {
        let rounds = 1;
        let mut scene = Scene::begin(&["store.disk_free_min=0", "store.ballast_bytes=0"]).await;
        let (unrecorded, lost, twice) = to_the_last_byte(&mut scene, rounds, LONG_ENOUGH).await;
        println!(
            "full, control without ballast: {rounds} rounds, {} accepted, {lost} lost, {twice} twice, {unrecorded} \
             rounds in which outcomes could not be recorded (must not be 0)",
            scene.accepted.len()
        );
        assert_eq!(
            unrecorded, rounds,
            "the check does not notice that the ballast is gone"
        );
        assert_eq!(lost, 0, "late is not lost");
    });
}
