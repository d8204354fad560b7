//! The routing table: finds the candidates of an event by its tenant and type.
//!
//! For the type `a.b.c` these are the lists under the exact type `a.b.c`, under `a.b.*` and `a.*`, and
//! under `*`: as many lookups as the type has segments and one, however many subscriptions there are.
//! A table is never changed; the one with a change is built from the same compiled routes.

use std::collections::HashMap;
use std::sync::Arc;

use super::filter::FilterContext;
use super::pattern::Pattern;
use super::{FilterError, Route};
use crate::event::{Event, OWN_TYPE_PREFIX};
use crate::id::{SubscriptionId, TenantId};
use crate::own_event;

/// All routes, found by tenant and type.
#[derive(Debug, Default)]
pub struct Table {
    tenants: HashMap<TenantId, Routes>,
}

/// The routes of one tenant.
#[derive(Debug, Default)]
struct Routes {
    every: Vec<Arc<Route>>,
    exact: HashMap<String, Vec<Arc<Route>>>,
    below: HashMap<String, Vec<Arc<Route>>>,
    all: Vec<Arc<Route>>,
}

/// The routes that an event goes to.
#[derive(Debug, Default)]
pub struct Matches {
    /// In the order of their subscriptions' ids, each once.
    pub routes: Vec<Arc<Route>>,
    /// Filters that failed, which counts as no match.
    pub filter_errors: Vec<(SubscriptionId, FilterError)>,
    /// How many subscriptions were looked at.
    pub candidates: usize,
}

/// Why an event goes to a subscription, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// It goes there.
    Matched {
        /// The first pattern that matches its type.
        pattern: String,
    },
    /// It is an event of Hookway's own about this very subscription.
    AboutItself,
    /// No pattern matches its type.
    NoPattern,
    /// The filter says no.
    FilterFalse,
    /// The filter failed, which counts as no.
    FilterError {
        /// How.
        detail: String,
    },
}

impl Table {
    /// A table of these routes; at most one for each subscription.
    pub fn new(routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let routes = table.tenants.entry(route.subscription.tenant).or_default();
            for pattern in route.all_patterns() {
                let list = match pattern {
                    Pattern::Exact(exact) => routes.exact.entry(exact.clone()).or_default(),
                    Pattern::Below(stem) => routes.below.entry(stem.clone()).or_default(),
                    Pattern::All => &mut routes.all,
                };
                list.push(Arc::clone(&route));
            }
            routes.every.push(route);
        }
        for routes in table.tenants.values_mut() {
            routes.every.sort_by_key(|route| route.subscription.id);
        }
        table
    }

    /// All routes, to build the next table from.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.tenants.values().flat_map(|routes| &routes.every)
    }

    /// The routes that the event goes to.
    pub fn matches(&self, event: &Event) -> Matches {
        let mut matches = Matches::default();
        let Some(routes) = self.tenants.get(&event.tenant) else {
            return matches;
        };
        let mut candidates = routes.candidates(&event.event_type);
        candidates.sort_unstable_by_key(|route| route.subscription.id);
        candidates.dedup_by_key(|route| route.subscription.id);
        matches.candidates = candidates.len();
        if let Some(itself) = own_event::about(event) {
            candidates.retain(|route| route.subscription.id != itself);
        }
        let mut context = FilterContext::new(event);
        for route in candidates {
            match route
                .filter
                .as_ref()
                .map_or(Ok(true), |filter| filter.matches(&mut context))
            {
                Ok(true) => matches.routes.push(Arc::clone(route)),
                Ok(false) => {}
                Err(error) => matches.filter_errors.push((route.subscription.id, error)),
            }
        }
        matches
    }

    /// Whether any subscription of a tenant names a type, whatever its filter says.
    pub fn is_wanted(&self, tenant: TenantId, event_type: &str) -> bool {
        let routes = self.tenants.get(&tenant);
        routes.is_some_and(|routes| !routes.candidates(event_type).is_empty())
    }

    /// For every subscription of the event's tenant, why the event goes there or does not.
    pub fn explain(&self, event: &Event) -> Vec<(SubscriptionId, Explanation)> {
        let mut context = FilterContext::new(event);
        let every = self
            .tenants
            .get(&event.tenant)
            .map_or(&[][..], |routes| &routes.every);
        let explain = |route: &Arc<Route>| (route.subscription.id, route.explain(event, &mut context));
        every.iter().map(explain).collect()
    }
}

impl Routes {
    fn candidates(&self, event_type: &str) -> Vec<&Arc<Route>> {
        let exact = self.exact.get(event_type).into_iter();
        let stems = event_type.match_indices('.').map(|(dot, _)| &event_type[..dot]);
        let below = stems.filter_map(|stem| self.below.get(stem));
        let own = event_type.starts_with(OWN_TYPE_PREFIX);
        let all = (!own).then_some(&self.all).into_iter();
        exact.chain(below).chain(all).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::id::Id;
    use crate::profile::{self, Edition};
    use crate::routing::RouteError;
    use crate::secret::Secret;
    use crate::subscription::{Endpoint, Envelope, Isolation, PATTERNS_MAX, Status, Subscription};
    use crate::time::Timestamp;

    fn subscription(id: i64, tenant: i64, patterns: &[&str], filter: Option<&str>) -> Arc<Subscription> {
        let at = Timestamp::from_millis(0);
        Arc::new(Subscription {
            id: Id::from_number(id),
            tenant: Id::from_number(tenant),
            key: None,
            name: format!("subscription {id}"),
            // Status plays no part: deliveries of what is switched off are held.
            status: Status::Disabled {
                since: at,
                reason: "a test".to_owned(),
            },
            events: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            filter: filter.map(str::to_owned),
            plugins: Vec::new(),
            endpoint: Endpoint {
                url: Secret::new("https://example.com/"),
                headers: Vec::new(),
                secrets: Vec::new(),
                max_in_flight: Some(NonZeroU16::MIN),
                rate_limit: None,
                disable_on_gone: true,
            },
            profile: profile::Choice::default(),
            retry: None,
            timeout_seconds: None,
            envelope: Envelope::Auto,
            isolation: Isolation::Subscription,
            version: 1,
            created_at: at,
            updated_at: at,
        })
    }

    fn compiled(subscription: Arc<Subscription>) -> Result<Route, RouteError> {
        let usual = Edition::unstored(profile::usual().clone(), Timestamp::from_millis(0));
        Route::compile(subscription, Arc::new(usual), "default".into())
    }

    fn route(id: i64, tenant: i64, patterns: &[&str], filter: Option<&str>) -> Arc<Route> {
        Arc::new(compiled(subscription(id, tenant, patterns, filter)).unwrap())
    }

    fn event(tenant: i64, event_type: &str, data: &str) -> Event {
        Event {
            id: Id::from_number(1),
            tenant: Id::from_number(tenant),
            source: "api".to_owned(),
            producer_id: None,
            event_type: event_type.to_owned(),
            subject: None,
            time: Timestamp::from_millis(0),
            received_at: Timestamp::from_millis(0),
            content_type: "application/json".to_owned(),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: Bytes::copy_from_slice(data.as_bytes()),
            hops: 0,
        }
    }

    fn ids(matches: &Matches) -> Vec<i64> {
        matches
            .routes
            .iter()
            .map(|route| route.subscription().id.number())
            .collect()
    }

    #[test]
    fn explanations_and_matches_agree() {
        let table = Table::new([
            route(5, 1, &["alert.*", "*", "alert.created"], None),
            route(2, 1, &["alert.created"], Some("data.severity == 'high'")),
            route(3, 1, &["alert.created"], Some("data.level > 3")),
            route(4, 1, &["order.*", "*"], Some("data.severity == 'low'")),
            route(6, 1, &["order.*"], None),
            route(7, 2, &["*"], None),
        ]);
        let event = event(1, "alert.created", r#"{"severity":"high"}"#);
        let matches = table.matches(&event);
        assert_eq!(ids(&matches), [2, 5]);
        assert_eq!(matches.candidates, 4);
        assert_eq!(matches.filter_errors.len(), 1);
        assert_eq!(matches.filter_errors[0].0.number(), 3);
        let explained = table.explain(&event);
        let explained: Vec<_> = explained
            .into_iter()
            .map(|(id, why)| (id.number(), why))
            .collect();
        let matched = |pattern: &str| Explanation::Matched {
            pattern: pattern.to_owned(),
        };
        assert_eq!(explained[0], (2, matched("alert.created")));
        assert!(
            matches!(&explained[1], (3, Explanation::FilterError { detail }) if detail.contains("level"))
        );
        assert_eq!(explained[2], (4, Explanation::FilterFalse));
        assert_eq!(explained[3], (5, matched("alert.*")));
        assert_eq!(explained[4], (6, Explanation::NoPattern));
        assert_eq!(explained.len(), 5);
        assert_eq!(table.routes().count(), 6);
    }

    #[test]
    fn an_own_event_is_not_for_the_subscription_that_it_is_about() {
        let patterns = ["hookway.*", "order.*"];
        let table = Table::new([route(1, 1, &patterns, None), route(2, 1, &patterns, None)]);
        let about = |event_type: &str, subscription: i64| Event {
            subject: Some(crate::id::SubscriptionId::from_number(subscription).to_string()),
            ..event(1, event_type, "{}")
        };
        let own = about("hookway.subscription.disabled", 2);
        assert_eq!(ids(&table.matches(&own)), [1]);
        assert_eq!(table.explain(&own)[1].1, Explanation::AboutItself);
        let failed = Event {
            subject: Some("dlv_0000000000001".to_owned()),
            extensions: vec![("subscription".to_owned(), own.subject.clone().unwrap())],
            ..about("hookway.delivery.failed", 2)
        };
        assert_eq!(ids(&table.matches(&failed)), [1]);
        // Others may say the same of their own events.
        assert_eq!(ids(&table.matches(&about("order.paid", 2))), [1, 2]);
        assert_eq!(
            ids(&table.matches(&about("hookway.subscription.disabled", 3))),
            [1, 2]
        );
        let (mine, theirs) = (
            table.is_wanted(Id::from_number(1), "hookway.x"),
            Id::from_number(2),
        );
        assert!(mine && !table.is_wanted(theirs, "hookway.x"));
    }

    #[test]
    fn ten_thousand_subscriptions_cost_no_more_than_their_candidates() {
        let own_type = (0..10_000).map(|n| route(n + 1, 1, &[&format!("type{n}.created")], None));
        let below = (0..10).map(|n| route(20_000 + n, 1, &["type7.*"], None));
        let table = Table::new(own_type.chain(below));
        let matches = table.matches(&event(1, "type7.created", "{}"));
        assert_eq!(matches.candidates, 11);
        assert_eq!(matches.routes.len(), 11);
        assert_eq!(table.matches(&event(1, "type7.deleted", "{}")).candidates, 10);
        assert_eq!(table.matches(&event(1, "nothing", "{}")).candidates, 0);
        assert_eq!(table.matches(&event(9, "type7.created", "{}")).candidates, 0);
    }

    #[test]
    fn faults_point_at_the_field() {
        let too_many = vec!["a"; PATTERNS_MAX + 1];
        let table: [(&[&str], Option<&str>, &str); 4] = [
            (&[], None, "/events"),
            (&too_many, None, "/events"),
            (&["a", "b.*", "*.c"], None, "/events/2"),
            (&["a"], Some("color == 'red'"), "/filter"),
        ];
        for (patterns, filter, pointer) in table {
            let error = compiled(subscription(1, 1, patterns, filter)).unwrap_err();
            assert_eq!(error.pointer, pointer, "{error}");
        }
    }

    /// WF-15: what a product calls an event of Hookway's own can be listed under that name.
    #[test]
    fn own_events_are_found_by_the_names_of_the_profile() {
        let route = |profile: &str, patterns: &[&str]| {
            let profile = profile::built_in(profile).expect("it is built in").clone();
            let edition = Edition::unstored(profile, Timestamp::from_millis(0));
            let subscription = subscription(1, 1, patterns, None);
            Arc::new(Route::compile(subscription, Arc::new(edition), "org".into()).unwrap())
        };
        for (profile, patterns, own, found) in [
            (
                "workflows",
                &["webhook.created"][..],
                "hookway.subscription.created",
                true,
            ),
            (
                "workflows",
                &["webhook.created"],
                "hookway.subscription.deleted",
                false,
            ),
            (
                "workflows",
                &["a", "webhook.*"],
                "hookway.subscription.deleted",
                true,
            ),
            ("workflows", &["webhook.*"], "hookway.key.created", false),
            ("workflows", &["api_key.deleted"], "hookway.key.deleted", true),
            ("workflows", &["*"], "hookway.key.deleted", false),
            ("workflows", &["hookway.key.*"], "hookway.key.deleted", true),
            // Others may say the name themselves.
            ("workflows", &["webhook.created"], "webhook.created", true),
            (
                "plain",
                &["webhook.created"],
                "hookway.subscription.created",
                false,
            ),
        ] {
            let route = route(profile, patterns);
            let table = Table::new([Arc::clone(&route)]);
            let event = event(1, own, "{}");
            let why = format!("{profile} {patterns:?} {own}");
            assert_eq!(!table.matches(&event).routes.is_empty(), found, "{why}");
            assert_eq!(route.wants_type(own), found, "{why}");
            let pattern = patterns.last().copied().unwrap_or_default().to_owned();
            let expected = if found {
                Explanation::Matched { pattern }
            } else {
                Explanation::NoPattern
            };
            assert_eq!(
                table.explain(&event),
                [(route.subscription.id, expected)],
                "{why}, as it is written"
            );
        }
    }

    const PATTERNS: &str = "[ab](\\.[ab]){0,2}(\\.\\*)?|\\*|hookway\\.[ab]|hookway\\.\\*";

    proptest! {
        #[test]
        fn the_table_finds_what_a_scan_finds(
            patterns in prop::collection::vec(
                (1_i64..3, prop::collection::vec(PATTERNS, 1..4)),
                0..30,
            ),
            event_type in "([ab]|hookway)(\\.[ab]){0,3}",
        ) {
            let routes: Vec<_> = (1..).zip(&patterns).map(|(id, (tenant, patterns))| {
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                route(id, *tenant, &patterns, None)
            }).collect();
            let scan: Vec<i64> = routes
                .iter()
                .filter(|route| route.subscription.tenant.number() == 1)
                .filter(|route| route.pattern_for(&event_type).is_some())
                .map(|route| route.subscription.id.number())
                .collect();
            let table = Table::new(routes);
            let event = event(1, &event_type, "{}");
            let found = table.matches(&event);
            prop_assert_eq!(ids(&found), scan.clone());
            let explained: Vec<i64> = table
                .explain(&event)
                .into_iter()
                .filter(|(_, why)| matches!(why, Explanation::Matched { .. }))
                .map(|(id, _)| id.number())
                .collect();
            prop_assert_eq!(explained, scan);
        }
    }
}
