//! `hookway dev`: real builds, a router that goes on, nothing lost.

use serde_json::{Value, json};

use super::program::{Author, Dev, edit, target};
use crate::support::Receiver;
use crate::support::client::Client;

/// A call of the router that `hookway dev` runs.
async fn call(base: &str, path: &str, body: &Value) -> Value {
    let client = Client::at(base.to_owned());
    client.post(&format!("/api/v1/{path}"), body).await.body
}

#[tokio::test]
async fn dev_swaps_what_it_builds_and_keeps_what_serves() {
    let receiver = Receiver::start().await;
    let author = Author::new(None);
    author.make("devleads", "transform").await;
    let target = target();
    let target = target.to_str().expect("a path");
    let mut dev = Dev::start(
        &author,
        &[
            "dev",
            "--plugin",
            "devleads",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            "data",
            "--target-dir",
            target,
        ],
    )
    .await;
    let ready = dev.until("router ").await;
    let base = ready
        .split([' ', ';'])
        .find(|word| word.starts_with("http"))
        .expect("an address");
    dev.until("serves").await;
    let subscription = json!({"name": "s", "url": receiver.url(), "events": ["*"],
        "plugins": [{"name": "devleads", "config": {"greeting": "Hi"}}]});
    let made = call(base, "subscriptions", &subscription).await;
    assert!(made["id"].is_string(), "{made}");
    let send = async |n: u64| {
        let event = json!({"type": "lead.created", "data": {"name": format!("n{n}")}});
        let sent = call(base, "events", &event).await;
        assert_eq!(sent["matched"], 1, "{sent}");
    };
    send(0).await;
    assert_eq!(receiver.wait_for(1).await[0].json(), json!({"text": "Hi: n0"}));

    // A new version while events come in.
    let code = author.path("devleads/src/lib.rs");
    let mut sent = 1;
    edit(&code, "\"{}: {}\"", "\"{} + {}\"");
    {
        let swapped = dev.until("serves");
        tokio::pin!(swapped);
        loop {
            // One at a time and each to its end: the build needs the machine, too.
            send(sent).await;
            sent += 1;
            receiver.wait_for(usize::try_from(sent).expect("small")).await;
            tokio::select! {
                biased;
                _ = &mut swapped => break,
                () = std::future::ready(()) => {}
            }
        }
    }
    // The last event once more, by both versions.
    dev.until("+         \"text\": \"Hi + n").await;
    send(sent).await;
    sent += 1;

    // Code that does not compile, and a version that does not take the configuration in use.
    edit(&code, "deliver(Request", "delver(Request");
    dev.until("does not build").await;
    send(sent).await;
    sent += 1;
    edit(&code, "delver(Request", "deliver(Request");
    edit(&code, "    greeting: String,", "    greeting: u32,");
    edit(&code, "greeting.trim().is_empty()", "greeting == 0");
    edit(&code, "\"New lead\".to_owned()", "1");
    edit(&code, "fn greeting() -> String", "fn greeting() -> u32");
    edit(&code, "\"Say hello to\"", "2");
    dev.until("does not take it").await;
    send(sent).await;
    sent += 1;

    let received = receiver.wait_for(usize::try_from(sent).expect("small")).await;
    let mut names: Vec<(u64, String)> = received
        .iter()
        .map(|request| {
            let text = request.json()["text"].as_str().expect("text").to_owned();
            let (start, number) = text.rsplit_once('n').expect("a name");
            (number.parse().expect("a number"), start.to_owned())
        })
        .collect();
    names.sort();
    let numbers: Vec<u64> = names.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "each event came once");
    // Whatever is broken later, the last version that was whole serves.
    assert!(
        names.iter().rev().take(3).all(|(_, text)| text == "Hi + "),
        "{names:?}"
    );
}
