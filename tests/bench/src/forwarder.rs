//! The bare forwarder: the fastest thing that accepts a POST and sends it on. Nothing is stored, no
//! plugin runs, nothing is signed or tried again. What Hookway costs is measured against it.
//!
//! Every connection to the receiver is one task with a short queue of its own, and drives the
//! connection itself: no task a request, no lock, one wake-up on the way from one side to the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Open connections to the receiver. Of 4, 16 and 64, 16 cost the least CPU time for a delivery.
const CONNECTIONS: usize = 16;
/// Accepted events that wait for one connection.
const WAITING_MAX: usize = 64;

struct Forwarder {
    next: AtomicUsize,
    lanes: Vec<mpsc::Sender<Bytes>>,
}

/// Serves on a port of the system's choice, which it prints, and sends every body on to `to`.
pub(crate) async fn run(to: &str) -> anyhow::Result<()> {
    let mut lanes = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let (lane, waiting) = mpsc::channel(WAITING_MAX);
        lanes.push(lane);
        tokio::spawn(forward(waiting, to.to_owned()));
    }
    let next = AtomicUsize::new(0);
    let app = Router::new()
        .route("/api/v1/events", post(accept))
        .with_state(Arc::new(Forwarder { next, lanes }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await.context("the forwarder stopped")
}

async fn accept(State(forwarder): State<Arc<Forwarder>>, body: Bytes) -> StatusCode {
    let turn = forwarder.next.fetch_add(1, Ordering::Relaxed);
    match forwarder.lanes[turn % CONNECTIONS].send(body).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Sends what comes, over one connection. Without a receiver there is nothing to measure: it ends.
async fn forward(mut waiting: mpsc::Receiver<Bytes>, to: String) -> anyhow::Result<()> {
    let stream = TcpStream::connect(&to).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let sending = async {
        while let Some(body) = waiting.recv().await {
            let request = hyper::Request::post("/")
                .header("host", to.as_str())
                .header("content-type", "application/json");
            let response = sender.send_request(request.body(Full::new(body))?).await?;
            response.into_body().collect().await?;
            sender.ready().await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        sent = sending => sent,
        closed = connection => Ok(closed?),
    }
}
