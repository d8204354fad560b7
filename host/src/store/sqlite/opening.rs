//! Opening a data directory: what must hold before the store serves.
//!
//! In this order, each step refusing with a reason before anything is changed: the SQLite in the binary is
//! new enough, the directory is ours alone, there is a key, the database is where it was (one that is gone is
//! never made anew), it is ours and not newer than we are, its structure is whole, the key fits it. A log that
//! ends before its end is told and no reason to refuse ([`wal`]). Then the
//! next epoch is taken and the greatest number of an id noted ([`reach`]), which is also the proof that the
//! file can be written and synced.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};

use super::config_rows::BY_ID;
use super::fingerprint::Keyed;
use super::seen::{Keys, Sizes};
use super::work::{Fixed, Tally};
use super::{checkpoint, reach, reseal, schema, sum, wal};
use crate::store::files::{self, DataDir};
use crate::store::{DEFAULT_TENANT, DEFAULT_TENANT_NAME, Error};
use crate::time::Timestamp;
use crate::vault::{self, Nonce, Place, Vault};

/// Size of a segment (bytes). Smaller ones are dropped faster, which is the longest that retention
/// holds the writer; larger ones are fewer tables for a schema that every connection reads.
pub const SEGMENT_BYTES_DEFAULT: u64 = 32 << 20;
/// Connections that read.
pub const READERS_DEFAULT: u32 = 3;
/// Largest database whose structure is checked at every start (bytes). The check reads the whole
/// file, so larger ones would start slowly; what they hold is checked when it is read.
pub(super) const QUICK_CHECK_BYTES_MAX: u64 = 64 << 20;

/// Where the store lies and how it is cut.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The data directory; made where it is missing.
    pub dir: PathBuf,
    /// A segment is closed when it has this size, in bytes.
    pub segment_bytes: u64,
    /// Connections that read.
    pub readers: u32,
    /// Now.
    pub now: Timestamp,
}

impl SqliteOptions {
    /// The usual ones.
    pub fn new(dir: impl Into<PathBuf>, now: Timestamp) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            readers: READERS_DEFAULT,
            now,
        }
    }
}

/// Why a store does not open. Nothing was changed by the attempt, except that a schema may have been
/// brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory.
    #[error("the data directory cannot be used")]
    Files(#[from] files::Error),
    /// The SQLite that this binary was linked with.
    #[error("this binary has SQLite {found}, which can lose commits; build it with 3.51.3 or newer")]
    OldSqlite {
        /// Its version.
        found: &'static str,
    },
    /// There is no database where one was expected.
    #[error("there is no database {}; name the router's own directory with --data-dir", path.display())]
    Nothing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of another program.
    #[error("{} is not a database of hookway", files::DATABASE)]
    NotOurs,
    /// There was a database, and it is not there.
    #[error(
        "{} is missing or empty, and there was a database; put it back with its -wal file or restore a backup \
         (to begin anew, choose another --data-dir)",
        path.display()
    )]
    Lost {
        /// Where it was.
        path: PathBuf,
    },
    /// A schema of a newer version.
    #[error(
        "{} has schema {found} and this hookway knows {known}; use a newer hookway",
        files::DATABASE
    )]
    Newer {
        /// Of the database.
        found: usize,
        /// The newest that is known.
        known: usize,
    },
    /// A file system without what WAL needs.
    #[error("the file system of the data directory does not support WAL (journal mode is {mode})")]
    NoWal {
        /// What SQLite uses instead.
        mode: String,
    },
    /// The key does not fit, or what it would open is damaged: both look alike.
    #[error(
        "{} does not belong to this database; put the right key back, or restore a backup if it is {} that is damaged",
        files::SECRETS_KEY,
        files::DATABASE
    )]
    WrongKey,
    /// The structure of the file is damaged.
    #[error("{} is damaged ({what}); put it aside and restore a backup", files::DATABASE)]
    Damaged {
        /// The first thing found.
        what: String,
    },
    /// Sealing failed.
    #[error("cannot seal a value")]
    Vault(#[from] vault::Error),
    /// Nothing can be written to it.
    #[error(
        "{} cannot be written; make the file, its directory and the file system writable for this user",
        files::DATABASE
    )]
    ReadOnly(#[source] rusqlite::Error),
    /// SQLite says no.
    #[error("{} cannot be opened", files::DATABASE)]
    Database(#[source] rusqlite::Error),
    /// Its content cannot be read.
    #[error("{} cannot be read", files::DATABASE)]
    Store(#[from] Error),
    /// No thread for the writer.
    #[error("cannot start the writer's thread")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                what: one_line(&error.to_string()),
            },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(error),
            _ => Self::Database(error),
        }
    }
}

/// What SQLite found, as part of a sentence.
fn one_line(what: &str) -> String {
    let words: Vec<&str> = what.split_whitespace().filter(|word| *word != "***").collect();
    words.join(" ")
}

/// A database that may be written.
pub(super) struct Opened {
    pub(super) dir: DataDir,
    pub(super) path: PathBuf,
    pub(super) conn: Connection,
    pub(super) fixed: Fixed,
    pub(super) tally: Tally,
    pub(super) keys: Keys,
    pub(super) vault: Vault,
    pub(super) keyed: Keyed,
}

/// Opens the database of a data directory, or makes it.
pub(super) fn open(options: &SqliteOptions) -> Result<Opened, OpenError> {
    if rusqlite::version_number() < schema::SQLITE_VERSION_MIN {
        return Err(OpenError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let dir = DataDir::lock(&options.dir)?;
    let key = dir.secrets_key()?;
    let path = dir.database();
    never_anew(&dir, &path)?;
    look_at_the_log(&path);
    let mut conn = Connection::open(&path)?;
    conn.busy_timeout(checkpoint::READERS_WAIT)?;
    never_emptied(&dir, &conn, &path)?;
    schema::prepare_writer(&mut conn)?;
    quick_check(&conn, &path)?;
    let vault = reseal::settled(&dir, &conn, Vault::new(&key))?;
    let (epoch, keyed) = take_over(&mut conn, &vault, options.now)?;
    dir.note_database()?;
    let tally = Tally::load(&conn)?;
    let keys = Keys::load(&conn, &tally.seen, Sizes::USUAL)?;
    let segment_bytes = i64::try_from(options.segment_bytes).unwrap_or(i64::MAX);
    let fixed = Fixed { epoch, segment_bytes };
    Ok(Opened {
        dir,
        path,
        conn,
        fixed,
        tally,
        keys,
        vault,
        keyed,
    })
}

/// SQLite makes a database of a file that is missing or empty, and throws the log beside it away. That is
/// right once.
fn never_anew(dir: &DataDir, path: &Path) -> Result<(), OpenError> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    if length(path) > 0 {
        return Ok(());
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if dir.had_database()? || length(Path::new(&log)) > 0 {
        return Err(OpenError::Lost {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// A young database may be in its log alone. Where that is damaged at its beginning, SQLite finds a file in which
/// there is nothing, and would let us begin anew.
fn never_emptied(dir: &DataDir, conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 && dir.had_database()? {
        return Err(OpenError::Lost {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Once the database is open, SQLite writes over what it did not read.
fn look_at_the_log(path: &Path) {
    match wal::ends_early(path) {
        Ok(None) => {}
        Ok(Some(early)) => tracing::warn!("{early}; {}", wal::WHAT_TO_DO),
        Err(error) => tracing::warn!(%error, "the write-ahead log cannot be looked at"),
    }
}

fn quick_check(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > QUICK_CHECK_BYTES_MAX {
        return Ok(());
    }
    let what: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if what == "ok" {
        Ok(())
    } else {
        Err(OpenError::Damaged {
            what: one_line(&what),
        })
    }
}

const CANARY: &[u8] = b"hookway";
/// What is sealed for the router itself.
pub(super) const ROUTER_FIELDS: [&str; 2] = ["canary", "seen_key"];

pub(super) fn router_place(field: &str) -> Place<'_> {
    Place {
        tenant: 0,
        object: 0,
        field,
    }
}

/// Whether what is sealed in this database opens with the key of this vault.
pub(super) fn key_fits(conn: &Connection, vault: &Vault) -> Result<bool, Error> {
    let sql = "SELECT value FROM meta WHERE name = 'canary'";
    let sealed: Option<Vec<u8>> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
    let opened = sealed.and_then(|sealed| vault.open(router_place("canary"), &sealed).ok());
    Ok(opened.is_some_and(|opened| opened.as_slice() == CANARY))
}

/// Takes the next epoch and brings the greatest number of an id up to date. The first time it also leaves the
/// canary by which a wrong key is noticed, the secret for keys that were seen, and the default tenant.
fn take_over(conn: &mut Connection, vault: &Vault, now: Timestamp) -> Result<(i64, Keyed), OpenError> {
    let step = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let get = |name: &str| {
        let sql = "SELECT value FROM meta WHERE name = ?";
        step.query_row(sql, [name], |row| row.get::<_, Vec<u8>>(0))
            .optional()
    };
    if get("canary")?.is_none() {
        let secret = zeroize::Zeroizing::new(rand::random::<[u8; 32]>());
        let canary = vault.seal(router_place("canary"), CANARY, Nonce::random())?;
        let seen_key = vault.seal(router_place("seen_key"), &*secret, Nonce::random())?;
        let mut insert = step.prepare("INSERT INTO meta VALUES (?, ?)")?;
        insert.execute(params!["canary", canary])?;
        insert.execute(params!["seen_key", seen_key])?;
        step.execute(
            "INSERT INTO tenant (id, name, created_at) VALUES (?, ?, ?)",
            params![DEFAULT_TENANT.number(), DEFAULT_TENANT_NAME, now.as_millis()],
        )?;
        sum::give(&step, "tenant", BY_ID, [DEFAULT_TENANT.number()])?;
    }
    let open = |name: &str| {
        let sealed = get(name)?.ok_or(OpenError::WrongKey)?;
        vault
            .open(router_place(name), &sealed)
            .map_err(|_| OpenError::WrongKey)
    };
    if open("canary")?.as_slice() != CANARY {
        return Err(OpenError::WrongKey);
    }
    let secret = <[u8; 32]>::try_from(open("seen_key")?.as_slice()).map_err(|_| OpenError::WrongKey)?;
    let newest = reach::newest(&step)?;
    let sql = "UPDATE owner SET epoch = epoch + 1, newest = ? RETURNING epoch";
    let epoch = step.query_row(sql, [newest], |row| row.get(0))?;
    step.commit()?;
    Ok((epoch, Keyed::new(secret)))
}
