//! What a profile's rule counts where people change a subscription meanwhile: the counters and the status
//! agree, live and after a restart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};

const SECOND: Duration = Duration::from_secs(1);

struct Case {
    router: TestRouter,
    receiver: Receiver,
    path: String,
}

/// The profile `mine` with this rule. A 404 holds.
async fn put_rule(router: &TestRouter, failures: u32) {
    let document = json!({"name": "mine", "version": 1, "envelope": "none",
    "auto_disable": {"consecutive_failed_deliveries": failures},
    "classes": {"otherwise": "fail", "hold_probe_seconds": 300, "rules": [
        {"status": "2xx", "class": "delivered"},
        {"status": "404", "class": "hold", "reason": "switched off"},
    ]}});
    let answer = router.call("PUT", "/api/v1/profiles/mine", &document).await;
    assert!(answer.status < 300, "{}", answer.text);
}

impl Case {
    /// One attempt a delivery, which may take a second.
    async fn of(failures: u32, reply: Reply) -> Self {
        let receiver = Receiver::scripted([], reply).await;
        let router = TestRouter::with(|config| config.dispatch.retry_waits = Some(Vec::new())).await;
        put_rule(&router, failures).await;
        let body = json!({"name": "life", "url": receiver.url(), "events": ["*"], "profile": "mine",
            "timeout_seconds": 1});
        let path = format!("/api/v1/subscriptions/{}", router.subscribe(&body).await);
        Self {
            router,
            receiver,
            path,
        }
    }

    async fn status(&self) -> String {
        self.router.get(&self.path).await.expect(200).str("/status")
    }

    async fn send(&self, count: usize) {
        for n in 0..count {
            self.router
                .send(&json!({"type": "lead.created", "data": n}))
                .await;
            self.router.settle().await;
        }
    }

    /// A request that will fail is under way.
    async fn begin(&self) {
        self.router
            .send(&json!({"type": "lead.created", "data": 0}))
            .await;
        self.receiver.wait_for(1).await;
    }

    async fn post(&self, verb: &str) {
        let path = format!("{}/{verb}", self.path);
        self.router.post(&path, &json!({})).await.expect(200);
    }
}

fn counted(router: &TestRouter, sql: &str) -> usize {
    let files = std::fs::read_dir(router.data_dir()).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|kind| kind == "db"));
    let database = rusqlite::Connection::open(file.expect("the database")).unwrap();
    database.execute(sql, []).unwrap()
}

/// The router ended between the last failure and its consequence: it follows before anything is sent.
#[tokio::test]
async fn what_should_be_disabled_is_disabled_at_the_start() {
    let mut case = Case::of(4, Reply::Status(400)).await;
    case.send(3).await;
    assert_eq!(case.status().await, "enabled");
    case.router.stop().await;
    assert_eq!(counted(&case.router, "UPDATE counter SET failed_in_a_row = 4"), 1);
    case.router.start_again().await;
    assert_eq!(case.status().await, "disabled");
    case.send(1).await;
    assert_eq!(case.receiver.received().len(), 3);
}

/// A change that does not enable does not save a subscription from its rule.
#[tokio::test]
async fn a_change_while_the_last_failure_is_under_way_does_not_save() {
    let case = Case::of(1, Reply::Hang).await;
    case.begin().await;
    let renamed = case
        .router
        .call("PATCH", &case.path, &json!({"name": "another"}))
        .await;
    renamed.expect(200);
    case.router.settle().await;
    assert_eq!(case.status().await, "disabled");
}

/// A failure of a request of before says nothing about what a person enabled since.
#[tokio::test]
async fn a_failure_of_before_a_person_enabled_does_not_count() {
    let mut case = Case::of(1, Reply::Hang).await;
    case.begin().await;
    case.router.clock.advance(SECOND);
    case.post("disable").await;
    case.post("enable").await;
    case.router.settle().await;
    assert_eq!(case.status().await, "enabled");
    case.router.restart().await;
    assert_eq!(case.status().await, "enabled", "after a restart too");
    case.receiver.now_answer(Reply::Status(500));
    case.send(1).await;
    assert_eq!(case.status().await, "disabled", "one of after counts");
}

/// Nobody is disabled by a change of the rule alone, neither live nor by a restart.
#[tokio::test]
async fn another_rule_begins_to_count_anew() {
    let mut case = Case::of(5, Reply::Status(500)).await;
    let other = json!({"name": "other", "version": 1, "envelope": "none",
        "auto_disable": {"consecutive_failed_deliveries": 2}});
    let answer = case.router.call("PUT", "/api/v1/profiles/other", &other).await;
    assert!(answer.status < 300, "{}", answer.text);
    case.send(4).await;
    put_rule(&case.router, 3).await;
    case.router.restart().await;
    case.send(2).await;
    assert_eq!(case.status().await, "enabled", "two failures under the new rule");
    let patch: Value = json!({"profile": "other"});
    case.router.call("PATCH", &case.path, &patch).await.expect(200);
    case.router.restart().await;
    case.send(1).await;
    assert_eq!(
        case.status().await,
        "enabled",
        "one under the rule of the other profile"
    );
    case.send(1).await;
    assert_eq!(case.status().await, "disabled");
}

/// A hold and its end are the router's own; what failed before counts on.
#[tokio::test]
async fn a_hold_does_not_begin_the_row_anew() {
    let case = Case::of(3, Reply::Status(500)).await;
    case.send(1).await;
    case.receiver.now_answer(Reply::Status(404));
    case.send(1).await;
    assert_eq!(case.status().await, "held");
    case.receiver.now_answer(Reply::Status(500));
    case.router.advance(SECOND * 300).await;
    assert_eq!(case.status().await, "enabled", "two failures");
    case.send(1).await;
    assert_eq!(case.status().await, "disabled", "three");
}
