//! Turns a lead into a short message, in the form that most chat tools take.

use hookway_plugin::prelude::*;

/// The configuration, as a subscription gives it. Its JSON Schema is made from this type.
#[config]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What stands before the name.
    #[serde(default = "greeting")]
    greeting: String,
}

fn greeting() -> String {
    "New lead".to_owned()
}

/// What the plugin needs of the event's data. Whatever else is there is not read.
#[data]
struct Lead {
    name: String,
    company: Option<String>,
}

/// The plugin, configured.
pub struct Message {
    settings: Settings,
}

impl Plugin for Message {
    type Config = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Problem>> {
        if settings.greeting.trim().is_empty() {
            return Err(vec![Problem::at("/greeting", "must say something")]);
        }
        Ok(Self { settings })
    }

    fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
        // Data that does not fit fails the delivery, and says where: line, column, field.
        let lead: Lead = event.json()?;
        let mut text = format!("{}: {}", self.settings.greeting, lead.name);
        if let Some(company) = lead.company {
            text.push_str(&format!(" ({company})"));
        }
        deliver(Request::json(&json!({ "text": text }))?)
    }
}

hookway_plugin::export!(Message);

#[cfg(test)]
mod tests {
    use super::*;
    use hookway_plugin::testing::{event, problems, run};

    #[test]
    fn a_lead_becomes_a_message() {
        let lead = event("lead.created", json!({"name": "Ada", "company": "Engines"}));
        let message = run::<Message>(json!({"greeting": "Say hello to"}), &lead).json();
        assert_eq!(message, json!({"text": "Say hello to: Ada (Engines)"}));
    }

    #[test]
    fn a_greeting_says_something() {
        assert_eq!(
            problems::<Message>(json!({"greeting": " "}))[0].pointer,
            "/greeting"
        );
    }
}
