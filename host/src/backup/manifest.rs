//! What a backup says of itself: a small JSON document at its end, with the hash of every file before it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::time::Timestamp;

/// The form that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// Its name in the archive.
pub(super) const NAME: &str = "manifest.json";
/// The largest that is read.
pub(super) const BYTES_MAX: u64 = 64 << 10;

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The version that made the backup.
    pub hookway: String,
    /// When, by the clock of the machine that made it.
    pub created_at: Timestamp,
    /// The version of the database's schema.
    pub schema: u32,
    /// The greatest number of an id that was handed out before.
    pub newest: i64,
    /// The files, in their order.
    pub files: Vec<File>,
}

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl Manifest {
    /// What it says of the file with this name.
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }
}
