//! The built-in samples: bodies as well-known services send them.

/// A sample event.
#[derive(Debug)]
pub(super) struct Known {
    /// Its type.
    pub(super) event_type: &'static str,
    /// Where it comes from.
    pub(super) source: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    /// Its payload, JSON.
    pub(super) data: &'static str,
}

macro_rules! samples {
    ($($name:literal $source:literal $about:literal;)*) => {
        /// Every built-in sample, by type.
        pub(super) const SAMPLES: &[Known] = &[$(Known {
            event_type: $name,
            source: $source,
            about: $about,
            data: include_str!(concat!("../samples/", $name, ".json")),
        },)*];
    };
}

samples! {
    "alert.created" "workflows" "a critical alert, as WorkFlows sends it";
    "github.issues.opened" "github" "an issue was opened, as GitHub sends it";
    "github.push" "github" "a push, as GitHub sends it";
    "lead.created" "website" "a contact form was filled in";
    "order.paid" "shop" "an order was paid";
    "stripe.invoice.paid" "stripe" "an invoice was paid, as Stripe sends it";
    "user.created" "app" "somebody signed up";
}

/// The sample of a type.
pub(super) fn of(event_type: &str) -> Option<&'static Known> {
    SAMPLES.iter().find(|sample| sample.event_type == event_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_a_json_object_of_a_type_that_can_be_sent() {
        for sample in SAMPLES {
            let data: serde_json::Value = serde_json::from_str(sample.data).unwrap();
            assert!(data.is_object(), "{}", sample.event_type);
            assert!(
                crate::event::check_type(sample.event_type).is_ok(),
                "{}",
                sample.event_type
            );
        }
        assert!(SAMPLES.is_sorted_by_key(|sample| sample.event_type));
        assert!(of("order.paid").is_some() && of("order").is_none());
    }
}
