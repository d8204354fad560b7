//! The server: accepts connections within a limit, speaks HTTP/1.1 with each within time limits, and
//! drains when it is told to.
//!
//! A connection holds a permit from before it is accepted until it is closed, so that the number of
//! open files is bounded; who comes beyond that waits in the kernel's backlog. Draining stops
//! accepting, lets requests in flight end (each answer says `Connection: close`) and gives up on
//! those that take longer than [`Limits::drain_timeout`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::util::MapRequest;

mod stall;

use stall::Stalling;

/// Largest request head, in bytes. Twice what proxies commonly send on. (hyper's own limit of 100
/// headers stands beside it; raising or lowering that one costs an allocation per request.)
pub const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Read buffer of a connection: a head, and some of the body behind it.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;
/// Wait after an accept that failed for want of files or memory, so that it is not tried at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: usize,
    /// Within this time a request head must arrive; also how long a kept-alive connection may rest.
    pub head_timeout: Duration,
    /// Within this time a client must take more of its answer.
    pub send_timeout: Duration,
    /// How long requests in flight may take to end once the server drains.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            head_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// Who is at the other end of the connection; among the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Whole,
    /// Some took too long and were cut off.
    CutOff,
}

/// Serves until `draining` turns true (or its sender is gone), then drains.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut draining: watch::Receiver<bool>,
) -> Drained {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let stop = draining.wait_for(|draining| *draining);
    tokio::pin!(stop);
    loop {
        let (stream, peer, permit) = tokio::select! {
            biased;
            _ = &mut stop => break,
            accepted = accept(&listener, &permits) => match accepted {
                Some(accepted) => accepted,
                None => continue,
            },
        };
        let known = MapRequest::new(router.clone(), move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let service = TowerToHyperService::new(known);
        let connection =
            http.serve_connection(TokioIo::new(Stalling::new(stream, limits.send_timeout)), service);
        tokio::spawn(run(connection, graceful.watcher(), permit));
    }
    // Who knocks now is refused at once instead of waiting for nobody.
    drop(listener);
    match tokio::time::timeout(limits.drain_timeout, graceful.shutdown()).await {
        Ok(()) => Drained::Whole,
        Err(_) => Drained::CutOff,
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            // Answers are small and written whole; without it they would wait for an acknowledgement.
            let _best_effort = stream.set_nodelay(true);
            Some((stream, Peer(address.ip().to_canonical()), permit))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn run<C>(connection: C, watcher: Watcher, permit: OwnedSemaphorePermit)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    if let Err(error) = watcher.watch(connection).await {
        // Clients that leave or stall are everyday.
        tracing::debug!(%error, "a connection ended early");
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    async fn started(
        router: Router,
        limits: Limits,
    ) -> (
        std::net::SocketAddr,
        watch::Sender<bool>,
        tokio::task::JoinHandle<Drained>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, draining) = watch::channel(false);
        (
            address,
            stop,
            tokio::spawn(serve(listener, router, limits, draining)),
        )
    }

    async fn sent(address: std::net::SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test]
    async fn draining_answers_what_is_in_flight_and_accepts_no_more() {
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (arrived_here, go_here) = (Arc::clone(&arrived), Arc::clone(&go));
        let handler = move || async move {
            arrived_here.notify_one();
            go_here.notified().await;
            "done"
        };
        let (address, stop, server) =
            started(Router::new().route("/", get(handler)), Limits::default()).await;
        let mut in_flight = sent(address, GET).await;
        arrived.notified().await;
        stop.send(true).unwrap();
        go.notify_one();
        let answer = rest(&mut in_flight).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
            "{answer}"
        );
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        assert_eq!(server.await.unwrap(), Drained::Whole);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn draining_gives_up_on_what_takes_too_long() {
        let arrived = Arc::new(Notify::new());
        let arrived_here = Arc::clone(&arrived);
        let handler = move || async move {
            arrived_here.notify_one();
            std::future::pending::<()>().await;
        };
        let limits = Limits {
            drain_timeout: Duration::from_millis(20),
            ..Limits::default()
        };
        let (address, stop, server) = started(Router::new().route("/", get(handler)), limits).await;
        let _in_flight = sent(address, GET).await;
        arrived.notified().await;
        stop.send(true).unwrap();
        assert_eq!(server.await.unwrap(), Drained::CutOff);
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_given_up() {
        let limits = Limits {
            head_timeout: Duration::from_millis(20),
            ..Limits::default()
        };
        let (address, _stop, _server) = started(Router::new(), limits).await;
        let mut slow = sent(address, "GET / HTTP/1.1\r\nhost:").await;
        // Closed by the server; were it not, this would wait for ever.
        let _answer = rest(&mut slow).await;
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let (address, _stop, _server) = started(Router::new(), Limits::default()).await;
        let mut large = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "y".repeat(HEAD_BYTES_MAX)
        );
        let _cut_off = large.write_all(head.as_bytes()).await;
        let mut answer = [0_u8; 12];
        large.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_waits_for_one_to_close() {
        let limits = Limits {
            connections_max: 1,
            ..Limits::default()
        };
        let router = Router::new().route("/", get(|| async { "ok" }));
        let (address, _stop, _server) = started(router, limits).await;
        let mut first = sent(address, GET).await;
        let mut seen = [0_u8; 12];
        first.read_exact(&mut seen).await.unwrap();
        let mut second = sent(address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut byte = [0_u8; 1];
        let early = tokio::time::timeout(Duration::from_millis(30), second.peek(&mut byte)).await;
        assert!(early.is_err(), "nobody answers while the first is open");
        drop(first);
        assert!(rest(&mut second).await.starts_with("HTTP/1.1 200"));
    }
}
