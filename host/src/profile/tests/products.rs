//! Four products' webhooks, byte for byte: what a profile has to say so that their samples come out.

use super::*;
use crate::secret::Secret;
use crate::signature::{Keyring, Outgoing};

/// The secret of all signatures here.
const SECRET: &str = "whsec_test_s3cr3t";

fn profile(document: &serde_json::Value) -> Profile {
    let mut whole = serde_json::json!({ "name": "product", "version": 1 });
    for (name, value) in document.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let text = whole.to_string();
    let profile: Profile = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let again = toml::to_string(&profile).unwrap();
    assert_eq!(toml::from_str::<Profile>(&again).unwrap(), profile, "{again}");
    profile
}

fn happened(event_type: &str, time: &str, data: &'static str) -> Event {
    Event {
        event_type: event_type.to_owned(),
        time: Timestamp::parse(time).unwrap(),
        producer_id: None,
        data: Bytes::from_static(data.as_bytes()),
        ..event()
    }
}

fn body(profile: &Profile, about: About<'_>) -> String {
    let rendered = profile.render(about).unwrap();
    assert_eq!(rendered.content_type, "application/json");
    String::from_utf8(rendered.body.into_bytes().to_vec()).unwrap()
}

/// The headers that sign a body, by the scheme of a product.
fn signed(scheme: serde_json::Value, at: i64, body: &str) -> Vec<(String, String)> {
    let scheme: Scheme = serde_json::from_value(scheme).unwrap();
    let keyring = Keyring::for_signing(scheme.into(), [&Secret::new(SECRET)]).unwrap();
    let outgoing = Outgoing {
        id: "",
        timestamp: Timestamp::from_millis(at * 1_000),
        url: "",
        body: &[body.as_bytes()],
    };
    keyring.sign(&outgoing).unwrap()
}

fn scheme(header: &str, format: &str) -> serde_json::Value {
    serde_json::json!({
        "algorithm": "hmac-sha256", "secret": "utf8", "input": "{body}", "encoding": "hex",
        "header": header, "format": format,
    })
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// WF-08, WF-09: whatever the writer of the data was, the body is the one that JavaScript would make, and
/// times in the data stay as they are.
#[test]
fn workflows() {
    let profile = profile(&serde_json::json!({
        "body": "js-stable-json",
        "envelope": [
            ["event", "{type}"], ["orgId", "{tenant}"], ["timestamp", "{time:iso-ms}"], ["data", "{data}"]
        ],
        "headers": [["X-WorkFlows-Event", "{type}"]],
    }));
    let event = happened(
        "alert.created",
        "2026-05-19T16:30:00Z",
        r#"{
            "id": "alert_xyz789",
            "title": "Inventario cr\u00EDtico: Materia Prima A",
            "severity": "critical", "status": "active", "projectId": "proj_def456",
            "area": "Inventario", "createdAt": "2026-05-19T16:30:00.000Z"
        }"#,
    );
    let expected = concat!(
        r#"{"event":"alert.created","orgId":"org_abc123","timestamp":"2026-05-19T16:30:00.000Z","data":{"#,
        r#""id":"alert_xyz789","title":"Inventario crítico: Materia Prima A","severity":"critical","#,
        r#""status":"active","projectId":"proj_def456","area":"Inventario","#,
        r#""createdAt":"2026-05-19T16:30:00.000Z"}}"#,
    );
    let body = body(&profile, about(&event));
    assert_eq!(body, expected);
    assert_eq!(body.len(), 286);
    assert_eq!(
        headers(&profile, &event),
        [pair("X-WorkFlows-Event", "alert.created")]
    );
    assert_eq!(
        signed(scheme("X-WorkFlows-Signature", "sha256={sig}"), 0, &body),
        [pair(
            "X-WorkFlows-Signature",
            "sha256=5c47bd84a19b89a17d31982d8ef9eab202e0f7aec675eab5ad8addcb7cdb5db5"
        )]
    );
}

/// AE-05: nested samples, spliced as they came.
#[test]
fn aetherflow() {
    let profile = profile(&serde_json::json!({
        "envelope": [
            ["event", "{type}"], ["id", "{id}"], ["timestamp", "{time:iso-s}"], ["data", "{data}"]
        ],
    }));
    let completed = Event {
        producer_id: Some("evt_1234567890".to_owned()),
        ..happened(
            "workflow.completed",
            "2024-01-15T10:30:00.999Z",
            concat!(
                r#"{"workflow":{"id":"wf_abc123","name":"Email Processor","status":"completed","#,
                r#""execution_time":2500,"executed_at":"2024-01-15T10:29:57Z"}}"#
            ),
        )
    };
    let body_of_it = body(&profile, about(&completed));
    assert_eq!(
        body_of_it,
        concat!(
            r#"{"event":"workflow.completed","id":"evt_1234567890","timestamp":"2024-01-15T10:30:00Z","data":"#,
            r#"{"workflow":{"id":"wf_abc123","name":"Email Processor","status":"completed","#,
            r#""execution_time":2500,"executed_at":"2024-01-15T10:29:57Z"}}}"#,
        )
    );
    assert_eq!(
        signed(scheme("X-AetherFlow-Signature", "{sig}"), 0, &body_of_it),
        [pair(
            "X-AetherFlow-Signature",
            "86062fefd4dbe3c1ec3f30689a54857673ee41588b172012e0cc44cb91cd4a40"
        )]
    );
    for data in [
        r#"{ "workflow": { "id": "wf_abc123", "name": "Email Processor", "status": "completed" }, "steps": [ { "id": "step_1", "name": "Process Email", "status": "completed", "duration": 1200 }, { "id": "step_2", "name": "Send Slack Notification", "status": "completed", "duration": 1300 } ], "custom_data": { "email_subject": "Important Update", "priority": "high" } }"#,
        r#"{ "workflow": { "id": "wf_def456", "name": "Data Sync", "status": "failed", "error_message": "Integration timeout" }, "error_details": { "step": "step_3", "integration": "salesforce", "error_code": "TIMEOUT", "retry_count": 3 } }"#,
    ] {
        let event = happened("workflow.failed", "2024-01-15T10:35:00Z", data);
        let id = event.id;
        assert_eq!(
            body(&profile, about(&event)),
            format!(
                r#"{{"event":"workflow.failed","id":"{id}","timestamp":"2024-01-15T10:35:00Z","data":{data}}}"#
            )
        );
    }
}

fn inboundflow() -> Profile {
    profile(&serde_json::json!({
        "body": "js-stable-json",
        "envelope": [
            ["event", "{type}"], ["timestamp", "{time:iso-ms}"], ["organization_id", "{tenant}"],
            ["delivery_id", "{delivery_id:uuid}"], ["data", "{data}"]
        ],
        "headers": [
            ["X-InboundFlow-Event", "{type}"],
            ["X-InboundFlow-Delivery-Id", "{delivery_id:uuid}"],
            ["X-InboundFlow-Timestamp", "{attempt:unix}"],
        ],
        "user_agent": "InboundFlow-Webhook/1.0",
    }))
}

fn lead() -> Event {
    happened(
        "lead.created",
        "2026-02-24T21:00:00Z",
        r#"{"call_id":"c1","caller_phone":"+1234567890","caller_name":"Dave","urgency":"high"}"#,
    )
}

/// IB-07: the body is a delivery's, so two subscriptions get two; with the sample's own id, it is the
/// sample and has its signature.
#[test]
fn inboundflow_bodies_belong_to_a_delivery() {
    let (profile, event) = (inboundflow(), lead());
    let about = About {
        tenant: "0b7c8a56-1111-4222-8333-444455556666",
        ..about(&event)
    };
    let uuid = about.delivery.to_uuid();
    let one = body(&profile, about);
    let sample = one.replace(&uuid, "5f1d7a84-db1a-4a3b-9c0e-6e3c9f0f5a01");
    assert_eq!(
        sample,
        concat!(
            r#"{"event":"lead.created","timestamp":"2026-02-24T21:00:00.000Z","#,
            r#""organization_id":"0b7c8a56-1111-4222-8333-444455556666","#,
            r#""delivery_id":"5f1d7a84-db1a-4a3b-9c0e-6e3c9f0f5a01","data":{"call_id":"c1","#,
            r#""caller_phone":"+1234567890","caller_name":"Dave","urgency":"high"}}"#,
        )
    );
    let mut scheme = scheme("X-InboundFlow-Signature", "sha256={sig}");
    scheme["input"] = "{ts}.{body}".into();
    scheme["ts_header"] = "X-InboundFlow-Timestamp".into();
    assert_eq!(
        signed(scheme, 1_709_064_000, &sample),
        [
            pair("X-InboundFlow-Timestamp", "1709064000"),
            pair(
                "X-InboundFlow-Signature",
                "sha256=56ec0ecd0c1df958c803559eb329d15f285ac5853511258825dc87f86a1a062f"
            ),
        ]
    );
    let other = About {
        delivery: Id::from_number(about.delivery.number() + 1),
        subscription: Id::from_number(about.subscription.number() + 1),
        ..about
    };
    let two = body(&profile, other);
    assert_ne!(one, two);
    assert_eq!(one, two.replace(&other.delivery.to_uuid(), &uuid));
}

/// IB-05, IB-12: the headers are spelled as documented; that with the time is the attempt's, and the body
/// stays the same.
#[test]
fn inboundflow_headers_tell_the_time_of_the_attempt() {
    let (profile, event) = (inboundflow(), lead());
    let about = about(&event);
    let uuid = about.delivery.to_uuid();
    for (attempt_at, expected) in [
        (1_709_064_000_000, "1709064000"),
        (1_709_064_060_500, "1709064060"),
    ] {
        assert_eq!(
            profile.headers(about, Timestamp::from_millis(attempt_at)),
            [
                pair("X-InboundFlow-Event", "lead.created"),
                pair("X-InboundFlow-Delivery-Id", &uuid),
                pair("X-InboundFlow-Timestamp", expected),
            ]
        );
        assert!(body(&profile, about).contains(&format!(r#""delivery_id":"{uuid}""#)));
    }
    assert_eq!(profile.user_agent, "InboundFlow-Webhook/1.0");
    assert_eq!(profile.render(about), profile.render(about));
}

/// WX-02: numbers stay as they were written, `1.0` too.
#[test]
fn workflux() {
    let profile = profile(&serde_json::json!({
        "envelope": [["event", "{type}"], ["timestamp", "{time:iso-s}"], ["data", "{data}"]],
    }));
    let event = happened(
        "conversation.completed",
        "2024-01-01T12:05:00Z",
        concat!(
            r#"{"conversation_id":"conv-123","agent_id":"agent-123","duration_seconds":300,"#,
            r#""messages_count":8,"resolution_rate":1.0,"satisfaction_score":5,"was_escalated":false}"#
        ),
    );
    let body = body(&profile, about(&event));
    assert_eq!(
        body,
        concat!(
            r#"{"event":"conversation.completed","timestamp":"2024-01-01T12:05:00Z","data":{"#,
            r#""conversation_id":"conv-123","agent_id":"agent-123","duration_seconds":300,"messages_count":8,"#,
            r#""resolution_rate":1.0,"satisfaction_score":5,"was_escalated":false}}"#,
        )
    );
    assert_eq!(
        signed(scheme("X-Workflux-Signature", "{sig}"), 0, &body),
        [pair(
            "X-Workflux-Signature",
            "2f0055fda3d601fca6181f464c27720bef331e6de03e305aa1dd391bcea8f15c"
        )]
    );
}
