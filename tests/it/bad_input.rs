//! Bad input: every answer is problem+json that says what, where and what to do, and nothing is kept.

use serde_json::{Value, json};

use crate::support::TestRouter;

/// A request, what it must be answered with, and where the fault is.
struct Case {
    what: &'static str,
    body: Value,
    status: u16,
    pointer: &'static str,
}

fn case(what: &'static str, body: Value, status: u16, pointer: &'static str) -> Case {
    Case {
        what,
        body,
        status,
        pointer,
    }
}

/// Asserts that an answer is a whole problem.
pub(crate) fn is_a_problem(answer: &crate::support::router::Answer, what: &str) {
    let content_type = answer
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    assert!(
        content_type.starts_with("application/problem+json"),
        "{what}: {content_type}: {}",
        answer.text
    );
    for field in ["type", "title", "detail", "request_id"] {
        assert!(
            answer.body[field].as_str().is_some_and(|text| !text.is_empty()),
            "{what}: no {field}: {}",
            answer.text
        );
    }
    assert_eq!(answer.body["status"], answer.status, "{what}");
    let slug = answer.str("/type");
    let slug = slug.strip_prefix("/problems/");
    let kind = slug.and_then(hookway::api::problem::Kind::of_slug);
    assert_eq!(
        kind.map(|kind| kind.status().as_u16()),
        Some(answer.status),
        "{what}"
    );
}

fn points_at(answer: &crate::support::router::Answer, pointer: &str) -> bool {
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    pointer.is_empty() && errors.is_empty() || errors.iter().any(|error| error["pointer"] == pointer)
}

async fn refused(router: &TestRouter, method: &str, path: &str, cases: Vec<Case>) {
    for Case {
        what,
        body,
        status,
        pointer,
    } in cases
    {
        let answer = router.call(method, path, &body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        is_a_problem(&answer, what);
        assert!(
            points_at(&answer, pointer),
            "{what}: not at {pointer:?}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn events() {
    let router = TestRouter::start().await;
    let long = "x".repeat(300);
    let many: Vec<Value> = (0..1_001).map(|_| json!({"type": "a", "data": 1})).collect();
    let cases = vec![
        case("no object", json!(7), 422, ""),
        case("no type", json!({"data": 1}), 422, "/type"),
        case("no data", json!({"type": "a"}), 422, "/data"),
        case("type is a number", json!({"type": 7, "data": 1}), 422, "/type"),
        case(
            "type is no type",
            json!({"type": "a..b", "data": 1}),
            422,
            "/type",
        ),
        case(
            "type is a pattern",
            json!({"type": "a.*", "data": 1}),
            422,
            "/type",
        ),
        case("type is too long", json!({"type": long, "data": 1}), 422, "/type"),
        case(
            "type is the router's own",
            json!({"type": "hookway.x", "data": 1}),
            422,
            "/type",
        ),
        case(
            "unknown field",
            json!({"type": "a", "data": 1, "dta": 2}),
            422,
            "/dta",
        ),
        case(
            "both data",
            json!({"type": "a", "data": 1, "data_base64": "AA=="}),
            422,
            "/data_base64",
        ),
        case(
            "no base64",
            json!({"type": "a", "data_base64": "ä"}),
            422,
            "/data_base64",
        ),
        case(
            "bad time",
            json!({"type": "a", "data": 1, "time": "today"}),
            422,
            "/time",
        ),
        case("empty id", json!({"type": "a", "data": 1, "id": ""}), 422, "/id"),
        case(
            "id too long",
            json!({"type": "a", "data": 1, "id": long}),
            422,
            "/id",
        ),
        case(
            "control character",
            json!({"type": "a", "data": 1, "subject": "a\nb"}),
            422,
            "/subject",
        ),
        case("empty array", json!([]), 422, ""),
        case("too many", json!(many), 422, ""),
        case(
            "second is bad",
            json!([{"type": "a", "data": 1}, {"type": "b"}]),
            422,
            "/1/data",
        ),
    ];
    refused(&router, "POST", "/api/v1/events", cases).await;
    let deep = format!(r#"{{"type":"a","data":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let huge = format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(2 << 20));
    let json_type = [("content-type", "application/json")];
    for (what, headers, body, status) in [
        (
            "broken JSON",
            &json_type,
            r#"{"type":"a","data":}"#.to_owned(),
            400,
        ),
        ("not UTF-8 cut short", &json_type, "{".to_owned(), 400),
        ("too deep", &json_type, deep, 400),
        ("too large", &json_type, huge, 413),
        (
            "other media type",
            &[("content-type", "text/plain")],
            "a".to_owned(),
            415,
        ),
    ] {
        let answer = router.call_raw("POST", "/api/v1/events", headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        is_a_problem(&answer, what);
    }
    assert_eq!(
        router.get("/api/v1/events").await.expect(200).body["data"],
        json!([]),
        "nothing was kept"
    );
}

#[tokio::test]
async fn subscriptions() {
    let router = TestRouter::start().await;
    let good = json!({"name": "n", "url": "http://127.0.0.1:8099/", "events": ["*"]});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let deep_filter = format!("{}true{}", "(".repeat(300), ")".repeat(300));
    let nested = "data.a.all(x, data.a.all(y, data.a.all(z, x == y)))";
    let slack = |config: Value| json!([{"name": "slack", "config": config}]);
    let five = json!(vec![json!({"name": "slack", "config": {}}); 5]);
    let cases = vec![
        case("no name", without("name"), 422, "/name"),
        case("no URL", without("url"), 422, "/url"),
        case("no events", without("events"), 422, "/events"),
        case("empty events", with("events", json!([])), 422, "/events"),
        case(
            "bad pattern",
            with("events", json!(["a", "a.*.b"])),
            422,
            "/events/1",
        ),
        case(
            "pattern is a number",
            with("events", json!([7])),
            422,
            "/events/0",
        ),
        case("no URL at all", with("url", json!("nonsense")), 422, "/url"),
        case(
            "other scheme",
            with("url", json!("ftp://example.com/")),
            422,
            "/url",
        ),
        case(
            "user and password",
            with("url", json!("https://a:b@example.com/")),
            422,
            "/url",
        ),
        case(
            "metadata address",
            with("url", json!("http://169.254.169.254/latest")),
            422,
            "/url",
        ),
        case(
            "CEL that does not parse",
            with("filter", json!("data.a ==")),
            422,
            "/filter",
        ),
        case(
            "CEL that is too deep",
            with("filter", json!(deep_filter)),
            422,
            "/filter",
        ),
        case(
            "CEL that is too costly",
            with("filter", json!(nested)),
            422,
            "/filter",
        ),
        case(
            "CEL that is too long",
            with("filter", json!("x".repeat(5_000))),
            422,
            "/filter",
        ),
        case("unknown field", with("evnts", json!([])), 422, "/evnts"),
        case(
            "unknown plugin",
            with("plugins", json!([{"name": "nope", "config": {}}])),
            422,
            "/plugins/0/name",
        ),
        case("five plugins", with("plugins", five), 422, "/plugins"),
        case(
            "config of a wrong type",
            with("plugins", slack(json!({"types": 7}))),
            422,
            "/plugins/0/config/types",
        ),
        case(
            "unknown config field",
            with("plugins", slack(json!({"colour": 1}))),
            422,
            "/plugins/0/config",
        ),
        case(
            "jq that does not compile",
            with("plugins", json!([{"name": "jq", "config": {"program": ".a |"}}])),
            422,
            "/plugins/0/config/program",
        ),
        case("unknown profile", with("profile", json!("nope")), 422, "/profile"),
        case(
            "short secret",
            with("secret", json!("whsec_AAAA")),
            422,
            "/secret",
        ),
        case(
            "host header",
            with("headers", json!({"host": "x"})),
            422,
            "/headers/host",
        ),
        case(
            "header with a line break",
            with("headers", json!({"x-a": "a\r\nb: c"})),
            422,
            "/headers/x-a",
        ),
        case("bad key", with("key", json!("No Slug")), 422, "/key"),
        case(
            "no permits",
            with("max_in_flight", json!(0)),
            422,
            "/max_in_flight",
        ),
        case(
            "no wait",
            with("retry", json!({"waits": ["30s", "later"]})),
            422,
            "/retry/waits/1",
        ),
        case("no schedule", with("retry", json!("never")), 422, "/retry"),
        case(
            "no time at all",
            with("timeout_seconds", json!(0)),
            422,
            "/timeout_seconds",
        ),
        case(
            "too much time",
            with("timeout_seconds", json!(301)),
            422,
            "/timeout_seconds",
        ),
    ];
    refused(&router, "POST", "/api/v1/subscriptions", cases).await;
    assert_eq!(
        router.get("/api/v1/subscriptions").await.expect(200).body["data"],
        json!([]),
        "nothing was kept"
    );

    let first = with("key", json!("taken"));
    let id = router.subscribe(&first).await;
    let twice = router.post("/api/v1/subscriptions", &first).await.expect(409);
    is_a_problem(&twice, "a key twice");
    assert!(points_at(&twice, "/key"), "{}", twice.text);
    let nameless = router.post("/api/v1/subscriptions", &without("name")).await;
    assert_eq!(
        nameless.body["errors"],
        json!([{"pointer": "/name", "detail": "must be given"}])
    );
    let patch = |body: Value| {
        let router = &router;
        async move { router.call("PATCH", "/api/v1/subscriptions/taken", &body).await }
    };
    assert!(points_at(
        &patch(json!({"events": ["a..b"]})).await.expect(422),
        "/events/0"
    ));
    assert!(points_at(&patch(json!({"id": id})).await.expect(422), "/id"));
    let unchanged = router.get("/api/v1/subscriptions/taken").await.expect(200);
    assert_eq!(unchanged.body["events"], json!(["*"]));
}

#[tokio::test]
async fn plugins() {
    let router = TestRouter::start().await;
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    let no_exports = wat::parse_str("(component)").unwrap();
    let wants_network =
        wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#).unwrap();
    for (what, body, word) in [
        ("not wasm", b"hello".to_vec(), "component"),
        ("nothing", Vec::new(), "component"),
        ("ELF", b"\x7fELF\x02\x01\x01".to_vec(), "component"),
        ("a core module", core_module, "component"),
        ("no exports", no_exports, "hookway:plugin"),
        ("an import that is not granted", wants_network, "wasi:sockets"),
    ] {
        let answer = router
            .call_raw(
                "PUT",
                "/api/v1/plugins/bad",
                &[("content-type", "application/wasm")],
                body,
            )
            .await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text);
        is_a_problem(&answer, what);
        assert!(answer.text.contains(word), "{what}: {}", answer.text);
    }
    let huge = vec![0_u8; 20 << 20];
    let answer = router
        .call_raw(
            "PUT",
            "/api/v1/plugins/bad",
            &[("content-type", "application/wasm")],
            huge,
        )
        .await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    router.get("/api/v1/plugins/bad").await.expect(404);
}

#[tokio::test]
async fn paths_and_methods() {
    let router = TestRouter::start().await;
    for (method, path, status) in [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/api/v1/events", 405),
        ("GET", "/api/v1/events/evt_nonsense", 404),
        ("GET", "/api/v1/events?limit=0", 400),
        ("GET", "/api/v1/events?limit=abc", 400),
        ("GET", "/api/v1/events?cursor=abc", 400),
        ("GET", "/api/v1/events?type=github.*", 400),
        ("GET", "/api/v1/events?nonsense=1", 400),
        ("GET", "/api/v1/deliveries?status=lost", 400),
    ] {
        let answer = router.call_raw(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        is_a_problem(&answer, path);
    }
}
