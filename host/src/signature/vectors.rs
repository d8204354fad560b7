//! The published vectors in both directions, and what must not pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::digest::Digest;
use crate::secret::Secret;
use crate::time::Timestamp;

const FORM: &str = "application/x-www-form-urlencoded";
const FILE: &str = include_str!("../../../tests/vectors/signature-vectors.json");

#[derive(Deserialize)]
struct File {
    schemes: BTreeMap<String, Scheme>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    secret: String,
    body_utf8: String,
    body_sha256: String,
    headers: BTreeMap<String, String>,
    expect: String,
    now: Option<i64>,
    #[serde(default)]
    url: String,
}

impl Vector {
    fn header_map(&self) -> HeaderMap {
        let pair = |(name, value): (&String, &String)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let mut headers: HeaderMap = self.headers.iter().map(pair).collect();
        if self.scheme == "twilio-form" {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        }
        headers
    }

    fn incoming<'a>(&'a self, headers: &'a HeaderMap) -> Incoming<'a> {
        Incoming {
            headers,
            url: &self.url,
            body: self.body_utf8.as_bytes(),
            certificate: None,
        }
    }
}

fn file() -> File {
    serde_json::from_str(FILE).unwrap()
}

/// A time at which every vector is fresh: its own `now`, or its time stamp.
fn now_of(vector: &Vector) -> Timestamp {
    let stamp = vector.headers.values().find_map(|value| {
        let digits = value
            .strip_prefix("t=")
            .map_or(value.as_str(), |rest| &rest[..10]);
        digits.parse().ok()
    });
    Timestamp::from_millis(vector.now.or(stamp).unwrap_or(0) * 1_000)
}

fn keyring(file: &File, vector: &Vector) -> Keyring {
    let scheme = Arc::new(file.schemes[&vector.scheme].clone());
    Keyring::new(scheme, [&Secret::new(vector.secret.as_str())]).unwrap()
}

#[test]
fn every_vector_verifies() {
    let file = file();
    assert_eq!(file.vectors.len(), 16);
    for vector in &file.vectors {
        assert_eq!(vector.expect, "ok");
        assert_eq!(
            Digest::of(vector.body_utf8.as_bytes()).to_string(),
            vector.body_sha256
        );
        let headers = vector.header_map();
        let verified = keyring(&file, vector).verify(&vector.incoming(&headers), now_of(vector));
        assert_eq!(verified, Ok(Verified::Signed { secret: 0 }), "{}", vector.name);
    }
}

#[test]
fn every_vector_is_produced() {
    let file = file();
    for vector in &file.vectors {
        let time = vector.headers.values().find_map(|value| {
            let text = value
                .strip_prefix("t=")
                .or(value.strip_prefix("ts="))
                .unwrap_or(value);
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<i64>().ok().filter(|_| digits.len() == 10)
        });
        // The body goes in as pieces: what is signed does not depend on where they are cut.
        let body = vector.body_utf8.as_bytes();
        let (head, tail) = body.split_at(body.len() / 3);
        let request = Outgoing {
            id: vector.headers.get("webhook-id").map_or("", |id| id),
            timestamp: Timestamp::from_millis(time.unwrap_or(0) * 1_000),
            url: &vector.url,
            body: &[head, b"", tail],
        };
        let produced: BTreeMap<_, _> = keyring(&file, vector)
            .sign(&request)
            .unwrap()
            .into_iter()
            .collect();
        assert_eq!(produced, vector.headers, "{}", vector.name);
    }
}

#[test]
fn every_scheme_survives_being_written_and_read() {
    for (name, scheme) in file().schemes {
        let text = serde_json::to_string(&scheme).unwrap();
        assert_eq!(serde_json::from_str::<Scheme>(&text).unwrap(), scheme, "{name}");
    }
    assert_eq!(file().schemes["standard-webhooks"], Scheme::standard_webhooks());
}

fn mismatch(result: Result<Verified, VerifyError>) -> bool {
    matches!(result, Err(VerifyError::Mismatch(_)))
}

#[test]
fn another_secret_body_url_or_stamp_does_not_pass() {
    let file = file();
    for vector in &file.vectors {
        let (headers, now) = (vector.header_map(), now_of(vector));
        let good = keyring(&file, vector);
        let scheme = Arc::new(file.schemes[&vector.scheme].clone());
        let other = Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let wrong = Keyring::new(Arc::clone(&scheme), [&other]).unwrap();
        let request = vector.incoming(&headers);
        assert!(mismatch(wrong.verify(&request, now)), "{}", vector.name);
        let body = format!("{}&x=1", vector.body_utf8);
        let changed = Incoming {
            body: body.as_bytes(),
            ..request
        };
        assert!(mismatch(good.verify(&changed, now)), "{}", vector.name);
        if vector.scheme == "twilio-form" {
            let url = format!("{}&x=1", vector.url);
            let changed = Incoming { url: &url, ..request };
            assert!(mismatch(good.verify(&changed, now)));
        }
        let both = Keyring::new(scheme, [&other, &Secret::new(vector.secret.as_str())]).unwrap();
        assert_eq!(
            both.verify(&request, now),
            Ok(Verified::Signed { secret: 1 }),
            "{}",
            vector.name
        );
    }
}

#[test]
fn a_missing_doubled_or_broken_header_is_told() {
    let file = file();
    for vector in &file.vectors {
        let (headers, now) = (vector.header_map(), now_of(vector));
        let keyring = keyring(&file, vector);
        for name in headers.keys().filter(|name| *name != "content-type") {
            let mut without = headers.clone();
            without.remove(name);
            let result = keyring.verify(&vector.incoming(&without), now);
            if vector.scheme == "inboundflow" && *name == "x-inboundflow-signature" {
                assert_eq!(result, Ok(Verified::Unsigned));
            } else {
                assert!(
                    matches!(result, Err(VerifyError::Missing { .. })),
                    "{} {name}: {result:?}",
                    vector.name
                );
            }
            let mut doubled = headers.clone();
            doubled.append(name.clone(), headers[name].clone());
            let result = keyring.verify(&vector.incoming(&doubled), now);
            assert!(
                matches!(result, Err(VerifyError::Duplicate { .. })),
                "{} {name}: {result:?}",
                vector.name
            );
            if name.as_str().ends_with("id") {
                continue;
            }
            for nonsense in ["", "!", "v1,", "t=1", "sha256=xyz"] {
                let mut broken = headers.clone();
                broken.insert(name.clone(), nonsense.parse().unwrap());
                let result = keyring.verify(&vector.incoming(&broken), now);
                assert!(
                    matches!(result, Err(VerifyError::Malformed { .. })),
                    "{} {name} {nonsense}",
                    vector.name
                );
            }
        }
    }
}

#[test]
fn age_is_checked_in_both_directions() {
    let file = file();
    let vector = file
        .vectors
        .iter()
        .find(|vector| vector.scheme == "standard-webhooks")
        .unwrap();
    let (keyring, headers) = (keyring(&file, vector), vector.header_map());
    let at = |seconds: i64| {
        let now = Timestamp::from_millis((1_614_265_330 + seconds) * 1_000);
        keyring.verify(&vector.incoming(&headers), now)
    };
    assert!(at(300).is_ok() && at(-300).is_ok());
    let (seconds, tolerance) = (301, 300);
    assert_eq!(at(301), Err(VerifyError::TooOld { seconds, tolerance }));
    assert_eq!(at(-301), Err(VerifyError::TooNew { seconds, tolerance }));
}

fn request<'a>(body: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        id: "dlv_1",
        timestamp: Timestamp::from_millis(1_700_000_000_999),
        url: "https://example.com/",
        body,
    }
}

#[test]
fn a_rotation_signs_with_both_secrets_newest_first() {
    let (new, old) = (
        Secret::new(format!("whsec_{}", "A".repeat(32))),
        Secret::new(format!("whsec_{}", "B".repeat(32))),
    );
    let scheme = Arc::new(Scheme::standard_webhooks());
    let sign = |secrets: &[&Secret]| {
        let keyring = Keyring::new(Arc::clone(&scheme), secrets.iter().copied()).unwrap();
        keyring.sign(&request(&[b"{}"])).unwrap().pop().unwrap().1
    };
    assert_eq!(
        sign(&[&new, &old]),
        format!("{} {}", sign(&[&new]), sign(&[&old]))
    );
    // Who still has the old secret, and who has the new one already, both accept it.
    let headers: HeaderMap = Keyring::new(Arc::clone(&scheme), [&new, &old])
        .unwrap()
        .sign(&request(&[b"{}"]))
        .unwrap()
        .into_iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            )
        })
        .collect();
    for secret in [&new, &old] {
        let incoming = Incoming {
            headers: &headers,
            url: "",
            body: b"{}",
            certificate: None,
        };
        let keyring = Keyring::new(Arc::clone(&scheme), [secret]).unwrap();
        assert!(
            keyring
                .verify(&incoming, Timestamp::from_millis(1_700_000_000_000))
                .is_ok()
        );
    }
    // A header with fields repeats the field; one that can carry a single signature gets the newest.
    let file = file();
    let (one, two) = (Secret::new("one"), Secret::new("two"));
    let stripe = Keyring::new(Arc::new(file.schemes["stripe"].clone()), [&one, &two]).unwrap();
    let value = stripe.sign(&request(&[b"{}"])).unwrap().pop().unwrap().1;
    assert_eq!(value.matches(",v1=").count(), 2, "{value}");
    let github = Arc::new(file.schemes["github"].clone());
    let both = Keyring::new(Arc::clone(&github), [&one, &two])
        .unwrap()
        .sign(&request(&[b"{}"]))
        .unwrap();
    assert_eq!(
        both,
        Keyring::new(github, [&one])
            .unwrap()
            .sign(&request(&[b"{}"]))
            .unwrap()
    );
}

#[test]
fn other_versions_beside_ours_are_passed_over() {
    let file = file();
    let vector = file
        .vectors
        .iter()
        .find(|vector| vector.scheme == "standard-webhooks")
        .unwrap();
    let mut headers = vector.header_map();
    let ours = vector.headers["webhook-signature"].clone();
    headers.insert(
        "webhook-signature",
        format!("v1a,hnO3f9T8Ytu9 {ours} v2,x").parse().unwrap(),
    );
    let keyring = keyring(&file, vector);
    assert!(keyring.verify(&vector.incoming(&headers), now_of(vector)).is_ok());
    let many = vec![ours; CANDIDATES_MAX + 1].join(" ");
    headers.insert("webhook-signature", many.parse().unwrap());
    let result = keyring.verify(&vector.incoming(&headers), now_of(vector));
    assert!(matches!(result, Err(VerifyError::Malformed { .. })), "{result:?}");
}

#[test]
fn nothing_shows_a_secret() {
    let secret = format!("whsec_{}", "Q".repeat(32));
    let keyring = Keyring::new(
        Arc::new(Scheme::standard_webhooks()),
        [&Secret::new(secret.as_str())],
    )
    .unwrap();
    assert!(!format!("{keyring:?}").contains("QQQ"));
    let none: [&Secret; 0] = [];
    assert_eq!(
        Keyring::new(Arc::new(Scheme::standard_webhooks()), none).unwrap_err(),
        SecretFault::None
    );
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        body in prop::collection::vec(any::<u8>(), 0..300),
        id in "[a-zA-Z0-9_-]{1,40}",
        secret in "[a-z][ -~]{1,80}",
        seconds in 0_i64..4_000_000_000,
        flip in any::<prop::sample::Index>(),
    ) {
        for (name, scheme) in file().schemes {
            if scheme.secret_kind() != SecretKind::Utf8 {
                continue;
            }
            let keyring = Keyring::new(Arc::new(scheme), [&Secret::new(secret.as_str())]).unwrap();
            let now = Timestamp::from_millis(seconds * 1_000);
            let url = "https://example.com/in";
            let outgoing = Outgoing { id: &id, timestamp: now, url, body: &[&body] };
            let signed = keyring.sign(&outgoing).unwrap();
            let mut headers: HeaderMap = signed
                .into_iter()
                .map(|(name, value)| {
                    (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
                })
                .collect();
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(FORM));
            let incoming = Incoming { headers: &headers, url, body: &body, certificate: None };
            prop_assert!(keyring.verify(&incoming, now).is_ok(), "{}", name);
            // A form is signed by its parameters, and not every byte of a body changes them.
            if !body.is_empty() && name != "twilio-form" {
                let mut changed = body.clone();
                changed[flip.index(body.len())] ^= 1;
                let incoming = Incoming { body: &changed, ..incoming };
                prop_assert!(mismatch(keyring.verify(&incoming, now)));
            }
        }
    }

    #[test]
    fn no_header_panics(value in "\\PC{0,60}", stamp in ".{0,20}") {
        for (_, scheme) in file().schemes {
            let mut headers = HeaderMap::new();
            for (name, value) in scheme.headers().zip([&value, &stamp, &stamp]) {
                if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                    headers.insert(name.clone(), value);
                }
            }
            let secret = SecretKind::generate(scheme.secret_kind(), &zeroize::Zeroizing::new([1; 32]));
            let keyring = Keyring::new(Arc::new(scheme), [&secret.unwrap()]).unwrap();
            let incoming = Incoming { headers: &headers, url: "", body: b"x", certificate: None };
            let result = keyring.verify(&incoming, Timestamp::from_millis(0));
            let passed = matches!(result, Ok(Verified::Signed { .. }));
            prop_assert!(!passed);
        }
    }
}
