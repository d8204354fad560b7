//! A router under load whose process ends and begins again: what the tests about sudden and ordered ends
//! have in common. Producers send without a pause, a receiver keeps account, and the same data directory
//! goes from one process to the next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account::Account;
use crate::counting::{Counting, FLAKY, HUNG, PLAIN, SHAPED, SLOW};
use crate::senders::{Believe, Producers, TYPE};
use crate::support::Process;

/// Producers that send at the same time.
const PRODUCERS: u32 = 8;
/// While something is pending, something arrives within this time, also on a busy machine.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Requests in flight of the lane that answers a little later: so many that it keeps up.
pub const SLOW_IN_FLIGHT: usize = 32;
/// Retries come soon, and often enough that no delivery is given up.
const RETRIES: &str = "dispatch.retry_waits=100ms, 100ms, 200ms, 200ms, 500ms, 500ms, 1s, 1s, 1s, 1s, 1s, 1s";

/// A router, its producers and its receiver.
pub struct UnderLoad {
    pub account: Arc<Account>,
    pub receiver: Counting,
    producers: Option<Producers>,
    process: Option<Process>,
    settings: Vec<String>,
    lanes: Vec<&'static str>,
    dir: tempfile::TempDir,
}

/// The counters of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    pub created: u64,
    pub delivered: u64,
    pub filtered: u64,
    pub failed: u64,
    pub pending: u64,
}

impl UnderLoad {
    /// A router with a subscription for each lane, each with so many requests in flight at the most
    /// ([`SLOW_IN_FLIGHT`] of the slow one), and producers that have begun to send.
    pub async fn start(lanes: &[&'static str], in_flight: usize, settings: &[&str]) -> Self {
        let account = Arc::new(Account::default());
        let receiver = Counting::start(account.clone()).await;
        let producers = Producers::start(PRODUCERS, &account, Believe::Answers);
        let mut settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        settings.push(RETRIES.to_owned());
        let mut load = Self {
            account,
            receiver,
            producers: Some(producers),
            process: None,
            settings,
            lanes: lanes.to_vec(),
            dir: tempfile::tempdir().expect("a directory"),
        };
        load.begin_quietly();
        for lane in lanes {
            let mut wish = json!({"name": lane, "key": lane, "url": load.receiver.url(lane), "events": [TYPE],
                "max_in_flight": in_flight});
            if *lane == SLOW {
                wish["max_in_flight"] = json!(SLOW_IN_FLIGHT);
            }
            if *lane == SHAPED {
                wish["plugins"] = json!([{"name": "slack", "config": {}}]);
            }
            load.call("POST", "subscriptions", &wish).await;
        }
        load.let_in();
        load
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn begin_quietly(&mut self) {
        self.account.begin_life();
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.process = Some(Process::start_with(&self.data(), &settings));
    }

    fn let_in(&self) {
        self.tell_producers(Some(&self.process().url));
    }

    fn tell_producers(&self, url: Option<&str>) {
        if let Some(producers) = &self.producers {
            producers.router_is_at(url);
        }
    }

    /// Nothing more is sent once every producer has its last event acknowledged. Gives how often an event
    /// was sent again.
    pub async fn stop_producers(&mut self) -> u64 {
        self.producers.take().expect("working").finish().await
    }

    /// The router that runs.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("running")
    }

    /// Starts it again, on the same data.
    pub fn begin(&mut self) {
        self.begin_quietly();
        self.let_in();
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        let process = self.process.take().expect("running");
        assert!(!process.panicked(), "a thread of the router panicked");
        assert!(
            !process.found_a_damaged_log(),
            "what kill -9 leaves is taken for damage"
        );
        process.kill();
        self.is_gone().await;
    }

    /// Takes the process, to be ended in another way; [`Self::is_gone`] says that it has.
    pub fn take_process(&mut self) -> Process {
        self.process.take().expect("running")
    }

    /// Everybody is to know that the process has ended.
    pub async fn is_gone(&self) {
        self.tell_producers(None);
        self.receiver.rest().await;
    }

    /// A call of the API that succeeds.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self
            .process()
            .call(method, &format!("/api/v1/{path}"), body)
            .await;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            answer.text
        );
        answer.body
    }

    /// What the router itself has counted for a lane.
    pub async fn counters(&self, lane: &str) -> Counters {
        let shown = self
            .call("GET", &format!("subscriptions/{lane}"), &json!({}))
            .await;
        let count = |name: &str| shown["deliveries"][name].as_u64().expect("a count");
        Counters {
            created: count("created"),
            delivered: count("delivered"),
            filtered: count("filtered"),
            failed: count("failed"),
            pending: count("pending"),
        }
    }

    /// Waits until nothing is pending but for the lane that never answers; as long as it takes, while
    /// something still arrives.
    pub async fn drain(&self) {
        let (mut left, mut since) = (u64::MAX, Instant::now());
        loop {
            let mut pending = 0;
            for lane in self.lanes.iter().filter(|lane| **lane != HUNG) {
                pending += self.counters(lane).await.pending;
            }
            if pending == 0 {
                return;
            }
            if pending < left {
                (left, since) = (pending, Instant::now());
            }
            assert!(
                since.elapsed() < STALL_MAX,
                "{pending} accepted deliveries stay pending"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The promise of the counters: each lane got a delivery for every event, and knows what became of it.
    pub async fn counters_agree(&self) {
        let events = self.account.acknowledged() as u64;
        for lane in &self.lanes {
            let found = self.counters(lane).await;
            let sum = found.delivered + found.filtered + found.failed + found.pending;
            assert_eq!(found.created, sum, "{lane}: {found:?}");
            assert_eq!(found.created, events, "{lane}: {found:?}");
            assert_eq!(found.failed, 0, "{lane}: {found:?}");
            if *lane != HUNG {
                assert_eq!(found.delivered, events, "{lane}: {found:?}");
            }
        }
    }
}

/// The lanes of which each event must arrive.
pub const ANSWERING: [&str; 3] = [PLAIN, SHAPED, FLAKY];
