//! What the built-in profiles do, compared with tables that people can read: the table of statuses, the
//! times of attempts, published signatures, and the bytes of the four products' requests.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::*;
use crate::delivery::{AttemptResult, ErrorKind};
use crate::event::Event;
use crate::id::{DeliveryId, Id};
use crate::profile::{About, OPERATIONAL_TYPES, Transport, USER_AGENT};
use crate::retry::{AutoDisable, Counts, Decision};
use crate::secret::Secret;
use crate::signature::{Keys, Outgoing};
use crate::time::Timestamp;
use crate::verdict::{FailReason, Verdict};

const STATUSES: &str = include_str!("../../../../tests/vectors/profile-statuses.txt");
const VECTORS: &str = include_str!("../../../../tests/vectors/signature-vectors.json");
const NOW: Timestamp = Timestamp::from_millis(1_709_064_000_000);

fn profile(name: &str) -> &'static Profile {
    built_in(name).unwrap_or_else(|| panic!("no profile {name}"))
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> AttemptResult {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    AttemptResult::Response {
        status,
        headers: headers.iter().map(pair).collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        truncated: false,
    }
}

/// A case of the table: a status, perhaps with a `Retry-After`, or a reason why there is no answer.
fn case(text: &str) -> AttemptResult {
    let kind = |word: &str| -> Option<ErrorKind> { serde_json::from_value(word.into()).ok() };
    match (kind(text), text.split_once('+')) {
        (Some(kind), _) => AttemptResult::Error {
            kind,
            detail: String::new(),
        },
        (None, Some((status, "7s"))) => answer(status.parse().unwrap(), &[("Retry-After", "7")], ""),
        (None, _) => answer(text.parse().unwrap(), &[], ""),
    }
}

/// The verdict as the table writes it.
fn cell(profile: &Profile, result: &AttemptResult) -> String {
    let verdict = profile.classes.verdict(result, true, NOW);
    let wait = match &verdict {
        Verdict::Retry { after, .. } | Verdict::Throttle { after, .. } => *after,
        Verdict::Hold { probe_after, .. } => *probe_after,
        Verdict::Delivered | Verdict::Fail { .. } | Verdict::Disable { .. } => None,
    };
    let wait = wait.map(|wait| format!("@{}", wait.as_secs_f64()));
    format!("{}{}", verdict.as_str(), wait.unwrap_or_default())
}

/// The lines of a part of the file, in words.
fn lines(part: &str) -> impl Iterator<Item = Vec<&str>> {
    part.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect())
}

fn parts() -> (&'static str, &'static str) {
    STATUSES.split_once("# What the body says").unwrap()
}

/// WF-16, AE-13, WX-06, WX-07, WX-08, IB-17.
#[test]
fn every_answer_means_what_the_table_says() {
    let mut columns: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut head: Vec<&str> = Vec::new();
    let (mut rows, mut compared) = (0, 0);
    for words in lines(parts().0) {
        if let Some(column) = words[0].strip_suffix(':') {
            columns.insert(column, words[1..].to_vec());
            continue;
        }
        if words[0] == "case" {
            head = words[1..].to_vec();
            continue;
        }
        rows += 1;
        assert_eq!(words.len(), head.len() + 1, "{words:?}");
        for (column, expected) in head.iter().zip(&words[1..]) {
            for name in columns.get(column).unwrap_or(&vec![column]) {
                let got = cell(profile(name), &case(words[0]));
                assert_eq!(got, *expected, "{name}: {}", words[0]);
                compared += 1;
            }
        }
    }
    assert_eq!(rows, 36);
    assert_eq!(
        compared,
        rows * built_ins().len(),
        "every profile is in the table, once"
    );
}

#[test]
fn bodies_mean_what_the_table_says() {
    let mut seen = 0;
    for line in parts().1.lines().skip(1).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        let [name, status, expected] = words[..] else {
            panic!("{line}")
        };
        let body = line.split_once(expected).unwrap().1.trim();
        let result = answer(status.parse().unwrap(), &[], body);
        assert_eq!(cell(profile(name), &result), expected, "{line}");
        seen += 1;
    }
    assert_eq!(seen, 37);
    // What is asked of a body is asked of a whole one.
    let AttemptResult::Response {
        status,
        headers,
        body,
        ..
    } = answer(200, &[], "ok")
    else {
        panic!()
    };
    let cut = AttemptResult::Response {
        status,
        headers,
        body,
        truncated: true,
    };
    assert_eq!(cell(profile("slack"), &cut), "fail");
}

/// Seconds from the first attempt to each, where each fails and takes `lasts` seconds.
fn attempts(name: &str, lasts: u64) -> Vec<u64> {
    let schedule = &profile(name).schedule;
    let lasts = Duration::from_secs(lasts);
    let (mut at, mut tries, mut seconds) = (NOW, 0, Vec::new());
    loop {
        seconds.push(at.since(NOW).as_secs());
        let reason = FailReason::of_status(503);
        let verdict = Verdict::Retry { after: None, reason };
        // Jitter would show, whatever chance says.
        let random = if tries % 2 == 0 { 0.0 } else { 0.999 };
        match schedule.decide(Counts { tries, throttles: 0 }, verdict, at.plus(lasts), random) {
            Decision::Again {
                due_at,
                tries: counted,
                ..
            } => (at, tries) = (due_at, counted),
            Decision::Failed {
                reason: FailReason::Exhausted { tries, .. },
            } => {
                assert_eq!(usize::from(tries), seconds.len());
                return seconds;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// WF-17, WF-19, WX-05, AE-11, IB-17.
#[test]
fn attempts_are_made_when_the_products_say() {
    assert_eq!(attempts("workflows", 0), [0, 60, 360, 1_260, 3_060]);
    assert_eq!(attempts("workflux", 0), [0, 60, 360, 1_260, 4_860]);
    assert_eq!(attempts("aetherflow", 0), [0, 30, 330, 2_130]);
    assert_eq!(attempts("inboundflow", 0), [0]);
    assert_eq!(attempts("inboundflow-retries", 0), [0, 60, 360, 1_260, 3_060]);
    // A wait counts from the end of the attempt before, here a time-out.
    assert_eq!(attempts("workflows", 10), [0, 70, 380, 1_290, 3_100]);
}

/// WF-04, AE-01, AE-12, IB-05, IB-13, IB-15, WF-16, WX-09, WX-12, WX-15.
#[test]
fn the_four_products_differ_where_they_say() {
    for name in [
        "workflows",
        "aetherflow",
        "inboundflow",
        "inboundflow-retries",
        "workflux",
    ] {
        let profile = profile(name);
        assert_eq!(profile.timeout, Duration::from_secs(10), "{name}");
        assert_eq!(profile.transport, Transport::HttpsOnly, "{name}");
        assert_eq!(profile.schedule.jitter(), 0.0, "{name}");
        let signing = profile.signature.as_ref().unwrap();
        assert_eq!(signing.keys(), Keys::Newest, "{name}");
        assert_eq!(signing.also().count(), 1, "{name}");
        // IB-06, WX-11, AE-02.
        assert_eq!(profile.needs_secret(), !name.starts_with("inbound"), "{name}");
    }
    assert_eq!(profile("inboundflow").user_agent, "InboundFlow-Webhook/1.0");
    let rule = |name: &str| profile(name).auto_disable.as_ref().map(AutoDisable::reason);
    assert_eq!(rule("workflows"), None);
    assert_eq!(rule("aetherflow"), None);
    let ten = profile("inboundflow").auto_disable.unwrap();
    assert!(!ten.disables(9, 9) && ten.disables(10, 0));
    let exhausted = profile("workflux").auto_disable.unwrap();
    assert!(!exhausted.disables(9, 0) && exhausted.disables(1, 1));
}

/// WF-15.
#[test]
fn workflows_has_names_for_own_events() {
    let names = &profile("workflows").operational_events;
    let expected = [
        ("hookway.key.created", "api_key.created"),
        ("hookway.key.deleted", "api_key.deleted"),
        ("hookway.subscription.created", "webhook.created"),
        ("hookway.subscription.deleted", "webhook.deleted"),
        ("hookway.subscription.disabled", "webhook.disabled"),
        ("hookway.subscription.enabled", "webhook.enabled"),
    ];
    assert_eq!(names.iter().collect::<Vec<_>>(), expected);
    for own in OPERATIONAL_TYPES {
        let shown = names.shown_type(own);
        assert_eq!(names.own_type_of(shown).unwrap_or(own), own);
    }
}

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    scheme: String,
    secret: String,
    body_utf8: String,
    headers: BTreeMap<String, String>,
}

fn signed(name: &str, secrets: &[&str], seconds: i64, body: &str) -> BTreeMap<String, String> {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
    let signer = profile(name)
        .signature
        .as_ref()
        .unwrap()
        .signer(&secrets)
        .unwrap();
    let request = Outgoing {
        id: "req_1",
        timestamp: Timestamp::from_millis(seconds * 1_000 + 999),
        url: "https://example.com/",
        body: &[body.as_bytes()],
    };
    signer.sign(&request).into_iter().collect()
}

/// WF-06, AE-07, AE-23, IB-10, IB-12, WX-03, GN-14, GN-16.
#[test]
fn published_signatures_are_made() {
    let file: File = serde_json::from_str(VECTORS).unwrap();
    let mut seen = 0;
    for vector in &file.vectors {
        let (name, seconds) = match vector.scheme.as_str() {
            "workflows" | "aetherflow" | "workflux" | "github" => (vector.scheme.as_str(), 0),
            "inboundflow" => ("inboundflow", 1_709_064_000),
            "note-generic" => ("generic-sha512", 1_700_000_000),
            "stripe" => ("stripe", 1_700_000_000),
            _ => continue,
        };
        let old_too = [vector.secret.as_str(), "another secret"];
        let mut headers = signed(name, &old_too[..1], seconds, &vector.body_utf8);
        headers.retain(|name, _| !name.starts_with("webhook-"));
        assert_eq!(headers, vector.headers, "{name}");
        seen += 1;
        // During a rotation the header stays the newest secret's alone, but for Stripe's.
        let mut rotating = signed(name, &old_too, seconds, &vector.body_utf8);
        if let Some(both) = rotating.remove("webhook-signature") {
            assert_eq!(both.split(' ').count(), 2, "{name}");
        }
        rotating.retain(|name, _| !name.starts_with("webhook-"));
        match name {
            "stripe" => assert!(rotating["Stripe-Signature"].starts_with(&headers["Stripe-Signature"])),
            _ => assert_eq!(rotating, headers, "{name}"),
        }
    }
    assert_eq!(seen, 7);
    let generic = signed(
        "generic",
        &["whsec_test_s3cr3t"],
        1_700_000_000,
        r#"{"event_id":"e1"}"#,
    );
    assert_eq!(
        generic["X-Signature"],
        "0328ee85f10ed8e8f138d232d09bd6bf2b308ab858e05e0b8b8bb613e69b1c9a"
    );
}

fn event(data: &'static str) -> Event {
    Event {
        id: Id::from_number(1 << 40),
        tenant: Id::from_number(1),
        source: "api".to_owned(),
        producer_id: None,
        event_type: "alert.created".to_owned(),
        subject: None,
        time: Timestamp::from_millis(1_779_208_200_000),
        received_at: Timestamp::from_millis(1_779_208_200_123),
        content_type: "application/json".to_owned(),
        extensions: Vec::new(),
        headers: Vec::new(),
        data: Bytes::from_static(data.as_bytes()),
        hops: 0,
    }
}

/// What is sent for an event: the profile's own headers, line by line, and the body.
fn sent(name: &str, event: &Event) -> String {
    let about = About {
        event,
        delivery: Id::from_number(2 << 40),
        subscription: Id::from_number(3 << 40),
        tenant: "org_abc123",
    };
    let profile = profile(name);
    let mut lines: Vec<String> = profile
        .headers(about, NOW)
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let rendered = profile.render(about).unwrap();
    lines.push(rendered.content_type);
    lines.push(String::from_utf8(rendered.body.into_bytes().to_vec()).unwrap());
    lines.join("\n")
}

/// WF-07, WF-08, WF-09, WF-10, AE-05, AE-06, IB-05, IB-07, IB-08, IB-11, WX-02, WX-04.
#[test]
fn requests_look_as_the_products_say() {
    let event = event(r#"{ "id": "a", "rate": 1.0 }"#);
    let delivery: DeliveryId = Id::from_number(2 << 40);
    let uuid = delivery.to_uuid();
    assert_eq!(
        sent("workflows", &event),
        "X-WorkFlows-Event: alert.created\napplication/json\n{\"event\":\"alert.created\",\"orgId\":\"org_abc123\",\
         \"timestamp\":\"2026-05-19T16:30:00.000Z\",\"data\":{\"id\":\"a\",\"rate\":1}}"
    );
    assert_eq!(
        sent("workflux", &event),
        "application/json\n{\"event\":\"alert.created\",\"timestamp\":\"2026-05-19T16:30:00Z\",\
         \"data\":{ \"id\": \"a\", \"rate\": 1.0 }}"
    );
    let id = event.id;
    assert!(id.to_string().starts_with("evt_"));
    assert_eq!(
        sent("aetherflow", &event),
        format!(
            "application/json\n{{\"event\":\"alert.created\",\"id\":\"{id}\",\
             \"timestamp\":\"2026-05-19T16:30:00Z\",\"data\":{{ \"id\": \"a\", \"rate\": 1.0 }}}}"
        )
    );
    let named = Event {
        producer_id: Some("evt_1234567890".to_owned()),
        ..event.clone()
    };
    assert!(sent("aetherflow", &named).contains("\"id\":\"evt_1234567890\""));
    for name in ["inboundflow", "inboundflow-retries"] {
        assert_eq!(
            sent(name, &event),
            format!(
                "X-InboundFlow-Event: alert.created\nX-InboundFlow-Delivery-Id: {uuid}\napplication/json\n\
                 {{\"event\":\"alert.created\",\"timestamp\":\"2026-05-19T16:30:00.000Z\",\
                 \"organization_id\":\"org_abc123\",\"delivery_id\":\"{uuid}\",\
                 \"data\":{{\"id\":\"a\",\"rate\":1}}}}"
            )
        );
    }
    assert_eq!(
        sent("github", &event),
        format!(
            "X-GitHub-Event: alert.created\nX-GitHub-Delivery: {uuid}\napplication/json\n\
             {{ \"id\": \"a\", \"rate\": 1.0 }}"
        )
    );
    assert_eq!(
        sent("stripe", &event),
        format!(
            "application/json\n{{\"id\":\"{id}\",\"object\":\"event\",\"api_version\":null,\
             \"created\":1779208200,\"data\":{{\"object\":{{ \"id\": \"a\", \"rate\": 1.0 }}}},\
             \"livemode\":true,\"pending_webhooks\":1,\"request\":null,\"type\":\"alert.created\"}}"
        )
    );
    // GN-16.
    for name in ["generic", "generic-sha512"] {
        let expected = format!(
            "X-Event-Type: alert.created\nX-Event-Id: {id}\napplication/json\n{{ \"id\": \"a\", \"rate\": 1.0 }}"
        );
        assert_eq!(sent(name, &event), expected);
    }
    for name in ["zapier", "make", "n8n", "slack", "discord", "teams"] {
        let text = sent(name, &event);
        assert!(
            text.ends_with("application/json\n{ \"id\": \"a\", \"rate\": 1.0 }"),
            "{name}: {text}"
        );
        let tells_type = text.contains("hookway-event-type: alert.created");
        assert_eq!(tells_type, profile(name).signature.is_some(), "{name}");
    }
}

/// IB-02.
#[test]
fn targets_say_what_they_take() {
    let table = [
        ("zapier", Some(10_000_000), Some(25), None),
        ("make", Some(5_242_880), Some(25), None),
        ("n8n", Some(16_777_216), None, Some(8)),
        ("slack", None, Some(1), None),
        ("discord", None, Some(1), None),
        ("teams", Some(20_480), Some(4), None),
    ];
    for (name, bytes, requests, in_flight) in table {
        let profile = profile(name);
        assert_eq!(profile.body_bytes_max.map(|max| max.get()), bytes, "{name}");
        assert_eq!(
            profile.rate_limit.map(|rate| rate.0.requests.get()),
            requests,
            "{name}"
        );
        assert_eq!(profile.max_in_flight.map(|most| most.get()), in_flight, "{name}");
        assert!(!profile.needs_secret(), "{name}");
    }
    let n8n = profile("n8n");
    let refused = n8n.refused_url("https://n8n.example/webhook-test/leads").unwrap();
    assert!(refused.contains("production URL"), "{refused}");
    assert_eq!(n8n.refused_url("https://n8n.example/webhook/leads"), None);
}

#[test]
fn every_built_in_has_a_title_and_a_description() {
    for profile in built_ins() {
        assert!(
            profile.title.is_some() && profile.description.is_some(),
            "{}",
            profile.name
        );
        assert_eq!(profile.version, 1, "{}", profile.name);
    }
    let names: Vec<&str> = built_ins().iter().map(|profile| profile.name.as_str()).collect();
    let unlike: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!(unlike.len(), names.len());
}

/// Deliveries name a version and look like it for ever, so a version that was released never changes.
#[test]
fn a_changed_profile_has_another_version() {
    let known = include_str!("../../../../tests/vectors/profile-versions.txt");
    let lines: std::collections::BTreeSet<&str> = known.lines().collect();
    let line = |profile: &Profile| {
        // The usual User-Agent names the version of Hookway, which is no change of the profile.
        let document = serde_json::to_string(profile).unwrap();
        let document = document.replace(USER_AGENT, "Hookway");
        let digest = crate::digest::Digest::of(document.as_bytes());
        format!("{}@{} {digest}\n", profile.name, profile.version)
    };
    let new = built_ins()
        .iter()
        .map(line)
        .filter(|line| !lines.contains(line.trim_end()));
    let new: String = new.collect();
    assert!(
        new.is_empty(),
        "a profile that is not released yet needs its line in tests/vectors/profile-versions.txt, one that is \
         needs the next version:\n{new}"
    );
}
