//! The system under test: a child process, measured through `/proc`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use crate::forwarder::connect;

/// The admin key of the router under test.
pub(crate) const KEY: &str = "hookway-bench-admin-key-0123456789abcdef";
/// Clock ticks a second in `/proc/<pid>/stat` (USER_HZ, fixed at 100 on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process that takes events at `address`.
pub(crate) struct Process {
    child: Child,
    /// `host:port`.
    pub address: String,
    /// Its data, removed with it.
    _data: tempfile::TempDir,
}

/// What the process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Bytes written to storage.
    pub written: u64,
    /// Peak resident memory in KiB.
    pub peak_kib: u64,
}

impl Process {
    /// Starts the router.
    pub(crate) async fn router() -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(sibling("hookway")?)
            .args([
                "serve",
                "--listen",
                &address,
                "--allow-http",
                "--allow-private-networks",
                "--data-dir",
            ])
            .arg(data.path().join("data"))
            .env("HOOKWAY_ADMIN_KEY", KEY)
            .env("HOOKWAY_LOG", "error")
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
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let mut sender = connect(&self.address).await?;
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!(
                "{method} {path} answered {status}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let base = PathBuf::from("/proc").join(self.child.id().to_string());
        let stat = std::fs::read_to_string(base.join("stat"))?;
        // Fields 14 and 15, counted behind the command's name, which is in parentheses.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: f64 = [11, 12]
            .iter()
            .filter_map(|at| fields.get(*at)?.parse::<f64>().ok())
            .sum();
        let number_after = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        let io = std::fs::read_to_string(base.join("io")).unwrap_or_default();
        let status = std::fs::read_to_string(base.join("status"))?;
        Ok(Usage {
            cpu: Duration::from_secs_f64(ticks / TICKS_PER_SECOND),
            written: number_after(&io, "write_bytes:"),
            peak_kib: number_after(&status, "VmHWM:"),
        })
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
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
