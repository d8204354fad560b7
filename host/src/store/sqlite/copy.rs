//! Copies of the whole database: made while the writer goes on, checked, and taken into use elsewhere.
//!
//! A copy is `VACUUM INTO` on a connection of its own: one reading transaction, so it is one state of the
//! database, with everything that was accepted before it began. It keeps nobody from writing; the log only
//! cannot be started anew as long as it takes.
//!
//! No number may be used twice, also after a restore, when nobody knows what the old process handed out after
//! the copy was made, nor whether its clock was right. So a copy that is taken into use gets another number
//! of node, which is part of every id: what it makes differs from all that the old process made, whatever
//! the clocks say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, InterruptHandle, OpenFlags, OptionalExtension as _, params};

use super::opening::{OpenError, key_fits};
use super::{SqliteStore, migrations, reach, schema};
use crate::store::files::{self, DataDir};
use crate::store::{Copies, Error, Result, Snapshot};
use crate::vault::{KEY_BYTES, Vault};

/// The entry of `meta` that holds the number of the node; without it the number is 0.
const NODE: &str = "node";
/// How long a copy waits for whoever holds the schema, such as a segment that is being dropped.
const BUSY_WAIT: Duration = Duration::from_secs(5);

impl Copies for SqliteStore {
    fn node(&self) -> BoxFuture<'_, Result<u8>> {
        self.read(node)
    }

    fn snapshot(&self, into: PathBuf) -> BoxFuture<'_, Result<Snapshot>> {
        take(self.readers.database().to_owned(), into)
    }

    fn reusable_bytes(&self) -> BoxFuture<'_, Result<u64>> {
        self.read(reusable_bytes)
    }
}

/// Pages that dropped tables left in the file.
fn reusable_bytes(conn: &Connection) -> Result<u64> {
    let pages: i64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    Ok(u64::try_from(pages).unwrap_or(0) * schema::PAGE_BYTES)
}

/// The number of the node that makes ids on this database.
fn node(conn: &Connection) -> Result<u8> {
    let node: Option<Vec<u8>> = conn
        .query_row("SELECT value FROM meta WHERE name = ?", [NODE], |row| row.get(0))
        .optional()?;
    Ok(node.and_then(|bytes| bytes.first().copied()).unwrap_or(0))
}

/// Interrupts what a connection does when whoever asked for it has gone.
struct Interrupts(InterruptHandle);

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Copies the database at `from` to a file that is not there yet, or empty.
fn take(from: PathBuf, into: PathBuf) -> BoxFuture<'static, Result<Snapshot>> {
    let work = async move {
        let conn = blocking(move || Ok(reader(&from)?)).await?;
        let _interrupts = Interrupts(conn.get_interrupt_handle());
        blocking(move || copy(&conn, &into)).await
    };
    Box::pin(work)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Backend(error.into()))?
}

fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

fn copy(conn: &Connection, into: &Path) -> Result<Snapshot> {
    let name = into
        .to_str()
        .ok_or_else(|| Error::Backend("the path of the copy is not UTF-8".into()))?;
    conn.execute("VACUUM INTO ?", [name])?;
    check(into).map_err(|error| Error::Backend(error.into()))
}

/// Copies the database of a data directory that no router has open.
pub fn copy_unused(dir: &Path, into: &Path) -> std::result::Result<Snapshot, OpenError> {
    // Else the lock would make one.
    if !dir.join(files::DATABASE).exists() {
        return Err(OpenError::NotOurs);
    }
    let locked = DataDir::lock(dir)?;
    let conn = reader(&locked.database())?;
    Ok(copy(&conn, into)?)
}

/// Checks a copy, every page of it: that it is ours, not newer than we are, and whole.
pub fn check(path: &Path) -> std::result::Result<Snapshot, OpenError> {
    let conn = reader(path)?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != schema::APPLICATION_ID {
        return Err(OpenError::NotOurs);
    }
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version as usize > migrations::NEWEST {
        return Err(OpenError::Newer {
            found: version as usize,
            known: migrations::NEWEST,
        });
    }
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(OpenError::Damaged { what: found });
    }
    let newest = reach::newest(&conn)?;
    let bytes = std::fs::metadata(path).map(|about| about.len()).unwrap_or(0);
    Ok(Snapshot {
        schema: version,
        newest,
        bytes,
    })
}

/// Whether the key opens what is sealed in a copy.
pub fn fits(path: &Path, key: &[u8; KEY_BYTES]) -> std::result::Result<(), OpenError> {
    match key_fits(&reader(path)?, &Vault::new(key))? {
        true => Ok(()),
        false => Err(OpenError::WrongKey),
    }
}

/// Takes a copy into use: from now on it makes ids under another node, and none below `newest`.
pub fn adopt(path: &Path, newest: i64) -> std::result::Result<(), OpenError> {
    let mut conn = Connection::open(path)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let step = conn.transaction()?;
    let old = node(&step)?;
    // Not the next one: of two restores of one copy both would get it.
    let new = loop {
        let node: u8 = rand::random();
        if node != old {
            break node;
        }
    };
    step.execute(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        params![NODE, [new].as_slice()],
    )?;
    step.execute("UPDATE owner SET newest = max(newest, ?)", [newest])?;
    Ok(step.commit()?)
}
