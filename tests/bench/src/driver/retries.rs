//! How fast due retries go out, beside few and beside many others that wait.
//!
//! Every row is a real retry: it was tried once and refused with 503. The others go to endpoints that
//! stay down, and are due in hours; half of them are older and half are newer than those that are
//! measured. Those are held (their subscriptions disabled) until all of them are due. What is measured
//! begins when their subscriptions are enabled, with the endpoint well again, and ends with the last
//! arrival.

use std::ops::Range;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::Known;
use crate::figures::{Column, Figures};
use crate::generator::{self, CONNECTIONS, Pace};
use crate::phase::Phase;
use crate::receiver::path;
use crate::stage::Stage;
use crate::workload::Workload;

/// Subscriptions of the others. The router sends only a few requests at once to an endpoint that
/// fails: with many endpoints the preparation takes minutes, with one it would take an hour.
const OTHERS: u64 = 100;
/// The wait of those that are measured, before they are due: longer than it takes to try each once.
const WAIT: Duration = Duration::from_secs(30);
/// The same as the API reads it.
const WAIT_TEXT: &str = "30s";
/// Of the others' type.
const OTHER_TYPE: &str = "retry.other";
/// Of the type of those that are measured.
const DUE_TYPE: &str = "retry.due";

/// Prepares and measures.
pub(super) async fn run(
    workload: Workload,
    due: u64,
    others: u64,
    known: Known<'_>,
) -> anyhow::Result<Figures> {
    let (events, half) = (due / workload.subscriptions, others / OTHERS / 2);
    let stage = Stage::set(workload, events + 2 * half, &[]).await?;
    let mut subscriptions = Vec::new();
    for number in 0..workload.subscriptions {
        let more = json!({"events": [DUE_TYPE], "max_in_flight": 64, "retry": retry(WAIT_TEXT)});
        let url = stage.receiver.url(0, path::TROUBLED);
        subscriptions.push(stage.subscribe(&format!("due {number}"), &url, more).await?);
    }
    for number in 0..OTHERS {
        let more = json!({"events": [OTHER_TYPE], "retry": retry("6h")});
        let url = stage.receiver.url(0, path::DOWN);
        stage.subscribe(&format!("other {number}"), &url, more).await?;
    }

    stage.receiver.set_down(true);
    refuse(&stage, OTHER_TYPE, 0..half, half * OTHERS).await?;
    let numbers = half..half + events;
    let refused = half * OTHERS + events * workload.subscriptions;
    let begun = stage.stamps.now();
    refuse(&stage, DUE_TYPE, numbers.clone(), refused).await?;
    all(&stage, &subscriptions, "disable").await?;
    let all_due = stage.stamps.now() + WAIT;
    if stage.stamps.now() > begun + WAIT {
        bail!("some of the retries were due before all were tried once; the machine is too slow for this");
    }
    refuse(
        &stage,
        OTHER_TYPE,
        numbers.end..numbers.end + half,
        refused + half * OTHERS,
    )
    .await?;
    stage.receiver.set_down(false);
    tokio::time::sleep(all_due.saturating_sub(stage.stamps.now())).await;

    let awaited = events * workload.subscriptions;
    let commits = stage.process.commits().await?;
    let (used, started) = (stage.process.usage()?, stage.stamps.now());
    all(&stage, &subscriptions, "enable").await?;
    let last = stage.stamps.wait_for(awaited).await?;
    let used = stage.process.usage()?.since(used);
    let commits = commits.zip(stage.process.commits().await?);
    let took = last.saturating_sub(started);
    stage.warn_of_miscounts(&numbers);
    // Nothing comes in meanwhile: what is said of an event is of a delivery, and nothing is acknowledged.
    let measured = Phase {
        events: awaited,
        deliveries: awaited,
        sending: took,
        until_delivered: took,
        acknowledged: Vec::new(),
        delivered: Vec::new(),
        used,
        commits: commits.map(|(before, after)| after - before),
    };
    let mut figures = Figures::of(measured, known.bare);
    figures.set(Column::EventsPerSecond, None);
    Ok(figures)
}

/// Sends events and waits until so many deliveries were refused in all.
async fn refuse(
    stage: &Stage,
    of_type: &'static str,
    numbers: Range<u64>,
    refused: u64,
) -> anyhow::Result<()> {
    let pace = Pace::Closed {
        connections: CONNECTIONS,
    };
    let producer = stage.producer.of_type(of_type);
    generator::send(&producer, &stage.stamps, numbers, pace).await?;
    stage.receiver.wait_refused(refused).await
}

async fn all(stage: &Stage, subscriptions: &[String], verb: &str) -> anyhow::Result<()> {
    for id in subscriptions {
        let path = format!("/api/v1/subscriptions/{id}/{verb}");
        stage.process.call("POST", &path, &json!({})).await?;
    }
    Ok(())
}

/// Waits without jitter, so that it is known when all are due.
fn retry(wait: &str) -> Value {
    json!({"waits": vec![wait; 10], "jitter": 0.0})
}
