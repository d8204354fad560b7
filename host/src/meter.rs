//! How subscriptions do: attempts, successes and response times over the last minutes, hours and day.
//!
//! A [`Gauge`] is of a fixed size: rings of slots, each of a stretch of time, with counts and a
//! histogram of response times. Taking in an attempt changes four slots and allocates nothing but, once
//! in ten minutes, a histogram. [`Meters`] has one gauge a subscription, in shards with a lock each that
//! is held for some ten nanoseconds, and forgets the one that was idle longest when there are too many.
//! Nothing of it is stored: after a restart everything begins at nothing and says since when it counts.

mod gauge;
mod histogram;

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

pub use gauge::{Counts, Gauge, Outcome, Sample, Span, Times};
pub use histogram::Histogram;

use crate::id::SubscriptionId;
use crate::time::Timestamp;

/// Locks; neighbours in one are in nobody's way for long.
const SHARDS: usize = 16;
/// Gauges of one shard. All of them together are 4,096, of about 22 KB each if their subscriptions were
/// busy all day: 90 MB at the very most.
const GAUGES_PER_SHARD: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A gauge for each subscription that did something lately.
#[derive(Debug)]
pub struct Meters {
    since: Timestamp,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Shard {
    gauges: LruCache<SubscriptionId, Box<Gauge>>,
    /// Whether one was ever forgotten: a new one then may have had a life before.
    forgot: bool,
}

impl Meters {
    /// Counts from now on.
    pub fn new(now: Timestamp) -> Self {
        let shard = || Shard {
            gauges: LruCache::new(GAUGES_PER_SHARD),
            forgot: false,
        };
        Self {
            since: now,
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
        }
    }

    /// Takes an attempt in.
    pub fn record(&self, subscription: SubscriptionId, now: Timestamp, sample: Sample) {
        let mut shard = self.shard(subscription);
        if let Some(gauge) = shard.gauges.get_mut(&subscription) {
            return gauge.record(now, sample);
        }
        shard.forgot |= shard.gauges.len() == GAUGES_PER_SHARD.get();
        let since = if shard.forgot { now } else { self.since };
        let mut gauge = Box::new(Gauge::new(since));
        gauge.record(now, sample);
        shard.gauges.put(subscription, gauge);
    }

    /// Counts of the last `span`, at most a day; see [`Gauge::window`].
    pub fn window(&self, subscription: SubscriptionId, now: Timestamp, span: Duration) -> Counts {
        let shard = self.shard(subscription);
        let gauge = shard.gauges.peek(&subscription);
        gauge.map(|gauge| gauge.window(now, span)).unwrap_or_default()
    }

    /// Response times of the last hour or day; none where no answer came.
    pub fn times(&self, subscription: SubscriptionId, now: Timestamp, span: Span) -> Option<Times> {
        self.shard(subscription)
            .gauges
            .peek(&subscription)?
            .times(now, span)
    }

    /// Since when a subscription is counted.
    pub fn since(&self, subscription: SubscriptionId, now: Timestamp) -> Timestamp {
        let shard = self.shard(subscription);
        match shard.gauges.peek(&subscription) {
            Some(gauge) => gauge.since(),
            None if shard.forgot => now,
            None => self.since,
        }
    }

    fn shard(&self, subscription: SubscriptionId) -> MutexGuard<'_, Shard> {
        // Ids of one burst differ in their lowest bits, others in their time.
        let number = subscription.number();
        let place = (number ^ (number >> 22)).unsigned_abs() % SHARDS as u64;
        let place = usize::try_from(place).unwrap_or(0);
        // Nothing in between can leave a gauge half changed in a way that matters: it counts.
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_779_208_200_000);
    const SAMPLE: Sample = Sample {
        outcome: Outcome::Delivered,
        answered_in_ms: Some(12),
    };

    fn id(number: usize) -> SubscriptionId {
        SubscriptionId::from_number(i64::try_from(number).unwrap())
    }

    /// AE-19.
    #[test]
    fn each_subscription_has_its_own() {
        let meters = Meters::new(NOW);
        let later = NOW.plus(Duration::from_secs(5));
        meters.record(id(1), later, SAMPLE);
        meters.record(id(1), later, SAMPLE);
        meters.record(id(17), later, SAMPLE);
        let minute = Duration::from_secs(60);
        assert_eq!(meters.window(id(1), later, minute).attempts, 2);
        assert_eq!(meters.window(id(17), later, minute).attempts, 1);
        assert_eq!(meters.window(id(2), later, minute), Counts::default());
        assert_eq!(meters.times(id(2), later, Span::Hour), None);
        assert_eq!(meters.since(id(1), later), NOW);
    }

    #[test]
    fn the_number_of_gauges_is_bounded_and_what_was_forgotten_says_so() {
        let meters = Meters::new(NOW);
        let many = SHARDS * GAUGES_PER_SHARD.get();
        for number in 1..=many * 2 {
            meters.record(id(number), NOW.plus(Duration::from_secs(1)), SAMPLE);
        }
        let kept: usize = meters
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().gauges.len())
            .sum();
        assert_eq!(kept, many);
        let later = NOW.plus(Duration::from_secs(9));
        assert_eq!(meters.since(id(1), later), later, "it was forgotten");
        assert_eq!(
            meters.since(id(many * 2), later),
            NOW.plus(Duration::from_secs(1)),
            "it may have had a life before"
        );
    }
}
