//! A connection, driven by who uses it.
//!
//! hyper splits a connection into who asks and what drives the socket. Mostly the second is a task of its
//! own, and each request costs two wake-ups between the two, often from one thread to another. Here both are
//! in one place: who waits for an answer drives the socket meanwhile. A connection that nobody uses is not
//! driven at all; that its other side has closed it shows when it is looked at, before the next request or in
//! [`super::pool`]'s round.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Builder, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::interim::Interim;

/// Most headers of an answer that are read; more are no HTTP answer. As many as hyper reads without
/// allocating for them.
const RESPONSE_HEADERS_READ_MAX: usize = 100;
/// Most bytes of an answer's head that are read; a larger one is no HTTP answer. Common servers write at
/// most 8 to 32 KiB.
const RESPONSE_HEAD_BYTES_MAX: usize = 128 * 1_024;

pub(super) type Body = Full<Bytes>;

/// What a connection runs over.
pub(super) type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;

/// An HTTP/1.1 connection. Dropping it closes it, whatever it is doing.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    driver: Driver,
}

/// What reads and writes.
struct Driver {
    /// Nothing when it has ended.
    open: Option<http1::Connection<Socket, Body>>,
    /// What ended it, where nobody was told.
    trouble: Option<hyper::Error>,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// Nothing of the request was written: it may be sent on another connection. With it what ended this one.
    Unwritten(Box<Request<Body>>, hyper::Error),
    /// The connection broke, or what came back is no answer.
    Broken(hyper::Error),
    /// More interim answers came than may.
    TooManyInterim,
}

impl Connection {
    /// Begins to speak HTTP over a socket.
    pub(super) async fn over(socket: Socket) -> hyper::Result<Self> {
        let mut builder = Builder::new();
        builder
            .max_headers(RESPONSE_HEADERS_READ_MAX)
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX);
        let (sender, driver) = builder.handshake(socket).await?;
        Ok(Self {
            sender,
            driver: Driver {
                open: Some(driver),
                trouble: None,
            },
        })
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn answer(
        &mut self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let interim = Interim::of(&mut request);
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|context| {
            driver.drive(context);
            if interim.are_too_many() {
                return Poll::Ready(Err(Unanswered::TooManyInterim));
            }
            let answer = answer.as_mut().poll(context);
            answer.map_err(|error| unanswered(error, driver))
        })
        .await
    }

    /// The next piece of the answer's body.
    pub(super) async fn frame(&mut self, body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
        let driver = &mut self.driver;
        poll_fn(|context| {
            // The driver reads only what somebody has asked for, so asking comes first; and what it has then
            // read is there at once.
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(frame) => Poll::Ready(frame),
                Poll::Pending => {
                    driver.drive(context);
                    Pin::new(&mut *body).poll_frame(context)
                }
            }
        })
        .await
    }

    /// Whether another request may follow now: it is open, and nothing of the one before is left, neither to
    /// read nor to write.
    pub(super) async fn is_ready(&mut self) -> bool {
        poll_fn(|context| Poll::Ready(self.is_ready_now(context))).await
    }

    /// The same where nobody is woken when that changes.
    pub(super) fn is_ready_now(&mut self, context: &mut Context<'_>) -> bool {
        self.driver.drive(context);
        self.driver.open.is_some() && self.sender.is_ready()
    }
}

impl Driver {
    /// Lets the socket read and write what it can. When the connection has ended it goes, and with it goes
    /// what was handed to it and not begun: who waits for that hears of it.
    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driving) = &mut self.open
            && let Poll::Ready(ended) = Pin::new(driving).poll(context)
        {
            self.open = None;
            self.trouble = ended.err();
        }
    }
}

/// A request that was not begun may know only that; then its driver was told why the connection ended.
fn unanswered(mut error: TrySendError<Request<Body>>, driver: &mut Driver) -> Unanswered {
    let Some(request) = error.take_message() else {
        return Unanswered::Broken(error.into_error());
    };
    let trouble = driver.trouble.take();
    Unanswered::Unwritten(Box::new(request), trouble.unwrap_or_else(|| error.into_error()))
}
