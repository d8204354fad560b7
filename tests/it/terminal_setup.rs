//! The verbs that set a router up, as the real program: tenants, profiles, secrets, keys, tests.

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};
use crate::terminal::{call, good, hookway, text};

fn read(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// AE-17.
#[tokio::test]
async fn trigger_sends_the_sample_of_a_described_type() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"], "profile": "plain"}))
        .await;
    let trigger = ["trigger", "user.joined"];
    let unknown = call(&router, &trigger).await;
    assert_eq!(unknown.status.code(), Some(2));
    let why = text(&unknown.stderr);
    assert!(why.contains("no sample of \"user.joined\""), "{why}");
    good(&call(&router, &["event-types", "load", "workflows"]).await);
    let shown = router.get("/api/v1/event-types/user.joined").await;
    good(&call(&router, &trigger).await);
    let body = receiver.wait_for(1).await[0].json();
    assert_eq!(body, shown.body["sample"]);
    assert!(body.is_object(), "{body}");
    // A description without a sample is none.
    good(
        &call(
            &router,
            &["event-types", "put", "own.type", "--description", "en=Mine"],
        )
        .await,
    );
    assert_eq!(
        call(&router, &["trigger", "own.type"]).await.status.code(),
        Some(2)
    );
}

#[tokio::test]
async fn what_profiles_show_prints_can_be_put_as_the_help_says() {
    let router = TestRouter::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.toml");
    let path = file.to_str().unwrap();
    std::fs::write(
        &file,
        good(&call(&router, &["profiles", "show", "generic"]).await),
    )
    .unwrap();
    let nameless = call(&router, &["profiles", "put", path]).await;
    assert_eq!(nameless.status.code(), Some(2));
    assert!(
        text(&nameless.stderr).contains("--name"),
        "{}",
        text(&nameless.stderr)
    );
    good(&call(&router, &["profiles", "put", path, "--name", "acme"]).await);
    // One's own keeps its name, so that it can be put again as it is.
    let own = good(&call(&router, &["profiles", "show", "acme"]).await);
    assert!(own.starts_with("name = \"acme\"\n# version = 1\n"), "{own}");
    std::fs::write(&file, own).unwrap();
    good(&call(&router, &["profiles", "put", path]).await);
}

#[tokio::test]
async fn a_test_tells_its_verdict_and_the_hint_follows_it() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    receiver.now_answer(Reply::Status(410));
    let url = receiver.url();
    for (profile, verdict) in [("standard-webhooks", "disable"), ("workflows", "retry")] {
        let arguments = ["subscriptions", "test", "--url", &url, "--profile", profile];
        let tried = call(&router, &arguments).await;
        assert_eq!(tried.status.code(), Some(1));
        let shown = text(&tried.stdout);
        assert!(shown.contains(&format!("verdict {verdict} (took ")), "{shown}");
        assert!(
            shown.contains("disabled only where the verdict is `disable`"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_subscription_is_made_with_a_secret_of_ones_own_or_none() {
    let router = TestRouter::start().await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "a plain text\n").unwrap();
    let made = async |profile: &str, more: &[&str]| {
        let arguments = [
            "subscriptions",
            "create",
            "--name",
            "n",
            "--url",
            "https://example.com/hook",
            "--event",
            "a.b",
            "--json",
            "--profile",
            profile,
        ];
        call(&router, &[&arguments[..], more].concat()).await
    };
    let own = made("workflows", &["--secret-file", secret.to_str().unwrap()]).await;
    assert_eq!(read(&good(&own))["secret"], "a plain text");
    let none = made("inboundflow", &["--unsigned"]).await;
    assert_eq!(read(&good(&none)).get("secret").and_then(Value::as_str), None);
    let needed = made("workflows", &["--unsigned"]).await;
    assert_eq!(needed.status.code(), Some(1), "its profile always signs");
    assert!(!text(&made("workflows", &[]).await.stdout).contains("a plain text"));
}

#[tokio::test]
async fn a_tenant_is_shown_with_what_it_validates_and_changing_nothing_is_refused() {
    let router = TestRouter::start().await;
    good(&call(&router, &["tenants", "create", "acme"]).await);
    let nothing = call(&router, &["tenants", "update", "acme"]).await;
    assert_eq!(nothing.status.code(), Some(2));
    let why = text(&nothing.stderr);
    assert!(why.contains("--validate-events"), "{why}");
    good(
        &call(
            &router,
            &["tenants", "update", "acme", "--validate-events", "refuse"],
        )
        .await,
    );
    for arguments in [&["tenants", "show", "acme"][..], &["tenants", "list"]] {
        let shown = good(&call(&router, arguments).await);
        assert!(shown.contains("VALIDATES") && shown.contains("refuse"), "{shown}");
    }
}

#[tokio::test]
async fn a_path_in_place_of_the_key_is_told() {
    let router = TestRouter::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = hookway(&router, &["events", "list"]);
    command.env("HOOKWAY_KEY", file.path());
    let refused = tokio::task::spawn_blocking(move || command.output()).await;
    let refused = refused.unwrap().unwrap();
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(why.contains("--key-file names a file"), "{why}");
}

/// Somebody else's data directory is closed, not empty. Root may look everywhere: a file stands for it here.
#[test]
fn a_key_that_cannot_be_looked_for_is_not_said_to_be_missing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookway"));
    let command = command.args(["events", "list", "--data-dir"]).arg(file.path());
    let refused = command.output().unwrap();
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(why.contains("cannot be looked for"), "{why}");
}
