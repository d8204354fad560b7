//! `hookway health`: the health check of containers, units and scripts.
//!
//! The exit code is the answer. With `--wait` it asks until the router is well, for whoever has just started
//! one.

use std::time::Duration;

use serde_json::json;

use super::client::Client;
use super::output::Tone;
use super::{Context, Failure};

/// Longest wait. Docker's own limit for a health check is 30 s; a healthy router needs a millisecond.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two questions of `--wait`.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest `--wait`: an hour, the longest start of which anybody should be patient.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Flags of `health`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway health
  hookway health --ready --wait 30s
  hookway health --ready --server https://hookway.example.com
  HEALTHCHECK CMD [\"hookway\", \"health\", \"--ready\"]

Exit codes: 0 well, 1 not well, 3 nobody answers.")]
pub(super) struct Args {
    /// Ask whether it can take events (/readyz), not only whether it runs (/healthz)
    #[arg(long)]
    ready: bool,
    /// Ask until it is well, for at most this long, such as 30s
    #[arg(long, value_name = "TIME", value_parser = super::span::span)]
    wait: Option<Duration>,
}

/// Asks the router. Needs no key.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let base = context.base()?;
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let url = base.origin().ascii_serialization();
    let client = Client::new(base, None, None)?;
    let asked = ask(&client, path);
    match args.wait {
        None => asked.await?,
        Some(wait) => {
            let mut last = None;
            let well = async {
                while let Err(failure) = ask(&client, path).await {
                    last = Some(failure);
                    tokio::time::sleep(AGAIN).await;
                }
            };
            // What it said last says why; before it said anything there was nobody.
            if tokio::time::timeout(wait.min(WAIT_MAX), well).await.is_err() {
                return Err(last.unwrap_or_else(|| Failure::other(format!("{url} does not answer"))));
            }
        }
    }
    let output = &context.output;
    if output.json {
        return output.json(&json!({ "ok": true, "url": url, "path": path }));
    }
    output.line(&format!("{}  {url}{path}", output.tone(Tone::Good, "ok")))
}

async fn ask(client: &Client, path: &str) -> Result<(), Failure> {
    client.get_plain(path, TIMEOUT).await.map(drop)
}
