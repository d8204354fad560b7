//! How often subscriptions may be tried: each time, the router sends a request to wherever somebody says.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::bucket::Bucket;
use crate::id::TenantId;
use crate::subscription::RateLimit;
use crate::time::Timestamp;

/// Tests of one tenant in a minute: more than a person can look at.
pub const PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).expect("not zero");
/// Tests of one tenant at once, after a pause.
pub const BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Tests of all tenants at the same time: each holds a connection, and perhaps a plugin's thread.
pub const AT_ONCE_MAX: usize = 32;
/// Tests of one tenant at the same time, so that nobody's slow endpoints take the places of all.
pub const TENANT_AT_ONCE_MAX: usize = 4;
/// When to come again where too many are under way.
const AGAIN: Duration = Duration::from_secs(5);
const MINUTE_SECONDS: NonZeroU32 = NonZeroU32::new(60).expect("not zero");

/// What is left. There is a share for each tenant that ever tried something, and tenants are few.
pub(super) struct Allowance {
    shares: Mutex<HashMap<TenantId, Share>>,
    at_once: Arc<Semaphore>,
}

/// What is left for one tenant.
struct Share {
    bucket: Bucket,
    at_once: Arc<Semaphore>,
}

/// One test may be under way for as long as this is held.
#[derive(Debug)]
pub(super) struct Permit {
    _of_tenant: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            shares: Mutex::default(),
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }
}

impl Allowance {
    /// Takes one, for as long as the permit is held; or says when there will be one. What is refused
    /// because others are under way does not count as a test.
    pub(super) fn take(&self, tenant: TenantId, now: Timestamp) -> Result<Permit, Error> {
        let limit = RateLimit {
            requests: PER_MINUTE,
            per_seconds: MINUTE_SECONDS,
            burst: BURST,
        };
        let until = now.plus(AGAIN);
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.entry(tenant).or_insert_with(|| Share {
            bucket: Bucket::new(limit, now),
            at_once: Arc::new(Semaphore::new(TENANT_AT_ONCE_MAX)),
        });
        let of_tenant = Arc::clone(&share.at_once).try_acquire_owned();
        let of_tenant = of_tenant.map_err(|_| Error::TenantBusy { until })?;
        let of_all = Arc::clone(&self.at_once).try_acquire_owned();
        let of_all = of_all.map_err(|_| Error::RouterBusy { until })?;
        share.bucket.take(now).map_err(|until| Error::Often { until })?;
        Ok(Permit {
            _of_tenant: of_tenant,
            _of_all: of_all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_may_only_so_often_and_costs_the_others_nothing() {
        let (allowance, now) = (Allowance::default(), Timestamp::from_millis(1_000_000));
        let (one, other) = (TenantId::from_number(1), TenantId::from_number(2));
        for _ in 0..BURST.get() {
            assert!(allowance.take(one, now).is_ok());
        }
        let Err(Error::Often { until }) = allowance.take(one, now) else {
            panic!("more than a burst");
        };
        assert_eq!(until.since(now), Duration::from_secs(2));
        assert!(allowance.take(other, now).is_ok());
        assert!(allowance.take(one, until).is_ok());
    }

    #[test]
    fn only_so_many_are_under_way_at_once() {
        let (allowance, now) = (Allowance::default(), Timestamp::from_millis(1_000_000));
        let tenant = |n: usize| TenantId::from_number(i64::try_from(n).unwrap() + 1);
        let held: Vec<_> = (0..AT_ONCE_MAX)
            .map(|n| allowance.take(tenant(n), now).unwrap())
            .collect();
        let refused = allowance.take(tenant(AT_ONCE_MAX), now);
        assert!(matches!(refused, Err(Error::RouterBusy { .. })), "{refused:?}");
        drop(held);
        assert!(allowance.take(tenant(AT_ONCE_MAX), now).is_ok());
    }

    #[test]
    fn a_tenants_slow_endpoints_leave_room_for_the_others() {
        let (allowance, now) = (Allowance::default(), Timestamp::from_millis(1_000_000));
        let (one, other) = (TenantId::from_number(1), TenantId::from_number(2));
        let mut held: Vec<_> = (0..TENANT_AT_ONCE_MAX)
            .map(|_| allowance.take(one, now).unwrap())
            .collect();
        for _ in 0..AT_ONCE_MAX {
            let refused = allowance.take(one, now);
            assert!(matches!(refused, Err(Error::TenantBusy { .. })), "{refused:?}");
        }
        assert!(allowance.take(other, now).is_ok());
        held.pop();
        assert!(
            allowance.take(one, now).is_ok(),
            "what was refused has cost nothing"
        );
    }
}
