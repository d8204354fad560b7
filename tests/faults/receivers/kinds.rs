//! The kinds of receivers that misbehave, as data: what each does and how an attempt must end that
//! meets it.

mod wire;

use super::stage::Step::{self, Again, Drip, Flood, Hang, Read, Reset, Tls, Wait, Write};
use super::tls;

/// The time-out of every attempt, in seconds.
pub const TIMEOUT_SECONDS: u64 = 2;
/// A status that no honest answer of these receivers has: who records it took bytes for an answer that
/// were none.
pub const NEVER: u16 = 599;
/// Where redirects lead; the test puts the canary's address in its place.
pub const CANARY: &str = "canary.invalid:1";

/// How an attempt must end.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// With an answer of this status.
    Answer(u16),
    /// With an error of this kind whose text says this; `|` stands between what are equally good.
    Error(&'static str, &'static str),
}
use Ends::{Answer, Error};

/// One kind of receiver.
pub struct Kind {
    pub name: &'static str,
    pub scheme: &'static str,
    pub script: Vec<Step>,
    pub ends: Ends,
}

fn kind(name: &'static str, script: Vec<Step>, ends: Ends) -> Kind {
    Kind {
        name,
        scheme: "http",
        script,
        ends,
    }
}

fn secure(name: &'static str, script: Vec<Step>, ends: Ends) -> Kind {
    Kind {
        name,
        scheme: "https",
        script,
        ends,
    }
}

/// Reads the request, then does this.
fn after(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    std::iter::once(Read).chain(steps).collect()
}

/// Reads the request, writes this, and the same again where the connection is kept.
fn says(text: impl AsRef<[u8]>) -> Vec<Step> {
    after([Write(text.as_ref().to_vec()), Again])
}

/// Reads the request, writes this and closes.
fn says_and_closes(text: &str) -> Vec<Step> {
    after([Write(text.into())])
}

/// As much of zeros in gzip (RFC 1952): one block of fixed codes (RFC 1951, 3.2.6), a literal and then
/// copies of 258 bytes, 13 bits each.
pub fn gzip_of_zeros(copies: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut buffer, mut held) = (0_u32, 0);
    let mut put = |bits: &str| {
        for bit in bits.bytes() {
            buffer |= u32::from(bit == b'1') << held;
            held += 1;
            if held == 8 {
                bytes.push(buffer.to_le_bytes()[0]);
                (buffer, held) = (0, 0);
            }
        }
    };
    // The last block (1), fixed codes (01, lowest bit first), the literal 0.
    put("110");
    put("00110000");
    for _ in 0..copies {
        put("1100010100000");
    }
    // The end of the block, and what fills the last byte.
    put("00000000000000");
    bytes
}

fn gzip(status: &str, copies: usize) -> Vec<u8> {
    let body = gzip_of_zeros(copies);
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    answer
}

fn redirect(status: &str, to: &str) -> Vec<Step> {
    says(format!(
        "HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
    ))
}

const HEAD: &str = "HTTP/1.1 200 OK\r\n";
const TIMEOUT: Ends = Error("timeout", "no whole answer within 2 s");
const TOO_LARGE: Ends = Error("protocol", "the headers of the answer are too large");
const NOT_HTTP: Ends = Error("protocol", "the answer is not HTTP/1.1");
const BAD_BODY: Ends = Error("protocol", "the body of the answer is not HTTP/1.1");
const INTERIM: Ends = Error("protocol", "more than 32 interim answers");
/// Whether the connection was there before it was gone is for the kernel to say.
const GONE: Ends = Error("protocol|connect", "reset|closed");
const CUT: Ends = Error(
    "protocol",
    "the connection was closed before the answer was whole",
);

/// All of them.
pub fn kinds() -> Vec<Kind> {
    let mut all = slow();
    all.extend(large());
    all.extend(cut());
    all.extend(wire::framing());
    all.extend(wire::odd());
    all.extend(elsewhere());
    all.extend(handshakes());
    all
}

fn slow() -> Vec<Kind> {
    vec![
        kind("never reads", vec![Wait(60_000)], TIMEOUT),
        kind("never answers", says(""), TIMEOUT),
        kind(
            "head by the byte",
            after([Drip(b"HTTP/1.1 200 OK\r\nx-a: b\r\nx-c: d".to_vec(), 50)]),
            TIMEOUT,
        ),
        kind("stops within the head", says("HTTP/1.1 200 OK\r\nx-a"), TIMEOUT),
        kind(
            "body by the byte",
            after([
                Write(format!("{HEAD}content-length: 100000\r\n\r\n").into()),
                Drip(b"x".to_vec(), 50),
            ]),
            TIMEOUT,
        ),
        kind(
            "chunks by the byte",
            after([
                Write(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").into()),
                Drip(b"1\r\nx\r\n".to_vec(), 20),
            ]),
            TIMEOUT,
        ),
        kind(
            "head without a body's length, kept open",
            says(format!("{HEAD}\r\n")),
            TIMEOUT,
        ),
        kind(
            "shorter body than it said, kept open",
            says(format!("{HEAD}content-length: 10\r\n\r\nshort")),
            TIMEOUT,
        ),
        kind(
            "ten gibibytes announced, none sent",
            says(format!("{HEAD}content-length: 10737418240\r\n\r\n")),
            TIMEOUT,
        ),
        kind(
            "flood of 100 Continue",
            after([Flood(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]),
            INTERIM,
        ),
        kind(
            "flood of 103 Early Hints",
            after([Flood(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec())]),
            INTERIM,
        ),
        kind(
            "100 Continue by the byte",
            after([Drip(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), 10)]),
            TIMEOUT,
        ),
    ]
}

fn large() -> Vec<Kind> {
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let some: String = (0..95)
        .map(|n| format!("x-{n}: {}\r\n", "y".repeat(200)))
        .collect();
    vec![
        kind(
            "endless body",
            after([Write(format!("{HEAD}\r\n").into()), Flood(b"x".to_vec())]),
            Answer(200),
        ),
        kind(
            "endless body of chunks",
            after([
                Write(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").into()),
                Flood(b"4\r\nxxxx\r\n".to_vec()),
            ]),
            Answer(200),
        ),
        kind(
            "endless body of an error",
            after([Write("HTTP/1.1 500 No\r\n\r\n".into()), Flood(b"x".to_vec())]),
            Answer(500),
        ),
        kind(
            "header of a mebibyte",
            says(format!("{HEAD}x: {}\r\n\r\n", "y".repeat(1 << 20))),
            TOO_LARGE,
        ),
        kind(
            "endless header",
            after([Write(format!("{HEAD}x: ").into()), Flood(b"y".to_vec())]),
            TOO_LARGE,
        ),
        kind(
            "endless reason",
            after([Write("HTTP/1.1 200 ".into()), Flood(b"y".to_vec())]),
            TOO_LARGE,
        ),
        kind("10,000 headers", says(format!("{HEAD}{many}\r\n")), TOO_LARGE),
        kind(
            "96 headers of 200 bytes",
            says(format!("{HEAD}{some}content-length: 0\r\n\r\n")),
            Answer(200),
        ),
        kind("endless empty lines", after([Flood(b"\r\n".to_vec())]), TOO_LARGE),
        kind("gzip bomb", says(gzip("200 OK", 40_000)), Answer(200)),
        kind("gzip bomb that fits", says(gzip("200 OK", 9_000)), Answer(200)),
        kind(
            "endless extension of a chunk",
            after([
                Write(format!("{HEAD}transfer-encoding: chunked\r\n\r\n1;").into()),
                Flood(b"x".to_vec()),
            ]),
            BAD_BODY,
        ),
        kind(
            "endless trailers",
            after([
                Write(format!("{HEAD}transfer-encoding: chunked\r\n\r\n0\r\n").into()),
                Flood(b"x: y\r\n".to_vec()),
            ]),
            BAD_BODY,
        ),
    ]
}

fn cut() -> Vec<Kind> {
    vec![
        kind("closes at once", vec![], GONE),
        kind("resets at once", vec![Reset], GONE),
        kind("closes after the request", vec![Read], CUT),
        kind(
            "resets after the request",
            after([Reset]),
            Error("protocol", "reset"),
        ),
        kind(
            "closes within the head",
            says_and_closes("HTTP/1.1 200 OK\r\nx-a: b"),
            CUT,
        ),
        kind(
            "resets within the head",
            after([Write("HTTP/1.1 200 OK\r\nx".into()), Wait(50), Reset]),
            Error("protocol", "reset"),
        ),
        kind(
            "closes within the body",
            says_and_closes("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"),
            CUT,
        ),
        kind(
            "closes within a chunk",
            says_and_closes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"),
            CUT,
        ),
        kind(
            "resets within the body",
            after([
                Write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort".into()),
                Wait(50),
                Reset,
            ]),
            Error("protocol", "reset"),
        ),
    ]
}

fn elsewhere() -> Vec<Kind> {
    vec![
        kind(
            "redirect to a private address",
            redirect("302 Found", &format!("http://{CANARY}/")),
            Answer(302),
        ),
        kind(
            "permanent redirect that keeps the method",
            redirect("308 Permanent Redirect", &format!("http://{CANARY}/")),
            Answer(308),
        ),
        kind(
            "redirect to itself",
            redirect("307 Temporary Redirect", "/hook"),
            Answer(307),
        ),
        kind(
            "redirect to a file",
            redirect("303 See Other", "file:///etc/passwd"),
            Answer(303),
        ),
        kind(
            "another way to go there",
            says(
                "HTTP/1.1 200 OK\r\nalt-svc: http/1.1=\"canary.invalid:1\"\r\nrefresh: 0; url=http://canary.invalid:1/\r\n\
                  content-location: http://canary.invalid:1/\r\ncontent-length: 0\r\n\r\n",
            ),
            Answer(200),
        ),
        kind(
            "proxy that wants a login",
            says(
                "HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=x\r\nlocation: http://canary.invalid:1/\r\ncontent-length: 0\r\n\r\n",
            ),
            Answer(407),
        ),
    ]
}

fn handshakes() -> Vec<Kind> {
    let alert = b"\x15\x03\x03\0\x02\x02\x28".to_vec();
    vec![
        secure(
            "garbage in place of TLS",
            vec![Write("HTTP/1.1 200 OK\r\n\r\n".into()), Hang],
            Error("tls", "the TLS handshake failed"),
        ),
        secure(
            "endless garbage in place of TLS",
            vec![Flood(b"\x16\x03\x03\x3f\xff".to_vec())],
            Error("tls", "the TLS handshake failed"),
        ),
        secure(
            "alert in place of a handshake",
            vec![Write(alert), Hang],
            Error("tls", "the TLS handshake failed"),
        ),
        secure("silence in place of TLS", vec![Hang], TIMEOUT),
        secure(
            "closes during the handshake",
            vec![Wait(50)],
            Error("connect", "no connection"),
        ),
        secure(
            "resets during the handshake",
            vec![Wait(50), Reset],
            Error("connect", "no connection"),
        ),
        secure(
            "certificate that has expired",
            vec![Tls(tls::expired())],
            Error("tls", "certificate expired"),
        ),
        secure(
            "certificate that nobody vouches for",
            vec![Tls(tls::self_signed())],
            Error("tls", "UnknownIssuer"),
        ),
    ]
}
