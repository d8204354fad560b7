//! How full the database is: read beside the router, through a connection that can only read.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// What was found in one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Rows of all tables of a kind together (`event`, `attempt`, `seen`, …), and how many tables there are.
    rows: BTreeMap<String, (usize, usize)>,
    /// Deliveries in the ledger, by the key of their subscription.
    pending: BTreeMap<String, u64>,
    /// Of the file of the database, without its log.
    pub(super) bytes: u64,
}

impl Tables {
    /// Rows of a kind.
    pub(super) fn rows(&self, kind: &str) -> usize {
        self.rows.get(kind).map_or(0, |(rows, _)| *rows)
    }

    /// All kinds.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Tables of a kind.
    pub(super) fn tables(&self, kind: &str) -> usize {
        self.rows.get(kind).map_or(0, |(_, tables)| *tables)
    }

    /// Deliveries of a subscription in the ledger.
    pub(super) fn pending(&self, id: &str) -> u64 {
        self.pending.get(id).copied().unwrap_or_default()
    }

    /// Looks.
    pub(super) fn read(database: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(database, flags).expect("it can be read");
        // One moment for all of it.
        let moment = conn.transaction().expect("a moment");
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut names = moment.prepare(names).expect("it has a schema");
        let names = names.query_map([], |row| row.get::<_, String>(0)).expect("names");
        let mut found = Self {
            bytes: std::fs::metadata(database).expect("it is there").len(),
            ..Self::default()
        };
        for name in names.map(|name| name.expect("a name")) {
            let count = format!("SELECT count(*) FROM \"{name}\"");
            let count: u32 = moment.query_row(&count, [], |row| row.get(0)).expect("a count");
            // The number of a segment is no part of its kind.
            let kind = name
                .trim_end_matches(|c: char| c.is_ascii_digit())
                .trim_end_matches('_');
            let (rows, tables) = found.rows.entry(kind.to_owned()).or_default();
            *rows += count as usize;
            *tables += 1;
        }
        let by_subscription =
            "SELECT subscription, count(DISTINCT delivery) FROM pending GROUP BY subscription";
        let mut by_subscription = moment.prepare(by_subscription).expect("there is a ledger");
        let counts = by_subscription.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        for (number, count) in counts.expect("counts").map(|row| row.expect("a row")) {
            let id = hookway::id::SubscriptionId::from_number(number);
            found.pending.insert(id.to_string(), u32::into(count));
        }
        found
    }
}
