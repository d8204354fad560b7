//! The schema: numbered migrations that are part of the binary, and the tables of a segment.
//!
//! `user_version` is the number of the last migration that ran; each runs in one transaction with
//! its number. A database with a greater number is from a newer Hookway and is refused. What grows
//! with time lies in tables that are dropped whole: segments (`event_<n>` and its companions) and
//! rolling tables of keys that were seen (`seen_<n>`, `call_<n>`). Their columns are fixed here too.

use rusqlite::Connection;

use super::OpenError;

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

/// What each version added, oldest first. Never changed once released.
const MIGRATIONS: &[&str] = &[FIRST];

const FIRST: &str = "
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

/// The kinds of tables that a segment has, in the order in which they are dropped.
pub(super) const SEGMENT_TABLES: [&str; 5] = ["event", "request", "attempt", "run", "delivery"];

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
    data BLOB NOT NULL
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
    parts BLOB
) STRICT;
"
    )
}

/// The indexes that a segment gets when it is sealed, one statement each: history is found by them,
/// and nothing pays for them while the segment is written.
pub(super) fn segment_indexes(n: i64) -> [String; 4] {
    [
        format!("CREATE INDEX IF NOT EXISTS delivery_{n}_subscription ON delivery_{n} (subscription)"),
        format!("CREATE INDEX IF NOT EXISTS delivery_{n}_event ON delivery_{n} (event)"),
        format!("CREATE INDEX IF NOT EXISTS event_{n}_type ON event_{n} (tenant, event_type)"),
        format!("CREATE INDEX IF NOT EXISTS event_{n}_source ON event_{n} (tenant, source)"),
    ]
}

/// The tables of keys number `n`: producers' ids, and `Idempotency-Key`s with their answers.
pub(super) fn seen_tables(n: i64) -> String {
    format!(
        "
CREATE TABLE seen_{n} (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    event INTEGER NOT NULL,
    matched INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE call_{n} (
    key BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    at INTEGER NOT NULL,
    answer BLOB NOT NULL
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
    if version > MIGRATIONS.len() {
        return Err(OpenError::Newer {
            found: version,
            known: MIGRATIONS.len(),
        });
    }
    if fresh {
        conn.pragma_update(None, "page_size", i64::try_from(PAGE_BYTES).unwrap_or(8_192))?;
    }
    prepare(conn, WRITER_CACHE_KIB)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
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
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let step = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        if index == 0 {
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        step.execute_batch(migration)?;
        step.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        step.commit()?;
    }
    Ok(())
}
