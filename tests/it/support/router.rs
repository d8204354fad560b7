//! The real router on a temporary directory, with a clock that stands still, and a client for its API.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use hookway::clock::Clock;
use hookway::config::Config;
use hookway::router::{Ended, Router, StartError};
use hookway::secret::Secret;
use hookway::time::Timestamp;
use serde_json::Value;

use super::client::Client;
pub use super::client::{ADMIN_KEY, Answer};

/// A test waits this long for something to happen before it says that it does not.
const PATIENCE: Duration = Duration::from_secs(30);
/// 2026-05-19T16:30:00Z, the time of the samples.
const START_MILLIS: i64 = 1_779_208_200_000;

/// A running router, which can be asked as its [`Client`].
pub struct TestRouter {
    router: Option<Router>,
    config: Config,
    /// Time, in the test's hand.
    pub clock: Clock,
    dir: tempfile::TempDir,
    client: Client,
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
        let client = Client::at(format!("http://{}", router.address()));
        Ok(Self {
            router: Some(router),
            config,
            clock,
            dir,
            client,
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

    /// Where a path of its API is.
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
        self.client.url = format!("http://{}", router.address());
        self.router = Some(router);
    }

    /// Changes its configuration, for the next start.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
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

impl Deref for TestRouter {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for TestRouter {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
