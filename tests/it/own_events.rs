//! What Hookway tells of itself: as events that can be subscribed to, without secrets and without loops.

use std::time::Duration;

use serde_json::{Value, json};

use crate::plugins::wrap;
use crate::support::{Receiver, Reply, TestRouter};

/// A component of a guest in `tests/guests`.
fn guest(text: &str) -> Vec<u8> {
    wat::parse_str(wrap::component(text)).expect("the guest is text")
}

async fn push(router: &TestRouter, name: &str, component: Vec<u8>) {
    let wasm = [("content-type", "application/wasm")];
    let path = format!("/api/v1/plugins/{name}?force=true");
    let answer = router.call_raw("PUT", &path, &wasm, component).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

/// A router with one attempt a delivery.
async fn impatient() -> TestRouter {
    TestRouter::with(|config| config.dispatch.retry_waits = Some(Vec::new())).await
}

fn subscription(name: &str, receiver: &Receiver, events: &[&str]) -> Value {
    json!({"name": name, "url": receiver.url(), "events": events})
}

/// Types and data of what a receiver of the default profile got, in the order of their events.
fn told(receiver: &Receiver) -> Vec<(String, Value)> {
    let mut all = receiver.received();
    all.sort_by_key(|received| received.header("webhook-id").to_owned());
    let pair = |body: Value| (body["type"].as_str().unwrap().to_owned(), body["data"].clone());
    all.iter().map(|received| pair(received.json())).collect()
}

fn types(receiver: &Receiver) -> Vec<String> {
    told(receiver)
        .into_iter()
        .map(|(event_type, _)| event_type)
        .collect()
}

/// Types of all stored events, oldest first.
async fn stored(router: &TestRouter) -> Vec<String> {
    let page = router.get("/api/v1/events?limit=100").await.expect(200);
    let list = page.body["data"].as_array().unwrap();
    let of = |event: &Value| event["type"].as_str().unwrap().to_owned();
    list.iter().rev().map(of).collect()
}

/// WF-15, under Hookway's own names.
#[tokio::test]
async fn what_happens_to_subscriptions_and_keys_is_told() {
    let (router, ops, all) = (
        TestRouter::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let watching = router.subscribe(&subscription("ops", &ops, &["hookway.*"])).await;
    router.subscribe(&subscription("all", &all, &["*"])).await;
    let made = json!({"name": "Slack", "key": "slack", "url": "https://hooks.slack.com/services/T0/SECRET?t=SECRET",
        "events": ["alert.*"], "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "headers": {"x-token": "SECRET"}});
    let id = router.subscribe(&made).await;
    let path = format!("/api/v1/webhooks/{id}");
    let reason = json!({"reason": "on holiday"});
    router.post(&format!("{path}/disable"), &reason).await.expect(200);
    // Said again, and changed in another way: no news.
    router.post(&format!("{path}/disable"), &reason).await.expect(200);
    router
        .call("PATCH", &path, &json!({"name": "Slack 2"}))
        .await
        .expect(200);
    router
        .post(&format!("{path}/enable"), &json!({}))
        .await
        .expect(200);
    router
        .post(&format!("{path}/enable"), &json!({}))
        .await
        .expect(200);
    router.call_raw("DELETE", &path, &[], "").await.expect(204);
    let key = router
        .post("/api/v1/keys", &json!({"name": "ci", "scopes": ["read"]}))
        .await
        .expect(201);
    let revoke = format!("/api/v1/keys/{}", key.str("/id"));
    router.call_raw("DELETE", &revoke, &[], "").await.expect(204);
    router.call_raw("DELETE", &revoke, &[], "").await.expect(204);
    router.settle().await;

    let told = told(&ops);
    let expected = [
        "hookway.subscription.created",
        "hookway.subscription.created",
        "hookway.subscription.disabled",
        "hookway.subscription.enabled",
        "hookway.subscription.deleted",
        "hookway.key.created",
        "hookway.key.deleted",
    ];
    assert_eq!(types(&ops), expected);
    assert_eq!(told[0].1["name"], "all", "it is not told of itself");
    assert_eq!(
        told[1].1,
        json!({"id": id, "key": "slack", "name": "Slack", "url": "https://hooks.slack.com/…", "events": ["alert.*"],
            "profile": "standard-webhooks", "enabled": true, "status": "enabled", "reason": null, "by": "person"})
    );
    let disabled = &told[2].1;
    assert_eq!(
        (&disabled["status"], &disabled["reason"]),
        (&json!("disabled"), &json!("on holiday"))
    );
    assert_eq!(
        told[5].1,
        json!({"id": key.str("/id"), "name": "ci", "scopes": ["read"],
        "tenant_id": told[5].1["tenant_id"]})
    );
    for received in ops.received() {
        let text = String::from_utf8_lossy(&received.body).into_owned();
        let secret = ["SECRET", "MDEyMzQ1", &key.str("/key")]
            .iter()
            .any(|secret| text.contains(secret));
        assert!(!secret, "{text}");
    }
    assert_eq!(types(&all), Vec::<String>::new(), "`*` is everything but these");
    // Of what is in the history, each says what it is about.
    let events = router
        .get("/api/v1/events?type=hookway.key.deleted")
        .await
        .expect(200);
    assert_eq!(events.str("/data/0/subject"), key.str("/id"));
    assert_eq!(events.str("/data/0/source"), "hookway");
    let mine = router
        .get("/api/v1/events?type=hookway.subscription.created")
        .await;
    let of_ops = mine.body["data"].as_array().unwrap().last().unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let why = router
        .get(&format!("/api/v1/events/{of_ops}/matches"))
        .await
        .expect(200);
    let of_itself = why.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["subscription_id"] == watching.as_str());
    assert!(
        of_itself.unwrap()["reason"]
            .as_str()
            .unwrap()
            .contains("about this very subscription")
    );
}

/// WF-15: no loop, and what is disabled hears nothing of it, not even later.
#[tokio::test]
async fn a_disabled_subscription_is_not_told_that_it_is() {
    let (router, receiver, other) = (
        TestRouter::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let id = router
        .subscribe(&subscription("a", &receiver, &["hookway.*"]))
        .await;
    router
        .subscribe(&subscription("b", &other, &["hookway.subscription.disabled"]))
        .await;
    router
        .post(&format!("/api/v1/webhooks/{id}/disable"), &json!({}))
        .await
        .expect(200);
    router.settle().await;
    other.wait_for(1).await;
    router
        .post(&format!("/api/v1/webhooks/{id}/enable"), &json!({}))
        .await
        .expect(200);
    router.settle().await;
    assert_eq!(types(&receiver), ["hookway.subscription.created"], "of the other");
    assert_eq!(types(&other), ["hookway.subscription.disabled"]);
    let nobody_may = json!({"type": "hookway.subscription.disabled", "data": {"id": id}});
    router.post("/api/v1/events", &nobody_may).await.expect(422);
}

#[tokio::test]
async fn own_events_are_history_also_where_nobody_wants_them() {
    let (router, dead) = (
        impatient().await,
        Receiver::scripted([], Reply::Status(500)).await,
    );
    router.subscribe(&subscription("dead", &dead, &["a"])).await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    router.until(&event, "failed").await;
    router.settle().await;
    assert_eq!(
        stored(&router).await,
        ["hookway.subscription.created", "a"],
        "failures are as many as events: they are stored for who wants them"
    );
}

#[tokio::test]
async fn a_delivery_that_failed_is_told_to_others_and_only_once() {
    let (router, dead, ops) = (
        impatient().await,
        Receiver::scripted([], Reply::Status(503)).await,
        Receiver::start().await,
    );
    let everything = ["a", "hookway.delivery.failed"];
    let failing = router.subscribe(&subscription("dead", &dead, &everything)).await;
    router
        .subscribe(&subscription("ops", &ops, &["hookway.delivery.*"]))
        .await;
    let event = router.send(&json!({"type": "a", "data": {"n": 1}})).await;
    ops.wait_for(1).await;
    router.settle().await;
    let (event_type, data) = told(&ops).remove(0);
    assert_eq!(event_type, "hookway.delivery.failed");
    let delivery = router.delivery_of(&event).await;
    let expected = json!({"id": delivery["id"], "event_id": event, "event_type": "a", "subscription_id": failing,
        "subscription_name": "dead", "cause": "server", "reason": delivery["reason"], "attempts": 1, "status_code": 503, "error": null,
        "failed_at": data["failed_at"]});
    assert_eq!(data, expected);
    assert_eq!(dead.received().len(), 1, "who fails is not told of it");

    // The one who is told fails too: that is told to nobody, or it would never end.
    ops.now_answer(Reply::Status(500));
    router.send(&json!({"type": "a", "data": {"n": 2}})).await;
    ops.wait_for(2).await;
    router.settle().await;
    let failures = stored(&router).await;
    let count = failures
        .iter()
        .filter(|event_type| *event_type == "hookway.delivery.failed")
        .count();
    assert_eq!(count, 2, "{failures:?}");
}

#[tokio::test]
async fn what_plugins_make_of_failures_comes_to_an_end() {
    let (router, dead, ops) = (
        impatient().await,
        Receiver::scripted([], Reply::Status(500)).await,
        Receiver::start().await,
    );
    push(&router, "emits", guest(include_str!("../guests/emits.wat"))).await;
    // Every failure becomes an `alert.critical`, whose delivery fails.
    let mut escalating = subscription("escalating", &ops, &["hookway.delivery.failed"]);
    escalating["plugins"] = json!([{"name": "emits", "config": {}}]);
    router.subscribe(&escalating).await;
    router
        .subscribe(&subscription("dead", &dead, &["a", "alert.critical"]))
        .await;
    router.send(&json!({"type": "a", "data": 1})).await;
    for _ in 0..20 {
        router.settle().await;
    }
    let all = stored(&router).await;
    let count = |wanted: &str| all.iter().filter(|event_type| *event_type == wanted).count();
    // Hops: a 0, failed 1, critical 2, … critical 8; its failure would be the ninth.
    assert_eq!(count("alert.critical"), 4, "{all:?}");
    assert_eq!(count("hookway.delivery.failed"), 4, "{all:?}");
}

#[tokio::test]
async fn a_recovery_that_has_ended_is_told() {
    let (router, shop, ops) = (
        impatient().await,
        Receiver::scripted([Reply::Status(500)], Reply::Status(200)).await,
        Receiver::start().await,
    );
    let id = router.subscribe(&subscription("shop", &shop, &["a"])).await;
    router
        .subscribe(&subscription("ops", &ops, &["hookway.recovery.*"]))
        .await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    router.until(&event, "failed").await;
    let path = format!("/api/v1/webhooks/{id}/recover");
    let begun = router.post(&path, &json!({})).await.expect(202).str("/id");
    ops.wait_for(1).await;
    let (event_type, data) = told(&ops).remove(0);
    assert_eq!(event_type, "hookway.recovery.finished");
    let none = json!({"expired": 0, "pending": 0, "changed": 0, "subscription_gone": 0, "damaged": 0});
    let expected = json!({"id": begun, "kind": "recover", "state": "finished", "subscription_id": id, "total": 1,
        "done": 1, "skipped": none, "error": null, "created_at": data["created_at"], "ended_at": data["ended_at"]});
    assert_eq!(data, expected);
    router.until(&event, "delivered").await;
}

/// What is told of a subscription does not come to it by a replay either.
#[tokio::test]
async fn a_replay_keeps_from_a_subscription_what_is_about_it() {
    let (router, receiver, other) = (
        TestRouter::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let id = router
        .subscribe(&subscription("a", &receiver, &["hookway.*"]))
        .await;
    router.subscribe(&subscription("b", &other, &["never"])).await;
    router.settle().await;
    assert_eq!(types(&receiver), ["hookway.subscription.created"]);
    let replay = json!({"types": ["hookway.subscription.created"]});
    let path = format!("/api/v1/webhooks/{id}/replay");
    router.post(&path, &replay).await.expect(202);
    // The other's again, and that the replay has ended.
    receiver.wait_for(3).await;
    router.settle().await;
    let about: Vec<Value> = told(&receiver)
        .into_iter()
        .map(|(_, data)| data["name"].clone())
        .collect();
    assert_eq!(about.iter().filter(|name| **name == "b").count(), 2, "{about:?}");
    assert_eq!(about.iter().filter(|name| **name == "a").count(), 0, "{about:?}");
}

#[tokio::test]
async fn a_plugin_that_holds_its_subscription_is_told() {
    let (router, receiver, ops) = (
        TestRouter::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let own = ["hookway.plugin.held", "hookway.subscription.disabled"];
    router.subscribe(&subscription("ops", &ops, &own)).await;
    push(
        &router,
        "picky",
        guest(include_str!("../guests/misconfigured.wat")),
    )
    .await;
    let mut with_plugin = subscription("shop", &receiver, &["a"]);
    with_plugin["plugins"] = json!([{"name": "picky", "config": {}}]);
    let id = router.subscribe(&with_plugin).await;
    router.send(&json!({"type": "a", "data": 1})).await;
    ops.wait_for(2).await;
    router.settle().await;
    let first = told(&ops);
    let disabled = &first[0];
    assert_eq!(disabled.0, "hookway.subscription.disabled");
    assert_eq!(
        (&disabled.1["status"], &disabled.1["by"]),
        (&json!("held"), &json!("router"))
    );
    assert_eq!(first[1].0, "hookway.plugin.held");
    assert_eq!(
        first[1].1,
        json!({"plugin": "picky", "subscription_id": id, "subscription_name": "shop",
            "reason": disabled.1["reason"]})
    );

    // By a new version that does not take the configuration, too.
    router
        .post(&format!("/api/v1/webhooks/{id}/enable"), &json!({}))
        .await
        .expect(200);
    router.settle().await;
    push(
        &router,
        "picky",
        guest(include_str!("../guests/refuses_config.wat")),
    )
    .await;
    router.advance(Duration::from_secs(1)).await;
    let later = types(&ops);
    let held = later
        .iter()
        .filter(|event_type| *event_type == "hookway.plugin.held")
        .count();
    assert!(held >= 2, "{later:?}");
    assert_eq!(receiver.received().len(), 0);
}

/// Whose deliveries of news of status changes change statuses keep nobody busy.
#[tokio::test]
async fn subscriptions_whose_endpoints_swing_do_not_keep_one_another_busy() {
    let router = impatient().await;
    let swings = json!({"name": "swings", "version": 1, "envelope": "none",
    "classes": {"otherwise": "fail", "hold_probe_seconds": 10, "rules": [
        {"status": "2xx", "class": "delivered"},
        {"status": "404", "class": "hold", "reason": "switched off"},
    ]}});
    let answer = router.call("PUT", "/api/v1/profiles/swings", &swings).await;
    assert!(answer.status < 300, "{}", answer.text);
    let mut receivers = Vec::new();
    for n in 0..3 {
        let receiver = Receiver::scripted([], Reply::Status(404)).await;
        let mut body = subscription(&format!("s{n}"), &receiver, &["a", "hookway.subscription.*"]);
        body["profile"] = json!("swings");
        router.subscribe(&body).await;
        receivers.push(receiver);
    }
    let changes = async || {
        let page = router.get("/api/v1/events?limit=100").await.expect(200).body;
        let news = ["hookway.subscription.enabled", "hookway.subscription.disabled"];
        let rows = page["data"].as_array().unwrap().iter();
        rows.filter(|row| news.iter().any(|kind| row["type"] == *kind))
            .count()
    };
    router.send(&json!({"type": "a", "data": 1})).await;
    router.settle().await;
    let rounds = async |count: usize| {
        for n in 0..count {
            let status = if n % 2 == 0 { 200 } else { 404 };
            for receiver in &receivers {
                receiver.now_answer(Reply::Status(status));
            }
            router.advance(Duration::from_secs(10)).await;
        }
    };
    rounds(28).await;
    let first = changes().await;
    assert!(
        first > 0 && first <= 6,
        "a pair of each in five minutes, not {first}"
    );
    rounds(120).await;
    let second = changes().await;
    rounds(60).await;
    assert_eq!(changes().await, second, "it has come to an end");
}
