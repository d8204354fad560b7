//! Writing a backup into anything that takes bytes, and reading it back from anything that gives some.
//!
//! In this order: the database, the key where it was asked for, the manifest with the hashes of both. So it
//! can be sent while it is read, and nothing has to be read twice. A backup without its manifest is not
//! whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::Digest as _;
use zeroize::Zeroizing;

use super::manifest::{self, FORMAT, Manifest};
use super::tar::{BLOCK, END, Entry, padding};
use super::{Error, KeyFile};
use crate::digest::Digest;
use crate::store::Snapshot;
use crate::store::files::{DATABASE, SECRETS_KEY};
use crate::time::Timestamp;

/// What is copied at once.
const CHUNK_BYTES: usize = 256 << 10;
/// The largest key file that is read.
const KEY_BYTES_MAX: u64 = 4 << 10;

/// What a backup is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// The copy of the database.
    pub database: File,
    /// What is known of it.
    pub snapshot: Snapshot,
    /// The text of the key file, where it goes in.
    pub key: Option<KeyFile>,
    /// When the copy was begun.
    pub at: Timestamp,
}

/// Writes a backup.
pub(super) fn write(parts: Parts, out: &mut impl Write) -> io::Result<Manifest> {
    let seconds = u64::try_from(parts.at.as_seconds()).unwrap_or(0);
    let mut files = Vec::new();
    let mut put = |name: &str, bytes: u64, from: &mut dyn Read, out: &mut dyn Write| {
        let name = name.to_owned();
        out.write_all(
            &Entry {
                name: name.clone(),
                bytes,
            }
            .header(seconds),
        )?;
        let sha256 = copy(from, bytes, out)?;
        out.write_all(&[0; BLOCK][..padding(bytes)])?;
        files.push(manifest::File { name, bytes, sha256 });
        Ok::<(), io::Error>(())
    };
    let (mut database, bytes) = (parts.database, parts.snapshot.bytes);
    put(DATABASE, bytes, &mut database, out)?;
    if let Some(key) = &parts.key {
        put(SECRETS_KEY, key.0.len() as u64, &mut key.0.as_bytes(), out)?;
    }
    let manifest = Manifest {
        format: FORMAT,
        hookway: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: parts.at,
        schema: parts.snapshot.schema,
        newest: parts.snapshot.newest,
        files,
        own_sha256: None,
    }
    .sealed();
    let text = manifest.text();
    let (name, bytes) = (manifest::NAME.to_owned(), text.len() as u64);
    out.write_all(&Entry { name, bytes }.header(seconds))?;
    out.write_all(&text)?;
    out.write_all(&[0; BLOCK][..padding(bytes)])?;
    out.write_all(&END)?;
    out.flush()?;
    Ok(manifest)
}

/// Copies so many bytes and gives their hash.
fn copy(from: &mut dyn Read, bytes: u64, out: &mut dyn Write) -> io::Result<Digest> {
    let mut hash = sha2::Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let read = match from.read(&mut chunk[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&chunk[..read]);
        out.write_all(&chunk[..read])?;
        left -= read as u64;
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// What was in a backup.
#[derive(Debug)]
pub(super) struct Contents {
    /// What it says of itself; every hash in it was compared.
    pub manifest: Manifest,
    /// The key, where it has one.
    pub key: Option<KeyFile>,
}

/// Reads a backup to its manifest; the database goes to `database`. Whatever is not as the manifest says is
/// an error, and then nothing of it is to be used.
pub(super) fn read(from: &mut impl Read, database: &mut impl Write) -> Result<Contents, Error> {
    let (mut found, mut key) = (Vec::new(), None);
    loop {
        let mut block = [0; BLOCK];
        from.read_exact(&mut block).map_err(cut_short)?;
        let Entry { name, bytes } = Entry::read(&block).ok_or(Error::NotABackup)?;
        let sha256 = match name.as_str() {
            manifest::NAME => {
                let (text, _) = text(from, bytes, manifest::BYTES_MAX)?;
                let manifest = compared(&text, &found)?;
                return Ok(Contents { manifest, key });
            }
            SECRETS_KEY => {
                let (text, sha256) = text(from, bytes, KEY_BYTES_MAX)?;
                key = Some(KeyFile(text));
                sha256
            }
            DATABASE if found.is_empty() => copy(from, bytes, database).map_err(cut_short)?,
            _ => return Err(Error::NotABackup),
        };
        let mut zeros = [0; BLOCK];
        from.read_exact(&mut zeros[..padding(bytes)]).map_err(cut_short)?;
        found.push(manifest::File { name, bytes, sha256 });
    }
}

/// A small file of text, with its hash.
fn text(from: &mut impl Read, bytes: u64, most: u64) -> Result<(Zeroizing<String>, Digest), Error> {
    if bytes > most {
        return Err(Error::NotABackup);
    }
    let mut text = Vec::new();
    let sha256 = copy(from, bytes, &mut text).map_err(cut_short)?;
    let text = String::from_utf8(text).map_err(|_| Error::NotABackup)?;
    Ok((Zeroizing::new(text), sha256))
}

/// Reads a backup and keeps nothing of it.
pub fn verify(path: &Path) -> Result<Manifest, Error> {
    let file = File::open(path).map_err(super::io_at("open", path))?;
    Ok(read(&mut io::BufReader::new(file), &mut io::sink())?.manifest)
}

fn compared(text: &str, found: &[manifest::File]) -> Result<Manifest, Error> {
    // The form first: what a newer one holds is not known here.
    #[derive(serde::Deserialize)]
    struct Form {
        format: u32,
    }
    let Form { format } = serde_json::from_str(text).map_err(|_| Error::NotABackup)?;
    if format > FORMAT {
        return Err(Error::Newer { format });
    }
    let manifest: Manifest = serde_json::from_str(text).map_err(|_| Error::NotABackup)?;
    if manifest.file(DATABASE).is_none() || manifest.files.len() != found.len() {
        return Err(Error::NotABackup);
    }
    match manifest.files.iter().find(|file| !found.contains(file)) {
        None if manifest.is_whole() => Ok(manifest),
        None => Err(Error::Damaged {
            name: manifest::NAME.to_owned(),
        }),
        Some(file) => Err(Error::Damaged {
            name: file.name.clone(),
        }),
    }
}

/// The end of the bytes before the end of the backup.
fn cut_short(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::CutShort,
        _ => Error::Stream(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// One change to an archive: of a byte, or of blocks, which are what it is made of.
    #[derive(Clone, Debug)]
    enum Edit {
        Byte(Index, u8),
        Cut(Index, Index),
        Repeat(Index, Index),
        Copy(Index, Index),
        Noise(Index, Vec<u8>),
    }

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let at = any::<Index>;
        let edit = prop_oneof![
            3 => (at(), 1_u8..).prop_map(|(at, by)| Edit::Byte(at, by)),
            1 => (at(), at()).prop_map(|(from, to)| Edit::Cut(from, to)),
            1 => (at(), at()).prop_map(|(from, to)| Edit::Repeat(from, to)),
            1 => (at(), at()).prop_map(|(from, to)| Edit::Copy(from, to)),
            1 => (at(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, noise)| Edit::Noise(at, noise)),
        ];
        prop::collection::vec(edit, 1..4)
    }

    fn changed(mut archive: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
        for edit in edits {
            let blocks = archive.len() / BLOCK;
            if blocks == 0 {
                break;
            }
            let range = |one: &Index, other: &Index| {
                let (one, other) = (one.index(blocks + 1), other.index(blocks + 1));
                one.min(other) * BLOCK..one.max(other) * BLOCK
            };
            match edit {
                Edit::Byte(at, by) => *at.get_mut(&mut archive) ^= by,
                Edit::Cut(from, to) => drop(archive.drain(range(from, to))),
                Edit::Repeat(from, to) => {
                    let range = range(from, to);
                    let again = archive[range.clone()].to_vec();
                    archive.splice(range.end..range.end, again);
                }
                Edit::Copy(from, to) => {
                    let (from, to) = (from.index(blocks) * BLOCK, to.index(blocks) * BLOCK);
                    archive.copy_within(from..from + BLOCK, to);
                }
                Edit::Noise(at, noise) => {
                    let at = at.index(archive.len());
                    archive.splice(at..at, noise.iter().copied());
                }
            }
        }
        archive
    }

    proptest! {
        /// Of a changed archive the same database, the same key and the same manifest are taken, or nothing.
        #[test]
        fn whatever_becomes_of_it_only_what_was_in_it_is_taken(key: bool, edits in edits()) {
            let mut archive = Vec::new();
            let written = write(parts(key), &mut archive).unwrap();
            let archive = changed(archive, &edits);
            let mut database = Vec::new();
            if let Ok(contents) = read(&mut archive.as_slice(), &mut database) {
                prop_assert_eq!(database, vec![7; 1_300]);
                let found = contents.key.map(|key| key.0.to_string());
                prop_assert!(found.is_none_or(|found| found == "00ff\n"));
                // Where the name of that hash became another, it is one of an earlier version.
                prop_assert!(contents.manifest == written || contents.manifest.own_sha256.is_none());
            }
        }

        #[test]
        fn whatever_is_no_archive_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..4_096)) {
            prop_assert!(read(&mut bytes.as_slice(), &mut io::sink()).is_err());
        }
    }

    fn parts(key: bool) -> Parts {
        use std::io::Seek as _;
        let mut database = tempfile::tempfile().unwrap();
        database.write_all(&[7; 1_300]).unwrap();
        database.rewind().unwrap();
        Parts {
            database,
            snapshot: Snapshot {
                schema: 3,
                newest: 99,
                bytes: 1_300,
            },
            key: key.then(|| KeyFile(Zeroizing::new("00ff\n".to_owned()))),
            at: Timestamp::from_millis(1_779_208_200_000),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for with_key in [true, false] {
            let mut archive = Vec::new();
            let written = write(parts(with_key), &mut archive).unwrap();
            assert_eq!(archive.len() % BLOCK, 0);
            let mut database = Vec::new();
            let read = read(&mut archive.as_slice(), &mut database).unwrap();
            assert_eq!((read.manifest, database), (written, vec![7; 1_300]));
            assert_eq!(
                read.key.map(|key| key.0.to_string()),
                with_key.then(|| "00ff\n".to_owned())
            );
        }
    }

    #[test]
    fn what_is_cut_short_or_changed_is_never_taken() {
        let mut archive = Vec::new();
        let written = write(parts(true), &mut archive).unwrap();
        let whole = archive.len() - END.len();
        for length in 0..whole - BLOCK {
            let cut = read(&mut &archive[..length], &mut io::sink());
            assert!(cut.is_err(), "{length} bytes are enough");
        }
        for place in [0, 600, BLOCK * 4 + 2, BLOCK * 5 + 1, BLOCK * 7 + 20] {
            let mut changed = archive.clone();
            changed[place] ^= 1;
            assert!(read(&mut changed.as_slice(), &mut io::sink()).is_err(), "{place}");
        }
        // Every byte of the manifest that means something: a number in it is where ids go on.
        let text = archive
            .windows(9)
            .position(|window| window == b"\"format\":")
            .unwrap()
            - 4;
        let length = archive[text..].iter().position(|byte| *byte == 0).unwrap();
        for place in text..text + length {
            for by in [1, 2, 4, 16] {
                let mut changed = archive.clone();
                changed[place] ^= by;
                if let Ok(contents) = read(&mut changed.as_slice(), &mut io::sink()) {
                    // The same may be written in another way, and the name of its own hash may become another:
                    // then it is one of an earlier version.
                    let same = contents.manifest == written;
                    assert!(same || contents.manifest.own_sha256.is_none(), "{place} ^ {by}");
                }
            }
        }
        assert!(matches!(
            read(&mut [b'x'; 4_096].as_slice(), &mut io::sink()),
            Err(Error::NotABackup)
        ));
    }
}
