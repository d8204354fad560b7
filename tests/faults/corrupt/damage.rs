//! Damage to the files of a stopped router, as a seed says, and whether anybody could tell it from a crash.

use std::path::{Path, PathBuf};

use crate::chance::Chance;

/// The size of the database's pages.
const PAGE: usize = 8_192;
/// What stands before the frames of the log, and before the page of each.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What was done.
pub(super) struct Damage {
    /// To which file, in words.
    pub(super) how: String,
    /// What became of the log.
    pub(super) log: Log,
}

/// What became of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// It is as it was, or there is none.
    Untouched,
    /// It is damaged so that what stands behind shows it.
    InTheMidst,
    /// It was cut, or its last frames are damaged: so a crash in the middle of a write leaves it, too.
    AtItsEnd,
}

/// A place that is not empty, if one is found: most of a small database is.
fn used(bytes: &[u8], chance: &mut Chance) -> usize {
    let mut at = chance.index(bytes.len());
    for _ in 0..32 {
        if bytes[at] != 0 {
            break;
        }
        at = chance.index(bytes.len());
    }
    at
}

/// Damages one of the files of a directory.
pub(super) fn damage(dir: &Path, chance: &mut Chance) -> Damage {
    let mut files: Vec<PathBuf> = vec![dir.join("hookway.db")];
    let log = dir.join("hookway.db-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        files.push(log);
    }
    let file = files.swap_remove(chance.index(files.len()));
    let mut bytes = std::fs::read(&file).expect("it is there");
    let before = bytes.clone();
    let pages = bytes.len() / PAGE;
    let what = match chance.below(6) {
        0 => {
            let count = 1 + chance.index(8);
            for _ in 0..count {
                let at = used(&bytes, chance);
                bytes[at] ^= 1 << chance.below(8);
            }
            format!("{count} bits flipped")
        }
        1 => {
            let count = 1 + chance.index(64);
            for _ in 0..count {
                let at = used(&bytes, chance);
                bytes[at] = bytes[at].wrapping_add(1 + chance.below(255).to_le_bytes()[0]);
            }
            format!("{count} bytes changed")
        }
        2 => {
            let length = if chance.once_in(4) {
                0
            } else {
                chance.index(bytes.len())
            };
            bytes.truncate(length);
            format!("cut to {length} bytes")
        }
        3 => {
            let page = chance.index(pages.max(1));
            let end = ((page + 1) * PAGE).min(bytes.len());
            bytes[page * PAGE..end].fill(0);
            format!("page {} zeroed", page + 1)
        }
        4 if pages > 1 => {
            let (one, other) = (chance.index(pages), chance.index(pages));
            for at in 0..PAGE {
                bytes.swap(one * PAGE + at, other * PAGE + at);
            }
            format!("pages {} and {} swapped", one + 1, other + 1)
        }
        _ => {
            let at = chance.index(bytes.len().saturating_sub(512));
            let end = (at + 512).min(bytes.len());
            bytes[at..end]
                .iter_mut()
                .for_each(|byte| *byte = chance.next().to_le_bytes()[0]);
            format!("a sector of something else at {at}")
        }
    };
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let log = match name.ends_with("-wal") {
        false => Log::Untouched,
        true if before == bytes => Log::Untouched,
        true if in_the_midst(&before, &bytes) => Log::InTheMidst,
        true => Log::AtItsEnd,
    };
    std::fs::write(&file, bytes).expect("it is written");
    let how = format!("{name}: {what}");
    Damage { how, log }
}

/// Whether at least two frames stand behind the first that was damaged: by the second of them anybody can tell
/// that they were written, whatever became of the first.
fn in_the_midst(before: &[u8], after: &[u8]) -> bool {
    let first = before
        .iter()
        .zip(after)
        .position(|(before, after)| before != after);
    let first = first.unwrap_or(before.len());
    let frame = first.saturating_sub(LOG_HEADER) / (FRAME_HEADER + PAGE);
    let frames = before.len().saturating_sub(LOG_HEADER) / (FRAME_HEADER + PAGE);
    before.len() == after.len() && frame + 2 < frames
}
