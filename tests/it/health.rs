//! `hookway health`: the exit code says how a router is, for containers, units and scripts.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::TestRouter;
use crate::terminal::{call, text};

fn health(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookway"));
    command
        .arg("health")
        .args(arguments)
        .env("HOOKWAY_URL", url)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn code(mut command: Command) -> Option<i32> {
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.expect("no panic").expect("it runs").status.code()
}

#[tokio::test]
async fn a_router_is_well_as_long_as_it_serves() {
    let mut router = TestRouter::start().await;
    let url = router.url("");
    for arguments in [vec![], vec!["--ready"], vec!["--ready", "--wait", "5s"]] {
        assert_eq!(code(health(&url, &arguments)).await, Some(0), "{arguments:?}");
    }
    // It needs no key.
    let said = text(&call(&router, &["health", "--json"]).await.stdout);
    assert!(said.contains("\"ok\": true"), "{said}");
    router.stop().await;
    for arguments in [vec![], vec!["--ready"], vec!["--wait", "300ms"]] {
        assert_eq!(code(health(&url, &arguments)).await, Some(3), "{arguments:?}");
    }
}

/// A router that is alive, and not ready: it says so as one that shuts down does.
#[tokio::test]
async fn who_lives_and_is_not_ready_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4_096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let ready = String::from_utf8_lossy(&head[..read]).starts_with("GET /readyz ");
            let status = if ready {
                "503 Service Unavailable"
            } else {
                "200 OK"
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    assert_eq!(code(health(&url, &[])).await, Some(0));
    assert_eq!(code(health(&url, &["--ready"])).await, Some(1));
    assert_eq!(code(health(&url, &["--ready", "--wait", "300ms"])).await, Some(1));
    serving.abort();
}

/// As `ExecStartPost` of a unit does it: it asks before anybody listens.
#[tokio::test]
async fn whoever_waits_is_told_when_it_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let url = format!("http://{address}");
    let waiting = tokio::spawn(code(health(&url, &["--ready", "--wait", "60s"])));
    let mut router = Command::new(env!("CARGO_BIN_EXE_hookway"))
        .args(["serve", "--listen", &address.to_string(), "--data-dir"])
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = waiting.await.unwrap();
    router.kill().unwrap();
    router.wait().unwrap();
    assert_eq!(told, Some(0));
}

/// A small image has no certificates, and asks on 127.0.0.1 all the same.
#[tokio::test]
async fn no_certificates_are_needed_to_ask() {
    let router = TestRouter::start().await;
    let mut command = health(&router.url(""), &["--ready"]);
    command.env("SSL_CERT_FILE", "/nonexistent/file");
    command.env("SSL_CERT_DIR", "/nonexistent");
    assert_eq!(code(command).await, Some(0));
}
