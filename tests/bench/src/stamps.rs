//! When each event was sent and acknowledged and each delivery arrived: one process, one clock.
//!
//! Everything is allocated beforehand, so that taking a time costs the measured machine next to
//! nothing. An event is known by its number; numbers count up over the phases of a workload.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Without a single arrival for so long, the rest does not come.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// All times of a workload.
pub(crate) struct Stamps {
    clock: Instant,
    begun: Box<[AtomicU64]>,
    acknowledged: Box<[AtomicU64]>,
    arrived: Mutex<Arrived>,
    changed: Notify,
}

#[derive(Default)]
struct Arrived {
    /// Number and time.
    all: Vec<(u64, u64)>,
    /// At so many somebody wants to know.
    awaited: usize,
}

impl Stamps {
    /// Room for so many events and deliveries.
    pub(crate) fn new(events: u64, deliveries: u64) -> anyhow::Result<Self> {
        let times = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Ok(Self {
            clock: Instant::now(),
            begun: times(),
            acknowledged: times(),
            arrived: Mutex::new(Arrived {
                all: Vec::with_capacity(usize::try_from(deliveries)?),
                awaited: usize::MAX,
            }),
            changed: Notify::new(),
        })
    }

    /// Now, since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// An event was, or should have been, sent at this time.
    pub(crate) fn begun(&self, number: u64, at: Duration) {
        set(&self.begun, number, at);
    }

    /// The answer to an event was read.
    pub(crate) fn acknowledged(&self, number: u64) {
        set(&self.acknowledged, number, self.now());
    }

    /// A delivery arrived.
    pub(crate) fn arrived(&self, number: u64) {
        let at = nanos(self.now());
        let mut arrived = self.lock();
        arrived.all.push((number, at));
        if arrived.all.len() >= arrived.awaited {
            arrived.awaited = usize::MAX;
            self.changed.notify_one();
        }
    }

    /// How many have arrived.
    pub(crate) fn arrivals(&self) -> u64 {
        self.lock().all.len() as u64
    }

    /// Waits until so many deliveries have arrived since the beginning. When the last of them did.
    pub(crate) async fn wait_for(&self, count: u64) -> anyhow::Result<Duration> {
        let count = usize::try_from(count)?;
        let mut before = 0;
        loop {
            let seen = {
                let mut arrived = self.lock();
                let last = count.checked_sub(1).map(|last| arrived.all.get(last));
                match last {
                    None => return Ok(self.now()),
                    Some(Some((_, at))) => return Ok(Duration::from_nanos(*at)),
                    Some(None) => arrived.awaited = count,
                }
                arrived.all.len()
            };
            let woken = tokio::time::timeout(SILENCE_MAX, self.changed.notified()).await;
            if woken.is_err() && seen == before {
                anyhow::bail!("only {seen} of {count} deliveries arrived, and no more for a minute");
            }
            before = seen;
        }
    }

    /// From sending to acknowledgement, of these events.
    pub(crate) fn acknowledgements(&self, events: Range<u64>) -> Vec<Duration> {
        let took = |number| Some(get(&self.acknowledged, number)?.saturating_sub(get(&self.begun, number)?));
        events.filter_map(took).collect()
    }

    /// From acknowledgement to arrival, of every delivery of these events. What arrived before its
    /// acknowledgement was read took no time.
    pub(crate) fn deliveries(&self, events: Range<u64>) -> Vec<Duration> {
        let arrived = self.lock();
        let of_these = arrived.all.iter().filter(|(number, _)| events.contains(number));
        let took = |(number, at): &(u64, u64)| {
            Some(Duration::from_nanos(*at).saturating_sub(get(&self.acknowledged, *number)?))
        };
        of_these.filter_map(took).collect()
    }

    /// Events that did not arrive exactly so often.
    pub(crate) fn miscounted(&self, events: Range<u64>, each: u64) -> u64 {
        let length = usize::try_from(events.end - events.start).unwrap_or(0);
        let mut counts = vec![0_u64; length];
        for (number, _) in &self.lock().all {
            let place = number
                .checked_sub(events.start)
                .and_then(|at| usize::try_from(at).ok());
            if let Some(count) = place.and_then(|at| counts.get_mut(at)) {
                *count += 1;
            }
        }
        counts.iter().filter(|count| **count != each).count() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().expect("no panic holds it")
    }
}

fn set(times: &[AtomicU64], number: u64, at: Duration) {
    if let Some(time) = usize::try_from(number).ok().and_then(|at| times.get(at)) {
        time.store(nanos(at), Ordering::Relaxed);
    }
}

fn get(times: &[AtomicU64], number: u64) -> Option<Duration> {
    let time = times.get(usize::try_from(number).ok()?)?;
    Some(Duration::from_nanos(time.load(Ordering::Relaxed)))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
