//! How the database is, at a glance: what the store itself can say of it in a moment.
//!
//! The same checks serve a running router, which asks one of its readers, and a data directory that nobody
//! serves ([`Stopped`]), which is locked for as long as somebody looks, opened for reading only and changed
//! in nothing. A database that would be refused at the start is refused here with the same words.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::recount::{self, Company};
use super::wal::{self, EndsEarly};
use super::{SqliteStore, config_rows, migrations, opening, reach, schema};
use crate::checkup::stride::{Place, Stride};
use crate::checkup::{self, Check, Outcome};
use crate::id::EventId;
use crate::store::files::{self, DATABASE, DataDir, LOCK, SECRETS_KEY};
use crate::store::{Error, Inspection, PluginVersion, Result};
use crate::subscription::Subscription;
use crate::time::Timestamp;
use crate::vault::Vault;

/// A WAL beyond this means that a reader holds it, or that nothing checkpoints any more (bytes). The writer
/// starts it anew at 64 MiB.
const WAL_BYTES_WELL: u64 = 256 << 20;
/// How far ids may be ahead of the clock. They run ahead by a moment where many are made in one millisecond.
const AHEAD_WELL: std::time::Duration = std::time::Duration::from_secs(60);

const RESTORE: &str = "stop the router, keep a copy of the data directory and restore the newest backup";

impl Inspection for SqliteStore {
    fn checks(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<Check>>> {
        let dir = self.readers.database().parent().map(Path::to_owned);
        let dir = dir.unwrap_or_default();
        self.read(move |conn| Ok(checks(conn, &dir, log_size(&dir), now)))
    }

    fn recount(&self, from: Place) -> BoxFuture<'_, Result<Stride>> {
        self.read(move |conn| recount::stride(conn, &from, Company::Router))
    }
}

/// What is found in a moment, by a connection that can read.
fn checks(conn: &Connection, dir: &Path, wal: Check, now: Timestamp) -> Vec<Check> {
    let (database, ours) = or_failed("database", database(conn))
        .map_or_else(|check| (check, false), |(check, ours)| (check, ours));
    let mut checks = vec![engine(), database];
    if !ours {
        // It may be the reason.
        checks.extend((wal.outcome != Outcome::Ok).then_some(wal));
        return checks;
    }
    let either = |checked: std::result::Result<Check, Check>| checked.unwrap_or_else(|check| check);
    checks.push(either(or_failed("structure", structure(conn, dir))));
    checks.push(either(or_failed("secrets-key", secrets_key(conn, dir))));
    checks.push(wal);
    checks.push(either(or_failed("clock", clock(conn, now))));
    checks
}

fn or_failed<T>(name: &str, checked: Result<T>) -> std::result::Result<T, Check> {
    checked.map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Check::fail(name, format!("it cannot be read: {text}"), RESTORE)
    })
}

fn engine() -> Check {
    let what = format!("SQLite {}", rusqlite::version());
    match rusqlite::version_number() >= schema::SQLITE_VERSION_MIN {
        true => Check::ok("sqlite", what),
        false => Check::fail(
            "sqlite",
            format!("{what} can lose commits when the WAL is reset"),
            "build hookway with SQLite 3.51.3 or newer",
        ),
    }
}

/// Whose database it is, and whether this program can read it.
fn database(conn: &Connection) -> Result<(Check, bool)> {
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = migrations::NEWEST;
    if application != schema::APPLICATION_ID {
        let what = format!("{DATABASE} is not a database of hookway");
        let todo = "name the right --data-dir, or move the file away";
        return Ok((Check::fail("database", what, todo), false));
    }
    let version = version as usize;
    if version > known {
        let what = format!("the database has schema {version} and this hookway knows {known}");
        let todo = "use the newer hookway that wrote it, or restore the backup from before the upgrade";
        return Ok((Check::fail("database", what, todo), false));
    }
    if version < known {
        let what = format!("schema {version} of {known}; `hookway serve` brings it up to date");
        return Ok((
            Check::warn(
                "database",
                what,
                "make a backup before the first start of this version",
            ),
            false,
        ));
    }
    let (pages, size): (u64, u64) = (
        conn.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0))?
            .unsigned_abs(),
        conn.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?
            .unsigned_abs(),
    );
    let bytes = checkup::bytes(pages.saturating_mul(size));
    Ok((
        Check::ok("database", format!("schema {version} of {known}, {bytes}")),
        true,
    ))
}

fn structure(conn: &Connection, dir: &Path) -> Result<Check> {
    let bytes = std::fs::metadata(dir.join(DATABASE)).map_or(0, |file| file.len());
    if bytes > opening::QUICK_CHECK_BYTES_MAX {
        let what = format!("not read, it has {}; --full does", checkup::bytes(bytes));
        return Ok(Check::skipped("structure", what));
    }
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(match found.as_str() {
        "ok" => Check::ok("structure", "the file is whole"),
        found => Check::fail("structure", format!("the file is damaged: {found}"), RESTORE),
    })
}

/// The key is read from its file, not from memory: what counts is the next start.
fn secrets_key(conn: &Connection, dir: &Path) -> Result<Check> {
    let key = match files::secrets_key_in(dir) {
        Ok(Some(key)) => key,
        Ok(None) => {
            let what = format!("{SECRETS_KEY} is missing");
            let todo = "put the file back from a backup before the router stops: without it no secret opens, \
                        and it does not start again";
            return Ok(Check::fail("secrets-key", what, todo));
        }
        Err(error) => {
            let why = std::error::Error::source(&error);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let todo = "put the right file back from a backup, readable by the router";
            return Ok(Check::fail("secrets-key", format!("{error}{why}"), todo));
        }
    };
    Ok(match opening::key_fits(conn, &Vault::new(&key))? {
        true => Check::ok("secrets-key", format!("{SECRETS_KEY} opens what is sealed")),
        false if dir.join(files::NEXT_KEY).exists() => Check::warn(
            "secrets-key",
            format!("{SECRETS_KEY} does not open what is sealed; a change of the key was interrupted"),
            format!(
                "`hookway serve` goes on with {} if that one does",
                files::NEXT_KEY
            ),
        ),
        false => Check::fail(
            "secrets-key",
            format!("{SECRETS_KEY} does not belong to this database"),
            format!(
                "put the right file back from a backup: the router does not start with this one; if it is the right \
                 one, {DATABASE} is damaged: restore a backup of both"
            ),
        ),
    })
}

fn log_size(dir: &Path) -> Check {
    let bytes = std::fs::metadata(dir.join(format!("{DATABASE}-wal"))).map_or(0, |file| file.len());
    let what = checkup::bytes(bytes);
    match bytes <= WAL_BYTES_WELL {
        true => Check::ok("wal", what),
        false => Check::warn(
            "wal",
            format!("{what}, more than {}", checkup::bytes(WAL_BYTES_WELL)),
            "something reads the database for a long time; end other programs that have it open (sqlite3, \
             backup tools), or restart the router",
        ),
    }
}

/// Of a log that nobody writes: whether it ends where it should. One that is being written has no end yet.
fn wal_at_rest(dir: &Path, ends: std::io::Result<Option<EndsEarly>>) -> Check {
    match ends {
        Ok(None) => log_size(dir),
        Ok(Some(early)) => Check::warn("wal", early.to_string(), wal::WHAT_TO_DO),
        Err(error) => Check::fail("wal", format!("it cannot be read: {error}"), RESTORE),
    }
}

/// Ids carry their time and never go back: a clock that was wrong once shows in them.
fn clock(conn: &Connection, now: Timestamp) -> Result<Check> {
    let newest = EventId::from_number(reach::newest(conn)?).time();
    let ahead = newest.since(now);
    Ok(match ahead <= AHEAD_WELL {
        true => Check::ok("clock", format!("it is {now}, later than every id")),
        false => Check::warn(
            "clock",
            format!(
                "it is {now}, but the newest id is from {newest}: the clock was ahead by {} s or is behind now",
                ahead.as_secs()
            ),
            "check the time of this machine (timedatectl); ids go on from the newest until the clock is there, \
             nothing is lost",
        ),
    })
}

/// A data directory that nobody serves. It is locked as long as this lives: no router starts meanwhile.
#[derive(Debug)]
pub struct Stopped {
    dir: PathBuf,
    conn: Connection,
    wal: Check,
    _lock: DataDir,
}

impl Stopped {
    /// Locks a data directory and opens its database for reading; says as a check why that cannot be.
    pub fn open(dir: &Path) -> std::result::Result<Self, Check> {
        let place = dir.join(DATABASE);
        if !place.exists() {
            let what = format!("there is no database {}", place.display());
            let todo = "name the router's own directory with --data-dir; `hookway serve` makes a new one where \
                        there is none";
            return Err(Check::fail("data-dir", what, todo));
        }
        let lock = DataDir::lock(dir).map_err(|error| match error {
            files::Error::InUse { .. } => Check::fail(
                "data-dir",
                format!("a hookway has {} in use, but does not answer", dir.display()),
                "say with --server where it listens; if it hangs, its log says why",
            ),
            error => Check::fail(
                "data-dir",
                format!("{} cannot be locked: {error}", dir.join(LOCK).display()),
                "run it as the user that runs the router",
            ),
        })?;
        let wal = wal_at_rest(dir, wal::ends_early(&place));
        let opened = (|| {
            let conn = Connection::open_with_flags(
                &place,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            schema::prepare_reader(&conn)?;
            // The file is opened by the first look into it.
            let _: Option<i64> = conn
                .query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0))
                .optional()?;
            Ok(conn)
        })();
        Ok(Self {
            dir: dir.to_owned(),
            conn: or_failed("database", opened)?,
            wal,
            _lock: lock,
        })
    }

    /// What is found in a moment.
    pub fn checks(&self, now: Timestamp) -> Vec<Check> {
        checks(&self.conn, &self.dir, self.wal.clone(), now)
    }

    /// Whether everything else can be asked: the database is one of this version.
    pub fn is_current(&self) -> bool {
        database(&self.conn).is_ok_and(|(_, ours)| ours)
    }

    /// One stride through everything that is stored.
    pub fn recount(&self, from: &Place) -> Result<Stride> {
        recount::stride(&self.conn, from, Company::Nobody)
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>> {
        let key = files::secrets_key_in(&self.dir).map_err(|error| Error::Backend(error.into()))?;
        let key = key.ok_or(Error::Missing { what: "key" })?;
        config_rows::subscriptions(&self.conn, &Vault::new(&key))
    }

    /// All versions of all plugins.
    pub fn plugins(&self) -> Result<Vec<PluginVersion>> {
        config_rows::plugins(&self.conn)
    }

    /// How many deliveries wait, and since when the first of them is due.
    pub fn waiting(&self) -> Result<(u64, Option<Timestamp>)> {
        let sql = "SELECT count(*), min(due_at) FROM pending WHERE stage < 2";
        let found = self.conn.query_row(sql, [], |row| {
            let due: Option<i64> = row.get(1)?;
            Ok((
                row.get::<_, i64>(0)?.unsigned_abs(),
                due.map(Timestamp::from_millis),
            ))
        });
        Ok(found?)
    }
}
