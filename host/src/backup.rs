//! Backups: everything in one file, made while the router works, and a data directory made of it again.
//!
//! ```text
//! running router   copy (VACUUM INTO) → checked → read, hashed and sent as it is read ──► client's disk
//! no router        the same, beside the destination                                  ──► destination
//! restore          archive ──► hashes compared → every page checked → key tried → ids moved on → named
//! ```
//!
//! A backup is a `tar` archive ([`tar`](self::archive)) with the database, the key that opens what is sealed
//! in it (if asked for) and a manifest. What was accepted before the copy began is in it. The copy needs room
//! for a second database for as long as it takes: beside the first, or where `store.backup_dir` says.

mod archive;
mod live;
mod manifest;
mod offline;
mod restore;
mod tar;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use archive::verify;
pub use live::{Backups, Chunks};
pub use manifest::Manifest;
pub use offline::write;
pub use restore::{Restored, Wish, restore};

use crate::digest::Digest;
use crate::store::files::{self, DATABASE};
use crate::store::{self, sqlite};
use crate::vault::KEY_BYTES;

/// The largest key file that is read.
const KEY_FILE_BYTES_MAX: u64 = 4 << 10;

/// Whether the key is part of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It is: whoever has the backup can read every secret in it.
    Included,
    /// It is not: without the key from elsewhere, what is sealed in the backup stays sealed.
    LeftOut,
}

/// What can go wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The bytes of the backup cannot be read or written.
    #[error("the backup cannot be read or written to its end")]
    Stream(#[source] io::Error),
    /// Something else.
    #[error("it is not a backup that hookway made")]
    NotABackup,
    /// A part of one.
    #[error("the backup is cut short: its end is missing; make or copy it again")]
    CutShort,
    /// Of a newer version.
    #[error("the backup has the form {format}, which a newer hookway made; use that one")]
    Newer {
        /// Its form.
        format: u32,
    },
    /// A file in it is not what was put in.
    #[error("{name} in the backup is damaged: its hash is not that of the manifest; use another backup")]
    Damaged {
        /// Which.
        name: String,
    },
    /// Not a place for a restore.
    #[error("{} is not empty; restore into a new directory, and start the router there", dir.display())]
    NotEmpty {
        /// Which.
        dir: PathBuf,
    },
    /// The text of a key file is none.
    #[error("the key file does not hold a key of 64 hexadecimal digits")]
    NotAKey,
    /// The copy does not fit.
    #[error(
        "a backup needs {} MiB beside the database for as long as it takes, and {} MiB are free; make room, set \
         store.backup_dir to a directory on another disk, or stop the router and back up without it",
        needed >> 20,
        free >> 20
    )]
    NoRoom {
        /// Bytes that the copy takes, and that must stay free.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// One at a time.
    #[error("another backup is being made; wait for its end")]
    Busy,
    /// The database cannot be copied or checked.
    #[error("the database cannot be copied or checked")]
    Database(#[source] Box<sqlite::OpenError>),
    /// The store does not make a copy.
    #[error("the store does not make a copy")]
    Store(#[from] store::Error),
    /// Nobody is left to make it.
    #[error("the router is shutting down")]
    Interrupted,
}

impl Error {
    fn database(error: sqlite::OpenError) -> Self {
        Self::Database(Box::new(error))
    }

    /// Whether a router has the data directory open: then it is the one to ask for a backup.
    pub fn is_in_use(&self) -> bool {
        let Self::Database(error) = self else { return false };
        matches!(**error, sqlite::OpenError::Files(files::Error::InUse { .. }))
    }
}

fn io_at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// The text of a key file.
pub struct KeyFile(Zeroizing<String>);

impl KeyFile {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, Error> {
        use std::io::Read as _;
        let mut text = Zeroizing::new(String::new());
        let file = File::open(path).map_err(io_at("open", path))?;
        let read = file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(io_at("read", path))?;
        let key = Self(text);
        key.bytes()?;
        Ok(key)
    }

    /// The key.
    fn bytes(&self) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        files::key_in(&self.0).ok_or(Error::NotAKey)
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

/// Whether there is a database in this directory.
pub fn is_there(data_dir: &Path) -> bool {
    data_dir.join(DATABASE).exists()
}

/// The file that a copy is made in. It goes with the value, and what a crash left goes with the next.
struct Copy(PathBuf);

impl Copy {
    /// An empty one, beside whatever is in this directory. Its name is that of the data directory's copies
    /// alone, for others may make theirs in the same place.
    fn begin(beside: &Path, data_dir: &Path) -> Result<Self, Error> {
        let of = Digest::of(data_dir.as_os_str().as_encoded_bytes()).to_string();
        let copy = Self(beside.join(format!("hookway-copy-{}.tmp", &of[..12])));
        copy.remove();
        let mut options = OpenOptions::new();
        // SQLite would make it readable for everybody.
        let made = options.write(true).create_new(true).mode(0o600).open(&copy.0);
        made.map_err(io_at("make", &copy.0))?;
        Ok(copy)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn opened(&self) -> Result<File, Error> {
        File::open(&self.0).map_err(io_at("open", &self.0))
    }

    fn remove(&self) {
        let _it_may_be_gone = std::fs::remove_file(&self.0);
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes what a backup left that ended with the process.
pub fn clean(beside: &Path, data_dir: &Path) {
    drop(Copy::begin(beside, data_dir));
}
