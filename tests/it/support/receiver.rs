//! A receiver that answers as its script says and remembers what came.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A test waits this long for something to happen before it says that it does not.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a receiver answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status with an empty body.
    Status(u16),
    /// This status, header and body.
    Full(u16, Vec<(&'static str, String)>, Bytes),
    /// Nothing, ever.
    Hang,
    /// 200, as soon as this is true.
    Once(watch::Receiver<bool>),
}

/// What a receiver got.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// A header's text, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// A running receiver.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Mutex<VecDeque<Reply>>,
    then: Mutex<Reply>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    open: watch::Sender<Open>,
}

/// Connections.
#[derive(Default)]
struct Open {
    count: usize,
    /// Who was accepted last.
    last: Option<SocketAddr>,
}

impl Receiver {
    /// Answers 200 to everything.
    pub async fn start() -> Self {
        Self::scripted([], Reply::Status(200)).await
    }

    /// Answers as the script says, one entry a request, and then for ever with `then`.
    pub async fn scripted(script: impl IntoIterator<Item = Reply>, then: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            then: Mutex::new(then),
            received: Mutex::new(Vec::new()),
            count: watch::Sender::new(0),
            open: watch::Sender::default(),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let (state, closing) = (serving.clone(), serving.clone());
                state.open.send_modify(|open| {
                    open.count += 1;
                    open.last = Some(from);
                });
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(state.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _closed = http.serve_connection(TokioIo::new(stream), service).await;
                    closing.open.send_modify(|open| open.count -= 1);
                });
            }
        });
        Self { address, state }
    }

    /// Where deliveries go.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on, answers so.
    pub fn now_answer(&self, reply: Reply) {
        self.state.script.lock().unwrap().clear();
        *self.state.then.lock().unwrap() = reply;
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Waits until what came satisfies a condition.
    pub async fn wait_until(&self, patience: Duration, satisfied: impl Fn(&[Received]) -> bool) {
        let mut watching = self.state.count.subscribe();
        let reached = watching.wait_for(|_| satisfied(&self.state.received.lock().unwrap()));
        let reached = tokio::time::timeout(patience, reached).await;
        assert!(
            reached.is_ok(),
            "{} requests came, and not those",
            self.received().len()
        );
    }

    /// Waits until all is seen that somebody has sent who is no more.
    #[allow(
        dead_code,
        reason = "for the fault tests, which share this with the end-to-end tests"
    )]
    pub async fn rest(&self) {
        let resting = async {
            // Connections are accepted one after another: behind this one there are none of theirs.
            let mark = tokio::net::TcpStream::connect(self.address)
                .await
                .expect("it listens");
            let mark_is = mark.local_addr().expect("connected");
            let mut open = self.state.open.subscribe();
            let _here = open.wait_for(|open| open.last == Some(mark_is)).await.map(drop);
            drop(mark);
            let _none = open.wait_for(|open| open.count == 0).await.map(drop);
        };
        let rested = tokio::time::timeout(PATIENCE, resting).await;
        assert!(rested.is_ok(), "connections stay open");
    }

    /// Waits until so many requests have come, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut watching = self.state.count.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, watching.wait_for(|arrived| *arrived >= count)).await;
        assert!(
            arrived.is_ok(),
            "only {} of {count} requests came",
            self.received().len()
        );
        self.received()
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let received = Received {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    };
    let reply = {
        let mut script = state.script.lock().unwrap();
        script
            .pop_front()
            .unwrap_or_else(|| state.then.lock().unwrap().clone())
    };
    state.received.lock().unwrap().push(received);
    state.count.send_modify(|count| *count += 1);
    let (status, headers, body) = match reply {
        Reply::Status(status) => (status, Vec::new(), Bytes::new()),
        Reply::Full(status, headers, body) => (status, headers, body),
        Reply::Once(mut open) => {
            open.wait_for(|open| *open).await?;
            (200, Vec::new(), Bytes::new())
        }
        Reply::Hang => std::future::pending::<Result<_, Infallible>>().await?,
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(body))?)
}
