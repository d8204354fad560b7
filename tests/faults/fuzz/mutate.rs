//! Inputs that are nearly right: real examples with pieces cut, repeated, put together and replaced by what
//! parsers stumble over. And a runner that tells a panic, with the smallest input that makes it.
//!
//! cargo-fuzz needs a nightly compiler, which this repository does not use; proptest makes and shrinks the
//! inputs instead. It sees no coverage, so the examples have to be good ones.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::{Value, json};

use crate::extent::Extent;

/// Longest input that edits make.
const BYTES_MAX: usize = 16 << 10;
/// After this, an input of [`NASTY_BYTES_MAX`] counts as never read. A parser whose work grows with the size
/// needs a thousandth of it; one whose work grows with its square, a thousand times as much.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest of the inputs that double.
const NASTY_BYTES_MAX: usize = 256 << 10;

/// What parsers stumble over, whatever they read.
const WORDS: [&str; 72] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1e999",
    "1E-9",
    "0.1",
    "\\u0000",
    "\\ud800",
    "\\udfff\\ud800",
    "é",
    "\u{2028}",
    "\u{202e}",
    "\u{0}",
    "\u{7f}",
    "\u{feff}",
    "😀",
    "../",
    "%00",
    "%zz",
    "%2f",
    "%",
    "&",
    "=",
    "+",
    "<",
    ">",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE a [",
    "<?xml",
    "&#x0;",
    "&#1114112;",
    "&lt",
    "'",
    "{{",
    "{json:/",
    "{header:",
    "}}",
    "~0",
    "~2",
    "/-",
    "$ref",
    "http://",
    "@",
    "\r\n",
    "\n\n",
    "\t",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "99999-12-31T23:59:60Z",
    "\"\":",
    "{\"a\":",
    "[[",
    "(",
    ")",
    ".*",
    "?",
    ";",
    "#",
];

/// One change.
#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Insert(Index, Index),
    Put(Index, Index),
    Cut(Index, Index),
    Repeat(Index, Index, u8),
    Splice(Index, Index, Index),
    End(Index),
    Noise(Index, Vec<u8>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || any::<Index>();
    prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Flip(at, byte)),
        4 => (at(), at()).prop_map(|(at, word)| Edit::Insert(at, word)),
        3 => (at(), at()).prop_map(|(at, word)| Edit::Put(at, word)),
        2 => (at(), at()).prop_map(|(from, to)| Edit::Cut(from, to)),
        2 => (at(), at(), any::<u8>()).prop_map(|(from, to, times)| Edit::Repeat(from, to, times)),
        2 => (at(), at(), at()).prop_map(|(at, seed, from)| Edit::Splice(at, seed, from)),
        1 => at().prop_map(Edit::End),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, noise)| Edit::Noise(at, noise)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, seeds: &[Vec<u8>]) {
    let at = |index: &Index, length: usize| index.index(length + 1);
    let range = |one: &Index, other: &Index, length: usize| {
        let (one, other) = (one.index(length + 1), other.index(length + 1));
        one.min(other)..one.max(other)
    };
    let length = bytes.len();
    let (place, piece): (std::ops::Range<usize>, Vec<u8>) = match edit {
        Edit::Flip(index, byte) if length > 0 => {
            bytes[index.index(length)] ^= byte;
            return;
        }
        Edit::Flip(..) => return,
        Edit::Insert(index, word) => {
            let place = at(index, length);
            (place..place, word.get(&WORDS).as_bytes().to_vec())
        }
        Edit::Put(index, word) => {
            let (place, word) = (at(index, length), word.get(&WORDS).as_bytes());
            (place..(place + word.len()).min(length), word.to_vec())
        }
        Edit::Cut(from, to) => (range(from, to, length), Vec::new()),
        Edit::Repeat(from, to, times) => {
            let place = range(from, to, length);
            let piece = bytes[place.clone()].repeat(usize::from(times % 32));
            (place, piece)
        }
        Edit::Splice(index, seed, from) => {
            let (place, seed) = (at(index, length), seed.get(seeds));
            (place..length, seed[at(from, seed.len())..].to_vec())
        }
        Edit::End(index) => (at(index, length)..length, Vec::new()),
        Edit::Noise(index, noise) => {
            let place = at(index, length);
            (place..place, noise.clone())
        }
    };
    bytes.splice(place, piece);
    bytes.truncate(BYTES_MAX);
}

/// These examples with up to eight changes.
pub fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let seeds = Arc::new(seeds);
    (any::<Index>(), prop::collection::vec(edit(), 0..8)).prop_map(move |(seed, edits)| {
        let mut bytes = seed.get(&seeds).clone();
        for edit in &edits {
            apply(&mut bytes, edit, &seeds);
        }
        bytes
    })
}

/// Values that stand where another kind, size or number of them is expected.
fn values() -> [Value; 20] {
    [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!(" "),
        json!("é\u{0}\u{2028}"),
        json!("x".repeat(5_000)),
        json!("*"),
        json!([]),
        json!({}),
        json!([[], {}, null]),
        json!({"": "", "a/b~c": [1]}),
        json!(vec!["a"; 2_000]),
        json!("http://[::1"),
        json!("{json:/a}{{"),
    ]
}

/// JSON of this shape, with up to four of its parts taken away, doubled or replaced by others.
pub fn reshaped(body: Value) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<Index>());
    prop::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut body = body.clone();
        for (place, change) in changes {
            let mut places = Vec::new();
            pointers(&body, String::new(), &mut places);
            let pointer = place.get(&places);
            let values = values();
            // One more than there are values: the part goes away.
            match values.get(change.index(values.len() + 1)) {
                Some(value) => *body.pointer_mut(pointer).expect("it was found") = value.clone(),
                None => remove(&mut body, pointer),
            }
        }
        body.to_string().into_bytes()
    })
}

fn pointers(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            let items = items.iter().take(20).enumerate();
            items.for_each(|(at, item)| pointers(item, format!("{here}/{at}"), found));
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(member, format!("{here}/{name}"), found);
            }
        }
        _ => {}
    }
    found.push(here);
}

fn remove(body: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    match body.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(last)),
        Some(Value::Array(items)) => drop(items.pop()),
        _ => {}
    }
}

/// A runner of so many cases.
pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    })
}

/// The smallest input found at which the parser panics, of as many as the extent says.
pub fn panics(seeds: &[&str], parse: impl Fn(&[u8])) -> Option<String> {
    let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let cases = Extent::wanted().of(1_000, 100_000);
    let ran = runner(cases).run(&mutated(seeds), |bytes| {
        parse(&bytes);
        Ok(())
    });
    match ran {
        Ok(()) => None,
        Err(TestError::Fail(reason, bytes)) => Some(format!("{reason}\non {}", bytes.escape_ascii())),
        Err(TestError::Abort(reason)) => panic!("no inputs could be made: {reason}"),
    }
}

/// Shapes that make parsers work more than their size.
const SHAPES: [(&str, &str); 22] = [
    ("[", ""),
    ("{\"a\":", ""),
    ("\"", "\\\\"),
    ("1", "0"),
    ("", " "),
    ("<a>", "<a>"),
    ("<a b='", "&amp;"),
    ("", "%25"),
    ("a", ".a"),
    ("(", "("),
    ("", "!"),
    ("/", "/~1"),
    ("[0", ",0"),
    ("{\"a\":0", ",\"a\":0"),
    ("\"", "é"),
    ("a=", "&a="),
    ("http://a/", "../"),
    ("a = ", "["),
    ("data.a", " == data.a"),
    ("x", ", x;q=0.1"),
    ("", "{json:/a}"),
    ("<!--", "-"),
];

/// The shape that a parser does not get through, if there is one, with its size. Sizes double up to
/// [`NASTY_BYTES_MAX`].
pub fn hangs(parse: fn(&[u8]), patience: Duration) -> Option<String> {
    for (begin, more) in SHAPES {
        let more = if more.is_empty() { begin } else { more };
        let mut size = 1 << 10;
        while size <= NASTY_BYTES_MAX {
            let text = format!("{begin}{}", more.repeat(size / more.len()));
            let (done, waiting) = mpsc::channel();
            std::thread::spawn(move || {
                parse(text.as_bytes());
                let _nobody_waits_any_more = done.send(());
            });
            match waiting.recv_timeout(patience) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Some(format!("{begin}{more}… of {size} bytes"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Some(format!("{begin}{more}… of {size} bytes: a panic"));
                }
            }
            size *= 2;
        }
    }
    None
}

/// Both: no input makes it panic, and none keeps it for ever.
#[track_caller]
pub fn withstands(seeds: &[&str], parse: fn(&[u8])) {
    assert_eq!(panics(seeds, parse), None);
    assert_eq!(hangs(parse, PATIENCE), None);
}

/// The harness finds a parser that panics at one byte behind a word, and one that never ends.
#[test]
fn control_a_parser_that_panics_is_found() {
    fn careless(bytes: &[u8]) {
        let at = bytes.windows(3).position(|window| window == b"\\ud");
        assert!(at.is_none(), "half a character");
    }
    // A thousand panics are expected, and nobody wants to read of them.
    std::panic::set_hook(Box::new(|_| {}));
    let found = panics(&["{\"type\":\"a.b\",\"data\":1}"], careless).expect("it is found");
    assert!(found.contains("half a character") && found.len() < 200, "{found}");
    fn endless(bytes: &[u8]) {
        while bytes.len() > 100_000 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let found = hangs(endless, Duration::from_secs(1)).expect("it is found");
    assert!(found.ends_with("131072 bytes"), "{found}");
}
