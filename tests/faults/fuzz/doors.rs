//! Requests that are nearly right, to a running router: every operation of the API that takes a body, and
//! every kind of source. Whatever comes is answered, and never with a failure of the router's.
//!
//! A handler that panics closes its connection, which is seen here as no answer.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree as _};
use serde_json::{Value, json};

use super::mutate::{mutated, reshaped, runner};
use crate::extent::Extent;
use crate::support::client::{ADMIN_KEY, http};
use crate::support::{Receiver, Reply, TestRouter};

/// What services send, and which source takes it.
const SAMPLES: &str = include_str!("../../vectors/sources/samples.json");

/// Sends as many changed bodies to a path, and counts the answers by status.
async fn send(
    router: &TestRouter,
    (method, path, headers): (&str, &str, &[(String, String)]),
    bodies: impl Strategy<Value = Vec<u8>>,
    counts: &mut BTreeMap<u16, usize>,
    cases: u32,
) {
    let mut runner = runner(1);
    let client = http();
    for _ in 0..cases {
        let body = bodies.new_tree(&mut runner).expect("an input").current();
        let mut request = client.request(method.parse().expect("a method"), router.url(path));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = request.body(body.clone()).send().await;
        let shown = || format!("{method} {path}: {}", body.escape_ascii());
        let answer = sent.unwrap_or_else(|error| panic!("{error} at {}", shown()));
        let status = answer.status().as_u16();
        assert!(
            status < 500,
            "{status} {} at {}",
            answer.text().await.unwrap_or_default(),
            shown()
        );
        *counts.entry(status).or_default() += 1;
    }
}

#[tokio::test]
async fn every_operation_with_a_body() {
    let receiver = Receiver::scripted([], Reply::Status(200)).await;
    let router = TestRouter::start().await;
    let url = receiver.url();
    let subscription = json!({
        "name": "n", "url": url, "events": ["alert.*", "*"], "filter": "data.n > 1", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "headers": {"x-a": "b"}, "profile": "plain@1", "rate_limit": {"requests": 5, "per_seconds": 1, "burst": 9},
        "retry": {"waits": ["30s", "5m"], "jitter": 0.1}, "timeout_seconds": 5, "max_in_flight": 3, "isolation": "event", "enabled": true,
    });
    let id = router.subscribe(&subscription).await;
    let source = json!({
        "name": "s", "preset": "hmac-sha256", "secret": "0123456789abcdef0123456789abcdef", "allowed_ips": ["10.0.0.0/8"],
        "events": {"type": ["{header:x-type}", "{json:/a~1b/0}"], "id": ["{sha256}"], "split": "/items", "format": "raw"},
        "response": {"status": 202, "body": "ok", "headers": {"x-a": "b"}}, "rate_limit": {"requests": 5},
        "handshakes": [{"name": "h", "method": "GET", "when": [{"value": "{query:mode}", "is": "subscribe"}], "answer": {"body": "{query:c}"}}],
        "verification": {"kind": "signature", "schemes": [{"algorithm": "hmac-sha256", "secret": "utf8", "input": "{ts}.{body}",
            "encoding": "hex", "header": "X-S", "format": "{sig}", "ts_header": "X-T", "tolerance_seconds": 300}]},
    });
    let described = json!({"name": "a.b", "group": "g", "descriptions": {"en": "x", "es": "y"}, "schema": {"type": "object",
        "properties": {"a": {"$ref": "#"}}}, "sample": {"a": {}}, "deprecated": false});
    let asked = json!({"kind": "replay", "subscription": id, "since": "2026-05-19T00:00:00Z", "until": "2026-05-20T00:00:00Z",
        "types": ["alert.*"], "status": "failed", "causes": ["timeout"], "codes": [500], "rate": 100, "preview": true});
    let profile = json!({"name": "acme", "envelope": [["kind", "{type}"], ["data", "{data}"]], "headers": [["x-a", "{id}"]],
        "retry": {"waits": ["1m"]}});
    let bodies: [(&str, String, &Value); 19] = [
        ("POST", "/subscriptions".to_owned(), &subscription),
        ("PATCH", format!("/subscriptions/{id}"), &subscription),
        ("POST", "/subscriptions/test".to_owned(), &subscription),
        (
            "POST",
            format!("/subscriptions/{id}/test"),
            &json!({"event_type": "a.b", "data": {"a": [1]}}),
        ),
        (
            "POST",
            format!("/subscriptions/{id}/disable"),
            &json!({"reason": "because"}),
        ),
        (
            "POST",
            format!("/subscriptions/{id}/rotate-secret"),
            &json!({"secret": "whsec_AAAA", "overlap_seconds": 60}),
        ),
        ("POST", format!("/subscriptions/{id}/recover"), &asked),
        ("POST", format!("/subscriptions/{id}/replay"), &asked),
        ("POST", "/operations".to_owned(), &asked),
        (
            "POST",
            "/deliveries/resend".to_owned(),
            &json!({"ids": ["dlv_0000000000001", "dlv_0000000000002"]}),
        ),
        (
            "POST",
            "/events".to_owned(),
            &json!([{"type": "a.b", "id": "1", "data": {"n": 1.50}, "extensions": {"a": "b"}}]),
        ),
        ("POST", "/sources".to_owned(), &source),
        ("POST", "/event-types".to_owned(), &described),
        ("PUT", "/event-types/a.b".to_owned(), &described),
        (
            "POST",
            "/event-types/load".to_owned(),
            &json!({"event_types": [described]}),
        ),
        ("PUT", "/profiles/acme".to_owned(), &profile),
        (
            "POST",
            "/plugins/jq/run".to_owned(),
            &json!({"config": {"program": ".a | map(. + 1)"}, "event": {"type": "a", "data": {"a": [1]}}}),
        ),
        (
            "POST",
            "/keys".to_owned(),
            &json!({"name": "k", "scopes": ["read", "manage"], "router": false}),
        ),
        (
            "POST",
            "/tenants".to_owned(),
            &json!({"name": "t", "external_id": "x", "default_profile": "plain"}),
        ),
    ];
    let mut counts = BTreeMap::new();
    let cases = Extent::wanted().of(32, 3_200);
    let headers = [
        ("authorization".to_owned(), format!("Bearer {ADMIN_KEY}")),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    for (method, path, body) in &bodies {
        let path = format!("/api/v1{path}");
        send(
            &router,
            (method, &path, &headers),
            mutated(vec![body.to_string().into_bytes()]),
            &mut counts,
            cases,
        )
        .await;
        send(
            &router,
            (method, &path, &headers),
            reshaped((*body).clone()),
            &mut counts,
            2 * cases,
        )
        .await;
    }
    let wasm = [
        headers[0].clone(),
        ("content-type".to_owned(), "application/wasm".to_owned()),
    ];
    let seeds = [&b"\0asm\x0d\0\x01\0"[..], b"\0asm\x01\0\0\0", b"\x7fELF"]
        .map(<[u8]>::to_vec)
        .to_vec();
    send(
        &router,
        ("PUT", "/api/v1/plugins/any", &wasm),
        mutated(seeds),
        &mut counts,
        cases,
    )
    .await;
    assert!(
        counts.keys().any(|status| *status < 300) && counts.contains_key(&422),
        "{counts:?}"
    );
    println!(
        "fuzz of operations: {} requests to {} operations: {counts:?}",
        counts.values().sum::<usize>(),
        bodies.len() + 1
    );
}

#[tokio::test]
async fn every_kind_of_source() {
    // A busy disk may take its time: that is no failure at an input.
    let router = TestRouter::with(|config| config.sources.commit_timeout = Duration::from_secs(60)).await;
    let presets = router.get("/api/v1/source-presets").await.expect(200).body;
    let samples: Value = serde_json::from_str(SAMPLES).expect("JSON");
    let (mut counts, mut sources) = (BTreeMap::new(), 0);
    let cases = Extent::wanted().of(16, 1_600);
    for preset in presets["data"].as_array().expect("a list") {
        let name = preset["name"].as_str().expect("a name");
        let mut wish =
            json!({"name": name, "preset": name, "verification": {"kind": "none"}, "keep_refused": true});
        if !preset["verify_token"].is_null() {
            wish["verify_token"] = json!("meatyhamhock");
        }
        let made = router.post("/api/v1/sources", &wish).await;
        if made.status != 201 {
            // One whose secret also answers handshakes.
            wish["secret"] = json!("zoom_secret");
            wish.as_object_mut().expect("an object").remove("verification");
            router.post("/api/v1/sources", &wish).await.expect(201);
        }
        sources += 1;
        let own = samples["samples"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|sample| sample["preset"] == name);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let seeds: Vec<Vec<u8>> = own
            .clone()
            .map(|sample| text(&sample["body"]).into_bytes())
            .collect();
        let seeds = if seeds.is_empty() {
            vec![
                br#"{"type":"a.b","event_id":"1"}"#.to_vec(),
                b"a=b&payload=%7B%7D".to_vec(),
                b"<a><b>1</b></a>".to_vec(),
            ]
        } else {
            seeds
        };
        let mut kinds: Vec<Vec<(String, String)>> = own
            .filter_map(|sample| sample["headers"].as_object())
            .map(|headers| {
                headers
                    .iter()
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect()
            })
            .collect();
        kinds.truncate(1);
        for kind in [
            "application/x-www-form-urlencoded",
            "application/xml",
            "application/json",
        ] {
            kinds.push(vec![("content-type".to_owned(), kind.to_owned())]);
        }
        for headers in &kinds {
            let path = format!("/webhooks/{name}?hub.mode=subscribe&hub.challenge=%zz&crc_token=%00");
            send(
                &router,
                ("POST", &path, headers),
                mutated(seeds.clone()),
                &mut counts,
                cases,
            )
            .await;
        }
    }
    assert!(
        sources >= 25 && counts.keys().any(|status| *status < 300),
        "{sources} {counts:?}"
    );
    println!(
        "fuzz of sources: {} requests to {sources} kinds: {counts:?}",
        counts.values().sum::<usize>()
    );
}
