//! The store in one SQLite file: a writer's thread, a few readers, segments that are dropped whole.
//!
//! ```text
//! calls ──► Queue (bounded) ──► writer's thread: batch → BEGIN … COMMIT (synced) → answers → checkpoint
//!   └─────► Readers: one short transaction each, on blocking threads
//! ```
//!
//! The data directory is locked for as long as the store is open, and an epoch is taken at the start:
//! one process owns all writes. `pending` is the ledger; what has ended lies in segments (see
//! [`segments`]); counters move in the same transactions. SQLite must be 3.51.3 or newer, because
//! older ones can lose a commit when the WAL is reset.

mod accept;
mod checkpoint;
mod config_rows;
mod expire;
mod fault;
mod fingerprint;
mod history;
mod ledger;
mod pack;
mod readers;
mod record;
mod resend;
mod row;
mod schema;
mod seen;
mod segments;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use self::fingerprint::Keyed;
use self::readers::Readers;
use self::work::{Fixed, Tally};
use self::writer::{Kind, Queue};
use super::files::{self, DataDir};
use super::{
    Accept, Accepted, Counters, DeliveryDetail, DeliveryQuery, DeliverySummary, Error, EventQuery, Expired,
    Key, PluginVersion, Resend, Result, Retention, Store, StoredEvent, Tenant,
};
use crate::delivery::{Change, Pending, Request};
use crate::digest::Digest;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, KeyId, RequestId, SubscriptionId, TenantId};
use crate::subscription::Subscription;
use crate::time::Timestamp;
use crate::vault::{self, Nonce, Place, Vault};

/// Size of a segment (bytes): dropping its largest table stays within a few ten milliseconds, and a
/// hundred gigabytes are still few enough tables.
pub const SEGMENT_BYTES_DEFAULT: u64 = 32 << 20;
/// Connections that read.
pub const READERS_DEFAULT: u32 = 3;
/// The tenant that is there from the start.
pub const DEFAULT_TENANT: TenantId = TenantId::from_number(1);
/// Its name.
pub const DEFAULT_TENANT_NAME: &str = "default";
/// Largest database whose structure is checked at every start (bytes). The check reads the whole
/// file, so larger ones would start slowly; what they hold is checked when it is read.
const QUICK_CHECK_BYTES_MAX: u64 = 64 << 20;

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
    /// A file of another program.
    #[error("{} is not a database of hookway", files::DATABASE)]
    NotOurs,
    /// A schema of a newer version.
    #[error("the database has schema {found} and this hookway knows {known}; use a newer hookway")]
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
    /// The key does not fit.
    #[error(
        "{} does not belong to this database; put the right key back",
        files::SECRETS_KEY
    )]
    WrongKey,
    /// The structure of the file is damaged.
    #[error("the database is damaged: {what}; restore a backup")]
    Damaged {
        /// The first thing found.
        what: String,
    },
    /// Sealing failed.
    #[error("cannot seal a value")]
    Vault(#[from] vault::Error),
    /// SQLite says no.
    #[error("the database cannot be opened")]
    Database(#[from] rusqlite::Error),
    /// Its content cannot be read.
    #[error("the database cannot be read")]
    Store(#[from] Error),
    /// No thread for the writer.
    #[error("cannot start the writer's thread")]
    Thread(#[source] std::io::Error),
}

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    epoch: u64,
    keyed: Keyed,
    vault: Arc<Vault>,
    queue: Queue,
    readers: Arc<Readers>,
    closed: AtomicBool,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the store of a data directory, or makes it. Blocks; a large WAL left by a crash is read.
    pub fn open(options: &SqliteOptions) -> std::result::Result<Self, OpenError> {
        if rusqlite::version_number() < schema::SQLITE_VERSION_MIN {
            return Err(OpenError::OldSqlite {
                found: rusqlite::version(),
            });
        }
        let dir = DataDir::lock(&options.dir)?;
        let vault = Vault::new(&*dir.secrets_key()?);
        let path = dir.database();
        let mut conn = Connection::open(&path)?;
        conn.busy_timeout(checkpoint::READERS_WAIT)?;
        schema::prepare_writer(&mut conn)?;
        quick_check(&conn, &path)?;
        let (epoch, keyed) = take_over(&mut conn, &vault, options.now)?;
        let tally = Tally::load(&conn)?;
        let segment_bytes = i64::try_from(options.segment_bytes).unwrap_or(i64::MAX);
        let fixed = Fixed { epoch, segment_bytes };
        let (queue, thread) = writer::start(conn, fixed, tally, dir).map_err(OpenError::Thread)?;
        Ok(Self {
            epoch: epoch.unsigned_abs(),
            keyed,
            vault: Arc::new(vault),
            queue,
            readers: Readers::new(path, options.readers),
            closed: AtomicBool::new(false),
            thread: Mutex::new(Some(thread)),
        })
    }

    fn write<T, F>(&self, kind: Kind, weight: usize, run: F) -> BoxFuture<'_, Result<T>>
    where
        T: Send + 'static,
        F: FnMut(&mut work::Work<'_>) -> Result<T> + Send + 'static,
    {
        if self.closed.load(Ordering::Acquire) {
            return Box::pin(std::future::ready(Err(Error::Closed)));
        }
        Box::pin(self.queue.call(kind, weight, run))
    }

    fn read<T, F>(&self, read: F) -> BoxFuture<'_, Result<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        Box::pin(self.readers.read(read))
    }

    /// A change of configuration is small and waits its turn like everything that comes in.
    fn configure<T, F>(&self, run: F) -> BoxFuture<'_, Result<T>>
    where
        T: Send + 'static,
        F: FnMut(&mut work::Work<'_>) -> Result<T> + Send + 'static,
    {
        self.write(Kind::Ingest, 1_024, run)
    }
}

impl Drop for SqliteStore {
    /// What is queued is written, then the lock of the directory is released. A process that is
    /// killed does neither, and loses nothing that was acknowledged.
    fn drop(&mut self) {
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            drop(self.queue.close());
            // A panic of the writer was its own; everybody who waited got an error.
            let _ = thread.join();
        }
    }
}

fn quick_check(conn: &Connection, path: &std::path::Path) -> std::result::Result<(), OpenError> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > QUICK_CHECK_BYTES_MAX {
        return Ok(());
    }
    let what: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if what == "ok" {
        Ok(())
    } else {
        Err(OpenError::Damaged { what })
    }
}

const CANARY: &[u8] = b"hookway";

fn router_place(field: &str) -> Place<'_> {
    Place {
        tenant: 0,
        object: 0,
        field,
    }
}

/// Takes the next epoch. The first time it also leaves the canary by which a wrong key is noticed,
/// the secret for keys that were seen, and the default tenant.
fn take_over(
    conn: &mut Connection,
    vault: &Vault,
    now: Timestamp,
) -> std::result::Result<(i64, Keyed), OpenError> {
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
            "INSERT INTO tenant VALUES (?, ?, ?)",
            params![DEFAULT_TENANT.number(), DEFAULT_TENANT_NAME, now.as_millis()],
        )?;
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
    let sql = "UPDATE owner SET epoch = epoch + 1 RETURNING epoch";
    let epoch = step.query_row(sql, [], |row| row.get(0))?;
    step.commit()?;
    Ok((epoch, Keyed::new(secret)))
}

impl Store for SqliteStore {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn newest_id(&self) -> BoxFuture<'_, Result<i64>> {
        self.read(history::newest_id)
    }

    fn accept(&self, call: Accept) -> BoxFuture<'_, Result<Accepted>> {
        let prepared = accept::Prepared::new(call, &self.keyed);
        self.write(Kind::Ingest, prepared.weight(), move |work| {
            accept::apply(work, &prepared)
        })
    }

    fn record(&self, epoch: u64, changes: Vec<Change>) -> BoxFuture<'_, Result<()>> {
        if epoch != self.epoch {
            return Box::pin(std::future::ready(Err(Error::Fenced)));
        }
        let prepared: Vec<_> = changes.into_iter().map(record::Prepared::new).collect();
        let weight = prepared.iter().map(record::Prepared::weight).sum();
        self.write(Kind::Outcome, weight, move |work| {
            prepared.iter().try_for_each(|change| record::apply(work, change))
        })
    }

    fn pending(&self, after: RequestId, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>>> {
        self.read(move |conn| history::pending(conn, after, limit))
    }

    fn events_by_id(&self, ids: Vec<EventId>) -> BoxFuture<'_, Result<Vec<Option<Arc<Event>>>>> {
        self.read(move |conn| history::events_by_id(conn, &ids))
    }

    fn request(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>>> {
        self.read(move |conn| history::request(conn, id))
    }

    fn resend(
        &self,
        tenant: Option<TenantId>,
        id: DeliveryId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Resend>> {
        let tenant = tenant.map(TenantId::number);
        self.configure(move |work| resend::apply(work, tenant, id, now))
    }

    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<StoredEvent>>> {
        self.read(move |conn| history::event(conn, id))
    }

    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<StoredEvent>>> {
        self.read(move |conn| history::events(conn, query))
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<DeliveryDetail>>> {
        self.read(move |conn| history::delivery(conn, id))
    }

    fn deliveries(&self, query: DeliveryQuery) -> BoxFuture<'_, Result<Vec<DeliverySummary>>> {
        self.read(move |conn| history::deliveries(conn, &query))
    }

    fn counters(&self, subscription: Option<SubscriptionId>) -> BoxFuture<'_, Result<Counters>> {
        self.read(move |conn| history::counters(conn, subscription))
    }

    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<Subscription>>> {
        let vault = Arc::clone(&self.vault);
        self.read(move |conn| config_rows::subscriptions(conn, &vault))
    }

    fn add_subscription(&self, subscription: Arc<Subscription>) -> BoxFuture<'_, Result<()>> {
        match config_rows::SubscriptionRow::new(&subscription, &self.vault) {
            Ok(row) => self.configure(move |work| row.add(work)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn update_subscription(
        &self,
        subscription: Arc<Subscription>,
        version: u64,
    ) -> BoxFuture<'_, Result<()>> {
        match config_rows::SubscriptionRow::new(&subscription, &self.vault) {
            Ok(row) => self.configure(move |work| row.update(work, version)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn remove_subscription(&self, id: SubscriptionId) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::remove_subscription(work, id))
    }

    fn tenants(&self) -> BoxFuture<'_, Result<Vec<Tenant>>> {
        self.read(config_rows::tenants)
    }

    fn add_tenant(&self, tenant: Tenant) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::add_tenant(work, &tenant))
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<Key>>> {
        self.read(config_rows::keys)
    }

    fn add_key(&self, key: Key) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::add_key(work, &key))
    }

    fn revoke_key(&self, id: KeyId, now: Timestamp) -> BoxFuture<'_, Result<bool>> {
        self.configure(move |work| config_rows::revoke_key(work, id, now))
    }

    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginVersion>>> {
        self.read(config_rows::plugins)
    }

    fn add_plugin(&self, version: PluginVersion, component: Bytes) -> BoxFuture<'_, Result<()>> {
        if Digest::of(&component) != version.digest {
            let what = format!("component {} on its way in", version.digest);
            return Box::pin(std::future::ready(Err(Error::Damaged { what })));
        }
        self.write(Kind::Ingest, component.len(), move |work| {
            config_rows::add_plugin(work, &version, &component)
        })
    }

    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.read(move |conn| config_rows::component(conn, digest))
    }

    fn remove_plugin(&self, tenant: TenantId, name: String) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::remove_plugin(work, tenant, &name))
    }

    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired>> {
        Box::pin(expire::run(&self.queue, &self.readers, now, retention))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            self.readers.close().await;
            let answered = self.queue.close();
            answered.await.unwrap_or(Err(Error::Closed))
        })
    }
}
