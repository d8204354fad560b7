//! Which keys are certainly not in a run: a Bloom filter (Bloom, "Space/time trade-offs in hash coding
//! with allowable errors", 1970). Pure.
//!
//! Nearly every key that comes is new, so what has to be fast is to see that no run has it. A byte a
//! key says so of a run, and is wrong for about two keys in a hundred; those are looked up in vain. It is
//! stored in parts, because the one of a large run is more than one transaction should write.

/// Bits for each key. With [`PROBES`], 2.2 % of the keys that are not there seem to be.
const BITS_PER_KEY: usize = 8;
/// Bits that each key sets: 8 bits × ln 2, rounded up.
const PROBES: u32 = 6;
/// Fewest words, so that an empty filter is one too.
const WORDS_MIN: usize = 1;
/// Words that are stored in one row: 64 KiB.
const PART_WORDS: usize = 8_192;
/// Bytes of that.
pub(in crate::store::sqlite) const PART_BYTES: usize = PART_WORDS * 8;

/// The filter of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter(Box<[u64]>);

impl Filter {
    /// An empty one for so many keys.
    pub(super) fn with_room(keys: usize) -> Self {
        Self(vec![0; words(keys)].into())
    }

    /// Adds a tag; once or more often is the same.
    pub(super) fn insert(&mut self, tag: i64) {
        for bit in self.bits(tag) {
            self.0[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Whether the tag may be among them. Never false for one that is.
    pub(super) fn may_hold(&self, tag: i64) -> bool {
        self.bits(tag)
            .all(|bit| self.0[bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// Tags are halves of a keyed hash, so two parts of one serve as two hashes (Kirsch and Mitzenmacher,
    /// "Less hashing, same performance", 2006).
    fn bits(&self, tag: i64) -> impl Iterator<Item = usize> + use<> {
        // Before version 6 a mask was here, for lengths that are powers of two: the same for those.
        let length = self.0.len() as u64 * 64;
        let tag = tag.cast_unsigned();
        let (first, second) = (tag & 0xffff_ffff, (tag >> 32) | 1);
        (0..u64::from(PROBES)).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(second)) % length;
            usize::try_from(bit).unwrap_or(usize::MAX)
        })
    }

    /// How many parts are stored.
    pub(super) fn parts(&self) -> usize {
        self.0.len().div_ceil(PART_WORDS)
    }

    /// A part as it is stored.
    pub(super) fn part(&self, number: usize) -> Vec<u8> {
        let words = self.0.chunks(PART_WORDS).nth(number).unwrap_or_default();
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// What [`Self::part`] gave, one after another, of a filter for so many keys; nothing where it is not
    /// that.
    pub(super) fn from_bytes(bytes: &[u8], keys: usize) -> Option<Self> {
        let (found, rest) = bytes.as_chunks::<8>();
        let wanted = words(keys);
        // Until version 6 they were powers of two.
        let whole = rest.is_empty() && [wanted, wanted.next_power_of_two()].contains(&found.len());
        whole.then(|| Self(found.iter().map(|word| u64::from_le_bytes(*word)).collect()))
    }
}

fn words(keys: usize) -> usize {
    (keys * BITS_PER_KEY).div_ceil(64).max(WORDS_MIN)
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

    fn filter(keys: u64, room: usize) -> Filter {
        let mut filter = Filter::with_room(room);
        (0..keys).for_each(|number| filter.insert(tag(number)));
        filter
    }

    #[test]
    fn what_is_there_is_never_denied_and_little_else_is_claimed() {
        for count in [0, 1, 7, 1_000, 131_072, 300_001] {
            let filter = filter(count, usize::try_from(count).unwrap());
            assert!((0..count).all(|number| filter.may_hold(tag(number))), "{count}");
            let wrong = (0..20_000)
                .filter(|n| filter.may_hold(tag(1_000_000_000 + n)))
                .count();
            assert!(wrong < 800, "{wrong} of 20,000 with {count} keys");
        }
    }

    #[test]
    fn it_is_stored_and_read_in_parts() {
        for (keys, parts) in [(0, 1), (500, 1), (65_536, 1), (65_537, 2), (200_000, 4)] {
            let filter = filter(500, keys);
            let stored: Vec<Vec<u8>> = (0..filter.parts()).map(|number| filter.part(number)).collect();
            assert_eq!(stored.len(), parts);
            assert!(stored.iter().all(|part| part.len() <= PART_BYTES));
            let mut bytes = stored.concat();
            assert_eq!(Filter::from_bytes(&bytes, keys), Some(filter));
            bytes.pop();
            assert_eq!(Filter::from_bytes(&bytes, keys), None, "one byte less");
        }
        for damaged in [&[][..], &[0; 7], &[0; 8], &[0; 24]] {
            assert_eq!(Filter::from_bytes(damaged, 100), None, "{} bytes", damaged.len());
        }
    }

    #[test]
    fn those_of_earlier_versions_are_read() {
        // As they were made: so many words, and a mask.
        let mut words = [0_u64; 16];
        for number in 0..100 {
            let tag = tag(number).cast_unsigned();
            let (first, second) = (tag & 0xffff_ffff, (tag >> 32) | 1);
            for probe in 0..u64::from(PROBES) {
                let bit = first.wrapping_add(probe.wrapping_mul(second)) & 1_023;
                words[usize::try_from(bit / 64).unwrap()] |= 1 << (bit % 64);
            }
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let filter = Filter::from_bytes(&bytes, 100).unwrap();
        assert!((0..100).all(|number| filter.may_hold(tag(number))));
        assert!(!(100..200).all(|number| filter.may_hold(tag(number))));
    }
}
