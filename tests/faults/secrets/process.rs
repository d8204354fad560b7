//! The router as a process at its most talkative, with its log in a file.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::ADMIN_KEY;
use crate::support;
use crate::support::process::serve;

/// How long something may take before the test says that it does not happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The router as a process, with its log in a file.
pub struct Process(support::Process);

impl Process {
    pub fn start(dir: &Path) -> Self {
        let mut command = serve(&dir.join("data"));
        command
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            // The machine is busy with other tests.
            .env("HOOKWAY_PLUGINS__COMPILE_WALL_MS", "120s")
            .env("HOOKWAY_LOG", "trace");
        let log = File::create(dir.join("log")).expect("a file");
        let mut process = support::Process::launch(command, Some(log));
        process.use_key(ADMIN_KEY);
        Self(process)
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let bearer = format!("Bearer {key}");
        let mut headers = headers.to_vec();
        if !key.is_empty() {
            headers.push(("authorization", &bearer));
        }
        let answer = self.0.call_open(method, path, &headers, body.to_owned()).await;
        (answer.status, answer.text)
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

    /// Ends it in order; its log is whole then.
    pub async fn end(mut self) {
        self.0.terminate();
        let ended = self.0.ended(PATIENCE).await.expect("it ends by itself");
        assert!(ended.success(), "{ended}");
        self.0.log_is_whole();
    }
}

impl Deref for Process {
    type Target = support::client::Client;

    fn deref(&self) -> &Self::Target {
        &self.0
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
