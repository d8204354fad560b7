//! Whatever a stranger sends: nothing panics, and nothing passes.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::services_tests::{CERTIFICATE, file};
use super::*;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Every scheme of the vectors with its secret.
fn keyrings() -> Vec<(String, Keyring)> {
    let file = file();
    let keyring = |vector: &super::services_tests::Vector| {
        let scheme = Arc::new(file.schemes[&vector.scheme].clone());
        let secret = Secret::new(vector.secret.as_str());
        (vector.name.clone(), Keyring::new(scheme, [&secret]).unwrap())
    };
    file.vectors.iter().map(keyring).collect()
}

/// A value that gets past the first checks, or any bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "(v1=|v1a,|v1,|)[0-9a-f]{64}".prop_map(String::into_bytes),
        "(v1=|v1a,|)[0-9a-f]{128}".prop_map(String::into_bytes),
        "(v1a,|)[A-Za-z0-9+/]{86}==".prop_map(String::into_bytes),
        "[0-9]{1,22}".prop_map(String::into_bytes),
        Just(b"2016-09-21T22:00:46Z".to_vec()),
        Just(b"1700000000".to_vec()),
        Just(Vec::new()),
        Just(vec![b'a'; 60_000]),
        Just([&b"v1="[..], &[b'0'; 50_000]].concat()),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[\\[\\]{}:,\"0-9a-z\\\\u.e-]{0,80}".prop_map(String::into_bytes),
        "[0-9]{1,20}".prop_map(|stamp| {
            let text = format!(
                r#"{{"signature":{{"timestamp":{stamp},"token":"t","signature":"{}"}},"webhookTimestamp":{stamp}}}"#,
                "0".repeat(64)
            );
            text.into_bytes()
        }),
        "([a-z%0-9]{1,5}=[a-z%0-9+]{0,5}&){0,5}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_passes(
        values in prop::collection::vec(value(), 1..8),
        copies in 1_usize..3,
        body in body(),
        url in prop_oneof![Just("https://x.test/?bodySHA256=00".to_owned()), "\\PC{0,40}"],
        form in any::<bool>(),
        certificate in prop_oneof![
            Just(None),
            Just(Some(CERTIFICATE.to_vec())),
            prop::collection::vec(any::<u8>(), 0..100).prop_map(Some),
            Just(Some(CERTIFICATE[..500].to_vec())),
        ],
        now in prop_oneof![Just(1_700_000_000_000_i64), Just(1_474_495_246_000), any::<i64>()],
    ) {
        for (name, keyring) in keyrings() {
            let mut headers = HeaderMap::new();
            if form {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert("content-type", form);
            }
            let names = keyring.scheme().headers().cloned();
            let names = names.chain([http::HeaderName::from_static("paypal-cert-url")]);
            for (name, value) in names.zip(values.iter().cycle()) {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    for _ in 0..copies {
                        headers.append(name.clone(), value.clone());
                    }
                }
            }
            let request = Incoming {
                headers: &headers,
                url: &url,
                body: &body,
                certificate: certificate.as_deref(),
            };
            let _ = keyring.certificate_url(&headers);
            let _ = keyring.is_signed(&request);
            let error = keyring.verify(&request, Timestamp::from_millis(now));
            let error = error.expect_err(&name).to_string();
            prop_assert!(error.len() < crate::reception::DETAIL_BYTES_MAX, "{}", error);
        }
    }

    #[test]
    fn no_text_of_a_scheme_or_secret_panics(text in "\\PC{0,100}", pem in any::<bool>()) {
        let secret = match pem {
            true => format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"),
            false => text.clone(),
        };
        for (name, scheme) in file().schemes {
            let _ = scheme.accepts(&Secret::new(secret.as_str()));
            let mut document = serde_json::to_value(&scheme).unwrap();
            for field in ["input", "format", "ts_pointer", "separator", "certificate_hosts"] {
                let before = document[field].take();
                document[field] = text.as_str().into();
                let _ = serde_json::from_value::<Scheme>(document.clone());
                document[field] = [text.as_str()].as_slice().into();
                let _ = serde_json::from_value::<Scheme>(document.clone());
                document[field] = before;
            }
            prop_assert!(!name.is_empty());
        }
    }
}

#[test]
fn signatures_of_the_wrong_length_are_other_signatures() {
    for (name, keyring) in keyrings() {
        let Some(header) = keyring.scheme().headers().next().cloned() else {
            continue;
        };
        if !["x-pagerduty-signature", "x-twilio-signature"].contains(&header.as_str()) {
            continue;
        }
        for length in [1, 31, 32, 33, 64, 1_000] {
            let bytes = vec![0; length];
            let value = match header.as_str() {
                "x-twilio-signature" => data_encoding::BASE64.encode(&bytes),
                _ => format!("v1={}", data_encoding::HEXLOWER.encode(&bytes)),
            };
            let mut headers = HeaderMap::new();
            headers.insert(header.clone(), value.parse().unwrap());
            let request = Incoming {
                headers: &headers,
                url: "https://x.test/",
                body: b"",
                certificate: None,
            };
            let result = keyring.verify(&request, Timestamp::from_millis(0));
            assert_eq!(
                result.unwrap_err().failure(),
                Failure::Mismatch,
                "{name} {length}"
            );
        }
    }
}
