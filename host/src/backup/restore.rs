//! Restoring: a backup becomes a data directory that no router has used yet.
//!
//! The database gets its name last. Whatever goes wrong before that, the directory is left as it was found,
//! empty. What is restored makes other ids than the process that the backup is of could have made since, see
//! [`sqlite::adopt`]; none is below what the clocks of both machines say.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::archive::{self, Contents};
use super::{Error, KeyFile, Manifest, io_at};
use crate::id::EventId;
use crate::store::files::{DATABASE, SECRETS_KEY};
use crate::store::sqlite;
use crate::time::Timestamp;

/// The database before it has its name.
const NEW: &str = "hookway.db.restoring";

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// Where to; made where it is missing, and refused where there is anything in it.
    pub dir: &'a Path,
    /// The key file, for a backup that has none in it.
    pub key: Option<&'a Path>,
    /// Now.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// Whether the data directory has its key now.
    pub has_key: bool,
}

/// Removes what was written, unless everything went well.
struct Written<'a> {
    dir: &'a Path,
    names: Vec<&'static str>,
}

impl Written<'_> {
    fn path(&mut self, name: &'static str) -> PathBuf {
        self.names.push(name);
        self.dir.join(name)
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let _it_may_be_gone = std::fs::remove_file(self.dir.join(name));
        }
    }
}

/// Restores a backup. Blocks.
pub fn restore(wish: Wish<'_>) -> Result<Restored, Error> {
    let Wish {
        backup,
        dir,
        key,
        now,
    } = wish;
    let given = key.map(KeyFile::read).transpose()?;
    let file = File::open(backup).map_err(io_at("open", backup))?;
    let mut maker = DirBuilder::new();
    let made = maker.recursive(true).mode(0o700).create(dir);
    made.map_err(io_at("make the directory", dir))?;
    let mut there = std::fs::read_dir(dir).map_err(io_at("read", dir))?;
    if there.next().is_some() {
        return Err(Error::NotEmpty { dir: dir.to_owned() });
    }
    let mut written = Written {
        dir,
        names: Vec::new(),
    };
    let new = written.path(NEW);
    let mut database = create(&new)?;
    let Contents { manifest, key } = archive::read(&mut BufReader::new(file), &mut database)?;
    sqlite::check(&new).map_err(Error::database)?;
    let key = given.or(key);
    if let Some(key) = &key {
        sqlite::fits(&new, &*key.bytes()?).map_err(Error::database)?;
        let path = written.path(SECRETS_KEY);
        let mut file = create(&path)?;
        let put = file.write_all(key.0.as_bytes()).and_then(|()| file.sync_all());
        put.map_err(io_at("write", &path))?;
    }
    // Neither behind what was handed out before the backup, nor behind either clock.
    let clocks = [now, manifest.created_at].map(|at| EventId::first_at(at).number());
    let newest = clocks.into_iter().fold(manifest.newest, i64::max);
    sqlite::adopt(&new, newest).map_err(Error::database)?;
    database.sync_all().map_err(io_at("sync", &new))?;
    std::fs::rename(&new, dir.join(DATABASE)).map_err(io_at("rename", &new))?;
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(io_at("sync", dir))?;
    written.names.clear();
    Ok(Restored {
        manifest,
        has_key: key.is_some(),
    })
}

fn create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let made = options
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    made.map_err(io_at("make", path))
}
