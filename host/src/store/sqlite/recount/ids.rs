//! Tables of remembered ids, beside a router: they are cut by time only, so one can have any number of rows, and
//! SQLite checks a table in one reading. Such a reading keeps the log from being started anew, and where much
//! is written it is ended before it is through. So the rows of a long one are looked at in strides, as they are
//! found when an id comes: in `seen_<n>` each by its number, in `order_<n>` one behind the other. That tells as
//! much of rows as SQLite's own check, but nothing of what lies unused between them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::checkup::stride::{Area, Place, Stride};
use crate::store::sqlite::fingerprint::Fingerprint;
use crate::store::{Error, Result};

/// Rows in one stride, and of a table that is not long: a few tenths of a second.
const ROWS: i64 = 250_000;

/// One of these tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// Ids in the order in which they came.
    Seen(i64),
    /// The same by tag.
    Order(i64),
}

impl Ids {
    /// Before the first row.
    pub(super) const FIRST: (i64, i64) = (i64::MIN, 0);

    /// The table of this name, if it is there and one of these.
    pub(super) fn of(conn: &Connection, name: &str) -> Result<Option<Self>> {
        let there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
        if !conn.prepare_cached(there)?.exists([name])? {
            return Ok(None);
        }
        let number = |kind: &str| name.strip_prefix(kind)?.parse::<i64>().ok();
        if let Some(n) = number("order_") {
            return Ok(Some(Self::Order(n)));
        }
        let Some(n) = number("seen_") else {
            return Ok(None);
        };
        // Those of before version 4 lie by key.
        let log = "SELECT 1 FROM seen WHERE n = ? AND layout = 1";
        Ok(conn.prepare_cached(log)?.exists([n])?.then_some(Self::Seen(n)))
    }

    /// The table of this name, if it is one of these and long.
    pub(super) fn long(conn: &Connection, name: &str) -> Result<Option<Self>> {
        let Some(ids) = Self::of(conn, name)? else {
            return Ok(None);
        };
        let mut more = conn.prepare(&format!("SELECT 1 FROM {} LIMIT 1 OFFSET ?", ids.name()))?;
        Ok(more.exists([ROWS])?.then_some(ids))
    }

    fn name(self) -> String {
        match self {
            Self::Seen(n) => format!("seen_{n}"),
            Self::Order(n) => format!("order_{n}"),
        }
    }

    /// The rows behind one of them.
    pub(super) fn stride(self, conn: &Connection, after: (i64, i64)) -> Result<Stride> {
        let mut stride = Stride::new(Area::Structure);
        let table = self.name();
        let last = match self {
            Self::Seen(_) => seen(conn, &table, after.0, &mut stride)?.map(|id| (id, 0)),
            Self::Order(_) => order(conn, &table, after, &mut stride)?,
        };
        stride.next = Some(match last {
            Some(after) => Place::Rows { table, after },
            None => {
                stride.looked_at = 1;
                Place::Structure { after: table }
            }
        });
        Ok(stride)
    }
}

/// The next rows of a long table; nothing where it has been dropped meanwhile.
pub(super) fn rows(conn: &Connection, table: &str, after: (i64, i64)) -> Result<Stride> {
    match Ids::of(conn, table)? {
        Some(ids) => ids.stride(conn, after),
        None => Ok(Stride {
            next: Some(Place::Structure {
                after: table.to_owned(),
            }),
            ..Stride::new(Area::Structure)
        }),
    }
}

/// Rows have successive numbers, and leave from the first on. Gives the last one, if there are more.
fn seen(conn: &Connection, table: &str, after: i64, stride: &mut Stride) -> Result<Option<i64>> {
    // Apart: each is one step, together they would be a look at all rows.
    let ends = format!("SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})");
    let ends = conn.query_row(&ends, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (Some(first), Some(last)): (Option<i64>, Option<i64>) = ends? else {
        return Ok(None);
    };
    let first = first.max(after.saturating_add(1));
    let until = last.min(first.saturating_add(ROWS - 1));
    let mut query = conn.prepare(&format!(
        "SELECT key, content, at, event, matched FROM {table} WHERE id = ?"
    ))?;
    let mut found = 0;
    for id in first..=until {
        match query.query_row([id], whole).optional().map_err(Error::from) {
            Ok(Some(())) => found += 1,
            Ok(None) => stride.fault(format!("{table}: there is no row {id}")),
            Err(Error::Damaged { what }) => stride.fault(format!("{table}: row {id}: {what} is damaged")),
            Err(error) => return Err(error),
        }
    }
    // Where none is found the last number is none either, and may be far away.
    Ok((until < last && found > 0).then_some(until))
}

/// Whether a row has what it needs.
fn whole(row: &Row<'_>) -> rusqlite::Result<()> {
    let _: (Fingerprint, Fingerprint) = (row.get(0)?, row.get(1)?);
    let _: (i64, i64, u32) = (row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(())
}

/// Rows are in order. Gives the last one, if there may be more.
fn order(
    conn: &Connection,
    table: &str,
    after: (i64, i64),
    stride: &mut Stride,
) -> Result<Option<(i64, i64)>> {
    let sql = format!("SELECT tag, row FROM {table} WHERE (tag, row) > (?, ?) ORDER BY tag, row LIMIT ?");
    let mut query = conn.prepare(&sql)?;
    let mut rows = query.query(params![after.0, after.1, ROWS])?;
    let (mut last, mut count) = (after, 0);
    while let Some(row) = rows.next()? {
        let here = (row.get(0)?, row.get(1)?);
        if here <= last {
            stride.fault(format!("{table}: {here:?} is behind {last:?}"));
        }
        (last, count) = (last.max(here), count + 1);
    }
    // Where nothing is behind it, although there were rows, nothing more can be said of them.
    Ok((count >= ROWS && last > after).then_some(last))
}

#[cfg(test)]
mod tests {
    use super::super::{Company, stride};
    use super::*;
    use crate::store::sqlite::schema;

    /// A database whose ids fill more than two strides.
    fn database(dir: &tempfile::TempDir) -> Connection {
        let mut conn = Connection::open(dir.path().join("ids.db")).unwrap();
        schema::prepare_writer(&mut conn).unwrap();
        conn.pragma_update(None, "synchronous", "OFF").unwrap();
        let tables = schema::seen_tables(1) + &schema::order_table(1);
        conn.execute_batch(&tables).unwrap();
        conn.execute_batch(&format!(
            "INSERT INTO seen (n, opened_at, window_ms, series, layout) VALUES (1, 0, 1, 0, 1);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
             INSERT INTO seen_1 SELECT NULL, zeroblob(16), zeroblob(16), i, i, 1 FROM n;
             INSERT INTO order_1 SELECT id * 7919 % 1000 - 500, id FROM seen_1;",
            2 * ROWS + 10
        ))
        .unwrap();
        conn
    }

    /// All places in tables that were too long for a stride, what was wrong, and how many tables were seen.
    fn look(conn: &Connection, company: Company) -> (Vec<String>, Vec<String>, u64) {
        let (mut places, mut faults, mut tables) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(Place::first());
        while let Some(place) = next.filter(|place| place.area() == Area::Structure) {
            if matches!(place, Place::Rows { .. }) {
                places.push(place.to_string());
            }
            let stride = stride(conn, &place, company).unwrap();
            assert_eq!(stride.area, Area::Structure);
            faults.extend(stride.faults);
            tables += stride.looked_at;
            next = stride.next;
        }
        (places, faults, tables)
    }

    #[test]
    fn long_tables_of_ids_are_looked_at_in_strides_beside_a_router() {
        let dir = tempfile::tempdir().unwrap();
        let conn = database(&dir);
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
        let tables = conn.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
        let tables = u64::from(tables);
        let (places, faults, looked_at) = look(&conn, Company::Router);
        assert_eq!((faults, looked_at), (Vec::new(), tables));
        let second = |stride: i64| {
            let sql = "SELECT tag, row FROM order_1 LIMIT 1 OFFSET ?";
            let read = |row: &Row<'_>| {
                Ok(format!(
                    "rows:order_1:{}:{}",
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?
                ))
            };
            conn.query_row(sql, [stride * ROWS - 1], read).unwrap()
        };
        let seen = [1, 2].map(|stride| format!("rows:seen_1:{}:0", stride * ROWS));
        assert_eq!(places, [[second(1), second(2)], seen].concat());
        // Nobody has to wait for who looks at one that is stopped.
        let (places, faults, looked_at) = look(&conn, Company::Nobody);
        assert_eq!((places, faults, looked_at), (Vec::new(), Vec::new(), tables));

        // What is damaged is told, in each of the strides.
        conn.execute_batch(&format!(
            "DELETE FROM seen_1 WHERE id IN (7, {ROWS} + 1);
             UPDATE seen_1 SET key = x'00' WHERE id = {ROWS};
             UPDATE seen_1 SET matched = -1 WHERE id = 2 * {ROWS} + 9;"
        ))
        .unwrap();
        let (_, faults, _) = look(&conn, Company::Router);
        let named = [7, ROWS, ROWS + 1, 2 * ROWS + 9].map(|id| format!("row {id}"));
        assert_eq!(faults.len(), named.len(), "{faults:#?}");
        for (fault, named) in faults.iter().zip(named) {
            assert!(
                fault.starts_with("seen_1: ") && fault.contains(&named),
                "{faults:#?}"
            );
        }
        // What leaves while somebody looks is no fault.
        conn.execute_batch(&format!("DELETE FROM seen_1 WHERE id <= {ROWS} + 5"))
            .unwrap();
        let behind = Ids::Seen(1).stride(&conn, (ROWS, 0)).unwrap();
        assert_eq!((behind.faults_in_all, behind.looked_at), (0, 0));
        conn.execute_batch("DROP TABLE seen_1").unwrap();
        let gone = stride(&conn, &behind.next.unwrap(), Company::Router).unwrap();
        assert_eq!((gone.faults_in_all, gone.looked_at), (0, 0));
        let after = "seen_1".to_owned();
        assert_eq!(gone.next, Some(Place::Structure { after }));
    }

    #[test]
    fn what_is_not_in_order_is_told_and_looked_at_once() {
        let conn = Connection::open_in_memory().unwrap();
        let order = schema::order_table(1).replace("(tag, row)", "(tag DESC, row)");
        conn.execute_batch(&order).unwrap();
        conn.execute_batch("INSERT INTO order_1 VALUES (1, 1), (2, 2), (3, 3)")
            .unwrap();
        conn.execute_batch(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' DESC', '');
             PRAGMA writable_schema = RESET",
        )
        .unwrap();
        let found = Ids::Order(1).stride(&conn, Ids::FIRST).unwrap();
        assert_eq!(found.faults_in_all, 2, "{:?}", found.faults);
        assert_eq!(found.faults[0], "order_1: (2, 2) is behind (3, 3)");
        assert!(matches!(found.next, Some(Place::Structure { .. })));
    }

    #[test]
    fn a_number_that_is_far_away_ends_the_look() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&schema::seen_tables(1)).unwrap();
        let row = |id: i64| {
            let sql = format!("INSERT INTO seen_1 VALUES ({id}, zeroblob(16), zeroblob(16), 1, 1, 1)");
            conn.execute_batch(&sql).unwrap();
        };
        (1..9).for_each(row);
        row(i64::MAX - 1);
        let (mut next, mut faults) = (Ids::FIRST, 0);
        for strides in 1.. {
            let found = Ids::Seen(1).stride(&conn, next).unwrap();
            faults += found.faults_in_all;
            match found.next {
                Some(Place::Rows { after, .. }) => next = after,
                _ => break,
            }
            assert!(strides < 3);
        }
        assert!(faults > 0);
    }
}
