//! The router as a process of its own, for what a router inside of the test cannot show: the time of this
//! machine, what it holds, and a sudden end. Every test that needs one running starts it here.
//!
//! Whatever becomes of the test, the process ends with it: it is killed when its owner is dropped, which is
//! as soon as it was spawned and so also where a test panics because it does not say where it listens.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::client::{ADMIN_KEY, Client};

/// Longest that a start takes, on a machine that has other things to do: the first one compiles plugins.
const START_MAX: Duration = Duration::from_secs(120);
/// So many of the last lines of its log are shown where it does not start.
const SHOWN_LINES: usize = 20;

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

/// The program as a router on a data directory, with the usual admin key. It may deliver to this machine.
pub fn serve(data: &Path) -> Command {
    let mut program = program();
    program
        .args(["serve", "--listen", "127.0.0.1:0", "--allow-http"])
        .args(["--allow-private-networks", "--data-dir"])
        .arg(data)
        .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
        .env("HOOKWAY_LOG_FORMAT", "json");
    program
}

/// A child process that does not outlive its owner.
pub struct Leashed(pub Child);

impl Leashed {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A running router, which can be asked as its [`Client`].
pub struct Process {
    child: Leashed,
    /// Where it listens.
    pub address: SocketAddr,
    client: Client,
    log: Arc<Log>,
    reading: JoinHandle<()>,
}

/// What the log has shown so far.
#[derive(Default)]
struct Log {
    panicked: AtomicBool,
    ends_early: AtomicBool,
    last: Mutex<VecDeque<String>>,
}

impl Process {
    /// Starts a router on a data directory; it may deliver to this machine.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with settings, each `name=value`.
    pub fn start_with(data: &Path, settings: &[&str]) -> Self {
        let mut command = serve(data);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        Self::launch(command, None)
    }

    /// Runs a command that [`serve`] has begun, or one that ends up as such a one, and waits until it says
    /// where it listens. Its log goes into a file where somebody wants to read it.
    pub fn launch(mut command: Command, into: Option<File>) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = Leashed::start(&mut command);
        let errors = child.0.stderr.take().expect("piped");
        let log = Arc::new(Log::default());
        let (tell, listens) = mpsc::sync_channel(1);
        let reading = {
            let log = log.clone();
            std::thread::spawn(move || read(errors, &log, &tell, into))
        };
        let address: SocketAddr = listens.recv_timeout(START_MAX).unwrap_or_else(|_| {
            let last = log.last.lock().unwrap();
            panic!("it does not say where it listens, but {last:#?}")
        });
        Self {
            child,
            address,
            client: Client::at(format!("http://{address}")),
            log,
            reading,
        }
    }

    /// SIGKILL: no time to do anything.
    pub fn kill(self) {
        drop(self);
    }
}

#[allow(
    dead_code,
    reason = "for the fault tests, which share this with the end-to-end tests"
)]
impl Process {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Whether any of its threads has panicked so far.
    pub fn panicked(&self) -> bool {
        self.log.panicked.load(Ordering::SeqCst)
    }

    /// Whether it took the write-ahead log that it found for damaged.
    pub fn found_a_damaged_log(&self) -> bool {
        self.log.ends_early.load(Ordering::SeqCst)
    }

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.0.try_wait(), Ok(None))
    }

    /// SIGTERM: asks it to end.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let ended = async {
            loop {
                if let Some(status) = self.child.0.try_wait().expect("it is our child") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(patience, ended).await.ok()
    }

    /// Waits until its log is read to the end, which is when nobody has it open any more.
    pub fn log_is_whole(self) {
        let Self { child, reading, .. } = self;
        drop(child);
        reading.join().expect("who reads the log does not panic");
    }
}

impl Deref for Process {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Reads a log to its end, so that nothing waits for it to be read, and tells where the router listens.
fn read(errors: ChildStderr, log: &Log, tell: &mpsc::SyncSender<SocketAddr>, mut into: Option<File>) {
    for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
        if let Some(file) = &mut into {
            file.write_all(&line)
                .and_then(|()| file.write_all(b"\n"))
                .expect("the log has room");
        }
        let text = String::from_utf8_lossy(&line);
        if text.contains("panicked at") {
            log.panicked.store(true, Ordering::SeqCst);
        }
        if text.contains("hookway.db-wal ends early") || text.contains("hookway.db-wal has a damaged header")
        {
            log.ends_early.store(true, Ordering::SeqCst);
        }
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(address) = said["server.address"].as_str() {
            // It says so once; were it to say so again, nobody would wait for it.
            let _told = tell.try_send(address.parse().expect("an address"));
        }
        let mut last = log.last.lock().unwrap();
        if last.len() == SHOWN_LINES {
            last.pop_front();
        }
        last.push_back(text.into_owned());
    }
}
