//! Connections: kept, closed by either side, too slow; and bodies that do not fit into one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::{Egress, Limits, Lookup, LookupFuture, Outbound, Reply};
use super::{Script, egress, kind_of, ok, open, outbound, server, to};
use crate::delivery::{AttemptResult, ErrorKind};

/// More than the sending and the receiving side of a socket hold together.
const LARGE: usize = 32 * 1_024 * 1_024;

fn large(address: SocketAddr) -> Outbound {
    let mut body = vec![b'x'; LARGE];
    body.push(b'}');
    Outbound {
        body: Bytes::from(body),
        timeout: Duration::from_secs(30),
        ..outbound(&format!("http://{address}/path"))
    }
}

#[track_caller]
fn status_of(reply: &Reply) -> u16 {
    match &reply.result {
        AttemptResult::Response { status, .. } => *status,
        AttemptResult::Error { kind, detail } => panic!("{kind:?}: {detail}"),
    }
}

/// A server that hands over every connection.
async fn handed() -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (give, take) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if give.send(stream).await.is_err() {
                break;
            }
        }
    });
    (address, take)
}

/// Reads until the bytes end like this; what comes after it stays unread.
async fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await.unwrap());
    }
}

/// Waits until the other side has closed.
async fn closed(stream: &mut TcpStream) {
    let mut rest = [0; 4_096];
    let reading = async { while !matches!(stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the connection is closed");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = server(ok("yes")).await;
    let egress = egress(open());
    for _ in 0..300 {
        assert_eq!(status_of(&egress.send(to(&server)).await), 200);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.requests.lock().unwrap().len(), 300);
}

#[tokio::test]
async fn a_body_larger_than_the_buffers_of_the_socket_arrives() {
    let server = server(ok("")).await;
    let egress = egress(open());
    for _ in 0..2 {
        assert_eq!(status_of(&egress.send(large(server.address)).await), 200);
    }
    let requests = server.requests.lock().unwrap();
    for request in requests.iter() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(
            head.ends_with(&format!("content-length: {}", LARGE + 1)),
            "{head}"
        );
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert_eq!(body.len(), LARGE + 1);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

/// Who refuses a body by its headers answers without reading it.
#[tokio::test]
async fn an_answer_before_the_body_was_read_is_an_answer() {
    let (address, mut connections) = handed().await;
    let egress = egress(open());
    let send = |outbound| {
        let egress = egress.clone();
        tokio::spawn(async move { egress.send(outbound).await })
    };
    // The connection is closed with the body unread, at once and after the client has closed it.
    for says in ["", "connection: close\r\n"] {
        let sending = send(large(address));
        let mut stream = connections.recv().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        let answer = format!("HTTP/1.1 413 Content Too Large\r\n{says}content-length: 2\r\n\r\nno");
        stream.write_all(answer.as_bytes()).await.unwrap();
        if says.is_empty() {
            drop(stream);
            assert_eq!(status_of(&sending.await.unwrap()), 413);
        } else {
            assert_eq!(status_of(&sending.await.unwrap()), 413);
            closed(&mut stream).await;
        }
    }
    // It is kept, but the next request does not get it before the body has left.
    let sending = send(large(address));
    let mut first = connections.recv().await.unwrap();
    read_until(&mut first, b"\r\n\r\n").await;
    let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
    first.write_all(answer).await.unwrap();
    assert_eq!(status_of(&sending.await.unwrap()), 413);
    let sending = send(outbound(&format!("http://{address}/path")));
    let mut second = connections.recv().await.unwrap();
    read_until(&mut second, b"}").await;
    second.write_all(answer).await.unwrap();
    assert_eq!(status_of(&sending.await.unwrap()), 413);
}

/// Servers close idle connections without a word. A request that finds its connection closed has another
/// one: nobody learns of it.
#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_replaced() {
    let (address, mut connections) = handed().await;
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let count = Arc::clone(&count);
        async move {
            while let Some(mut stream) = connections.recv().await {
                count.fetch_add(1, Ordering::SeqCst);
                read_until(&mut stream, b"}").await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    let egress = egress(open());
    for _ in 0..100 {
        let reply = egress.send(outbound(&format!("http://{address}/path"))).await;
        assert_eq!(status_of(&reply), 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 100);
}

/// The closing and the next request meet: the pool gives the connection away before the client has seen
/// its end. The request was not written, so it is sent on another connection.
#[tokio::test]
async fn a_request_that_meets_the_closing_is_sent_on_another_connection() {
    let (address, mut connections) = handed().await;
    let egress = egress(open());
    let url = format!("http://{address}/path");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for _ in 0..50 {
        let first = async {
            let mut stream = connections.recv().await.unwrap();
            read_until(&mut stream, b"}").await;
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (reply, stream) = tokio::join!(egress.send(outbound(&url)), first);
        assert_eq!(status_of(&reply), 200);
        drop(stream);
        // The runtime learns of the end and wakes the connection; a test's own task runs before it.
        tokio::task::yield_now().await;
        let second = async {
            let another = tokio::time::timeout(Duration::from_secs(10), connections.recv());
            let mut stream = another.await.expect("another connection in time").unwrap();
            read_until(&mut stream, b"}").await;
            let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(close).await.unwrap();
        };
        let (reply, ()) = tokio::join!(egress.send(outbound(&url)), second);
        assert_eq!(status_of(&reply), 200);
    }
}

/// A request that was written is never sent again by itself: whether to is decided by who sends.
#[tokio::test]
async fn what_was_written_is_not_repeated() {
    let (address, mut connections) = handed().await;
    let egress = egress(open());
    let url = format!("http://{address}/path");
    let sending = tokio::spawn({
        let egress = egress.clone();
        async move {
            let first = egress.send(outbound(&url)).await;
            (first, egress.send(outbound(&url)).await)
        }
    });
    let mut stream = connections.recv().await.unwrap();
    read_until(&mut stream, b"}").await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    // The second request, on the kept connection, gets no answer but its end.
    read_until(&mut stream, b"}").await;
    drop(stream);
    let (first, second) = sending.await.unwrap();
    assert_eq!(status_of(&first), 200);
    assert_eq!(kind_of(&second), ErrorKind::Protocol);
    assert!(connections.try_recv().is_err());
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let (address, mut connections) = handed().await;
    let limits = Limits {
        pool_idle_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let egress = Egress::new(open(), limits).unwrap();
    let sending = tokio::spawn({
        let egress = egress.clone();
        async move { egress.send(outbound(&format!("http://{address}/path"))).await }
    });
    let mut stream = connections.recv().await.unwrap();
    read_until(&mut stream, b"}").await;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(status_of(&sending.await.unwrap()), 200);
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_request_that_is_dropped_closes_its_connection() {
    let (address, mut connections) = handed().await;
    let egress = egress(open());
    let sending = tokio::spawn({
        let egress = egress.clone();
        async move { egress.send(outbound(&format!("http://{address}/path"))).await }
    });
    let mut stream = connections.recv().await.unwrap();
    read_until(&mut stream, b"}").await;
    sending.abort();
    closed(&mut stream).await;
}

/// The time for a connection is less than that of the attempt and has the lookup and TLS in it.
#[tokio::test]
async fn a_connection_has_a_time_of_its_own() {
    struct Hangs;
    impl Lookup for Hangs {
        fn lookup(&self, _: &str) -> LookupFuture {
            Box::pin(std::future::pending())
        }
    }
    let limits = Limits {
        connect_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let egress = Egress::with_lookup(open(), limits, Arc::new(Hangs)).unwrap();
    // Listens and accepts, but says nothing to a handshake.
    let (address, _connections) = handed().await;
    for url in [
        "https://hooks.example.com/path".to_owned(),
        format!("https://{address}/path"),
    ] {
        let reply = egress.send(outbound(&url)).await;
        assert_eq!(kind_of(&reply), ErrorKind::Timeout, "{url}");
        assert!(
            matches!(&reply.result, AttemptResult::Error { detail, .. } if detail == "no connection in time"),
            "{reply:?}"
        );
    }
}

/// The head of an answer is bounded in bytes, not only in headers.
#[tokio::test]
async fn an_endless_head_is_no_answer() {
    for head in ["HTTP/1.1 200 OK\r\nx-long: ", "HTTP/1.1 200 ", "H"] {
        let server = server(Script::Flood(head, &[b'x'; 4_096])).await;
        let reply = egress(open()).send(to(&server)).await;
        assert_eq!(kind_of(&reply), ErrorKind::Protocol, "{head}");
    }
}

/// A few of them are fine, as of `100 Continue`.
#[tokio::test]
async fn interim_answers_are_counted() {
    let few = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(8);
    let answer = format!("{few}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let patient = server(Script::Answer(answer)).await;
    assert_eq!(status_of(&egress(open()).send(to(&patient)).await), 200);
    let flood = server(Script::Flood("", b"HTTP/1.1 100 Continue\r\n\r\n")).await;
    let reply = egress(open()).send(to(&flood)).await;
    assert_eq!(kind_of(&reply), ErrorKind::Protocol);
    assert!(reply.duration_ms < 5_000, "{reply:?}");
}

/// What is wrong with a body is told apart from a connection that broke.
#[tokio::test]
async fn a_body_that_breaks_is_told_as_what_it_is() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (body, says) in [
        ("zz\r\nok\r\n", "chunks or trailers"),
        ("2\r\nokay\r\n", "chunks or trailers"),
    ] {
        let server = server(Script::Answer(format!("{head}{body}"))).await;
        let reply = egress(open()).send(to(&server)).await;
        assert!(
            matches!(&reply.result, AttemptResult::Error { detail, .. } if detail.contains(says)),
            "{reply:?}"
        );
    }
}
