//! Deliveries keep the version of the profile that they began with. What became of its subscription's
//! secrets, of the profile or of the binary since may keep one from being sent, and loses none.

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};

async fn change(router: &TestRouter, changes: &Value) {
    let path = "/api/v1/subscriptions/a";
    router.call("PATCH", path, changes).await.expect(200);
}

async fn subscription(router: &TestRouter) -> Value {
    router.get("/api/v1/subscriptions/a").await.expect(200).body
}

#[tokio::test]
async fn a_delivery_that_todays_secrets_cannot_sign_is_held_and_not_lost() {
    let (router, receiver) = (
        TestRouter::start().await,
        Receiver::scripted([Reply::Status(500)], Reply::Status(200)).await,
    );
    let body = json!({"name": "a", "key": "a", "url": receiver.url(), "events": ["*"]});
    router.subscribe(&body).await;
    let event = router.send(&json!({"type": "t", "data": 1})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    change(&router, &json!({"profile": "github"})).await;
    let rotate = async |secret: Value, overlap: u32| {
        let body = json!({"secret": secret, "overlap_seconds": overlap});
        let path = "/api/v1/subscriptions/a/rotate-secret";
        router.post(path, &body).await.expect(200);
    };
    rotate(json!("a text of no special form"), 0).await;
    router.advance(std::time::Duration::from_secs(60)).await;
    router.settle().await;
    assert_eq!(receiver.received().len(), 1);
    let held = subscription(&router).await;
    assert_eq!(held["status"], "held", "{held}");
    let reason = held["status_reason"].as_str().unwrap();
    assert!(
        reason.contains("suits the profile standard-webhooks@1"),
        "{reason}"
    );
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "held", "{delivery}");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1, "{delivery}");

    // To let it go on without another secret holds it again.
    let enable = "/api/v1/subscriptions/a/enable";
    router.post(enable, &json!({})).await.expect(200);
    router.settle().await;
    assert_eq!(subscription(&router).await["status"], "held");
    rotate(Value::Null, 60).await;
    router.post(enable, &json!({})).await.expect(200);
    let sent = receiver.wait_for(2).await.remove(1);
    let signatures = sent.header("webhook-signature").to_owned();
    assert_eq!(
        signatures.split(' ').count(),
        1,
        "the text does not sign: {signatures}"
    );
    router.until(&event, "delivered").await;
}

/// A secret that has run out is no reason against a profile that it would not suit.
#[tokio::test]
async fn a_secret_that_has_run_out_keeps_no_profile_away() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let body = json!({
        "name": "a", "key": "a", "url": receiver.url(), "events": ["*"], "profile": "github",
        "secret": "a text of no special form",
    });
    router.subscribe(&body).await;
    let acme = json!({"envelope": "none"});
    router
        .call("PUT", "/api/v1/profiles/acme", &acme)
        .await
        .expect(201);
    let path = "/api/v1/subscriptions/a/rotate-secret";
    router
        .post(path, &json!({"overlap_seconds": 1}))
        .await
        .expect(200);
    let standard = json!({"profile": "standard-webhooks"});
    let path = "/api/v1/subscriptions/a";
    router.call("PATCH", path, &standard).await.expect(422);
    router.advance(std::time::Duration::from_secs(1)).await;
    change(&router, &json!({"profile": "acme"})).await;
    let signed = json!({"envelope": "none", "signature": {"algorithm": "hmac-sha256",
        "secret": "whsec-base64", "input": "{body}", "encoding": "hex", "format": "{sig}",
        "header": "X-Signature"}});
    router
        .call("PUT", "/api/v1/profiles/acme", &signed)
        .await
        .expect(201);
    change(&router, &standard).await;
}

/// Changes the stored data as another binary might have left it; the router must not run.
fn tamper(router: &TestRouter, sql: &str) {
    let files = std::fs::read_dir(router.data_dir()).expect("it is there");
    let mut files = files.map(|entry| entry.expect("it can be read").path());
    let file = files.find(|path| path.extension().is_some_and(|kind| kind == "db"));
    let store = rusqlite::Connection::open(file.expect("the database")).expect("it opens");
    let changed = store.execute(sql, []).expect("it is the schema");
    assert!(changed > 0, "{sql}");
}

#[tokio::test]
async fn a_delivery_ends_where_its_attempts_cannot_be_counted_any_more() {
    let mut router = TestRouter::start().await;
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let body = json!({"name": "a", "key": "a", "url": receiver.url(), "events": ["*"]});
    router.subscribe(&body).await;
    let event = router.send(&json!({"type": "t", "data": 1})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    router.stop().await;
    // With its sum, moved as the store moves it.
    let counted = "UPDATE pending SET attempts = 65534,
                       sum = (sum + (65534 - attempts) * 1867108261) % 2147483647";
    tamper(&router, counted);
    router.start_again().await;
    router.advance(std::time::Duration::from_secs(60)).await;
    receiver.wait_for(2).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "pending");
    router.advance(std::time::Duration::from_secs(86_400)).await;
    router.until(&event, "failed").await;
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["cause"], "attempts_used_up", "{delivery}");
    assert_eq!(receiver.received().len(), 2);
}

/// A version that another binary stored and this one cannot read: nothing is lost, nothing looks otherwise.
#[tokio::test]
async fn what_looks_like_a_version_that_cannot_be_read_waits_for_it() {
    let mut router = TestRouter::start().await;
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let acme = |shape: &str| {
        json!({
            "envelope": [["shape", shape], ["data", "{data}"]],
            "schedule": {"waits": ["1m", "1m", "1m"], "jitter": 0.0},
        })
    };
    let put = async |router: &TestRouter, shape: &str| {
        let path = "/api/v1/profiles/acme";
        let put = router.call("PUT", path, &acme(shape)).await.expect(201);
        put.body["version"].as_u64().unwrap()
    };
    assert_eq!(put(&router, "one").await, 1);
    let body = json!({"name": "a", "key": "a", "url": receiver.url(), "events": ["*"], "profile": "acme"});
    router.subscribe(&body).await;
    let mut events = Vec::new();
    events.push(router.send(&json!({"type": "t", "data": 1})).await);
    receiver.wait_for(1).await;
    assert_eq!(put(&router, "two").await, 2);
    events.push(router.send(&json!({"type": "t", "data": 2})).await);
    receiver.wait_for(2).await;
    router.settle().await;
    router.stop().await;
    let odd = "json_set(document, '$.of_tomorrow', 1)";
    tamper(
        &router,
        &format!("UPDATE profile SET document = {odd}, sum = NULL WHERE name = 'acme' AND version = 2"),
    );
    router.start_again().await;
    let held = subscription(&router).await;
    assert_eq!(held["status"], "held", "{held}");
    events.push(router.send(&json!({"type": "t", "data": 3})).await);
    let enable = "/api/v1/subscriptions/a/enable";
    router.post(enable, &json!({})).await.expect(200);
    router.advance(std::time::Duration::from_secs(60)).await;
    let held = subscription(&router).await;
    let reason = held["status_reason"].as_str().unwrap();
    assert!(reason.contains("acme@2"), "{reason}");
    for event in &events {
        assert_eq!(router.delivery_of(event).await["status"], "held");
    }
    let same = json!({"profile": "acme@2"});
    let answer = router
        .call("PATCH", "/api/v1/subscriptions/a", &same)
        .await
        .expect(422);
    assert!(answer.text.contains("cannot read"), "{}", answer.text);
    // It is what the version before says, and the one after the one that cannot be read.
    assert_eq!(put(&router, "one").await, 3);

    router.stop().await;
    let good = "json_remove(document, '$.of_tomorrow')";
    tamper(
        &router,
        &format!("UPDATE profile SET document = {good}, sum = NULL WHERE name = 'acme' AND version = 2"),
    );
    router.start_again().await;
    receiver.now_answer(Reply::Status(200));
    let before = receiver.received().len();
    router.post(enable, &json!({})).await.expect(200);
    router.advance(std::time::Duration::from_secs(3_600)).await;
    for event in &events {
        router.until(event, "delivered").await;
    }
    let mut bodies: Vec<Value> = receiver.received()[before..]
        .iter()
        .map(|sent| sent.json())
        .collect();
    bodies.sort_by_key(|body| body["data"].as_i64());
    let shape = |data: u32, shape: &str| json!({"shape": shape, "data": data});
    assert_eq!(bodies, [shape(1, "one"), shape(2, "two"), shape(3, "two")]);
}
