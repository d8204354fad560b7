//! Chance that can be had again: every fault test takes its random numbers from one seed, which it prints
//! and which `HOOKWAY_SEED` sets.

use std::ops::Range;

/// A row of numbers that follows from its seed alone (SplitMix64, by Sebastiano Vigna).
pub struct Seed {
    state: u64,
}

impl Seed {
    /// The seed that was asked for by `HOOKWAY_SEED`, or a new one. It is printed either way, under this name.
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
        Self { state: first }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of this range, which must not be empty.
    pub const fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Whether something happens that happens once in so many times.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

#[test]
fn the_same_seed_gives_the_same_row() {
    let row = |first| {
        let mut seed = Seed::from_number(first);
        std::array::from_fn::<_, 8, _>(|_| seed.within(10..20))
    };
    assert_eq!(row(7), row(7));
    assert_ne!(row(7), row(8));
    assert!(row(7).iter().all(|number| (10..20).contains(number)));
}
