//! API keys with a prefix that the operator chose, and the calls of a product's own documentation.

use serde_json::{Value, json};

use crate::support::TestRouter;
use crate::support::wire::exchange;

/// Sends these bytes and gives status and body of the answer.
async fn raw(router: &TestRouter, request: &str) -> (u16, Value) {
    let answer = exchange(router.router().address(), request).await;
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    let body = answer.split_once("\r\n\r\n").expect("a head").1;
    (
        status.expect("a status"),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

async fn new_key(router: &TestRouter, scopes: &[&str]) -> String {
    let wish = json!({"name": "docs", "scopes": scopes});
    router.post("/api/v1/keys", &wish).await.expect(201).str("/key")
}

/// WF-02, WF-20: the document's own call, host and key aside.
#[tokio::test]
async fn the_calls_of_the_workflows_document_work_as_printed() {
    let router = TestRouter::with(|config| {
        config.keys.prefix = "wf_live_".parse().expect("a prefix");
    })
    .await;
    let key = new_key(&router, &["manage"]).await;
    assert!(key.starts_with("wf_live_"), "{key}");
    let host = router.router().address();
    let body = "{\n\"name\": \"Slack Alerts\",\n\"url\": \"https://my-server.com/webhooks/workflows\",\n\
                \"events\": [\"alert.created\", \"alert.critical\", \"alert.resolved\"]\n}";
    let call = |method: &str, path: &str, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
             Authorization: Bearer {key}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let (status, made) = raw(&router, &call("POST", "/api/v1/webhooks", body)).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id");
    assert!(
        made["secret"].as_str().is_some_and(|secret| secret.len() > 20),
        "{made}"
    );
    assert_eq!(made["name"], "Slack Alerts");

    let (status, again) = raw(&router, &call("GET", &format!("/api/v1/webhooks/{id}"), "")).await;
    assert_eq!(status, 200);
    assert_eq!(again.get("secret"), None, "once");
    let history = format!("/api/v1/webhooks/{id}/deliveries");
    let (status, list) = raw(&router, &call("GET", &history, "")).await;
    assert_eq!((status, &list["data"]), (200, &json!([])));
    router
        .send(&json!({"type": "alert.created", "data": {"severity": "critical"}}))
        .await;
    let (_, list) = raw(&router, &call("GET", &history, "")).await;
    assert_eq!(list["data"][0]["event_type"], "alert.created", "{list}");
}

#[tokio::test]
async fn keys_of_every_prefix_stay_valid() {
    let mut router = TestRouter::start().await;
    let old = new_key(&router, &["read"]).await;
    assert!(old.starts_with("hw_"), "{old}");
    router.stop().await;
    router.configure(|config| config.keys.prefix = "wf_live_".parse().expect("a prefix"));
    router.start_again().await;
    let new = new_key(&router, &["read"]).await;
    assert!(new.starts_with("wf_live_"), "{new}");
    router.use_key(&old);
    router.get("/api/v1/events").await.expect(200);
    router.use_key(&new);
    router.get("/api/v1/events").await.expect(200);
    // A slip of the pen is told from a key that nobody knows, whatever the prefix.
    for key in [&old, &new] {
        let last = if key.ends_with('0') { "1" } else { "0" };
        router.use_key(&format!("{}{last}", &key[..key.len() - 1]));
        let refused = router.get("/api/v1/events").await.expect(401);
        assert!(refused.text.contains("mistyped"), "{}", refused.text);
    }
    let open = router
        .call_open("GET", "/api/v1/events", &[], "")
        .await
        .expect(401);
    assert!(open.text.contains("Bearer wf_live_"), "{}", open.text);
}
