//! Following one event to its end: until each of its deliveries is delivered, filtered, failed or held.
//!
//! The stream of what happens is opened first and the deliveries are read then, so that nothing can end
//! unseen in between; they are read again when the stream says that something ended. So it does not
//! matter whether everything had ended before the stream was there, and nothing is polled. A stream
//! that breaks is opened again.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::Failure;
use super::client::Client;
use super::output::cell;
use super::sse::Parser;

/// Pause before a stream that broke is opened again.
const PAUSE: Duration = Duration::from_millis(500);
/// Most pages of deliveries that one look reads; an event has one delivery a subscription.
const PAGES_MAX: usize = 100;
/// Deliveries of which attempts are told that were made before the stream was open.
const CAUGHT_UP_MAX: usize = 20;
/// Deliveries a page; the API gives no more at once.
const PAGE: usize = 250;

/// How an event stands after it was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// Whether nothing more happens by itself.
    pub(super) to_the_end: bool,
    /// The deliveries that were neither delivered nor filtered, each in a few words.
    pub(super) troubles: Vec<String>,
}

/// Follows an event, for at most so long. `told` gets what happens on the way, as far as it is seen.
pub(super) async fn follow(
    client: &Client,
    event: &str,
    patience: Duration,
    told: impl Fn(&Value),
) -> Result<Followed, Failure> {
    let in_time = tokio::time::timeout(patience, until_ended(client, event, told)).await;
    let to_the_end = match in_time {
        Ok(ended) => ended.map(|()| true)?,
        Err(_) => false,
    };
    let all = standings(client, event).await?;
    let bad = all
        .iter()
        .filter(|delivery| !matches!(delivery.status.as_str(), "delivered" | "filtered"));
    let troubles = bad
        .map(|delivery| format!("{} is {}", delivery.id, delivery.status))
        .collect();
    Ok(Followed { to_the_end, troubles })
}

async fn until_ended(client: &Client, event: &str, told: impl Fn(&Value)) -> Result<(), Failure> {
    let query = [("event", event.to_owned())];
    // The event was accepted before the stream was open: what was tried meanwhile is told from history.
    let mut earlier: Option<HashSet<(String, u64)>> = None;
    loop {
        match client.stream(&["tail"], &query, None).await {
            Ok(mut stream) => {
                if has_ended(client, event).await? {
                    return Ok(());
                }
                let earlier = match &mut earlier {
                    Some(earlier) => earlier,
                    None => earlier.insert(caught_up(client, event, &told).await?),
                };
                let mut parser = Parser::default();
                while let Ok(Some(chunk)) = stream.chunk().await {
                    let entries = parser
                        .push(&chunk)
                        .map_err(|error| Failure::because("cannot read the stream", error))?;
                    for entry in &entries {
                        let entry = serde_json::from_str(&entry.data).unwrap_or_default();
                        if !earlier.contains(&attempt_of(&entry)) {
                            told(&entry);
                        }
                    }
                    let something = entries
                        .iter()
                        .any(|entry| matches!(entry.name.as_str(), "ended" | "stopped" | "missed"));
                    if something && has_ended(client, event).await? {
                        return Ok(());
                    }
                }
            }
            // It accepted the event a moment ago; it may come back, or have room for us again.
            Err(Failure::Unreachable { .. }) => {}
            Err(Failure::Problem(problem)) if problem.status >= 500 => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells the attempts so far as the stream would have told them; gives which they are.
async fn caught_up(
    client: &Client,
    event: &str,
    told: &impl Fn(&Value),
) -> Result<HashSet<(String, u64)>, Failure> {
    let mut earlier = HashSet::new();
    for standing in standings(client, event).await?.into_iter().take(CAUGHT_UP_MAX) {
        let delivery = client.get(&["deliveries", &standing.id], &[]).await?;
        for attempt in delivery["attempts"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
        {
            let entry = json!({
                "activity": "attempted", "time": attempt["started_at"], "event_id": event,
                "delivery_id": standing.id, "subscription_id": delivery["subscription_id"],
                "number": attempt["number"], "status_code": attempt["status_code"],
                "error": attempt["error"], "duration_ms": attempt["duration_ms"], "outcome": "pending",
            });
            earlier.insert(attempt_of(&entry));
            told(&entry);
        }
    }
    Ok(earlier)
}

/// Which attempt an entry is about.
fn attempt_of(entry: &Value) -> (String, u64) {
    let number = entry["number"]
        .as_u64()
        .filter(|_| entry["activity"] == "attempted");
    (cell(&entry["delivery_id"]), number.unwrap_or_default())
}

/// A delivery and where it stands.
struct Standing {
    id: String,
    status: String,
}

/// Whether no delivery of an event goes on by itself.
async fn has_ended(client: &Client, event: &str) -> Result<bool, Failure> {
    let all = standings(client, event).await?;
    Ok(all.iter().all(|delivery| delivery.status != "pending"))
}

async fn standings(client: &Client, event: &str) -> Result<Vec<Standing>, Failure> {
    let mut query = vec![("event", event.to_owned()), ("limit", PAGE.to_string())];
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = client.get(&["deliveries"], &query).await?;
        let deliveries = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.extend(deliveries.iter().map(|delivery| Standing {
            id: cell(&delivery["id"]),
            status: cell(&delivery["status"]),
        }));
        let Some(cursor) = page["next"].as_str() else {
            return Ok(all);
        };
        query.truncate(2);
        query.push(("cursor", cursor.to_owned()));
    }
    Err(Failure::other("the event has too many deliveries to be followed"))
}
