//! A message out of any event, by the names that most tools use.
//!
//! A title and a text are looked for under their usual names, scalar members become fields, one
//! level of nesting is followed. What nobody can read (bytes) is said and not shown.

use crate::data::{Data, Members};
use crate::message::{Message, Part};
use crate::text::{code, cut, escape, escape_cut, is_address, line, link, start};
use hookway_plugin::Event;
use std::borrow::Cow;

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

/// Characters of an address that are shown.
const LABEL_MAX: usize = 60;

/// Makes a message out of JSON.
pub(crate) fn from_json<'a>(event: &'a Event, data: &'a Data<'_>) -> Message<'a> {
    match data {
        Data::Object(members) => from_members(event, inner(members)),
        Data::Null => titled(event, None),
        Data::Text(text) => from_text(event, text),
        other => {
            let mut message = titled(event, None);
            let shown = code(&cut(&escape(&other.to_string()), 2_900));
            message.parts.push(Part::Text(shown.into()));
            message
        }
    }
}

/// Makes a message out of data that is no JSON.
pub(crate) fn from_bytes(event: &Event) -> Message<'_> {
    match event.text() {
        Ok(text) => from_text(event, text),
        Err(_) => {
            let size = event.data.len();
            let kind = escape(&event.content_type);
            let mut message = titled(event, None);
            let shown = format!("{size} bytes of `{kind}`");
            message.parts.push(Part::Text(shown.into()));
            message
        }
    }
}

/// The line under every message: what it was, from where, when.
pub(crate) fn context(event: &Event) -> Part<'_> {
    let mut context = String::with_capacity(100);
    for word in [&event.event_type, &event.source, &event.time] {
        let word = line(word);
        if !word.is_empty() {
            if !context.is_empty() {
                context.push_str("  •  ");
            }
            context.push_str(&escape(&word));
        }
    }
    Part::Context(context.into())
}

fn from_text<'a>(event: &'a Event, text: &'a str) -> Message<'a> {
    let mut message = titled(event, None);
    message.summary = escape(text);
    message.parts.push(Part::Text(message.summary.clone()));
    message
}

fn titled<'a>(event: &'a Event, title: Option<&'a str>) -> Message<'a> {
    let title = title
        .or(event.subject.as_deref())
        .filter(|title| !title.trim().is_empty());
    Message {
        title: escape(title.unwrap_or(&event.event_type)),
        ..Message::default()
    }
}

/// Envelopes such as `{"type": …, "timestamp": …, "data": {…}}` are looked into.
fn inner<'a, 'b>(members: &'a Members<'b>) -> &'a Members<'b> {
    let named = || {
        let mut names = TITLES.iter().chain(&TEXTS);
        names.any(|name| text(members, name).is_some())
    };
    match members.get("data") {
        Some(Data::Object(inner)) if !named() => inner,
        _ => members,
    }
}

fn from_members<'a>(event: &'a Event, members: &'a Members<'_>) -> Message<'a> {
    let named = |names: &[&'static str]| names.iter().find_map(|&name| Some((name, text(members, name)?)));
    let title = named(&TITLES);
    let body = named(&TEXTS);
    let address = named(&LINKS);
    let used = [title, body, address].map(|found| found.map(|(name, _)| name));

    let mut message = titled(event, title.map(|(_, title)| title));
    if let Some((_, body)) = body {
        message.summary = escape(body);
        message.parts.push(Part::Text(message.summary.clone()));
    }
    let (shown, left) = fields(members, &used);
    message.parts.push(Part::Fields(shown));
    if left > 0 {
        let more = format!("… {left} more fields");
        message.parts.push(Part::Context(more.into()));
    }
    let link = address.and_then(|(_, address)| link(address, "Open"));
    message.parts.extend(link.map(|link| Part::Text(link.into())));
    message
}

fn text<'a>(members: &'a Members<'_>, name: &str) -> Option<&'a str> {
    members
        .get(name)?
        .as_text()
        .filter(|text| !text.trim().is_empty())
}

/// A name and a value, both escaped.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The scalar members, and how many did not fit.
fn fields<'a>(members: &'a Members<'_>, used: &[Option<&str>]) -> (Vec<Pair<'a>>, usize) {
    let mut found: Vec<(usize, Pair<'a>)> = Vec::with_capacity(FIELDS_MAX);
    for (name, value) in members.iter() {
        if used.contains(&Some(name)) {
            continue;
        }
        match value {
            Data::Object(inner) => found.extend(inner.iter().filter_map(|(inner, value)| {
                let name = format!("{name}.{inner}");
                Some((FIRST.len(), (escape(&name).into_owned().into(), scalar(value)?)))
            })),
            other => found.extend(scalar(other).map(|value| {
                let first = FIRST.iter().position(|first| *first == name);
                (first.unwrap_or(FIRST.len()), (escape(name), value))
            })),
        }
    }
    // Stable: the rest stays in the order of the data.
    found.sort_by_key(|(place, _)| *place);
    let left = found.len().saturating_sub(FIELDS_MAX);
    found.truncate(FIELDS_MAX);
    (found.into_iter().map(|(_, pair)| pair).collect(), left)
}

/// A value that fits a field, escaped.
fn scalar<'a>(value: &'a Data<'_>) -> Option<Cow<'a, str>> {
    match value {
        Data::Null | Data::Object(_) => None,
        Data::Text(text) => shown(text),
        Data::List(items) => {
            if items
                .iter()
                .any(|item| matches!(item, Data::Object(_) | Data::List(_)))
            {
                return None;
            }
            let items: Vec<_> = items.iter().map(Data::show).collect();
            shown(&items.join(", ")).map(|shown| Cow::Owned(shown.into_owned()))
        }
        other => shown(&other.to_string()).map(|shown| Cow::Owned(shown.into_owned())),
    }
}

/// The text of a field; none where it is empty.
fn shown(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let link = match is_address(text) {
        true => link(text, &escape(start(text, LABEL_MAX))).map(Cow::Owned),
        false => None,
    };
    Some(link.unwrap_or_else(|| escape_cut(text, VALUE_MAX)))
}
