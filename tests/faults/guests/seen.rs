//! What a plugin can know, and so can log, say in a panic or send away: the event, the name of its
//! subscription and its own configuration. A guest gives away its whole memory, after it was configured and
//! while it has an event, and no secret of the router, the endpoint or the sender is in it.
//!
//! The control: its configuration and the event are in it, so the search would find the others. That a plugin
//! repeats its own configuration where people read it cannot be kept from it by these means: the host does
//! not know which parts of a configuration are secret.

use serde_json::json;

use super::component;
use crate::daemon::Daemon;
use crate::support::Receiver;
use crate::support::router::ADMIN_KEY;

/// Keeps its configuration, and delivers all its memory from there on.
const TELLS_ALL: &str = "(func $configure (param $at i32) (param $length i32) (result i32)
      (memory.copy (i32.const 8192) (local.get $at) (local.get $length)) (i32.const 128))
    (func $transform (param i32) (result i32) (call $deliver (i32.const 8192) (i32.const 122880)))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_reach_of_a_plugin() {
    let router = Daemon::start(&["plugins.transform_ms=5s", "plugins.configure_ms=5s"]);
    let receiver = Receiver::start().await;
    router.push("tells", component(TELLS_ALL)).await.expect(201);
    // 32 bytes, in base64.
    let signing = "Y2FuYXJ5LXNpZ25pbmctc2VjcmV0LTAxMjM0NTY3ODk=";
    let body = json!({
        "name": "s", "url": format!("{}?token=canary-of-the-url", receiver.url()), "events": ["a"],
        "headers": {"x-token": "canary-of-a-header"}, "secret": format!("whsec_{signing}"),
        "plugins": [{"name": "tells", "config": {"token": "canary-of-the-configuration"}}],
    });
    router.subscribe(&body).await;
    router
        .send(&json!({"type": "a", "data": {"text": "canary-of-the-event"}}))
        .await;
    receiver.wait_for(1).await;
    let request = receiver.received().remove(0);
    let there = |text: &str| {
        request
            .body
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    for known in [
        "canary-of-the-configuration",
        "canary-of-the-event",
        "sub_",
        "dlv_",
    ] {
        assert!(there(known), "the search does not find {known}, which is there");
    }
    let secrets = [
        "canary-of-the-url",
        "canary-of-a-header",
        signing,
        "canary-signing-secret",
        ADMIN_KEY,
        "whsec_",
        "x-token",
        "authorization",
    ];
    for secret in secrets {
        assert!(!there(secret), "a plugin can see {secret}");
    }
    println!(
        "guests: {} bytes of a guest's memory, 0 of {} secrets; control: its configuration and the event are found",
        request.body.len(),
        secrets.len()
    );
}
