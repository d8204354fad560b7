//! Alerts: each condition simulated on a clock that the test moves; told once, over, and told again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};

/// Longer than the sentinel waits between two looks.
const LOOK: Duration = Duration::from_secs(31);

fn subscription(name: &str, receiver: &Receiver, events: &[&str]) -> Value {
    json!({"name": name, "url": receiver.url(), "events": events})
}

/// One attempt a delivery, a few of which are enough, and alerts that are over soon.
async fn nervous() -> TestRouter {
    TestRouter::with(|config| {
        config.dispatch.retry_waits = Some(Vec::new());
        config.alerts.error_rate_attempts_min = 4;
        config.alerts.duplicates_events_min = 4;
        config.alerts.calm = Duration::from_secs(60);
    })
    .await
}

/// Types and data of the alerts that came, in the order of their events.
fn alerts(receiver: &Receiver) -> Vec<(String, Value)> {
    let mut all = receiver.received();
    all.sort_by_key(|received| received.header("webhook-id").to_owned());
    let pair = |body: Value| (body["type"].as_str().unwrap().to_owned(), body["data"].clone());
    all.iter().map(|received| pair(received.json())).collect()
}

fn types(receiver: &Receiver) -> Vec<String> {
    alerts(receiver)
        .into_iter()
        .map(|(event_type, _)| event_type)
        .collect()
}

/// Moves time on, look by look, until so many alerts came; not much longer than `most` of the clock.
async fn until_told(router: &TestRouter, receiver: &Receiver, count: usize, most: Duration) {
    let looks = most.as_secs() / LOOK.as_secs() + 1;
    for _ in 0..looks {
        router.advance(LOOK).await;
        look(router).await;
        if receiver.received().len() >= count {
            return;
        }
    }
    receiver.wait_for(count).await;
}

/// Gives the sentinel, which nobody can wait for, time for its look: an event of our own makes its way
/// meanwhile.
async fn look(router: &TestRouter) {
    for _ in 0..3 {
        router.send(&json!({"type": "nobody.wants", "data": null})).await;
        router.settle().await;
    }
}

async fn send(router: &TestRouter, count: usize) {
    for _ in 0..count {
        router.send(&json!({"type": "a", "data": 1})).await;
    }
    router.settle().await;
}

/// GN-26: when the error rate rises.
#[tokio::test]
async fn an_error_rate_is_told_once_over_and_told_again() {
    let (mut router, shop, ops) = (
        nervous().await,
        Receiver::scripted([], Reply::Status(500)).await,
        Receiver::start().await,
    );
    let everything = ["a", "hookway.alert.*"];
    let id = router.subscribe(&subscription("shop", &shop, &everything)).await;
    router
        .subscribe(&subscription(
            "ops",
            &ops,
            &["hookway.alert.error_rate", "hookway.alert.error_rate.*"],
        ))
        .await;
    send(&router, 3).await;
    router.advance(LOOK).await;
    look(&router).await;
    assert_eq!(types(&ops), Vec::<String>::new(), "three attempts are no rate");
    send(&router, 3).await;
    until_told(&router, &ops, 1, LOOK * 2).await;
    let (event_type, data) = alerts(&ops).remove(0);
    assert_eq!(event_type, "hookway.alert.error_rate");
    assert_eq!(
        (&data["subscription_id"], &data["subscription_name"]),
        (&json!(id), &json!("shop"))
    );
    assert_eq!((&data["attempts"], &data["failed"]), (&json!(6), &json!(6)));

    // It goes on, also over a restart: nothing new.
    send(&router, 4).await;
    router.advance(LOOK).await;
    look(&router).await;
    router.restart().await;
    send(&router, 4).await;
    router.advance(LOOK).await;
    look(&router).await;
    assert_eq!(types(&ops).len(), 1);

    // The endpoint is well again: over after the window and a while.
    shop.now_answer(Reply::Status(200));
    until_told(&router, &ops, 2, Duration::from_secs(600)).await;
    assert_eq!(types(&ops)[1], "hookway.alert.error_rate.over");
    assert_eq!(alerts(&ops)[1].1["since"], data["since"]);

    shop.now_answer(Reply::Status(500));
    send(&router, 4).await;
    until_told(&router, &ops, 3, LOOK * 2).await;
    assert_eq!(types(&ops)[2], "hookway.alert.error_rate");
    let told_itself = shop
        .received()
        .iter()
        .any(|received| String::from_utf8_lossy(&received.body).contains("hookway.alert"));
    assert!(!told_itself, "whose attempts fail is not told of it");
}

#[tokio::test]
async fn alerts_do_not_follow_from_alerts() {
    let (router, shop, ops) = (
        nervous().await,
        Receiver::scripted([], Reply::Status(500)).await,
        Receiver::scripted([], Reply::Status(500)).await,
    );
    router.subscribe(&subscription("shop", &shop, &["a"])).await;
    // Four of these fail, and each a delivery of an own event.
    for name in ["1", "2", "3", "4"] {
        router
            .subscribe(&subscription(
                name,
                &ops,
                &["hookway.subscription.created", "hookway.alert.*"],
            ))
            .await;
    }
    ops.wait_for(6).await;
    send(&router, 4).await;
    until_told(&router, &ops, 6 + 4, LOOK * 2).await;
    router.advance(LOOK).await;
    look(&router).await;
    let page = router
        .get("/api/v1/events?type=hookway.alert.error_rate")
        .await
        .expect(200);
    let raised = page.body["data"].as_array().unwrap();
    assert_eq!(
        raised.len(),
        1,
        "of the shop, not of those who cannot be told: {raised:?}"
    );
}

/// GN-26: when duplicates arrive.
#[tokio::test]
async fn repetitions_are_told_once_over_and_told_again() {
    let (router, ops) = (nervous().await, Receiver::start().await);
    router
        .subscribe(&subscription("ops", &ops, &["hookway.alert.*"]))
        .await;
    let again = json!({"type": "a", "id": "one", "data": 1});
    for _ in 0..8 {
        router.send(&again).await;
    }
    until_told(&router, &ops, 1, LOOK).await;
    let (event_type, data) = alerts(&ops).remove(0);
    assert_eq!(event_type, "hookway.alert.duplicates");
    assert_eq!(data["duplicates"], 7);
    assert!(data["events"].as_u64().unwrap() >= 8, "{data}");
    for _ in 0..8 {
        router.send(&again).await;
    }
    router.advance(LOOK).await;
    look(&router).await;
    assert_eq!(types(&ops).len(), 1);
    until_told(&router, &ops, 2, Duration::from_secs(600)).await;
    assert_eq!(types(&ops)[1], "hookway.alert.duplicates.over");
    // More than what the looks themselves bring in.
    for _ in 0..60 {
        router.send(&again).await;
    }
    until_told(&router, &ops, 3, LOOK).await;
    assert_eq!(types(&ops)[2], "hookway.alert.duplicates");
}

/// GN-26: when retries lag.
#[tokio::test]
async fn a_lag_is_told_once_over_and_told_again() {
    let (router, slow, ops) = (nervous().await, Receiver::start().await, Receiver::start().await);
    let mut limited = subscription("slow", &slow, &["a"]);
    limited["rate_limit"] = json!({"requests": 1, "per_seconds": 400, "burst": 1});
    let id = router.subscribe(&limited).await;
    router
        .subscribe(&subscription("ops", &ops, &["hookway.alert.*"]))
        .await;
    send(&router, 2).await;
    slow.wait_for(1).await;
    router.advance(Duration::from_secs(200)).await;
    look(&router).await;
    assert_eq!(types(&ops), Vec::<String>::new(), "200 s are fine");
    until_told(&router, &ops, 1, Duration::from_secs(150)).await;
    let (event_type, data) = alerts(&ops).remove(0);
    assert_eq!(event_type, "hookway.alert.retry_lag");
    assert!(
        (300..400).contains(&data["lag_seconds"].as_u64().unwrap()),
        "{data}"
    );
    assert_eq!(data["subscription_id"], json!(id), "whose delivery waits");
    // At 400 s it goes, and after a while it is over.
    until_told(&router, &ops, 2, Duration::from_secs(300)).await;
    assert_eq!(types(&ops)[1], "hookway.alert.retry_lag.over");
    assert_eq!(slow.received().len(), 2);
    send(&router, 3).await;
    until_told(&router, &ops, 3, Duration::from_secs(500)).await;
    assert_eq!(types(&ops)[2], "hookway.alert.retry_lag");
}

/// A tenant hears of its own subscriptions only; whoever runs the router hears that there is lag.
#[tokio::test]
async fn a_lag_names_a_subscription_to_its_own_tenant_only() {
    let (mut router, slow, ops, theirs) = (
        nervous().await,
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let other = json!({"name": "other"});
    router.post("/api/v1/tenants", &other).await.expect(201);
    let alerts_of_lag = ["hookway.alert.retry_lag"];
    router.subscribe(&subscription("ops", &ops, &alerts_of_lag)).await;
    router.use_tenant(Some("other"));
    let mut limited = subscription("slow secret project", &slow, &["a"]);
    limited["rate_limit"] = json!({"requests": 1, "per_seconds": 4_000, "burst": 1});
    let id = router.subscribe(&limited).await;
    router
        .subscribe(&subscription("theirs", &theirs, &alerts_of_lag))
        .await;
    send(&router, 2).await;
    slow.wait_for(1).await;
    until_told(&router, &theirs, 1, Duration::from_secs(400)).await;
    ops.wait_for(1).await;
    let own = alerts(&theirs).remove(0).1;
    assert_eq!(
        (&own["subscription_id"], &own["subscription_name"]),
        (&json!(id), &json!("slow secret project"))
    );
    let general = alerts(&ops).remove(0).1;
    assert!(general["lag_seconds"].as_u64().unwrap() >= 300, "{general}");
    let text = general.to_string();
    assert!(!text.contains(&id) && !text.contains("secret"), "{text}");
}

/// GN-26: when the router stops a subscription.
#[tokio::test]
async fn a_stopped_subscription_is_told_at_once_over_and_told_again() {
    let (router, gone, ops) = (
        nervous().await,
        Receiver::scripted([], Reply::Status(410)).await,
        Receiver::start().await,
    );
    let id = router.subscribe(&subscription("gone", &gone, &["a"])).await;
    router
        .subscribe(&subscription("ops", &ops, &["hookway.alert.*"]))
        .await;
    let person = router.subscribe(&subscription("person", &gone, &["b"])).await;
    router
        .post(&format!("/api/v1/webhooks/{person}/disable"), &json!({}))
        .await
        .expect(200);
    send(&router, 1).await;
    // Nobody moves the clock.
    let told = ops.wait_for(1).await;
    assert_eq!(told[0].json()["type"], "hookway.alert.subscription_disabled");
    let data = &told[0].json()["data"];
    assert_eq!(data["subscription_id"], json!(id));
    assert!(data["reason"].as_str().unwrap().contains("410"), "{data}");
    router.advance(LOOK).await;
    look(&router).await;
    assert_eq!(types(&ops).len(), 1, "once, and not of what a person did");

    gone.now_answer(Reply::Status(200));
    router
        .post(&format!("/api/v1/webhooks/{id}/enable"), &json!({}))
        .await
        .expect(200);
    until_told(&router, &ops, 2, Duration::from_secs(150)).await;
    assert_eq!(types(&ops)[1], "hookway.alert.subscription_disabled.over");
    gone.now_answer(Reply::Status(410));
    send(&router, 1).await;
    ops.wait_for(3).await;
    assert_eq!(types(&ops)[2], "hookway.alert.subscription_disabled");
}

#[tokio::test]
async fn alerts_can_be_switched_off() {
    let (router, gone, ops) = (
        TestRouter::with(|config| {
            config.dispatch.retry_waits = Some(Vec::new());
            config.alerts.error_rate_attempts_min = 1;
            config.alerts.error_rate_percent = 0;
            config.alerts.subscription_disabled = false;
        })
        .await,
        Receiver::scripted([Reply::Status(500)], Reply::Status(410)).await,
        Receiver::start().await,
    );
    router.subscribe(&subscription("gone", &gone, &["a"])).await;
    router
        .subscribe(&subscription(
            "ops",
            &ops,
            &["hookway.alert.*", "hookway.subscription.disabled"],
        ))
        .await;
    send(&router, 2).await;
    ops.wait_for(1).await;
    router.advance(LOOK).await;
    look(&router).await;
    assert_eq!(types(&ops), ["hookway.subscription.disabled"]);
}
