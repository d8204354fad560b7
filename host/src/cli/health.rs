//! `hookway health`: the health check of containers and scripts.

use std::time::Duration;

use serde_json::json;

use super::client::{self, Client};
use super::output::Tone;
use super::{Context, Failure};

/// Longest wait. Docker's own limit for a health check is 30 s; a healthy router needs a millisecond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Flags of `health`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookway health
  hookway health --ready --server https://hookway.example.com
  HEALTHCHECK CMD [\"hookway\", \"health\"]

Exit codes: 0 well, 1 not well, 3 nobody answers.")]
pub(super) struct Args {
    /// Ask whether it can take events (/readyz), not only whether it runs (/healthz)
    #[arg(long)]
    ready: bool,
}

/// Asks the router. Needs no key.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let base = match context
        .global
        .server
        .as_ref()
        .or(context.environment.url.as_ref())
    {
        Some(url) => client::base_from(url)?,
        None => client::base_of(context.load(Vec::new())?.config.server.listen),
    };
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let url = base.origin().ascii_serialization();
    Client::new(base, None, None)?.get_plain(path, TIMEOUT).await?;
    let output = &context.output;
    if output.json {
        return output.json(&json!({ "ok": true, "url": url, "path": path }));
    }
    output.line(&format!("{}  {url}{path}", output.tone(Tone::Good, "ok")))
}
