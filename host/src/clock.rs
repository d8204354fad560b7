//! The clock: the only place that asks what time it is.
//!
//! Everything else takes `now` from here, so that a test can hold time still and move it by hand.
//! How long something took is told by [`Mark`]s, which never go back and are finer than a millisecond.
//! Sleeping is here too: a wait for a point in time wakes when the manual clock is moved past it.
//!
//! A clock can be set back. Whoever waits then is to wait for as long as was left and not for the
//! difference as well; so the clock notes how far it was set back ([`Clock::follow`]), and those
//! who keep times of their own follow it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::time::Timestamp;

/// Longest single wait on the system clock. The wall clock is asked again after it, so that a clock
/// that was set back cannot keep a sleeper asleep for the difference.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// A clock that went back by less is not noted: daemons that keep time take such steps, and nobody minds.
const STEP_MIN_MILLIS: i64 = 1_000;

/// Where "now" comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    noted: Arc<Noted>,
}

/// A moment, for how long something took from it on. It says nothing about the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(Duration);

/// What marks count from: the first one of the process.
static BEGINNING: LazyLock<Instant> = LazyLock::new(monotonic_now);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

/// How far a clock had been set back when somebody looked at it last.
#[derive(Clone, Debug)]
pub struct Following {
    clock: Clock,
    set_back: Duration,
}

impl Following {
    /// Now, and how far the clock was set back since the last time: whoever keeps points in time moves them by
    /// as much.
    pub fn now(&mut self) -> (Timestamp, Duration) {
        let (now, so_far) = (self.clock.now(), self.clock.set_back_so_far());
        let by = so_far.saturating_sub(self.set_back);
        self.set_back = so_far;
        (now, by)
    }
}

/// What was seen of the source, in milliseconds.
#[derive(Debug)]
struct Noted {
    /// The latest time, since it was last set back.
    latest: AtomicI64,
    /// All steps back together.
    back: AtomicI64,
}

#[derive(Debug)]
struct Manual {
    millis: AtomicI64,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// A clock that stands still until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        let moved = watch::Sender::new(());
        Self::of(Source::Manual(Arc::new(Manual {
            millis: AtomicI64::new(start.as_millis()),
            moved,
        })))
    }

    fn of(source: Source) -> Self {
        let noted = Noted {
            latest: AtomicI64::new(source.now().as_millis()),
            back: AtomicI64::new(0),
        };
        Self {
            source,
            noted: Arc::new(noted),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        // In this order: what was noted before is from before, however long we are interrupted in between.
        let latest = self.noted.latest.load(Ordering::SeqCst);
        let now = self.source.now();
        self.note(latest, now.as_millis());
        now
    }

    fn note(&self, latest: i64, now: i64) {
        let back = latest.saturating_sub(now);
        if (0..STEP_MIN_MILLIS).contains(&back) {
            return;
        }
        let noted = &self.noted.latest;
        let swapped = noted.compare_exchange(latest, now, Ordering::SeqCst, Ordering::SeqCst);
        // Where somebody else noted something in the meantime, the next who asks compares with that.
        if swapped.is_ok() && back > 0 {
            self.noted.back.fetch_add(back, Ordering::SeqCst);
            tracing::warn!(
                by_ms = back,
                "the clock was set back; what waits goes on as if it had not been"
            );
        }
    }

    /// How far the clock has been set back since it was made, all steps together.
    fn set_back_so_far(&self) -> Duration {
        Duration::from_millis(self.noted.back.load(Ordering::SeqCst).unsigned_abs())
    }

    /// For whoever keeps points in time: notes from now on what they have to be moved by.
    pub fn follow(&self) -> Following {
        Following {
            clock: self.clone(),
            set_back: self.set_back_so_far(),
        }
    }

    /// This moment. A manual clock moves marks by what it was moved.
    pub fn mark(&self) -> Mark {
        match &self.source {
            Source::System => Mark(monotonic_now().saturating_duration_since(*BEGINNING)),
            Source::Manual(manual) => {
                let millis = manual.millis.load(Ordering::SeqCst);
                Mark(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
            }
        }
    }

    /// How long ago a mark was made.
    pub fn since(&self, mark: Mark) -> Duration {
        self.mark().0.saturating_sub(mark.0)
    }

    /// Moves a manual clock on and wakes who waits for it. The system's clock is nobody's to move.
    pub fn advance(&self, by: Duration) {
        self.turn_to(self.now().plus(by));
    }

    /// Sets a manual clock back, as if somebody had put it right.
    pub fn turn_back(&self, by: Duration) {
        self.turn_to(self.now().minus(by));
        self.now();
    }

    fn turn_to(&self, time: Timestamp) {
        if let Source::Manual(manual) = &self.source {
            manual.millis.store(time.as_millis(), Ordering::SeqCst);
            manual.moved.send_replace(());
        }
    }

    /// Waits until `due`, or for as long as was left when the clock was set back. May be dropped at any time.
    pub async fn sleep_until(&self, due: Timestamp) {
        let before = self.set_back_so_far();
        let left = || {
            let now = self.now();
            due.minus(self.set_back_so_far().saturating_sub(before))
                .since(now)
        };
        match &self.source {
            Source::System => loop {
                let left = left();
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(WAIT_MAX)).await;
            },
            Source::Manual(manual) => {
                let mut moved = manual.moved.subscribe();
                while !left().is_zero() {
                    // The sender lives in the clock that we hold, so this cannot fail.
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Source {
    fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Manual(manual) => Timestamp::from_millis(manual.millis.load(Ordering::SeqCst)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn system_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn steps_back_are_noted_once_and_small_ones_not() {
        let clock = Clock::manual(Timestamp::from_millis(10 * 86_400_000));
        let seconds = |seconds| Duration::from_secs(seconds);
        clock.advance(DAY);
        assert_eq!(clock.set_back_so_far(), Duration::ZERO);
        clock.turn_back(Duration::from_millis(999));
        assert_eq!(clock.set_back_so_far(), Duration::ZERO, "a small step");
        clock.turn_back(Duration::from_millis(1));
        assert_eq!(clock.set_back_so_far(), seconds(1), "two small ones are a step");
        clock.turn_back(2 * DAY);
        assert_eq!(
            clock.clone().set_back_so_far(),
            2 * DAY + seconds(1),
            "clones are one clock"
        );
        clock.advance(DAY);
        clock.now();
        assert_eq!(clock.set_back_so_far(), 2 * DAY + seconds(1));
    }

    #[tokio::test]
    async fn who_sleeps_when_the_clock_is_set_back_sleeps_for_what_was_left() {
        let start = Timestamp::from_millis(1_779_208_200_000);
        let clock = Clock::manual(start);
        let sleeper = clock.clone();
        let mut sleeping = Box::pin(sleeper.sleep_until(start.plus(Duration::from_secs(60))));
        let mut woken = || futures_util::FutureExt::now_or_never(&mut sleeping).is_some();
        assert!(!woken());
        clock.advance(Duration::from_secs(20));
        clock.turn_back(365 * DAY);
        assert!(!woken());
        clock.advance(Duration::from_secs(39));
        assert!(!woken());
        clock.advance(Duration::from_secs(1));
        assert!(woken());
    }

    #[test]
    fn a_manual_clock_moves_marks() {
        let clock = Clock::manual(Timestamp::from_millis(1_779_208_200_000));
        let mark = clock.mark();
        assert_eq!(clock.since(mark), Duration::ZERO);
        clock.advance(Duration::from_millis(1_234));
        assert_eq!(clock.since(mark), Duration::from_millis(1_234));
    }

    #[test]
    fn marks_of_the_system_never_go_back() {
        let clock = Clock::system();
        let marks: Vec<Mark> = (0..1_000).map(|_| clock.mark()).collect();
        assert!(marks.is_sorted());
    }
}
