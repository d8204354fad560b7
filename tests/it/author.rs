//! The plugin author's loop: from `hookway plugin new` in a folder outside the workspace to a delivery,
//! with the real program and the machine's wasm toolchain.

mod dev;
mod program;
mod recipe;
mod swap;

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Receiver, TestRouter};
use program::{Author, PATIENCE, edit, target, text};

#[tokio::test]
async fn from_an_empty_folder_to_a_delivery() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let author = Author::new(Some(&router));
    let target = target();
    let target = target.to_str().expect("a path");
    let made = author.make("leads", "transform").await;
    assert!(
        made.contains("src/lib.rs") && made.contains("cargo test"),
        "{made}"
    );
    author.fail(2, &["plugin", "new", "leads"]).await;

    // The crate's own test, with cargo alone.
    let mut cargo = Command::new("cargo");
    for name in ["CARGO_MANIFEST_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo
        .args(["test", "--quiet", "--lib"])
        .current_dir(author.path("leads"))
        .env("CARGO_TARGET_DIR", Path::new(target).join("outside"));
    let tested = tokio::time::timeout(PATIENCE, cargo.output());
    let tested = tested.await.expect("in time").expect("cargo starts");
    assert!(tested.status.success(), "{}", text(&tested.stderr));

    let built = author
        .run(&["plugin", "build", "leads", "--target-dir", target])
        .await;
    assert!(
        built.contains("leads.wasm") && built.contains("hookway:plugin/log"),
        "{built}"
    );
    let wasm = format!("{target}/leads.wasm");
    let fixtures = author.path("leads/fixtures");
    let fixtures = fixtures.to_str().expect("a path");
    let test = ["plugin", "test", &wasm, "--fixtures", fixtures];
    let tested = author.run(&test).await;
    assert!(tested.contains("2 of 2 as expected"), "{tested}");

    // What comes otherwise is shown, fails, and can be taken as what is meant.
    edit(&author.path("leads/fixtures/lead.json"), "Ada", "Eda");
    let differs = author.fail(1, &test).await;
    assert!(
        differs.contains("-         \"text\": \"New lead: Ada")
            && differs.contains("+         \"text\": \"New lead: Eda"),
        "{differs}"
    );
    author.run(&[&test[..], &["--update"]].concat()).await;
    author.run(&test).await;

    let pushed = author
        .run(&[
            "plugin",
            "push",
            "leads",
            "leads",
            "--target-dir",
            target,
            "--json",
        ])
        .await;
    let pushed: Value = serde_json::from_str(&pushed).expect("JSON");
    assert_eq!(pushed["version"], "0.1.0");
    router
        .subscribe(
            &json!({"name": "Leads", "url": receiver.url(), "events": ["lead.*"],
            "plugins": [{"name": "leads", "config": {"greeting": "Hello"}}]}),
        )
        .await;
    let event = router
        .send(&json!({"type": "lead.created", "data": {"name": "Grace"}}))
        .await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(received.json(), json!({"text": "Hello: Grace"}));
    assert!(received.header("webhook-signature").starts_with("v1,"));
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "delivered");

    // The same event again: here, from history, and against what serves.
    let config = r#"{"greeting":"Hello"}"#;
    let again = [
        "plugin",
        "run",
        &wasm,
        "--event-id",
        &event,
        "--plugin-config",
        config,
        "--against",
        "leads",
    ];
    assert!(author.run(&again).await.contains("both do the same"));
    let digest: String = pushed["digest"]
        .as_str()
        .expect("a digest")
        .chars()
        .take(8)
        .collect();
    let pinned = format!("leads@{digest}");
    let asked = author
        .run(&[
            "plugin",
            "run",
            &pinned,
            "--event-id",
            &event,
            "--plugin-config",
            config,
        ])
        .await;
    assert!(asked.contains("\"text\": \"Hello: Grace\""), "{asked}");
    let seen = author.run(&["plugin", "inspect", "leads"]).await;
    assert!(
        seen.contains("sub_")
            && seen.contains("What stands before the name.")
            && seen.contains("\"New lead\""),
        "{seen}"
    );
}

#[tokio::test]
async fn the_other_templates_build_and_pass_their_own_tests() {
    let author = Author::new(None);
    let target = target();
    let target = target.to_str().expect("a path");
    for (name, template) in [("gate-out", "filter"), ("escalate-out", "emit")] {
        author.make(name, template).await;
        let tested = author
            .run(&["plugin", "test", name, "--target-dir", target, "--json"])
            .await;
        let tested: Value = serde_json::from_str(&tested).expect("JSON");
        assert_eq!(tested["passed"], true, "{tested:#}");
        assert_eq!(tested["fixtures"].as_array().map(Vec::len), Some(2));
    }
    let wasm = format!("{target}/gate-out.wasm");
    let seen = author.run(&["plugin", "inspect", &wasm]).await;
    assert!(seen.contains("at_least") && seen.contains("required"), "{seen}");
    let schema = author.run(&["plugin", "inspect", &wasm, "--schema"]).await;
    let schema: Value = serde_json::from_str(&schema).expect("a schema");
    assert_eq!(schema["properties"]["at_least"]["type"], "number");
}

#[tokio::test]
async fn first_party_plugins_run_without_a_router_or_a_key() {
    let author = Author::new(None);
    let event = ["--type", "lead.created", "--data", r#"{"score":80}"#];
    let jq = |program: &str| {
        let mut line = vec!["plugin".to_owned(), "run".to_owned(), "jq".to_owned()];
        line.extend(event.map(str::to_owned));
        line.extend([
            "--plugin-config".to_owned(),
            json!({ "program": program }).to_string(),
        ]);
        line
    };
    let line = jq("{s: .score}");
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let shown = author.run(&line).await;
    assert!(
        shown.contains("\"s\": 80") && shown.contains("plugin jq  deliver"),
        "{shown}"
    );
    let wrong = jq("{");
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let said = author.fail(2, &wrong).await;
    assert!(said.contains("/program line 1"), "{said}");

    std::fs::write(
        author.path("e.json"),
        r#"{"type":"push","data":{},"headers":{"X-GitHub-Event":"push"}}"#,
    )
    .expect("it can be written");
    let both = author
        .run(&[
            "plugin",
            "run",
            "slack",
            "--event",
            "e.json",
            "--against",
            "slack",
            "--json",
        ])
        .await;
    let both: Value = serde_json::from_str(&both).expect("JSON");
    assert_eq!(
        (&both["same"], &both["run"]["outcome"]),
        (&json!(true), &json!("deliver"))
    );

    let endless = r#"{"program":"def f: f; f"}"#;
    let fault = author
        .fail(
            1,
            &[
                "plugin",
                "run",
                "jq",
                "--type",
                "a",
                "--data",
                "{}",
                "--plugin-config",
                endless,
            ],
        )
        .await;
    assert!(fault.contains("broke a rule"), "{fault}");

    let unknown = author
        .fail(2, &["plugin", "run", "./nowhere", "--type", "a"])
        .await;
    assert!(unknown.contains("there is no ./nowhere"), "{unknown}");
    let seen = author.run(&["plugin", "inspect", "slack"]).await;
    assert!(
        seen.contains("min_severity") && seen.contains("x-github-event"),
        "{seen}"
    );
}

#[tokio::test]
async fn headers_reach_a_plugin_that_wants_them_here_and_on_a_router() {
    let router = TestRouter::start().await;
    let author = Author::new(Some(&router));
    let push = json!({"type": "webhook", "id": "1", "time": "2026-05-19T16:30:00Z", "data": {
        "ref": "refs/heads/main", "repository": {"full_name": "ada/engine"}, "pusher": {"name": "ada"},
        "commits": [{"message": "Add a loop", "id": "0123456789abcdef", "url": "https://example.com/c"}]}});
    let mut with_headers = push.clone();
    with_headers["headers"] = json!({"X-GitHub-Event": "other", "X-Other": "unseen"});
    let mut heard = Vec::new();
    for event in [&push, &with_headers] {
        std::fs::write(author.path("e.json"), event.to_string()).expect("it can be written");
        let here = author
            .run(&["plugin", "run", "slack", "--event", "e.json", "--json"])
            .await;
        let here: Value = serde_json::from_str(&here).expect("JSON");
        let headers = event.get("headers").cloned().unwrap_or(json!({}));
        let mut posted = event.clone();
        posted.as_object_mut().expect("an object").remove("headers");
        let there = router
            .post(
                "/api/v1/plugins/slack/run",
                &json!({"event": posted, "headers": headers, "config": {}}),
            )
            .await
            .expect(200);
        assert_eq!(here["requests"], there.body["requests"], "both run the same");
        heard.push(here["requests"][0]["body"].as_str().expect("text").to_owned());
    }
    let pushed = "ada pushed 1 commit to main";
    assert!(heard[0].contains(pushed), "{}", heard[0]);
    assert!(
        !heard[1].contains(pushed),
        "the header says that it is no push: {}",
        heard[1]
    );
}
