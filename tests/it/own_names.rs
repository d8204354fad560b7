//! Hookway's own events under the names that a product gives them: in patterns, bodies and headers.

use serde_json::{Value, json};

use crate::support::{Receiver, TestRouter};

/// Header, envelope and data of what came, in the order of their events.
fn told(receiver: &Receiver) -> Vec<(String, Value)> {
    let mut all = receiver.received();
    all.sort_by_key(|received| received.header("webhook-id").to_owned());
    let pair = |body: Value, header: &str| {
        assert_eq!(body["event"], header, "body and header agree");
        (header.to_owned(), body)
    };
    all.iter()
        .map(|received| pair(received.json(), received.header("x-workflows-event")))
        .collect()
}

fn types(receiver: &Receiver) -> Vec<String> {
    told(receiver)
        .into_iter()
        .map(|(event_type, _)| event_type)
        .collect()
}

fn webhook(name: &str, receiver: &Receiver, profile: &str, events: &[&str]) -> Value {
    json!({"name": name, "url": receiver.url(), "events": events, "profile": profile})
}

/// WF-15: create, disable, enable and delete a webhook, create and delete a key.
#[tokio::test]
async fn a_product_tells_of_its_webhooks_and_keys_by_its_own_names() {
    let (router, listed, below, own, shop) = (
        TestRouter::start().await,
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let all_six = [
        "webhook.created",
        "webhook.enabled",
        "webhook.disabled",
        "webhook.deleted",
        "api_key.created",
        "api_key.deleted",
    ];
    router
        .subscribe(&webhook("listed", &listed, "workflows", &all_six))
        .await;
    router
        .subscribe(&webhook("below", &below, "workflows", &["webhook.*"]))
        .await;
    // Under another profile the names mean nothing.
    router
        .subscribe(&webhook("own", &own, "standard-webhooks", &all_six))
        .await;
    let path = "/api/v1/webhooks";
    let wish = webhook("shop", &shop, "workflows", &["webhook.*", "alert.created"]);
    let id = router.post(path, &wish).await.expect(201).str("/id");
    let one = format!("{path}/{id}");
    router
        .post(&format!("{one}/disable"), &json!({}))
        .await
        .expect(200);
    router
        .post(&format!("{one}/enable"), &json!({}))
        .await
        .expect(200);
    router.settle().await;
    assert_eq!(
        shop.received().len(),
        0,
        "it is not told of itself, not even when it is enabled again"
    );
    router.call_raw("DELETE", &one, &[], "").await.expect(204);
    let wish = json!({"name": "ci", "scopes": ["read"]});
    let key = router.post("/api/v1/keys", &wish).await.expect(201).str("/id");
    router
        .call_raw("DELETE", &format!("/api/v1/keys/{key}"), &[], "")
        .await
        .expect(204);
    router.settle().await;

    let expected = [
        // Of the two that were made after it, then of the shop.
        "webhook.created",
        "webhook.created",
        "webhook.created",
        "webhook.disabled",
        "webhook.enabled",
        "webhook.deleted",
        "api_key.created",
        "api_key.deleted",
    ];
    assert_eq!(types(&listed), expected);
    assert_eq!(types(&below), expected[1..6]);
    assert_eq!(own.received().len(), 0);
    let (_, disabled) = &told(&listed)[3];
    assert_eq!(
        (&disabled["data"]["id"], &disabled["data"]["status"]),
        (&json!(id), &json!("disabled"))
    );
    assert_eq!(disabled["orgId"], "default");

    // In the history they have Hookway's names, and the reason is the pattern as it is written.
    let page = router
        .get("/api/v1/events?type=hookway.key.deleted")
        .await
        .expect(200);
    let event = page.str("/data/0/id");
    let why = router
        .get(&format!("/api/v1/events/{event}/matches"))
        .await
        .expect(200);
    assert!(
        why.text.contains("`api_key.deleted` matches the type"),
        "{}",
        why.text
    );
}

/// Filters see the own type and what is told, whatever the profile calls it.
#[tokio::test]
async fn filters_see_the_own_type() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let mut wish = webhook("filtered", &receiver, "workflows", &["webhook.*"]);
    wish["filter"] = json!("type == 'hookway.subscription.created' && data.name == 'wanted'");
    router.subscribe(&wish).await;
    for name in ["unwanted", "wanted"] {
        router
            .subscribe(&webhook(name, &receiver, "plain", &["never"]))
            .await;
    }
    router.settle().await;
    receiver.wait_for(1).await;
    assert_eq!(types(&receiver), ["webhook.created"]);
    assert_eq!(told(&receiver)[0].1["data"]["name"], "wanted");
}
