//! The program itself on a disk that fails, for what a router inside of the test cannot show: that it ends.
//!
//! A limit on the size of files stands for the disk: from some write on, each that makes the log longer
//! fails.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::process::{Process, serve};

/// Blocks of the longest file; half a kilobyte each, in every shell.
const BLOCKS_MAX: u32 = 6_000;

/// Starts the program with the limit.
fn start_limited(data: &Path) -> Process {
    let serve = serve(data);
    // Without the signal, or the first long write would end the process.
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS_MAX}; exec \"$0\" \"$@\"");
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &script])
        .arg(serve.get_program())
        .args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    Process::launch(limited, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_ends_by_itself_with_an_error_and_the_next_one_has_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut limited = start_limited(&data);
    let mut done = Vec::new();
    let mut refused = 0;
    for n in 0..2_000_u64 {
        let pad = "x".repeat(40_000);
        let event = json!({"type": "load.made", "data": {"n": n, "pad": pad}});
        match limited.try_post("/api/v1/events", &event).await {
            Ok(answer) if answer.status == 202 => done.push((answer.str("/id"), n)),
            Ok(answer) => {
                assert!(answer.status >= 500, "{}", answer.text);
                refused += 1;
                break;
            }
            Err(_) => break,
        }
    }
    let ended = limited.ended(Duration::from_secs(30)).await;
    let status = ended.expect("it ends by itself");
    drop(limited);
    assert!(!status.success() && status.code().is_some(), "{status}");
    let process = Process::start(&data);
    for (id, n) in &done {
        let answer = process.get(&format!("/api/v1/events/{id}")).await;
        assert_eq!(answer.body["data"]["n"], *n, "{}", answer.text);
    }
    println!(
        "n-th error, the program: {} accepted, {refused} refused, exit {status}, {} there after the next start",
        done.len(),
        done.len()
    );
    assert!(done.len() > 10 && refused > 0, "it shows nothing");
}
