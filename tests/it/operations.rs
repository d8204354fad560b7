//! Sending again what failed, and old events through today's plugins: all of it, once, across restarts.

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

/// GN-11. A replay makes events of what a plugin had filtered; a subscription's patterns and filter of
/// today choose.
#[tokio::test]
async fn filtered_events_are_replayed_when_the_plugin_lets_them_through() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let plugins =
        |least: u32| json!([{"name": "jq", "config": {"program": format!("select(.n >= {least})")}}]);
    let subscription =
        json!({"name": "large", "url": receiver.url(), "events": ["*"], "plugins": plugins(8)});
    let id = router.subscribe(&subscription).await;
    send_many(&router, 10).await;
    router.send(&json!({"type": "other", "data": {"n": 1}})).await;
    until(&router, &id, "filtered", 9).await;
    until(&router, &id, "delivered", 2).await;
    let path = format!("/api/v1/subscriptions/{id}");
    let corrected = json!({"plugins": plugins(3), "events": ["order.*"]});
    router.call("PATCH", &path, &corrected).await.expect(200);
    let preview = json!({"status": "filtered", "preview": true});
    assert_eq!(preview_of(&ask(&router, &id, "replay", &preview).await), 8);
    let replay = begun(&router, &id, "replay", &json!({"status": "filtered"})).await;
    assert_eq!(done(&ended(&router, &replay).await), 8);
    until(&router, &id, "delivered", 7).await;
    until(&router, &id, "filtered", 12).await;
    let mut sent: Vec<u64> = receiver
        .received()
        .iter()
        .map(|r| r.json()["n"].as_u64().unwrap())
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, [3, 4, 5, 6, 7, 8, 9]);
    let filter = json!({"filter": "event.data.n == 4"});
    router.call("PATCH", &path, &filter).await.expect(200);
    let preview = json!({"status": "delivered", "preview": true});
    assert_eq!(
        preview_of(&ask(&router, &id, "replay", &preview).await),
        1,
        "the filter of today"
    );
}

/// GN-29. What a subscription never had can be asked for, and sent to one that was made later.
#[tokio::test]
async fn a_subscription_made_later_gets_old_events() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    send_many(&router, 5).await;
    router.send(&json!({"type": "alert", "data": 1})).await;
    router.advance(Duration::from_secs(60)).await;
    let since = router.clock.now();
    send_many(&router, 3).await;
    let subscription = json!({"name": "late", "key": "late", "url": receiver.url(), "events": ["order.*"]});
    let id = router.subscribe(&subscription).await;
    send_many(&router, 2).await;
    until(&router, &id, "delivered", 2).await;
    let missing = json!({"status": "none", "preview": true});
    assert_eq!(preview_of(&ask(&router, "late", "replay", &missing).await), 8);
    let missing = json!({"status": "none", "preview": true, "since": since});
    assert_eq!(preview_of(&ask(&router, "late", "replay", &missing).await), 3);
    let replay = begun(
        &router,
        "late",
        "replay",
        &json!({"status": "none", "since": since}),
    )
    .await;
    assert_eq!(done(&ended(&router, &replay).await), 3);
    until(&router, &id, "delivered", 5).await;
    // Where nothing is said, everything that matches goes, whatever became of it.
    let replay = begun(&router, "late", "replay", &json!({})).await;
    assert_eq!(done(&ended(&router, &replay).await), 10);
    until(&router, &id, "delivered", 15).await;
    assert_eq!(
        ids(&receiver.received()).len(),
        15,
        "new deliveries have ids of their own"
    );
    let missing = json!({"status": "none", "preview": true});
    assert_eq!(preview_of(&ask(&router, "late", "replay", &missing).await), 0);
}

#[tokio::test]
async fn a_cancelled_operation_stops_between_steps_and_stays_stopped() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let mut router = TestRouter::start().await;
    let subscription = json!({"name": "orders", "url": receiver.url(), "events": ["*"]});
    let id = router.subscribe(&subscription).await;
    send_many(&router, 30).await;
    until(&router, &id, "failed", 30).await;
    receiver.now_answer(Reply::Status(200));
    let slow = begun(&router, &id, "recover", &json!({"rate": 10})).await;
    // Time stands still: the first step is what may go within a second, and no more.
    until(&router, &id, "delivered", 10).await;
    router.settle().await;
    assert_eq!(done(&operation(&router, &slow).await), 10);
    let cancel = format!("/api/v1/operations/{slow}/cancel");
    let cancelled = router.post(&cancel, &json!({})).await.expect(200).body;
    assert_eq!((&cancelled["state"], done(&cancelled)), (&json!("cancelled"), 10));
    assert!(cancelled["ended_at"].is_string());
    router.post(&cancel, &json!({})).await.expect(409);
    router.advance(Duration::from_secs(5)).await;
    router.restart().await;
    router.advance(Duration::from_secs(5)).await;
    assert_eq!(counters(&router, &id).await["failed"], 20);
    let list = router.get("/api/v1/operations").await.expect(200).body;
    assert_eq!(list["data"][0]["id"], slow);
    let running = router.get("/api/v1/operations?running").await.expect(200).body;
    assert_eq!(running["data"], json!([]));
}

#[tokio::test]
async fn what_fails_again_is_not_recovered_again_and_what_is_off_waits() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let router = TestRouter::start().await;
    let subscription = json!({"name": "orders", "url": receiver.url(), "events": ["*"]});
    let id = router.subscribe(&subscription).await;
    send_many(&router, 20).await;
    until(&router, &id, "failed", 20).await;
    let recover = begun(&router, &id, "recover", &json!({"rate": 3})).await;
    assert_eq!(done(&ended(&router, &recover).await), 20);
    until(&router, &id, "failed", 20).await;
    assert_eq!(
        receiver.received().len(),
        40,
        "each once more, although all failed again"
    );

    let path = format!("/api/v1/subscriptions/{id}");
    router
        .post(&format!("{path}/disable"), &json!({}))
        .await
        .expect(200);
    let recover = begun(&router, &id, "recover", &json!({})).await;
    assert_eq!(done(&ended(&router, &recover).await), 20);
    let held = router
        .get("/api/v1/deliveries?status=held")
        .await
        .expect(200)
        .body;
    assert_eq!(held["data"].as_array().unwrap().len(), 20);
    receiver.now_answer(Reply::Status(200));
    router
        .post(&format!("{path}/enable"), &json!({}))
        .await
        .expect(200);
    until(&router, &id, "delivered", 20).await;
}

#[tokio::test]
async fn types_times_and_all_subscriptions_of_a_tenant() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let mut router = TestRouter::start().await;
    let one = json!({"name": "one", "url": receiver.url(), "events": ["*"]});
    let two = json!({"name": "two", "url": receiver.url(), "events": ["order.*"]});
    let (one, two) = (router.subscribe(&one).await, router.subscribe(&two).await);
    send_many(&router, 4).await;
    router.advance(Duration::from_secs(60)).await;
    let later = router.clock.now();
    router.send(&json!({"type": "alert", "data": 1})).await;
    send_many(&router, 2).await;
    until(&router, &one, "failed", 7).await;
    until(&router, &two, "failed", 6).await;
    let count = async |body: Value| {
        let mut body = body;
        body["preview"] = json!(true);
        preview_of(&router.post("/api/v1/operations", &body).await.expect(200))
    };
    assert_eq!(count(json!({"kind": "recover"})).await, 13);
    assert_eq!(count(json!({"kind": "recover", "types": ["order.*"]})).await, 12);
    assert_eq!(count(json!({"kind": "recover", "since": later})).await, 5);
    assert_eq!(count(json!({"kind": "recover", "until": later})).await, 8);
    assert_eq!(count(json!({"kind": "recover", "subscription": two})).await, 6);
    assert_eq!(count(json!({"kind": "replay", "types": ["alert"]})).await, 1);
    assert_eq!(count(json!({"kind": "replay"})).await, 13);
    router
        .post("/api/v1/operations", &json!({"kind": "resend"}))
        .await
        .expect(422);

    router
        .call("DELETE", &format!("/api/v1/subscriptions/{one}"), &json!({}))
        .await
        .expect(204);
    receiver.now_answer(Reply::Status(200));
    let recover = router
        .post("/api/v1/operations", &json!({"kind": "recover"}))
        .await;
    let recover = ended(&router, &recover.expect(202).str("/id")).await;
    assert_eq!(
        (
            done(&recover),
            &recover["progress"]["skipped"]["subscription_gone"]
        ),
        (6, &json!(7))
    );
    until(&router, &two, "delivered", 6).await;

    router
        .post("/api/v1/tenants", &json!({"name": "acme"}))
        .await
        .expect(201);
    router.use_tenant(Some("acme"));
    let id = recover["id"].as_str().unwrap();
    router.get(&format!("/api/v1/operations/{id}")).await.expect(404);
    router
        .post(&format!("/api/v1/operations/{id}/cancel"), &json!({}))
        .await
        .expect(404);
    assert_eq!(router.get("/api/v1/operations").await.body["data"], json!([]));
    ask(&router, &two, "recover", &json!({})).await.expect(404);
}

#[tokio::test]
async fn only_so_many_operations_run_at_once() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let router = TestRouter::start().await;
    let id = router
        .subscribe(&json!({"name": "orders", "url": receiver.url(), "events": ["*"]}))
        .await;
    send_many(&router, 5).await;
    until(&router, &id, "failed", 5).await;
    // Time stands still, so that none of these ends.
    for _ in 0..hookway::operation::RUNNING_MAX {
        begun(&router, &id, "replay", &json!({"rate": 1})).await;
    }
    let refused = ask(&router, &id, "replay", &json!({})).await.expect(409);
    assert!(refused.str("/detail").contains("cancel"), "{}", refused.text);
}

/// GN-11. One event, and a list of deliveries, at once.
#[tokio::test]
async fn one_event_and_a_list_of_deliveries_are_sent_again() {
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let router = TestRouter::start().await;
    let orders = json!({"name": "orders", "key": "orders", "url": receiver.url(), "events": ["order.*"]});
    let alerts = json!({"name": "alerts", "key": "alerts", "url": receiver.url(), "events": ["alert.*"]});
    let id = router.subscribe(&orders).await;
    let other = router.subscribe(&alerts).await;
    let event = router.send(&json!({"type": "order.paid", "data": 1})).await;
    until(&router, &id, "failed", 1).await;
    let failed = router.delivery_of(&event).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    receiver.now_answer(Reply::Status(200));
    let path = format!("/api/v1/events/{event}/replay");
    let made = router.post(&path, &json!({})).await.expect(202).body;
    assert_eq!(made["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(made["deliveries"][0]["subscription_id"], id);
    let named = router
        .post(&path, &json!({"subscription": "alerts"}))
        .await
        .expect(202);
    assert_eq!(
        named.body["deliveries"][0]["subscription_id"], other,
        "whatever it matches"
    );
    until(&router, &id, "delivered", 1).await;
    until(&router, &other, "delivered", 1).await;
    let shown = router.get(&format!("/api/v1/events/{event}")).await.expect(200);
    assert_eq!(shown.body["matched"], 1, "as when it came");
    router
        .post(&path, &json!({"subscription": "nobody"}))
        .await
        .expect(422);
    router
        .post("/api/v1/events/evt_0000000000001/replay", &json!({}))
        .await
        .expect(404);

    let list = json!({"ids": [failed, "dlv_0000000000001", "nonsense", failed]});
    let answer = router
        .post("/api/v1/deliveries/resend", &list)
        .await
        .expect(202)
        .body;
    let results: Vec<&str> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["result"].as_str().unwrap())
        .collect();
    assert_eq!(results[1..3], ["not_found", "not_found"]);
    assert!(results.contains(&"queued"), "{results:?}");
    until(&router, &id, "delivered", 2).await;
    let too_many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    for wrong in [
        json!({"ids": too_many}),
        json!({"ids": []}),
        json!({}),
        json!({"ids": "x"}),
    ] {
        router.post("/api/v1/deliveries/resend", &wrong).await.expect(422);
    }
}
