//! SIGTERM under load: nothing is lost, and nothing is sent twice to receivers that answer within the time
//! for draining; the process ends by itself, within that time, and says that all is well.
//!
//! One endpoint that hangs is cut off and costs the others nothing. A second signal ends everything at
//! once, and then the bound is that of a sudden end. The control has no time for draining.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::counting::{FLAKY, HUNG, PLAIN, SHAPED, SLOW};
use crate::extent::Extent;
use crate::seed::Seed;
use crate::support::wire::post_events;
use crate::under_load::{SLOW_IN_FLIGHT, UnderLoad};

/// Lanes that answer within the time for draining.
const ANSWERING: [&str; 4] = [PLAIN, SHAPED, FLAKY, SLOW];
/// The same, and the one that never answers.
const WITH_HUNG: [&str; 5] = [PLAIN, SHAPED, FLAKY, SLOW, HUNG];
/// Requests in flight of one subscription.
const IN_FLIGHT: usize = 8;
/// Ends of the process.
const CYCLES: (u64, u64) = (10, 100);
/// Ends while an endpoint hangs; each takes the whole time for draining.
const HUNG_CYCLES: (u64, u64) = (2, 20);
/// How long a life lasts once the router answers, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 100..600;
/// The time for draining where an endpoint hangs. Twice as long would be wrong, and is told apart even on a
/// busy machine.
const DRAIN: Duration = Duration::from_secs(4);
/// The same, as a setting.
const DRAIN_SETTING: &str = "dispatch.drain=4s";
/// Longest wait for a process to end that has the default time for draining.
const PATIENCE: Duration = Duration::from_secs(40);
/// Cycles in which the control must have turned red.
const CONTROL_CYCLES: u64 = 20;

/// SIGTERM; gives the exit code and how long it took.
async fn terminate(load: &mut UnderLoad) -> (Option<i32>, Duration) {
    let mut process = load.take_process();
    let asked = Instant::now();
    process.terminate();
    let ended = process.ended(PATIENCE).await.expect("it ends by itself");
    let took = asked.elapsed();
    assert!(!process.panicked(), "a thread of the router panicked");
    load.is_gone().await;
    (ended.code(), took)
}

async fn live(seed: &mut Seed) {
    tokio::time::sleep(Duration::from_millis(seed.within(LIFE_MS))).await;
}

#[tokio::test]
async fn sigterm_loses_nothing_and_repeats_nothing() {
    let mut seed = Seed::wanted("SIGTERM");
    let cycles = Extent::wanted().of(CYCLES.0, CYCLES.1);
    let mut load = UnderLoad::start(&ANSWERING, IN_FLIGHT, &[]).await;
    let mut longest = Duration::ZERO;
    for cycle in 0..cycles {
        live(&mut seed).await;
        let (code, took) = terminate(&mut load).await;
        assert_eq!(code, Some(0), "cycle {cycle}");
        longest = longest.max(took);
        load.begin();
    }
    let again = load.stop_producers().await;
    load.drain().await;
    load.counters_agree().await;
    let findings = load.account.judge(&ANSWERING);
    println!(
        "SIGTERM: {cycles} cycles, {} events acknowledged ({again} sent again), {} deliveries, lost {}, repeated {}, \
         exit 0 after {longest:.1?} at the most",
        findings.acknowledged,
        findings.arrived,
        findings.lost.len(),
        findings.repeats(),
    );
    findings.demand(0);
    assert!(findings.acknowledged as u64 > cycles, "there was no load");
}

#[tokio::test]
async fn an_endpoint_that_hangs_and_a_slow_producer_cost_one_drain_time() {
    let mut seed = Seed::wanted("SIGTERM, one hangs");
    let cycles = Extent::wanted().of(HUNG_CYCLES.0, HUNG_CYCLES.1);
    let mut load = UnderLoad::start(&WITH_HUNG, IN_FLIGHT, &[DRAIN_SETTING]).await;
    let mut longest = Duration::ZERO;
    for cycle in 0..cycles {
        live(&mut seed).await;
        // A request that begins and does not end.
        let mut slow = TcpStream::connect(load.process().address)
            .await
            .expect("a connection");
        let head = post_events("expect: 100-continue\r\ncontent-length: 100", "");
        slow.write_all(head.as_bytes()).await.expect("it is read");
        let mut go_on = [0_u8; 12];
        slow.read_exact(&mut go_on).await.expect("an answer");
        assert_eq!(&go_on, b"HTTP/1.1 100", "its body is waited for");
        let (code, took) = terminate(&mut load).await;
        assert_eq!(code, Some(0), "cycle {cycle}");
        assert!(
            took < 2 * DRAIN,
            "cycle {cycle}: {took:?} for a drain of {DRAIN:?}"
        );
        longest = longest.max(took);
        load.begin();
    }
    load.stop_producers().await;
    load.drain().await;
    load.counters_agree().await;
    let findings = load.account.judge(&ANSWERING);
    println!(
        "SIGTERM, one hangs: {cycles} cycles, {} events acknowledged, lost {}, repeated {}, exit 0 after {longest:.1?} \
         at the most (drain {DRAIN:?})",
        findings.acknowledged,
        findings.lost.len(),
        findings.repeats(),
    );
    findings.demand(0);
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once_and_loses_nothing() {
    let mut seed = Seed::wanted("SIGTERM twice");
    // The time for draining is the default, so that a process which waits for it is told apart.
    let mut load = UnderLoad::start(&WITH_HUNG, IN_FLIGHT, &[]).await;
    live(&mut seed).await;
    while load.counters(HUNG).await.created == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut process = load.take_process();
    let address = process.address;
    process.terminate();
    // It has heard the first when it accepts no more.
    let heard = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard)
        .await
        .expect("it stops accepting");
    let asked = Instant::now();
    process.terminate();
    let status = process.ended(PATIENCE).await.expect("it ends by itself");
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(12), "it waited for {took:?}");
    assert_ne!(status.code(), Some(0), "it says that it was cut off");
    load.is_gone().await;
    load.begin();
    load.stop_producers().await;
    load.drain().await;
    load.counters_agree().await;
    let findings = load.account.judge(&ANSWERING);
    println!(
        "SIGTERM twice: {} events acknowledged, lost {}, repeated {} (bound {SLOW_IN_FLIGHT} of a lane), ended after {took:.1?}",
        findings.acknowledged,
        findings.lost.len(),
        findings.repeats(),
    );
    findings.demand(SLOW_IN_FLIGHT);
}

#[tokio::test]
async fn control_without_time_for_draining_deliveries_are_repeated() {
    let mut seed = Seed::wanted("SIGTERM, control");
    let mut load = UnderLoad::start(&ANSWERING, IN_FLIGHT, &["dispatch.drain=0s"]).await;
    let mut cycles = 0;
    let broken = loop {
        live(&mut seed).await;
        terminate(&mut load).await;
        load.begin();
        cycles += 1;
        // Nothing is lost meanwhile, but that is judged when everything has arrived.
        if let Err(broken) = load.account.judge(&[]).verdict(0) {
            break broken;
        }
        assert!(cycles < CONTROL_CYCLES, "the check does not turn red");
    };
    assert!(broken.contains("repeated at one end"), "{broken}");
    load.stop_producers().await;
    load.drain().await;
    let findings = load.account.judge(&ANSWERING);
    println!(
        "SIGTERM, control: no time for draining, {} repeated and {} lost after {cycles} cycles",
        findings.repeats(),
        findings.lost.len(),
    );
    findings.demand(SLOW_IN_FLIGHT);
}
