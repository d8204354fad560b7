//! How many previews are counted at once, so that many that are asked for together do not read all that the
//! disk can give.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::TenantId;

/// Previews that are counted for a tenant at once. Each reads as fast as the disk allows, and its answer is
/// for a person, who asks for one after another.
pub(super) const PREVIEWS_MAX: usize = 2;

/// Those that are being counted; tenants without one are not in it.
#[derive(Debug, Default)]
pub(super) struct Previews(Mutex<HashMap<TenantId, usize>>);

/// A preview that is being counted, until this is dropped.
#[derive(Debug)]
pub(super) struct Counting<'a> {
    previews: &'a Previews,
    tenant: TenantId,
}

impl Previews {
    /// Room for one more preview of a tenant; none where there is no more.
    pub(super) fn begin(&self, tenant: TenantId) -> Option<Counting<'_>> {
        let mut counted = self.lock();
        let count = counted.entry(tenant).or_default();
        if *count >= PREVIEWS_MAX {
            return None;
        }
        *count += 1;
        Some(Counting {
            previews: self,
            tenant,
        })
    }

    /// Nothing is done under this lock that could fail halfway.
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let mut counted = self.previews.lock();
        if let Some(count) = counted.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                counted.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_many_at_once_and_room_again_when_one_has_ended() {
        let (previews, tenant) = (Previews::default(), TenantId::from_number(1));
        let mut counting: Vec<_> = (0..PREVIEWS_MAX).filter_map(|_| previews.begin(tenant)).collect();
        assert_eq!(counting.len(), PREVIEWS_MAX);
        assert!(previews.begin(tenant).is_none());
        assert!(
            previews.begin(TenantId::from_number(2)).is_some(),
            "each has its own"
        );
        counting.pop();
        counting.push(previews.begin(tenant).expect("room again"));
        assert!(previews.begin(tenant).is_none());
        counting.clear();
        assert!(previews.lock().is_empty());
    }
}
