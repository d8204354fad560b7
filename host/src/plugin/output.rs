//! What a run gave, checked: nothing that a guest made goes further than this file unseen. Pure.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::delivery::FaultKind;
use crate::{event, json};

use super::bindings::hookway::plugin::types;
use super::fault::Fault;
use super::limits::PluginLimits;
use super::log::clean;
use super::request::{self, GuestRequest};

/// How a run ended, as the plugin meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestOutcome {
    /// Requests, events, or both.
    Deliver(GuestOutput),
    /// There is nothing to send, and why.
    Filtered(String),
    /// This event will never work, and why.
    Reject(String),
    /// To be run again later.
    Retry {
        /// Why.
        reason: String,
        /// Not before this many milliseconds; shortened to `plugins.delay_ms`.
        after_ms: Option<u32>,
    },
    /// The configuration is at fault, and how.
    Misconfigured(String),
}

/// What a run decided to send; at least one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestOutput {
    /// Requests for the subscription's endpoint.
    pub requests: Vec<GuestRequest>,
    /// Events that enter as new ones.
    pub events: Vec<GuestEvent>,
}

/// One event, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestEvent {
    /// The event type.
    pub event_type: String,
    /// The subject.
    pub subject: Option<String>,
    /// The media type of the data.
    pub content_type: String,
    /// Extension attributes.
    pub attributes: Vec<(String, String)>,
    /// The data.
    pub data: Bytes,
}

/// Checks what `transform` returned.
pub(super) fn check(
    result: Result<types::Outcome, types::Failure>,
    limits: &PluginLimits,
) -> Result<GuestOutcome, Fault> {
    let reason = |text: String| clean(&text, limits.reason_bytes);
    Ok(match result {
        Ok(types::Outcome::Deliver(output)) => GuestOutcome::Deliver(check_output(output, limits)?),
        Ok(types::Outcome::Filtered(why)) => GuestOutcome::Filtered(reason(why)),
        Err(types::Failure::Reject(why)) => GuestOutcome::Reject(reason(why)),
        Err(types::Failure::Retry((why, after_ms))) => GuestOutcome::Retry {
            reason: reason(why),
            after_ms: after_ms.map(|after| after.min(limits.delay_ms)),
        },
        Err(types::Failure::Misconfigured(why)) => GuestOutcome::Misconfigured(reason(why)),
    })
}

fn check_output(output: types::Output, limits: &PluginLimits) -> Result<GuestOutput, Fault> {
    if output.requests.is_empty() && output.events.is_empty() {
        return Err(invalid(
            "`deliver` with no request and no event; return `filtered` with a reason",
        ));
    }
    at_most(output.requests.len(), limits.requests, "requests", "requests")?;
    at_most(output.events.len(), limits.events, "events", "events")?;
    let mut checked = GuestOutput::default();
    for (number, request) in output.requests.into_iter().enumerate() {
        let request = request::check(request, limits).map_err(|fault| within(&fault, "request", number))?;
        checked.requests.push(request);
    }
    for (number, event) in output.events.into_iter().enumerate() {
        let event = check_event(event, limits).map_err(|fault| within(&fault, "event", number))?;
        checked.events.push(event);
    }
    Ok(checked)
}

fn check_event(event: types::EmittedEvent, limits: &PluginLimits) -> Result<GuestEvent, Fault> {
    let wrong = |what: &str, why: &dyn std::fmt::Display| invalid(&format!("{what}: {why}"));
    at_most(event.data.len(), limits.body_bytes, "bytes of data", "body_bytes")?;
    event::check_type(&event.event_type).map_err(|why| wrong("event-type", &why))?;
    if event.event_type.starts_with(event::OWN_TYPE_PREFIX) {
        return Err(invalid(
            "event-type: types that begin with `hookway.` are the host's own",
        ));
    }
    if let Some(subject) = &event.subject {
        event::check_text(subject, event::SUBJECT_BYTES_MAX).map_err(|why| wrong("subject", &why))?;
    }
    event::check_text(&event.content_type, event::CONTENT_TYPE_BYTES_MAX)
        .map_err(|why| wrong("content-type", &why))?;
    if event.attributes.len() > event::EXTENSIONS_MAX {
        return Err(invalid("more attributes than an event may have"));
    }
    for (name, value) in &event.attributes {
        event::check_extension_name(name)
            .map_err(|why| wrong(&format!("attribute {}", quoted(name)), &why))?;
        event::check_text(value, event::EXTENSION_BYTES_MAX)
            .map_err(|why| wrong(&format!("attribute {}", quoted(name)), &why))?;
    }
    if event::is_json(&event.content_type) {
        check_json(&event.data).map_err(|why| wrong("data", &why))?;
    }
    Ok(GuestEvent {
        event_type: event.event_type,
        subject: event.subject,
        content_type: event.content_type,
        attributes: event.attributes,
        data: event.data.into(),
    })
}

/// What claims to be JSON is JSON, and not too deep: envelopes and filters rely on it, as they do for events
/// that come from outside. None at all is `null`.
fn check_json(data: &[u8]) -> Result<(), String> {
    if data.is_empty() {
        return Ok(());
    }
    json::check_depth(data).map_err(|deep| deep.to_string())?;
    match serde_json::from_slice::<&RawValue>(data) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is said to be JSON and is not: {error}")),
    }
}

pub(super) fn invalid(detail: &str) -> Fault {
    Fault {
        kind: FaultKind::InvalidOutput,
        detail: detail.to_owned(),
    }
}

pub(super) fn at_most(count: usize, most: usize, what: &str, limit: &str) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(Fault {
        kind: FaultKind::OutputTooLarge,
        detail: format!("{count} {what}; `plugins.{limit}` allows {most}"),
    })
}

fn within(fault: &Fault, what: &str, number: usize) -> Fault {
    Fault {
        kind: fault.kind,
        detail: format!("{what} {number}: {}", fault.detail),
    }
}

/// A guest's text in a message of ours.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", clean(text, 80))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: Option<&str>, headers: &[(&str, &str)]) -> types::Request {
        types::Request {
            method: None,
            path: path.map(str::to_owned),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: b"body".to_vec(),
            dedup_key: None,
            ordering_key: None,
            delay_ms: None,
        }
    }

    fn deliver(request: types::Request) -> Result<GuestOutcome, Fault> {
        let output = types::Output {
            requests: vec![request],
            events: Vec::new(),
        };
        check(Ok(types::Outcome::Deliver(output)), &PluginLimits::default())
    }

    fn event(event_type: &str, attributes: &[(&str, &str)]) -> Result<GuestOutcome, Fault> {
        let event = types::EmittedEvent {
            event_type: event_type.to_owned(),
            subject: None,
            content_type: event::JSON.to_owned(),
            attributes: attributes
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            data: b"{}".to_vec(),
        };
        let output = types::Output {
            requests: Vec::new(),
            events: vec![event],
        };
        check(Ok(types::Outcome::Deliver(output)), &PluginLimits::default())
    }

    #[test]
    fn sizes_are_bounded() {
        let many = vec![("x-a", "1"); 33];
        assert_eq!(
            deliver(request(None, &many)).unwrap_err().kind,
            FaultKind::OutputTooLarge
        );
        let long = "x".repeat(8_190);
        assert!(deliver(request(None, &[("x-a", &long)])).is_err());
        let mut large = request(None, &[]);
        large.body = vec![0; (256 << 10) + 1];
        assert!(deliver(large).unwrap_err().detail.contains("plugins.body_bytes"));
        let output = types::Output {
            requests: (0..17).map(|_| request(None, &[])).collect(),
            events: Vec::new(),
        };
        assert!(check(Ok(types::Outcome::Deliver(output)), &PluginLimits::default()).is_err());
        let nothing = types::Output {
            requests: Vec::new(),
            events: Vec::new(),
        };
        assert!(check(Ok(types::Outcome::Deliver(nothing)), &PluginLimits::default()).is_err());
        let long = types::Failure::Reject("x\n".repeat(10_000));
        let Ok(GuestOutcome::Reject(reason)) = check(Err(long), &PluginLimits::default()) else {
            panic!("a long reason is cut, not refused");
        };
        assert!(reason.len() <= 1_024 && reason.starts_with("x\\nx"));
    }

    #[test]
    fn an_emitted_event_that_claims_json_is_json() {
        let with = |content_type: &str, data: &[u8]| {
            let event = types::EmittedEvent {
                event_type: "a".to_owned(),
                subject: None,
                content_type: content_type.to_owned(),
                attributes: Vec::new(),
                data: data.to_vec(),
            };
            check_event(event, &PluginLimits::default())
        };
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let bad: [&[u8]; 7] = [
            b"NaN",
            b"{\"a\":1",
            br#"1,"type":"forged""#,
            b"\"\xff\"",
            b" ",
            b"'a'",
            deep.as_bytes(),
        ];
        for data in bad {
            for json in ["application/json", "Application/X+JSON; charset=utf-8"] {
                assert!(with(json, data).is_err(), "{:.40}", String::from_utf8_lossy(data));
            }
            assert!(with("text/plain", data).is_ok());
        }
        let good: [&[u8]; 4] = [b"", b" {\"a\":1,\"a\":2} ", br#""\ud800""#, b"1e999"];
        for data in good {
            assert_eq!(
                with("application/json", data).unwrap().data,
                data,
                "byte for byte"
            );
        }
    }

    #[test]
    fn emitted_events_keep_the_rules_of_events() {
        assert!(event("alert.critical", &[("severity", "high")]).is_ok());
        for bad in ["", "a b", "hookway.subscription.disabled"] {
            assert!(event(bad, &[]).is_err(), "{bad}");
        }
        assert!(event("a", &[("Not-A-Name", "x")]).is_err());
        assert!(event("a", &[("name", "")]).is_err());
        let many: Vec<_> = (0..33).map(|_| ("a", "b")).collect();
        assert!(event("a", &many).is_err());
    }
}
