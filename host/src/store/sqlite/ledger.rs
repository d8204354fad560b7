//! The ledger's rows as the store reads and writes them.
//!
//! Whoever reads a row reads all of it, because only then its [`sum`] tells whether it is what was written.
//! One that is not is never acted on: nobody can say to whom it would go, or when.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::pack;
use super::sum::{self, Moving};
use crate::delivery::{Pending, Stage};
use crate::id::{DeliveryId, EventId, RequestId, SubscriptionId};
use crate::profile;
use crate::store::{Error, Result};
use crate::time::Timestamp;

/// The columns of a row, in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str = "request, delivery, event, subscription, stage, attempts, tries, throttles, \
                                  runs, due_at, profile, tenant, event_type, siblings, sum";

/// What is no part of a [`Pending`]: its tenant, its event's type, its delivery's other requests.
pub(super) const TENANT: usize = 11;
pub(super) const EVENT_TYPE: usize = 12;
const SIBLINGS: usize = 13;
const SUM: usize = 14;
/// Rows that the migration gives their sum between two questions.
const GIVEN_AT_ONCE: usize = 1_000;

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

/// A row of [`COLUMNS`]; [`Error::Damaged`] with its name where it is not what was written.
pub(super) fn read(row: &Row<'_>) -> Result<Pending> {
    match whole(row) {
        Ok(Some(pending)) => Ok(pending),
        Ok(None) | Err(Error::Damaged { .. }) => Err(Error::Damaged { what: name_of(row)? }),
        Err(error) => Err(error),
    }
}

/// What a row is called that is not what was written. Its number is where it is found, so it is the best
/// name.
fn name_of(row: &Row<'_>) -> Result<String> {
    let request: i64 = row.get(0)?;
    Ok(match row.get::<_, i64>(1) {
        Ok(delivery) if delivery == request => {
            format!("the ledger's row of {}", DeliveryId::from_number(request))
        }
        _ => format!("the ledger's row of {}", RequestId::from_number(request)),
    })
}

/// A row of [`COLUMNS`], if it fits its sum.
fn whole(row: &Row<'_>) -> Result<Option<Pending>> {
    let (pending, expected) = expected(row)?;
    Ok(Some(pending).filter(|_| row.get(SUM).is_ok_and(|sum| sum::agree(sum, expected))))
}

/// A row of [`COLUMNS`], and the sum that its values have.
fn expected(row: &Row<'_>) -> Result<(Pending, i64)> {
    let pending = pending(row)?;
    let event_type = row.get_ref(EVENT_TYPE)?.as_str().map_err(rusqlite::Error::from)?;
    let fixed = sum::Fixed::of(&pending, row.get(TENANT)?, event_type.as_bytes());
    let sum = fixed.in_ledger(stage_number(pending.stage), &pending, siblings(row)?);
    Ok((pending, sum))
}

fn siblings<'r>(row: &'r Row<'_>) -> Result<Option<&'r [u8]>> {
    let siblings = row.get_ref(SIBLINGS)?.as_blob_or_null();
    Ok(siblings.map_err(rusqlite::Error::from)?)
}

fn pending(row: &Row<'_>) -> Result<Pending> {
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

/// Gives every row that can be read its sum; the others stay without one and are damaged.
pub(super) fn give_sums(conn: &Connection) -> rusqlite::Result<()> {
    let page =
        format!("SELECT {COLUMNS} FROM pending WHERE request > ? ORDER BY request LIMIT {GIVEN_AT_ONCE}");
    let mut query = conn.prepare(&page)?;
    let mut update = conn.prepare("UPDATE pending SET sum = ?2 WHERE request = ?1")?;
    let mut after = i64::MIN;
    loop {
        let mut page = Vec::with_capacity(GIVEN_AT_ONCE);
        let mut rows = query.query([after])?;
        while let Some(row) = rows.next()? {
            page.push((row.get(0)?, expected(row).ok().map(|(_, sum)| sum)));
        }
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = *last;
        for (request, sum) in page {
            update.execute(params![request, sum])?;
        }
    }
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
    let mut query = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE request = ?"))?;
    let mut rows = query.query([delivery])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let entry = entry_of(conn, row)?;
    // The number may be that of another delivery's further request.
    Ok(Some(entry).filter(|entry| entry.parts[0].delivery.number() == delivery))
}

/// The delivery whose first row this is, of [`COLUMNS`].
pub(super) fn entry_of(conn: &Connection, row: &Row<'_>) -> Result<Entry> {
    let mut parts = vec![read(row)?];
    let (tenant, event_type) = (row.get(TENANT)?, row.get(EVENT_TYPE)?);
    if let Some(siblings) = siblings(row)? {
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

/// The statements that change a row. The last value of each is what the new values come to in its sum, or in
/// case of a sibling what makes it another than the first row's.
pub(super) static RENDERED: LazyLock<String> = LazyLock::new(|| {
    use Moving::{DueAt, Runs, Stage, Throttles, Tries};
    format!(
        "UPDATE pending SET stage = 1, runs = ?2, due_at = ?3, siblings = ?4, tries = 0, throttles = 0, sum = {}
         WHERE request = ?1 AND delivery = ?1 AND stage = 0 AND siblings IS NULL",
        sum::moved(&[Stage, Runs, DueAt, Tries, Throttles], "?5")
    )
});
pub(super) static SIBLING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO pending (request, delivery, event, subscription, tenant, stage, attempts, tries,
                              throttles, runs, due_at, event_type, profile, sum)
         SELECT ?1, delivery, event, subscription, ?2, 1, 0, 0, 0, runs, ?3, event_type, profile, {}
         FROM pending WHERE request = ?4",
        sum::moved(&[Moving::Attempts, Moving::DueAt], "?5")
    )
});
pub(super) static RAN: LazyLock<String> = LazyLock::new(|| {
    let sum = sum::moved(&[Moving::Runs, Moving::DueAt], "?4");
    format!("UPDATE pending SET runs = ?2, due_at = ?3, sum = {sum} WHERE request = ?1")
});
pub(super) static AGAIN: LazyLock<String> = LazyLock::new(|| {
    use Moving::{Attempts, DueAt, Throttles, Tries};
    format!(
        "UPDATE pending SET attempts = ?2, due_at = ?3, tries = ?4, throttles = ?5, sum = {}
         WHERE request = ?1 AND stage < 2 AND attempts = ?2 - 1",
        sum::moved(&[Attempts, DueAt, Tries, Throttles], "?6")
    )
});
pub(super) static PART: LazyLock<String> = LazyLock::new(|| {
    let sum = sum::moved(&[Moving::Stage, Moving::Attempts, Moving::Tries], "?5");
    format!("UPDATE pending SET stage = ?2, attempts = ?3, tries = ?4, sum = {sum} WHERE request = ?1")
});
pub(super) static DUE: LazyLock<String> = LazyLock::new(|| {
    let sum = sum::moved(&[Moving::DueAt], "?3");
    format!("UPDATE pending SET due_at = ?2, sum = {sum} WHERE request = ?1")
});

/// Puts a delivery's rows in.
pub(super) fn insert(conn: &Connection, entry: &Entry) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO pending (request, delivery, event, subscription, tenant, stage, attempts, tries,
                              throttles, runs, due_at, event_type, siblings, profile, sum)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let others = entry.parts.iter().skip(1).map(|part| part.request.number());
    let mut siblings = Some(pack::numbers(others)).filter(|siblings| !siblings.is_empty());
    for part in &entry.parts {
        let siblings = siblings.take();
        let fixed = sum::Fixed::of(part, entry.tenant, entry.event_type.as_bytes());
        let stage = stage_number(part.stage);
        statement.execute(params![
            part.request.number(),
            part.delivery.number(),
            part.event.number(),
            part.subscription.number(),
            entry.tenant,
            stage,
            part.attempts,
            part.tries,
            part.throttles,
            part.runs,
            part.due_at.as_millis(),
            entry.event_type,
            siblings,
            part.profile.map(profile::Number::get),
            fixed.in_ledger(stage, part, siblings.as_deref()),
        ])?;
    }
    Ok(())
}
