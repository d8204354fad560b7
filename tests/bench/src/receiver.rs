//! The receiver: counts deliveries, and misbehaves where the path asks for it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::producer::number_in;
use crate::stamps::Stamps;

/// How often it is looked at how many were refused.
const LOOK: Duration = Duration::from_millis(20);
/// Without a single refusal for so long, the rest does not come.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a path does with a delivery.
pub(crate) mod path {
    /// Counts it.
    pub(crate) const COUNTED: &str = "/";
    /// Takes it without counting it.
    pub(crate) const ASIDE: &str = "/aside";
    /// Never answers.
    pub(crate) const SILENT: &str = "/silent";
    /// Refuses with 503 while the receiver is down, and counts it when it is not.
    pub(crate) const TROUBLED: &str = "/troubled";
    /// Always refuses with 503.
    pub(crate) const DOWN: &str = "/down";
}

/// A running receiver.
pub(crate) struct Receiver {
    /// Where it listens: so many endpoints, each with a port of its own.
    pub addresses: Vec<SocketAddr>,
    stamps: Arc<Stamps>,
    /// Whether `/troubled` refuses.
    down: AtomicBool,
    refused: AtomicU64,
}

impl Receiver {
    /// Starts one with so many ports. What arrives is noted in `stamps`.
    pub(crate) async fn start(ports: usize, stamps: Arc<Stamps>) -> anyhow::Result<Arc<Self>> {
        let mut listeners = Vec::with_capacity(ports);
        for _ in 0..ports {
            listeners.push(TcpListener::bind("127.0.0.1:0").await?);
        }
        let addresses: Result<_, _> = listeners.iter().map(TcpListener::local_addr).collect();
        let receiver = Arc::new(Self {
            addresses: addresses?,
            stamps,
            down: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        });
        for listener in listeners {
            tokio::spawn(receiver.clone().serve(listener));
        }
        Ok(receiver)
    }

    /// The URL of the endpoint with this number; there are as many as ports, then they repeat.
    pub(crate) fn url(&self, number: usize, path: &str) -> String {
        format!("http://{}{path}", self.addresses[number % self.addresses.len()])
    }

    /// Lets `/troubled` refuse, or not any more.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    /// Waits until so many deliveries were refused since the start.
    pub(crate) async fn wait_refused(&self, count: u64) -> anyhow::Result<()> {
        let (mut seen, mut since) = (0, self.stamps.now());
        loop {
            let refused = self.refused.load(Ordering::Relaxed);
            if refused >= count {
                return Ok(());
            }
            if refused > seen {
                (seen, since) = (refused, self.stamps.now());
            }
            if self.stamps.now().saturating_sub(since) > SILENCE_MAX {
                anyhow::bail!("only {seen} of {count} deliveries were tried, and no more for a minute");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let _refused = stream.set_nodelay(true);
            let receiver = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let receiver = receiver.clone();
                    async move { Ok::<_, Infallible>(receiver.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                let _closed = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: hyper::Request<hyper::body::Incoming>) -> hyper::Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return answer(400);
        };
        match head.uri.path() {
            path::SILENT => std::future::pending().await,
            path::ASIDE => answer(200),
            path::DOWN => self.refuse(),
            path::TROUBLED if self.down.load(Ordering::Relaxed) => self.refuse(),
            _ => match number_in(&body.to_bytes()) {
                Some(number) => {
                    self.stamps.arrived(number);
                    answer(200)
                }
                None => answer(400),
            },
        }
    }

    fn refuse(&self) -> hyper::Response<Full<Bytes>> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        answer(503)
    }
}

fn answer(status: u16) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from_static(b"ok")));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}
