//! Handshakes, answered as the services document them, and refused where they would give something away.

use serde_json::{Value, json};

use super::sender::{Call, base64, ed25519, hex, public_key, sha256};
use crate::support::TestRouter;
use crate::support::router::Answer;

async fn with_source(body: Value) -> TestRouter {
    let router = TestRouter::start().await;
    router.post("/api/v1/sources", &body).await.expect(201);
    router
}

fn plain(answer: &Answer, text: &str) {
    assert_eq!((answer.status, answer.text.as_str()), (200, text));
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/plain"), "{kind}");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

async fn nothing_was_taken(router: &TestRouter) {
    let events = router.get("/api/v1/events").await.expect(200);
    assert_eq!(events.body["data"], json!([]));
}

async fn newest(router: &TestRouter) -> Value {
    let page = router.get("/api/v1/receptions?limit=1").await.expect(200);
    page.body["data"][0].clone()
}

fn get(query: &str) -> Call {
    Call {
        query: query.to_owned(),
        ..Call::default()
    }
}

#[tokio::test]
async fn meta_gets_its_challenge_for_the_verify_token_alone() {
    let router =
        with_source(json!({"name": "m", "preset": "meta", "secret": "app", "verify_token": "meatyhamhock"}))
            .await;
    let query = |token: &str, challenge: &str| {
        get(&format!(
            "hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}"
        ))
    };
    plain(
        &query("meatyhamhock", "1158201444")
            .send(&router, "GET", "m")
            .await,
        "1158201444",
    );
    let seen = newest(&router).await;
    assert_eq!(
        (&seen["outcome"], &seen["method"]),
        (&json!("handshake"), &json!("GET"))
    );
    for token in ["wrong", "", "app"] {
        assert_eq!(
            query(token, "1").send(&router, "GET", "m").await.status,
            403,
            "{token}"
        );
    }
    assert_eq!(newest(&router).await["reason"], "handshake");
    // PHP turns the dots into underscores; we do not know those.
    let php = get("hub_mode=subscribe&hub_challenge=1&hub_verify_token=meatyhamhock");
    assert_eq!(php.send(&router, "GET", "m").await.status, 405);
    // Script in the challenge comes back as text that no browser runs.
    let script = query("meatyhamhock", "%3Cscript%3E1%3C/script%3E")
        .send(&router, "GET", "m")
        .await;
    plain(&script, "<script>1</script>");
    let long = query("meatyhamhock", &"1".repeat(5_000))
        .send(&router, "GET", "m")
        .await;
    assert!((400..500).contains(&long.status), "{}", long.status);
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn slack_gets_its_challenge_if_it_is_slack() {
    let router = with_source(json!({"name": "s", "preset": "slack", "secret": "shh"})).await;
    let at = router.clock.now().as_millis() / 1_000;
    let body = r#"{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY","type":"url_verification"}"#;
    let signed = |key: &[u8]| {
        let text = format!("v0:{at}:{body}");
        Call::new("application/json", body)
            .header("x-slack-request-timestamp", at.to_string())
            .header(
                "x-slack-signature",
                format!("v0={}", hex(&sha256(key, &[text.as_bytes()]))),
            )
    };
    plain(
        &signed(b"shh").post(&router, "s").await,
        "3eZbrw1aBm2rZgRNFdxV2595E9CY",
    );
    assert_eq!(signed(b"no").post(&router, "s").await.status, 401);
    assert_eq!(
        Call::new("application/json", body)
            .post(&router, "s")
            .await
            .status,
        401
    );
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn what_must_be_proven_is_no_handshake_while_a_signature_is_optional() {
    let preset = with_source(json!({"name": "z", "preset": "zoom", "secret": "s"})).await;
    let mut verification = preset.get("/api/v1/sources/z").await.body["verification"].clone();
    verification["schemes"][0]["optional"] = json!(true);
    let own = json!({"name": "o", "preset": "zoom", "secret": "s", "verification": verification});
    preset.post("/api/v1/sources", &own).await.expect(201);
    let body = json!({"event": "endpoint.url_validation", "payload": {"plainToken": "t"}}).to_string();
    let answer = Call::new("application/json", body).post(&preset, "o").await;
    assert!(
        !answer.text.contains(&hex(&sha256(b"s", &[b"t"]))),
        "{}",
        answer.text
    );
    assert_eq!(
        newest(&preset).await["outcome"],
        "accepted",
        "an event like any unsigned one"
    );
}

#[tokio::test]
async fn zoom_gets_its_token_encrypted_and_nobody_gets_an_oracle() {
    let router = with_source(json!({"name": "z", "preset": "zoom", "secret": "zoom_secret"})).await;
    let at = router.clock.now().as_millis() / 1_000;
    let call = |token: &str, key: &[u8]| {
        let body = json!({"event": "endpoint.url_validation", "event_ts": 1_654_503_849_680_i64,
                          "payload": {"plainToken": token}})
        .to_string();
        let text = format!("v0:{at}:{body}");
        Call::new("application/json", body)
            .header("x-zm-request-timestamp", at.to_string())
            .header(
                "x-zm-signature",
                format!("v0={}", hex(&sha256(key, &[text.as_bytes()]))),
            )
    };
    let answer = call("qgg8vlvZRS6UYooatFL8Aw", b"zoom_secret")
        .post(&router, "z")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.body,
        json!({"plainToken": "qgg8vlvZRS6UYooatFL8Aw",
               "encryptedToken": "46a324cfb7c2ec760e4cd561586a53aadb6fc7561eb8d626d6ee1b71d808b3c0"})
    );
    // Who could have anything signed could sign its own events.
    let unsigned = call("qgg8vlvZRS6UYooatFL8Aw", b"zoom_secret").without("x-zm-signature");
    assert_eq!(unsigned.post(&router, "z").await.status, 401);
    let oracle = call(&format!("v0:{at}:{{\"event\":\"forged\"}}"), b"zoom_secret")
        .post(&router, "z")
        .await;
    assert!((400..500).contains(&oracle.status), "{}", oracle.text);
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn dropbox_gets_its_challenge_as_text() {
    let router = with_source(json!({"name": "d", "preset": "dropbox", "secret": "app"})).await;
    let answer = get("challenge=jhJJgZ2-_k").send(&router, "GET", "d").await;
    plain(&answer, "jhJJgZ2-_k");
    let other = get("").send(&router, "GET", "d").await.expect(405);
    assert_eq!(other.headers["allow"], "POST");
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn discord_is_answered_with_the_type_and_refused_with_401() {
    let pair = ed25519(0);
    let router =
        with_source(json!({"name": "d", "preset": "discord", "secret": hex(&public_key(&pair))})).await;
    let at = router.clock.now().as_millis() / 1_000;
    let signature = hex(pair.sign(format!("{at}{{\"type\":1}}").as_bytes()).as_ref());
    let ping = Call::new("application/json", "{\"type\":1}")
        .header("x-signature-timestamp", at.to_string())
        .header("x-signature-ed25519", signature.clone());
    let answer = ping.post(&router, "d").await;
    assert_eq!((answer.status, &answer.body), (200, &json!({"type": 1})));
    assert_eq!(answer.headers["content-type"], "application/json");
    let wrong = format!("00{}", &signature[2..]);
    assert_eq!(
        ping.with("x-signature-ed25519", wrong)
            .post(&router, "d")
            .await
            .status,
        401
    );
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn cloudevents_senders_are_told_who_may_send_and_how_fast() {
    let limit = json!({"requests": 2, "per_seconds": 1});
    let router =
        with_source(json!({"name": "c", "preset": "cloudevents", "secret": "t", "rate_limit": limit})).await;
    let ask = Call::default().header("webhook-request-origin", "eventemitter.example.com");
    let answer = ask.send(&router, "OPTIONS", "c").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.headers["webhook-allowed-origin"],
        "eventemitter.example.com"
    );
    assert_eq!(answer.headers["webhook-allowed-rate"], "120");
    assert_eq!(answer.headers["allow"], "POST");
    // A source that does not know the handshake says so.
    let other = with_source(json!({"name": "c", "preset": "github", "secret": "t"})).await;
    assert_eq!(ask.send(&other, "OPTIONS", "c").await.status, 405);
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn x_gets_its_crc_and_nobody_gets_a_signature_over_a_body() {
    let router = with_source(json!({"name": "x", "preset": "x-crc", "secret": "s"})).await;
    let answer = get("crc_token=MTIzNDU2").send(&router, "GET", "x").await;
    let expected = format!("sha256={}", base64(&sha256(b"s", &[b"MTIzNDU2"])));
    assert_eq!(
        (answer.status, &answer.body["response_token"]),
        (200, &json!(expected)),
        "{}",
        answer.text
    );
    let body = get("crc_token=%7B%22forged%22:1%7D")
        .send(&router, "GET", "x")
        .await;
    assert!((400..500).contains(&body.status), "{}", body.text);
    // Of what can be signed for anybody, nothing can be an event.
    let signature = format!("sha256={}", base64(&sha256(b"s", &[b"12"])));
    let forged = Call::new("application/json", "12").header("x-twitter-webhooks-signature", signature);
    assert_eq!(forged.post(&router, "x").await.status, 400);
    nothing_was_taken(&router).await;
}

#[tokio::test]
async fn a_handshake_can_be_ones_own_data() {
    let handshakes = json!([{
        "name": "hello", "method": "GET", "verified": false,
        "when": [{"value": "{query:hello}", "is": "world"}, {"value": "{header:x-token}", "is_verify_token": true}],
        "answer": {"content_type": "application/json", "headers": {"x-echo": "{query:n}"},
                   "body": "{{\"n\":\"{query:n}\"}}"}
    }]);
    let own = json!({"name": "o", "preset": "hmac-sha256", "secret": "s", "verify_token": "t", "handshakes": handshakes});
    let router = with_source(own).await;
    let ask = get("hello=world&n=%22%0d%0a").header("x-token", "t");
    assert_eq!(
        ask.send(&router, "GET", "o").await.status,
        403,
        "no header can carry that"
    );
    let ask = get("hello=world&n=a%22b").header("x-token", "t");
    let answer = ask.send(&router, "GET", "o").await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &json!({"n": "a\"b"})),
        "{}",
        answer.text
    );
    assert_eq!(answer.headers["x-echo"], "a\"b");
    assert_eq!(
        ask.with("x-token", "u").send(&router, "GET", "o").await.status,
        403
    );
    assert_eq!(get("hello=there").send(&router, "GET", "o").await.status, 405);
    let signing = json!([{"name": "s", "method": "GET", "verified": false,
                          "answer": {"body": "{hmac-sha256-hex:query:n}"}}]);
    let oracle = json!({"name": "p", "preset": "hmac-sha256", "secret": "s", "handshakes": signing});
    let refused = router.post("/api/v1/sources", &oracle).await.expect(422);
    assert_eq!(refused.body["errors"][0]["pointer"], "/handshakes/0/verified");
    let unknown = json!({"name": "q", "preset": "none", "handshakes": [{"nmae": "x"}]});
    let refused = router.post("/api/v1/sources", &unknown).await.expect(422);
    assert!(refused.text.contains("unknown field `nmae`"), "{}", refused.text);
}

#[tokio::test]
async fn where_nothing_is_verified_handshakes_are_answered_all_the_same() {
    let router = with_source(json!({"name": "s", "preset": "slack", "verification": {"kind": "none"}})).await;
    let call = Call::new(
        "application/json",
        r#"{"type":"url_verification","challenge":"abc"}"#,
    );
    plain(&call.post(&router, "s").await, "abc");
}
