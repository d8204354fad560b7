//! What is counted while the router works, for the sentinel to look at. Bounded, and cheap: one lock for a
//! moment, no allocation for what is known already.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::alert::{Counts, Window};
use crate::id::{SubscriptionId, TenantId};
use crate::time::Timestamp;

/// Subscriptions and tenants that are counted at once: 100 bytes each. Those beyond are not counted until
/// others have had nothing for a while.
const COUNTED_MAX: usize = 100_000;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The endpoint took it.
    Well,
    /// It did not.
    Badly,
}

/// The gauges.
#[derive(Debug, Default)]
pub struct Gauges {
    attempts: Mutex<HashMap<SubscriptionId, Window>>,
    events: Mutex<HashMap<TenantId, Window>>,
    stopped: Mutex<BTreeSet<SubscriptionId>>,
    /// Wakes the sentinel: of what was stopped one wants to hear at once.
    woken: Notify,
}

impl Gauges {
    /// An attempt was made.
    pub fn attempted(&self, subscription: SubscriptionId, tried: Tried, now: Timestamp) {
        let bad = match tried {
            Tried::Well => 0,
            Tried::Badly => 1,
        };
        count(&self.attempts, subscription, Counts { all: 1, bad }, now);
    }

    /// Events came in, some of them repetitions.
    pub fn accepted(&self, tenant: TenantId, all: usize, repeated: usize, now: Timestamp) {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let counts = Counts {
            all: narrow(all),
            bad: narrow(repeated),
        };
        count(&self.events, tenant, counts, now);
    }

    /// The router stopped a subscription.
    pub fn stop(&self, subscription: SubscriptionId) {
        lock(&self.stopped).insert(subscription);
        self.woken.notify_one();
    }

    /// Attempts of subscriptions within the window.
    pub(super) fn attempts(&self, now: Timestamp) -> Vec<(SubscriptionId, Counts)> {
        sums(&self.attempts, now)
    }

    /// Events of tenants within the window.
    pub(super) fn events(&self, now: Timestamp) -> Vec<(TenantId, Counts)> {
        sums(&self.events, now)
    }

    /// What was stopped since this was last asked. What is stopped from now on is for the next to ask.
    pub(super) fn take_stopped(&self) -> BTreeSet<SubscriptionId> {
        std::mem::take(&mut *lock(&self.stopped))
    }

    /// That it was stopped could not be told: it is for the next to ask too. Nobody is woken for it.
    pub(super) fn keep_stopped(&self, subscription: SubscriptionId) {
        lock(&self.stopped).insert(subscription);
    }

    /// Something else is wrong that one wants to hear of at once.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until a subscription is stopped, or somebody wakes the sentinel.
    pub(super) async fn something_stopped(&self) {
        self.woken.notified().await;
    }
}

/// Nothing is done under these locks that could fail halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count<K: Eq + Hash>(windows: &Mutex<HashMap<K, Window>>, key: K, counts: Counts, now: Timestamp) {
    let mut windows = lock(windows);
    if windows.len() >= COUNTED_MAX && !windows.contains_key(&key) {
        return;
    }
    windows.entry(key).or_default().add(counts, now);
}

/// The sums, without those of which nothing is left.
fn sums<K: Copy>(windows: &Mutex<HashMap<K, Window>>, now: Timestamp) -> Vec<(K, Counts)> {
    let mut sums = Vec::new();
    lock(windows).retain(|key, window| {
        let sum = window.sum(now);
        if sum.all > 0 {
            sums.push((*key, sum));
        }
        sum.all > 0
    });
    sums
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alert::WINDOW;

    #[test]
    fn what_has_had_nothing_for_a_while_costs_nothing() {
        let (gauges, now) = (Gauges::default(), Timestamp::from_millis(1_779_208_200_000));
        let (first, second) = (SubscriptionId::from_number(1), SubscriptionId::from_number(2));
        gauges.attempted(first, Tried::Badly, now);
        gauges.attempted(first, Tried::Well, now);
        let later = now.plus(Duration::from_secs(200));
        gauges.attempted(second, Tried::Well, later);
        let mut sums = gauges.attempts(later);
        sums.sort_by_key(|(id, _)| *id);
        let counts = |all, bad| Counts { all, bad };
        assert_eq!(sums, [(first, counts(2, 1)), (second, counts(1, 0))]);
        assert_eq!(gauges.attempts(now.plus(WINDOW)), [(second, counts(1, 0))]);
        assert_eq!(lock(&gauges.attempts).len(), 1);

        gauges.accepted(TenantId::from_number(1), 3, 1, now);
        assert_eq!(gauges.events(now), [(TenantId::from_number(1), counts(3, 1))]);
    }

    #[test]
    fn a_stop_that_comes_while_one_is_told_is_not_lost() {
        let (gauges, id) = (Gauges::default(), SubscriptionId::from_number(1));
        gauges.stop(id);
        assert_eq!(gauges.take_stopped(), BTreeSet::from([id]));
        // It went on and was stopped again while the round told of the first time.
        gauges.stop(id);
        assert_eq!(gauges.take_stopped(), BTreeSet::from([id]));
        assert!(gauges.take_stopped().is_empty());
        gauges.keep_stopped(id);
        assert_eq!(gauges.take_stopped(), BTreeSet::from([id]));
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let (gauges, now) = (Gauges::default(), Timestamp::from_millis(0));
        for number in 0..=i64::try_from(COUNTED_MAX).unwrap() {
            gauges.attempted(SubscriptionId::from_number(number), Tried::Well, now);
        }
        assert_eq!(gauges.attempts(now).len(), COUNTED_MAX);
    }
}
