//! Another key for what is sealed in the database: everything opens with the new one, nothing with the old
//! one, and a crash in between loses neither.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::support::{Receiver, TestRouter};
use crate::terminal::{good, text};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn rotate(data: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_hookway"))
        .args(["keys", "rotate-encryption", "--data-dir"])
        .arg(data)
        .stdin(Stdio::null())
        .output();
    output.expect("it runs")
}

/// A stopped router with something sealed of each kind.
async fn stopped(receiver: &Receiver) -> TestRouter {
    let mut router = TestRouter::start().await;
    let all = json!({
        "name": "all", "key": "all", "url": receiver.url(), "events": ["*"], "secret": SECRET,
        "headers": {"authorization": "Bearer token"},
    });
    router.subscribe(&all).await;
    let source = json!({"name": "github", "preset": "github"});
    router.post("/api/v1/sources", &source).await.expect(201);
    router.stop().await;
    router
}

/// It starts, and what was sealed is what it was: a delivery carries header and signature.
async fn works(router: &mut TestRouter, receiver: &Receiver, deliveries: usize) {
    router.start_again().await;
    router.send(&json!({"type": "a", "data": 1})).await;
    let got = receiver.wait_for(deliveries).await;
    assert_eq!(got[deliveries - 1].header("authorization"), "Bearer token");
    assert!(got[deliveries - 1].header("webhook-signature").starts_with("v1,"));
    let source = router.get("/api/v1/sources/github").await.expect(200);
    assert_eq!(source.body["enabled"], true, "{}", source.text);
    router.settle().await;
    router.stop().await;
}

#[tokio::test]
async fn everything_opens_with_the_new_key_and_nothing_with_the_old_one() {
    let receiver = Receiver::start().await;
    let mut router = stopped(&receiver).await;
    let data = router.data_dir();
    let key = data.join("secrets.key");
    let old = std::fs::read(&key).unwrap();
    let said = good(&rotate(&data));
    // Canary, the secret for ids that were seen, a subscription and a source.
    assert!(said.starts_with("4 secrets"), "{said}");
    let new = std::fs::read(&key).unwrap();
    assert_ne!(old, new);
    assert!(!data.join("secrets.key.next").exists());
    works(&mut router, &receiver, 1).await;

    // The control: the old key opens nothing any more.
    std::fs::write(&key, &old).unwrap();
    let refused = rotate(&data);
    assert_eq!(refused.status.code(), Some(1));
    let why = text(&refused.stderr);
    assert!(
        why.contains("nothing was changed") && why.contains("does not belong to this database"),
        "{why}"
    );
    std::fs::write(&key, &new).unwrap();
    works(&mut router, &receiver, 2).await;
}

#[tokio::test]
async fn a_crash_in_between_loses_neither_key() {
    let receiver = Receiver::start().await;
    let mut router = stopped(&receiver).await;
    let data = router.data_dir();
    let (key, next) = (data.join("secrets.key"), data.join("secrets.key.next"));
    let old = std::fs::read(&key).unwrap();

    // Before the commit: the next key is there, and opens nothing.
    std::fs::write(&next, "cd".repeat(32)).unwrap();
    works(&mut router, &receiver, 1).await;
    assert!(!next.exists(), "it is gone");
    assert_eq!(std::fs::read(&key).unwrap(), old);

    // After the commit, before the name: the database belongs to the next key.
    good(&rotate(&data));
    let new = std::fs::read(&key).unwrap();
    std::fs::rename(&key, &next).unwrap();
    std::fs::write(&key, &old).unwrap();
    works(&mut router, &receiver, 2).await;
    assert!(!next.exists());
    assert_eq!(std::fs::read(&key).unwrap(), new);
}

#[tokio::test]
async fn a_router_that_serves_keeps_its_key() {
    let router = TestRouter::start().await;
    let data = router.data_dir();
    let before = std::fs::read(data.join("secrets.key")).unwrap();
    let refused = rotate(&data);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("in use by another hookway"));
    assert_eq!(std::fs::read(data.join("secrets.key")).unwrap(), before);
    let nowhere = data.join("nowhere");
    let refused = rotate(&nowhere);
    assert!(text(&refused.stderr).contains("there is no database"));
    assert!(!nowhere.exists(), "nothing is made");
}
