//! What a plugin makes reaches the receivers of each product so that their published code accepts it.

use bytes::Bytes;
use data_encoding::BASE64;
use hookway::json::stable;
use serde_json::json;

use super::subscription;
use crate::plugins::wrap;
use crate::support::{Receiver, TestRouter};

/// JSON that `JSON.stringify(JSON.parse(text))` changes, and some that looks as if.
const VARIANTS: [&str; 16] = [
    r#"{"a":"í"}"#,
    "{\n  \"a\": \"í\"\n}",
    r#"{"a":"\u00ed"}"#,
    "{\"a\":1}\n",
    r#"{"resolution_rate":1.0}"#,
    r#"{"confidence_score":0.95}"#,
    r#"{"n":1e21}"#,
    r#"{"n":1e+21}"#,
    r#"{"n":9007199254740993}"#,
    r#"{"n":-0.0}"#,
    r#"{"10":1,"2":2,"b":3,"a":4}"#,
    r#"{"a":1,"b":2,"a":3}"#,
    r#"{"a":"\/\u003c\u001B"}"#,
    "{\"a\":\"\u{2028}\u{1F600}\\u001b\\b\"}",
    r#"{"__proto__":{"x":1}}"#,
    r#"[1,{"a":[]},null,"x"]"#,
];

/// A plugin that gives the event's data as its body, byte for byte.
async fn with_echo() -> (TestRouter, Receiver) {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let text = wrap::component(include_str!("../../guests/echo.wat"));
    let component = wat::parse_str(text).expect("the guest is text");
    let wasm = [("content-type", "application/wasm")];
    router
        .call_raw("PUT", "/api/v1/plugins/echo", &wasm, component)
        .await
        .expect(201);
    (router, receiver)
}

/// What arrives where the plugin put out each of the variants, alone and inside the profile's envelope.
async fn outputs(profile: &str) -> Vec<(&'static str, Bytes, Bytes)> {
    let (router, receiver) = with_echo().await;
    for envelope in ["auto", "profile"] {
        let mut body = subscription(&receiver, profile);
        body["plugins"] = json!([{"name": "echo"}]);
        body["envelope"] = json!(envelope);
        body["url"] = json!(format!("{}/{envelope}", receiver.url()));
        router.subscribe(&body).await;
    }
    let mut found = Vec::new();
    for (n, variant) in (1..).zip(VARIANTS) {
        router
            .send(&json!({"type": "a.b", "data_base64": BASE64.encode(variant.as_bytes())}))
            .await;
        let received = receiver.wait_for(2 * n).await;
        router.settle().await;
        let at = |end: &str| {
            let mut newest = received[2 * (n - 1)..].iter();
            let one = newest.find(|one| one.path.ends_with(end)).expect("one each");
            assert_eq!(
                one.header("content-type"),
                "application/json",
                "{profile} {variant}"
            );
            assert_eq!(one.header("content-encoding"), "", "{profile} {variant}");
            one.body.clone()
        };
        found.push((variant, at("/auto"), at("/profile")));
    }
    found
}

/// WF-10, IB-11: whatever a plugin puts out, what is sent is what `JSON.stringify(JSON.parse(body))` gives,
/// and so what is signed is what the published code hashes.
#[tokio::test]
async fn what_plugins_put_out_is_stable_where_the_product_parses_it_first() {
    for profile in ["workflows", "inboundflow"] {
        for (variant, alone, enveloped) in outputs(profile).await {
            let expected = stable(&Bytes::from_static(variant.as_bytes())).expect("JSON");
            assert_eq!(alone, expected, "{profile}");
            assert_eq!(
                stable(&enveloped).expect("JSON"),
                enveloped,
                "{profile} {variant}"
            );
            let data = [b"\"data\":", &expected[..], b"}"].concat();
            assert!(enveloped.ends_with(&data), "{profile} {variant}: {enveloped:?}");
        }
    }
}

/// AE-05, WX-03: the other two verify the bytes, and get those of the plugin.
#[tokio::test]
async fn what_plugins_put_out_is_untouched_where_the_product_verifies_bytes() {
    for profile in ["aetherflow", "workflux"] {
        for (variant, alone, enveloped) in outputs(profile).await {
            assert_eq!(alone, variant.as_bytes(), "{profile}");
            let data = [b"\"data\":", variant.as_bytes(), b"}"].concat();
            assert!(enveloped.ends_with(&data), "{profile} {variant}: {enveloped:?}");
        }
    }
}
