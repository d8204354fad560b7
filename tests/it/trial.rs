//! Trying subscriptions: really rendered, really signed, really sent, nothing kept; and each usual fault of
//! a receiver as a person meets it.

use std::time::Duration;

use bytes::Bytes;
use hookway::secret::Secret;
use hookway::signature::{Incoming, Keyring, Scheme};
use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};

const TEST: &str = "/api/v1/subscriptions/test";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn codes(tried: &Value) -> Vec<&str> {
    let found = tried["diagnosis"].as_array().expect("a list").iter();
    found
        .map(|one| one["code"].as_str().unwrap_or_default())
        .collect()
}

fn page(status: u16, content_type: &str, body: &str) -> Reply {
    let headers = vec![("content-type", content_type.to_owned())];
    Reply::Full(status, headers, Bytes::copy_from_slice(body.as_bytes()))
}

async fn nothing_is_kept(router: &TestRouter) {
    for list in ["events", "deliveries"] {
        let kept = router.get(&format!("/api/v1/{list}")).await.expect(200);
        let kept = kept.body["data"].as_array().expect("a list").iter();
        // Hookway's own events tell that a subscription was made.
        let others: Vec<&Value> = kept.filter(|one| one["source"] != "hookway").collect();
        assert!(others.is_empty(), "{list}: {others:?}");
    }
}

/// AE-03, IB-03: a body such as the product's page prints, tried before it is saved.
#[tokio::test]
async fn an_unsaved_subscription_gets_a_really_signed_event_and_nothing_is_kept() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let data = r#"{ "n":1.0, "a": "\u00e9" }"#;
    let body = format!(
        r#"{{"url":"{}","secret":"{SECRET}","event":"lead.created","data":{data}}}"#,
        receiver.url()
    );
    let json = [("content-type", "application/json")];
    let tried = router
        .call_raw("POST", "/api/v1/webhooks/test", &json, body)
        .await
        .expect(200);
    assert_eq!(
        (tried.str("/verdict"), tried.str("/event/sample")),
        ("delivered".into(), "given".into())
    );
    assert_eq!(tried.body["response"]["status_code"], 200);
    assert_eq!(tried.body["diagnosis"], json!([]));
    assert!(tried.body.get("secret").is_none(), "it was given");

    let received = receiver.received().remove(0);
    assert_eq!(received.header("hookway-test"), "true");
    assert_eq!(tried.str("/request/body").as_bytes(), received.body);
    let sent = String::from_utf8(received.body.to_vec()).unwrap();
    assert!(
        sent.contains(data) && !sent.contains("test"),
        "the body says nothing of a test: {sent}"
    );
    let secret = Secret::new(SECRET);
    let keyring = Keyring::new(Scheme::standard_webhooks().into(), [&secret]).unwrap();
    let incoming = Incoming {
        headers: &received.headers,
        url: "",
        body: &received.body,
        certificate: None,
    };
    assert!(keyring.verify(&incoming, router.clock.now()).is_ok());
    assert_eq!(router.get("/api/v1/subscriptions").await.body["data"], json!([]));
    nothing_is_kept(&router).await;
}

/// AE-03, IB-03, WX-13: each product's test event, from its own catalogue, under its own signature.
#[tokio::test]
async fn each_products_test_event_is_its_own_sample_signed_its_own_way() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    for (profile, event, header, start) in [
        (
            "workflows",
            "alert.created",
            "X-WorkFlows-Signature",
            r#"{"event":"alert.created","orgId":"#,
        ),
        (
            "aetherflow",
            "workflow.failed",
            "X-AetherFlow-Signature",
            r#"{"event":"workflow.failed","id":"evt_"#,
        ),
        (
            "inboundflow",
            "lead.created",
            "X-InboundFlow-Signature",
            r#"{"event":"lead.created","timestamp":"#,
        ),
        (
            "workflux",
            "integration.sync",
            "X-Workflux-Signature",
            r#"{"event":"integration.sync","timestamp":"#,
        ),
    ] {
        let body =
            json!({"url": receiver.url(), "secret": "whsec_test_s3cret", "event": event, "profile": profile});
        let tried = router.post("/api/v1/webhooks/test", &body).await.expect(200);
        assert_eq!(
            (tried.str("/verdict"), tried.str("/event/sample")),
            ("delivered".into(), "catalogue".into())
        );
        let sent = tried.body["request"]["headers"].as_array().unwrap();
        assert!(
            sent.iter().any(|pair| pair[0] == header),
            "in its own casing: {}",
            tried.text
        );
        let received = receiver.received().pop().unwrap();
        assert!(received.body.starts_with(start.as_bytes()), "{:?}", received.body);
        assert_eq!(received.header("hookway-test"), "true");
        let scheme = hookway::profile::built_in(profile)
            .unwrap()
            .signature
            .as_ref()
            .unwrap()
            .scheme()
            .clone();
        let secret = Secret::new("whsec_test_s3cret");
        let keyring = Keyring::new(scheme, [&secret]).unwrap();
        let incoming = Incoming {
            headers: &received.headers,
            url: "",
            body: &received.body,
            certificate: None,
        };
        assert!(keyring.verify(&incoming, router.clock.now()).is_ok(), "{profile}");
    }
    nothing_is_kept(&router).await;
}

/// IB-06: without a secret nothing is signed, and a receiver that wants it throws.
#[tokio::test]
async fn a_receiver_that_wants_a_signature_and_gets_none_is_recognised() {
    let threw = "TypeError [ERR_INVALID_ARG_TYPE]: The first argument must be of type string or an instance of Buffer";
    let receiver = Receiver::scripted([], page(500, "text/html", threw)).await;
    let router = TestRouter::start().await;
    let body =
        json!({"url": receiver.url(), "secret": null, "event": "lead.created", "profile": "inboundflow"});
    let tried = router.post(TEST, &body).await.expect(200).body;
    assert_eq!(codes(&tried), ["unsigned"], "{tried}");
    assert!(tried.get("secret").is_none());
    assert_eq!(receiver.received()[0].header("x-inboundflow-signature"), "");
}

#[tokio::test]
async fn a_secret_that_is_made_is_shown_and_samples_are_taken_where_they_are() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let generic = router
        .post(TEST, &json!({"url": receiver.url()}))
        .await
        .expect(200);
    assert!(generic.str("/secret").starts_with("whsec_"));
    assert_eq!(
        (generic.str("/event/type"), generic.str("/event/sample")),
        ("test.event".into(), "generic".into())
    );
    router
        .post("/api/v1/event-types/load", &json!({"catalogue": "workflows"}))
        .await
        .expect(200);
    let body = json!({"url": receiver.url(), "events": ["alert.*"]});
    let own = router.post(TEST, &body).await.expect(200);
    assert_eq!(
        (own.str("/event/type"), own.str("/event/sample")),
        ("alert.acknowledged".into(), "event_type".into())
    );
    let body = json!({"url": receiver.url(), "event_type": "alert.created"});
    let own = router.post(TEST, &body).await.expect(200);
    let printed = r#""data":{"id":"alert_xyz789","title":"Inventario crítico: Materia Prima A","#;
    assert!(own.str("/request/body").contains(printed), "{}", own.text);
    nothing_is_kept(&router).await;
}

/// Own events have no producer, but endpoints that want nothing else must be tried too.
#[tokio::test]
async fn a_subscription_to_own_events_is_tried_with_one() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    for (events, expected) in [
        (json!(["hookway.delivery.failed"]), "hookway.delivery.failed"),
        (json!(["hookway.alert.*"]), "hookway.alert.error_rate"),
    ] {
        let body = json!({"url": receiver.url(), "events": events});
        let tried = router.post(TEST, &body).await.expect(200);
        assert_eq!(
            (tried.str("/event/type"), tried.str("/event/sample")),
            (expected.into(), "own_event".into()),
            "{}",
            tried.text
        );
        assert_eq!(tried.str("/verdict"), "delivered", "{}", tried.text);
    }
    // The profile's name is sent, whichever is asked for.
    for name in ["hookway.subscription.disabled", "webhook.disabled"] {
        let body =
            json!({"url": receiver.url(), "profile": "workflows", "secret": SECRET, "event_type": name});
        router.post(TEST, &body).await.expect(200);
        let received = receiver.received().pop().unwrap();
        assert_eq!(received.header("x-workflows-event"), "webhook.disabled");
    }
    let body = json!({"url": receiver.url(), "event_type": "hookway.nothing"});
    router.post(TEST, &body).await.expect(422);
    nothing_is_kept(&router).await;
}

#[tokio::test]
async fn a_stored_subscription_is_tried_as_it_is_whatever_its_status() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let body = json!({
        "name": "n", "key": "leads", "url": receiver.url(), "events": ["lead.created"],
        "headers": {"X-Team": "ops"}, "secret": SECRET, "enabled": false,
    });
    let id = router.subscribe(&body).await;
    let path = "/api/v1/subscriptions/leads/test";
    let tried = router.call_raw("POST", path, &[], "").await.expect(200);
    assert_eq!(
        (tried.str("/verdict"), tried.str("/event/type")),
        ("delivered".into(), "lead.created".into())
    );
    let received = receiver.received().remove(0);
    assert_eq!(
        (received.header("x-team"), received.header("hookway-test")),
        ("ops", "true")
    );
    let shown = router
        .get(&format!("/api/v1/subscriptions/{id}"))
        .await
        .expect(200);
    assert_eq!(
        (&shown.body["enabled"], &shown.body["deliveries"]["created"]),
        (&json!(false), &json!(0))
    );
    let wanted = json!({"event_type": "lead.lost", "data": {"id": 7}});
    let tried = router.post(path, &wanted).await.expect(200);
    assert!(
        tried.str("/request/body").contains(r#""data":{"id":7}"#),
        "{}",
        tried.text
    );
    router
        .post("/api/v1/subscriptions/nobody/test", &json!({}))
        .await
        .expect(404);
    router
        .post(path, &json!({"event_type": "a", "event": "b"}))
        .await
        .expect(422);
    router
        .post(path, &json!({"event_type": "a..b"}))
        .await
        .expect(422);
    nothing_is_kept(&router).await;
}

#[tokio::test]
async fn plugins_run_and_what_they_filter_is_not_sent() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let with = |program: &str, data: Value| {
        json!({
            "url": receiver.url(), "event_type": "lead.created", "data": data,
            "plugins": [{"name": "jq", "config": {"program": program}}],
        })
    };
    let made = router
        .post(TEST, &with("{mail: .data.email}", json!({"email": "a@b.c"})))
        .await
        .expect(200);
    assert_eq!(made.str("/verdict"), "delivered", "{}", made.text);
    assert_eq!(made.body["plugin_runs"][0]["outcome"], "deliver");
    let before = receiver.received().len();
    let nothing = router.post(TEST, &with("empty", json!({}))).await.expect(200);
    assert_eq!(
        (nothing.str("/verdict"), &nothing.body["filtered"]),
        ("filtered".into(), &json!(true))
    );
    assert_eq!(nothing.body["request"], Value::Null);
    let failing = router
        .post(TEST, &with("error(\"broken\")", json!({})))
        .await
        .expect(200);
    assert_eq!(failing.body["error"]["kind"], "plugin", "{}", failing.text);
    assert!(failing.str("/reason").contains("broken"), "{}", failing.text);
    assert_eq!(receiver.received().len(), before, "nothing was sent");
    let unknown = json!({"url": receiver.url(), "plugins": [{"name": "nobodys"}]});
    router.post(TEST, &unknown).await.expect(422);
    nothing_is_kept(&router).await;
}

/// WF-06, IB-06: what the products' published snippets answer, and what is made of it.
#[tokio::test]
async fn the_usual_faults_of_receivers_are_recognised() {
    let router = TestRouter::start().await;
    let threw = "<pre>RangeError: Input buffers must have the same byte length</pre>";
    let to = vec![("location", "https://login.example.com/t0ken".to_owned())];
    let table = [
        (page(500, "text/html", threw), "signature_mismatch", "retry"),
        (
            page(500, "text/plain", "TypeError: unsupported operand types(s)"),
            "signature_mismatch",
            "retry",
        ),
        (
            page(500, "text/plain", "Internal Server Error"),
            "server_error",
            "retry",
        ),
        (Reply::Status(401), "credentials_refused", "fail"),
        (Reply::Status(403), "credentials_refused", "fail"),
        (Reply::Status(404), "not_found", "fail"),
        (Reply::Status(405), "method_not_allowed", "fail"),
        (Reply::Status(410), "gone", "disable"),
        (Reply::Status(413), "body_too_large", "fail"),
        (Reply::Status(415), "media_type", "fail"),
        (Reply::Status(429), "rate_limited", "throttle"),
        (Reply::Full(302, to, Bytes::new()), "redirect", "fail"),
        (
            page(200, "text/html", "<!doctype html><title>Sign in</title>"),
            "html_answer",
            "delivered",
        ),
    ];
    for (reply, code, verdict) in table {
        let shown = format!("{reply:?}");
        let receiver = Receiver::scripted([], reply).await;
        let tried = router
            .post(TEST, &json!({"url": receiver.url()}))
            .await
            .expect(200)
            .body;
        assert_eq!(codes(&tried), [code], "{shown}");
        assert_eq!(tried["verdict"], verdict, "{shown}");
        assert_eq!(receiver.received().len(), 1, "one request, whatever the answer");
        assert!(!tried["diagnosis"].to_string().contains("t0ken"), "{tried}");
        router.clock.advance(Duration::from_secs(60));
    }
    nothing_is_kept(&router).await;
}

#[tokio::test]
async fn large_bodies_cloudevents_and_n8n_are_told_of() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let large = json!({"url": receiver.url(), "data": {"text": "x".repeat(110_000)}});
    assert_eq!(
        codes(&router.post(TEST, &large).await.expect(200).body),
        ["body_large"]
    );
    let n8n = receiver.url().replace("/hook", "/webhook-test/1");
    assert_eq!(
        codes(&router.post(TEST, &json!({"url": n8n})).await.expect(200).body),
        ["n8n_test_url"]
    );
    let refusing = Receiver::scripted([], Reply::Status(401)).await;
    let events = json!({"url": refusing.url(), "profile": "cloudevents-structured"});
    let tried = router.post(TEST, &events).await.expect(200).body;
    assert!(codes(&tried).contains(&"cloudevents_media_type"), "{tried}");
}

#[tokio::test]
async fn what_never_answers_is_told_apart() {
    let router = TestRouter::start().await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/x", listener.local_addr().unwrap())
    };
    let hanging = Receiver::scripted([], Reply::Hang).await;
    let quick = json!({"envelope": "none", "timeout_seconds": 1});
    let put = router.call("PUT", "/api/v1/profiles/quick", &quick).await;
    let quick = if put.status < 300 {
        "quick"
    } else {
        panic!("{}", put.text)
    };
    let plain = Receiver::start().await.url().replace("http://", "https://");
    let untrusted = tls_receiver();
    for (body, code) in [
        (json!({"url": closed}), "connection_refused"),
        (json!({"url": "https://no-such-host.invalid/x"}), "dns"),
        (json!({"url": plain}), "tls_not_spoken"),
        (json!({"url": untrusted}), "tls_untrusted"),
        (json!({"url": hanging.url(), "profile": quick}), "timeout"),
    ] {
        let tried = router.post(TEST, &body).await.expect(200).body;
        assert_eq!(codes(&tried), [code], "{tried}");
        assert!(
            tried["response"].is_null() && tried["request"].is_object(),
            "{tried}"
        );
    }
}

/// A receiver with a certificate of its own making, which nobody trusts.
fn tls_receiver() -> String {
    use rustls_pki_types::pem::PemObject;
    let vector = |name: &str| {
        let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    };
    let certificate =
        rustls_pki_types::CertificateDer::from_pem_slice(&vector("paypal-test-certificate.pem"));
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(&vector("paypal-test-key.pem"));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
        // The client ends it: it does not trust us.
        let _refused = connection.complete_io(&mut stream);
    });
    format!("https://{address}/x")
}

#[tokio::test]
async fn an_address_that_the_guard_refuses_is_told_with_the_line_that_allows_it() {
    let router = TestRouter::with(|config| config.egress.allow_private_networks = false).await;
    for (url, line) in [
        (
            "http://127.0.0.1:8099/x",
            "egress.allow = [{ cidr = \"127.0.0.1/32\" }]",
        ),
        (
            "https://n8n.internal/x",
            "egress.allow = [{ host = \"n8n.internal\" }]",
        ),
    ] {
        let tried = router.post(TEST, &json!({"url": url})).await.expect(200);
        assert_eq!(codes(&tried.body), ["address_refused"]);
        assert_eq!(
            (tried.str("/error/kind"), tried.str("/verdict")),
            ("refused".into(), "retry".into())
        );
        assert!(tried.str("/diagnosis/0/detail").contains(line), "{}", tried.text);
    }
    // What is no URL for deliveries is refused, as when one is made.
    for url in ["ftp://example.com/", "https://user:pw@example.com/", "nothing"] {
        router.post(TEST, &json!({"url": url})).await.expect(422);
    }
}

#[tokio::test]
async fn tests_are_for_who_manages_and_only_so_often() {
    let (mut router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let body = json!({"url": receiver.url()});
    for _ in 0..10 {
        router.post(TEST, &body).await.expect(200);
    }
    let refused = router.post(TEST, &body).await.expect(429);
    assert_eq!(refused.str("/type"), "/problems/rate-limited");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(receiver.received().len(), 10);
    router.clock.advance(Duration::from_secs(5));
    router.post(TEST, &body).await.expect(200);
    let key = router
        .post("/api/v1/keys", &json!({"name": "r", "scopes": ["read"]}))
        .await
        .expect(201)
        .str("/key");
    router.use_key(&key);
    router.post(TEST, &body).await.expect(403);
}

#[tokio::test]
async fn a_key_cannot_be_a_path_of_the_api() {
    let router = TestRouter::start().await;
    let body = json!({"name": "n", "key": "test", "url": "https://example.com/", "events": ["*"]});
    let refused = router.post("/api/v1/subscriptions", &body).await.expect(422);
    assert_eq!(refused.str("/errors/0/pointer"), "/key");
}
