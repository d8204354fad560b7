//! What a plugin makes and calls JSON is put between other JSON: the body into the profile's envelope, an
//! emitted event into the envelopes of whoever it is delivered to. Were it not looked at, `1,"type":"forged"`
//! would be a number and one member more.
//!
//! The control of each: the same plugin with a whole value, which arrives in its envelope.

use serde_json::{Value, json};

use super::{component, ran_for};
use crate::daemon::Daemon;
use crate::support::Receiver;

/// Writes a member of its own where it is not looked at.
const FORGED: &str = "1,\"type\":\"forged\"";
/// A whole value.
const WHOLE: &str = "{\"whole\":true}";

/// Delivers this as its body.
fn delivers(body: &str) -> Vec<u8> {
    let (quoted, length) = (quoted(body), body.len());
    component(&format!(
        "(data (i32.const 4096) \"{quoted}\") (func $transform (param i32) (result i32)
           (call $deliver (i32.const 4096) (i32.const {length})))"
    ))
}

/// Emits an event `a.derived` with this as its data.
fn emits(data: &str) -> Vec<u8> {
    let (quoted, length) = (quoted(data), data.len());
    component(&format!(
        "(data (i32.const 2048) \"a.derivedapplication/json\") (data (i32.const 4096) \"{quoted}\")
         (func $transform (param i32) (result i32)
           (i32.store (i32.const 272) (i32.const 512)) (i32.store (i32.const 276) (i32.const 1))
           (i32.store (i32.const 512) (i32.const 2048)) (i32.store (i32.const 516) (i32.const 9))
           (i32.store (i32.const 532) (i32.const 2057)) (i32.store (i32.const 536) (i32.const 16))
           (i32.store (i32.const 548) (i32.const 4096)) (i32.store (i32.const 552) (i32.const {length}))
           (i32.const 256))"
    ))
}

fn quoted(text: &str) -> String {
    text.bytes().map(|byte| format!("\\{byte:02x}")).collect()
}

/// What the receiver gets of an event that this plugin saw; and its own record.
async fn received(plugin: Vec<u8>, through: &str) -> (Vec<Value>, Value) {
    let router = Daemon::start(&["plugins.transform_ms=5s", "plugins.configure_ms=5s"]);
    let (receiver, nobody) = (Receiver::start().await, Receiver::start().await);
    router.push("forger", plugin).await.expect(201);
    let plugins = json!([{"name": "forger", "config": {}}]);
    let wrapped = json!({"name": "w", "url": receiver.url(), "events": ["a"], "plugins": plugins,
        "profile": "cloudevents-structured", "envelope": "profile"});
    let emitting = json!({"name": "e", "url": nobody.url(), "events": ["a"], "plugins": plugins});
    let derived = json!({"name": "d", "url": receiver.url(), "events": ["a.derived"],
        "profile": "cloudevents-structured"});
    let subscription = match through {
        "envelope" => router.subscribe(&wrapped).await,
        _ => {
            router.subscribe(&derived).await;
            router.subscribe(&emitting).await
        }
    };
    let event = router.send(&json!({"type": "a", "data": 1})).await;
    let told = |delivery: &Value| {
        let is_fault = delivery["plugin_runs"][0]["outcome"] == "fault";
        ran_for(delivery, &event) && (is_fault || delivery["status"] != "pending")
    };
    let delivery = router.delivery(&subscription, told).await;
    if matches!(delivery["status"].as_str(), Some("delivered" | "filtered")) {
        receiver.wait_for(1).await;
    }
    let bodies = receiver.received();
    let bodies = bodies
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap());
    (bodies.collect(), delivery)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plugin_writes_into_an_envelope() {
    for (through, forging, whole) in [
        ("envelope", delivers(FORGED), delivers(WHOLE)),
        ("an event", emits(FORGED), emits(WHOLE)),
    ] {
        let (bodies, delivery) = received(forging, through).await;
        assert!(bodies.is_empty(), "{through}: {bodies:?}");
        let (run, reason) = (
            &delivery["plugin_runs"][0],
            delivery["reason"].as_str().unwrap_or_default(),
        );
        let told = match through {
            "envelope" => delivery["status"] == "failed" && reason.contains("JSON"),
            _ => run["fault"] == "invalid_output" && run["reason"].as_str().unwrap().contains("JSON"),
        };
        assert!(told && delivery["attempts"] == json!([]), "{through}: {delivery}");
        let (bodies, delivery) = received(whole, through).await;
        assert_eq!(bodies.len(), 1, "{through}: {delivery}");
        assert_eq!(bodies[0]["data"], json!({"whole": true}), "{through}");
    }
    println!("guests: 2 ways into an envelope, 0 forged; control: whole values arrive in theirs");
}
