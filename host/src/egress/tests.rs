//! The client against real sockets on this machine.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::delivery::{AttemptResult, ErrorKind};

mod connections;
mod names;
mod tls;
mod wire;

/// A server that answers every connection by a script and counts connections and requests.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// What the server does after it has read a request.
#[derive(Clone)]
enum Script {
    /// Writes this and reads the next request.
    Answer(String),
    /// Writes this and then nothing, for ever.
    Stall(&'static str),
    /// Writes the first and then the second, for ever.
    Flood(&'static str, &'static [u8]),
    /// Closes the connection.
    Close,
}

fn ok(body: &str) -> Script {
    Script::Answer(format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

async fn server(script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        address: listener.local_addr().unwrap(),
        connections: Arc::default(),
        requests: Arc::default(),
    };
    let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, script.clone(), Arc::clone(&requests)));
        }
    });
    server
}

async fn serve(mut stream: TcpStream, script: Script, requests: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    loop {
        let mut request = Vec::new();
        // Every body of these tests ends in `}`.
        while !request.ends_with(b"}") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        requests
            .lock()
            .unwrap()
            .push(String::from_utf8_lossy(&request).into_owned());
        match &script {
            Script::Answer(text) => stream.write_all(text.as_bytes()).await?,
            Script::Stall(text) => {
                stream.write_all(text.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Script::Flood(head, more) => {
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(more).await?;
                }
            }
            Script::Close => return Ok(()),
        }
    }
}

fn open() -> Policy {
    Policy {
        allow_http: true,
        allow_private_networks: true,
        ..Policy::default()
    }
}

fn outbound(url: &str) -> Outbound {
    Outbound {
        method: http::Method::POST,
        target: ::url::Url::parse(url).unwrap().into(),
        headers: http::HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        )]),
        spelling: Spelling::default(),
        body: Bytes::from_static(b"{}"),
        timeout: Duration::from_secs(5),
        response_body_max: 1_024,
    }
}

fn to(server: &Server) -> Outbound {
    outbound(&format!("http://{}/path?token=s3cret", server.address))
}

fn egress(policy: Policy) -> Egress {
    Egress::new(policy, Limits::default()).unwrap()
}

#[track_caller]
fn kind_of(reply: &Reply) -> ErrorKind {
    match &reply.result {
        AttemptResult::Error { kind, detail } => {
            assert!(
                !detail.contains("s3cret") && !detail.contains("/path"),
                "{detail}"
            );
            *kind
        }
        AttemptResult::Response { status, .. } => panic!("answered {status}"),
    }
}

#[tokio::test]
async fn an_answer_comes_back_and_the_connection_is_kept() {
    let head = "HTTP/1.1 201 Created\r\nset-cookie: session=s3cret\r\nx-a: 1\r\ncontent-length: 2\r\n\r\nok";
    let server = server(Script::Answer(head.to_owned())).await;
    let egress = egress(open());
    for _ in 0..3 {
        let reply = egress.send(to(&server)).await;
        let AttemptResult::Response {
            status,
            headers,
            body,
            truncated,
        } = reply.result
        else {
            panic!("{reply:?}");
        };
        assert_eq!((status, &body[..], truncated), (201, &b"ok"[..], false));
        assert!(headers.contains(&("x-a".to_owned(), "1".to_owned())));
        assert!(
            headers.contains(&("set-cookie".to_owned(), "…".to_owned())),
            "{headers:?}"
        );
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let requests = server.requests.lock().unwrap();
    assert!(
        requests[0].starts_with("POST /path?token=s3cret HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        !requests[0].to_lowercase().contains("accept-encoding"),
        "{}",
        requests[0]
    );
}

#[tokio::test]
async fn without_leave_nothing_is_dialled() {
    let server = server(ok("")).await;
    let http_only = Policy {
        allow_http: true,
        ..Policy::default()
    };
    assert_eq!(
        kind_of(&egress(http_only).send(to(&server)).await),
        ErrorKind::Refused
    );
    assert_eq!(
        kind_of(&egress(Policy::default()).send(to(&server)).await),
        ErrorKind::Refused
    );
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    let allow = toml::from_str::<Policy>("allow = [{ cidr = \"127.0.0.1/32\", http = true }]").unwrap();
    assert!(matches!(
        egress(allow).send(to(&server)).await.result,
        AttemptResult::Response { status: 200, .. }
    ));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = server(ok("")).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://{}/next?code=s3cret\r\n\
             refresh: 0;url=http://{0}/\r\n\
             alt-svc: h2=\"{0}\"\r\ncontent-length: 0\r\n\r\n",
            target.address
        );
        let server = server(Script::Answer(head)).await;
        let egress = egress(open());
        for _ in 0..2 {
            let reply = egress.send(to(&server)).await;
            let AttemptResult::Response {
                status: got, headers, ..
            } = &reply.result
            else {
                panic!("{reply:?}");
            };
            assert_eq!(*got, status);
            let location = headers.iter().find(|(name, _)| name == "location").unwrap();
            assert_eq!(location.1, format!("http://{}/next", target.address));
        }
    }
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_deadline_holds_for_headers_and_body() {
    let scripts = [
        Script::Stall(""),
        Script::Stall("HTTP/1.1 100 Continue\r\n\r\n"),
        Script::Stall("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
    ];
    for script in scripts {
        let server = server(script).await;
        let mut outbound = to(&server);
        outbound.timeout = Duration::from_millis(200);
        let reply = egress(open()).send(outbound).await;
        assert_eq!(kind_of(&reply), ErrorKind::Timeout);
        assert!((200..5_000).contains(&reply.duration_ms), "{}", reply.duration_ms);
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_connection_dropped() {
    let server = server(Script::Flood("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4_096])).await;
    let egress = egress(open());
    for expected in 1..=2 {
        let AttemptResult::Response { body, truncated, .. } = egress.send(to(&server)).await.result else {
            panic!("no answer");
        };
        assert_eq!((body.len(), truncated), (1_024, true));
        assert_eq!(server.connections.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_whole() {
    for (length, whole) in [(1_023, true), (1_024, true), (1_025, false)] {
        let server = server(ok(&"x".repeat(length))).await;
        let AttemptResult::Response { body, truncated, .. } = egress(open()).send(to(&server)).await.result
        else {
            panic!("no answer");
        };
        assert_eq!((body.len(), truncated), (length.min(1_024), !whole));
    }
}

#[tokio::test]
async fn trouble_is_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let reply = egress(open())
        .send(outbound(&format!("http://{closed}/path?s3cret")))
        .await;
    assert_eq!(kind_of(&reply), ErrorKind::Connect);
    assert!(matches!(&reply.result, AttemptResult::Error { detail, .. } if detail.contains("refused")));

    let plain = server(Script::Answer("HTTP/1.1 400 Bad\r\n\r\n}".to_owned())).await;
    let many: String = (0..300).map(|n| format!("x-{n}: 1\r\n")).collect();
    let cases = [
        (Script::Close, ErrorKind::Protocol),
        (
            Script::Answer("SSH-2.0-OpenSSH\r\n\r\n".to_owned()),
            ErrorKind::Protocol,
        ),
        (
            Script::Answer(format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
            ErrorKind::Protocol,
        ),
    ];
    for (script, kind) in cases {
        let server = server(script).await;
        assert_eq!(kind_of(&egress(open()).send(to(&server)).await), kind);
    }
    // A server that speaks no TLS answers the handshake with something else.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        std::future::pending::<io::Result<()>>().await
    });
    let reply = egress(open())
        .send(outbound(&format!("https://{address}/path?s3cret")))
        .await;
    assert_eq!(kind_of(&reply), ErrorKind::Tls, "{reply:?}");

    for name in [http::header::CONTENT_LENGTH, http::header::HOST, http::header::TE] {
        let mut broken = to(&plain);
        broken
            .headers
            .insert(name.clone(), http::HeaderValue::from_static("5"));
        assert_eq!(
            kind_of(&egress(open()).send(broken).await),
            ErrorKind::Invalid,
            "{name}"
        );
    }
    let mut broken = to(&plain);
    broken.method = http::Method::CONNECT;
    assert_eq!(kind_of(&egress(open()).send(broken).await), ErrorKind::Invalid);
    assert_eq!(plain.connections.load(Ordering::SeqCst), 0);
}
