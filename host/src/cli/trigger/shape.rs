//! The request that makes a sample arrive at a source as its service would send it: headers, query and
//! body, before it is signed.
//!
//! A sample's bytes stay as they are unless the source reads something from the body that is not there
//! yet: the type that is wanted, an id of its own for every request (else the second would be a
//! repetition of the first), or the time that a signature covers. Data that the caller gave gets no id.

use data_encoding::BASE64;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Sample;
use super::edit::Edit;
use super::reach::{Filled, Place, best, places};
use crate::cli::Failure;
use crate::event::JSON;
use crate::source::{Format, Mapping};
use crate::time::Timestamp;

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// A request, not signed yet.
#[derive(Debug)]
pub(super) struct Shape {
    /// Its headers.
    pub(super) headers: Vec<(String, String)>,
    /// The parameters of its query.
    pub(super) query: Vec<(String, String)>,
    content_type: String,
    content: Content,
    /// JSON Pointer to what becomes the event, within the body.
    item: String,
}

#[derive(Debug)]
enum Content {
    /// As it stands.
    Json(Box<RawValue>),
    /// With changes.
    Changed(Value),
    Form(Vec<(String, String)>),
    Bytes(Vec<u8>),
}

/// Whose data it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// The caller's: it gets the type that is wanted, and nothing else.
    Given,
    /// A sample.
    Sample,
}

/// What is asked of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// The type of its event.
    pub(super) event_type: &'a str,
    /// Its id, never used before.
    pub(super) id: &'a str,
    /// Whose data it has.
    pub(super) data: Data,
}

impl Shape {
    /// Puts a sample into the place where the source looks for it, and fills in what is wished.
    pub(super) fn new(sample: &Sample, mapping: &Mapping, wish: Wish<'_>) -> Result<Self, Failure> {
        let mut shape = Self::of(sample, mapping.split.as_deref())?;
        if mapping.format == Some(Format::Cloudevents) {
            let attributes = [
                ("ce-specversion", "1.0"),
                ("ce-id", wish.id),
                ("ce-type", wish.event_type),
                ("ce-source", "/hookway/trigger"),
            ];
            let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            shape.headers.extend(attributes.map(own));
            return Ok(shape);
        }
        let types = mapping.event_type.iter().flatten();
        let filled = best(types, wish.event_type).unwrap_or_default();
        if filled.iter().any(|(place, _)| matches!(place, Place::Form(_))) {
            shape.become_form();
        }
        for (place, value) in &filled {
            shape.set(place, value)?;
        }
        for place in shape.places_of_id(mapping, &filled, wish.data) {
            shape.set(&place, wish.id)?;
        }
        Ok(shape)
    }

    fn of(sample: &Sample, split: Option<&str>) -> Result<Self, Failure> {
        let media_type = sample.content_type.as_deref();
        let (content_type, content) = match (&sample.data, &sample.data_base64) {
            (Some(data), _) => (media_type.unwrap_or(JSON), Content::Json(data.clone())),
            (None, Some(text)) => {
                let bytes = BASE64
                    .decode(text.as_bytes())
                    .map_err(|error| Failure::because("the payload cannot be read", error))?;
                (
                    media_type.unwrap_or("application/octet-stream"),
                    Content::Bytes(bytes),
                )
            }
            (None, None) => (JSON, Content::Changed(json!({}))),
        };
        let mut shape = Self {
            headers: Vec::new(),
            query: Vec::new(),
            content_type: content_type.to_owned(),
            content,
            item: String::new(),
        };
        if let Some(split) = split {
            shape.wrap(split)?;
        }
        Ok(shape)
    }

    /// Makes the data the only item of the array that the source splits, unless it has one already.
    fn wrap(&mut self, split: &str) -> Result<(), Failure> {
        let Content::Json(data) = &self.content else {
            return Ok(());
        };
        let value: Value = parsed(data)?;
        if !value.pointer(split).is_some_and(Value::is_array) {
            let mut text = format!("[{}]", data.get());
            for name in split.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
                let name = name.replace("~1", "/").replace("~0", "~");
                text = format!("{{{}:{text}}}", json!(name));
            }
            let raw = RawValue::from_string(text);
            self.content =
                Content::Json(raw.map_err(|error| Failure::because("the payload cannot be written", error))?);
        }
        self.item = format!("{split}/0");
        Ok(())
    }

    /// Turns the body into a form: of an object the members that have a text.
    fn become_form(&mut self) {
        let pairs = match &self.content {
            Content::Bytes(bytes) if self.content_type.starts_with(FORM) => {
                form_urlencoded::parse(bytes).into_owned().collect()
            }
            Content::Json(data) => match serde_json::from_str(data.get()) {
                Ok(Value::Object(members)) => {
                    let pair = |(name, value)| Some((name, text(&value)?));
                    members.into_iter().filter_map(pair).collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        self.content = Content::Form(pairs);
        FORM.clone_into(&mut self.content_type);
    }

    /// Where an id of its own goes: the first alternative that the router would take and that is not the
    /// content alone; else the first that can be added to the body.
    fn places_of_id(&self, mapping: &Mapping, filled: &[Filled], data: Data) -> Vec<Place> {
        let alternatives: Vec<_> = mapping
            .id
            .iter()
            .flatten()
            .filter_map(|text| places(text))
            .collect();
        let is_free = |place: &Place| !filled.iter().any(|(known, _)| known == place);
        let has = |place: &Place| match place {
            Place::Header(_) | Place::Query(_) => true,
            Place::Form(_) => matches!(self.content, Content::Form(_)),
            Place::Json(pointer) => self.at(pointer).is_some_and(|value| value.is_string()),
        };
        let could_have = |place: &Place| match place {
            Place::Json(_) => matches!(self.content, Content::Json(_) | Content::Changed(_)),
            other => has(other),
        };
        let taken = alternatives.iter().find(|places| places.iter().all(has));
        let own = |places: &&Vec<Place>| places.iter().any(is_free);
        let added = || {
            let mut possible = alternatives.iter().filter(|places| places.iter().all(could_have));
            possible.find(own)
        };
        let places = taken.filter(own).or_else(added).cloned().unwrap_or_default();
        let is_ours =
            |place: &Place| data == Data::Sample || !matches!(place, Place::Json(_) | Place::Form(_));
        places
            .into_iter()
            .filter(|place| is_free(place) && is_ours(place))
            .collect()
    }

    /// What stands at a pointer of the item.
    fn at(&self, pointer: &str) -> Option<Value> {
        let pointer = format!("{}{pointer}", self.item);
        match &self.content {
            Content::Json(data) => serde_json::from_str::<Value>(data.get())
                .ok()?
                .pointer(&pointer)
                .cloned(),
            Content::Changed(value) => value.pointer(&pointer).cloned(),
            Content::Form(_) | Content::Bytes(_) => None,
        }
    }

    fn set(&mut self, place: &Place, value: &str) -> Result<(), Failure> {
        let into = |pairs: &mut Vec<(String, String)>, name: &str| {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name.to_owned(), value.to_owned()));
        };
        match (place, &mut self.content) {
            (Place::Header(name), _) => into(&mut self.headers, name),
            (Place::Query(name), _) => into(&mut self.query, name),
            (Place::Form(name), Content::Form(pairs)) => into(pairs, name),
            (Place::Json(pointer), _) => {
                let known = self.at(pointer);
                if known.as_ref().and_then(text).as_deref() == Some(value) {
                    return Ok(());
                }
                // A number stays one, such as Discord's types.
                let value = match (known, serde_json::from_str(value)) {
                    (None | Some(Value::Number(_)), Ok(number @ Value::Number(_))) => number,
                    _ => json!(value),
                };
                return self.put(&format!("{}{pointer}", self.item), value);
            }
            (Place::Form(_), _) => {}
        }
        Ok(())
    }

    /// Writes the time that the signature covers where the body has it.
    pub(super) fn put_time(
        &mut self,
        pointer: &str,
        format: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let time = match format {
            Some("milliseconds") => json!(now.as_millis()),
            Some("rfc3339") => json!(now.to_string()),
            _ => json!(now.as_seconds()),
        };
        self.put(pointer, time)
    }

    fn put(&mut self, pointer: &str, value: Value) -> Result<(), Failure> {
        let mut document = match &self.content {
            Content::Json(data) => parsed(data)?,
            Content::Changed(document) => document.clone(),
            // What is not JSON has no such place.
            Content::Form(_) | Content::Bytes(_) => return Ok(()),
        };
        let edit = Edit::at(pointer, value).map_err(Failure::usage)?;
        edit.apply(&mut document)
            .map_err(|fault| Failure::usage(format!("the payload has no place for {pointer}: {fault}")))?;
        self.content = Content::Changed(document);
        Ok(())
    }

    /// The media type of the body.
    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The body.
    pub(super) fn body(&self) -> Vec<u8> {
        match &self.content {
            Content::Json(data) => data.get().as_bytes().to_vec(),
            Content::Changed(document) => document.to_string().into_bytes(),
            Content::Form(pairs) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(pairs).finish().into_bytes()
            }
            Content::Bytes(bytes) => bytes.clone(),
        }
    }
}

fn parsed(data: &RawValue) -> Result<Value, Failure> {
    serde_json::from_str(data.get()).map_err(|error| Failure::because("the payload cannot be changed", error))
}

/// A value as templates read it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::input;

    fn shaped(preset: &str, event_type: &str, data: &str, whose: Data) -> Shape {
        let sample = Sample {
            data: Some(input::json("x", data.as_bytes().to_vec()).unwrap()),
            ..Sample::default()
        };
        let mapping = &crate::source::preset::named(preset).unwrap().events;
        let wish = Wish {
            event_type,
            id: "t-1",
            data: whose,
        };
        Shape::new(&sample, mapping, wish).unwrap()
    }

    #[test]
    fn a_sample_is_shaped_as_its_service_sends_it() {
        let github = r#"{ "ref": 1.0 }"#;
        let cases = [
            // preset, type, data, headers, body
            (
                "github",
                "github.push",
                github,
                "x-github-event=push x-github-delivery=t-1",
                github,
            ),
            (
                "github",
                "github.issues.opened",
                r#"{"action":"closed"}"#,
                "x-github-event=issues x-github-delivery=t-1",
                r#"{"action":"opened"}"#,
            ),
            (
                "stripe",
                "stripe.invoice.paid",
                r#"{"id":"evt_1","type":"invoice.paid"}"#,
                "",
                r#"{"id":"t-1","type":"invoice.paid"}"#,
            ),
            (
                "standard-webhooks",
                "order.paid",
                "{}",
                "webhook-id=t-1",
                r#"{"type":"order.paid"}"#,
            ),
            (
                "hmac-sha256",
                "a.b",
                "[1]",
                "x-event-type=a.b idempotency-key=t-1",
                "[1]",
            ),
            (
                "slack",
                "slack.app_mention",
                "{}",
                "",
                r#"{"event":{"type":"app_mention"},"event_id":"t-1"}"#,
            ),
            (
                "slack",
                "slack.command./deploy",
                "{}",
                "",
                "command=%2Fdeploy&trigger_id=t-1",
            ),
            (
                "discord",
                "discord.interaction.2",
                "{}",
                "",
                r#"{"type":2,"id":"t-1"}"#,
            ),
            (
                "twilio",
                "twilio.message.delivered",
                r#"{"To":"+1","n":[1]}"#,
                "",
                "To=%2B1&MessageStatus=delivered&MessageSid=t-1",
            ),
            (
                "sendgrid",
                "sendgrid.bounce",
                r#"{"email":"a"}"#,
                "",
                r#"[{"email":"a","event":"bounce","sg_event_id":"t-1"}]"#,
            ),
            (
                "microsoft-graph",
                "microsoft-graph.updated",
                r#"{"value":[{"id":"1","changeType":"updated"}]}"#,
                "",
                r#"{"value":[{"id":"t-1","changeType":"updated"}]}"#,
            ),
            (
                "microsoft-graph",
                "microsoft-graph.updated",
                r#"{"resource":"r"}"#,
                "",
                r#"{"value":[{"resource":"r","changeType":"updated","id":"t-1"}]}"#,
            ),
            (
                "cloudevents",
                "a.b",
                "[ 1 ]",
                "ce-specversion=1.0 ce-id=t-1 ce-type=a.b ce-source=/hookway/trigger",
                "[ 1 ]",
            ),
            // What cannot be reached is sent as it is.
            ("stripe", "github.push", r#"{"id":"x"}"#, "", r#"{"id":"t-1"}"#),
        ];
        for (preset, event_type, data, headers, body) in cases {
            let shape = shaped(preset, event_type, data, Data::Sample);
            let shown: Vec<_> = shape
                .headers
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            assert_eq!(shown.join(" "), headers, "{preset} {event_type}");
            let made = String::from_utf8(shape.body()).unwrap();
            let (made_json, body_json) = (
                serde_json::from_str::<Value>(&made),
                serde_json::from_str::<Value>(body),
            );
            match (made_json, body_json) {
                (Ok(made), Ok(body)) => assert_eq!(made, body, "{preset} {event_type}"),
                _ => assert_eq!(made, body, "{preset} {event_type}"),
            }
        }
        assert_eq!(
            shaped("github", "github.push", github, Data::Sample).body(),
            github.as_bytes()
        );
    }

    #[test]
    fn data_that_was_given_keeps_its_id() {
        let data = r#"{ "id": "evt_1", "type": "invoice.paid" }"#;
        let shape = shaped("stripe", "stripe.invoice.paid", data, Data::Given);
        assert_eq!(shape.body(), data.as_bytes());
        let shape = shaped("github", "github.push", "{ }", Data::Given);
        assert_eq!((shape.headers.len(), shape.body()), (2, b"{ }".to_vec()));
    }

    #[test]
    fn a_signed_time_is_that_of_the_request() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        for (format, expected) in [
            (None, json!(1_700_000_000)),
            (Some("milliseconds"), json!(1_700_000_000_123_i64)),
            (Some("rfc3339"), json!("2023-11-14T22:13:20.123Z")),
        ] {
            let mut shape = shaped("linear", "linear.Issue.create", "{}", Data::Sample);
            shape.put_time("/webhookTimestamp", format, now).unwrap();
            let body: Value = serde_json::from_slice(&shape.body()).unwrap();
            assert_eq!(body["webhookTimestamp"], expected);
            assert_eq!(
                (&body["type"], &body["action"]),
                (&json!("Issue"), &json!("create"))
            );
        }
    }
}
