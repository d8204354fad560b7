//! kill -9 in the middle of a replay: no event is skipped, and none gets two deliveries.

use super::*;
use crate::support::Process;
use crate::support::router::ADMIN_KEY;

const EVENTS: usize = 400;
const CRASHES: usize = 3;
/// Deliveries put in per second, so that it takes a while.
const RATE: u32 = 200;

struct Client {
    inner: reqwest::Client,
}

impl Client {
    async fn call(&self, method: &str, url: String, body: Value) -> Value {
        let request = self.inner.request(method.parse().unwrap(), url);
        let request = request
            .bearer_auth(ADMIN_KEY)
            .header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_replay_survives_kill_9() {
    // Installs what the test's own client needs.
    let _provider = TestRouter::start().await;
    let receiver = Receiver::start().await;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let inner = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = Client { inner };
    let mut process = Process::start(&data);
    let events: Vec<Value> = (0..EVENTS)
        .map(|n| json!({"type": "order.paid", "data": {"n": n}}))
        .collect();
    let at = |process: &Process, path: &str| format!("{}/api/v1/{path}", process.url);
    client.call("POST", at(&process, "events"), json!(events)).await;
    let subscription = json!({"name": "late", "key": "late", "url": receiver.url(), "events": ["order.*"],
        "profile": "plain"});
    client
        .call("POST", at(&process, "subscriptions"), subscription)
        .await;
    let asked = json!({"status": "none", "rate": RATE});
    let begun = client
        .call("POST", at(&process, "subscriptions/late/replay"), asked)
        .await;
    let path = format!("operations/{}", begun["id"].as_str().unwrap());
    for crash in 1..=CRASHES {
        receiver.wait_for(EVENTS * crash / (CRASHES + 1)).await;
        process.kill();
        process = Process::start(&data);
    }
    let finished = async {
        loop {
            let now = client.call("GET", at(&process, &path), json!({})).await;
            if now["state"] != "running" {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    let last = tokio::time::timeout(PATIENCE, finished).await.expect("it ends");
    assert_eq!(
        (&last["state"], done(&last)),
        (&json!("finished"), EVENTS),
        "{last}"
    );
    let all_arrived = |received: &[Received]| {
        let numbers = received.iter().map(|request| request.json()["n"].as_u64());
        numbers.collect::<HashSet<_>>().len() == EVENTS
    };
    receiver.wait_until(PATIENCE, all_arrived).await;
    let shown = client
        .call("GET", at(&process, "subscriptions/late"), json!({}))
        .await;
    assert_eq!(shown["deliveries"]["created"], EVENTS, "none was made twice");
    assert_eq!(ids(&receiver.received()).len(), EVENTS);
    process.kill();
}
