//! What a subscription says itself of retries and time-outs, in place of its profile.

use std::time::Duration;

use hookway::time::Timestamp;
use serde_json::{Value, json};

use super::{alert, subscription};
use crate::support::{Receiver, Reply, TestRouter};
use crate::terminal::{call, good, text};

const SECOND: Duration = Duration::from_secs(1);

/// A subscription under `aetherflow`, whose own waits are 30 s, 5 min and 30 min, with these in their place.
fn with_waits(receiver: &Receiver, waits: Value) -> Value {
    let mut body = subscription(receiver, "aetherflow");
    body["retry"] = json!({"waits": waits, "jitter": 0.0});
    body
}

/// When the attempts of a delivery were made, in seconds after a time.
fn seconds(delivery: &Value, began: Timestamp) -> Vec<u64> {
    let attempts = delivery["attempts"].as_array().expect("a list").iter();
    attempts
        .map(|attempt| Timestamp::parse(attempt["started_at"].as_str().expect("a time")).expect("a time"))
        .map(|time| time.since(began).as_secs())
        .collect()
}

/// Moves time by this, not one second less, until there is one request more.
async fn next_after(router: &TestRouter, receiver: &Receiver, wait: Duration) {
    let before = receiver.received().len();
    router.advance(wait - SECOND).await;
    assert_eq!(receiver.received().len(), before, "not before it is due");
    router.advance(SECOND).await;
    receiver.wait_for(before + 1).await;
    router.settle().await;
}

async fn patch(router: &TestRouter, id: &str, body: Value) -> Value {
    let path = format!("/api/v1/subscriptions/{id}");
    router.call("PATCH", &path, &body).await.expect(200).body
}

/// AE-18: the waits are the subscription's, over a restart as well; beside it another goes by the profile.
#[tokio::test]
async fn a_subscription_makes_attempts_by_its_own_waits() {
    let (own, usual) = (
        Receiver::scripted([], Reply::Status(500)).await,
        Receiver::scripted([], Reply::Status(500)).await,
    );
    let mut router = TestRouter::start().await;
    let id = router.subscribe(&with_waits(&own, json!(["10s", "1m"]))).await;
    let other = router.subscribe(&subscription(&usual, "aetherflow")).await;
    let shown = router
        .get(&format!("/api/v1/webhooks/{id}"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        shown["retry"],
        json!({"waits": ["10s", "1m"], "jitter": 0.0, "throttles_max": 20})
    );
    assert!(shown["timeout_seconds"].is_null(), "{shown}");
    let shown = router
        .get(&format!("/api/v1/webhooks/{other}"))
        .await
        .expect(200)
        .body;
    assert!(shown["retry"].is_null(), "{shown}");

    let began = router.clock.now();
    let event = router.send(&alert("alert.created")).await;
    own.wait_for(1).await;
    usual.wait_for(1).await;
    router.settle().await;
    next_after(&router, &own, 10 * SECOND).await;
    router.restart().await;
    router.settle().await;
    next_after(&router, &own, 60 * SECOND).await;
    for _ in 0..24 {
        router.advance(3_600 * SECOND).await;
    }
    let deliveries = router.deliveries_of(&event).await;
    for (subscription, attempts) in [(&id, 3), (&other, 4)] {
        let listed = deliveries
            .iter()
            .find(|one| one["subscription_id"] == **subscription)
            .expect("there is one");
        let delivery = format!("/api/v1/deliveries/{}", listed["id"].as_str().expect("an id"));
        let delivery = router.get(&delivery).await.expect(200).body;
        let made = seconds(&delivery, began);
        assert_eq!(made.len(), attempts, "{made:?}");
        if subscription == &id {
            assert_eq!(made, [0, 10, 70]);
        }
        assert_eq!(delivery["status"], "failed", "{delivery}");
    }
}

/// AE-18: every wait is that of the schedule as it is when an attempt has failed; null is the profile's
/// again.
#[tokio::test]
async fn what_is_pending_follows_the_waits_of_today() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::start().await;
    let id = router
        .subscribe(&with_waits(&receiver, json!(["10s", "10s", "10s"])))
        .await;
    let began = router.clock.now();
    let event = router.send(&alert("alert.created")).await;
    receiver.wait_for(1).await;
    router.settle().await;
    // What waits already comes when it was to; the wait behind it is a new one.
    let changed = patch(
        &router,
        &id,
        json!({"retry": {"waits": ["1s", "2m", "1s"], "jitter": 0}}),
    )
    .await;
    assert_eq!(changed["retry"]["waits"], json!(["1s", "2m", "1s"]));
    // What is not named stays.
    let renamed = patch(&router, &id, json!({"name": "renamed"})).await;
    assert_eq!(renamed["retry"], changed["retry"]);
    next_after(&router, &receiver, 10 * SECOND).await;
    let cleared = patch(&router, &id, json!({"retry": null})).await;
    assert!(cleared["retry"].is_null(), "{cleared}");
    next_after(&router, &receiver, 120 * SECOND).await;
    // The third wait of the profile is 30 minutes, and it has no fourth.
    next_after(&router, &receiver, 1_800 * SECOND).await;
    let delivery = router.delivery_of(&event).await;
    assert_eq!(seconds(&delivery, began), [0, 10, 130, 1_930]);
    assert_eq!(delivery["status"], "failed", "{delivery}");
}

/// A schedule that is shorter than the attempts that were made ends the delivery with the next failure.
#[tokio::test]
async fn a_shorter_schedule_ends_what_has_tried_enough() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::start().await;
    let id = router.subscribe(&subscription(&receiver, "aetherflow")).await;
    let event = router.send(&alert("alert.created")).await;
    receiver.wait_for(1).await;
    router.settle().await;
    patch(&router, &id, json!({"retry": {"waits": []}})).await;
    next_after(&router, &receiver, 30 * SECOND).await;
    assert_eq!(router.delivery_of(&event).await["status"], "failed");
}

#[tokio::test]
async fn the_operators_waits_come_before_a_subscriptions_own() {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let router = TestRouter::with(|config| config.dispatch.retry_waits = Some(vec![3_600 * SECOND])).await;
    router
        .subscribe(&with_waits(&receiver, json!(["10s", "10s", "10s"])))
        .await;
    let event = router.send(&alert("alert.created")).await;
    receiver.wait_for(1).await;
    router.settle().await;
    // Its jitter is the default one: a fifth in either direction.
    router.advance(2_400 * SECOND).await;
    assert_eq!(receiver.received().len(), 1, "nor after the subscription's waits");
    router.advance(2_400 * SECOND).await;
    receiver.wait_for(2).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "failed");
}

/// AE-18: the profile gives 10 s, the subscription one; a test of it has no more either.
#[tokio::test]
async fn a_slow_receiver_has_the_time_that_its_subscription_gives() {
    let receiver = Receiver::scripted([], Reply::Hang).await;
    let router = TestRouter::start().await;
    let mut body = subscription(&receiver, "aetherflow");
    body["timeout_seconds"] = json!(1);
    let id = router.subscribe(&body).await;
    let event = router.send(&alert("alert.created")).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let delivery = router.delivery_of(&event).await;
    let attempt = &delivery["attempts"][0];
    assert_eq!(delivery["status"], "pending", "{delivery}");
    assert_eq!(attempt["error"], "timeout", "{attempt}");
    assert_eq!(attempt["error_detail"], "no whole answer within 1 s", "{attempt}");
    assert!(
        attempt["duration_ms"].as_u64().expect("a number") >= 1_000,
        "{attempt}"
    );

    let (stored, nothing) = (format!("/api/v1/subscriptions/{id}/test"), json!({}));
    let tried = tokio::join!(
        router.post(&stored, &nothing),
        router.post("/api/v1/subscriptions/test", &body)
    );
    for tried in [tried.0, tried.1] {
        let tried = tried.expect(200).body;
        assert_eq!(tried["error"]["detail"], "no whole answer within 1 s", "{tried}");
    }
    let cleared = patch(&router, &id, json!({"timeout_seconds": null})).await;
    assert!(cleared["timeout_seconds"].is_null(), "{cleared}");
}

/// AE-18 on the command line.
#[tokio::test]
async fn waits_and_time_out_are_flags() {
    let router = TestRouter::start().await;
    let make = [
        "subscriptions",
        "create",
        "--name",
        "Leads",
        "--key",
        "leads",
        "--url",
        "https://example.com/in",
        "--event",
        "lead.*",
        "--retry-waits",
        "30s,5m",
        "--retry-jitter",
        "0",
        "--timeout-seconds",
        "5",
    ];
    let made = good(&call(&router, &make).await);
    for expected in ["after 30s, 5m; jitter 0.0", "own time-out", "5 s"] {
        assert!(made.contains(expected), "{expected}\n{made}");
    }
    let update = |flags: &[&'static str]| [&["subscriptions", "update", "leads"], flags].concat();
    let once = good(&call(&router, &update(&["--retry-waits", "none"])).await);
    assert!(
        once.contains("none: one attempt") && once.contains("5 s"),
        "{once}"
    );
    let wrong = call(&router, &update(&["--retry-waits", "30s,later"])).await;
    let said = text(&wrong.stderr);
    assert!(
        !wrong.status.success() && said.contains("/retry/waits/1"),
        "{said}"
    );
    let back = update(&["--retry-waits", "profile", "--timeout-seconds", "profile"]);
    let back = good(&call(&router, &back).await);
    assert!(!back.contains("own "), "{back}");
}
