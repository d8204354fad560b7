//! Numbered migrations that are part of the binary.
//!
//! `user_version` is the number of the last migration that ran; each runs in one transaction with its
//! number, so that a crash leaves the database as it was before or after one. A migration is never
//! changed once released. It may run code, because the tables of segments are as many as there are.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::seen::PART_BYTES;
use super::{ledger, schema, sum};

/// One step from a version to the next.
enum Migration {
    /// Statements.
    Sql(&'static str),
    /// Whatever depends on what is there.
    Code(fn(&Transaction<'_>) -> rusqlite::Result<()>),
}

/// What each version added, oldest first. Never changed once released.
const MIGRATIONS: &[Migration] = &[
    Migration::Sql(FIRST),
    Migration::Code(second),
    Migration::Code(third),
    Migration::Sql(FOURTH),
    Migration::Code(fifth),
    Migration::Code(sixth),
    Migration::Code(seventh),
];
/// The tables of what is configured, whose rows have a sum in their last column.
pub(super) const CONFIGURED: [&str; 7] = [
    "tenant",
    "subscription",
    "key",
    "plugin",
    "source",
    "profile",
    "event_type",
];
/// The version that this binary writes.
pub(super) const NEWEST: usize = MIGRATIONS.len();

/// Events, deliveries and what is configured. How far ids go is written less often since than its comments
/// say: of `owner.newest` and of the open segment's bounds, see [`reach`](super::reach).
pub(super) const FIRST: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: who owns the writes, and the greatest id number of any row there ever was.
CREATE TABLE owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    newest INTEGER NOT NULL
) STRICT;
INSERT INTO owner VALUES (1, 0, 1);

-- The ledger. Appended at its end, deleted by key; no other index, on purpose.
CREATE TABLE pending (
    request INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL,
    event INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    -- 0 accepted, 1 rendered, 2 part delivered, 3 part failed
    stage INTEGER NOT NULL CHECK (stage BETWEEN 0 AND 3),
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    throttles INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    -- In the delivery's first row: the numbers of its other requests, eight bytes each.
    siblings BLOB
) STRICT;

CREATE TABLE counter (
    subscription INTEGER PRIMARY KEY,
    created INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    CHECK (created = delivered + filtered + failed + pending),
    CHECK (min(delivered, filtered, failed, pending) >= 0)
) STRICT;

CREATE TABLE segment (
    n INTEGER PRIMARY KEY,
    -- 0 open, 1 closed, 2 sealed (it has its indexes), 3 leaving, 4 gone (its tables are being dropped)
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    -- No row of its tables has an id number outside of these.
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER
) STRICT;

-- The tables of keys that were seen, from when on each was written, and how long it counts.
CREATE TABLE seen (
    n INTEGER PRIMARY KEY,
    opened_at INTEGER NOT NULL,
    window_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tenant (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE subscription (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    key TEXT,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (tenant, key)
) STRICT;

-- The components that subscriptions name by digest.
CREATE TABLE pin (
    subscription INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (subscription, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE key (
    id INTEGER PRIMARY KEY,
    tenant INTEGER,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE plugin (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    uploaded_at INTEGER NOT NULL,
    current INTEGER NOT NULL CHECK (current IN (0, 1)),
    PRIMARY KEY (tenant, name, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE component (
    digest BLOB NOT NULL UNIQUE,
    bytes BLOB NOT NULL
) STRICT;
";

/// Sources with what they keep: receptions, headers of events, and ids of their own that were seen.
const SECOND: &str = "
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

-- 0 of the API, 1 of sources
ALTER TABLE seen ADD COLUMN series INTEGER NOT NULL DEFAULT 0;
";

fn second(step: &Transaction<'_>) -> rusqlite::Result<()> {
    step.execute_batch(SECOND)?;
    for n in kept_segments(step)? {
        // SQLite reads a strict table once when it adds a column: seconds for 10 GiB.
        step.execute_batch(&format!("ALTER TABLE event_{n} ADD COLUMN headers BLOB"))?;
        step.execute_batch(&schema::reception_table(n, ""))?;
    }
    Ok(())
}

/// Profiles in versions, event types, background operations, alerts; what of a delivery history is
/// searched for; how many deliveries of a subscription failed one after another.
const THIRD: &str = "
-- Versions are never changed: deliveries name the one that they look like.
CREATE TABLE profile (
    n INTEGER PRIMARY KEY,
    -- 0 is the router itself.
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Such a one is for deliveries that are there already.
    removed_at INTEGER,
    UNIQUE (tenant, name, version)
) STRICT;

-- NULL: as the subscription's profile was in its first version.
ALTER TABLE pending ADD COLUMN profile INTEGER;

-- Deliveries that failed at the endpoint since the last one that was accepted, and those of them whose
-- retry schedule was at its end.
ALTER TABLE counter ADD COLUMN failed_in_a_row INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counter ADD COLUMN exhausted_in_a_row INTEGER NOT NULL DEFAULT 0;

-- JSON: what a tenant has said about itself.
ALTER TABLE tenant ADD COLUMN document TEXT NOT NULL DEFAULT '{}';

CREATE TABLE event_type (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE operation (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    -- 0 running, 1 finished, 2 cancelled, 3 failed
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    -- JSON: what was asked for. Never changed.
    document TEXT NOT NULL,
    -- JSON: how far it is. Changed in the transaction of each step.
    progress TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

-- Alerts that were raised and are not over.
CREATE TABLE alert (
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- What it is about: the number of a subscription, or 0.
    subject INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, subject)
) STRICT, WITHOUT ROWID;
";

fn third(step: &Transaction<'_>) -> rusqlite::Result<()> {
    step.execute_batch(THIRD)?;
    for n in kept_segments(step)? {
        for column in schema::DELIVERY_COLUMNS_OF_VERSION_3 {
            step.execute_batch(&format!("ALTER TABLE delivery_{n} ADD COLUMN {column}"))?;
        }
    }
    Ok(())
}

/// Tables of keys that are written one after another.
const FOURTH: &str = "
-- 0 by key, 1 one after another
ALTER TABLE seen ADD COLUMN layout INTEGER NOT NULL DEFAULT 0;
-- Of a table to which nothing is added any more: which keys are certainly not in it.
ALTER TABLE seen ADD COLUMN filter BLOB;
";

/// Sums of rows. What is in the ledger and what is configured gets them here; history has them from here on.
fn fifth(step: &Transaction<'_>) -> rusqlite::Result<()> {
    for n in kept_segments(step)? {
        for table in schema::SUMMED_SEGMENT_TABLES {
            step.execute_batch(&format!("ALTER TABLE {table}_{n} ADD COLUMN sum INTEGER"))?;
        }
    }
    for table in CONFIGURED {
        step.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN sum INTEGER"))?;
        sum::give(step, table, "TRUE", [])?;
    }
    step.execute_batch("ALTER TABLE pending ADD COLUMN sum INTEGER")?;
    ledger::give_sums(step)
}

/// Keys that were seen lie in runs, of which a table has several.
const SIXTH: &str = "
CREATE TABLE seen_run (
    -- Of its table order_<n>.
    n INTEGER PRIMARY KEY,
    -- The table whose rows from first to last are in it.
    seen INTEGER NOT NULL,
    level INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    -- 0 being made, 1 whole, 2 leaving
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2)
) STRICT;
-- Which keys are certainly not in a run that is whole.
CREATE TABLE seen_filter (
    run INTEGER NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (run, part)
) STRICT, WITHOUT ROWID;
";

/// What a table had in order becomes a run of its own number, if it was all of it, and otherwise leaves.
fn sixth(step: &Transaction<'_>) -> rusqlite::Result<()> {
    step.execute_batch(SIXTH)?;
    let mut query = step.prepare("SELECT n, filter FROM seen WHERE layout = 1 ORDER BY n")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(0)?;
        let filter = row.get_ref(1)?.as_blob_or_null()?;
        let last: i64 = step.query_row(&format!("SELECT coalesce(max(id), 0) FROM seen_{n}"), [], |row| {
            row.get(0)
        })?;
        let state = if filter.is_some() { 1 } else { 2 };
        step.execute(
            "INSERT INTO seen_run (n, seen, level, first, last, state) VALUES (?1, ?1, 0, 1, ?2, ?3)",
            [n, last, state],
        )?;
        for (part, bytes) in (0_i64..).zip(filter.unwrap_or_default().chunks(PART_BYTES)) {
            let sql = "INSERT INTO seen_filter (run, part, bytes) VALUES (?, ?, ?)";
            step.execute(sql, params![n, part, bytes])?;
        }
    }
    drop(rows);
    drop(query);
    step.execute_batch("ALTER TABLE seen DROP COLUMN filter")
}

/// The attempt that ends a delivery stands in the delivery's row.
fn seventh(step: &Transaction<'_>) -> rusqlite::Result<()> {
    for n in kept_segments(step)? {
        let column = schema::DELIVERY_COLUMN_OF_VERSION_7;
        step.execute_batch(&format!("ALTER TABLE delivery_{n} ADD COLUMN {column}"))?;
    }
    Ok(())
}

/// The segments whose tables are all there. The others were given up; what is left of them is dropped.
fn kept_segments(step: &Transaction<'_>) -> rusqlite::Result<Vec<i64>> {
    let mut query = step.prepare("SELECT n FROM segment WHERE state < 4 ORDER BY n")?;
    query.query_map([], |row| row.get(0))?.collect()
}

/// Runs what a database of this version lacks; 0 is an empty one.
pub(super) fn run(conn: &mut Connection, version: usize) -> rusqlite::Result<()> {
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let step = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if index == 0 {
            step.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
        }
        match migration {
            Migration::Sql(sql) => step.execute_batch(sql)?,
            Migration::Code(run) => run(&step)?,
        }
        step.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        step.commit()?;
    }
    Ok(())
}
