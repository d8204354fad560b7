//! How far id numbers go: which have been used, and which are in the open segment.
//!
//! Nearly every transaction uses new numbers, and to note down with each how far they go would write one
//! more page every time. Most of them are keys of rows that the same transaction writes, and the greatest
//! key of a table is at its end. So `owner.newest` is written seldom, and read together with those tables:
//! a number that was ever used is not greater than `owner.newest`, or it is a key in the ledger or in a
//! table of the open segment. Three things keep that true:
//!
//! - Before a segment is closed, `owner.newest` is raised to the greatest number so far: whatever is
//!   dropped later was in a closed one.
//! - A row leaves the ledger only for the open segment, and that only for the ledger. (The other requests
//!   of a delivery leave it too; they have had rows in a segment since they were made.)
//! - A number of anything else raises `owner.newest` when it is used: subscriptions, tenants, keys and
//!   whatever can be removed.
//!
//! At the start `owner.newest` is brought up to date, before a number can be used.

use rusqlite::{Connection, OptionalExtension as _};

use super::schema::SEGMENT_TABLES;

/// The least and the greatest number among the keys of a segment's tables; none where all are empty. The
/// ends of each table are looked up, however many rows it has.
pub(super) fn of_segment(conn: &Connection, n: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut bounds: Option<(i64, i64)> = None;
    for kind in SEGMENT_TABLES {
        let table = format!("{kind}_{n}");
        // A copy of an earlier version, which nobody has opened since, has fewer kinds.
        let mut there = conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")?;
        if !there.exists([&table])? {
            continue;
        }
        let key = match kind {
            "attempt" | "run" => "delivery",
            _ => "id",
        };
        // One aggregate in each SELECT: only then is it a look-up.
        let sql = format!("SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})");
        let (least, greatest): (Option<i64>, Option<i64>) =
            conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let (Some(least), Some(greatest)) = (least, greatest) {
            let (low, high) = bounds.unwrap_or((least, greatest));
            bounds = Some((low.min(least), high.max(greatest)));
        }
    }
    Ok(bounds)
}

/// The greatest number that was ever used; see the module. To be read within one transaction.
pub(super) fn newest(conn: &Connection) -> rusqlite::Result<i64> {
    let noted: i64 = conn.query_row("SELECT newest FROM owner", [], |row| row.get(0))?;
    let pending: Option<i64> = conn.query_row("SELECT max(request) FROM pending", [], |row| row.get(0))?;
    let open: Option<i64> = conn
        .query_row("SELECT n FROM segment WHERE state = 0", [], |row| row.get(0))
        .optional()?;
    let in_open = match open {
        Some(n) => of_segment(conn, n)?.map(|(_, high)| high),
        None => None,
    };
    Ok([pending, in_open].into_iter().flatten().fold(noted, i64::max))
}
