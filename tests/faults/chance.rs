//! A seed's choices: the same seed chooses the same, on every machine and with every version of anything.

/// A sequence of numbers that a seed gives (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The choices of this seed.
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// One of so many, from zero on.
    pub const fn below(&mut self, count: u64) -> u64 {
        if count == 0 { 0 } else { self.next() % count }
    }

    /// The same for a place in a list.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).expect("a length is a u64"))).expect("below a usize")
    }

    /// True once in so many.
    pub const fn once_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[test]
fn a_seed_chooses_the_same_twice() {
    let choices = |seed| {
        let mut chance = Chance::of(seed);
        (0..8).map(|_| chance.next()).collect::<Vec<_>>()
    };
    assert_eq!(choices(7), choices(7));
    assert_ne!(choices(7), choices(8));
}
