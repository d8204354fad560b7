//! A token bucket: how the `rate_limit` of a subscription and of a source is kept.
//!
//! Time is an argument. Tokens are counted in thousandths, so that slow rates lose nothing to
//! rounding.

use std::time::Duration;

use crate::subscription::RateLimit;
use crate::time::Timestamp;

const ONE: u64 = 1_000;

/// A bucket that is full at the start.
#[derive(Clone, Debug)]
pub struct Bucket {
    limit: RateLimit,
    level: u64,
    filled_at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub fn new(limit: RateLimit, now: Timestamp) -> Self {
        Self {
            limit,
            level: u64::from(limit.burst.get()) * ONE,
            filled_at: now,
        }
    }

    /// Takes a token, or says when there will be one.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.fill(now);
        if self.level >= ONE {
            self.level -= ONE;
            return Ok(());
        }
        // Rounded up, so that the token is there when we come back.
        let millis = ((ONE - self.level) * self.millis_per_thousand())
            .div_ceil(ONE * self.requests())
            .max(1);
        Err(now.plus(Duration::from_millis(millis)))
    }

    /// A token that was taken was not used.
    pub fn give_back(&mut self) {
        self.level = (self.level + ONE).min(u64::from(self.limit.burst.get()) * ONE);
    }

    fn fill(&mut self, now: Timestamp) {
        let elapsed = u64::try_from(now.since(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(self.requests()).saturating_mul(ONE) / self.millis_per_thousand();
        // A clock that was set back starts the count anew instead of starving the lane.
        if now < self.filled_at {
            self.filled_at = now;
        }
        if gained > 0 {
            let full = u64::from(self.limit.burst.get()) * ONE;
            self.level = self.level.saturating_add(gained).min(full);
            // Only as far as was counted: who asks often would lose the rest each time. A full bucket has
            // nothing to count.
            let counted = gained.saturating_mul(self.millis_per_thousand());
            let counted = Duration::from_millis(counted.div_ceil(self.requests() * ONE));
            self.filled_at = if self.level == full {
                now
            } else {
                self.filled_at.plus(counted).min(now)
            };
        }
    }

    fn requests(&self) -> u64 {
        u64::from(self.limit.requests.get())
    }

    fn millis_per_thousand(&self) -> u64 {
        u64::from(self.limit.per_seconds.get()) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u32, per_seconds: u32, burst: u32) -> RateLimit {
        let n = |n| NonZeroU32::new(n).unwrap();
        RateLimit {
            requests: n(requests),
            per_seconds: n(per_seconds),
            burst: n(burst),
        }
    }

    #[test]
    fn a_burst_goes_at_once_and_then_the_rate_holds() {
        let start = Timestamp::from_millis(0);
        let mut bucket = Bucket::new(limit(2, 1, 3), start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(Timestamp::from_millis(500)));
        assert_eq!(bucket.take(Timestamp::from_millis(500)), Ok(()));
        assert!(bucket.take(Timestamp::from_millis(501)).is_err());
    }

    #[test]
    fn a_clock_set_back_does_not_starve() {
        let mut bucket = Bucket::new(limit(1, 1, 1), Timestamp::from_millis(1_000_000));
        assert!(bucket.take(Timestamp::from_millis(1_000_000)).is_ok());
        assert!(bucket.take(Timestamp::from_millis(0)).is_err());
        assert!(bucket.take(Timestamp::from_millis(1_000)).is_ok());
    }

    #[test]
    fn who_asks_often_gets_no_less() {
        let mut now = Timestamp::from_millis(0);
        let mut bucket = Bucket::new(limit(1, 60, 1), now);
        let mut taken = 0;
        for _ in 0..6_000 {
            now = now.plus(Duration::from_millis(100));
            taken += u32::from(bucket.take(now).is_ok());
        }
        assert!(
            (10..=11).contains(&taken),
            "{taken} in ten minutes of one a minute"
        );
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            requests in 1_u32..50, per in 1_u32..100, burst in 1_u32..20,
            steps in prop::collection::vec(0_u64..3_000, 1..200),
        ) {
            let mut now = Timestamp::from_millis(0);
            let mut bucket = Bucket::new(limit(requests, per, burst), now);
            let mut taken = 0_u64;
            for step in steps {
                now = now.plus(Duration::from_millis(step));
                if bucket.take(now).is_ok() { taken += 1; }
            }
            let allowed = u64::from(burst)
                + u64::try_from(now.as_millis()).unwrap() * u64::from(requests) / (u64::from(per) * 1_000);
            prop_assert!(taken <= allowed, "{taken} > {allowed}");
        }

        #[test]
        fn the_promised_time_is_kept(requests in 1_u32..50, per in 1_u32..100) {
            let mut bucket = Bucket::new(limit(requests, per, 1), Timestamp::from_millis(0));
            prop_assert!(bucket.take(Timestamp::from_millis(0)).is_ok());
            let due = bucket.take(Timestamp::from_millis(0)).unwrap_err();
            prop_assert!(bucket.take(due).is_ok());
        }
    }
}
