//! What a restart keeps: everything that was accepted.

use std::time::Duration;

use serde_json::json;

use crate::support::{Receiver, Reply, TestRouter};

#[tokio::test]
async fn a_retry_schedule_goes_on_after_a_restart_with_the_same_ids_and_bodies() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let mut router = TestRouter::start().await;
    router
        .subscribe(&json!({"name": "plain", "url": receiver.url(), "events": ["a"]}))
        .await;
    let plugins = json!([{"name": "jq", "config": {"program": "{shaped: .n}"}}]);
    let shaped = json!({"name": "shaped", "url": receiver.url(), "events": ["a"], "plugins": plugins});
    router.subscribe(&shaped).await;
    let mut events = Vec::new();
    for n in 0..5 {
        events.push(router.send(&json!({"type": "a", "data": {"n": n}})).await);
    }
    receiver.wait_for(10).await;
    router.settle().await;
    router.restart().await;
    router.settle().await;
    assert_eq!(receiver.received().len(), 10, "nothing is due yet");
    receiver.now_answer(Reply::Status(200));
    router.advance(Duration::from_secs(7)).await;
    let received = receiver.wait_for(20).await;
    router.settle().await;
    let key = |r: &crate::support::receiver::Received| (r.header("webhook-id").to_owned(), r.body.clone());
    let mut before: Vec<_> = received[..10].iter().map(key).collect();
    let mut after: Vec<_> = received[10..].iter().map(key).collect();
    before.sort();
    after.sort();
    assert_eq!(before, after);
    for event in &events {
        for delivery in router.deliveries_of(event).await {
            assert_eq!(delivery["status"], "delivered");
        }
    }
}

#[tokio::test]
async fn what_was_accepted_while_nobody_could_deliver_is_delivered_later() {
    let receiver = Receiver::start().await;
    let mut router = TestRouter::start().await;
    let id = router
        .subscribe(&json!({"name": "off", "url": receiver.url(), "events": ["*"]}))
        .await;
    router
        .post(&format!("/api/v1/subscriptions/{id}/disable"), &json!({}))
        .await
        .expect(200);
    for n in 0..3 {
        router.send(&json!({"type": "a", "data": n})).await;
    }
    router.restart().await;
    router.settle().await;
    assert!(receiver.received().is_empty());
    router
        .post(&format!("/api/v1/subscriptions/{id}/enable"), &json!({}))
        .await
        .expect(200);
    assert_eq!(receiver.wait_for(3).await.len(), 3);
}

#[tokio::test]
async fn keys_plugins_and_secrets_survive() {
    let receiver = Receiver::start().await;
    let mut router = TestRouter::start().await;
    let body = json!({"name": "kept", "key": "kept", "url": receiver.url(), "events": ["*"]});
    router.subscribe(&body).await;
    let key = router
        .post("/api/v1/keys", &json!({"name": "k", "scopes": ["ingest"]}))
        .await
        .expect(201)
        .str("/key");
    router.restart().await;
    router.use_key(&key);
    router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let router = TestRouter::start().await;
    let dir = router.data_dir();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hookway"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&dir)
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains(dir.to_str().unwrap()),
        "names the directory: {text}"
    );
}
