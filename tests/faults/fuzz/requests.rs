//! What comes beside bodies: addresses that proxies write, queries, and headers that are read; each parser by
//! itself, and all of them behind the router's door.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hookway::api::extract::{Query, check_encoding, if_match};
use hookway::api::page::List;
use hookway::api::remote;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::strategy::{Strategy, ValueTree as _};
use serde_json::json;

use super::mutate::{mutated, runner, withstands};
use super::text;
use crate::extent::Extent;
use crate::support::TestRouter;
use crate::support::client::{ADMIN_KEY, http};

/// One header line of each line of the input, where it may be one.
fn lines(name: &'static str, bytes: &[u8]) -> HeaderMap {
    let values = bytes
        .split(|byte| *byte == b'\n')
        .take(100)
        .filter_map(|line| HeaderValue::from_bytes(line).ok());
    values
        .map(|value| (HeaderName::from_static(name), value))
        .collect()
}

#[test]
fn forwarded_for() {
    let seeds = [
        "198.51.100.1, 192.0.2.1, 10.1.2.3",
        "192.0.2.1:4711, [2001:db8::1]:4711\n10.0.0.1",
        "::ffff:10.0.0.1, unknown, _hidden",
    ];
    withstands(&seeds, |bytes| {
        let trusted = ["10.0.0.0/8", "127.0.0.1/32"].map(|network| network.parse().expect("a network"));
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (proxy, stranger) = (address("127.0.0.1"), address("203.0.113.9"));
        let mut headers = lines("x-forwarded-for", bytes);
        let _sender = remote::sender(proxy, &headers, &trusted);
        assert_eq!(
            remote::sender(stranger, &headers, &trusted),
            stranger,
            "nobody asked it"
        );
        // Whatever came before, whom the trusted proxy saw is who sent it.
        headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.77"));
        assert_eq!(
            remote::sender(proxy, &headers, &trusted),
            address("192.0.2.77"),
            "the sender chose its own address"
        );
    });
}

#[test]
fn queries() {
    let seeds = [
        "limit=5&status=failed&cursor=ev_1&force",
        "a=%2B1&b=%zz&c=+&d==&&=",
        "type=alert.*&since=2026-05-19T16:30:00%2B02:00",
    ];
    withstands(&seeds, |bytes| {
        let Ok(mut query) = Query::of(&text(bytes)) else {
            return;
        };
        let _limit = query.limit();
        for list in [List::Events, List::Deliveries, List::Operations] {
            let _cursor = query.cursor(list);
        }
        let _switch = query.switch("force");
        let _number = query.read::<u32>("a", "a number");
        let _text = query.text("status");
        assert_eq!(query.text("status"), None, "it is taken once");
        let _left = query.finish();
    });
}

#[test]
fn etags_and_encodings() {
    withstands(&["\"7\"", "*", "W/\"1\", \"2\"", "identity"], |bytes| {
        if let Ok(Some(version)) = if_match(&lines("if-match", bytes)) {
            let again = format!("\"{version}\"");
            let again = if_match(&lines("if-match", again.as_bytes()));
            assert_eq!(again.ok(), Some(Some(version)));
        }
        let _encoding = check_encoding(&lines("content-encoding", bytes));
    });
}

/// Longest query and header that are sent: longer ones are refused before anybody parses them.
const SENT_MAX: usize = 4 << 10;

/// What may stand in a query as it is; the rest is written as `%XX`, which a client would do as well.
fn in_a_url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(SENT_MAX) {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => {
                text.push(char::from(*byte))
            }
            byte => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

#[tokio::test]
async fn every_list_with_queries_and_every_header() {
    let router = TestRouter::with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let wish = json!({"name": "n", "key": "n", "url": "http://127.0.0.1:4711/", "events": ["a.b"], "enabled": false});
    router.subscribe(&wish).await;
    router.send(&json!({"type": "a.b", "data": {"n": 1}})).await;
    let open = json!({"name": "open", "verification": {"kind": "none"}});
    router.post("/api/v1/sources", &open).await.expect(201);

    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    let (cases, client, mut random) = (Extent::wanted().of(64, 6_400), http(), runner(1));
    let key = format!("Bearer {ADMIN_KEY}");
    let mut ask = async |method: &str, path: String, (name, value): (&str, &[u8]), body: &'static str| {
        let Ok(value) = HeaderValue::from_bytes(&value[..value.len().min(SENT_MAX)]) else {
            return;
        };
        let mut request = client
            .request(method.parse().expect("a method"), router.url(&path))
            .header("content-type", "application/json")
            .header(name, value.clone());
        if name != "authorization" {
            request = request.header("authorization", &key);
        }
        let shown = || format!("{method} {path} {name}: {value:?}");
        let answer = request.body(body).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{error} at {}", shown()));
        let status = answer.status().as_u16();
        let said = answer.text().await.unwrap_or_default();
        assert!(status < 500, "{status} {said} at {}", shown());
        *counts.entry(status).or_default() += 1;
    };

    let filters = "type=alert.*&cause=auth&code=401,5xx,520-530&since=2026-05-19T16:30:00Z&until=2026-05-20T00:00:00\
                   %2B02:00&status=failed";
    let lists = [
        (
            "events",
            "type=a.*&since=2026-05-19T16:30:00Z&limit=5&source=api&subject=x",
        ),
        ("deliveries", filters),
        ("deliveries/causes", filters),
        ("subscriptions", "limit=5&status=enabled&cursor=x"),
        ("subscriptions/n/deliveries", filters),
        ("sources", "limit=250"),
        ("sources/open/receptions", "outcome=refused&limit=3"),
        ("operations", "limit=3&status=running"),
        ("event-types", "group=g&language=es-MX"),
        ("plugins", "limit=1"),
        ("profiles", "limit=1"),
        ("doctor", "dns=true"),
    ];
    for (list, query) in lists {
        let queries = mutated(vec![query.as_bytes().to_vec()]);
        for _ in 0..cases {
            let query = queries.new_tree(&mut random).expect("an input").current();
            let path = format!("/api/v1/{list}?{}", in_a_url(&query));
            ask("GET", path, ("x-any", b"x"), "").await;
        }
    }
    const EVENT: &str = r#"{"type":"a.b","data":1}"#;
    let headers = [
        (
            "GET",
            "/api/v1/events",
            "authorization",
            "Bearer hw_0123456789abcdefghijklmnop",
            "",
        ),
        ("GET", "/api/v1/events", "hookway-tenant", "default", ""),
        (
            "GET",
            "/problems/invalid-parameter",
            "accept",
            "text/html;q=0.9, text/markdown;q=1, */*",
            "",
        ),
        (
            "GET",
            "/metrics",
            "accept",
            "application/openmetrics-text; version=1.0.0,text/plain;q=0.5",
            "",
        ),
        (
            "GET",
            "/api/v1/event-types",
            "accept-language",
            "es-MX, es;q=0.9, *;q=0",
            "",
        ),
        (
            "PATCH",
            "/api/v1/subscriptions/n",
            "if-match",
            "\"1\"",
            r#"{"name":"m"}"#,
        ),
        ("POST", "/api/v1/events", "idempotency-key", "call-1", EVENT),
        (
            "POST",
            "/api/v1/events",
            "content-encoding",
            "gzip, identity",
            EVENT,
        ),
        (
            "POST",
            "/webhooks/open",
            "x-forwarded-for",
            "198.51.100.1, [2001:db8::1]:4711, 10.1.2.3",
            EVENT,
        ),
    ];
    for (method, path, name, value, body) in headers {
        let values = mutated(vec![value.as_bytes().to_vec()]);
        for _ in 0..cases {
            let value = values.new_tree(&mut random).expect("an input").current();
            ask(method, path.to_owned(), (name, &value), body).await;
        }
    }
    println!(
        "fuzz of queries and headers: {} requests to {} lists and with {} headers: {counts:?}",
        counts.values().sum::<usize>(),
        lists.len(),
        headers.len()
    );
    for status in [200, 400, 401] {
        assert!(counts.contains_key(&status), "{counts:?}");
    }
}
