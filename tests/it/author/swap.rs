//! A plugin that is swapped again and again while events come in.

use serde_json::json;

use crate::plugins::wrap;
use crate::support::{Receiver, TestRouter};

/// A component that writes its version into the second member of the data.
fn version(digit: char) -> Vec<u8> {
    let guest = format!(
        "(func $transform (param $event i32) (result i32)
            (i32.store8 (i32.add (i32.load offset=68 (local.get $event)) (i32.const 5)) (i32.const {}))
            (call $deliver (i32.load offset=68 (local.get $event)) (i32.load offset=72 (local.get $event))))",
        u32::from(digit)
    );
    wat::parse_str(wrap::component(&guest)).expect("the guest is text")
}

async fn put(router: &TestRouter, component: Vec<u8>) {
    let wasm = [("content-type", "application/wasm")];
    let answer = router
        .call_raw("PUT", "/api/v1/plugins/swapped", &wasm, component)
        .await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

/// The numbers of the events that came, with the versions that made them.
fn numbers(received: &[crate::support::receiver::Received]) -> Vec<(u64, u64)> {
    let mut numbers: Vec<(u64, u64)> = received
        .iter()
        .map(|request| {
            let body = request.json();
            (
                body["n"].as_u64().expect("a number"),
                body["v"].as_u64().expect("a version"),
            )
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn swapping_a_plugin_under_load_loses_and_doubles_nothing() {
    const EVENTS: u64 = 400;
    const SWAPS: u64 = 40;
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    put(&router, version('0')).await;
    router
        .subscribe(&json!({"name": "s", "url": receiver.url(), "events": ["*"],
            "plugins": [{"name": "swapped", "config": {}}]}))
        .await;
    let send = async {
        for n in 0..EVENTS {
            // As text, because the plugin counts bytes.
            let event = format!(r#"{{"type":"a","data":{{"v":0,"n":{n}}}}}"#);
            let headers = [("content-type", "application/json")];
            let answer = router.call_raw("POST", "/api/v1/events", &headers, event).await;
            answer.expect(202);
        }
    };
    let swap = async {
        for n in 1..=SWAPS {
            put(&router, version(if n % 2 == 0 { '0' } else { '1' })).await;
            // Some events by each version, however fast either side is.
            let due = usize::try_from((EVENTS - SWAPS) * n / (2 * SWAPS)).expect("small");
            receiver.wait_for(due).await;
        }
    };
    tokio::join!(send, swap);
    let received = receiver.wait_for(usize::try_from(EVENTS).expect("small")).await;
    router.settle().await;
    assert_eq!(receiver.received().len(), received.len(), "nothing comes twice");
    let numbers = numbers(&received);
    let events: Vec<u64> = numbers.iter().map(|(n, _)| *n).collect();
    assert_eq!(events, (0..EVENTS).collect::<Vec<_>>(), "each event came once");
    for version in [0, 1] {
        assert!(
            numbers.iter().any(|(_, v)| *v == version),
            "version {version} served"
        );
    }
    let mut ids: Vec<&str> = received
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), received.len(), "each request has its own id");
}
