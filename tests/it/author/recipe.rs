//! A recipe of the cookbook as a reader copies it: a crate, a component, a subscription.

use serde_json::{Value, json};

use super::program::{Author, target};
use crate::support::{Receiver, TestRouter};

const COOKBOOK: &str = include_str!("../../../docs/cookbook.md");

/// The code of a recipe.
fn recipe(title: &str) -> &'static str {
    let section = COOKBOOK
        .split("\n## ")
        .find_map(|section| section.strip_prefix(title))
        .expect("the recipe is there");
    let code = section
        .split("```rust,test_harness\n")
        .nth(1)
        .expect("it has code");
    code.split("```").next().expect("it ends")
}

/// WF-14: a critical `alert.created` also raises `alert.critical`.
#[tokio::test]
async fn a_critical_alert_is_raised_once_as_an_event_of_its_own() {
    let router = TestRouter::with(|config| config.plugins.transform_ms = 5_000).await;
    let (created, critical, both) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    let author = Author::new(Some(&router));
    let target = target();
    let target = target.to_str().expect("a path");
    author.make("escalate", "transform").await;
    let code = recipe("Raise a critical alert");
    std::fs::write(author.path("escalate/src/lib.rs"), code).expect("it can be written");
    author
        .run(&["plugin", "push", "escalate", "escalate", "--target-dir", target])
        .await;
    let subscription = |name: &str, receiver: &Receiver, events: &[&str]| json!({"name": name, "url": receiver.url(), "events": events});
    let unused = Receiver::start().await;
    let mut escalate = subscription("Escalate", &unused, &["alert.created"]);
    escalate["plugins"] = json!([{"name": "escalate"}]);
    router.subscribe(&escalate).await;
    router
        .subscribe(&subscription("created", &created, &["alert.created"]))
        .await;
    router
        .subscribe(&subscription("critical", &critical, &["alert.critical"]))
        .await;
    router.subscribe(&subscription("both", &both, &["alert.*"])).await;

    let alert = |id: &str, severity: &str| {
        json!({"type": "alert.created", "subject": id, "data": {
            "id": id, "title": "Inventario cr\u{ed}tico: Materia Prima A", "severity": severity, "status": "active",
            "projectId": "proj_def456", "area": "Inventario", "createdAt": "2026-05-19T16:30:00.000Z",
        }})
    };
    let grave = alert("alert_xyz789", "critical");
    router.send(&grave).await;
    let low = router.send(&alert("alert_abc123", "low")).await;
    both.wait_for(3).await;
    created.wait_for(2).await;
    critical.wait_for(1).await;
    router.settle().await;
    router.settle().await;

    let raised: Vec<Value> = critical
        .received()
        .iter()
        .map(|received| received.json())
        .collect();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(
        (&raised[0]["type"], &raised[0]["data"]),
        (&json!("alert.critical"), &grave["data"])
    );
    assert_eq!(created.received().len(), 2);
    let mut types: Vec<String> = both
        .received()
        .iter()
        .map(|r| r.json()["type"].to_string())
        .collect();
    types.sort();
    assert_eq!(
        types,
        [r#""alert.created""#, r#""alert.created""#, r#""alert.critical""#]
    );
    assert_eq!(unused.received().len(), 0);
    let events = router.get("/api/v1/events?type=alert.critical").await.expect(200);
    assert_eq!(events.body["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(events.str("/data/0/subject"), "alert_xyz789");
    let of_low = router.deliveries_of(&low).await;
    let filtered = of_low.iter().find(|delivery| delivery["status"] == "filtered");
    assert_eq!(filtered.expect("by the plugin")["reason"], "its severity is low");
}
