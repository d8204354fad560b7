//! A backup of a data directory that no router has open: the copy is made beside the destination, so that a
//! disk that is nearly full can be backed up to another one.

use std::fs::File;
use std::path::Path;

use super::archive::{self, Parts};
use super::{Copy, Error, Key, KeyFile, Manifest, io_at};
use crate::store::files::SECRETS_KEY;
use crate::store::sqlite;
use crate::time::Timestamp;

/// Writes a backup of the data directory to an open file in `beside`, and syncs it. Blocks.
pub fn write(dir: &Path, beside: &Path, key: Key, now: Timestamp, out: File) -> Result<Manifest, Error> {
    let copy = Copy::begin(beside, dir)?;
    let snapshot = sqlite::copy_unused(dir, copy.path()).map_err(Error::database)?;
    let key = match key {
        Key::Included => Some(KeyFile::read(&dir.join(SECRETS_KEY))?),
        Key::LeftOut => None,
    };
    let parts = Parts {
        database: copy.opened()?,
        snapshot,
        key,
        at: now,
    };
    let mut buffered = std::io::BufWriter::new(out);
    let manifest = archive::write(parts, &mut buffered).map_err(Error::Stream)?;
    let out = buffered
        .into_inner()
        .map_err(|error| Error::Stream(error.into_error()))?;
    out.sync_all().map_err(io_at("sync the backup in", beside))?;
    Ok(manifest)
}
