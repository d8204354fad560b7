//! The benchmark: a load generator and a receiver in this process, the router in its own.
//!
//! ```text
//! arguments ──► plan (workload) ──► driver: stage + phases ──► figures ──► report
//!                                     │       └ generator ─► router ─► receiver, all noted in stamps
//!                                     └ stage: router or forwarder as a child, its subscriptions
//! ```
//!
//! Each workload sends a fixed number of events, waits until the receiver has counted every delivery,
//! and prints rates and what one delivery cost the router in CPU time. Rates are the machine's, CPU time
//! and the ratio to the bare forwarder are the software's: compare those. Every event carries a random
//! id of its producer, so the router keeps de-duplication keys in all workloads.

#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures time, and its forwarder is to be the simplest"
)]

mod arguments;
mod connection;
mod driver;
mod figures;
mod forwarder;
mod generator;
mod machine;
mod phase;
mod producer;
mod receiver;
mod report;
mod router;
mod stage;
mod stamps;
mod usage;
mod workload;

use std::collections::HashMap;

use anyhow::{Context, bail};

use crate::arguments::Arguments;
use crate::driver::{Known, Outcome};
use crate::figures::Figures;
use crate::report::Row;
use crate::workload::{BARE, Workload};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match given.first().map(String::as_str) {
        // The forwarder is this program, started by itself.
        Some("forwarder") => {
            let to = given.get(1).context("usage: hookway-bench forwarder HOST:PORT")?;
            return forwarder::run(to).await;
        }
        Some("help" | "--help" | "-h") => {
            println!("{}", arguments::HELP);
            return Ok(());
        }
        _ => {}
    }
    let arguments = Arguments::read(given)?;
    machine::describe()?;
    let plan = workload::plan(&arguments.asked);
    let rows = tokio::select! {
        rows = measure(&plan, &arguments) => rows?,
        signal = stopped() => bail!("stopped by {}; the router under test has ended, too", signal?),
    };
    if arguments.json {
        report::print_json(&rows);
    } else {
        report::print_table(&rows);
    }
    Ok(())
}

/// Runs what is planned, so often as was asked for, and takes the median.
async fn measure(plan: &[Workload], arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let mut outcomes: HashMap<&'static str, Vec<Outcome>> = HashMap::new();
    // Whole runs one after another, so that each workload is compared with what was measured beside it.
    for number in 1..=arguments.runs {
        let mut run: HashMap<&'static str, Outcome> = HashMap::new();
        for workload in plan {
            say(&format!("run {number} of {}: {}", arguments.runs, workload.name));
            let figures = |name: &str| run.get(name).map(|outcome| &outcome.figures);
            let known = Known {
                bare: figures(BARE).and_then(Figures::rate),
                against: workload.against.and_then(figures),
            };
            let outcome = driver::run(*workload, known, arguments).await;
            let outcome = outcome.with_context(|| format!("the workload {}", workload.name))?;
            run.insert(workload.name, outcome);
        }
        for (name, outcome) in run {
            outcomes.entry(name).or_default().push(outcome);
        }
    }
    Ok(plan.iter().map(|workload| row(*workload, &outcomes)).collect())
}

/// Waits for the signals that end a program: the child must not outlive it.
async fn stopped() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

/// The median of all runs; how flat a soak was is told of the last one.
fn row(workload: Workload, outcomes: &HashMap<&'static str, Vec<Outcome>>) -> Row {
    let of_it = outcomes.get(workload.name).map_or(&[][..], Vec::as_slice);
    let figures: Vec<Figures> = of_it.iter().map(|outcome| outcome.figures.clone()).collect();
    let outcome = Outcome {
        figures: Figures::median(&figures),
        flatness: of_it.last().and_then(|outcome| outcome.flatness.clone()),
    };
    Row { workload, outcome }
}

#[expect(clippy::print_stderr, reason = "standard output belongs to the figures")]
fn say(text: &str) {
    eprintln!("{text}");
}
