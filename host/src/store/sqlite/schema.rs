//! The schema of what grows, and what every connection gets.
//!
//! What grows with time lies in tables that are dropped whole: segments (`event_<n>` and its companions) and
//! rolling tables of keys that were seen (`seen_<n>`, `call_<n>`, `order_<n>`). Their columns are fixed here.
//! All other tables are made by the [`migrations`], which also bring the ones of earlier versions to what is
//! written here. A database from a newer Hookway is refused.

use rusqlite::Connection;

use super::{OpenError, migrations};

/// "Hkwy": tells our databases from others'.
pub(super) const APPLICATION_ID: i32 = 0x486b_7779;
/// Versions before 3.51.3 can lose a commit when the WAL is reset (sqlite.org/wal.html, "WAL-reset").
pub(super) const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Suits payloads of about a kilobyte: six of them to a page.
pub(super) const PAGE_BYTES: u64 = 8_192;
/// Of the writer and of each reader, in KiB; negative means KiB to SQLite.
const WRITER_CACHE_KIB: i64 = -65_536;
const READER_CACHE_KIB: i64 = -8_192;
/// Statements kept prepared. Each segment has some of its own.
const STATEMENTS_MAX: usize = 256;
/// The WAL file is cut to this when it is reset (bytes).
const WAL_KEPT_BYTES: i64 = 64 << 20;

/// The kinds of tables that a segment has, in the order in which they are dropped.
pub(super) const SEGMENT_TABLES: [&str; 6] = ["event", "request", "attempt", "run", "delivery", "reception"];

/// The tables of segment `n`.
pub(super) fn segment_tables(n: i64) -> String {
    format!(
        "
CREATE TABLE event_{n} (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    source TEXT NOT NULL,
    producer_id TEXT,
    event_type TEXT NOT NULL,
    subject TEXT,
    time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    extensions BLOB,
    hops INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    hash BLOB NOT NULL,
    data BLOB NOT NULL,
    -- Of the request that brought it; NULL where there are none. Not part of the hash.
    headers BLOB
) STRICT;
CREATE TABLE request_{n} (
    id INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT,
    headers BLOB,
    not_before INTEGER,
    hash BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE attempt_{n} (
    delivery INTEGER NOT NULL,
    request INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    resend INTEGER NOT NULL,
    signature BLOB,
    -- An HTTP status, or none and a kind of error.
    status INTEGER,
    error TEXT,
    detail TEXT,
    headers BLOB,
    truncated INTEGER,
    body BLOB,
    -- Of all other columns, as in the other tables; NULL in rows from before version 5.
    sum INTEGER,
    PRIMARY KEY (delivery, request, number),
    CHECK ((status IS NULL) <> (error IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE run_{n} (
    delivery INTEGER NOT NULL,
    run INTEGER NOT NULL,
    step INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    digest BLOB NOT NULL,
    started_at INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 5),
    -- requests and events, or milliseconds to wait, or the kind of fault
    first INTEGER,
    second INTEGER,
    fault TEXT,
    reason TEXT,
    logs BLOB,
    logs_dropped INTEGER NOT NULL,
    sum INTEGER,
    PRIMARY KEY (delivery, run, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_{n} (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    event INTEGER NOT NULL,
    subscription INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    -- 1 delivered, 2 filtered, 3 failed
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
    at INTEGER NOT NULL,
    reason TEXT,
    -- Over all its requests.
    attempts INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    rendered INTEGER NOT NULL,
    -- Where it has several requests: of each its number, stage and attempts.
    parts BLOB,
    -- The version of the profile that it looks like; NULL as in the ledger.
    profile INTEGER,
    -- Why it failed, as one word; NULL where it did not, or failed before version 3.
    cause TEXT,
    -- The status of the last answer; NULL where there was none, or it came before version 3.
    code INTEGER,
    sum INTEGER,
    -- The attempt that ended it, packed; NULL where that has a row of its own, as all had before version 7.
    last BLOB
) STRICT;
{}",
        reception_table(n, ",\n    sum INTEGER")
    )
}

/// The columns that segments of earlier versions get in the third migration, as above.
pub(super) const DELIVERY_COLUMNS_OF_VERSION_3: [&str; 3] = ["profile INTEGER", "cause TEXT", "code INTEGER"];

/// The column that segments of earlier versions get in the seventh migration, as above.
pub(super) const DELIVERY_COLUMN_OF_VERSION_7: &str = "last BLOB";

/// The tables whose rows have a sum; segments of earlier versions get it in the fifth migration. Events and requests have a hash of their own.
pub(super) const SUMMED_SEGMENT_TABLES: [&str; 4] = ["attempt", "run", "delivery", "reception"];

/// The table of receptions of segment `n`, with what came later; segments of version 1 get it without that in
/// the migration.
pub(super) fn reception_table(n: i64, more: &str) -> String {
    format!(
        "
CREATE TABLE reception_{n} (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    source INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    -- An address of IPv4 in four bytes or of IPv6 in sixteen.
    remote BLOB NOT NULL,
    method TEXT NOT NULL,
    headers BLOB,
    bytes INTEGER NOT NULL,
    digest BLOB,
    status INTEGER NOT NULL,
    -- 0 accepted, 1 handshake, 2 refused
    outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 2),
    -- Of one that was accepted.
    first INTEGER,
    events INTEGER,
    duplicates INTEGER,
    changed INTEGER,
    -- The name of the handshake, or why it was refused.
    word TEXT,
    detail TEXT,
    unrecorded INTEGER NOT NULL,
    body BLOB{more}
) STRICT;
"
    )
}

/// An index of a segment.
pub(super) struct Index {
    pub(super) name: String,
    /// What makes it.
    pub(super) sql: String,
}

/// The indexes that a segment gets when it is sealed: history is found by them, and nothing pays for them
/// while the segment is written.
pub(super) fn segment_indexes(n: i64) -> [Index; 6] {
    let index = |kind: &str, name: &str, of: &str| {
        let name = format!("{kind}_{n}_{name}");
        let sql = format!("CREATE INDEX IF NOT EXISTS {name} ON {kind}_{n} {of}");
        Index { name, sql }
    };
    [
        // Dead letters are few among many, and what people look for.
        index("delivery", "failed", "(id) WHERE state = 3"),
        index("delivery", "subscription", "(subscription)"),
        index("delivery", "event", "(event)"),
        index("event", "type", "(tenant, event_type)"),
        index("event", "source", "(tenant, source)"),
        index("reception", "source", "(source)"),
    ]
}

/// The tables of keys number `n`: producers' ids, and `Idempotency-Key`s with their answers.
pub(super) fn seen_tables(n: i64) -> String {
    format!(
        "
CREATE TABLE seen_{n} (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    event INTEGER NOT NULL,
    matched INTEGER NOT NULL
) STRICT;
CREATE TABLE call_{n} (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"
    )
}

/// The table of run number `n`: keys of one of the tables above, in order.
pub(super) fn order_table(n: i64) -> String {
    format!(
        "
CREATE TABLE order_{n} (
    -- The first eight bytes of a key, as a number.
    tag INTEGER NOT NULL,
    row INTEGER NOT NULL,
    PRIMARY KEY (tag, row)
) STRICT, WITHOUT ROWID;
"
    )
}

/// What every connection gets.
fn prepare(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.pragma_update(None, "cache_size", cache_kib)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)
}

/// Sets a connection up for reading only.
pub(super) fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    prepare(conn, READER_CACHE_KIB)?;
    conn.pragma_update(None, "query_only", true)
}

/// Changes to the write-ahead log and gives the mode that there is then. The change is written when the
/// statement ends, which is after its row: who stops at the row never hears that it failed.
fn use_log(conn: &Connection) -> rusqlite::Result<String> {
    let mut statement = conn.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    Ok(mode)
}

/// Sets the writer's connection up and brings the schema up to date. Each step checks before it
/// writes, so that a database that is not ours, or is newer, stays as it is.
pub(super) fn prepare_writer(conn: &mut Connection) -> Result<(), OpenError> {
    let version: usize = conn.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))? as usize;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = tables == 0 && version == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(OpenError::NotOurs);
    }
    if version > migrations::NEWEST {
        return Err(OpenError::Newer {
            found: version,
            known: migrations::NEWEST,
        });
    }
    if fresh {
        conn.pragma_update(None, "page_size", i64::try_from(PAGE_BYTES).unwrap_or(8_192))?;
    }
    prepare(conn, WRITER_CACHE_KIB)?;
    let mode = use_log(conn)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::NoWal { mode });
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    // macOS: without it a sync does not reach the medium. Elsewhere it does nothing.
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)?;
    let _: i64 = conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |row| row.get(0))?;
    let _: i64 =
        conn.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT_BYTES, |row| row.get(0))?;
    Ok(migrations::run(conn, version)?)
}
