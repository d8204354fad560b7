//! A client for the API of a router, wherever that runs: inside of the test or in a process of its own.
//!
//! It shows a key with whatever it asks, unless the headers of a call bring one or the call is an open one.

use serde_json::Value;

/// The admin key of every test router.
pub const ADMIN_KEY: &str = "test-admin-key-0123456789-0123456789";

/// An HTTP client that goes where it is told, and the cryptography that it needs.
pub fn http() -> reqwest::Client {
    builder().build().expect("a client")
}

/// The same, which can still be made another.
pub fn builder() -> reqwest::ClientBuilder {
    // Another test of this process may have installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
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

    async fn of(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Self {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        })
    }
}

/// Who asks a router.
#[derive(Clone)]
pub struct Client {
    /// Where the API is.
    pub url: String,
    http: reqwest::Client,
    key: Option<String>,
    tenant: Option<String>,
}

impl Client {
    /// Asks the router at this URL, with the admin key.
    pub fn at(url: String) -> Self {
        Self {
            url,
            http: http(),
            key: Some(ADMIN_KEY.to_owned()),
            tenant: None,
        }
    }

    /// Acts with this key from now on.
    pub fn use_key(&mut self, key: &str) {
        self.key = Some(key.to_owned());
    }

    /// Somebody who has no key, as a service that delivers webhooks.
    pub fn stranger(&self) -> Self {
        Self {
            key: None,
            tenant: None,
            ..self.clone()
        }
    }

    /// Acts for this tenant from now on, or for the key's own.
    pub fn use_tenant(&mut self, tenant: Option<&str>) {
        self.tenant = tenant.map(str::to_owned);
    }

    /// A call with raw bytes and headers, of a router that may be gone.
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<Answer> {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let own = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("authorization");
        if let Some(key) = self.key.as_ref().filter(|_| !headers.iter().any(own)) {
            request = request.bearer_auth(key);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("hookway-tenant", tenant);
        }
        Answer::of(request.body(body).send().await?).await
    }

    /// A call with raw bytes and headers.
    pub async fn call_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.try_call(method, path, headers, body)
            .await
            .expect("an answer")
    }

    /// The same by a [`Client::stranger`].
    pub async fn call_open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        self.stranger().call_raw(method, path, headers, body).await
    }

    /// A POST without a key and with these headers, which need not be text.
    pub async fn call_with(&self, path: &str, headers: http::HeaderMap, body: Vec<u8>) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url));
        let response = request.headers(headers).body(body).send().await;
        Answer::of(response.expect("an answer")).await.expect("a body")
    }

    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.call_raw(method, path, &json, body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call_raw("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body).await
    }

    /// The same, of a router that may be gone.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Answer> {
        let json = [("content-type", "application/json")];
        self.try_call("POST", path, &json, body.to_string()).await
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
}
