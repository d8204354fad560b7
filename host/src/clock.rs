//! The clock: the only place that asks what time it is.
//!
//! Everything else takes `now` from here, so that a test can hold time still and move it by hand.
//! How long something took is told by [`Mark`]s, which never go back and are finer than a millisecond.
//! Sleeping is here too: a wait for a point in time wakes when the manual clock is moved past it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::time::Timestamp;

/// Longest single wait on the system clock. The wall clock is asked again after it, so that a clock
/// that was set back cannot keep a sleeper asleep for the difference.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Where "now" comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

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

#[derive(Debug)]
struct Manual {
    millis: AtomicI64,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        let moved = watch::Sender::new(());
        Self(Source::Manual(Arc::new(Manual {
            millis: AtomicI64::new(start.as_millis()),
            moved,
        })))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(manual) => Timestamp::from_millis(manual.millis.load(Ordering::SeqCst)),
        }
    }

    /// This moment. A manual clock moves marks by what it was moved.
    pub fn mark(&self) -> Mark {
        match &self.0 {
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
        if let Source::Manual(manual) = &self.0 {
            let now = self.now().plus(by);
            manual.millis.store(now.as_millis(), Ordering::SeqCst);
            manual.moved.send_replace(());
        }
    }

    /// Waits until `due`. May be dropped at any time.
    pub async fn sleep_until(&self, due: Timestamp) {
        match &self.0 {
            Source::System => loop {
                let left = due.since(system_now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(WAIT_MAX)).await;
            },
            Source::Manual(manual) => {
                let mut moved = manual.moved.subscribe();
                while self.now() < due {
                    // The sender lives in the clock that we hold, so this cannot fail.
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
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
