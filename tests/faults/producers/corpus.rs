//! Requests with two opinions about where they end, and bodies that are too much. As data.

use crate::support::client::ADMIN_KEY;
use crate::support::wire::post_events;

/// What must become of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// One refusal, or the connection ends without a word.
    Refused,
    /// It is a good request, and the only one.
    Taken,
    /// At most one answer, whatever it is.
    Any,
}

/// Bytes for one connection.
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub then: Then,
}

/// An event that must not be there.
const EVENT: &str = r#"{"type":"smuggled","data":1}"#;

/// A whole request, which is never one where it stands.
fn inside() -> String {
    post_events(&format!("content-length: {}", EVENT.len()), EVENT)
}

/// A request with these lines in its head and this behind it.
fn with(lines: &str, rest: &str) -> Vec<u8> {
    post_events(lines, rest).into_bytes()
}

/// Two requests on one connection, as they may be.
pub fn honest_pair() -> Vec<u8> {
    let good = r#"{"type":"good","data":1}"#;
    let mut bytes = with(&format!("content-length: {}", good.len()), good);
    bytes.extend_from_slice(inside().as_bytes());
    bytes
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let inside = inside();
    let good = r#"{"type":"good","data":1}"#;
    let length = good.len();
    let chunked = format!("{length:x}\r\n{good}\r\n0\r\n\r\n");
    let whole = chunked.len() + inside.len();
    let mut cases = Vec::new();
    let mut add = |name, then, bytes: Vec<u8>| cases.push(Case { name, bytes, then });
    let behind = |body: &str| format!("{body}{inside}");

    // Length and chunks: who believes the length sees one request, who believes the chunks two.
    let te = "transfer-encoding: chunked";
    add(
        "length, then chunks",
        Then::Any,
        with(&format!("content-length: {whole}\r\n{te}"), &behind(&chunked)),
    );
    add(
        "chunks, then length",
        Then::Any,
        with(&format!("{te}\r\ncontent-length: {whole}"), &behind(&chunked)),
    );
    add(
        "length 4 and chunks",
        Then::Any,
        with(&format!("content-length: 4\r\n{te}"), &behind(&chunked)),
    );
    for (name, line) in [
        (
            "chunks twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        ),
        ("chunks, then something", "transfer-encoding: chunked, identity"),
        ("something unknown", "transfer-encoding: xchunked"),
        ("something empty", "transfer-encoding:"),
        ("quoted chunks", "transfer-encoding: \"chunked\""),
        ("chunks with a tab", "transfer-encoding:\x0bchunked"),
        ("space before the colon", "transfer-encoding : chunked"),
        ("folded", "transfer-encoding:\r\n chunked"),
        ("name with a NUL", "transfer-encoding\0: chunked"),
    ] {
        let lines = format!("content-length: {whole}\r\n{line}");
        let then = if name == "chunks twice" {
            Then::Any
        } else {
            Then::Refused
        };
        add(name, then, with(&lines, &behind(&chunked)));
    }
    for (name, line) in [
        ("two lengths", "content-length: 24\r\ncontent-length: 5"),
        ("two lengths in one", "content-length: 24, 5"),
        ("length with a sign", "content-length: +24"),
        ("negative length", "content-length: -24"),
        ("length in hexadecimal", "content-length: 0x18"),
        ("length with a space inside", "content-length: 2 4"),
        ("length beyond 64 bits", "content-length: 99999999999999999999999"),
        ("empty length", "content-length:"),
        ("length of letters", "content-length: many"),
    ] {
        add(name, Then::Refused, with(line, good));
    }
    add(
        "the same length twice",
        Then::Any,
        with(
            &format!("content-length: {length}\r\ncontent-length: {length}"),
            good,
        ),
    );
    add("no length", Then::Refused, with("x-a: b", ""));
    add(
        "a length, and it is right",
        Then::Taken,
        with(&format!("content-length: {length}"), good),
    );
    add("chunks, and they are right", Then::Taken, with(te, &chunked));

    // Chunks.
    for (name, chunks) in [
        ("size with a sign", format!("+{length:x}\r\n{good}\r\n0\r\n\r\n")),
        ("size with 0x", format!("0x{length:x}\r\n{good}\r\n0\r\n\r\n")),
        ("size that is none", format!("zz\r\n{good}\r\n0\r\n\r\n")),
        ("negative size", format!("-1\r\n{good}\r\n0\r\n\r\n")),
        (
            "size beyond 64 bits",
            format!("10000000000000018\r\n{good}\r\n0\r\n\r\n"),
        ),
        ("chunk longer than its size", format!("5\r\n{good}\r\n0\r\n\r\n")),
        ("size that ends in LF", format!("{length:x}\n{good}\r\n0\r\n\r\n")),
        (
            "extension with a LF in it",
            format!("{length:x};\n{good}\r\n0\r\n\r\n"),
        ),
    ] {
        add(name, Then::Refused, with(te, &behind(&chunks)));
    }
    // A reader that takes trailers for headers would see another length.
    let trailers = format!(
        "{length:x}\r\n{good}\r\n0\r\ncontent-length: {}\r\n\r\n",
        inside.len()
    );
    add("length in the trailers", Then::Any, with(te, &trailers));

    // Heads.
    let cl = format!("content-length: {length}");
    let text = String::from_utf8(with(&cl, good)).expect("text");
    add(
        "lines that end in LF",
        Then::Any,
        text.replace("\r\n", "\n").into_bytes(),
    );
    add(
        "lines that end in CR",
        Then::Refused,
        text.replace("\r\n", "\r").into_bytes(),
    );
    add(
        "NUL in a value",
        Then::Refused,
        with(&format!("x-a: a\0b\r\n{cl}"), good),
    );
    add(
        "CR in a value",
        Then::Refused,
        with(&format!("x-a: a\rb\r\n{cl}"), good),
    );
    add(
        "folded value",
        Then::Refused,
        with(&format!("x-a: a\r\n b\r\n{cl}"), good),
    );
    add(
        "name with a space",
        Then::Refused,
        with(&format!("x a: b\r\n{cl}"), good),
    );
    add(
        "line without a colon",
        Then::Refused,
        with(&format!("nonsense\r\n{cl}"), good),
    );
    add(
        "line that begins with a colon",
        Then::Refused,
        with(&format!(": b\r\n{cl}"), good),
    );
    add(
        "first line folded",
        Then::Refused,
        text.replacen("\r\nhost", "\r\n host", 1).into_bytes(),
    );
    for (name, line) in [
        ("two spaces in the first line", "POST  /api/v1/events HTTP/1.1"),
        ("version that is not there", "POST /api/v1/events HTTP/9.9"),
        ("no version", "POST /api/v1/events"),
        ("a space in the path", "POST /api/v1/events x HTTP/1.1"),
        ("method with a NUL", "PO\0ST /api/v1/events HTTP/1.1"),
        ("method in lower case", "post /api/v1/events HTTP/1.1"),
        ("a tunnel", "CONNECT internal.example:443 HTTP/1.1"),
        ("a trace", "TRACE /api/v1/events HTTP/1.1"),
        ("everything", "OPTIONS * HTTP/1.1"),
        ("a path outside", "POST /../api/v1/events HTTP/1.1"),
    ] {
        let changed = text.replacen("POST /api/v1/events HTTP/1.1", line, 1);
        // Where these are answered before the body is read, the body must not become a request.
        let bytes =
            changed
                .replacen(good, &inside, 1)
                .replacen(&cl, &format!("content-length: {}", inside.len()), 1);
        add(name, Then::Refused, bytes.into_bytes());
    }
    add("chunks in HTTP/1.0", Then::Refused, {
        let old = String::from_utf8(with(te, &behind(&chunked))).expect("text");
        old.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
    });
    add(
        "preface of HTTP/2",
        Then::Refused,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
    );
    add(
        "a TLS handshake",
        Then::Refused,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    );
    add(
        "upgrade to HTTP/2",
        Then::Taken,
        with(
            &format!("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n{cl}"),
            good,
        ),
    );
    // Refused by their heads, with a body that is a request.
    let unread = format!("content-length: {}", inside.len());
    let stranger = String::from_utf8(with(&unread, &inside))
        .expect("text")
        .replacen(ADMIN_KEY, "nobody", 1);
    add("body of a stranger", Then::Refused, stranger.into_bytes());
    let nowhere =
        String::from_utf8(with(&unread, &inside))
            .expect("text")
            .replacen("/api/v1/events", "/nowhere", 1);
    add("body for nobody", Then::Refused, nowhere.into_bytes());
    let get = String::from_utf8(with(&unread, &inside)).expect("text").replacen(
        "POST /api/v1/events",
        "GET /healthz",
        1,
    );
    add("body of a GET", Then::Any, get.into_bytes());
    let head = String::from_utf8(with(&unread, &inside)).expect("text").replacen(
        "POST /api/v1/events",
        "HEAD /healthz",
        1,
    );
    add("body of a HEAD", Then::Any, head.into_bytes());
    add(
        "expectation that nobody has",
        Then::Any,
        with(&format!("expect: 200-ok\r\n{cl}"), good),
    );
    cases
}

const REFUSED: &[u16] = &[400, 413, 422];
/// They may be what somebody means.
const EITHER: &[u16] = &[202, 400, 413, 422];

/// Bodies that are too much: name, media type, bytes, statuses that they may get.
pub fn heavy() -> Vec<(&'static str, &'static str, Vec<u8>, &'static [u16])> {
    let json = "application/json";
    let deep = |open: &str, shut: &str, count: usize| {
        format!(
            r#"{{"type":"a","data":{}1{}}}"#,
            open.repeat(count),
            shut.repeat(count)
        )
        .into_bytes()
    };
    let batch =
        |count: usize| format!("[{}]", vec![r#"{"type":"a","data":1}"#; count].join(",")).into_bytes();
    vec![
        ("arrays 100,000 deep", json, deep("[", "]", 100_000), REFUSED),
        (
            "objects 100,000 deep",
            json,
            deep("{\"a\":", "}", 100_000),
            REFUSED,
        ),
        ("arrays 65 deep", json, deep("[", "]", 65), REFUSED),
        ("only opened", json, b"[".repeat(900_000), REFUSED),
        (
            "events inside of events",
            json,
            b"[{\"type\":".repeat(90_000),
            REFUSED,
        ),
        ("beyond the limit", json, vec![b' '; 1_100_000], REFUSED),
        ("a mebibyte of zeros", json, vec![0; 1 << 20], REFUSED),
        (
            "a mebibyte of escapes",
            json,
            deep("", "", 0)
                .repeat(1)
                .into_iter()
                .chain(b"\\u0000".repeat(100_000))
                .collect(),
            REFUSED,
        ),
        (
            "a string without an end",
            json,
            [&b"{\"type\":\"a\",\"data\":\""[..], &b"x".repeat(1_000_000)].concat(),
            REFUSED,
        ),
        (
            "a type of 100,000 letters",
            json,
            format!(r#"{{"type":"{}","data":1}}"#, "a".repeat(100_000)).into_bytes(),
            REFUSED,
        ),
        (
            "a number of 500,000 digits",
            json,
            format!(r#"{{"type":"a","data":{}}}"#, "9".repeat(500_000)).into_bytes(),
            EITHER,
        ),
        (
            "an exponent of 500,000 digits",
            json,
            format!(r#"{{"type":"a","data":1e{}}}"#, "9".repeat(500_000)).into_bytes(),
            EITHER,
        ),
        (
            "100,000 fields",
            json,
            format!(r#"{{"type":"a"{}}}"#, r#","x":1"#.repeat(100_000)).into_bytes(),
            REFUSED,
        ),
        (
            "the same field 100,000 times",
            json,
            format!(r#"{{"type":"a","data":1{}}}"#, r#","data":1"#.repeat(90_000)).into_bytes(),
            REFUSED,
        ),
        ("1,001 events", json, batch(1_001), REFUSED),
        ("40,000 events", json, batch(40_000), REFUSED),
        (
            "300,000 empty events",
            json,
            format!("[{}]", vec!["{}"; 300_000].join(",")).into_bytes(),
            REFUSED,
        ),
        (
            "a batch of CloudEvents that is deep",
            "application/cloudevents-batch+json",
            b"[".repeat(500_000),
            REFUSED,
        ),
        (
            "a structured CloudEvent that is deep",
            "application/cloudevents+json",
            b"{\"a\":".repeat(150_000),
            REFUSED,
        ),
        (
            "not UTF-8",
            json,
            [&b"{\"type\":\"a\",\"data\":\""[..], &[0xff; 500_000], b"\"}"].concat(),
            REFUSED,
        ),
    ]
}

/// A tebibyte is announced, and a little sent.
pub fn announced() -> Vec<u8> {
    with("content-length: 1099511627776", &"x".repeat(100_000))
}

/// Chunks beyond every limit.
pub fn endless() -> Vec<u8> {
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    with("transfer-encoding: chunked", &chunk.repeat(64))
}

/// Ten thousand headers.
pub fn many_headers() -> Vec<u8> {
    let lines: Vec<_> = (0..10_000).map(|n| format!("x-{n}: y")).collect();
    with(&lines.join("\r\n"), "")
}
