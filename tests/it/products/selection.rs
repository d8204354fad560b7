//! Who gets what: the types that a webhook names and no others, to addresses that the product allows, and
//! what a test says where there is no secret.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{SECRET, subscription};
use crate::support::{Receiver, Reply, TestRouter};

/// Loads the types of a product's catalogue and gives their names.
async fn load(router: &TestRouter, product: &str) -> Vec<String> {
    let body = json!({"catalogue": product});
    let answer = router.post("/api/v1/event-types/load", &body).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
    let page = router.get("/api/v1/event-types").await.expect(200);
    let types = page.body["data"].as_array().expect("a list").iter();
    types
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// WF-03, AE-10: of all types of each product only those that a webhook lists arrive, and a type that the
/// catalogue gets later reaches nobody who did not list it.
#[tokio::test]
async fn only_the_types_that_a_webhook_lists_arrive() {
    for (product, count) in [
        ("workflows", 25),
        ("aetherflow", 12),
        ("inboundflow", 4),
        ("workflux", 9),
    ] {
        let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
        let types = load(&router, product).await;
        assert_eq!(types.len(), count, "{product}: {types:?}");
        let listed: BTreeSet<&str> = types.iter().map(String::as_str).step_by(3).collect();
        let mut body = subscription(&receiver, product);
        body["events"] = json!(listed);
        router.subscribe(&body).await;
        for name in types.iter().map(String::as_str).chain(["new.type"]) {
            router.send(&json!({"type": name, "data": {"id": "x"}})).await;
        }
        receiver.wait_for(listed.len()).await;
        router.settle().await;
        let received: Vec<Value> = receiver
            .received()
            .iter()
            .map(|one| one.json()["event"].clone())
            .collect();
        let arrived: BTreeSet<&str> = received.iter().filter_map(Value::as_str).collect();
        assert_eq!((received.len(), arrived), (listed.len(), listed), "{product}");
    }
}

/// WF-04, WF-23, AE-01, WX-12 and step 3 of IB-03: an address without TLS is refused, and why is said.
#[tokio::test]
async fn the_products_send_to_https_only() {
    let router = TestRouter::start().await;
    for product in ["workflows", "aetherflow", "inboundflow", "workflux"] {
        let wish = |url: &str| json!({"name": "n", "url": url, "events": ["a.b"], "profile": product});
        let refused = router
            .post("/api/v1/webhooks", &wish("http://hooks.example.com/in"))
            .await
            .expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], "/url", "{}", refused.text);
        assert!(refused.text.contains("https"), "{}", refused.text);
        router
            .post("/api/v1/webhooks", &wish("https://hooks.example.com/in"))
            .await
            .expect(201);
        // Who develops on one machine may.
        router
            .post("/api/v1/webhooks", &wish("http://127.0.0.1:8081/in"))
            .await
            .expect(201);
    }
}

/// IB-06: without a secret nothing is signed, the published code throws for want of the header, and the test
/// says that this is why; id and time stamp, which go along all the same, do not hide it.
#[tokio::test]
async fn a_test_without_a_secret_says_that_nothing_was_signed() {
    let thrown = "<pre>TypeError [ERR_INVALID_ARG_TYPE]: The first argument must be of type string</pre>";
    let reply = Reply::Full(500, Vec::new(), thrown.into());
    let (router, receiver) = (TestRouter::start().await, Receiver::scripted([], reply).await);
    for (secret, code) in [(json!(null), "unsigned"), (json!(SECRET), "signature_mismatch")] {
        let mut wish = subscription(&receiver, "inboundflow");
        wish["secret"] = secret;
        let tried = router.post("/api/v1/webhooks/test", &wish).await.expect(200);
        assert_eq!(tried.body["diagnosis"][0]["code"], code, "{}", tried.text);
    }
    let signed: Vec<bool> = receiver
        .received()
        .iter()
        .map(|one| !one.header("x-inboundflow-signature").is_empty())
        .collect();
    assert_eq!(signed, [false, true]);
}
