//! Which requests are handshakes, and that no answer says more than it should.

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(handshakes: Value) -> Result<Handshakes, Vec<json::Fault>> {
    let handshakes: Vec<Handshake> = serde_json::from_value(handshakes).unwrap();
    let mut faults = Faults::default();
    let read = Handshakes::read(&handshakes, "/handshakes", &mut faults);
    faults.or(read).map_err(Faults::into_vec)
}

/// One GET handshake that is asked for with `?c=` and answers like this.
fn one(answer: Value) -> Value {
    json!([{ "name": "it", "method": "GET", "verified": false, "when": [{ "value": "{query:c}" }],
        "answer": answer }])
}

fn ask(
    handshakes: &Handshakes,
    method: &Method,
    query: &str,
    verified: bool,
) -> Option<Result<Answered, Refused>> {
    let mut headers = HeaderMap::new();
    headers.insert("x-text", HeaderValue::from_bytes("caf\u{e9}".as_bytes()).unwrap());
    let (secret, token) = (Secret::new("s3cret"), Secret::new("t0ken"));
    let request = Request {
        method,
        headers: &headers,
        query: Some(query),
        body: &Bytes::new(),
    };
    let own = Own {
        secret: Some(&secret),
        rate: None,
    };
    let verify_token = query.contains("own").then_some(&token);
    handshakes.answer(&request, verified, Proof { own, verify_token })
}

fn get(handshakes: &Value, query: &str) -> Option<Result<Answered, Refused>> {
    ask(&read(handshakes.clone()).unwrap(), &Method::GET, query, false)
}

#[test]
fn a_request_is_a_handshake_if_everything_holds() {
    let two = json!([
        { "name": "first", "method": "GET", "verified": true, "when": [{ "value": "{query:a}", "is": "1" }],
          "answer": { "body": "one" } },
        { "name": "second", "method": "GET", "verified": false,
          "when": [{ "value": "{query:a}" }, { "value": "{query:b}", "is": "x" }], "answer": { "body": "two" } },
    ]);
    let two = read(two).unwrap();
    let name = |method: &Method, query, verified| {
        ask(&two, method, query, verified).map(|answered| answered.unwrap().name)
    };
    assert_eq!(name(&Method::GET, "a=1", true).as_deref(), Some("first"));
    assert_eq!(name(&Method::GET, "a=1", false), None);
    assert_eq!(name(&Method::GET, "a=2&b=x", false).as_deref(), Some("second"));
    assert_eq!(name(&Method::GET, "a=2&b=x", true).as_deref(), Some("second"));
    assert_eq!(name(&Method::GET, "a=2&b=y", true), None);
    assert_eq!(name(&Method::GET, "b=x", true), None);
    assert_eq!(name(&Method::POST, "a=1&b=x", true), None);
    assert!(two.knows(&Method::GET) && !two.knows(&Method::POST) && two.any_verified());
}

#[test]
fn the_verify_token_is_the_sources_own_or_its_newest_secret() {
    let token = json!([{ "name": "it", "method": "GET", "verified": false,
        "when": [{ "value": "{query:t}", "is_verify_token": true }, { "value": "{query:m}", "is": "s" }],
        "answer": { "body": "yes" } }]);
    for (query, good) in [
        ("m=s&t=s3cret", true),
        ("m=s&t=t0ken", false),
        ("m=s&t=t0ken&own", true),
        ("m=s&t=s3cret&own", false),
        ("m=s&t=", false),
        ("m=s", false),
    ] {
        let answered = get(&token, query).unwrap();
        assert_eq!(answered.is_ok(), good, "{query}");
        if let Err(refused) = answered {
            assert_eq!(refused.reason, Refusal::Handshake);
            assert!(!refused.detail.contains("s3cret") && !refused.detail.contains("t0ken"));
        }
    }
    assert_eq!(get(&token, "t=s3cret"), None, "another condition does not hold");
}

#[test]
fn what_is_echoed_is_harmless() {
    let plain = one(json!({ "body": "{query:c}" }));
    let answered = get(&plain, "c=%3Cscript%3E").unwrap().unwrap().parts;
    assert_eq!(&answered.body[..], b"<script>");
    let headers: HeaderMap = answered.headers.into_iter().collect();
    assert_eq!(headers["content-type"], "text/plain");
    assert_eq!(headers["x-content-type-options"], "nosniff");

    let json = one(json!({ "content_type": "application/json", "body": "{{\"c\":\"{query:c}\"}}" }));
    let answered = get(&json, "c=a%22%2C%22x%22%3A1%5C%0A").unwrap().unwrap().parts;
    let value: Value = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!(value, json!({ "c": "a\",\"x\":1\\\n" }));
}

#[test]
fn an_echo_is_short() {
    let plain = one(json!({ "body": "{query:c}" }));
    let query = |length| format!("c={}", "x".repeat(length));
    assert!(get(&plain, &query(CHALLENGE_BYTES_MAX)).unwrap().is_ok());
    let refused = get(&plain, &query(CHALLENGE_BYTES_MAX + 1)).unwrap().unwrap_err();
    assert!(refused.detail.contains("1025 bytes"), "{refused:?}");
    let header = one(json!({ "headers": { "x-echo": "{query:c}" } }));
    assert!(get(&header, &query(CHALLENGE_BYTES_MAX + 1)).unwrap().is_err());
}

#[test]
fn a_header_cannot_be_ended_by_a_request() {
    let header = one(json!({ "headers": { "x-echo": "{query:c}" } }));
    let good = get(&header, "c=a%20b").unwrap().unwrap();
    assert!(
        good.parts
            .headers
            .iter()
            .any(|(name, value)| name == "x-echo" && value == "a b")
    );
    for bad in ["c=a%0D%0Ax-evil:%201", "c=a%0Ab", "c=a%00", "c=%C3%A9", "c=%7F"] {
        assert!(get(&header, bad).unwrap().is_err(), "{bad}");
    }
}

#[test]
fn a_handshake_without_what_it_echoes_is_none() {
    let two = one(json!({ "body": "{query:c}{query:d}" }));
    assert_eq!(get(&two, "c=1"), None);
    assert!(get(&two, "c=1&d=2").unwrap().is_ok());
    let header = one(json!({ "headers": { "x-a": "{header:x-none}" } }));
    assert_eq!(get(&header, "c=1"), None);
}

#[test]
fn a_text_that_is_no_challenge_is_not_signed() {
    let signs = one(json!({ "body": "{hmac-sha256-hex:query:c}" }));
    assert!(get(&signs, "c=abc").unwrap().is_ok());
    let refused = get(&signs, "c=v0:1:x").unwrap().unwrap_err();
    assert_eq!(refused.reason, Refusal::Handshake);
    let read = read(signs).unwrap();
    assert!(read.any_signs() && read.any_signs_unverified());
}

#[test]
fn faults_have_their_place() {
    let answer = |answer: Value| one(answer);
    let whole = |name: &str, method: &str, when: Value| json!([{ "name": name, "method": method, "verified": false, "when": when, "answer": {} }]);
    let many = Value::Array(vec![one(json!({}))[0].clone(); HANDSHAKES_MAX + 1]);
    let long = "x".repeat(513);
    for (handshakes, pointer) in [
        (whole("", "GET", json!([])), "/handshakes/0/name"),
        (whole("x", "get", json!([])), "/handshakes/0/method"),
        (whole("x", "DELETE", json!([])), "/handshakes/0/method"),
        (
            whole("x", "GET", json!([{ "value": "{x}" }])),
            "/handshakes/0/when/0/value",
        ),
        (
            whole("x", "GET", json!([{ "value": "{query:a}", "is": "" }])),
            "/handshakes/0/when/0/is",
        ),
        (
            whole("x", "GET", json!([{ "value": "{query:a}", "is": long }])),
            "/handshakes/0/when/0/is",
        ),
        (
            whole(
                "x",
                "GET",
                json!([{ "value": "{query:a}", "is": "b", "is_verify_token": true }]),
            ),
            "/handshakes/0/when/0/is",
        ),
        (
            whole("x", "GET", json!(vec![json!({ "value": "{query:a}" }); 9])),
            "/handshakes/0/when",
        ),
        (answer(json!({ "status": 301 })), "/handshakes/0/answer/status"),
        (answer(json!({ "status": 99 })), "/handshakes/0/answer/status"),
        (
            answer(json!({ "content_type": "a\nb" })),
            "/handshakes/0/answer/content_type",
        ),
        (
            answer(json!({ "content_type": "text/html", "body": "{query:c}" })),
            "/handshakes/0/answer/body",
        ),
        (answer(json!({ "body": "{sha256}" })), "/handshakes/0/answer/body"),
        (
            answer(json!({ "body": "x".repeat(4_097) })),
            "/handshakes/0/answer/body",
        ),
        (
            answer(json!({ "content_type": "application/json", "body": "{{\"c\":{query:c}}}" })),
            "/handshakes/0/answer/body",
        ),
        (
            answer(json!({ "content_type": "application/json", "body": "{{\"c\":\"\\{query:c}\"}}" })),
            "/handshakes/0/answer/body",
        ),
        (
            answer(json!({ "headers": { "a b": "x" } })),
            "/handshakes/0/answer/headers/a b",
        ),
        (
            answer(json!({ "headers": { "Content-Length": "1" } })),
            "/handshakes/0/answer/headers/Content-Length",
        ),
        (
            answer(json!({ "headers": { "location": "{query:c}" } })),
            "/handshakes/0/answer/headers/location",
        ),
        (
            answer(json!({ "headers": { "x": "a\r\nb" } })),
            "/handshakes/0/answer/headers/x",
        ),
        (many, "/handshakes"),
    ] {
        let faults = read(handshakes.clone()).err().unwrap_or_default();
        assert_eq!(
            faults.first().map(|fault| fault.pointer.as_str()),
            Some(pointer),
            "{handshakes}"
        );
    }
    // A page that is the same for everybody is the operator's own.
    assert!(
        read(answer(
            json!({ "content_type": "text/html", "body": "<p>ok</p>" })
        ))
        .is_ok()
    );
}

proptest! {
    #[test]
    fn json_answers_stay_json(challenge in "\\PC{1,40}") {
        let json = one(json!({ "content_type": "application/json", "body": "{{\"c\":\"a{query:c}b\"}}" }));
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("c", &challenge).finish();
        let answered = get(&json, &query).unwrap().unwrap();
        let value: Value = serde_json::from_slice(&answered.parts.body).unwrap();
        prop_assert_eq!(value, json!({ "c": format!("a{challenge}b") }));
    }
}
