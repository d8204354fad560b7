//! What an event of a source says of itself, and when a request repeats an earlier one.

use serde_json::{Value, json};

use super::sender::Call;
use crate::support::{Receiver, TestRouter};

async fn with_source(more: Value) -> TestRouter {
    let router = TestRouter::start().await;
    let mut body = json!({"name": "s", "preset": "none"});
    for (name, value) in more.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    router.post("/api/v1/sources", &body).await.expect(201);
    router
}

async fn newest(router: &TestRouter) -> Value {
    let page = router.get("/api/v1/events?limit=1").await.expect(200);
    page.body["data"][0].clone()
}

#[tokio::test]
async fn type_id_and_subject_come_from_headers_pointers_parameters_and_constants() {
    let events = json!({
        "type": ["order.{json:/kind}", "order.{header:x-kind}", "order.{form:kind}", "order.{query:kind}", "order.unknown"],
        "id": ["{json:/id}", "{header:x-id}"],
        "subject": "{json:/customer/0/name}/{json:/n}"
    });
    let router = with_source(json!({"events": events})).await;
    let kind = "application/json";
    let body = r#"{"kind":"paid","id":9007199254740993,"n":1.50,"customer":[{"name":"Ada"}]}"#;
    Call::new(kind, body).post(&router, "s").await.expect(200);
    let event = newest(&router).await;
    assert_eq!(
        (&event["type"], &event["source"]),
        (&json!("order.paid"), &json!("s"))
    );
    // Numbers as they stand: no double holds this one.
    assert_eq!(
        (&event["producer_id"], &event["subject"]),
        (&json!("9007199254740993"), &json!("Ada/1.50"))
    );
    Call::new(kind, "{}")
        .header("x-kind", "Sent Off!")
        .header("x-id", "i")
        .post(&router, "s")
        .await
        .expect(200);
    let event = newest(&router).await;
    assert_eq!(
        (&event["type"], &event["producer_id"], &event["subject"]),
        (&json!("order.Sent_Off_"), &json!("i"), &Value::Null)
    );
    Call::new("application/x-www-form-urlencoded", "kind=a%2Bb")
        .post(&router, "s")
        .await
        .expect(200);
    assert_eq!(newest(&router).await["type"], "order.a_b");
    let mut call = Call::new("text/plain", "x");
    call.query = "kind=q".to_owned();
    call.post(&router, "s").await.expect(200);
    assert_eq!(newest(&router).await["type"], "order.q");
    Call::new("image/png", vec![0x89, 0, 255])
        .post(&router, "s")
        .await
        .expect(200);
    let event = newest(&router).await;
    assert_eq!(
        (&event["type"], &event["datacontenttype"]),
        (&json!("order.unknown"), &json!("image/png"))
    );
}

#[tokio::test]
async fn an_array_becomes_an_event_for_each_item_byte_for_byte() {
    let events = json!({"split": "/items", "type": "item.{json:/kind}", "id": "{json:/id}"});
    let router = with_source(json!({"events": events})).await;
    let call = Call::new(
        "application/json",
        r#"{"items":[{"id":1, "kind":"a"},{"kind":"b","id":2.0}, {"id":1, "kind":"a"}]}"#,
    );
    call.post(&router, "s").await.expect(200);
    let page = router.get("/api/v1/events").await.expect(200);
    let types: Vec<&str> = page.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["item.b", "item.a"]);
    let id = page.str("/data/0/id");
    assert!(
        router
            .get(&format!("/api/v1/events/{id}"))
            .await
            .text
            .contains(r#"{"kind":"b","id":2.0}"#)
    );
    let seen = router.get("/api/v1/receptions").await.body["data"][0].clone();
    assert_eq!((&seen["events"], &seen["duplicates"]), (&json!(2), &json!(1)));
    for bad in [r#"{"items":{}}"#, r#"{}"#, r#"{"items":[]}"#] {
        let answer = Call::new("application/json", bad).post(&router, "s").await;
        assert!(matches!(answer.status, 400 | 422), "{bad}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_repetition_is_known_by_id_or_content_and_a_contradiction_is_told() {
    let router = with_source(json!({"events": {"id": "{header:x-id}"}})).await;
    let call = |body: &str| Call::new("application/json", body).header("x-id", "one");
    let first = call("1").post(&router, "s").await.expect(200);
    let again = call("1").post(&router, "s").await.expect(200);
    assert_eq!(
        first.headers["hookway-event-id"],
        again.headers["hookway-event-id"]
    );
    let other = call("2").post(&router, "s").await;
    assert_eq!(other.status, 409, "{}", other.text);
    let seen = router.get("/api/v1/receptions").await.body["data"][0].clone();
    assert_eq!(
        (&seen["outcome"], &seen["reason"]),
        (&json!("refused"), &json!("conflict"))
    );

    let router = with_source(json!({"events": {"id": "{header:x-id}", "on_conflict": "duplicate"}})).await;
    call("1").post(&router, "s").await.expect(200);
    call("2").post(&router, "s").await.expect(200);
    let seen = router.get("/api/v1/receptions").await.body["data"][0].clone();
    assert_eq!(
        (&seen["outcome"], &seen["changed"]),
        (&json!("duplicate"), &json!(1))
    );

    let router = with_source(json!({"events": {"id": "{sha256}"}})).await;
    for body in ["1", "1", "2"] {
        Call::new("application/json", body)
            .post(&router, "s")
            .await
            .expect(200);
    }
    assert_eq!(
        router.get("/api/v1/events").await.body["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_repetition_is_known_for_days_and_after_a_restart() {
    let mut router = with_source(json!({"events": {"id": "{header:x-id}"}})).await;
    let call = Call::new("application/json", "1").header("x-id", "one");
    call.post(&router, "s").await.expect(200);
    router
        .clock
        .advance(std::time::Duration::from_secs(6 * 24 * 3_600));
    router.restart().await;
    call.post(&router, "s").await.expect(200);
    let seen = router.get("/api/v1/receptions").await.body["data"][0].clone();
    assert_eq!(seen["outcome"], "duplicate");
    router
        .clock
        .advance(std::time::Duration::from_secs(2 * 24 * 3_600));
    call.post(&router, "s").await.expect(200);
    let seen = router.get("/api/v1/receptions").await.body["data"][0].clone();
    assert_eq!(seen["outcome"], "accepted", "a week is over");
}

#[tokio::test]
async fn an_event_of_a_source_goes_through_plugins_and_its_headers_are_there() {
    let receiver = Receiver::start().await;
    let router = TestRouter::start().await;
    router
        .post(
            "/api/v1/sources",
            &json!({"name": "s", "preset": "none", "events": {"type": "sms"}}),
        )
        .await
        .expect(201);
    let plugins = json!([{"name": "jq", "config": {"program": "{text: .Body, from: .From}"}}]);
    router
        .subscribe(&json!({"name": "j", "url": receiver.url(), "events": ["sms"], "plugins": plugins}))
        .await;
    let form = Call::new("application/x-www-form-urlencoded", "From=%2B1415&Body=a+%3Cb%3E");
    let answer = form
        .header("user-agent", "TwilioProxy/1.1")
        .post(&router, "s")
        .await
        .expect(200);
    assert_eq!(
        receiver.wait_for(1).await[0].json(),
        json!({"text": "a <b>", "from": "+1415"})
    );
    let event = answer.headers["hookway-event-id"].to_str().unwrap().to_owned();
    let shown = router.get(&format!("/api/v1/events/{event}")).await.expect(200);
    assert_eq!(shown.body["headers"]["user-agent"], "TwilioProxy/1.1");
}

#[tokio::test]
async fn cloudevents_come_to_a_source_in_all_modes() {
    let router = TestRouter::start().await;
    let source = json!({"name": "ce", "preset": "cloudevents", "secret": "t"});
    router.post("/api/v1/sources", &source).await.expect(201);
    let auth = |call: Call| call.header("authorization", "Bearer t");
    let binary = Call::new("application/xml", "<a/>")
        .header("ce-specversion", "1.0")
        .header("ce-type", "com.example.binary")
        .header("ce-source", "/s%C3%A9")
        .header("ce-id", "1")
        .header("ce-subject", "Euro%20%E2%82%AC")
        .header("ce-comexampleextension", "value");
    auth(binary).post(&router, "ce").await.expect(200);
    let event = newest(&router).await;
    assert_eq!(event["type"], "com.example.binary");
    assert_eq!(
        (&event["source"], &event["subject"]),
        (&json!("/sé"), &json!("Euro €"))
    );
    assert_eq!(event["extensions"]["comexampleextension"], "value");
    let one = |n: u32| {
        format!(
            r#"{{"specversion":"1.0","type":"com.example.s","source":"/s","id":"s{n}","data":{{"n": {n}.0}}}}"#
        )
    };
    let mut call = Call::new("application/cloudevents+json", one(1));
    call.query = "access_token=t".to_owned();
    call.post(&router, "ce").await.expect(200);
    let batch = format!("[{},{}]", one(2), one(3));
    auth(Call::new("application/cloudevents-batch+json", batch))
        .post(&router, "ce")
        .await
        .expect(200);
    assert_eq!(
        router.get("/api/v1/events").await.body["data"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let id = newest(&router).await["id"].as_str().unwrap().to_owned();
    assert!(
        router
            .get(&format!("/api/v1/events/{id}"))
            .await
            .text
            .contains(r#"{"n": 3.0}"#)
    );
    for bad in [
        r#"{"specversion":"0.3","type":"a","source":"/s","id":"1"}"#,
        r#"{"specversion":"1.0","type":"a","source":"/s"}"#,
        r#"{"specversion":"1.0","type":"a","source":"/s","id":"x","data":1,"data_base64":"AA=="}"#,
        "nonsense",
    ] {
        let answer = auth(Call::new("application/cloudevents+json", bad))
            .post(&router, "ce")
            .await;
        assert!(matches!(answer.status, 400 | 422), "{bad}: {}", answer.text);
    }
}
