//! How the JSON of a body is written in each mode, what cannot be written, and what is warned of.

use proptest::prelude::*;

use super::*;

fn profile(mode: &str, envelope: &serde_json::Value) -> Profile {
    read(&serde_json::json!({ "body": mode, "envelope": envelope })).unwrap()
}

fn read(document: &serde_json::Value) -> Result<Profile, String> {
    let mut whole = serde_json::json!({ "name": "modes", "version": 3, "envelope": "none" });
    for (name, value) in document.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_str(&whole.to_string()).map_err(|error| error.to_string())
}

fn of(content_type: &str, data: &[u8]) -> Event {
    Event {
        content_type: content_type.to_owned(),
        data: Bytes::copy_from_slice(data),
        ..event()
    }
}

fn body(profile: &Profile, event: &Event) -> String {
    let body = rendered(profile, event).body.into_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn fields() -> serde_json::Value {
    serde_json::json!([["2", "b"], ["type", "{type}"], ["1", "a"], ["data", "{data}"]])
}

#[test]
fn each_mode_writes_json_in_its_way() {
    let data = b" { \"b\" : 1.0, \"10\":[ 1E2 , \"\\/\" ], \"9\" : 0, \"b\":2.50 }";
    let event = of("application/json", data);
    for (mode, bare, wrapped) in [
        (
            "raw",
            " { \"b\" : 1.0, \"10\":[ 1E2 , \"\\/\" ], \"9\" : 0, \"b\":2.50 }",
            "{\"2\":\"b\",\"type\":\"alert.created\",\"1\":\"a\",\"data\": { \"b\" : 1.0, \"10\":[ 1E2 , \"\\/\" ], \"9\" : 0, \"b\":2.50 }}",
        ),
        (
            "compact",
            r#"{"b":1.0,"10":[1E2,"\/"],"9":0,"b":2.50}"#,
            r#"{"2":"b","type":"alert.created","1":"a","data":{"b":1.0,"10":[1E2,"\/"],"9":0,"b":2.50}}"#,
        ),
        (
            "js-stable-json",
            r#"{"9":0,"10":[100,"/"],"b":2.5}"#,
            r#"{"1":"a","2":"b","type":"alert.created","data":{"9":0,"10":[100,"/"],"b":2.5}}"#,
        ),
    ] {
        assert_eq!(body(&profile(mode, &serde_json::json!("none")), &event), bare);
        assert_eq!(body(&profile(mode, &fields()), &event), wrapped, "{mode}");
    }
}

#[test]
fn what_is_no_json_is_left_alone_or_stands_in_base64() {
    for mode in ["raw", "compact", "js-stable-json"] {
        let bare = profile(mode, &serde_json::json!("none"));
        let event = of("text/plain", b"{ \"not\": read }");
        let made = rendered(&bare, &event).body.into_bytes();
        assert_eq!(made.as_ptr(), event.data.as_ptr(), "{mode}: no copy is made");
        let wrapped = profile(mode, &serde_json::json!([["data", "{data}"]]));
        assert_eq!(
            body(&wrapped, &of("text/plain", b"hi")),
            r#"{"data_base64":"aGk="}"#
        );
        // An event without data.
        assert_eq!(body(&bare, &of("application/json", b"")), "");
        assert_eq!(body(&wrapped, &of("application/json", b" ")), r#"{"data":null}"#);
    }
}

#[test]
fn what_is_said_to_be_json_and_is_not_is_a_fault_where_it_is_read() {
    let event = of("application/json", b"{\"a\":1,}");
    assert_eq!(
        body(&profile("raw", &serde_json::json!("none")), &event),
        "{\"a\":1,}"
    );
    for mode in ["compact", "js-stable-json"] {
        let fault = profile(mode, &fields()).render(about(&event)).unwrap_err();
        let text = fault.to_string();
        assert!(
            text.contains("said to be JSON") && text.contains("a key in quotes"),
            "{text}"
        );
    }
}

/// WF-10, IB-11: what a plugin made is written as the profile wants it; what is so already is not copied.
#[test]
fn what_a_plugin_made_is_written_in_the_same_mode() {
    let made = Bytes::from_static(b"{ \"n\": 1.0 }");
    let stable = Bytes::from_static(b"{\"n\":1}");
    for (mode, content_type, expected) in [
        ("raw", "application/json", "{ \"n\": 1.0 }"),
        ("compact", "application/json", "{\"n\":1.0}"),
        ("js-stable-json", "application/json; charset=utf-8", "{\"n\":1}"),
        ("js-stable-json", "application/vnd.x+json", "{\"n\":1}"),
        ("js-stable-json", "text/plain", "{ \"n\": 1.0 }"),
    ] {
        let profile = profile(mode, &serde_json::json!("none"));
        assert_eq!(profile.normalise(content_type, made.clone()).unwrap(), expected);
        let same = profile.normalise(content_type, stable.clone()).unwrap();
        assert_eq!(same.as_ptr(), stable.as_ptr(), "{mode}");
        assert_eq!(profile.normalise(content_type, Bytes::new()).unwrap(), "");
    }
    let profile = profile("js-stable-json", &serde_json::json!("none"));
    assert!(
        profile
            .normalise("application/json", Bytes::from_static(b"{"))
            .is_err()
    );
}

#[test]
fn a_form_has_a_pair_for_each_field() {
    let event = Event {
        subject: None,
        extensions: vec![("traceparent".to_owned(), "00-a b".to_owned())],
        ..of("application/json", b"{ \"a\": \"x&y\" }")
    };
    let profile = super::modes::profile(
        "form",
        &serde_json::json!([
            ["type", "{type}"], ["subject", "{subject}"], ["v", {"number": "{version}"}], ["live", true],
            ["x_*", "{extensions}"], ["meta", [["id", "{tenant}"]]], ["data", "{data}"]
        ]),
    );
    let made = rendered(&profile, &event);
    assert_eq!(made.content_type, "application/x-www-form-urlencoded");
    assert_eq!(
        made.body.into_bytes(),
        "type=alert.created&v=3&live=true&x_traceparent=00-a+b&meta=%7B%22id%22%3A%22org_abc123%22%7D\
         &data=%7B+%22a%22%3A+%22x%26y%22+%7D"
    );
    assert_eq!(
        body(&profile, &of("text/plain", b"hi")),
        "type=alert.created&v=3&live=true&meta=%7B%22id%22%3A%22org_abc123%22%7D&data_base64=aGk%3D"
    );
}

#[test]
fn a_form_may_spread_the_members_of_the_data() {
    let profile = profile("form", &serde_json::json!([["type", "{type}"], ["*", "{data}"]]));
    let data = r#"{ "name": "José & co", "total": 1.50, "paid": true, "note": null, "items": [ 1, "a" ], "type": "forged", "a b": {} }"#;
    assert_eq!(
        body(&profile, &of("application/json", data.as_bytes())),
        "type=alert.created&name=Jos%C3%A9+%26+co&total=1.50&paid=true&note=null&items=%5B+1%2C+%22a%22+%5D&a+b=%7B%7D"
    );
    for (content_type, data) in [
        ("application/json", "[1]"),
        ("application/json", ""),
        ("application/json", "{\"a\":1,\"a\":2}"),
        ("application/json", "{\"a\":\"\\ud800\"}"),
        ("application/json", "{"),
        ("text/plain", "{}"),
    ] {
        let event = of(content_type, data.as_bytes());
        let fault = profile.render(about(&event)).unwrap_err().to_string();
        assert!(fault.starts_with("the data is no JSON object"), "{data}: {fault}");
    }
}

#[test]
fn forms_are_checked_when_a_profile_is_read() {
    let spread = serde_json::json!([["*", "{data}"]]);
    let table = |name: &str, value: &str| {
        let mut table = serde_json::json!({ "fields": [["data", "{data}"]] });
        table[name] = value.into();
        table
    };
    for (mode, envelope, expected) in [
        ("form", serde_json::json!("none"), "needs an envelope"),
        ("form", table("shape", "array"), "needs an envelope"),
        (
            "form",
            table("content_type", "application/x+json"),
            "needs an envelope",
        ),
        ("raw", spread.clone(), "only where body"),
        ("js-stable-json", spread, "only where body"),
        ("xml", fields(), "unknown variant"),
    ] {
        let fault = read(&serde_json::json!({ "body": mode, "envelope": envelope })).unwrap_err();
        assert!(fault.contains(expected), "{mode}: {fault}");
    }
    let raw = read(&serde_json::json!({ "body": "raw" })).unwrap();
    assert_eq!(
        serde_json::to_value(&raw).unwrap().get("body"),
        None,
        "what is so anyway is not written"
    );
}

#[test]
fn headers_keep_order_and_spelling_and_a_table_is_read_too() {
    let list = serde_json::json!([["X-B", "{type}"], ["x-*", "{extensions}"], ["x-A", "{time:unix}"]]);
    let profile = read(&serde_json::json!({ "headers": list })).unwrap();
    assert_eq!(serde_json::to_value(&profile).unwrap()["headers"], list);
    let event = Event {
        extensions: vec![
            ("b".to_owned(), "other".to_owned()),
            ("c".to_owned(), "é".to_owned()),
        ],
        ..event()
    };
    let expected = [("X-B", "alert.created"), ("x-c", "%C3%A9"), ("x-A", "1779208200")];
    assert_eq!(
        headers(&profile, &event),
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(profile.headers.spelled().collect::<Vec<_>>(), ["X-B", "x-A"]);
    let table = read(&serde_json::json!({ "headers": { "X-B": "b", "X-A": "a" } })).unwrap();
    assert_eq!(
        serde_json::to_value(&table).unwrap()["headers"],
        serde_json::json!([["X-A", "a"], ["X-B", "b"]])
    );
    for (headers, expected) in [
        (serde_json::json!([["X-A", "1"], ["x-a", "2"]]), "is there twice"),
        (
            serde_json::json!([["Content-Type", "a/b"]]),
            "set by Hookway itself",
        ),
        (serde_json::json!([["User-Agent", "x"]]), "set by Hookway itself"),
        (serde_json::json!([["x-*", "x"]]), "goes with one name"),
        (serde_json::json!([["x", "{attempt:iso}"]]), "is unknown"),
        (serde_json::json!([["x"]]), "invalid length"),
        (serde_json::json!(vec![("x", "y"); 33]), "more than 32 headers"),
    ] {
        let fault = read(&serde_json::json!({ "headers": headers })).unwrap_err();
        assert!(fault.contains(expected), "{headers}: {fault}");
    }
}

#[test]
fn what_receivers_may_not_like_is_warned_of() {
    let big = "x".repeat(BODY_BYTES_WARNED);
    let number = "{\"id\":[9007199254740993]}";
    for (mode, content_type, data, expected) in [
        ("raw", "application/json", number, vec![]),
        ("compact", "application/json", number, vec![]),
        ("js-stable-json", "text/plain", number, vec![]),
        (
            "js-stable-json",
            "application/json",
            "{\"id\":9007199254740992}",
            vec![],
        ),
        ("js-stable-json", "application/json", number, vec!["`/id/0`"]),
        ("raw", "text/plain", &big, vec!["has 100000 bytes"]),
        ("raw", "text/plain", &big[1..], vec![]),
    ] {
        let profile = profile(mode, &serde_json::json!("none"));
        let told = profile.warnings(&of(content_type, data.as_bytes()));
        assert_eq!(told.len(), expected.len(), "{mode} {told:?}");
        for (warning, expected) in told.iter().zip(expected) {
            assert!(warning.detail.contains(expected), "{}", warning.detail);
        }
    }
}

proptest! {
    /// WF-10, IB-11: whatever an event says of itself, the body is what JavaScript would write again.
    #[test]
    fn a_stable_body_stays(source in "\\PC{0,20}", number in any::<f64>(), text in ".{0,20}") {
        let data = serde_json::json!({ "n": number, "2": text, "1": [source] }).to_string();
        let event = Event { source, ..of("application/json", data.as_bytes()) };
        let envelope = serde_json::json!([["data", "{data}"], ["7", "{source}"], ["t", {"number": "{time:unix}"}]]);
        let made = rendered(&profile("js-stable-json", &envelope), &event).body.into_bytes();
        prop_assert_eq!(crate::json::stable(&made).unwrap(), made);
    }
}

#[test]
fn the_page_about_looks_tells_the_truth() {
    let page = include_str!("../../../../docs/looks.md");
    let mut blocks = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let envelope = if text.contains("envelope") {
            ""
        } else {
            "envelope = \"none\"\n"
        };
        let whole = format!("name = \"page\"\nversion = 1\n{envelope}{text}");
        let profile: Profile = toml::from_str(&whole).unwrap_or_else(|error| panic!("{error}"));
        rendered(&profile, &event());
        blocks += 1;
    }
    assert_eq!(blocks, 2);
    // Every atom is on the page, in some row, with its form.
    let atoms = super::super::atom::known().replace(['{', '}'], "");
    for atom in atoms.split(", ") {
        let (name, form) = atom.split_once(':').unwrap_or((atom, ""));
        let told = |line: &str| line.contains(&format!("{{{name}")) && line.contains(form);
        assert!(page.lines().any(told), "{atom}");
    }
}
