//! The life of a subscription as its deliveries decide it: disabled by its profile's rule, held and
//! tried again, enabled by a person; and what can be read of it afterwards.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};
use crate::terminal::{call, good};

const MINUTE: Duration = Duration::from_secs(60);

struct Case {
    router: TestRouter,
    receiver: Receiver,
    id: String,
}

impl Case {
    async fn of(profile: &str, reply: Reply) -> Self {
        let receiver = Receiver::scripted([], reply).await;
        let router = TestRouter::start().await;
        let body = json!({"name": "life", "url": receiver.url(), "events": ["*"], "profile": profile,
            "max_in_flight": 10});
        let id = router.subscribe(&body).await;
        Self { router, receiver, id }
    }

    async fn subscription(&self) -> Value {
        let path = format!("/api/v1/subscriptions/{}", self.id);
        self.router.get(&path).await.expect(200).body
    }

    async fn status(&self) -> String {
        let shown = self.subscription().await;
        shown["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Sends so many events one after another, each to its end.
    async fn send(&self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        for n in 0..count {
            let event = json!({"type": "lead.created", "data": {"n": n}});
            events.push(self.router.send(&event).await);
            self.router.settle().await;
        }
        events
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let page = self.router.get(&format!("/api/v1/deliveries?{query}")).await;
        page.expect(200).body["data"].as_array().unwrap().clone()
    }
}

/// IB-15: a success in between begins the count anew.
#[tokio::test]
async fn ten_deliveries_that_fail_one_after_another_disable() {
    let case = Case::of("inboundflow", Reply::Status(500)).await;
    case.send(9).await;
    case.receiver.now_answer(Reply::Status(200));
    case.send(1).await;
    case.receiver.now_answer(Reply::Status(500));
    case.send(9).await;
    assert_eq!(case.status().await, "enabled", "nine, one that arrived, nine");
    case.send(1).await;
    let shown = case.subscription().await;
    assert_eq!(shown["status"], "disabled", "{shown}");
    let reason = shown["status_reason"].as_str().unwrap();
    assert!(reason.contains("10 deliveries"), "{reason}");
    case.send(1).await;
    assert_eq!(case.receiver.received().len(), 20, "nothing more is sent");
    assert_eq!(case.list("status=held").await.len(), 1);
}

/// IB-15: safe under concurrency.
#[tokio::test]
async fn ten_at_once_disable_as_ten_one_after_another() {
    let case = Case::of("inboundflow", Reply::Status(503)).await;
    let events: Vec<Value> = (0..10)
        .map(|n| json!({"type": "lead.created", "data": n}))
        .collect();
    case.router
        .post("/api/v1/events", &json!(events))
        .await
        .expect(202);
    case.receiver.wait_for(10).await;
    case.router.settle().await;
    assert_eq!(case.status().await, "disabled");
    assert_eq!(case.list("status=failed").await.len(), 10);
}

/// IB-15: the count survives a restart.
#[tokio::test]
async fn failures_before_and_after_a_restart_count_together() {
    let mut case = Case::of("inboundflow", Reply::Status(500)).await;
    case.send(6).await;
    case.router.restart().await;
    case.send(3).await;
    assert_eq!(case.status().await, "enabled");
    case.send(1).await;
    assert_eq!(case.status().await, "disabled");
}

/// IB-16: what was held goes out, and the count begins anew.
#[tokio::test]
async fn enabling_sends_what_was_held_and_forgets_the_failures() {
    let case = Case::of("inboundflow", Reply::Status(500)).await;
    case.send(10).await;
    let held = case.send(3).await;
    case.receiver.now_answer(Reply::Status(200));
    let path = format!("/api/v1/webhooks/{}/enable", case.id);
    case.router.post(&path, &json!({})).await.expect(200);
    case.receiver.wait_for(13).await;
    case.router.settle().await;
    for event in &held {
        assert_eq!(case.router.delivery_of(event).await["status"], "delivered");
    }
    // The ten of before do not count any more.
    case.receiver.now_answer(Reply::Status(500));
    case.send(9).await;
    assert_eq!(case.status().await, "enabled");
    let stopped = |path: String| async move { case.router.post(&path, &json!({})).await.expect(200) };
    let base = format!("/api/v1/webhooks/{}", case.id);
    stopped(format!("{base}/disable")).await;
}

/// WX-09 and WX-10: one delivery whose attempts are used up disables; a 400 does not.
#[tokio::test]
async fn one_exhausted_delivery_disables_and_a_refused_one_does_not() {
    let case = Case::of("workflux", Reply::Status(400)).await;
    case.send(3).await;
    assert_eq!(case.status().await, "enabled", "WX-10");
    assert_eq!(case.list("cause=rejected&code=400").await.len(), 3);

    case.receiver.now_answer(Reply::Status(503));
    let first = case.send(1).await.remove(0);
    for minutes in [1, 5, 15] {
        case.router.advance(MINUTE * minutes).await;
    }
    // This one is at its first attempt when the other is at its last.
    let second = case.send(1).await.remove(0);
    assert_eq!(case.status().await, "enabled");
    case.router.advance(MINUTE * 60).await;
    assert_eq!(case.router.delivery_of(&first).await["status"], "failed");
    let shown = case.subscription().await;
    assert_eq!(shown["status"], "disabled", "WX-09: {shown}");
    assert_eq!(case.router.delivery_of(&second).await["status"], "held");
    let sent = case.receiver.received().len();
    case.router.advance(MINUTE * 600).await;
    assert_eq!(case.receiver.received().len(), sent);
}

fn says(status: u16, text: &'static str) -> Reply {
    Reply::Full(status, Vec::new(), Bytes::from_static(text.as_bytes()))
}

/// A workflow of n8n or a scenario of Make that is switched off: held, tried by one delivery at a time,
/// and all of it goes out once it is on again.
#[tokio::test]
async fn a_held_subscription_is_tried_by_one_delivery_until_it_goes_on() {
    let off = [
        ("n8n", says(404, "The requested webhook is not registered.")),
        (
            "make",
            says(410, "There is no scenario listening for this webhook."),
        ),
    ];
    for (profile, reply) in off {
        let mut case = Case::of(profile, reply).await;
        let mut events = case.send(1).await;
        let shown = case.subscription().await;
        assert_eq!(shown["status"], "held", "{profile}: {shown}");
        let since = shown["status_since"].clone();
        assert_eq!(shown["probe_at"], "2026-05-19T16:35:00.000Z", "{shown}");
        events.extend(case.send(3).await);
        assert_eq!(case.receiver.received().len(), 1);

        case.router.advance(MINUTE * 5 - Duration::from_secs(1)).await;
        assert_eq!(
            case.receiver.received().len(),
            1,
            "{profile}: not before its time"
        );
        case.router.advance(Duration::from_secs(1)).await;
        assert_eq!(case.receiver.received().len(), 2, "{profile}: one, and no more");
        let shown = case.subscription().await;
        assert_eq!(shown["status"], "held");
        assert_eq!(shown["probe_at"], "2026-05-19T16:40:00.000Z", "the next time");
        assert_eq!(shown["status_since"], since, "held since the first time");

        // It is remembered over a restart.
        case.router.restart().await;
        case.router.settle().await;
        assert_eq!(case.receiver.received().len(), 2);
        case.receiver.now_answer(Reply::Status(200));
        case.router.advance(MINUTE * 5).await;
        case.receiver.wait_for(6).await;
        case.router.settle().await;
        assert_eq!(case.status().await, "enabled", "{profile}");
        for event in &events {
            assert_eq!(case.router.delivery_of(event).await["status"], "delivered");
        }
        assert_eq!(case.receiver.received().len(), 6);
    }
}

#[tokio::test]
async fn any_other_answer_ends_a_hold_and_the_schedule_takes_over() {
    let off = says(404, "The requested webhook is not registered.");
    let case = Case::of("n8n", off).await;
    let event = case.send(1).await.remove(0);
    case.receiver.now_answer(Reply::Status(500));
    case.router.advance(MINUTE * 5).await;
    assert_eq!(case.status().await, "enabled");
    let delivery = case.router.delivery_of(&event).await;
    assert_eq!(
        (&delivery["status"], &delivery["attempt_count"]),
        (&json!("pending"), &json!(2))
    );
    // A person ends it too, at any time.
    case.receiver
        .now_answer(says(404, "not registered: is not registered"));
    case.send(1).await;
    assert_eq!(case.status().await, "held");
    case.receiver.now_answer(Reply::Status(200));
    let path = format!("/api/v1/subscriptions/{}/enable", case.id);
    let enabled = case.router.post(&path, &json!({})).await.expect(200);
    assert_eq!(enabled.body["probe_at"], Value::Null);
}

/// WF-20, GN-11, AE-09 and AE-13: history by status, type, cause and code, on both paths; dead letters
/// by cause; and one of them once more.
#[tokio::test]
async fn history_is_found_by_what_happened() {
    let replies = [
        Reply::Status(401),
        Reply::Status(404),
        Reply::Status(422),
        Reply::Status(401),
    ];
    let receiver = Receiver::scripted(replies, Reply::Status(200)).await;
    let router = TestRouter::start().await;
    let body = json!({"name": "history", "url": receiver.url(), "events": ["*"], "key": "history",
        "max_in_flight": 1});
    let id = router.subscribe(&body).await;
    for kind in [
        "alert.created",
        "alert.critical",
        "push",
        "push",
        "push",
        "alert.created",
    ] {
        router.send(&json!({"type": kind, "data": {}})).await;
        router.settle().await;
        router.advance(MINUTE).await;
    }
    let codes = async |path: String| -> Vec<Value> {
        let page = router.get(&path).await.expect(200).body;
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["status_code"].clone())
            .collect()
    };
    for path in [
        format!("/api/v1/webhooks/{id}/deliveries"),
        "/api/v1/subscriptions/history/deliveries".to_owned(),
        "/api/v1/deliveries".to_owned(),
    ] {
        let table = [
            ("", json!([200, 200, 401, 422, 404, 401])),
            ("?status=failed", json!([401, 422, 404, 401])),
            ("?cause=auth", json!([401, 401])),
            ("?code=404,42x", json!(null)),
            ("?code=404,422", json!([422, 404])),
            ("?code=2xx&type=alert.*", json!([200])),
            ("?type=push&status=failed", json!([401, 422])),
            (
                "?since=2026-05-19T16:31:00Z&until=2026-05-19T16:33:00Z",
                json!([422, 404]),
            ),
        ];
        for (query, expected) in table {
            let whole = format!("{path}{query}");
            match expected {
                Value::Null => drop(router.get(&whole).await.expect(400)),
                expected => assert_eq!(json!(codes(whole).await), expected, "{path}{query}"),
            }
        }
    }
    let row = router.get("/api/v1/deliveries?limit=1").await.body["data"][0].clone();
    assert_eq!((&row["attempt_count"], &row["cause"]), (&json!(1), &Value::Null));
    assert!(
        row["last_duration_ms"].is_number() && row["last_attempt_at"].is_string(),
        "{row}"
    );

    let causes = router.get("/api/v1/deliveries/causes").await.expect(200).body;
    assert_eq!(causes["truncated"], false);
    let counts: Vec<Value> = causes["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| json!([group["cause"], group["code"], group["count"]]))
        .collect();
    assert_eq!(counts[0], json!(["auth", 401, 2]), "the largest first");
    assert!(counts.contains(&json!(["not_found", 404, 1])), "{causes}");
    assert!(counts.contains(&json!(["rejected", 422, 1])), "{causes}");
    let path = format!("/api/v1/deliveries/causes?subscription={id}&type=push");
    let some = router.get(&path).await.expect(200).body;
    assert_eq!(some["data"].as_array().unwrap().len(), 2, "{some}");

    // GN-11: found, and sent once more.
    let sample = causes["data"][0]["sample_delivery_id"].as_str().unwrap();
    router
        .post(&format!("/api/v1/deliveries/{sample}/resend"), &json!({}))
        .await
        .expect(202);
    receiver.wait_for(7).await;
    router.settle().await;
    assert_eq!(codes("/api/v1/deliveries?cause=auth".to_owned()).await.len(), 1);
    let page = router
        .get("/api/v1/events?since=2026-05-19T16:34:00Z")
        .await
        .expect(200);
    assert_eq!(page.body["data"].as_array().unwrap().len(), 2);
}

/// AE-19.
#[tokio::test]
async fn success_rate_and_response_times_are_counted() {
    let receiver = Receiver::scripted([Reply::Status(404)], Reply::Status(200)).await;
    let mut router = TestRouter::start().await;
    let body = json!({"name": "stats", "url": receiver.url(), "events": ["*"]});
    let id = router.subscribe(&body).await;
    let path = format!("/api/v1/webhooks/{id}/stats");
    let empty = router.get(&path).await.expect(200).body;
    assert_eq!(empty["last_hour"]["success_rate"], Value::Null);
    assert_eq!(empty["last_hour"]["response_ms"], Value::Null);
    for _ in 0..4 {
        router.send(&json!({"type": "a", "data": {}})).await;
        router.settle().await;
    }
    let stats = router.get(&path).await.expect(200).body;
    for window in ["last_hour", "last_day"] {
        let window = &stats[window];
        let counts = ["attempts", "delivered", "failed", "retried", "failed_attempts"];
        let counts: Vec<&Value> = counts.iter().map(|name| &window[name]).collect();
        assert_eq!(json!(counts), json!([4, 3, 1, 0, 1]), "{stats}");
        assert_eq!(window["success_rate"], 0.75);
        let times = &window["response_ms"];
        assert!(times["p50"].as_u64() <= times["p99"].as_u64(), "{stats}");
        assert!(times["p99"].as_u64() <= times["max"].as_u64(), "{stats}");
    }
    assert_eq!(stats["since"], "2026-05-19T16:30:00.000Z");
    router.advance(MINUTE * 130).await;
    let later = router.get(&path).await.expect(200).body;
    assert_eq!(
        (&later["last_hour"]["attempts"], &later["last_day"]["attempts"]),
        (&json!(0), &json!(4))
    );
    router.restart().await;
    let stats = router.get(&path).await.expect(200).body;
    assert_eq!(stats["last_day"]["attempts"], 0, "it begins at nothing");
    assert_eq!(stats["since"], "2026-05-19T18:40:00.000Z", "and says since when");
    router
        .get("/api/v1/webhooks/sub_0000000000000/stats")
        .await
        .expect(404);
}

/// WF-20, AE-19 and GN-11 on the command line.
#[tokio::test]
async fn the_command_line_finds_groups_and_counts() {
    let receiver = Receiver::scripted([Reply::Status(401), Reply::Status(500)], Reply::Status(200)).await;
    let router = TestRouter::with(|config| config.dispatch.retry_waits = Some(Vec::new())).await;
    let body = json!({"name": "leads", "key": "leads", "url": receiver.url(), "events": ["*"]});
    router.subscribe(&body).await;
    for kind in ["lead.created", "lead.lost", "push"] {
        router.send(&json!({"type": kind, "data": {}})).await;
        router.settle().await;
    }
    let table = [
        (vec!["--cause", "auth"], ["lead.created"].as_slice()),
        (vec!["--code", "5xx"], &["lead.lost"]),
        (vec!["--type", "lead.*"], &["lead.created", "lead.lost"]),
        (vec!["--status", "delivered"], &["push"]),
        (vec!["--until", "2026-05-19T16:30:00Z"], &[]),
    ];
    for (filter, expected) in table {
        let arguments: Vec<&str> = ["deliveries", "list"].into_iter().chain(filter).collect();
        let listed = good(&call(&router, &arguments).await);
        for kind in ["lead.created", "lead.lost", "push"] {
            let there = expected.contains(&kind);
            assert_eq!(listed.contains(kind), there, "{arguments:?}: {kind} in {listed}");
        }
    }
    let causes = good(&call(&router, &["deliveries", "causes", "--subscription", "leads"]).await);
    assert!(causes.contains("auth") && causes.contains("server"), "{causes}");
    let stats = good(&call(&router, &["subscriptions", "stats", "leads"]).await);
    assert!(stats.contains("33.3 %"), "{stats}");
    let stats = good(&call(&router, &["--json", "subscriptions", "stats", "leads"]).await);
    let stats: Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["last_hour"]["attempts"], 3);
    let wrong = call(&router, &["deliveries", "list", "--cause", "time_out"]).await;
    assert!(!wrong.status.success());
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("did you mean `timeout`?"), "{said}");
}
