//! A log-linear histogram of milliseconds: each doubling of time is cut into eight equal parts, so that
//! any value is known to within an eighth of itself, from one millisecond to a quarter of an hour.

/// Parts of a doubling, as a power of two.
const PARTS_BITS: u32 = 3;
const PARTS: usize = 1 << PARTS_BITS;
/// Doublings beyond the first eight milliseconds: up to 2^20 ms, which is more than any time-out.
const DOUBLINGS: usize = 17;
const BUCKETS: usize = PARTS + DOUBLINGS * PARTS;

/// How often a time was seen, by size.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: [u32; BUCKETS],
    count: u64,
    max: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            count: 0,
            max: 0,
        }
    }
}

fn bucket_of(millis: u32) -> usize {
    let Some(doubling) = (31 - millis.max(1).leading_zeros()).checked_sub(PARTS_BITS) else {
        return usize::try_from(millis).unwrap_or(0);
    };
    let part = usize::try_from(millis >> doubling).unwrap_or(0) % PARTS;
    let doubling = usize::try_from(doubling).unwrap_or(DOUBLINGS);
    (PARTS + doubling * PARTS + part).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn last_of(bucket: usize) -> u32 {
    match bucket.checked_sub(PARTS) {
        None => u32::try_from(bucket).unwrap_or(u32::MAX),
        Some(above) => {
            let (doubling, part) = (above / PARTS, above % PARTS);
            u32::try_from(((PARTS + part + 1) << doubling) - 1).unwrap_or(u32::MAX)
        }
    }
}

impl Histogram {
    /// Takes a time in.
    pub fn record(&mut self, millis: u32) {
        let bucket = &mut self.buckets[bucket_of(millis)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.max = self.max.max(millis);
    }

    /// Adds what another has seen.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many were seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest, exactly.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// The time that so many percent of all did not exceed, rounded up by an eighth at the most; none
    /// where nothing was seen.
    pub fn percentile(&self, percent: u32) -> Option<u32> {
        let wanted = (self.count * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Some(last_of(bucket).min(self.max));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_times_are_exact() {
        for millis in 0..16 {
            assert_eq!(last_of(bucket_of(millis)), millis);
        }
        assert_eq!(Histogram::default().percentile(50), None);
    }

    proptest! {
        #[test]
        fn a_bucket_is_an_eighth_wide(millis in 0_u32..(1 << 20)) {
            let bucket = bucket_of(millis);
            prop_assert!(last_of(bucket) >= millis);
            prop_assert!(last_of(bucket) - millis <= millis / 8);
            prop_assert!(bucket == 0 || last_of(bucket - 1) < millis);
        }

        #[test]
        fn percentiles_are_right_to_an_eighth(mut times in prop::collection::vec(0_u32..900_000, 1..200)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.record(*time));
            times.sort_unstable();
            for percent in [50, 95, 99, 100] {
                let place = (times.len() * percent).div_ceil(100).max(1) - 1;
                let found = histogram.percentile(u32::try_from(percent).unwrap()).unwrap();
                prop_assert!(found >= times[place] && found <= times[place] + times[place] / 8);
            }
            prop_assert_eq!(Some(histogram.max()), times.last().copied());
        }

        #[test]
        fn any_time_has_a_bucket(millis: u32) {
            let mut histogram = Histogram::default();
            histogram.record(millis);
            prop_assert!(histogram.percentile(99).is_some());
        }
    }
}
