//! Compiled components on disk.
//!
//! Loading an artefact runs whatever is in it, so only artefacts that this host wrote are loaded: the
//! directory is the owner's alone (0700), a file's name is the digest of the component and of
//! everything that compiling depends on, and its content begins with a MAC over name and artefact,
//! checked before the one `unsafe` call in this crate. What does not verify is compiled again.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use zeroize::Zeroizing;

/// Bytes of the MAC (HMAC-SHA256, RFC 2104) at the beginning of a file.
const TAG_BYTES: usize = 32;
/// The ending of artefacts; other files in the directory are left alone.
const ENDING: &str = "artefact";

/// The directory of artefacts.
pub(super) struct Artefacts {
    directory: PathBuf,
    key: Zeroizing<[u8; 32]>,
    compatibility: [u8; 32],
    bytes_most: u64,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// It cannot be made or read.
    #[error("cannot use the directory of compiled plugins {}", .directory.display())]
    Directory {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Others could put artefacts there.
    #[error("the directory of compiled plugins {} must belong to the user that runs the router", .0.display())]
    Foreign(PathBuf),
}

impl Artefacts {
    /// Makes the directory where it is not there, and closes it to others.
    pub(super) fn open(
        directory: PathBuf,
        key: [u8; 32],
        compatibility: [u8; 32],
        bytes_most: u64,
    ) -> Result<Self, ArtefactError> {
        let failed = |cause| ArtefactError::Directory {
            directory: directory.clone(),
            cause,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let metadata = fs::metadata(&directory).map_err(failed)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(ArtefactError::Foreign(directory));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(Self {
            directory,
            key: Zeroizing::new(key),
            compatibility,
            bytes_most,
        })
    }

    /// The name of a component's artefact: it changes with the component, wasmtime's version, our
    /// settings and the processor.
    fn name(&self, component: &[u8]) -> String {
        let digest = Sha256::new()
            .chain_update(Sha256::digest(component))
            .chain_update(self.compatibility)
            .finalize();
        format!("{}.{ENDING}", data_encoding::HEXLOWER.encode(&digest))
    }

    fn mac(&self, name: &str, artefact: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&*self.key)
            .expect("HMAC takes keys of any length")
            .chain_update(name.as_bytes())
            .chain_update([0])
            .chain_update(artefact)
    }

    /// The compiled form of this component, if it is there and is ours.
    pub(super) fn load(&self, engine: &Engine, component: &[u8]) -> Option<Component> {
        let name = self.name(component);
        let file = fs::read(self.directory.join(&name)).ok()?;
        let (tag, artefact) = file.split_at_checked(TAG_BYTES)?;
        if self.mac(&name, artefact).verify_slice(tag).is_err() {
            tracing::warn!(
                file = name,
                "a compiled plugin was changed on disk; compiling it again"
            );
            return None;
        }
        match deserialize(engine, artefact) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(
                    file = name,
                    error = format!("{error:#}"),
                    "compiling a plugin again"
                );
                None
            }
        }
    }

    /// Keeps an artefact that our own compiler made, and loads it. A full disk costs the next start a
    /// compilation, nothing else.
    pub(super) fn store(
        &self,
        engine: &Engine,
        component: &[u8],
        artefact: &[u8],
    ) -> wasmtime::Result<Component> {
        let loaded = deserialize(engine, artefact)?;
        let name = self.name(component);
        let written = self.write(&name, artefact).and_then(|()| self.shrink(&name));
        if let Err(error) = written {
            tracing::warn!(%error, directory = %self.directory.display(), "cannot keep a compiled plugin");
        }
        Ok(loaded)
    }

    fn write(&self, name: &str, artefact: &[u8]) -> io::Result<()> {
        let tag: [u8; TAG_BYTES] = self.mac(name, artefact).finalize().into_bytes().into();
        let temporary = self
            .directory
            .join(format!("{name}.{:016x}", rand::random::<u64>()));
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&tag)?;
            file.write_all(artefact)?;
            drop(file);
            fs::rename(&temporary, self.directory.join(name))
        };
        write().inspect_err(|_| {
            // The write has failed already; a left-over is removed by the next shrinking.
            drop(fs::remove_file(&temporary));
        })
    }

    /// Removes the oldest artefacts until the directory fits, but never the one just written.
    fn shrink(&self, newest: &str) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let is_ours = entry.file_name().to_string_lossy().contains(ENDING);
            if let (true, Ok(metadata)) = (is_ours, entry.metadata()) {
                let age = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((age, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.bytes_most {
                break;
            }
            if path != self.directory.join(Path::new(newest)) {
                fs::remove_file(path)?;
                total = total.saturating_sub(bytes);
            }
        }
        Ok(())
    }
}

fn deserialize(engine: &Engine, artefact: &[u8]) -> wasmtime::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "an artefact is machine code; both callers got it from our own compiler: one straight \
                  from it, the other from a file whose MAC it has just verified"
    )]
    // SAFETY: the bytes are what `Engine::precompile_component` gave, unchanged, see above.
    unsafe {
        Component::deserialize(engine, artefact)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Nothing but what was written here is loaded: with any byte changed, at any length, and whatever bytes
        /// stand in its place.
        #[test]
        fn whatever_stands_there_only_our_own_is_loaded(
            at: Index, by in 1_u8.., cut: Index, other in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let root = tempfile::tempdir().unwrap();
            let artefacts = open(root.path(), 1 << 20);
            let engine = Engine::default();
            let component = wat::parse_str("(component)").unwrap();
            let compiled = engine.precompile_component(&component).unwrap();
            let name = artefacts.name(&component);
            artefacts.write(&name, &compiled).unwrap();
            prop_assert!(artefacts.load(&engine, &component).is_some());
            let path = root.path().join(&name);
            let whole = fs::read(&path).unwrap();
            let mut changed = whole.clone();
            *at.get_mut(&mut changed) ^= by;
            for bytes in [&changed[..], &whole[..cut.index(whole.len())], &other[..]] {
                fs::write(&path, bytes).unwrap();
                prop_assert!(artefacts.load(&engine, &component).is_none());
            }
            // Under another name it is not what was asked for.
            fs::write(root.path().join(artefacts.name(b"another")), &whole).unwrap();
            prop_assert!(artefacts.load(&engine, b"another").is_none());
        }
    }

    fn open(directory: &Path, bytes_most: u64) -> Artefacts {
        Artefacts::open(directory.to_owned(), [1; 32], [2; 32], bytes_most).unwrap()
    }

    #[test]
    fn the_directory_is_the_owners_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        open(&directory, 1);
        let mode = || fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        open(&directory, 1);
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn the_name_changes_with_everything_that_matters() {
        let root = tempfile::tempdir().unwrap();
        let (one, mut other) = (open(root.path(), 1), open(root.path(), 1));
        assert_eq!(one.name(b"a"), other.name(b"a"));
        assert_ne!(one.name(b"a"), one.name(b"b"));
        other.compatibility = [3; 32];
        assert_ne!(one.name(b"a"), other.name(b"a"));
    }

    #[test]
    fn the_directory_stays_within_its_budget() {
        let root = tempfile::tempdir().unwrap();
        let artefacts = open(root.path(), 250);
        fs::write(root.path().join("a file of somebody else"), [0; 1_000]).unwrap();
        for (age, name) in [(300, "a.artefact"), (200, "b.artefact"), (100, "c.artefact")] {
            artefacts.write(name, &[0; 68]).unwrap();
            let file = fs::File::options()
                .write(true)
                .open(root.path().join(name))
                .unwrap();
            let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000 - age);
            file.set_modified(modified).unwrap();
            artefacts.shrink(name).unwrap();
        }
        let there = |name| root.path().join(name).exists();
        assert!(!there("a.artefact") && there("b.artefact") && there("c.artefact"));
        assert!(there("a file of somebody else"));
        let tiny = open(root.path(), 1);
        tiny.shrink("b.artefact").unwrap();
        assert!(there("b.artefact") && !there("c.artefact"));
    }
}
