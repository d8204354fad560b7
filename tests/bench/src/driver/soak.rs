//! Half load for a long time: whether memory, descriptors and threads stay as they are.

use std::time::Duration;

use super::{Known, Outcome, WARM_UP, in_seconds};
use crate::figures::{Figures, count};
use crate::generator::{CONNECTIONS, Pace};
use crate::phase;
use crate::router::Process;
use crate::stage::Stage;
use crate::usage::Holding;
use crate::workload::Workload;

/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(10);
/// What happens in the first minutes is no growth: caches fill, the first segments are sealed.
const SETTLING: Duration = Duration::from_secs(180);
/// Of which at most this part of a short soak.
const SETTLING_PART: u32 = 4;
/// History is dropped during the soak, and ids are forgotten, as in a router that has run for weeks: what is
/// remembered of an id takes a byte of memory, so within a longer window memory grows with what came.
const SETTINGS: [(&str, &str); 2] = [
    ("HOOKWAY_STORE__RETENTION_BYTES", "1 GiB"),
    ("HOOKWAY_INGEST__IDEMPOTENCY_WINDOW", "1min"),
];

/// What the process held, after it had settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flatness {
    /// Seconds between the first and the last sample.
    pub seconds: f64,
    /// Growth of resident memory, by the line of least squares through all samples.
    pub mib_per_ten_minutes: f64,
    /// Resident memory at the first and at the last sample, in MiB.
    pub resident_mib: (f64, f64),
    /// Fewest and most descriptors.
    pub descriptors: (u64, u64),
    /// Fewest and most threads.
    pub threads: (u64, u64),
}

/// Drives it.
pub(super) async fn run(workload: Workload, minutes: u64, known: Known<'_>) -> anyhow::Result<Outcome> {
    let rate = known.half_rate()?;
    let whole = Duration::from_secs(minutes * 60);
    let events = in_seconds(rate, whole.as_secs());
    let stage = Stage::set(workload, WARM_UP + events, &SETTINGS).await?;
    let warm = Pace::Closed {
        connections: CONNECTIONS,
    };
    phase::run(&stage, 0..WARM_UP, warm).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let load = async {
        let measured = phase::run(&stage, WARM_UP..WARM_UP + events, Pace::Open { rate }).await;
        // Nobody listens only where sampling has failed, which says why by itself.
        let _gone = stop.send(());
        measured
    };
    let settling = SETTLING.min(whole / SETTLING_PART);
    let (measured, samples) = tokio::try_join!(load, sample(&stage.process, settling, stopped))?;
    Ok(Outcome {
        figures: Figures::of(measured, known.bare),
        flatness: Some(Flatness::of(&samples)),
    })
}

/// Time since the start, and what the process held.
async fn sample(
    process: &Process,
    settling: Duration,
    mut stopped: tokio::sync::oneshot::Receiver<()>,
) -> anyhow::Result<Vec<(f64, Holding)>> {
    let started = std::time::Instant::now();
    let mut samples = Vec::new();
    let mut wait = settling;
    while tokio::time::timeout(wait, &mut stopped).await.is_err() {
        samples.push((started.elapsed().as_secs_f64(), process.holding()?));
        wait = SAMPLE;
    }
    Ok(samples)
}

impl Flatness {
    fn of(samples: &[(f64, Holding)]) -> Self {
        let mib = |holding: &Holding| count(holding.resident_kib) / 1_024.0;
        let points: Vec<(f64, f64)> = samples.iter().map(|(at, holding)| (*at, mib(holding))).collect();
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Self::default();
        };
        let range = |of: fn(&Holding) -> u64| {
            let values = samples.iter().map(|(_, holding)| of(holding));
            (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
        };
        Self {
            seconds: last.0 - first.0,
            mib_per_ten_minutes: slope(&points) * 600.0,
            resident_mib: (first.1, last.1),
            descriptors: range(|holding| holding.descriptors),
            threads: range(|holding| holding.threads),
        }
    }
}

/// Of the line of least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let number = count(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_line_through_all_samples() {
        let sample = |at: f64, mib: u64| {
            let holding = Holding {
                resident_kib: mib * 1_024,
                descriptors: 10 + mib,
                threads: 7,
            };
            (at, holding)
        };
        let flat = Flatness::of(&[sample(0.0, 50), sample(300.0, 51), sample(600.0, 52)]);
        assert!((flat.mib_per_ten_minutes - 2.0).abs() < 1e-9);
        assert_eq!((flat.descriptors, flat.threads), ((60, 62), (7, 7)));
        assert!(Flatness::of(&[]).mib_per_ten_minutes.abs() < 1e-9);
    }
}
