//! A histogram of times with bounds that never change, for Prometheus.
//!
//! (The histogram of [`crate::meter`] is finer and forgets; this one is coarse, counts for as long as the
//! process lives, and takes no lock.) An observation is two atomic additions and a search among [`BOUNDS`].

use std::time::Duration;

use super::cells::Cells;

/// Upper bounds of the buckets, in microseconds: 100 µs to 60 s, each about twice the one before, so that a
/// quantile is right to a factor of two and a half at the most. What took longer is in one more bucket.
pub const BOUNDS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
/// Where the sum lies, behind the bucket for what took longest.
const SUM: usize = BOUNDS.len() + 1;

/// The histogram.
#[derive(Debug, Default)]
pub struct Histogram(Cells<{ SUM + 1 }>);

/// What a histogram has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// For each bucket its upper bound in seconds and how many fell into it; the last has no bound.
    pub buckets: Vec<(Option<f64>, u64)>,
    /// All times together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Takes a time in.
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // A bucket holds its bound, as Prometheus has it (`le`).
        let micros = nanos.div_ceil(1_000);
        self.0.add(BOUNDS.partition_point(|bound| *bound < micros), 1);
        self.0.add(SUM, nanos);
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        let bounds = BOUNDS.iter().map(|micros| Some(seconds(*micros, 1e6)));
        let buckets = bounds.chain([None]).enumerate();
        Seen {
            buckets: buckets
                .map(|(place, bound)| (bound, self.0.read(place)))
                .collect(),
            sum: seconds(self.0.read(SUM), 1e9),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a sum of half a year is still right to a microsecond"
)]
fn seconds(count: u64, in_a_second: f64) -> f64 {
    count as f64 / in_a_second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let table = [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 0),
            (Duration::from_micros(100), 0),
            (Duration::from_nanos(100_001), 1),
            (Duration::from_micros(250), 1),
            (Duration::from_millis(1), 3),
            (Duration::from_micros(1_001), 4),
            (Duration::from_secs(1), 12),
            (Duration::from_secs(59), 17),
            (Duration::from_secs(60), 17),
            (Duration::from_millis(60_001), 18),
            (Duration::MAX, 18),
        ];
        for (took, expected) in table {
            let histogram = Histogram::default();
            histogram.observe(took);
            let seen = histogram.seen();
            assert_eq!(seen.buckets.len(), BOUNDS.len() + 1);
            let place = seen.buckets.iter().position(|(_, count)| *count == 1);
            assert_eq!(place, Some(expected), "{took:?}");
            assert_eq!(seen.buckets.iter().map(|(_, count)| count).sum::<u64>(), 1);
        }
    }

    #[test]
    fn bounds_grow_by_two_to_three() {
        for pair in BOUNDS.windows(2) {
            assert!(pair[1] >= 2 * pair[0] && pair[1] <= 3 * pair[0], "{pair:?}");
        }
        assert_eq!((BOUNDS[0], BOUNDS[17]), (100, 60_000_000));
        assert_eq!(Histogram::default().seen().buckets[0], (Some(0.0001), 0));
        assert_eq!(Histogram::default().seen().buckets[18], (None, 0));
    }

    #[test]
    fn times_add_up() {
        let histogram = Histogram::default();
        for millis in [1, 2, 3, 4_994] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert!((histogram.seen().sum - 5.0).abs() < 1e-9);
    }
}
