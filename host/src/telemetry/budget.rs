//! So many lines a second and no more, for lines that strangers can cause: whoever floods the router
//! must not fill the disk with what it says about it. What is passed over is counted, and the next line
//! says how many.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use crate::bucket::Bucket;
use crate::subscription::RateLimit;
use crate::time::Timestamp;

/// Lines a second, in the long run: some 10 MB an hour.
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Lines at once.
const BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// Lines that may still be written.
#[derive(Debug, Default)]
pub struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    bucket: Option<Bucket>,
    silent: u64,
}

impl Budget {
    /// Whether there is a line left: how many were passed over before it.
    pub fn line(&self, now: Timestamp) -> Option<u64> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = RateLimit {
            requests: LINES_PER_SECOND,
            per_seconds: NonZeroU32::MIN,
            burst: BURST,
        };
        let bucket = spent.bucket.get_or_insert_with(|| Bucket::new(limit, now));
        if bucket.take(now).is_ok() {
            return Some(std::mem::take(&mut spent.silent));
        }
        spent.silent += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let (budget, now) = (Budget::default(), Timestamp::from_millis(1_000_000));
        let lines = (0..1_000).filter(|_| budget.line(now).is_some()).count();
        assert_eq!(lines, 200);
        let later = now.plus(Duration::from_secs(1));
        assert_eq!(budget.line(later), Some(800));
        assert_eq!(budget.line(later), Some(0));
    }
}
