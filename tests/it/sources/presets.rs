//! Each preset, signed as its service signs: right, wrong, missing, malformed, old, again, rotated.

use std::time::Duration;

use serde_json::{Value, json};

use super::sender::post_bytes;
use super::services::{Service, services};
use crate::support::TestRouter;

fn now(router: &TestRouter) -> i64 {
    router.clock.now().as_millis() / 1_000
}

async fn made(router: &TestRouter, service: &Service) {
    let mut body = json!({"name": "it", "preset": service.preset, "secret": service.secrets[0]});
    for (name, value) in service.more.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    router.post("/api/v1/sources", &body).await.expect(201);
}

/// The newest reception, and how many there are.
async fn newest(router: &TestRouter) -> (Value, usize) {
    let page = router
        .get("/api/v1/sources/it/receptions?limit=250")
        .await
        .expect(200);
    let all = page.body["data"].as_array().unwrap().clone();
    (all.first().cloned().unwrap_or_default(), all.len())
}

async fn events(router: &TestRouter) -> Vec<Value> {
    let page = router.get("/api/v1/events?limit=250").await.expect(200);
    page.body["data"].as_array().unwrap().clone()
}

async fn play(service: &Service) {
    let what = service.preset;
    let router = TestRouter::start().await;
    made(&router, service).await;
    let at = now(&router);

    // Right.
    let right = (service.sign)(0, at, 1);
    let answer = right.post(&router, "it").await;
    assert_eq!(answer.status, service.answer, "{what}: {}", answer.text);
    let stored = events(&router).await;
    assert_eq!(stored.len(), 1, "{what}");
    assert_eq!(stored[0]["type"], service.event_type, "{what}");
    assert_eq!(newest(&router).await.0["outcome"], "accepted", "{what}");

    // The same request again: a repetition, or one more event where the service gives nothing to know it by.
    let again = right.post(&router, "it").await;
    assert_eq!(again.status, service.answer, "{what}: {}", again.text);
    let expected = if service.remembers {
        ("duplicate", 1)
    } else {
        ("accepted", 2)
    };
    assert_eq!(
        (
            newest(&router).await.0["outcome"].as_str().unwrap(),
            events(&router).await.len()
        ),
        expected,
        "{what}"
    );
    let known = events(&router).await.len();

    // Wrong: a stranger's secret, and a body that was changed on the way.
    let wrong = (service.sign)(2, at, 2).post(&router, "it").await;
    assert_eq!(wrong.status, 401, "{what}: {}", wrong.text);
    let (seen, _) = newest(&router).await;
    assert_eq!(
        (&seen["outcome"], &seen["reason"]),
        (&json!("refused"), &json!("mismatch")),
        "{what}: {seen}"
    );
    let covers_body = !matches!(
        what,
        "gitlab"
            | "token"
            | "bearer"
            | "basic"
            | "cloudevents"
            | "mailgun"
            | "event-grid"
            | "microsoft-graph"
    );
    if covers_body {
        let mut changed = (service.sign)(0, at, 2);
        let place = changed.body.len() - 4;
        changed.body[place] ^= 1;
        let refused = changed.post(&router, "it").await;
        assert!(
            matches!(refused.status, 400 | 401),
            "{what}: {} {}",
            refused.status,
            refused.text
        );
    }

    // Missing and malformed, which never is our own fault.
    if let Some(proof) = service.proof {
        let bare = (service.sign)(0, at, 3).without(proof).post(&router, "it").await;
        assert_eq!(bare.status, 401, "{what}: {}", bare.text);
        let (seen, _) = newest(&router).await;
        assert_eq!(seen["reason"], "unsigned", "{what}: {seen}");
        assert!(
            seen["detail"].as_str().unwrap().to_lowercase().contains(proof),
            "{what}: {seen}"
        );
        for bad in &service.malformed {
            let answer = (service.sign)(0, at, 3)
                .with(proof, *bad)
                .post(&router, "it")
                .await;
            assert_eq!(answer.status, 401, "{what} {bad:?}: {}", answer.text);
        }
        let value = (service.sign)(0, at, 3);
        let value = &value.headers.iter().find(|(name, _)| name == proof).unwrap().1;
        let twice = (service.sign)(0, at, 3)
            .header(proof, value.clone())
            .post(&router, "it")
            .await;
        assert_eq!(twice.status, 401, "{what}: {}", twice.text);
        let strange = post_bytes(
            &router,
            "it",
            &(service.sign)(0, at, 3),
            proof,
            b"sha256=\xff\xfe",
        )
        .await;
        assert_eq!(strange.status, 401, "{what}: {}", strange.text);
    }

    // Old, and from the future.
    if let Some(allowed) = service.ages {
        for (skew, word) in [(-allowed - 1, "old"), (allowed + 1, "ahead")] {
            let answer = (service.sign)(0, at + skew, 4).post(&router, "it").await;
            assert_eq!(answer.status, 401, "{what} {skew}: {}", answer.text);
            let (seen, _) = newest(&router).await;
            assert_eq!(seen["reason"], "stale", "{what}: {seen}");
            let detail = seen["detail"].as_str().unwrap();
            let off = (allowed + 1).to_string();
            assert!(detail.contains(&off) && detail.contains(word), "{what}: {detail}");
        }
    }
    assert_eq!(
        events(&router).await.len(),
        known,
        "{what}: nothing of that was taken"
    );

    // Rotation: both for a while, then the new one alone.
    let rotation = json!({"secret": service.secrets[1], "overlap_seconds": 60});
    router
        .post("/api/v1/sources/it/rotate-secret", &rotation)
        .await
        .expect(200);
    for (secret, n) in [(0, 5), (1, 6)] {
        let answer = (service.sign)(secret, at, n).post(&router, "it").await;
        assert_eq!(
            answer.status, service.answer,
            "{what}, secret {secret}: {}",
            answer.text
        );
    }
    router.clock.advance(Duration::from_secs(61));
    let at = now(&router);
    let old = (service.sign)(0, at, 7).post(&router, "it").await;
    assert_eq!(old.status, 401, "{what}: {}", old.text);
    let new = (service.sign)(1, at, 8).post(&router, "it").await;
    assert_eq!(new.status, service.answer, "{what}: {}", new.text);
    assert_eq!(events(&router).await.len(), known + 3, "{what}");

    // Whatever went wrong, no answer and no reception shows a secret.
    let shown = router.get("/api/v1/sources/it/receptions?limit=250").await.text
        + &router.get("/api/v1/sources/it").await.text;
    for secret in &service.secrets[..2] {
        assert!(!shown.contains(secret.as_str()), "{what}: {shown}");
    }
}

#[tokio::test]
async fn every_preset_takes_what_its_service_signs_and_nothing_else() {
    let services = services();
    // What has a test of its own: a certificate is needed, nothing is verified, or it is a handshake only.
    let elsewhere = ["paypal", "none"];
    let router = TestRouter::start().await;
    let presets = router.get("/api/v1/source-presets").await.expect(200);
    for preset in presets.body["data"].as_array().unwrap() {
        let name = preset["name"].as_str().unwrap();
        let tested = elsewhere.contains(&name) || services.iter().any(|service| service.preset == name);
        assert!(tested, "the preset {name} has no test");
    }
    for service in &services {
        play(service).await;
    }
}
