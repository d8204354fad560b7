//! What the disk below one directory knows: how often it was called, what it fails, what is durable.

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::shim;
use crate::chance::Chance;

/// What SQLite asks of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    Delete,
    /// Maps or locks the index of the log.
    Shm,
}

impl Op {
    const ALL: usize = 7;
}

/// What is to go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub op: Op,
    /// The first call of this kind that fails, counted from 1 since the disk was made.
    pub nth: u64,
    /// What SQLite is told. A write fails half done.
    pub code: c_int,
    pub lasting: Lasting,
}

/// How long something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    Once,
    FromThenOn,
}

/// What a sync is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    /// What it says.
    Kept,
    /// Nothing: it says yes and does nothing, as `eatmydata` does.
    Lied,
    /// One that fails says yes, and its data is gone: what retrying a failed sync amounts to.
    ErrorsHidden,
}

/// When power cuts happen by themselves.
#[derive(Clone, Debug)]
pub struct Cutting {
    pub chance: Chance,
    /// Before changes of the log.
    pub log: Odds,
    /// Before changes of the database.
    pub database: Odds,
}

/// One in so many, and how many at the most.
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    pub once_in: u64,
    pub most: usize,
}

/// A file as it is and as it surely is.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) durable: Arc<Vec<u8>>,
    pub(super) since: Vec<Change>,
    pub(super) name: Name,
}

/// Whether a name is in its directory after a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Name {
    #[default]
    Made,
    Durable,
    Removed,
}

/// Whether a call syncs the directory of the file as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    Synced,
    Left,
}

/// A change that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { at: usize, bytes: Arc<[u8]> },
    Length(usize),
}

/// Everything at the moment of a power cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// What [`Disk::acknowledge`] was told before.
    pub acknowledged: usize,
    /// Changes that were not durable.
    pub at_stake: usize,
    /// Some of them were changes of the database itself, which only a checkpoint makes.
    pub in_checkpoint: bool,
    pub(super) dir: PathBuf,
    pub(super) files: BTreeMap<String, Watched>,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<String, Watched>,
    counts: [u64; Op::ALL],
    fault: Option<Fault>,
    struck: u64,
    syncs: Syncs,
    weak: bool,
    latency: Duration,
    cutting: Option<Cutting>,
    cuts: Vec<Cut>,
    /// When each mark was first written to the log.
    marks: HashMap<u64, u64>,
    /// When syncs of the log began and ended well.
    synced: Vec<(u64, u64)>,
}

/// The disk below one directory.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    state: Mutex<State>,
    acknowledged: AtomicUsize,
    ticks: AtomicU64,
}

/// What stands before the 16 hexadecimal digits of a mark.
const MARK: &[u8] = b"mark-";

impl Disk {
    /// Watches the databases that will be opened in a directory. It need not exist; what it lies in must.
    pub fn below(dir: &Path) -> Arc<Self> {
        let parent = dir.parent().expect("it lies in a directory");
        let parent = parent.canonicalize().expect("what it lies in is there");
        let disk = Arc::new(Self {
            dir: parent.join(dir.file_name().expect("it has a name")),
            state: Mutex::new(State {
                files: BTreeMap::new(),
                counts: [0; Op::ALL],
                fault: None,
                struck: 0,
                syncs: Syncs::Kept,
                weak: false,
                latency: Duration::ZERO,
                cutting: None,
                cuts: Vec::new(),
                marks: HashMap::new(),
                synced: Vec::new(),
            }),
            acknowledged: AtomicUsize::new(0),
            ticks: AtomicU64::new(0),
        });
        shim::register(&disk);
        disk
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this goes wrong.
    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// From now on nothing goes wrong.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// How many calls failed on purpose.
    pub fn struck(&self) -> u64 {
        self.state().struck
    }

    /// How many calls of a kind there were.
    pub fn count(&self, op: Op) -> u64 {
        self.state().counts[op as usize]
    }

    /// What syncs are worth from now on.
    pub fn syncs(&self, worth: Syncs) {
        self.state().syncs = worth;
    }

    /// Turns every `PRAGMA synchronous` from now on into `NORMAL`.
    pub fn weaken(&self) {
        self.state().weak = true;
    }

    pub(super) fn is_weak(&self) -> bool {
        self.state().weak
    }

    /// How long a sync takes; nothing at first, because it asks no real disk.
    pub fn latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Has power cuts happen by themselves, or no more of them.
    pub fn cutting(&self, cutting: Option<Cutting>) {
        self.state().cutting = cutting;
    }

    /// The power cuts so far, which are forgotten by this.
    pub fn cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.state().cuts)
    }

    /// A power cut now.
    pub fn cut(&self) -> Cut {
        // First what was acknowledged, then what is durable: the other way round proves nothing.
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        self.cut_of(&self.state(), acknowledged)
    }

    fn cut_of(&self, state: &State, acknowledged: usize) -> Cut {
        Cut {
            acknowledged,
            in_checkpoint: state
                .files
                .iter()
                .any(|(name, file)| name.ends_with(".db") && !file.since.is_empty()),
            at_stake: state.files.values().map(|file| file.since.len()).sum(),
            dir: self.dir.clone(),
            files: state.files.clone(),
        }
    }

    /// So many things are acknowledged; each cut says how many were.
    pub fn acknowledge(&self, count: usize) {
        self.acknowledged.store(count, Ordering::SeqCst);
    }

    /// The next number of an order that all threads agree on.
    pub fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether a mark (`mark-` and 16 hexadecimal digits) was written to the log after `asked`, and then a
    /// sync of the log began and ended well, all before `answered`.
    pub fn was_synced_between(&self, mark: u64, asked: u64, answered: u64) -> bool {
        let state = self.state();
        let Some(written) = state.marks.get(&mark).filter(|written| **written > asked) else {
            return false;
        };
        let mut syncs = state.synced.iter();
        syncs.any(|(began, ended)| began > written && *ended < answered)
    }

    /// A call begins: it is counted, perhaps the power is cut before it, perhaps it fails.
    pub(super) fn begin(&self, op: Op, file: &str) -> Result<(), c_int> {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let mut state = self.state();
        state.counts[op as usize] += 1;
        let count = state.counts[op as usize];
        if matches!(op, Op::Write | Op::Sync | Op::Truncate | Op::Delete) {
            let wanted = state.cutting.as_mut().is_some_and(|cutting| {
                let odds = if is_log(file) {
                    &mut cutting.log
                } else {
                    &mut cutting.database
                };
                let wanted = odds.most > 0 && cutting.chance.once_in(odds.once_in);
                odds.most -= usize::from(wanted);
                wanted
            });
            if wanted {
                let cut = self.cut_of(&state, acknowledged);
                state.cuts.push(cut);
            }
        }
        match state.fault {
            Some(fault) if fault.op == op => {
                let strikes = match fault.lasting {
                    Lasting::Once => count == fault.nth,
                    Lasting::FromThenOn => count >= fault.nth,
                };
                if strikes {
                    state.struck += 1;
                    return Err(fault.code);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A file was opened. One that was there before has the content that it has.
    pub(super) fn opened(&self, file: &str, existed: bool) {
        let mut state = self.state();
        let known = state
            .files
            .get(file)
            .is_some_and(|known| known.name != Name::Removed);
        if known && existed {
            return;
        }
        let mut watched = Watched::default();
        if existed {
            watched.durable = Arc::new(std::fs::read(self.dir.join(file)).unwrap_or_default());
            watched.name = Name::Durable;
        }
        state.files.insert(file.to_owned(), watched);
    }

    /// Bytes were written.
    pub(super) fn wrote(&self, file: &str, at: u64, bytes: &[u8]) {
        let tick = self.tick();
        let mut state = self.state();
        if is_log(file) {
            for mark in marks(bytes) {
                state.marks.entry(mark).or_insert(tick);
            }
        }
        let at = usize::try_from(at).expect("a file of a test is small");
        if let Some(watched) = state.files.get_mut(file) {
            let bytes = bytes.into();
            watched.since.push(Change::Write { at, bytes });
        }
    }

    /// A file has this length now.
    pub(super) fn truncated(&self, file: &str, length: u64) {
        let length = usize::try_from(length).expect("a file of a test is small");
        if let Some(watched) = self.state().files.get_mut(file) {
            watched.since.push(Change::Length(length));
        }
    }

    /// A sync: everything up to now is durable when it ends well, and the names of all files where the
    /// directory is part of it.
    pub(super) fn sync(&self, file: &str, directory: Directory) -> Result<(), c_int> {
        let began = self.tick();
        let fails = self.begin(Op::Sync, file);
        let (changes, worth, latency) = {
            let state = self.state();
            let changes = state.files.get(file).map_or(0, |watched| watched.since.len());
            (changes, state.syncs, state.latency)
        };
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        let mut state = self.state();
        let Some(watched) = state.files.get_mut(file) else {
            return fails;
        };
        match (fails, worth) {
            (Ok(()), Syncs::Lied) => return Ok(()),
            (Ok(()), Syncs::Kept | Syncs::ErrorsHidden) => {
                let durable = Arc::make_mut(&mut watched.durable);
                watched
                    .since
                    .drain(..changes)
                    .for_each(|change| change.apply(durable));
                watched.name = Name::Durable;
            }
            (Err(_), Syncs::ErrorsHidden) => {
                watched.since.drain(..changes);
            }
            (Err(code), Syncs::Kept | Syncs::Lied) => {
                watched.since.drain(..changes);
                return Err(code);
            }
        }
        if directory == Directory::Synced {
            state.files.retain(|_, watched| watched.name != Name::Removed);
            state
                .files
                .values_mut()
                .for_each(|watched| watched.name = Name::Durable);
        }
        if is_log(file) {
            state.synced.push((began, self.tick()));
        }
        Ok(())
    }

    /// A file was removed.
    pub(super) fn removed(&self, file: &str, directory: Directory) {
        let mut state = self.state();
        if directory == Directory::Synced {
            state.files.remove(file);
        } else if let Some(watched) = state.files.get_mut(file) {
            watched.name = match watched.name {
                Name::Made => Name::Made,
                Name::Durable | Name::Removed => Name::Removed,
            };
        }
    }
}

impl Change {
    /// Makes the change.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Length(length) => content.resize(*length, 0),
        }
    }
}

fn is_log(file: &str) -> bool {
    file.ends_with("-wal")
}

/// The marks in what is written.
fn marks(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let digits = |window: &[u8]| {
        let digits = window.strip_prefix(MARK)?;
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    bytes.windows(MARK.len() + 16).filter_map(digits)
}
