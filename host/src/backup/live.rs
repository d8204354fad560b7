//! A backup of the running router, sent as it is read.
//!
//! The copy is made first; what goes wrong with it is the answer, unless it takes so long that the answer has
//! to begin before. Whoever stops reading stops it, and so does a disk that becomes low meanwhile. One at a
//! time: each takes room for a second database.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::archive::{self, Parts};
use super::{Copy, Error, Key, KeyFile, io_at};
use crate::clock::Clock;
use crate::disk;
use crate::space::Space;
use crate::store::Store;
use crate::store::files::{DATABASE, SECRETS_KEY};

/// A copy that takes longer is waited for behind the head of the answer. Proxies often wait 30 s for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Parts of the answer that wait to be read, each of [`PART_BYTES`].
const PARTS_WAITING: usize = 8;
/// The size of a part.
const PART_BYTES: usize = 128 << 10;
/// Time between looks at the disk while a copy is made.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A backup, part by part.
pub type Chunks = mpsc::Receiver<Result<Bytes, Error>>;

/// Makes backups.
#[derive(Clone)]
pub struct Backups {
    store: Arc<dyn Store>,
    data_dir: PathBuf,
    beside: PathBuf,
    space: Arc<Space>,
    clock: Clock,
    one: Arc<Semaphore>,
}

impl Backups {
    /// Backups of this data directory, whose copies are made in `beside` (else in the directory itself).
    pub fn new(
        store: Arc<dyn Store>,
        data_dir: PathBuf,
        beside: Option<PathBuf>,
        space: Arc<Space>,
        clock: Clock,
    ) -> Self {
        Self {
            beside: beside.unwrap_or_else(|| data_dir.clone()),
            store,
            data_dir,
            space,
            clock,
            one: Arc::new(Semaphore::new(1)),
        }
    }

    /// Begins one.
    pub async fn begin(&self, key: Key) -> Result<Chunks, Error> {
        let permit = Arc::clone(&self.one)
            .try_acquire_owned()
            .map_err(|_| Error::Busy)?;
        let (parts, waiting) = mpsc::channel(PARTS_WAITING);
        let (told, made) = oneshot::channel();
        let backups = self.clone();
        tokio::spawn(async move {
            let _one = permit;
            let copied = tokio::select! {
                copied = backups.copied(key) => copied,
                no_room = backups.low() => Err(no_room),
                () = parts.closed() => return,
            };
            let copied = match copied {
                Ok(copied) => copied,
                Err(error) => {
                    // Told in the answer, or, where that has begun, by breaking it off.
                    if let Err(Err(error)) = told.send(Err(error)) {
                        let _nobody_reads = parts.send(Err(error)).await;
                    }
                    return;
                }
            };
            let _begun_already = told.send(Ok(()));
            backups.sent(copied, key, parts).await;
        });
        match tokio::time::timeout(ANSWER_WITHIN, made).await {
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(Error::Interrupted),
            Ok(Ok(Ok(()))) | Err(_) => Ok(waiting),
        }
    }

    async fn sent(&self, copied: Parts, key: Key, parts: mpsc::Sender<Result<Bytes, Error>>) {
        let bytes = copied.snapshot.bytes;
        let sending = tokio::task::spawn_blocking(move || {
            let mut out = io::BufWriter::with_capacity(PART_BYTES, Out(&parts));
            let written = archive::write(copied, &mut out).and_then(|_| out.flush());
            if let Err(error) = &written
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                let _nobody_reads = parts.blocking_send(Err(Error::Stream(io::Error::from(error.kind()))));
            }
            written
        });
        match sending.await {
            Ok(Ok(())) => tracing::info!(
                database_bytes = bytes,
                with_key = key == Key::Included,
                "a backup was made and sent"
            ),
            Ok(Err(error)) => tracing::warn!(%error, "a backup was not read to its end"),
            Err(_) => tracing::error!("a backup ended in a bug of the router"),
        }
    }

    /// The copy, already without a name: its room is free again when nobody reads it any more.
    async fn copied(&self, key: Key) -> Result<Parts, Error> {
        let at = self.clock.now();
        let reusable = self.store.reusable_bytes().await?;
        let here = self.clone();
        let copy = blocking(move || {
            here.has_room(reusable)?;
            Copy::begin(&here.beside, &here.data_dir)
        });
        let copy = copy.await?;
        let snapshot = self.store.snapshot(copy.path().to_owned()).await?;
        let key_file = self.data_dir.join(SECRETS_KEY);
        blocking(move || {
            let key = match key {
                Key::Included => Some(KeyFile::read(&key_file)?),
                Key::LeftOut => None,
            };
            Ok(Parts {
                database: copy.opened()?,
                snapshot,
                key,
                at,
            })
        })
        .await
    }

    fn has_room(&self, reusable: u64) -> Result<(), Error> {
        let size = |name: &str| std::fs::metadata(self.data_dir.join(name)).map_or(0, |about| about.len());
        let copy = size(DATABASE).saturating_sub(reusable) + size(&format!("{DATABASE}-wal"));
        let free = disk::room(&self.beside)
            .map_err(io_at("ask for room in", &self.beside))?
            .free;
        // On the router's own disk it must not keep events out.
        let left = match self.beside == self.data_dir {
            true => self.space.now().mark,
            false => 0,
        };
        let needed = copy.saturating_add(left);
        match needed <= free {
            true => Ok(()),
            false => Err(Error::NoRoom { needed, free }),
        }
    }

    /// Waits until the disk is low.
    async fn low(&self) -> Error {
        loop {
            self.clock.sleep_until(self.clock.now().plus(LOOK_EVERY)).await;
            if self.space.is_low() {
                let now = self.space.now();
                return Error::NoRoom {
                    needed: now.mark,
                    free: now.free,
                };
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Error::Interrupted))
}

/// Hands parts over to who reads them; waits for a slow one.
struct Out<'s>(&'s mpsc::Sender<Result<Bytes, Error>>);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(part));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
