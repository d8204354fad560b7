//! A run in the making: slice by slice, one with each transaction.
//!
//! First its keys are written in order, from an index in memory or from the runs that it is to take the place
//! of; then its filter; with the last part of that it counts. How far it is moves on only when a transaction
//! was committed: one that was undone is written once more. The filter may know keys of such a one already,
//! which is why it may: they come again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::RangeInclusive;

use rusqlite::{CachedStatement, Connection, Rows, params};

use super::filter::Filter;
use super::index::Index;
use super::run::{self, Run};
use crate::store::Result;

/// Steps for which one part of a filter is written. Its bytes go past without being looked at.
const STEPS_PER_PART: usize = 256;

/// A tag and a row: how keys are ordered.
type Pair = (i64, i64);

/// The run with whatever it takes to make it.
#[derive(Debug)]
pub(super) struct Build {
    /// The table that it is of.
    pub(super) table: i64,
    run: Run,
    source: Source,
    place: Place,
}

/// Where its keys are.
#[derive(Debug)]
enum Source {
    /// All of them, in order.
    Index(Vec<Pair>),
    /// In these runs.
    Runs(Vec<i64>),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Place {
    /// Its table is not there yet.
    Begin,
    /// Keys up to this one are written.
    Order(Pair),
    /// All keys are written, and so many parts of the filter.
    Filter(usize),
    /// It is whole.
    End,
}

/// What a committed step has made of it.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is more to do.
    Goes(Build),
    /// The run, with the numbers of those whose place it takes.
    Whole(Run, Vec<i64>),
}

impl Build {
    /// Of rows that an index covers.
    pub(super) fn seal(table: i64, n: i64, rows: RangeInclusive<i64>, index: &Index) -> Self {
        let mut order: Vec<Pair> = index.iter().map(|(tag, row)| (*tag, *row)).collect();
        order.sort_unstable();
        Self::new(table, n, 0, rows, Source::Index(order))
    }

    /// Of runs that follow one another, oldest first.
    pub(super) fn merge(table: i64, n: i64, runs: &[Run]) -> Self {
        let level = runs.iter().map(|run| run.level).max().unwrap_or(0);
        let first = runs.iter().map(|run| run.first).min().unwrap_or(1);
        let last = runs.iter().map(|run| run.last).max().unwrap_or(0);
        let source = Source::Runs(runs.iter().map(|run| run.n).collect());
        Self::new(table, n, level.saturating_add(1), first..=last, source)
    }

    fn new(table: i64, n: i64, level: u8, rows: RangeInclusive<i64>, source: Source) -> Self {
        let (first, last) = rows.into_inner();
        let run = Run {
            n,
            level,
            first,
            last,
            filter: Filter::with_room(run::room(first, last)),
        };
        Self {
            table,
            run,
            source,
            place: Place::Begin,
        }
    }

    /// The number of its run, if its table is there.
    pub(super) fn begun(&self) -> Option<i64> {
        (self.place != Place::Begin).then_some(self.run.n)
    }

    /// Goes on for so many steps, in the transaction that is under way. Gives how far it is if that is
    /// committed.
    pub(super) fn step(&mut self, conn: &Connection, steps: usize) -> Result<Place> {
        match self.place {
            Place::Begin => {
                run::create(conn, self.table, &self.run)?;
                // Rows begin with 1, so every key is after this.
                self.order(conn, (i64::MIN, 0), steps)
            }
            Place::Order(after) => self.order(conn, after, steps),
            Place::Filter(done) => self.filter(conn, done, steps),
            Place::End => Ok(Place::End),
        }
    }

    /// The transaction of a step was committed.
    pub(super) fn reached(mut self, place: Place) -> Progress {
        self.place = place;
        if place != Place::End {
            return Progress::Goes(self);
        }
        let sources = match self.source {
            Source::Index(_) => Vec::new(),
            Source::Runs(sources) => sources,
        };
        Progress::Whole(self.run, sources)
    }

    fn order(&mut self, conn: &Connection, after: Pair, steps: usize) -> Result<Place> {
        let Run { n, filter, .. } = &mut self.run;
        // Nothing is there twice; if it were, it would hinder every transaction from here on.
        let mut insert = conn.prepare_cached(&format!("INSERT OR IGNORE INTO order_{n} VALUES (?, ?)"))?;
        let mut last = None;
        let mut write = |(tag, row): Pair| -> Result<()> {
            insert.execute(params![tag, row])?;
            filter.insert(tag);
            last = Some((tag, row));
            Ok(())
        };
        let written = match &self.source {
            Source::Index(order) => {
                let rest = &order[order.partition_point(|pair| *pair <= after)..];
                let slice = &rest[..rest.len().min(steps)];
                slice.iter().try_for_each(|pair| write(*pair))?;
                slice.len()
            }
            Source::Runs(sources) => merged(conn, sources, after, steps, write)?,
        };
        match last {
            Some(last) if written >= steps => Ok(Place::Order(last)),
            _ => self.filter(conn, 0, steps - written),
        }
    }

    fn filter(&self, conn: &Connection, done: usize, steps: usize) -> Result<Place> {
        let parts = self.run.filter.parts();
        let until = parts.min(done + (steps / STEPS_PER_PART).max(1));
        for number in done..until {
            run::store_filter(conn, &self.run, number)?;
        }
        if until < parts {
            return Ok(Place::Filter(until));
        }
        let sources: &[i64] = match &self.source {
            Source::Index(_) => &[],
            Source::Runs(sources) => sources,
        };
        run::finish(conn, self.run.n, sources)?;
        Ok(Place::End)
    }
}

/// Gives so many of the keys of several runs after one of them, in order. Gives how many there were.
fn merged(
    conn: &Connection,
    runs: &[i64],
    after: Pair,
    most: usize,
    mut each: impl FnMut(Pair) -> Result<()>,
) -> Result<usize> {
    let prepare = |n: &i64| {
        let sql = format!("SELECT tag, row FROM order_{n} WHERE (tag, row) > (?, ?) ORDER BY tag, row");
        conn.prepare_cached(&sql)
    };
    let queries: rusqlite::Result<Vec<CachedStatement<'_>>> = runs.iter().map(prepare).collect();
    let mut queries = queries?;
    let mut cursors = Vec::with_capacity(queries.len());
    let mut heads = BinaryHeap::with_capacity(queries.len());
    for (place, query) in queries.iter_mut().enumerate() {
        let mut cursor = query.query([after.0, after.1])?;
        heads.extend(head(&mut cursor)?.map(|pair| Reverse((pair, place))));
        cursors.push(cursor);
    }
    let mut count = 0;
    while count < most
        && let Some(Reverse((pair, place))) = heads.pop()
    {
        each(pair)?;
        count += 1;
        heads.extend(head(&mut cursors[place])?.map(|pair| Reverse((pair, place))));
    }
    Ok(count)
}

fn head(cursor: &mut Rows<'_>) -> Result<Option<Pair>> {
    let row = cursor.next()?;
    Ok(row
        .map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?)))
        .transpose()?)
}
