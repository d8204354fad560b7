//! Rows of keys by tag, in memory: of a transaction that is under way, and of the end of a table, which no
//! run covers yet.
//!
//! The end of a table is cut into parts of a fixed number of rows. The last part takes new keys; one that is
//! full, or whose table takes no more, waits to be sealed and goes when it is.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;

/// Rows by tag. Tags are random, so they need no hashing. Of two rows with one tag the later counts: the
/// first had left the window when the key came again.
pub(super) type Index = HashMap<i64, i64, BuildHasherDefault<AsItIs>>;

/// Takes a number for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store::sqlite) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.0 = number.cast_unsigned();
    }
}

/// Keys that a transaction has brought, by table; there are one or two.
#[derive(Clone, Debug, Default)]
pub(in crate::store::sqlite) struct Fresh(Vec<(i64, Index)>);

impl Fresh {
    /// How many there are.
    pub(in crate::store::sqlite) fn len(&self) -> usize {
        self.0.iter().map(|(_, index)| index.len()).sum()
    }

    pub(super) fn find(&self, n: i64, tag: i64) -> Option<i64> {
        let (_, index) = self.0.iter().find(|(of, _)| *of == n)?;
        index.get(&tag).copied()
    }

    pub(super) fn insert(&mut self, n: i64, tag: i64, row: i64) {
        match self.0.iter_mut().find(|(of, _)| *of == n) {
            Some((_, index)) => {
                index.insert(tag, row);
            }
            None => self.0.push((n, Index::from_iter([(tag, row)]))),
        }
    }

    /// All of them: table, tag and row.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (i64, i64, i64)> {
        let of_table = |(n, index): (i64, Index)| index.into_iter().map(move |(tag, row)| (n, tag, row));
        self.0.into_iter().flat_map(of_table)
    }
}

/// Whether a table still takes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// It is the newest of its series.
    Open,
    /// Another one has followed it.
    Closed,
}

/// The rows of a table that no run covers.
#[derive(Debug)]
pub(super) struct Unsealed {
    /// Rows of a part.
    size: i64,
    /// The row with which the first part begins.
    first: i64,
    /// The last row that there is.
    last: i64,
    parts: VecDeque<Index>,
}

impl Unsealed {
    /// Those after a row, none so far.
    pub(super) const fn after(row: i64, size: i64) -> Self {
        let parts = VecDeque::new();
        let (first, last) = (row + 1, row);
        Self {
            size,
            first,
            last,
            parts,
        }
    }

    /// The first row that is not covered.
    pub(super) const fn begin(&self) -> i64 {
        self.first
    }

    pub(super) fn insert(&mut self, tag: i64, row: i64) {
        let part = usize::try_from((row - self.first) / self.size).unwrap_or(0);
        while self.parts.len() <= part {
            self.parts.push_back(Index::default());
        }
        self.parts[part].insert(tag, row);
        self.last = self.last.max(row);
    }

    /// The rows with a tag, the latest first; of each part at most one.
    pub(super) fn find(&self, tag: i64) -> impl Iterator<Item = i64> {
        let rows = self.parts.iter().rev().map(move |part| part.get(&tag));
        rows.flatten().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Keys in memory.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(Index::len).sum()
    }

    /// The first part, with the rows that it covers, if no more keys come to it.
    pub(super) fn full(&self, growth: Growth) -> Option<(RangeInclusive<i64>, &Index)> {
        let index = self.parts.front()?;
        let end = self.first + self.size - 1;
        let full = self.last >= end || growth == Growth::Closed;
        full.then(|| (self.first..=end.min(self.last), index))
    }

    /// The first part is covered by a run that ends with this row.
    pub(super) fn sealed(&mut self, last: i64) {
        self.parts.pop_front();
        self.first = last + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_by_rows() {
        let mut rows = Unsealed::after(10, 4);
        assert!(rows.is_empty() && rows.full(Growth::Closed).is_none());
        // In whatever order they come.
        for row in [13, 11, 12] {
            rows.insert(-row, row);
        }
        assert!(rows.full(Growth::Open).is_none());
        assert_eq!(rows.full(Growth::Closed).unwrap().0, 11..=13);
        for row in [16, 14, 15] {
            rows.insert(-row, row);
        }
        let (covered, index) = rows.full(Growth::Open).unwrap();
        assert_eq!((covered, index.len()), (11..=14, 4));
        rows.insert(-11, 17);
        assert_eq!(rows.find(-11).collect::<Vec<_>>(), [17, 11], "the later first");
        rows.sealed(14);
        assert_eq!(rows.find(-11).collect::<Vec<_>>(), [17]);
        assert!(rows.full(Growth::Open).is_none());
        let (covered, index) = rows.full(Growth::Closed).unwrap();
        assert_eq!((covered, index.len()), (15..=17, 3));
        rows.sealed(17);
        assert!(rows.is_empty() && rows.full(Growth::Closed).is_none());
    }

    #[test]
    fn what_a_transaction_brings_is_found_by_table() {
        let mut fresh = Fresh::default();
        for (n, tag, row) in [(1, 7, 1), (2, 7, 1), (2, 8, 2), (2, 7, 3)] {
            fresh.insert(n, tag, row);
        }
        assert_eq!(
            (fresh.find(1, 7), fresh.find(2, 7), fresh.find(3, 7)),
            (Some(1), Some(3), None)
        );
        assert_eq!(fresh.len(), 3);
        let mut rows: Vec<_> = fresh.into_rows().collect();
        rows.sort_unstable();
        assert_eq!(rows, [(1, 7, 1), (2, 7, 3), (2, 8, 2)]);
    }
}
