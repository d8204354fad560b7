//! Instances that are kept between events.
//!
//! An instance belongs to one step of one version of one subscription. It is taken out for a run and
//! put back after it, so several runs at once have several instances. The least recently used go
//! first: when there are too many, when their memory together is too much, and when nothing used them
//! for long. That is looked at when an instance is put back; no timer runs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::digest::Digest;
use crate::id::SubscriptionId;

use super::limits::PluginLimits;

/// What an instance belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstanceKey {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The place of the plugin in the subscription's list.
    pub step: u8,
    /// The subscription's version: with it the configuration changes.
    pub version: u64,
}

/// What the cache must know of what it keeps.
pub(super) trait Keep {
    /// Its memory, in bytes.
    fn bytes(&self) -> usize;
}

/// The cache. Its methods hand out what is to be dropped, so that no instance is unmapped under the
/// lock.
pub(super) struct Kept<T> {
    inner: Mutex<Inner<T>>,
    count_most: usize,
    bytes_most: usize,
    idle: Duration,
}

struct Inner<T> {
    /// Instances by owner and exact component, the most recently put back last.
    entries: LruCache<(InstanceKey, Digest), Vec<(Instant, T)>>,
    count: usize,
    bytes: usize,
    /// How often something was forgotten: what was out meanwhile is not put back.
    forgotten: u64,
}

/// Says when an instance was taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken(u64);

impl<T: Keep> Kept<T> {
    pub(super) fn new(limits: &PluginLimits) -> Self {
        Self {
            inner: Mutex::new(Inner {
                entries: LruCache::unbounded(),
                count: 0,
                bytes: 0,
                forgotten: 0,
            }),
            count_most: limits.kept_instances,
            bytes_most: limits.kept_bytes,
            idle: Duration::from_millis(limits.kept_idle_ms),
        }
    }

    /// The instance used last, if one is there.
    pub(super) fn take(&self, key: InstanceKey, digest: Digest) -> (Option<T>, Taken) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = Taken(inner.forgotten);
        let instance = inner.entries.get_mut(&(key, digest)).and_then(Vec::pop);
        if let Some((_, instance)) = &instance {
            inner.count -= 1;
            inner.bytes -= instance.bytes();
        }
        (instance.map(|(_, instance)| instance), taken)
    }

    /// Puts an instance back. Answers what has to go for it, or itself.
    pub(super) fn put(
        &self,
        key: InstanceKey,
        digest: Digest,
        taken: Taken,
        instance: T,
        now: Instant,
    ) -> Vec<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.0 != inner.forgotten || instance.bytes() > self.bytes_most || self.count_most == 0 {
            return vec![instance];
        }
        inner.count += 1;
        inner.bytes += instance.bytes();
        inner
            .entries
            .get_or_insert_mut((key, digest), Vec::new)
            .push((now, instance));
        let mut gone = Vec::new();
        while let Some(oldest) = inner.oldest() {
            let full = inner.count > self.count_most || inner.bytes > self.bytes_most;
            let idle = oldest.is_none_or(|since| now.saturating_duration_since(since) > self.idle);
            if !full && !idle {
                break;
            }
            gone.extend(inner.evict());
        }
        gone
    }

    /// Lets go of everything of a subscription, also what is out for a run now.
    pub(super) fn forget(&self, subscription: SubscriptionId) -> Vec<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forgotten += 1;
        let of_it = inner.entries.iter().map(|(key, _)| *key);
        let keys: Vec<_> = of_it
            .filter(|(key, _)| key.subscription == subscription)
            .collect();
        let mut gone = Vec::new();
        for key in keys {
            for (_, instance) in inner.entries.pop(&key).unwrap_or_default() {
                inner.count -= 1;
                inner.bytes -= instance.bytes();
                gone.push(instance);
            }
        }
        gone
    }

    /// How many are kept, and their memory in bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.count, inner.bytes)
    }
}

impl<T: Keep> Inner<T> {
    /// Since when the least recently used instance is idle; inner none for an owner without any.
    fn oldest(&self) -> Option<Option<Instant>> {
        let (_, instances) = self.entries.peek_lru()?;
        Some(instances.first().map(|(since, _)| *since))
    }

    /// Takes out the least recently used instance, and its owner with the last one.
    fn evict(&mut self) -> Option<T> {
        let (key, instances) = self.entries.peek_lru()?;
        let (key, last) = (*key, instances.len() <= 1);
        let instance = if last {
            self.entries.pop(&key)?.pop()
        } else {
            self.entries.peek_mut(&key).map(|instances| instances.remove(0))
        };
        let (_, instance) = instance?;
        self.count -= 1;
        self.bytes -= instance.bytes();
        Some(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Stone(u32, usize);

    impl Keep for Stone {
        fn bytes(&self) -> usize {
            self.1
        }
    }

    const DIGEST: Digest = Digest::from_bytes([7; 32]);

    fn key(subscription: i64) -> InstanceKey {
        InstanceKey {
            subscription: SubscriptionId::from_number(subscription),
            step: 0,
            version: 1,
        }
    }

    fn kept(count: usize, bytes: usize) -> Kept<Stone> {
        Kept::new(&PluginLimits {
            kept_instances: count,
            kept_bytes: bytes,
            kept_idle_ms: 1_000,
            ..PluginLimits::default()
        })
    }

    fn put(kept: &Kept<Stone>, subscription: i64, stone: Stone, now: Instant) -> Vec<Stone> {
        let (_, taken) = kept.take(key(99), DIGEST);
        kept.put(key(subscription), DIGEST, taken, stone, now)
    }

    #[test]
    fn count_and_bytes_are_bounded_and_the_least_used_goes_first() {
        let (kept, now) = (kept(3, 100), super::super::stopwatch::now());
        assert_eq!(put(&kept, 1, Stone(1, 10), now), []);
        assert_eq!(put(&kept, 1, Stone(2, 10), now), []);
        assert_eq!(put(&kept, 2, Stone(3, 10), now), []);
        assert_eq!(put(&kept, 3, Stone(4, 10), now), [Stone(1, 10)]);
        assert_eq!(put(&kept, 4, Stone(5, 85), now), [Stone(2, 10), Stone(3, 10)]);
        assert_eq!(put(&kept, 5, Stone(6, 101), now), [Stone(6, 101)]);
        assert_eq!(kept.size(), (2, 95));
        assert_eq!(kept.take(key(4), DIGEST).0, Some(Stone(5, 85)));
        assert_eq!(kept.take(key(4), DIGEST).0, None);
        assert_eq!(kept.take(key(3), Digest::from_bytes([8; 32])).0, None);
    }

    #[test]
    fn idle_ones_go_when_another_comes() {
        let (kept, now) = (kept(9, 100), super::super::stopwatch::now());
        put(&kept, 1, Stone(1, 10), now);
        put(&kept, 2, Stone(2, 10), now);
        let later = now + Duration::from_millis(1_001);
        let mut gone = put(&kept, 3, Stone(3, 10), later);
        gone.sort_by_key(|stone| stone.0);
        assert_eq!(gone, [Stone(1, 10), Stone(2, 10)]);
        assert_eq!(kept.size(), (1, 10));
    }

    #[test]
    fn what_is_forgotten_while_out_does_not_come_back() {
        let (kept, now) = (kept(9, 100), super::super::stopwatch::now());
        put(&kept, 1, Stone(1, 10), now);
        put(&kept, 1, Stone(2, 10), now);
        let (out, taken) = kept.take(key(1), DIGEST);
        assert_eq!(kept.forget(SubscriptionId::from_number(1)), [Stone(1, 10)]);
        assert_eq!(kept.put(key(1), DIGEST, taken, out.unwrap(), now), [Stone(2, 10)]);
        assert_eq!(kept.size(), (0, 0));
    }
}
