//! What a backup says of itself: a small JSON document at its end, with the hash of every file before it, and one
//! of itself.

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
    /// The SHA-256 of this document as it is without this member. A backup of an earlier version has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_sha256: Option<Digest>,
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
    /// The document as bytes.
    pub(super) fn text(&self) -> Vec<u8> {
        // Texts and numbers always serialise.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The hash that it has of itself.
    fn hash(&self) -> Digest {
        let without = Self {
            own_sha256: None,
            ..self.clone()
        };
        Digest::of(&without.text())
    }

    /// The same with the hash of itself.
    pub(super) fn sealed(self) -> Self {
        Self {
            own_sha256: Some(self.hash()),
            ..self
        }
    }

    /// Whether it says what it said when it was written, as far as it has a hash of itself.
    pub(super) fn is_whole(&self) -> bool {
        self.own_sha256.is_none_or(|hash| hash == self.hash())
    }

    /// What it says of the file with this name.
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }
}
