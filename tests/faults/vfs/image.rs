//! The directory as it could look when the power comes back.

use std::path::Path;

use hookway::disk::BALLAST;

use super::disk::{Change, Cut, Name, Watched};
use crate::chance::Chance;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// What becomes of the changes to a file that are not durable.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    Everything,
    Beginning,
    Subset,
    Torn,
}

const FATES: [Fate; 5] = [
    Fate::Nothing,
    Fate::Everything,
    Fate::Beginning,
    Fate::Subset,
    Fate::Torn,
];

impl Cut {
    /// Makes the directory that this seed chooses, with the files beside the database as they are now.
    pub fn image(&self, seed: u64, into: &Path) {
        let mut chance = Chance::of(seed);
        copy_of(&self.dir, into, |name| {
            !name.starts_with("hookway.db") && name != "lock"
        });
        for (name, watched) in &self.files {
            let there = match watched.name {
                Name::Durable => true,
                Name::Made | Name::Removed => chance.once_in(2),
            };
            if there {
                let content = content(watched, &mut chance);
                std::fs::write(into.join(name), content).expect("an image is written");
            }
        }
    }
}

/// Copies the files of a directory that are wanted by name. The ballast is never among them: it is room and
/// says nothing, every start makes it anew, and thousands of copies of its 64 MiB wear a disk.
pub fn copy_of(dir: &Path, into: &Path, wanted: impl Fn(&str) -> bool) {
    std::fs::create_dir_all(into).expect("a directory for a copy");
    for entry in std::fs::read_dir(dir).expect("the directory is there") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let name = name.to_str().expect("a name of ours");
        if name != BALLAST && wanted(name) && entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), into.join(name)).expect("a file is copied");
        }
    }
}

fn content(watched: &Watched, chance: &mut Chance) -> Vec<u8> {
    let mut content = Vec::clone(&watched.durable);
    let fate = FATES[chance.index(FATES.len())];
    let kept = match fate {
        Fate::Nothing => 0,
        Fate::Beginning => chance.index(watched.since.len() + 1),
        Fate::Everything | Fate::Subset | Fate::Torn => watched.since.len(),
    };
    for change in &watched.since[..kept] {
        match (fate, change) {
            (Fate::Subset | Fate::Torn, Change::Length(_)) if chance.once_in(2) => {}
            (Fate::Subset, _) if chance.once_in(2) => {}
            (Fate::Torn, Change::Write { at, bytes }) => tear(&mut content, *at, bytes, chance),
            _ => change.apply(&mut content),
        }
    }
    content
}

/// Writes some of the sectors that a write touches.
fn tear(content: &mut Vec<u8>, at: usize, bytes: &[u8], chance: &mut Chance) {
    let (mut at, mut rest) = (at, bytes);
    while !rest.is_empty() {
        let length = (SECTOR - at % SECTOR).min(rest.len());
        let (sector, after) = rest.split_at(length);
        if chance.once_in(2) {
            let bytes = sector.into();
            Change::Write { at, bytes }.apply(content);
        }
        (at, rest) = (at + length, after);
    }
}

#[cfg(test)]
use super::disk::Directory;

#[test]
fn what_was_synced_is_in_every_image_and_what_was_not_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let disk = super::Disk::below(&dir.path().join("data"));
    std::fs::create_dir(dir.path().join("data")).unwrap();
    disk.opened("hookway.db", false);
    disk.wrote("hookway.db", 0, &[1; 2048]);
    disk.sync("hookway.db", Directory::Left).unwrap();
    disk.wrote("hookway.db", 1024, &[2; 2048]);
    let cut = disk.cut();
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let image = tempfile::tempdir().unwrap();
        cut.image(seed, image.path());
        let content = std::fs::read(image.path().join("hookway.db")).unwrap();
        assert_eq!(content[..1024], [1; 1024]);
        for sector in content[1024..].chunks(SECTOR) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "sectors are whole");
        }
        lengths.insert(content.len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [2048, 2560, 3072]);
}

#[test]
fn what_a_failed_sync_had_is_gone_whatever_later_ones_say() {
    use super::{Fault, Lasting, Op};
    let dir = tempfile::tempdir().unwrap();
    let disk = super::Disk::below(&dir.path().join("data"));
    std::fs::create_dir(dir.path().join("data")).unwrap();
    disk.opened("hookway.db", false);
    disk.sync("hookway.db", Directory::Left).unwrap();
    disk.fail(Fault {
        op: Op::Sync,
        nth: 2,
        code: rusqlite::ffi::SQLITE_IOERR_FSYNC,
        lasting: Lasting::Once,
    });
    disk.wrote("hookway.db", 0, b"lost");
    assert_eq!(
        disk.sync("hookway.db", Directory::Left),
        Err(rusqlite::ffi::SQLITE_IOERR_FSYNC)
    );
    disk.wrote("hookway.db", 4, b"kept");
    disk.sync("hookway.db", Directory::Left).unwrap();
    let image = tempfile::tempdir().unwrap();
    disk.cut().image(1, image.path());
    let content = std::fs::read(image.path().join("hookway.db")).unwrap();
    assert_eq!(content, b"\0\0\0\0kept");
}
