//! The router as a process of its own, for what a router inside of the test cannot show: the time of this
//! machine, and a sudden end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::router::ADMIN_KEY;

/// A running router. It is killed when this is dropped.
pub struct Process {
    child: Child,
    /// Where its API is.
    pub url: String,
}

impl Process {
    /// Starts a router on a data directory; it may deliver to this machine.
    pub fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hookway"))
            .args(["serve", "--listen", "127.0.0.1:0", "--allow-http"])
            .args(["--allow-private-networks", "--data-dir"])
            .arg(data)
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
        // Nobody reads on, so nothing may wait for it.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{address}");
        Self { child, url }
    }

    /// SIGKILL: no time to do anything.
    pub fn kill(mut self) {
        self.child.kill().expect("it dies");
        self.child.wait().expect("it is gone");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}
