//! The system under test: a child process in a directory of its own, and calls to its API.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::connection::connect;
use crate::usage::{Holding, Usage};

/// The admin key of the router under test.
pub(crate) const KEY: &str = "hookway-bench-admin-key-0123456789abcdef";
/// The metric that counts transactions of the store.
const COMMITS: &str = "hookway_store_transactions_total";
/// Looks whether it is ready.
const LOOKS_MAX: u32 = 200;
/// Between two of them.
const LOOK: Duration = Duration::from_millis(50);

/// A child process that takes events at `address`.
pub(crate) struct Process {
    child: Child,
    /// `host:port`.
    pub address: String,
    /// Its data, removed with it.
    _data: tempfile::TempDir,
}

impl Process {
    /// Starts the router, with settings as in the environment beside the usual ones.
    pub(crate) async fn router(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(sibling("hookway")?)
            .args(["serve", "--listen", &address])
            .args(["--allow-http", "--allow-private-networks", "--data-dir"])
            .arg(data.path().join("data"))
            .env("HOOKWAY_ADMIN_KEY", KEY)
            .env("HOOKWAY_LOG", "error")
            .envs(settings.iter().copied())
            .current_dir(data.path())
            .stdout(Stdio::null())
            .spawn()
            .context("the router does not start")?;
        let process = Self {
            child,
            address,
            _data: data,
        };
        process.wait_until_ready().await?;
        Ok(process)
    }

    /// Starts the bare forwarder.
    pub(crate) fn forwarder(to: &str) -> anyhow::Result<Self> {
        use std::io::BufRead;
        let data = tempfile::tempdir()?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["forwarder", to])
            .stdout(Stdio::piped())
            .spawn()
            .context("the forwarder does not start")?;
        let output = child.stdout.take().context("the forwarder has no output")?;
        let mut address = String::new();
        std::io::BufReader::new(output).read_line(&mut address)?;
        Ok(Self {
            child,
            address: address.trim().to_owned(),
            _data: data,
        })
    }

    /// A call to the router's API; the answer must be a success.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method, path, body.to_string()).await?;
        if !status.is_success() {
            bail!(
                "{method} {path} answered {status}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Transactions of its store so far; `None` where it does not count them.
    pub(crate) async fn commits(&self) -> anyhow::Result<Option<f64>> {
        let (status, answer) = self.ask("GET", "/metrics", String::new()).await?;
        Ok(counted(&String::from_utf8_lossy(&answer)).filter(|_| status.is_success()))
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// What it has at this moment.
    pub(crate) fn holding(&self) -> anyhow::Result<Holding> {
        Holding::of(self.child.id())
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: String,
    ) -> anyhow::Result<(hyper::StatusCode, Bytes)> {
        let mut sender = connect(&self.address).await?;
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..LOOKS_MAX {
            if tokio::net::TcpStream::connect(&self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the router is not ready after ten seconds")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// A binary beside this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing; `cargo xtask bench` builds it", path.display());
    }
    Ok(path)
}

/// The count of commits among metrics. With labels there is a line for each kind of transaction.
fn counted(metrics: &str) -> Option<f64> {
    let counts = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(COMMITS)?;
        let of_it = rest.starts_with(['{', ' ']);
        rest.split_whitespace().last()?.parse().ok().filter(|_| of_it)
    });
    counts.reduce(|sum: f64, count: f64| sum + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_with_labels_and_without() {
        let text = "# HELP hookway_store_transactions x\nhookway_store_transactions_total 12\nhookway_other_total 5\n";
        assert_eq!(counted(text), Some(12.0));
        let labelled = "hookway_store_transactions_total{kind=\"a b\"} 3\nhookway_store_transactions_total{kind=\"c\"} 4\n";
        assert_eq!(counted(labelled), Some(7.0));
        assert_eq!(counted("hookway_store_transactions_total_ever 3\n"), None);
        assert_eq!(counted(""), None);
    }
}
