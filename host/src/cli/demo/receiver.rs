//! The demonstration's receiver: a small HTTP server that stands for Slack and the others.
//!
//! It takes every request, tells the demonstration what it got, byte for byte, and answers 204. Paths
//! that end in `/flaky` answer 503 to the first two requests, as a service does while it restarts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::time::Timestamp;

/// Where requests fail at first.
pub(super) const FLAKY_PATH: &str = "/flaky";
/// How many requests fail there.
pub(super) const FAILURES: u32 = 2;
/// Largest body that is taken. The demonstration's largest has some ten kilobytes.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// Requests that may wait to be looked at; the demonstration sends a handful.
const UNSEEN_MAX: usize = 64;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Its path.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// When it had arrived.
    pub at: Timestamp,
    /// What it was answered with.
    pub answered: StatusCode,
}

/// A receiver. It goes when this is dropped.
pub(super) struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it got, in order.
    pub received: mpsc::Receiver<Received>,
    _serving: JoinSet<()>,
}

/// What every connection shares.
struct Shared {
    clock: Clock,
    flaky: AtomicU32,
    seen: mpsc::Sender<Received>,
}

impl Receiver {
    /// Listens on any free port of this machine.
    pub(super) async fn start(clock: Clock) -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (seen, received) = mpsc::channel(UNSEEN_MAX);
        let shared = Arc::new(Shared {
            clock,
            flaky: AtomicU32::new(0),
            seen,
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, shared));
        Ok(Self {
            address,
            received,
            _serving: serving,
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropping the set with this task ends the connections.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        // A connection that broke while it was accepted is nobody's loss.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // The router sees a broken connection as an attempt that failed; there is nothing to do here.
            let _broken = connection.await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let status = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Ok(body) => {
            let path = head.uri.path().to_owned();
            let answered = shared.status_for(&path);
            let received = Received {
                path,
                headers: head.headers,
                body: body.to_bytes(),
                at: shared.clock.now(),
                answered,
            };
            // With `--keep` nobody looks any more; the answer is the same.
            let _unseen = shared.seen.try_send(received);
            answered
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}

impl Shared {
    fn status_for(&self, path: &str) -> StatusCode {
        let fails = path.ends_with(FLAKY_PATH) && self.flaky.fetch_add(1, Ordering::Relaxed) < FAILURES;
        if fails {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::NO_CONTENT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::{Body, Client, base_of};

    #[tokio::test]
    async fn it_tells_what_it_got_and_fails_twice_where_it_should() {
        let mut receiver = Receiver::start(Clock::manual(Timestamp::from_millis(5)))
            .await
            .unwrap();
        let client = Client::new(base_of(receiver.address), None, None).unwrap();
        let mut answered = Vec::new();
        for path in ["events", "flaky", "flaky", "flaky"] {
            let body = Body::Json("{ \"a\": 1 }".to_owned());
            let _refused = client.call(http::Method::POST, &[path], &[], body).await;
            let received = receiver.received.recv().await.unwrap();
            assert_eq!(
                (received.path, &received.body[..]),
                (format!("/api/v1/{path}"), &b"{ \"a\": 1 }"[..])
            );
            assert_eq!(received.headers["content-type"], "application/json");
            answered.push(received.answered.as_u16());
        }
        assert_eq!(answered, [204, 503, 503, 204]);
    }
}
