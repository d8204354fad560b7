//! What is wrong on the wire: lengths that lie, chunks that are none, heads of something else.

use super::Ends::{Answer, Error};
use super::{BAD_BODY, HEAD, Kind, NEVER, NOT_HTTP, after, kind, says, says_and_closes};
use crate::receivers::stage::Step::{Hang, Wait, Write};

/// Answers whose ends are not where they say.
pub(super) fn framing() -> Vec<Kind> {
    // What stands behind an answer is an answer to nothing.
    let never = format!("HTTP/1.1 {NEVER} Never\r\ncontent-length: 0\r\n\r\n");
    let head = |headers: &str| format!("{HEAD}{headers}\r\n\r\n");
    vec![
        kind(
            "longer body than it said",
            says(head("content-length: 2") + "ok and more"),
            Answer(200),
        ),
        kind(
            "another answer behind the answer",
            says(head("content-length: 2") + "ok" + &never),
            Answer(200),
        ),
        kind(
            "another answer a while later",
            after([
                Write((head("content-length: 2") + "ok").into()),
                Wait(100),
                Write(never.clone().into()),
                Hang,
            ]),
            Answer(200),
        ),
        kind(
            "204 with a body",
            says("HTTP/1.1 204 No\r\ncontent-length: 99\r\n\r\n".to_owned() + &never),
            Answer(204),
        ),
        kind(
            "304 with a body",
            says("HTTP/1.1 304 No\r\ncontent-length: 99\r\n\r\n".to_owned() + &never),
            Answer(304),
        ),
        kind(
            "negative length",
            says(head("content-length: -5") + "ok"),
            NOT_HTTP,
        ),
        kind(
            "length with a sign",
            says(head("content-length: +2") + "ok"),
            NOT_HTTP,
        ),
        kind(
            "length beyond 64 bits",
            says(head("content-length: 99999999999999999999") + "ok"),
            NOT_HTTP,
        ),
        kind(
            "two lengths",
            says(head("content-length: 2\r\ncontent-length: 5") + "ok" + &never),
            NOT_HTTP,
        ),
        kind(
            "two lengths in one",
            says(head("content-length: 2, 5") + "ok" + &never),
            NOT_HTTP,
        ),
        kind(
            "length and chunks",
            says(head("content-length: 4\r\ntransfer-encoding: chunked") + "2\r\nok\r\n0\r\n\r\n" + &never),
            Answer(200),
        ),
        kind(
            "chunks and something else last",
            says_and_closes(&(head("transfer-encoding: chunked, identity") + "2\r\nok\r\n0\r\n\r\n")),
            Answer(200),
        ),
        kind(
            "size of a chunk that is none",
            says(head("transfer-encoding: chunked") + "zz\r\nok\r\n"),
            BAD_BODY,
        ),
        kind(
            "size of a chunk beyond 64 bits",
            says(head("transfer-encoding: chunked") + "fffffffffffffffff\r\nok"),
            BAD_BODY,
        ),
        kind(
            "chunk without its end",
            says(head("transfer-encoding: chunked") + "2\r\nokay\r\n0\r\n\r\n"),
            BAD_BODY,
        ),
    ]
}

/// Answers that are none.
pub(super) fn odd() -> Vec<Kind> {
    vec![
        kind(
            "status 000",
            says("HTTP/1.1 000 No\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "status 999",
            says("HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n"),
            Answer(999),
        ),
        kind(
            "status 1000",
            says("HTTP/1.1 1000 No\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "status -1",
            says("HTTP/1.1 -1 No\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "101 that nobody asked for",
            says("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
            Answer(101),
        ),
        kind(
            "NUL in a header",
            says(b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "CR in a header",
            says("HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "folded header",
            says("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "space before the colon",
            says("HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "HTTP/0.9",
            says_and_closes("hello, here is your page\n"),
            NOT_HTTP,
        ),
        kind(
            "HTTP/9.9",
            says("HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "settings of HTTP/2",
            says(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff"),
            NOT_HTTP,
        ),
        kind(
            "preface of HTTP/2",
            says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            NOT_HTTP,
        ),
        kind(
            "another protocol's greeting",
            vec![Write("220 mail.example ESMTP\r\n".into()), Hang],
            Error("protocol", "before it was asked|not HTTP/1.1"),
        ),
    ]
}
