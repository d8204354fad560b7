//! The program itself on a disk that fails, for what a router inside of the test cannot show: that it ends.
//!
//! A limit on the size of files stands for the disk: from some write on, each that makes the log longer
//! fails.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::router::ADMIN_KEY;

/// Blocks of the longest file; half a kilobyte each, in every shell.
const BLOCKS_MAX: u32 = 6_000;

/// Starts the program with the limit; gives it with where its API is.
fn start_limited(data: &Path) -> (Child, String) {
    // Without the signal, or the first long write would end the process.
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS_MAX}; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_hookway")])
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
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
    (child, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_ends_by_itself_with_an_error_and_the_next_one_has_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let (mut child, url) = start_limited(&data);
    // Another test of this process may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut done = Vec::new();
    let mut refused = 0;
    for n in 0..2_000_u64 {
        let pad = "x".repeat(40_000);
        let event = json!({"type": "load.made", "data": {"n": n, "pad": pad}});
        let request = http.post(format!("{url}/api/v1/events"));
        let request = request.bearer_auth(ADMIN_KEY).json(&event);
        match request.send().await {
            Ok(answer) if answer.status() == 202 => {
                let body: Value = answer.json().await.expect("JSON");
                done.push((body["id"].as_str().expect("an id").to_owned(), n));
            }
            Ok(answer) => {
                assert!(answer.status().is_server_error(), "{}", answer.status());
                refused += 1;
                break;
            }
            Err(_) => break,
        }
    }
    let ending = async {
        loop {
            if let Some(status) = child.try_wait().expect("it is our child") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), ending).await;
    if ended.is_err() {
        child.kill().expect("it dies");
        child.wait().expect("it is gone");
    }
    let status = ended.expect("it ends by itself");
    assert!(!status.success() && status.code().is_some(), "{status}");
    let process = Process::start(&data);
    for (id, n) in &done {
        let request = http.get(format!("{}/api/v1/events/{id}", process.url));
        let answer = request.bearer_auth(ADMIN_KEY).send().await;
        let body: Value = answer.expect("an answer").json().await.expect("JSON");
        assert_eq!(body["data"]["n"], *n, "{body}");
    }
    println!(
        "n-th error, the program: {} accepted, {refused} refused, exit {status}, {} there after the next start",
        done.len(),
        done.len()
    );
    assert!(done.len() > 10 && refused > 0, "it shows nothing");
}
