//! Every way of verification with its secrets: what passes, what does not and what is said, and when a
//! secret runs out.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::signature::Failure;

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WHPK: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
/// The private half of `WHPK`.
const WHSK: &str =
    "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";

fn secrets(texts: &[(&str, Option<i64>)]) -> Vec<SigningSecret> {
    let secret = |(text, until): &(&str, Option<i64>)| SigningSecret {
        secret: Secret::new(*text),
        until: until.map(Timestamp::from_millis),
    };
    texts.iter().map(secret).collect()
}

pub(super) fn verifier(verification: Value, texts: &[&str]) -> Result<Verifier, VerifierFault> {
    let texts: Vec<_> = texts.iter().map(|text| (*text, None)).collect();
    Verifier::new(&serde_json::from_value(verification).unwrap(), &secrets(&texts))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const NOW: i64 = 1_700_000_000_000;
pub(super) const URL: &str = "https://hookway.example/webhooks/x";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

pub(super) fn check(verifier: &Verifier, given: &[(&str, &str)], url: &str) -> Result<Verified, VerifyError> {
    let headers = headers(given);
    let request = Incoming {
        headers: &headers,
        url,
        body: b"{}",
        certificate: None,
    };
    verifier.check(&request, at(NOW))
}

pub(super) fn failure(result: Result<Verified, VerifyError>) -> Failure {
    result.unwrap_err().failure()
}

pub(super) const fn passed(secret: usize) -> Result<Verified, VerifyError> {
    Ok(Verified::Signed { secret })
}

fn github() -> Value {
    json!({
        "algorithm": "hmac-sha256", "secret": "utf8", "input": "{body}", "encoding": "hex",
        "header": "X-Hub-Signature-256", "format": "sha256={sig}",
    })
}

fn standard(algorithm: &str, secret: &str, format: &str) -> Value {
    json!({
        "algorithm": algorithm, "secret": secret, "input": "{id}.{ts}.{body}", "encoding": "base64",
        "header": "webhook-signature", "format": format, "separator": " ",
        "ts_header": "webhook-timestamp", "id_header": "webhook-id", "tolerance_seconds": 300,
    })
}

fn standard_webhooks() -> Value {
    json!({"kind": "signature", "schemes": [
        standard("hmac-sha256", "whsec-base64", "v1,{sig}"),
        standard("ed25519", "whpk-base64", "v1a,{sig}"),
    ]})
}

fn signed(verifier: &Verifier) -> Vec<(String, String)> {
    let request = Unsigned {
        id: "msg_1",
        url: URL,
        content_type: "application/json",
        body: b"{}",
    };
    verifier.sign(&request, at(NOW)).unwrap().headers
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[test]
fn each_secret_belongs_to_the_schemes_that_accept_its_form() {
    let both = verifier(standard_webhooks(), &[WHPK, WHSEC]).unwrap();
    let mac = verifier(standard_webhooks(), &[WHSEC]).unwrap();
    let private = verifier(standard_webhooks(), &[WHSK]).unwrap();
    let (by_mac, by_key) = (signed(&mac), signed(&private));
    assert!(by_mac[2].1.starts_with("v1,") && by_key[2].1.starts_with("v1a,"));
    assert_eq!(check(&both, &borrowed(&by_mac), URL), passed(1));
    assert_eq!(check(&both, &borrowed(&by_key), URL), passed(0));
    // Both in one header, as a sender in the middle of a change writes them.
    let mut together = by_mac.clone();
    together[2].1 = format!("{} {}", by_mac[2].1, by_key[2].1);
    for one in [&both, &mac, &private] {
        assert!(check(one, &borrowed(&together), URL).is_ok());
    }
    // A scheme that has no secret passes nothing.
    assert_eq!(failure(check(&mac, &borrowed(&by_key), URL)), Failure::Malformed);
    assert_eq!(
        failure(check(&private, &borrowed(&by_mac), URL)),
        Failure::Malformed
    );
}

#[test]
fn a_public_key_is_given_to_no_mac() {
    // Whoever knows the public key signs by a MAC with it.
    let hex = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    let mut mac = github();
    mac["secret"] = "hex".into();
    let key = json!({
        "algorithm": "ed25519", "secret": "hex", "input": "{body}", "encoding": "hex",
        "header": "x-signature", "format": "{sig}",
    });
    let forger = verifier(json!({"kind": "signature", "schemes": [mac]}), &[hex]).unwrap();
    let forged = signed(&forger);
    assert_eq!(check(&forger, &borrowed(&forged), URL), passed(0));
    let both = json!({"kind": "signature", "schemes": [mac, key]});
    let source = verifier(both, &[hex]).unwrap();
    assert_eq!(failure(check(&source, &borrowed(&forged), URL)), Failure::Missing);
    // And a text that is visibly a public key is refused where any text would do.
    let fault = verifier(json!({"kind": "signature", "schemes": [github()]}), &[WHPK]).unwrap_err();
    assert_eq!(
        fault,
        VerifierFault::Secret {
            number: 1,
            expected: "a text".to_owned(),
            fault: Some(SecretFault::ForeignKey),
        }
    );
}

#[test]
fn the_error_is_that_of_the_scheme_whose_signature_is_there() {
    let mut other = github();
    other["header"] = "X-Other".into();
    let schemes = json!({"kind": "signature", "schemes": [github(), other]});
    let source = verifier(schemes, &["secret"]).unwrap();
    let wrong = format!("sha256={}", "0".repeat(64));
    let none = check(&source, &[], URL).unwrap_err();
    assert!(
        none.to_string().contains("`X-Hub-Signature-256` is missing"),
        "{none}"
    );
    let mismatch = check(&source, &[("x-other", &wrong)], URL);
    assert_eq!(failure(mismatch), Failure::Mismatch);
    let malformed = check(&source, &[("x-other", "sha256=x")], URL).unwrap_err();
    assert!(malformed.to_string().contains("`X-Other`"), "{malformed}");
    let both = [("x-hub-signature-256", "x"), ("x-other", wrong.as_str())];
    assert_eq!(failure(check(&source, &both, URL)), Failure::Mismatch);
    // One that is right is enough.
    let right = signed(&source)[0].1.clone();
    let both = [
        ("x-hub-signature-256", wrong.as_str()),
        ("x-other", right.as_str()),
    ];
    assert_eq!(check(&source, &both, URL), passed(0));
}

#[test]
fn unsigned_requests_pass_only_where_every_scheme_says_so() {
    let mut optional = github();
    optional["optional"] = true.into();
    let mut other = github();
    other["header"] = "X-Other".into();
    let alone = json!({"kind": "signature", "schemes": [optional]});
    let source = verifier(alone, &["secret"]).unwrap();
    assert_eq!(check(&source, &[], URL), Ok(Verified::Unsigned));
    let wrong = format!("sha256={}", "0".repeat(64));
    let signature = [("x-hub-signature-256", wrong.as_str())];
    assert_eq!(failure(check(&source, &signature, URL)), Failure::Mismatch);
    let mixed = json!({"kind": "signature", "schemes": [optional, other]});
    let source = verifier(mixed, &["secret"]).unwrap();
    assert_eq!(failure(check(&source, &[], URL)), Failure::Missing);
    assert_eq!(
        failure(check(&source, &[("x-other", &wrong)], URL)),
        Failure::Mismatch
    );
    // Also where the required scheme has no secret.
    let mixed = json!({"kind": "signature", "schemes": [
        {"algorithm": "hmac-sha256", "secret": "utf8", "input": "{body}", "encoding": "hex",
         "header": "x-mac", "format": "{sig}", "optional": true},
        standard("ed25519", "whpk-base64", "v1a,{sig}"),
    ]});
    let source = verifier(mixed, &["secret"]).unwrap();
    assert_eq!(failure(check(&source, &[], URL)), Failure::Missing);
}

#[test]
fn a_secret_runs_out_to_the_millisecond() {
    let ways = [
        json!({"kind": "signature", "schemes": [github()]}),
        json!({"kind": "token", "places": [{"header": "X-Token"}]}),
        json!({"kind": "basic"}),
    ];
    let request = Unsigned {
        id: "",
        url: URL,
        content_type: "application/json",
        body: b"{}",
    };
    for way in ways {
        let verification: Verification = serde_json::from_value(way).unwrap();
        let known = secrets(&[("new:1", None), ("old:2", Some(NOW)), ("older:3", Some(NOW - 5))]);
        let source = Verifier::new(&verification, &known).unwrap();
        let check = |verifier: &Verifier, signer: &Verifier, now: i64| {
            let credentials = signer.sign(&request, at(0)).unwrap();
            let headers = headers(&borrowed(&credentials.headers));
            let incoming = Incoming {
                headers: &headers,
                url: URL,
                body: b"{}",
                certificate: None,
            };
            verifier.check(&incoming, at(now))
        };
        let alone = |text: &str| Verifier::new(&verification, &secrets(&[(text, None)])).unwrap();
        assert_eq!(check(&source, &alone("new:1"), NOW + 1_000_000), passed(0));
        assert_eq!(check(&source, &alone("old:2"), NOW - 1), passed(1));
        assert_eq!(failure(check(&source, &alone("old:2"), NOW)), Failure::Mismatch);
        assert_eq!(check(&source, &alone("older:3"), NOW - 6), passed(2));
        assert_eq!(
            failure(check(&source, &alone("older:3"), NOW - 5)),
            Failure::Mismatch
        );
        // Nothing passes, and nothing is signed, once all have run out.
        let ended = Verifier::new(&verification, &secrets(&[("old:2", Some(NOW))])).unwrap();
        assert_eq!(check(&ended, &alone("old:2"), NOW), Err(VerifyError::NoSecret));
        assert_eq!(ended.sign(&request, at(NOW)), Err(SignError::NoSecret));
        assert!(ended.sign(&request, at(NOW - 1)).is_ok());
    }
}

#[test]
fn what_is_signed_for_a_source_passes_there() {
    let mut twilio = github();
    twilio["input"] = "{url}{form_sorted}".into();
    twilio["body_digest_query"] = "bodySHA256".into();
    let ways = [
        (json!({"kind": "signature", "schemes": [twilio]}), "secret"),
        (
            json!({"kind": "token", "places": [{"query": "a token"}, {"header": "x"}]}),
            "a&b=ü",
        ),
        (
            json!({"kind": "token", "places": [{"header": "x", "prefix": "Key "}]}),
            "secret",
        ),
        (json!({"kind": "basic"}), "user:pass"),
        (standard_webhooks(), WHSK),
    ];
    for (way, secret) in ways {
        let source = verifier(way.clone(), &[secret]).unwrap();
        for (content_type, body) in [
            ("application/json", &b"{}"[..]),
            ("application/x-www-form-urlencoded", b"b=1&a=2"),
            ("application/json", b""),
        ] {
            let url = "https://hookway.example/webhooks/x?y=z";
            let request = Unsigned {
                id: "id",
                url,
                content_type,
                body,
            };
            let credentials = source.sign(&request, at(NOW)).unwrap();
            let mut headers = headers(&borrowed(&credentials.headers));
            headers.insert("content-type", content_type.parse().unwrap());
            let mut url = url::Url::parse(url).unwrap();
            if !credentials.query.is_empty() {
                url.query_pairs_mut().extend_pairs(&credentials.query);
            }
            let incoming = Incoming {
                headers: &headers,
                url: url.as_str(),
                body,
                certificate: None,
            };
            assert_eq!(
                source.check(&incoming, at(NOW)),
                passed(0),
                "{way} {content_type}"
            );
        }
    }
    let public = verifier(standard_webhooks(), &[WHPK]).unwrap();
    let request = Unsigned {
        id: "id",
        url: URL,
        content_type: "",
        body: b"",
    };
    assert_eq!(public.sign(&request, at(NOW)), Err(SignError::PublicKey));
}

#[test]
fn faults_name_the_form_that_is_expected() {
    let token = json!({"kind": "token", "places": [{"header": "x"}]});
    let places = |places: Value| json!({"kind": "token", "places": places});
    let table = [
        (
            standard_webhooks(),
            vec![],
            "needs a secret: `whsec_` and base64, or `whpk_`",
        ),
        (
            standard_webhooks(),
            vec![WHSEC, "abc"],
            "secret 2 is not usable; it must be `whsec_`",
        ),
        (
            json!({"kind": "signature", "schemes": []}),
            vec!["x"],
            "1 to 8 signature schemes",
        ),
        (json!({"kind": "basic"}), vec![], "needs a secret: user:password"),
        (
            json!({"kind": "basic"}),
            vec!["password"],
            "it must be user:password",
        ),
        (token.clone(), vec![], "needs a secret: the token"),
        (token.clone(), vec![""], "secret 1 is not usable"),
        (token.clone(), vec!["a\nb"], "secret 1 is not usable"),
        (token, vec![" a"], "secret 1 is not usable"),
        (places(json!([])), vec!["x"], "1 to 8 places"),
        (
            places(json!([{"header": "a b"}])),
            vec!["x"],
            "`a b` is not the name of a header",
        ),
        (
            places(json!([{"query": ""}])),
            vec!["x"],
            "is not the name of a parameter",
        ),
        (
            places(json!([{"header": "a", "prefix": "é"}])),
            vec!["x"],
            "prefix of printable ASCII",
        ),
    ];
    for (way, texts, expected) in table {
        let fault = verifier(way, &texts).unwrap_err().to_string();
        assert!(fault.contains(expected), "{fault}");
    }
}

#[test]
fn certificates_are_asked_for_where_a_scheme_needs_one() {
    let file: Value = serde_json::from_str(include_str!(
        "../../../../tests/vectors/service-signature-vectors.json"
    ))
    .unwrap();
    let scheme = &file["schemes"]["paypal"];
    let way = json!({"kind": "signature", "schemes": [scheme]});
    let vectors = file["vectors"].as_array().unwrap();
    let vector = vectors
        .iter()
        .find(|vector| vector["scheme"] == "paypal")
        .unwrap();
    let source = verifier(way, &[vector["secret"].as_str().unwrap()]).unwrap();
    let given = vector["headers"].as_object().unwrap();
    let given: Vec<_> = given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let mut headers = headers(&given);
    let now = at(vector["now"].as_i64().unwrap() * 1_000);
    let body = vector["body_utf8"].as_str().unwrap().as_bytes();
    let certificate: &[u8] = include_bytes!("../../../../tests/vectors/paypal-test-certificate.pem");
    let mut request = Incoming {
        headers: &headers,
        url: URL,
        body,
        certificate: None,
    };
    let url = source.certificate_url(&request).unwrap().unwrap();
    assert_eq!(url.host_str(), Some("api.paypal.com"));
    assert_eq!(failure(source.check(&request, now)), Failure::Certificate);
    request.certificate = Some(certificate);
    assert_eq!(source.check(&request, now), passed(0));
    // Without a signature nothing is fetched.
    headers.remove("paypal-transmission-sig");
    let unsigned = Incoming {
        headers: &headers,
        url: URL,
        body,
        certificate: None,
    };
    assert_eq!(source.certificate_url(&unsigned), Ok(None));
    assert_eq!(failure(source.check(&unsigned, now)), Failure::Missing);
}

#[test]
fn nothing_shows_a_secret() {
    let ways = [
        (json!({"kind": "signature", "schemes": [github()]}), "geheim:x"),
        (json!({"kind": "token", "places": [{"header": "x"}]}), "geheim:x"),
        (json!({"kind": "basic"}), "geheim:x"),
    ];
    for (way, secret) in ways {
        let source = verifier(way, &[secret]).unwrap();
        let shown = format!("{source:?}");
        let digest = crate::digest::Digest::of(secret.as_bytes()).to_string();
        assert!(
            !shown.contains("geheim") && !shown.contains(&digest[..8]),
            "{shown}"
        );
    }
    let names = |way: Value| -> Vec<String> {
        let verification: Verification = serde_json::from_value(way).unwrap();
        verification.secret_headers().map(str::to_owned).collect()
    };
    assert_eq!(names(json!({"kind": "basic"})), ["authorization"]);
    let places = json!({"kind": "token", "places": [{"query": "a"}, {"header": "X-Token"}]});
    assert_eq!(names(places), ["X-Token"]);
    assert!(names(standard_webhooks()).is_empty());
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_passes(
        value in prop::collection::vec(any::<u8>(), 0..60),
        basic in "(Basic|Bearer) [A-Za-z0-9+/=]{0,30}",
        query in "\\PC{0,40}",
    ) {
        let ways = [
            (standard_webhooks(), WHSEC),
            (standard_webhooks(), WHPK),
            (json!({"kind": "token", "places": [{"header": "authorization", "prefix": "Bearer "}, {"query": "t"}]}),
             "a secret of some length"),
            (json!({"kind": "basic"}), "user:a secret of some length"),
        ];
        for (way, secret) in ways {
            let source = verifier(way, &[secret]).unwrap();
            for value in [&value[..], basic.as_bytes()] {
                let mut headers = HeaderMap::new();
                for name in ["authorization", "webhook-signature", "webhook-timestamp", "webhook-id"] {
                    if let Ok(value) = HeaderValue::from_bytes(value) {
                        headers.insert(name, value);
                    }
                }
                let url = format!("{URL}?t={query}");
                let incoming = Incoming { headers: &headers, url: &url, body: value, certificate: None };
                prop_assert!(source.check(&incoming, at(NOW)).is_err());
            }
        }
    }
}
