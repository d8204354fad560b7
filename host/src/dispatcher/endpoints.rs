//! Prepared endpoints, one for each version of a profile that deliveries of a subscription have, made anew when the subscription changes or a secret of it
//! runs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::egress::Spelling;
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

/// An endpoint with the exact names of its headers.
pub struct Prepared {
    /// What requests are made with.
    pub endpoint: Endpoint,
    /// How the names of their headers are spelled on the wire.
    pub spelling: Spelling,
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
        let spelling = Spelling::of(endpoint.spelled());
        let prepared = Arc::new(Prepared { endpoint, spelling });
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (subscription.version, prepared.clone()));
        Ok(prepared)
    }
}
