//! Small disks of one's own: a test starts itself again inside of namespaces in which it may mount, and
//! there a tmpfs is a disk of any size that nobody else fills. They go with the namespace.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::namespaces;

/// What is written at once by who fills a disk.
static CHUNK: [u8; 64 << 10] = [0x5a; 64 << 10];

/// True inside of namespaces where a test may mount, in which the test of this whole name runs again; see
/// [`namespaces::inside`].
pub fn inside(test: &str) -> bool {
    namespaces::inside(test, &["--mount"], &[])
}

/// A disk of its own.
pub struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// A new one of this size.
    pub fn of(bytes: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "hookway"])
            .arg(dir.path())
            .status()
            .expect("`mount` of util-linux is needed for this test");
        assert!(mounted.success(), "a tmpfs cannot be mounted: {mounted}");
        Self { dir }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        hookway::disk::room(self.path()).expect("the disk answers").free
    }

    /// Somebody else fills it until only so much is free, the last byte included where that is 0.
    pub fn fill_to(&self, left: u64) {
        use std::io::Write as _;
        let mut options = std::fs::OpenOptions::new();
        let opened = options.create(true).append(true).mode(0o600).open(self.filler());
        let mut file = opened.expect("even a full tmpfs has room for a name");
        while self.free() > left {
            let part = usize::try_from(self.free() - left).unwrap_or(CHUNK.len());
            if file.write_all(&CHUNK[..part.min(CHUNK.len())]).is_err() {
                return;
            }
        }
    }

    /// Somebody else goes, with what they had written.
    pub fn make_room(&self) {
        let _it_may_be_gone = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.path().join("of-somebody-else")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // With the namespace it goes anyway; without this its directory would stay.
        let _unmounted = Command::new("umount").arg("--lazy").arg(self.dir.path()).status();
    }
}
