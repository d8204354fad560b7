//! The router as a process of its own, for what a router inside of the test cannot show: the time of this
//! machine, and a sudden end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::router::ADMIN_KEY;

/// The router's program, without the variables that tell the tests how to run: to a router, every variable
/// that begins as its settings do and is none of them is a mistake.
pub fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hookway"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKWAY_") {
            program.env_remove(name);
        }
    }
    program
}

/// A running router. It is killed when this is dropped.
pub struct Process {
    child: Child,
    /// Where its API is.
    pub url: String,
    panicked: Arc<AtomicBool>,
}

impl Process {
    /// Starts a router on a data directory; it may deliver to this machine.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with settings, each `name=value`.
    pub fn start_with(data: &Path, settings: &[&str]) -> Self {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--allow-http"])
            .args(["--allow-private-networks", "--data-dir"])
            .arg(data)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            .env("HOOKWAY_LOG_FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find_map(|line| Some(line["server.address"].as_str()?.to_owned()))
            .expect("it says where it listens");
        // Read on to the end, so that nothing waits for it.
        let panicked = Arc::new(AtomicBool::new(false));
        let noted = panicked.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("panicked at") {
                    noted.store(true, Ordering::SeqCst);
                }
            }
        });
        let url = format!("http://{address}");
        Self { child, url, panicked }
    }

    /// SIGKILL: no time to do anything.
    pub fn kill(mut self) {
        self.child.kill().expect("it dies");
        self.child.wait().expect("it is gone");
    }
}

#[allow(
    dead_code,
    reason = "for the fault tests, which share this with the end-to-end tests"
)]
impl Process {
    /// Whether any of its threads has panicked so far.
    pub fn panicked(&self) -> bool {
        self.panicked.load(Ordering::SeqCst)
    }

    /// SIGTERM: asks it to end.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("it is our child") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(patience, ended).await.ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}
