//! What carries the calls of the command line: an HTTP client that follows nothing and uses no proxy.

use std::time::Duration;

use http::HeaderMap;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that sends these headers with every call.
///
/// Certificates are checked against those of the machine. One that has none (a small image) must be able to
/// ask a router how it is all the same, which mostly needs no certificate at all; there the roots that
/// browsers have do.
pub(super) fn of(headers: HeaderMap) -> reqwest::Result<reqwest::Client> {
    builder(headers.clone()).build().or_else(|_| {
        let roots = public_roots();
        builder(headers).tls_backend_preconfigured(roots).build()
    })
}

fn builder(headers: HeaderMap) -> reqwest::ClientBuilder {
    #[expect(
        clippy::disallowed_methods,
        reason = "this client goes where the person at the keyboard says"
    )]
    let builder = reqwest::Client::builder();
    builder
        .user_agent(concat!("hookway-cli/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
}

/// TLS with the roots that browsers have.
fn public_roots() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
