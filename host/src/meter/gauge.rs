//! One subscription's gauge: rings of slots, each of a stretch of time.
//!
//! A slot is emptied when its turn comes again, so nothing has to be swept. A clock that goes back
//! counts into the slot that is there.

use std::time::Duration;

use super::histogram::Histogram;
use crate::time::Timestamp;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// One more than the hour has, for the first is only half in it.
const MINUTES: usize = 61;
/// Of a day, and one.
const HALF_HOURS: usize = 49;
/// Of an hour, and one.
const TENS: usize = 7;
/// Of a day, and one.
const HOURS: usize = 25;

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request was accepted.
    Delivered,
    /// It will be tried again.
    Retried,
    /// It was given up.
    Failed,
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What it came to.
    pub outcome: Outcome,
    /// How long the answer took, if one came.
    pub answered_in_ms: Option<u32>,
}

/// Attempts of a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub attempts: u64,
    /// Those that were not accepted.
    pub failed_attempts: u64,
    /// Requests that were accepted.
    pub delivered: u64,
    /// Requests that were given up.
    pub failed: u64,
    /// Attempts that are to be repeated.
    pub retried: u64,
}

impl Counts {
    fn take_in(&mut self, outcome: Outcome) {
        self.attempts += 1;
        match outcome {
            Outcome::Delivered => self.delivered += 1,
            Outcome::Retried => self.retried += 1,
            Outcome::Failed => self.failed += 1,
        }
        self.failed_attempts = self.attempts - self.delivered;
    }

    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.failed_attempts += other.failed_attempts;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.retried += other.retried;
    }

    /// The part of all attempts that was accepted; none where there were none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate of so many attempts is no exact science"
    )]
    pub fn success_rate(&self) -> Option<f64> {
        (self.attempts > 0).then(|| self.delivered as f64 / self.attempts as f64)
    }
}

/// Over how long response times are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last hour.
    Hour,
    /// The last day.
    Day,
}

impl Span {
    /// How long it is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(60 * 60),
            Self::Day => Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Response times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Half of all took no longer.
    pub p50: u32,
    /// 95 of 100 took no longer.
    pub p95: u32,
    /// 99 of 100 took no longer.
    pub p99: u32,
    /// The longest.
    pub max: u32,
}

/// Slots of so many milliseconds each; which one a time belongs to follows from the time.
#[derive(Clone, Debug)]
struct Ring<T, const N: usize> {
    unit: i64,
    slots: [(i64, T); N],
}

impl<T: Default, const N: usize> Ring<T, N> {
    fn new(unit: i64) -> Self {
        Self {
            unit,
            slots: std::array::from_fn(|_| (-1, T::default())),
        }
    }

    /// The slot of this time, and whether it begins with it.
    fn at(&mut self, now: Timestamp) -> (&mut T, bool) {
        let number = now.as_millis().max(0) / self.unit;
        let place = usize::try_from(number).unwrap_or(0) % N;
        let (known, value) = &mut self.slots[place];
        let begins = *known < number;
        if begins {
            *known = number;
        }
        (value, begins)
    }

    /// The slots of the last `span`, with the whole of the one in which it began.
    fn since(&self, now: Timestamp, span: i64) -> impl Iterator<Item = &T> {
        let newest = now.as_millis().max(0) / self.unit;
        let oldest = (now.as_millis().saturating_sub(span)).max(0) / self.unit;
        let wanted = oldest..=newest;
        let slots = self.slots.iter();
        slots
            .filter(move |(number, _)| wanted.contains(number))
            .map(|(_, value)| value)
    }
}

/// Of one subscription.
#[derive(Clone, Debug)]
pub struct Gauge {
    since: Timestamp,
    minutes: Ring<Counts, MINUTES>,
    half_hours: Ring<Counts, HALF_HOURS>,
    tens: Ring<Option<Box<Histogram>>, TENS>,
    hours: Ring<Option<Box<Histogram>>, HOURS>,
}

impl Gauge {
    /// An empty one; `since` says from when on it has seen everything.
    pub fn new(since: Timestamp) -> Self {
        Self {
            since,
            minutes: Ring::new(MINUTE),
            half_hours: Ring::new(HOUR / 2),
            tens: Ring::new(10 * MINUTE),
            hours: Ring::new(HOUR),
        }
    }

    /// From when on it has seen everything.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Takes an attempt in.
    pub fn record(&mut self, now: Timestamp, sample: Sample) {
        for (counts, begins) in [self.minutes.at(now), self.half_hours.at(now)] {
            if begins {
                *counts = Counts::default();
            }
            counts.take_in(sample.outcome);
        }
        let Some(millis) = sample.answered_in_ms else {
            return;
        };
        for (histogram, begins) in [self.tens.at(now), self.hours.at(now)] {
            let histogram = histogram.get_or_insert_default();
            if begins {
                **histogram = Histogram::default();
            }
            histogram.record(millis);
        }
    }

    /// Counts of the last `span`, rounded up to whole minutes; from an hour on to half hours, and no
    /// longer than a day.
    pub fn window(&self, now: Timestamp, span: Duration) -> Counts {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).min(24 * HOUR);
        let mut sum = Counts::default();
        if span <= HOUR {
            self.minutes.since(now, span).for_each(|counts| sum.add(counts));
        } else {
            self.half_hours
                .since(now, span)
                .for_each(|counts| sum.add(counts));
        }
        sum
    }

    /// Response times of the last hour, rounded up to ten minutes, or of the last day, rounded up to an
    /// hour; none where no answer came.
    pub fn times(&self, now: Timestamp, span: Span) -> Option<Times> {
        let mut sum = Histogram::default();
        match span {
            Span::Hour => self
                .tens
                .since(now, HOUR)
                .flatten()
                .for_each(|part| sum.add(part)),
            Span::Day => self
                .hours
                .since(now, 24 * HOUR)
                .flatten()
                .for_each(|part| sum.add(part)),
        }
        Some(Times {
            p50: sum.percentile(50)?,
            p95: sum.percentile(95)?,
            p99: sum.percentile(99)?,
            max: sum.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_779_208_200_000);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn sample(outcome: Outcome, millis: u32) -> Sample {
        Sample {
            outcome,
            answered_in_ms: Some(millis),
        }
    }

    /// AE-19.
    #[test]
    fn what_is_old_leaves_the_window() {
        let mut gauge = Gauge::new(NOW);
        gauge.record(NOW, sample(Outcome::Failed, 900));
        gauge.record(after(120), sample(Outcome::Retried, 500));
        gauge.record(after(400), sample(Outcome::Delivered, 20));
        let five = Duration::from_secs(300);
        let counts = gauge.window(after(400), five);
        assert_eq!((counts.attempts, counts.failed_attempts), (2, 1));
        assert_eq!((counts.delivered, counts.retried, counts.failed), (1, 1, 0));
        assert_eq!(gauge.window(after(400), Duration::from_secs(3_600)).attempts, 3);
        assert_eq!(
            gauge
                .window(after(3_600 * 3), Duration::from_secs(3_600))
                .attempts,
            0
        );
        assert_eq!(
            gauge
                .window(after(3_600 * 3), Duration::from_secs(86_400))
                .attempts,
            3
        );
        assert_eq!(
            gauge
                .window(after(86_400 * 3), Duration::from_secs(86_400))
                .attempts,
            0
        );
        let times = gauge.times(after(400), Span::Hour).unwrap();
        assert_eq!((times.max, times.p99), (900, 900));
        assert!((500..=562).contains(&times.p50), "{times:?}");
        assert_eq!(gauge.times(after(3_600 * 3), Span::Hour), None);
        assert!(gauge.times(after(3_600 * 3), Span::Day).is_some());
        assert_eq!(gauge.times(after(86_400 * 3), Span::Day), None);
    }

    #[test]
    fn the_success_rate_is_of_all_attempts() {
        let mut counts = Counts::default();
        assert_eq!(counts.success_rate(), None);
        for outcome in [
            Outcome::Delivered,
            Outcome::Retried,
            Outcome::Delivered,
            Outcome::Failed,
        ] {
            counts.take_in(outcome);
        }
        assert_eq!(counts.success_rate(), Some(0.5));
    }

    proptest! {
        #[test]
        fn a_window_agrees_with_a_list(
            steps in prop::collection::vec((0_u64..900, 0_u8..3), 1..120), minutes in 1_u64..60,
        ) {
            let mut gauge = Gauge::new(NOW);
            let (mut now, mut list) = (0, Vec::new());
            for (step, outcome) in steps {
                now += step;
                let outcome = [Outcome::Delivered, Outcome::Retried, Outcome::Failed][usize::from(outcome)];
                gauge.record(after(now), sample(outcome, 1));
                list.push((after(now).as_millis() / MINUTE, outcome));
            }
            let span = Duration::from_secs(minutes * 60);
            let oldest = (after(now).as_millis() - i64::try_from(span.as_millis()).unwrap()) / MINUTE;
            let inside: Vec<_> = list.iter().filter(|(minute, _)| *minute >= oldest).collect();
            let counts = gauge.window(after(now), span);
            prop_assert_eq!(counts.attempts, inside.len() as u64);
            let delivered = inside.iter().filter(|(_, outcome)| *outcome == Outcome::Delivered).count();
            prop_assert_eq!(counts.delivered, delivered as u64);
            prop_assert_eq!(counts.attempts, counts.delivered + counts.retried + counts.failed);
        }

        #[test]
        fn any_time_is_taken(times in prop::collection::vec(any::<i64>(), 1..20)) {
            let mut gauge = Gauge::new(NOW);
            for time in times {
                let now = Timestamp::from_millis(time);
                gauge.record(now, sample(Outcome::Delivered, 1));
                let _any = gauge.window(now, Duration::MAX);
            }
        }
    }
}
