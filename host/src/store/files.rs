//! The data directory: who owns it, and the key that seals what is secret in it.
//!
//! `lock` is held exclusively as long as the store is open; the operating system releases it when
//! the process ends, however it ends, so a lock is never stale. `secrets.key` is made at the first
//! start, readable by its owner only, and synced with its directory before anything is sealed with
//! it: a database without its key is lost.

mod next_key;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use crate::vault::KEY_BYTES;

pub use next_key::NEXT_KEY;

/// The database in the data directory.
pub const DATABASE: &str = "hookway.db";
/// The lock in the data directory.
pub const LOCK: &str = "lock";
/// What stands in the lock once there is a database.
const NOTE: &[u8] = b"hookway.db was made here\n";
/// The key that seals secrets, 64 hexadecimal digits.
pub const SECRETS_KEY: &str = "secrets.key";
/// The admin key of the first start, which the router makes beside it.
pub const ADMIN_KEY: &str = "admin.key";
/// Longest text read as a key: its digits, and some white space that an editor may have left.
const KEY_TEXT_BYTES_MAX: u64 = 128;

/// What can be wrong with a data directory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be made, read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the data directory {} is in use by another hookway; stop it or choose another --data-dir", dir.display())]
    InUse {
        /// Which.
        dir: PathBuf,
    },
    /// The key file is not one.
    #[error("{} does not hold a key of 64 hexadecimal digits; put the right file back", path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
    /// There is a database, but not its key.
    #[error("{} is missing although there is a database beside it; put the key back", path.display())]
    KeyMissing {
        /// Which.
        path: PathBuf,
    },
}

/// A data directory that belongs to this process as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock is released when the file is closed.
    lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing and takes its lock.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("make the directory", path))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { dir: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io("lock", &lock_path)(source)),
        }
    }

    /// Whether there was a database here once.
    pub fn had_database(&self) -> Result<bool, Error> {
        let lock_path = self.path.join(LOCK);
        let metadata = self.lock.metadata().map_err(io("look at", &lock_path))?;
        Ok(metadata.len() > 0)
    }

    /// Leaves a note that there is a database here: one that is missing or empty later was lost.
    pub fn note_database(&self) -> Result<(), Error> {
        if self.had_database()? {
            return Ok(());
        }
        let write = || {
            (&self.lock).write_all(NOTE)?;
            self.lock.sync_all()
        };
        write().map_err(io("write", &self.path.join(LOCK)))
    }

    /// The path of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The key; made now where neither it nor a database is there.
    pub fn secrets_key(&self) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        let path = self.path.join(SECRETS_KEY);
        match File::open(&path) {
            Ok(file) => read_key(&path, file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.database().exists() {
                    return Err(Error::KeyMissing { path });
                }
                self.make_key(&path)
            }
            Err(source) => Err(io("open", &path)(source)),
        }
    }

    /// Written under another name first: a crash leaves either no key or a whole one.
    fn make_key(&self, path: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
        let mut text = Zeroizing::new(HEXLOWER_PERMISSIVE.encode(&*key));
        text.push('\n');
        let new_path = self.path.join("secrets.key.new");
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&new_path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new_path, path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(io("write", path))?;
        Ok(key)
    }
}

/// The key of a data directory as it is in its file now; none where there is none.
pub fn secrets_key_in(dir: &Path) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, Error> {
    let path = dir.join(SECRETS_KEY);
    match File::open(&path) {
        Ok(file) => read_key(&path, file).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io("open", &path)(source)),
    }
}

fn read_key(path: &Path, file: File) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_TEXT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(io("read", path))?;
    key_in(&text).ok_or_else(|| Error::NotAKey {
        path: path.to_owned(),
    })
}

/// The key that the text of a key file holds.
pub fn key_in(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()?;
    let bytes = Zeroizing::new(bytes);
    <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
        .ok()
        .map(Zeroizing::new)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::lock(dir.path()).unwrap();
        let error = DataDir::lock(dir.path()).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }));
        assert!(error.to_string().contains(&dir.path().display().to_string()));
        drop(first);
        DataDir::lock(dir.path()).unwrap();
    }

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path()).unwrap();
        let key = data.secrets_key().unwrap();
        assert_eq!(data.secrets_key().unwrap(), key);
        let mode = std::fs::metadata(dir.path().join(SECRETS_KEY))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_or_broken_key_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path()).unwrap();
        std::fs::write(data.database(), b"x").unwrap();
        assert!(matches!(data.secrets_key(), Err(Error::KeyMissing { .. })));
        std::fs::write(dir.path().join(SECRETS_KEY), b"abc").unwrap();
        assert!(matches!(data.secrets_key(), Err(Error::NotAKey { .. })));
    }
}
