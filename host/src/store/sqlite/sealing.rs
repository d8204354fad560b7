//! Sealing: a segment that is full gets its indexes, one after another.
//!
//! Making one reads the whole segment and holds the writer for some ten milliseconds, so how often that may
//! be is for the caller to say. Nothing depends on it but the speed of a search: a segment that never gets
//! its indexes, because it is dropped before, has saved them.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::readers::Readers;
use super::schema;
use super::segments::{self, Phase};
use super::writer::{Kind, Queue};
use crate::store::Result;

/// What is to be done next.
enum Step {
    /// This segment gets an index by this statement.
    Index(String),
    /// This segment has all of them.
    Seal(i64),
}

/// Does the next step. False where there was none to do.
pub(super) async fn step(queue: &Queue, readers: &Arc<Readers>) -> Result<bool> {
    let Some(step) = readers.read(next).await? else {
        return Ok(false);
    };
    queue
        .call(Kind::Outcome, 0, move |work| {
            match &step {
                Step::Index(sql) => work.conn.execute_batch(sql)?,
                Step::Seal(n) => {
                    let sql = "UPDATE segment SET state = 2 WHERE n = ? AND state = 1";
                    work.conn.execute(sql, [n])?;
                }
            }
            Ok(())
        })
        .await?;
    Ok(true)
}

/// The newest goes first: that is where people look.
fn next(conn: &Connection) -> Result<Option<Step>> {
    let all = segments::load(conn)?;
    let Some(full) = all.iter().find(|segment| segment.phase == Phase::Closed) else {
        return Ok(None);
    };
    let mut exists = conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?")?;
    for index in schema::segment_indexes(full.n) {
        if !exists.exists(params![index.name])? {
            return Ok(Some(Step::Index(index.sql)));
        }
    }
    Ok(Some(Step::Seal(full.n)))
}
