//! The real router on a temporary directory, with a clock that stands still, and a client for its API.

use std::time::Duration;

use hookway::clock::Clock;
use hookway::config::Config;
use hookway::router::{Ended, Router, StartError};
use hookway::secret::Secret;
use hookway::time::Timestamp;
use serde_json::Value;

/// The admin key of every test router.
pub const ADMIN_KEY: &str = "test-admin-key-0123456789-0123456789";
/// A test waits this long for something to happen before it says that it does not.
const PATIENCE: Duration = Duration::from_secs(30);
/// 2026-05-19T16:30:00Z, the time of the samples.
const START_MILLIS: i64 = 1_779_208_200_000;

/// A running router.
pub struct TestRouter {
    router: Option<Router>,
    config: Config,
    /// Time, in the test's hand.
    pub clock: Clock,
    dir: tempfile::TempDir,
    client: reqwest::Client,
    key: String,
    tenant: Option<String>,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// A field of the body as text, for ids and words.
    #[track_caller]
    pub fn str(&self, pointer: &str) -> String {
        match self.body.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            other => panic!("no text at {pointer} but {other:?} in {}", self.text),
        }
    }

    /// The answer, if its status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl TestRouter {
    /// A router that may deliver to this machine.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with changes to its configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::try_with(change).await.expect("the router starts")
    }

    /// The same, where it may refuse to start.
    pub async fn try_with(change: impl FnOnce(&mut Config)) -> Result<Self, StartError> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.data_dir = dir.path().join("data");
        config.admin_key = Some(Secret::new(ADMIN_KEY));
        config.server.listen = "127.0.0.1:0".parse().expect("an address");
        config.egress.allow_http = true;
        config.egress.allow_private_networks = true;
        config.plugins.compiler = Some(env!("CARGO_BIN_EXE_hookway").into());
        // Wall time on a busy machine; what the limits do is not what these tests are about.
        config.plugins.transform_ms = 500;
        change(&mut config);
        let clock = Clock::manual(Timestamp::from_millis(START_MILLIS));
        let router = Router::start(config.clone(), clock.clone()).await?;
        // Another test of this process may have installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Ok(Self {
            router: Some(router),
            config,
            clock,
            dir,
            client,
            key: ADMIN_KEY.to_owned(),
            tenant: None,
        })
    }

    /// Its data directory.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// The running router.
    pub fn router(&self) -> &Router {
        self.router.as_ref().expect("running")
    }

    /// A client of the same router with another key.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.router().address())
    }

    /// Stops gracefully and starts again on the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops gracefully.
    pub async fn stop(&mut self) {
        self.end().await.expect("a clean end");
    }

    /// Stops gracefully, as far as its store lets it.
    pub async fn end(&mut self) -> hookway::store::Result<Ended> {
        self.router.take().expect("running").shutdown().await
    }

    /// Starts on the same data.
    pub async fn start_again(&mut self) {
        let router = Router::start(self.config.clone(), self.clock.clone())
            .await
            .expect("it starts again");
        self.router = Some(router);
    }

    /// Changes its configuration, for the next start.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
    }

    /// Acts with this key from now on.
    pub fn use_key(&mut self, key: &str) {
        self.key = key.to_owned();
    }

    /// Acts for this tenant from now on, or for the key's own.
    pub fn use_tenant(&mut self, tenant: Option<&str>) {
        self.tenant = tenant.map(str::to_owned);
    }

    /// A call of the API with raw bytes and headers.
    pub async fn call_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.request(method, path, headers, body);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            request = request.bearer_auth(&self.key);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("hookway-tenant", tenant);
        }
        answer_of(request.send().await.expect("an answer")).await
    }

    /// A call without a key, as a service that delivers a webhook makes it.
    pub async fn call_open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self.request(method, path, headers, body);
        answer_of(request.send().await.expect("an answer")).await
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, self.url(path)).body(body);
        let add =
            |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
        headers.iter().fold(request, add)
    }

    /// A POST without a key and with these headers, which need not be text.
    pub async fn call_with(&self, path: &str, headers: http::HeaderMap, body: Vec<u8>) -> Answer {
        let request = self.client.post(self.url(path)).headers(headers).body(body);
        answer_of(request.send().await.expect("an answer")).await
    }

    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.call_raw(
            method,
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        )
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call_raw("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body).await
    }

    /// Makes a subscription and gives its id.
    pub async fn subscribe(&self, body: &Value) -> String {
        self.post("/api/v1/subscriptions", body)
            .await
            .expect(201)
            .str("/id")
    }

    /// Sends an event and gives its id.
    pub async fn send(&self, event: &Value) -> String {
        self.post("/api/v1/events", event).await.expect(202).str("/id")
    }

    /// The deliveries of an event, in the order of their ids.
    pub async fn deliveries_of(&self, event: &str) -> Vec<Value> {
        let page = self
            .get(&format!("/api/v1/deliveries?event={event}"))
            .await
            .expect(200);
        let mut list = page.body["data"].as_array().expect("a list").clone();
        list.reverse();
        list
    }

    /// The only delivery of an event, read singly.
    pub async fn delivery_of(&self, event: &str) -> Value {
        let list = self.deliveries_of(event).await;
        assert_eq!(list.len(), 1, "{list:?}");
        let id = list[0]["id"].as_str().expect("an id");
        self.get(&format!("/api/v1/deliveries/{id}"))
            .await
            .expect(200)
            .body
    }

    /// Waits until nothing is under way and nothing that is due could start.
    pub async fn settle(&self) {
        let settled = tokio::time::timeout(PATIENCE, self.router().settled()).await;
        assert!(settled.is_ok(), "the router does not come to rest");
    }

    /// Moves time on and waits until what became due is done.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.settle().await;
    }

    /// Waits until the only delivery of an event has this status.
    pub async fn until(&self, event: &str, status: &str) {
        let reached = async {
            while self.delivery_of(event).await["status"] != status {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(
            waited.is_ok(),
            "it is not {status}: {}",
            self.delivery_of(event).await
        );
    }
}

async fn answer_of(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a body");
    Answer {
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
    }
}
