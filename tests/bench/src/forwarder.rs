//! The bare forwarder: the fastest thing that accepts a POST and sends it on. Nothing is stored, no
//! plugin runs, nothing is signed or tried again. What Hookway costs is measured against it.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Open connections to the receiver; as many as the router has for one subscription in the workloads.
const CONNECTIONS: usize = 64;
/// Accepted events that wait to be sent on.
const WAITING_MAX: usize = 4_096;

struct Forwarder {
    queue: mpsc::Sender<Bytes>,
}

/// Serves on a port of the system's choice, which it prints, and sends every body on to `to`.
pub(crate) async fn run(to: &str) -> anyhow::Result<()> {
    let (queue, mut waiting) = mpsc::channel::<Bytes>(WAITING_MAX);
    let to: Arc<str> = to.into();
    tokio::spawn(async move {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let (give_back, mut idle) = mpsc::channel::<SendRequest<Full<Bytes>>>(CONNECTIONS);
        while let Some(body) = waiting.recv().await {
            let permit = permits.clone().acquire_owned().await.expect("never closed");
            let open = idle.try_recv().ok();
            let (give_back, to) = (give_back.clone(), to.clone());
            tokio::spawn(async move {
                if let Ok(connection) = forward(open, &to, body).await {
                    let _full = give_back.try_send(connection);
                }
                drop(permit);
            });
        }
    });
    let app = Router::new()
        .route("/api/v1/events", post(accept))
        .with_state(Arc::new(Forwarder { queue }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, app).await.context("the forwarder stopped")
}

async fn accept(State(forwarder): State<Arc<Forwarder>>, body: Bytes) -> StatusCode {
    match forwarder.queue.send(body).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn forward(
    open: Option<SendRequest<Full<Bytes>>>,
    to: &str,
    body: Bytes,
) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let mut sender = match open {
        Some(sender) if sender.is_ready() => sender,
        _ => connect(to).await?,
    };
    let request = hyper::Request::post("/")
        .header("host", to)
        .header("content-type", "application/json");
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    response.into_body().collect().await?;
    sender.ready().await?;
    Ok(sender)
}

/// A kept-alive connection of HTTP/1.1.
pub(crate) async fn connect(to: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
