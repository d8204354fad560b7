//! What becomes an attribute, and what is refused.

use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::*;
use crate::event::check_type;

fn read(mapping: &Mapping) -> Result<Attributes, Vec<json::Fault>> {
    let mut faults = Faults::default();
    let attributes = Attributes::read(mapping, "/events", &mut faults);
    faults.or(attributes).map_err(Faults::into_vec)
}

fn list(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(ToString::to_string).collect())
}

fn mapping(types: &[&str], ids: &[&str], subjects: &[&str]) -> Mapping {
    Mapping {
        event_type: list(types),
        id: list(ids),
        subject: list(subjects),
        ..Mapping::default()
    }
}

fn drafts(mapping: &Mapping, headers: &[(&'static str, &str)], body: &str) -> Result<Vec<Draft>, Refused> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = Request {
        method: &Method::POST,
        headers: &headers,
        query: None,
        body: &body,
    };
    let drafts = read(mapping).unwrap().drafts(&request, "shop", event::JSON)?;
    for draft in drafts.iter().filter(|draft| !draft.data.is_empty()) {
        assert!(
            body.as_ptr_range().contains(&draft.data.as_ptr()),
            "a slice, not a copy"
        );
    }
    Ok(drafts)
}

#[test]
fn the_first_alternative_that_is_all_there_is_taken() {
    let github = mapping(
        &[
            "github.{header:x-github-event}.{json:/action}",
            "github.{header:x-github-event}",
            "github.event",
        ],
        &["{header:x-github-delivery}"],
        &["{json:/repository/full_name}"],
    );
    let headers = [("x-github-event", "issues"), ("x-github-delivery", "d-1")];
    let body = r#"{"action":"opened","repository":{"full_name":"a/b"}}"#;
    let draft = drafts(&github, &headers, body).unwrap().remove(0);
    assert_eq!(draft.event_type, "github.issues.opened");
    assert_eq!(draft.id.as_deref(), Some("d-1"));
    assert_eq!(draft.subject.as_deref(), Some("a/b"));
    assert_eq!(draft.source.as_deref(), Some("shop"));
    assert_eq!(&draft.data[..], body.as_bytes());
    for absent in [
        r#"{"action":null}"#,
        r#"{"action":""}"#,
        r#"{"action":{}}"#,
        "{}",
        "hello",
    ] {
        let draft = drafts(&github, &headers, absent).unwrap().remove(0);
        assert_eq!(
            (draft.event_type.as_str(), draft.subject),
            ("github.issues", None),
            "{absent}"
        );
    }
    assert_eq!(drafts(&github, &[], "{}").unwrap()[0].event_type, "github.event");
}

#[test]
fn without_a_type_nothing_is_accepted() {
    let refused = drafts(&mapping(&["{json:/type}"], &[], &[]), &[], "{}").unwrap_err();
    assert_eq!(refused.reason, Refusal::Attributes);
    assert!(refused.detail.contains("{json:/type}"), "{}", refused.detail);
    let own = drafts(&mapping(&["{json:/t}"], &[], &[]), &[], r#"{"t":"hookway.x"}"#).unwrap_err();
    assert!(own.detail.contains("Hookway's own"), "{}", own.detail);
}

#[test]
fn types_are_cleaned() {
    let long = "a".repeat(200);
    for (text, clean) in [
        ("Push Hook", "Push_Hook"),
        ("a  b\t\u{e9}c", "a_b_c"),
        ("a..b.", "a.b"),
        (".", ""),
        ("orders/create", "orders/create"),
        ("a:b", "a:b"),
        (" ", "_"),
        (&long, &long[..128]),
        (&format!("x.{long}.y"), "x"),
        (
            &format!("{}.{}", "a".repeat(100), "b".repeat(27)),
            &format!("{}.{}", "a".repeat(100), "b".repeat(27)),
        ),
        (
            &format!("{}.{}", "a".repeat(100), "b".repeat(28)),
            &"a".repeat(100),
        ),
    ] {
        assert_eq!(clean_type(text), clean, "{text}");
    }
}

#[test]
fn ids_and_subjects_stay_what_they_are_or_are_refused() {
    let both = mapping(&["x"], &["{json:/id}"], &["{json:/s}"]);
    let long = "é".repeat(300);
    let draft = drafts(&both, &[], &format!(r#"{{"id":"{long}","s":"{long}"}}"#))
        .unwrap()
        .remove(0);
    assert_eq!(draft.id, Some(Digest::of(long.as_bytes()).to_string()));
    assert_eq!(draft.subject.as_deref(), Some(&long[..512]));
    let number = drafts(&both, &[], r#"{"id":12345678901234567890123,"s":true}"#)
        .unwrap()
        .remove(0);
    assert_eq!(number.id.as_deref(), Some("12345678901234567890123"));
    assert_eq!(number.subject.as_deref(), Some("true"));
    for body in [r#"{"id":"a\u0000"}"#, r#"{"s":"a\nb"}"#] {
        assert_eq!(
            drafts(&both, &[], body).unwrap_err().reason,
            Refusal::Attributes,
            "{body}"
        );
    }
}

#[test]
fn a_split_body_is_many_events_and_keeps_its_bytes() {
    let split = |pointer: &str| Mapping {
        split: Some(pointer.to_owned()),
        ..mapping(&["mail.{json:/event}"], &["{json:/id}", "{sha256}"], &[])
    };
    let body = "[ {\"event\":\"open\",\"id\":1.0}, {\"event\" : \"click\"} ]\r\n";
    let made = drafts(&split(""), &[], body).unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(&made[0].data[..], br#"{"event":"open","id":1.0}"#);
    assert_eq!(made[0].id.as_deref(), Some("1.0"));
    assert_eq!(&made[1].data[..], br#"{"event" : "click"}"#);
    assert_eq!(made[1].id, Some(Digest::of(&made[1].data).to_string()));
    assert_eq!(
        drafts(&split("/a/b"), &[], r#"{"a":{"b":[{"event":"x"}]}}"#)
            .unwrap()
            .len(),
        1
    );
    let many = format!("[{}]", vec![r#"{"event":"x"}"#; ITEMS_MAX + 1].join(","));
    for bad in ["[]", "{}", "7", "", r#"[{"event":"x"}"#, &many] {
        assert_eq!(
            drafts(&split(""), &[], bad).unwrap_err().reason,
            Refusal::MalformedBody,
            "{bad:.20}"
        );
    }
    // All or nothing: one item without a type refuses the request.
    assert!(drafts(&split(""), &[], r#"[{"event":"x"},{}]"#).is_err());
}

#[test]
fn faults_say_where_they_are() {
    let cases: [(Mapping, &str, &str); 9] = [
        (mapping(&["a", "a b"], &[], &[]), "/events/type/1", "segments"),
        (mapping(&["a..{json:/b}"], &[], &[]), "/events/type/0", "segments"),
        (
            mapping(&["hookway.{json:/b}"], &[], &[]),
            "/events/type/0",
            "Hookway's own",
        ),
        (mapping(&["a"], &["{id}"], &[]), "/events/id/0", "unknown"),
        (
            mapping(&["a"], &[], &["{json:x}"]),
            "/events/subject/0",
            "JSON Pointer",
        ),
        (mapping(&["a"; 9], &[], &[]), "/events/type", "more than 8"),
        (mapping(&[], &[], &[]), "/events/type", "one alternative"),
        (
            mapping(&["a"], &["{hmac-sha256-hex:json:/a}"], &[]),
            "/events/id/0",
            "unknown",
        ),
        (
            Mapping {
                split: Some("x".into()),
                ..mapping(&["a"], &[], &[])
            },
            "/events/split",
            "JSON Pointer",
        ),
    ];
    for (mapping, pointer, detail) in cases {
        let faults = read(&mapping).unwrap_err();
        assert_eq!(faults[0].pointer, pointer);
        assert!(faults[0].detail.contains(detail), "{faults:?}");
    }
}

proptest! {
    #[test]
    fn whatever_becomes_a_type_is_one(text in "\\PC{0,200}") {
        let clean = clean_type(&text);
        prop_assert!(clean.is_empty() || check_type(&clean).is_ok(), "{clean}");
        prop_assert_eq!(clean_type(&clean), clean.clone());
        if check_type(&text).is_ok() {
            prop_assert_eq!(clean, text);
        }
    }

    #[test]
    fn any_body_is_taken_or_refused_without_a_panic(body in "[\\[\\]{}\",:a-c\\\\0-9 \u{e9}]{0,64}") {
        let split = Mapping { split: Some("/a".into()), ..mapping(&["x", "{json:/b}"], &["{json:/c}", "{sha256}"], &[]) };
        let _either = drafts(&split, &[], &body);
        let whole = drafts(&mapping(&["x"], &["{json:/c}"], &[]), &[], &body);
        if let Ok(whole) = whole {
            prop_assert_eq!(&whole[0].data[..], body.as_bytes());
        }
    }
}
