//! The API as clients see it: the router over a real store, a real plugin runtime and nothing sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{Limits, Preview, Sent, State, routes};
use crate::activity::Feed;
use crate::auth;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::control::{Control, Parts};
use crate::delivery::{Attempt, Pending};
use crate::egress::Policy;
use crate::event::Event;
use crate::id::Generator;
use crate::ingest::{Handover, Ingest, Wake};
use crate::plugin::{Compiler, PluginLimits, Runtime, RuntimeOptions};
use crate::registry::Registry;
use crate::routing::Route;
use crate::store::Store;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::subscription::Subscription;
use crate::time::Timestamp;

#[path = "../../../tests/guests/wrap.rs"]
mod wrap;

mod history;

const ADMIN: &str = "an admin key of thirty-two characters";

/// Takes what is handed over and sends nothing.
#[derive(Default)]
struct Taken {
    offered: Mutex<Vec<(Arc<Event>, Vec<Pending>)>>,
    queued: Mutex<Vec<Pending>>,
}

impl Handover for Taken {
    fn offer(&self, event: Arc<Event>, rows: Vec<Pending>) {
        self.offered.lock().unwrap().push((event, rows));
    }
}

impl Wake for Taken {
    fn queue(&self, rows: Vec<Pending>) {
        self.queued.lock().unwrap().extend(rows);
    }
}

impl Preview for Taken {
    fn sent(
        &self,
        subscription: &Subscription,
        event: &Event,
        request: Option<&crate::delivery::Request>,
        _attempt: &Attempt,
    ) -> Option<Sent> {
        let headers = subscription.endpoint.headers.iter();
        Some(Sent {
            method: "POST".to_owned(),
            url: subscription.endpoint.url.reveal().to_owned(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
                .collect(),
            body: request.map_or_else(|| event.data.clone(), |request| request.body.clone()),
        })
    }
}

/// A whole API with a directory of its own.
struct House {
    router: Router,
    taken: Arc<Taken>,
    store: Arc<dyn Store>,
    control: Arc<Control>,
    draining: watch::Sender<bool>,
    directory: tempfile::TempDir,
}

/// An answer, read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// `422 invalid /url /name`: status, kind and pointers of a problem.
    fn problem(&self) -> String {
        assert_eq!(
            self.headers[CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.json()
        );
        let problem = self.json();
        assert_eq!(
            problem["request_id"],
            self.headers["x-request-id"].to_str().unwrap()
        );
        assert_eq!(problem["status"], self.status.as_u16());
        let mut text = format!(
            "{} {}",
            self.status.as_u16(),
            problem["type"].as_str().unwrap().rsplit_once(':').unwrap().1
        );
        for fault in problem["errors"].as_array().into_iter().flatten() {
            text.push(' ');
            text.push_str(fault["pointer"].as_str().unwrap());
        }
        text
    }
}

async fn house() -> House {
    house_with(Limits::default()).await
}

async fn house_with(limits: Limits) -> House {
    house_in(tempfile::tempdir().unwrap(), limits).await
}

async fn house_in(directory: tempfile::TempDir, limits: Limits) -> House {
    let clock = Clock::manual(Timestamp::from_millis(1_779_208_200_000));
    let options = SqliteOptions::new(directory.path().join("data"), clock.now());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&options).unwrap());
    let runtime = Runtime::start(RuntimeOptions {
        limits: PluginLimits::default(),
        artefact_dir: directory.path().join("artefacts"),
        artefact_key: [7; 32],
        compiler: Compiler::InProcess,
    });
    let runtime = runtime.unwrap();
    let routes = store.subscriptions().await.unwrap();
    let routes = routes
        .into_iter()
        .map(|known| Arc::new(Route::compile(Arc::new(known)).unwrap()));
    let registry = Arc::new(Registry::new(routes));
    let ids = Arc::new(Generator::new(0));
    ids.observe(store.newest_id().await.unwrap());
    let echo: &'static [u8] = component("").leak();
    let catalogue = Catalogue::open(runtime.clone(), Arc::clone(&store), &[("echo", echo)])
        .await
        .unwrap();
    let control = Control::open(Parts {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        catalogue: Arc::new(catalogue),
        runtime,
        policy: Arc::new(Policy::default()),
        ids: Arc::clone(&ids),
        clock: clock.clone(),
        operator_key: Some(auth::hash_key(ADMIN)),
    });
    let (control, taken, feed) = (control.await.unwrap(), Arc::<Taken>::default(), Feed::default());
    let ingest = Ingest {
        store: Arc::clone(&store),
        registry: Arc::clone(&registry),
        ids,
        clock: clock.clone(),
        dispatcher: Arc::clone(&taken) as Arc<dyn Handover>,
        feed: feed.clone(),
        idempotency_window: Duration::from_secs(86_400),
    };
    let (stop, draining) = watch::channel(false);
    let router = super::router(State {
        control: Arc::clone(&control),
        ingest: Arc::new(ingest),
        store: Arc::clone(&store),
        registry,
        feed,
        clock,
        wake: Arc::clone(&taken) as Arc<dyn Wake>,
        preview: Arc::clone(&taken) as Arc<dyn Preview>,
        draining,
        limits,
    });
    House {
        router,
        taken,
        store,
        control,
        draining: stop,
        directory,
    }
}

fn component(guest: &str) -> Vec<u8> {
    wat::parse_str(wrap::component(guest)).unwrap()
}

impl House {
    async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// With the admin key.
    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.call_as(ADMIN, method, path, body).await
    }

    async fn call_as(&self, key: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        self.send(
            request
                .header(AUTHORIZATION, format!("Bearer {key}"))
                .body(body.into())
                .unwrap(),
        )
        .await
    }

    async fn key(&self, scopes: &[&str]) -> String {
        let body = json!({"name": "k", "scopes": scopes}).to_string();
        self.call("POST", "/keys", body).await.field("key")
    }

    async fn subscribe(&self, more: Value) -> Answer {
        let mut wish = json!({"name": "n", "url": "https://example.com/hook/token", "events": ["alert.*"]});
        wish.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.call("POST", "/subscriptions", wish.to_string()).await
    }
}

const NOTHING: &str = "";

#[tokio::test]
async fn an_event_is_accepted_durably_and_handed_over() {
    let house = house().await;
    let subscription = house.subscribe(json!({})).await;
    assert_eq!(
        subscription.status,
        StatusCode::CREATED,
        "{}",
        subscription.json()
    );
    assert!(subscription.field("secret").starts_with("whsec_") && subscription.json()["enabled"] == true);
    let body = r#"{"type":"alert.created", "data" : {"n": 1.0,  "big":12345678901234567890123}}"#;
    let accepted = house.call("POST", "/events", body).await;
    assert_eq!(
        (accepted.status, &accepted.json()["matched"]),
        (StatusCode::ACCEPTED, &json!(1))
    );
    let (event, rows) = house.taken.offered.lock().unwrap().pop().unwrap();
    assert_eq!(&event.data[..], br#"{"n": 1.0,  "big":12345678901234567890123}"#);
    assert_eq!((rows.len(), event.id.to_string()), (1, accepted.field("id")));
    let shown = house
        .call("GET", &format!("/events/{}", accepted.field("id")), NOTHING)
        .await;
    let text = String::from_utf8(shown.body.to_vec()).unwrap();
    assert!(
        text.contains(r#""data":{"n": 1.0,  "big":12345678901234567890123}"#),
        "{text}"
    );
    let deliveries = house
        .call("GET", "/deliveries?status=pending", NOTHING)
        .await
        .json();
    assert_eq!(deliveries["data"][0]["id"], rows[0].delivery.to_string());
    assert_eq!(
        deliveries["data"][0]["next_attempt_at"],
        "2026-05-19T16:30:00.000Z"
    );
    let why = house
        .call(
            "GET",
            &format!("/events/{}/matches", accepted.field("id")),
            NOTHING,
        )
        .await
        .json();
    assert_eq!(why["data"][0]["matched"], true, "{why}");
}

#[tokio::test]
async fn arrays_duplicates_and_unmatched_events_are_answered_as_promised() {
    let house = house().await;
    let one = r#"{"type":"a","data":1,"id":"x"}"#;
    let first = house.call("POST", "/events", one).await.json();
    assert!(
        first["note"].is_string() && first.get("duplicate").is_none(),
        "{first}"
    );
    let again = house.call("POST", "/events", one).await.json();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    let other = house
        .call("POST", "/events", r#"{"type":"a","data":2,"id":"x"}"#)
        .await;
    assert_eq!(other.problem(), "409 idempotency-conflict /id");
    let many = house
        .call(
            "POST",
            "/events",
            r#"[{"type":"a","data":1},{"type":"b","data":2}]"#,
        )
        .await;
    assert_eq!(
        (many.status, many.json()["data"].as_array().unwrap().len()),
        (StatusCode::ACCEPTED, 2)
    );
    let key = |body: &'static str| {
        let request = Request::post("/api/v1/events").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
        request
            .header("Idempotency-Key", "k1")
            .body(Body::from(body))
            .unwrap()
    };
    let first = house.send(key(r#"{"type":"a","data":1}"#)).await.json();
    assert_eq!(
        house.send(key(r#"{"type":"a","data":1}"#)).await.json()["id"],
        first["id"]
    );
    assert_eq!(
        house.send(key(r#"{"type":"a","data":2}"#)).await.problem(),
        "409 idempotency-conflict"
    );
}

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
        ("POST", "/tenants", r#"{"name":"A"}"#.into(), "422 invalid /name"),
        ("POST", "/tenants", r#"{"name":"default"}"#.into(), "409 conflict"),
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
        ("content-type", "application/cloudevents+json"),
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
async fn a_subscription_lives_its_life() {
    let house = house().await;
    let made = house
        .subscribe(json!({"key":"slack","headers":{"X-Token":"t0p"},"filter":"true"}))
        .await;
    let secret = made.field("secret");
    assert_eq!(made.headers[ETAG], "\"1\"");
    assert_eq!(
        house.subscribe(json!({"key":"slack"})).await.problem(),
        "409 conflict"
    );
    let shown = house.call("GET", "/webhooks/slack", NOTHING).await.json();
    assert_eq!(
        (&shown["url"], &shown["headers"]["X-Token"]),
        (&json!("https://example.com/hook/token"), &json!("t0p"))
    );
    assert!(shown.get("secret").is_none());
    let read = house.key(&["read"]).await;
    let masked = house
        .call_as(&read, "GET", "/subscriptions/slack", NOTHING)
        .await
        .json();
    assert_eq!(
        (&masked["url"], &masked["headers"]["X-Token"]),
        (&json!("https://example.com/…"), &json!("…"))
    );
    let patched = house
        .call("PATCH", "/subscriptions/slack", r#"{"filter":null,"name":"new"}"#)
        .await;
    assert_eq!(
        (patched.field("name"), &patched.json()["filter"]),
        ("new".into(), &Value::Null)
    );
    assert_eq!(
        house
            .call("PATCH", "/subscriptions/slack", r#"{"url":null}"#)
            .await
            .problem(),
        "422 invalid /url"
    );
    let request =
        Request::patch("/api/v1/subscriptions/slack").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
    let stale = house
        .send(request.header(IF_MATCH, "\"1\"").body(Body::from("{}")).unwrap())
        .await;
    assert_eq!(stale.problem(), "412 changed");
    let rotated = house
        .call(
            "POST",
            "/subscriptions/slack/rotate-secret",
            r#"{"overlap_seconds":60}"#,
        )
        .await;
    assert_ne!(rotated.field("secret"), secret);
    assert_eq!(
        rotated.json()["old_secrets_until"],
        json!(["2026-05-19T16:31:00.000Z"])
    );
    let off = house
        .call(
            "POST",
            "/subscriptions/slack/disable",
            r#"{"reason":"maintenance"}"#,
        )
        .await;
    assert_eq!(
        (&off.json()["enabled"], off.field("status_reason")),
        (&json!(false), "maintenance".into())
    );
    house
        .call("POST", "/events", r#"{"type":"alert.x","data":1}"#)
        .await;
    let held = house
        .call("GET", "/subscriptions/slack/deliveries?status=held", NOTHING)
        .await
        .json();
    assert_eq!(
        (&held["data"][0]["status"], &held["data"][0]["reason"]),
        (&json!("held"), &json!("maintenance"))
    );
    assert_eq!(
        house
            .call("GET", "/deliveries?status=pending", NOTHING)
            .await
            .json()["data"],
        json!([])
    );
    assert_eq!(
        house
            .call("POST", "/subscriptions/slack/enable", NOTHING)
            .await
            .json()["enabled"],
        true
    );
    let pending = house
        .call("GET", "/deliveries?status=pending", NOTHING)
        .await
        .json();
    let id = pending["data"][0]["id"].as_str().unwrap().to_owned();
    let resent = house
        .call("POST", &format!("/deliveries/{id}/resend"), NOTHING)
        .await;
    assert_eq!(
        (resent.status, resent.field("status")),
        (StatusCode::ACCEPTED, "pending".into())
    );
    assert_eq!(house.taken.queued.lock().unwrap().len(), 1);
    assert_eq!(
        house.call("DELETE", "/subscriptions/slack", NOTHING).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house.call("GET", "/subscriptions/slack", NOTHING).await.problem(),
        "404 not-found"
    );
    assert!(house.store.subscriptions().await.unwrap().is_empty());
}

#[tokio::test]
async fn lists_are_cut_into_pages() {
    let house = house().await;
    house.subscribe(json!({})).await;
    let events: Vec<Value> = (0..5).map(|n| json!({"type":"alert.x","data":n})).collect();
    house
        .call("POST", "/events", Value::from(events).to_string())
        .await;
    for list in ["/events", "/deliveries", "/deliveries?status=pending"] {
        let (mut path, mut seen) = (list.to_owned(), Vec::new());
        let join = if list.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{join}limit=2"));
        loop {
            let page = house.call("GET", &path, NOTHING).await.json();
            seen.extend(
                page["data"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|row| row["id"].to_string()),
            );
            let Some(next) = page["next"].as_str() else { break };
            path = format!("{list}{join}limit=2&cursor={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (5, &sorted), "{list}");
    }
}

#[tokio::test]
async fn a_plugin_is_uploaded_run_and_guarded() {
    let house = house().await;
    let listed = house.call("GET", "/plugins", NOTHING).await.json();
    assert_eq!(
        (&listed["data"][0]["name"], &listed["data"][0]["origin"]),
        (&json!("echo"), &json!("first-party"))
    );
    let version = |marker: &str| component(&format!("(func $marker_{marker})"));
    let first = house.call("PUT", "/plugins/mine", version("one")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json());
    assert_eq!(
        house.call("PUT", "/plugins/mine", version("one")).await.status,
        StatusCode::OK
    );
    let run = r#"{"event":{"type":"a","data":{"b": 1}}}"#;
    let ran = house.call("POST", "/plugins/mine/run", run).await.json();
    assert_eq!(
        (&ran["outcome"], &ran["requests"][0]["body"]),
        (&json!("deliver"), &json!("{\"b\": 1}")),
        "{ran}"
    );
    let follower = house.subscribe(json!({"plugins":[{"name":"mine"}]})).await;
    assert_eq!(follower.status, StatusCode::CREATED, "{}", follower.json());
    assert!(
        house
            .call("DELETE", "/plugins/mine", NOTHING)
            .await
            .problem()
            .starts_with("409 conflict")
    );
    let refusing = component(include_str!("../../../tests/guests/refuses_config.wat"));
    let id = follower.field("id");
    let refused = house.call("PUT", "/plugins/mine", refusing.clone()).await;
    assert_eq!(
        refused.problem(),
        format!("409 conflict /subscriptions/{id}/plugins/0/config/channel")
    );
    assert_eq!(
        house.call("GET", "/plugins/mine", NOTHING).await.field("digest"),
        first.field("digest")
    );
    let forced = house.call("PUT", "/plugins/mine?force", refusing).await;
    assert_eq!(
        (forced.status, &forced.json()["held"]),
        (StatusCode::CREATED, &json!([id])),
        "{}",
        forced.json()
    );
    assert_eq!(
        house
            .call("GET", &format!("/subscriptions/{id}"), NOTHING)
            .await
            .field("status"),
        "held"
    );
    let wrong = house
        .subscribe(json!({"plugins":[{"name":"mine","config":{}}]}))
        .await;
    assert_eq!(wrong.problem(), "422 invalid /plugins/0/config/channel");
    let pinned = json!({"plugins":[{"name":"mine","digest":first.field("digest")}]}).to_string();
    let mended = house.call("PATCH", &format!("/subscriptions/{id}"), pinned).await;
    assert_eq!(
        mended.json()["enabled"],
        true,
        "a change ends a hold: {}",
        mended.json()
    );
    house
        .call("DELETE", &format!("/subscriptions/{id}"), NOTHING)
        .await;
    assert_eq!(
        house.call("DELETE", "/plugins/mine", NOTHING).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn a_change_runs_to_its_end_although_the_client_leaves() {
    let house = house().await;
    let body = r#"{"type":"a","data":1}"#;
    let request = Request::post("/api/v1/events").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
    let mut answer = Box::pin(
        house
            .router
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap()),
    );
    // Begun, and dropped at its first wait.
    assert!(futures_util::FutureExt::now_or_never(&mut answer).is_none());
    drop(answer);
    let everything = crate::store::EventQuery {
        limit: 10,
        ..Default::default()
    };
    while house.store.events(everything.clone()).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn draining_and_a_closed_store_are_not_ready() {
    let house = house().await;
    let ready = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(house.send(ready("/healthz")).await.status, StatusCode::OK);
    assert_eq!(house.send(ready("/readyz")).await.status, StatusCode::OK);
    house.draining.send(true).unwrap();
    assert_eq!(house.send(ready("/readyz")).await.problem(), "503 unavailable");
    house.draining.send(false).unwrap();
    house.store.close().await.unwrap();
    assert_eq!(house.send(ready("/readyz")).await.problem(), "503 unavailable");
    let refused = house.call("POST", "/events", r#"{"type":"a","data":1}"#).await;
    assert_eq!(refused.problem(), "503 unavailable");
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
