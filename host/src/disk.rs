//! The disk under the data directory: how much room it has, and the ballast that keeps some back.
//!
//! The ballast is a file of real blocks that nobody reads. While it is there, others cannot take its room;
//! when the disk is full it is removed, and what must be written all the same (outcomes of what was sent,
//! and the removal of old history) has room to be. When that is and when it comes back is decided by
//! [`crate::space`]; here is only how.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The name of the ballast in the data directory.
pub const BALLAST: &str = "ballast";
/// Bytes of a block, as `stat` counts them on every Unix.
const STAT_BLOCK_BYTES: u64 = 512;
/// What is written at once where a file system cannot set room aside.
const CHUNK_BYTES: usize = 1 << 20;

/// How much room a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still fill; what is kept back for root is not among them.
    pub free: u64,
    /// Bytes of the whole disk.
    pub total: u64,
}

/// Asks the file system that holds this path. Blocks, on a network's file system perhaps for long.
pub fn room(path: &Path) -> io::Result<Room> {
    let answer = rustix::fs::statvfs(path)?;
    Ok(Room {
        free: answer.f_bavail.saturating_mul(answer.f_frsize),
        total: answer.f_blocks.saturating_mul(answer.f_frsize),
    })
}

/// Whether something could not be written because there is no room: on the disk, or in a quota.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The ballast of a data directory.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// That of this data directory, whether it is there or not.
    pub fn of(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(BALLAST),
        }
    }

    /// Bytes that it keeps back now; 0 where there is none.
    pub fn bytes(&self) -> u64 {
        let Ok(about) = std::fs::metadata(&self.path) else {
            return 0;
        };
        // A file of holes keeps nothing back.
        about.len().min(about.blocks().saturating_mul(STAT_BLOCK_BYTES))
    }

    /// Makes it of this size, if it is not. Where that fails, none is left.
    pub fn make(&self, bytes: u64) -> io::Result<()> {
        if self.bytes() == bytes {
            return Ok(());
        }
        self.remove()?;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        let made = fill(file, bytes);
        if made.is_err() {
            self.remove()?;
        }
        made
    }

    /// Removes it. Its room is free when this returns.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Sets room aside; by writing where the file system knows no other way.
fn fill(mut file: File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => return file.sync_all(),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    // Not zeros: a file system that compresses would keep nothing back for those.
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    rand::fill(&mut chunk[..]);
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        file.write_all(&chunk[..part])?;
        left -= part as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_tells_its_room() {
        let dir = tempfile::tempdir().unwrap();
        let room = room(dir.path()).unwrap();
        assert!(room.total > 0 && room.free <= room.total, "{room:?}");
        assert!(super::room(&dir.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_quota_is_a_full_disk() {
        use rustix::io::Errno;
        for (errno, full) in [(Errno::NOSPC, true), (Errno::DQUOT, true), (Errno::IO, false)] {
            assert_eq!(is_full(&errno.into()), full, "{errno}");
        }
    }

    #[test]
    fn ballast_is_real_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::of(dir.path());
        assert_eq!(ballast.bytes(), 0);
        ballast.make(1 << 20).unwrap();
        assert_eq!(ballast.bytes(), 1 << 20);
        // Of another size, and where a file of holes is in its place.
        ballast.make(2 << 20).unwrap();
        assert_eq!(ballast.bytes(), 2 << 20);
        File::create(dir.path().join(BALLAST))
            .unwrap()
            .set_len(3 << 20)
            .unwrap();
        assert_eq!(ballast.bytes(), 0);
        ballast.make(3 << 20).unwrap();
        assert_eq!(ballast.bytes(), 3 << 20);
        ballast.remove().unwrap();
        ballast.remove().unwrap();
        assert_eq!(ballast.bytes(), 0);
    }
}
