//! A receiver that keeps account: of every request it notes whose it is, and in which life of the router
//! the connection that brought it was made.
//!
//! Its paths are lanes, each with a manner of its own. What the kernel still holds of a router that was
//! killed is read to its end before a new life begins ([`Counting::rest`]), so that nothing is put down to
//! the wrong life.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::account::{Account, event_in};

/// The lane that answers 200.
pub const PLAIN: &str = "plain";
/// The lane behind a plugin; it answers 200.
pub const SHAPED: &str = "shaped";
/// The lane that answers 503 to the first request of every delivery, and 200 to the second.
pub const FLAKY: &str = "flaky";
/// The lane that does what it was asked and answers 200 a little later.
pub const SLOW: &str = "slow";
/// How much later.
const SLOW_BY: Duration = Duration::from_millis(100);
/// The lane that answers 503, always.
pub const DEAD: &str = "dead";
/// The lane that never answers.
pub const HUNG: &str = "hung";
/// The path of a request that only says that everything before it was seen.
const MARK: &str = "mark";
/// A killed process has closed its connections; reading what they still hold takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running receiver.
pub struct Counting {
    address: SocketAddr,
    open: watch::Sender<usize>,
    lanes: Arc<Lanes>,
}

/// Of each lane, how many requests are being answered, and how many were at once at the most.
#[derive(Default)]
struct Lanes(Mutex<HashMap<String, (usize, usize)>>);

impl Lanes {
    fn enter(&self, lane: &str) {
        let mut lanes = self.0.lock().unwrap();
        let (now, most) = lanes.entry(lane.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    fn leave(&self, lane: &str) {
        self.0.lock().unwrap().entry(lane.to_owned()).or_default().0 -= 1;
    }
}

impl Counting {
    /// Starts one that writes into this account.
    pub async fn start(account: Arc<Account>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let open = watch::Sender::new(0);
        let counting = Self {
            address,
            open: open.clone(),
            lanes: Arc::default(),
        };
        let lanes = counting.lanes.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                open.send_modify(|open| *open += 1);
                let (account, open, lanes) = (account.clone(), open.clone(), lanes.clone());
                tokio::spawn(async move {
                    let life = account.life();
                    let service =
                        service_fn(move |request| answer(account.clone(), lanes.clone(), life, request));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _closed = http.serve_connection(TokioIo::new(stream), service).await;
                    open.send_modify(|open| *open -= 1);
                });
            }
        });
        counting
    }

    /// Where a lane is.
    pub fn url(&self, lane: &str) -> String {
        format!("http://{}/{lane}", self.address)
    }

    /// How many requests of a lane were being answered at once, at the most.
    pub fn at_once(&self, lane: &str) -> usize {
        self.lanes
            .0
            .lock()
            .unwrap()
            .get(lane)
            .map_or(0, |(_, most)| *most)
    }

    /// Waits until everything that a router has sent that is no more is noted.
    pub async fn rest(&self) {
        let resting = async {
            // Connections are accepted one after another: behind this one there are none of the router's.
            let mut mark = TcpStream::connect(self.address).await.unwrap();
            let text = format!("GET /{MARK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            mark.write_all(text.as_bytes()).await.unwrap();
            mark.read_to_end(&mut Vec::new()).await.unwrap();
            self.open.subscribe().wait_for(|open| *open == 0).await.unwrap();
        };
        let rested = tokio::time::timeout(PATIENCE, resting).await;
        assert!(
            rested.is_ok(),
            "connections of a process that is no more stay open"
        );
    }
}

async fn answer(
    account: Arc<Account>,
    lanes: Arc<Lanes>,
    life: u32,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Empty<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let lane = head.uri.path().trim_matches('/').to_owned();
    if lane == MARK {
        return Ok(Response::new(Empty::new()));
    }
    let id = head.headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let id = id.unwrap_or_default().to_owned();
    let event = event_in(&body.collect().await?.to_bytes());
    lanes.enter(&lane);
    let status = match lane.as_str() {
        HUNG => {
            account.refuse(&lane, &id, event);
            std::future::pending::<Infallible>().await;
            503
        }
        FLAKY if account.refused(&lane, &id) > 0 => {
            account.accept(&lane, &id, event, life);
            200
        }
        FLAKY | DEAD => {
            account.refuse(&lane, &id, event);
            503
        }
        _ => {
            account.accept(&lane, &id, event, life);
            if lane == SLOW {
                tokio::time::sleep(SLOW_BY).await;
            }
            200
        }
    };
    lanes.leave(&lane);
    Ok(Response::builder().status(status).body(Empty::new())?)
}
