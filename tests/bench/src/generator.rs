//! The load: a fixed number of events over a fixed number of connections, each of which sends the
//! next event when the last one was acknowledged (a closed loop).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt, Full};
use sha2::Sha256;

use crate::forwarder::connect;

/// Size of an event's data, about.
const DATA_BYTES: usize = 1_024;

/// How events come in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By the API, with this key.
    Api(&'static str),
    /// As webhooks that GitHub signs with this secret, to the source of this path.
    Webhook(&'static str, &'static str),
}

/// What the generator saw.
pub(crate) struct Sent {
    /// From the first request to the last acknowledgement.
    pub took: Duration,
    /// Acknowledgement times, unordered.
    pub acknowledged: Vec<Duration>,
}

/// Sends `events` events to `to` over `connections` connections.
pub(crate) async fn send(
    to: &str,
    way: Way,
    events: u64,
    connections: usize,
    clock: Instant,
) -> anyhow::Result<Sent> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (to, next) = (to.to_owned(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(&to).await?;
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    break;
                }
                let request = way.request(&to, number, clock)?;
                let begun = Instant::now();
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                if status != way.accepted() {
                    bail!("answered {status}: {}", String::from_utf8_lossy(&body));
                }
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await??);
    }
    Ok(Sent {
        took: started.elapsed(),
        acknowledged,
    })
}

impl Way {
    const fn accepted(self) -> u16 {
        match self {
            Self::Api(_) => 202,
            Self::Webhook(..) => 200,
        }
    }

    fn request(self, to: &str, number: u64, clock: Instant) -> anyhow::Result<hyper::Request<Full<Bytes>>> {
        let request = hyper::Request::builder()
            .method("POST")
            .header("host", to)
            .header("content-type", "application/json");
        Ok(match self {
            Self::Api(key) => request
                .uri("/api/v1/events")
                .header("authorization", format!("Bearer {key}"))
                .body(Full::new(event(clock)))?,
            Self::Webhook(path, secret) => {
                let body = event(clock);
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
                mac.update(&body);
                let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
                // The time tells the runs of one process apart: their numbers are the same.
                let id = format!("{number}-{}", clock.elapsed().as_nanos());
                request
                    .uri(path)
                    .header("x-github-event", "push")
                    .header("x-github-delivery", id)
                    .header("x-hub-signature-256", format!("sha256={signature}"))
                    .body(Full::new(body))?
            }
        })
    }
}

/// An alert of about 1 KiB that carries its own time of sending, for the receiver.
fn event(clock: Instant) -> Bytes {
    let micros = clock.elapsed().as_micros();
    let filler = "x".repeat(DATA_BYTES - 200);
    let text = format!(
        r#"{{"type":"alert.created","data":{{"id":"alert_xyz789","title":"sent at {micros} us","severity":"critical","status":"active","projectId":"proj_def456","area":"Inventario","createdAt":"2026-05-19T16:30:00.000Z","note":"{filler}"}}}}"#
    );
    Bytes::from(text)
}
