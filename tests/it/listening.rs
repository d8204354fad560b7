//! `hookway listen` as a script and as a person uses it: beside a router, against senders of its own.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::Leashed;
use crate::support::{Receiver, TestRouter};
use crate::terminal::hookway;

/// A running `hookway listen`, and the lines that it writes.
struct Listening {
    child: Leashed,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    url: String,
}

impl Listening {
    async fn start(router: &TestRouter, arguments: &[&str], secret: Option<&str>) -> Self {
        let given = ["listen", "--port", "0", "--json", "--any-age"];
        let mut command = hookway(router, &[&given, arguments].concat());
        if let Some(secret) = secret {
            command.env("MY_SECRET", secret);
        }
        tokio::task::spawn_blocking(move || {
            let mut child = Leashed::start(&mut command);
            let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
            let first = lines.next().expect("a line").expect("text");
            let first: Value = serde_json::from_str(&first).expect("JSON");
            let url = first["listening"].as_str().expect("a URL").to_owned();
            Self { child, lines, url }
        })
        .await
        .expect("no panic")
    }

    /// Waits until it ends by itself: what it showed, and its exit code.
    async fn end(mut self) -> (Vec<Value>, Option<i32>) {
        tokio::task::spawn_blocking(move || {
            let lines = self
                .lines
                .map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"));
            let lines = lines.collect();
            (lines, self.child.0.wait().expect("it ended").code())
        })
        .await
        .expect("no panic")
    }
}

/// A subscription at this URL; its secret.
async fn subscribed(router: &TestRouter, url: &str) -> String {
    let body = json!({"name": "local", "url": url, "events": ["*"]});
    let made = router.post("/api/v1/subscriptions", &body).await.expect(201);
    made.str("/secret")
}

#[tokio::test]
async fn listen_verifies_what_a_router_sends() {
    let router = TestRouter::start().await;
    // The secret is known only once there is a subscription, and its URL only once there is a listener.
    let probe = Receiver::start().await;
    let secret = subscribed(&router, &probe.url()).await;
    let wrong = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    for (secret, right) in [(secret, true), (wrong, false)] {
        let arguments = ["--secret-env", "MY_SECRET", "--count", "1", "--path", "/x"];
        let listening = Listening::start(&router, &arguments, Some(&secret)).await;
        let change = json!({ "url": listening.url });
        let list = router.get("/api/v1/subscriptions").await;
        let path = format!("/api/v1/subscriptions/{}", list.str("/data/0/id"));
        router.call("PATCH", &path, &change).await.expect(200);
        let id = router.send(&json!({"type": "a.b", "data": {"n": 1}})).await;
        router.until(&id, "delivered").await;
        let (shown, code) = listening.end().await;
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0]["signature"]["right"], right, "{}", shown[0]);
        assert_eq!(shown[0]["path"], "/x");
        assert_eq!(code, Some(i32::from(!right)));
    }
}

#[tokio::test]
async fn listen_answers_by_its_script() {
    let router = TestRouter::with(|config| {
        config.dispatch.retry_waits = Some(vec![Duration::from_secs(5)]);
    })
    .await;
    let listening = Listening::start(
        &router,
        &["--status", "503,200", "--count", "2", "--body", "hi"],
        None,
    )
    .await;
    subscribed(&router, &listening.url).await;
    let id = router.send(&json!({"type": "a.b", "data": {}})).await;
    router.settle().await;
    router.advance(Duration::from_secs(60)).await;
    router.until(&id, "delivered").await;
    let (shown, code) = listening.end().await;
    let answered: Vec<&Value> = shown.iter().map(|line| &line["answered"]).collect();
    assert_eq!(answered, [503, 200]);
    assert_eq!((&shown[0]["signature"], code), (&Value::Null, Some(0)));
    assert_eq!(
        router.delivery_of(&id).await["attempts"][1]["response"]["body"],
        "hi"
    );
}

#[tokio::test]
async fn listen_ends_at_an_interrupt_with_success() {
    let router = TestRouter::start().await;
    let listening = Listening::start(&router, &["--status", "204"], None).await;
    let client = crate::support::client::http();
    let answered = client.get(&listening.url).send().await.unwrap();
    assert_eq!(answered.status().as_u16(), 204);
    let interrupt = Command::new("kill")
        .args(["-INT", &listening.child.0.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let (shown, code) = listening.end().await;
    assert_eq!((shown.len(), code), (1, Some(0)));
    assert_eq!(shown[0]["method"], "GET");
}

#[tokio::test]
async fn listen_says_when_its_port_is_taken() {
    let router = TestRouter::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = hookway(&router, &["listen", "--port", &port]);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let why = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1));
    assert!(why.contains(&port) && why.contains("--port 0"), "{why}");
}
