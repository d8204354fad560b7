//! What a plugin is given: an event, and for whom it is being reshaped.
//!
//! The fields are those of the contract (`wit/types.wit`). The methods are the ways in which plugins
//! read them; each turns bad data into a failure that says where the fault is.

use crate::form;
use crate::outcome::{Failure, reject};
use serde::Deserialize;
use serde_json::Value;

/// An immutable fact with the attributes of CloudEvents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique per `source`: the producer's own id, or Hookway's where the producer gave none.
    pub id: String,
    /// Where the event entered, such as `api` or the name of an inbound webhook.
    pub source: String,
    /// The event type, such as `alert.created`.
    pub event_type: String,
    /// What the event is about within its source, if the producer said so.
    pub subject: Option<String>,
    /// When it happened, RFC 3339 in UTC.
    pub time: String,
    /// The media type of `data`, such as `application/json`.
    pub content_type: String,
    /// CloudEvents extension attributes, then the headers named in [`crate::Plugin::WANTS_HEADERS`]
    /// as far as the event's request had them. Names are lower-case; a header with the name of an
    /// extension attribute of the event is left out.
    pub attributes: Vec<(String, String)>,
    /// The tenant that owns the event.
    pub tenant: String,
    /// The payload, byte for byte as it came, or as the plugin before this one left it.
    pub data: Vec<u8>,
}

impl Event {
    /// Reads the data as JSON into a type, whatever the content type says. Data that does not fit
    /// is rejected with line and column.
    ///
    /// A type that names only the fields it needs, and borrows its strings, is several times faster
    /// than a `serde_json::Value`.
    ///
    /// # Errors
    /// [`Failure::Reject`] where the data is not JSON or lacks a field.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.data).map_err(|error| {
            let what = if error.is_data() {
                "the data does not have the expected shape"
            } else {
                "the data is not JSON"
            };
            reject(format!("{what}: {error}"))
        })
    }

    /// Reads the data as text.
    ///
    /// # Errors
    /// [`Failure::Reject`] where the data is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.data).map_err(|error| {
            reject(format!(
                "the data is not text: no UTF-8 at byte {}",
                error.valid_up_to()
            ))
        })
    }

    /// Reads the data as the pairs of a web form (`application/x-www-form-urlencoded`), in order,
    /// whatever the content type says. Any bytes are some form, so nothing is an error.
    pub fn form(&self) -> Vec<(String, String)> {
        form::pairs(&self.data)
    }

    /// The data as a tree, whether it came as JSON or as a web form: a form becomes an object of
    /// strings, with an array of them for a name that comes more than once. So one plugin serves
    /// services that send either.
    ///
    /// # Errors
    /// [`Failure::Reject`] where the content type does not say that it is a form, and the data is not
    /// JSON.
    pub fn value(&self) -> Result<Value, Failure> {
        if self.is_form() {
            Ok(form::object(&self.data))
        } else {
            self.json()
        }
    }

    /// Whether the content type says that the data is JSON: `application/json`, `text/json` or a
    /// type that ends in `+json`.
    pub fn is_json(&self) -> bool {
        let essence = self.essence();
        let ending = essence.len().checked_sub(5).and_then(|at| essence.get(at..));
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        is("application/json")
            || is("text/json")
            || ending.is_some_and(|ending| ending.eq_ignore_ascii_case("+json"))
    }

    /// Whether the content type says that the data is a web form.
    pub fn is_form(&self) -> bool {
        self.essence()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    fn essence(&self) -> &str {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        essence.trim()
    }

    /// A header of the request that brought the event, in whatever case, if it is named in
    /// [`crate::Plugin::WANTS_HEADERS`]. Only events of sources have headers, and never those that
    /// carry credentials. The first, where there are several.
    ///
    /// Headers lie among the attributes, so an extension attribute of that name is found as well, and
    /// stands before a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.attribute(name)
    }

    /// The first attribute (or requested header) of that name, in whatever case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self
            .attributes
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// For whom an event is being reshaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The public id of the subscription, `sub_…`.
    pub subscription_id: String,
    /// The operator's own name for the subscription in paths, if it has one.
    pub subscription_key: Option<String>,
    /// The public id of the delivery, `dlv_…`; the same in every run for it.
    pub delivery_id: String,
    /// 1 for the first run for this delivery, then counting up.
    pub run_number: u32,
}

#[cfg(test)]
mod tests {
    use crate::testing::event;
    use crate::{Failure, data};
    use serde_json::json;

    #[data]
    struct Lead<'a> {
        name: &'a str,
    }

    #[test]
    fn json_borrows_from_the_event() {
        let event = event("lead.created", json!({"name": "Ada", "more": 1}));
        assert_eq!(event.json::<Lead<'_>>().expect("it fits").name, "Ada");
    }

    #[test]
    fn bad_json_is_rejected_with_its_place() {
        let mut event = event("lead.created", json!({"nme": "Ada"}));
        let Err(Failure::Reject(text)) = event.json::<Lead<'_>>() else {
            panic!("a field is missing")
        };
        assert_eq!(
            text,
            "the data does not have the expected shape: missing field `name` at line 1 column 13"
        );
        event.data = b"{\n  \"name\": oops}".to_vec();
        let Err(Failure::Reject(text)) = event.json::<Lead<'_>>() else {
            panic!("no JSON")
        };
        assert_eq!(text, "the data is not JSON: expected value at line 2 column 11");
        event.data = b"ab\xff".to_vec();
        let Err(Failure::Reject(text)) = event.text() else {
            panic!("no UTF-8")
        };
        assert_eq!(text, "the data is not text: no UTF-8 at byte 2");
    }

    #[test]
    fn content_types_that_are_json() {
        let mut event = event("a", json!(null));
        for (content_type, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("application/cloudevents+JSON", true),
            ("text/plain", false),
            ("", false),
        ] {
            event.content_type = content_type.to_owned();
            assert_eq!(event.is_json(), expected, "{content_type}");
        }
    }

    #[test]
    fn a_value_comes_from_json_and_from_forms() {
        let mut event = event("sms.received", json!({"Body": "Hi"}));
        assert_eq!(event.value(), Ok(json!({"Body": "Hi"})));
        event.data = b"Body=Hi+there&Media=a&Media=b".to_vec();
        assert!(matches!(event.value(), Err(Failure::Reject(_))));
        event.content_type = "Application/X-WWW-Form-Urlencoded; charset=utf-8".to_owned();
        assert!(event.is_form() && !event.is_json());
        assert_eq!(
            event.value(),
            Ok(json!({"Body": "Hi there", "Media": ["a", "b"]}))
        );
        assert_eq!(event.form()[0], ("Body".to_owned(), "Hi there".to_owned()));
    }

    #[test]
    fn attributes_are_found_in_any_case() {
        let mut event = event("a", json!(null));
        event.attributes.push(("x-github-event".into(), "push".into()));
        assert_eq!(event.attribute("X-GitHub-Event"), Some("push"));
        assert_eq!(event.header("X-GitHub-Event"), Some("push"));
        assert_eq!(event.attribute("traceparent"), None);
    }
}
