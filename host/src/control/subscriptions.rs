//! The verbs on subscriptions: create, change, remove, enable, disable, rotate the secret.
//!
//! A change is first a wish: for every field keep, clear or set. It is laid over what is there, the
//! whole result is checked as if it were new, and only then written. So a subscription that is
//! stored has passed every check, whichever way it became what it is.

mod draft;
mod secrets;
mod wish;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::set::Set;
use super::{Control, Error, Result, check};
use crate::egress::check_url;
use crate::id::{SubscriptionId, TenantId};
use crate::json::Faults;
use crate::own_event::{self, By, OwnEvent};
use crate::profile::{self, Edition, Profile};
use crate::routing::Route;
use crate::secret::Secret;
use crate::store::Row;
use crate::subscription::{SigningSecret, Status, Subscription};
use crate::time::Timestamp;

pub use draft::Draft;
pub use secrets::SECRETS_MAX;
pub use wish::Wish;

pub(super) use secrets::rotated;
use secrets::{check_secrets, first_secret, generate};
use wish::{SWITCHED_OFF, blank, lay};

/// Most subscriptions of one tenant: all are compiled and in memory.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;
/// How long an old secret signs beside a new one where the caller says nothing: a day, so that a
/// receiver in any time zone can be changed during working hours.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time that an old secret may sign on.
pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longest reason for which a subscription is switched off, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// Who changes a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mover {
    /// A person or a program, by the API.
    Person,
    /// The router itself.
    Router {
        /// Hops of the event whose delivery it follows from, if it follows from one.
        after: Option<u8>,
    },
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

    /// Makes a subscription. Its secret, if it has one, is in the answer: given, or made here.
    pub async fn create_subscription(&self, tenant: TenantId, wish: Wish) -> Result<Arc<Subscription>> {
        let _one_at_a_time = self.changing.lock().await;
        if self.subscriptions(tenant).len() >= SUBSCRIPTIONS_MAX {
            let detail = format!("there are {SUBSCRIPTIONS_MAX} subscriptions, the most that are allowed");
            return Err(Error::conflict(detail));
        }
        let route = self.checked(self.laid_new(tenant, wish)?).await?;
        self.parts
            .store
            .add_subscription(Arc::clone(route.subscription()))
            .await?;
        self.parts.registry.put(Arc::clone(&route));
        let made = Arc::clone(route.subscription());
        let own = OwnEvent::of_subscription(own_event::SUBSCRIPTION_CREATED, &made, By::Person);
        self.announce(tenant, own).await;
        Ok(made)
    }

    /// A new subscription as it is wished, with its tenant's profile where the wish names none; not checked
    /// yet.
    fn laid_new(&self, tenant: TenantId, wish: Wish) -> Result<Subscription> {
        let now = self.parts.clock.now();
        let default = self.default_profile(tenant);
        let id = self.parts.ids.next(now);
        let mut new = blank(id, tenant, now, default.clone());
        let secret = wish.secret.clone();
        lay(wish, &mut new, now, default);
        let secret = first_secret(secret, self.look(&new).as_deref())?;
        new.endpoint.secrets = secret.map(SigningSecret::newest).into_iter().collect();
        Ok(new)
    }

    /// Changes a subscription, and so ends a hold. With `if_version` only if it still has that version.
    pub async fn update_subscription(
        &self,
        tenant: TenantId,
        id_or_key: &str,
        wish: Wish,
        if_version: Option<u64>,
    ) -> Result<Arc<Subscription>> {
        if !matches!(wish.secret, Set::Keep) {
            return Err(Faults::one("/secret", "cannot be changed here; use rotate-secret").into());
        }
        let _one_at_a_time = self.changing.lock().await;
        let (old, now) = (self.known(tenant, id_or_key, if_version)?, self.parts.clock.now());
        let mut new = Subscription::clone(old.subscription());
        // Held until it is changed: this is the change.
        if matches!(new.status, Status::Held { .. }) {
            new.status = Status::Enabled;
        }
        let default = self.default_profile(tenant);
        lay(wish, &mut new, now, default);
        let route = self.checked(next_version(new, now)).await?;
        self.replace(&old, route, Mover::Person).await
    }

    /// Removes a subscription. What is still pending for it is failed by the dispatcher.
    pub async fn delete_subscription(
        &self,
        tenant: TenantId,
        id_or_key: &str,
        if_version: Option<u64>,
    ) -> Result<()> {
        let _one_at_a_time = self.changing.lock().await;
        let known = self.known(tenant, id_or_key, if_version)?;
        let id = known.subscription().id;
        self.parts.store.remove_subscription(id).await?;
        self.parts.registry.remove(id);
        self.parts.runtime.forget(id);
        self.holds
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(id);
        let gone = known.subscription();
        let own = OwnEvent::of_subscription(own_event::SUBSCRIPTION_DELETED, gone, By::Person);
        self.announce(tenant, own).await;
        Ok(())
    }

    /// Lets deliveries go out again; those that were held go first.
    pub async fn enable_subscription(&self, tenant: TenantId, id_or_key: &str) -> Result<Arc<Subscription>> {
        let _one_at_a_time = self.changing.lock().await;
        let old = self.known(tenant, id_or_key, None)?;
        self.set_status(&old, Status::Enabled, Mover::Person).await
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
        self.set_status(&old, Status::Disabled { since, reason }, Mover::Person)
            .await
    }

    /// Holds or disables a subscription on the router's own account: the endpoint is gone, a plugin's
    /// configuration is at fault. Gives nothing where the subscription is gone, disabled already, or has
    /// another version by now than the one that went wrong. One that is held can be held again: a
    /// delivery tried whether it can go on, and it cannot. `hops` are those of the delivery's event.
    pub async fn stop(
        &self,
        id: SubscriptionId,
        version: u64,
        status: Status,
        hops: u8,
    ) -> Result<Option<Arc<Subscription>>> {
        let _one_at_a_time = self.changing.lock().await;
        match self.parts.registry.route(id) {
            Some(old) if !is_disabled(&old) && old.subscription().version == version => self
                .set_status(&old, status, Mover::Router { after: Some(hops) })
                .await
                .map(Some),
            _ => Ok(None),
        }
    }

    /// Ends a hold on the router's own account: a delivery tried whether it can go on, and it can. Gives
    /// nothing where the subscription is gone, not held, or has another version by now.
    pub async fn resume(
        &self,
        id: SubscriptionId,
        version: u64,
        hops: u8,
    ) -> Result<Option<Arc<Subscription>>> {
        let mover = Mover::Router { after: Some(hops) };
        let _one_at_a_time = self.changing.lock().await;
        match self.parts.registry.route(id) {
            Some(old)
                if matches!(old.subscription().status, Status::Held { .. })
                    && old.subscription().version == version =>
            {
                self.set_status(&old, Status::Enabled, mover).await.map(Some)
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
        let secret = secret.unwrap_or_else(|| generate(self.look(&new).as_deref()));
        if new.endpoint.secrets.iter().any(|known| known.secret == secret) {
            return Err(Faults::one("/secret", "is in use already").into());
        }
        new.endpoint.secrets = rotated(&new.endpoint.secrets, secret, now, overlap);
        let mut faults = Faults::default();
        check_secrets(&new, &old.edition().profile, now, &mut faults);
        faults.or(())?;
        let route = kept(next_version(new, now), &old);
        self.replace(&old, route, Mover::Person).await
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
    pub(super) async fn set_status(
        &self,
        old: &Route,
        status: Status,
        mover: Mover,
    ) -> Result<Arc<Subscription>> {
        let mut new = Subscription::clone(old.subscription());
        new.status = status;
        let route = kept(next_version(new, self.parts.clock.now()), old);
        self.replace(old, route, mover).await
    }

    /// Stores a change, lets the hot path know, and tells where it goes on or stops by it.
    async fn replace(&self, old: &Route, new: Arc<Route>, mover: Mover) -> Result<Arc<Subscription>> {
        let subscription = Arc::clone(new.subscription());
        self.parts
            .store
            .update_subscription(
                Arc::clone(&subscription),
                old.subscription().version,
                row_after(old, &new, mover),
            )
            .await?;
        self.parts.registry.put(new);
        self.parts.runtime.forget(subscription.id);
        if let Some(event_type) = self.news(old.subscription(), &subscription, mover) {
            let own = match mover {
                Mover::Person => OwnEvent::of_subscription(event_type, &subscription, By::Person),
                Mover::Router { after } => {
                    let own = OwnEvent::of_subscription(event_type, &subscription, By::Router);
                    after.map_or(own.clone(), |hops| own.after(hops))
                }
            };
            self.announce(subscription.tenant, own).await;
        }
        Ok(subscription)
    }

    /// What is to be told of a change, if anything.
    fn news(&self, old: &Subscription, new: &Subscription, mover: Mover) -> Option<&'static str> {
        let (id, now) = (new.id, self.parts.clock.now());
        let turn = turn(&old.status, &new.status);
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let may_go_on = |status: &Status| status.probe_at().is_some();
        let is_told = match (mover, turn) {
            (Mover::Person, _) => {
                holds.forget(id);
                true
            }
            (Mover::Router { .. }, None) if may_go_on(&new.status) => {
                return holds.lasts(id, now).then_some(own_event::SUBSCRIPTION_DISABLED);
            }
            (Mover::Router { .. }, Some(_)) if may_go_on(&new.status) => holds.begins(id, now),
            (Mover::Router { .. }, Some(_)) if new.status.is_enabled() => holds.ends(id),
            (Mover::Router { .. }, _) => true,
        };
        turn.filter(|_| is_told)
    }

    /// Checks everything about a subscription and compiles it.
    async fn checked(&self, subscription: Subscription) -> Result<Arc<Route>> {
        let mut faults = Faults::default();
        let edition = self.edition(
            subscription.tenant,
            &subscription.profile,
            "/profile",
            &mut faults,
        );
        check::subscription(&subscription, &mut faults);
        match subscription.endpoint.url.reveal() {
            "" => faults.add("/url", "must be given"),
            url => {
                if let Err(fault) = check_url(url, &self.parts.policy) {
                    faults.add("/url", fault.to_string());
                }
            }
        }
        // Where the profile is not known, the usual one shows whatever else is wrong.
        match &edition {
            Some(edition) => self.check_look(&subscription, &edition.profile, &mut faults),
            None => self.check_look(&subscription, profile::usual(), &mut faults),
        }
        let taken = subscription
            .key
            .as_deref()
            .and_then(|key| self.subscription(subscription.tenant, key));
        if taken.is_some_and(|other| other.subscription().id != subscription.id) {
            return Err(Error::taken("/key", "is taken by another subscription"));
        }
        // Plugins run code; not for a subscription that is refused anyway.
        if faults.is_empty() {
            self.check_steps(&subscription, &mut faults).await?;
        }
        let Some(edition) = edition else {
            return Err(faults.into());
        };
        let owner = self.shown_tenant(subscription.tenant);
        match compiled(subscription, edition, owner) {
            Ok(route) => Ok(faults.or(route)?),
            Err(more) => {
                faults.append(more);
                Err(faults.into())
            }
        }
    }

    /// Checks what of a subscription depends on its profile.
    pub(super) fn check_look(&self, subscription: &Subscription, profile: &Profile, faults: &mut Faults) {
        check::headers(&subscription.endpoint.headers, profile, faults);
        if let Ok(url) = check_url(subscription.endpoint.url.reveal(), &self.parts.policy)
            && !profile.transport.takes(&url)
        {
            faults.add("/url", "must be https: the profile sends nowhere else");
        }
        if let Some(detail) = profile.refused_url(subscription.endpoint.url.reveal()) {
            faults.add("/url", detail);
        }
        check_secrets(subscription, profile, self.parts.clock.now(), faults);
    }

    /// The profile that a subscription has now, if there is one.
    fn look(&self, subscription: &Subscription) -> Option<Arc<Edition>> {
        let shelf = self.shelf();
        shelf.find(subscription.tenant, &subscription.profile).cloned()
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

fn is_disabled(route: &Route) -> bool {
    matches!(route.subscription().status, Status::Disabled { .. })
}

fn next_version(mut subscription: Subscription, now: Timestamp) -> Subscription {
    subscription.version += 1;
    subscription.updated_at = now;
    subscription
}

/// What is to be told where one status follows another. One that says the same again is no news.
fn turn(old: &Status, new: &Status) -> Option<&'static str> {
    match (old, new) {
        (Status::Enabled, Status::Enabled)
        | (Status::Disabled { .. }, Status::Disabled { .. })
        | (Status::Held { .. }, Status::Held { .. }) => None,
        (_, Status::Enabled) => Some(own_event::SUBSCRIPTION_ENABLED),
        (_, Status::Disabled { .. } | Status::Held { .. }) => Some(own_event::SUBSCRIPTION_DISABLED),
    }
}

/// Nobody is disabled for what was before a person enabled, or by a change of the rule alone. That the
/// router lets one go on says nothing about its failures.
fn row_after(old: &Route, new: &Route, mover: Mover) -> Row {
    let is_enabled = |route: &Route| route.subscription().status.is_enabled();
    let enabled = mover == Mover::Person && !is_enabled(old) && is_enabled(new);
    let rule = |route: &Route| route.edition().profile.auto_disable;
    match enabled || rule(old) != rule(new) {
        true => Row::BeginsAnew,
        false => Row::GoesOn,
    }
}

/// The route of a subscription of which neither patterns nor filter nor profile changed.
fn kept(subscription: Subscription, old: &Route) -> Arc<Route> {
    let (edition, owner) = (Arc::clone(old.edition()), Arc::clone(old.owner()));
    Arc::new(old.with(Arc::new(subscription), edition, owner))
}

fn compiled(
    subscription: Subscription,
    edition: Arc<Edition>,
    owner: Arc<str>,
) -> std::result::Result<Arc<Route>, Faults> {
    match Route::compile(Arc::new(subscription), edition, owner) {
        Ok(route) => Ok(Arc::new(route)),
        Err(error) => Err(Faults::one(error.pointer, error.detail)),
    }
}
