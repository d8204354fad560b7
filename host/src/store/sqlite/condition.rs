//! How the database is: its files, its disk, its segments and what waits for its writer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::readers::Readers;
use super::writer::Queue;
use crate::store::{Condition, Result};

/// Asks the database and the file system on a reader's thread, and the writer's queue.
pub(super) async fn of(readers: &Arc<Readers>, queue: &Queue) -> Result<Condition> {
    let database = readers.database().to_owned();
    let found = readers.read(move |conn| {
        let segments: i64 = conn
            .prepare_cached("SELECT count(*) FROM segment WHERE state < 4")?
            .query_row([], |row| row.get(0))?;
        Ok(Condition {
            database_bytes: bytes(&database),
            log_bytes: bytes(&log_of(&database)),
            free_bytes: free(&database),
            segments: segments.unsigned_abs(),
            ..Condition::default()
        })
    });
    let found = found.await?;
    let (waiting, waiting_bytes) = queue.waiting();
    Ok(Condition {
        waiting,
        waiting_bytes,
        committed: queue.committed(),
        ..found
    })
}

/// The write-ahead log beside a database.
fn log_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// The size of a file; nothing where it is not there.
fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// What is free where the file lies, without what is kept for the system itself.
fn free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}
