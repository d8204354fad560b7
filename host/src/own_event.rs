//! What Hookway tells of itself: ordinary events with types of its own, which can be subscribed to.
//!
//! A subscription was made or stopped, a key was made, a delivery failed for good, an alert began: each is
//! an [`OwnEvent`], made here from what it is about, so that its data has one documented shape
//! (`docs/operational-events.md`) and never a secret: of a URL the origin, of a key its id and name.
//!
//! The guard against loops is here too: [`about`] says which subscription an own event is about, and routing
//! gives it to every subscription but that one.

mod sample;

use bytes::Bytes;
use serde::Serialize;

pub use sample::sample;

use crate::delivery::Cause;
use crate::event::{self, Event, OWN_TYPE_PREFIX};
use crate::id::{DeliveryId, EventId, KeyId, SubscriptionId, TenantId};
use crate::profile::Choice;
use crate::secret::masked_url;
use crate::subscription::{Status, Subscription};
use crate::time::Timestamp;

/// The source of Hookway's own events.
pub const SOURCE: &str = "hookway";
/// The extension attribute that names the subscription which an own event is about where its subject is
/// something else.
pub const SUBSCRIPTION_ATTRIBUTE: &str = "subscription";

/// A subscription was made.
pub const SUBSCRIPTION_CREATED: &str = "hookway.subscription.created";
/// A subscription that was stopped goes on.
pub const SUBSCRIPTION_ENABLED: &str = "hookway.subscription.enabled";
/// A subscription was stopped, by a person or by the router.
pub const SUBSCRIPTION_DISABLED: &str = "hookway.subscription.disabled";
/// A subscription was removed.
pub const SUBSCRIPTION_DELETED: &str = "hookway.subscription.deleted";
/// An API key was made.
pub const KEY_CREATED: &str = "hookway.key.created";
/// An API key was revoked.
pub const KEY_DELETED: &str = "hookway.key.deleted";
/// A delivery failed and will not be tried again by itself.
pub const DELIVERY_FAILED: &str = "hookway.delivery.failed";
/// A recovery or a replay has come to its end.
pub const RECOVERY_FINISHED: &str = "hookway.recovery.finished";
/// A subscription is held because a plugin cannot work with its configuration.
pub const PLUGIN_HELD: &str = "hookway.plugin.held";
/// Attempts of a subscription fail.
pub const ALERT_ERROR_RATE: &str = "hookway.alert.error_rate";
/// Attempts of a subscription no longer fail.
pub const ALERT_ERROR_RATE_OVER: &str = "hookway.alert.error_rate.over";
/// What is due waits.
pub const ALERT_RETRY_LAG: &str = "hookway.alert.retry_lag";
/// What is due no longer waits.
pub const ALERT_RETRY_LAG_OVER: &str = "hookway.alert.retry_lag.over";
/// Producers repeat events.
pub const ALERT_DUPLICATES: &str = "hookway.alert.duplicates";
/// Producers no longer repeat events.
pub const ALERT_DUPLICATES_OVER: &str = "hookway.alert.duplicates.over";
/// The router stopped a subscription.
pub const ALERT_SUBSCRIPTION_DISABLED: &str = "hookway.alert.subscription_disabled";
/// A subscription that the router stopped goes on, or is gone.
pub const ALERT_SUBSCRIPTION_DISABLED_OVER: &str = "hookway.alert.subscription_disabled.over";
/// There is hardly any room on the disk; events are refused.
pub const ALERT_DISK_SPACE: &str = "hookway.alert.disk_space";
/// There is room again; events are taken.
pub const ALERT_DISK_SPACE_OVER: &str = "hookway.alert.disk_space.over";

/// Every type, in the order of the documentation.
pub const ALL: [&str; 19] = [
    SUBSCRIPTION_CREATED,
    SUBSCRIPTION_ENABLED,
    SUBSCRIPTION_DISABLED,
    SUBSCRIPTION_DELETED,
    KEY_CREATED,
    KEY_DELETED,
    DELIVERY_FAILED,
    RECOVERY_FINISHED,
    PLUGIN_HELD,
    ALERT_ERROR_RATE,
    ALERT_ERROR_RATE_OVER,
    ALERT_RETRY_LAG,
    ALERT_RETRY_LAG_OVER,
    ALERT_DUPLICATES,
    ALERT_DUPLICATES_OVER,
    ALERT_SUBSCRIPTION_DISABLED,
    ALERT_SUBSCRIPTION_DISABLED_OVER,
    ALERT_DISK_SPACE,
    ALERT_DISK_SPACE_OVER,
];

/// Whether an event is one of Hookway's own. Nobody else can bring such a type in.
pub fn is_own(event_type: &str) -> bool {
    event_type.starts_with(OWN_TYPE_PREFIX)
}

/// The subscription that an own event is about; it does not get the event.
pub fn about(event: &Event) -> Option<SubscriptionId> {
    if !is_own(&event.event_type) {
        return None;
    }
    let named = event
        .extensions
        .iter()
        .find(|(name, _)| name == SUBSCRIPTION_ATTRIBUTE);
    let text = named.map(|(_, id)| id.as_str()).or(event.subject.as_deref())?;
    text.parse().ok()
}

/// When an own event is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Always: it is part of the history.
    Always,
    /// Only where a subscription gets it: of a failing endpoint there would be as many as events.
    IfWanted,
}

/// Who did something to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A person or a program, by the API.
    Person,
    /// The router itself.
    Router,
}

/// Something that Hookway tells of itself, before it is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEvent {
    /// One of [`ALL`].
    pub event_type: &'static str,
    /// The id of what it is about.
    pub subject: String,
    /// The subscription that it is about, where the subject is something else.
    pub subscription: Option<SubscriptionId>,
    /// JSON.
    pub data: Bytes,
    /// Hops of the event that it follows from; 0 where it follows from none.
    pub hops: u8,
}

/// What is told of a subscription.
#[derive(Debug, Serialize)]
struct SubscriptionData<'a> {
    id: SubscriptionId,
    key: Option<&'a str>,
    name: &'a str,
    url: String,
    events: &'a [String],
    profile: &'a Choice,
    enabled: bool,
    status: &'static str,
    reason: Option<&'a str>,
    by: By,
}

/// What is told of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: &'a str,
    /// The tenant that it is bound to, if it is.
    pub tenant: Option<TenantId>,
    /// Its scopes, joined by spaces.
    pub scopes: &'a str,
}

/// What is told of a delivery that failed for good.
#[derive(Clone, Debug, Serialize)]
pub struct FailedDelivery<'a> {
    /// Its id.
    pub id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// The type of its event.
    pub event_type: &'a str,
    /// Its subscription.
    pub subscription_id: SubscriptionId,
    /// The subscription's name; none where it is gone.
    pub subscription_name: Option<&'a str>,
    /// Why it failed, as one word.
    pub cause: Option<Cause>,
    /// Why it failed.
    pub reason: &'a str,
    /// How many attempts there were.
    pub attempts: u32,
    /// The status of the last answer, if there was one.
    pub status_code: Option<u16>,
    /// Why there was no answer, if there was none.
    pub error: Option<String>,
    /// When it failed.
    pub failed_at: Timestamp,
}

impl OwnEvent {
    /// Something happened to a subscription.
    pub fn of_subscription(event_type: &'static str, subscription: &Subscription, by: By) -> Self {
        let status = match &subscription.status {
            Status::Enabled => "enabled",
            Status::Disabled { .. } => "disabled",
            Status::Held { .. } => "held",
        };
        let data = SubscriptionData {
            id: subscription.id,
            key: subscription.key.as_deref(),
            name: &subscription.name,
            url: masked_url(subscription.endpoint.url.reveal()),
            events: &subscription.events,
            profile: &subscription.profile,
            enabled: subscription.status.is_enabled(),
            status,
            reason: subscription.status.reason(),
            by,
        };
        Self::new(event_type, subscription.id.to_string(), &data)
    }

    /// Something happened to a key.
    pub fn of_key(event_type: &'static str, key: KeyFacts<'_>) -> Self {
        #[derive(Serialize)]
        struct Data<'a> {
            id: KeyId,
            name: &'a str,
            tenant_id: Option<TenantId>,
            scopes: Vec<&'a str>,
        }
        let data = Data {
            id: key.id,
            name: key.name,
            tenant_id: key.tenant,
            scopes: key.scopes.split_ascii_whitespace().collect(),
        };
        Self::new(event_type, key.id.to_string(), &data)
    }

    /// A delivery failed for good. `hops` are those of its event: what follows from what failed must come to
    /// an end.
    pub fn delivery_failed(delivery: &FailedDelivery<'_>, hops: u8) -> Self {
        Self {
            subscription: Some(delivery.subscription_id),
            ..Self::new(DELIVERY_FAILED, delivery.id.to_string(), delivery)
        }
        .after(hops)
    }

    /// A plugin cannot work with what a subscription configures, so the subscription is held.
    pub fn plugin_held(subscription: &Subscription, plugin: &str, reason: &str) -> Self {
        #[derive(Serialize)]
        struct Data<'a> {
            plugin: &'a str,
            subscription_id: SubscriptionId,
            subscription_name: &'a str,
            reason: &'a str,
        }
        let data = Data {
            plugin,
            subscription_id: subscription.id,
            subscription_name: &subscription.name,
            reason,
        };
        Self::new(PLUGIN_HELD, subscription.id.to_string(), &data)
    }

    /// One of another shape: an alert, the end of an operation.
    pub fn new(event_type: &'static str, subject: String, data: &impl Serialize) -> Self {
        Self {
            event_type,
            subject,
            subscription: None,
            // Texts, numbers and lists of them always serialise.
            data: serde_json::to_vec(data).unwrap_or_default().into(),
            hops: 0,
        }
    }

    /// The same, as it follows from an event with so many hops: what follows from it must come to an end.
    #[must_use]
    pub fn after(self, hops: u8) -> Self {
        Self {
            hops: hops.saturating_add(1),
            ..self
        }
    }

    /// When it is stored.
    pub fn kept(&self) -> Kept {
        match self.event_type {
            DELIVERY_FAILED => Kept::IfWanted,
            _ => Kept::Always,
        }
    }

    /// The event, of this id and tenant.
    pub fn into_event(self, id: EventId, tenant: TenantId, now: Timestamp) -> Event {
        let named = |id: SubscriptionId| (SUBSCRIPTION_ATTRIBUTE.to_owned(), id.to_string());
        Event {
            id,
            tenant,
            source: SOURCE.to_owned(),
            producer_id: None,
            event_type: self.event_type.to_owned(),
            subject: Some(self.subject),
            time: now,
            received_at: now,
            content_type: event::JSON.to_owned(),
            extensions: self.subscription.map(named).into_iter().collect(),
            headers: Vec::new(),
            data: self.data,
            hops: self.hops,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use serde_json::{Value, json};

    use super::*;
    use crate::id::Id;
    use crate::secret::Secret;
    use crate::subscription::{Endpoint, Envelope, Isolation, SigningSecret};

    fn subscription(status: Status) -> Subscription {
        let at = Timestamp::from_millis(0);
        Subscription {
            id: Id::from_number(1 << 40),
            tenant: Id::from_number(1),
            key: Some("ops".to_owned()),
            name: "Ops".to_owned(),
            status,
            events: vec!["alert.*".to_owned()],
            filter: None,
            plugins: Vec::new(),
            endpoint: Endpoint {
                url: Secret::new("https://user:pass@hooks.example.com/T0/secret-path?token=secret-query"),
                headers: vec![("authorization".to_owned(), Secret::new("Bearer secret-header"))],
                secrets: vec![SigningSecret {
                    secret: Secret::new("whsec_secret"),
                    until: None,
                }],
                max_in_flight: Some(NonZeroU16::MIN),
                rate_limit: None,
                disable_on_gone: true,
            },
            profile: "plain".parse().unwrap(),
            retry: None,
            timeout_seconds: None,
            envelope: Envelope::Auto,
            isolation: Isolation::Subscription,
            version: 1,
            created_at: at,
            updated_at: at,
        }
    }

    fn read(data: &[u8]) -> Value {
        serde_json::from_slice(data).unwrap()
    }

    #[test]
    fn every_type_is_a_type_of_its_own_and_documented() {
        let page = include_str!("../../docs/operational-events.md");
        let mut seen = std::collections::HashSet::new();
        for event_type in ALL {
            assert_eq!(event::check_type(event_type), Ok(()), "{event_type}");
            assert!(is_own(event_type) && seen.insert(event_type), "{event_type}");
            assert!(
                page.contains(&format!("`{event_type}`")),
                "{event_type} is not documented"
            );
        }
        assert!(!is_own("hook.way") && !is_own("order.paid"));
    }

    #[test]
    fn every_type_has_a_sample() {
        let (subscription, now) = (subscription(Status::Enabled), Timestamp::from_millis(5));
        for event_type in ALL {
            let own = sample(event_type, &subscription, now).unwrap();
            assert_eq!(own.event_type, event_type);
            assert!(read(&own.data).is_object(), "{event_type}");
            assert!(!own.data.windows(6).any(|part| part == b"secret"), "{event_type}");
        }
        let over = sample(ALERT_RETRY_LAG_OVER, &subscription, now).unwrap();
        assert_eq!(read(&over.data)["alert"], "retry_lag");
        assert_eq!(sample("hookway.nothing", &subscription, now), None);
        assert_eq!(sample("order.paid", &subscription, now), None);
    }

    #[test]
    fn a_subscription_is_told_without_its_secrets() {
        let stopped = Status::Disabled {
            since: Timestamp::from_millis(0),
            reason: "410".to_owned(),
        };
        let told = OwnEvent::of_subscription(SUBSCRIPTION_DISABLED, &subscription(stopped), By::Router);
        let text = String::from_utf8(told.data.to_vec()).unwrap();
        assert!(!text.contains("secret") && !text.contains("pass"), "{text}");
        let id = told.subject.clone();
        assert_eq!(
            read(&told.data),
            json!({
                "id": id, "key": "ops", "name": "Ops", "url": "https://hooks.example.com/…",
                "events": ["alert.*"], "profile": "plain", "enabled": false, "status": "disabled",
                "reason": "410", "by": "router",
            })
        );
        assert_eq!(told.kept(), Kept::Always);
    }

    #[test]
    fn it_is_known_which_subscription_an_event_is_about() {
        let (id, now) = (EventId::from_number(9), Timestamp::from_millis(5));
        let subscription = subscription(Status::Enabled);
        let tenant = subscription.tenant;
        let told = OwnEvent::of_subscription(SUBSCRIPTION_CREATED, &subscription, By::Person);
        assert_eq!(about(&told.into_event(id, tenant, now)), Some(subscription.id));

        let failed = FailedDelivery {
            id: Id::from_number(7),
            event_id: Id::from_number(6),
            event_type: "a",
            subscription_id: subscription.id,
            subscription_name: None,
            cause: Some(Cause::Gone),
            reason: "410",
            attempts: 1,
            status_code: Some(410),
            error: None,
            failed_at: now,
        };
        let told = OwnEvent::delivery_failed(&failed, 3);
        assert_eq!((told.kept(), told.hops), (Kept::IfWanted, 4));
        let event = told.into_event(id, tenant, now);
        assert_eq!(event.subject, Some(failed.id.to_string()));
        assert_eq!(about(&event), Some(subscription.id));
        assert_eq!(read(&event.data)["status_code"], 410);

        let key = KeyFacts {
            id: Id::from_number(8),
            name: "ci",
            tenant: None,
            scopes: "read manage",
        };
        let event = OwnEvent::of_key(KEY_CREATED, key).into_event(id, tenant, now);
        assert_eq!(about(&event), None);
        assert_eq!(read(&event.data)["scopes"], json!(["read", "manage"]));

        // A producer may name a subscription as its subject: that is no own event.
        let produced = Event {
            event_type: "order.paid".to_owned(),
            subject: Some(subscription.id.to_string()),
            ..event
        };
        assert_eq!(about(&produced), None);
    }
}
