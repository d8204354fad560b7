//! The next key: what `secrets.key` becomes when everything is sealed anew.
//!
//! It lies beside the old one, synced with the directory, before the database changes, and takes its name
//! after. So whatever a crash leaves, the key that opens the database is one of the two files.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use super::{DataDir, Error, SECRETS_KEY, io as fault, read_key};
use crate::vault::KEY_BYTES;

/// The file of the next key in the data directory. There only while everything is sealed anew.
pub const NEXT_KEY: &str = "secrets.key.next";

impl DataDir {
    /// The next key, if there is one.
    pub fn next_key(&self) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, Error> {
        let path = self.path.join(NEXT_KEY);
        match File::open(&path) {
            Ok(file) => read_key(&path, file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(fault("open", &path)(source)),
        }
    }

    /// Makes a next key, durably.
    pub fn make_next_key(&self) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
        let mut text = Zeroizing::new(HEXLOWER_PERMISSIVE.encode(&*key));
        text.push('\n');
        let path = self.path.join(NEXT_KEY);
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(fault("write", &path))?;
        Ok(key)
    }

    /// The next key takes the name of the key, durably. The old one is gone.
    pub fn take_next_key(&self) -> Result<(), Error> {
        let path = self.path.join(SECRETS_KEY);
        let take = || {
            std::fs::rename(self.path.join(NEXT_KEY), &path)?;
            File::open(&self.path)?.sync_all()
        };
        take().map_err(fault("write", &path))
    }

    /// Removes the next key: nothing was sealed with it.
    pub fn drop_next_key(&self) -> Result<(), Error> {
        let path = self.path.join(NEXT_KEY);
        std::fs::remove_file(&path).map_err(fault("remove", &path))
    }
}
