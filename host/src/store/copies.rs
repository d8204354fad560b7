//! What backups and the watch over the disk ask of a store.

use std::path::PathBuf;

use futures_util::future::BoxFuture;

use super::Result;

/// A copy of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of its schema.
    pub schema: u32,
    /// The greatest id number in it.
    pub newest: i64,
    /// Its size.
    pub bytes: u64,
}

/// Copies, and what they take.
pub trait Copies {
    /// The number of the node that makes ids: another one after each restore of a backup.
    fn node(&self) -> BoxFuture<'_, Result<u8>>;

    /// Copies everything as it is now to a file that is not there yet or empty, and checks the copy. Nobody
    /// is kept from writing meanwhile. Whoever stops waiting stops it.
    fn snapshot(&self, into: PathBuf) -> BoxFuture<'_, Result<Snapshot>>;

    /// Bytes that the store has on the disk already and can use again.
    fn reusable_bytes(&self) -> BoxFuture<'_, Result<u64>>;
}
