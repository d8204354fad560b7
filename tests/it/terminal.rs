//! The command line against a real router: the real program, its output and its exit codes.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::router::ADMIN_KEY;
use crate::support::{Receiver, Reply, TestRouter};

/// The program as a person at this router would call it.
pub fn hookway(router: &TestRouter, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookway"));
    command
        .args(arguments)
        .env("HOOKWAY_URL", router.url(""))
        .env("HOOKWAY_KEY", ADMIN_KEY)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end while the router goes on.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it starts"))
        .await
        .expect("no panic")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub fn good(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub async fn call(router: &TestRouter, arguments: &[&str]) -> Output {
    run(hookway(router, arguments)).await
}

fn orders(receiver: &Receiver) -> Value {
    json!({"name": "Orders", "key": "orders", "url": receiver.url(), "events": ["order.*"]})
}

#[tokio::test]
async fn send_follows_an_event_through_failures_to_its_end() {
    let router = TestRouter::with(|config| {
        config.dispatch.retry_waits = Some(vec![Duration::from_secs(5), Duration::from_secs(60)]);
    })
    .await;
    let receiver = Receiver::scripted([Reply::Status(503), Reply::Status(500)], Reply::Status(200)).await;
    router.subscribe(&orders(&receiver)).await;
    let sending = call(
        &router,
        &[
            "send",
            "order.paid",
            "--data",
            "{\"total\":5}",
            "--wait",
            "--timeout",
            "60s",
        ],
    );
    let time = async {
        for requests in 1..=2 {
            receiver.wait_for(requests).await;
            router.settle().await;
            router.advance(Duration::from_secs(120)).await;
        }
    };
    let (sent, ()) = tokio::join!(sending, time);
    let story = good(&sent);
    for expected in [
        "order.paid  from",
        "matches  Orders",
        "attempt 1  503",
        "attempt 2  500",
        "attempt 3  200",
        "  delivered  ",
    ] {
        assert!(story.contains(expected), "{expected}\n{story}");
    }
}

#[tokio::test]
async fn send_says_which_delivery_failed_and_which_took_too_long() {
    let router = TestRouter::start().await;
    let receiver = Receiver::scripted([Reply::Status(400)], Reply::Status(503)).await;
    router.subscribe(&orders(&receiver)).await;
    let failed = call(&router, &["send", "order.paid", "--wait"]).await;
    assert_eq!(failed.status.code(), Some(1));
    let (story, why) = (text(&failed.stdout), text(&failed.stderr));
    assert!(story.contains("hookway deliveries resend dlv_"), "{story}");
    assert!(why.contains("error: dlv_") && why.contains(" is failed"), "{why}");
    // The first attempt is over before anybody can watch; it is told all the same, and once.
    let watched = call(&router, &["send", "order.paid", "--wait", "--timeout", "1s"]).await;
    let seen = text(&watched.stdout) + &text(&watched.stderr);
    assert_eq!(seen.matches("  #1  503").count(), 1, "{seen}");
    let late = call(
        &router,
        &["send", "order.paid", "--wait", "--timeout", "500ms", "--json"],
    )
    .await;
    assert_eq!(late.status.code(), Some(1));
    assert!(
        text(&late.stderr).contains("not all has ended within 500ms: dlv_"),
        "{}",
        text(&late.stderr)
    );
    let document: Value = serde_json::from_slice(&late.stdout).unwrap();
    assert_eq!(document["deliveries"][0]["status"], "pending");
    let nothing = call(&router, &["send", "nobody.wants", "--wait"]).await;
    assert!(
        good(&nothing).contains("matched no subscription"),
        "{}",
        text(&nothing.stdout)
    );
}

#[tokio::test]
async fn an_event_that_ended_before_anybody_looked_is_told_too() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    router.subscribe(&orders(&receiver)).await;
    let first = call(&router, &["send", "order.paid", "--id", "1", "--wait"]).await;
    good(&first);
    router.settle().await;
    let again = call(&router, &["send", "order.paid", "--id", "1", "--wait"]).await;
    assert!(good(&again).contains("delivered"), "{}", text(&again.stdout));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn an_event_is_shown_with_why_it_did_not_match() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    router.subscribe(&orders(&receiver)).await;
    let leads = json!({"name": "Rich leads", "url": receiver.url(), "events": ["order.*"], "filter": "data.total > 50"});
    router.subscribe(&leads).await;
    let id = router
        .send(&json!({"type": "order.paid", "source": "shop", "id": "ord_17", "data": {"total": 5}}))
        .await;
    router.settle().await;
    let story = good(&call(&router, &["events", "show", &id]).await);
    for expected in [
        "order.paid  from shop",
        "producer's id  ord_17",
        "matched 1 subscription when it was accepted",
        "as they are configured now",
        "matches  Orders (sub_",
        "no       Rich leads (sub_",
        "the filter says no",
        "  to Orders (sub_",
        "webhook-signature: v1,",
        "attempt 1  200",
        "curl -sSi -X POST http://",
    ] {
        assert!(story.contains(expected), "{expected}\n{story}");
    }
    let document: Value =
        serde_json::from_str(&good(&call(&router, &["events", "show", &id, "--json"]).await)).unwrap();
    assert_eq!(document["data"]["total"], 5);
    assert_eq!(document["deliveries"][0]["status"], "delivered");
    assert_eq!(document["matches"].as_array().unwrap().len(), 2);
}

/// Runs what was printed as a person would who copied it.
async fn in_a_shell(router: &TestRouter, line: &str) {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_hookway"));
    let mut path = std::ffi::OsString::from(program.parent().expect("it is in a directory"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .env("PATH", path)
        .env("HOOKWAY_URL", router.url(""))
        .env("HOOKWAY_KEY", ADMIN_KEY)
        .env("no_proxy", "*");
    good(&run(command).await);
}

#[tokio::test]
async fn the_printed_curl_repeats_the_request_byte_for_byte() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let url = format!("{}/a?list[]=1&x={{y}}", receiver.url());
    let subscription = json!({"name": "n", "url": url, "events": ["*"], "profile": "plain",
        "headers": {"X-Team": "o'ps \"$HOME\" `id`", "X-Api-Key": "k$1"}});
    router.subscribe(&subscription).await;
    let long = format!("\"{}\"", "x".repeat(5_000));
    let cases: [(&str, &[u8]); 5] = [
        (
            "application/json",
            b"{ \"it's\": \"$(id) `id` \\\\ \xC3\xA9\",\n\t\"n\": 1.50 }\n",
        ),
        ("text/plain", b"@/etc/passwd"),
        ("application/octet-stream", b"\x00\xff\r\n'"),
        ("text/plain", b"a\r\nb\x1b[2J"),
        ("application/json", long.as_bytes()),
    ];
    for (media, data) in cases {
        let before = receiver.received().len();
        let base64 = data_encoding::BASE64.encode(data);
        let event = json!({"type": "a.b", "datacontenttype": media, "data_base64": base64});
        let id = router.send(&event).await;
        receiver.wait_for(before + 1).await;
        router.settle().await;
        let delivery = router.delivery_of(&id).await["id"].as_str().unwrap().to_owned();
        let line = good(&call(&router, &["deliveries", "show", &delivery, "--curl"]).await);
        in_a_shell(&router, line.trim_end()).await;
        let all = receiver.wait_for(before + 2).await;
        let (original, repeated) = (&all[before], &all[before + 1]);
        assert_eq!(original.body, repeated.body, "{line}");
        assert_eq!(
            (&original.method, &original.path),
            (&repeated.method, &repeated.path)
        );
        assert_eq!(
            original.headers.len(),
            repeated.headers.len(),
            "{original:?}\n{repeated:?}"
        );
        for (name, value) in &original.headers {
            assert_eq!(repeated.headers.get(name), Some(value), "{name} {line}");
        }
        let body = call(&router, &["deliveries", "show", &delivery, "--body"]).await;
        assert_eq!(body.stdout, original.body);
    }
}

#[tokio::test]
async fn trigger_sends_samples_changed_as_wanted() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"], "profile": "plain"}))
        .await;
    let arguments = [
        "trigger",
        "order.paid",
        "--override",
        "items.0.quantity=3",
        "--remove",
        "tax",
        "--wait",
    ];
    good(&call(&router, &arguments).await);
    let body = receiver.wait_for(1).await[0].json();
    assert_eq!(body["items"][0]["quantity"], 3);
    assert_eq!((&body["tax"], &body["currency"]), (&Value::Null, &json!("EUR")));
    assert_eq!(receiver.received()[0].header("hookway-event-source"), "shop");
    // What is unknown is refused with what is known, until one has come.
    let unknown = call(&router, &["trigger", "my.type"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("order.paid"),
        "{}",
        text(&unknown.stderr)
    );
    good(
        &call(
            &router,
            &[
                "trigger",
                "my.type",
                "--data",
                "{ \"mine\": 1.0 }",
                "--source",
                "me",
            ],
        )
        .await,
    );
    receiver.wait_for(2).await;
    good(&call(&router, &["trigger", "my.type", "--count", "2"]).await);
    let all = receiver.wait_for(4).await;
    let mut ids: Vec<&str> = all[1..]
        .iter()
        .map(|request| request.header("hookway-event-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each is an event of its own");
    for request in &all[1..] {
        assert_eq!(&request.body[..], b"{ \"mine\": 1.0 }");
        assert_eq!(request.header("hookway-event-source"), "me");
    }
    let list = good(&call(&router, &["trigger", "--list"]).await);
    assert!(
        list.contains("github.issues.opened") && list.contains("stripe.invoice.paid"),
        "{list}"
    );
}

#[tokio::test]
async fn a_key_that_may_only_read_is_shown_no_url() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let url = format!("{}/s3cret-path", receiver.url());
    let subscription =
        json!({"name": "n", "url": url, "events": ["*"], "headers": {"X-Token": "s3cret-header"}});
    router.subscribe(&subscription).await;
    let id = router.send(&json!({"type": "a.b", "data": {}})).await;
    receiver.wait_for(1).await;
    router.settle().await;
    let made = router
        .post("/api/v1/keys", &json!({"name": "k", "scopes": ["read"]}))
        .await;
    let key = made.expect(201).str("/key");
    for switches in [&["--full"][..], &["--curl"], &["--json"]] {
        let mut command = hookway(&router, &[&["events", "show", &id], switches].concat());
        command.env("HOOKWAY_KEY", &key);
        let shown = good(&run(command).await);
        assert!(!shown.contains("s3cret"), "{shown}");
        if switches != ["--json"] {
            assert!(
                shown.contains("\"$ENDPOINT_URL\"") && shown.contains("$HEADER_X_TOKEN"),
                "{shown}"
            );
        }
    }
}
