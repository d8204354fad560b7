//! Who may do and see what, and what never shows.

use serde_json::json;

use crate::bad_input::is_a_problem;
use crate::support::{Receiver, TestRouter};

#[tokio::test]
async fn keys_scopes_and_tenants() {
    let receiver = Receiver::start().await;
    let mut router = TestRouter::start().await;
    for name in ["acme", "umbrella"] {
        router
            .post("/api/v1/tenants", &json!({"name": name}))
            .await
            .expect(201);
    }
    let mut keys = Vec::new();
    for (tenant, scopes) in [
        ("acme", json!(["manage", "ingest"])),
        ("acme", json!(["read"])),
        ("umbrella", json!(["manage", "ingest"])),
    ] {
        router.use_tenant(Some(tenant));
        keys.push(
            router
                .post("/api/v1/keys", &json!({"name": "k", "scopes": scopes}))
                .await
                .expect(201),
        );
    }
    router.use_tenant(None);
    let [acme_manage, acme_read, umbrella] = [&keys[0], &keys[1], &keys[2]].map(|key| key.str("/key"));
    let read_id = keys[1].str("/id");

    router.use_key(&acme_manage);
    let id = router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let whole = router
        .get(&format!("/api/v1/subscriptions/{id}"))
        .await
        .expect(200);
    assert_eq!(whole.body["url"], receiver.url());
    assert!(whole.body.get("secret").is_none(), "the secret is shown once");

    router.use_key(&acme_read);
    let masked = router
        .get(&format!("/api/v1/subscriptions/{id}"))
        .await
        .expect(200);
    assert!(
        !masked.text.contains("/hook"),
        "the URL is masked: {}",
        masked.text
    );
    is_a_problem(
        &router
            .post("/api/v1/events", &json!({"type": "a", "data": 1}))
            .await
            .expect(403),
        "no scope",
    );
    router
        .call("DELETE", &format!("/api/v1/subscriptions/{id}"), &json!({}))
        .await
        .expect(403);

    router.use_key(&umbrella);
    for path in [
        format!("/api/v1/subscriptions/{id}"),
        format!("/api/v1/events/{event}"),
        format!("/api/v1/events/{event}/matches"),
        format!("/api/v1/deliveries/{delivery}"),
        format!("/api/v1/subscriptions/{id}/deliveries"),
    ] {
        is_a_problem(&router.get(&path).await.expect(404), &path);
    }
    router
        .post(&format!("/api/v1/deliveries/{delivery}/resend"), &json!({}))
        .await
        .expect(404);
    router
        .call(
            "PATCH",
            &format!("/api/v1/subscriptions/{id}"),
            &json!({"name": "x"}),
        )
        .await
        .expect(404);
    for list in ["subscriptions", "events?source=api", "deliveries"] {
        assert_eq!(
            router.get(&format!("/api/v1/{list}")).await.expect(200).body["data"],
            json!([]),
            "{list}"
        );
    }

    router.use_key(crate::support::router::ADMIN_KEY);
    router.use_tenant(Some("acme"));
    router
        .call("DELETE", &format!("/api/v1/keys/{read_id}"), &json!({}))
        .await
        .expect(204);
    router.use_key(&acme_read);
    is_a_problem(&router.get("/api/v1/events").await.expect(401), "a revoked key");
    for wrong in ["", "hw_nonsense", "x"] {
        router.use_key(wrong);
        is_a_problem(&router.get("/api/v1/events").await.expect(401), "a wrong key");
    }
    let answer = router
        .call_raw("GET", "/api/v1/events", &[("authorization", "Basic abc")], "")
        .await;
    assert_eq!(
        answer.expect(401).headers["www-authenticate"],
        "Bearer realm=\"hookway\""
    );
}

#[tokio::test]
async fn no_secret_is_in_the_database_or_the_answers() {
    let receiver = Receiver::start().await;
    let mut router = TestRouter::start().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let url = format!("{}?token=canary-url-token", receiver.url());
    let headers = json!({"authorization": "Bearer canary-header-token"});
    let plugins = json!([{"name": "jq", "config": {"program": ". # canary-config-token"}}]);
    let body = json!({
        "name": "n", "key": "n", "url": url, "events": ["*"], "secret": secret, "headers": headers,
        "plugins": plugins,
    });
    router.subscribe(&body).await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(received.header("authorization"), "Bearer canary-header-token");
    router.settle().await;
    let key = router
        .post("/api/v1/keys", &json!({"name": "r", "scopes": ["read"]}))
        .await
        .expect(201)
        .str("/key");
    router.use_key(&key);
    let mut shown = router.delivery_of(&event).await.to_string();
    shown += &router.get("/api/v1/subscriptions/n").await.expect(200).text;
    router.stop().await;
    let mut stored = Vec::new();
    for file in std::fs::read_dir(router.data_dir()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            stored.extend(std::fs::read(path).unwrap());
        }
    }
    let stored = String::from_utf8_lossy(&stored);
    for canary in [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "canary-url-token",
        "canary-header-token",
        "canary-config-token",
        &key,
    ] {
        assert!(
            !stored.contains(canary),
            "{canary} is readable in the data directory"
        );
        assert!(!shown.contains(canary), "{canary} is shown to a reader: {shown}");
    }
}
