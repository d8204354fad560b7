//! Which identifiers stay and which differ: over retries, resends, subscriptions and events.

use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::hmac;
use serde_json::json;

use super::{SECRET, alert, organization, subscription};
use crate::support::receiver::Received;
use crate::support::{Receiver, Reply, TestRouter};

fn resend_path(delivery: &serde_json::Value) -> String {
    format!(
        "/api/v1/deliveries/{}/resend",
        delivery["id"].as_str().expect("an id")
    )
}

/// The signature as the InboundFlow document describes it.
fn inboundflow_signature(received: &Received) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mut input = received.header("x-inboundflow-timestamp").as_bytes().to_vec();
    input.push(b'.');
    input.extend_from_slice(&received.body);
    format!("sha256={}", HEXLOWER.encode(hmac::sign(&key, &input).as_ref()))
}

/// IB-07: the body is per delivery, not per event: two subscriptions, two delivery ids, the same data.
#[tokio::test]
async fn each_subscription_of_inboundflow_has_a_delivery_id_of_its_own() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    organization(&router, "0b7c8a56-1111-4222-8333-444455556666").await;
    for _ in 0..2 {
        router.subscribe(&subscription(&receiver, "inboundflow")).await;
    }
    router
        .send(&json!({"type": "lead.created", "data": {"call_id": "c1"}}))
        .await;
    let received = receiver.wait_for(2).await;
    let mut ids = Vec::new();
    for one in &received {
        let body = one.json();
        assert_eq!(
            body["delivery_id"],
            one.header("x-inboundflow-delivery-id"),
            "{body}"
        );
        assert_eq!(body["organization_id"], "0b7c8a56-1111-4222-8333-444455556666");
        assert_eq!(body["data"], json!({"call_id": "c1"}));
        ids.push(body["delivery_id"].as_str().expect("an id").to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    assert_ne!(received[0].header("webhook-id"), received[1].header("webhook-id"));
}

/// IB-08, IB-12: a resend has the same body and delivery id, and the time stamp and signature of its own
/// attempt; the body's time stays the event's.
#[tokio::test]
async fn a_resend_of_inboundflow_keeps_the_body_and_signs_a_new_time() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::start().await;
    router.subscribe(&subscription(&receiver, "inboundflow")).await;
    let draft =
        json!({"type": "call.completed", "time": "2026-02-24T21:00:00.000Z", "data": {"call_id": "c1"}});
    let event = router.send(&draft).await;
    receiver.wait_for(1).await;
    router.settle().await;
    router.advance(Duration::from_secs(90)).await;
    receiver.now_answer(Reply::Status(200));
    let delivery = router.delivery_of(&event).await;
    router.post(&resend_path(&delivery), &json!({})).await.expect(202);
    let received = receiver.wait_for(2).await;
    let seconds = |one: &Received| {
        one.header("x-inboundflow-timestamp")
            .parse::<i64>()
            .expect("seconds")
    };
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].json()["timestamp"], "2026-02-24T21:00:00.000Z");
    for name in ["x-inboundflow-delivery-id", "webhook-id"] {
        assert_eq!(received[0].header(name), received[1].header(name), "{name}");
    }
    assert_eq!(seconds(&received[1]) - seconds(&received[0]), 90);
    assert_eq!(seconds(&received[1]), router.clock.now().as_millis() / 1_000);
    for one in &received {
        assert_eq!(one.header("x-inboundflow-signature"), inboundflow_signature(one));
    }
    assert_ne!(
        received[0].header("x-inboundflow-signature"),
        received[1].header("x-inboundflow-signature")
    );
}

/// WF-22: `data.id` names the entity, so that two events share it; `webhook-id` tells them apart, and stays
/// over a retry.
#[tokio::test]
async fn events_that_share_a_data_id_have_their_own_webhook_id() {
    let receiver = Receiver::scripted([Reply::Status(503)], Reply::Status(200)).await;
    let router = TestRouter::start().await;
    router.subscribe(&subscription(&receiver, "workflows")).await;
    router.send(&alert("alert.created")).await;
    receiver.wait_for(1).await;
    router.settle().await;
    router.send(&alert("alert.resolved")).await;
    receiver.wait_for(2).await;
    router.settle().await;
    router.advance(Duration::from_secs(60)).await;
    let received = receiver.wait_for(3).await;
    assert!(
        received
            .iter()
            .all(|one| one.json()["data"]["id"] == "alert_xyz789")
    );
    assert_ne!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].header("webhook-id"), received[2].header("webhook-id"));
    assert_eq!(received[0].body, received[2].body);
}

/// AE-06: the envelope's `id` is `evt_…`, unique, and the same over retries and resends.
#[tokio::test]
async fn an_event_of_aetherflow_has_one_id_however_often_it_is_sent() {
    let receiver = Receiver::scripted([Reply::Status(500)], Reply::Status(200)).await;
    let router = TestRouter::start().await;
    router.subscribe(&subscription(&receiver, "aetherflow")).await;
    let draft = json!({"type": "workflow.completed", "data": {"workflow": {"id": "wf_1"}}});
    let event = router.send(&draft).await;
    receiver.wait_for(1).await;
    router.settle().await;
    router.advance(Duration::from_secs(30)).await;
    receiver.wait_for(2).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await;
    router.post(&resend_path(&delivery), &json!({})).await.expect(202);
    receiver.wait_for(3).await;
    router.settle().await;
    router.send(&draft).await;
    let received = receiver.wait_for(4).await;
    let ids: Vec<String> = received
        .iter()
        .map(|one| one.json()["id"].as_str().expect("an id").to_owned())
        .collect();
    assert!(ids[0].starts_with("evt_"), "{ids:?}");
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    assert!(received[..3].iter().all(|one| one.body == received[0].body));
}
