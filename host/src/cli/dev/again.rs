//! The last event once more: what the version that serves now makes of it, beside what the one before
//! made. Nothing is sent.
//!
//! It is a help and no promise: where there is no event, or history does not have it any more, nothing is
//! said.

use http::Method;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::client::{Answer, Body, Client};
use crate::cli::output::{Output, Tone, cell};
use crate::cli::plugin::sample::Sample;
use crate::cli::plugin::{difference, golden, run};
use crate::clock::Clock;

/// Two versions of a plugin.
pub(super) struct Versions<'a> {
    /// The name that subscriptions use.
    pub(super) name: &'a str,
    /// The digest of the version before.
    pub(super) old: &'a str,
    /// The digest of the version that serves now.
    pub(super) new: &'a str,
}

/// The last event of a subscription, and how it configures the plugin.
struct Last {
    event: String,
    sample: Sample,
    config: String,
}

/// Shows it, if there is something to show. Only an output that nobody reads is a failure.
pub(super) async fn show(
    versions: &Versions<'_>,
    subscription: &str,
    client: &Client,
    output: &Output,
) -> Result<(), Failure> {
    let Ok(Some(last)) = last(versions.name, subscription, client).await else {
        return Ok(());
    };
    let (Ok(old), Ok(new)) = (
        trial(versions.name, versions.old, &last, client).await,
        trial(versions.name, versions.new, &last, client).await,
    ) else {
        return Ok(());
    };
    let event = output.tone(Tone::Faint, &last.event);
    let (before, now) = (golden::golden(&old), golden::golden(&new));
    let measures = run::measures(output, &new);
    if before == now {
        return output.line(&format!("  {event}  {measures}  the same as before"));
    }
    output.line(&format!("  {event}  {measures}"))?;
    let lines = difference::lines(output, &golden::text(&before), &golden::text(&now));
    output.lines(&lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>())
}

async fn last(name: &str, subscription: &str, client: &Client) -> Result<Option<Last>, Failure> {
    let path = ["subscriptions", subscription];
    let whole = client.get(&path, &[]).await?;
    // A later step sees what the one before made of the event; that is not in history.
    let first = &whole["plugins"][0];
    if first["name"] != name {
        return Ok(None);
    }
    let path = ["subscriptions", subscription, "deliveries"];
    let page = client.get(&path, &[("limit", "1".to_owned())]).await?;
    let Some(event) = page["data"][0]["event_id"].as_str() else {
        return Ok(None);
    };
    let stored = client.get(&["events", event], &[]).await?;
    Ok(Some(Last {
        event: cell(&page["data"][0]["event_id"]),
        sample: Sample::of_history(event, stored.text())?.arrive(Clock::system().now())?,
        config: first["config"].to_string(),
    }))
}

async fn trial(name: &str, digest: &str, last: &Last, client: &Client) -> Result<Value, Failure> {
    let body = last.sample.body(&last.config, Some(digest));
    let path = ["plugins", name, "run"];
    let answer: Answer = client.call(Method::POST, &path, &[], Body::Json(body)).await?;
    Ok((*answer).clone())
}
