//! A story against a golden text.

use serde_json::json;

use super::*;
use crate::cli::ColourWhen;
use crate::time::Timestamp;

fn answer(value: &Value) -> Answer {
    Answer::read(value.to_string().as_bytes()).unwrap()
}

fn story(matched: u32) -> Story {
    let event = json!({"id": "evt_1", "type": "order.paid", "source": "shop", "producer_id": "ord_17",
        "subject": null, "time": "2026-05-19T16:29:00.000Z", "received_at": "2026-05-19T16:29:58.000Z",
        "datacontenttype": "application/json", "extensions": {}, "matched": matched, "data_bytes": 9,
        "data": {"total": 5}});
    let matches = json!({"data": [
        {"subscription_id": "sub_2", "name": "Leads", "matched": false, "reason": "no pattern matches the type"},
        {"subscription_id": "sub_1", "name": "Orders", "matched": true, "reason": "`order.*` matches the type"},
    ], "next": null});
    let delivery = json!({"id": "dlv_1", "status": "failed", "reason": "the endpoint says 400",
        "subscription_id": "sub_1", "ended_at": "2026-05-19T16:29:59.000Z", "requests": [], "attempts": []});
    Story {
        event: answer(&event),
        matches: answer(&matches),
        deliveries: vec![answer(&delivery)],
        more: false,
    }
}

fn told(story: &Story) -> Vec<String> {
    let output = Output::new(false, ColourWhen::Never, true);
    let telling = Telling {
        output: &output,
        now: Timestamp::parse("2026-05-19T16:30:00Z").unwrap(),
        depth: Depth::Short,
    };
    story.lines(&telling)
}

#[test]
fn an_event_is_told_from_its_acceptance_to_its_deliveries() {
    let expected = [
        "evt_1  order.paid  from shop",
        "  accepted       2026-05-19T16:29:58.000Z (2 s ago)",
        "  happened       2026-05-19T16:29:00.000Z (1 min ago)",
        "  producer's id  ord_17",
        "      {",
        "        \"total\": 5",
        "      }",
        "  matched 1 subscription when it was accepted",
        "",
        "subscriptions, as they are configured now",
        "  matches  Orders (sub_1): `order.*` matches the type",
        "  no       Leads (sub_2): no pattern matches the type",
        "",
        "delivery dlv_1  failed  to Orders (sub_1)",
        "  failed  2026-05-19T16:29:59.000Z (1 s ago): the endpoint says 400",
        "      when the cause is mended: hookway deliveries resend dlv_1   (runs the plugins again)",
    ];
    assert_eq!(told(&story(1)), expected);
}

#[test]
fn what_matched_nothing_is_said_plainly() {
    let mut story = story(0);
    story.deliveries.clear();
    let lines = told(&story);
    assert!(
        lines.contains(&"  matched no subscription when it was accepted: nothing is delivered".to_owned()),
        "{lines:#?}"
    );
    story.matches = answer(&json!({"data": []}));
    let lines = told(&story);
    assert!(
        lines.last().unwrap().starts_with("there are no subscriptions;"),
        "{lines:#?}"
    );
}

#[test]
fn a_removed_subscription_and_further_deliveries_are_said() {
    let mut story = story(1);
    story.matches = answer(&json!({"data": []}));
    story.more = true;
    let lines = told(&story);
    assert!(
        lines.contains(&"delivery dlv_1  failed  to sub_1, which was removed".to_owned()),
        "{lines:#?}"
    );
    assert_eq!(
        lines.last().unwrap(),
        "there are more: hookway deliveries list --event evt_1"
    );
}

#[test]
fn the_document_is_the_event_with_what_belongs_to_it() {
    let document: Value = serde_json::from_str(&story(1).document()).unwrap();
    assert_eq!(document["id"], "evt_1");
    assert_eq!(document["data"]["total"], 5);
    assert_eq!(document["matches"][1]["name"], "Orders");
    assert_eq!(document["deliveries"][0]["id"], "dlv_1");
    assert_eq!(document["more_deliveries"], false);
}
