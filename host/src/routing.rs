//! Which subscriptions an event goes to, and why not to the others.
//!
//! A [`Route`] is a subscription with its patterns and its filter compiled; compiling is also how a
//! subscription is checked when it is saved. The [`Table`] finds the routes of an event by a few hash
//! lookups, whatever the number of subscriptions, and asks the filters of these candidates only.
//!
//! An event of Hookway's own goes to every subscription that wants it but the one that it is about
//! ([`own_event`]): a failing endpoint is not told that it fails.
//!
//! Status plays no part here: a disabled or held subscription still gets its deliveries, which wait.

mod filter;
mod pattern;
mod table;
mod value;

use std::sync::Arc;
use std::time::Duration;

pub use filter::{
    FILTER_DATA_BYTES_MAX, Filter, FilterContext, FilterError, FilterFault, MATCHES_MAX, NESTING_MAX,
    NODES_MAX, REGEX_BYTES_MAX,
};
pub use pattern::{Pattern, PatternFault};
pub use table::{Explanation, Matches, Table};

use crate::event::Event;
use crate::id::DeliveryId;
use crate::own_event;
use crate::profile::{About, Edition, OperationalEvents};
use crate::retry::Schedule;
use crate::subscription::{PATTERNS_MAX, Subscription};

/// A subscription, compiled.
#[derive(Debug)]
pub struct Route {
    subscription: Arc<Subscription>,
    edition: Arc<Edition>,
    owner: Arc<str>,
    patterns: Vec<Pattern>,
    /// Types of Hookway's own events that a pattern matches under the name that the profile gives them, each
    /// with the place of that pattern.
    named: Vec<(Pattern, usize)>,
    filter: Option<Arc<Filter>>,
}

/// What is wrong with a subscription's patterns or filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct RouteError {
    /// A JSON pointer into the subscription.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl Route {
    /// Compiles patterns and filter. `edition` is the version of its profile that the subscription has
    /// now, `owner` what its tenant is called in deliveries.
    pub fn compile(
        subscription: Arc<Subscription>,
        edition: Arc<Edition>,
        owner: Arc<str>,
    ) -> Result<Self, RouteError> {
        let error = |pointer: &str, detail: &dyn std::fmt::Display| RouteError {
            pointer: pointer.to_owned(),
            detail: detail.to_string(),
        };
        match subscription.events.len() {
            0 => {
                return Err(error(
                    "/events",
                    &"must name at least one event type; `*` is all of them",
                ));
            }
            count if count > PATTERNS_MAX => {
                let detail = format!("has {count} patterns, {PATTERNS_MAX} are allowed");
                return Err(error("/events", &detail));
            }
            _ => {}
        }
        let mut patterns = Vec::with_capacity(subscription.events.len());
        for (place, text) in subscription.events.iter().enumerate() {
            let pattern = Pattern::parse(text).map_err(|fault| error(&format!("/events/{place}"), &fault))?;
            patterns.push(pattern);
        }
        let filter = subscription.filter.as_deref().map(Filter::compile).transpose();
        let filter = filter.map_err(|fault| error("/filter", &fault))?;
        let named = named(&patterns, &edition.profile.operational_events);
        Ok(Self {
            subscription,
            edition,
            owner,
            patterns,
            named,
            filter: filter.map(Arc::new),
        })
    }

    /// The route of a subscription whose patterns and filter are still these: it has another status, secret
    /// or isolation, another version of its profile, or its tenant another name. Nothing is compiled anew.
    pub fn with(&self, subscription: Arc<Subscription>, edition: Arc<Edition>, owner: Arc<str>) -> Self {
        debug_assert_eq!(subscription.events, self.subscription.events, "compile it");
        debug_assert_eq!(subscription.filter, self.subscription.filter, "compile it");
        Self {
            named: named(&self.patterns, &edition.profile.operational_events),
            patterns: self.patterns.clone(),
            filter: self.filter.clone(),
            subscription,
            edition,
            owner,
        }
    }

    /// The subscription.
    pub fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// Whether a pattern matches this event type.
    pub fn wants_type(&self, event_type: &str) -> bool {
        self.pattern_for(event_type).is_some()
    }

    /// Whether more than its type says whether an event of this type goes here.
    pub fn looks_into(&self, event_type: &str) -> bool {
        self.filter.is_some() || own_event::is_own(event_type)
    }

    /// Whether its filter lets the event through, and it is not about this subscription. A filter that
    /// fails does not.
    pub fn lets_through(&self, event: &Event) -> bool {
        if own_event::about(event) == Some(self.subscription.id) {
            return false;
        }
        let mut context = FilterContext::new(event);
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.matches(&mut context).unwrap_or(false))
    }

    /// The version of its profile that the subscription has now.
    pub fn edition(&self) -> &Arc<Edition> {
        &self.edition
    }

    /// When attempts are made: as the subscription says, else as its profile does.
    pub fn schedule(&self) -> &Schedule {
        let own = self.subscription.retry.as_ref();
        own.unwrap_or(&self.edition.profile.schedule)
    }

    /// The whole time for one attempt: the subscription's, else its profile's.
    pub fn timeout(&self) -> Duration {
        let own = self.subscription.timeout_seconds;
        own.map_or(self.edition.profile.timeout, |seconds| {
            Duration::from_secs(seconds.get().into())
        })
    }

    /// What its tenant is called in deliveries.
    pub fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// What a delivery of an event to this subscription is about.
    pub fn about<'a>(&'a self, event: &'a Event, delivery: DeliveryId) -> About<'a> {
        About {
            event,
            delivery,
            subscription: self.subscription.id,
            tenant: &self.owner,
        }
    }

    /// The first pattern that matches an event type.
    fn pattern_for(&self, event_type: &str) -> Option<&Pattern> {
        let named = self.named.iter();
        let mut named = named.filter(|(own, _)| own.matches(event_type));
        let written = self.patterns.iter().find(|pattern| pattern.matches(event_type));
        written.or_else(|| named.next().and_then(|(_, place)| self.patterns.get(*place)))
    }

    /// Every pattern by which the table finds it.
    fn all_patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().chain(self.named.iter().map(|(own, _)| own))
    }

    /// Whether the event goes here, and why not.
    fn explain(&self, event: &Event, context: &mut FilterContext<'_>) -> Explanation {
        if own_event::about(event) == Some(self.subscription.id) {
            return Explanation::AboutItself;
        }
        let Some(pattern) = self.pattern_for(&event.event_type) else {
            return Explanation::NoPattern;
        };
        match self.filter.as_ref().map(|filter| filter.matches(context)) {
            None | Some(Ok(true)) => Explanation::Matched {
                pattern: pattern.to_string(),
            },
            Some(Ok(false)) => Explanation::FilterFalse,
            Some(Err(error)) => Explanation::FilterError {
                detail: error.to_string(),
            },
        }
    }
}

/// The own types that patterns match by their names in a profile. `*` names none of them, as ever.
fn named(patterns: &[Pattern], names: &OperationalEvents) -> Vec<(Pattern, usize)> {
    let place_of = |name: &str| {
        let wants = |pattern: &Pattern| *pattern != Pattern::All && pattern.matches(name);
        patterns.iter().position(wants)
    };
    let found = names
        .iter()
        .filter_map(|(own, name)| Some((Pattern::Exact(own.to_owned()), place_of(name)?)));
    found.collect()
}
