//! Numbers that every thread adds to, at the price of one relaxed atomic addition.
//!
//! There are a few copies of each, a thread keeps to one of them, and a copy has its cache lines to itself:
//! two threads that count at the same time are seldom in each other's way. Reading adds the copies up. What
//! is read while others count is a moment that never was, but never less than what was read before.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Copies. More than this many threads that count share one.
const COPIES: usize = 4;

/// Which copy the next thread gets.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The copy of this thread; none yet.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// 128 bytes: processors fetch cache lines of 64 in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Copies<const N: usize>([AtomicU64; N]);

/// So many numbers.
#[derive(Debug)]
pub struct Cells<const N: usize>([Copies<N>; COPIES]);

impl<const N: usize> Default for Cells<N> {
    fn default() -> Self {
        let zeros = || Copies(std::array::from_fn(|_| AtomicU64::new(0)));
        Self(std::array::from_fn(|_| zeros()))
    }
}

impl<const N: usize> Cells<N> {
    /// Adds to a number. One that is not there is not counted.
    pub fn add(&self, cell: usize, by: u64) {
        if let Some(number) = self.0[mine()].0.get(cell) {
            number.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// A number; zero for one that is not there.
    pub fn read(&self, cell: usize) -> u64 {
        let copies = self.0.iter().filter_map(|copy| copy.0.get(cell));
        copies.fold(0, |sum, number| sum.wrapping_add(number.load(Ordering::Relaxed)))
    }
}

fn mine() -> usize {
    let given = MINE.try_with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % COPIES);
        }
        mine.get()
    });
    // A thread that is ending counts in the first.
    given.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let cells = Arc::new(Cells::<3>::default());
        let count = |cell| {
            let cells = Arc::clone(&cells);
            std::thread::spawn(move || (0..10_000).for_each(|_| cells.add(cell, 2)))
        };
        let threads: Vec<_> = [0, 1, 0, 1, 0, 9].map(count).into();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!([0, 1, 2, 9].map(|cell| cells.read(cell)), [60_000, 40_000, 0, 0]);
    }

    #[test]
    fn a_copy_has_its_cache_lines_to_itself() {
        assert_eq!(align_of::<Copies<1>>(), 128);
        assert_eq!(size_of::<Cells<1>>(), COPIES * 128);
    }
}
