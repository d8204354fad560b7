//! Chance that can be had again: every fault test takes its random numbers from one seed, which it prints
//! and which `HOOKWAY_SEED` sets.

use std::ops::Range;

use crate::chance::Chance;

/// A row of chances that can be had again.
pub struct Seed(Chance);

impl Seed {
    /// The seed that was asked for by `HOOKWAY_SEED`, or a new one. It is printed either way, under this
    /// name.
    pub fn wanted(test: &str) -> Self {
        let first = match std::env::var("HOOKWAY_SEED") {
            Ok(text) => text.parse().expect("HOOKWAY_SEED is a number"),
            Err(_) => rand::random::<u32>().into(),
        };
        println!("{test}: HOOKWAY_SEED={first}");
        Self::from_number(first)
    }

    /// The row that begins so.
    pub const fn from_number(first: u64) -> Self {
        Self(Chance::of(first))
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A number of this range, which must not be empty.
    pub const fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.0.below(range.end - range.start)
    }

    /// Whether something happens that happens once in so many times.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.0.once_in(times)
    }
}

#[test]
fn numbers_are_of_their_range() {
    let mut seed = Seed::from_number(7);
    let numbers: Vec<_> = (0..100).map(|_| seed.within(10..13)).collect();
    assert!((10..13).all(|number| numbers.contains(&number)));
    assert!(numbers.iter().all(|number| (10..13).contains(number)));
}
