//! Headers that somebody chose, on the wire: what is accepted arrives as it was given, and what is not never
//! leaves. Nothing that a name or a value has in it becomes a header of its own, ends the head, or takes the
//! place of a header of the router's.
//!
//! Sets of headers are tried by `POST /subscriptions/test`, which sends as a delivery does. The bytes that
//! arrive are read by a parser of its own here, which allows nothing that RFC 9112 does not. The control
//! writes the same sets as careless software does, and the parser must object.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::extent::Extent;
use crate::support::TestRouter;
use crate::support::wire::answering;

/// Between two tests: there are thirty in a minute.
const BETWEEN_TESTS: Duration = Duration::from_secs(3);
/// Headers that the router sends with every such request.
const OWN: [&str; 7] = [
    "host",
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "content-length",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[xX]-[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}",
        1 => prop::sample::select(vec![
            "host", "Content-Length", "transfer-encoding", "connection", "webhook-id", "webhook-signature", "expect", "te",
            "x-a\r\nx-b", "x-a: 1\r\nx-b", "x a", "x-a:", "", " x-a", "x-a ", "x-ü", "x-\u{0}", "content-type", "upgrade",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{1,6}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,30}",
        2 => prop::sample::select(vec![
            "a\r\nx-injected: 1", "a\nx-injected: 1", "a\r x", "\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\n\r\n", "a\u{0}b", "\t", " a ",
            "", "é", "\u{7f}", "\u{85}x", "\u{2028}", "a\u{10a}x-injected: 1",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,12}",
    ]
}

type Sets = BTreeMap<String, String>;

fn sets() -> impl Strategy<Value = Sets> {
    prop::collection::btree_map(name(), value(), 1..4)
}

/// Header lines, their names in lower case, and the body behind them.
type Parts = (Vec<(String, Vec<u8>)>, Vec<u8>);

/// The header lines of a request, or what is not HTTP/1.1 in it.
fn strict(request: &[u8]) -> Result<Parts, String> {
    let end = request
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or("no end of the head")?;
    let (head, body) = (&request[..end], &request[end + 4..]);
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    if lines
        .iter()
        .any(|line| line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))
    {
        return Err("a bare CR, LF or NUL".to_owned());
    }
    let first: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    if !matches!(first[..], [b"POST", target, b"HTTP/1.1"] if target.starts_with(b"/")) {
        return Err(format!("the request line {}", lines[0].escape_ascii()));
    }
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let mut headers = Vec::new();
    for line in &lines[1..] {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or("a line without a colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(token) {
            return Err(format!("the name {}", name.escape_ascii()));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(format!("the value {}", value.escape_ascii()));
        }
        headers.push((String::from_utf8_lossy(name).to_lowercase(), value.to_vec()));
    }
    Ok((headers, body.to_vec()))
}

/// What is wrong with a request that was to carry these headers beside the router's own.
fn wrong(request: &[u8], host: &str, sets: &Sets) -> Option<String> {
    let (headers, body) = match strict(request) {
        Ok(read) => read,
        Err(fault) => return Some(fault),
    };
    let all = |wanted: &str| -> Vec<&[u8]> {
        headers
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| &value[..])
            .collect()
    };
    for own in OWN {
        let chosen = sets.keys().any(|name| name.eq_ignore_ascii_case(own));
        if all(own).len() != 1 && !(chosen && own == "user-agent") {
            return Some(format!("{own} is there {} times", all(own).len()));
        }
    }
    if all("host") != [host.as_bytes()] || all("content-length") != [body.len().to_string().as_bytes()] {
        return Some("host or length are another".to_owned());
    }
    for (name, value) in sets {
        if all(&name.to_lowercase()) != [value.trim_matches([' ', '\t']).as_bytes()] {
            return Some(format!("{name:?} is not there as it was given"));
        }
    }
    let known = |name: &str| {
        OWN.contains(&name) || name == "hookway-test" || sets.keys().any(|one| one.eq_ignore_ascii_case(name))
    };
    headers
        .iter()
        .find(|(name, _)| !known(name))
        .map(|(name, _)| format!("{name} was injected"))
}

/// Where requests arrive, as bytes.
async fn raw() -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (arrived, requests) = mpsc::unbounded_channel();
    let address = answering(move |request| {
        let _nobody_waits = arrived.send(request.to_vec());
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
    });
    (address.await.to_string(), requests)
}

#[tokio::test]
async fn chosen_headers_stay_headers() {
    let (host, mut requests) = raw().await;
    let router = TestRouter::start().await;
    let mut runner = TestRunner::deterministic();
    let (mut taken, mut refused) = (0, 0);
    let cases: u32 = Extent::wanted().of(5_000, 100_000);
    for _ in 0..cases {
        let sets = sets().new_tree(&mut runner).expect("a set").current();
        let wish = json!({"name": "n", "url": format!("http://{host}/in"), "events": ["*"], "headers": sets});
        router.clock.advance(BETWEEN_TESTS);
        let answer = router.post("/api/v1/subscriptions/test", &wish).await;
        if answer.status == 422 {
            refused += 1;
            continue;
        }
        answer.clone().expect(200);
        if answer.body["response"].is_null() {
            panic!("{sets:?} was taken, and not sent: {}", answer.text);
        }
        let request = requests.recv().await.expect("it arrives");
        let wrong = wrong(&request, &host, &sets);
        assert_eq!(wrong, None, "{sets:?} made {}", request.escape_ascii());
        taken += 1;
    }
    assert!(requests.try_recv().is_err(), "more requests than answers");
    assert!(taken > cases / 10 && refused > cases / 10, "{taken} {refused}");
    println!("headers: {cases} sets, {taken} sent and all as given, {refused} refused, 0 injected");
}

/// Software that writes what it is given is found out by the same check.
#[test]
fn control_headers_that_are_written_as_they_come_are_noticed() {
    let mut runner = TestRunner::deterministic();
    let mut noticed = 0;
    for _ in 0..1_000 {
        let sets = sets().new_tree(&mut runner).expect("a set").current();
        let own: BTreeMap<&str, &str> = OWN.into_iter().map(|name| (name, "a")).collect();
        let mut request = "POST /in HTTP/1.1\r\n".to_owned();
        for (name, value) in own {
            let value = match name {
                "host" => "h",
                "content-length" => "2",
                _ => value,
            };
            request += &format!("{name}: {value}\r\n");
        }
        for (name, value) in &sets {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n{}";
        noticed += usize::from(wrong(request.as_bytes(), "h", &sets).is_some());
    }
    assert!(noticed > 100, "{noticed}");
    let clean = json!({"x-a": "b"});
    let sets: Sets = clean
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    let request = "POST /in HTTP/1.1\r\nhost: h\r\ncontent-type: a\r\nuser-agent: a\r\nwebhook-id: a\r\nwebhook-timestamp: 1\r\n\
                   webhook-signature: a\r\nx-a: b\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(
        wrong(request.as_bytes(), "h", &sets),
        None,
        "and nothing is noticed where nothing is wrong"
    );
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
