//! Prepared endpoints, one for each version of a profile that deliveries of a subscription have, made anew when the subscription changes or a secret of it
//! runs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::SubscriptionId;
use crate::outbound::{Endpoint, Fault};
use crate::profile::{self, Edition};
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// Endpoints that are kept; beyond, all are made anew, which costs a few microseconds each.
const KEPT_MAX: usize = 20_000;

/// The prepared endpoints.
#[derive(Default)]
pub struct Endpoints(Mutex<HashMap<(SubscriptionId, profile::Number), (u64, Arc<Endpoint>)>>);

impl Endpoints {
    /// The endpoint of a subscription as it is now, for deliveries that look so.
    pub fn of(
        &self,
        subscription: &Subscription,
        look: &Edition,
        now: Timestamp,
    ) -> Result<Arc<Endpoint>, Fault> {
        let key = (subscription.id, look.number);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, endpoint)) = kept.get(&key)
            && *version == subscription.version
            && endpoint.stale_at.is_none_or(|at| at > now)
        {
            return Ok(endpoint.clone());
        }
        let endpoint = Arc::new(Endpoint::new(subscription, &look.profile, now)?);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (subscription.version, endpoint.clone()));
        Ok(endpoint)
    }
}
