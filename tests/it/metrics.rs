//! `/metrics`: who may read it, that it is what Prometheus reads, and that the numbers are what happened.

mod exposition;
mod used;
mod ways;

use std::time::Duration;

use hookway::config::MetricsFor;
use serde_json::json;

use crate::support::router::Answer;
use crate::support::{Receiver, Reply, TestRouter};
use exposition::{Exposition, Kind};

/// Largest answer: the same for one subscription and for a thousand, and little beside what a page of the web
/// is.
const BYTES_MAX: usize = 64 * 1_024;

async fn read(router: &TestRouter) -> Exposition {
    Exposition::parse(&router.get("/metrics").await.expect(200).text)
}

#[tokio::test]
async fn after_known_traffic_the_numbers_are_what_happened() {
    let router = TestRouter::start().await;
    let script = [Reply::Status(500), Reply::Status(404)];
    let (well, ill) = (
        Receiver::start().await,
        Receiver::scripted(script, Reply::Status(200)).await,
    );
    let begun = read(&router).await;
    assert_eq!(begun.value("hookway_ready", &[]), 1.0);
    assert_eq!(begun.value("hookway_deliveries_created_total", &[]), 0.0);

    router
        .subscribe(&json!({"name": "well", "url": well.url(), "events": ["a"]}))
        .await;
    router
        .subscribe(&json!({"name": "ill", "url": ill.url(), "events": ["b"]}))
        .await;
    let held = router
        .subscribe(&json!({"name": "held", "url": well.url(), "events": ["c"]}))
        .await;
    router
        .post(&format!("/api/v1/subscriptions/{held}/disable"), &json!({}))
        .await
        .expect(200);
    // Three are delivered, one is a repetition, one is refused, one nobody wants, one waits.
    for number in 0..3 {
        router
            .send(&json!({"type": "a", "id": format!("e{number}"), "data": {"n": number}}))
            .await;
    }
    router
        .send(&json!({"type": "a", "id": "e1", "data": {"n": 1}}))
        .await;
    router
        .post("/api/v1/events", &json!({"type": "a b", "data": 1}))
        .await
        .expect(422);
    router.send(&json!({"type": "nobody", "data": null})).await;
    router.send(&json!({"type": "c", "data": 1})).await;
    router.settle().await;
    // The first attempt of the ill one is tried again, the second fails for good.
    router.send(&json!({"type": "b", "data": [1]})).await;
    ill.wait_for(1).await;
    router.settle().await;
    router.advance(Duration::from_secs(60)).await;
    ill.wait_for(2).await;
    router.settle().await;

    let now = read(&router).await;
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(now.value(name, labels), expected, "{name} {labels:?}");
    };
    is("hookway_events_accepted_total", &[("via", "api")], 6.0);
    is("hookway_events_duplicate_total", &[("via", "api")], 1.0);
    is("hookway_events_accepted_total", &[("via", "source")], 0.0);
    // {"n":0} three times, null, 1 and [1]
    is(
        "hookway_event_bytes_total",
        &[("via", "api")],
        f64::from(3 * 7 + 4 + 1 + 3),
    );
    is("hookway_deliveries_created_total", &[], 5.0);
    is("hookway_deliveries_ended_total", &[("status", "delivered")], 3.0);
    is("hookway_deliveries_ended_total", &[("status", "failed")], 1.0);
    is("hookway_deliveries_ended_total", &[("status", "filtered")], 0.0);
    is("hookway_deliveries_pending", &[], 1.0);
    is("hookway_dead_letters", &[], 1.0);
    is("hookway_attempts_total", &[("result", "2xx")], 3.0);
    is("hookway_attempts_total", &[("result", "5xx")], 1.0);
    is("hookway_attempts_total", &[("result", "4xx")], 1.0);
    is("hookway_stage_seconds_count", &[("stage", "send")], 5.0);
    is("hookway_stage_seconds_count", &[("stage", "record")], 5.0);
    is("hookway_stage_seconds_count", &[("stage", "queue")], 5.0);
    is("hookway_stage_seconds_count", &[("stage", "plugin")], 0.0);
    // Each 202, the repetition too.
    is("hookway_stage_seconds_count", &[("stage", "accept")], 7.0);
    is(
        "hookway_http_requests_total",
        &[("door", "events"), ("code", "2xx")],
        7.0,
    );
    is(
        "hookway_http_requests_total",
        &[("door", "events"), ("code", "4xx")],
        1.0,
    );
    is(
        "hookway_http_refusals_total",
        &[("door", "events"), ("kind", "invalid")],
        1.0,
    );
    // This very request.
    is("hookway_http_requests_in_flight", &[], 1.0);
    is("hookway_subscriptions", &[("status", "enabled")], 2.0);
    is("hookway_subscriptions", &[("status", "disabled")], 1.0);
    is("hookway_rows", &[("place", "due")], 0.0);
    is("hookway_rows", &[("place", "in_flight")], 0.0);
    is("hookway_lanes", &[("state", "held")], 1.0);
    is("hookway_lanes_spilled", &[], 1.0);
    is("hookway_oldest_due_seconds", &[], 0.0);
    is("process_start_time_seconds", &[], 1_779_208_200.0);
    assert!(now.value("hookway_store_transactions_total", &[]) >= 12.0);
    assert!(now.value("hookway_store_bytes", &[("file", "database")]) > 0.0);
    assert!(now.value("hookway_disk_free_bytes", &[]) > 0.0);
    assert!(now.value("process_resident_memory_bytes", &[]) > 1e6);
    // A router's own words about itself came too, by nobody's call.
    let own = now.value("hookway_events_accepted_total", &[("via", "own")]);
    assert_eq!(
        now.value("hookway_stage_seconds_count", &[("stage", "commit")]),
        7.0 + own
    );
    begun.only_grew_to(&now);
}

#[tokio::test]
async fn what_is_read_is_what_is_documented() {
    let router = TestRouter::start().await;
    let read = read(&router).await;
    let known = hookway::metrics::names::ALL;
    for metric in known {
        let found = read.family(metric.name);
        let (kind, help) = found.unwrap_or_else(|| panic!("{} is not printed", metric.name));
        assert_eq!(kind.as_str(), metric.kind.as_str(), "{}", metric.name);
        assert_eq!(help, metric.help, "{}", metric.name);
        for labels in read.labels_of(metric.name) {
            assert_eq!(labels, metric.labels, "{}", metric.name);
        }
    }
    for name in read.names() {
        assert!(
            known.iter().any(|metric| metric.name == name),
            "{name} is in no list"
        );
    }
    assert_eq!(read.family("hookway_stage_seconds").unwrap().0, Kind::Histogram);
}

#[tokio::test]
async fn a_thousand_subscriptions_print_no_more_than_one() {
    let router = TestRouter::start().await;
    let receiver = Receiver::start().await;
    let shape = |text: &str| Exposition::parse(text).series();
    let before = router.get("/metrics").await.expect(200).text;
    for number in 0..1_000 {
        router
            .subscribe(
                &json!({"name": format!("s{number}"), "url": receiver.url(), "events": [format!("t{number}")]}),
            )
            .await;
    }
    for number in 0..20 {
        router
            .send(&json!({"type": format!("t{number}"), "data": 1}))
            .await;
    }
    receiver.wait_for(20).await;
    router.settle().await;
    let after = router.get("/metrics").await.expect(200).text;
    assert_eq!(shape(&before), shape(&after), "a series came or went");
    assert!(after.len() < BYTES_MAX, "{} bytes", after.len());
    let now = Exposition::parse(&after);
    assert_eq!(
        now.value("hookway_subscriptions", &[("status", "enabled")]),
        1_000.0
    );
}

async fn with_key(router: &TestRouter, key: &str, accept: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("accept", accept)];
    router.call_open("GET", "/metrics", &headers, "").await
}

#[tokio::test]
async fn metrics_are_for_who_runs_the_router() {
    let mut router = TestRouter::start().await;
    router
        .post("/api/v1/tenants", &json!({"name": "acme"}))
        .await
        .expect(201);
    let key = async |router: &TestRouter, body| {
        let made = router.post("/api/v1/keys", &body).await.expect(201);
        made.str("/key")
    };
    let own = key(&router, json!({"name": "prometheus", "scopes": ["read"]})).await;
    let whole = key(&router, json!({"name": "p", "scopes": ["read"], "router": true})).await;
    let producer = key(&router, json!({"name": "producer", "scopes": ["ingest"]})).await;
    let narrow = key(&router, json!({"name": "scraper", "scopes": ["metrics"]})).await;
    let narrow_whole = json!({"name": "scraper", "scopes": ["metrics"], "router": true});
    let narrow_whole = key(&router, narrow_whole).await;
    router.use_tenant(Some("acme"));
    let other = key(&router, json!({"name": "acme", "scopes": ["manage"]})).await;
    let narrow_other = key(&router, json!({"name": "acme", "scopes": ["metrics"]})).await;

    // Loopback, as everything here is, opens nothing.
    router.call_open("GET", "/metrics", &[], "").await.expect(401);
    with_key(&router, "hw_nonsense", "*/*").await.expect(401);
    with_key(&router, &producer, "*/*").await.expect(403);
    let refused = with_key(&router, &other, "*/*").await.expect(403);
    assert!(refused.str("/detail").contains("all tenants"), "{}", refused.text);
    with_key(&router, &narrow_other, "*/*").await.expect(403);
    with_key(&router, &whole, "*/*").await.expect(200);
    // What is for scraping alone opens this and nothing else.
    for narrow in [&narrow, &narrow_whole] {
        with_key(&router, narrow, "*/*").await.expect(200);
        let authorization = format!("Bearer {narrow}");
        let headers = [("authorization", authorization.as_str())];
        for path in [
            "/api/v1/events",
            "/api/v1/subscriptions",
            "/api/v1/keys",
            "/api/v1/doctor",
        ] {
            router.call_open("GET", path, &headers, "").await.expect(403);
        }
        router
            .call_open("POST", "/api/v1/events", &headers, "{}")
            .await
            .expect(403);
    }
    let text = with_key(&router, &own, "*/*").await.expect(200);
    assert_eq!(
        text.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let open = with_key(
        &router,
        &own,
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    )
    .await;
    let open = open.expect(200);
    assert_eq!(
        open.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text.ends_with("\n# EOF\n"));

    let router = TestRouter::with(|config| config.server.metrics = MetricsFor::Open).await;
    router.call_open("GET", "/metrics", &[], "").await.expect(200);
    with_key(&router, "hw_nonsense", "*/*").await.expect(200);
}
