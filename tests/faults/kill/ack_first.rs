//! The mistake that the test about sudden ends is there to find: a router in few lines that acknowledges
//! what it has in memory only, and forwards it later.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::account::event_in;
use crate::support::client::http;

/// Events in memory; whoever comes when it is full is told to come again.
const QUEUE_MAX: usize = 10_000;
/// Longest wait for the queue to run empty.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running one.
pub(super) struct AckFirst {
    /// Where its API is.
    pub(super) url: String,
    tasks: Arc<Mutex<JoinSet<()>>>,
    waiting: watch::Sender<usize>,
}

impl AckFirst {
    /// Starts one that forwards everything to a receiver.
    pub(super) async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (queue, events) = mpsc::channel(QUEUE_MAX);
        let waiting = watch::Sender::new(0);
        let tasks = Arc::new(Mutex::new(JoinSet::new()));
        let (accepting, counting) = (tasks.clone(), waiting.clone());
        let mut all = tasks.lock().await;
        all.spawn(forward(events, to, waiting.clone()));
        all.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (queue, counting) = (queue.clone(), counting.clone());
                accepting.lock().await.spawn(async move {
                    let service = service_fn(move |request| take(request, queue.clone(), counting.clone()));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _closed = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        drop(all);
        Self { url, tasks, waiting }
    }

    /// Its memory is gone, and its connections are closed.
    pub(super) async fn kill(self) {
        self.tasks.lock().await.shutdown().await;
    }

    /// Waits until it has forwarded everything.
    pub(super) async fn empty(&self) {
        let mut waiting = self.waiting.subscribe();
        let empty = tokio::time::timeout(PATIENCE, waiting.wait_for(|count| *count == 0)).await;
        assert!(empty.is_ok(), "it does not forward");
    }
}

async fn take(
    request: Request<hyper::body::Incoming>,
    queue: mpsc::Sender<Bytes>,
    waiting: watch::Sender<usize>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    waiting.send_modify(|count| *count += 1);
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = match queue.try_send(body) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_full) => {
            waiting.send_modify(|count| *count -= 1);
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Ok(answer)
}

/// One after another, so that something always waits under load.
async fn forward(mut events: mpsc::Receiver<Bytes>, to: String, waiting: watch::Sender<usize>) {
    let client = http();
    while let Some(body) = events.recv().await {
        let id = event_in(&body).map(|event| event.to_string()).unwrap_or_default();
        let _sent: Result<_, _> = client.post(&to).header("webhook-id", id).body(body).send().await;
        waiting.send_modify(|count| *count -= 1);
    }
    std::future::pending::<Infallible>().await;
}
