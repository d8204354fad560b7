//! Prepared endpoints, one a subscription, made anew when the subscription changes or a secret of it
//! runs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::SubscriptionId;
use crate::outbound::{Endpoint, Fault};
use crate::profile::Profile;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// Endpoints that are kept; beyond, all are made anew, which costs a few microseconds each.
const KEPT_MAX: usize = 20_000;

/// The prepared endpoints.
#[derive(Default)]
pub struct Endpoints(Mutex<HashMap<SubscriptionId, (u64, Arc<Endpoint>)>>);

impl Endpoints {
    /// The endpoint of a subscription as it is now.
    pub fn of(
        &self,
        subscription: &Subscription,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Arc<Endpoint>, Fault> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, endpoint)) = kept.get(&subscription.id)
            && *version == subscription.version
            && endpoint.stale_at.is_none_or(|at| at > now)
        {
            return Ok(endpoint.clone());
        }
        let endpoint = Arc::new(Endpoint::new(subscription, profile, now)?);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(subscription.id, (subscription.version, endpoint.clone()));
        Ok(endpoint)
    }
}
