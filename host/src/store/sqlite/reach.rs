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
//! At the start `owner.newest` is brought up to date, before a number can be used. The row of the open
//! segment is not: its bounds and what has come since it was written are read from its tables into memory,
//! and stand in its row when it is closed.

use rusqlite::{Connection, OptionalExtension as _};

use super::schema::SEGMENT_TABLES;
use super::work::ROW_BYTES;

/// The first column of the key of these tables.
fn key_of(kind: &str) -> &'static str {
    match kind {
        "attempt" | "run" => "delivery",
        _ => "id",
    }
}

/// What a row of these tables adds to the size of its segment beside [`ROW_BYTES`], in SQL. Lengths are read
/// without what they are of.
pub(super) fn payload_of(kind: &str) -> &'static str {
    match kind {
        "event" => "length(data) + coalesce(length(headers), 0)",
        "request" => "length(body)",
        "attempt" => "coalesce(length(body), 0)",
        "delivery" => "coalesce(length(last), 0)",
        "run" => "coalesce(length(logs), 0)",
        "reception" => {
            "coalesce(length(headers), 0) + coalesce(length(detail), 0) + coalesce(length(body), 0)"
        }
        _ => "0",
    }
}

/// The size of what has a greater number than this in the tables of a segment. What came later and belongs
/// to something with a smaller number is not among it; the size of a segment is a guess.
pub(super) fn bytes_above(conn: &Connection, n: i64, above: i64) -> rusqlite::Result<i64> {
    let mut bytes = 0_i64;
    for kind in SEGMENT_TABLES {
        let (key, payload) = (key_of(kind), payload_of(kind));
        let sql = format!("SELECT count(*), coalesce(sum({payload}), 0) FROM {kind}_{n} WHERE {key} > ?");
        let (rows, payloads): (i64, i64) =
            conn.query_row(&sql, [above], |row| Ok((row.get(0)?, row.get(1)?)))?;
        bytes = bytes
            .saturating_add(rows.saturating_mul(ROW_BYTES))
            .saturating_add(payloads);
    }
    Ok(bytes)
}

/// The least and the greatest number among the keys of a segment's tables; none where all are empty. The
/// ends of each table are looked up, however many rows it has.
pub(super) fn of_segment(conn: &Connection, n: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut bounds: Option<(i64, i64)> = None;
    for kind in SEGMENT_TABLES {
        let table = format!("{kind}_{n}");
        // A copy of an earlier version, which nobody has opened since, has fewer kinds.
        let mut there =
            conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")?;
        if !there.exists([&table])? {
            continue;
        }
        let key = key_of(kind);
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
