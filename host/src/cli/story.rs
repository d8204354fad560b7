//! The whole story of one event, from the API's documents: accepted when and from where, which
//! subscriptions match and why not the others, and of each delivery its plugin runs, requests and
//! attempts, where it stands and what comes next.
//!
//! `events show`, `deliveries show` and `send --wait` tell it with the same words. The lines are made
//! of documents and a time, so that they can be held against a golden text. What is read is bounded:
//! [`DELIVERIES_MAX`] deliveries are told whole, further ones are counted.

mod curl;
mod delivery;
mod pieces;
mod when;

use std::borrow::Cow;
use std::collections::HashMap;

use data_encoding::BASE64;
use serde_json::Value;

use super::Failure;
use super::client::{Answer, Client};
use super::output::{Output, Tone, cell};
pub(super) use curl::{Repeat, repeats};
pub(super) use delivery::{Telling, delivery_lines};
use pieces::list;
pub(super) use pieces::{Depth, INDENT, attempt_line, body_lines, cut_lines, pretty, run_line, run_text};
use when::absolute_and_relative;
pub(super) use when::relative;

/// Deliveries that are told whole. Each is a call of its own.
const DELIVERIES_MAX: usize = 20;

/// The documents about one event.
pub(super) struct Story {
    event: Answer,
    matches: Answer,
    deliveries: Vec<Answer>,
    /// Whether there are more deliveries than are told.
    more: bool,
}

impl Story {
    /// Reads everything about an event.
    pub(super) async fn of(client: &Client, id: &str) -> Result<Self, Failure> {
        let event = client.get(&["events", id], &[]).await?;
        let matches = client.get(&["events", id, "matches"], &[]).await?;
        let query = [("event", id.to_owned()), ("limit", DELIVERIES_MAX.to_string())];
        let page = client.get(&["deliveries"], &query).await?;
        let mut deliveries = Vec::new();
        // Oldest first, in the order in which they were made.
        for delivery in list(&page, "data").iter().rev() {
            deliveries.push(client.get(&["deliveries", &cell(&delivery["id"])], &[]).await?);
        }
        Ok(Self {
            event,
            matches,
            deliveries,
            more: page["next"].is_string(),
        })
    }

    /// The documents in one: the event, with `matches` and `deliveries`, each as it came.
    pub(super) fn document(&self) -> String {
        let event = self.event.text().trim_end();
        let event = event.strip_suffix('}').unwrap_or(event);
        let matches = self.matches.member("data").unwrap_or("[]");
        let deliveries: Vec<&str> = self.deliveries.iter().map(Answer::text).collect();
        let (deliveries, more) = (deliveries.join(","), self.more);
        format!(r#"{event},"matches":{matches},"deliveries":[{deliveries}],"more_deliveries":{more}}}"#)
    }

    /// The story as lines.
    pub(super) fn lines(&self, telling: &Telling<'_>) -> Vec<String> {
        let mut lines = event_lines(telling, &self.event, self.data().as_deref());
        lines.extend(match_lines(telling.output, &self.matches));
        let names = names(&self.matches);
        for delivery in &self.deliveries {
            let subscription = cell(&delivery["subscription_id"]);
            let to = match names.get(subscription.as_str()) {
                Some(name) => format!("{name} ({subscription})"),
                None => format!("{subscription}, which was removed"),
            };
            lines.push(String::new());
            lines.extend(delivery_lines(telling, delivery, &to));
        }
        if self.more {
            let id = cell(&self.event["id"]);
            let note = format!("there are more: hookway deliveries list --event {id}");
            lines.extend([String::new(), telling.output.tone(Tone::Faint, &note)]);
        }
        lines
    }

    /// The payload, if it is text.
    fn data(&self) -> Option<Cow<'_, str>> {
        if let Some(json) = self.event.member("data") {
            return Some(json.into());
        }
        let bytes = BASE64
            .decode(self.event["data_base64"].as_str()?.as_bytes())
            .ok()?;
        String::from_utf8(bytes).ok().map(Cow::from)
    }

    /// The lines that repeat what was sent.
    pub(super) fn repeats(&self) -> Vec<Repeat> {
        self.deliveries
            .iter()
            .flat_map(|delivery| repeats(delivery))
            .collect()
    }
}

fn names(matches: &Value) -> HashMap<&str, String> {
    list(matches, "data")
        .iter()
        .filter_map(|entry| Some((entry["subscription_id"].as_str()?, cell(&entry["name"]))))
        .collect()
}

/// The event: what it is, when it was accepted, what it carries.
fn event_lines(telling: &Telling<'_>, event: &Value, data: Option<&str>) -> Vec<String> {
    let output = telling.output;
    let source = cell(&event["source"]);
    let mut lines = vec![format!(
        "{}  {}  from {source}",
        output.tone(Tone::Title, &cell(&event["id"])),
        output.tone(Tone::Title, &cell(&event["type"])),
    )];
    let when = |name: &str| absolute_and_relative(&cell(&event[name]), telling.now);
    let happened = if event["time"] == event["received_at"] {
        String::new()
    } else {
        when("time")
    };
    let derived = match event["hops"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => "by a plugin from another event".to_owned(),
        Some(hops) => format!("by plugins from another event, in {hops} steps"),
    };
    let media = Some(cell(&event["datacontenttype"])).filter(|media| media != crate::event::JSON);
    let fields = [
        ("accepted", when("received_at")),
        ("derived", derived),
        ("happened", happened),
        ("producer's id", cell(&event["producer_id"])),
        ("subject", cell(&event["subject"])),
        ("content type", media.unwrap_or_default()),
    ];
    for (title, text) in fields.iter().filter(|(_, text)| !text.is_empty()) {
        lines.push(format!(
            "  {}  {text}",
            output.tone(Tone::Faint, &format!("{title:13}"))
        ));
    }
    if let Some(extensions) = event["extensions"].as_object() {
        for (name, value) in extensions {
            let title = super::output::clean(name);
            lines.push(format!(
                "  {}  {}",
                output.tone(Tone::Faint, &format!("{title:13}")),
                cell(value)
            ));
        }
    }
    match data {
        Some(text) => lines.extend(cut_lines(output, text, telling.depth)),
        None => {
            let bytes = cell(&event["data_bytes"]);
            lines.push(output.tone(Tone::Faint, &format!("{INDENT}{bytes} bytes that are no text")));
        }
    }
    lines.push(matched_line(output, event));
    lines
}

fn matched_line(output: &Output, event: &Value) -> String {
    match event["matched"].as_u64().unwrap_or(0) {
        0 => format!(
            "  {}",
            output.tone(
                Tone::Odd,
                "matched no subscription when it was accepted: nothing is delivered"
            )
        ),
        1 => "  matched 1 subscription when it was accepted".to_owned(),
        count => format!("  matched {count} subscriptions when it was accepted"),
    }
}

/// Which subscriptions match, and why not the others.
fn match_lines(output: &Output, matches: &Value) -> Vec<String> {
    let entries = list(matches, "data");
    if entries.is_empty() {
        return vec![
            String::new(),
            "there are no subscriptions; `hookway subscriptions create --help` shows how to make one"
                .to_owned(),
        ];
    }
    let title = "subscriptions, as they are configured now";
    let mut lines = vec![String::new(), output.tone(Tone::Faint, title)];
    let (matched, not): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry["matched"] == true);
    for entry in matched.into_iter().chain(not) {
        let (tone, word) = if entry["matched"] == true {
            (Tone::Good, "matches")
        } else {
            (Tone::Odd, "no     ")
        };
        lines.push(format!(
            "  {}  {} ({}): {}",
            output.tone(tone, word),
            cell(&entry["name"]),
            cell(&entry["subscription_id"]),
            cell(&entry["reason"])
        ));
    }
    lines
}

#[cfg(test)]
mod tests;
