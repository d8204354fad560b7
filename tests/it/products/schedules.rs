//! When attempts are made: the tables of the products, to the second, over a restart.

use std::time::Duration;

use hookway::time::Timestamp;
use serde_json::{Value, json};

use super::{alert, subscription};
use crate::support::{Receiver, Reply, TestRouter};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Lets every attempt fail and asserts that they are made at exactly these seconds after the first, that
/// all of them send the same bytes, and that there is no other in the 24 hours after the last. The router
/// is restarted after the third. Gives the delivery.
async fn attempts_at(profile: &str, seconds: &[u64]) -> (TestRouter, String, Value) {
    let receiver = Receiver::scripted([], Reply::Status(500)).await;
    let mut router = TestRouter::start().await;
    let id = router.subscribe(&subscription(&receiver, profile)).await;
    let began = router.clock.now();
    let event = router.send(&alert("alert.created")).await;
    receiver.wait_for(1).await;
    router.settle().await;
    for (made, pair) in (1..).zip(seconds.windows(2)) {
        if made == 3 {
            router.restart().await;
            router.settle().await;
        }
        router
            .advance(Duration::from_secs(pair[1] - pair[0]) - SECOND)
            .await;
        assert_eq!(receiver.received().len(), made, "{profile}: not before it is due");
        router.advance(SECOND).await;
        receiver.wait_for(made + 1).await;
        router.settle().await;
    }
    // In small steps as well as in one: nothing may be woken on the way.
    for _ in 0..24 {
        router.advance(DAY / 24).await;
    }
    let received = receiver.received();
    assert_eq!(
        received.len(),
        seconds.len(),
        "{profile}: no other attempt in 24 hours"
    );
    for again in &received[1..] {
        assert_eq!(again.body, received[0].body, "{profile}");
        assert_eq!(
            again.header("webhook-id"),
            received[0].header("webhook-id"),
            "{profile}"
        );
    }
    let delivery = router.delivery_of(&event).await;
    let times: Vec<u64> = delivery["attempts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| Timestamp::parse(attempt["started_at"].as_str().expect("a time")).expect("a time"))
        .map(|time| time.since(began).as_secs())
        .collect();
    assert_eq!(times, seconds, "{profile}");
    assert_eq!(delivery["status"], "failed", "{delivery}");
    assert!(delivery["next_attempt_at"].is_null(), "{delivery}");
    (router, id, delivery)
}

async fn enabled(router: &TestRouter, id: &str) -> bool {
    let path = format!("/api/v1/webhooks/{id}");
    router.get(&path).await.expect(200).body["enabled"] == true
}

/// WF-17, WF-18, WF-19: 0, 1, 6, 21 and 51 minutes, then it is failed and stays so.
#[tokio::test]
async fn workflows_makes_five_attempts_by_its_table_over_a_restart() {
    let (router, id, delivery) = attempts_at("workflows", &[0, 60, 360, 1_260, 3_060]).await;
    assert!(
        enabled(&router, &id).await,
        "one failed delivery disables nothing"
    );
    // It is among the dead letters, and the product's own path to the history shows it.
    let history = router
        .get(&format!("/api/v1/webhooks/{id}/deliveries?status=failed"))
        .await
        .expect(200);
    assert_eq!(history.body["data"][0]["id"], delivery["id"], "{}", history.text);
}

/// WX-05, WX-09: 0, 1, 6, 21 and 81 minutes, then the webhook is disabled and what comes is held.
#[tokio::test]
async fn workflux_makes_five_attempts_by_its_table_over_a_restart_and_is_disabled() {
    let (router, id, _) = attempts_at("workflux", &[0, 60, 360, 1_260, 4_860]).await;
    assert!(!enabled(&router, &id).await, "an exhausted delivery disables");
    let next = router.send(&alert("alert.created")).await;
    router.settle().await;
    assert_eq!(router.delivery_of(&next).await["status"], "held");
}

/// IB-17: no retry is listed, so there is none.
#[tokio::test]
async fn inboundflow_makes_one_attempt() {
    let (router, id, _) = attempts_at("inboundflow", &[0]).await;
    assert!(enabled(&router, &id).await, "one failure of ten");
}

/// AE-11: once and up to three times again; the waits are Hookway's own, for none are published.
#[tokio::test]
async fn aetherflow_makes_four_attempts() {
    attempts_at("aetherflow", &[0, 30, 330, 2_130]).await;
}

/// WF-16: every answer that is no 2xx is tried again, refusals and redirects as well.
#[tokio::test]
async fn workflows_tries_again_whatever_was_answered() {
    for reply in [
        Reply::Status(301),
        Reply::Status(400),
        Reply::Status(401),
        Reply::Status(404),
        Reply::Status(410),
        Reply::Status(500),
    ] {
        let receiver = Receiver::scripted([reply.clone()], Reply::Status(200)).await;
        let router = TestRouter::start().await;
        router.subscribe(&subscription(&receiver, "workflows")).await;
        let event = router.send(&alert("alert.created")).await;
        receiver.wait_for(1).await;
        router.settle().await;
        assert_eq!(router.delivery_of(&event).await["status"], "pending", "{reply:?}");
        router.advance(Duration::from_secs(60)).await;
        receiver.wait_for(2).await;
        router.settle().await;
        assert_eq!(
            router.delivery_of(&event).await["status"],
            "delivered",
            "{reply:?}"
        );
    }
}

/// AE-21: a limit of 10 a second spreads 1,000 events over time; none is lost.
#[tokio::test]
async fn a_thousand_events_at_ten_a_second_are_spread() {
    const EVENTS: usize = 1_000;
    const PER_SECOND: usize = 10;
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let mut body = subscription(&receiver, "aetherflow");
    body["rate_limit"] = json!({"requests": PER_SECOND, "per_seconds": 1, "burst": PER_SECOND});
    router.subscribe(&body).await;
    for part in 0..10 {
        let events: Vec<Value> = (0..EVENTS / 10)
            .map(|n| json!({"type": "workflow.executed", "data": {"n": part * EVENTS / 10 + n}}))
            .collect();
        router.post("/api/v1/events", &json!(events)).await.expect(202);
    }
    receiver.wait_for(PER_SECOND).await;
    router.settle().await;
    for second in 1..EVENTS / PER_SECOND {
        assert_eq!(
            receiver.received().len(),
            second * PER_SECOND,
            "after {} s",
            second - 1
        );
        router.advance(SECOND).await;
        receiver.wait_for((second + 1) * PER_SECOND).await;
        router.settle().await;
    }
    let mut seen: Vec<u64> = receiver
        .received()
        .iter()
        .map(|one| one.json()["data"]["n"].as_u64().expect("a number"))
        .collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..EVENTS as u64), "each once");
}
