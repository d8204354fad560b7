//! What is sent, how often, and what people can read of it afterwards.

use std::time::Duration;

use bytes::Bytes;
use hookway::secret::Secret;
use hookway::signature::{Incoming, Keyring, Scheme};
use hookway::time::Timestamp;
use serde_json::json;

use crate::support::{Receiver, Reply, TestRouter};

const MINUTE: Duration = Duration::from_secs(60);
/// More than any jitter adds to a wait of the default schedule's first steps.
const SLACK: f64 = 1.25;

fn verifies(received: &crate::support::receiver::Received, secret: &str, now: Timestamp) -> bool {
    let secret = Secret::new(secret);
    let keyring = Keyring::new(Scheme::standard_webhooks().into(), [&secret]).expect("a usable secret");
    keyring
        .verify(
            &Incoming {
                headers: &received.headers,
                url: "",
                body: &received.body,
                certificate: None,
            },
            now,
        )
        .is_ok()
}

#[tokio::test]
async fn a_delivery_carries_the_data_byte_for_byte_and_its_signature_verifies() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let body = json!({"name": "all", "url": receiver.url(), "events": ["*"]});
    let created = router.post("/api/v1/subscriptions", &body).await.expect(201);
    // Numbers, order, doubled keys and spaces that no parser would give back.
    let data = r#"{ "b":1.50e3, "a":12345678901234567890123, "a":"\u00e9 é", "n":  null }"#;
    let event = format!(r#"{{"type":"alert.created","data":{data},"time":"2026-05-19T18:00:00+02:00"}}"#);
    let answer = router
        .call_raw(
            "POST",
            "/api/v1/events",
            &[("content-type", "application/json")],
            event,
        )
        .await;
    assert_eq!(answer.clone().expect(202).body["matched"], 1);

    let received = receiver.wait_for(1).await.remove(0);
    let expected =
        format!(r#"{{"type":"alert.created","timestamp":"2026-05-19T16:00:00.000Z","data":{data}}}"#);
    assert_eq!(received.body, Bytes::from(expected));
    assert_eq!(
        (received.method.as_str(), received.path.as_str()),
        ("POST", "/hook")
    );
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("user-agent").starts_with("Hookway/"));
    assert!(verifies(&received, &created.str("/secret"), router.clock.now()));
    assert!(!verifies(
        &received,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        router.clock.now()
    ));

    router.settle().await;
    let delivery = router.delivery_of(&answer.str("/id")).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["attempts"][0]["number"], 1);
    assert_eq!(delivery["attempts"][0]["status_code"], 200);
    // The request shares the delivery's number.
    let id = delivery["id"].as_str().unwrap();
    assert_eq!(received.header("webhook-id")[4..], id[4..]);
}

#[tokio::test]
async fn the_plain_profile_sends_the_data_alone() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let body = json!({"name": "raw", "url": receiver.url(), "events": ["*"], "profile": "plain"});
    router.subscribe(&body).await;
    let bytes = [0_u8, 159, 146, 150, 255];
    let base64 = data_encoding::BASE64.encode(&bytes);
    let event = json!({"type": "image.taken", "data_base64": base64, "datacontenttype": "image/x-test"});
    router.send(&event).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(received.body.as_ref(), bytes);
    assert_eq!(received.header("content-type"), "image/x-test");
    assert_eq!(received.header("hookway-event-type"), "image.taken");
}

#[tokio::test]
async fn a_failing_endpoint_is_tried_again_by_the_schedule_with_the_same_id_and_body() {
    let receiver = Receiver::scripted([Reply::Status(500), Reply::Status(503)], Reply::Status(204)).await;
    let router = TestRouter::start().await;
    router
        .subscribe(&json!({"name": "retry", "url": receiver.url(), "events": ["a.*"]}))
        .await;
    let event = router.send(&json!({"type": "a.b", "data": {"x": 1}})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "pending");
    let due = Timestamp::parse(delivery["next_attempt_at"].as_str().unwrap()).unwrap();
    let wait = due.since(router.clock.now());
    assert!(
        wait >= Duration::from_secs(4) && wait <= Duration::from_secs(6),
        "{wait:?}"
    );

    router.advance(Duration::from_secs(3)).await;
    assert_eq!(receiver.received().len(), 1, "not before it is due");
    router.advance(Duration::from_secs(4)).await;
    receiver.wait_for(2).await;
    router.settle().await;
    router.advance(MINUTE.mul_f64(5.0 * SLACK)).await;
    let received = receiver.wait_for(3).await;
    router.settle().await;
    for again in &received[1..] {
        assert_eq!(again.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(again.body, received[0].body);
        assert_ne!(
            again.header("webhook-timestamp"),
            received[0].header("webhook-timestamp")
        );
    }
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "delivered");
    let codes: Vec<_> = delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["status_code"].clone())
        .collect();
    assert_eq!(codes, [500, 503, 204]);
}

#[tokio::test]
async fn retry_after_is_honoured_and_a_throttled_attempt_costs_no_try() {
    let wait = |seconds: &str| Reply::Full(429, vec![("retry-after", seconds.to_owned())], Bytes::new());
    let receiver = Receiver::scripted([wait("120"), wait("60")], Reply::Status(500)).await;
    let router = TestRouter::start().await;
    router
        .subscribe(&json!({"name": "slow down", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": {}})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    router.advance(Duration::from_secs(119)).await;
    assert_eq!(receiver.received().len(), 1);
    router.advance(Duration::from_secs(32)).await;
    receiver.wait_for(2).await;
    router.settle().await;
    router.advance(Duration::from_secs(100)).await;
    receiver.wait_for(3).await;
    router.settle().await;
    // The first counted try has failed now: the next one is the schedule's first wait away.
    let delivery = router.delivery_of(&event).await;
    let due = Timestamp::parse(delivery["next_attempt_at"].as_str().unwrap()).unwrap();
    let wait = due.since(router.clock.now());
    assert!(wait <= Duration::from_secs(6), "{wait:?}");
}

#[tokio::test]
async fn after_the_last_attempt_it_is_a_dead_letter_and_can_be_resent() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::with(|config| {
        config.dispatch.retry_waits = Some(vec![Duration::from_secs(10), Duration::from_secs(20)]);
    })
    .await;
    router
        .subscribe(&json!({"name": "dead", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": {"n": 1}})).await;
    for count in 1..=3 {
        receiver.wait_for(count).await;
        router.settle().await;
        router.advance(Duration::from_secs(30)).await;
    }
    router.advance(Duration::from_secs(86_400)).await;
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "failed", "{delivery}");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 3);
    assert!(
        delivery["reason"].as_str().unwrap().contains("500"),
        "{}",
        delivery["reason"]
    );
    assert!(delivery["next_attempt_at"].is_null());

    receiver.now_answer(Reply::Status(200));
    let id = delivery["id"].as_str().unwrap();
    router
        .post(&format!("/api/v1/deliveries/{id}/resend"), &json!({}))
        .await
        .expect(202);
    let received = receiver.wait_for(4).await;
    router.settle().await;
    assert_eq!(received[3].header("webhook-id"), received[0].header("webhook-id"));
    assert_eq!(received[3].body, received[0].body);
    let delivery = router.delivery_of(&event).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 4);
    assert_eq!(delivery["attempts"][3]["number"], 4);
    let resent: Vec<_> = (0..4)
        .map(|at| delivery["attempts"][at]["resend"] == true)
        .collect();
    assert_eq!(resent, [false, false, false, true]);
}

#[tokio::test]
async fn a_refusal_fails_at_once_and_a_redirect_is_not_followed() {
    let target = Receiver::start().await;
    for reply in [
        Reply::Status(400),
        Reply::Full(302, vec![("location", target.url())], Bytes::new()),
    ] {
        let receiver = Receiver::scripted([], reply).await;
        let router = TestRouter::start().await;
        router
            .subscribe(&json!({"name": "no", "url": receiver.url(), "events": ["*"]}))
            .await;
        let event = router.send(&json!({"type": "a", "data": 1})).await;
        receiver.wait_for(1).await;
        router.settle().await;
        assert_eq!(router.delivery_of(&event).await["status"], "failed");
    }
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn gone_disables_the_subscription_and_enabling_sends_what_was_held() {
    let receiver = Receiver::scripted([], Reply::Status(410)).await;
    let router = TestRouter::start().await;
    let id = router
        .subscribe(&json!({"name": "gone", "url": receiver.url(), "events": ["*"]}))
        .await;
    let first = router.send(&json!({"type": "a", "data": 1})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let subscription = router
        .get(&format!("/api/v1/subscriptions/{id}"))
        .await
        .expect(200);
    assert_eq!(subscription.body["enabled"], false);
    let second = router.send(&json!({"type": "a", "data": 2})).await;
    router.settle().await;
    for event in [&first, &second] {
        let delivery = router.delivery_of(event).await;
        assert_eq!(delivery["status"], "held", "{delivery}");
    }
    assert_eq!(receiver.received().len(), 1, "nothing is sent while it is held");

    receiver.now_answer(Reply::Status(200));
    router
        .post(&format!("/api/v1/subscriptions/{id}/enable"), &json!({}))
        .await
        .expect(200);
    receiver.wait_for(3).await;
    router.settle().await;
    for event in [&first, &second] {
        assert_eq!(router.delivery_of(event).await["status"], "delivered");
    }
}

#[tokio::test]
async fn a_rate_limit_spreads_requests_over_time() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let rate = json!({"requests": 2, "per_seconds": 10, "burst": 2});
    let body = json!({"name": "slow", "url": receiver.url(), "events": ["*"], "rate_limit": rate});
    router.subscribe(&body).await;
    for _ in 0..6 {
        router.send(&json!({"type": "a", "data": 1})).await;
    }
    receiver.wait_for(2).await;
    router.settle().await;
    assert_eq!(receiver.received().len(), 2);
    for expected in 3..=6 {
        router.advance(Duration::from_secs(5)).await;
        assert_eq!(receiver.wait_for(expected).await.len(), expected);
    }
}

#[tokio::test]
async fn a_hanging_endpoint_costs_the_others_nothing() {
    let (hanging, healthy) = (Receiver::scripted([], Reply::Hang).await, Receiver::start().await);
    let router = TestRouter::with(|config| config.dispatch.in_flight_max = 4).await;
    for (name, receiver) in [("hanging", &hanging), ("healthy", &healthy)] {
        router
            .subscribe(&json!({"name": name, "url": receiver.url(), "events": ["*"]}))
            .await;
    }
    for _ in 0..50 {
        router.send(&json!({"type": "a", "data": 1})).await;
    }
    assert_eq!(healthy.wait_for(50).await.len(), 50);
    assert!(hanging.received().len() < 10, "a sick endpoint is only probed");
}

#[tokio::test]
async fn rotation_signs_with_both_secrets_until_the_overlap_ends() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let body = json!({"name": "rotating", "url": receiver.url(), "events": ["*"]});
    let created = router.post("/api/v1/subscriptions", &body).await.expect(201);
    let (id, old) = (created.str("/id"), created.str("/secret"));
    let path = format!("/api/v1/subscriptions/{id}/rotate-secret");
    let new = router
        .post(&path, &json!({"overlap_seconds": 3600}))
        .await
        .expect(200)
        .str("/secret");
    assert_ne!(old, new);
    router.send(&json!({"type": "a", "data": 1})).await;
    let received = receiver.wait_for(1).await.remove(0);
    for secret in [&old, &new] {
        assert!(verifies(&received, secret, router.clock.now()));
    }
    router.advance(Duration::from_secs(3601)).await;
    router.send(&json!({"type": "a", "data": 1})).await;
    let received = receiver.wait_for(2).await.remove(1);
    assert!(verifies(&received, &new, router.clock.now()));
    assert!(!verifies(&received, &old, router.clock.now()));
}
