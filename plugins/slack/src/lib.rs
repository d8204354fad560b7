//! The plugin `slack`: any event becomes a message for a Slack incoming webhook.
//!
//! Without configuration it finds title, text and fields by their usual names, and knows GitHub's
//! pushes. Templates replace what it finds, filters keep away what nobody wants in a channel. What
//! comes from an event can neither ping anybody nor break a message: see `text` and `message`.

mod config;
mod data;
mod generic;
mod github;
mod message;
mod pattern;
mod severity;
mod template;
mod text;

pub use config::{Config, Field, Link};
pub use severity::Severity;

use data::Data;
use hookway_plugin::prelude::*;
use message::{Message, Part};
use template::Template;

/// The plugin, configured.
pub struct Slack {
    title: Option<Template>,
    text: Option<Template>,
    fields: Option<Vec<(Template, Template)>>,
    link: Option<(Template, Template)>,
    types: Vec<String>,
    min_severity: Option<Severity>,
    severity_pointers: Vec<String>,
    color: bool,
}

impl Plugin for Slack {
    type Config = Config;
    const WANTS_HEADERS: &'static [&'static str] = &["x-github-event"];

    fn configure(config: Config) -> Result<Self, Vec<Problem>> {
        config::check(config)
    }

    fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
        if !pattern::fits(&self.types, &event.event_type) {
            return filtered(format!("the type {} is not among `types`", event.event_type));
        }
        // A producer may send JSON without saying so, and something else where it said JSON: both
        // are still worth a message. A web form is as good as an object.
        let data = Data::of(event);
        let word = data
            .as_ref()
            .and_then(|data| severity::word(data, &self.severity_pointers));
        let severity = word.and_then(Severity::read);
        match (self.min_severity, severity, word) {
            (Some(least), Some(severity), _) if severity < least => {
                return filtered(format!(
                    "the severity {} is below `min_severity` {}",
                    severity.name(),
                    least.name()
                ));
            }
            (Some(_), None, None) => {
                let places = self.severity_pointers.join(" or ");
                return filtered(format!("the data has no severity at {places}"));
            }
            // Too loud is better than lost.
            (Some(_), None, Some(word)) => {
                log::warn!("the severity `{word}` is unknown; the event is sent anyway");
            }
            _ => {}
        }
        let mut message = self.message(event, data.as_ref());
        if self.color {
            message.color = severity.map(Severity::color);
        }
        message.parts.push(generic::context(event));
        deliver(Request::json(&message.body())?.header("content-type", "application/json"))
    }
}

impl Slack {
    fn message<'a>(&self, event: &'a Event, data: Option<&'a Data<'_>>) -> Message<'a> {
        let found = match data {
            Some(data) => github::push(event, data).unwrap_or_else(|| generic::from_json(event, data)),
            None => generic::from_bytes(event),
        };
        self.overlay(found, event, data.unwrap_or(&Data::Null))
    }

    /// Replaces what was found by what is configured. A text stands for everything between title
    /// and link, unless fields are configured as well.
    fn overlay<'a>(&self, found: Message<'a>, event: &'a Event, data: &'a Data<'_>) -> Message<'a> {
        let mut message = found;
        if let Some(title) = &self.title {
            let title = title.fill(event, data);
            // Slack takes no empty title; what was found is better than nothing.
            if !title.trim().is_empty() {
                message.title = title.into();
            }
        }
        if let Some(text) = &self.text {
            let text = text.fill(event, data);
            message.summary = text.clone().into();
            message.parts = vec![Part::Text(text.into())];
        }
        if let Some(fields) = &self.fields {
            message.parts.retain(|part| !matches!(part, Part::Fields(_)));
            let fill = |template: &Template| template.fill(event, data);
            let fields = fields.iter().map(|(name, value)| (fill(name), fill(value)));
            let fields = fields.filter(|(_, value)| !value.trim().is_empty());
            let fields = fields.map(|(name, value)| (name.into(), value.into()));
            message.parts.push(Part::Fields(fields.collect()));
        }
        if let Some((url, label)) = &self.link {
            let url = url.fill_raw(event, data);
            let label = label.fill(event, data);
            let label = if label.trim().is_empty() { "Open" } else { &label };
            match text::link(&url, label) {
                Some(link) => message.parts.push(Part::Text(link.into())),
                None if url.is_empty() => {}
                None => log::warn!("the link is left out: it is no http address"),
            }
        }
        message
    }
}

hookway_plugin::export!(Slack as "slack");

#[cfg(test)]
mod tests;
