//! `hookway trigger --secret-file` against a real router: samples that arrive at a source as its service
//! would send them. The router is a process with the time of this machine, since signatures have it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::router::ADMIN_KEY;
use crate::support::{Process, Receiver, TestRouter};
use crate::terminal::{good, text};

/// A public key that nobody here has the private one of (RFC 8032, section 7.1, test 1).
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const PUSH: &[u8] = include_bytes!("../../host/src/cli/samples/github.push.json");

/// A router, and a directory for secrets.
struct Desk {
    router: Process,
    dir: tempfile::TempDir,
}

impl Desk {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let router = Process::start(&dir.path().join("data"));
        Self { router, dir }
    }

    /// Runs a command to its end while tasks of the test go on.
    async fn call(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookway"));
        command
            .args(arguments)
            .env("HOOKWAY_URL", &self.router.url)
            .env("HOOKWAY_KEY", ADMIN_KEY)
            .env("NO_COLOR", "1")
            .env("WEBHOOK_SECRET_OF_A_TEST", "wrong")
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        output.await.unwrap().unwrap()
    }

    fn secret(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("secret");
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path
    }

    /// Makes a source of a preset, named like it.
    async fn source(&self, preset: &str, secret: &str) {
        let secret = self.secret(secret);
        let secret = secret.to_str().unwrap();
        let mut arguments = vec!["sources", "create", "--name", preset, "--preset", preset];
        if preset != "none" {
            arguments.extend(["--secret-file", secret]);
        }
        if preset == "meta" {
            arguments.extend(["--verify-token-file", secret]);
        }
        // Both sign the address.
        if matches!(preset, "twilio" | "trello") {
            arguments.extend(["--public-url", "https://hooks.example.com/in"]);
        }
        good(&self.call(&arguments).await);
    }

    /// Triggers a type through a source with more flags, and reads the answer.
    async fn trigger(&self, event_type: &str, source: &str, secret: &str, more: &[&str]) -> Value {
        let path = self.secret(secret);
        let path = path.to_str().unwrap();
        let mut arguments = vec![
            "trigger",
            event_type,
            "--source",
            source,
            "--json",
            "--secret-file",
            path,
        ];
        arguments.extend(more);
        let answer = good(&self.call(&arguments).await);
        let last = answer.trim_end();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
    }
}

#[tokio::test]
async fn a_push_arrives_as_github_would_send_it() {
    // Installs what the receiver's test client needs.
    let _provider = TestRouter::start().await;
    let (router, receiver) = (Desk::start(), Receiver::start().await);
    router.source("github", "s3cret").await;
    let url = receiver.url();
    let subscription = [
        "subscriptions",
        "create",
        "--name",
        "p",
        "--event",
        "github.*",
        "--profile",
        "plain",
    ];
    good(&router.call(&[&subscription[..], &["--url", &url]].concat()).await);

    let path = router.secret("s3cret");
    let path = path.to_str().unwrap();
    let told = router
        .call(&[
            "trigger",
            "github.push",
            "--source",
            "github",
            "--secret-file",
            path,
            "--wait",
        ])
        .await;
    assert!(good(&told).contains("delivered"), "{}", text(&told.stdout));
    let arrived = receiver.wait_for(1).await;
    assert_eq!(&arrived[0].body[..], PUSH.trim_ascii(), "byte for byte");
    assert_eq!(arrived[0].header("hookway-event-type"), "github.push");
    assert_eq!(arrived[0].header("hookway-event-source"), "github");

    // Each is an event of its own, also of a type that stands in two places.
    let ids: Vec<Value> = {
        let more = ["--override", "action=closed"];
        let first = router
            .trigger("github.issues.opened", "github", "s3cret", &[])
            .await;
        let second = router
            .trigger("github.issues.opened", "github", "s3cret", &more)
            .await;
        for told in [&first, &second] {
            assert_eq!(told["type"], "github.issues.opened", "{told}");
            assert_eq!((&told["matched"], &told["duplicate"]), (&json!(1), &json!(false)));
        }
        vec![first["id"].clone(), second["id"].clone()]
    };
    assert_ne!(ids[0], ids[1]);
    // The API key is not for webhooks.
    let shown = good(
        &router
            .call(&["events", "show", ids[0].as_str().unwrap(), "--json"])
            .await,
    );
    assert!(shown.contains("x-hub-signature-256"), "{shown}");
    assert!(!shown.to_lowercase().contains("authorization"), "{shown}");

    // A type that the source cannot give: sent, and said what it became.
    let other = router
        .call(&[
            "trigger",
            "order.paid",
            "--source",
            "github",
            "--secret-file",
            path,
        ])
        .await;
    good(&other);
    let said = text(&other.stderr);
    assert!(said.contains("it became github.event, not order.paid"), "{said}");

    let wrong = router
        .call(&[
            "trigger",
            "github.push",
            "--source",
            "github",
            "--secret-env",
            "WEBHOOK_SECRET_OF_A_TEST",
        ])
        .await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        text(&wrong.stderr).contains("could not be verified"),
        "{}",
        text(&wrong.stderr)
    );
    let unknown = router
        .call(&[
            "trigger",
            "github.push",
            "--source",
            "gitlab",
            "--secret-file",
            path,
        ])
        .await;
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown.stderr));
}

#[tokio::test]
async fn stripe_gets_an_id_of_its_own_unless_the_data_is_given() {
    let router = Desk::start();
    router.source("stripe", "whsec_abc").await;
    let first = router
        .trigger("stripe.invoice.paid", "stripe", "whsec_abc", &[])
        .await;
    let second = router
        .trigger("stripe.invoice.paid", "stripe", "whsec_abc", &[])
        .await;
    assert_eq!(
        (&first["type"], &first["duplicate"]),
        (&json!("stripe.invoice.paid"), &json!(false))
    );
    assert_ne!(first["id"], second["id"]);

    let data = ["--data", "{\"id\": \"evt_9\", \"n\": 1.50}"];
    let given = router
        .trigger("stripe.charge.failed", "stripe", "whsec_abc", &data)
        .await;
    assert_eq!(
        (&given["type"], &given["duplicate"]),
        (&json!("stripe.charge.failed"), &json!(false))
    );
    let again = router
        .trigger("stripe.charge.failed", "stripe", "whsec_abc", &data)
        .await;
    assert_eq!((&again["id"], &again["duplicate"]), (&given["id"], &json!(true)));
}

#[tokio::test]
async fn every_service_with_a_shared_secret_can_be_rehearsed() {
    let router = Desk::start();
    let whsec = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let cases = [
        ("github", "s", "github.push"),
        ("gitlab", "s", "gitlab.push"),
        ("stripe", "s", "stripe.invoice.paid"),
        ("slack", "s", "slack.command./deploy"),
        ("shopify", "s", "shopify.orders/paid"),
        ("twilio", "s", "twilio.message.delivered"),
        ("meta", "s", "meta.page"),
        ("standard-webhooks", whsec, "order.paid"),
        ("svix", whsec, "order.paid"),
        ("cloudevents", "s", "order.paid"),
        ("zoom", "s", "zoom.meeting.started"),
        ("dropbox", "s", "dropbox.changed"),
        ("linear", "s", "linear.Issue.create"),
        ("paddle", "s", "paddle.transaction.completed"),
        ("pagerduty", "s", "pagerduty.incident.triggered"),
        ("x-crc", "s", "x.activity"),
        ("trello", "s", "trello.updateCard"),
        ("microsoft-graph", "s", "microsoft-graph.updated"),
        ("event-grid", "s", "event-grid.Microsoft.Storage.BlobCreated"),
        ("note-generic", "s", "a.b"),
        ("hmac-sha256", "s", "a.b"),
        ("token", "s", "a.b"),
        ("bearer", "s", "a.b"),
        ("basic", "hookway:s", "a.b"),
        ("none", "s", "a.b"),
    ];
    for (preset, secret, event_type) in cases {
        router.source(preset, secret).await;
        let told = router
            .trigger(event_type, preset, secret, &["--data", "{\"n\": 1.50}"])
            .await;
        assert_eq!(told["type"], event_type, "{told}");
        // CloudEvents bring their source with them.
        let source = if preset == "cloudevents" {
            "/hookway/trigger"
        } else {
            preset
        };
        assert_eq!(told["source"], source, "{told}");
    }

    // Whoever only has a public key cannot sign, and Mailgun's signature is part of the body.
    let spki = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvYLPAZZFZFOfmhyf2eMNfdQA==";
    let refused = [
        ("discord", PUBLIC_KEY, "signs with a private key"),
        ("discord-events", PUBLIC_KEY, "signs with a private key"),
        ("sendgrid", spki, "signs with a private key"),
        ("paypal", "9XL90610J3647323C", "signs with a private key"),
        ("mailgun", "s", "cannot be signed here"),
    ];
    let rehearsed = cases
        .iter()
        .map(|case| case.0)
        .chain(refused.iter().map(|case| case.0));
    let mut rehearsed: Vec<_> = rehearsed.collect();
    rehearsed.sort_unstable();
    let mut presets: Vec<_> = hookway::source::preset::all()
        .iter()
        .map(|preset| preset.name.as_str())
        .collect();
    presets.sort_unstable();
    assert_eq!(rehearsed, presets, "every preset is one or the other");
    for (preset, secret, why) in refused {
        router.source(preset, secret).await;
        let path = router.secret(secret);
        let path = path.to_str().unwrap();
        let arguments = [
            "trigger",
            "a.b",
            "--source",
            preset,
            "--data",
            "{}",
            "--secret-file",
            path,
        ];
        let refused = router.call(&arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{preset}");
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }
}
