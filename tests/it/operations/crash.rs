//! kill -9 in the middle of a replay: no event is skipped, and none gets two deliveries.

use super::*;
use crate::support::Process;

const EVENTS: usize = 400;
const CRASHES: usize = 3;
/// Deliveries put in per second, so that it takes a while.
const RATE: u32 = 200;

#[tokio::test]
async fn a_replay_survives_kill_9() {
    let receiver = Receiver::start().await;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut process = Process::start(&data);
    let events: Vec<Value> = (0..EVENTS)
        .map(|n| json!({"type": "order.paid", "data": {"n": n}}))
        .collect();
    process.post("/api/v1/events", &json!(events)).await.expect(202);
    let subscription = json!({"name": "late", "key": "late", "url": receiver.url(), "events": ["order.*"],
        "profile": "plain"});
    process.subscribe(&subscription).await;
    let asked = json!({"status": "none", "rate": RATE});
    let begun = process
        .post("/api/v1/subscriptions/late/replay", &asked)
        .await
        .expect(202);
    let path = format!("/api/v1/operations/{}", begun.str("/id"));
    for crash in 1..=CRASHES {
        receiver.wait_for(EVENTS * crash / (CRASHES + 1)).await;
        process.kill();
        process = Process::start(&data);
    }
    let finished = async {
        loop {
            let now = process.get(&path).await.expect(200).body;
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
    let shown = process.get("/api/v1/subscriptions/late").await.expect(200);
    assert_eq!(shown.body["deliveries"]["created"], EVENTS, "none was made twice");
    assert_eq!(ids(&receiver.received()).len(), EVENTS);
    process.kill();
}
