//! A service that signs with a certificate (PayPal): fetched from an allowed host, once, and verified.

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::sender::{Call, base64};
use crate::support::{Receiver, Reply, TestRouter};

const KEY: &[u8] = include_bytes!("../../vectors/paypal-test-key.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../vectors/paypal-test-certificate.pem");
const WEBHOOK_ID: &str = "9XL90610J3647323C";

fn key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(
        PrivatePkcs8KeyDer::from_pem_slice(KEY)
            .unwrap()
            .secret_pkcs8_der(),
    )
    .unwrap()
}

/// As PayPal signs: its id, the time, the webhook's id and the CRC-32 of the body.
fn signed(body: &str, id: &str, certificate_url: &str) -> Call {
    let time = "2026-05-19T16:30:00Z";
    let text = format!("{id}|{time}|{WEBHOOK_ID}|{}", crc32fast::hash(body.as_bytes()));
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    Call::new("application/json", body)
        .header("paypal-transmission-id", id)
        .header("paypal-transmission-time", time)
        .header("paypal-transmission-sig", base64(&signature))
        .header("paypal-auth-algo", "SHA256withRSA")
        .header("paypal-cert-url", certificate_url)
}

/// The preset's verification, but for the host that the certificate comes from.
async fn source_with_host(router: &TestRouter, host: &str) {
    let made = json!({"name": "plain", "preset": "paypal", "secret": WEBHOOK_ID});
    let preset = router.post("/api/v1/sources", &made).await.expect(201);
    let mut verification: Value = preset.body["verification"].clone();
    verification["schemes"][0]["certificate_hosts"] = json!([host]);
    let own = json!({"name": "own", "preset": "paypal", "secret": WEBHOOK_ID, "verification": verification});
    router.post("/api/v1/sources", &own).await.expect(201);
}

async fn newest(router: &TestRouter, source: &str) -> Value {
    let path = format!("/api/v1/sources/{source}/receptions?limit=1");
    router.get(&path).await.expect(200).body["data"][0].clone()
}

#[tokio::test]
async fn paypals_signature_is_verified_with_a_certificate_that_is_fetched_once() {
    let host = Receiver::scripted([], Reply::Full(200, vec![], CERTIFICATE.into())).await;
    let router = TestRouter::start().await;
    source_with_host(&router, "127.0.0.1").await;
    let url = host.url();
    let body = r#"{"id":"WH-9UG43882HX7271132","event_type":"PAYMENT.SALE.COMPLETED"}"#;
    signed(body, "d938e770-1", &url)
        .post(&router, "own")
        .await
        .expect(200);
    signed(body, "d938e770-2", &url)
        .post(&router, "own")
        .await
        .expect(200);
    let events = router.get("/api/v1/events").await.expect(200);
    assert_eq!(events.body["data"][0]["type"], "paypal.PAYMENT.SALE.COMPLETED");
    assert_eq!(events.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(host.received().len(), 1, "kept after it was fetched once");

    // The same again is a repetition; another body under the same signature is none of theirs.
    signed(body, "d938e770-1", &url)
        .post(&router, "own")
        .await
        .expect(200);
    assert_eq!(newest(&router, "own").await["outcome"], "duplicate");
    let mut forged = signed(body, "d938e770-3", &url);
    forged.body = body.replace("SALE", "SOLD").into_bytes();
    assert_eq!(forged.post(&router, "own").await.status, 401);
    assert_eq!(newest(&router, "own").await["reason"], "mismatch");
    for header in [
        "paypal-transmission-sig",
        "paypal-cert-url",
        "paypal-transmission-id",
        "paypal-transmission-time",
    ] {
        let bare = signed(body, "d938e770-4", &url).without(header);
        assert_eq!(bare.post(&router, "own").await.status, 401, "{header}");
        for value in ["", "nonsense", "%%%", "http://[", "file:///etc/passwd"] {
            let bad = signed(body, "d938e770-4", &url).with(header, value);
            assert_eq!(bad.post(&router, "own").await.status, 401, "{header} {value}");
        }
    }
}

#[tokio::test]
async fn a_certificate_comes_from_the_service_and_from_nowhere_else() {
    let host = Receiver::scripted([], Reply::Full(200, vec![], CERTIFICATE.into())).await;
    let router = TestRouter::start().await;
    source_with_host(&router, "127.0.0.1").await;
    // The preset itself allows paypal.com alone: nothing is fetched from here.
    let port = host
        .url()
        .rsplit(':')
        .next()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    for url in [
        host.url(),
        format!("https://paypal.com.127.0.0.1:{port}/"),
        "https://evil.example/paypal.com".to_owned(),
        "https://notpaypal.com/cert".to_owned(),
        format!("https://paypal.com@127.0.0.1:{port}/"),
    ] {
        assert_eq!(
            signed("{}", "1", &url).post(&router, "plain").await.status,
            401,
            "{url}"
        );
    }
    assert!(host.received().is_empty());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_is_no_fault_of_the_sender() {
    let host = Receiver::scripted([Reply::Status(500)], Reply::Full(200, vec![], CERTIFICATE.into())).await;
    let router = TestRouter::start().await;
    source_with_host(&router, "127.0.0.1").await;
    let url = host.url();
    let answer = signed("{}", "1", &url).post(&router, "own").await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(newest(&router, "own").await["reason"], "certificate");
    // Not asked for again at once, but when the sender comes again.
    assert_eq!(signed("{}", "1", &url).post(&router, "own").await.status, 503);
    assert_eq!(host.received().len(), 1);
    router.clock.advance(std::time::Duration::from_secs(31));
    signed("{}", "1", &url).post(&router, "own").await.expect(200);
    // What is fetched must be a certificate.
    let nonsense = Receiver::scripted([], Reply::Full(200, vec![], "nonsense".into())).await;
    assert_eq!(
        signed("{}", "2", &nonsense.url())
            .post(&router, "own")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_page_in_place_of_a_certificate_is_not_kept_for_a_day() {
    let host = Receiver::scripted(
        [Reply::Full(
            200,
            vec![],
            "<html>Please come back later</html>".into(),
        )],
        Reply::Full(200, vec![], CERTIFICATE.into()),
    )
    .await;
    let router = TestRouter::start().await;
    source_with_host(&router, "127.0.0.1").await;
    let call = || signed("{}", "1", &host.url());
    assert_eq!(call().post(&router, "own").await.status, 401);
    router.clock.advance(std::time::Duration::from_secs(31));
    call().post(&router, "own").await.expect(200);
}

#[tokio::test]
async fn addresses_of_strangers_push_no_certificate_out() {
    let host = Receiver::scripted([Reply::Full(200, vec![], CERTIFICATE.into())], Reply::Status(404)).await;
    let router = TestRouter::start().await;
    source_with_host(&router, "127.0.0.1").await;
    let url = host.url();
    signed("{}", "1", &url).post(&router, "own").await.expect(200);
    for n in 0..70 {
        let other = format!("{}/{n}", url.trim_end_matches('/'));
        assert_eq!(signed("{}", "2", &other).post(&router, "own").await.status, 503);
    }
    signed("{}", "3", &url).post(&router, "own").await.expect(200);
}
