//! The n-th call of the disk fails, for n = 1, 2, 3 … until a whole scenario passes untouched.
//!
//! The scenario: start, subscribe, twenty events, their deliveries, a plugin, stop with a checkpoint. One
//! call of one kind fails, once or from then on. Whatever becomes of it, nothing panics and nothing hangs; a
//! start refuses with a reason or serves; an answer is a good one or a 5xx. After a failed write or sync the
//! router writes no more, is not ready, and says that it has failed, which ends `hookway serve`. A full disk
//! it survives, and so it does a quota that is used up, and goes on when there is room. Then everything that
//! was acknowledged must be there: in the files as they are (the process ended) and as a power cut leaves
//! them (what a failed sync had is gone).
//!
//! Control: a disk that hides a failed sync, which is what syncing once more amounts to. That must show.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ffi;
use serde_json::json;

use crate::durable::{Acknowledged, Looked, look_at, send};
use crate::extent::Extent;
use crate::panics;
use crate::support::{Receiver, TestRouter};
use crate::vfs::{Cut, Disk, Fault, Lasting, Op, QUOTA, Syncs, copy_of};
use crate::wrap;

mod program;

/// Events of the scenario.
const EVENTS: u64 = 20;
/// Longest that a scenario may take; the usual one is below a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds after which a disk that was full and is well again takes events.
const SECONDS_UNTIL_WELL: u32 = 20;
/// Of so many runs with a fault, one is started again as a whole router.
const RESTART_EVERY: u64 = 5;

/// What fails how. The step is that of the quick form.
const KINDS: [(Op, c_int, u64); 10] = [
    (Op::Open, ffi::SQLITE_CANTOPEN, 1),
    (Op::Write, ffi::SQLITE_IOERR_WRITE, 53),
    (Op::Write, ffi::SQLITE_FULL, 97),
    (Op::Write, QUOTA, 89),
    (Op::Sync, ffi::SQLITE_IOERR_FSYNC, 4),
    (Op::Truncate, ffi::SQLITE_IOERR_TRUNCATE, 1),
    (Op::Delete, ffi::SQLITE_IOERR_DELETE, 1),
    (Op::Read, ffi::SQLITE_IOERR_READ, 11),
    (Op::Read, ffi::SQLITE_IOERR_SHORT_READ, 23),
    (Op::Shm, ffi::SQLITE_IOERR_SHMMAP, 61),
];

/// What became of a run.
struct Ran {
    _dir: tempfile::TempDir,
    data: std::path::PathBuf,
    disk: Arc<Disk>,
    /// Before the end of the run and after it.
    cuts: [Cut; 2],
    done: Vec<Acknowledged>,
    /// Whether the fault came, and what it left of the router.
    left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// The fault did not come.
    Untouched,
    /// It did not start.
    Refused,
    /// It stopped writing.
    Failed,
    /// It went on.
    WentOn,
    /// The fault came while it stopped.
    AtTheEnd,
}

/// Runs the scenario on a new directory.
async fn scenario(receiver: &Receiver, fault: Option<Fault>, syncs: Syncs) -> Ran {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let disk = Disk::below(&data);
    disk.syncs(syncs);
    if let Some(fault) = fault {
        disk.fail(fault);
    }
    let mut done = Vec::new();
    let mut cut = None;
    let running = run(receiver, &data, &disk, fault, &mut done, &mut cut);
    let Ok(left) = tokio::time::timeout(PATIENCE, running).await else {
        panic!("{fault:?}: it hangs");
    };
    let last = disk.cut();
    Ran {
        _dir: dir,
        data,
        cuts: [cut.unwrap_or_else(|| last.clone()), last],
        disk,
        done,
        left,
    }
}

async fn run(
    receiver: &Receiver,
    data: &Path,
    disk: &Disk,
    fault: Option<Fault>,
    done: &mut Vec<Acknowledged>,
    cut: &mut Option<Cut>,
) -> Left {
    let started = TestRouter::try_with(|config| data.clone_into(&mut config.data_dir)).await;
    let mut router = match started {
        Ok(router) => router,
        Err(error) => {
            assert!(
                disk.struck() > 0,
                "{fault:?}: it refuses for no reason: {error:?}"
            );
            return Left::Refused;
        }
    };
    let subscription = json!({"name": "all", "url": receiver.url(), "events": ["load.*"]});
    let answer = router.post("/api/v1/subscriptions", &subscription).await;
    assert!(matches!(answer.status, 201 | 500..), "{fault:?}: {}", answer.text);
    for n in 0..EVENTS {
        if let Ok(id) = send(&router, n).await {
            done.push((id, n));
            disk.acknowledge(done.len());
        }
    }
    *cut = Some(disk.cut());
    let component = wat::parse_str(wrap::component(include_str!("../guests/echo.wat"))).expect("it is text");
    let wasm = [("content-type", "application/wasm")];
    let answer = router
        .call_raw("PUT", "/api/v1/plugins/echo", &wasm, component)
        .await;
    assert!(
        matches!(answer.status, 200..300 | 500..),
        "{fault:?}: {}",
        answer.text
    );
    let left = after(&router, disk, fault).await;
    if left == Left::WentOn {
        // What it survives is over some time: then everything goes on without a restart.
        disk.heal();
        rest(&router, fault).await;
        let mut id = send(&router, EVENTS).await;
        // A store that found no room keeps new events out for some seconds more.
        for _ in 0..SECONDS_UNTIL_WELL {
            if id.is_ok() {
                break;
            }
            router.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
            id = send(&router, EVENTS).await;
        }
        let id = id.unwrap_or_else(|status| panic!("{fault:?}: well again, it answers {status}"));
        done.push((id, EVENTS));
        disk.acknowledge(done.len());
    }
    rest(&router, fault).await;
    let ended = router.end().await;
    match left {
        Left::Untouched if disk.struck() > 0 => Left::AtTheEnd,
        Left::Untouched => {
            ended.expect("nothing failed");
            Left::Untouched
        }
        left => left,
    }
}

/// What the fault left of a router that serves.
async fn after(router: &TestRouter, disk: &Disk, fault: Option<Fault>) -> Left {
    let Some(fault) = fault.filter(|_| disk.struck() > 0) else {
        return Left::Untouched;
    };
    let full = matches!(fault.code, ffi::SQLITE_FULL | QUOTA);
    let writers = matches!(fault.op, Op::Write | Op::Sync) && !full;
    let failed = tokio::time::timeout(
        // A fault of a reader's or a full disk ends nothing; one of the writer's does at once.
        if writers {
            Duration::from_secs(10)
        } else {
            Duration::from_millis(20)
        },
        router.router().failed(),
    );
    let failed = failed.await.is_ok();
    assert!(
        failed || !writers,
        "{fault:?}: it does not say that it has failed"
    );
    assert!(!failed || !full, "{fault:?}: a full disk is survived");
    if !failed {
        return Left::WentOn;
    }
    let ready = router.get("/readyz").await.status;
    assert_eq!(ready, 503, "{fault:?}: it has failed and says that it is ready");
    let (writes, syncs) = (disk.count(Op::Write), disk.count(Op::Sync));
    assert!(
        send(router, EVENTS).await.is_err(),
        "{fault:?}: it has failed and accepts"
    );
    let after = (disk.count(Op::Write), disk.count(Op::Sync));
    assert_eq!((writes, syncs), after, "{fault:?}: it has failed and writes");
    Left::Failed
}

/// Waits until nothing is under way. What could not be read is read again after a while, which the clock has
/// to be told.
async fn rest(router: &TestRouter, fault: Option<Fault>) {
    for _ in 0..40 {
        let settled = router.router().settled();
        if tokio::time::timeout(Duration::from_millis(250), settled)
            .await
            .is_ok()
        {
            return;
        }
        router.clock.advance(Duration::from_secs(6));
    }
    panic!("{fault:?}: it does not come to rest");
}

/// Looks for everything that was acknowledged, in the files as they are and after power cuts.
async fn account(ran: &Ran, whole: bool) -> Looked {
    ran.disk.heal();
    let mut looked = Looked::default();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("as-it-is");
    // As after a crash: without the index of the log, which every start makes anew, and the lock.
    copy_of(&ran.data, &path, |name| name != "lock" && !name.ends_with("-shm"));
    let there = look_at(&path, &ran.done, &mut looked).await;
    there.unwrap_or_else(|why| panic!("as it is: {why}"));
    for (at, cut) in ran.cuts.iter().enumerate() {
        for seed in 0..2 {
            let path = dir.path().join(format!("cut-{at}-{seed}"));
            cut.image(seed, &path);
            if let Err(why) = look_at(&path, &ran.done[..cut.acknowledged], &mut looked).await {
                // Of a database that cannot be read everything is lost.
                println!("cut {at}, image {seed}: {why}");
                looked.lost += cut.acknowledged;
            }
        }
    }
    if whole {
        let mut router = TestRouter::with(|config| path.clone_into(&mut config.data_dir)).await;
        router.settle().await;
        for (id, _) in &ran.done {
            router.get(&format!("/api/v1/events/{id}")).await.expect(200);
        }
        // One that is only dropped keeps its threads, and the next run begins beside it.
        router.stop().await;
    }
    looked
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_call_fails_nothing_acknowledged_is_lost() {
    panics::remember();
    let extent = Extent::wanted();
    let receiver = Receiver::start().await;
    let mut runs = 0_u64;
    let mut looked = Looked::default();
    for (op, code, step) in KINDS {
        let mut came: BTreeMap<Left, u64> = BTreeMap::new();
        let mut n = 1;
        loop {
            let lasting = if n % 2 == 1 {
                Lasting::Once
            } else {
                Lasting::FromThenOn
            };
            let fault = Fault {
                op,
                nth: n,
                code,
                lasting,
            };
            let ran = scenario(&receiver, Some(fault), Syncs::Kept).await;
            let one = account(&ran, runs.is_multiple_of(RESTART_EVERY)).await;
            assert_eq!((one.lost, one.wrong), (0, 0), "{fault:?}: {:?}", ran.left);
            looked.events += one.events;
            runs += 1;
            *came.entry(ran.left).or_default() += 1;
            if ran.left == Left::Untouched {
                assert_eq!(ran.done.len() as u64, EVENTS, "untouched, it accepts everything");
                break;
            }
            n += extent.of(step, 1);
        }
        println!("n-th error, {op:?} fails with {code}: {n} calls reached, {came:?}");
    }
    println!(
        "n-th error: {runs} runs, {} events looked for, 0 lost",
        looked.events
    );
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_failed_sync_that_is_taken_for_a_good_one_loses_events() {
    let receiver = Receiver::start().await;
    let (mut lost, mut runs) = (0, 0);
    for n in (8..40).step_by(4) {
        let fault = Fault {
            op: Op::Sync,
            nth: n,
            code: ffi::SQLITE_IOERR_FSYNC,
            lasting: Lasting::Once,
        };
        let ran = scenario_with_hidden_errors(&receiver, fault).await;
        lost += ran;
        runs += 1;
    }
    println!("n-th error, failed syncs hidden: {runs} runs, {lost} acknowledged events lost");
    assert!(lost > 0);
}

async fn scenario_with_hidden_errors(receiver: &Receiver, fault: Fault) -> usize {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let disk = Disk::below(&data);
    disk.syncs(Syncs::ErrorsHidden);
    disk.fail(fault);
    let mut router = TestRouter::with(|config| data.clone_into(&mut config.data_dir)).await;
    router
        .subscribe(&json!({"name": "all", "url": receiver.url(), "events": ["load.*"]}))
        .await;
    let mut done = Vec::new();
    for n in 0..EVENTS {
        if let Ok(id) = send(&router, n).await {
            done.push((id, n));
            disk.acknowledge(done.len());
        }
    }
    let cut = disk.cut();
    let mut looked = Looked::default();
    let path = dir.path().join("cut");
    cut.image(0, &path);
    if let Err(why) = look_at(&path, &done[..cut.acknowledged], &mut looked).await {
        println!("{fault:?}: {why}");
        looked.lost += cut.acknowledged;
    }
    router.end().await.ok();
    looked.lost
}
