//! Which deliveries and events an operation takes, and sending one or a list again at once.

use super::*;

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

#[tokio::test]
async fn a_step_may_end_between_two_subscriptions_of_an_event() {
    let (mut router, receiver) = (TestRouter::start().await, Receiver::start().await);
    send_many(&router, 5).await;
    let mut all = Vec::new();
    for n in 0..3 {
        let name = format!("s{n}");
        let filter = if n == 1 {
            json!("event.data.n != 3")
        } else {
            json!(null)
        };
        let body = json!({"name": name, "url": receiver.url(), "events": ["order.*"], "filter": filter});
        all.push(router.subscribe(&body).await);
    }
    let body = json!({"kind": "replay", "status": "none", "rate": 2});
    let replay = router.post("/api/v1/operations", &body).await;
    let replay = replay.expect(202).str("/id");
    carry_on(&router, &replay, 7).await;
    router.restart().await;
    let last = ended(&router, &replay).await;
    // Five, and what Hookway told of the three subscriptions; each once, wherever a step ended.
    assert_eq!(
        (done(&last), &last["progress"]["looked_at"]),
        (14, &json!(8)),
        "{last}"
    );
    for (id, count) in all.iter().zip([5, 4, 5]) {
        until(&router, id, "delivered", count).await;
        assert_eq!(counters(&router, id).await["created"], count, "each event once");
    }
}
