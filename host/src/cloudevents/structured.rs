//! Structured and batched mode: events as JSON objects (JSON Event Format 1.0.2).

use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::value::RawValue;

use super::{check, check_version};
use crate::event::{self, Draft};
use crate::json::{self, Faults, Fields, Given, Unreadable};

/// The event of a body.
pub(super) fn one(body: &Bytes) -> Result<Vec<Draft>, Unreadable> {
    Ok(vec![draft(text(body)?, "", body)?])
}

/// The events of a batch, all or none.
pub(super) fn many(body: &Bytes, events_max: usize) -> Result<Vec<Draft>, Unreadable> {
    let items = json::items(text(body)?, "", events_max)?;
    if items.is_empty() {
        return Err(Faults::one("", "must have at least one event").into());
    }
    let mut drafts = Vec::with_capacity(items.len());
    let mut faults = Faults::default();
    for (place, item) in items.into_iter().enumerate() {
        match draft(item.get(), &format!("/{place}"), body) {
            Ok(draft) => drafts.push(draft),
            Err(error) => faults.append(error.into_faults()),
        }
    }
    Ok(faults.or(drafts)?)
}

fn text(body: &[u8]) -> Result<&str, Unreadable> {
    json::check_depth(body).map_err(|fault| Unreadable::Syntax(fault.to_string()))?;
    str::from_utf8(body).map_err(|error| Unreadable::Syntax(error.to_string()))
}

fn draft(text: &str, base: &str, body: &Bytes) -> Result<Draft, Unreadable> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(text, base)?;
    let version = fields.text("specversion", &mut faults);
    let at_version = fields.pointer("specversion");
    let content_type = fields.text("datacontenttype", &mut faults);
    let data = data(&mut fields, content_type.as_deref(), body, &mut faults);
    let mut draft = Draft {
        id: fields.text("id", &mut faults),
        source: fields.text("source", &mut faults),
        event_type: fields.text("type", &mut faults).unwrap_or_default(),
        subject: fields.text("subject", &mut faults),
        time: fields.read(
            "time",
            "an RFC 3339 time such as 2026-05-19T16:30:00Z",
            &mut faults,
        ),
        content_type,
        extensions: Vec::new(),
        headers: Vec::new(),
        data,
    };
    // Many more are refused by their number; there is no need to look at each.
    let mut members = fields.into_members();
    // In the order given: taking the others out has mixed them.
    members.sort_unstable_by_key(|(_, raw)| raw.get().as_ptr());
    for (name, raw) in members.into_iter().take(event::EXTENSIONS_MAX + 1) {
        if raw.get() != "null" {
            let value = extension(raw, &json::pointer(base, &name), &mut faults);
            draft
                .extensions
                .extend(value.map(|value| (name.into_owned(), value)));
        }
    }
    // A member of the wrong type was told already; "must not be empty" beside it would mislead.
    if faults.is_empty() {
        check(&draft, |name| json::pointer(base, name), &mut faults);
        check_version(version.as_deref(), &at_version, &mut faults);
    }
    Ok(faults.or(draft)?)
}

/// The text of an extension attribute: a string, a boolean, or an integer of 32 bits (section 2.2).
fn extension(raw: &RawValue, at: &str, faults: &mut Faults) -> Option<String> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => json::read(raw, at, "a string", faults),
        Some(b't' | b'f') => Some(text.to_owned()),
        Some(b'-' | b'0'..=b'9') if text.parse::<i32>().is_ok() => Some(text.to_owned()),
        _ => {
            let detail = "extension attributes must be a string, a boolean or an integer of 32 bits";
            faults.add(at, detail);
            None
        }
    }
}

fn data(fields: &mut Fields<'_>, content_type: Option<&str>, body: &Bytes, faults: &mut Faults) -> Bytes {
    let json = event::is_json(content_type.unwrap_or(event::JSON));
    let nothing = || Bytes::from_static(if json { b"null" } else { b"" });
    match (fields.given("data"), fields.given("data_base64")) {
        (Given::Absent | Given::Null, Given::Absent | Given::Null) => nothing(),
        (Given::Value(raw), Given::Absent | Given::Null) if json => body.slice_ref(raw.get().as_bytes()),
        (Given::Value(raw), Given::Absent | Given::Null) => {
            let expected = "a string where `datacontenttype` is not JSON (or use `data_base64`)";
            let text: Option<String> = json::read(raw, &fields.pointer("data"), expected, faults);
            text.unwrap_or_default().into()
        }
        (Given::Absent | Given::Null, Given::Value(raw)) => {
            let pointer = fields.pointer("data_base64");
            let text: Option<String> = json::read(raw, &pointer, "a string", faults);
            text.map_or_else(Bytes::new, |text| decoded(&text, json, &pointer, faults))
        }
        (Given::Value(_), Given::Value(_)) => {
            faults.add(fields.pointer("data_base64"), "cannot be given beside `data`");
            Bytes::new()
        }
    }
}

/// What base64 stands for. Data that says it is JSON is JSON, whichever way it came: envelopes rely on it.
pub fn decoded(text: &str, json: bool, pointer: &str, faults: &mut Faults) -> Bytes {
    let Ok(bytes) = BASE64.decode(text.as_bytes()) else {
        faults.add(pointer, "is not base64 (standard alphabet, with padding)");
        return Bytes::new();
    };
    if json && json::check_depth(&bytes).is_err() {
        faults.add(pointer, json::TooDeep.to_string());
    } else if json && serde_json::from_slice::<&RawValue>(&bytes).is_err() {
        faults.add(pointer, "is not JSON; say what it is in `datacontenttype`");
    }
    bytes.into()
}
