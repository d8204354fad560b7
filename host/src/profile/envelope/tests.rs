//! What envelopes make of data, and which make no sense.

use proptest::prelude::*;

use super::*;
use crate::event::Event;
use crate::id::Id;
use crate::profile::About;
use crate::time::Timestamp;

fn event(content_type: &str, data: &[u8]) -> Event {
    Event {
        id: Id::from_number(1 << 40),
        tenant: Id::from_number(1),
        source: "a\"b\\c\u{1}".to_owned(),
        producer_id: None,
        event_type: "t".to_owned(),
        subject: None,
        time: Timestamp::from_millis(0),
        received_at: Timestamp::from_millis(0),
        content_type: content_type.to_owned(),
        extensions: Vec::new(),
        headers: Vec::new(),
        data: Bytes::copy_from_slice(data),
        hops: 0,
    }
}

fn envelope(text: &str) -> Envelope {
    serde_json::from_str(text).unwrap()
}

fn wrap(envelope: &Envelope, event: &Event, content_type: &str) -> Rendered {
    let facts = Facts {
        about: About {
            event,
            delivery: Id::from_number(2),
            subscription: Id::from_number(3),
            tenant: "org \"1\"",
        },
        shown_type: &event.event_type,
        content_type,
        version: 7,
        attempt_at: None,
    };
    envelope.wrap(&facts, event.data.clone())
}

fn wrapped(envelope: &Envelope, event: &Event) -> Bytes {
    wrap(envelope, event, &event.content_type).body.into_bytes()
}

#[test]
fn fields_keep_their_order_and_may_follow_the_data() {
    let envelope =
        envelope(r#"[["subject","{subject}"],["a","x {type}"],["data","{data}"],["source","{source}"]]"#);
    let text = wrapped(&envelope, &event("application/json", b" [1, 2]"));
    assert_eq!(
        text,
        &br#"{"a":"x t","data": [1, 2],"source":"a\"b\\c\u0001"}"#[..]
    );
    let again: Envelope = serde_json::from_str(&serde_json::to_string(&envelope).unwrap()).unwrap();
    assert_eq!(again, envelope);
}

#[test]
fn what_is_not_json_becomes_base64() {
    let envelope = envelope(r#"[["data","{data}"],["type","{type}"]]"#);
    let text = wrapped(&envelope, &event("text/plain", b"hi \"you\""));
    assert_eq!(text, &br#"{"data_base64":"aGkgInlvdSI=","type":"t"}"#[..]);
    assert_eq!(
        wrapped(&envelope, &event("text/plain", b"")),
        &br#"{"data_base64":"","type":"t"}"#[..]
    );
    assert_eq!(
        wrapped(&envelope, &event("application/json", b" ")),
        &br#"{"data":null,"type":"t"}"#[..]
    );
}

#[test]
fn extensions_are_fields_of_their_own_and_replace_none() {
    let mut event = event("text/plain", b"x");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    event.extensions = vec![
        pair("traceparent", "00-\"a\""),
        pair("type", "other"),
        pair("data", "other"),
    ];
    let plain = envelope(r#"[["*","{extensions}"],["type","{type}"],["data","{data}"]]"#);
    assert_eq!(
        wrapped(&plain, &event),
        &br#"{"traceparent":"00-\"a\"","type":"t","data_base64":"eA=="}"#[..]
    );
    let prefixed = envelope(r#"[["data","{data}"],["x_*","{extensions}"]]"#);
    assert_eq!(
        wrapped(&prefixed, &event),
        &br#"{"data_base64":"eA==","x_traceparent":"00-\"a\"","x_type":"other","x_data":"other"}"#[..]
    );
    event.extensions = vec![pair("base64", "other")];
    let clash = envelope(r#"[["data_*","{extensions}"],["data","{data}"]]"#);
    assert_eq!(wrapped(&clash, &event), &br#"{"data_base64":"eA=="}"#[..]);
}

#[test]
fn an_envelope_may_have_a_media_type_and_stand_in_an_array() {
    let envelope = envelope(
        r#"{"content_type":"application/x+json","shape":"array","fields":[["m","{datacontenttype}"],["d","{data}"]]}"#,
    );
    let event = event("application/json", b"[ 1 ]");
    let rendered = wrap(&envelope, &event, "application/y+json");
    assert_eq!(rendered.content_type, "application/x+json");
    assert_eq!(
        rendered.body.into_bytes(),
        &br#"[{"m":"application/y+json","d":[ 1 ]}]"#[..]
    );
    let again: Envelope = serde_json::from_str(&serde_json::to_string(&envelope).unwrap()).unwrap();
    assert_eq!(again, envelope);
}

#[test]
fn envelopes_that_make_no_sense_are_refused() {
    for text in [
        r#""all""#,
        "[]",
        r#"[["a","{type}"]]"#,
        r#"[["a","{data}"],["b","{data}"]]"#,
        r#"[["a","x{data}"]]"#,
        r#"[["a","{data}"],["a","x"]]"#,
        r#"[["d","{data}"],["a","{color}"]]"#,
        r#"{"d":"{data}"}"#,
        r#"[["d","{data}"],["a","{extensions}"]]"#,
        r#"[["d","{data}"],["*","{type}"]]"#,
        r#"[["x*","{data}"]]"#,
        r#"[["o",[["*","{data}"]]]]"#,
        r#"[["o",[["d","{data}"]]],["d","{data}"]]"#,
        r#"[["o",[["d","{type}"]]]]"#,
        r#"[["d","{data}"],["o",[["a","x"],["a","y"]]]]"#,
        r#"[["d","{data}"],["o",[]]]"#,
        r#"[["d","{data}"],["n",{"number":"{time}"}]]"#,
        r#"[["d","{data}"],["n",{"number":"1"}]]"#,
        r#"[["d","{data}"],["n",{"number":"{version}","json":"1"}]]"#,
        r#"[["d","{data}"],["n",{"json":"{"}]]"#,
        r#"[["d","{data}"],["n",{}]]"#,
        r#"[["d","{data}"],["n",18446744073709551615]]"#,
        r#"[["d","{data}"],["t","{attempt:unix}"]]"#,
        r#"[["d","{data}",1]]"#,
        r#"["d","{data}"]"#,
        r#"[["d","{data}"],["**","{extensions}"]]"#,
        r#"[["d","{data}"],["*","{extensions}"],["x_*","{extensions}"]]"#,
        r#"{"fields":[["a","{type}"]]}"#,
        r#"{"fields":[["d","{data}"]],"content_type":"a\nb"}"#,
        r#"{"fields":[["d","{data}"]],"content_type":""}"#,
        r#"{"fields":[["d","{data}"]],"shape":"map"}"#,
        r#"{"fields":[["d","{data}"]],"color":1}"#,
        r#"{"content_type":"a/b"}"#,
    ] {
        assert!(serde_json::from_str::<Envelope>(text).is_err(), "{text}");
    }
}

#[test]
fn values_may_be_objects_numbers_and_fixed() {
    let written = concat!(
        r#"[["id","{event_id}"],["object","event"],["created",{"number":"{time:unix}"}],"#,
        r#"["data",[["object","{data}"],["previous",{"json":"{ }"}]]],["live",false],["n",-1],["f",1.5],"#,
        r#"["v",{"number":"{version}"}],["none",{"json":"null"}],["gone",[["subject","{subject}"]]]]"#,
    );
    let envelope = envelope(written);
    assert_eq!(serde_json::to_string(&envelope).unwrap(), written);
    let event = Event {
        time: Timestamp::from_millis(1_779_208_200_987),
        ..event("application/json", b"{\"a\": 1.0}")
    };
    let expected = format!(
        concat!(
            r#"{{"id":"{}","object":"event","created":1779208200,"data":{{"object":{{"a": 1.0}},"previous":{{}}}},"#,
            r#""live":false,"n":-1,"f":1.5,"v":7,"none":null,"gone":{{}}}}"#,
        ),
        event.id
    );
    let rendered = wrap(&envelope, &event, &event.content_type);
    let Body::Spliced { data, .. } = &rendered.body else {
        panic!("spliced")
    };
    assert_eq!(
        data.as_ptr(),
        event.data.as_ptr(),
        "spliced byte for byte, deep inside too"
    );
    assert_eq!(rendered.body.into_bytes(), expected);
    // TOML has no null; what it can say, it says and reads again.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        envelope: Envelope,
    }
    let file = File { envelope };
    let text = toml::to_string(&file).unwrap();
    assert_eq!(toml::from_str::<File>(&text).unwrap(), file, "{text}");
    let null: Envelope = serde_json::from_str(r#"[["n",null],["d","{data}"]]"#).unwrap();
    assert_eq!(
        serde_json::to_string(&null).unwrap(),
        r#"[["n",{"json":"null"}],["d","{data}"]]"#
    );
}

#[test]
fn data_that_is_not_json_is_base64_deep_inside_too() {
    let envelope = envelope(r#"[["a",[["b",[["data","{data}"]]],["c","x"]]],["d",1]]"#);
    let text = wrapped(&envelope, &event("text/plain", b"hi"));
    assert_eq!(text, &br#"{"a":{"b":{"data_base64":"aGk="},"c":"x"},"d":1}"#[..]);
}

#[test]
fn envelopes_are_bounded() {
    let nested = |levels: usize| {
        format!(
            "{}[\"d\",\"{{data}}\"]{}",
            "[[\"o\",".repeat(levels - 1) + "[",
            "]".to_owned() + &"]]".repeat(levels - 1)
        )
    };
    assert!(serde_json::from_str::<Envelope>(&nested(ENVELOPE_DEPTH_MAX)).is_ok());
    let error = serde_json::from_str::<Envelope>(&nested(ENVELOPE_DEPTH_MAX + 1)).unwrap_err();
    assert!(error.to_string().contains("at most 8 objects"), "{error}");
    assert!(serde_json::from_str::<Envelope>(&nested(100)).is_err());
    let many = |count: usize| {
        let fields: Vec<String> = (1..count).map(|n| format!(r#"["f{n}",[["x","y"]]]"#)).collect();
        format!(r#"[["d","{{data}}"],{}]"#, fields.join(","))
    };
    assert!(serde_json::from_str::<Envelope>(&many(16)).is_ok());
    let error = serde_json::from_str::<Envelope>(&many(17)).unwrap_err();
    assert!(error.to_string().contains("at most 32 fields"), "{error}");
}

proptest! {
    #[test]
    fn data_is_spliced_byte_for_byte(
        numbers in prop::collection::vec(any::<f64>(), 0..5),
        text in ".{0,20}",
    ) {
        let data = serde_json::json!({ "numbers": numbers, "text": text }).to_string();
        let envelope = envelope(r#"[["type","{type}"],["data","{data}"]]"#);
        let event = event("application/json", data.as_bytes());
        let rendered = wrap(&envelope, &event, &event.content_type);
        let Body::Spliced { data: spliced, .. } = &rendered.body else { panic!() };
        prop_assert_eq!(spliced.as_ptr(), event.data.as_ptr());
        let length = rendered.body.len();
        let bytes = rendered.body.into_bytes();
        prop_assert_eq!(bytes.len(), length);
        let parsed: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(parsed["data"].get(), data);
    }

    #[test]
    fn any_bytes_give_valid_json(
        data in prop::collection::vec(any::<u8>(), 0..100),
        source in "\\PC{0,30}",
    ) {
        let envelope = envelope(r#"[["source","{source}"],["data","{data}"]]"#);
        let mut event = event("application/octet-stream", &data);
        event.source = source.clone();
        let parsed: serde_json::Value = serde_json::from_slice(&wrapped(&envelope, &event)).unwrap();
        prop_assert_eq!(parsed["source"].as_str(), Some(source.as_str()));
        let decoded = BASE64.decode(parsed["data_base64"].as_str().unwrap().as_bytes()).unwrap();
        prop_assert_eq!(decoded, data);
    }
}
