//! Which runs of a table are merged next. Pure.
//!
//! Runs of one level are about as long as one another, and each is several times as long as those of the
//! level below (O'Neil et al., "The log-structured merge-tree", 1996). So a key is written once for each
//! level, and of each level there are only a few: how many runs a table has grows with the logarithm of its
//! keys.

use std::ops::Range;

use super::index::Growth;

/// Runs of one level that are merged into one of the next. More of them mean fewer writes and more filters
/// that a new key is looked for in.
pub(super) const FAN_IN: usize = 8;
/// Levels' worth of runs that are merged at once where a table takes no more keys. With the usual numbers
/// a table has more levels only with five hundred million keys.
const LEVELS_AT_ONCE: usize = 4;

/// What is next of runs with these levels, oldest first; nothing where they are few enough.
///
/// While a table grows, the lowest level with enough runs is next: it is the one that grows fastest. When it
/// does not and all of it is sealed, everything becomes one run, at the price of one more copy of each key: a
/// table is looked into for five sixths of its time in this state.
pub(super) fn next(levels: &[u8], growth: Growth, fan_in: usize) -> Option<Range<usize>> {
    let most = fan_in * LEVELS_AT_ONCE;
    let count = levels.len();
    if growth == Growth::Closed && (2..=most).contains(&count) {
        return Some(0..count);
    }
    let mut begin = 0;
    let mut found: Option<(u8, usize)> = None;
    for alike in levels.chunk_by(|one, other| one == other) {
        let level = alike[0];
        if alike.len() >= fan_in && found.is_none_or(|(lowest, _)| level < lowest) {
            found = Some((level, begin));
        }
        begin += alike.len();
    }
    match found {
        Some((_, begin)) => Some(begin..begin + fan_in),
        None if growth == Growth::Closed && count > most => Some(count - most..count),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_enough_runs_of_a_level_one_is_made() {
        use Growth::{Closed, Open};
        let many: Vec<u8> = (0..17).rev().collect();
        for (levels, growth, expected) in [
            (&[][..], Open, None),
            (&[], Closed, None),
            (&[0], Closed, None),
            (&[3], Closed, None),
            (&[0, 0, 0], Open, None),
            (&[0, 0, 0, 0], Open, Some(0..4)),
            // The oldest of them, and not more.
            (&[1, 0, 0, 0, 0, 0, 0], Open, Some(1..5)),
            // The lowest level first.
            (&[1, 1, 1, 1, 0, 0, 0, 0], Open, Some(4..8)),
            (&[1, 1, 1, 1, 0, 0, 0], Open, Some(0..4)),
            (&[2, 2, 2, 1, 1, 1, 0, 0, 0], Open, None),
            // Only neighbours, whatever is read.
            (&[0, 0, 1, 0, 0, 1, 1], Open, None),
            (&[0, 0], Closed, Some(0..2)),
            (&[2, 1, 1, 0, 0, 0, 0, 0], Closed, Some(0..8)),
            (&[0; 16], Closed, Some(0..16)),
            // Too many for once.
            (&[0; 17], Closed, Some(0..4)),
            (&many, Closed, Some(1..17)),
        ] {
            assert_eq!(next(levels, growth, 4), expected, "{levels:?} {growth:?}");
        }
    }

    #[test]
    fn a_table_has_few_runs_and_writes_a_key_once_for_each_level() {
        let (mut levels, mut written) = (Vec::new(), 0_usize);
        for sealed in 1..=1_000_usize {
            levels.push(0);
            while let Some(range) = next(&levels, Growth::Open, FAN_IN) {
                let level = levels[range.start];
                written += FAN_IN.pow(u32::from(level) + 1);
                levels.splice(range, [level + 1]);
            }
            let digits = 1 + sealed.ilog(FAN_IN) as usize;
            assert!(levels.len() <= digits * (FAN_IN - 1), "{levels:?} of {sealed}");
            assert!(written <= sealed * (digits - 1), "{written} of {sealed}");
        }
        assert_eq!(next(&levels, Growth::Closed, FAN_IN), Some(0..levels.len()));
    }
}
