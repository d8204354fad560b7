//! Which keys are certainly not in a table: a Bloom filter (Bloom, "Space/time trade-offs in hash coding
//! with allowable errors", 1970). Pure.
//!
//! Nearly every key that comes is new, so what has to be fast is to see that no table has it. A byte a
//! key says so of a table, and is wrong for about two keys in a hundred; those are looked up in vain.

/// Bits for each key. With [`PROBES`], 2.2 % of the keys that are not there seem to be.
const BITS_PER_KEY: usize = 8;
/// Bits that each key sets: 8 bits × ln 2, rounded up.
const PROBES: u32 = 6;
/// Fewest words, so that an empty filter is one too.
const WORDS_MIN: usize = 1;

/// The filter of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter(Box<[u64]>);

impl Filter {
    /// A filter of these tags.
    pub(super) fn of(tags: impl ExactSizeIterator<Item = i64>) -> Self {
        let words = (tags.len() * BITS_PER_KEY).div_ceil(64).max(WORDS_MIN);
        // A power of two, so that a mask takes the place of a division.
        let mut filter = Self(vec![0; words.next_power_of_two()].into());
        for tag in tags {
            for bit in filter.bits(tag) {
                filter.0[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// Whether the tag may be among them. Never false for one that is.
    pub(super) fn may_hold(&self, tag: i64) -> bool {
        self.bits(tag)
            .all(|bit| self.0[bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// Tags are halves of a keyed hash, so two parts of one serve as two hashes (Kirsch and Mitzenmacher,
    /// "Less hashing, same performance", 2006).
    fn bits(&self, tag: i64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.0.len() * 64 - 1;
        let tag = tag.cast_unsigned();
        let (first, second) = (tag & 0xffff_ffff, (tag >> 32) | 1);
        (0..u64::from(PROBES)).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(second));
            usize::try_from(bit).unwrap_or(usize::MAX) & mask
        })
    }

    /// As it is stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// What [`Self::to_bytes`] gave; nothing where it is no filter.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let whole = rest.is_empty() && words.len().is_power_of_two();
        whole.then(|| Self(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads numbers as a hash does (splitmix64, Steele et al. 2014).
    fn tag(number: u64) -> i64 {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).cast_signed()
    }

    #[test]
    fn what_is_there_is_never_denied_and_little_else_is_claimed() {
        for count in [0, 1, 7, 1_000, 131_072] {
            let filter = Filter::of((0..count).map(tag).collect::<Vec<_>>().into_iter());
            assert!((0..count).all(|number| filter.may_hold(tag(number))), "{count}");
            let wrong = (0..20_000)
                .filter(|n| filter.may_hold(tag(1_000_000_000 + n)))
                .count();
            assert!(wrong < 800, "{wrong} of 20,000 with {count} keys");
        }
    }

    #[test]
    fn it_is_stored_and_read() {
        let filter = Filter::of((0..500).map(tag).collect::<Vec<_>>().into_iter());
        assert_eq!(Filter::from_bytes(&filter.to_bytes()), Some(filter));
        for damaged in [&[][..], &[0; 7], &[0; 24]] {
            assert_eq!(Filter::from_bytes(damaged), None, "{} bytes", damaged.len());
        }
    }
}
