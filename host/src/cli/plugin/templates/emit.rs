//! Sends every alert on as it came, and raises one more event for those that cannot wait: other
//! subscriptions can wake people for `alert.critical` without a filter of their own.

use hookway_plugin::prelude::*;

/// The configuration, as a subscription gives it. Its JSON Schema is made from this type.
#[config]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The severity that cannot wait.
    #[serde(default = "critical")]
    severity: String,
}

fn critical() -> String {
    "critical".to_owned()
}

/// What the plugin needs of the event's data. Whatever else is there is not read.
#[data]
struct Alert {
    title: String,
    severity: String,
}

/// The plugin, configured.
pub struct Escalation {
    settings: Settings,
}

impl Plugin for Escalation {
    type Config = Settings;
    const EVENT_TYPES: &'static [&'static str] = &["alert.created"];

    fn configure(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self { settings })
    }

    fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
        let alert: Alert = event.json()?;
        let mut output = Output::from(Request::new(event.data.clone()));
        if alert.severity == self.settings.severity {
            // It enters as a new event, with an id of its own; a hop limit stops loops.
            let raised = EmittedEvent::json("alert.critical", &json!({ "title": alert.title }))?;
            output = output.emit(raised.subject(event.id.as_str()));
        }
        deliver(output)
    }
}

hookway_plugin::export!(Escalation);

#[cfg(test)]
mod tests {
    use super::*;
    use hookway_plugin::testing::{event, run};

    #[test]
    fn only_what_cannot_wait_raises_an_event() {
        let raised = |severity| {
            let alert = event(
                "alert.created",
                json!({"title": "Disk full", "severity": severity}),
            );
            run::<Escalation>(json!({}), &alert).output().events.clone()
        };
        assert_eq!(raised("critical")[0].event_type, "alert.critical");
        assert!(raised("low").is_empty());
    }
}
