//! A small HTTP receiver on this machine: the endpoint of `demo` and of `listen`.
//!
//! It takes every request, tells its owner what came, byte for byte, and answers what the owner's reply
//! says. Connections, the heads and bodies of requests and what waits to be looked at are bounded; a
//! request waits for its owner rather than being lost. It ends gracefully: what was taken is answered.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::Clock;
use crate::time::Timestamp;

/// Largest body that is taken; the largest that a plugin may make is smaller.
const BODY_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Requests that may wait to be looked at.
const UNSEEN_MAX: usize = 64;
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted, such as for want of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Its method.
    pub method: http::Method,
    /// Its path.
    pub path: String,
    /// What stands behind the question mark.
    pub query: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte, or why it is not there.
    pub body: Result<Bytes, NoBody>,
    /// When it had arrived.
    pub at: Timestamp,
    /// What it is answered with.
    pub answered: StatusCode,
}

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoBody {
    /// It is too large.
    #[error("the body has more than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// It did not come.
    #[error("the body did not arrive whole")]
    Broken,
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Not before so long after the request.
    pub delay: Duration,
}

impl Reply {
    /// A status and nothing else, at once.
    pub(super) fn status(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
        }
    }
}

/// Says what a request to a path is answered with.
pub(super) type Replies = Box<dyn Fn(&str) -> Reply + Send + Sync>;

/// A receiver. It goes when this is dropped.
pub(super) struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it got, in order. Once it is closed, requests are answered and not told.
    pub received: mpsc::Receiver<Received>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// What every connection shares.
struct Shared {
    clock: Clock,
    replies: Replies,
    seen: mpsc::Sender<Received>,
    stopping: watch::Receiver<bool>,
}

impl Receiver {
    /// Listens on a port of this machine, any free one for 0.
    pub(super) async fn start(clock: Clock, port: u16, replies: Replies) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (seen, received) = mpsc::channel(UNSEEN_MAX);
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            clock,
            replies,
            seen,
            stopping,
        });
        Ok(Self {
            address,
            received,
            stop,
            serving: tokio::spawn(accept(listener, shared)),
        })
    }

    /// Takes nothing more, and answers what it took within `patience`.
    pub(super) async fn end(mut self, patience: Duration) {
        self.stop.send_replace(true);
        self.received.close();
        // What is not answered by then is cut off, as the caller asked for.
        let _cut_off = tokio::time::timeout(patience, &mut self.serving).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropping the set with this task ends the connections.
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.clone();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _stop = stopping.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, _)) = accepted else {
            // A connection that broke while it was accepted is nobody's loss.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve(TokioIo::new(stream), &shared).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TokioIo<tokio::net::TcpStream>, shared: &Shared) {
    let service = service_fn(|request| answer(request, shared));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let mut stopping = shared.stopping.clone();
    // The router sees a broken connection as an attempt that failed; there is nothing to do here.
    tokio::select! {
        _broken = connection.as_mut() => return,
        _stop = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _broken = connection.await;
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Response<Full<Bytes>>, Infallible> {
    if *shared.stopping.borrow() {
        // Nobody would see it: its sender shall come again.
        return Ok(response(Reply::status(StatusCode::SERVICE_UNAVAILABLE)));
    }
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(NoBody::TooLarge),
        Ok(Err(_)) | Err(_) => Err(NoBody::Broken),
    };
    let reply = match body {
        Ok(_) => (shared.replies)(head.uri.path()),
        Err(NoBody::TooLarge) => Reply::status(StatusCode::PAYLOAD_TOO_LARGE),
        Err(NoBody::Broken) => Reply::status(StatusCode::REQUEST_TIMEOUT),
    };
    let received = Received {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
        at: shared.clock.now(),
        answered: reply.status,
    };
    // Where nobody looks any more the answer is the same.
    let _unseen = shared.seen.send(received).await;
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    Ok(response(reply))
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::{Body, Client, base_of};

    async fn receiver(replies: Replies) -> (Receiver, Client) {
        let clock = Clock::manual(Timestamp::from_millis(5));
        let receiver = Receiver::start(clock, 0, replies).await.unwrap();
        let client = Client::new(base_of(receiver.address), None, None).unwrap();
        (receiver, client)
    }

    #[tokio::test]
    async fn it_tells_what_it_got_and_answers_what_it_is_told() {
        let replies = |path: &str| Reply {
            headers: HeaderMap::from_iter([(http::header::RETRY_AFTER, 7.into())]),
            body: Bytes::copy_from_slice(path.as_bytes()),
            ..Reply::status(StatusCode::IM_A_TEAPOT)
        };
        let (mut receiver, client) = receiver(Box::new(replies)).await;
        let body = Body::Json("{ \"a\": 1 }".to_owned());
        let query = [("b", "2".to_owned())];
        let refused = client
            .call(http::Method::POST, &["x"], &query, body)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("418"), "{refused}");
        let received = receiver.received.recv().await.unwrap();
        assert_eq!(received.path, "/api/v1/x");
        assert_eq!(received.query.as_deref(), Some("b=2"));
        assert_eq!(&received.body.unwrap()[..], b"{ \"a\": 1 }");
        assert_eq!(received.headers["content-type"], "application/json");
        assert_eq!((received.at.as_millis(), received.answered.as_u16()), (5, 418));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_told() {
        let (mut receiver, client) = receiver(Box::new(|_| Reply::status(StatusCode::OK))).await;
        let huge = Body::Component(Bytes::from(vec![0; BODY_BYTES_MAX + 1]));
        let sent = client.call(http::Method::PUT, &["x"], &[], huge);
        let (_refused, received) = tokio::join!(sent, receiver.received.recv());
        let received = received.unwrap();
        assert_eq!(received.body, Err(NoBody::TooLarge));
        assert_eq!(received.answered, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn what_was_taken_is_answered_before_it_ends() {
        let slowly = |_: &str| Reply {
            delay: Duration::from_millis(50),
            ..Reply::status(StatusCode::NO_CONTENT)
        };
        let (mut receiver, client) = receiver(Box::new(slowly)).await;
        let call = tokio::spawn(async move { client.get(&["x"], &[]).await });
        receiver.received.recv().await.unwrap();
        receiver.end(Duration::from_secs(20)).await;
        assert!(call.await.unwrap().is_ok());
    }
}
