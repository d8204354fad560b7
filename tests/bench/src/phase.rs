//! One stretch of load on one process, and everything that was measured meanwhile.

use std::ops::Range;
use std::time::Duration;

use crate::generator::{self, Pace};
use crate::stage::Stage;
use crate::usage::Usage;

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// Sent and acknowledged.
    pub events: u64,
    /// Counted at the receiver.
    pub deliveries: u64,
    /// From the first request to the last acknowledgement.
    pub sending: Duration,
    /// From the first request to the last arrival.
    pub until_delivered: Duration,
    /// From sending, in an open loop from when it was due, to acknowledgement.
    pub acknowledged: Vec<Duration>,
    /// From acknowledgement to arrival.
    pub delivered: Vec<Duration>,
    /// By the process alone.
    pub used: Usage,
    /// Transactions of the store, where they are counted.
    pub commits: Option<f64>,
}

/// Sends the events of these numbers and waits until everything that follows has arrived.
pub(crate) async fn run(stage: &Stage, numbers: Range<u64>, pace: Pace) -> anyhow::Result<Phase> {
    let (stamps, deliveries) = (&stage.stamps, stage.deliveries_of(&numbers));
    let awaited = stamps.arrivals() + deliveries;
    let commits = stage.commits().await?;
    let used = stage.process.usage()?;
    let started = stamps.now();
    let sending = generator::send(&stage.producer, stamps, numbers.clone(), pace).await?;
    let last = stamps.wait_for(awaited).await?;
    let used = stage.process.usage()?.since(used);
    let commits = commits
        .zip(stage.commits().await?)
        .map(|(before, after)| after - before);
    stage.warn_of_miscounts(&numbers);
    Ok(Phase {
        events: numbers.end - numbers.start,
        deliveries,
        sending,
        until_delivered: last.saturating_sub(started).max(sending),
        acknowledged: stamps.acknowledgements(numbers.clone()),
        delivered: stamps.deliveries(numbers),
        used,
        commits,
    })
}
