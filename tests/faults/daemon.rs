//! A router in a process of its own, watched from outside: what it holds (memory, threads, open files)
//! and whether it still lives. For neighbours that misbehave, who must leave no trace in it.
//!
//! The process runs on the time of this machine and is killed when this is dropped.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::Process;
use crate::support::router::Answer;

/// How long a test waits for what must happen before it says that it does not.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is asked for that nobody tells of.
const LOOK: Duration = Duration::from_millis(20);

/// The kernel counts processor time in hundredths of a second, whatever the machine (proc(5)).
const MS_PER_TICK: u64 = 10;

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// The most resident memory since the last [`Daemon::forget_peak`], in KiB.
    pub peak_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open files.
    pub descriptors: u64,
    /// Processor time that it has used so far, in milliseconds.
    pub cpu_ms: u64,
}

/// A running router, on a data directory that goes with it or one that stays.
pub struct Daemon {
    process: Process,
    _own_data: Option<tempfile::TempDir>,
}

impl Daemon {
    /// Starts one that may deliver to this machine, with these settings (`plugins.threads=4`).
    pub fn start(settings: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        Self {
            process: Process::start_with(data.path(), settings),
            _own_data: Some(data),
        }
    }

    /// The same on a data directory that stays.
    pub fn on(data: &Path, settings: &[&str]) -> Self {
        Self {
            process: Process::start_with(data, settings),
            _own_data: None,
        }
    }

    /// What it holds now.
    pub fn held(&self) -> Held {
        let of_process = |name: &str| format!("/proc/{}/{name}", self.process.id());
        let status = std::fs::read_to_string(of_process("status")).expect("the router lives");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let digits = line.and_then(|line| line.split_whitespace().next());
            digits.and_then(|digits| digits.parse().ok()).expect(name)
        };
        let stat = std::fs::read_to_string(of_process("stat")).expect("the router lives");
        // Behind the name, which may hold anything: state first, user and system time as the 12th and 13th.
        let times = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 = times
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Held {
            cpu_ms: ticks * MS_PER_TICK,
            rss_kib: number("VmRSS:"),
            peak_kib: number("VmHWM:"),
            threads: number("Threads:"),
            descriptors: std::fs::read_dir(of_process("fd")).expect("it lives").count() as u64,
        }
    }

    /// Lets the peak of its memory begin anew.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").expect("a number is taken");
    }

    /// Waits until it holds no more than this, and gives what it holds.
    pub async fn until_it_holds(&self, what: &str, fits: impl Fn(Held) -> bool) -> Held {
        let waiting = async {
            while !fits(self.held()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(reached.is_ok(), "{what}: it holds {:?}", self.held());
        self.held()
    }

    /// Stores a component under a name.
    pub async fn push(&self, name: &str, component: Vec<u8>) -> Answer {
        let (path, wasm) = (
            format!("/api/v1/plugins/{name}"),
            [("content-type", "application/wasm")],
        );
        self.call_raw("PUT", &path, &wasm, component).await
    }

    /// The newest delivery of a subscription once it satisfies a condition, read singly.
    pub async fn delivery(&self, subscription: &str, satisfied: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                let path = format!("/api/v1/subscriptions/{subscription}/deliveries?limit=1");
                let list = self.get(&path).await.expect(200);
                if let Some(id) = list.body["data"][0]["id"].as_str() {
                    last = self
                        .get(&format!("/api/v1/deliveries/{id}"))
                        .await
                        .expect(200)
                        .body;
                    if satisfied(&last) {
                        return;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(reached.is_ok(), "{subscription}: {last:#}");
        last
    }
}

impl Deref for Daemon {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
