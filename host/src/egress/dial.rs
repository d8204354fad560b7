//! Dialling: a name is looked up behind the guard, a connection is made to what passed, TLS is spoken on
//! it where the URL says https; and all of it together has a time.
//!
//! The certificate is checked for the name in the URL against the roots that browsers have. HTTP/1.1 is
//! all that is offered. There is no way through a proxy, and no second way to dial.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::RootCertStore;
use tower::ServiceExt as _;

use super::connection::Socket;
use super::guard::Guard;

/// After how long a silent connection is probed, and how often. A receiver whose machine is gone answers
/// no probe; without them a kept connection would look good until a request is lost on it.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How many probes may stay without an answer.
const KEEPALIVE_PROBES: u32 = 3;
/// How long sent bytes may stay unacknowledged. The time of an attempt is longer with some profiles; a
/// machine that has acknowledged nothing for this long will not do it later.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections for the client.
#[derive(Clone)]
pub(super) struct Dial {
    connector: HttpsConnector<HttpConnector<Guard>>,
    timeout: Duration,
}

impl Dial {
    pub(super) fn new(guard: Guard, roots: RootCertStore, timeout: Duration) -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new_with_resolver(guard);
        // The scheme is the business of the connector around it.
        tcp.enforce_http(false);
        // A request is written at once and then waited for: there is nothing to gather.
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
        // Shared among the addresses of a name, so that a dead one leaves time for the next.
        tcp.set_connect_timeout(Some(timeout));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let names = Arc::new(DefaultServerNameResolver::default());
        Ok(Self {
            connector: HttpsConnector::new(tcp, tls, false, names),
            timeout,
        })
    }
}

/// The roots that browsers have.
pub(super) fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

impl Dial {
    /// Connects to where a URL leads.
    pub(super) async fn to(&self, url: &Uri) -> Result<Socket, BoxError> {
        let connecting = self.connector.clone().oneshot(url.clone());
        // The lookup and the handshake are in it.
        tokio::time::timeout(self.timeout, connecting).await?
    }
}
