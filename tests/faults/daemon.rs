//! A router in a process of its own, watched from outside: what it holds (memory, threads, open files)
//! and whether it still lives. For neighbours that misbehave, who must leave no trace in it.
//!
//! The process runs on the time of this machine and is killed when this is dropped.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::router::{ADMIN_KEY, Answer};

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

/// A running router.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    client: reqwest::Client,
    own_data: Option<tempfile::TempDir>,
}

impl Daemon {
    /// Starts one that may deliver to this machine, with these settings (`plugins.threads=4`).
    pub fn start(settings: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut daemon = Self::on(data.path(), settings);
        daemon.own_data = Some(data);
        daemon
    }

    /// The same on a data directory that stays.
    pub fn on(data: &Path, settings: &[&str]) -> Self {
        let mut command = crate::support::process::program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--allow-http"])
            .args(["--allow-private-networks", "--data-dir"])
            .arg(data)
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            .env("HOOKWAY_LOG_FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut said = Vec::new();
        let mut address = None;
        for line in lines.by_ref().map_while(Result::ok) {
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            said.push(line);
            if let Some(text) = json["server.address"].as_str() {
                address = Some(text.parse().expect("an address"));
                break;
            }
        }
        let address = address.unwrap_or_else(|| panic!("it does not say where it listens: {said:#?}"));
        // Nobody needs the rest, but the process must be able to write it.
        std::thread::spawn(move || lines.for_each(drop));
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Self {
            child,
            address,
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            own_data: None,
        }
    }

    /// What it holds now.
    pub fn held(&self) -> Held {
        let of_process = |name: &str| format!("/proc/{}/{name}", self.child.id());
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
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("a number is taken");
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

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A call of its API with bytes.
    pub async fn call(&self, method: &str, path: &str, media: &str, body: Vec<u8>) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method.parse().expect("a method"), url);
        let request = request.header("content-type", media).bearer_auth(ADMIN_KEY);
        let response = request.body(body).send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "application/json", Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, "application/json", body.to_string().into_bytes())
            .await
    }

    /// Makes a subscription and gives its id.
    pub async fn subscribe(&self, body: &Value) -> String {
        self.post("/api/v1/subscriptions", body)
            .await
            .expect(201)
            .str("/id")
    }

    /// Sends an event and gives its id.
    pub async fn send(&self, event: &Value) -> String {
        self.post("/api/v1/events", event).await.expect(202).str("/id")
    }

    /// Stores a component under a name.
    pub async fn push(&self, name: &str, component: Vec<u8>) -> Answer {
        self.call(
            "PUT",
            &format!("/api/v1/plugins/{name}"),
            "application/wasm",
            component,
        )
        .await
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

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}
