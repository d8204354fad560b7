//! Profiles as versioned data: made by the API, followed or kept by subscriptions, and the looks of a
//! delivery never change.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};

/// A profile of a product's own, whose versions differ in the body and in a header.
fn acme(version: &str) -> Value {
    json!({
        "envelope": [["event", "{type}"], ["shape", version], ["data", "{data}"]],
        "headers": {"x-webhook-version": version},
        "schedule": {"waits": ["1m", "1m", "1m"], "jitter": 0.0},
    })
}

async fn put(router: &TestRouter, name: &str, profile: &Value) -> Value {
    let path = format!("/api/v1/profiles/{name}");
    router.call("PUT", &path, profile).await.expect(201).body
}

#[tokio::test]
async fn a_delivery_keeps_its_looks_whatever_becomes_of_its_profile() {
    let mut router = TestRouter::start().await;
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    put(&router, "acme", &acme("1")).await;
    let body = json!({"name": "a", "key": "a", "url": receiver.url(), "events": ["*"], "profile": "acme"});
    router.subscribe(&body).await;
    router.send(&json!({"type": "t", "data": 1})).await;
    receiver.wait_for(1).await;
    let made = put(&router, "acme", &acme("2")).await;
    assert_eq!((&made["version"], &made["versions"]), (&json!(2), &json!([1, 2])));
    router.send(&json!({"type": "t", "data": 2})).await;
    receiver.wait_for(2).await;
    // Another profile altogether, and a restart.
    let other = json!({"profile": "plain"});
    let path = "/api/v1/subscriptions/a";
    router.call("PATCH", path, &other).await.expect(200);
    router.restart().await;
    receiver.now_answer(Reply::Status(200));
    router.advance(Duration::from_secs(3_600)).await;
    let received = receiver.wait_for(4).await;
    for (data, version) in [(1, "1"), (2, "2")] {
        let expected = format!(r#"{{"event":"t","shape":"{version}","data":{data}}}"#);
        let same = received
            .iter()
            .filter(|request| request.body == expected.as_bytes());
        let versions: Vec<&str> = same.map(|request| request.header("x-webhook-version")).collect();
        assert_eq!(versions, [version, version], "sent twice, both times the same");
    }
    router.send(&json!({"type": "t", "data": 3})).await;
    assert_eq!(receiver.wait_for(5).await[4].body, &b"3"[..]);
}

/// GN-20, AE-21: versions of a payload side by side.
#[tokio::test]
async fn versions_of_a_profile_stand_side_by_side() {
    let router = TestRouter::start().await;
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    put(&router, "acme", &acme("1")).await;
    put(&router, "acme", &acme("2")).await;
    for (receiver, profile) in [(&old, "acme@1"), (&new, "acme")] {
        let body = json!({"name": "a", "url": receiver.url(), "events": ["*"], "profile": profile});
        router.subscribe(&body).await;
    }
    router
        .send(&json!({"type": "t", "data": {"unknown": ["field"]}}))
        .await;
    for (receiver, version) in [(&old, "1"), (&new, "2")] {
        let received = receiver.wait_for(1).await.remove(0);
        assert_eq!(received.header("x-webhook-version"), version);
        let expected = json!({"event": "t", "shape": version, "data": {"unknown": ["field"]}});
        assert_eq!(received.json(), expected);
    }
}

#[tokio::test]
async fn a_version_that_a_follower_could_not_have_is_refused() {
    let router = TestRouter::start().await;
    let receiver = Receiver::start().await;
    put(&router, "acme", &acme("1")).await;
    let headers = json!({"x-signature": "mine"});
    let body =
        json!({"name": "a", "url": receiver.url(), "events": ["*"], "profile": "acme", "headers": headers});
    let id = router.subscribe(&body).await;
    let mut signed = acme("2");
    signed["signature"] = json!({"algorithm": "hmac-sha256", "secret": "utf8", "input": "{body}",
        "encoding": "hex", "format": "{sig}", "header": "X-Signature"});
    let answer = router
        .call("PUT", "/api/v1/profiles/acme", &signed)
        .await
        .expect(409);
    let pointer = format!("/subscriptions/{id}/headers/x-signature");
    assert_eq!(answer.body["errors"][0]["pointer"], pointer.as_str());
    let shown = router.get("/api/v1/profiles/acme").await.expect(200);
    assert_eq!(
        (&shown.body["version"], &shown.body["used_by"]),
        (&json!(1), &json!([id]))
    );
    router
        .call("DELETE", "/api/v1/profiles/acme", &Value::Null)
        .await
        .expect(409);
    // The same again is no new version; what is shown can be put back.
    let again = shown.body["profile"].clone();
    let again = router
        .call("PUT", "/api/v1/profiles/acme", &again)
        .await
        .expect(200);
    assert_eq!(again.body["versions"], json!([1]));
    router
        .call("DELETE", &format!("/api/v1/subscriptions/{id}"), &Value::Null)
        .await
        .expect(204);
    router
        .call("DELETE", "/api/v1/profiles/acme", &Value::Null)
        .await
        .expect(204);
    router.get("/api/v1/profiles/acme").await.expect(404);
    // A name that comes again goes on counting: deliveries of then have the versions of then.
    assert_eq!(put(&router, "acme", &acme("3")).await["version"], 2);
}

#[tokio::test]
async fn faults_of_a_profile_say_what_is_wrong() {
    let router = TestRouter::start().await;
    let table = [
        ("plain", acme("1"), 409, "a profile of the router itself"),
        (
            "acme",
            json!({"name": "other", "envelope": "none"}),
            422,
            "another than the path's",
        ),
        (
            "acme",
            json!({"envelope": [["a", "{typ}"], ["data", "{data}"]]}),
            422,
            "`{typ}` is unknown",
        ),
        (
            "acme",
            json!({"envelope": "none", "timeout": 5}),
            422,
            "unknown field `timeout`",
        ),
        ("A_b", acme("1"), 422, "lower-case letters"),
        (
            "acme",
            json!({"envelope": "none", "headers": {"Keep-Alive": "timeout=5"}}),
            422,
            "`Keep-Alive` is set by Hookway itself",
        ),
        (
            "acme",
            json!({"envelope": "none", "headers": {"proxy-*": "{extensions}"}}),
            422,
            "`proxy-*` is set by Hookway itself",
        ),
    ];
    let places = [
        (
            json!({"auto_disable": "never"}),
            "/auto_disable",
            "exhausted_deliveries",
        ),
        (
            json!({"timeout_seconds": "10s"}),
            "/timeout_seconds",
            "invalid type",
        ),
        (
            json!({"classes": {"rules": [{"status": "2xx", "class": "delivered"}, {"status": 404, "class": "hold"}]}}),
            "/classes/rules/1/status",
            "expected a string",
        ),
        (
            json!({"schedule": {"waits": ["1m", "soon"]}}),
            "/schedule",
            "`soon`",
        ),
        (
            json!({"signature": "standard-webhooks"}),
            "/signature",
            "a table with algorithm",
        ),
        (
            json!({"signature": {"algorithm": "hmac-sha256", "secret": "utf8", "input": "{body}", "encoding": "hex",
                "format": "{sig}", "header": "Content-Type"}}),
            "/signature",
            "is set by Hookway itself",
        ),
    ];
    for (part, pointer, text) in places {
        let mut profile = json!({"envelope": "none"});
        profile
            .as_object_mut()
            .unwrap()
            .extend(part.as_object().unwrap().clone());
        let answer = router
            .call("PUT", "/api/v1/profiles/acme", &profile)
            .await
            .expect(422);
        let fault = &answer.body["errors"][0];
        assert_eq!(fault["pointer"], pointer, "{fault}");
        assert!(fault["detail"].as_str().unwrap().contains(text), "{fault}");
    }
    for (name, profile, status, text) in table {
        let path = format!("/api/v1/profiles/{name}");
        let answer = router.call("PUT", &path, &profile).await.expect(status);
        assert!(answer.body.to_string().contains(text), "{name} {}", answer.body);
    }
    // A header that the profile sets would never be sent as the subscription says it.
    let own = json!({"name": "a", "url": "https://example.com", "events": ["*"], "profile": "workflows",
        "headers": {"x-workflows-event": "mine"}});
    let answer = router.post("/api/v1/subscriptions", &own).await.expect(422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/headers/x-workflows-event");
    // What a subscription does not say, its profile of today says.
    let silent = json!({"name": "a", "url": "https://example.com", "events": ["*"], "profile": "n8n"});
    let made = router.post("/api/v1/subscriptions", &silent).await.expect(201);
    assert_eq!(
        (&made.body["max_in_flight"], &made.body["rate_limit"]),
        (&Value::Null, &Value::Null)
    );
    let body = json!({"name": "a", "url": "https://example.com", "events": ["*"], "profile": "plain@7"});
    let answer = router.post("/api/v1/subscriptions", &body).await.expect(422);
    assert!(
        answer.body.to_string().contains("known are plain@1"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_tenant_has_a_default_profile_and_a_name_for_deliveries() {
    let router = TestRouter::start().await;
    let receiver = Receiver::start().await;
    let wish = json!({"default_profile": "plain", "external_id": "org_abc123"});
    let answer = router
        .call("PATCH", "/api/v1/tenants/default", &wish)
        .await
        .expect(200);
    assert_eq!(answer.body["external_id"], "org_abc123");
    let body = json!({"name": "a", "url": receiver.url(), "events": ["*"]});
    let made = router.post("/api/v1/webhooks", &body).await.expect(201);
    assert_eq!(made.body["profile"], "plain");
    // What deliveries have is not taken back, and what they lack is not added.
    let other = json!({"external_id": "org_2"});
    let answer = router
        .call("PATCH", "/api/v1/tenants/default", &other)
        .await
        .expect(409);
    assert_eq!(answer.body["errors"][0]["pointer"], "/external_id");
    router
        .post("/api/v1/tenants", &json!({"name": "late"}))
        .await
        .expect(201);
    let path = "/api/v1/tenants/late";
    router
        .call("PATCH", path, &json!({"default_profile": "plain"}))
        .await
        .expect(200);
    let mut late = router;
    late.use_tenant(Some("late"));
    late.subscribe(&body).await;
    late.send(&json!({"type": "t", "data": 1})).await;
    let answer = late
        .call("PATCH", path, &json!({"external_id": "org_3"}))
        .await
        .expect(409);
    assert!(
        answer.body.to_string().contains("has deliveries"),
        "{}",
        answer.body
    );
    let router = late;
    // A new tenant has none of another's profiles.
    let mut router = router;
    router.use_tenant(None);
    put(&router, "acme", &acme("1")).await;
    let borrowed = json!({"name": "new", "default_profile": "acme"});
    let answer = router.post("/api/v1/tenants", &borrowed).await.expect(422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/default_profile");
    assert!(!answer.body.to_string().contains("acme,"), "{}", answer.body);
    let unknown = json!({"default_profile": "nothing"});
    let answer = router
        .call("PATCH", "/api/v1/tenants/default", &unknown)
        .await
        .expect(422);
    assert_eq!(answer.body["errors"][0]["pointer"], "/default_profile");
}
