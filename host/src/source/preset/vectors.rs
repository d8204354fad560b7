//! The presets' verification against published signatures: what a service signs passes, and nothing else.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::named;
use crate::secret::Secret;
use crate::signature::{Incoming, Verified};
use crate::source::Verifier;
use crate::subscription::SigningSecret;
use crate::time::Timestamp;

const FILES: [&str; 2] = [
    include_str!("../../../../tests/vectors/signature-vectors.json"),
    include_str!("../../../../tests/vectors/service-signature-vectors.json"),
];
const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/vectors/paypal-test-certificate.pem");

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    secret: String,
    body_utf8: String,
    #[serde(default)]
    url: String,
    headers: BTreeMap<String, String>,
    now: Option<i64>,
    #[serde(default)]
    seed: bool,
}

impl Vector {
    /// The preset that knows the scheme; none for products that have none.
    fn preset(&self) -> Option<&str> {
        match self.scheme.as_str() {
            "workflows" | "aetherflow" | "inboundflow" | "workflux" => None,
            "twilio-form" => Some("twilio"),
            "standard-webhooks-v1a" => Some("standard-webhooks"),
            other => Some(other),
        }
    }

    /// When it was signed, where the vector leaves that open.
    fn now(&self) -> i64 {
        self.now.unwrap_or(match self.scheme.as_str() {
            "note-generic" | "stripe" => 1_700_000_000,
            "paddle" => 1_671_552_777,
            "linear" => 1_676_056_940,
            _ => self
                .headers
                .get("x-zm-request-timestamp")
                .map_or(0, |ts| ts.parse().unwrap()),
        })
    }

    fn passes(&self, preset: &str, body: &str) -> bool {
        let mut headers: HeaderMap = self
            .headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let form = self.body_utf8.starts_with("CallSid=");
        let kind = if form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        headers.insert("content-type", HeaderValue::from_static(kind));
        let secret = SigningSecret {
            secret: Secret::new(self.secret.as_str()),
            until: None,
        };
        let verifier = Verifier::new(&named(preset).unwrap().verification, &[secret]).unwrap();
        let incoming = Incoming {
            headers: &headers,
            url: &self.url,
            body: body.as_bytes(),
            certificate: (preset == "paypal").then_some(CERTIFICATE),
        };
        let now = Timestamp::from_millis(self.now() * 1_000);
        verifier.check(&incoming, now) == Ok(Verified::Signed { secret: 0 })
    }
}

#[test]
fn what_services_sign_passes_and_a_changed_body_does_not() {
    let mut shown = 0;
    for file in FILES {
        for vector in serde_json::from_str::<File>(file).unwrap().vectors {
            let Some(preset) = vector.preset() else {
                assert!(vector.seed, "{} has no preset", vector.name);
                continue;
            };
            assert!(vector.passes(preset, &vector.body_utf8), "{}", vector.name);
            let changed = format!("{} ", vector.body_utf8);
            // Mailgun alone does not sign the body.
            assert_eq!(
                vector.passes(preset, &changed),
                preset == "mailgun",
                "{}",
                vector.name
            );
            shown += 1;
        }
    }
    assert!(shown > 20, "only {shown} vectors were used");
}
