//! The ledger's rows as the store reads and writes them.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::pack;
use crate::delivery::{Pending, Stage};
use crate::id::{DeliveryId, EventId, RequestId, SubscriptionId};
use crate::profile;
use crate::store::{Error, Result};
use crate::time::Timestamp;

/// The columns of a [`Pending`], in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str =
    "request, delivery, event, subscription, stage, attempts, tries, throttles, runs, due_at, profile";

/// Behind [`COLUMNS`], where a whole delivery is read: its tenant, its event's type, its other requests.
pub(super) const TENANT: usize = 11;
pub(super) const EVENT_TYPE: usize = 12;
const SIBLINGS: usize = 13;

/// The number of a stage in the ledger.
pub(super) const fn stage_number(stage: Stage) -> i64 {
    match stage {
        Stage::Accepted => 0,
        Stage::Rendered => 1,
        Stage::PartDelivered => 2,
        Stage::PartFailed => 3,
    }
}

/// The stage with this number.
pub(super) fn stage(number: i64) -> Result<Stage> {
    match number {
        0 => Ok(Stage::Accepted),
        1 => Ok(Stage::Rendered),
        2 => Ok(Stage::PartDelivered),
        3 => Ok(Stage::PartFailed),
        _ => Err(Error::Damaged {
            what: format!("stage {number} in the ledger"),
        }),
    }
}

/// Whether something is still to be done.
pub(super) const fn is_open(stage: Stage) -> bool {
    matches!(stage, Stage::Accepted | Stage::Rendered)
}

/// A row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> Result<Pending> {
    Ok(Pending {
        request: RequestId::from_number(row.get(0)?),
        delivery: DeliveryId::from_number(row.get(1)?),
        event: EventId::from_number(row.get(2)?),
        subscription: SubscriptionId::from_number(row.get(3)?),
        stage: stage(row.get(4)?)?,
        attempts: row.get(5)?,
        tries: row.get(6)?,
        throttles: row.get(7)?,
        runs: row.get(8)?,
        due_at: Timestamp::from_millis(row.get(9)?),
        profile: row.get::<_, Option<i64>>(10)?.map(profile::Number::new),
    })
}

/// A pending delivery with all its rows.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tenant: i64,
    pub(super) event_type: String,
    /// At least one; the first shares the delivery's number.
    pub(super) parts: Vec<Pending>,
}

impl Entry {
    /// Attempts over all its requests.
    pub(super) fn attempts(&self) -> u32 {
        self.parts.iter().map(|part| u32::from(part.attempts)).sum()
    }

    /// When the next of its requests is due.
    pub(super) fn due_at(&self) -> Timestamp {
        let open = self.parts.iter().filter(|part| is_open(part.stage));
        open.map(|part| part.due_at).min().unwrap_or_default()
    }
}

/// The delivery with this number, if it is pending.
pub(super) fn entry(conn: &Connection, delivery: i64) -> Result<Option<Entry>> {
    let mut query = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, tenant, event_type, siblings FROM pending
         WHERE request = ?1 AND delivery = ?1"
    ))?;
    let mut rows = query.query([delivery])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    entry_of(conn, row).map(Some)
}

/// The delivery whose first row this is: [`COLUMNS`], then tenant, event type and siblings.
pub(super) fn entry_of(conn: &Connection, row: &Row<'_>) -> Result<Entry> {
    let mut parts = vec![read(row)?];
    let (tenant, event_type) = (row.get(TENANT)?, row.get(EVENT_TYPE)?);
    if let Some(siblings) = row
        .get_ref(SIBLINGS)?
        .as_blob_or_null()
        .map_err(rusqlite::Error::from)?
    {
        let mut sibling = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE request = ?"))?;
        for number in pack::read_numbers(siblings)? {
            let part = sibling.query_row([number], |row| Ok(read(row))).optional()?;
            parts.push(part.ok_or(Error::Damaged {
                what: format!("request {number} in the ledger"),
            })??);
        }
    }
    Ok(Entry {
        tenant,
        event_type,
        parts,
    })
}

/// Puts a delivery's rows in.
pub(super) fn insert(conn: &Connection, entry: &Entry) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO pending (request, delivery, event, subscription, tenant, stage, attempts, tries,
                              throttles, runs, due_at, event_type, siblings, profile)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let others = entry.parts.iter().skip(1).map(|part| part.request.number());
    let mut siblings = Some(pack::numbers(others)).filter(|siblings| !siblings.is_empty());
    for part in &entry.parts {
        statement.execute(params![
            part.request.number(),
            part.delivery.number(),
            part.event.number(),
            part.subscription.number(),
            entry.tenant,
            stage_number(part.stage),
            part.attempts,
            part.tries,
            part.throttles,
            part.runs,
            part.due_at.as_millis(),
            entry.event_type,
            siblings.take(),
            part.profile.map(profile::Number::get),
        ])?;
    }
    Ok(())
}
