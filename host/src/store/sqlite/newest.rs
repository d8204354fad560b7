//! Lists, newest first by id.
//!
//! A row lies in the segment that was open when it was written, so a late one lies in a younger segment
//! than its id suggests; each segment is asked for its newest rows that fit, the answers are merged, and
//! the search ends where no other segment can hold a newer one.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::segments::{self, Segment};
use crate::store::Result;

/// Longest list of anything, whatever was asked for.
const LIST_MAX: usize = 1_000;

/// Conditions of a query, in SQL.
#[derive(Default)]
pub(super) struct Filter {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Filter {
    pub(super) fn add(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.sql
                .push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
            self.sql.push_str(condition);
            self.values.push(value.into());
        }
    }
}

/// The newest rows, from as many sources as it takes.
pub(super) struct Newest<T> {
    found: BTreeMap<i64, T>,
    limit: usize,
}

impl<T> Newest<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            found: BTreeMap::new(),
            limit: limit.min(LIST_MAX),
        }
    }

    /// Asks one table for rows that pass the filter; `key` is the column of the id.
    pub(super) fn ask(
        &mut self,
        conn: &Connection,
        (columns, table, key): (&str, &str, &str),
        filter: &Filter,
        read: impl Fn(&Row<'_>) -> Result<(i64, T)>,
    ) -> Result<()> {
        let Filter { sql, values } = filter;
        let limit = self.limit;
        let sql = format!("SELECT {columns} FROM {table}{sql} ORDER BY {key} DESC LIMIT {limit}");
        let mut query = conn.prepare_cached(&sql)?;
        let mut rows = query.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let (id, value) = read(row)?;
            self.found.entry(id).or_insert(value);
            if self.found.len() > self.limit {
                self.found.pop_first();
            }
        }
        Ok(())
    }

    /// Whether nothing in a source with this greatest number could be among them.
    pub(super) fn is_full(&self, high: i64) -> bool {
        let oldest = self.found.first_key_value().map(|(id, _)| *id);
        self.found.len() >= self.limit && oldest.is_none_or(|oldest| oldest >= high)
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.found.into_values().rev().collect()
    }
}

/// The segments in the order in which lists ask them: the one with the greatest number first.
pub(super) fn by_newest(conn: &Connection) -> Result<Vec<Segment>> {
    let mut all = segments::load(conn)?;
    all.sort_by_key(|segment| std::cmp::Reverse(segment.high));
    Ok(all)
}
