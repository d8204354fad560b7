//! The rules of CloudEvents 1.0.2, one by one, in all three modes.

use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

const BASE: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "A234-1234-1234"),
    ("ce-source", "https://github.com/cloudevents/spec/pull"),
    ("ce-type", "com.github.pull_request.opened"),
];

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn take(headers: &[(&str, &str)], body: &str) -> Result<Vec<Draft>, Vec<String>> {
    let headers = map(headers);
    let body = Bytes::copy_from_slice(body.as_bytes());
    let pointers = |faults: Faults| faults.into_vec().into_iter().map(|fault| fault.pointer).collect();
    let mode = Mode::of(&headers).map_err(pointers)?.expect("a CloudEvent");
    mode.drafts(&headers, &body, 3).map_err(|error| match error {
        Unreadable::Syntax(_) => vec!["syntax".to_owned()],
        Unreadable::Faults(faults) => pointers(faults),
    })
}

/// A request in binary mode with other headers in the place of, or beside, the usual ones.
fn binary(changes: &[(&str, &str)], body: &str) -> Result<Draft, Vec<String>> {
    let kept = BASE
        .iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let headers: Vec<_> = kept
        .chain(changes)
        .copied()
        .filter(|(_, value)| *value != "-")
        .collect();
    take(&headers, body).map(|mut drafts| drafts.remove(0))
}

fn structured(members: &str) -> Result<Draft, Vec<String>> {
    let body = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"a.b"{members}}}"#);
    take(&[("content-type", "application/cloudevents+json")], &body).map(|mut drafts| drafts.remove(0))
}

#[test]
fn the_mode_is_known_by_the_headers() {
    let of = |headers: &[(&str, &str)]| Mode::of(&map(headers)).map_err(|_| ());
    for (content_type, mode) in [
        ("application/cloudevents+json", Ok(Some(Mode::Structured))),
        (
            "Application/CloudEvents+JSON; charset=UTF-8",
            Ok(Some(Mode::Structured)),
        ),
        ("application/cloudevents-batch+json", Ok(Some(Mode::Batched))),
        ("application/cloudevents+json; charset=utf-16", Err(())),
        ("application/cloudevents+xml", Err(())),
        ("application/cloudevents-batch+avro", Err(())),
        ("application/cloudevents", Err(())),
        ("application/json", Ok(None)),
    ] {
        assert_eq!(of(&[("content-type", content_type)]), mode, "{content_type}");
        // Structured mode wins over headers that repeat the attributes.
        if let Ok(Some(mode)) = mode {
            assert_eq!(of(&[("content-type", content_type), BASE[0]]), Ok(Some(mode)));
        }
    }
    assert_eq!(
        of(&[BASE[0], ("content-type", "text/xml")]),
        Ok(Some(Mode::Binary))
    );
    assert_eq!(of(&[]), Ok(None));
}

#[test]
fn binary_mode_takes_attributes_from_headers_and_the_body_as_it_is() {
    let body = "{ \"n\" : 1.0 }\r\n";
    let draft = binary(
        &[
            ("content-type", "application/json; charset=utf-8"),
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80%25"),
            ("ce-time", "2018-04-05T17:31:00.5+02:00"),
            ("ce-comexampleextension1", "value"),
            ("ce-dataschema", "https://example.com/schema"),
            ("x-other", "y"),
        ],
        body,
    )
    .unwrap();
    assert_eq!(draft.id.as_deref(), Some("A234-1234-1234"));
    assert_eq!(
        draft.source.as_deref(),
        Some("https://github.com/cloudevents/spec/pull")
    );
    assert_eq!(draft.event_type, "com.github.pull_request.opened");
    assert_eq!(draft.subject.as_deref(), Some("Euro \u{20ac} \u{1f600}%"));
    assert_eq!(
        draft.time,
        Some(Timestamp::parse("2018-04-05T15:31:00.5Z").unwrap())
    );
    assert_eq!(
        draft.content_type.as_deref(),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        draft.extensions,
        [
            ("comexampleextension1", "value"),
            ("dataschema", "https://example.com/schema")
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(&draft.data[..], body.as_bytes());
}

#[test]
fn binary_data_is_what_its_media_type_says() {
    for (content_type, body, data, becomes) in [
        ("text/plain", "hello", "hello", Some("text/plain")),
        (
            "application/octet-stream",
            "{",
            "{",
            Some("application/octet-stream"),
        ),
        ("-", "[1]", "[1]", None),
        ("-", "<a/>", "<a/>", Some("application/octet-stream")),
        ("-", "", "null", None),
        ("application/json", "", "null", Some("application/json")),
        ("text/plain", "", "", Some("text/plain")),
    ] {
        let draft = binary(&[("content-type", content_type)], body).unwrap();
        assert_eq!(&draft.data[..], data.as_bytes(), "{content_type} {body}");
        assert_eq!(draft.content_type.as_deref(), becomes, "{content_type} {body}");
    }
    let deep = "[".repeat(65) + &"]".repeat(65);
    for body in ["{", "\u{feff}{}", &deep] {
        let faults = binary(&[("content-type", "application/json")], body).unwrap_err();
        assert_eq!(faults, [""], "{body:.9}");
    }
}

#[test]
fn faults_of_headers_name_the_header() {
    let long = "x".repeat(1_025);
    for (changes, place) in [
        (&[("ce-specversion", "0.3")][..], "ce-specversion"),
        (&[("ce-specversion", "1.1")], "ce-specversion"),
        (&[("ce-id", "-")], "ce-id"),
        (&[("ce-id", "")], "ce-id"),
        (&[("ce-id", "a%00")], "ce-id"),
        (&[("ce-id", "caf\u{e9}")], "ce-id"),
        (&[("ce-id", "%")], "ce-id"),
        (&[("ce-id", "%4")], "ce-id"),
        (&[("ce-id", "%zz")], "ce-id"),
        (&[("ce-id", "%+1")], "ce-id"),
        (&[("ce-source", "-")], "ce-source"),
        (&[("ce-source", "%ff")], "ce-source"),
        (&[("ce-type", "-")], "ce-type"),
        (&[("ce-type", "a b")], "ce-type"),
        (&[("ce-type", "a..b")], "ce-type"),
        (&[("ce-type", "hookway.x")], "ce-type"),
        (&[("ce-subject", "")], "ce-subject"),
        (&[("ce-subject", "\"a")], "ce-subject"),
        (&[("ce-subject", "\"a\"b")], "ce-subject"),
        (&[("ce-time", "yesterday")], "ce-time"),
        (&[("ce-datacontenttype", "text/plain")], "ce-datacontenttype"),
        (&[("ce-data", "x")], "ce-data"),
        (&[("ce-my-extension", "x")], "ce-my-extension"),
        (&[("ce-a23456789012345678901", "x")], "ce-a23456789012345678901"),
        (&[("ce-x", &long)], "ce-x"),
        (&[("ce-x", "1"), ("ce-x", "2")], "ce-x"),
        (
            &[("content-type", "text/plain"), ("content-type", "text/xml")],
            "content-type",
        ),
    ] {
        // A header that cannot be read is missing as well.
        let faults = binary(changes, "1").unwrap_err();
        assert!(
            faults.iter().all(|fault| fault == place),
            "{changes:?}: {faults:?}"
        );
    }
}

#[test]
fn quotes_of_older_senders_are_taken_off() {
    for (value, subject) in [
        ("\"a b\"", "a b"),
        ("\"a\\\"b\\\\\"", "a\"b\\"),
        ("\"%41\"", "A"),
        ("a\"b", "a\"b"),
        ("%2541", "%41"),
        ("%22a%22", "\"a\""),
    ] {
        assert_eq!(
            binary(&[("ce-subject", value)], "1").unwrap().subject.as_deref(),
            Some(subject),
            "{value}"
        );
    }
}

#[test]
fn structured_data_is_a_slice_of_the_body() {
    let text = r#"{ "data" : {"b": 1.0,  "a": 12345678901234567890123}, "specversion":"1.0","id":"1","source":"/s","type":"a.b"}"#;
    let body = Bytes::from_static(text.as_bytes());
    let draft = Mode::Structured
        .drafts(&HeaderMap::new(), &body, 1)
        .unwrap()
        .remove(0);
    assert_eq!(&draft.data[..], br#"{"b": 1.0,  "a": 12345678901234567890123}"#);
    assert!(
        body.as_ptr_range().contains(&draft.data.as_ptr()),
        "a slice, not a copy"
    );
    assert_eq!(draft.content_type, None);
}

#[test]
fn structured_data_by_its_media_type() {
    for (members, data) in [
        ("", "null"),
        (r#","data":null"#, "null"),
        (r#","data":"text""#, "\"text\""),
        (r#","data":[1 , 2]"#, "[1 , 2]"),
        (
            r#","datacontenttype":"application/vnd.x+json","data":"x""#,
            "\"x\"",
        ),
        (
            r#","datacontenttype":"text/xml","data":"<much wow=\"xml\"/>""#,
            "<much wow=\"xml\"/>",
        ),
        (r#","datacontenttype":"text/plain""#, ""),
        (r#","datacontenttype":"text/plain","data":null"#, ""),
        (
            r#","datacontenttype":"application/octet-stream","data_base64":"AQID""#,
            "\u{1}\u{2}\u{3}",
        ),
        (r#","data_base64":"e30=""#, "{}"),
        (r#","data":null,"data_base64":"e30=""#, "{}"),
    ] {
        assert_eq!(
            &structured(members).unwrap().data[..],
            data.as_bytes(),
            "{members}"
        );
    }
    for (members, place) in [
        (r#","datacontenttype":"text/plain","data":{}"#, "/data"),
        (r#","datacontenttype":7"#, "/datacontenttype"),
        (r#","data":1,"data_base64":"e30=""#, "/data_base64"),
        (r#","data_base64":"e30""#, "/data_base64"),
        (r#","data_base64":7"#, "/data_base64"),
        (r#","data_base64":"/w==""#, "/data_base64"),
    ] {
        assert_eq!(structured(members).unwrap_err(), [place], "{members}");
    }
}

#[test]
fn extensions_have_three_types_and_are_text() {
    let draft = structured(r#","a":"x","b":true,"c":-7,"d":null,"dataschema":"u","e":"""#).unwrap();
    let given: Vec<_> = draft
        .extensions
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        given,
        [
            ("a", "x"),
            ("b", "true"),
            ("c", "-7"),
            ("dataschema", "u"),
            ("e", "")
        ]
    );
    for (members, place) in [
        (r#","a":1.5"#, "/a"),
        (r#","a":2147483648"#, "/a"),
        (r#","a":1e3"#, "/a"),
        (r#","a":{}"#, "/a"),
        (r#","a":[]"#, "/a"),
        (r#","a":"\u0000""#, "/a"),
        (r#","Camel":"x""#, "/Camel"),
        (r#","a_b":"x""#, "/a_b"),
        (r#","a/b":"x""#, "/a~1b"),
        (r#","a":1,"a":2"#, "/a"),
    ] {
        assert_eq!(structured(members).unwrap_err(), [place], "{members}");
    }
    let many: String = (0..=event::EXTENSIONS_MAX)
        .map(|n| format!(r#","x{n}":1"#))
        .collect();
    assert_eq!(structured(&many).unwrap_err(), [""]);
}

#[test]
fn structured_events_need_their_attributes() {
    let json = [("content-type", "application/cloudevents+json")];
    for (body, places) in [
        ("{}", &["/id", "/source", "/type", "/specversion"][..]),
        (
            r#"{"specversion":"0.3"}"#,
            &["/id", "/source", "/type", "/specversion"],
        ),
        (r#"{"specversion":1.0}"#, &["/specversion"]),
        (r#"{"specversion":"1.0"}"#, &["/id", "/source", "/type"]),
        (
            r#"{"specversion":"1.0","id":"","source":"","type":""}"#,
            &["/id", "/source", "/type"],
        ),
        (
            r#"{"specversion":"1.0","id":7,"source":"/s","type":"a"}"#,
            &["/id"],
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"a","time":"x"}"#,
            &["/time"],
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"a","subject":""}"#,
            &["/subject"],
        ),
        ("[]", &[""]),
        ("{", &["syntax"]),
        ("", &["syntax"]),
    ] {
        assert_eq!(take(&json, body).unwrap_err(), places, "{body}");
    }
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(take(&json, &deep).unwrap_err(), ["syntax"]);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"a.b","data":1}"#;
    assert_eq!(take(&batch, &format!("[{good},{good}]")).unwrap().len(), 2);
    let bad = format!(r#"[{good},{{"specversion":"1.0","id":"1","source":"/s","type":"a b"}},7]"#);
    assert_eq!(take(&batch, &bad).unwrap_err(), ["/1/type", "/2"]);
    assert_eq!(
        take(&batch, &format!("[{good},{good},{good},{good}]")).unwrap_err(),
        [""]
    );
    assert_eq!(take(&batch, "[]").unwrap_err(), [""]);
    assert_eq!(take(&batch, good).unwrap_err(), [""]);
}

proptest! {
    #[test]
    fn any_header_and_body_is_answered_without_a_panic(
        value in "[ -~]{0,30}",
        body in "[\\[\\]{}\",:a-c\\\\0-9 ]{0,64}",
        name in "ce-[a-z0-9-]{0,22}",
    ) {
        let _binary = binary(&[(name.as_str(), &value), ("content-type", "application/json")], &body);
        let _structured = structured(&format!(",{body}"));
        let _batch = take(&[("content-type", "application/cloudevents-batch+json")], &body);
    }

    #[test]
    fn what_is_percent_encoded_comes_back(text in "\\PC{1,40}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(binary(&[("ce-subject", &encoded)], "1").unwrap().subject, Some(text));
    }
}
