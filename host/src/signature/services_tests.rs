//! The schemes of services that sign otherwise than by a plain HMAC: their vectors, and what must not
//! pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::*;
use crate::secret::Secret;
use crate::time::Timestamp;

const FILE: &str = include_str!("../../../tests/vectors/service-signature-vectors.json");
pub(super) const CERTIFICATE: &[u8] = include_bytes!("../../../tests/vectors/paypal-test-certificate.pem");

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) schemes: BTreeMap<String, Scheme>,
    pub(super) vectors: Vec<Vector>,
}

#[derive(Deserialize)]
pub(super) struct Vector {
    pub(super) name: String,
    pub(super) scheme: String,
    pub(super) secret: String,
    signing_secret: Option<String>,
    content_type: String,
    body_utf8: String,
    #[serde(default)]
    url: String,
    headers: BTreeMap<String, String>,
    now: i64,
    #[serde(default)]
    verify_only: bool,
}

pub(super) fn file() -> File {
    serde_json::from_str(FILE).unwrap()
}

fn vector(name: &str) -> (Vector, Keyring) {
    let file = file();
    let scheme = file.vectors.into_iter().find(|vector| vector.name == name);
    let vector = scheme.unwrap();
    let keyring = keyring(&file.schemes[&vector.scheme], &vector.secret).unwrap();
    (vector, keyring)
}

fn keyring(scheme: &Scheme, secret: &str) -> Result<Keyring, SecretFault> {
    Keyring::new(Arc::new(scheme.clone()), [&Secret::new(secret)])
}

impl Vector {
    fn header_map(&self) -> HeaderMap {
        let parsed = |(name, value): (&String, &String)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            )
        };
        let mut headers: HeaderMap = self.headers.iter().map(parsed).collect();
        headers.insert("content-type", self.content_type.parse().unwrap());
        headers
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now * 1_000)
    }

    /// What becomes of the request with changed headers, URL or body.
    fn check(
        &self,
        keyring: &Keyring,
        change: impl FnOnce(&mut HeaderMap, &mut String, &mut Vec<u8>),
    ) -> Result<Verified, VerifyError> {
        let (mut headers, mut url) = (self.header_map(), self.url.clone());
        let mut body = self.body_utf8.clone().into_bytes();
        change(&mut headers, &mut url, &mut body);
        let request = Incoming {
            headers: &headers,
            url: &url,
            body: &body,
            certificate: Some(CERTIFICATE),
        };
        keyring.verify(&request, self.now())
    }
}

const PASSED: Result<Verified, VerifyError> = Ok(Verified::Signed { secret: 0 });

fn failure(result: Result<Verified, VerifyError>) -> Option<Failure> {
    result.err().map(|error| error.failure())
}

#[test]
fn every_vector_verifies_and_no_other_body_does() {
    let file = file();
    for vector in &file.vectors {
        let keyring = keyring(&file.schemes[&vector.scheme], &vector.secret).unwrap();
        assert_eq!(vector.check(&keyring, |_, _, _| ()), PASSED, "{}", vector.name);
        let changed = vector.check(&keyring, |_, _, body| {
            let digit = body.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
            body[digit] ^= 1;
        });
        match keyring.scheme().coverage() {
            Coverage::Nothing => assert_eq!(changed, PASSED, "{}", vector.name),
            _ => assert_eq!(failure(changed), Some(Failure::Mismatch), "{}", vector.name),
        }
        let text = serde_json::to_string(keyring.scheme()).unwrap();
        assert_eq!(serde_json::from_str::<Scheme>(&text).unwrap(), *keyring.scheme());
    }
}

#[test]
fn every_vector_that_can_be_signed_is_produced() {
    let file = file();
    for vector in &file.vectors {
        let secret = vector.signing_secret.as_ref().unwrap_or(&vector.secret);
        let keyring = keyring(&file.schemes[&vector.scheme], secret).unwrap();
        let request = Outgoing {
            id: vector.headers.get("webhook-id").map_or("", |id| id),
            timestamp: vector.now(),
            url: &vector.url,
            body: &[vector.body_utf8.as_bytes()],
        };
        let signed = keyring.sign_as(&request, &vector.content_type, |_| true);
        if vector.verify_only {
            assert!(
                matches!(signed, Err(SignError::PublicKey | SignError::InBody)),
                "{}",
                vector.name
            );
            assert!(keyring.scheme().signs_any_request().is_err(), "{}", vector.name);
            continue;
        }
        let produced: BTreeMap<_, _> = signed.unwrap().into_iter().collect();
        assert_eq!(produced, vector.headers, "{}", vector.name);
        // Its public half alone verifies and cannot sign.
        if vector.signing_secret.is_some() {
            assert_eq!(vector.check(&keyring, |_, _, _| ()), PASSED, "{}", vector.name);
            let public = [&Secret::new(vector.secret.as_str())];
            let scheme = Arc::new(file.schemes[&vector.scheme].clone());
            let fault = Keyring::for_signing(Arc::clone(&scheme), public).unwrap_err();
            assert_eq!(fault, SecretFault::CannotSign);
            let keyring = Keyring::new(scheme, public).unwrap();
            assert_eq!(keyring.sign(&request), Err(SignError::PublicKey));
        }
    }
}

#[test]
fn another_key_of_the_same_kind_does_not_pass() {
    let table = [
        (
            "discord",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "standard webhooks v1a",
            "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ),
        ("paypal", "9XL90610J3647323D"),
        (
            "sendgrid",
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83slj4jD/DbTKzKYO7gt2Zoe7s1dmVoa9yMHj2clwDgyTTDyLQ7pVAnYzDC8USyKH3ZwXiZiZYdXkYFDg1YQlg==",
        ),
        ("pagerduty", "another"),
        ("mailgun", "another"),
    ];
    for (name, secret) in table {
        let (vector, good) = vector(name);
        let other = keyring(good.scheme(), secret).unwrap();
        let result = vector.check(&other, |_, _, _| ());
        assert_eq!(failure(result), Some(Failure::Mismatch), "{name}");
    }
}

#[test]
fn a_public_key_never_becomes_the_secret_of_a_mac() {
    let schemes = file().schemes;
    let whpk = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    for secret in [whpk, pem] {
        assert_eq!(
            keyring(&schemes["pagerduty"], secret).unwrap_err(),
            SecretFault::ForeignKey
        );
        let standard = Scheme::standard_webhooks();
        assert_eq!(keyring(&standard, secret).unwrap_err(), SecretFault::Prefix);
    }
    // Nor the other way round.
    for (scheme, secret) in [
        ("standard-webhooks-v1a", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("discord", "abcd"),
        ("discord", &"zz".repeat(32)),
        ("sendgrid", whpk),
        ("sendgrid", "aGVsbG8="),
        // An ed25519 key where ECDSA is asked for.
        (
            "sendgrid",
            "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
        ),
    ] {
        assert!(keyring(&schemes[scheme], secret).is_err(), "{scheme} {secret}");
    }
}

#[test]
fn a_public_key_may_be_pem() {
    let (vector, good) = vector("sendgrid");
    let (one, two) = vector.secret.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{one}\n{two}\n-----END PUBLIC KEY-----\n");
    let keyring = keyring(good.scheme(), &pem).unwrap();
    assert_eq!(vector.check(&keyring, |_, _, _| ()), PASSED);
    // Byte for byte: without the line's end it is another body.
    let trimmed = vector.check(&keyring, |_, _, body| body.truncate(body.len() - 2));
    assert_eq!(failure(trimmed), Some(Failure::Mismatch));
}

#[test]
fn every_signature_in_the_header_is_tried() {
    let (vector, keyring) = vector("pagerduty");
    let ours = vector.headers["X-PagerDuty-Signature"].clone();
    let other = format!("v1={}", "0".repeat(64));
    let short = "v1=00";
    for value in [
        format!("{other},{ours}"),
        format!("{ours},{other}"),
        format!("{other}, {short}, {ours}"),
        format!("v0=zz,{ours}"),
        ours.to_uppercase().replace("V1=", "v1="),
    ] {
        let result = vector.check(&keyring, |headers, _, _| {
            headers.insert("x-pagerduty-signature", value.parse().unwrap());
        });
        assert_eq!(result, PASSED, "{value}");
    }
    for value in [other.as_str(), short] {
        let result = vector.check(&keyring, |headers, _, _| {
            headers.insert("x-pagerduty-signature", value.parse().unwrap());
        });
        assert_eq!(failure(result), Some(Failure::Mismatch), "{value}");
    }
}

#[test]
fn a_body_that_is_no_form_needs_its_digest_in_the_url() {
    let (vector, keyring) = vector("twilio, json");
    let check = |url: &str, body: &str, content_type: &str| {
        let signed = keyring.sign_as(
            &Outgoing {
                id: "",
                timestamp: vector.now(),
                url,
                body: &[body.as_bytes()],
            },
            content_type,
            |_| true,
        );
        let (_, signature) = signed.unwrap().remove(0);
        vector.check(&keyring, |headers, sent, raw| {
            headers.insert("x-twilio-signature", signature.parse().unwrap());
            headers.insert("content-type", content_type.parse().unwrap());
            *sent = url.to_owned();
            *raw = body.as_bytes().to_vec();
        })
    };
    let (json, form) = (
        "application/json",
        "Application/X-WWW-Form-URLencoded; charset=utf-8",
    );
    let plain = "https://mycompany.com/in?foo=1";
    let (_, digest) = keyring.scheme().body_digest(json, b"{}").unwrap();
    let right = format!("{plain}&bodySHA256={digest}");
    assert_eq!(check(&right, "{}", json), PASSED);
    assert_eq!(
        check(&right.replace(&digest, &digest.to_uppercase()), "{}", json),
        PASSED
    );
    assert_eq!(check(plain, "a=b", form), PASSED);
    assert_eq!(check(plain, "", json), PASSED, "nothing is there to be covered");
    let cases = [
        (plain.to_owned(), "{}", json, Failure::Missing),
        (right.clone(), "{ }", json, Failure::Mismatch),
        (
            format!("{right}&bodySHA256={digest}"),
            "{}",
            json,
            Failure::Malformed,
        ),
        (format!("{plain}&bodySHA256=xyz"), "{}", json, Failure::Malformed),
        (format!("{plain}&bodySHA256="), "{}", json, Failure::Mismatch),
        (
            format!("{plain}#&bodySHA256={digest}"),
            "{}",
            json,
            Failure::Missing,
        ),
        // The signature of a JSON body does not pass for a form without parameters, nor for no body.
        (right.clone(), "&&&", form, Failure::Mismatch),
        (right.clone(), "", json, Failure::Mismatch),
    ];
    for (url, body, content_type, expected) in cases {
        let result = check(&url, body, content_type);
        assert_eq!(failure(result), Some(expected), "{url} {body}");
    }
}

#[test]
fn forms_alone_pass_where_only_forms_are_covered() {
    let mut document = serde_json::to_value(&file().schemes["twilio"]).unwrap();
    document.as_object_mut().unwrap().remove("body_digest_query");
    let scheme: Scheme = serde_json::from_value(document).unwrap();
    let keyring = keyring(&scheme, "12345").unwrap();
    let (vector, _) = vector("twilio, json");
    let result = vector.check(&keyring, |_, _, _| ());
    assert_eq!(result, Err(VerifyError::NotCovered));
    assert_eq!(result.unwrap_err().failure(), Failure::Malformed);
}

#[test]
fn forms_are_signed_by_their_decoded_and_sorted_parameters() {
    let (vector, keyring) = vector("twilio, second caller");
    let reordered =
        "To=%2b18005551212&From=%2B14158675309&Digits=1234&Caller=%2B14158675309&CallSid=CA1234567890ABCDE";
    let result = vector.check(&keyring, |_, _, body| *body = reordered.as_bytes().to_vec());
    assert_eq!(result, PASSED);
    let twice = format!("{reordered}&Digits=1234");
    let result = vector.check(&keyring, |_, _, body| *body = twice.as_bytes().to_vec());
    assert_eq!(result, PASSED, "equal parameters count once");
    let result = vector.check(&keyring, |headers, _, _| {
        headers.append("content-type", HeaderValue::from_static("text/plain"));
    });
    assert_eq!(
        failure(result),
        Some(Failure::Missing),
        "two media types are no form"
    );
}

#[test]
fn stamps_are_read_as_they_are_written() {
    let shift = |name: &str, seconds: i64| {
        let (mut vector, keyring) = vector(name);
        vector.now += seconds;
        failure(vector.check(&keyring, |_, _, _| ()))
    };
    for (name, tolerance) in [
        ("linear", 60),
        ("paypal", 300),
        ("mailgun", 300),
        ("discord", 300),
    ] {
        assert_eq!(shift(name, tolerance), None, "{name}");
        assert_eq!(shift(name, -tolerance), None, "{name}");
        assert_eq!(shift(name, tolerance + 1), Some(Failure::Stale), "{name}");
        assert_eq!(shift(name, -tolerance - 1), Some(Failure::Stale), "{name}");
    }
    let (vector, keyring) = vector("linear");
    for (stamp, expected) in [
        ("1.676056940508e12", Failure::Malformed),
        ("-1676056940508", Failure::Malformed),
        ("\"2023-02-10T19:22:20Z\"", Failure::Malformed),
        ("99999999999999999999", Failure::Malformed),
        ("null", Failure::Malformed),
        (
            "1676056940508,\"webhookTimestamp\":1676056940508",
            Failure::Malformed,
        ),
    ] {
        let result = vector.check(&keyring, |_, _, body| {
            let text = String::from_utf8(body.clone()).unwrap();
            *body = text.replace("1676056940508", stamp).into_bytes();
        });
        assert_eq!(failure(result), Some(expected), "{stamp}");
    }
    let result = vector.check(&keyring, |_, _, body| *body = b"{}".to_vec());
    assert_eq!(failure(result), Some(Failure::Missing));
}

#[test]
fn a_number_in_the_body_is_signed_as_it_stands() {
    let scheme: Scheme = serde_json::from_value(serde_json::json!({
        "algorithm": "hmac-sha256", "secret": "utf8", "input": "{json:/order/id}:{header:x-nonce}:{body}",
        "encoding": "hex", "header": "x-signature", "format": "{sig}",
    }))
    .unwrap();
    let keyring = keyring(&scheme, "secret").unwrap();
    let body = br#"{"order":{"id":9007199254740993.0}}"#;
    let plain: Scheme = serde_json::from_value(serde_json::json!({
        "algorithm": "hmac-sha256", "secret": "utf8", "input": "9007199254740993.0:n1:{body}",
        "encoding": "hex", "header": "x-signature", "format": "{sig}",
    }))
    .unwrap();
    let outgoing = Outgoing {
        id: "",
        timestamp: Timestamp::from_millis(0),
        url: "",
        body: &[body],
    };
    let signer = Keyring::new(Arc::new(plain), [&Secret::new("secret")]).unwrap();
    let signature = signer.sign(&outgoing).unwrap().remove(0).1;
    let mut headers = HeaderMap::new();
    headers.insert("x-signature", signature.parse().unwrap());
    headers.insert("x-nonce", HeaderValue::from_static("n1"));
    let verify = |headers: &HeaderMap| {
        let request = Incoming {
            headers,
            url: "",
            body,
            certificate: None,
        };
        keyring.verify(&request, Timestamp::from_millis(0))
    };
    assert_eq!(verify(&headers), PASSED);
    headers.append("x-nonce", HeaderValue::from_static("n1"));
    assert_eq!(failure(verify(&headers)), Some(Failure::Malformed));
    headers.remove("x-nonce");
    assert_eq!(failure(verify(&headers)), Some(Failure::Missing));
    assert!(matches!(
        keyring.scheme().signs_any_request(),
        Err(SignError::NotEveryRequest { .. })
    ));
}

#[test]
fn errors_say_what_was_hashed() {
    let (vector, keyring) = vector("twilio, second caller");
    let result = vector.check(&keyring, |_, url, _| url.push_str("&token=geheim"));
    let text = result.unwrap_err().to_string();
    for part in [
        "HMAC-SHA1 over `{url}{form_sorted}` with 1 secret,",
        "the URL being https://mycompany.com/myapp.php and its query",
        "the body of 97 bytes",
        "SHA-256 beginning with ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("geheim") && !text.contains("12345"), "{text}");
    assert!(text.len() < crate::reception::DETAIL_BYTES_MAX);
}
