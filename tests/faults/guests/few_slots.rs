//! More runs than there are places for instances: with two threads and nothing kept, the pool has two slots.
//! Whoever finds them taken waits, and none of the runs is refused for it; the same while instances are kept,
//! forgotten and made anew because subscriptions change.
//!
//! That an instance for which there is no slot is a clear fault, and the next one has its slot again, is for
//! the tests of the runtime itself, which can hold instances by hand.

use serde_json::json;

use super::component;
use crate::daemon::Daemon;
use crate::extent::Extent;
use crate::support::Receiver;

/// Subscriptions, each with a plugin that takes its time.
const SUBSCRIPTIONS: usize = 12;

/// Counts to ten million, then filters.
const SLOW: &str = "(func $transform (param i32) (result i32) (local $n i32)
    (local.set $n (i32.const 10000000))
    (loop $next (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (call $filtered (i32.const 1024) (i32.const 4)))";

/// Runs with these settings; how many there were, and how many of them were a fault.
async fn runs(settings: &[&str], isolation: &str) -> (usize, Vec<String>) {
    let mut all = vec![
        "plugins.transform_ms=30s",
        "plugins.configure_ms=30s",
        "plugins.describe_ms=30s",
    ];
    all.extend(settings);
    let router = Daemon::start(&all);
    let receiver = Receiver::start().await;
    router.push("slow", component(SLOW)).await.expect(201);
    let mut subscriptions = Vec::new();
    for _ in 0..SUBSCRIPTIONS {
        let plugins = json!([{"name": "slow", "config": {}}]);
        let body = json!({"name": "s", "url": receiver.url(), "events": ["a"], "plugins": plugins,
            "isolation": isolation});
        subscriptions.push(router.subscribe(&body).await);
    }
    let (mut count, mut faults) = (0, Vec::new());
    for wave in 0..Extent::wanted().of(4, 50) {
        let mut last = String::new();
        for n in 0..3 {
            last = router
                .send(&json!({"type": "a", "data": {"wave": wave, "n": n}}))
                .await;
        }
        // Changes forget instances that are kept, while others are made; and a new plugin describes itself.
        for (n, subscription) in subscriptions.iter().enumerate() {
            let path = format!("/api/v1/subscriptions/{subscription}");
            router
                .call("PATCH", &path, &json!({"name": format!("s{wave}-{n}")}))
                .await
                .expect(200);
        }
        let other = format!("(func $unused (result i32) (i32.const {wave}))");
        let stored = router.push("other", component(&other)).await;
        assert!(matches!(stored.status, 200 | 201), "{}", stored.text);
        for subscription in &subscriptions {
            let done = |delivery: &serde_json::Value| {
                delivery["event_id"] == last.as_str() && delivery["status"] == "filtered"
            };
            router.delivery(subscription, done).await;
            let path = format!("/api/v1/subscriptions/{subscription}/deliveries?limit=3");
            let list = router.get(&path).await.expect(200);
            for short in list.body["data"].as_array().unwrap() {
                let id = short["id"].as_str().unwrap();
                let delivery = router.get(&format!("/api/v1/deliveries/{id}")).await.expect(200);
                for run in delivery.body["plugin_runs"].as_array().unwrap() {
                    count += 1;
                    if run["outcome"] != "filtered" {
                        faults.push(run.to_string());
                    }
                }
            }
        }
    }
    (count, faults)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_runs_than_slots_wait_for_one() {
    let (isolated, faults) = runs(&["plugins.threads=2", "plugins.kept_instances=0"], "event").await;
    assert!(faults.is_empty(), "{} of {isolated}: {faults:#?}", faults.len());
    let (kept, faults) = runs(&["plugins.threads=2", "plugins.kept_instances=1"], "subscription").await;
    assert!(faults.is_empty(), "{} of {kept}: {faults:#?}", faults.len());
    println!(
        "guests: {isolated} runs of {SUBSCRIPTIONS} subscriptions over 2 slots, {kept} over 3 of which one is kept, \
         0 refused"
    );
}
