//! Acceptance: idempotency, arrays, routing and its explanation.

use serde_json::json;

use crate::support::{Receiver, TestRouter};

#[tokio::test]
async fn the_same_id_is_accepted_once_and_other_content_is_a_conflict() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    router
        .subscribe(&json!({"name": "once", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = json!({"type": "order.paid", "id": "order-1", "source": "shop", "data": {"total": 5}});
    let first = router.post("/api/v1/events", &event).await.expect(202);
    let second = router.post("/api/v1/events", &event).await.expect(202);
    assert_eq!(first.str("/id"), second.str("/id"));
    assert_eq!(second.body["duplicate"], true);
    let mut other = event.clone();
    other["data"]["total"] = json!(6);
    router.post("/api/v1/events", &other).await.expect(409);
    other["source"] = json!("another shop");
    router.post("/api/v1/events", &other).await.expect(202);
    receiver.wait_for(2).await;
    router.settle().await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn an_idempotency_key_covers_the_whole_call() {
    let router = TestRouter::start().await;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "call-7"),
    ];
    let body = r#"[{"type":"a","data":1},{"type":"b","data":2}]"#;
    let first = router
        .call_raw("POST", "/api/v1/events", &headers, body)
        .await
        .expect(202);
    let again = router
        .call_raw("POST", "/api/v1/events", &headers, body)
        .await
        .expect(202);
    assert_eq!(first.body["data"][0]["id"], again.body["data"][0]["id"]);
    assert_eq!(first.body["data"][1]["id"], again.body["data"][1]["id"]);
    let other = r#"[{"type":"a","data":1}]"#;
    router
        .call_raw("POST", "/api/v1/events", &headers, other)
        .await
        .expect(409);
    let page = router.get("/api/v1/events").await.expect(200);
    assert_eq!(page.body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_array_is_accepted_whole_or_refused_whole() {
    let router = TestRouter::start().await;
    let call = json!([{"type": "a", "data": 1}, {"type": "not a type", "data": 2}]);
    let answer = router.post("/api/v1/events", &call).await.expect(422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/1/type");
    assert_eq!(router.get("/api/v1/events").await.body["data"], json!([]));
}

#[tokio::test]
async fn who_gets_an_event_and_why_not() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let subscription = |name: &str, events: serde_json::Value, filter: Option<&str>| {
        let mut body = json!({"name": name, "url": receiver.url(), "events": events});
        if let Some(filter) = filter {
            body["filter"] = json!(filter);
        }
        body
    };
    let exact = router
        .subscribe(&subscription("exact", json!(["alert.created"]), None))
        .await;
    let wild = router
        .subscribe(&subscription(
            "wild",
            json!(["alert.*"]),
            Some("data.severity == 'critical'"),
        ))
        .await;
    let other = router
        .subscribe(&subscription("other", json!(["order.*"]), None))
        .await;
    let faulty = router
        .subscribe(&subscription(
            "faulty",
            json!(["*"]),
            Some("data.missing.field == 1"),
        ))
        .await;
    let event = json!({"type": "alert.created", "data": {"severity": "low"}});
    let answer = router.post("/api/v1/events", &event).await.expect(202);
    assert_eq!(answer.body["matched"], 1);
    let why = router
        .get(&format!("/api/v1/events/{}/matches", answer.str("/id")))
        .await
        .expect(200);
    let of = |id: &str| {
        why.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|m| m["subscription_id"] == id)
            .cloned()
    };
    assert_eq!(of(&exact).unwrap()["matched"], true);
    assert_eq!(of(&wild).unwrap()["matched"], false);
    let other = of(&other).unwrap();
    assert_eq!(other["matched"], false);
    let reason = other["reason"].as_str().unwrap();
    assert!(reason.starts_with("no pattern matches the type: `"), "{reason}");
    let faulty = of(&faulty).unwrap();
    assert_eq!(faulty["matched"], false);
    assert!(
        faulty.to_string().contains("missing"),
        "the filter's error is visible: {faulty}"
    );
    let event = json!({"type": "alert.created", "data": {"severity": "critical"}});
    assert_eq!(router.post("/api/v1/events", &event).await.body["matched"], 2);
    receiver.wait_for(3).await;
}

#[tokio::test]
async fn history_pages_are_complete_and_stable() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let id = router
        .subscribe(&json!({"name": "all", "url": receiver.url(), "events": ["*"]}))
        .await;
    let mut sent = Vec::new();
    for n in 0..25 {
        sent.push(router.send(&json!({"type": "a", "data": n})).await);
    }
    receiver.wait_for(25).await;
    router.settle().await;
    for path in [
        format!("/api/v1/subscriptions/{id}/deliveries?limit=10"),
        "/api/v1/webhooks/ID/deliveries?limit=10".replace("ID", &id),
    ] {
        let mut seen = Vec::new();
        let mut next = Some(String::new());
        while let Some(cursor) = next {
            let separator = if cursor.is_empty() {
                String::new()
            } else {
                format!("&cursor={cursor}")
            };
            let page = router.get(&format!("{path}{separator}")).await.expect(200);
            seen.extend(
                page.body["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|d| d["event_id"].as_str().unwrap().to_owned()),
            );
            next = page.body["next"].as_str().map(str::to_owned);
            // What is written while somebody pages does not disturb the pages.
            router.send(&json!({"type": "a", "data": "more"})).await;
        }
        seen.retain(|event| sent.contains(event));
        let mut expected = sent.clone();
        expected.reverse();
        assert_eq!(seen, expected);
    }
}
