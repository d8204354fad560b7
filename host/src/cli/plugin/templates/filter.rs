//! Lets through what is worth at least so much, as it came.

use hookway_plugin::prelude::*;

/// The configuration, as a subscription gives it. Its JSON Schema is made from this type.
#[config]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The least amount that is let through.
    at_least: f64,
}

/// What the plugin needs of the event's data. Whatever else is there is not read.
#[data]
struct Order {
    amount: f64,
}

/// The plugin, configured.
pub struct Gate {
    settings: Settings,
}

impl Plugin for Gate {
    type Config = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self { settings })
    }

    fn transform(&self, event: &Event, _: &Context) -> Result<Outcome, Failure> {
        let order: Order = event.json()?;
        if order.amount < self.settings.at_least {
            // The reason is shown to people: on the delivery, and in `hookway tail`.
            return filtered(format!(
                "{} is less than {}",
                order.amount, self.settings.at_least
            ));
        }
        // Byte for byte: what passes is not written anew.
        deliver(Request::new(event.data.clone()))
    }
}

hookway_plugin::export!(Gate);

#[cfg(test)]
mod tests {
    use super::*;
    use hookway_plugin::testing::{event, run};

    #[test]
    fn small_orders_are_kept_away() {
        let run = |amount: f64| {
            let order = event("order.paid", json!({ "amount": amount }));
            run::<Gate>(json!({"at_least": 100.0}), &order)
        };
        assert_eq!(run(99.5).filtered(), "99.5 is less than 100");
        assert_eq!(run(100.0).json(), json!({"amount": 100.0}));
    }
}
