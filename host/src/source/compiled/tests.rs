//! What a source may say, and what it makes of requests that no preset foresaw.

use bytes::Bytes;
use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::*;
use crate::id::Id;
use crate::secret::Secret;
use crate::source::{Condition, Handshake, Settings, preset};
use crate::subscription::SigningSecret;
use crate::time::Timestamp;

/// A source with a preset, and what presets need.
pub(in crate::source) fn source_of(preset: &str) -> Source {
    Source {
        id: Id::from_number(1),
        tenant: Id::from_number(1),
        name: "shop".to_owned(),
        description: None,
        enabled: true,
        preset: preset.to_owned(),
        settings: Settings {
            public_url: Some("https://hooks.example.com/webhooks/shop".to_owned()),
            ..Settings::default()
        },
        secrets: vec![SigningSecret {
            secret: Secret::new("zoom_secret"),
            until: None,
        }],
        unread: None,
        verify_token: Some(Secret::new("meatyhamhock")),
        version: 1,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

/// Shows a request to whoever wants to see it.
pub(in crate::source) fn request_of<T>(
    method: &Method,
    headers: &[(&'static str, &str)],
    query: &str,
    body: &str,
    see: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    see(&Request {
        method,
        headers: &headers,
        query: Some(query),
        body: &Bytes::copy_from_slice(body.as_bytes()),
    })
}

fn told(preset: &str, change: impl FnOnce(&mut Source)) -> Vec<(String, String)> {
    let mut source = source_of(preset);
    change(&mut source);
    let faults = Compiled::new(source.into(), preset::named(preset).unwrap())
        .err()
        .unwrap_or_default();
    let each = faults.into_vec().into_iter();
    each.map(|fault| (fault.pointer, fault.detail)).collect()
}

fn settings(text: &str) -> Settings {
    serde_json::from_str(text).unwrap()
}

#[test]
fn faults_have_the_place_in_the_document() {
    let long = "x".repeat(65);
    for name in ["", "Shop", "a b", "shop/1", "src_1", "é", &long] {
        let faults = told("github", |source| source.name = name.to_owned());
        assert_eq!(faults[0].0, "/name", "{name}");
    }
    for (preset, text, pointer) in [
        ("github", r#"{"events":{"type":["{json:x}"]}}"#, "/events/type/0"),
        ("github", r#"{"events":{"split":"x"}}"#, "/events/split"),
        ("github", r#"{"events":{"type":[]}}"#, "/events/type"),
        ("cloudevents", r#"{"events":{"type":["x"]}}"#, "/events/type"),
        ("cloudevents", r#"{"events":{"split":""}}"#, "/events/split"),
        ("cloudevents", r#"{"events":{"format":"raw"}}"#, "/events/type"),
        ("github", r#"{"public_url":"ftp://x/y"}"#, "/public_url"),
        ("github", r#"{"public_url":"https://u:p@x/y"}"#, "/public_url"),
        ("github", r#"{"public_url":"https://x/y?z"}"#, "/public_url"),
        ("github", r#"{"public_url":"x"}"#, "/public_url"),
        ("twilio", "{}", "/public_url"),
        ("trello", "{}", "/public_url"),
        ("github", r#"{"body_bytes_max":0}"#, "/body_bytes_max"),
        ("github", r#"{"response":{"status":302}}"#, "/response/status"),
        ("github", r#"{"response":{"status":99}}"#, "/response/status"),
        (
            "github",
            r#"{"response":{"status":204,"body":"x"}}"#,
            "/response/body",
        ),
        (
            "github",
            r#"{"response":{"headers":{"a b":"x"}}}"#,
            "/response/headers/a b",
        ),
        (
            "github",
            r#"{"response":{"headers":{"set-cookie":"x"}}}"#,
            "/response/headers/set-cookie",
        ),
        (
            "github",
            r#"{"response":{"headers":{"x":"a\r\nb"}}}"#,
            "/response/headers/x",
        ),
        (
            "github",
            r#"{"verification":{"kind":"token","places":[]}}"#,
            "/verification/places",
        ),
        (
            "github",
            r#"{"verification":{"kind":"token","places":[{"header":"a b"}]}}"#,
            "/verification/places/0",
        ),
        (
            "github",
            r#"{"verification":{"kind":"signature","schemes":[]}}"#,
            "/verification/schemes",
        ),
        ("x-crc", r#"{"verification":{"kind":"none"}}"#, "/verification"),
        ("zoom", r#"{"verification":{"kind":"none"}}"#, "/verification"),
    ] {
        let faults = told(preset, |source| source.settings = settings(text));
        assert_eq!(
            faults.first().map(|fault| fault.0.as_str()),
            Some(pointer),
            "{text}: {faults:?}"
        );
    }
    assert_eq!(
        told("github", |source| source.description = Some("a\nb".into()))[0].0,
        "/description"
    );
    let response = format!(r#"{{"response":{{"body":"{}"}}}}"#, "x".repeat(4_097));
    assert_eq!(
        told("github", |source| source.settings = settings(&response))[0].0,
        "/response/body"
    );
    let many: Vec<String> = (0..257)
        .map(|n| format!("\"10.0.{}.{}\"", n / 256, n % 256))
        .collect();
    let many = many.join(",").replace('"', "");
    let many: Vec<_> = many
        .split(',')
        .map(|ip| format!("{ip}/32").parse().unwrap())
        .collect();
    assert_eq!(
        told("github", |source| source.settings.allowed_ips = many)[0].0,
        "/allowed_ips"
    );
    assert_eq!(told("github", |_| {}), []);
}

#[test]
fn handshakes_need_what_they_answer_with() {
    assert_eq!(told("zoom", |source| source.secrets.clear())[0].0, "/secret");
    let nothing = told("meta", |source| {
        source.secrets.clear();
        source.verify_token = None;
    });
    assert_eq!(nothing[0].0, "/verify_token");
    assert_eq!(told("meta", |source| source.verify_token = None), []);
}

#[test]
fn nobody_gets_a_signature_for_the_asking() {
    let oracle = Handshake {
        name: "crc".to_owned(),
        method: "GET".to_owned(),
        verified: false,
        when: vec![Condition {
            value: "{query:t}".to_owned(),
            is: None,
            is_verify_token: false,
        }],
        answer: serde_json::from_str(r#"{"body":"{hmac-sha256-hex:query:t}"}"#).unwrap(),
    };
    let own =
        |handshakes: Vec<Handshake>| told("github", |source| source.settings.handshakes = Some(handshakes));
    assert_eq!(own(vec![oracle.clone()])[0].0, "/handshakes/0/verified");
    let verified = Handshake {
        verified: true,
        ..oracle
    };
    assert_eq!(own(vec![verified]), []);
    let of_preset = preset::named("x-crc").unwrap().handshakes.clone();
    assert_eq!(
        told("x-crc", |source| source.settings.handshakes = Some(of_preset)),
        []
    );
}

#[test]
fn settings_replace_what_they_name_and_nothing_else() {
    let mut source = source_of("stripe");
    source.settings = settings(
        r#"{"events":{"type":["shop.{json:/type}"],"id":[]},"response":{"status":202,"headers":{"content-type":"text/plain"},"body":"ok"}}"#,
    );
    let compiled = Compiled::new(source.into(), preset::named("stripe").unwrap()).unwrap();
    let body = r#"{"id":"evt_1","type":"a","data":{"object":{"id":"o"}}}"#;
    let made = request_of(&Method::POST, &[], "", body, |request| compiled.drafts(request)).unwrap();
    assert_eq!(made[0].event_type, "shop.a");
    assert_eq!(
        (made[0].id.as_deref(), made[0].subject.as_deref()),
        (None, Some("o"))
    );
    assert_eq!(made[0].content_type.as_deref(), Some("application/json"));
    assert_eq!(compiled.on_conflict(), Conflict::Duplicate);
    assert_eq!(compiled.response().status, 202);
    assert_eq!(compiled.response().headers.len(), 1);
    assert!(matches!(compiled.verification(), Verification::Signature { .. }));
    assert!(!compiled.takes(&Method::GET) && !compiled.has_verified_handshakes());
}

#[test]
fn cloudevents_keep_their_own_source_and_are_told_what_is_wrong() {
    let compiled = Compiled::new(
        source_of("cloudevents").into(),
        preset::named("cloudevents").unwrap(),
    )
    .unwrap();
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "a.b"),
    ];
    let made = request_of(&Method::POST, &binary, "", "7", |request| {
        compiled.drafts(request)
    })
    .unwrap();
    assert_eq!(made[0].source.as_deref(), Some("/s"));
    for (headers, body, reason, part) in [
        (&[][..], "{}", Refusal::MalformedBody, "not a CloudEvent"),
        (
            &binary[..3],
            "7",
            Refusal::Attributes,
            "ce-type: must not be empty",
        ),
        (
            &[("content-type", "application/cloudevents+json")],
            "{",
            Refusal::MalformedBody,
            "JSON",
        ),
        (
            &[("content-type", "application/cloudevents+json")],
            "{}",
            Refusal::Attributes,
            "/specversion: ",
        ),
        (
            &[("content-type", "application/cloudevents+avro")],
            "x",
            Refusal::MalformedBody,
            "is not taken",
        ),
    ] {
        let refused = request_of(&Method::POST, headers, "", body, |request| {
            compiled.drafts(request)
        })
        .unwrap_err();
        assert_eq!(refused.reason, reason, "{refused:?}");
        assert!(refused.detail.contains(part), "{refused:?}");
        assert!(refused.detail.len() <= crate::reception::DETAIL_BYTES_MAX);
    }
}

proptest! {
    #[test]
    fn no_request_makes_a_preset_panic_or_changes_its_bytes(
        body in "(\\{\"(type|event|id|challenge|action)\":\"[a-z.]{0,5}\"\\}|[\\[\\]{}\",:a-c0-9%&=<>]{0,40})",
        query in "[a-z.=&%0-9]{0,30}",
        kind in prop::sample::select(vec!["application/json", "text/xml", "application/x-www-form-urlencoded", "text/plain"]),
        header in "[!-~]{0,12}",
    ) {
        for preset in preset::all() {
            let compiled = Compiled::new(source_of(&preset.name).into(), preset).unwrap();
            let headers = [("content-type", kind), ("x-event-type", header.as_str()), ("x-github-event", &header)];
            for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS] {
                request_of(&method, &headers, &query, &body, |request| {
                    let _either = (compiled.handshake(request, false), compiled.handshake(request, true));
                    if let Ok(drafts) = compiled.drafts(request)
                        && preset.events.split.is_none() {
                        assert_eq!(&drafts[0].data[..], body.as_bytes());
                    }
                });
            }
        }
    }
}
