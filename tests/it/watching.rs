//! `/tail` beside a working router: each end is told once, with the last of its requests, and what was
//! given up is told too.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::router::ADMIN_KEY;
use crate::support::{Receiver, Reply, TestRouter};

/// A test waits this long for an entry before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of what happens.
pub struct Watching {
    response: reqwest::Response,
    text: String,
}

impl Watching {
    pub async fn start(router: &TestRouter, query: &str) -> Self {
        let client = crate::support::client::http();
        let request = client.get(router.url(&format!("/api/v1/tail{query}")));
        let response = request.bearer_auth(ADMIN_KEY).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next entry.
    pub async fn next(&mut self) -> Value {
        // Comments keep a silent stream alive, so it is the entry that is waited for.
        let next = tokio::time::timeout(PATIENCE, self.read());
        next.await.expect("an entry in time")
    }

    async fn read(&mut self) -> Value {
        loop {
            while let Some((entry, rest)) = self.text.split_once("\n\n") {
                let data = entry.lines().find_map(|line| line.strip_prefix("data: "));
                let data = data.map(|data| serde_json::from_str(data).expect("JSON"));
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return data;
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk
                .expect("an entry in time")
                .expect("a stream")
                .expect("no end");
            self.text.push_str(str::from_utf8(&chunk).expect("text"));
        }
    }

    /// The entries up to the acceptance of an event of this type.
    async fn until_accepted(&mut self, event_type: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        loop {
            let entry = self.next().await;
            if entry["event_type"] == event_type {
                return entries;
            }
            entries.push(entry);
        }
    }
}

fn words(entries: &[Value]) -> Vec<String> {
    let word = |entry: &Value| match entry["activity"].as_str() {
        Some("attempted") => format!("attempted {}", entry["outcome"].as_str().unwrap_or_default()),
        Some("ended") => format!("ended {}", entry["status"].as_str().unwrap_or_default()),
        other => other.unwrap_or_default().to_owned(),
    };
    entries.iter().map(word).collect()
}

#[tokio::test]
async fn a_delivery_of_several_requests_ends_once_with_the_last() {
    let router =
        TestRouter::with(|config| config.dispatch.retry_waits = Some(vec![Duration::from_secs(5)])).await;
    let receiver = Receiver::scripted(
        [Reply::Status(400), Reply::Status(200), Reply::Status(503)],
        Reply::Status(200),
    )
    .await;
    let plugins = json!([{"name": "jq", "config": {"program": ".items[]"}}]);
    let subscription = json!({"name": "n", "url": receiver.url(), "events": ["order"], "plugins": plugins, "max_in_flight": 1});
    router.subscribe(&subscription).await;
    let mut watching = Watching::start(&router, "").await;
    router
        .send(&json!({"type": "order", "data": {"items": [{"n": 1}, {"n": 2}, {"n": 3}]}}))
        .await;
    receiver.wait_for(3).await;
    router.settle().await;
    router.advance(Duration::from_secs(60)).await;
    receiver.wait_for(4).await;
    router.settle().await;
    router.send(&json!({"type": "mark", "data": {}})).await;
    let entries = watching.until_accepted("mark").await;
    assert_eq!(
        words(&entries),
        [
            "accepted",
            "attempted failed",
            "attempted delivered",
            "attempted pending",
            "attempted delivered",
            "ended failed",
        ],
        "{entries:#?}"
    );
}

#[tokio::test]
async fn what_is_given_up_is_told() {
    let (router, receiver) = (
        TestRouter::start().await,
        Receiver::scripted([], Reply::Status(503)).await,
    );
    let id = router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["order"]}))
        .await;
    router.send(&json!({"type": "order", "data": {}})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let mut watching = Watching::start(&router, "?status=failures").await;
    router
        .call("DELETE", &format!("/api/v1/subscriptions/{id}"), &Value::Null)
        .await
        .expect(204);
    router.advance(Duration::from_secs(3_600)).await;
    let entry = watching.next().await;
    assert_eq!(
        (&entry["activity"], &entry["status"]),
        (&json!("ended"), &json!("failed")),
        "{entry}"
    );
    assert_eq!(entry["reason"], "the subscription was deleted");
}

#[tokio::test]
async fn what_was_held_too_long_is_told() {
    let hour = Duration::from_secs(3_600);
    let router = TestRouter::with(|config| config.dispatch.held_max = hour).await;
    let receiver = Receiver::start().await;
    let id = router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["order"]}))
        .await;
    let path = format!("/api/v1/subscriptions/{id}/disable");
    router.call_raw("POST", &path, &[], "").await.expect(200);
    router.send(&json!({"type": "order", "data": {}})).await;
    let mut watching = Watching::start(&router, "?status=failed").await;
    router.advance(2 * hour).await;
    let entry = watching.next().await;
    assert_eq!(entry["subscription_id"], id.as_str());
    assert!(
        entry["reason"].as_str().unwrap().contains("dispatch.held_max"),
        "{entry}"
    );
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn one_event_can_be_watched() {
    let (router, receiver) = (
        TestRouter::start().await,
        Receiver::scripted([Reply::Status(503)], Reply::Status(200)).await,
    );
    router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"]}))
        .await;
    let id = router.send(&json!({"type": "a", "data": {}})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let mut watching = Watching::start(&router, &format!("?event={id}")).await;
    router.send(&json!({"type": "b", "data": {}})).await;
    receiver.wait_for(2).await;
    router.advance(Duration::from_secs(3_600)).await;
    let entries = [watching.next().await, watching.next().await];
    assert_eq!(words(&entries), ["attempted delivered", "ended delivered"]);
    assert!(
        entries.iter().all(|entry| entry["event_id"] == id.as_str()),
        "{entries:#?}"
    );
}

#[tokio::test]
async fn a_run_that_is_repeated_is_told_with_its_reason_and_time() {
    let router = TestRouter::start().await;
    let plugins = json!([{"name": "jq", "config": {"program": "def f: f; f"}}]);
    let looping = json!({"name": "l", "url": "http://127.0.0.1:9999/", "events": ["a"], "plugins": plugins});
    router.subscribe(&looping).await;
    let mut watching = Watching::start(&router, "?status=failures").await;
    router.send(&json!({"type": "a", "data": 1})).await;
    let entry = watching.next().await;
    assert_eq!(
        (&entry["activity"], &entry["plugin"], &entry["number"]),
        (&json!("run_failed"), &json!("jq"), &json!(1)),
        "{entry}"
    );
    assert!(
        entry["reason"].as_str().unwrap().contains("time limit"),
        "{entry}"
    );
    assert!(entry["next_run_at"].as_str() > entry["time"].as_str(), "{entry}");
}
