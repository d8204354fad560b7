//! `hookway doctor`: whether everything is well, and what to do where it is not.
//!
//! A router that serves looks at itself, and this shows what it says; the database is never opened beside it.
//! A data directory that no router serves is looked at under its lock, also where a router of another directory
//! serves on this machine: what it says of itself would be taken for an answer about this one.

use serde_json::{Value, json};

use super::client::Client;
use super::output::{Output, Tone, clean};
use super::{Context, Failure};
use crate::checkup::stride::{Area, Place, Recount, Stride};
use crate::checkup::{Check, Checkup, Outcome, Seen};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::stopped::{Patient, sleeps};

/// Longest wait for the router to say that it is there.
const THERE: std::time::Duration = std::time::Duration::from_secs(5);
/// After so many strides progress is told.
const TOLD_EVERY: u64 = 50;

/// Flags of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway doctor
  hookway doctor --full
  hookway doctor --dns
  hookway doctor --json | jq '.checks[] | select(.outcome == \"fail\")'
  hookway doctor --data-dir /var/lib/hookway      # also where no router runs

Exit codes: 0 nothing failed (there may be warnings), 1 something failed, 2 the call was wrong, 3 nobody \
                  answers at --server.")]
pub(super) struct Args {
    /// Read everything that is stored: whole structure, ledger, counters against rows, bytes against hashes
    #[arg(long)]
    full: bool,
    /// Look the names of endpoints up: the one check that speaks to other machines
    #[arg(long)]
    dns: bool,
}

/// Looks, and shows what was found.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut found = look(&args, context).await?;
    if found.version != env!("CARGO_PKG_VERSION") {
        found.checks.push(Check::warn(
            "version",
            format!(
                "the router is {}, this program is {}",
                found.version,
                env!("CARGO_PKG_VERSION")
            ),
            "use the program of the version that serves; restart the router after an upgrade",
        ));
    }
    show(&found, &context.output)?;
    match found.count(Outcome::Fail) {
        0 => Ok(()),
        1 => Err(Failure::other("1 check failed")),
        failed => Err(Failure::other(format!("{failed} checks failed"))),
    }
}

/// Lets the router look, or looks at the data directory.
async fn look(args: &Args, context: &Context) -> Result<Checkup, Failure> {
    let named = context.named().is_some();
    let config = context.load(Vec::new())?.config;
    if !named && sleeps(&config.data_dir) {
        let why = format!("no router serves {}", config.data_dir.display());
        return stopped(args, context, config, &why).await;
    }
    let there = Client::new(context.base()?, None, None)?
        .get_plain("/healthz", THERE)
        .await;
    match there {
        Err(Failure::Unreachable { .. }) if !named => {
            let why = format!("nobody answers on {}", config.server.listen);
            stopped(args, context, config, &why).await
        }
        Err(failure @ Failure::Unreachable { .. }) => Err(failure),
        // Whatever else it says, somebody is there.
        _ => serving(args, context).await,
    }
}

/// The router looks at itself.
async fn serving(args: &Args, context: &Context) -> Result<Checkup, Failure> {
    let client = context.client()?;
    let query = [("dns", args.dns.to_string())];
    let answer = client.get(&["doctor"], &query).await?;
    let mut found: Checkup = read(&answer)?;
    if args.full {
        let mut progress = Progress::default();
        let mut next = Some(Place::first());
        while let Some(place) = next {
            let query = [("cursor", place.to_string())];
            let answer = client.get(&["doctor", "recount"], &query).await?;
            next = progress.take(read(&answer)?, &context.output);
        }
        progress.replace(&mut found);
    }
    Ok(found)
}

fn read<T: serde::de::DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    serde_json::from_value(answer.clone()).map_err(|error| {
        Failure::because(
            "what the router says is not understood; is it of another version?",
            error,
        )
    })
}

/// Nobody serves: the data directory itself.
async fn stopped(args: &Args, context: &Context, config: Config, why: &str) -> Result<Checkup, Failure> {
    let (full, output) = (args.full, context.output);
    output.note(&format!("{why}; looking at {} itself", config.data_dir.display()));
    let look = move || {
        let patient = Patient::lock(config);
        let mut found = patient.checkup(Clock::system().now());
        let mut progress = Progress::default();
        let mut next = full.then(Place::first);
        while let Some(stride) = next.take().and_then(|place| patient.recount(&place)) {
            let stride = stride.map_err(|error| Failure::because("the database cannot be read", error))?;
            next = progress.take(stride, &output);
        }
        if progress.strides > 0 {
            progress.replace(&mut found);
        }
        Ok(found)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.map_err(|error| Failure::because("the look was cut off", error))?
}

/// How far the long look is.
#[derive(Default)]
struct Progress {
    recount: Recount,
    strides: u64,
}

impl Progress {
    /// Adds a stride and gives where the next begins.
    fn take(&mut self, stride: Stride, output: &Output) -> Option<Place> {
        self.recount.add(&stride);
        self.strides += 1;
        if self.strides.is_multiple_of(TOLD_EVERY) {
            let area = stride.area;
            output.note(&format!(
                "{}: {} so far",
                area.name(),
                self.recount.looked_at(area)
            ));
        }
        stride.next
    }

    /// Puts what the long look found in the place of what a short one could say.
    fn replace(&self, found: &mut Checkup) {
        let is_area = |check: &Check| Area::ALL.iter().any(|area| area.name() == check.name);
        found.checks.retain(|check| !is_area(check));
        found.checks.extend(self.recount.checks());
    }
}

fn show(found: &Checkup, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(&json!({
            "seen": found.seen,
            "version": found.version,
            "data_dir": found.data_dir,
            "failed": found.count(Outcome::Fail),
            "warned": found.count(Outcome::Warn),
            "checks": found.checks,
        }));
    }
    let width = found.checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or(0);
    for check in &found.checks {
        let (word, tone) = match check.outcome {
            Outcome::Ok => ("ok  ", Tone::Good),
            Outcome::Skipped => ("-   ", Tone::Faint),
            Outcome::Warn => ("warn", Tone::Odd),
            Outcome::Fail => ("FAIL", Tone::Bad),
        };
        let word = output.tone(tone, word);
        output.line(&format!("{word}  {:width$}  {}", check.name, clean(&check.what)))?;
        if let Some(todo) = &check.todo {
            output.line(&format!("      {:width$}  → {}", "", clean(todo)))?;
        }
    }
    let seen = match found.seen {
        Seen::Serving => "a router that serves",
        Seen::Stopped => "no router serves",
    };
    output.line(&output.tone(
        Tone::Faint,
        &format!(
            "hookway {}, {} ({seen}): {} ok, {} to look at, {} failed",
            found.version,
            clean(&found.data_dir),
            found.count(Outcome::Ok),
            found.count(Outcome::Warn),
            found.count(Outcome::Fail)
        ),
    ))
}
