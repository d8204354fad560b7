//! Where the queue has a row, and what becomes of one that it is offered.
//!
//! The store has every row; the queue has those that it has room for.

use crate::time::Timestamp;

/// What became of a row that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// It is in memory now.
    Placed,
    /// It was already, or it has just been finished.
    Known,
    /// It stays in the store only.
    Spilled,
}

/// Where a known row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Due,
    Timer(Timestamp),
    UnderWay,
    /// Under way, and a person wants it (or what follows it) once more.
    UnderWayAndWanted,
}
