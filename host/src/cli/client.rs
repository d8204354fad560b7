//! The client of the HTTP API: how every verb but `serve` and `demo` reaches a router, and `demo` too.
//!
//! Not an egress: it goes where the person at the keyboard says, with the person's own key. It follows
//! no redirect, since a redirect would carry the key elsewhere, and reads answers up to a limit.

mod transport;

use std::collections::HashMap;
use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

mod download;

use super::failure::Failure;
use super::problem::Problem;
use crate::secret::Secret;

/// Longest wait for a whole answer; compiling a large plugin takes the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer. A page of deliveries has some hundred kilobytes.
const ANSWER_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// The status of a call whose key is not known.
const UNAUTHORIZED: u16 = 401;
/// The header that names the tenant that an admin key acts for.
const TENANT_HEADER: &str = "hookway-tenant";

/// A router, as seen by a caller.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key_from: Option<String>,
}

/// What a router answered: as a tree for who looks into it, and as the text that came for who shows it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    tree: Value,
    text: String,
}

impl Answer {
    /// Reads an answer; nothing at all is `null`.
    pub(super) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let text: &RawValue = serde_json::from_slice(bytes)?;
        Ok(Self {
            tree: serde_json::from_str(text.get())?,
            text: text.get().to_owned(),
        })
    }

    /// The JSON as it came; empty where nothing did.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON of one member as it came.
    pub fn member(&self, name: &str) -> Option<&str> {
        let members: HashMap<String, &RawValue> = serde_json::from_str(&self.text).ok()?;
        members.get(name).map(|raw| raw.get())
    }
}

impl Deref for Answer {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.tree
    }
}

/// What is sent with a call.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// A JSON text, sent byte for byte.
    Json(String),
    /// A component.
    Component(Bytes),
}

impl Client {
    /// A client of the router at `base`.
    pub fn new(base: Url, key: Option<Secret>, tenant: Option<String>) -> Result<Self, Failure> {
        // Egress may have chosen the same provider before us, which is fine.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let bearer = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
            let mut bearer =
                bearer.map_err(|_| Failure::usage("the API key has characters that no key has"))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        if let Some(tenant) = tenant {
            let tenant = HeaderValue::try_from(tenant);
            headers.insert(
                TENANT_HEADER,
                tenant.map_err(|_| Failure::usage("--tenant is not a tenant's name"))?,
            );
        }
        let http = transport::of(headers)
            .map_err(|error| Failure::because("cannot set up the HTTP client", error))?;
        Ok(Self {
            http,
            base,
            key_from: None,
        })
    }

    /// The same, saying where its key is from when a router does not know it: somebody who has two data
    /// directories would not guess which one it was.
    pub fn with_key_from(mut self, place: String) -> Self {
        self.key_from = Some(place);
        self
    }

    /// Where the router is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Reads a resource of `/api/v1`.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Answer, Failure> {
        self.call(Method::GET, path, query, Body::Nothing).await
    }

    /// Calls `/api/v1`; an answer without a body is `null`.
    pub async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Body,
    ) -> Result<Answer, Failure> {
        self.call_with(method, path, query, body, &[]).await
    }

    /// As [`Self::call`], with headers of its own.
    pub async fn call_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Body,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let mut request = self
            .http
            .request(method, self.api_url(path, query))
            .timeout(ANSWER_TIMEOUT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Body::Nothing => request,
            Body::Json(text) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(text),
            Body::Component(bytes) => request
                .header(header::CONTENT_TYPE, "application/wasm")
                .body(bytes),
        };
        let bytes = self.answer(request).await?;
        Answer::read(&bytes)
            .map_err(|error| Failure::because(format!("what {} answered is not JSON", self.origin()), error))
    }

    /// Reads something outside `/api/v1`, such as `/healthz`.
    pub async fn get_plain(&self, path: &str, timeout: Duration) -> Result<Bytes, Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        self.answer(self.http.get(url).timeout(timeout)).await
    }

    /// The same router for somebody without a key.
    pub(super) fn stranger(&self) -> Result<Self, Failure> {
        Self::new(self.base.clone(), None, None)
    }

    /// Posts to an address outside `/api/v1` and gives the headers of the answer.
    pub(super) async fn deliver(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<HeaderMap, Failure> {
        let request = self.http.post(url).timeout(ANSWER_TIMEOUT);
        let request = request.headers(headers).body(body);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response.headers().clone());
        }
        Err(self.refused(response).await)
    }

    /// Opens a stream of server-sent events. It has no time-out: it ends when the router ends it.
    pub async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        last_id: Option<&str>,
    ) -> Result<reqwest::Response, Failure> {
        let mut request = self
            .http
            .get(self.api_url(path, query))
            .header(header::ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Bytes, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return self.read(response).await;
        }
        Err(self.refused(response).await)
    }

    async fn refused(&self, response: reqwest::Response) -> Failure {
        let status = response.status().as_u16();
        match self.read(response).await {
            Ok(body) => {
                let mut problem = Problem::from_answer(status, &body);
                if let (UNAUTHORIZED, Some(place), Some(detail)) =
                    (status, &self.key_from, &mut problem.detail)
                {
                    detail.push_str(&format!("; it was that of {place}"));
                }
                Failure::Problem(Box::new(problem))
            }
            Err(failure) => failure,
        }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::other(format!(
                    "the answer is larger than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn api_url(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        // reqwest's own sentence repeats the URL; its cause says what happened.
        let source: Box<dyn std::error::Error + Send + Sync> = match error.source() {
            _ if error.is_timeout() => "it took too long".into(),
            Some(cause) if speaks_no_tls(cause) => {
                "what answers there does not speak TLS; try http://".into()
            }
            Some(cause) => innermost(cause).into(),
            None => error.without_url().into(),
        };
        Failure::Unreachable {
            url: self.origin(),
            source,
        }
    }
}

/// Whether a plain HTTP server answered a TLS handshake. The library says so in its own words only.
fn speaks_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    innermost(error).contains("InvalidContentType")
}

fn innermost(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// Reads where a router is.
pub fn base_from(text: &str) -> Result<Url, Failure> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(Failure::usage(format!(
            "{text:?} is not the URL of a router, such as https://hookway.example.com"
        ))),
    }
}

/// The parameters of a query that have a value.
pub fn given<const N: usize>(query: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    let given = query.into_iter();
    given.filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Where a router that listens on this address is reached from the same machine.
pub fn base_of(listen: SocketAddr) -> Url {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Url::parse(&format!("http://{}", SocketAddr::new(ip, listen.port())))
        .expect("an address and port make a URL")
}

/// Whether a URL stays on this machine.
pub fn is_local(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn urls_are_built_from_segments() {
        let client = |base: &str| Client::new(base_from(base).unwrap(), None, None).unwrap();
        let url = client("http://h:1/x/").api_url(&["plugins", "../a b?"], &[("type", "a&b".into())]);
        assert_eq!(
            url.as_str(),
            "http://h:1/x/api/v1/plugins/..%2Fa%20b%3F?type=a%26b"
        );
        assert_eq!(
            client("http://h:1").api_url(&["events"], &[]).as_str(),
            "http://h:1/api/v1/events"
        );
    }

    #[test]
    fn the_address_that_is_listened_on_becomes_one_that_can_be_called() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("[::]:8080", "http://[::1]:8080/"),
            ("192.168.1.5:80", "http://192.168.1.5/"),
        ] {
            assert_eq!(base_of(listen.parse().unwrap()).as_str(), url);
        }
    }

    #[test]
    fn only_loopback_is_local() {
        for (url, local) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://[::1]:1", true),
            ("http://192.168.1.5", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_local(&base_from(url).unwrap()), local, "{url}");
        }
        for bad in ["example.com", "ftp://x", "mailto:a@b", ""] {
            assert!(base_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_keeps_its_text() {
        let answer = Answer::read(b" {\"b\":1.50,\"a\":{ \"n\": 12345678901234567890123 }} ").unwrap();
        assert_eq!(answer["b"], 1.5);
        assert!(answer.text().starts_with("{\"b\":1.50"), "{}", answer.text());
        assert_eq!(answer.member("a"), Some("{ \"n\": 12345678901234567890123 }"));
        assert_eq!(answer.member("c"), None);
        assert!(Answer::read(b"").unwrap().is_null() && Answer::read(b"<html>").is_err());
    }

    #[tokio::test]
    async fn https_where_http_is_spoken_says_so() {
        let plain = router_that_answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 0).await;
        let mut base = plain.base().clone();
        base.set_scheme("https").unwrap();
        let failure = Client::new(base, None, None)
            .unwrap()
            .get(&["events"], &[])
            .await
            .unwrap_err();
        assert!(
            failure.chain().join(" ").contains("does not speak TLS"),
            "{failure:?}"
        );
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = base_of(listener.local_addr().unwrap());
        drop(listener);
        let failure = Client::new(base, None, None)
            .unwrap()
            .get(&["events"], &[])
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Unreachable { .. }), "{failure:?}");
        assert!(
            failure.chain().join(" ").contains("refused"),
            "{:?}",
            failure.chain()
        );
    }

    /// Answers one request with this head and so many megabytes of blanks.
    async fn router_that_answers(head: &'static str, megabytes: usize) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = base_of(listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            let _some = stream.read(&mut request).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..megabytes {
                // The client hangs up in the middle.
                if stream.write_all(&[b' '; 1 << 20]).await.is_err() {
                    return;
                }
            }
        });
        Client::new(base, Some(Secret::new("hw_k")), None).unwrap()
    }

    #[tokio::test]
    async fn answers_are_read_up_to_a_limit_and_redirects_are_not_followed() {
        let endless = router_that_answers("HTTP/1.1 200 OK\r\n\r\n", 65).await;
        let failure = endless.get(&["events"], &[]).await.unwrap_err();
        assert!(failure.to_string().contains("larger than"), "{failure}");
        let redirect = "HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let failure = router_that_answers(redirect, 0)
            .await
            .get(&["events"], &[])
            .await
            .unwrap_err();
        assert!(
            matches!(&failure, Failure::Problem(problem) if problem.status == 307),
            "{failure:?}"
        );
        let body = r#"{"title":"t","detail":"not known"}"#;
        let head = format!("HTTP/1.1 401 No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let stranger = router_that_answers(head.leak(), 0)
            .await
            .with_key_from("x/admin.key".to_owned());
        let failure = stranger.get(&["events"], &[]).await.unwrap_err().to_string();
        assert!(
            failure.contains("not known; it was that of x/admin.key"),
            "{failure}"
        );
        let page = router_that_answers("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 0).await;
        assert!(
            page.get(&["events"], &[])
                .await
                .unwrap_err()
                .to_string()
                .contains("not JSON")
        );
        let nothing = router_that_answers("HTTP/1.1 204 No Content\r\n\r\n", 0).await;
        assert_eq!(*nothing.get(&["events"], &[]).await.unwrap(), Value::Null);
    }
}
