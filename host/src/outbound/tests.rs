//! How the names of headers are spelled, and what a request is made of.

use std::num::NonZeroU16;

use serde_json::json;

use super::*;
use crate::id::Id;
use crate::subscription;

fn subscription(headers: &[&str]) -> Subscription {
    let headers = headers.iter().map(|name| ((*name).to_owned(), Secret::new("x")));
    Subscription {
        id: Id::from_number(1),
        tenant: Id::from_number(2),
        key: None,
        name: String::new(),
        status: subscription::Status::Enabled,
        events: Vec::new(),
        filter: None,
        plugins: Vec::new(),
        endpoint: subscription::Endpoint {
            url: Secret::new("https://example.com/hook"),
            headers: headers.collect(),
            secrets: Vec::new(),
            max_in_flight: Some(NonZeroU16::MIN),
            rate_limit: None,
            disable_on_gone: true,
        },
        profile: crate::profile::Choice::default(),
        retry: None,
        timeout_seconds: None,
        envelope: subscription::Envelope::Auto,
        isolation: subscription::Isolation::Subscription,
        version: 1,
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    }
}

/// IB-05: names go out as the product documents them.
#[test]
fn header_names_are_spelled_as_they_were_written() {
    let profile: Profile = serde_json::from_value(json!({
        "name": "inboundflow", "version": 1, "envelope": "none",
        "headers": [["X-InboundFlow-Event", "{type}"], ["X-InboundFlow-Delivery-Id", "{delivery_id:uuid}"], ["x-a", "1"]],
        "signature": {
            "algorithm": "hmac-sha256", "secret": "utf8", "input": "{ts}.{body}", "encoding": "hex",
            "header": "X-InboundFlow-Signature", "format": "sha256={sig}", "ts_header": "X-InboundFlow-Timestamp",
        },
    }))
    .unwrap();
    let subscription = subscription(&["X-API-Key", "X-A", "USER-agent2"]);
    let endpoint = Endpoint::unsigned(&subscription, &profile).unwrap();
    assert_eq!(
        endpoint.spelled(),
        [
            "X-InboundFlow-Signature",
            "X-InboundFlow-Timestamp",
            "X-InboundFlow-Event",
            "X-InboundFlow-Delivery-Id",
            "x-a",
            "X-API-Key",
            "USER-agent2",
            "Content-Type",
            "User-Agent",
        ]
    );
}

/// A delivery keeps its profile, and the secrets of today may be another profile's: those that suit sign.
#[test]
fn only_the_secrets_that_suit_the_profile_sign() {
    let made = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let endpoint = |name: &str, secrets: &[&str]| {
        let mut subscription = subscription(&[]);
        subscription.endpoint.secrets = secrets
            .iter()
            .map(|text| SigningSecret {
                secret: Secret::new(*text),
                until: None,
            })
            .collect();
        let profile = crate::profile::built_in(name).unwrap();
        let now = Timestamp::from_millis(0);
        Endpoint::new(&subscription, profile, now).map(|endpoint| {
            let outbound = Outbound {
                method: Method::POST,
                url: endpoint.url.clone(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(b"{}"),
            };
            endpoint.sign("req_1", &outbound, now)
        })
    };
    let alone = endpoint("standard-webhooks", &[made]).unwrap();
    for secrets in [&["plain text", made], &[made, "plain text"]] {
        assert_eq!(endpoint("standard-webhooks", secrets).unwrap(), alone);
    }
    let both = endpoint("github", &["plain text", made]).unwrap();
    assert_eq!(
        both,
        endpoint("github", &["plain text"]).unwrap(),
        "the newest alone"
    );
    for secrets in [&["plain text", "and another"][..], &[]] {
        let fault = endpoint("standard-webhooks", secrets).unwrap_err().to_string();
        assert!(fault.contains("suits the profile standard-webhooks@1"), "{fault}");
    }
    assert!(endpoint("inboundflow", &["plain text"]).is_ok());
    // Without any secret a profile that leaves the choice signs nothing.
    assert!(endpoint("inboundflow", &[]).is_ok());
}
