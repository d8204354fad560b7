//! Readers: a few connections that can only read, used from blocking threads.
//!
//! Each reading is one short transaction, so that it sees one state of the database and lets go of
//! the WAL soon. What was acknowledged before a reading began is seen by it. A connection is never
//! held across an await: the permit and the connection live in the blocking closure. Where the WAL grows too
//! large for a reading that lasts, that reading is ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, InterruptHandle, OpenFlags};
use tokio::sync::Semaphore;

use super::schema;
use crate::store::{Error, Result};

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    count: u32,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    reading: Mutex<Reading>,
}

/// Those who read now.
#[derive(Default)]
struct Reading {
    next: u64,
    all: BTreeMap<u64, Reader>,
}

struct Reader {
    interrupt: InterruptHandle,
    /// It read already when relief was asked for before.
    lasts: bool,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} readers", self.all.len())
    }
}

impl Readers {
    /// A pool of so many connections, each opened when it is first needed.
    pub(super) fn new(path: PathBuf, count: u32) -> Arc<Self> {
        let count = count.max(1);
        let permits = Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(1)));
        Arc::new(Self {
            path,
            count,
            permits,
            idle: Mutex::default(),
            reading: Mutex::default(),
        })
    }

    /// Where the database is.
    pub(super) fn database(&self) -> &std::path::Path {
        &self.path
    }

    /// Reads in one transaction.
    pub(super) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let conn = readers.take()?;
            let number = readers.began(conn.get_interrupt_handle());
            let value = readers.within(&conn, read);
            // Before anybody else may have the connection: no other reading may be ended in its place.
            readers.reading().all.remove(&number);
            readers.idle().push(conn);
            drop(permit);
            value
        });
        reading.await.map_err(|error| Error::Backend(error.into()))?
    }

    fn within<T>(&self, conn: &Connection, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        // Only read, so there is nothing to commit; its end lets go of the WAL.
        let _transaction = conn.unchecked_transaction()?;
        read(conn)
    }

    fn began(&self, interrupt: InterruptHandle) -> u64 {
        let mut reading = self.reading();
        let number = reading.next;
        reading.next += 1;
        let reader = Reader {
            interrupt,
            lasts: false,
        };
        reading.all.insert(number, reader);
        number
    }

    /// Ends what was read already when this was asked before; whoever waits for it gets [`Error::Busy`].
    pub(super) fn relieve(&self) {
        for reader in self.reading().all.values_mut() {
            if reader.lasts {
                tracing::warn!("a reading lasts too long while much is written; it is ended");
                reader.interrupt.interrupt();
            }
            reader.lasts = true;
        }
    }

    /// Waits for those who read and closes the connections. Later readings give [`Error::Closed`].
    pub(super) async fn close(&self) {
        // An error means that it is closed already.
        if let Ok(all) = self.permits.acquire_many(self.count).await {
            self.permits.close();
            drop(all);
        }
        self.idle().clear();
    }

    fn take(&self) -> Result<Connection> {
        if let Some(conn) = self.idle().pop() {
            return Ok(conn);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        schema::prepare_reader(&conn)?;
        Ok(conn)
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Nothing in between can leave the list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
