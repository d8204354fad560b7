//! How the workloads are driven. What one of them needs of another comes in as its figures.

mod retries;
mod soak;

use std::time::Duration;

use anyhow::Context;

use crate::arguments::Arguments;
use crate::figures::{Figures, count};
use crate::generator::{self, CONNECTIONS, Pace};
use crate::phase::{self, Phase};
use crate::stage::Stage;
use crate::workload::{Drive, Workload};

pub(crate) use soak::Flatness;

/// Events before the measurement begins: connections open, code and caches warm.
const WARM_UP: u64 = 4_000;
/// Seconds of the open loop that follows on a closed one for latencies.
const LATENCY_SECONDS: u64 = 10;
/// Longest time to fill a database.
const FILL_MAX: Duration = Duration::from_secs(900);

/// What a workload came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// The columns.
    pub figures: Figures,
    /// Of a soak.
    pub flatness: Option<Flatness>,
}

/// What is known of the run so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// The rate of the bare forwarder.
    pub bare: Option<f64>,
    /// The figures of the workload that this one is compared with.
    pub against: Option<&'a Figures>,
}

impl Known<'_> {
    /// Half the rate of the workload that this one is compared with.
    fn half_rate(self) -> anyhow::Result<f64> {
        let rate = self.against.and_then(Figures::rate);
        Ok(rate.context("nothing was measured that this could be half of")? / 2.0)
    }
}

/// Drives a workload.
pub(crate) async fn run(
    workload: Workload,
    known: Known<'_>,
    arguments: &Arguments,
) -> anyhow::Result<Outcome> {
    let events = arguments.scaled(workload.events);
    let figures = match workload.drive {
        Drive::Bare | Drive::Inbound => closed(workload, events, CONNECTIONS, known).await?,
        Drive::Closed { connections } => closed(workload, events, connections, known).await?,
        Drive::Filled { events: before } => filled(workload, arguments.scaled(before), events, known).await?,
        Drive::Half { seconds } => half(workload, arguments.scaled(seconds), known).await?,
        Drive::Endpoints { .. } => endpoints(workload, events, known).await?,
        Drive::Retries { others } => retries::run(workload, events, arguments.scaled(others), known).await?,
        Drive::Soak => return soak::run(workload, arguments.minutes, known).await,
    };
    Ok(Outcome {
        figures,
        flatness: None,
    })
}

/// As fast as it goes.
async fn closed(
    workload: Workload,
    events: u64,
    connections: usize,
    known: Known<'_>,
) -> anyhow::Result<Figures> {
    let stage = Stage::set(workload, WARM_UP + events, &[]).await?;
    let pace = Pace::Closed { connections };
    let measured = after_warm_up(&stage, events, pace).await?;
    Ok(Figures::of(measured, known.bare))
}

/// As fast as it goes, in a large database.
async fn filled(workload: Workload, before: u64, events: u64, known: Known<'_>) -> anyhow::Result<Figures> {
    // Numbers above those of the measured events; nobody is subscribed to this type.
    let stage = Stage::set(workload, WARM_UP + events, &[]).await?;
    let first = WARM_UP + events;
    let filler = stage.producer.of_type("prefill");
    generator::fill(&filler, first..first + before, FILL_MAX).await?;
    let pace = Pace::Closed {
        connections: CONNECTIONS,
    };
    let measured = after_warm_up(&stage, events, pace).await?;
    Ok(Figures::of(measured, known.bare))
}

/// At half the rate that was measured before.
async fn half(workload: Workload, seconds: u64, known: Known<'_>) -> anyhow::Result<Figures> {
    let rate = known.half_rate()?;
    let events = in_seconds(rate, seconds);
    let stage = Stage::set(workload, WARM_UP + events, &[]).await?;
    let measured = after_warm_up(&stage, events, Pace::Open { rate }).await?;
    Ok(Figures::of(measured, known.bare))
}

/// Many endpoints: the rate as fast as it goes, the latencies at half of what goes without a dead one.
async fn endpoints(workload: Workload, events: u64, known: Known<'_>) -> anyhow::Result<Figures> {
    let later = in_seconds(known.bare.unwrap_or_default(), LATENCY_SECONDS);
    let stage = Stage::set(workload, WARM_UP + events + later, &[]).await?;
    let pace = Pace::Closed {
        connections: CONNECTIONS,
    };
    let measured = after_warm_up(&stage, events, pace).await?;
    let mut figures = Figures::of(measured, known.bare);
    let rate = known.against.unwrap_or(&figures).rate().unwrap_or_default() / 2.0;
    let first = WARM_UP + events;
    let numbers = first..first + in_seconds(rate, LATENCY_SECONDS).min(later);
    let mut latencies = phase::run(&stage, numbers, Pace::Open { rate }).await?;
    figures.set_latencies(&mut latencies);
    Ok(figures)
}

/// The warm-up, as fast as it goes, and the events after it.
async fn after_warm_up(stage: &Stage, events: u64, pace: Pace) -> anyhow::Result<Phase> {
    let warm = Pace::Closed {
        connections: CONNECTIONS,
    };
    phase::run(stage, 0..WARM_UP, warm).await?;
    phase::run(stage, WARM_UP..WARM_UP + events, pace).await
}

/// How many events a rate gives in so many seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive and small; rounded down on purpose"
)]
fn in_seconds(rate: f64, seconds: u64) -> u64 {
    ((rate * count(seconds)) as u64).max(1)
}
