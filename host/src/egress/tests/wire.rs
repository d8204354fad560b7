//! What stands on the wire, byte by byte.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::super::{Outbound, Spelling};
use super::{Script, egress, kind_of, ok, open, outbound, server, to};
use crate::delivery::{AttemptResult, ErrorKind};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The headers of a delivery, in an order that no map would choose.
const SENT: [(&str, &str); 8] = [
    ("X-WorkFlows-Signature", "t=1,v1=abc"),
    ("Content-Type", "application/json"),
    ("webhook-id", "msg_1"),
    ("User-Agent", "Hookway"),
    ("X-GitHub-Event", "push"),
    ("aUTHORIZATION", "Bearer x"),
    ("X-Twice", "1"),
    ("X-Twice", "2"),
];

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in SENT {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static(value),
        );
    }
    headers
}

fn spelled() -> Spelling {
    Spelling::of(&SENT.map(|(name, _)| name))
}

fn lines(names: impl Fn(&str) -> String) -> String {
    SENT.iter()
        .map(|(name, value)| format!("{}: {value}\r\n", names(name)))
        .collect()
}

/// WF-07.
#[tokio::test]
async fn names_leave_as_they_are_spelled_and_nothing_is_added() {
    let server = server(ok("")).await;
    let egress = egress(open());
    // Alternating, on one connection: a spelling belongs to its request.
    for spelling in [spelled(), Spelling::default(), spelled()] {
        let sent = Outbound {
            headers: headers(),
            spelling,
            ..to(&server)
        };
        let reply = egress.send(sent).await;
        assert!(
            matches!(reply.result, AttemptResult::Response { status: 200, .. }),
            "{reply:?}"
        );
    }
    let exact = format!(
        "POST /path?token=s3cret HTTP/1.1\r\nHost: {}\r\n{}Content-Length: 2\r\n\r\n{{}}",
        server.address,
        lines(str::to_owned)
    );
    let lower = format!(
        "POST /path?token=s3cret HTTP/1.1\r\nhost: {}\r\n{}content-length: 2\r\n\r\n{{}}",
        server.address,
        lines(str::to_lowercase)
    );
    assert_eq!(server.connections.load(super::Ordering::SeqCst), 1);
    assert_eq!(
        *server.requests.lock().unwrap(),
        [exact.clone(), lower, exact],
        "names, order, one length, no chunks, and no `accept`, `accept-encoding` or `user-agent` of our own"
    );
}

/// Of a name that is listed once, a second header has no spelling; of one that is not listed neither.
#[tokio::test]
async fn what_is_not_listed_leaves_in_lower_case() {
    let server = server(ok("")).await;
    let sent = Outbound {
        headers: headers(),
        spelling: Spelling::of(&["X-Twice", "not a name", "X-Other"]),
        ..to(&server)
    };
    egress(open()).send(sent).await;
    let request = server.requests.lock().unwrap()[0].clone();
    assert!(request.contains("\r\nX-Twice: 1\r\nx-twice: 2\r\n"), "{request}");
    assert!(
        request.contains("\r\nx-workflows-signature: t=1,v1=abc\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nContent-Length: 2\r\n"), "{request}");
}

/// What one request without a body looks like.
async fn without_body(method: Method, spelling: Spelling) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    let sent = Outbound {
        method,
        headers: HeaderMap::new(),
        spelling,
        body: Bytes::new(),
        ..outbound(&format!("http://{address}/a?b#c"))
    };
    let reply = egress(open()).send(sent).await;
    assert!(
        matches!(reply.result, AttemptResult::Response { status: 204, .. }),
        "{reply:?}"
    );
    server.await.unwrap().replace(&address.to_string(), "here")
}

#[tokio::test]
async fn an_empty_body_has_a_length_where_there_could_be_one() {
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        let request = without_body(method.clone(), Spelling::of(&[] as &[&str])).await;
        assert_eq!(
            request,
            format!("{method} /a?b HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n")
        );
    }
    for method in [Method::GET, Method::DELETE] {
        let request = without_body(method.clone(), Spelling::default()).await;
        assert_eq!(request, format!("{method} /a?b HTTP/1.1\r\nhost: here\r\n\r\n"));
    }
}

#[tokio::test]
async fn too_many_headers_are_refused_before_anything_is_dialled() {
    let server = server(Script::Close).await;
    let mut sent = to(&server);
    for n in 0..400 {
        sent.headers.append("x-many", HeaderValue::from(n));
    }
    assert_eq!(kind_of(&egress(open()).send(sent).await), ErrorKind::Invalid);
    assert_eq!(server.connections.load(super::Ordering::SeqCst), 0);
}
