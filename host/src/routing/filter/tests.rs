//! What filters say of events, and what is refused when they are saved.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::id::Id;
use crate::time::Timestamp;

fn event(content_type: &str, data: impl Into<Bytes>) -> Event {
    Event {
        id: Id::from_number(1 << 40),
        tenant: Id::from_number(1),
        source: "shop".to_owned(),
        producer_id: Some("o-7".to_owned()),
        event_type: "order.paid".to_owned(),
        subject: None,
        time: Timestamp::from_millis(1_779_208_200_000),
        received_at: Timestamp::from_millis(1_779_208_200_000),
        content_type: content_type.to_owned(),
        extensions: vec![("region".to_owned(), "eu".to_owned())],
        headers: Vec::new(),
        data: data.into(),
        hops: 0,
    }
}

const DATA: &str = r#"{"severity":"critical","count":5,"big":18446744073709551615,"ratio":0.5,
    "tags":["a","b"],
    "items":[{"price":3,"name":"x"},{"price":9,"name":"y"}],"nested":{"deep":{"er":true}},"nothing":null}"#;

fn ask(source: &str, event: &Event) -> Result<bool, FilterError> {
    let filter = Filter::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault}"));
    filter.matches(&mut FilterContext::new(event))
}

#[test]
fn what_filters_say() {
    let event = event("application/json", DATA);
    let yes = [
        "true",
        "data.severity == 'critical'",
        "event.data.severity == \"critical\" && event.type == type",
        "type.startsWith('order.')",
        "event.source == 'shop' && event.id == 'o-7'",
        "event.time >= '2026-01-01'",
        "event.subject == null && !has(event.subject)",
        "event.extensions.region == 'eu' && event.extensions['region'] == 'eu'",
        "has(data.severity) && !has(data.color) && has(event.data)",
        "data.count + 1 == 6 && data.count > 4.5 && data.ratio < 1",
        "data.big > 5",
        "data.severity in ['critical', 'high']",
        "'a' in data.tags && size(data.tags) == 2 && data.tags.size() == 2",
        "data.items.exists(i, i.price > 5) && !data.items.all(i, i.price > 5)",
        "data.items.exists_one(i, i.name == 'x')",
        "data.items.filter(i, i.price > 5).size() == 1",
        "data.items.map(i, i.name) == ['x', 'y']",
        "data.items.exists(i, i.name in ['y', 'z'] && event.source == 'shop')",
        "['x', 'critical'].exists(word, word == event.source || word == 'x')",
        "data.nested.deep.er",
        "data.nothing == null",
        "data.severity.matches('^crit.+$')",
        "type(data.count) == int && type(data.severity) == string",
        "has(data.color) ? data.color == 'red' : true",
        "data.severity.contains('rit') && data.severity.endsWith('al')",
        "data.items[1].price == 9",
        "string(data.count) + 'x' == '5x'",
    ];
    for source in yes {
        assert_eq!(ask(source, &event), Ok(true), "{source}");
        assert_eq!(ask(&format!("!({source})"), &event), Ok(false), "{source}");
    }
}

#[test]
fn errors_are_no_match_and_are_shown() {
    let event = event("application/json", DATA);
    for (source, expected) in [
        ("data.color == 'red'", "color"),
        ("data.severity > 5", ""),
        ("data.tags[7] == 'x'", ""),
        ("data.count / 0 == 1", ""),
        ("int(data.severity) == 1", ""),
    ] {
        let error = ask(source, &event).unwrap_err();
        assert!(matches!(error, FilterError::Failed { .. }), "{source}: {error:?}");
        assert!(error.to_string().contains(expected), "{source}: {error}");
    }
    for (source, what) in [
        ("data.count", "a number"),
        ("'x'", "a string"),
        ("data.tags", "a list"),
        ("null", "null"),
    ] {
        assert_eq!(
            ask(source, &event),
            Err(FilterError::NotBool { what }),
            "{source}"
        );
    }
}

#[test]
fn data_that_cannot_be_read_is_told_only_to_those_who_ask_for_it() {
    let large = format!("\"{}\"", "x".repeat(FILTER_DATA_BYTES_MAX));
    let bytes = large.len();
    let large = event("application/json", large);
    assert_eq!(
        ask("data == 'x'", &large),
        Err(FilterError::DataTooLarge { bytes })
    );
    assert_eq!(ask("type == 'order.paid'", &large), Ok(true));
    let broken = event("application/json", "{");
    assert_eq!(ask("data == 1", &broken), Err(FilterError::DataInvalid));
    assert_eq!(ask("event.source == 'shop'", &broken), Ok(true));
    assert_eq!(
        ask("data == null && !has(event.data)", &event("text/plain", "{}")),
        Ok(true)
    );
    assert_eq!(ask("data == null", &event("application/json", "")), Ok(true));
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    assert_eq!(
        ask("data == 1", &event("application/json", deep)),
        Err(FilterError::DataInvalid)
    );
}

#[test]
fn what_cannot_be_bounded_is_refused_with_a_reason() {
    let long = format!("type == '{}'", "x".repeat(FILTER_BYTES_MAX));
    let many = vec!["type == 'x'"; 100].join(" || ");
    let regexes = ["type.matches('a')"; MATCHES_MAX + 1].join(" && ");
    let regex = format!("type.matches('{}')", "a".repeat(REGEX_BYTES_MAX + 1));
    let table = [
        ("", "empty"),
        (" \n", "empty"),
        (long.as_str(), "longer than"),
        (many.as_str(), "more than 256 parts"),
        ("type ==", "not a CEL expression"),
        ("type = 'x'", "not a CEL expression"),
        ("color == 'red'", "`color` is unknown"),
        ("event.color == 'red'", "`event.color` is unknown"),
        ("has(event.color)", "`event.color` is unknown"),
        ("event == 1", "only be used with an attribute"),
        ("event['type'] == 'x'", "only be used with an attribute"),
        (
            "data.name.replace('a', 'b') == 'x'",
            "function `replace` is unknown",
        ),
        ("now() > event.time", "function `now` is unknown"),
        ("data.?name == 'x'", "not a CEL expression"),
        ("Thing{a: 1} == 1", "a struct cannot be used"),
        ("type.matches(data.pattern)", "must be written out"),
        ("type.matches('(a{99}){99}')", "counted repetition"),
        ("type.matches('(')", "not a regular expression"),
        (regexes.as_str(), "more than 4"),
        (regex.as_str(), "longer than 128"),
        (
            "data.items.exists(i, i.name.matches('a'))",
            "cannot be used inside",
        ),
        ("data.a.all(x, data.b.all(y, x == y))", "cannot be nested"),
        ("data.a.map(x, x).map(y, y) == []", "run over a path"),
        ("data.a.exists(x, x in data.b)", "not `data`"),
        ("data.a.map(x, x + x) == []", "`+`, lists and maps"),
        ("data.a.map(x, [x, x]) == []", "`+`, lists and maps"),
        ("data.a.map(x, {'a': x}) == []", "`+`, lists and maps"),
        ("[data.a + data.a].map(x, x) == []", "run over a path"),
        ("(data.a + data.a).map(x, x) == []", "run over a path"),
        ("data.a.exists(data, data == 1)", "cannot be called"),
    ];
    for (source, expected) in table {
        let fault = Filter::compile(source).expect_err(source);
        assert!(fault.to_string().contains(expected), "{source}: {fault}");
    }
}

#[test]
fn deep_nesting_is_refused_before_it_costs_the_stack() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{'a':", "}"),
        ("!", ""),
        ("-", ""),
        ("! ", ""),
        ("true ? 1 : ", ""),
    ] {
        let count = FILTER_BYTES_MAX / (open.len() + close.len()) - 4;
        let source = format!("{}1{}", open.repeat(count), close.repeat(count));
        assert_eq!(
            Filter::compile(&source).unwrap_err(),
            FilterFault::TooDeep,
            "{open}"
        );
    }
    for (first, more) in [
        ("data", ".a"),
        ("1", "+1"),
        ("true", "&&true"),
        ("data", "[0]"),
        ("1", "==1"),
        ("1", "-1"),
    ] {
        let source = format!(
            "{first}{}",
            more.repeat((FILTER_BYTES_MAX - first.len()) / more.len())
        );
        assert!(Filter::compile(&source).is_err(), "{more}");
    }
    let most = usize::from(NESTING_MAX);
    assert!(Filter::compile(&format!("{}true{}", "(".repeat(most), ")".repeat(most))).is_ok());
}

#[test]
fn the_dearest_filters_stay_cheap() {
    // Figures differ by machine; the point is that these end at all, in memory that tests have.
    let text = "x".repeat(FILTER_DATA_BYTES_MAX / 2);
    let data = serde_json::json!({ "text": text, "list": vec![1; 50_000] }).to_string();
    let event = event("application/json", data);
    let doubling = format!("size({}) > 0", vec!["data.text"; 60].join(" + "));
    let searching = vec!["data.text.contains(data.text)"; 40].join(" && ");
    let looping = ["data.list.all(x, x == 1)"; 8].join(" && ");
    for source in [doubling, searching, looping] {
        assert_eq!(ask(&source, &event), Ok(true), "{source}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics(source in "[a-z0-9 .()\\[\\]{}'\"!&|=<>+?:,*-]{0,60}") {
        if let Ok(filter) = Filter::compile(&source) {
            let _ = filter.matches(&mut FilterContext::new(&event("application/json", DATA)));
        }
    }

    #[test]
    fn numbers_keep_their_value(number: i64) {
        let event = event("application/json", serde_json::json!({ "n": number }).to_string());
        prop_assert_eq!(ask("data.n == data.n && type(data.n) == int", &event), Ok(true));
        // CEL has no literal for the smallest number: its minus sign stands outside.
        let literal = match number {
            i64::MIN => "-9223372036854775807 - 1".to_owned(),
            number => number.to_string(),
        };
        prop_assert_eq!(ask(&format!("data.n == ({literal})"), &event), Ok(true));
    }
}
