//! How deliveries look on the wire: bodies in the mode of their profile, whoever made them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::plugins::wrap;
use crate::support::{Receiver, Reply, TestRouter};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn put(router: &TestRouter, name: &str, profile: &Value) {
    let path = format!("/api/v1/profiles/{name}");
    router.call("PUT", &path, profile).await.expect(201);
}

async fn echo(router: &TestRouter) {
    let text = include_str!("../guests/echo.wat");
    let component = wat::parse_str(wrap::component(text)).expect("the guest is text");
    let wasm = [("content-type", "application/wasm")];
    let answer = router
        .call_raw("PUT", "/api/v1/plugins/echo", &wasm, component)
        .await;
    answer.expect(201);
}

/// WF-10, IB-07, IB-11, IB-12: every attempt has the same body, and it is what JavaScript would write.
#[tokio::test]
async fn a_body_is_what_javascript_would_write_also_where_a_plugin_made_it() {
    let router = TestRouter::start().await;
    let (plain, made) = (
        Receiver::scripted([Reply::Status(500)], Reply::Status(200)).await,
        Receiver::start().await,
    );
    let profile = json!({
        "body": "js-stable-json",
        "envelope": [["event", "{type}"], ["delivery_id", "{delivery_id:uuid}"], ["data", "{data}"]],
        "headers": [["X-Delivery-Id", "{delivery_id:uuid}"], ["X-Sent-At", "{attempt:unix}"]],
        "schedule": {"waits": ["1m"], "jitter": 0.0},
    });
    put(&router, "stable", &profile).await;
    echo(&router).await;
    let body = json!({"name": "a", "url": plain.url(), "events": ["*"], "profile": "stable"});
    let first = router.subscribe(&body).await;
    let plugins = json!([{"name": "echo"}]);
    let body =
        json!({"name": "b", "url": made.url(), "events": ["*"], "profile": "stable", "plugins": plugins});
    router.subscribe(&body).await;
    let event = r#"{"type":"t","data":{ "10": 1.0, "2": "\u00e9\/", "n": 9007199254740993, "10": -0.0 }}"#;
    let answer = router
        .call_raw("POST", "/api/v1/events", &JSON, event)
        .await
        .expect(202);
    // Both subscriptions are concerned, so none is named.
    assert_eq!(
        answer.body["warnings"].as_array().unwrap().len(),
        1,
        "{}",
        answer.text
    );
    let warning = &answer.body["warnings"][0];
    assert!(warning["detail"].as_str().unwrap().contains("`/n`"), "{warning}");
    assert_eq!(warning.get("subscription_id"), None);

    let stable = r#"{"2":"é/","10":0,"n":9007199254740992}"#;
    assert_eq!(made.wait_for(1).await[0].body, stable);
    plain.wait_for(1).await;
    router.settle().await;
    router.advance(Duration::from_secs(60)).await;
    let attempts = plain.wait_for(2).await;
    let id = attempts[0].header("x-delivery-id").to_owned();
    let expected = format!(r#"{{"event":"t","delivery_id":"{id}","data":{stable}}}"#);
    let times = attempts.iter().map(|attempt| {
        assert_eq!(
            (attempt.header("x-delivery-id"), &attempt.body[..]),
            (id.as_str(), expected.as_bytes())
        );
        attempt.header("x-sent-at").parse::<i64>().unwrap()
    });
    let times: Vec<i64> = times.collect();
    assert!(times[1] >= times[0] + 60, "{times:?}");
    assert_ne!(
        made.received()[0].header("x-delivery-id"),
        id,
        "an id for each delivery"
    );
    router.settle().await;
    // What is shown is what was sent, in each attempt.
    for delivery in router.deliveries_of(&answer.str("/id")).await {
        let path = format!("/api/v1/deliveries/{}", delivery["id"].as_str().unwrap());
        let shown = router.get(&path).await.expect(200).body;
        let of_first = delivery["subscription_id"] == first.as_str();
        let body = if of_first { expected.as_str() } else { stable };
        assert_eq!(shown["requests"][0]["body"], body);
        for (attempt, time) in shown["attempts"].as_array().unwrap().iter().zip(&times) {
            let headers = attempt["request_headers"].as_array().unwrap();
            let sent_at = headers.iter().find(|header| header[0] == "X-Sent-At").unwrap();
            assert!(
                !of_first || sent_at[1].as_str() == Some(time.to_string().as_str()),
                "{sent_at} {time}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_written_in_the_mode_is_told_and_not_sent() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let form = json!({"body": "form", "envelope": [["type", "{type}"], ["*", "{data}"]]});
    put(&router, "form", &form).await;
    put(
        &router,
        "stable",
        &json!({"body": "js-stable-json", "envelope": "none"}),
    )
    .await;
    echo(&router).await;
    let body = json!({"name": "a", "url": receiver.url(), "events": ["order.paid"], "profile": "form"});
    router.subscribe(&body).await;
    let plugins = json!([{"name": "echo"}]);
    let body = json!({
        "name": "b", "url": receiver.url(), "events": ["note"], "profile": "stable", "plugins": plugins,
    });
    router.subscribe(&body).await;

    let order = json!({"type": "order.paid", "data": {"total": 5, "to": "a b"}});
    let answer = router.post("/api/v1/events", &order).await.expect(202);
    assert_eq!(answer.body.get("warnings"), None, "{}", answer.text);
    let sent = receiver.wait_for(1).await.remove(0);
    assert_eq!(sent.header("content-type"), "application/x-www-form-urlencoded");
    assert!(sent.body.starts_with(b"type=order.paid&"), "{:?}", sent.body);

    let list = router.send(&json!({"type": "order.paid", "data": [1]})).await;
    router.settle().await;
    let delivery = router.delivery_of(&list).await;
    assert_eq!(delivery["attempts"][0]["error"], "invalid");
    let detail = delivery["attempts"][0]["error_detail"].as_str().unwrap();
    assert!(detail.contains("no JSON object"), "{detail}");

    // The plugin says of no media type that it is another than JSON.
    let text = router
        .send(&json!({"type": "note", "datacontenttype": "text/plain", "data_base64": "aGk="}))
        .await;
    router.settle().await;
    let delivery = router.delivery_of(&text).await;
    assert_eq!(delivery["status"], "failed");
    let reason = delivery["reason"].as_str().unwrap();
    assert!(
        reason.contains("request 1 of the plugin") && reason.contains("said to be JSON"),
        "{reason}"
    );
    assert_eq!(receiver.received().len(), 1);
}
