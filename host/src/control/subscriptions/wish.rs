//! What is wished of a subscription: for every field keep, clear or set; laid over what is there. Pure.

use std::num::NonZeroU16;

use super::super::set::Set;
use crate::id::{SubscriptionId, TenantId};
use crate::profile::Choice;
use crate::retry::Schedule;
use crate::secret::Secret;
use crate::subscription::{Endpoint, Envelope, Isolation, PluginStep, RateLimit, Status, Subscription};
use crate::time::Timestamp;

/// The reason where a person gave none.
pub(super) const SWITCHED_OFF: &str = "switched off";

/// What is wished of a subscription.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// A name for people; needed.
    pub name: Set<String>,
    /// The slug that stands for the id.
    pub key: Set<String>,
    /// Where it goes; needed.
    pub url: Set<Secret>,
    /// Patterns; at least one.
    pub events: Set<Vec<String>>,
    /// A CEL expression.
    pub filter: Set<String>,
    /// The plugins, in order.
    pub plugins: Set<Vec<PluginStep>>,
    /// The profile's name.
    pub profile: Set<Choice>,
    /// When attempts are made, in place of what the profile says.
    pub retry: Set<Schedule>,
    /// The time for one attempt, in place of the profile's.
    pub timeout_seconds: Set<NonZeroU16>,
    /// Whether the profile's envelope goes around a plugin's body.
    pub envelope: Set<Envelope>,
    /// Whether instances are kept.
    pub isolation: Set<Isolation>,
    /// Headers added to every request.
    pub headers: Set<Vec<(String, Secret)>>,
    /// Requests in flight at once.
    pub max_in_flight: Set<NonZeroU16>,
    /// Requests per time.
    pub rate_limit: Set<RateLimit>,
    /// Whether 410 disables.
    pub disable_on_gone: Set<bool>,
    /// Whether deliveries go out.
    pub enabled: Set<bool>,
    /// The signing secret, or none at all; only for a new subscription.
    pub secret: Set<Secret>,
}

/// A subscription with nothing but defaults.
pub(super) fn blank(id: SubscriptionId, tenant: TenantId, now: Timestamp, profile: Choice) -> Subscription {
    Subscription {
        id,
        tenant,
        key: None,
        name: String::new(),
        status: Status::Enabled,
        events: Vec::new(),
        filter: None,
        plugins: Vec::new(),
        endpoint: Endpoint {
            url: Secret::new(""),
            headers: Vec::new(),
            secrets: Vec::new(),
            max_in_flight: None,
            rate_limit: None,
            disable_on_gone: true,
        },
        profile,
        retry: None,
        timeout_seconds: None,
        envelope: Envelope::default(),
        isolation: Isolation::default(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Lays a wish over a subscription.
pub(super) fn lay(wish: Wish, onto: &mut Subscription, now: Timestamp, profile: Choice) {
    wish.name.onto(&mut onto.name, String::new);
    wish.key.onto_optional(&mut onto.key);
    wish.url.onto(&mut onto.endpoint.url, || Secret::new(""));
    wish.events.onto(&mut onto.events, Vec::new);
    wish.filter.onto_optional(&mut onto.filter);
    wish.plugins.onto(&mut onto.plugins, Vec::new);
    wish.profile.onto(&mut onto.profile, || profile);
    wish.retry.onto_optional(&mut onto.retry);
    wish.timeout_seconds.onto_optional(&mut onto.timeout_seconds);
    wish.envelope.onto(&mut onto.envelope, Envelope::default);
    wish.isolation.onto(&mut onto.isolation, Isolation::default);
    wish.headers.onto(&mut onto.endpoint.headers, Vec::new);
    wish.max_in_flight.onto_optional(&mut onto.endpoint.max_in_flight);
    wish.rate_limit.onto_optional(&mut onto.endpoint.rate_limit);
    wish.disable_on_gone
        .onto(&mut onto.endpoint.disable_on_gone, || true);
    match wish.enabled {
        Set::Keep => {}
        Set::Clear | Set::To(true) => onto.status = Status::Enabled,
        // Who was switched off before stays so, with the reason and the time of then.
        Set::To(false) if matches!(onto.status, Status::Disabled { .. }) => {}
        Set::To(false) => {
            onto.status = Status::Disabled {
                since: now,
                reason: SWITCHED_OFF.to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_keeps_clears_and_sets() {
        let now = Timestamp::from_millis(5);
        let mut subscription = blank(
            SubscriptionId::from_number(1),
            TenantId::from_number(1),
            now,
            Choice::default(),
        );
        let wish = Wish {
            name: Set::To("n".into()),
            filter: Set::To("true".into()),
            retry: Set::To(Schedule::default()),
            timeout_seconds: Set::To(NonZeroU16::MIN),
            max_in_flight: Set::To(NonZeroU16::MIN),
            enabled: Set::To(false),
            ..Wish::default()
        };
        lay(wish, &mut subscription, now, Choice::default());
        assert_eq!(subscription.name, "n");
        assert!(matches!(subscription.status, Status::Disabled { since, .. } if since == now));
        lay(Wish::default(), &mut subscription, now, Choice::default());
        assert_eq!(subscription.retry, Some(Schedule::default()), "kept");
        assert_eq!(subscription.timeout_seconds, Some(NonZeroU16::MIN), "kept");
        let wish = Wish {
            filter: Set::Clear,
            retry: Set::Clear,
            timeout_seconds: Set::Clear,
            max_in_flight: Set::Clear,
            enabled: Set::To(false),
            ..Wish::default()
        };
        lay(
            wish,
            &mut subscription,
            Timestamp::from_millis(9),
            Choice::default(),
        );
        assert_eq!(
            (subscription.name.as_str(), subscription.filter.as_deref()),
            ("n", None)
        );
        assert_eq!((&subscription.retry, subscription.timeout_seconds), (&None, None));
        assert_eq!(subscription.endpoint.max_in_flight, None);
        assert!(matches!(subscription.status, Status::Disabled { since, .. } if since == now));
    }
}
