//! Plugins in the way of an event: what they make is what is sent, and what they do wrong is theirs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};

#[path = "../guests/wrap.rs"]
pub mod wrap;

/// A guest of `tests/guests` as a component.
macro_rules! guest {
    ($name:literal) => {
        wat::parse_str(wrap::component(include_str!(concat!(
            "../guests/",
            $name,
            ".wat"
        ))))
        .expect("the guest is text")
    };
}

const WASM: [(&str, &str); 1] = [("content-type", "application/wasm")];

async fn push(router: &TestRouter, name: &str, component: Vec<u8>) -> Value {
    let answer = router
        .call_raw("PUT", &format!("/api/v1/plugins/{name}"), &WASM, component)
        .await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
    answer.body
}

fn subscription(receiver: &Receiver, plugins: Value) -> Value {
    json!({"name": "with plugins", "url": receiver.url(), "events": ["*"], "plugins": plugins})
}

/// The alert of the WorkFlows document.
fn alert() -> Value {
    json!({"type": "alert.created", "data": {
        "id": "alert_xyz789", "title": "Inventario crítico: Materia Prima A <!channel>", "severity": "critical",
        "status": "active", "projectId": "proj_def456", "area": "Inventario", "createdAt": "2026-05-19T16:30:00.000Z",
    }})
}

#[tokio::test]
async fn slack_shapes_an_alert_and_filters_by_severity() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let plugins = json!([{"name": "slack", "config": {"min_severity": "high"}}]);
    router.subscribe(&subscription(&receiver, plugins)).await;
    let sent = router.send(&alert()).await;
    let received = receiver.wait_for(1).await.remove(0);
    let message = received.json();
    assert!(
        message["text"].as_str().unwrap().contains("Inventario crítico"),
        "{message}"
    );
    let text = message.to_string();
    assert!(
        !text.contains("<!channel>") && text.contains("&lt;!channel&gt;"),
        "nobody is pinged: {text}"
    );
    assert!(received.header("webhook-signature").starts_with("v1,"));
    router.settle().await;
    let delivery = router.delivery_of(&sent).await;
    let run = &delivery["plugin_runs"][0];
    assert_eq!(run["plugin"], "slack");
    assert_eq!(run["outcome"], "deliver");
    assert_eq!(run["digest"].as_str().unwrap().len(), 64);

    let mut low = alert();
    low["data"]["severity"] = json!("low");
    let sent = router.send(&low).await;
    router.settle().await;
    let delivery = router.delivery_of(&sent).await;
    assert_eq!(delivery["status"], "filtered");
    assert!(
        delivery["reason"].as_str().unwrap().contains("severity"),
        "{delivery}"
    );
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn jq_reshapes_filters_and_splits() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let program = "if .items then .items[] else select(.keep) | {kept: .n} end";
    router
        .subscribe(&subscription(
            &receiver,
            json!([{"name": "jq", "config": {"program": program}}]),
        ))
        .await;
    router
        .send(&json!({"type": "a", "data": {"keep": true, "n": 7}}))
        .await;
    assert_eq!(receiver.wait_for(1).await[0].json(), json!({"kept": 7}));
    let dropped = router.send(&json!({"type": "a", "data": {"keep": false}})).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&dropped).await["status"], "filtered");

    let split = router
        .send(&json!({"type": "a", "data": {"items": [{"x": 1}, {"x": 2}, {"x": 3}]}}))
        .await;
    let received = receiver.wait_for(4).await;
    router.settle().await;
    let mut bodies: Vec<String> = received[1..].iter().map(|r| r.json().to_string()).collect();
    bodies.sort();
    assert_eq!(bodies, [r#"{"x":1}"#, r#"{"x":2}"#, r#"{"x":3}"#]);
    let mut ids: Vec<&str> = received[1..].iter().map(|r| r.header("webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "every request has its own id");
    let delivery = router.delivery_of(&split).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_delivery_of_several_requests_is_done_when_all_are() {
    let receiver = Receiver::scripted([Reply::Status(200), Reply::Status(500)], Reply::Status(200)).await;
    let mut router = TestRouter::start().await;
    router
        .subscribe(&subscription(
            &receiver,
            json!([{"name": "jq", "config": {"program": ".[]"}}]),
        ))
        .await;
    let event = router.send(&json!({"type": "a", "data": [1, 2, 3]})).await;
    receiver.wait_for(3).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "pending");
    router.restart().await;
    router.advance(Duration::from_secs(7)).await;
    receiver.wait_for(4).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    assert_eq!(
        receiver.received().len(),
        4,
        "only the one that failed is sent again"
    );
}

#[tokio::test]
async fn plugins_run_one_after_another() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let chain = json!([
        {"name": "jq", "config": {"program": "{title: (.alert.title | ascii_upcase), severity: .alert.severity}"}},
        {"name": "slack", "config": {}},
    ]);
    router.subscribe(&subscription(&receiver, chain)).await;
    let event = router
        .send(&json!({"type": "a", "data": {"alert": {"title": "disk full", "severity": "high"}}}))
        .await;
    let message = receiver.wait_for(1).await[0].json();
    assert!(
        message["text"].as_str().unwrap().contains("DISK FULL"),
        "{message}"
    );
    router.settle().await;
    assert_eq!(
        router.delivery_of(&event).await["plugin_runs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_plugin_that_is_not_the_last_may_give_only_one_body() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let chain = json!([
        {"name": "jq", "config": {"program": ".[]"}},
        {"name": "jq", "config": {"program": "."}},
    ]);
    router.subscribe(&subscription(&receiver, chain)).await;
    let event = router.send(&json!({"type": "a", "data": [1, 2]})).await;
    router.settle().await;
    let run = router.delivery_of(&event).await["plugin_runs"][0].clone();
    assert_eq!(run["outcome"], "fault");
    assert_eq!(run["fault"], "invalid_output");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn the_envelope_goes_around_what_a_plugin_made_where_it_is_asked_for() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let mut body = subscription(&receiver, json!([{"name": "jq", "config": {"program": ".n"}}]));
    body["envelope"] = json!("profile");
    router.subscribe(&body).await;
    router
        .send(&json!({"type": "a", "data": {"n": 7}, "time": "2026-05-19T16:30:00Z"}))
        .await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(
        received.json(),
        json!({"type": "a", "timestamp": "2026-05-19T16:30:00.000Z", "data": 7})
    );
}

#[tokio::test]
async fn guests_that_misbehave_are_contained_recorded_and_harm_nobody() {
    let router = TestRouter::start().await;
    let healthy = Receiver::start().await;
    router
        .subscribe(&subscription(&healthy, json!([{"name": "slack", "config": {}}])))
        .await;
    let cases = [
        ("spin", guest!("spin"), "timeout"),
        ("panic", guest!("panic"), "trap"),
        ("recursion", guest!("recursion"), "stack"),
        ("memory-bomb", guest!("memory_bomb"), "memory"),
        ("huge-output", guest!("huge_output"), "output_too_large"),
        ("bad-utf8", guest!("bad_utf8"), "invalid_output"),
        ("out-of-bounds", guest!("out_of_bounds"), "invalid_output"),
        ("forbidden-header", guest!("forbidden_header"), "invalid_output"),
        ("path-escape", guest!("path_escape"), "invalid_output"),
    ];
    let harmed = Receiver::start().await;
    for (name, component, _) in &cases {
        push(&router, name, component.clone()).await;
        let mut body = subscription(&harmed, json!([{"name": name, "config": {}}]));
        body["key"] = json!(name);
        router.subscribe(&body).await;
    }
    let event = router.send(&alert()).await;
    healthy.wait_for(1).await;
    // A plugin that breaks the rules is run again later, in case it was replaced; then it is done.
    for _ in 0..4 {
        router.settle().await;
        router.advance(Duration::from_secs(60)).await;
    }
    let deliveries = router.deliveries_of(&event).await;
    assert_eq!(deliveries.len(), cases.len() + 1);
    for (name, _, kind) in cases {
        let list = router
            .get(&format!("/api/v1/subscriptions/{name}/deliveries"))
            .await
            .expect(200);
        let id = list.body["data"][0]["id"].as_str().unwrap().to_owned();
        let delivery = router
            .get(&format!("/api/v1/deliveries/{id}"))
            .await
            .expect(200)
            .body;
        assert_eq!(delivery["status"], "failed", "{name}: {delivery}");
        assert_eq!(
            delivery["attempts"],
            json!([]),
            "{name}: it costs the endpoint no attempt"
        );
        let runs = delivery["plugin_runs"].as_array().unwrap();
        assert_eq!(runs.len(), 3, "{name}: {delivery}");
        for run in runs {
            assert_eq!(run["fault"], kind, "{name}: {run}");
        }
        let subscription = router
            .get(&format!("/api/v1/subscriptions/{name}"))
            .await
            .expect(200);
        assert_eq!(subscription.body["enabled"], true, "{name}");
    }
    assert!(harmed.received().is_empty());
    router.send(&alert()).await;
    healthy.wait_for(2).await;
}

#[tokio::test]
async fn a_panic_says_what_and_where() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    push(&router, "panics", guest!("panic")).await;
    router
        .subscribe(&subscription(
            &receiver,
            json!([{"name": "panics", "config": {}}]),
        ))
        .await;
    let event = router.send(&alert()).await;
    router.settle().await;
    let run = router.delivery_of(&event).await["plugin_runs"][0].clone();
    assert!(
        run["reason"].as_str().unwrap().contains("src/lib.rs:7:5"),
        "{run}"
    );
    assert_eq!(run["logs"][0]["level"], "error");
}

#[tokio::test]
async fn instances_are_kept_unless_every_event_wants_its_own() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    push(&router, "counter", guest!("counter")).await;
    let mut kept = subscription(&receiver, json!([{"name": "counter", "config": {}}]));
    kept["key"] = json!("kept");
    let mut fresh = kept.clone();
    fresh["key"] = json!("fresh");
    fresh["isolation"] = json!("event");
    router.subscribe(&kept).await;
    router.subscribe(&fresh).await;
    for (count, expected) in [("1", "1"), ("2", "1"), ("3", "1")] {
        let event = router.send(&json!({"type": "a", "data": 1})).await;
        router.settle().await;
        for (key, expected) in [("kept", count), ("fresh", expected)] {
            let list = router
                .get(&format!("/api/v1/subscriptions/{key}/deliveries?limit=1"))
                .await
                .expect(200);
            assert_eq!(list.body["data"][0]["event_id"], event);
            assert_eq!(list.body["data"][0]["reason"], expected, "{key}");
        }
    }
}

#[tokio::test]
async fn a_new_version_is_used_at_once_and_a_pinned_one_stays() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let first = push(&router, "mine", guest!("echo")).await["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let follows = router
        .subscribe(&subscription(&receiver, json!([{"name": "mine", "config": {}}])))
        .await;
    let pinned = json!([{"name": "mine", "digest": first, "config": {}}]);
    let pins = router.subscribe(&subscription(&receiver, pinned)).await;
    push(&router, "mine", guest!("counter")).await;
    router.send(&json!({"type": "a", "data": {"x": 1}})).await;
    assert_eq!(
        receiver.wait_for(1).await[0].body.as_ref(),
        br#"{"x":1}"#,
        "the pinned one echoes"
    );
    router.settle().await;
    let of = |id: String| {
        let router = &router;
        async move {
            let page = router
                .get(&format!("/api/v1/subscriptions/{id}/deliveries"))
                .await
                .expect(200);
            page.body["data"][0]["status"].as_str().unwrap().to_owned()
        }
    };
    assert_eq!(of(follows).await, "filtered", "the counter filters");
    assert_eq!(of(pins).await, "delivered");
    router
        .call("DELETE", "/api/v1/plugins/mine", &json!({}))
        .await
        .expect(409);
}

#[tokio::test]
async fn an_upgrade_that_breaks_a_configuration_is_refused_with_the_list() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    push(&router, "mine", guest!("echo")).await;
    let id = router
        .subscribe(&subscription(&receiver, json!([{"name": "mine", "config": {}}])))
        .await;
    let upgrade = guest!("refuses_config");
    let answer = router
        .call_raw("PUT", "/api/v1/plugins/mine", &WASM, upgrade.clone())
        .await
        .expect(409);
    assert!(
        answer.text.contains(&id),
        "names the subscription: {}",
        answer.text
    );
    router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;

    router
        .call_raw("PUT", "/api/v1/plugins/mine?force=true", &WASM, upgrade)
        .await;
    let event = router.send(&json!({"type": "a", "data": 2})).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "held");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_plugin_is_tried_without_sending_anything() {
    let router = TestRouter::start().await;
    let body = json!({"event": alert(), "config": {"program": "{t: .title, s: .severity}"}});
    let answer = router.post("/api/v1/plugins/jq/run", &body).await.expect(200);
    assert_eq!(answer.body["outcome"], "deliver", "{}", answer.text);
    assert!(answer.text.contains("critical"), "{}", answer.text);
    assert!(
        answer.body["duration_us"].as_u64().is_some_and(|time| time > 0),
        "{}",
        answer.text
    );
    assert!(
        answer.body["memory_bytes"]
            .as_u64()
            .is_some_and(|memory| memory > 0),
        "{}",
        answer.text
    );
    let wrong = json!({"event": alert(), "config": {"program": "{{"}});
    router.post("/api/v1/plugins/jq/run", &wrong).await.expect(422);
    assert_eq!(router.get("/api/v1/events").await.body["data"], json!([]));
}

#[tokio::test]
async fn emitted_events_enter_like_others_and_cannot_loop() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    push(&router, "emits", guest!("emits")).await;
    router
        .subscribe(&subscription(&receiver, json!([{"name": "emits", "config": {}}])))
        .await;
    router.send(&json!({"type": "a", "data": 1})).await;
    for _ in 0..12 {
        router.settle().await;
        router.advance(Duration::from_secs(60)).await;
    }
    let page = router.get("/api/v1/events?source=api").await.expect(200);
    let events = page.body["data"].as_array().unwrap();
    assert_eq!(
        events.len(),
        9,
        "the event and eight that were derived, one from the other"
    );
    // Newest first: each says how far it is from the one that came in, and its run that it emitted one.
    let hops: Vec<_> = events.iter().map(|event| event["hops"].as_u64()).collect();
    let expected: Vec<_> = (1..=8).rev().map(Some).chain([None]).collect();
    assert_eq!(hops, expected);
    let first = events[8]["id"].as_str().unwrap();
    assert_eq!(router.delivery_of(first).await["plugin_runs"][0]["events"], 1);
}
