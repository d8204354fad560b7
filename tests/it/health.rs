//! `hookway health`: the exit code says how a router is, for containers, units and scripts.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::TestRouter;
use crate::support::process::{Leashed, program};
use crate::support::wire::answering;
use crate::terminal::{call, text};

fn health(url: &str, arguments: &[&str]) -> Command {
    let mut command = program();
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
    let address = answering(|request| {
        let status = if request.starts_with(b"GET /readyz ") {
            "503 Service Unavailable"
        } else {
            "200 OK"
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}")
    });
    let url = format!("http://{}", address.await);
    assert_eq!(code(health(&url, &[])).await, Some(0));
    assert_eq!(code(health(&url, &["--ready"])).await, Some(1));
    assert_eq!(code(health(&url, &["--ready", "--wait", "300ms"])).await, Some(1));
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
    let mut router = program();
    router
        .args(["serve", "--listen", &address.to_string(), "--data-dir"])
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _router = Leashed::start(&mut router);
    assert_eq!(waiting.await.unwrap(), Some(0));
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
