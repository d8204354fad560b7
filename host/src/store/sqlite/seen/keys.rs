//! Where in the tables of keys a key is: what the writer keeps in memory of them, and what it does beside.
//!
//! A table is written at its end, which costs next to nothing, and an index in memory says where in it the
//! last keys are. So many of them are *sealed*: written once more, in order, as a [`Run`] with a filter, and
//! the index makes way. Runs are *merged* as [`plan`] says, and what was merged is removed. One of these
//! things is done with each transaction that brings keys, a slice of it in proportion to them; others only
//! remove. So memory is bounded (for each series an index for what grows and one for what is being sealed,
//! and a byte for each key in the window), and a new key is looked for in a few filters however many keys
//! there are.
//!
//! What is here follows the commits: keys of a transaction that is under way are with its
//! [`Work`](crate::store::sqlite::work::Work). A merge that a crash interrupts begins anew.

use rusqlite::Connection;

use super::build::{Build, Place, Progress};
use super::index::{Fresh, Growth, Unsealed};
use super::run::{self, Left, Run};
use super::{Layout, Table, plan, tag_of};
use crate::store::{Result, Series};

/// How much is held in memory and done at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct Sizes {
    /// Rows of an index; then they are sealed.
    pub(super) index_rows: i64,
    /// Runs of one level that become one.
    pub(super) fan_in: usize,
    /// Keys that are put in order with a transaction, at least.
    pub(super) steps_least: usize,
}

impl Sizes {
    /// An index takes some four megabytes, and putting it in order some ten milliseconds, for which the
    /// writer stands still. The least is a fraction of a millisecond.
    pub(in crate::store::sqlite) const USUAL: Self = Self {
        index_rows: 131_072,
        fan_in: plan::FAN_IN,
        steps_least: 256,
    };
}

/// Keys that are put in order for each that comes, at most: one for the run that it gets into, one for each
/// level that this is merged into, one when its table is closed, and something for what is removed then. With
/// three levels above the first (sixty-seven million keys in a table) that is six.
const STEPS_PER_KEY: usize = 8;

/// Of all tables.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Keys {
    sizes: Sizes,
    /// By number.
    tables: Vec<Held>,
    sealing: Option<Build>,
    merging: Option<Build>,
    /// Runs that are to be removed.
    leaving: Vec<i64>,
    /// The number of the next run.
    next: i64,
}

/// What is kept of a table.
#[derive(Debug)]
pub(super) struct Held {
    n: i64,
    growth: Growth,
    /// Those of successive rows, oldest first.
    runs: Vec<Run>,
    /// The rows after them.
    unsealed: Unsealed,
}

impl Held {
    /// Rows that may be a key's, the latest first.
    pub(super) fn rows(&self, tag: i64) -> impl Iterator<Item = i64> {
        self.unsealed.find(tag)
    }

    /// Numbers of the runs that may have it, the latest first.
    pub(super) fn runs(&self, tag: i64) -> impl Iterator<Item = i64> {
        let runs = self.runs.iter().rev();
        runs.filter(move |run| run.filter.may_hold(tag)).map(|run| run.n)
    }
}

/// What was done beside, in a transaction that is not committed yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) enum Step {
    /// Sealing is so far.
    Sealed(Place),
    /// Merging is so far.
    Merged(Place),
    /// This run has been removed.
    Removed(i64),
    /// A part of one has.
    Removing,
}

impl Keys {
    /// Reads what is needed: the filters of runs, and the keys of rows that none covers.
    pub(in crate::store::sqlite) fn load(conn: &Connection, tables: &[Table], sizes: Sizes) -> Result<Self> {
        let mut stored = run::load(conn)?;
        let mut keys = Self {
            sizes,
            tables: Vec::new(),
            sealing: None,
            merging: None,
            leaving: stored.leaving,
            next: stored.next,
        };
        for table in tables.iter().filter(|table| table.layout == Layout::Log) {
            let runs = stored.whole.remove(&table.n).unwrap_or_default();
            let mut unsealed = Unsealed::after(runs.last().map_or(0, |run| run.last), sizes.index_rows);
            read_rows(conn, table.n, &mut unsealed)?;
            keys.tables.push(Held {
                n: table.n,
                growth: Growth::Open,
                runs,
                unsealed,
            });
        }
        keys.follow_tables(tables);
        Ok(keys)
    }

    /// What is kept of a table; nothing of one that is found by key, or was opened just now.
    pub(super) fn of(&self, n: i64) -> Option<&Held> {
        let place = self.tables.binary_search_by_key(&n, |held| held.n).ok()?;
        self.tables.get(place)
    }

    /// Does what is due beside, in the transaction that is under way and has brought so many keys. Nothing
    /// where there is nothing to be done. One that has brought none only removes: nothing grows, so nothing
    /// has to be put in order, and where the room on the disk is low, so that nothing new comes in, none of it
    /// is taken for a merge, which may be as large as all that is kept back for outcomes.
    pub(in crate::store::sqlite) fn step(
        &mut self,
        conn: &Connection,
        tables: &[Table],
        brought: usize,
    ) -> Result<Option<Step>> {
        let steps = self.sizes.steps_least.max(brought.saturating_mul(STEPS_PER_KEY));
        if brought == 0 {
            return self.remove(conn, steps);
        }
        // A table that was dropped in this transaction is still held.
        let there = |n: i64| tables.iter().any(|table| table.n == n);
        if self.sealing.is_none() {
            self.sealing = self.next_sealing();
        }
        if let Some(build) = self.sealing.as_mut().filter(|build| there(build.table)) {
            return Ok(Some(Step::Sealed(build.step(conn, steps)?)));
        }
        if let Some(step) = self.remove(conn, steps)? {
            return Ok(Some(step));
        }
        if self.merging.is_none() {
            self.merging = self.next_merging();
        }
        if let Some(build) = self.merging.as_mut().filter(|build| there(build.table)) {
            return Ok(Some(Step::Merged(build.step(conn, steps)?)));
        }
        Ok(None)
    }

    /// Removes a slice of what is to go, if there is such.
    fn remove(&self, conn: &Connection, steps: usize) -> Result<Option<Step>> {
        let Some(n) = self.leaving.last() else {
            return Ok(None);
        };
        Ok(Some(match run::remove(conn, *n, steps)? {
            Left::Nothing => Step::Removed(*n),
            Left::Some => Step::Removing,
        }))
    }

    /// What was committed: keys, what was done beside, and which tables there are.
    pub(in crate::store::sqlite) fn follow(&mut self, fresh: Fresh, step: Option<Step>, tables: &[Table]) {
        self.follow_tables(tables);
        for (n, tag, row) in fresh.into_rows() {
            if let Some(held) = self.held(n) {
                held.unsealed.insert(tag, row);
            }
        }
        match step {
            Some(Step::Sealed(place)) => {
                self.sealing = self.sealing.take().and_then(|b| self.built(b, place))
            }
            Some(Step::Merged(place)) => {
                self.merging = self.merging.take().and_then(|b| self.built(b, place))
            }
            Some(Step::Removed(n)) => self.leaving.retain(|leaving| *leaving != n),
            Some(Step::Removing) | None => {}
        }
    }

    fn held(&mut self, n: i64) -> Option<&mut Held> {
        self.tables.iter_mut().rfind(|held| held.n == n)
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }

    /// The oldest rows to which no more come.
    fn next_sealing(&mut self) -> Option<Build> {
        let full = |held: &Held| held.unsealed.full(held.growth).is_some();
        let place = self.tables.iter().position(full)?;
        let n = self.number();
        let held = self.tables.get(place)?;
        let (rows, index) = held.unsealed.full(held.growth)?;
        Some(Build::seal(held.n, n, rows, index))
    }

    /// The runs that are too many, of the newest table that has such: it grows.
    fn next_merging(&mut self) -> Option<Build> {
        let fan_in = self.sizes.fan_in;
        let plan = |held: &Held| {
            if held.runs.len() < 2 {
                return None;
            }
            let levels: Vec<u8> = held.runs.iter().map(|run| run.level).collect();
            let growth = match held.unsealed.is_empty() {
                true => held.growth,
                false => Growth::Open,
            };
            plan::next(&levels, growth, fan_in)
        };
        let mut newest_first = self.tables.iter().enumerate().rev();
        let (place, range) = newest_first.find_map(|(place, held)| Some((place, plan(held)?)))?;
        let n = self.number();
        let held = self.tables.get(place)?;
        Some(Build::merge(held.n, n, held.runs.get(range)?))
    }

    /// A step of a run was committed. Gives it back if there is more to do.
    fn built(&mut self, build: Build, place: Place) -> Option<Build> {
        let table = build.table;
        match build.reached(place) {
            Progress::Goes(build) => return Some(build),
            Progress::Whole(run, sources) => {
                if let Some(held) = self.held(table) {
                    if sources.is_empty() {
                        held.unsealed.sealed(run.last);
                    }
                    held.runs.retain(|old| !sources.contains(&old.n));
                    let place = held.runs.partition_point(|old| old.first < run.first);
                    held.runs.insert(place, run);
                }
                self.leaving.extend(sources);
            }
        }
        None
    }

    fn follow_tables(&mut self, tables: &[Table]) {
        let newest = Series::ALL.map(|series| super::of(tables, series).next_back().map(|table| table.n));
        let logs = || tables.iter().filter(|table| table.layout == Layout::Log);
        // Both are in order, and a new one is the last.
        let known = self.tables.last().map_or(0, |held| held.n);
        for table in logs().filter(|table| table.n > known) {
            self.tables.push(Held {
                n: table.n,
                growth: Growth::Open,
                runs: Vec::new(),
                unsealed: Unsealed::after(0, self.sizes.index_rows),
            });
        }
        if self.tables.len() > logs().count() {
            self.forget_others(tables);
        }
        for held in &mut self.tables {
            if !newest.contains(&Some(held.n)) {
                held.growth = Growth::Closed;
            }
        }
    }

    /// The runs of tables that were dropped are removed, and what was made of them is given up.
    fn forget_others(&mut self, tables: &[Table]) {
        let there = |n: i64| tables.iter().any(|table| table.n == n);
        for gone in self.tables.extract_if(.., |held| !there(held.n)) {
            self.leaving.extend(gone.runs.iter().map(|run| run.n));
        }
        for build in [&mut self.sealing, &mut self.merging] {
            if let Some(given_up) = build.take_if(|build| !there(build.table)) {
                self.leaving.extend(given_up.begun());
            }
        }
    }
}

/// For tests: what there is.
#[cfg(test)]
impl Keys {
    pub(super) fn runs(&self) -> usize {
        self.tables.iter().map(|held| held.runs.len()).sum()
    }

    /// Rows in indexes.
    pub(super) fn indexed(&self) -> usize {
        self.tables.iter().map(|held| held.unsealed.len()).sum()
    }

    pub(super) fn is_merging(&self) -> bool {
        self.merging.is_some()
    }

    pub(super) fn is_sealing(&self) -> bool {
        self.sealing.is_some()
    }
}

fn read_rows(conn: &Connection, n: i64, rows: &mut Unsealed) -> Result<()> {
    let mut query = conn.prepare(&format!("SELECT id, key FROM seen_{n} WHERE id >= ? ORDER BY id"))?;
    let mut found = query.query([rows.begin()])?;
    while let Some(row) = found.next()? {
        rows.insert(tag_of(&row.get(1)?), row.get(0)?);
    }
    Ok(())
}
