//! The client: one request out, one bounded answer back.
//!
//! It sends what it was given: the headers in their order and spelling, `Host` before and
//! `Content-Length` behind them, and no other header. A request that found its kept connection closed,
//! before a byte of it was written, is sent on another connection; nothing else is ever sent twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use rustls::RootCertStore;
use tokio::time::Instant;

use super::connection::{Body, Connection, Unanswered};
use super::dial::{Dial, public_roots};
use super::failure::{failed, from_connection, from_dial};
use super::guard::{Guard, Lookup, SystemLookup};
use super::interim::INTERIM_MAX;
use super::policy::Policy;
use super::pool::Pool;
use super::spelling::Spelling;
use super::target::{Destination, Target};
use crate::delivery::{AttemptResult, ErrorKind};
use crate::profile::FRAMING;

/// Most headers of a request. More than any profile makes; a server that takes more is rare.
pub(super) const REQUEST_HEADERS_MAX: usize = 256;
/// Most headers of an answer that are kept.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// Most bytes of an answer's headers that are kept, names and values together.
const RESPONSE_HEADERS_BYTES_MAX: usize = 16 * 1_024;

/// Headers of an answer whose values are credentials.
const MASKED: [&str; 8] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "set-cookie2",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
];

/// Limits of the client, for all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time for a connection, of the time that the whole attempt has.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// Most idle connections that are kept to one host.
    pub pool_idle_per_host_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            // Shorter than the 60 s and more after which common servers close an idle connection: it is
            // better that we do, than that a request meets the closing.
            pool_idle_timeout: Duration::from_secs(30),
            // As many as one subscription may have under way: fewer, and under load each request dials anew.
            pool_idle_per_host_max: 256,
        }
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// TLS could not be set up.
    #[error("the TLS client could not be set up")]
    Tls(#[from] rustls::Error),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The method; anything but CONNECT.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// The headers; none that is the connection's own. They leave in this order.
    pub headers: HeaderMap,
    /// How their names are spelled.
    pub spelling: Spelling,
    /// The body.
    pub body: Bytes,
    /// The whole time, until the last byte of the answer.
    pub timeout: Duration,
    /// Most bytes of the answer's body that are read.
    pub response_body_max: usize,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What came back.
    pub result: AttemptResult,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
}

/// The way out. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Egress {
    dial: Dial,
    pool: Arc<Pool>,
    policy: Arc<Policy>,
}

/// An answer whose body is still to be read, on its connection.
struct Answer {
    connection: Box<Connection>,
    response: Response<Incoming>,
}

impl Egress {
    /// A client that looks names up by the system's resolver.
    pub fn new(policy: Policy, limits: Limits) -> Result<Self, EgressError> {
        Self::with_lookup(policy, limits, Arc::new(SystemLookup::default()))
    }

    /// A client that looks names up by `lookup`.
    pub fn with_lookup(policy: Policy, limits: Limits, lookup: Arc<dyn Lookup>) -> Result<Self, EgressError> {
        Self::with_roots(policy, limits, lookup, public_roots())
    }

    pub(super) fn with_roots(
        policy: Policy,
        limits: Limits,
        lookup: Arc<dyn Lookup>,
        roots: RootCertStore,
    ) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        let guard = Guard {
            policy: Arc::clone(&policy),
            lookup,
        };
        let dial = Dial::new(guard, roots, limits.connect_timeout)?;
        let pool = Pool::new(limits.pool_idle_timeout, limits.pool_idle_per_host_max);
        Ok(Self { dial, pool, policy })
    }

    /// What may be reached.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends a request and reads the answer. Never fails as a function: trouble is a result. May be
    /// dropped at any time, which closes the connection.
    pub async fn send(&self, outbound: Outbound) -> Reply {
        let watch = Stopwatch::start();
        let timeout = outbound.timeout;
        let judged = outbound.target.judged(&self.policy);
        let result = match &*judged {
            Err(refused) => refused.clone(),
            Ok(destination) => {
                match tokio::time::timeout(timeout, self.exchange(outbound, destination)).await {
                    Ok(result) => result,
                    Err(_) => failed(
                        ErrorKind::Timeout,
                        format!("no whole answer within {} s", timeout.as_secs_f32()),
                    ),
                }
            }
        };
        Reply {
            result,
            duration_ms: watch.elapsed_ms(),
        }
    }

    async fn exchange(&self, outbound: Outbound, destination: &Destination) -> AttemptResult {
        if let Some(detail) = refuse(&outbound) {
            return failed(ErrorKind::Invalid, detail);
        }
        let response_body_max = outbound.response_body_max;
        let answer = self.answer(assemble(outbound, destination), destination).await;
        let Answer {
            mut connection,
            response,
        } = match answer {
            Ok(answer) => answer,
            Err(failure) => return failure,
        };
        let status = response.status().as_u16();
        let headers = kept_headers(response.headers());
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        let mut truncated = false;
        while !truncated {
            match connection.frame(&mut incoming).await {
                Some(Ok(frame)) => {
                    // Trailers are not kept.
                    let chunk = frame.into_data().unwrap_or_default();
                    let room = response_body_max - body.len();
                    truncated = chunk.len() > room;
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                None => break,
                Some(Err(error)) => return from_connection(&error),
            }
        }
        // Where the body was cut, the connection is dropped, which closes it: the rest is never read.
        if !truncated {
            self.pool.give(&destination.origin, connection).await;
        }
        AttemptResult::Response {
            status,
            headers,
            body: body.freeze(),
            truncated,
        }
    }

    /// Sends the request on a connection that was kept, or on a new one.
    async fn answer(
        &self,
        mut request: Request<Body>,
        destination: &Destination,
    ) -> Result<Answer, AttemptResult> {
        loop {
            let kept = self.pool.take(&destination.origin).await;
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                // Rare, and large: it lies in memory of its own, so that the others stay small.
                None => Box::pin(self.connect(destination)).await?,
            };
            match connection.answer(request).await {
                Ok(response) => return Ok(Answer { connection, response }),
                // Nothing else is ever sent twice.
                Err(Unanswered::Unwritten(unwritten, _)) if was_kept => request = *unwritten,
                Err(Unanswered::Unwritten(_, error) | Unanswered::Broken(error)) => {
                    return Err(from_connection(&error));
                }
                Err(Unanswered::TooManyInterim) => {
                    let detail = format!("more than {INTERIM_MAX} interim answers (1xx) and no answer");
                    return Err(failed(ErrorKind::Protocol, detail));
                }
            }
        }
    }

    async fn connect(&self, destination: &Destination) -> Result<Box<Connection>, AttemptResult> {
        let socket = self.dial.to(&destination.whole).await;
        let socket = socket.map_err(|error| from_dial(&*error))?;
        let connection = Connection::over(socket).await;
        Ok(Box::new(connection.map_err(|error| from_connection(&error))?))
    }
}

/// Why a request cannot be sent, if it cannot: what it asks for is the connection's own business.
fn refuse(outbound: &Outbound) -> Option<String> {
    if outbound.method == Method::CONNECT {
        return Some("CONNECT opens tunnels; it cannot be sent".to_owned());
    }
    if outbound.headers.len() > REQUEST_HEADERS_MAX {
        return Some(format!("it has more than {REQUEST_HEADERS_MAX} headers"));
    }
    let framing = outbound
        .headers
        .keys()
        .find(|name| FRAMING.contains(&name.as_str()));
    framing.map(|name| format!("the header `{name}` cannot be set"))
}

/// The request as it leaves.
fn assemble(outbound: Outbound, destination: &Destination) -> Request<Body> {
    let mut headers = HeaderMap::with_capacity(outbound.headers.len() + 2);
    headers.insert(HOST, destination.host.clone());
    headers.extend(outbound.headers);
    // Of an empty body the client says nothing, and some servers want to be told where one could be.
    if outbound.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&outbound.method) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut request = Request::new(Body::new(outbound.body));
    *request.method_mut() = outbound.method;
    *request.uri_mut() = destination.path.clone();
    *request.headers_mut() = headers;
    *request.extensions_mut() = outbound.spelling.extensions();
    request
}

/// The headers of an answer that are kept: not too many, credentials masked, and of `location` not the
/// query, where such things stand.
fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    let mut room = RESPONSE_HEADERS_BYTES_MAX;
    for (name, value) in headers.iter().take(RESPONSE_HEADERS_MAX) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = match name.as_str() {
            name if MASKED.contains(&name) => "…",
            "location" => value.split('?').next().unwrap_or_default(),
            _ => &value,
        };
        let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else {
            break;
        };
        room = left;
        kept.push((name.to_string(), value.to_owned()));
    }
    kept
}

/// Measures how long something took. The monotonic clock is asked here only; a point in time, which
/// tests choose, is the business of [`crate::clock`].
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed_ms(&self) -> u32 {
        u32::try_from(self.0.elapsed().as_millis()).unwrap_or(u32::MAX)
    }
}
