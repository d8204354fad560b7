//! The client: one request out, one bounded answer back.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use tokio::time::Instant;
use url::Url;

use super::failure::{failed, from_client};
use super::guard::{Guard, Lookup, SystemLookup};
use super::policy::Policy;
use super::url::check_parsed;
use crate::delivery::{AttemptResult, ErrorKind};

/// Most headers of an answer that are kept.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// Most headers of an answer that are read; more are no HTTP answer.
const RESPONSE_HEADERS_READ_MAX: usize = 256;
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
/// Headers that frame a request, which are the client's own business.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
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
            pool_idle_per_host_max: 64,
        }
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// TLS could not be set up.
    #[error("the TLS client could not be set up")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[from] reqwest::Error),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The method; anything but CONNECT.
    pub method: Method,
    /// Where to, as [`super::check_url`] gave it.
    pub url: Url,
    /// The headers; none that is the connection's own.
    pub headers: HeaderMap,
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
    client: reqwest::Client,
    policy: Arc<Policy>,
}

impl Egress {
    /// A client that looks names up by the system's resolver.
    pub fn new(policy: Policy, limits: Limits) -> Result<Self, EgressError> {
        Self::with_lookup(policy, limits, Arc::new(SystemLookup::default()))
    }

    /// A client that looks names up by `lookup`.
    pub fn with_lookup(policy: Policy, limits: Limits, lookup: Arc<dyn Lookup>) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let guard = Guard {
            policy: Arc::clone(&policy),
            lookup,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one client, with the guard in it"
        )]
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(guard)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(RESPONSE_HEADERS_READ_MAX)
            .connect_timeout(limits.connect_timeout)
            .pool_idle_timeout(limits.pool_idle_timeout)
            .pool_max_idle_per_host(limits.pool_idle_per_host_max)
            .build()?;
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
        let (timeout, url) = (outbound.timeout, outbound.url.clone());
        let result = match check_parsed(&url, &self.policy) {
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
        let request = self
            .client
            .request(outbound.method, outbound.url)
            .headers(outbound.headers)
            .body(outbound.body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return from_client(&error),
        };
        let status = response.status().as_u16();
        let headers = kept_headers(response.headers());
        let mut body = BytesMut::new();
        let mut truncated = false;
        while !truncated {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = outbound.response_body_max - body.len();
                    truncated = chunk.len() > room;
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(None) => break,
                Err(error) => return from_client(&error),
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
    let framing = outbound
        .headers
        .keys()
        .find(|name| FRAMING.contains(&name.as_str()));
    framing.map(|name| format!("the header `{name}` cannot be set"))
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
