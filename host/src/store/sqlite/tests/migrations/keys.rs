//! Remembered ids of version 5, each table of which had one order, are known in the runs of today.

use rusqlite::params;

use super::super::super::schema;
use super::super::*;
use super::last_attempts;

/// Makes a database of today one of version 5: its tables of keys have an order each, and the filter of it if
/// it is whole. Gives the tables.
pub(super) fn as_version_5(directory: &Directory) -> Vec<i64> {
    last_attempts::as_version_6(directory);
    let conn = directory.database();
    let numbers = |sql: &str| -> Vec<i64> {
        let mut query = conn.prepare(sql).unwrap();
        let numbers = query.query_map([], |row| row.get(0)).unwrap();
        numbers.map(Result::unwrap).collect()
    };
    for run in numbers("SELECT n FROM seen_run") {
        conn.execute_batch(&format!("DROP TABLE order_{run}")).unwrap();
    }
    conn.execute_batch(
        "DROP TABLE seen_run; DROP TABLE seen_filter; ALTER TABLE seen ADD COLUMN filter BLOB",
    )
    .unwrap();
    let tables = numbers("SELECT n FROM seen ORDER BY n");
    for table in &tables {
        conn.execute_batch(&schema::order_table(*table)).unwrap();
    }
    conn.pragma_update(None, "user_version", 5).unwrap();
    tables
}

/// Puts keys of a table of version 5 in order: all of them with a filter as it was made then, or some.
fn seal_as_in_version_5(directory: &Directory, table: i64, most: i64) {
    let mut conn = directory.database();
    let conn = conn.transaction().unwrap();
    let rows: Vec<(i64, i64)> = {
        let sql = format!("SELECT id, key FROM seen_{table} LIMIT {most}");
        let mut query = conn.prepare(&sql).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            let key: [u8; 16] = row.get(1)?;
            Ok((i64::from_be_bytes(*key.first_chunk().unwrap()), row.get(0)?))
        };
        query.query_map([], read).unwrap().map(Result::unwrap).collect()
    };
    for row in &rows {
        let sql = format!("INSERT INTO order_{table} VALUES (?, ?)");
        conn.execute(&sql, [row.0, row.1]).unwrap();
    }
    if most < i64::MAX {
        return conn.commit().unwrap();
    }
    let mut words = vec![0_u64; (rows.len() * 8).div_ceil(64).max(1).next_power_of_two()];
    let mask = words.len() as u64 * 64 - 1;
    for (tag, _) in rows {
        let (first, second) = (tag.cast_unsigned() & 0xffff_ffff, (tag.cast_unsigned() >> 32) | 1);
        for probe in 0..6_u64 {
            let bit = first.wrapping_add(probe.wrapping_mul(second)) & mask;
            words[usize::try_from(bit / 64).unwrap()] |= 1 << (bit % 64);
        }
    }
    let filter: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let sql = "UPDATE seen SET filter = ? WHERE n = ?";
    conn.execute(sql, params![filter, table]).unwrap();
    conn.commit().unwrap();
}

#[tokio::test]
async fn keys_of_version_5_are_known() {
    let directory = Directory::new(Size::Usual);
    let mut maker = Maker::new();
    let store = directory.sqlite();
    let name = |table: usize, n: usize| format!("{table}-{n}");
    let mut ids = Vec::new();
    // The oldest has more keys than one part of a filter is for.
    let counts = [1_000, 700, 300, 70_000];
    for (table, count) in counts.into_iter().enumerate().rev() {
        let mut of_table = Vec::new();
        for first in (0..count).step_by(5_000) {
            let event = |n| maker.matched(maker.event(Some(&name(table, n)), "{}"), &[]);
            let call = maker.call((first..count.min(first + 5_000)).map(event).collect());
            let accepted = contract::done(store.accept(call).await.unwrap());
            of_table.extend(accepted.iter().map(|event| event.id));
        }
        ids.push((table, of_table));
        maker.pass(contract::WINDOW / 6);
    }
    drop(store);
    let tables = as_version_5(&directory);
    assert_eq!(tables, [1, 2, 3, 4]);
    // Sealed, with a large filter and with a small one; half sealed; open.
    seal_as_in_version_5(&directory, 1, i64::MAX);
    seal_as_in_version_5(&directory, 2, i64::MAX);
    seal_as_in_version_5(&directory, 3, 350);

    let mut store = directory.sqlite();
    let count = |sql: &str| -> i64 {
        let count = directory.database().query_row(sql, [], |row| row.get(0));
        count.unwrap()
    };
    assert_eq!(
        count("SELECT CAST(group_concat(state, '') AS INTEGER) FROM seen_run"),
        1122
    );
    assert_eq!(count("SELECT count(*) FROM seen_filter"), 3);
    assert_eq!(
        count("SELECT count(*) FROM pragma_table_info('seen') WHERE name = 'filter'"),
        0
    );
    for start in 0..3 {
        for (table, ids) in &ids {
            let sample: Vec<usize> = (0..ids.len()).step_by(1 + ids.len() / 1_000).collect();
            for some in sample.chunks(100) {
                let event = |n: &usize| maker.matched(maker.event(Some(&name(*table, *n)), "{}"), &[]);
                // And a new one: calls that bring such put in order what there is.
                let new = format!("new-{start}-{table}-{}", some[0]);
                let new = maker.matched(maker.event(Some(&new), "{}"), &[]);
                let call = maker.call(some.iter().map(event).chain([new]).collect());
                let accepted = contract::done(store.accept(call).await.unwrap());
                assert!(accepted.last().is_some_and(|new| !new.duplicate));
                for (n, event) in some.iter().zip(accepted) {
                    assert!(
                        event.duplicate && event.id == ids[*n],
                        "{} at start {start}",
                        name(*table, *n)
                    );
                }
            }
        }
        drop(store);
        store = directory.sqlite();
    }
    // What was half in order is gone, and in order as a whole.
    assert_eq!(count("SELECT count(*) FROM seen_run WHERE state <> 1"), 0);
    assert_eq!(count("SELECT count(*) FROM seen_run WHERE seen = 3"), 1);
    let orders = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB 'order_*'";
    assert_eq!(count(orders), count("SELECT count(*) FROM seen_run"));
}
