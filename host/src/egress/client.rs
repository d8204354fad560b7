//! The client: one request out, one bounded answer back.
//!
//! It sends what it was given: the headers in their order and spelling, `Host` before and
//! `Content-Length` behind them, and no other header. A request that found its kept connection closed,
//! before a byte of it was written, is sent on another connection; nothing else is ever sent twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use tokio::time::Instant;
use url::Url;

use super::dial::{Dial, public_roots};
use super::failure::{failed, from_client};
use super::guard::{Guard, Lookup, SystemLookup};
use super::interim::{INTERIM_MAX, too_many};
use super::policy::Policy;
use super::spelling::Spelling;
use super::url::check_parsed;
use crate::delivery::{AttemptResult, ErrorKind};
use crate::profile::FRAMING;

/// Most headers of a request. More than any profile makes; a server that takes more is rare.
pub(super) const REQUEST_HEADERS_MAX: usize = 256;
/// Most headers of an answer that are kept.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// Most headers of an answer that are read; more are no HTTP answer. As many as hyper reads without
/// allocating for them.
const RESPONSE_HEADERS_READ_MAX: usize = 100;
/// Most bytes of an answer's head that are read; a larger one is no HTTP answer. Common servers write at
/// most 8 to 32 KiB.
const RESPONSE_HEAD_BYTES_MAX: usize = 128 * 1_024;
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
    /// Where to, as [`super::check_url`] gave it.
    pub url: Url,
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
#[derive(Clone, Debug)]
pub struct Egress {
    client: Client<Dial, Full<Bytes>>,
    policy: Arc<Policy>,
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
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one client, with the guard in it"
        )]
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.pool_idle_timeout)
            .pool_max_idle_per_host(limits.pool_idle_per_host_max)
            // Only requests that were never written: a kept connection turned out to be closed.
            .retry_canceled_requests(true)
            .http1_max_headers(RESPONSE_HEADERS_READ_MAX)
            .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            // `Host` is put in front, where it belongs; the client would put it behind the others.
            .set_host(false)
            .build(dial);
        Ok(Self { client, policy })
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
        let result = match check_parsed(&outbound.url, &self.policy) {
            Err(fault) => failed(ErrorKind::Refused, fault.to_string()),
            Ok(()) => match tokio::time::timeout(timeout, self.exchange(outbound)).await {
                Ok(result) => result,
                Err(_) => failed(
                    ErrorKind::Timeout,
                    format!("no whole answer within {} s", timeout.as_secs_f32()),
                ),
            },
        };
        Reply {
            result,
            duration_ms: watch.elapsed_ms(),
        }
    }

    async fn exchange(&self, outbound: Outbound) -> AttemptResult {
        if let Some(detail) = refuse(&outbound) {
            return failed(ErrorKind::Invalid, detail);
        }
        let response_body_max = outbound.response_body_max;
        let Ok(mut request) = assemble(outbound) else {
            return failed(ErrorKind::Invalid, "the request could not be built");
        };
        let too_many = too_many(&mut request);
        let response = tokio::select! {
            biased;
            answered = self.client.request(request) => match answered {
                Ok(response) => response,
                Err(error) => return from_client(&error),
            },
            () = too_many => {
                let detail = format!("more than {INTERIM_MAX} interim answers (1xx) and no answer");
                return failed(ErrorKind::Protocol, detail);
            }
        };
        let status = response.status().as_u16();
        let headers = kept_headers(response.headers());
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        let mut truncated = false;
        while !truncated {
            match incoming.frame().await {
                Some(Ok(frame)) => {
                    // Trailers are not kept.
                    let chunk = frame.into_data().unwrap_or_default();
                    let room = response_body_max - body.len();
                    truncated = chunk.len() > room;
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                None => break,
                Some(Err(error)) => return from_client(&error),
            }
        }
        // Where the body was cut, dropping the response closes the connection: the rest is never read.
        AttemptResult::Response {
            status,
            headers,
            body: body.freeze(),
            truncated,
        }
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
fn assemble(outbound: Outbound) -> Result<Request<Full<Bytes>>, http::Error> {
    let uri = Uri::try_from(String::from(outbound.url))?;
    // The URL has no user and no password, so that this is the host, and the port where it is not the
    // scheme's own.
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut headers = HeaderMap::with_capacity(outbound.headers.len() + 2);
    headers.insert(HOST, HeaderValue::from_str(host)?);
    headers.extend(outbound.headers);
    // Of an empty body the client says nothing, and some servers want to be told where one could be.
    if outbound.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&outbound.method) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut request = Request::new(Full::new(outbound.body));
    *request.method_mut() = outbound.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.extensions_mut() = outbound.spelling.extensions();
    Ok(request)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_that_of_the_url() {
        for (url, host) in [
            ("https://hooks.example/a", "hooks.example"),
            ("https://HOOKS.example:443/a", "hooks.example"),
            ("https://hooks.example:8443/a", "hooks.example:8443"),
            ("http://[2001:DB8::1]:80/a", "[2001:db8::1]"),
            ("http://[2001:db8::1]:8080/a", "[2001:db8::1]:8080"),
            (
                "https://b\u{fc}cher.example/\u{e4}?\u{f6}|^{}#x",
                "xn--bcher-kva.example",
            ),
        ] {
            let outbound = Outbound {
                method: Method::POST,
                url: Url::parse(url).unwrap(),
                headers: HeaderMap::new(),
                spelling: Spelling::default(),
                body: Bytes::new(),
                timeout: Duration::from_secs(1),
                response_body_max: 1,
            };
            let request = assemble(outbound).unwrap();
            assert_eq!(request.headers().get(HOST).unwrap(), host, "{url}");
        }
    }
}
