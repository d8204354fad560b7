//! Tests of plugins, without WebAssembly and without Hookway.
//!
//! [`run`] configures a plugin from JSON and gives it an event, through the same steps as in a
//! guest; the [`Run`] that comes back holds what it decided and the lines that it logged. The
//! methods of `Run` panic with the whole run where it ended otherwise than expected.
//!
//! ```
//! use hookway_plugin::prelude::*;
//! use hookway_plugin::testing;
//!
//! struct Echo;
//! impl Plugin for Echo {
//!     type Config = NoConfig;
//!     fn configure(_: NoConfig) -> Result<Self, Vec<Problem>> { Ok(Echo) }
//!     fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
//!         log::info!("echoing {} bytes", event.data.len());
//!         deliver(Request::new(event.data.clone()))
//!     }
//! }
//!
//! let event = testing::event("lead.created", json!({"name": "Ada"}));
//! let run = testing::run::<Echo>(json!({}), &event);
//! assert_eq!(run.json(), json!({"name": "Ada"}));
//! run.assert_logged(log::Level::Info, "14 bytes");
//! ```

use crate::event::{Context, Event};
use crate::export::{self, Exported, Slot};
use crate::log::{self, Level, Sink};
use crate::manifest::Manifest;
use crate::outcome::{Failure, Outcome};
use crate::plugin::{Plugin, Problem};
use crate::request::{Output, Request};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;

/// An event of this type with JSON data, from the source `test`. All fields are public. The time is
/// written as Hookway writes it, with milliseconds.
pub fn event(event_type: &str, data: Value) -> Event {
    Event {
        id: "test-1".to_owned(),
        source: "test".to_owned(),
        event_type: event_type.to_owned(),
        subject: None,
        time: "2026-01-02T03:04:05.000Z".to_owned(),
        content_type: "application/json".to_owned(),
        attributes: Vec::new(),
        tenant: "default".to_owned(),
        data: data.to_string().into_bytes(),
    }
}

/// An event as it is posted to `/api/v1/events`: `{"type": …, "data": …}` with `id`, `source`,
/// `subject`, `time`, `datacontenttype` and `extensions` where they are given, and `headers` as those
/// of the request that brought it. What a file in `fixtures` holds: `hookway plugin test` reads the
/// same, and puts the same in place of what is not given.
///
/// # Panics
/// Where the text is not such an event.
pub fn event_from_json(text: &str) -> Event {
    let given: Value = serde_json::from_str(text).expect("an event in JSON");
    let string = |name: &str| given.get(name)?.as_str().map(str::to_owned);
    let event_type = string("type").expect("an event has a `type`");
    let mut event = event(&event_type, given.get("data").cloned().unwrap_or(Value::Null));
    event.id = string("id").unwrap_or(event.id);
    event.source = string("source").unwrap_or(event.source);
    event.time = string("time").unwrap_or(event.time);
    event.subject = string("subject");
    event.content_type = string("datacontenttype").unwrap_or(event.content_type);
    if let (false, Some(text)) = (event.is_json(), string("data")) {
        event.data = text.into_bytes();
    }
    for name in ["extensions", "headers"] {
        let members = given.get(name).and_then(Value::as_object);
        for (name, value) in members.into_iter().flatten() {
            let name = name.to_ascii_lowercase();
            if event.attribute(&name).is_none() {
                let value = value.as_str().expect("attributes and headers are strings");
                event.attributes.push((name, value.to_owned()));
            }
        }
    }
    event
}

/// A context with made-up ids, in the first run.
pub fn context() -> Context {
    Context {
        subscription_id: "sub_test".to_owned(),
        subscription_key: None,
        delivery_id: "dlv_test".to_owned(),
        run_number: 1,
    }
}

/// What a plugin says of itself.
pub fn describe<P: Exported>() -> Manifest {
    Manifest::of::<P>()
}

/// The JSON Schema of a plugin's configuration.
///
/// # Panics
/// Never: the schema is made as JSON.
pub fn schema<P: Exported>() -> Value {
    let text = Manifest::of::<P>().config_schema;
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// The faults that a plugin finds in a configuration; none where it accepts it.
pub fn problems<P: Plugin>(config: Value) -> Vec<Problem> {
    let slot = Slot::<P>::new(None);
    export::configure(&slot, config.to_string().as_bytes())
        .err()
        .unwrap_or_default()
}

/// Configures a plugin and runs it on an event.
///
/// # Panics
/// Where the plugin refuses the configuration.
pub fn run<P: Plugin>(config: Value, event: &Event) -> Run {
    run_with::<P>(config, event, &context())
}

/// As [`run`], for this context.
///
/// # Panics
/// Where the plugin refuses the configuration.
pub fn run_with<P: Plugin>(config: Value, event: &Event, context: &Context) -> Run {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let previous = log::replace_sink(Some(Box::new(Capture(Rc::clone(&lines)))));
    let slot = Slot::<P>::new(None);
    let configured = export::configure(&slot, config.to_string().as_bytes());
    let result = configured.map(|()| export::transform(&slot, event, context));
    log::replace_sink(previous);
    match result {
        Ok(result) => Run {
            result,
            log: lines.take(),
        },
        Err(problems) => {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            panic!("the plugin refused the configuration: {}", problems.join("; "))
        }
    }
}

struct Capture(Rc<RefCell<Vec<Line>>>);

impl Sink for Capture {
    fn write(&mut self, level: Level, text: &str) {
        self.0.borrow_mut().push(Line {
            level,
            text: text.to_owned(),
        });
    }

    fn lowest(&mut self) -> Level {
        Level::Trace
    }
}

/// A line that a plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// What a run decided and logged.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the plugin answered.
    pub result: Result<Outcome, Failure>,
    /// What it logged, while it was configured and while it ran.
    pub log: Vec<Line>,
}

impl Run {
    /// What is sent.
    ///
    /// # Panics
    /// Where nothing is.
    #[track_caller]
    pub fn output(&self) -> &Output {
        match &self.result {
            Ok(Outcome::Deliver(output)) => output,
            _ => panic!("expected a delivery, got {self:?}"),
        }
    }

    /// The one request.
    ///
    /// # Panics
    /// Where there is another number of them.
    #[track_caller]
    pub fn request(&self) -> &Request {
        match self.output().requests.as_slice() {
            [request] => request,
            requests => panic!("expected one request, got {}: {self:?}", requests.len()),
        }
    }

    /// The JSON in the body of the one request.
    ///
    /// # Panics
    /// Where there is another number of them, or another thing in it.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.request().body) {
            Ok(value) => value,
            Err(error) => panic!("expected JSON in the body, got {error}: {self:?}"),
        }
    }

    /// Why the event was filtered.
    ///
    /// # Panics
    /// Where it was not.
    #[track_caller]
    pub fn filtered(&self) -> &str {
        match &self.result {
            Ok(Outcome::Filtered(reason)) => reason,
            _ => panic!("expected a filtered event, got {self:?}"),
        }
    }

    /// How the run failed.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn failure(&self) -> &Failure {
        match &self.result {
            Err(failure) => failure,
            Ok(_) => panic!("expected a failure, got {self:?}"),
        }
    }

    /// Checks that a line of this level with this text in it was logged.
    ///
    /// # Panics
    /// Where none was.
    #[track_caller]
    pub fn assert_logged(&self, level: Level, text: &str) {
        let found = self
            .log
            .iter()
            .any(|line| line.level == level && line.text.contains(text));
        assert!(
            found,
            "no line of the level {level:?} says `{text}`: {:#?}",
            self.log
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fixture_is_an_event_as_it_is_posted() {
        let event = event_from_json(
            r#"{"type": "sms", "data": "Body=Hi", "datacontenttype": "application/x-www-form-urlencoded",
                "extensions": {"region": "eu"}, "headers": {"X-Kind": "text", "region": "us"}}"#,
        );
        assert_eq!(event.value(), Ok(json!({"Body": "Hi"})));
        assert_eq!((event.id.as_str(), event.source.as_str()), ("test-1", "test"));
        assert_eq!(event.header("x-kind"), Some("text"));
        assert_eq!(event.attribute("region"), Some("eu"));
    }
}
