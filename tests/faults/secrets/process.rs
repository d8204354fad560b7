//! The router as a process at its most talkative, with its log in a file.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::ADMIN_KEY;

/// How long something may take before the test says that it does not happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The router as a process, with its log in a file.
pub struct Process {
    child: Child,
    pub url: String,
    pub client: reqwest::Client,
}

impl Process {
    pub async fn start(dir: &Path) -> Self {
        let log = dir.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_hookway"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--allow-http",
                "--allow-private-networks",
            ])
            .arg("--data-dir")
            .arg(dir.join("data"))
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            // The machine is busy with other tests.
            .env("HOOKWAY_PLUGINS__COMPILE_WALL_MS", "120s")
            .env("HOOKWAY_LOG", "trace")
            .env("HOOKWAY_LOG_FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("it starts");
        // Another test of this process may have installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut process = Self {
            child,
            url: String::new(),
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
        };
        process.url = eventually("it says where it listens", || async {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let mut lines = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find_map(|line| Some(format!("http://{}", line["server.address"].as_str()?)))
        })
        .await;
        process
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        let answer = request.body(body.to_owned()).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// A call of the operator's, whose answer is JSON or nothing.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = [("content-type", "application/json")];
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = self.ask(method, path, ADMIN_KEY, &headers, &body).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    pub async fn made(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call("POST", path, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    pub async fn end(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is there");
        let child = &mut self.child;
        let waited = tokio::task::block_in_place(|| child.wait()).expect("it ends");
        assert!(waited.success(), "{waited}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Asks again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}
