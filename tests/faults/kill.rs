//! kill -9 under load, again and again: what was acknowledged arrives, on every lane, and no end of the
//! process repeats more than what was in flight.
//!
//! The bound is exact per subscription: a permit is held until the outcome is committed, so that at a
//! sudden end at most `max_in_flight` deliveries of a lane can have been answered without the router
//! remembering it. The control is a router that acknowledges before it stores.

mod ack_first;

use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::counting::{Counting, PLAIN};
use crate::extent::Extent;
use crate::seed::Seed;
use crate::senders::{Believe, Producers};
use crate::under_load::{ANSWERING, UnderLoad};
use ack_first::AckFirst;

/// Requests in flight of one subscription.
const IN_FLIGHT: usize = 8;
/// Ends of the process, where `HOOKWAY_CYCLES` does not say how many.
const CYCLES: (u64, u64) = (30, 200);
/// How long a life lasts once the router answers, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 50..600;
/// Lives of the router that acknowledges first.
const CONTROL_CYCLES: u64 = 5;

fn cycles() -> u64 {
    match std::env::var("HOOKWAY_CYCLES") {
        Ok(text) => text.parse().expect("HOOKWAY_CYCLES is a number"),
        Err(_) => Extent::wanted().of(CYCLES.0, CYCLES.1),
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let mut seed = Seed::wanted("kill -9");
    let cycles = cycles();
    let mut load = UnderLoad::start(&ANSWERING, IN_FLIGHT, &[]).await;
    for _ in 0..cycles {
        tokio::time::sleep(Duration::from_millis(seed.within(LIFE_MS))).await;
        load.kill().await;
        load.begin();
    }
    let again = load.stop_producers().await;
    load.drain().await;
    load.counters_agree().await;
    let findings = load.account.judge(&ANSWERING);
    println!(
        "kill -9: {cycles} cycles, {} events acknowledged ({again} sent again), {} deliveries, lost {}, phantoms {}, \
         doubled {}, repeated {} (at most {} of a lane at one end, of {IN_FLIGHT} in flight)",
        findings.acknowledged,
        findings.arrived,
        findings.lost.len(),
        findings.phantoms.len(),
        findings.doubled.len(),
        findings.repeats(),
        findings.repeats_at_most(),
    );
    findings.demand(IN_FLIGHT);
    assert!(findings.acknowledged as u64 > cycles, "there was no load");
}

#[tokio::test]
async fn control_a_router_that_acknowledges_before_it_stores_loses() {
    let mut seed = Seed::wanted("kill -9, control");
    let account = Arc::new(Account::default());
    let receiver = Counting::start(account.clone()).await;
    let producers = Producers::start(4, &account, Believe::Answers);
    for _ in 0..CONTROL_CYCLES {
        account.begin_life();
        let router = AckFirst::start(receiver.url(PLAIN)).await;
        producers.router_is_at(Some(&router.url));
        tokio::time::sleep(Duration::from_millis(seed.within(LIFE_MS))).await;
        router.kill().await;
        producers.router_is_at(None);
        receiver.rest().await;
    }
    account.begin_life();
    let router = AckFirst::start(receiver.url(PLAIN)).await;
    producers.router_is_at(Some(&router.url));
    producers.finish().await;
    router.empty().await;
    let findings = account.judge(&[PLAIN]);
    println!(
        "kill -9, control: {CONTROL_CYCLES} cycles, {} events acknowledged, {} deliveries, lost {}",
        findings.acknowledged,
        findings.arrived,
        findings.lost.len(),
    );
    let broken = findings
        .verdict(IN_FLIGHT)
        .expect_err("the check does not turn red");
    assert!(broken.contains("lost"), "{broken}");
}
