//! How operations go on, stop, and do not run in circles.

use super::*;

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

#[tokio::test]
async fn a_replay_whose_subscription_is_removed_fails_and_says_so() {
    let receiver = Receiver::start().await;
    let router = TestRouter::start().await;
    let orders = json!({"name": "orders", "url": receiver.url(), "events": ["*"]});
    let id = router.subscribe(&orders).await;
    send_many(&router, 5).await;
    until(&router, &id, "delivered", 5).await;
    let replay = begun(&router, &id, "replay", &json!({"rate": 1})).await;
    until(&router, &id, "delivered", 6).await;
    let path = format!("/api/v1/subscriptions/{id}");
    router.call("DELETE", &path, &json!({})).await.expect(204);
    let seen = carry_on(&router, &replay, usize::MAX).await;
    let last = seen.last().unwrap();
    assert_eq!((&last["state"], done(last)), (&json!("failed"), 1), "{last}");
    let why = last["progress"]["error"].as_str().unwrap();
    assert!(why.contains("subscription was removed"), "{why}");
}

/// The end of an operation is an event of Hookway's own, whatever the end.
#[tokio::test]
async fn the_end_of_an_operation_is_an_event() {
    let failing = Receiver::scripted([], Reply::Status(400)).await;
    let (router, told) = (TestRouter::start().await, Receiver::start().await);
    let orders = json!({"name": "orders", "url": failing.url(), "events": ["order.*"]});
    let news = json!({"name": "news", "url": told.url(), "events": ["hookway.recovery.*"]});
    let id = router.subscribe(&orders).await;
    router.subscribe(&news).await;
    send_many(&router, 3).await;
    until(&router, &id, "failed", 3).await;
    let recover = begun(&router, &id, "recover", &json!({"causes": ["rejected"]})).await;
    ended(&router, &recover).await;
    let data = told.wait_for(1).await.remove(0).json()["data"].clone();
    assert_eq!(
        (&data["id"], &data["state"]),
        (&json!(recover), &json!("finished")),
        "{data}"
    );
    assert_eq!((&data["total"], &data["done"]), (&json!(3), &json!(3)), "{data}");
    let none = json!({"causes": ["timeout"], "preview": true});
    assert_eq!(
        preview_of(&ask(&router, &id, "recover", &none).await),
        0,
        "by cause"
    );
    until(&router, &id, "failed", 3).await;
    let by_code = json!({"status": "failed", "codes": [400, 503], "preview": true});
    assert_eq!(
        preview_of(&ask(&router, &id, "replay", &by_code).await),
        3,
        "by status code"
    );
    let slow = begun(&router, &id, "replay", &json!({"rate": 1})).await;
    router
        .post(&format!("/api/v1/operations/{slow}/cancel"), &json!({}))
        .await
        .expect(200);
    let data = told.wait_for(2).await.remove(1).json()["data"].clone();
    assert_eq!(
        (&data["id"], &data["state"]),
        (&json!(slow), &json!("cancelled")),
        "{data}"
    );
}
