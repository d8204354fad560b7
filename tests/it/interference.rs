//! What happens to deliveries while people change things around them.

use std::time::Duration;

use serde_json::json;

use crate::support::{Receiver, Reply, TestRouter};

#[tokio::test]
async fn a_change_elsewhere_forgets_no_retry_that_waits() {
    let receiver = Receiver::scripted([Reply::Status(500)], Reply::Status(200)).await;
    let router = TestRouter::start().await;
    router
        .subscribe(&json!({"name": "a", "url": receiver.url(), "events": ["a"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let other = router
        .subscribe(&json!({"name": "b", "url": receiver.url(), "events": ["b"]}))
        .await;
    router
        .call("DELETE", &format!("/api/v1/subscriptions/{other}"), &json!({}))
        .await
        .expect(204);
    router.settle().await;
    router.advance(Duration::from_secs(7)).await;
    receiver.wait_for(2).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "delivered");
}

#[tokio::test]
async fn what_was_sent_once_stays_what_it_was() {
    let receiver = Receiver::scripted([Reply::Status(500)], Reply::Status(200)).await;
    let router = TestRouter::start().await;
    let id = router
        .subscribe(&json!({"name": "a", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": {"n": 1}})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let patch = json!({"plugins": [{"name": "jq", "config": {"program": "{changed: .n}, {twice: .n}"}}]});
    router
        .call("PATCH", &format!("/api/v1/subscriptions/{id}"), &patch)
        .await
        .expect(200);
    router.advance(Duration::from_secs(7)).await;
    receiver.wait_for(2).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "delivered");
    let path = format!("/api/v1/deliveries/{}/resend", delivery["id"].as_str().unwrap());
    router.post(&path, &json!({})).await.expect(202);
    let received = receiver.wait_for(3).await;
    router.settle().await;
    assert_eq!(receiver.received().len(), 3);
    for later in &received[1..] {
        assert_eq!(later.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(later.body, received[0].body);
    }
}

#[tokio::test]
async fn many_people_may_resend_the_same_delivery_at_once() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::start().await;
    router
        .subscribe(&json!({"name": "a", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/deliveries/{delivery}/resend");
    for _ in 0..20 {
        let nothing = json!({});
        let calls = (0..8).map(|_| router.post(&path, &nothing));
        for answer in futures_util::future::join_all(calls).await {
            answer.expect(202);
        }
    }
    router.settle().await;
    let attempts = router.delivery_of(&event).await["attempts"]
        .as_array()
        .unwrap()
        .clone();
    let numbers: Vec<u64> = attempts
        .iter()
        .map(|attempt| attempt["number"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (1..=u64::try_from(numbers.len()).unwrap()).collect();
    assert_eq!(numbers, expected, "every attempt has its own number");
    assert_eq!(receiver.received().len(), numbers.len(), "and none is forgotten");

    receiver.now_answer(Reply::Status(200));
    router.post(&path, &json!({})).await;
    router.advance(Duration::from_secs(10)).await;
    router.settle().await;
    assert_eq!(
        router.delivery_of(&event).await["status"],
        "delivered",
        "the router goes on"
    );
}

#[tokio::test]
async fn what_is_held_too_long_fails_and_housekeeping_goes_on() {
    let receiver = Receiver::scripted([], Reply::Status(410)).await;
    let router = TestRouter::with(|config| config.dispatch.held_max = Duration::from_secs(3_600)).await;
    let plugins = json!([{"name": "jq", "config": {"program": ".[]"}}]);
    let body = json!({"name": "a", "url": receiver.url(), "events": ["*"], "plugins": plugins});
    router.subscribe(&body).await;
    let several = router.send(&json!({"type": "a", "data": [1, 2, 3]})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let young = router.send(&json!({"type": "a", "data": [4]})).await;
    assert_eq!(router.delivery_of(&several).await["status"], "held");
    router.advance(Duration::from_secs(3_000)).await;
    assert_eq!(router.delivery_of(&several).await["status"], "held", "not yet");
    router.advance(Duration::from_secs(1_200)).await;
    for event in [&several, &young] {
        router.until(event, "failed").await;
        let reason = router.delivery_of(event).await["reason"].to_string();
        assert!(reason.contains("held"), "{reason}");
    }
}

#[tokio::test]
async fn a_full_memory_serves_what_is_due() {
    let (dead, healthy) = (
        Receiver::scripted([], Reply::Status(500)).await,
        Receiver::start().await,
    );
    let router = TestRouter::with(|config| {
        config.dispatch.queue_capacity = 1_000;
        config.dispatch.retry_waits = Some(vec![Duration::from_secs(3_600); 3]);
    })
    .await;
    router
        .subscribe(&json!({"name": "dead", "url": dead.url(), "events": ["dead"]}))
        .await;
    router
        .subscribe(&json!({"name": "well", "url": healthy.url(), "events": ["well"]}))
        .await;
    let many: Vec<_> = (0..600).map(|n| json!({"type": "dead", "data": n})).collect();
    for _ in 0..2 {
        router.post("/api/v1/events", &json!(many)).await.expect(202);
    }
    dead.wait_for(1_000).await;
    for n in 0..50 {
        router.send(&json!({"type": "well", "data": n})).await;
    }
    assert_eq!(healthy.wait_for(50).await.len(), 50);
    dead.wait_for(1_200).await;
    router.settle().await;
    dead.now_answer(Reply::Status(200));
    // The timers that gave way are read from the ledger when they are due.
    router.advance(Duration::from_secs(2 * 3_600)).await;
    dead.wait_for(2_400).await;
}
