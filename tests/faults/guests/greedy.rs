//! Outputs that are small in the guest and large in the host: lists of very many empty strings, and strings
//! that all are the same place in memory. What crosses in one call is bounded by `plugins.output_bytes`; the
//! peak of the router's memory says that the bound comes before the copying.
//!
//! The control: with the bound at 64 MiB the same guests take that.

use serde_json::json;

use super::zoo::zoo;
use super::{component, install, ran_for};
use crate::daemon::Daemon;
use crate::support::Receiver;

/// How much more memory the router may have at the peak of one run, in KiB: what the guest itself touches (a
/// mebibyte or less), what crosses, and as much as three times that for making it.
const PEAK_KIB_MAX: u64 = 8 << 10;
/// Those of the zoo whose results are meant here.
const RESULTS: [&str; 4] = [
    "output-too-large",
    "output-aliased",
    "million-empty-strings",
    "strings-that-are-all-the-same-place",
];
/// The same in a manifest: 60,000 headers that it wants, all of them the same 60,000 bytes.
const MANIFEST: &str = "(func $describe (result i32) (local $at i32)
    (drop (memory.grow (i32.const 10)))
    (local.set $at (i32.const 131072))
    (loop $next
      (i32.store (local.get $at) (i32.const 65536)) (i32.store offset=4 (local.get $at) (i32.const 60000))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 611072))))
    (i32.store (i32.const 52) (i32.const 131072)) (i32.store (i32.const 56) (i32.const 60000))
    (i32.const 16))";
/// The same in the answer to a configuration: 30,000 problems.
const PROBLEMS: &str = "(func $configure (param i32 i32) (result i32) (local $at i32)
    (drop (memory.grow (i32.const 10)))
    (local.set $at (i32.const 131072))
    (loop $next
      (i32.store (local.get $at) (i32.const 65536)) (i32.store offset=4 (local.get $at) (i32.const 60000))
      (i32.store offset=8 (local.get $at) (i32.const 65536)) (i32.store offset=12 (local.get $at) (i32.const 60000))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 611072))))
    (i32.store (i32.const 128) (i32.const 1))
    (i32.store (i32.const 132) (i32.const 131072)) (i32.store (i32.const 136) (i32.const 30000))
    (i32.const 128))";

/// How much memory the router took at the peak of each, in KiB.
async fn peaks(settings: &[&str]) -> Vec<(&'static str, u64)> {
    let mut all = vec![
        "plugins.transform_ms=5s",
        "plugins.configure_ms=5s",
        "plugins.describe_ms=5s",
    ];
    all.extend(settings);
    let router = Daemon::start(&all);
    let receiver = Receiver::start().await;
    let zoo = zoo();
    let mut peaks = Vec::new();
    for name in RESULTS {
        let guest = zoo
            .iter()
            .find(|guest| guest.name == name)
            .expect("it is in the zoo");
        let subscription = install(&router, &receiver, guest, "event")
            .await
            .unwrap()
            .expect("it runs");
        // Compiling and the first event are not what is measured.
        let disabled = format!("/api/v1/subscriptions/{subscription}");
        let before = router.held().rss_kib;
        router.forget_peak();
        let event = router.send(&json!({"type": "a", "data": 1})).await;
        router
            .delivery(&subscription, |delivery| ran_for(delivery, &event))
            .await;
        peaks.push((name, router.held().peak_kib.saturating_sub(before)));
        router.call("DELETE", &disabled, &json!({})).await.expect(204);
    }
    router.push("problems", component(PROBLEMS)).await.expect(201);
    for (name, guest) in [
        ("a configuration's problems", None),
        ("a manifest", Some(component(MANIFEST))),
    ] {
        let before = router.held().rss_kib;
        router.forget_peak();
        let answer = match guest {
            Some(guest) => router.push("manifest", guest).await,
            None => {
                let plugins = json!([{"name": "problems", "config": {}}]);
                let body = json!({"name": "p", "url": receiver.url(), "events": ["b"], "plugins": plugins});
                router.post("/api/v1/subscriptions", &body).await
            }
        };
        assert!((400..500).contains(&answer.status), "{name}: {}", answer.text);
        peaks.push((name, router.held().peak_kib.saturating_sub(before)));
    }
    peaks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_outputs_that_unfold_are_stopped_while_they_are_small() {
    let peaks = peaks(&[]).await;
    println!("guests: most memory more at the peak of a run, in KiB: {peaks:?}");
    assert!(peaks.iter().all(|(_, kib)| *kib <= PEAK_KIB_MAX), "{peaks:?}");
}

/// The control: the bound sixty times as wide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_with_a_wide_bound_they_unfold() {
    let peaks = peaks(&["plugins.output_bytes=64 MiB"]).await;
    println!("guests, control: with 64 MiB for outputs, in KiB: {peaks:?}");
    let unfolded = peaks.iter().filter(|(_, kib)| *kib > PEAK_KIB_MAX).count();
    assert!(unfolded >= 3, "the check would not see it: {peaks:?}");
}
