//! The verbs on subscriptions: create, change, remove, enable, disable, rotate the secret.
//!
//! A change is first a wish: for every field keep, clear or set. It is laid over what is there, the
//! whole result is checked as if it were new, and only then written. So a subscription that is
//! stored has passed every check, whichever way it became what it is.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Control, Error, Result, check};
use crate::egress::check_url;
use crate::id::{SubscriptionId, TenantId};
use crate::json::Faults;
use crate::profile::{self, Profile};
use crate::routing::Route;
use crate::secret::Secret;
use crate::signature::SecretKind;
use crate::subscription::{
    Endpoint, Envelope, Isolation, PluginStep, RateLimit, SigningSecret, Status,
    Subscription,
};
use crate::time::Timestamp;

/// Most subscriptions of one tenant: all are compiled and in memory.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;
/// How long an old secret signs beside a new one where the caller says nothing: a day, so that a
/// receiver in any time zone can be changed during working hours.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time that an old secret may sign on.
pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Most secrets that sign at once: each adds a signature of some 50 bytes to every request.
pub const SECRETS_MAX: usize = 4;
/// Longest reason for which a subscription is switched off, in bytes.
pub const REASON_BYTES_MAX: usize = 512;
/// The reason where a person gave none.
const SWITCHED_OFF: &str = "switched off";

/// What is wished for one field.
#[derive(Clone, Debug, Default)]
pub enum Set<T> {
    /// As it is.
    #[default]
    Keep,
    /// As if it had never been given.
    Clear,
    /// This.
    To(T),
}

impl<T> Set<T> {
    /// Lays the wish over a field that has a default.
    fn onto(self, field: &mut T, default: impl FnOnce() -> T) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = default(),
            Self::To(value) => *field = value,
        }
    }

    /// Lays the wish over a field that may be empty.
    fn onto_optional(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::To(value) => *field = Some(value),
        }
    }
}

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
    pub profile: Set<String>,
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
    /// The signing secret; only for a new subscription.
    pub secret: Option<Secret>,
}

impl Control {
    /// The subscription of this id or key.
    pub fn subscription(&self, tenant: TenantId, id_or_key: &str) -> Option<Arc<Route>> {
        let snapshot = self.parts.registry.snapshot();
        let route = match id_or_key.parse::<SubscriptionId>() {
            Ok(id) => snapshot.routes.get(&id),
            Err(_) => snapshot.routes.values().find(|route| {
                let known = route.subscription();
                known.tenant == tenant && known.key.as_deref() == Some(id_or_key)
            }),
        };
        route
            .filter(|route| route.subscription().tenant == tenant)
            .cloned()
    }

    /// All subscriptions of a tenant, newest first.
    pub fn subscriptions(&self, tenant: TenantId) -> Vec<Arc<Route>> {
        let snapshot = self.parts.registry.snapshot();
        let mut routes: Vec<Arc<Route>> = snapshot
            .routes
            .values()
            .filter(|route| route.subscription().tenant == tenant)
            .cloned()
            .collect();
        routes.sort_by_key(|route| std::cmp::Reverse(route.subscription().id));
        routes
    }

    /// Makes a subscription. Its secret is in the answer: given, or made here.
    pub async fn create_subscription(&self, tenant: TenantId, wish: Wish) -> Result<Arc<Subscription>> {
        let _one_at_a_time = self.changing.lock().await;
        if self.subscriptions(tenant).len() >= SUBSCRIPTIONS_MAX {
            let detail = format!("there are {SUBSCRIPTIONS_MAX} subscriptions, the most that are allowed");
            return Err(Error::conflict(detail));
        }
        let now = self.parts.clock.now();
        let mut new = blank(self.parts.ids.next(now), tenant, now, self.parts.max_in_flight);
        let secret = wish.secret.clone();
        lay(wish, &mut new, now, self.parts.max_in_flight);
        let secret = secret.unwrap_or_else(|| generate(secret_kind(profile::built_in(&new.profile))));
        new.endpoint.secrets = vec![SigningSecret { secret, until: None }];
        let route = self.checked(new).await?;
        self.parts
            .store
            .add_subscription(Arc::clone(route.subscription()))
            .await?;
        self.parts.registry.put(Arc::clone(&route));
        Ok(Arc::clone(route.subscription()))
    }

    /// Changes a subscription, and so ends a hold. With `if_version` only if it still has that version.
    pub async fn update_subscription(
        &self,
        tenant: TenantId,
        id_or_key: &str,
        wish: Wish,
        if_version: Option<u64>,
    ) -> Result<Arc<Subscription>> {
        if wish.secret.is_some() {
            return Err(Faults::one("/secret", "cannot be changed here; use rotate-secret").into());
        }
        let _one_at_a_time = self.changing.lock().await;
        let (old, now) = (self.known(tenant, id_or_key, if_version)?, self.parts.clock.now());
        let mut new = Subscription::clone(old.subscription());
        // Held until it is changed: this is the change.
        if matches!(new.status, Status::Held { .. }) {
            new.status = Status::Enabled;
        }
        lay(wish, &mut new, now, self.parts.max_in_flight);
        let route = self.checked(next_version(new, now)).await?;
        self.replace(&old, route).await
    }

    /// Removes a subscription. What is still pending for it is failed by the dispatcher.
    pub async fn delete_subscription(
        &self,
        tenant: TenantId,
        id_or_key: &str,
        if_version: Option<u64>,
    ) -> Result<()> {
        let _one_at_a_time = self.changing.lock().await;
        let id = self.known(tenant, id_or_key, if_version)?.subscription().id;
        self.parts.store.remove_subscription(id).await?;
        self.parts.registry.remove(id);
        self.parts.runtime.forget(id);
        Ok(())
    }

    /// Lets deliveries go out again; those that were held go first.
    pub async fn enable_subscription(&self, tenant: TenantId, id_or_key: &str) -> Result<Arc<Subscription>> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.known(tenant, id_or_key, None)?;
        self.set_status(&old, Status::Enabled).await
    }

    /// Holds deliveries until it is enabled.
    pub async fn disable_subscription(
        &self,
        tenant: TenantId,
        id_or_key: &str,
        reason: Option<String>,
    ) -> Result<Arc<Subscription>> {
        let reason = reason.unwrap_or_else(|| SWITCHED_OFF.to_owned());
        if let Err(fault) = crate::event::check_text(&reason, REASON_BYTES_MAX) {
            return Err(Faults::one("/reason", fault.to_string()).into());
        }
        let _one_at_a_time = self.changing.lock().await;
        let old = self.known(tenant, id_or_key, None)?;
        let since = self.parts.clock.now();
        self.set_status(&old, Status::Disabled { since, reason }).await
    }

    /// Holds or disables a subscription on the router's own account: the endpoint is gone, a plugin's
    /// configuration is at fault. Gives nothing where the subscription is gone or not enabled.
    pub async fn stop(&self, id: SubscriptionId, status: Status) -> Result<Option<Arc<Subscription>>> {
        let _one_at_a_time = self.changing.lock().await;
        match self.parts.registry.route(id) {
            Some(old) if old.subscription().status.is_enabled() => {
                self.set_status(&old, status).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Puts a new secret first; the old ones sign beside it for `overlap`.
    pub async fn rotate_secret(
        &self,
        tenant: TenantId,
        id_or_key: &str,
        secret: Option<Secret>,
        overlap: Duration,
    ) -> Result<Arc<Subscription>> {
        if overlap > OVERLAP_MAX {
            let detail = format!("must be {} or less", OVERLAP_MAX.as_secs());
            return Err(Faults::one("/overlap_seconds", detail).into());
        }
        let _one_at_a_time = self.changing.lock().await;
        let (old, now) = (self.known(tenant, id_or_key, None)?, self.parts.clock.now());
        let mut new = Subscription::clone(old.subscription());
        let secret = secret.unwrap_or_else(|| generate(secret_kind(profile::built_in(&new.profile))));
        if new.endpoint.secrets.iter().any(|known| known.secret == secret) {
            return Err(Faults::one("/secret", "is in use already").into());
        }
        new.endpoint.secrets = rotated(&new.endpoint.secrets, secret, now, overlap);
        let mut faults = Faults::default();
        check_secrets(&new, "/secret", &mut faults);
        faults.or(())?;
        let route = compiled(next_version(new, now))?;
        self.replace(&old, route).await
    }

    /// The subscription, if it is there and has the version that was named.
    fn known(&self, tenant: TenantId, id_or_key: &str, version: Option<u64>) -> Result<Arc<Route>> {
        let route = self
            .subscription(tenant, id_or_key)
            .ok_or(Error::Missing("subscription"))?;
        match version {
            Some(version) if version != route.subscription().version => Err(Error::Changed),
            _ => Ok(route),
        }
    }

    /// Changes the status alone. Whoever calls holds `changing`.
    pub(super) async fn set_status(&self, old: &Route, status: Status) -> Result<Arc<Subscription>> {
        let mut new = Subscription::clone(old.subscription());
        new.status = status;
        let route = compiled(next_version(new, self.parts.clock.now()))?;
        self.replace(old, route).await
    }

    async fn replace(&self, old: &Route, new: Arc<Route>) -> Result<Arc<Subscription>> {
        let subscription = Arc::clone(new.subscription());
        self.parts
            .store
            .update_subscription(Arc::clone(&subscription), old.subscription().version)
            .await?;
        self.parts.registry.put(new);
        self.parts.runtime.forget(subscription.id);
        Ok(subscription)
    }

    /// Checks everything about a subscription and compiles it.
    async fn checked(&self, subscription: Subscription) -> Result<Arc<Route>> {
        let mut faults = Faults::default();
        let profile = profile::built_in(&subscription.profile);
        if profile.is_none() {
            let known: Vec<&str> = profile::built_ins()
                .iter()
                .map(|known| known.name.as_str())
                .collect();
            faults.add(
                "/profile",
                format!("is not a known profile; known are {}", known.join(", ")),
            );
        }
        check::subscription(&subscription, profile, &mut faults);
        match subscription.endpoint.url.reveal() {
            "" => faults.add("/url", "must be given"),
            url => {
                if let Err(fault) = check_url(url, &self.parts.policy) {
                    faults.add("/url", fault.to_string());
                }
            }
        }
        check_secrets(&subscription, "/secret", &mut faults);
        let taken = subscription
            .key
            .as_deref()
            .and_then(|key| self.subscription(subscription.tenant, key));
        if taken.is_some_and(|other| other.subscription().id != subscription.id) {
            return Err(Error::conflict("the key is taken by another subscription"));
        }
        // Plugins run code; not for a subscription that is refused anyway.
        if faults.is_empty() {
            self.check_steps(&subscription, &mut faults).await?;
        }
        match compiled(subscription) {
            Ok(route) => Ok(faults.or(route)?),
            Err(more) => {
                faults.append(more);
                Err(faults.into())
            }
        }
    }

    async fn check_steps(&self, subscription: &Subscription, faults: &mut Faults) -> Result<()> {
        for (place, step) in subscription.plugins.iter().enumerate() {
            let pointer = format!("/plugins/{place}");
            let Some(plugin) = self
                .plugin_for_step(subscription.tenant, step, &pointer, faults)
                .await?
            else {
                continue;
            };
            for fault in self.config_faults(&plugin, step.config.get()).await.into_vec() {
                faults.add(format!("{pointer}/config{}", fault.pointer), fault.detail);
            }
        }
        Ok(())
    }
}

fn blank(id: SubscriptionId, tenant: TenantId, now: Timestamp, max_in_flight: NonZeroU16) -> Subscription {
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
            max_in_flight,
            rate_limit: None,
            disable_on_gone: true,
        },
        profile: profile::DEFAULT.to_owned(),
        envelope: Envelope::default(),
        isolation: Isolation::default(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Lays a wish over a subscription.
fn lay(wish: Wish, onto: &mut Subscription, now: Timestamp, max_in_flight: NonZeroU16) {
    wish.name.onto(&mut onto.name, String::new);
    wish.key.onto_optional(&mut onto.key);
    wish.url.onto(&mut onto.endpoint.url, || Secret::new(""));
    wish.events.onto(&mut onto.events, Vec::new);
    wish.filter.onto_optional(&mut onto.filter);
    wish.plugins.onto(&mut onto.plugins, Vec::new);
    wish.profile
        .onto(&mut onto.profile, || profile::DEFAULT.to_owned());
    wish.envelope.onto(&mut onto.envelope, Envelope::default);
    wish.isolation.onto(&mut onto.isolation, Isolation::default);
    wish.headers.onto(&mut onto.endpoint.headers, Vec::new);
    wish.max_in_flight
        .onto(&mut onto.endpoint.max_in_flight, || max_in_flight);
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

fn next_version(mut subscription: Subscription, now: Timestamp) -> Subscription {
    subscription.version += 1;
    subscription.updated_at = now;
    subscription
}

fn compiled(subscription: Subscription) -> std::result::Result<Arc<Route>, Faults> {
    match Route::compile(Arc::new(subscription)) {
        Ok(route) => Ok(Arc::new(route)),
        Err(error) => Err(Faults::one(error.pointer, error.detail)),
    }
}

fn secret_kind(profile: Option<&Profile>) -> SecretKind {
    match profile.and_then(|profile| profile.signature.as_ref()) {
        Some(scheme) => scheme.secret_kind(),
        // Nothing is signed; the secret waits for a profile that does.
        None => SecretKind::WhsecBase64,
    }
}

fn generate(kind: SecretKind) -> Secret {
    kind.generate(&Zeroizing::new(rand::random()))
}

fn check_secrets(subscription: &Subscription, pointer: &str, faults: &mut Faults) {
    let profile = profile::built_in(&subscription.profile);
    let kind = secret_kind(profile);
    for known in &subscription.endpoint.secrets {
        if let Err(fault) = kind.key(&known.secret) {
            faults.add(pointer, format!("does not suit the profile: {fault}"));
        }
    }
}

/// The secrets after a rotation: the new one for ever, the old ones for `overlap` at the most.
fn rotated(old: &[SigningSecret], new: Secret, now: Timestamp, overlap: Duration) -> Vec<SigningSecret> {
    let end = now.plus(overlap);
    let on_their_way_out = old.iter().filter_map(|known| {
        let until = known.until.map_or(end, |until| until.min(end));
        (until > now).then(|| SigningSecret {
            secret: known.secret.clone(),
            until: Some(until),
        })
    });
    std::iter::once(SigningSecret {
        secret: new,
        until: None,
    })
    .chain(on_their_way_out)
    .take(SECRETS_MAX)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(secrets: &[SigningSecret]) -> Vec<(&str, Option<i64>)> {
        secrets
            .iter()
            .map(|known| (known.secret.reveal(), known.until.map(Timestamp::as_millis)))
            .collect()
    }

    #[test]
    fn a_rotation_keeps_old_secrets_for_the_overlap_only() {
        let now = Timestamp::from_millis(1_000);
        let first = vec![SigningSecret {
            secret: Secret::new("a"),
            until: None,
        }];
        let second = rotated(&first, Secret::new("b"), now, Duration::from_secs(10));
        assert_eq!(secrets(&second), [("b", None), ("a", Some(11_000))]);
        let third = rotated(
            &second,
            Secret::new("c"),
            Timestamp::from_millis(2_000),
            Duration::from_secs(60),
        );
        assert_eq!(
            secrets(&third),
            [("c", None), ("b", Some(62_000)), ("a", Some(11_000))]
        );
        let later = Timestamp::from_millis(20_000);
        let fourth = rotated(&third, Secret::new("d"), later, Duration::from_secs(1));
        assert_eq!(
            secrets(&fourth),
            [("d", None), ("c", Some(21_000)), ("b", Some(21_000))]
        );
        assert_eq!(
            secrets(&rotated(&fourth, Secret::new("e"), later, Duration::ZERO)),
            [("e", None)]
        );
        let mut many = fourth;
        for n in 0..10 {
            many = rotated(&many, Secret::new(format!("{n}")), later, Duration::from_secs(9));
        }
        assert_eq!(many.len(), SECRETS_MAX);
    }

    #[test]
    fn a_wish_keeps_clears_and_sets() {
        let now = Timestamp::from_millis(5);
        let mut subscription = blank(SubscriptionId::from_number(1), TenantId::from_number(1), now, NonZeroU16::MIN);
        let wish = Wish {
            name: Set::To("n".into()),
            filter: Set::To("true".into()),
            max_in_flight: Set::To(NonZeroU16::MIN),
            enabled: Set::To(false),
            ..Wish::default()
        };
        lay(wish, &mut subscription, now);
        assert_eq!(subscription.name, "n");
        assert!(matches!(subscription.status, Status::Disabled { since, .. } if since == now));
        let wish = Wish {
            filter: Set::Clear,
            max_in_flight: Set::Clear,
            enabled: Set::To(false),
            ..Wish::default()
        };
        lay(wish, &mut subscription, Timestamp::from_millis(9));
        assert_eq!(
            (subscription.name.as_str(), subscription.filter.as_deref()),
            ("n", None)
        );
        assert_eq!(subscription.endpoint.max_in_flight.get(), MAX_IN_FLIGHT_DEFAULT);
        assert!(matches!(subscription.status, Status::Disabled { since, .. } if since == now));
    }
}
