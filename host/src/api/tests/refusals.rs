//! What is refused, how, and to whom; and that nothing is routed that is not documented.

use super::*;
use crate::api::problem::Kind;

#[tokio::test]
async fn what_is_wrong_is_named_by_its_place() {
    let house = house().await;
    let deep = format!(r#"{{"type":"a","data":{}1{}}}"#, "[".repeat(70), "]".repeat(70));
    let large = format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(1 << 20));
    let step = |config: Value| {
        json!({"name":"n","url":"https://a.example","events":["*"],"plugins":[config]}).to_string()
    };
    let table: Vec<(&str, &str, String, &str)> = vec![
        ("POST", "/events", "hello".into(), "400 malformed"),
        ("POST", "/events", String::new(), "400 malformed"),
        ("POST", "/events", r#"{"type":"a","data":}"#.into(), "400 malformed"),
        ("POST", "/events", "7".into(), "422 invalid "),
        ("POST", "/events", deep, "400 malformed"),
        ("POST", "/events", large, "413 too-large"),
        ("POST", "/events", r#"{"type":"a b","data":1}"#.into(), "422 invalid /type"),
        ("POST", "/events", r#"{"type":"hookway.x","data":1}"#.into(), "422 invalid /type"),
        ("POST", "/events", r#"[{"type":"a","data":1},{"type":"","data":1}]"#.into(), "422 invalid /1/type"),
        ("POST", "/events", r#"{"type":"a","data":1,"typo":1}"#.into(), "422 invalid /typo"),
        ("POST", "/subscriptions", "{}".into(), "422 invalid /name /url /events"),
        ("POST", "/subscriptions", r#"{"name":1}"#.into(), "422 invalid /name"),
        (
            "POST",
            "/subscriptions",
            r#"{"name":"n","url":"http://127.0.0.1/","events":["a..b"],"filter":null}"#.into(),
            "422 invalid /url /events/0",
        ),
        (
            "POST",
            "/subscriptions",
            r#"{"name":"n","url":"https://a.example","events":["*"],"filter":"1 +"}"#.into(),
            "422 invalid /filter",
        ),
        (
            "POST",
            "/subscriptions",
            r#"{"name":"n","url":"https://a.example","events":["*"],"key":"A","profile":"x","secret":"y","headers":{"Host":"z"}}"#
                .into(),
            "422 invalid /profile /key /headers/Host /secret",
        ),
        (
            "POST",
            "/subscriptions",
            r#"{"name":"n","url":"https://a.example","events":["*"],"max_in_flight":0,"rate_limit":{"requests":0}}"#.into(),
            "422 invalid /max_in_flight /rate_limit/requests",
        ),
        ("POST", "/subscriptions", step(json!({"name":"ecko"})), "422 invalid /plugins/0/name"),
        ("POST", "/subscriptions", step(json!({"name":"echo","digest":"0"})), "422 invalid /plugins/0/digest"),
        (
            "POST",
            "/subscriptions",
            step(json!({"name":"echo","digest":"0".repeat(64)})),
            "422 invalid /plugins/0/digest",
        ),
        ("POST", "/keys", r#"{"name":"","scopes":["root"]}"#.into(), "422 invalid /scopes/0"),
        ("POST", "/keys", r#"{"name":"k","scopes":[]}"#.into(), "422 invalid /scopes"),
        ("POST", "/keys", r#"{"scopes":["read"]}"#.into(), "422 invalid /name"),
        ("POST", "/tenants", r#"{"name":"A"}"#.into(), "422 invalid /name"),
        ("POST", "/tenants", r#"{"name":"default"}"#.into(), "409 conflict /name"),
        ("PUT", "/plugins/x", "not wasm".into(), "422 invalid "),
        ("DELETE", "/plugins/echo", String::new(), "409 conflict"),
        ("GET", "/plugins/none", String::new(), "404 not-found"),
        ("GET", "/events/evt_x", String::new(), "404 not-found"),
        ("GET", "/deliveries/dlv_0000000000001", String::new(), "404 not-found"),
        ("POST", "/deliveries/dlv_0000000000001/resend", String::new(), "404 not-found"),
        ("GET", "/subscriptions/none", String::new(), "404 not-found"),
        ("GET", "/events?limit=0", String::new(), "400 invalid-parameter"),
        ("GET", "/events?cursor=x", String::new(), "400 invalid-parameter"),
        ("GET", "/events?limti=1", String::new(), "400 invalid-parameter"),
        ("GET", "/deliveries?status=lost", String::new(), "400 invalid-parameter"),
        ("GET", "/tail?type=a..b", String::new(), "400 invalid-parameter"),
        ("GET", "/tail?event=sub_1", String::new(), "400 invalid-parameter"),
        ("GET", "/tail?status=pending", String::new(), "400 invalid-parameter"),
        ("GET", "/nothing", String::new(), "404 not-found"),
        ("GET", "/events/%FF", String::new(), "400 malformed"),
        ("PATCH", "/events", String::new(), "405 method-not-allowed"),
        ("POST", "/events/evt_0000000000001/replay", String::new(), "404 not-found"),
    ];
    for (method, path, body, expected) in table {
        let shown: String = body.chars().take(120).collect();
        let answer = house.call(method, path, body).await;
        assert_eq!(
            answer.problem(),
            expected,
            "{method} {path} {shown}: {}",
            answer.json()
        );
    }
}

#[tokio::test]
async fn only_json_is_taken_and_it_is_said_what_to_send() {
    let house = house().await;
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "application/cloudevents+xml"),
        ("content-type", "application/cloudevents+json; charset=latin1"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
    ] {
        let request = Request::post("/api/v1/events").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
        let answer = house
            .send(request.header(name, value).body(Body::from("{}")).unwrap())
            .await;
        assert_eq!(answer.problem(), "415 unsupported-media-type", "{value}");
    }
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_and_nothing_of_another_tenant() {
    let house = house().await;
    let none = house
        .send(Request::get("/api/v1/events").body(Body::empty()).unwrap())
        .await;
    assert_eq!(none.problem(), "401 unauthorized");
    assert!(
        none.headers[WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .starts_with("Bearer")
    );
    assert_eq!(
        house
            .call_as("hw_nothing", "GET", "/events", NOTHING)
            .await
            .problem(),
        "401 unauthorized"
    );
    let (ingest, read, manage) = (
        house.key(&["ingest"]).await,
        house.key(&["read"]).await,
        house.key(&["manage"]).await,
    );
    let event = r#"{"type":"a","data":1}"#;
    let table = [
        (&ingest, "POST", "/events", StatusCode::ACCEPTED),
        (&ingest, "GET", "/events", StatusCode::FORBIDDEN),
        (&read, "POST", "/events", StatusCode::FORBIDDEN),
        (&read, "GET", "/events", StatusCode::OK),
        (&read, "POST", "/subscriptions", StatusCode::FORBIDDEN),
        (&manage, "GET", "/events", StatusCode::OK),
        (&manage, "POST", "/events", StatusCode::FORBIDDEN),
        (&manage, "POST", "/keys", StatusCode::FORBIDDEN),
    ];
    for (key, method, path, status) in table {
        assert_eq!(
            house.call_as(key, method, path, event).await.status,
            status,
            "{method} {path}"
        );
    }
    house.call("POST", "/tenants", r#"{"name":"acme"}"#).await;
    let mine = house.subscribe(json!({"key": "mine"})).await.field("id");
    for tenant in ["acme", "nobody"] {
        for path in [
            format!("/api/v1/subscriptions/{mine}"),
            "/api/v1/subscriptions/mine".to_owned(),
        ] {
            let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {ADMIN}"));
            let answer = house
                .send(
                    request
                        .header("Hookway-Tenant", tenant)
                        .body(Body::empty())
                        .unwrap(),
                )
                .await;
            assert_eq!(answer.problem(), "404 not-found", "{tenant}");
        }
    }
    let request = Request::get("/api/v1/events").header(AUTHORIZATION, format!("Bearer {read}"));
    let answer = house
        .send(
            request
                .header("Hookway-Tenant", "acme")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(
        answer.problem(),
        "404 not-found",
        "a key of one tenant does not act for another"
    );
    let keys = house.call("GET", "/keys", NOTHING).await;
    assert!(
        !String::from_utf8_lossy(&keys.body).contains("hw_"),
        "keys are shown once"
    );
    let id = keys.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["scopes"][0] == "read")
        .unwrap()["id"]
        .clone();
    let revoked = house
        .call("DELETE", &format!("/keys/{}", id.as_str().unwrap()), NOTHING)
        .await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(
        house.call_as(&read, "GET", "/events", NOTHING).await.problem(),
        "401 unauthorized"
    );
}

#[tokio::test]
async fn a_change_runs_to_its_end_although_the_client_leaves() {
    let house = house().await;
    house.subscribe(json!({})).await;
    let body = r#"{"type":"alert.x","data":1}"#;
    let request = Request::post("/api/v1/events").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
    let request = request.body(Body::from(body)).unwrap();
    let mut answer = Box::pin(house.router.clone().oneshot(request));
    // Begun, and dropped at its first wait.
    assert!(futures_util::FutureExt::now_or_never(&mut answer).is_none());
    drop(answer);
    let handed_over = async {
        while house.taken.offered.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), handed_over).await;
    in_time.expect("what is durable is handed over");
}

#[tokio::test]
async fn draining_and_a_closed_store_are_not_ready() {
    let house = house().await;
    let ready = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(house.send(ready("/healthz")).await.status, StatusCode::OK);
    assert_eq!(house.send(ready("/readyz")).await.status, StatusCode::OK);
    house.draining.send(true).unwrap();
    assert_eq!(house.send(ready("/readyz")).await.problem(), "503 unavailable");
    // A preview counts for as long as there is something to count, but not past the end.
    let preview = r#"{"kind":"replay","status":"none","preview":true}"#;
    let refused = house.call("POST", "/operations", preview).await;
    assert_eq!(refused.problem(), "503 unavailable");
    house.draining.send(false).unwrap();
    let counted = house.call("POST", "/operations", preview).await;
    assert_eq!(counted.status, StatusCode::OK);
    house.store.close().await.unwrap();
    assert_eq!(house.send(ready("/readyz")).await.problem(), "503 unavailable");
    let refused = house.call("POST", "/events", r#"{"type":"a","data":1}"#).await;
    assert_eq!(refused.problem(), "503 unavailable");
}

#[tokio::test]
async fn the_type_of_every_problem_leads_to_its_page() {
    let house = house().await;
    let asked = |path: &str, accept: &str| Request::get(path).header("accept", accept).body(Body::empty());
    let refused = house.call("GET", "/nothing", NOTHING).await.json();
    let page = house
        .send(asked(refused["type"].as_str().unwrap(), "*/*").unwrap())
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.body, Kind::NotFound.page());
    let mut paths: Vec<&str> = Kind::ALL.iter().map(|kind| kind.reference()).collect();
    paths.push("/problems");
    for path in paths {
        for (accept, media_type, begins) in [
            ("*/*", "text/markdown; charset=utf-8", "# "),
            (
                "text/html,*/*;q=0.8",
                "text/html; charset=utf-8",
                "<!doctype html>",
            ),
        ] {
            let page = house.send(asked(path, accept).unwrap()).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            assert!(page.body.starts_with(begins.as_bytes()), "{path}");
            for (name, value) in [
                ("content-type", media_type),
                ("x-content-type-options", "nosniff"),
                ("vary", "accept"),
            ] {
                assert_eq!(page.headers[name], value, "{path}");
            }
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }
    let unknown = house.send(asked("/problems/nothing", "text/html").unwrap()).await;
    assert_eq!(unknown.problem(), "404 not-found");
}

#[tokio::test]
async fn every_path_is_in_the_document_and_the_other_way_round() {
    let house = house().await;
    let document = house
        .send(Request::get("/openapi.json").body(Body::empty()).unwrap())
        .await
        .json();
    let mut documented: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let mut routed: Vec<String> = routes().into_iter().map(|(path, _)| path).collect();
    documented.sort();
    routed.sort();
    assert_eq!(documented, routed);
    let mut ids = Vec::new();
    for path in &routed {
        let operations = document["paths"][path].as_object().unwrap();
        let nonsense = Request::builder()
            .method(Method::TRACE)
            .uri(path.replace(['{', '}'], ""));
        let answer = house.send(nonsense.body(Body::empty()).unwrap()).await;
        if path.starts_with("/webhooks/") {
            // Which methods it takes is the source's business, and there is none here.
            assert_eq!(answer.problem(), "404 not-found", "{path}");
            ids.extend(
                operations
                    .values()
                    .map(|operation| operation["operationId"].to_string()),
            );
            continue;
        }
        assert_eq!(answer.problem(), "405 method-not-allowed", "{path}");
        let allowed = answer.headers[ALLOW].to_str().unwrap().to_lowercase();
        let mut allowed: Vec<&str> = allowed
            .split(',')
            .map(str::trim)
            .filter(|method| *method != "head")
            .collect();
        let mut methods: Vec<&str> = operations.keys().map(String::as_str).collect();
        allowed.sort_unstable();
        methods.sort_unstable();
        assert_eq!(allowed, methods, "{path}");
        ids.extend(
            operations
                .values()
                .map(|operation| operation["operationId"].to_string()),
        );
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(super::super::openapi::text()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.contains(&"#/components/schemas/Problem"));
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let limits = Limits {
        answer_timeout: Duration::from_millis(20),
        ..Limits::default()
    };
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let slow = house_with(limits).await.call("POST", "/events", never).await;
    assert_eq!(slow.problem(), "503 unavailable");
    let limits = Limits {
        body_timeout: Duration::from_millis(20),
        ..Limits::default()
    };
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let slow = house_with(limits).await.call("POST", "/events", never).await;
    assert_eq!(slow.problem(), "408 request-timeout");
}

#[test]
fn the_document_says_what_bodies_and_parameters_may_be() {
    let document: Value = serde_json::from_str(super::super::openapi::text()).unwrap();
    let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    let operation = |path: &str, method: &str| at(&format!("/paths/{}/{method}", path.replace('/', "~1")));
    let patch = operation("/api/v1/subscriptions/{id}", "patch");
    let schema = &patch["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/SubscriptionInPatch");
    assert_eq!(
        at("/components/schemas/SubscriptionInPatch/required"),
        Value::Null
    );
    assert_ne!(at("/components/schemas/SubscriptionIn/required"), Value::Null);
    let upload = operation("/api/v1/plugins/{name}", "put");
    let bytes = &upload["requestBody"]["content"]["application/wasm"]["schema"];
    assert_eq!(*bytes, serde_json::json!({"type": "string", "format": "binary"}));
    let archive = operation("/api/v1/backup", "get");
    let archive = &archive["responses"]["200"]["content"]["application/x-tar"]["schema"]["$ref"];
    assert_eq!(archive, "#/components/schemas/Archive");
    let bytes = at("/components/schemas/Archive");
    assert_eq!(
        (&bytes["type"], &bytes["format"]),
        (&"string".into(), &"binary".into())
    );
    for operations in document["paths"].as_object().unwrap().values() {
        for (method, operation) in operations.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["schema"].is_object(), "{method} {parameter}");
            }
        }
    }
}
