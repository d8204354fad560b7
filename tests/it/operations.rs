//! Sending again what failed, and old events through today's plugins: all of it, once, across restarts.

mod chosen;
mod crash;
mod steps;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::receiver::Received;
use crate::support::router::Answer;
use crate::support::{Receiver, Reply, TestRouter};

/// One more than any round number that a list or a page could be cut at.
const MANY: usize = 10_001;
/// Most events of one call.
const BATCH: usize = 1_000;
/// So much takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the highest rate asks to wait between two steps.
const STEP: Duration = Duration::from_millis(50);

async fn send_many(router: &TestRouter, count: usize) {
    let all: Vec<Value> = (0..count)
        .map(|n| json!({"type": "order.paid", "data": {"n": n}}))
        .collect();
    for batch in all.chunks(BATCH) {
        router.post("/api/v1/events", &json!(batch)).await.expect(202);
    }
}

async fn counters(router: &TestRouter, subscription: &str) -> Value {
    let path = format!("/api/v1/subscriptions/{subscription}");
    router.get(&path).await.expect(200).body["deliveries"].clone()
}

/// Waits until a counter of a subscription has this value.
async fn until(router: &TestRouter, subscription: &str, counter: &str, value: usize) {
    let reached = async {
        while counters(router, subscription).await[counter] != value {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(
        reached.is_ok(),
        "{counter}: {}",
        counters(router, subscription).await
    );
}

async fn ask(router: &TestRouter, subscription: &str, verb: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/subscriptions/{subscription}/{verb}");
    router.post(&path, body).await
}

async fn begun(router: &TestRouter, subscription: &str, verb: &str, body: &Value) -> String {
    ask(router, subscription, verb, body).await.expect(202).str("/id")
}

async fn operation(router: &TestRouter, id: &str) -> Value {
    router
        .get(&format!("/api/v1/operations/{id}"))
        .await
        .expect(200)
        .body
}

fn done(operation: &Value) -> usize {
    usize::try_from(operation["progress"]["done"].as_u64().unwrap()).unwrap()
}

/// Moves time on until an operation has done so much or has ended, and gives all that was seen of it.
async fn carry_on(router: &TestRouter, id: &str, enough: usize) -> Vec<Value> {
    let mut seen = Vec::new();
    let reached = async {
        loop {
            let now = operation(router, id).await;
            let ended = now["state"] != "running";
            let reached = done(&now) >= enough;
            seen.push(now);
            if ended || reached {
                return;
            }
            router.clock.advance(STEP);
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "{}", operation(router, id).await);
    seen
}

/// Moves time on until an operation has ended, and gives it.
async fn ended(router: &TestRouter, id: &str) -> Value {
    let mut seen = carry_on(router, id, usize::MAX).await;
    let last = seen.pop().unwrap();
    assert_eq!(last["state"], "finished", "{last}");
    last
}

fn ids(received: &[Received]) -> HashSet<String> {
    let id = |request: &Received| request.header("webhook-id").to_owned();
    received.iter().map(id).collect()
}

fn preview_of(answer: &Answer) -> u64 {
    answer.body["matches"].as_u64().unwrap()
}

/// GN-11. Everything that failed is sent again under its own ids, across a restart in the middle.
#[tokio::test]
async fn ten_thousand_and_one_failed_deliveries_are_recovered() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let mut router = TestRouter::start().await;
    let subscription = json!({"name": "orders", "url": receiver.url(), "events": ["order.*"]});
    let id = router.subscribe(&subscription).await;
    send_many(&router, MANY).await;
    until(&router, &id, "failed", MANY).await;
    let first = receiver.received();
    assert_eq!((first.len(), ids(&first).len()), (MANY, MANY));

    let everything = json!({"rate": 10_000});
    let preview = ask(&router, &id, "recover", &json!({"preview": true}))
        .await
        .expect(200);
    assert_eq!(preview_of(&preview), MANY as u64);
    let by_type = json!([{"type": "order.paid", "count": MANY}]);
    assert_eq!(preview.body["by_type"], by_type);
    assert_eq!(
        counters(&router, &id).await["failed"],
        MANY,
        "nothing was changed"
    );

    receiver.now_answer(Reply::Status(200));
    let recover = begun(&router, &id, "recover", &everything).await;
    let seen = carry_on(&router, &recover, MANY / 3).await;
    let middle = seen.last().unwrap();
    assert!((MANY / 3..MANY).contains(&done(middle)), "{middle}");
    assert_eq!(middle["progress"]["total"], MANY);
    assert!(
        middle["progress"]["position"]["id"]
            .as_str()
            .unwrap()
            .starts_with("dlv_")
    );
    router.restart().await;
    assert!(done(&operation(&router, &recover).await) < MANY);
    let last = ended(&router, &recover).await;
    assert_eq!(
        (done(&last), &last["progress"]["skipped"]["expired"]),
        (MANY, &json!(0))
    );
    until(&router, &id, "delivered", MANY).await;

    let all = receiver.received();
    let again = &all[MANY..];
    assert_eq!(again.len(), MANY, "each once");
    assert_eq!(ids(again), ids(&first), "under the ids of the first sending");
    assert_eq!(counters(&router, &id).await["failed"], 0);
    let preview = ask(&router, &id, "recover", &json!({"preview": true}))
        .await
        .expect(200);
    assert_eq!(preview_of(&preview), 0);
}

/// GN-28. Old events go through the plugin as it is today, as new deliveries; those from before stay as
/// they were.
#[tokio::test]
async fn ten_thousand_and_one_events_are_replayed_through_a_corrected_plugin() {
    let receiver = Receiver::start().await;
    let mut router = TestRouter::start().await;
    let plugins = |program: &str| json!([{"name": "jq", "config": {"program": program}}]);
    let subscription = json!({"name": "shaped", "url": receiver.url(), "events": ["order.*"],
        "plugins": plugins("error(\"not yet\")")});
    let id = router.subscribe(&subscription).await;
    send_many(&router, MANY).await;
    until(&router, &id, "failed", MANY).await;
    assert!(receiver.received().is_empty());

    let path = format!("/api/v1/subscriptions/{id}");
    let corrected = json!({"plugins": plugins("{shaped: .n}")});
    router.call("PATCH", &path, &corrected).await.expect(200);
    let failed = json!({"status": "failed", "rate": 10_000});
    let replay = begun(&router, &id, "replay", &failed).await;
    carry_on(&router, &replay, MANY / 2).await;
    router.restart().await;
    let last = ended(&router, &replay).await;
    assert_eq!((done(&last), &last["progress"]["total"]), (MANY, &json!(MANY)));
    until(&router, &id, "delivered", MANY).await;
    let received = receiver.received();
    assert_eq!((received.len(), ids(&received).len()), (MANY, MANY));
    let shaped: HashSet<u64> = received
        .iter()
        .map(|request| request.json()["shaped"].as_u64().unwrap())
        .collect();
    assert_eq!(shaped.len(), MANY, "each event once");
    let counters = counters(&router, &id).await;
    assert_eq!(
        (&counters["failed"], &counters["created"]),
        (&json!(MANY), &json!(2 * MANY))
    );
    // What became last of them is "delivered": asked again, there is nothing to do.
    let preview = json!({"status": "failed", "preview": true});
    assert_eq!(preview_of(&ask(&router, &id, "replay", &preview).await), 0);
}
