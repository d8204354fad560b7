//! How many errors and warnings the process found worth a line in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

static ERRORS: AtomicU64 = AtomicU64::new(0);
static WARNINGS: AtomicU64 = AtomicU64::new(0);

/// Lines that were written, of the whole process: the log is the process's, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Something is wrong.
    pub errors: u64,
    /// Something is odd.
    pub warnings: u64,
}

impl Lines {
    /// So far.
    pub fn so_far() -> Self {
        Self {
            errors: ERRORS.load(Ordering::Relaxed),
            warnings: WARNINGS.load(Ordering::Relaxed),
        }
    }
}

/// Counts what the filter lets through.
pub(super) struct Counting;

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let counter = match *event.metadata().level() {
            Level::ERROR => &ERRORS,
            Level::WARN => &WARNINGS,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn errors_and_warnings_are_counted_and_nothing_else() {
        let before = Lines::so_far();
        let subscriber = tracing_subscriber::registry().with(Counting);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("one");
            tracing::warn!("two");
            tracing::warn!("three");
            tracing::info!("four");
        });
        let after = Lines::so_far();
        assert_eq!(after.errors - before.errors, 1);
        assert_eq!(after.warnings - before.warnings, 2);
    }
}
