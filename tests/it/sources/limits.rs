//! Limits of a source: who may send, how much, how fast; and what is visible of what was refused.

use std::time::Duration;

use serde_json::json;

use super::sender::{Call, hex, sha256};
use crate::support::TestRouter;

async fn seen(router: &TestRouter, source: &str) -> serde_json::Value {
    let path = format!("/api/v1/sources/{source}/receptions?limit=1");
    router.get(&path).await.expect(200).body["data"][0].clone()
}

#[tokio::test]
async fn only_allowed_addresses_may_send_and_proxies_are_believed_if_they_are_trusted() {
    let allowed = json!({"name": "a", "preset": "none", "allowed_ips": ["192.30.252.0/22", "2001:db8::7"]});
    let forwarded = |by: &str| Call::new("application/json", "{}").header("x-forwarded-for", by);
    // Nobody is a proxy: what the sender writes is nothing.
    let router = TestRouter::start().await;
    router.post("/api/v1/sources", &allowed).await.expect(201);
    assert_eq!(forwarded("192.30.252.9").post(&router, "a").await.status, 403);
    let refused = seen(&router, "a").await;
    assert_eq!(
        (&refused["reason"], &refused["remote"]),
        (&json!("address"), &json!("127.0.0.1"))
    );
    // The test is a proxy.
    let trusts = |config: &mut hookway::config::Config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let router = TestRouter::with(trusts).await;
    router.post("/api/v1/sources", &allowed).await.expect(201);
    forwarded("192.30.252.9").post(&router, "a").await.expect(200);
    assert_eq!(seen(&router, "a").await["remote"], "192.30.252.9");
    forwarded("2001:db8::7").post(&router, "a").await.expect(200);
    forwarded("203.0.113.9, 192.30.255.255")
        .post(&router, "a")
        .await
        .expect(200);
    assert_eq!(
        forwarded("192.30.252.9, 203.0.113.9")
            .post(&router, "a")
            .await
            .status,
        403
    );
    assert_eq!(seen(&router, "a").await["remote"], "203.0.113.9");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_verified() {
    let router = TestRouter::start().await;
    let source = json!({"name": "b", "preset": "hmac-sha256", "secret": "s", "body_bytes_max": 1_024});
    router.post("/api/v1/sources", &source).await.expect(201);
    let answer = Call::new("text/plain", vec![b'x'; 1_025])
        .post(&router, "b")
        .await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_eq!(seen(&router, "b").await["reason"], "body");
    let body = vec![b'x'; 1_024];
    let signature = format!("sha256={}", hex(&sha256(b"s", &[&body])));
    Call::new("text/plain", body)
        .header("x-signature", signature)
        .post(&router, "b")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_rate_is_kept_and_says_when_to_come_again() {
    let router = TestRouter::start().await;
    let rate = json!({"requests": 2, "per_seconds": 10, "burst": 3});
    let source = json!({"name": "r", "preset": "none", "events": {"id": []}, "rate_limit": rate});
    router.post("/api/v1/sources", &source).await.expect(201);
    let call = Call::new("application/json", "{}");
    for _ in 0..3 {
        call.post(&router, "r").await.expect(200);
    }
    let answer = call.post(&router, "r").await;
    assert_eq!(
        (answer.status, answer.headers["retry-after"].to_str().unwrap()),
        (429, "5"),
        "{}",
        answer.text
    );
    assert_eq!(seen(&router, "r").await["reason"], "rate");
    router.clock.advance(Duration::from_secs(5));
    call.post(&router, "r").await.expect(200);
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_not_kept() {
    let router = TestRouter::with(|config| {
        config.sources.refusals_kept_per_minute = std::num::NonZeroU32::new(3).unwrap();
    })
    .await;
    router
        .post(
            "/api/v1/sources",
            &json!({"name": "f", "preset": "github", "secret": "s"}),
        )
        .await
        .expect(201);
    let call = Call::new("application/json", "{}");
    for _ in 0..10 {
        assert_eq!(call.post(&router, "f").await.status, 401);
    }
    router.clock.advance(Duration::from_secs(60));
    call.post(&router, "f").await;
    let page = router.get("/api/v1/sources/f/receptions").await.expect(200);
    let all = page.body["data"].as_array().unwrap();
    assert_eq!(
        (all.len(), &all[0]["unrecorded"]),
        (4, &json!(7)),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn a_service_that_gives_up_after_refusals_can_be_told_received() {
    let router = TestRouter::start().await;
    let source = json!({"name": "s", "preset": "github", "secret": "s", "always_ok": true, "keep_refused": true,
                        "response": {"status": 202, "headers": {"content-type": "application/json"}, "body": "{\"status\":\"received\"}"}});
    router.post("/api/v1/sources", &source).await.expect(201);
    let answer = Call::new("application/json", "{\"a\":1}")
        .post(&router, "s")
        .await;
    assert_eq!(
        (answer.status, answer.body["status"].as_str()),
        (202, Some("received"))
    );
    assert_eq!(answer.headers["content-type"], "application/json");
    let refused = seen(&router, "s").await;
    assert_eq!(
        (&refused["outcome"], &refused["status"]),
        (&json!("refused"), &json!(202))
    );
    let whole = router
        .get(&format!("/api/v1/receptions/{}", refused["id"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(whole.body["body_base64"], "eyJhIjoxfQ==");
    let events = router.get("/api/v1/events").await.expect(200);
    assert_eq!(events.body["data"], json!([]));
}

#[tokio::test]
async fn receptions_belong_to_their_tenant_and_show_no_credentials() {
    let mut router = TestRouter::start().await;
    router
        .post("/api/v1/tenants", &json!({"name": "acme"}))
        .await
        .expect(201);
    router.use_tenant(Some("acme"));
    let made = router
        .post(
            "/api/v1/sources",
            &json!({"name": "t", "preset": "gitlab", "secret": "tooth-brush"}),
        )
        .await
        .expect(201);
    assert_eq!(made.body["path"], "/webhooks/acme/t");
    let call = Call::new("application/json", "{}")
        .header("x-gitlab-token", "tooth-pick")
        .header("authorization", "Bearer tooth-paste")
        .header("cookie", "tooth=ache");
    assert_eq!(call.post(&router, "acme/t").await.status, 401);
    assert_eq!(
        call.post(&router, "t").await.status,
        404,
        "not of the default tenant"
    );
    call.with("x-gitlab-token", "tooth-brush")
        .post(&router, "acme/t")
        .await
        .expect(200);
    let text = router.get("/api/v1/receptions").await.expect(200).text;
    assert!(
        text.contains("\"refused\"") && text.contains("\"accepted\""),
        "{text}"
    );
    assert!(!text.contains("tooth"), "{text}");
    let events = router.get("/api/v1/events").await.expect(200);
    assert_eq!(events.body["data"][0]["source"], "t");
    let id = router.get("/api/v1/receptions").await.str("/data/0/id");
    router.use_tenant(None);
    router.get(&format!("/api/v1/receptions/{id}")).await.expect(404);
    assert_eq!(router.get("/api/v1/receptions").await.body["data"], json!([]));
}

#[tokio::test]
async fn who_must_not_see_what_was_refused_sees_no_difference() {
    let router = TestRouter::start().await;
    let source = json!({"name": "s", "preset": "token", "secret": "right", "always_ok": true,
                        "response": {"headers": {"content-type": "text/html"}, "body": "<b>ok</b>"}});
    router.post("/api/v1/sources", &source).await.expect(201);
    let call = |token: &str| Call::new("application/json", r#"{"type":"a"}"#).header("x-api-key", token);
    let names = |answer: &crate::support::router::Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    let (taken, refused) = (
        call("right").post(&router, "s").await,
        call("wrong").post(&router, "s").await,
    );
    assert_eq!((taken.status, &taken.text), (refused.status, &refused.text));
    assert_eq!(names(&taken), names(&refused));
    // And no browser takes it for a page of ours.
    assert_eq!(taken.headers["x-content-type-options"], "nosniff");
    assert!(
        taken.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("sandbox")
    );
    let events = router.get("/api/v1/events").await.expect(200);
    assert_eq!(events.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn bodies_of_strangers_share_their_memory() {
    let router = TestRouter::with(|config| config.sources.body_memory_max = 16).await;
    let source = json!({"name": "n", "preset": "none"});
    router.post("/api/v1/sources", &source).await.expect(201);
    let post = async |body: &str| Call::new("text/plain", body).post(&router, "n").await;
    let refused = post("seventeen letters").await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.headers["retry-after"], "1");
    // What was read is given back, by those that are refused and by those that are taken.
    for _ in 0..5 {
        assert_eq!(post("sixteen letters.").await.status, 200);
        assert_eq!(post("seventeen letters").await.status, 503);
    }
    // Who shows a key first has limits of its own.
    router
        .post(
            "/api/v1/events",
            &json!({"type": "a", "data": "longer than sixteen letters"}),
        )
        .await
        .expect(202);
}

#[tokio::test]
async fn a_body_that_is_no_http_is_malformed_and_not_slow() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let router = TestRouter::start().await;
    let source = json!({"name": "c", "preset": "none"});
    router.post("/api/v1/sources", &source).await.expect(201);
    let mut stream = tokio::net::TcpStream::connect(router.router().address())
        .await
        .unwrap();
    let request = "POST /webhooks/c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0_u8; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    assert_eq!(seen(&router, "c").await["reason"], "malformed_body");
}
