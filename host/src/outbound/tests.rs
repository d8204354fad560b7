//! How the names of headers are spelled, and what a request is made of.

use std::num::NonZeroU16;

use serde_json::json;

use super::*;
use crate::id::Id;
use crate::secret::Secret;

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
    let endpoint = Endpoint::new(&subscription, &profile, Timestamp::from_millis(0)).unwrap();
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
