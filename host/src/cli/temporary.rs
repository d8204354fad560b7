//! A directory that goes with the command that made it: the demonstration's database, the compiled
//! plugins of a trial.

use std::path::{Path, PathBuf};

use super::Failure;

/// A directory that only its owner can read, removed with what is in it at the end.
pub(super) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Makes a new one. The purpose is part of its name.
    pub(super) fn make(purpose: &str) -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!(
            "hookway-{purpose}-{}-{:016x}",
            std::process::id(),
            rand::random::<u64>()
        );
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::io(format!("cannot make {}", path.display()), error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What cannot be removed is in the directory for temporary things, where it does no harm.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_goes_with_its_owner() {
        let directory = TemporaryDirectory::make("test").unwrap();
        let path = directory.path().to_owned();
        assert!(path.is_dir());
        drop(directory);
        assert!(!path.exists());
    }
}
