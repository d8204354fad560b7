//! The receiver: counts deliveries and notes how long each was on its way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A running receiver.
pub(crate) struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    count: watch::Sender<u64>,
    times: Mutex<Vec<Duration>>,
    clock: Instant,
}

impl Receiver {
    /// Starts one. `clock` is the generator's.
    pub(crate) async fn start(clock: Instant) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let receiver = Arc::new(Self {
            address,
            count: watch::Sender::new(0),
            times: Mutex::new(Vec::new()),
            clock,
        });
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _refused = stream.set_nodelay(true);
                let receiver = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let receiver = receiver.clone();
                        async move {
                            if let Ok(body) = request.into_body().collect().await {
                                receiver.note(&body.to_bytes());
                            }
                            Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from_static(b"ok"))))
                        }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _closed = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(receiver)
    }

    fn note(&self, body: &[u8]) {
        if let Some(sent) = sent_at(body) {
            let took = self.clock.elapsed().saturating_sub(sent);
            self.times.lock().expect("no panic holds it").push(took);
        }
        self.count.send_modify(|count| *count += 1);
    }

    /// Waits until so many deliveries have arrived since the start.
    pub(crate) async fn wait_for(&self, count: u64) -> anyhow::Result<()> {
        let mut watching = self.count.subscribe();
        let arrived = watching.wait_for(|arrived| *arrived >= count);
        if tokio::time::timeout(Duration::from_secs(120), arrived)
            .await
            .is_err()
        {
            anyhow::bail!(
                "only {} of {count} deliveries arrived within two minutes",
                *self.count.borrow()
            );
        }
        Ok(())
    }

    /// Times from sending to arrival so far; forgets them.
    pub(crate) fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut self.times.lock().expect("no panic holds it"))
    }
}

/// The number between `sent at ` and ` us`, which survives every plugin that shows the title.
fn sent_at(body: &[u8]) -> Option<Duration> {
    const MARK: &[u8] = b"sent at ";
    let start = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = body[start..].iter().take_while(|byte| byte.is_ascii_digit());
    let micros = digits.fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(Duration::from_micros(micros))
}
