//! A message out of any event, by the names that most tools use.
//!
//! A title and a text are looked for under their usual names, scalar members become fields, one
//! level of nesting is followed. What nobody can read (bytes) is said and not shown.

use crate::message::{Message, Part};
use crate::template::show;
use crate::text::{code, cut, escape, line, link};
use hookway_plugin::Event;
use hookway_plugin::serde_json::{Map, Value};

const TITLES: [&str; 7] = [
    "title",
    "name",
    "alertname",
    "alert_name",
    "subject",
    "event",
    "ref",
];
const TEXTS: [&str; 7] = [
    "message",
    "text",
    "summary",
    "description",
    "body",
    "details",
    "error",
];
const LINKS: [&str; 5] = ["url", "html_url", "link", "permalink", "dashboard_url"];
/// Shown before the others.
const FIRST: [&str; 4] = ["status", "state", "severity", "action"];
const FIELDS_MAX: usize = 20;
const VALUE_MAX: usize = 300;

/// Makes a message out of JSON.
pub(crate) fn from_json(event: &Event, data: &Value) -> Message {
    match data {
        Value::Object(members) => from_members(event, inner(members)),
        Value::Null => titled(event, None),
        Value::String(text) => from_text(event, text),
        other => {
            let mut message = titled(event, None);
            message
                .parts
                .push(Part::Text(code(&cut(&escape(&other.to_string()), 2_900))));
            message
        }
    }
}

/// Makes a message out of data that is no JSON.
pub(crate) fn from_bytes(event: &Event) -> Message {
    match event.text() {
        Ok(text) => from_text(event, text),
        Err(_) => {
            let size = event.data.len();
            let kind = escape(&event.content_type);
            let mut message = titled(event, None);
            message
                .parts
                .push(Part::Text(format!("{size} bytes of `{kind}`")));
            message
        }
    }
}

/// The line under every message: what it was, from where, when.
pub(crate) fn context(event: &Event) -> Part {
    let words = [&event.event_type, &event.source, &event.time];
    let words = words.map(|word| escape(&line(word)));
    Part::Context(
        words
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join("  •  "),
    )
}

fn from_text(event: &Event, text: &str) -> Message {
    let mut message = titled(event, None);
    message.summary = escape(text);
    message.parts.push(Part::Text(escape(text)));
    message
}

fn titled(event: &Event, title: Option<&str>) -> Message {
    let title = title
        .or(event.subject.as_deref())
        .filter(|title| !title.trim().is_empty());
    Message {
        title: escape(title.unwrap_or(&event.event_type)),
        ..Message::default()
    }
}

/// Envelopes such as `{"type": …, "timestamp": …, "data": {…}}` are looked into.
fn inner(members: &Map<String, Value>) -> &Map<String, Value> {
    let named = TITLES
        .iter()
        .chain(&TEXTS)
        .any(|name| text(members, name).is_some());
    match members.get("data") {
        Some(Value::Object(inner)) if !named => inner,
        _ => members,
    }
}

fn from_members(event: &Event, members: &Map<String, Value>) -> Message {
    let named = |names: &[&'static str]| {
        names
            .iter()
            .find_map(|&name| Some((name, text(members, name)?)))
    };
    let title = named(&TITLES);
    let body = named(&TEXTS);
    let address = named(&LINKS);
    let used = [title, body, address].map(|found| found.map(|(name, _)| name));

    let mut message = titled(event, title.map(|(_, title)| title));
    if let Some((_, body)) = body {
        message.summary = escape(body);
        message.parts.push(Part::Text(escape(body)));
    }
    let (shown, left) = fields(members, &used);
    message.parts.push(Part::Fields(shown));
    if left > 0 {
        message
            .parts
            .push(Part::Context(format!("… {left} more fields")));
    }
    let link = address.and_then(|(_, address)| link(address, "Open"));
    message.parts.extend(link.map(Part::Text));
    message
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members
        .get(name)?
        .as_str()
        .filter(|text| !text.trim().is_empty())
}

/// The scalar members, and how many did not fit.
fn fields(members: &Map<String, Value>, used: &[Option<&str>]) -> (Vec<(String, String)>, usize) {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in members {
        if used.contains(&Some(name.as_str())) {
            continue;
        }
        match value {
            Value::Object(inner) => found.extend(
                inner
                    .iter()
                    .filter_map(|(inner, value)| Some((format!("{name}.{inner}"), scalar(value)?))),
            ),
            other => found.extend(scalar(other).map(|value| (name.clone(), value))),
        }
    }
    // Stable: the rest stays in the order of the data.
    found.sort_by_key(|(name, _)| {
        FIRST
            .iter()
            .position(|first| first == name)
            .unwrap_or(FIRST.len())
    });
    let left = found.len().saturating_sub(FIELDS_MAX);
    found.truncate(FIELDS_MAX);
    let shown = found
        .into_iter()
        .map(|(name, value)| (escape(&name), value))
        .collect();
    (shown, left)
}

/// A value that fits a field, escaped.
fn scalar(value: &Value) -> Option<String> {
    let shown = match value {
        Value::Null | Value::Object(_) => return None,
        Value::Array(items) => {
            if items.is_empty() || items.iter().any(|item| item.is_object() || item.is_array()) {
                return None;
            }
            items.iter().map(show).collect::<Vec<_>>().join(", ")
        }
        other => show(other),
    };
    let shown = shown.trim();
    if shown.is_empty() {
        return None;
    }
    let label = escape(&shown.chars().take(60).collect::<String>());
    Some(link(shown, &label).unwrap_or_else(|| cut(&escape(shown), VALUE_MAX)))
}
