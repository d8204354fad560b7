//! The load: events of given numbers over a fixed number of connections.
//!
//! *Closed*: a connection sends its next event when the last one was acknowledged, which finds the
//! highest rate. *Open*: events are due at a constant rate, whatever became of those before; the time
//! of an event counts from when it was due, so that a router which stalls is charged for all whom it
//! kept waiting (no coordinated omission).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::connection::connect;
use crate::producer::Producer;
use crate::router::KEY;
use crate::stamps::Stamps;

/// Connections of the generator, where a workload says nothing else.
pub(crate) const CONNECTIONS: usize = 64;
/// Connections that fill a database with arrays.
const FILLING: u64 = 4;
/// Events of one array: a body that stays below the router's 1 MiB.
const ARRAY: u64 = 500;

/// When an event is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// When the one before it was acknowledged.
    Closed {
        /// Over so many connections.
        connections: usize,
    },
    /// At this rate.
    Open {
        /// Events per second.
        rate: f64,
    },
}

/// Sends the events of these numbers. From the first request to the last acknowledgement.
pub(crate) async fn send(
    producer: &Arc<Producer>,
    stamps: &Arc<Stamps>,
    events: Range<u64>,
    pace: Pace,
) -> anyhow::Result<Duration> {
    let started = stamps.now();
    let next = Arc::new(AtomicU64::new(events.start));
    let due = match pace {
        Pace::Closed { .. } => None,
        Pace::Open { rate } => Some(Due::start(stamps, events.clone(), started, rate)?),
    };
    let connections = match pace {
        Pace::Closed { connections } => connections,
        Pace::Open { .. } => CONNECTIONS,
    };
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (producer, stamps, next, due) = (producer.clone(), stamps.clone(), next.clone(), due.clone());
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(producer.host()).await?;
            loop {
                if let Some(due) = &due {
                    due.permits.acquire().await?.forget();
                }
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events.end {
                    return anyhow::Ok(());
                }
                let request = producer.request(number)?;
                let at = due.as_ref().map_or_else(|| stamps.now(), |due| due.of(number));
                stamps.begun(number, at);
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                if status != producer.accepted() {
                    bail!("answered {status}: {}", String::from_utf8_lossy(&body));
                }
                stamps.acknowledged(number);
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(stamps.now().saturating_sub(started))
}

/// Fills a database: the events of these numbers in arrays, as fast as they are taken, within a limit.
pub(crate) async fn fill(
    producer: &Arc<Producer>,
    events: Range<u64>,
    limit: Duration,
) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU64::new(events.start));
    let filling = (0..FILLING).map(|_| {
        let (producer, next, end) = (producer.clone(), next.clone(), events.end);
        tokio::spawn(async move {
            let mut sender = connect(producer.host()).await?;
            loop {
                let first = next.fetch_add(ARRAY, Ordering::Relaxed);
                if first >= end {
                    return anyhow::Ok(());
                }
                let request = producer.array(first..end.min(first + ARRAY), KEY)?;
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                if status != 202 {
                    bail!(
                        "an array was answered {status}: {}",
                        String::from_utf8_lossy(&body)
                    );
                }
            }
        })
    });
    let filling: Vec<_> = filling.collect();
    let all = async {
        for task in filling {
            task.await??;
        }
        anyhow::Ok(())
    };
    let filled = tokio::time::timeout(limit, all).await;
    filled.with_context(|| format!("the database was not filled within {} s", limit.as_secs()))?
}

/// When events of an open loop are due, and the permits to send those that are.
#[derive(Clone)]
struct Due {
    permits: Arc<Semaphore>,
    first: u64,
    started: Duration,
    every: Duration,
}

impl Due {
    /// Starts a thread that gives permits: timers of tokio are too coarse for a few hundred
    /// microseconds.
    fn start(stamps: &Arc<Stamps>, events: Range<u64>, started: Duration, rate: f64) -> anyhow::Result<Self> {
        if !(rate.is_finite() && rate >= 1.0) {
            bail!("{rate} events per second cannot be sent");
        }
        let due = Self {
            permits: Arc::new(Semaphore::new(0)),
            first: events.start,
            started,
            every: Duration::from_secs_f64(rate.recip()),
        };
        let (stamps, giving) = (stamps.clone(), due.clone());
        std::thread::Builder::new()
            .name("pace".to_owned())
            .spawn(move || {
                for number in events {
                    let wait = giving.of(number).saturating_sub(stamps.now());
                    if !wait.is_zero() {
                        std::thread::sleep(wait);
                    }
                    giving.permits.add_permits(1);
                }
                // Everyone may see that there is nothing more.
                giving.permits.add_permits(CONNECTIONS);
            })?;
        Ok(due)
    }

    fn of(&self, number: u64) -> Duration {
        let behind = u32::try_from(number - self.first).unwrap_or(u32::MAX);
        self.started + self.every * behind
    }
}
