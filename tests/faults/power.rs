//! The power goes: what was acknowledged before is there when it comes back.
//!
//! The real router takes events over real sockets from many producers at once, on a disk that the test holds
//! (see [`crate::vfs`]). Power cuts happen before single writes and syncs, of the log and of the database
//! (which is written by checkpoints only), each in the writer's own thread. Of each cut several directories
//! are made, as different disks could have left them, and from each the store, and now and then a whole
//! router, is started again on an ordinary disk: every event acknowledged before the cut must be there with
//! its bytes, the file sound, the counters equal to the rows.
//!
//! The order is proved apart: between the last byte of each request and its answer, the event's own bytes
//! were written to the log and then a sync of the log began and ended.
//!
//! Controls: a disk that says yes to syncs and does nothing, and `PRAGMA synchronous = NORMAL`. Both lose.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;

use crate::chance::Chance;
use crate::durable::{Acknowledged, Looked, data_of, look_at, router_on, send};
use crate::extent::Extent;
use crate::support::{Receiver, TestRouter};
use crate::vfs::{Cut, Cutting, Disk, Odds, Op, Syncs};

/// Producers at once.
const PRODUCERS: usize = 8;
/// Directories made of each cut.
const IMAGES: u64 = 5;
/// Of so many images one is given to a whole router; the others to the store alone.
const ROUTER_EVERY: usize = 10;
/// Events that such a router is asked for.
const ASKED: usize = 40;
/// A sync takes about this long on a good disk.
const SYNC: Duration = Duration::from_micros(700);

/// What the images were like.
#[derive(Debug, Default)]
struct Found {
    images: usize,
    routers: usize,
    /// Changes that the cuts had in their hands.
    at_stake: usize,
    /// Cuts in the middle of a checkpoint.
    checkpoints: usize,
    looked: Looked,
    /// Images that could not be opened, and databases that were unsound or did not add up.
    broken: Vec<String>,
}

/// Sends events with these numbers from all producers.
async fn load(
    router: &TestRouter,
    disk: &Disk,
    numbers: std::ops::Range<u64>,
    done: &Mutex<Vec<Acknowledged>>,
) {
    let sending = futures_util::stream::iter(numbers).for_each_concurrent(PRODUCERS, |n| async move {
        if let Ok(id) = send(router, n).await {
            let mut done = done.lock().unwrap();
            done.push((id, n));
            disk.acknowledge(done.len());
        }
    });
    sending.await;
}

/// A run that is over; its directory goes with it.
struct Run {
    _router: TestRouter,
    cuts: Vec<Cut>,
    done: Vec<Acknowledged>,
}

/// Runs a router under load, with a disk prepared so, through at most so many cuts.
async fn run(seed: u64, cuts: usize, prepare: impl FnOnce(&Disk)) -> Run {
    let receiver = Receiver::start().await;
    let (mut router, disk) = router_on(|disk| disk.latency(SYNC)).await;
    let subscription = json!({"name": "all", "url": receiver.url(), "events": ["load.*"]});
    router.subscribe(&subscription).await;
    prepare(&disk);
    let chance = Chance::of(seed);
    disk.cutting(Some(Cutting {
        chance,
        log: Odds {
            once_in: 300,
            most: cuts / 2,
        },
        database: Odds {
            once_in: 150,
            most: cuts / 2 - 1,
        },
    }));
    let done = Mutex::new(Vec::new());
    load(&router, &disk, 0..500, &done).await;
    // The writer empties the log when it has nothing to do; what comes then goes to its beginning.
    let emptied = disk.count(Op::Truncate);
    let waiting = async {
        while disk.count(Op::Truncate) == emptied {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "the log is not emptied");
    load(&router, &disk, 500..620, &done).await;
    disk.cutting(None);
    let mut made = disk.cuts();
    made.push(disk.cut());
    router.stop().await;
    Run {
        _router: router,
        cuts: made,
        done: done.into_inner().unwrap(),
    }
}

/// Makes images of the cuts and looks at each.
async fn look(seed: u64, cuts: &[Cut], done: &[Acknowledged], found: &mut Found) {
    for (at, cut) in cuts.iter().enumerate() {
        found.at_stake += cut.at_stake;
        found.checkpoints += usize::from(cut.in_checkpoint);
        for image in 0..IMAGES {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("data");
            cut.image(seed << 32 | u64::try_from(at).expect("few") << 8 | image, &path);
            let acknowledged = &done[..cut.acknowledged];
            found.images += 1;
            if let Err(why) = look_at(&path, acknowledged, &mut found.looked).await {
                found
                    .broken
                    .push(format!("seed {seed}, cut {at}, image {image}: {why}"));
            } else if found.images % ROUTER_EVERY == 1 {
                start_on(&path, acknowledged, found).await;
            }
        }
    }
}

/// Starts a router on an image: events by its API, and what is pending is delivered.
async fn start_on(path: &Path, acknowledged: &[Acknowledged], found: &mut Found) {
    let mut router = TestRouter::with(|config| path.clone_into(&mut config.data_dir)).await;
    found.routers += 1;
    let step = (acknowledged.len() / ASKED).max(1);
    router.settle().await;
    for (id, n) in acknowledged.iter().rev().step_by(step) {
        let answer = router.get(&format!("/api/v1/events/{id}")).await;
        if answer.status != 200 {
            found.looked.lost += 1;
            continue;
        }
        let expected: serde_json::Value = serde_json::from_str(&data_of(*n)).expect("it is JSON");
        found.looked.wrong += usize::from(answer.body["data"] != expected);
        if router.delivery_of(id).await["status"] != "delivered" {
            found
                .broken
                .push(format!("{id} is not delivered: {}", router.delivery_of(id).await));
        }
    }
    // One that is only dropped keeps its threads, and the next look begins beside it.
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_power_cut() {
    let extent = Extent::wanted();
    let (runs, cuts) = extent.of((2, 10), (40, 10));
    let mut found = Found::default();
    let mut events = 0;
    for seed in 0..runs {
        let run = run(seed, cuts, |_| {}).await;
        events += run.done.len();
        look(seed, &run.cuts, &run.done, &mut found).await;
    }
    println!(
        "power cut: {runs} runs, {events} events acknowledged, {} images ({} with a whole router), {} unsynced \
         changes at stake, {} cuts in checkpoints, {} looked for, {} lost, {} wrong, {} broken",
        found.images,
        found.routers,
        found.at_stake,
        found.checkpoints,
        found.looked.events,
        found.looked.lost,
        found.looked.wrong,
        found.broken.len()
    );
    assert_eq!((found.looked.lost, found.looked.wrong), (0, 0), "{found:?}");
    assert!(found.broken.is_empty(), "{:#?}", found.broken);
    assert!(
        found.at_stake > 100 && found.checkpoints > 0 && found.looked.events > 1_000,
        "it shows nothing: {found:?}"
    );
}

/// The same run and look, with a guard taken away; gives what came out.
async fn control(name: &str, prepare: impl FnOnce(&Disk)) -> Found {
    let mut found = Found::default();
    let run = run(7, 6, prepare).await;
    for (at, cut) in run.cuts.iter().enumerate() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("data");
        cut.image(u64::try_from(at).expect("few"), &path);
        found.images += 1;
        if let Err(why) = look_at(&path, &run.done[..cut.acknowledged], &mut found.looked).await {
            found.broken.push(why);
        }
    }
    println!(
        "power cut, {name}: {} images, {} looked for, {} lost, {} broken",
        found.images,
        found.looked.events,
        found.looked.lost,
        found.broken.len()
    );
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_disk_that_lies_about_syncs_is_found_out() {
    let found = control("syncs that lie", |disk| disk.syncs(Syncs::Lied)).await;
    assert!(found.looked.lost > 0 || !found.broken.is_empty(), "{found:?}");
}

/// Sends so many events and gives how many were answered before they were synced.
async fn out_of_order(events: u64, prepare: impl FnOnce(&Disk)) -> usize {
    let (router, disk) = router_on(prepare).await;
    disk.latency(SYNC);
    let early = std::sync::atomic::AtomicUsize::new(0);
    let sending = futures_util::stream::iter(0..events).for_each_concurrent(PRODUCERS, |n| {
        let (router, disk, early) = (&router, &disk, &early);
        async move {
            let asked = disk.tick();
            let id = send(router, n).await;
            let answered = disk.tick();
            assert!(id.is_ok(), "every event is accepted");
            if !disk.was_synced_between(n, asked, answered) {
                early.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    });
    sending.await;
    early.into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_comes_after_the_sync_of_its_event() {
    let events = Extent::wanted().of(500, 2_000);
    let early = out_of_order(events, |_| {}).await;
    println!("order: {events} acceptances, {early} answered before their sync");
    assert_eq!(early, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_full_synchronisation_answers_come_too_early_and_events_are_lost() {
    let early = out_of_order(100, Disk::weaken).await;
    println!("order, synchronous = NORMAL: 100 acceptances, {early} answered before their sync");
    assert!(early > 50, "only {early}");
    let receiver = Receiver::start().await;
    let (router, disk) = router_on(Disk::weaken).await;
    router
        .subscribe(&json!({"name": "all", "url": receiver.url(), "events": ["load.*"]}))
        .await;
    let done = Mutex::new(Vec::new());
    load(&router, &disk, 0..100, &done).await;
    let (cut, done) = (disk.cut(), done.into_inner().unwrap());
    let mut found = Found::default();
    look(7, &[cut], &done, &mut found).await;
    println!(
        "power cut, synchronous = NORMAL: {} images, {} of {} lost",
        found.images, found.looked.lost, found.looked.events
    );
    assert!(found.looked.lost > 0 || !found.broken.is_empty(), "{found:?}");
}
