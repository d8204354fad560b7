//! What happened is shown as it happened, to whom it may be shown, also after a restart.

use super::*;
use crate::delivery::{
    AfterRun, AttemptResult, Cause, Change, ErrorKind, GivenUp, Next, PluginRun, RunOutcome,
};
use crate::digest::Digest;

/// Accepts an event and gives its only row.
async fn accepted(house: &House) -> Pending {
    house
        .call("POST", "/events", r#"{"type":"alert.x","data":{"n":1}}"#)
        .await;
    let (_, rows) = house.taken.offered.lock().unwrap().pop().unwrap();
    rows[0]
}

async fn attempted(house: &House, pending: Pending, number: u16, result: AttemptResult, next: Next) {
    let at = Timestamp::from_millis(1_779_208_201_000);
    let attempt = Attempt {
        request: pending.request,
        delivery: pending.delivery,
        number,
        started_at: at,
        duration_ms: 12,
        result,
        resend: false,
        signature_headers: Vec::new(),
    };
    let change = Change::Attempted {
        pending,
        attempt: attempt.into(),
        next,
        at,
    };
    house
        .store
        .record(house.store.epoch(), vec![change])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_delivery_shows_its_attempts_and_masks_what_is_secret() {
    let house = house().await;
    house.subscribe(json!({"headers":{"X-Token":"t0p"}})).await;
    let pending = accepted(&house).await;
    let refused = AttemptResult::Error {
        kind: ErrorKind::Timeout,
        detail: "no answer in 20 s".into(),
    };
    let due_at = Timestamp::from_millis(1_779_208_206_000);
    attempted(
        &house,
        pending,
        1,
        refused,
        Next::Again {
            due_at,
            tries: 1,
            throttles: 0,
        },
    )
    .await;
    let pending = Pending {
        attempts: 1,
        tries: 1,
        due_at,
        ..pending
    };
    let answer = AttemptResult::Response {
        status: 400,
        headers: vec![("x-a".into(), "b".into())],
        body: Bytes::from_static(b"no"),
        truncated: false,
    };
    attempted(
        &house,
        pending,
        2,
        answer,
        Next::Failed {
            cause: Cause::Rejected,
            reason: "400 Bad Request".into(),
            given_up: GivenUp::AtOnce,
        },
    )
    .await;
    let path = format!("/deliveries/{}", pending.delivery);
    let shown = house.call("GET", &path, NOTHING).await.json();
    assert_eq!(
        (&shown["status"], &shown["reason"]),
        (&json!("failed"), &json!("400 Bad Request")),
        "{shown}"
    );
    assert_eq!(shown["next_attempt_at"], Value::Null);
    let (first, second) = (&shown["attempts"][0], &shown["attempts"][1]);
    assert_eq!(
        (&first["number"], &first["error"], &first["status_code"]),
        (&json!(1), &json!("timeout"), &Value::Null)
    );
    assert_eq!(
        (&second["status_code"], &second["response"]["body"]),
        (&json!(400), &json!("no"))
    );
    assert_eq!(
        (&second["started_at"], &second["duration_ms"]),
        (&json!("2026-05-19T16:30:01.000Z"), &json!(12))
    );
    assert_eq!(
        shown["requests"].as_array().unwrap().len(),
        1,
        "a body is shown once"
    );
    let sent = r#"{"type":"alert.x","timestamp":"2026-05-19T16:30:00.000Z","data":{"n":1}}"#;
    assert_eq!(shown["requests"][0]["body"], sent, "the envelope too");
    assert!(shown.to_string().contains("/hook/token") && shown.to_string().contains("t0p"));
    let read = house.key(&["read"]).await;
    let masked = house
        .call_as(&read, "GET", &path, NOTHING)
        .await
        .json()
        .to_string();
    assert!(
        !masked.contains("/hook/token") && !masked.contains("t0p"),
        "{masked}"
    );
    let failed = house
        .call("GET", "/deliveries?status=failed", NOTHING)
        .await
        .json();
    assert_eq!(
        (&failed["data"][0]["id"], &failed["data"][0]["attempt_count"]),
        (&shown["id"], &json!(2))
    );
}

#[tokio::test]
async fn what_a_plugin_filtered_is_shown_and_cannot_be_sent_again() {
    let house = house().await;
    house.subscribe(json!({"plugins":[{"name":"echo"}]})).await;
    let pending = accepted(&house).await;
    let at = Timestamp::from_millis(1_779_208_201_000);
    let run = PluginRun {
        run: 1,
        step: 0,
        plugin: "echo".into(),
        digest: Digest::of(b"x"),
        started_at: at,
        duration_us: 40,
        memory_bytes: 65_536,
        outcome: RunOutcome::Filtered {
            reason: "not critical".into(),
        },
        logs: Vec::new(),
        logs_dropped: 0,
    };
    let next = AfterRun::Filtered {
        reason: "not critical".into(),
    };
    let change = Change::Ran {
        pending,
        runs: vec![run],
        next,
        emitted: Vec::new(),
        at,
    };
    house
        .store
        .record(house.store.epoch(), vec![change])
        .await
        .unwrap();
    let path = format!("/deliveries/{}", pending.delivery);
    let shown = house.call("GET", &path, NOTHING).await.json();
    assert_eq!(
        (&shown["status"], &shown["reason"]),
        (&json!("filtered"), &json!("not critical")),
        "{shown}"
    );
    let run = &shown["plugin_runs"][0];
    assert_eq!(
        (&run["plugin"], &run["outcome"], &run["reason"]),
        (&json!("echo"), &json!("filtered"), &json!("not critical"))
    );
    assert_eq!(
        house
            .call("POST", &format!("{path}/resend"), NOTHING)
            .await
            .problem(),
        "409 conflict"
    );
}

#[tokio::test]
async fn a_delivery_of_a_subscription_that_is_gone_is_shown_but_not_sent() {
    let house = house().await;
    let id = house.subscribe(json!({})).await.field("id");
    let pending = accepted(&house).await;
    let answer = AttemptResult::Response {
        status: 200,
        headers: Vec::new(),
        body: Bytes::new(),
        truncated: false,
    };
    attempted(&house, pending, 1, answer, Next::Delivered).await;
    house
        .call("DELETE", &format!("/subscriptions/{id}"), NOTHING)
        .await;
    let path = format!("/deliveries/{}", pending.delivery);
    let shown = house.call("GET", &path, NOTHING).await;
    assert_eq!(
        (shown.status, shown.field("status")),
        (StatusCode::OK, "delivered".into())
    );
    assert_eq!(shown.json()["attempts"][0]["request_headers"], Value::Null);
    assert_eq!(
        house
            .call("POST", &format!("{path}/resend"), NOTHING)
            .await
            .problem(),
        "409 conflict"
    );
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let house = house().await;
    let key = house.key(&["read"]).await;
    house.call("POST", "/tenants", r#"{"name":"acme"}"#).await;
    house
        .call("PUT", "/plugins/mine", component("(func $mine)"))
        .await;
    let made = house
        .subscribe(json!({"key":"k","plugins":[{"name":"mine"}]}))
        .await
        .field("id");
    let House {
        router,
        taken,
        store,
        control,
        draining: _,
        directory,
    } = house;
    store.close().await.unwrap();
    drop((router, taken, store, control));
    let house = house_in(directory, Limits::default()).await;
    let shown = house.call_as(&key, "GET", "/subscriptions/k", NOTHING).await;
    assert_eq!(shown.field("id"), made, "{}", shown.json());
    assert_eq!(
        house.control.tenants().len(),
        2,
        "the default tenant is made once"
    );
    let ran = house
        .call("POST", "/plugins/mine/run", r#"{"event":{"type":"a","data":1}}"#)
        .await;
    assert_eq!(ran.field("outcome"), "deliver", "{}", ran.json());
}

#[tokio::test]
async fn no_more_may_watch_than_are_allowed() {
    let house = house_with(Limits {
        watchers_max: 1,
        ..Limits::default()
    })
    .await;
    let watch = || Request::get("/api/v1/tail").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
    let first = house
        .router
        .clone()
        .oneshot(watch().body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(first.headers()[CONTENT_TYPE], "text/event-stream");
    assert_eq!(
        house.send(watch().body(Body::empty()).unwrap()).await.problem(),
        "503 overloaded"
    );
    drop(first);
    let again = house
        .router
        .clone()
        .oneshot(watch().body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_of_another_tenant_is_there() {
    let house = house().await;
    house.subscribe(json!({})).await;
    let pending = accepted(&house).await;
    house
        .call("PUT", "/plugins/mine", component("(func $mine)"))
        .await;
    let mine = house
        .call("POST", "/keys", r#"{"name":"k","scopes":["read"]}"#)
        .await
        .field("id");
    house.call("POST", "/tenants", r#"{"name":"acme"}"#).await;
    let made = Request::post("/api/v1/keys").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
    let body = Body::from(r#"{"name":"k","scopes":["admin"]}"#);
    let theirs = house
        .send(made.header("Hookway-Tenant", "acme").body(body).unwrap())
        .await
        .field("key");
    let (event, delivery) = (pending.event, pending.delivery);
    for (method, path) in [
        ("GET", format!("/events/{event}")),
        ("GET", format!("/events/{event}/matches")),
        ("GET", format!("/deliveries/{delivery}")),
        ("POST", format!("/deliveries/{delivery}/resend")),
        ("GET", format!("/subscriptions/{}", pending.subscription)),
        ("PATCH", format!("/subscriptions/{}", pending.subscription)),
        ("DELETE", format!("/subscriptions/{}", pending.subscription)),
        (
            "GET",
            format!("/subscriptions/{}/deliveries", pending.subscription),
        ),
        ("GET", "/plugins/mine".to_owned()),
        ("DELETE", "/plugins/mine".to_owned()),
        ("DELETE", format!("/keys/{mine}")),
    ] {
        let answer = house.call_as(&theirs, method, &path, "{}").await;
        assert_eq!(answer.problem(), "404 not-found", "{method} {path}");
    }
    for list in [
        "/events?source=api",
        "/subscriptions",
        &format!("/deliveries?event={event}"),
    ] {
        assert_eq!(
            house.call_as(&theirs, "GET", list, NOTHING).await.json()["data"],
            json!([]),
            "{list}"
        );
    }
    let keys = house.call_as(&theirs, "GET", "/keys?all", NOTHING).await.json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1, "{keys}");
    assert_eq!(keys["data"][0]["tenant"], "acme");
    let router = r#"{"name":"k","scopes":["read"],"router":true}"#;
    assert_eq!(
        house.call_as(&theirs, "POST", "/keys", router).await.problem(),
        "403 forbidden"
    );
    let tenant = r#"{"name":"more"}"#;
    assert_eq!(
        house.call_as(&theirs, "POST", "/tenants", tenant).await.problem(),
        "403 forbidden"
    );
    assert_eq!(
        house.call_as(&theirs, "GET", "/tenants", NOTHING).await.problem(),
        "403 forbidden"
    );
}

#[tokio::test]
async fn metrics_are_there_when_the_store_is_not() {
    let house = house().await;
    let read = async || {
        let request = Request::get("/metrics").header(AUTHORIZATION, format!("Bearer {ADMIN}"));
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    let text = read().await;
    assert!(text.contains("\nhookway_ready 1\n") && text.contains("\nhookway_store_segments "));
    house.store.close().await.unwrap();
    let text = read().await;
    assert!(text.contains("\nhookway_ready 0\n"), "{text}");
    assert!(!text.contains("hookway_store_segments") && !text.contains("hookway_dead_letters"));
    assert!(text.contains("\nhookway_attempts_total{result=\"2xx\"} 0\n"));
    assert!(text.contains("\nprocess_start_time_seconds 1779208200.0\n"));
}
