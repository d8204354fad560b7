//! Dead letters grouped by cause and status: counted exactly, segment by segment.
//!
//! Each segment is one short reading, so that nothing holds the write-ahead log for long; what fails or
//! is resent between two of them is counted as it stands when its segment is read. Newer segments go
//! first, and where there are more dead letters than one call counts, the oldest are left out and the
//! answer says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::readers::Readers;
use super::segments::{self, Segment};
use crate::delivery::Cause;
use crate::event::OWN_TYPE_PREFIX;
use crate::id::{DeliveryId, SubscriptionId, TenantId};
use crate::routing::Pattern;
use crate::store::{CauseGroup, CauseQuery, Causes, DEAD_LETTERS_COUNTED_MAX, Result};
use crate::time::Timestamp;

type Groups = BTreeMap<(Option<Cause>, Option<u16>), CauseGroup>;

/// Groups all dead letters that the query asks for.
pub(super) async fn group(readers: &Arc<Readers>, query: CauseQuery) -> Result<Causes> {
    let above = query.since.map_or(0, |time| DeliveryId::first_at(time).number());
    let below = query
        .until
        .map_or(i64::MAX, |time| DeliveryId::first_at(time).number());
    let mut all = readers.read(segments::load).await?;
    all.retain(|segment| segment.high >= above && segment.low < below);
    let query = Arc::new(query);
    let (mut groups, mut counted, mut truncated) = (Groups::new(), 0, false);
    for segment in all {
        if counted >= DEAD_LETTERS_COUNTED_MAX {
            truncated = true;
            break;
        }
        let query = Arc::clone(&query);
        let found = readers
            .read(move |conn| of_segment(conn, &query, &segment, (above, below)))
            .await?;
        for group in found {
            counted += group.count;
            let known = groups.entry((group.cause, group.code));
            known.and_modify(|known| merge(known, &group)).or_insert(group);
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(Causes { groups, truncated })
}

fn merge(known: &mut CauseGroup, more: &CauseGroup) {
    known.count += more.count;
    known.first_at = known.first_at.min(more.first_at);
    known.last_at = known.last_at.max(more.last_at);
    if more.sample > known.sample {
        known.sample = more.sample;
        known.sample_reason.clone_from(&more.sample_reason);
    }
}

fn of_segment(
    conn: &Connection,
    query: &CauseQuery,
    segment: &Segment,
    (above, below): (i64, i64),
) -> Result<Vec<CauseGroup>> {
    let n = segment.n;
    if !segments::load(conn)?.iter().any(|known| known.n == n) {
        // It left since the list was read.
        return Ok(Vec::new());
    }
    let mut sql = format!(
        "SELECT cause, code, count(*), min(at), max(at), max(id) FROM delivery_{n}
         WHERE state = 3 AND id >= ? AND id < ?"
    );
    let mut values: Vec<Value> = vec![above.into(), below.into()];
    let mut add = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    let number = |id: i64| Value::from(id);
    add(" AND tenant = ?", query.tenant.map(TenantId::number).map(number));
    add(
        " AND subscription = ?",
        query.subscription.map(SubscriptionId::number).map(number),
    );
    match &query.event_type {
        None => {}
        Some(Pattern::Exact(exact)) => add(" AND event_type = ?", Some(exact.clone().into())),
        Some(Pattern::Below(stem)) => {
            // Everything that begins with the stem and a dot, and has something behind it.
            add(" AND event_type > ?", Some(format!("{stem}.").into()));
            add(" AND event_type < ?", Some(format!("{stem}/").into()));
        }
        Some(Pattern::All) => {
            let beyond = OWN_TYPE_PREFIX.replace('.', "/");
            add(
                " AND NOT (event_type >= ?",
                Some(OWN_TYPE_PREFIX.to_owned().into()),
            );
            add(" AND event_type < ?)", Some(beyond.into()));
        }
    }
    sql.push_str(" GROUP BY cause, code");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut reason = conn.prepare_cached(&format!("SELECT reason FROM delivery_{n} WHERE id = ?"))?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next()? {
        let word: Option<String> = row.get(0)?;
        let sample: i64 = row.get(5)?;
        let text: Option<String> = reason.query_row([sample], |row| row.get(0))?;
        groups.push(CauseGroup {
            cause: word.as_deref().and_then(Cause::parse),
            code: row.get(1)?,
            count: row.get::<_, i64>(2)?.unsigned_abs(),
            first_at: Timestamp::from_millis(row.get(3)?),
            last_at: Timestamp::from_millis(row.get(4)?),
            sample: DeliveryId::from_number(sample),
            sample_reason: text.unwrap_or_default(),
        });
    }
    Ok(groups)
}
