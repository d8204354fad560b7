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
mod alert_rows;
mod answers;
mod append;
mod candidates;
mod causes;
mod checkpoint;
mod condition;
mod config_rows;
mod copy;
mod event_type_rows;
mod expire;
mod fault;
mod fingerprint;
mod history;
mod inspect;
mod last_attempt;
mod ledger;
mod migrations;
mod newest;
mod opening;
mod operation_rows;
mod operations;
mod pace;
mod pack;
mod profile_rows;
mod reach;
mod readers;
mod reception_rows;
mod record;
mod recount;
mod reseal;
mod resend;
mod row;
mod schema;
mod sealing;
mod seen;
mod segments;
mod source_rows;
mod sum;
#[cfg(test)]
mod tests;
mod totals;
mod wal;
mod walk;
mod work;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

pub use self::copy::{adopt, check, copy_unused, fits};
use self::fingerprint::Keyed;
pub use self::inspect::Stopped;
use self::opening::Opened;
pub use self::opening::{OpenError, READERS_DEFAULT, SEGMENT_BYTES_DEFAULT, SqliteOptions};
use self::readers::Readers;
pub use self::reseal::reseal;
use self::writer::{Kind, Queue};
use super::{
    Accept, Accepted, CauseQuery, Causes, Condition, Counters, DeliveryDetail, DeliveryPage, DeliveryQuery,
    Error, EventQuery, Expired, InARow, Key, NewProfile, PluginVersion, ReceptionQuery, Recorded, Resend,
    Result, Retention, Row, Store, StoredEvent, StoredProfile, Tenant,
};
use crate::alert;
use crate::delivery::{Change, Pending, Request};
use crate::digest::Digest;
use crate::event::Event;
use crate::event_type::EventType;
use crate::id::{DeliveryId, EventId, KeyId, ReceptionId, RequestId, SourceId, SubscriptionId, TenantId};
use crate::profile;
use crate::reception::Reception;
use crate::source::Source;
use crate::subscription::Subscription;
use crate::time::Timestamp;
use crate::vault::Vault;

/// About what a row that goes into the ledger takes, in bytes.
const ROW_WEIGHT: usize = 256;

/// The store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    epoch: u64,
    keyed: Keyed,
    vault: Arc<Vault>,
    queue: Queue,
    readers: Arc<Readers>,
    closed: AtomicBool,
    /// Two expiries at once would carry and drop the same segments, and a segment that is dropped needs no
    /// indexes.
    expiring: tokio::sync::Mutex<()>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl SqliteStore {
    /// A key that belongs to this data directory, for the purpose that the label names.
    pub fn derived_key(&self, label: &str) -> [u8; 32] {
        self.vault.derive(label)
    }

    /// Opens the store of a data directory, or makes it. Blocks; a large WAL left by a crash is read.
    pub fn open(options: &SqliteOptions) -> std::result::Result<Self, OpenError> {
        let Opened {
            dir,
            path,
            conn,
            fixed,
            tally,
            keys,
            vault,
            keyed,
        } = opening::open(options)?;
        let epoch = fixed.epoch.unsigned_abs();
        let readers = Readers::new(path, options.readers);
        let (queue, thread) =
            writer::start(conn, fixed, tally, keys, readers.clone(), dir).map_err(OpenError::Thread)?;
        Ok(Self {
            epoch,
            keyed,
            vault: Arc::new(vault),
            queue,
            readers,
            closed: AtomicBool::new(false),
            expiring: tokio::sync::Mutex::default(),
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

    fn record_receptions(&self, receptions: Vec<Reception>) -> BoxFuture<'_, Result<()>> {
        let weight = receptions.iter().map(reception_rows::weight).sum();
        self.write(Kind::Ingest, weight, move |work| {
            let mut all = receptions.iter();
            all.try_for_each(|reception| reception_rows::record(work, reception))
        })
    }

    fn reception(&self, id: ReceptionId) -> BoxFuture<'_, Result<Option<Reception>>> {
        self.read(move |conn| reception_rows::reception(conn, id))
    }

    fn receptions(&self, query: ReceptionQuery) -> BoxFuture<'_, Result<Vec<Reception>>> {
        self.read(move |conn| reception_rows::receptions(conn, &query))
    }

    fn record(&self, epoch: u64, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Recorded>>> {
        if epoch != self.epoch {
            return Box::pin(std::future::ready(Err(Error::Fenced)));
        }
        let prepared: Vec<_> = changes.into_iter().map(record::Prepared::new).collect();
        let weight = prepared.iter().map(record::Prepared::weight).sum();
        self.write(Kind::Outcome, weight, move |work| {
            prepared
                .iter()
                .map(|change| record::apply(work, change))
                .collect()
        })
    }

    fn failing(&self) -> BoxFuture<'_, Result<Vec<(SubscriptionId, InARow)>>> {
        self.read(history::failing)
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

    fn deliveries(&self, query: DeliveryQuery) -> BoxFuture<'_, Result<DeliveryPage>> {
        self.read(move |conn| walk::deliveries(conn, &query))
    }

    fn causes(&self, query: CauseQuery) -> BoxFuture<'_, Result<Causes>> {
        Box::pin(causes::group(&self.readers, query))
    }

    fn counters(&self, subscription: Option<SubscriptionId>) -> BoxFuture<'_, Result<Counters>> {
        self.read(move |conn| history::counters(conn, subscription))
    }

    fn condition(&self) -> BoxFuture<'_, Result<Condition>> {
        Box::pin(condition::of(&self.readers, &self.queue))
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
        failures: Row,
    ) -> BoxFuture<'_, Result<()>> {
        match config_rows::SubscriptionRow::new(&subscription, &self.vault) {
            Ok(row) => self.configure(move |work| row.update(work, version, failures)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn remove_subscription(&self, id: SubscriptionId) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::remove_subscription(work, id))
    }

    fn sources(&self) -> BoxFuture<'_, Result<Vec<Source>>> {
        let vault = Arc::clone(&self.vault);
        self.read(move |conn| source_rows::sources(conn, &vault))
    }

    fn add_source(&self, source: Arc<Source>) -> BoxFuture<'_, Result<()>> {
        match source_rows::SourceRow::new(&source, &self.vault) {
            Ok(row) => self.configure(move |work| row.add(work)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn update_source(&self, source: Arc<Source>, version: u64) -> BoxFuture<'_, Result<()>> {
        match source_rows::SourceRow::new(&source, &self.vault) {
            Ok(row) => self.configure(move |work| row.update(work, version)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn remove_source(&self, id: SourceId) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| source_rows::remove_source(work, id))
    }

    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventType>>> {
        self.read(event_type_rows::event_types)
    }

    fn put_event_types(&self, types: Vec<Arc<EventType>>) -> BoxFuture<'_, Result<()>> {
        match event_type_rows::Prepared::new(&types) {
            Ok(prepared) => self.write(Kind::Ingest, prepared.weight(), move |work| prepared.put(work)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn remove_event_type(&self, tenant: TenantId, name: String) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| event_type_rows::remove(work, tenant, &name))
    }

    fn profiles(&self) -> BoxFuture<'_, Result<Vec<StoredProfile>>> {
        self.read(profile_rows::profiles)
    }

    fn add_profile(&self, profile: NewProfile) -> BoxFuture<'_, Result<profile::Number>> {
        self.configure(move |work| profile_rows::add_profile(work, &profile))
    }

    fn pin_profiles(&self, versions: Vec<(SubscriptionId, profile::Number)>) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| profile_rows::pin_profiles(work, &versions))
    }

    fn remove_profile(&self, tenant: TenantId, name: String, now: Timestamp) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| profile_rows::remove_profile(work, tenant, &name, now))
    }

    fn tenants(&self) -> BoxFuture<'_, Result<Vec<Tenant>>> {
        self.read(config_rows::tenants)
    }

    fn add_tenant(&self, tenant: Tenant) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::add_tenant(work, &tenant))
    }

    fn update_tenant(&self, tenant: Tenant) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| config_rows::update_tenant(work, &tenant))
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

    fn alerts(&self) -> BoxFuture<'_, Result<Vec<alert::Episode>>> {
        self.read(alert_rows::alerts)
    }

    fn raise_alert(&self, episode: alert::Episode) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| alert_rows::raise(work, episode))
    }

    fn end_alert(&self, about: alert::About) -> BoxFuture<'_, Result<()>> {
        self.configure(move |work| alert_rows::end(work, about))
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

    fn closed_segment(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.queue.closed_segment())
    }

    fn index_history(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let _only = self.expiring.lock().await;
            sealing::step(&self.queue, &self.readers).await
        })
    }

    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired>> {
        Box::pin(async move {
            let _only = self.expiring.lock().await;
            expire::run(&self.queue, &self.readers, now, retention).await
        })
    }

    fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.queue.ended())
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
