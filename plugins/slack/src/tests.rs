//! The plugin as a whole: events in, messages out.

use crate::Slack;
use hookway_plugin::log::Level;
use hookway_plugin::prelude::*;
use hookway_plugin::testing::{self, describe, event, problems, run};

fn section(body: &Value, index: usize) -> &str {
    body["blocks"][index]["text"]["text"].as_str().unwrap_or_default()
}

#[test]
fn an_alert_without_configuration() {
    let data = json!({
        "title": "Disk full on db-1",
        "message": "94 % used <!channel> & counting",
        "severity": "critical",
        "status": "firing",
        "host": "db-1",
        "labels": {"team": "storage", "deep": {"er": 1}},
        "tags": ["disk", "db"],
        "runbook": "https://wiki.example/disk?a=1&b=2",
        "url": "https://mon.example/a/1",
        "none": null,
    });
    let run = run::<Slack>(json!({}), &event("alert.created", data));
    let body = run.json();
    assert_eq!(
        body["text"],
        "Disk full on db-1: 94 % used &lt;!channel&gt; &amp; counting"
    );
    assert_eq!(body["blocks"][0]["type"], "header");
    assert_eq!(section(&body, 0), "Disk full on db-1");
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["color"], "#b91c1c");
    assert_eq!(
        attachment["blocks"][0]["text"]["text"],
        "94 % used &lt;!channel&gt; &amp; counting"
    );
    let fields: Vec<_> = attachment["blocks"][1]["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .map(|field| field["text"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        fields,
        [
            "*status*\nfiring",
            "*severity*\ncritical",
            "*host*\ndb-1",
            "*labels.team*\nstorage",
            "*runbook*\n<https://wiki.example/disk?a=1&amp;b=2|https://wiki.example/disk?a=1&amp;b=2>",
            "*tags*\ndisk, db",
        ]
    );
    assert_eq!(
        attachment["blocks"][2]["text"]["text"],
        "<https://mon.example/a/1|Open>"
    );
    assert_eq!(
        attachment["blocks"][3]["elements"][0]["text"],
        "alert.created  •  test  •  2026-01-02T03:04:05.000Z"
    );
}

#[test]
fn nothing_from_an_event_pings() {
    let evil = "<!channel> <@U123> <https://evil.example|click>";
    let data = json!({
        "title": evil, "message": evil, evil: evil, "url": evil, "severity": evil,
        "list": [evil], "object": {evil: evil},
    });
    let config = json!({
        "title": "{{data.title}}", "fields": [{"title": "{{data.title}}", "value": "{{data}}"}],
        "link": {"url": "https://a.b/{{data.title}}", "label": "{{data.title}}"},
    });
    for config in [json!({}), config] {
        let mut event = event(evil, data.clone());
        event.subject = Some(evil.into());
        event.source = evil.into();
        let body = run::<Slack>(config, &event).json().to_string();
        for bad in ["<!channel", "<@U", "<https://evil"] {
            assert!(!body.contains(bad), "{bad} in {body}");
        }
    }
}

#[test]
fn a_push_without_configuration() {
    let commit = |number: usize| {
        json!({
            "id": format!("{number}234567890abcdef"), "message": format!("Fix <{number}>\n\nLong story"),
            "url": format!("https://github.com/acme/shop/commit/{number}"),
            "author": {"name": "Ada L.", "username": "ada"},
        })
    };
    let mut data = json!({
        "ref": "refs/heads/main", "compare": "https://github.com/acme/shop/compare/a...b",
        "repository": {"full_name": "acme/shop", "html_url": "https://github.com/acme/shop"},
        "pusher": {"name": "ada"}, "forced": false, "created": false, "deleted": false,
        "commits": [commit(1), commit(2)],
    });
    let body = run::<Slack>(json!({}), &event("github.push", data.clone())).json();
    assert_eq!(section(&body, 0), "[acme/shop] ada pushed 2 commits to main");
    assert_eq!(
        section(&body, 1),
        "<https://github.com/acme/shop/commit/1|`1234567`> Fix &lt;1&gt; — ada\n\
         <https://github.com/acme/shop/commit/2|`2234567`> Fix &lt;2&gt; — ada"
    );
    assert_eq!(
        body["blocks"][2]["fields"][0]["text"],
        "*Repository*\n<https://github.com/acme/shop|acme/shop>"
    );
    assert_eq!(
        section(&body, 3),
        "<https://github.com/acme/shop/compare/a...b|Compare changes>"
    );
    assert_eq!(
        body["text"],
        "[acme/shop] ada pushed 2 commits to main: Fix &lt;1&gt;; Fix &lt;2&gt;"
    );

    data["commits"] = (0..12).map(commit).collect();
    data["forced"] = json!(true);
    let body = run::<Slack>(json!({}), &event("push", data.clone())).json();
    assert_eq!(
        section(&body, 0),
        "[acme/shop] ada force-pushed 12 commits to main"
    );
    assert!(section(&body, 1).ends_with("\n… and 2 more"));

    data["commits"] = json!([]);
    data["deleted"] = json!(true);
    data["ref"] = json!("refs/tags/v1");
    let body = run::<Slack>(json!({}), &event("push", data)).json();
    assert_eq!(section(&body, 0), "[acme/shop] ada deleted tag v1");
}

#[test]
fn data_of_every_kind() {
    for (content_type, data, expected) in [
        ("text/plain", &b"hello <b>"[..], "hello &lt;b&gt;"),
        ("application/json", b"{broken", "{broken"),
        ("application/json", b"\"just text\"", "just text"),
        (
            "application/json",
            b"[1, {\"a\": \"```\"}]",
            "```[1,{\"a\":\"'''\"}]```",
        ),
        ("image/png", b"\xff\x00", "2 bytes of `image/png`"),
    ] {
        let mut event = event("thing.happened", Value::Null);
        event.content_type = content_type.into();
        event.data = data.to_vec();
        let body = run::<Slack>(json!({}), &event).json();
        assert_eq!(section(&body, 0), "thing.happened");
        assert_eq!(section(&body, 1), expected);
    }
    let body = run::<Slack>(json!({}), &event("thing.happened", Value::Null)).json();
    assert_eq!(body["text"], "thing.happened");
    let wrapped = json!({"type": "x", "data": {"name": "Ada", "plan": "pro"}});
    let body = run::<Slack>(json!({}), &event("lead.created", wrapped)).json();
    assert_eq!(body["text"], "Ada");
    assert_eq!(body["blocks"][1]["fields"][0]["text"], "*plan*\npro");
}

#[test]
fn templates_replace_what_is_found() {
    let config = json!({
        "title": "{{data.name}} <{{source}}>",
        "text": "*{{data.status}}* {{data.gone}}<!here>",
        "fields": [{"title": "Plan", "value": "{{data.plan}}"}, {"title": "No", "value": "{{data.no}}"}],
        "link": {"url": "https://crm.example/{{data.id}}?x=|", "label": "Lead {{data.id}}"},
        "color": false,
    });
    let data = json!({"name": "A&B", "status": "new", "plan": "pro", "id": 7, "severity": "high"});
    let body = run::<Slack>(config, &event("lead.created", data.clone())).json();
    assert_eq!(section(&body, 0), "A&amp;B <test>");
    assert_eq!(section(&body, 1), "*new* <!here>");
    assert_eq!(
        body["blocks"][2]["fields"],
        json!([
            {"type": "mrkdwn", "text": "*Plan*\npro", "verbatim": true}
        ])
    );
    assert_eq!(section(&body, 3), "<https://crm.example/7?x=%7C|Lead 7>");
    assert_eq!(body.get("attachments"), None);

    let config = json!({"title": "{{data.gone}}", "link": {"url": "ftp://{{data.id}}"}});
    let run = run::<Slack>(config, &event("lead.created", data));
    assert_eq!(run.json()["text"], "A&amp;B");
    run.assert_logged(Level::Warn, "no http address");
}

#[test]
fn filters() {
    let with = |severity: Value| json!({"title": "x", "severity": severity});
    let least = json!({"min_severity": "high"});
    for (config, event_type, data, expected) in [
        (
            json!({"types": ["alert.*"]}),
            "alert.created",
            with("low".into()),
            None,
        ),
        (
            json!({"types": ["alert.*"]}),
            "lead.created",
            with("low".into()),
            Some("the type lead.created is not among `types`"),
        ),
        (least.clone(), "a", with("CRITICAL".into()), None),
        (least.clone(), "a", with("high".into()), None),
        (
            least.clone(),
            "a",
            with("warn".into()),
            Some("the severity warning is below `min_severity` high"),
        ),
        (
            least.clone(),
            "a",
            json!({"title": "x"}),
            Some("the data has no severity at /severity or /data/severity"),
        ),
        (least.clone(), "a", json!({"data": {"severity": "error"}}), None),
        (least.clone(), "a", with("purple".into()), None),
        (
            json!({"min_severity": "high", "severity": "/labels/level"}),
            "a",
            json!({"labels": {"level": "info"}}),
            Some("the severity info is below `min_severity` high"),
        ),
    ] {
        let run = run::<Slack>(config, &event(event_type, data));
        match expected {
            None => assert_eq!(run.output().requests.len(), 1),
            Some(reason) => assert_eq!(run.filtered(), reason),
        }
    }
}

#[test]
fn faults_in_the_configuration_have_places() {
    let config = json!({
        "title": "{{a", "fields": [{"title": "x", "value": "{{}}"}], "link": {"url": "{{b c}}"},
        "types": ["ok.*", "a.*.b"], "severity": "labels.level",
    });
    let found: Vec<_> = problems::<Slack>(config)
        .into_iter()
        .map(|problem| problem.pointer)
        .collect();
    assert_eq!(
        found,
        ["/title", "/fields/0/value", "/link/url", "/types/1", "/severity"]
    );
    let unknown = problems::<Slack>(json!({"chanel": "#a"}));
    assert!(
        unknown[0].detail.contains("unknown field `chanel`"),
        "{}",
        unknown[0].detail
    );
    assert_eq!(problems::<Slack>(Value::Null), []);
}

#[test]
fn it_says_what_it_is() {
    let manifest = describe::<Slack>();
    assert_eq!(manifest.package.name, "slack");
    assert_eq!(manifest.wants_headers, ["x-github-event"]);
    let schema: Value = testing::schema::<Slack>();
    assert_eq!(schema["additionalProperties"], false);
    for name in [
        "title",
        "text",
        "fields",
        "link",
        "types",
        "min_severity",
        "severity",
        "color",
    ] {
        assert!(schema["properties"][name]["description"].is_string(), "{name}");
    }
}

#[test]
fn a_web_form_is_as_good_as_an_object() {
    let mut event = event("sms.received", Value::Null);
    event.content_type = "application/x-www-form-urlencoded".to_owned();
    event.data = b"title=Disk+full&severity=critical&From=%2B1555".to_vec();
    let body = run::<Slack>(json!({"min_severity": "high"}), &event).json();
    assert_eq!(section(&body, 0), "Disk full");
    assert!(body.to_string().contains("+1555"), "{body}");
}
