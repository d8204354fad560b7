//! Every parser of what comes from outside, with inputs that are nearly right: none panics, none works for
//! ever, and what was read and written again is the same.
//!
//! Parsers that nobody outside of their room may call have their properties beside them, in `host/src`; what
//! requests reach only through the whole router is in `doors`.

mod doors;
mod mutate;
mod requests;

use std::path::PathBuf;

use bytes::Bytes;
use hookway::api::page::{self, List};
use hookway::auth::{KeyPrefix, Scopes, check_key, hash_key};
use hookway::cloudevents::Mode;
use hookway::config::layers::resolve;
use hookway::config::{Given, SETTINGS};
use hookway::digest::Digest;
use hookway::egress::{Policy, check_url, with_path};
use hookway::event::Event;
use hookway::event_type::{Schema, language};
use hookway::id::{DeliveryId, EventId, SubscriptionId, TenantId};
use hookway::json::{self, Fields};
use hookway::profile::{Choice, Profile};
use hookway::retry::parse_wait;
use hookway::routing::{Filter, FilterContext, Pattern};
use hookway::signature::{Scheme, query_parameter};
use hookway::source::Verification;
use hookway::time::Timestamp;
use hookway::vault::{Nonce, Place, Vault};
use hookway::verdict::{JsonPlace, RETRY_AFTER_MAX, retry_after};
use hookway::{event, network, secret};
use http::{HeaderMap, HeaderName, HeaderValue};
use mutate::withstands;
use serde_json::value::RawValue;

const EVENT: &str = r#"{"type":"alert.created","id":"a-1","source":"crm","subject":"x","time":"2026-05-19T16:30:00.5Z",
    "datacontenttype":"application/json","extensions":{"severity":"high"},"data":{"n":1.50,"big":12345678901234567890,
    "u":"\u00e9\ud83d\ude00","list":[[],{},null]}}"#;

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn an_event(data: &[u8]) -> Event {
    Event {
        id: EventId::from_number(1),
        tenant: TenantId::from_number(1),
        source: "api".to_owned(),
        producer_id: None,
        event_type: "alert.created".to_owned(),
        subject: Some("x".to_owned()),
        time: Timestamp::from_millis(0),
        received_at: Timestamp::from_millis(0),
        content_type: "application/json".to_owned(),
        extensions: vec![("severity".to_owned(), "high".to_owned())],
        headers: Vec::new(),
        data: Bytes::copy_from_slice(data),
        hops: 0,
    }
}

#[test]
fn json_bodies() {
    withstands(
        &[
            EVENT,
            "[{\"type\":\"a\"},{\"type\":\"b\",\"data\":[1,2]}]",
            "\"a\"",
            "[]",
        ],
        |bytes| {
            let _shallow = json::check_depth(bytes);
            let _found = json::unsafe_integer(bytes);
            let Ok(text) = std::str::from_utf8(bytes) else {
                return;
            };
            if json::check_depth(bytes).is_ok() {
                let _items = json::items(text, "", 1_000);
                if let Ok(fields) = Fields::of(text, "") {
                    for (name, raw) in fields.into_members() {
                        let steps = json::steps(&json::pointer("", &name)).expect("a pointer");
                        match steps[0].strip_suffix('…') {
                            // A long name is cut where it is shown.
                            Some(start) if steps[0] != name => {
                                assert!(name.len() > start.len() && name.starts_with(start), "{name}");
                            }
                            _ => assert_eq!(steps[0], name),
                        }
                        assert_eq!(steps.len(), 1, "{name}");
                        let _kind = json::kind_of(raw.get());
                    }
                }
            }
            let body = Bytes::copy_from_slice(bytes);
            for write in [json::stable, json::compact] {
                if let Ok(once) = write(&body) {
                    assert_eq!(write(&once).ok(), Some(once), "written again, it is the same");
                }
            }
        },
    );
}

#[test]
fn cloudevents() {
    let binary = "ce-specversion: 1.0\nce-id: 1\nce-source: /a\nce-type: a.b\nce-time: 2026-05-19T16:30:00Z\n\
                  ce-subject: %C3%A9\nce-severity: high\ncontent-type: application/json\n\n{\"a\":1}";
    let structured = "content-type: application/cloudevents+json; charset=utf-8\n\n{\"specversion\":\"1.0\",\
                      \"id\":\"1\",\"source\":\"/a\",\"type\":\"a.b\",\"data\":{\"a\":1},\"severity\":\"high\"}";
    let batched = "content-type: application/cloudevents-batch+json\n\n[{\"specversion\":\"1.0\",\"id\":\"1\",\
                   \"source\":\"/a\",\"type\":\"a.b\",\"data_base64\":\"AQID\"}]";
    withstands(&[binary, structured, batched], |bytes| {
        let split = bytes
            .windows(2)
            .position(|window| window == b"\n\n")
            .unwrap_or(bytes.len());
        let (head, body) = bytes.split_at(split);
        let mut headers = HeaderMap::new();
        for line in head.split(|byte| *byte == b'\n').take(100) {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(&line[..colon]),
                HeaderValue::from_bytes(value),
            ) {
                headers.append(name, value);
            }
        }
        let body = Bytes::copy_from_slice(body.get(2..).unwrap_or_default());
        if let Ok(Some(mode)) = Mode::of(&headers) {
            let _drafts = mode.drafts(&headers, &body, 100);
        }
    });
}

#[test]
fn urls() {
    let seeds = [
        "https://example.com:8443/a?b=c#d",
        "http://[::ffff:7f00:1]/",
        "https://user:pw@例え.jp./%2e",
        "/v1/x?y=z",
    ];
    withstands(&seeds, |bytes| {
        let text = text(bytes);
        let base = check_url("https://example.com/in", &Policy::default()).expect("fine");
        for policy in [
            Policy::default(),
            Policy {
                allow_http: true,
                allow_private_networks: true,
                ..Policy::default()
            },
        ] {
            if let Ok(url) = check_url(&text, &policy) {
                assert_eq!(
                    check_url(url.as_str(), &policy).as_ref(),
                    Ok(&url),
                    "one spelling is checked again"
                );
            }
        }
        if let Ok(url) = with_path(&base, &text) {
            assert_eq!(
                (url.host_str(), url.port(), url.scheme()),
                (Some("example.com"), None, "https")
            );
        }
        let _masked = secret::masked_url(&text);
        let _parameter = query_parameter(&text, "b");
        let _network = network::parse(&text);
        let _rules = toml::from_str::<Policy>(&text);
    });
}

#[test]
fn filters() {
    let seeds = [
        "data.severity == \"critical\" && data.n > 1.5",
        "type.startsWith('alert.') ? size(data.list) in [1, 2] : has(data.a.b)",
        "data.tags.exists(t, t.matches('^a+$')) || !(subject != source)",
        "data['a'][0].b == timestamp(\"2026-05-19T16:30:00Z\") - duration('1h')",
        "b'\\x00' + r\"\\d\" != null ? 0x1F : -1u % 2",
    ];
    withstands(&seeds, |bytes| {
        if let Ok(filter) = Filter::compile(&text(bytes)) {
            let event = an_event(br#"{"severity":"critical","n":2,"list":[1],"a":{"b":0},"tags":["aa"]}"#);
            let _answer = filter.matches(&mut FilterContext::new(&event));
        }
    });
}

#[test]
fn data_under_a_filter() {
    withstands(
        &[r#"{"n":1.5,"list":["a",1],"a":{"b":null}}"#, "[1,2]", "\"a\""],
        |bytes| {
            let filters = [
                "data.n > 1",
                "data.list.exists(x, x == 'a')",
                "has(data.a.b) && size(data.a.b) > 0",
            ];
            let event = an_event(bytes);
            let mut context = FilterContext::new(&event);
            for filter in filters {
                let _answer = Filter::compile(filter)
                    .expect("it compiles")
                    .matches(&mut context);
            }
        },
    );
}

#[test]
fn patterns_types_and_names() {
    withstands(
        &["alert.*", "*", "a.b.c", "hookway.*", "high", "acme@3"],
        |bytes| {
            let text = text(bytes);
            if let Ok(pattern) = Pattern::parse(&text) {
                let _one = (pattern.matches(&text), pattern.matches("alert.created"));
            }
            let _checks = (
                event::check_type(&text),
                event::check_text(&text, 64),
                event::check_extension_name(&text),
            );
            let _essence = (event::essence(&text).len(), event::is_json(&text));
            let _choice = text.parse::<Choice>();
            let _nearest = json::nearest(
                &text.chars().take(64).collect::<String>(),
                &["events", "deliveries"],
            );
            let _place = JsonPlace::try_from(text.to_string());
            let _step = (json::steps(&text), json::index(&text));
        },
    );
}

#[test]
fn times_and_waits() {
    let seeds = [
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "120",
        "1h30m",
        "2026-05-19T16:30:00.123+02:00",
        "Sunday, 06-Nov-94 08:49:37 GMT",
    ];
    withstands(&seeds, |bytes| {
        let text = text(bytes);
        let now = Timestamp::from_millis(1_779_208_200_000);
        if let Some(wait) = retry_after(&[("retry-after".to_owned(), text.to_string())], now) {
            assert!(wait <= RETRY_AFTER_MAX, "{wait:?}");
        }
        let _wait = parse_wait(&text);
        if let Ok(time) = Timestamp::parse(&text) {
            assert_eq!(Timestamp::parse(&time.to_string()).ok(), Some(time));
        }
    });
}

#[test]
fn ids_keys_and_cursors() {
    let id = DeliveryId::from_number(1_234_567_890_123).to_string();
    let uuid = DeliveryId::from_number(1_234_567_890_123).to_uuid();
    let cursor = page::cursor(List::Events, 1_234_567_890_123);
    let seeds = [
        &id,
        &uuid,
        &cursor,
        "hw_0123456789abcdefghijklmnop",
        "read manage",
        &"ab".repeat(32),
    ];
    withstands(&seeds, |bytes| {
        let text = text(bytes);
        if let Ok(id) = text.parse::<DeliveryId>() {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        if let Ok(id) = DeliveryId::from_uuid(&text) {
            assert_eq!(DeliveryId::from_uuid(&id.to_uuid()), Ok(id));
        }
        for list in [
            List::Events,
            List::Deliveries,
            List::Subscriptions,
            List::Sources,
            List::Receptions,
            List::Operations,
        ] {
            if let Ok(number) = page::number_of(list, &text) {
                assert_eq!(
                    page::number_of(list, &page::cursor(list, number)).ok(),
                    Some(number)
                );
            }
        }
        let _other = (
            text.parse::<SubscriptionId>(),
            text.parse::<Digest>(),
            text.parse::<Scopes>(),
        );
        let _key = (check_key(&text), hash_key(&text), text.parse::<KeyPrefix>());
    });
}

#[test]
fn configuration() {
    let file = "data_dir = \"./x\"\n[server]\nlisten = \"127.0.0.1:0\"\n[egress]\nallow = [{ cidr = \"10.0.0.0/8\" }]\n\
                [plugins]\ncompile_wall_ms = \"20s\"\n[log]\nformat = \"json\"\n";
    withstands(
        &[
            file,
            "10s",
            "127.0.0.1:8080",
            "[{ host = \"n8n\", http = true }]",
            "1 GiB",
            "info,hookway=debug",
        ],
        |bytes| {
            let text = text(bytes).into_owned();
            let _from_file = resolve(&Given {
                file: Some((PathBuf::from("hookway.toml"), text.clone())),
                ..Given::default()
            });
            // As the value of some settings, others each time.
            let some = SETTINGS.iter().cycle().skip(text.len()).take(4);
            let variables = some.clone().flat_map(|setting| setting.variables());
            let _from_environment = resolve(&Given {
                environment: variables.map(|name| (name, text.clone())).collect(),
                ..Given::default()
            });
            let flags = some.map(|setting| ("--flag".to_owned(), setting.path.to_owned(), text.clone()));
            let _from_flags = resolve(&Given {
                flags: flags.collect(),
                ..Given::default()
            });
        },
    );
}

#[test]
fn profiles() {
    let seeds = [
        include_str!("../../host/src/profile/workflows.toml"),
        include_str!("../../host/src/profile/inboundflow.toml"),
        include_str!("../../host/src/profile/stripe.toml"),
        include_str!("../../host/src/profile/make.toml"),
        r#"{"name":"acme","version":1,"envelope":[["kind","{type}"],["at","{time:iso-s}"],["payload","{data}"]]}"#,
    ];
    withstands(&seeds, |bytes| {
        let text = text(bytes);
        let read = [
            toml::from_str::<Profile>(&text).ok(),
            serde_json::from_str::<Profile>(&text).ok(),
        ];
        for profile in read.into_iter().flatten() {
            let written = serde_json::to_string(&profile).expect("it is written");
            assert_eq!(
                serde_json::from_str::<Profile>(&written).ok(),
                Some(profile),
                "{written}"
            );
        }
    });
}

#[test]
fn verifications_and_schemes() {
    let paypal = include_str!("../../host/src/source/presets/paypal.toml");
    let scheme = "algorithm = \"hmac-sha256\"\nsecret = \"utf8\"\ninput = \"{ts}.{body}\"\nencoding = \"hex\"\n\
                  header = \"X-Signature\"\nformat = \"t={ts},v1={sig}\"\ntolerance_seconds = 300\n";
    let token = "kind = \"token\"\nplaces = [{ header = \"X-API-Key\" }, { query = \"api_key\" }]\n";
    withstands(&[paypal, scheme, token], |bytes| {
        let text = text(bytes);
        if let Ok(scheme) = toml::from_str::<Scheme>(&text) {
            let written = serde_json::to_string(&scheme).expect("it is written");
            assert_eq!(
                serde_json::from_str::<Scheme>(&written).ok(),
                Some(scheme),
                "{written}"
            );
        }
        let _verification = toml::from_str::<Verification>(&text);
    });
}

#[test]
fn schemas_and_payloads() {
    let schema = r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["a"],
        "properties":{"a":{"type":"string","pattern":"^a+$","maxLength":5},"b":{"$ref":"#/$defs/b"}},
        "$defs":{"b":{"anyOf":[{"type":"array","items":{"$ref":"#"}},{"enum":[1,"x"]}]}}}"##;
    withstands(
        &[
            schema,
            "true",
            "{\"format\":\"date-time\"}",
            "{\"allOf\":[{\"not\":{}}]}",
        ],
        |bytes| {
            let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(bytes) else {
                return;
            };
            if let Ok(schema) = Schema::compile(&raw) {
                for payload in ["{\"a\":\"aaa\",\"b\":[{\"a\":\"b\"}]}", "[]", "{"] {
                    let _violations = schema.violations(payload.as_bytes());
                }
            }
        },
    );
    withstands(&["{\"a\":\"aaa\",\"b\":[{\"a\":\"b\"}]}"], |bytes| {
        let schema =
            r##"{"properties":{"b":{"items":{"$ref":"#"}},"a":{"pattern":"^(a|b)*c$"}},"required":["a"]}"##;
        let raw: Box<RawValue> = serde_json::from_str(schema).expect("JSON");
        let _violations = Schema::compile(&raw).expect("a schema").violations(bytes);
    });
}

#[test]
fn languages() {
    withstands(&["es-MX, es;q=0.9, en;q=0.5, *;q=0", "en"], |bytes| {
        let text = text(bytes);
        let _tag = language::is_tag(&text);
        if let Some(chosen) = language::choose(&text, &["en", "es-MX", "pt"]) {
            assert!(["en", "es-MX", "pt"].contains(&chosen));
        }
    });
}

/// What is sealed opens only as it was sealed.
#[test]
fn sealed_values() {
    const KEY: [u8; 32] = [7; 32];
    const PLACE: Place<'static> = Place {
        tenant: 1,
        object: 2,
        field: "url",
    };
    let sealed = || {
        Vault::new(&KEY)
            .seal(PLACE, b"a secret", Nonce::from_bytes([9; 24]))
            .expect("sealed")
    };
    let found = mutate::runner(1_000).run(&mutate::mutated(vec![sealed()]), |bytes| {
        let opened = Vault::new(&KEY).open(PLACE, &bytes);
        assert_eq!(opened.is_ok(), bytes == sealed());
        Ok(())
    });
    assert!(found.is_ok(), "{found:?}");
}
