//! CloudEvents, in by all three modes and out by all three.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bad_input::is_a_problem;
use crate::support::receiver::Received;
use crate::support::{Receiver, TestRouter};

const DATA: &str = r#"{ "n": 1.50, "big":12345678901234567890123,  "u":"\u00e9é" }"#;
const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";

/// The same event in each mode: media type, further headers, body.
fn sent(mode: &str, id: &str) -> (Vec<(&'static str, String)>, String) {
    let object = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shop/é","type":"order.paid","subject":"a \"b\"",
            "time":"2026-05-19T18:30:00+02:00","datacontenttype":"application/vnd.order+json",
            "traceparent":"00-ab-cd-01","sequence":7,"data": {DATA} }}"#
    );
    let header = |name, value: &str| (name, value.to_owned());
    match mode {
        "structured" => (vec![header("content-type", STRUCTURED)], object),
        "batched" => (vec![header("content-type", BATCHED)], format!(" [ {object} ] ")),
        _ => (
            vec![
                header("ce-specversion", "1.0"),
                header("ce-id", id),
                header("ce-source", "/shop/%C3%A9"),
                header("ce-type", "order.paid"),
                header("ce-subject", "a%20%22b%22"),
                header("ce-time", "2026-05-19T18:30:00+02:00"),
                header("ce-traceparent", "00-ab-cd-01"),
                header("ce-sequence", "7"),
                header("content-type", "application/vnd.order+json"),
            ],
            DATA.to_owned(),
        ),
    }
}

async fn post(
    router: &TestRouter,
    headers: &[(&'static str, String)],
    body: impl Into<reqwest::Body>,
) -> crate::support::router::Answer {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    router.call_raw("POST", "/api/v1/events", &headers, body).await
}

/// What a delivery says, whatever its mode: the attributes as text, and the bytes of the data.
fn read(mode: &str, received: &Received) -> (BTreeMap<String, String>, Vec<u8>) {
    let mut attributes = BTreeMap::new();
    if mode == "binary" {
        for (name, value) in &received.headers {
            if let Some(name) = name.as_str().strip_prefix("ce-") {
                let value = value.to_str().unwrap().replace('+', "%2B");
                let (value, _) = url::form_urlencoded::parse(value.as_bytes()).next().unwrap();
                attributes.insert(name.to_owned(), value.into_owned());
            }
        }
        attributes.insert(
            "datacontenttype".to_owned(),
            received.header("content-type").to_owned(),
        );
        return (attributes, received.body.to_vec());
    }
    let text = str::from_utf8(&received.body).unwrap();
    let text = match mode {
        "batched" => text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap(),
        _ => text,
    };
    let media_type = if mode == "batched" { BATCHED } else { STRUCTURED };
    assert_eq!(received.header("content-type"), media_type);
    let members: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(text).unwrap();
    let mut data = Vec::new();
    for (name, raw) in members {
        match name.as_str() {
            "data" => data = raw.get().as_bytes().to_vec(),
            "data_base64" => {
                let text: String = serde_json::from_str(raw.get()).unwrap();
                data = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
            }
            _ => {
                attributes.insert(name, serde_json::from_str(raw.get()).unwrap());
            }
        }
    }
    (attributes, data)
}

async fn subscribed(router: &TestRouter, mode: &str) -> Receiver {
    let receiver = Receiver::start().await;
    let profile = format!("cloudevents-{mode}");
    router
        .subscribe(&json!({"name": mode, "url": receiver.url(), "events": ["*"], "profile": profile}))
        .await;
    receiver
}

#[tokio::test]
async fn every_mode_comes_in_and_goes_out_as_every_mode() {
    let router = TestRouter::start().await;
    let mut receivers = Vec::new();
    for mode in ["binary", "structured", "batched"] {
        receivers.push((mode, subscribed(&router, mode).await));
    }
    for (n, way_in) in ["binary", "structured", "batched"].into_iter().enumerate() {
        let (headers, body) = sent(way_in, way_in);
        let answer = post(&router, &headers, body).await.expect(202);
        let one = match way_in {
            "batched" => &answer.body["data"][0],
            _ => &answer.body,
        };
        assert_eq!(one["matched"], 3, "{}", answer.text);
        for (way_out, receiver) in &receivers {
            let received = receiver.wait_for(n + 1).await.pop().unwrap();
            let (attributes, data) = read(way_out, &received);
            assert_eq!(String::from_utf8(data).unwrap(), DATA, "{way_in} to {way_out}");
            let expected = [
                ("specversion", "1.0"),
                ("id", way_in),
                // What a URI reference cannot have is percent-encoded.
                ("source", "/shop/%C3%A9"),
                ("type", "order.paid"),
                ("subject", "a \"b\""),
                ("time", "2026-05-19T16:30:00.000Z"),
                ("datacontenttype", "application/vnd.order+json"),
                ("traceparent", "00-ab-cd-01"),
                ("sequence", "7"),
            ];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(attributes, BTreeMap::from(expected), "{way_in} to {way_out}");
            assert!(received.header("webhook-signature").starts_with("v1,"));
            assert!(received.header("webhook-id").starts_with("req_"));
        }
    }
}

#[tokio::test]
async fn binary_mode_takes_bytes_of_any_media_type() {
    let router = TestRouter::start().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let (binary, structured) = (
        subscribed(&router, "binary").await,
        subscribed(&router, "structured").await,
    );
    let (mut headers, _) = sent("binary", "1");
    headers.retain(|(name, _)| *name != "content-type");
    headers.push(("content-type", "image/png".to_owned()));
    post(&router, &headers, bytes.clone()).await.expect(202);
    for (mode, receiver) in [("binary", binary), ("structured", structured)] {
        let (attributes, data) = read(mode, &receiver.wait_for(1).await[0]);
        assert_eq!(attributes["datacontenttype"], "image/png");
        assert_eq!(data, bytes, "{mode}");
    }
}

#[tokio::test]
async fn a_batch_is_accepted_whole_or_refused_whole() {
    let router = TestRouter::with(|config| config.ingest.events_per_call_max = 2).await;
    let event = |id: &str, kind: &str| json!({"specversion": "1.0", "id": id, "source": "/a", "type": kind});
    let headers = [("content-type", BATCHED.to_owned())];
    let good = json!([event("1", "a"), event("2", "b")]).to_string();
    let first = post(&router, &headers, good.clone()).await.expect(202);
    assert_eq!(first.body["data"].as_array().unwrap().len(), 2);
    let again = post(&router, &headers, good).await.expect(202);
    assert_eq!(again.body["data"][1]["id"], first.body["data"][1]["id"]);
    assert_eq!(again.body["data"][1]["duplicate"], true);
    for (body, pointer) in [
        (json!([event("3", "a"), event("4", "no type")]), "/1/type"),
        (json!([event("3", "a"), event("4", "a"), event("5", "a")]), ""),
        (json!([]), ""),
    ] {
        let refused = post(&router, &headers, body.to_string()).await.expect(422);
        is_a_problem(&refused, "a batch");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.text);
    }
    let listed = router.get("/api/v1/events").await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_idempotency_key_covers_what_the_headers_say_too() {
    let router = TestRouter::start().await;
    for mode in ["binary", "structured", "batched"] {
        let (mut headers, body) = sent(mode, mode);
        headers.push(("idempotency-key", mode.to_owned()));
        let id = |answer: &Value| answer.pointer("/id").or(answer.pointer("/data/0/id")).cloned();
        let first = post(&router, &headers, body.clone()).await.expect(202);
        let again = post(&router, &headers, body).await.expect(202);
        assert_eq!(id(&first.body), id(&again.body), "{mode}");
        let (mut other, body) = sent(mode, "other");
        other.push(("idempotency-key", mode.to_owned()));
        let refused = post(&router, &other, body).await.expect(409);
        assert_eq!(refused.str("/type"), "/problems/idempotency-conflict", "{mode}");
    }
    // The same id with other content, without a key.
    let (headers, _) = sent("binary", "binary");
    let refused = post(&router, &headers, "{}").await.expect(409);
    assert_eq!(refused.body["errors"][0]["pointer"], "ce-id");
}

#[tokio::test]
async fn what_is_no_cloudevent_is_refused_where_it_is_wrong() {
    let router = TestRouter::start().await;
    let structured = [("content-type", STRUCTURED)];
    let binary = |content_type| {
        [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/a"),
            ("ce-type", "a"),
            ("content-type", content_type),
        ]
    };
    let large = "x".repeat(2 << 20);
    type Headers<'a> = Vec<(&'a str, &'a str)>;
    let cases: Vec<(&str, Headers<'_>, &str, u16, &str)> = vec![
        (
            "no type",
            structured.to_vec(),
            r#"{"specversion":"1.0","id":"1","source":"/a"}"#,
            422,
            "/type",
        ),
        (
            "no id",
            structured.to_vec(),
            r#"{"specversion":"1.0","type":"a","source":"/a"}"#,
            422,
            "/id",
        ),
        ("no JSON", structured.to_vec(), "x", 400, ""),
        (
            "an object as a batch",
            vec![("content-type", BATCHED)],
            "{}",
            422,
            "",
        ),
        (
            "XML",
            vec![("content-type", "application/cloudevents+xml")],
            "<x/>",
            415,
            "",
        ),
        ("too large", binary("text/plain").to_vec(), &large, 413, ""),
        (
            "JSON that is none",
            binary("application/json").to_vec(),
            "x",
            422,
            "",
        ),
        (
            "no source",
            [
                &binary("text/plain")[..2],
                &[("ce-type", "a"), ("content-type", "text/plain")],
            ]
            .concat(),
            "x",
            422,
            "ce-source",
        ),
        (
            "compressed",
            [&binary("text/plain")[..], &[("content-encoding", "gzip")]].concat(),
            "x",
            415,
            "",
        ),
    ];
    for (what, headers, body, status, pointer) in cases {
        let answer = router
            .call_raw("POST", "/api/v1/events", &headers, body.to_owned())
            .await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        is_a_problem(&answer, what);
        let found = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(found, pointer, "{what}: {}", answer.text);
    }
    let elsewhere = router
        .call_raw("POST", "/api/v1/subscriptions", &structured, "{}")
        .await
        .expect(415);
    assert!(
        elsewhere.text.contains("/api/v1/events only"),
        "{}",
        elsewhere.text
    );
    assert_eq!(
        router.get("/api/v1/events").await.expect(200).body["data"],
        json!([])
    );
}
