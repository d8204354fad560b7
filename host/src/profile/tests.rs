//! What the built-in profiles send, and what is refused when a profile is saved.

mod modes;
mod products;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::event::Event;
use crate::id::Id;
use crate::signature::Scheme;
use crate::time::Timestamp;

fn event() -> Event {
    Event {
        id: Id::from_number(1 << 40),
        tenant: Id::from_number(1),
        source: "api".to_owned(),
        producer_id: Some("ordér \"7\"".to_owned()),
        event_type: "alert.created".to_owned(),
        subject: None,
        time: Timestamp::from_millis(1_779_208_200_000),
        received_at: Timestamp::from_millis(1_779_208_200_123),
        content_type: "application/json".to_owned(),
        extensions: Vec::new(),
        headers: Vec::new(),
        data: Bytes::from_static(b"{ \"n\": 1.0 }"),
        hops: 0,
    }
}

/// A delivery of an event, of no special tenant.
fn about(event: &Event) -> About<'_> {
    About {
        event,
        delivery: Id::from_number(2 << 40),
        subscription: Id::from_number(3 << 40),
        tenant: "org_abc123",
    }
}

fn rendered(profile: &Profile, event: &Event) -> Rendered {
    profile.render(about(event)).unwrap()
}

fn headers(profile: &Profile, event: &Event) -> Vec<(String, String)> {
    profile.headers(about(event), Timestamp::from_millis(1_800_000_000_999))
}

#[test]
fn the_default_profile_is_standard_webhooks() {
    let profile = built_in(DEFAULT).unwrap();
    let rendered = rendered(profile, &event());
    assert_eq!(rendered.content_type, "application/json");
    assert_eq!(
        rendered.body.into_bytes(),
        r#"{"type":"alert.created","timestamp":"2026-05-19T16:30:00.000Z","data":{ "n": 1.0 }}"#
    );
    assert_eq!(profile.signature, Some(standard_signing()));
    assert_eq!(profile.schedule, Schedule::default());
    assert_eq!(profile.classes, Classes::default());
    assert_eq!(profile.timeout, Duration::from_secs(20));
    assert_eq!(profile.user_agent, USER_AGENT);
    assert!(headers(profile, &event()).is_empty());
}

#[test]
fn plain_sends_the_very_bytes_and_the_type_in_a_header() {
    let profile = built_in("plain").unwrap();
    let event = event();
    let rendered = rendered(profile, &event);
    assert_eq!(rendered.content_type, event.content_type);
    let body = rendered.body.into_bytes();
    assert_eq!(body.as_ptr(), event.data.as_ptr(), "no copy is made");
    assert_eq!(body, event.data);
    let expected = [
        ("hookway-event-id", "ord%C3%A9r%20%227%22"),
        ("hookway-event-source", "api"),
        ("hookway-event-time", "2026-05-19T16:30:00.000Z"),
        ("hookway-event-type", "alert.created"),
    ];
    let headers = headers(profile, &event);
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(headers, expected);
}

/// An event that is awkward in every attribute.
fn awkward() -> Event {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Event {
        source: "my shop: äst".to_owned(),
        subject: Some("Grüße 100%".to_owned()),
        extensions: vec![
            pair(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            pair("comment", "say \"hi\" €"),
            // It must not take the place of what the event itself says.
            pair("id", "other"),
        ],
        ..event()
    }
}

#[test]
fn cloudevents_in_binary_mode_are_headers_and_the_very_bytes() {
    let profile = built_in("cloudevents-binary").unwrap();
    let event = awkward();
    let rendered = rendered(profile, &event);
    assert_eq!(rendered.content_type, event.content_type);
    assert_eq!(
        rendered.body.into_bytes().as_ptr(),
        event.data.as_ptr(),
        "no copy is made"
    );
    let headers = headers(profile, &event);
    let headers: BTreeMap<&str, &str> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = BTreeMap::from([
        ("ce-specversion", "1.0"),
        ("ce-id", "ord%C3%A9r%20%227%22"),
        ("ce-source", "my%2520shop%253A%2520%25C3%25A4st"),
        ("ce-type", "alert.created"),
        ("ce-subject", "Gr%C3%BC%C3%9Fe%20100%25"),
        ("ce-time", "2026-05-19T16:30:00.000Z"),
        (
            "ce-traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("ce-comment", "say%20%22hi%22%20%E2%82%AC"),
    ]);
    assert_eq!(headers, expected);
}

#[test]
fn cloudevents_in_structured_and_batched_mode_are_json_around_the_very_bytes() {
    let object = concat!(
        r#"{"specversion":"1.0","id":"ordér \"7\"","source":"my%20shop%3A%20%C3%A4st","type":"alert.created","#,
        r#""subject":"Grüße 100%","time":"2026-05-19T16:30:00.000Z","datacontenttype":"application/json","#,
        r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","comment":"say \"hi\" €","#,
        r#""data":{ "n": 1.0 }}"#
    );
    for (name, content_type, expected) in [
        (
            "cloudevents-structured",
            "application/cloudevents+json",
            object.to_owned(),
        ),
        (
            "cloudevents-batched",
            "application/cloudevents-batch+json",
            format!("[{object}]"),
        ),
    ] {
        let profile = built_in(name).unwrap();
        let made = rendered(profile, &awkward());
        assert_eq!(made.content_type, content_type);
        assert_eq!(made.body.into_bytes(), expected, "{name}");
        assert!(headers(profile, &awkward()).is_empty());
        let text = Event {
            content_type: "text/plain".to_owned(),
            data: Bytes::from_static(b"hi"),
            ..event()
        };
        let body = rendered(profile, &text).body.into_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains(r#""datacontenttype":"text/plain","data_base64":"aGk="}"#),
            "{body}"
        );
        // What a plugin made is described by its own media type.
        let made = profile
            .wrap(about(&event()), Bytes::from_static(b"x"), "text/csv")
            .unwrap()
            .body
            .into_bytes();
        let made = String::from_utf8(made.to_vec()).unwrap();
        assert!(
            made.contains(r#""datacontenttype":"text/csv","data_base64":"eA=="}"#),
            "{made}"
        );
        // And what only claims to be JSON writes no members of the envelope.
        for forged in [r#"1,"type":"forged""#, "NaN", "{", "1 2"] {
            let forged = Bytes::from_static(forged.as_bytes());
            assert!(
                profile.wrap(about(&event()), forged, "application/json").is_err(),
                "{name}"
            );
        }
    }
}

fn standard_signing() -> Signing {
    Signing::new(Scheme::standard_webhooks()).unwrap()
}

#[test]
fn the_plain_and_cloudevents_profiles_are_signed_as_standard_webhooks() {
    for name in [
        "plain",
        "cloudevents-binary",
        "cloudevents-structured",
        "cloudevents-batched",
    ] {
        let profile = built_in(name).unwrap();
        assert_eq!(profile.signature, Some(standard_signing()), "{name}");
        assert!(profile.needs_secret());
    }
}

#[test]
fn built_in_profiles_survive_being_written_and_read() {
    for profile in built_ins() {
        let text = toml::to_string(profile).unwrap();
        assert_eq!(&toml::from_str::<Profile>(&text).unwrap(), profile, "{text}");
    }
    assert_eq!(built_in("nothing"), None);
}

#[test]
fn faults_say_what_is_wrong() {
    let table = [
        ("name", serde_json::json!("Big Name"), "lower-case"),
        (
            "headers",
            serde_json::json!({ "Host": "x" }),
            "set by Hookway itself",
        ),
        (
            "headers",
            serde_json::json!({ "webhook-id": "x" }),
            "set by Hookway itself",
        ),
        ("headers", serde_json::json!({ "a b": "x" }), "not a header name"),
        (
            "headers",
            serde_json::json!({ "x": "{color}" }),
            "`{color}` is unknown",
        ),
        ("headers", serde_json::json!({ "x": "a\nb" }), "printable"),
        ("headers", serde_json::json!({ "x-*": "a" }), "goes with one name"),
        (
            "headers",
            serde_json::json!({ "x": "{extensions}" }),
            "ends with `-*`",
        ),
        (
            "headers",
            serde_json::json!({ "*": "{extensions}" }),
            "ends with `-*`",
        ),
        (
            "headers",
            serde_json::json!({ "x*": "{extensions}" }),
            "ends with `-*`",
        ),
        (
            "headers",
            serde_json::json!({ "X-*": "{extensions}" }),
            "ends with `-*`",
        ),
        (
            "headers",
            serde_json::json!({ "content-*": "{extensions}" }),
            "begins like no header",
        ),
        (
            "headers",
            serde_json::json!({ "webhook-*": "{extensions}" }),
            "begins like no header",
        ),
        (
            "headers",
            serde_json::json!({ "x-*": "{extensions}", "y-*": "{extensions}" }),
            "goes with one name",
        ),
        (
            "signature",
            serde_json::json!({
                "algorithm": "ecdsa-p256-sha256", "secret": "spki-base64", "input": "{body}",
                "encoding": "base64", "header": "x-signature", "format": "{sig}",
            }),
            "not for deliveries",
        ),
        ("user_agent", serde_json::json!(""), "user_agent"),
        ("user_agent", serde_json::json!("a\r\nb"), "user_agent"),
        ("timeout_seconds", serde_json::json!(0), "timeout_seconds"),
        ("timeout_seconds", serde_json::json!(301), "timeout_seconds"),
        (
            "response_body_bytes_max",
            serde_json::json!(1_048_577),
            "response_body_bytes_max",
        ),
        ("title", serde_json::json!(""), "title"),
        ("description", serde_json::json!("a\u{1}"), "description"),
        ("max_in_flight", serde_json::json!(257), "max_in_flight"),
        ("max_in_flight", serde_json::json!(0), "nonzero"),
        ("body_bytes_max", serde_json::json!(0), "nonzero"),
        (
            "refuse_urls",
            serde_json::json!(vec![serde_json::json!({ "contains": "a", "detail": "b" }); 17]),
            "more than 16",
        ),
        ("rate_limit", serde_json::json!({ "requests": 0 }), "nonzero"),
        ("auto_disable", serde_json::json!({}), "give one of"),
        (
            "operational_events",
            serde_json::json!({ "a": "b" }),
            "there is no type",
        ),
        (
            "classes",
            serde_json::json!({ "rules": [] }),
            "no answer means delivered",
        ),
        ("color", serde_json::json!(1), "unknown field"),
    ];
    for (field, value, expected) in table {
        let mut document = serde_json::to_value(built_in(DEFAULT).unwrap()).unwrap();
        document[field] = value;
        let error = serde_json::from_value::<Profile>(document)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{field}: {error}");
    }
}

/// What frames the message is found, and a version that was stored with it is still read.
#[test]
fn headers_that_frame_the_message_are_found() {
    let read = |name: &str, value: &str| {
        let mut document = serde_json::to_value(built_in(DEFAULT).unwrap()).unwrap();
        document["headers"] = serde_json::json!([[name, value]]);
        serde_json::from_value::<Profile>(document)
    };
    for name in FRAMING {
        let found = read(name, "a").map(|profile| profile.headers.framing());
        assert!(!matches!(found, Ok(None)), "{name}");
    }
    for (name, value) in [("Trailer", "a"), ("keep-*", "{extensions}")] {
        assert_eq!(
            read(name, value).unwrap().headers.framing().as_deref(),
            Some(name)
        );
    }
    for (name, value) in [("X-Keep-Alive", "a"), ("x-*", "{extensions}")] {
        assert_eq!(read(name, value).unwrap().headers.framing(), None);
    }
}

/// A version that was stored sends what it sent, whatever the binary's own User-Agent is by then.
#[test]
fn a_document_says_its_user_agent_also_where_it_is_the_usual_one() {
    let document = serde_json::to_value(built_in(DEFAULT).unwrap()).unwrap();
    assert_eq!(document["user_agent"], USER_AGENT);
}
