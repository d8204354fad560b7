//! The workloads, as data.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use crate::generator::Way;
use crate::receiver::Receiver;
use crate::router::{KEY, Process};
use crate::{generator, router};

/// All there are, in the order in which they run.
pub(crate) const NAMES: &[&str] = &[
    "bare",
    "ingest",
    "deliver",
    "inbound",
    "transform",
    "isolated",
    "fanout",
];

/// With which the webhooks are signed.
const SECRET: &str = "the secret of the benchmark";
/// Connections of the generator.
const CONNECTIONS: usize = 64;
/// Events before the measurement begins.
const WARM_UP: u64 = 2_000;

/// What a workload measured.
#[derive(Clone, Debug)]
pub(crate) struct Result {
    pub workload: &'static str,
    pub events: u64,
    pub deliveries: u64,
    pub sending: Duration,
    pub until_delivered: Duration,
    pub acknowledged: Vec<Duration>,
    pub delivered: Vec<Duration>,
    pub cpu: Duration,
    pub written: u64,
    pub peak_kib: u64,
}

/// Runs one.
pub(crate) async fn run(name: &str) -> anyhow::Result<Result> {
    let clock = Instant::now();
    let receiver = Receiver::start(clock).await?;
    let url = format!("http://{}/", receiver.address);
    let slack = json!([{"name": "slack", "config": {}}]);
    let (name, events, subscriptions): (&'static str, u64, Vec<Value>) = match name {
        "bare" => ("bare", 60_000, Vec::new()),
        "ingest" => ("ingest", 100_000, Vec::new()),
        "deliver" => ("deliver", 40_000, vec![json!({})]),
        "inbound" => ("inbound", 40_000, vec![json!({"events": ["github.push"]})]),
        "transform" => ("transform", 40_000, vec![json!({"plugins": slack})]),
        "isolated" => (
            "isolated",
            15_000,
            vec![json!({"plugins": slack, "isolation": "event"})],
        ),
        "fanout" => ("fanout", 6_000, vec![json!({"plugins": slack}); 10]),
        other => anyhow::bail!("unknown workload {other}"),
    };
    let process = if name == "bare" {
        Process::forwarder(&receiver.address.to_string())?
    } else {
        Process::router().await?
    };
    for (number, more) in subscriptions.iter().enumerate() {
        subscribe(&process, number, &url, more)
            .await
            .context("no subscription")?;
    }
    let way = if name == "inbound" {
        let source = json!({"name": "github", "preset": "github", "secret": SECRET});
        process.call("POST", "/api/v1/sources", &source).await?;
        Way::Webhook("/webhooks/github", SECRET)
    } else {
        Way::Api(KEY)
    };
    let per_event = if name == "bare" {
        1
    } else {
        u64::try_from(subscriptions.len())?
    };

    generator::send(&process.address, way, WARM_UP, CONNECTIONS, clock).await?;
    receiver.wait_for(WARM_UP * per_event).await?;
    receiver.take_times();

    let before: router::Usage = process.usage()?;
    let started = Instant::now();
    let sent = generator::send(&process.address, way, events, CONNECTIONS, clock).await?;
    receiver.wait_for((WARM_UP + events) * per_event).await?;
    let until_delivered = started.elapsed();
    let after = process.usage()?;
    Ok(Result {
        workload: name,
        events,
        deliveries: events * per_event,
        sending: sent.took,
        until_delivered,
        acknowledged: sent.acknowledged,
        delivered: receiver.take_times(),
        cpu: after.cpu.saturating_sub(before.cpu),
        written: after.written.saturating_sub(before.written),
        peak_kib: after.peak_kib,
    })
}

async fn subscribe(process: &Process, number: usize, url: &str, more: &Value) -> anyhow::Result<()> {
    let mut body = json!({
        "name": format!("bench {number}"), "url": url, "events": ["alert.*"], "max_in_flight": 64,
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    process.call("POST", "/api/v1/subscriptions", &body).await?;
    Ok(())
}
