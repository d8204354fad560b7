//! What is written again, in examples; that Node writes the same is shown from outside.

use proptest::prelude::*;

use super::*;

fn stable_text(text: &str) -> String {
    let bytes =
        stable(&Bytes::copy_from_slice(text.as_bytes())).unwrap_or_else(|error| panic!("{text}: {error}"));
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// WF-10, IB-11.
#[test]
fn json_is_written_as_javascript_writes_it() {
    for (text, expected) in [
        (
            " [ 1.0 , 1E+2,1e21, 1e-7,-0, -0.0,0.1e1 ]\n",
            "[1,100,1e+21,1e-7,0,0,1]",
        ),
        ("[1e400,-1e999,5e-324,1e-400]", "[null,null,5e-324,0]"),
        (
            "[9007199254740993,12345678901234567890]",
            "[9007199254740992,12345678901234567000]",
        ),
        ("[0.1000000000000000055511151231257827]", "[0.1]"),
        (
            r#"{"10":1,"2":2,"b":3,"01":4,"a":5,"-1":6}"#,
            r#"{"2":2,"10":1,"b":3,"01":4,"a":5,"-1":6}"#,
        ),
        (
            r#"{"z":0,"4294967295":1,"4294967294":2,"4294967296":3}"#,
            r#"{"4294967294":2,"z":0,"4294967295":1,"4294967296":3}"#,
        ),
        (r#"{"a":1,"b":{"x":1},"a":[3]}"#, r#"{"a":[3],"b":{"x":1}}"#),
        (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
        (r#"{"\ud83d\ude00":1,"😀":2}"#, r#"{"😀":2}"#),
        (r#"{"\uD83D":1,"\ud83d":2}"#, r#"{"\ud83d":2}"#),
        (r#"{"__proto__":{"a":1},"b":2}"#, r#"{"__proto__":{"a":1},"b":2}"#),
        (
            r#""\/\u003c\u001B\u0008\b\u007f\u2028""#,
            "\"/<\\u001b\\b\\b\u{7f}\u{2028}\"",
        ),
        (r#""\uDEAD\ude00\ud83d\ude00\ud83d""#, r#""\udead\ude00😀\ud83d""#),
        (
            r#""\ud83d\ud83d\ude00\ud83dx\u0022\u005c""#,
            r#""\ud83d😀\ud83dx\"\\""#,
        ),
        ("{ }", "{}"),
        ("[ ]", "[]"),
        ("null", "null"),
    ] {
        assert_eq!(stable_text(text), expected, "{text}");
    }
}

#[test]
fn what_is_stable_is_returned_without_a_copy() {
    let text = Bytes::from_static(br#"{"2":1,"a":"x"}"#);
    assert_eq!(stable(&text).unwrap().as_ptr(), text.as_ptr());
    assert_eq!(compact(&text).unwrap().as_ptr(), text.as_ptr());
}

#[test]
fn compact_takes_nothing_but_white_space() {
    let text = Bytes::from_static(b" { \"b\" :\t1.0 ,\r\n\"a\\/ \\u003C\": [ 1E2 , -0 ], \"b\":{ } } ");
    let expected = br#"{"b":1.0,"a\/ \u003C":[1E2,-0],"b":{}}"#;
    assert_eq!(compact(&text).unwrap(), expected[..]);
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, at, what) in [
        ("", 0, "the text ends"),
        ("  x", 2, "a value"),
        ("nul", 0, "a value"),
        ("[1 2]", 3, "a comma"),
        ("[1,]", 3, "a value"),
        ("[1", 2, "the text ends"),
        ("{1:2}", 1, "a key"),
        (r#"{"a" 1}"#, 5, "a colon"),
        (r#"{"a":1,}"#, 7, "a key"),
        ("01", 0, "no zero"),
        ("-", 0, "begin with a digit"),
        ("1.", 2, "after the point"),
        ("1e+", 3, "exponent"),
        ("1 1", 2, "something follows"),
        ("\"a", 2, "no end"),
        ("\"\\x\"", 1, "no such escape"),
        ("\"\\u12g4\"", 1, "four hexadecimal"),
        ("\"\\u12", 1, "four hexadecimal"),
        ("\"a\nb\"", 2, "control character"),
        ("\u{feff}1", 0, "a value"),
        ("+1", 0, "a value"),
        (".5", 0, "a value"),
        ("\u{a0}1", 0, "a value"),
    ] {
        for written in [stable, compact] {
            let error = written(&Bytes::copy_from_slice(text.as_bytes())).unwrap_err();
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
    }
    let error = stable(&Bytes::from_static(b"\"a\xff\"")).unwrap_err();
    assert_eq!((error.at, error.what), (2, "this is not UTF-8"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize, open: &str, close: &str| {
        Bytes::from(format!("{}1{}", open.repeat(levels), close.repeat(levels)))
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        assert!(stable(&nested(STABLE_DEPTH_MAX, open, close)).is_ok());
        let error = stable(&nested(STABLE_DEPTH_MAX + 1, open, close)).unwrap_err();
        assert_eq!(error.what, "it nests too deep");
        assert!(stable(&nested(1_000_000, open, close)).is_err());
    }
}

#[test]
fn integers_that_do_not_survive_are_found() {
    for (text, expected) in [
        (r#"{"a":[1,{"b/c":9007199254740993}]}"#, Some("/a/1/b~1c")),
        (
            r#"{"a":1,"id":12345678901234567890,"x":9007199254740993}"#,
            Some("/id"),
        ),
        (r#"[[],[{}],{"a":1},-9007199254740993]"#, Some("/3")),
        ("9007199254740993", Some("")),
        (r#"{"\ud800":9007199254740993}"#, Some(r#"/"\ud800""#)),
        (&format!("[1{}]", "0".repeat(400)), Some("/0")),
        // These are doubles, however long they are.
        (
            "[9007199254740991,9007199254740992,-9007199254740992,1000000000000000000000]",
            None,
        ),
        // Only integers are told of.
        ("[0.1234567890123456789,1e400,1234567890123456.75]", None),
        (r#"{"a":"9007199254740993"}"#, None),
        ("[9007199254740993", None),
        ("[1]", None),
    ] {
        assert_eq!(unsafe_integer(text.as_bytes()).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_large_object_costs_little_more_than_its_size() {
    // Twice the members, and every one there twice: nothing here is quadratic, or this would not end.
    let members: Vec<String> = (0..200_000)
        .rev()
        .map(|n| format!("\"k{}\":0", n % 100_000))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    assert_eq!(stable_text(&text).matches("\"k").count(), 100_000);
}

proptest! {
    #[test]
    fn what_is_written_stays(text in r#"[\[\]{}",:0-9eE.\\u \-adtruefalsn]{0,40}"#) {
        let bytes = Bytes::from(text.clone());
        if let Ok(once) = stable(&bytes) {
            prop_assert_eq!(stable(&once).unwrap(), once.clone());
            prop_assert_eq!(compact(&once).unwrap(), once);
        }
        prop_assert_eq!(
            serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(),
            compact(&bytes).is_ok(),
            "{}", text
        );
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _either = (stable(&bytes.clone().into()), compact(&bytes.clone().into()), unsafe_integer(&bytes));
    }

    #[test]
    fn doubles_keep_their_value(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let text = format!("{number:e}");
        prop_assert_eq!(stable_text(&text).parse::<f64>().unwrap(), number);
    }

    #[test]
    fn texts_keep_their_value(text in "\\PC{0,30}|[\\x00-\\x7f]{0,30}") {
        let written = stable_text(&serde_json::to_string(&text).unwrap());
        prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
