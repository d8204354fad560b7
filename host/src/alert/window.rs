//! Counts over the last minutes, in a fixed number of buckets.

use std::time::Duration;

use crate::time::Timestamp;

/// Over how long rates are measured: long enough that a deployment of the endpoint is no alert, short enough
/// to hear of a failure before users tell it.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// In how many steps old counts leave.
const BUCKETS: i64 = 10;
/// The same, as the length of an array.
const PLACES: usize = 10;
/// How long one bucket is open, in milliseconds.
const BUCKET_MILLIS: i64 = 30_000;

/// How many there were, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: u32,
    /// The bad ones among them.
    pub bad: u32,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            all: self.all.saturating_add(other.all),
            bad: self.bad.saturating_add(other.bad),
        }
    }
}

/// Counts of the last [`WINDOW`], to a bucket.
#[derive(Clone, Debug, Default)]
pub struct Window {
    buckets: [Counts; PLACES],
    /// The newest bucket that was written, counted from the epoch.
    newest: i64,
}

impl Window {
    /// Counts some more. A clock that was set back a little adds to the newest bucket; one that was set back
    /// by more than the window begins anew, for the newest bucket would not end for as long.
    pub fn add(&mut self, counts: Counts, now: Timestamp) {
        if self.is_ahead(now) {
            *self = Self::default();
        }
        let bucket = bucket_of(now).max(self.newest);
        // What lies between was never written: it is from the last time round.
        let first = (self.newest + 1).max(bucket - BUCKETS + 1);
        for passed in first..=bucket {
            self.buckets[place(passed)] = Counts::default();
        }
        self.newest = bucket;
        let counted = &mut self.buckets[place(bucket)];
        *counted = counted.plus(counts);
    }

    /// What was counted within the window.
    pub fn sum(&self, now: Timestamp) -> Counts {
        if self.is_ahead(now) {
            return Counts::default();
        }
        let oldest = bucket_of(now).max(self.newest) - BUCKETS + 1;
        let kept =
            (oldest.max(self.newest - BUCKETS + 1)..=self.newest).map(|bucket| self.buckets[place(bucket)]);
        kept.fold(Counts::default(), Counts::plus)
    }
}

impl Window {
    /// Whether all that was counted is of a clock that has been set back since.
    fn is_ahead(&self, now: Timestamp) -> bool {
        self.newest - bucket_of(now) >= BUCKETS
    }
}

fn bucket_of(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(BUCKET_MILLIS)
}

fn place(bucket: i64) -> usize {
    usize::try_from(bucket.rem_euclid(BUCKETS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_buckets_are_the_window() {
        let millis = u128::try_from(BUCKETS * BUCKET_MILLIS).unwrap();
        assert_eq!(WINDOW.as_millis(), millis);
        assert_eq!(i64::try_from(PLACES), Ok(BUCKETS));
    }

    #[test]
    fn a_clock_that_was_set_back_by_far_begins_the_window_anew() {
        let mut window = Window::default();
        let counts = Counts { all: 1, bad: 1 };
        let late = Timestamp::from_millis(1_779_208_200_000);
        window.add(counts, late);
        window.add(counts, late.minus(WINDOW / 2));
        assert_eq!(window.sum(late), Counts { all: 2, bad: 2 }, "a little is nothing");
        let early = late.minus(WINDOW * 100_000);
        assert_eq!(window.sum(early), Counts::default());
        window.add(counts, early);
        assert_eq!(window.sum(early), counts);
        assert_eq!(
            window.sum(early.plus(WINDOW)),
            Counts::default(),
            "it passes again"
        );
    }

    proptest! {
        /// The same as a list of everything with its time.
        #[test]
        fn a_window_counts_what_a_list_counts(
            steps in prop::collection::vec((0_i64..200_000, 0_u32..5, 0_u32..5), 1..60),
        ) {
            let (mut window, mut list, mut now) = (Window::default(), Vec::new(), 1_779_208_200_000_i64);
            for (step, good, bad) in steps {
                now += step;
                let counts = Counts { all: good + bad, bad };
                window.add(counts, Timestamp::from_millis(now));
                list.push((now / BUCKET_MILLIS, counts));
                let oldest = now / BUCKET_MILLIS - BUCKETS + 1;
                let expected = list
                    .iter()
                    .filter(|(bucket, _)| *bucket >= oldest)
                    .fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
                prop_assert_eq!(window.sum(Timestamp::from_millis(now)), expected);
            }
            let later = Timestamp::from_millis(now).plus(WINDOW);
            prop_assert_eq!(window.sum(later), Counts::default());
        }
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_loses_nothing() {
        let (mut window, now) = (Window::default(), Timestamp::from_millis(1_779_208_200_000));
        window.add(Counts { all: 2, bad: 1 }, now);
        let before = now.minus(Duration::from_secs(120));
        window.add(Counts { all: 3, bad: 0 }, before);
        assert_eq!(window.sum(before), Counts { all: 5, bad: 1 });
        assert_eq!(window.sum(now), Counts { all: 5, bad: 1 });
    }
}
