//! The server: accepts connections within a limit, speaks HTTP/1.1 with each within time limits, and
//! drains when it is told to.
//!
//! A connection holds a permit until it is closed, so that the number of open files is bounded. Who comes
//! beyond that is accepted, one at a time, and waits: those that were used the longest ago are asked to
//! [make room](seats), and those with no request under way do so at once. Draining stops
//! accepting, lets requests in flight end (each answer says `Connection: close`) and gives up on
//! those that take longer than [`Limits::drain_timeout`].

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

mod seats;
mod stall;

use seats::{Seat, Seats, Uses};
use stall::Stalling;

/// Largest request head, in bytes. Twice what proxies commonly send on. (hyper's own limit of 100
/// headers stands beside it; raising or lowering that one costs an allocation per request.)
pub const HEAD_BYTES_MAX: usize = 16 * 1_024;
/// Read buffer of a connection: a head, and some of the body behind it.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;
/// Wait after an accept that failed for want of files or memory, so that it is not tried at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections that were asked to make room are given before twice as many are asked. Those that rest
/// need a millisecond; with seven such steps the largest default list has been asked as a whole.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

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
    let connections_max = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    let permits = Arc::new(Semaphore::new(connections_max as usize));
    let mut seats = Seats::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let stop = draining.wait_for(|draining| *draining);
    tokio::pin!(stop);
    loop {
        let next = async {
            let (stream, peer) = accept(&listener).await?;
            Some((stream, peer, room(&permits, &mut seats, connections_max).await?))
        };
        let (stream, peer, permit) = tokio::select! {
            biased;
            _ = &mut stop => break,
            next = next => match next {
                Some(next) => next,
                None => continue,
            },
        };
        let (seat, uses) = seats.take();
        let service = Known {
            router: TowerToHyperService::new(router.clone()),
            peer,
            uses,
        };
        let connection =
            http.serve_connection(TokioIo::new(Stalling::new(stream, limits.send_timeout)), service);
        tokio::spawn(run(connection, seat, permit));
    }
    // Who knocks now is refused at once instead of waiting for nobody.
    drop(listener);
    // Nobody is left to ask them for anything, which tells them to end.
    drop(seats);
    // All permits are here when all connections are closed.
    match tokio::time::timeout(limits.drain_timeout, permits.acquire_many(connections_max)).await {
        Ok(_) => Drained::Whole,
        Err(_) => Drained::CutOff,
    }
}

/// The router, for one connection: requests know who sent them, and the connection that it is used.
struct Known {
    router: TowerToHyperService<Router>,
    peer: Peer,
    uses: Uses,
}

impl Service<Request<Incoming>> for Known {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.uses.note();
        request.extensions_mut().insert(self.peer);
        self.router.call(request)
    }
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, Peer)> {
    match listener.accept().await {
        Ok((stream, address)) => {
            // Answers are small and written whole; without it they would wait for an acknowledgement.
            let _best_effort = stream.set_nodelay(true);
            Some((stream, Peer(address.ip().to_canonical())))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// A permit for who was just accepted; where there is none, others are asked to go until there is one.
async fn room(
    permits: &Arc<Semaphore>,
    seats: &mut Seats,
    connections_max: u32,
) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Some(permit);
    }
    seats.say_full(connections_max);
    let mut count = seats.few();
    while seats.ask(count) > 0 {
        let freed = Arc::clone(permits).acquire_owned();
        // The semaphore is never closed.
        if let Ok(permit) = tokio::time::timeout(ROOM_PAUSE, freed).await {
            return permit.ok();
        }
        count = count.saturating_mul(2);
    }
    // All have been asked, and the first that is done with its request goes.
    Arc::clone(permits).acquire_owned().await.ok()
}

async fn run<C>(connection: C, seat: Seat, permit: OwnedSemaphorePermit)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    if let Err(error) = seat.hold(connection).await {
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

    /// As long as nothing is for ever, on a machine that has other things to do.
    const SOON: Duration = Duration::from_secs(5);
    const LAST: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    /// A router whose answer has begun to be made when the first is notified, and is made by the second.
    fn slow(arrived: &Arc<Notify>, go: &Arc<Notify>) -> Router {
        let (arrived, go) = (Arc::clone(arrived), Arc::clone(go));
        let handler = move |body: bytes::Bytes| async move {
            arrived.notify_one();
            go.notified().await;
            body.len().to_string()
        };
        let quick = get(|| async { "ok" });
        Router::new()
            .route("/", quick)
            .route("/slow", axum::routing::post(handler))
    }

    #[tokio::test]
    async fn who_comes_late_is_served_whatever_others_hold_without_using_it() {
        let limits = Limits {
            connections_max: 8,
            head_timeout: Duration::from_secs(3_600),
            ..Limits::default()
        };
        let router = Router::new().route("/", get(|| async { "ok" }));
        let (address, _stop, _server) = started(router, limits).await;
        for round in 0..4 {
            let mut idle = Vec::new();
            for opening in ["", "GET / HTTP/1.1\r\nhost:", GET, &format!("{GET}GET / HT")].repeat(2) {
                let mut stream = sent(address, opening).await;
                if opening.starts_with(GET) {
                    stream.read_exact(&mut [0; 12]).await.unwrap();
                }
                idle.push(stream);
            }
            for _ in 0..8 {
                let mut late = sent(address, LAST).await;
                let answer = tokio::time::timeout(SOON, rest(&mut late)).await;
                let answer = answer.unwrap_or_else(|_| panic!("nobody makes room in round {round}"));
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        }
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_its_connection_makes_room() {
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let limits = Limits {
            connections_max: 3,
            ..Limits::default()
        };
        let (address, _stop, _server) = started(slow(&arrived, &go), limits).await;
        let post = "POST /slow HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        // The oldest: its body is on the way. The next: its answer is.
        let mut sending = sent(address, post).await;
        sending.read_exact(&mut [0; 25]).await.unwrap();
        let mut waiting = sent(address, &post.replace("expect: 100-continue\r\n", "")).await;
        waiting.write_all(b"body").await.unwrap();
        arrived.notified().await;
        for _ in 0..16 {
            let mut late = sent(address, GET).await;
            let mut status = [0; 12];
            let served = tokio::time::timeout(SOON, late.read_exact(&mut status)).await;
            served.expect("the third makes room").unwrap();
            assert_eq!(&status, b"HTTP/1.1 200");
            // It rests from now on.
            tokio::spawn(async move { rest(&mut late).await });
        }
        sending.write_all(b"body").await.unwrap();
        arrived.notified().await;
        go.notify_one();
        go.notify_one();
        for stream in [&mut sending, &mut waiting] {
            let answer = tokio::time::timeout(SOON, rest(stream));
            let answer = answer.await.expect("asked to close behind the answer");
            assert!(answer.contains("200 OK") && answer.ends_with('4'), "{answer}");
            assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        }
    }

    #[tokio::test]
    async fn where_all_are_busy_the_newcomer_waits_for_the_first_to_end() {
        let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let limits = Limits {
            connections_max: 1,
            ..Limits::default()
        };
        let (address, _stop, _server) = started(slow(&arrived, &go), limits).await;
        let mut first = sent(
            address,
            "POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        arrived.notified().await;
        let mut second = sent(address, LAST).await;
        let mut byte = [0_u8; 1];
        let early = tokio::time::timeout(4 * ROOM_PAUSE, second.peek(&mut byte)).await;
        assert!(early.is_err(), "nobody answers while the first is served");
        go.notify_one();
        assert!(rest(&mut first).await.starts_with("HTTP/1.1 200"));
        assert!(rest(&mut second).await.starts_with("HTTP/1.1 200"));
    }
}
