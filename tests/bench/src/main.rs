//! The benchmark: a load generator and a receiver in this process, the router in its own.
//!
//! Each workload sends a fixed number of events over a fixed number of connections, waits until the
//! receiver has counted every delivery, and prints rates and what one delivery cost the router in CPU
//! time. Rates are the machine's, CPU time and the ratio to the bare forwarder are the software's:
//! compare those. Event ids are left to the router unless a workload says otherwise.

#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures time, and its forwarder is to be the simplest"
)]

mod forwarder;
mod generator;
mod receiver;
mod report;
mod router;
mod workload;

use anyhow::{Context, bail};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().map(String::as_str) == Some("forwarder") {
        let to = args.get(1).context("usage: hookway-bench forwarder HOST:PORT")?;
        return forwarder::run(to).await;
    }
    let json = args.iter().any(|arg| arg == "--json");
    args.retain(|arg| arg != "--json");
    if let Some(unknown) = args.iter().find(|arg| !workload::NAMES.contains(&arg.as_str())) {
        bail!(
            "unknown workload {unknown:?}; there are {}",
            workload::NAMES.join(", ")
        );
    }
    let wanted: Vec<&str> = match args.as_slice() {
        [] => workload::NAMES.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    // The forwarder is measured in every run: the others are compared with it.
    let bare = workload::run("bare").await?;
    let mut rows = Vec::new();
    for name in wanted {
        let result = if name == "bare" {
            bare.clone()
        } else {
            workload::run(name).await?
        };
        rows.push(report::Row::new(result, &bare));
    }
    report::print(&rows, json);
    Ok(())
}
