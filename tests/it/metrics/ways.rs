//! The other ways in and through: sources, plugins, restarts, a dead letter that is sent again.

use serde_json::json;

use super::read;
use crate::plugins::wrap;
use crate::support::{Receiver, Reply, TestRouter};

async fn push(router: &TestRouter, name: &str, guest: &str) {
    let component = wat::parse_str(wrap::component(guest)).expect("the guest is text");
    let headers = [("content-type", "application/wasm")];
    let path = format!("/api/v1/plugins/{name}");
    router
        .call_raw("PUT", &path, &headers, component)
        .await
        .expect(201);
}

#[tokio::test]
async fn requests_to_sources_are_counted_by_what_became_of_them() {
    let router = TestRouter::start().await;
    let open = json!({"name": "open", "preset": "none", "events": {"type": ["a"]}});
    router.post("/api/v1/sources", &open).await.expect(201);
    let signed = json!({"name": "signed", "preset": "hmac-sha256", "secret": "a secret of the service"});
    router.post("/api/v1/sources", &signed).await.expect(201);
    let headers = [("content-type", "application/json")];
    let call = async |source: &str, body: &'static str| {
        let path = format!("/webhooks/{source}");
        router.call_open("POST", &path, &headers, body).await
    };
    call("open", "{\"id\":\"1\"}").await.expect(200);
    call("open", "{\"id\":\"2\"}").await.expect(200);
    call("signed", "{}").await.expect(401);
    let now = read(&router).await;
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(now.value(name, labels), expected, "{name} {labels:?}");
    };
    is("hookway_receptions_total", &[("outcome", "accepted")], 2.0);
    is("hookway_receptions_total", &[("outcome", "refused")], 1.0);
    is("hookway_receptions_total", &[("outcome", "handshake")], 0.0);
    is("hookway_receptions_refused_total", &[("reason", "unsigned")], 1.0);
    is("hookway_events_accepted_total", &[("via", "source")], 2.0);
    is("hookway_event_bytes_total", &[("via", "source")], 20.0);
    let door = |code| [("door", "webhooks"), ("code", code)];
    is("hookway_http_requests_total", &door("2xx"), 2.0);
    is("hookway_http_requests_total", &door("4xx"), 1.0);
    let kind = [("door", "webhooks"), ("kind", "unverified")];
    is("hookway_http_refusals_total", &kind, 1.0);
    is("hookway_stage_seconds_count", &[("stage", "accept")], 2.0);
}

#[tokio::test]
async fn runs_of_plugins_are_counted_by_outcome() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    push(&router, "emits", include_str!("../../guests/emits.wat")).await;
    push(&router, "panics", include_str!("../../guests/panic.wat")).await;
    for (plugin, event_type) in [("emits", "emit"), ("panics", "panic")] {
        router
            .subscribe(&json!({
                "name": plugin, "url": receiver.url(), "events": [event_type], "plugins": [{"name": plugin}],
            }))
            .await;
        router.send(&json!({"type": event_type, "data": 1})).await;
    }
    router.settle().await;
    let now = read(&router).await;
    let runs = |outcome| now.value("hookway_plugin_runs_total", &[("outcome", outcome)]);
    assert_eq!((runs("deliver"), runs("trap"), runs("timeout")), (1.0, 1.0, 0.0));
    assert_eq!(
        now.value("hookway_stage_seconds_count", &[("stage", "plugin")]),
        2.0
    );
    assert!(now.value("hookway_events_accepted_total", &[("via", "plugin")]) >= 1.0);
    // The one that trapped is thrown away.
    assert_eq!(now.value("hookway_plugin_instances", &[]), 1.0);
    assert!(now.value("hookway_plugin_instance_bytes", &[]) > 0.0);
    assert_eq!(now.value("hookway_plugin_threads", &[("state", "busy")]), 0.0);
    assert!(now.value("hookway_plugin_threads", &[("state", "idle")]) >= 4.0);
}

#[tokio::test]
async fn totals_begin_anew_with_a_restart_and_levels_do_not() {
    let receiver = Receiver::scripted([Reply::Status(400)], Reply::Status(200)).await;
    let mut router = TestRouter::start().await;
    router
        .subscribe(&json!({"name": "n", "url": receiver.url(), "events": ["*"]}))
        .await;
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    router.settle().await;
    let before = read(&router).await;
    let failed = [("status", "failed")];
    assert_eq!(before.value("hookway_deliveries_ended_total", &failed), 1.0);
    assert_eq!(before.value("hookway_dead_letters", &[]), 1.0);

    router.restart().await;
    let after = read(&router).await;
    assert_eq!(after.value("hookway_deliveries_ended_total", &failed), 0.0);
    assert_eq!(after.value("hookway_dead_letters", &[]), 1.0);

    // Sent again it ends again, and is no dead letter any more.
    let delivery = router.delivery_of(&event).await;
    let id = delivery["id"].as_str().unwrap();
    let path = format!("/api/v1/deliveries/{id}/resend");
    router.post(&path, &json!({})).await.expect(202);
    router.settle().await;
    let resent = read(&router).await;
    let delivered = [("status", "delivered")];
    assert_eq!(resent.value("hookway_deliveries_ended_total", &delivered), 1.0);
    assert_eq!(resent.value("hookway_deliveries_ended_total", &failed), 0.0);
    assert_eq!(resent.value("hookway_deliveries_created_total", &[]), 0.0);
    assert_eq!(resent.value("hookway_dead_letters", &[]), 0.0);
    after.only_grew_to(&resent);
}
