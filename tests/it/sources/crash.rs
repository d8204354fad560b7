//! kill -9 after the 200 of a source: nothing that was acknowledged is lost, and nothing comes twice
//! into history.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::support::receiver::Received;
use crate::support::{Process, Receiver};

const CYCLES: u32 = 4;
const SENDERS: u32 = 8;
const REQUESTS_MIN: usize = 40;

#[tokio::test]
async fn what_a_source_acknowledged_survives_kill_9() {
    let receiver = Receiver::start().await;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut process = Process::start(&data);
    let source = json!({"name": "s", "preset": "none", "events": {"type": "came", "id": "{json:/id}"}});
    process.post("/api/v1/sources", &source).await.expect(201);
    let subscription = json!({"name": "r", "url": receiver.url(), "events": ["came"], "profile": "plain", "max_in_flight": 64});
    process.subscribe(&subscription).await;

    let mut acknowledged = Vec::new();
    for cycle in 0..CYCLES {
        let mut senders = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            let client = process.stranger();
            senders.spawn(async move {
                let mut done = Vec::new();
                for n in 0..10_000 {
                    let id = format!("{cycle}-{sender}-{n}");
                    match client.try_post("/webhooks/s", &json!({ "id": id })).await {
                        Ok(answer) if answer.status == 200 => done.push(id),
                        _ => break,
                    }
                }
                done
            });
        }
        // Killed in the middle of it, as soon as enough was delivered to be sure that it is the middle.
        receiver.wait_for(REQUESTS_MIN * (cycle as usize + 1)).await;
        process.kill();
        while let Some(done) = senders.join_next().await {
            acknowledged.extend(done.unwrap());
        }
        process = Process::start(&data);
    }
    assert!(acknowledged.len() >= REQUESTS_MIN, "{}", acknowledged.len());
    acknowledged.sort();

    // Everything arrives.
    let all_arrived = |received: &[Received]| {
        let id = |request: &Received| request.json()["id"].as_str().unwrap().to_owned();
        let ids: HashSet<String> = received.iter().map(id).collect();
        acknowledged.iter().all(|id| ids.contains(id))
    };
    receiver.wait_until(Duration::from_secs(60), all_arrived).await;

    // And a service that repeats the last ones, not knowing better, makes no second events of them.
    for id in acknowledged.iter().rev().take(10) {
        process
            .stranger()
            .post("/webhooks/s", &json!({ "id": id }))
            .await
            .expect(200);
    }
    let page = process.get("/api/v1/receptions?limit=10").await.expect(200);
    let outcomes: Vec<&str> = page.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["duplicate"; 10]);
    process.kill();
}
