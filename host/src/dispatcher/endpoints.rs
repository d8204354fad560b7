//! Prepared endpoints, one for each version of a profile that deliveries of a subscription have, made anew
//! when the subscription changes or a secret of it runs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use crate::egress::{Spelling, Target};
use crate::id::SubscriptionId;
use crate::outbound::{Endpoint, Fault};
use crate::profile::{self, Edition};
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// Endpoints that are kept; beyond, all are made anew, which costs a few microseconds each.
const KEPT_MAX: usize = 20_000;

/// The prepared endpoints.
#[derive(Default)]
pub struct Endpoints(Mutex<HashMap<Key, (u64, Arc<Prepared>)>>);

/// A subscription and the looks of some of its deliveries.
type Key = (SubscriptionId, profile::Number);

/// An endpoint with what the way out wants to know of it.
pub struct Prepared {
    /// What requests are made with.
    pub endpoint: Endpoint,
    /// How the names of their headers are spelled on the wire.
    pub spelling: Spelling,
    /// Where they go, unless a plugin named another path.
    target: Target,
}

impl Prepared {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            spelling: Spelling::of(endpoint.spelled()),
            target: Arc::clone(endpoint.url()).into(),
            endpoint,
        }
    }

    /// Where a request with this URL goes.
    pub fn target(&self, url: Arc<Url>) -> Target {
        if Arc::ptr_eq(&url, self.target.url()) {
            self.target.clone()
        } else {
            url.into()
        }
    }
}

impl Endpoints {
    /// The endpoint of a subscription as it is now, for deliveries that look so.
    pub fn of(
        &self,
        subscription: &Subscription,
        look: &Edition,
        now: Timestamp,
    ) -> Result<Arc<Prepared>, Fault> {
        let key = (subscription.id, look.number);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, prepared)) = kept.get(&key)
            && *version == subscription.version
            && prepared.endpoint.stale_at.is_none_or(|at| at > now)
        {
            return Ok(prepared.clone());
        }
        let endpoint = Endpoint::new(subscription, &look.profile, now)?;
        let prepared = Arc::new(Prepared::new(endpoint));
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (subscription.version, prepared.clone()));
        Ok(prepared)
    }
}
