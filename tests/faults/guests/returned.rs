//! What guests took comes back: wave after wave of them, and what the router holds after each one.
//!
//! Every guest gets an instance of its own in every wave, from a pool with as many slots as there are
//! threads. Whoever keeps an instance keeps its slot, and soon there is none left for others: no run may say
//! so. Whatever else is kept shows as growth from wave to wave of what the router holds at rest, and nothing
//! else does: caches and the allocator's own reserves fill in the first waves and then stand. So what is
//! judged is the growth, as the middle of the slopes between all pairs of waves, of which one odd reading
//! moves none.
//!
//! A pool of the usual size would hide this for a while: it has a thousand slots, keeps a little of each that
//! was used, and gives what is over back to the kernel by the dozen.
//!
//! Controls: the same waves where every guest leaves one instance behind, and where a bomb does, both kept by
//! the router itself because it was told to; and the true readings with a bomb a wave added.

use std::time::Duration;

use serde_json::json;

use super::zoo::{Ends, Guest, zoo};
use super::{component, install, ran_for};
use crate::daemon::{Daemon, Held};
use crate::extent::Extent;
use crate::support::Receiver;

/// Waves that are measured, those before in which what stays fills up, and events in each.
const WAVES: (usize, usize) = (6, 50);
const WARM: usize = 3;
const EVENTS: usize = 4;
/// Most growth in one wave, in KiB. What a router holds at rest goes up and down by a few MiB. The smallest
/// instance that is left behind is 22 KiB of it, and there are three hundred in a wave; a bomb is 32 MiB.
const GROWTH_KIB_MAX: i64 = 4 << 10;
/// The control needs no more waves than show a slope, and makes somewhat fewer instances in each.
const CONTROL_WAVES: usize = 4;
const CONTROL_INSTANCES: usize = 240;
/// So often and at such distances is looked until what is held is the least of it.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

/// Else up to fifteen slots wait for the sixteenth, each with what its guest took.
const GIVEN_BACK_AT_ONCE: &str = "plugins.pool_decommit_batch=1";

/// What a bomb has in its hands when it is stopped, in KiB.
const BOMB_KIB: u64 = 32 << 10;

/// The middle of the slopes between all pairs of waves.
fn growth_kib(after: &[u64]) -> i64 {
    let mut slopes = Vec::new();
    for (one, first) in after.iter().enumerate() {
        for (other, second) in after.iter().enumerate().skip(one + 1) {
            let waves = i64::try_from(other - one).expect("few");
            slopes.push((second.cast_signed() - first.cast_signed()) / waves);
        }
    }
    slopes.sort_unstable();
    slopes[slopes.len() / 2]
}

/// What is wrong with these readings.
fn judge(after: &[u64]) -> Result<i64, String> {
    let growth = growth_kib(after);
    match growth <= GROWTH_KIB_MAX {
        true => Ok(growth),
        false => Err(format!("{growth} KiB more in every wave: {after:?}")),
    }
}

/// The least that is held within a short time.
async fn at_rest(router: &Daemon) -> Held {
    let mut least = router.held();
    for _ in 0..LOOKS {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let now = router.held();
        if now.rss_kib < least.rss_kib {
            least = now;
        }
    }
    least
}

/// A few events at once to all of these and a run of each, and what the router holds then.
async fn wave(router: &Daemon, subscriptions: &[String], number: usize) -> Held {
    let mut event = String::new();
    for n in 0..EVENTS {
        event = router
            .send(&json!({"type": "a", "data": {"wave": number, "n": n}}))
            .await;
    }
    for subscription in subscriptions {
        let delivery = router
            .delivery(subscription, |delivery| ran_for(delivery, &event))
            .await;
        let run = &delivery["plugin_runs"][0];
        assert_ne!(run["fault"], "unavailable", "wave {number}: {run}");
    }
    at_rest(router).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_guests_took_comes_back() {
    let receiver = Receiver::start().await;
    let router = Daemon::start(&[
        "plugins.transform_ms=500ms",
        "plugins.configure_ms=500ms",
        "plugins.threads=4",
        "plugins.kept_instances=0",
        GIVEN_BACK_AT_ONCE,
    ]);
    let mut subscriptions = Vec::new();
    // Loops take their whole time and no memory.
    let quick = |guest: &Guest| !matches!(guest.ends, Ends::Fault("timeout", _));
    for guest in zoo().iter().filter(|guest| quick(guest)) {
        if guest.name == "says-it-is-misconfigured" {
            continue;
        }
        let installed = install(&router, &receiver, guest, "event").await;
        subscriptions.extend(installed.unwrap_or_else(|what| panic!("{what}")));
    }
    let (mut after, mut ends) = (Vec::new(), None);
    for number in 0..WARM + Extent::wanted().of(WAVES.0, WAVES.1) {
        let held = wave(&router, &subscriptions, number).await;
        if number < WARM {
            continue;
        }
        after.push(held.rss_kib);
        let (first, _) = *ends.get_or_insert((held, held));
        ends = Some((first, held));
    }
    println!("guests: resident after each wave, in KiB: {after:?}");
    let growth = judge(&after).unwrap_or_else(|what| panic!("{what}"));
    let (first, last) = ends.expect("there were waves");
    assert!(last.threads <= first.threads + 4, "{last:?} after {first:?}");
    assert!(
        last.descriptors <= first.descriptors + 8,
        "{last:?} after {first:?}"
    );
    // What would be seen if each wave had left one bomb.
    let leaky: Vec<u64> = after
        .iter()
        .zip(0..)
        .map(|(kib, wave)| kib + BOMB_KIB * wave)
        .collect();
    assert!(judge(&leaky).is_err(), "the check would not see a bomb a wave");
    println!(
        "guests: {} waves of {} and more instances each: {growth:+} KiB a wave, {:+} threads, {:+} descriptors",
        after.len(),
        subscriptions.len() * EVENTS,
        i128::from(last.threads) - i128::from(first.threads),
        i128::from(last.descriptors) - i128::from(first.descriptors),
    );
}

/// Waves in each of which this guest leaves so many instances behind: the router keeps them, each for a
/// subscription of its own.
async fn left_behind(guest: &str, a_wave: usize) -> Vec<u64> {
    let receiver = Receiver::start().await;
    let router = Daemon::start(&[
        "plugins.transform_ms=10s",
        "plugins.kept_instance_bytes=32 MiB",
        "plugins.kept_bytes=1 GiB",
        GIVEN_BACK_AT_ONCE,
    ]);
    router.push("stays", component(guest)).await.expect(201);
    let mut after = Vec::new();
    for number in 0..CONTROL_WAVES {
        let mut subscriptions = Vec::new();
        for _ in 0..a_wave {
            let body = json!({"name": "s", "url": receiver.url(), "events": [format!("wave{number}")],
                "plugins": [{"name": "stays", "config": {}}], "isolation": "subscription"});
            subscriptions.push(router.subscribe(&body).await);
        }
        let event = router
            .send(&json!({"type": format!("wave{number}"), "data": 1}))
            .await;
        for subscription in &subscriptions {
            router
                .delivery(subscription, |delivery| ran_for(delivery, &event))
                .await;
        }
        after.push(at_rest(&router).await.rss_kib);
    }
    after
}

/// The control: what stays on purpose is seen, be it one bomb in a wave or one small instance of each guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_what_stays_is_seen() {
    let bomb = "(func $transform (param i32) (result i32)
        (drop (memory.grow (i32.const 500)))
        (memory.fill (i32.const 65536) (i32.const 7) (i32.const 32000000)) (call $filtered (i32.const 1024) (i32.const 4)))";
    let small = "(func $transform (param i32) (result i32) (call $filtered (i32.const 1024) (i32.const 4)))";
    let bombs = left_behind(bomb, 1).await;
    let smalls = left_behind(small, CONTROL_INSTANCES).await;
    println!(
        "guests, control: {:+} KiB a wave where one bomb stays, {:+} KiB where {CONTROL_INSTANCES} small instances do",
        growth_kib(&bombs),
        growth_kib(&smalls),
    );
    assert!(judge(&bombs).is_err(), "a bomb a wave is not seen: {bombs:?}");
    assert!(
        judge(&smalls).is_err(),
        "an instance a guest is not seen: {smalls:?}"
    );
}
