//! A transaction of the writer: undone unless it is committed, with parts that are undone by themselves.

use rusqlite::Connection;

use super::fault;
use crate::store::Result;

/// An open transaction; undone unless it is committed.
pub(super) struct Transaction<'c>(&'c Connection);

impl<'c> Transaction<'c> {
    pub(super) fn begin(conn: &'c Connection) -> Result<Self> {
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self(conn))
    }

    /// After this, and only after this, is anything durable.
    pub(super) fn commit(self) -> Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // Where this fails, so will the next BEGIN, and that ends the batch with an error.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Does what costs only itself where it fails. An error of the whole transaction is the outer one.
pub(super) fn apart<T>(conn: &Connection, run: impl FnOnce() -> Result<T>) -> Result<Result<T>> {
    conn.execute_batch("SAVEPOINT apart")?;
    let done = match run() {
        // Some errors undo the whole transaction by themselves.
        Err(error) if conn.is_autocommit() || fault::ends_writer(&error) => return Err(error),
        Err(error) => {
            conn.execute_batch("ROLLBACK TO apart")?;
            Err(error)
        }
        Ok(value) => Ok(value),
    };
    conn.execute_batch("RELEASE apart")?;
    Ok(done)
}
