//! What is a scheme, and what is none.

use serde_json::{Value, json};

use super::*;

fn read(changes: Value) -> Result<Scheme, String> {
    let mut document = serde_json::to_value(Scheme::standard_webhooks()).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => document.as_object_mut().unwrap().remove(name),
            value => document
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    serde_json::from_value(document).map_err(|error| error.to_string())
}

#[test]
fn the_built_in_scheme_is_data_like_any_other() {
    assert_eq!(read(json!({})), Ok(Scheme::standard_webhooks()));
    let headers: Vec<_> = Scheme::standard_webhooks().headers().cloned().collect();
    assert_eq!(headers, ["webhook-signature", "webhook-timestamp", "webhook-id"]);
}

#[test]
fn faults_say_what_is_wrong() {
    let paypal = |changes: Value| {
        let mut document = json!({
            "algorithm": "rsa-sha256", "secret": "text", "input": "{id}{ts}{secret}{crc32}",
            "certificate_header": "paypal-cert-url", "certificate_hosts": ["paypal.com"],
        });
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    };
    assert!(read(paypal(json!({}))).is_ok());
    let table = [
        (json!({"input": "{id}.{ts}"}), "does not cover the body"),
        (json!({"covers_body": false}), "but the input covers the body"),
        (json!({"input": "{nonce}{body}"}), "`{nonce}` is unknown"),
        (json!({"header": "no header"}), "`no header` is not a header name"),
        (json!({"header": null}), "exactly one place"),
        (json!({"signature_pointer": "/sig"}), "exactly one place"),
        (
            json!({"header": null, "signature_pointer": "sig"}),
            "`sig` is not a JSON Pointer",
        ),
        (json!({"ts_header": null}), "one place for the time stamp"),
        (json!({"ts_header": null, "input": "{body}"}), "to check its age"),
        (json!({"ts_pointer": "/ts"}), "know which to trust"),
        (json!({"format": "t={ts},v1={sig}"}), "know which to trust"),
        (
            json!({"ts_header": null, "input": "{body}", "tolerance_seconds": null, "ts_format": "rfc3339"}),
            "to read it",
        ),
        (json!({"input": "{body}"}), "the time stamp is not signed"),
        (json!({"ts_format": "days"}), "unknown variant"),
        (json!({"id_header": null}), "no `id_header`"),
        (json!({"tolerance_seconds": 0}), "tolerance_seconds"),
        (json!({"tolerance_seconds": 86_401}), "tolerance_seconds"),
        (json!({"separator": ","}), "separator"),
        (json!({"color": "red"}), "unknown field"),
        (json!({"secret": "spki-base64"}), "hmac-… takes"),
        (json!({"secret": "whpk-base64"}), "hmac-… takes"),
        (json!({"algorithm": "ed25519"}), "ed25519 takes"),
        (
            json!({"algorithm": "ecdsa-p256-sha256"}),
            "ecdsa-p256-sha256 takes",
        ),
        (json!({"input": "{id}{ts}{body}{secret}"}), "`text` is no key"),
        (
            json!({"certificate_header": "x", "certificate_hosts": ["x.com"]}),
            "`text` is no key",
        ),
        (paypal(json!({"input": "{id}{ts}{crc32}"})), "`text` is no key"),
        (paypal(json!({"certificate_header": null})), "`text` is no key"),
        (paypal(json!({"certificate_hosts": []})), "belong together"),
        (json!({"certificate_hosts": ["x.com"]}), "belong together"),
        (
            paypal(json!({"certificate_hosts": ["PayPal.com"]})),
            "belong together",
        ),
        (
            paypal(json!({"certificate_hosts": ["paypal.com."]})),
            "belong together",
        ),
        (
            paypal(json!({"certificate_hosts": ["paypal.com:443"]})),
            "belong together",
        ),
        (paypal(json!({"certificate_hosts": [""]})), "belong together"),
        (
            paypal(json!({"certificate_hosts": ["*.paypal.com"]})),
            "belong together",
        ),
        (json!({"body_digest_query": "d"}), "`body_digest_query` needs"),
        (
            json!({"body_digest_query": "d", "input": "{ts}{form_sorted}"}),
            "`body_digest_query` needs",
        ),
        (
            json!({"body_digest_query": "", "input": "{ts}{url}{form_sorted}"}),
            "`body_digest_query` needs",
        ),
    ];
    for (changes, expected) in table {
        let error = read(changes.clone()).unwrap_err();
        assert!(error.contains(expected), "{changes}: {error}");
    }
}

#[test]
fn coverage_follows_from_the_input() {
    let table = [
        (json!({}), Coverage::Every),
        (json!({"input": "{ts}{crc32}"}), Coverage::Every),
        (json!({"input": "{ts}{form_sorted}"}), Coverage::Forms),
        (
            json!({"input": "{ts}{url}{form_sorted}", "body_digest_query": "d"}),
            Coverage::FormsAndDigest,
        ),
        (
            json!({"input": "{ts}{json:/token}", "covers_body": false}),
            Coverage::Nothing,
        ),
    ];
    for (changes, expected) in table {
        let scheme = read(changes).unwrap();
        assert_eq!(scheme.coverage(), expected);
        let text = serde_json::to_string(&scheme).unwrap();
        assert_eq!(serde_json::from_str::<Scheme>(&text).unwrap(), scheme, "{text}");
    }
}

#[test]
fn a_stamp_in_a_body_that_is_signed_needs_no_place_in_the_input() {
    let linear = json!({
        "input": "{body}", "ts_header": null, "id_header": null,
        "ts_pointer": "/webhookTimestamp", "ts_format": "milliseconds", "tolerance_seconds": 60,
    });
    let scheme = read(linear).unwrap();
    assert_eq!(scheme.timestamp_format, TimestampFormat::Milliseconds);
    assert_eq!(scheme.headers().collect::<Vec<_>>(), ["webhook-signature"]);
}
