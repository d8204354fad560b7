//! The pace of transactions: not faster than is useful, and never slower than somebody notices.
//!
//! A transaction has a price of its own, whatever is in it: the last page of each table that grows, the
//! counters, the sync. On a fast disk a commit takes a few hundred microseconds, so under load there would
//! be thousands a second with a handful of commands each, and most of what is written would be the same
//! pages again. So the writer begins a transaction only some time after it began the last one, or when
//! enough waits. Who comes alone does not wait: the last transaction is long ago. On a slow disk nobody
//! waits either: the commit itself takes longer.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// From the beginning of a transaction to that of the next, unless enough waits. It is the most that is
/// added to an acknowledgement, and short beside what a request over a network takes.
const PERIOD: Duration = Duration::from_millis(2);
/// A transaction with fewer commands says that few come.
const FEW: usize = 8;
/// Commands that are worth a transaction at once: with so many, what is written is mostly their own.
const ENOUGH: usize = 64;

/// What waits for the writer, seen from both sides.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    commands: AtomicUsize,
    bytes: AtomicUsize,
    /// The writer's thread.
    writer: OnceLock<Thread>,
}

impl Pressure {
    /// Who is to be woken when enough waits.
    pub(super) fn wakes(&self, writer: Thread) {
        // Said once, where the thread is started.
        let _already = self.writer.set(writer);
    }

    /// A command of so many bytes comes in. Gives how many commands and bytes waited before it.
    pub(super) fn entered(&self, weight: usize) -> (usize, usize) {
        (
            self.commands.fetch_add(1, Ordering::Relaxed),
            self.bytes.fetch_add(weight, Ordering::Relaxed),
        )
    }

    /// A command of so many bytes is out again.
    pub(super) fn left(&self, weight: usize) {
        self.commands.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Commands that wait, and about how many bytes they write.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let read = |number: &AtomicUsize| number.load(Ordering::Relaxed) as u64;
        (read(&self.commands), read(&self.bytes))
    }

    /// Wakes the writer if exactly these commands are enough: once, not with each that follows.
    pub(super) fn wake_if_enough(&self, commands: usize) {
        if commands == ENOUGH
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    fn is_enough(&self) -> bool {
        self.commands.load(Ordering::Relaxed) >= ENOUGH
    }
}

/// When the last transaction began, if many came.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Waits until a transaction is worth its price.
    pub(super) fn wait(&self, pressure: &Pressure) {
        let Some(last) = self.last else { return };
        // A wake may come early or for nothing, so time and pressure are looked at again.
        while let Some(left) = PERIOD.checked_sub(last.elapsed())
            && !left.is_zero()
            && !pressure.is_enough()
        {
            std::thread::park_timeout(left);
        }
    }

    /// A transaction with so many commands begins.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a disk takes is no time that a test moves"
    )]
    pub(super) fn begin(&mut self, commands: usize) {
        self.last = (commands >= FEW).then(Instant::now);
    }
}
