//! Sending again from the command line: the real program, its output and its exit codes.

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, TestRouter};
use crate::terminal::{call, good, text};

async fn failed_orders(router: &TestRouter, receiver: &Receiver, count: usize) -> Vec<String> {
    let subscription =
        json!({"name": "Orders", "key": "orders", "url": receiver.url(), "events": ["order.*"]});
    router.subscribe(&subscription).await;
    let mut deliveries = Vec::new();
    for n in 0..count {
        let event = router.send(&json!({"type": "order.paid", "data": n})).await;
        router.until(&event, "failed").await;
        deliveries.push(
            router.delivery_of(&event).await["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    deliveries
}

/// GN-11.
#[tokio::test]
async fn what_failed_is_counted_recovered_and_shown() {
    let router = TestRouter::start().await;
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    failed_orders(&router, &receiver, 3).await;
    let preview = good(&call(&router, &["recover", "orders", "--preview"]).await);
    assert!(
        preview.contains("3 would be sent") && preview.contains("3  order.paid"),
        "{preview}"
    );
    assert_eq!(receiver.received().len(), 3, "nothing was sent");

    receiver.now_answer(Reply::Status(200));
    let done = call(&router, &["recover", "orders", "--type", "order.*", "--wait"]).await;
    let (said, noted) = (good(&done), text(&done.stderr));
    assert!(
        said.contains("finished: 3 of 3 (100 %)") && noted.contains("op_"),
        "{said}{noted}"
    );
    assert_eq!(receiver.wait_for(6).await.len(), 6);

    let list = good(&call(&router, &["operations", "list", "--json"]).await);
    let list: Value = serde_json::from_str(&list).unwrap();
    let id = list["data"][0]["id"].as_str().unwrap();
    let shown = good(&call(&router, &["operations", "show", id]).await);
    assert!(shown.contains("finished") && shown.contains("recover"), "{shown}");
    let over = call(&router, &["operations", "cancel", id]).await;
    assert_eq!(over.status.code(), Some(1));
    assert!(text(&over.stderr).contains("has ended"), "{}", text(&over.stderr));
}

#[tokio::test]
async fn a_replay_waits_for_time_and_can_be_cancelled() {
    let router = TestRouter::start().await;
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    failed_orders(&router, &receiver, 3).await;
    let begun = good(
        &call(
            &router,
            &["replay", "orders", "--status", "failed", "--rate", "1", "--json"],
        )
        .await,
    );
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let id = begun["id"].as_str().unwrap();
    assert_eq!(begun["asked"]["status"], "failed");
    let cancelled = good(&call(&router, &["operations", "cancel", id, "--json"]).await);
    let cancelled: Value = serde_json::from_str(&cancelled).unwrap();
    assert_eq!(cancelled["state"], "cancelled");
    let waited = call(&router, &["operations", "show", id, "--wait"]).await;
    assert_eq!(waited.status.code(), Some(1), "it did not finish");
}

#[tokio::test]
async fn one_event_and_several_deliveries() {
    let router = TestRouter::start().await;
    let receiver = Receiver::scripted([], Reply::Status(400)).await;
    let deliveries = failed_orders(&router, &receiver, 2).await;
    receiver.now_answer(Reply::Status(200));
    let [first, second] = [deliveries[0].as_str(), deliveries[1].as_str()];
    let resent = good(&call(&router, &["deliveries", "resend", first, second]).await);
    assert_eq!(resent.matches("queued").count(), 2, "{resent}");
    receiver.wait_for(4).await;
    let some = call(&router, &["deliveries", "resend", first, "dlv_0000000000001"]).await;
    assert_eq!(some.status.code(), Some(1));
    assert!(text(&some.stderr).contains("1 of 2"), "{}", text(&some.stderr));
    let event = router
        .get(&format!("/api/v1/deliveries/{first}"))
        .await
        .str("/event_id");
    let replayed = good(&call(&router, &["replay", "--event", &event]).await);
    assert!(
        replayed.starts_with("dlv_") && replayed.contains("pending"),
        "{replayed}"
    );
}
