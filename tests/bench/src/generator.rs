//! The load: a fixed number of events over a fixed number of connections, each of which sends the
//! next event when the last one was acknowledged (a closed loop).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use crate::forwarder::connect;

/// Size of an event's data, about.
const DATA_BYTES: usize = 1_024;

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
    key: &str,
    events: u64,
    connections: usize,
    clock: Instant,
) -> anyhow::Result<Sent> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (to, key, next) = (to.to_owned(), key.to_owned(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(&to).await?;
            let mut times = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < events {
                let begun = Instant::now();
                let request = hyper::Request::post("/api/v1/events")
                    .header("host", &to)
                    .header("authorization", format!("Bearer {key}"))
                    .header("content-type", "application/json")
                    .body(Full::new(event(clock)))?;
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                if status != 202 {
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

/// An alert of about 1 KiB that carries its own time of sending, for the receiver.
fn event(clock: Instant) -> Bytes {
    let micros = clock.elapsed().as_micros();
    let filler = "x".repeat(DATA_BYTES - 200);
    let text = format!(
        r#"{{"type":"alert.created","data":{{"id":"alert_xyz789","title":"sent at {micros} us","severity":"critical","status":"active","projectId":"proj_def456","area":"Inventario","createdAt":"2026-05-19T16:30:00.000Z","note":"{filler}"}}}}"#
    );
    Bytes::from(text)
}
