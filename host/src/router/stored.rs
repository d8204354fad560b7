//! What the router finds in its store when it starts: profiles, subscriptions, sources.
//!
//! The router's own profiles are stored like everybody else's, each version once, because deliveries name
//! the version that they look like and must find it when the binary has moved on. What cannot be read any
//! more keeps nothing else from starting: a subscription whose profile is not there is held and says so.

use std::collections::HashMap;
use std::sync::Arc;

use super::StartError;
use crate::id::TenantId;
use crate::intake::Entry;
use crate::profile::{self, Choice, Edition, Profile, Shelf};
use crate::routing::Route;
use crate::store::{self, NewProfile, Store, StoredProfile};
use crate::subscription::{Status, Subscription};
use crate::time::Timestamp;

/// All profiles; those of this binary are stored if they are new.
pub(super) async fn profiles(store: &dyn Store, now: Timestamp) -> store::Result<Shelf> {
    let mut stored = store.profiles().await?;
    for own in profile::built_ins() {
        let is_own = |known: &StoredProfile| {
            known.tenant.is_none() && known.name == own.name && known.version == own.version
        };
        if stored.iter().any(is_own) {
            continue;
        }
        let new = NewProfile {
            tenant: None,
            name: own.name.clone(),
            version: own.version,
            // What was read from text always serialises.
            document: serde_json::to_string(own).unwrap_or_default(),
            created_at: now,
            // It is a new name or number: nobody has it yet.
            rule_changes: Vec::new(),
        };
        let number = store.add_profile(new.clone()).await?;
        stored.push(StoredProfile {
            number,
            tenant: None,
            name: new.name,
            version: new.version,
            document: new.document,
            created_at: now,
            removed_at: None,
        });
    }
    Ok(Shelf::new(stored.into_iter().filter_map(edition)))
}

fn edition(stored: StoredProfile) -> Option<Arc<Edition>> {
    match serde_json::from_str::<Profile>(&stored.document) {
        Ok(profile) => Some(Arc::new(Edition {
            number: stored.number,
            tenant: stored.tenant,
            profile,
            created_at: stored.created_at,
            removed_at: stored.removed_at,
        })),
        Err(why) => {
            tracing::error!(
                profile.name = stored.name,
                profile.version = stored.version,
                %why,
                "a stored profile cannot be read; deliveries that look like it fail"
            );
            None
        }
    }
}

/// Gives deliveries from before there were versions the one that they looked like: the first of the profile
/// that their subscription has, which nobody could change then.
async fn pin(store: &dyn Store, shelf: &Shelf, subscriptions: &[Subscription]) -> store::Result<()> {
    let first = |subscription: &Subscription| {
        let choice = Choice {
            version: Some(1),
            ..subscription.profile.clone()
        };
        let edition = shelf.find(subscription.tenant, &choice)?;
        Some((subscription.id, edition.number))
    };
    store
        .pin_profiles(subscriptions.iter().filter_map(first).collect())
        .await
}

/// All subscriptions, compiled.
pub(super) async fn routes(
    store: &dyn Store,
    shelf: &Shelf,
    now: Timestamp,
) -> Result<Vec<Arc<Route>>, StartError> {
    let tenants = store.tenants().await?;
    let owners: HashMap<TenantId, Arc<str>> = tenants
        .iter()
        .map(|tenant| (tenant.id, tenant.shown().into()))
        .collect();
    let compile = |subscription: Subscription| {
        let id = subscription.id;
        let owner = owners.get(&subscription.tenant).cloned();
        let owner = owner.unwrap_or_else(|| subscription.tenant.to_string().into());
        let (subscription, edition) = dressed(subscription, shelf, now);
        let route = Route::compile(Arc::new(subscription), edition, owner);
        route
            .map(Arc::new)
            .map_err(|fault| StartError::Subscription { id, fault })
    };
    let subscriptions = store.subscriptions().await?;
    pin(store, shelf, &subscriptions).await?;
    subscriptions.into_iter().map(compile).collect()
}

/// A subscription with its profile; held, with the usual one, where its own is not there.
fn dressed(mut subscription: Subscription, shelf: &Shelf, now: Timestamp) -> (Subscription, Arc<Edition>) {
    if let Some(edition) = shelf.find(subscription.tenant, &subscription.profile) {
        return (subscription, Arc::clone(edition));
    }
    tracing::error!(
        subscription.id = %subscription.id,
        profile = %subscription.profile,
        "a subscription's profile is not there; the subscription is held"
    );
    if subscription.status.is_enabled() || subscription.status.probe_at().is_some() {
        subscription.status = Status::Held {
            since: now,
            reason: format!(
                "the profile `{}` cannot be read; choose another",
                subscription.profile
            ),
            probe_at: None,
        };
    }
    let usual = shelf.find(subscription.tenant, &Choice::default());
    let usual = usual.cloned();
    let usual = usual.unwrap_or_else(|| Arc::new(Edition::unstored(profile::usual().clone(), now)));
    (subscription, usual)
}

/// All sources: one that is not valid any more must not keep the others from taking what comes.
pub(super) async fn sources(store: &dyn Store, now: Timestamp) -> store::Result<Vec<Arc<Entry>>> {
    let sources = store.sources().await?.into_iter();
    Ok(sources
        .map(|source| Arc::new(Entry::stored(Arc::new(source), now)))
        .collect())
}
