//! How deliveries behave under their profile: whether they are signed, what an answer's body means, and
//! what is not sent at all.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::support::{Receiver, Reply, TestRouter};

/// IB-06, IB-17, AE-02, WX-11.
#[tokio::test]
async fn a_profile_says_whether_there_must_be_a_secret() {
    let router = TestRouter::start().await;
    let (bare, signed) = (
        Receiver::scripted([], Reply::Status(500)).await,
        Receiver::start().await,
    );
    let wish = |receiver: &Receiver| json!({"name": "n", "url": receiver.url(), "events": ["lead.created"], "profile": "inboundflow"});
    let mut without = wish(&bare);
    without["secret"] = json!(null);
    let made = router.post("/api/v1/subscriptions", &without).await.expect(201);
    assert_eq!(made.body.get("secret"), None);
    let made = router
        .post("/api/v1/subscriptions", &wish(&signed))
        .await
        .expect(201);
    assert!(made.str("/secret").starts_with("whsec_"));

    let event = router
        .send(&json!({"type": "lead.created", "data": {"call_id": "c1"}}))
        .await;
    let received = bare.wait_for(1).await.remove(0);
    let seconds = router.clock.now().as_seconds().to_string();
    assert_eq!(received.header("x-inboundflow-timestamp"), seconds);
    assert_eq!(received.header("user-agent"), "InboundFlow-Webhook/1.0");
    for name in ["x-inboundflow-signature", "webhook-signature"] {
        assert!(received.headers.get(name).is_none(), "{name}");
    }
    let received = signed.wait_for(1).await.remove(0);
    let signature = received.header("x-inboundflow-signature");
    assert!(signature.starts_with("sha256="), "{signature}");
    let beside = received.header("webhook-signature");
    assert!(beside.starts_with("v1,"), "{beside}");

    // One attempt, whatever it met.
    router.settle().await;
    let failed = router.deliveries_of(&event).await;
    let failed: Vec<_> = failed.iter().filter(|one| one["status"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    router.advance(Duration::from_secs(24 * 60 * 60)).await;
    router.settle().await;
    assert_eq!(bare.received().len(), 1);

    for profile in ["standard-webhooks", "workflows", "aetherflow", "workflux"] {
        let mut refused = without.clone();
        refused["profile"] = profile.into();
        let answer = router.post("/api/v1/subscriptions", &refused).await;
        let answer = answer.expect(422);
        assert_eq!(answer.str("/errors/0/pointer"), "/secret", "{profile}");
    }
}

#[tokio::test]
async fn a_body_may_say_what_the_status_does_not() {
    let router = TestRouter::start().await;
    let said = |text: &'static str| Reply::Full(200, Vec::new(), Bytes::from_static(text.as_bytes()));
    let receiver = Receiver::scripted([said("no_text")], said("ok")).await;
    router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"], "profile": "slack"}))
        .await;
    let first = router.send(&json!({"type": "t", "data": {"text": "hi"}})).await;
    router.until(&first, "failed").await;
    let delivery = router.delivery_of(&first).await;
    let reason = delivery["reason"].as_str().unwrap();
    assert!(reason.contains("Slack did not answer ok"), "{reason}");
    let second = router.send(&json!({"type": "t", "data": {"text": "hi"}})).await;
    router.until(&second, "delivered").await;
    let received = receiver.wait_for(2).await.remove(1);
    assert!(
        received
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("webhook-"))
    );
}

#[tokio::test]
async fn a_body_that_the_target_does_not_take_is_not_sent() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"], "profile": "teams"}))
        .await;
    let fits = json!({"type": "t", "data": "x".repeat(20_478)});
    let fits = router.send(&fits).await;
    router.until(&fits, "delivered").await;
    let larger = json!({"type": "t", "data": "x".repeat(20_479)});
    let larger = router.send(&larger).await;
    router.until(&larger, "failed").await;
    let reason = router.delivery_of(&larger).await["reason"].to_string();
    assert!(
        reason.contains("20481 bytes") && reason.contains("20480"),
        "{reason}"
    );
    assert_eq!(receiver.received().len(), 1);
}
