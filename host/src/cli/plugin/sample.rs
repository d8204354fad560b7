//! The event that a plugin is tried on: from a file, from flags, from a router's history.
//!
//! It is an event as it is posted to `/events`, and besides it may have `headers`, those of the request
//! that brought it, because plugins can ask for them. Values are kept as they came, so that a plugin
//! sees here what it sees when the event is posted.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::events::draft;
use crate::api::plugins::run::lower_case;
use crate::cli::output::clean;
use crate::cli::{Failure, input};
use crate::event::{Draft, Event};
use crate::id::{EventId, Generator};
use crate::time::Timestamp;
use crate::workbench;

/// What an event in a file has where it says nothing: the same as in the SDK's own tests
/// (`testing::event_from_json`), so that a fixture means the same in both.
const FIXTURE_ID: &str = "test-1";
/// See [`FIXTURE_ID`].
const FIXTURE_SOURCE: &str = "test";
/// See [`FIXTURE_ID`]: 2026-01-02T03:04:05.000Z.
const FIXTURE_TIME: Timestamp = Timestamp::from_millis(1_767_323_045_000);
/// Members of an event in history that are members of an event that is posted.
const OF_HISTORY: [&str; 8] = [
    "type",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "extensions",
    "data",
    "data_base64",
];

type Members = BTreeMap<String, Box<RawValue>>;

/// An event to try a plugin on.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Sample {
    what: String,
    members: Members,
    headers: BTreeMap<String, String>,
}

impl Sample {
    /// Reads an event. `what` is where it comes from.
    pub(super) fn read(what: &str, bytes: Vec<u8>) -> Result<Self, Failure> {
        let raw = input::json(what, bytes)?;
        let mut members: Members = serde_json::from_str(raw.get()).map_err(|_| {
            Failure::usage(format!(
                "{what} is not an event: a JSON object with `type` and `data`"
            ))
        })?;
        let headers = match members.remove("headers") {
            None => BTreeMap::new(),
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|_| Failure::usage(format!("{what}: `headers` must be an object of strings")))?,
        };
        Ok(Self {
            what: what.to_owned(),
            members,
            headers,
        })
    }

    /// An event of this type with this data.
    pub(super) fn of(event_type: &str, data: Option<&str>) -> Result<Self, Failure> {
        let data = input::json("--data", input::argument(data.unwrap_or("{}"))?)?;
        let text = format!(r#"{{"type":{},"data":{}}}"#, json!(event_type), data.get());
        Self::read("the event", text.into_bytes())
    }

    /// An event of a router's history, from its JSON there.
    pub(in crate::cli) fn of_history(what: &str, text: &str) -> Result<Self, Failure> {
        let broken = |error| Failure::because(format!("{what} cannot be read"), error);
        let mut members: Members = serde_json::from_str(text).map_err(broken)?;
        let tree: Value = serde_json::from_str(text).map_err(broken)?;
        let id = [&tree["producer_id"], &tree["id"]]
            .into_iter()
            .find_map(Value::as_str);
        let headers = pairs(&tree["headers"]);
        members.retain(|name, raw| OF_HISTORY.contains(&name.as_str()) && raw.get() != "null");
        // Data that is `null` is data, and was dropped with what is not there.
        if !members.contains_key("data") && !members.contains_key("data_base64") {
            members.insert("data".to_owned(), RawValue::NULL.to_owned());
        }
        if let Some(id) = id {
            let id = serde_json::value::to_raw_value(id).map_err(broken)?;
            members.insert("id".to_owned(), id);
        }
        Ok(Self {
            what: what.to_owned(),
            members,
            headers,
        })
    }

    /// The event as it would be if it came now: it gets the id and the time that it leaves open, so that
    /// all who run it, here and elsewhere, run the same.
    pub(in crate::cli) fn arrive(mut self, now: Timestamp) -> Result<Self, Failure> {
        let id: EventId = Generator::new(0).next(now);
        for (name, value) in [("id", id.to_string()), ("time", now.to_string())] {
            let raw = serde_json::value::to_raw_value(&value)
                .map_err(|error| Failure::because("the event cannot be written", error))?;
            self.members.entry(name.to_owned()).or_insert(raw);
        }
        Ok(self)
    }

    /// The event, checked as on its way in.
    pub(super) fn event(&self, now: Timestamp) -> Result<Arc<Event>, Failure> {
        self.checked(self.draft()?, now)
    }

    /// The event as a fixture: what it leaves open is always the same.
    pub(super) fn fixture(&self) -> Result<Arc<Event>, Failure> {
        let mut draft = self.draft()?;
        draft.id.get_or_insert_with(|| FIXTURE_ID.to_owned());
        draft.source.get_or_insert_with(|| FIXTURE_SOURCE.to_owned());
        self.checked(draft, FIXTURE_TIME)
    }

    /// The body of a call that has a router run a plugin.
    pub(in crate::cli) fn body(&self, config: &str, digest: Option<&str>) -> String {
        let event = serde_json::to_string(&self.members).unwrap_or_default();
        let headers = json!(self.headers);
        let digest = digest.map(|digest| format!(r#","digest":{}"#, json!(digest)));
        format!(
            r#"{{"event":{event},"headers":{headers},"config":{config}{}}}"#,
            digest.unwrap_or_default()
        )
    }

    fn draft(&self) -> Result<Draft, Failure> {
        let text = serde_json::to_string(&self.members)
            .map_err(|error| Failure::because(format!("{} cannot be read", self.what), error))?;
        let bytes = Bytes::from(text);
        let text = str::from_utf8(&bytes).unwrap_or_default();
        let draft = draft(text, "", &bytes).map_err(|unreadable| {
            let faults = unreadable.into_faults().into_vec();
            self.faulty(
                faults
                    .iter()
                    .map(|fault| format!("{} {}", fault.pointer, fault.detail)),
            )
        })?;
        Ok(Draft {
            headers: lower_case(self.headers.clone()),
            ..draft
        })
    }

    fn checked(&self, draft: Draft, now: Timestamp) -> Result<Arc<Event>, Failure> {
        workbench::event(draft, now).map_err(|faults| {
            self.faulty(
                faults
                    .iter()
                    .map(|fault| format!("/{} {}", fault.attribute, fault.detail)),
            )
        })
    }

    fn faulty(&self, faults: impl Iterator<Item = String>) -> Failure {
        let faults: Vec<String> = faults.map(|fault| format!("\n  {}", clean(&fault))).collect();
        Failure::usage(format!(
            "{} is not an event that would be accepted:{}",
            self.what,
            faults.concat()
        ))
    }
}

/// Headers as an object, or as a list of pairs.
fn pairs(headers: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match headers {
        Value::Object(members) => members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?)))
            .collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_779_208_200_000);

    #[test]
    fn values_stay_as_they_were_and_headers_are_no_part_of_the_event() {
        let text = br#"{"type":"a.b","data":{"n": 1.50},"headers":{"X-Kind":"push"}}"#;
        let sample = Sample::read("e.json", text.to_vec()).unwrap();
        assert_eq!(
            sample.body("{\"c\":2}", None),
            r#"{"event":{"data":{"n": 1.50},"type":"a.b"},"headers":{"X-Kind":"push"},"config":{"c":2}}"#
        );
        let event = sample.event(NOW).unwrap();
        assert_eq!(&event.data[..], br#"{"n": 1.50}"#);
        assert_eq!(event.headers, [("x-kind".to_owned(), "push".to_owned())]);
        assert_eq!((event.source.as_str(), event.time), ("api", NOW));
        let arrived = sample.arrive(NOW).unwrap();
        let later = NOW.plus(std::time::Duration::from_secs(1));
        let event = arrived.event(later).unwrap();
        assert_eq!(event.time, NOW);
        assert!(event.cloudevents_id().starts_with("evt_"));
    }

    #[test]
    fn what_a_fixture_leaves_open_is_always_the_same() {
        let sample = Sample::of("a.b", Some("[1]")).unwrap();
        let event = sample.fixture().unwrap();
        assert_eq!(event.cloudevents_id(), "test-1");
        assert_eq!(event.source, "test");
        assert_eq!(event.time.to_string(), "2026-01-02T03:04:05.000Z");
        assert_eq!(sample.fixture().unwrap(), event);
    }

    #[test]
    fn an_event_of_history_is_one_that_can_be_posted() {
        let text = r#"{"id":"evt_1","type":"push","source":"github","producer_id":"d-1","subject":null,
            "time":"2026-05-19T16:30:00.000Z","received_at":"2026-05-19T16:30:00.000Z","matched":2,
            "datacontenttype":"application/json","extensions":{},"data_bytes":4,"data":null,
            "headers":[["x-github-event","push"]]}"#;
        let event = Sample::of_history("evt_1", text).unwrap().event(NOW).unwrap();
        assert_eq!(event.producer_id.as_deref(), Some("d-1"));
        assert_eq!(&event.data[..], b"null");
        assert_eq!(event.headers[0].0, "x-github-event");
    }

    #[test]
    fn what_is_no_event_is_said_with_its_place() {
        for (text, part) in [
            ("[]", "a JSON object"),
            ("{\"type\":\"a\"", "is not JSON"),
            (r#"{"type":"a"}"#, "/data must be given"),
            (r#"{"type":"a b","data":1}"#, "/type"),
            (r#"{"type":"a","data":1,"dta":2}"#, "/dta"),
            (r#"{"type":"a","data":1,"headers":[]}"#, "`headers`"),
        ] {
            let read = Sample::read("e.json", text.as_bytes().to_vec());
            let fault = read.and_then(|sample| sample.event(NOW)).unwrap_err();
            assert!(matches!(fault, Failure::Usage(_)), "{text}");
            assert!(fault.to_string().contains(part), "{text}: {fault}");
        }
    }
}
