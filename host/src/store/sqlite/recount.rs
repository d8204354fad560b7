//! Going through everything that is stored, stride by stride: what `hookway doctor --full` does.
//!
//! Each stride is one short reading of one state of the database. Rows that move between two strides (a
//! delivery that ends, a segment that is dropped) are seen before or after, and never make a fault: what is
//! compared with each other is read in the same stride. The counters have to be, so beside a serving router
//! they are counted again only up to a number of rows. A table is looked at in one stride too, unless it is a
//! long one of [`ids`].

mod ids;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use self::ids::Ids;
use super::last_attempt::PACKED_BYTES_MAX;
use super::resend::Finished;
use super::segments::{self, Segment};
use super::{config_rows, ledger, migrations, reception_rows, row, sum};
use crate::checkup::stride::{Area, Payload, Place, Stride};
use crate::delivery::{AttemptResult, Pending, Stage};
use crate::digest::Digest;
use crate::id::{DeliveryId, EventId, ReceptionId, RequestId, SubscriptionId};
use crate::store::{Error, Result};

/// Rows of the ledger, or payloads, in one stride.
const ROWS: usize = 1_000;
/// Bytes of payloads in one stride; the last may go beyond.
const BYTES: usize = 8 << 20;
/// Rows that are counted in one reading beside a serving router: about two seconds, in which the WAL can
/// grow and not shrink.
const COUNTED_MAX: i64 = 5_000_000;

/// Who else uses the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// A router serves.
    Router,
    /// Nobody: it may take as long as it takes.
    Nobody,
}

/// One stride.
pub(super) fn stride(conn: &Connection, from: &Place, company: Company) -> Result<Stride> {
    let done = match from {
        Place::Structure { after } => structure(conn, after, company),
        Place::Rows { table, after } => ids::rows(conn, table, *after),
        Place::Ledger { after } => ledger_page(conn, *after),
        Place::Counters => counters(conn, company),
        Place::Components { after } => component(conn, *after),
        Place::Payloads {
            segment,
            payload,
            after,
        } => payloads(conn, *segment, *payload, *after),
    };
    // What cannot be read is what was looked for. It costs the rest of its table, not the rest of the search.
    match done {
        Err(Error::Damaged { what }) => {
            let mut stride = Stride::new(from.area());
            stride.fault(format!("{what} is damaged at {from}"));
            stride.next = behind(from);
            Ok(stride)
        }
        done => done,
    }
}

/// Where to go on when nothing more can be read here.
fn behind(place: &Place) -> Option<Place> {
    match place {
        Place::Structure { .. } => Some(Place::Ledger { after: 0 }),
        Place::Rows { table, .. } => Some(Place::Structure { after: table.clone() }),
        Place::Ledger { .. } => Some(Place::Counters),
        Place::Counters => Some(Place::Components { after: 0 }),
        Place::Components { .. } => Some(FIRST_PAYLOAD),
        Place::Payloads { segment, payload, .. } => {
            let (segment, payload) = match payload.next() {
                Some(payload) => (Some(*segment), payload),
                None => (segment.checked_add(1), Payload::Event),
            };
            segment.map(|segment| Place::Payloads {
                segment,
                payload,
                after: 0,
            })
        }
    }
}

const FIRST_PAYLOAD: Place = Place::Payloads {
    segment: 0,
    payload: Payload::Event,
    after: 0,
};

/// One table with its indexes, or the first rows of a long one.
fn structure(conn: &Connection, after: &str, company: Company) -> Result<Stride> {
    let mut stride = Stride::new(Area::Structure);
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name > ? AND name NOT LIKE 'sqlite%'
               ORDER BY name LIMIT 1";
    let table: Option<String> = conn.query_row(sql, [after], |row| row.get(0)).optional()?;
    let Some(table) = table else {
        stride.next = Some(Place::Ledger { after: 0 });
        return Ok(stride);
    };
    if company == Company::Router
        && let Some(long) = Ids::long(conn, &table)?
    {
        return long.stride(conn, Ids::FIRST);
    }
    let quoted = table.replace('"', "\"\"");
    let mut check = conn.prepare(&format!("PRAGMA integrity_check(\"{quoted}\")"))?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            stride.fault(format!("{table}: {said}"));
        }
    }
    stride.looked_at = 1;
    stride.next = Some(Place::Structure { after: table });
    Ok(stride)
}

/// A page of the ledger: each row is what was written, and has its event, its request where plugins made one,
/// and its siblings.
fn ledger_page(conn: &Connection, after: i64) -> Result<Stride> {
    let mut stride = Stride::new(Area::Ledger);
    let all = segments::load(conn)?;
    let columns = ledger::COLUMNS;
    let sql = format!("SELECT {columns} FROM pending WHERE request > ? ORDER BY request LIMIT ?");
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query(params![after, i64::try_from(ROWS).unwrap_or(i64::MAX)])?;
    let (mut last, mut bytes, mut event) = (after, 0, None);
    let (mut full, mut count) = (false, 0);
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        (stride.looked_at, count) = (stride.looked_at + 1, count + 1);
        let pending = match ledger::read(row) {
            Err(Error::Damaged { what }) => {
                stride.fault(format!("{what} is damaged"));
                continue;
            }
            read => read?,
        };
        // Rows of one event follow one another: it is read once.
        if event != Some(pending.event) {
            event = Some(pending.event);
            bytes += event_of(conn, &all, &pending, &mut stride)?;
        }
        bytes += request_of(conn, &all, &pending, &mut stride)?;
        siblings_of(conn, &pending, &mut stride)?;
        if bytes >= BYTES {
            full = true;
            break;
        }
    }
    stride.next = Some(match full || count >= ROWS {
        true => Place::Ledger { after: last },
        false => Place::Counters,
    });
    Ok(stride)
}

/// The size of the event of a row.
fn event_of(conn: &Connection, all: &[Segment], pending: &Pending, stride: &mut Stride) -> Result<usize> {
    let (delivery, event) = (pending.delivery, pending.event);
    match segments::find(conn, all, "event", event.number(), row::event) {
        Ok(Some((_, stored))) => return Ok(stored.event.data.len()),
        Ok(None) => stride.fault(format!("{delivery} waits, but its event {event} is not there")),
        Err(Error::Damaged { .. } | Error::Backend(_)) => {
            stride.fault(format!(
                "{delivery} waits, but the data of its event {event} is damaged"
            ));
        }
        Err(error) => return Err(error),
    }
    Ok(0)
}

/// The size of the request of a row, where plugins made it.
fn request_of(conn: &Connection, all: &[Segment], pending: &Pending, stride: &mut Stride) -> Result<usize> {
    if pending.stage == Stage::Accepted {
        return Ok(0);
    }
    let (delivery, request) = (pending.delivery, pending.request);
    match segments::find(conn, all, "request", request.number(), row::request) {
        Ok(Some((_, stored))) => return Ok(stored.body.len()),
        Ok(None) => stride.fault(format!(
            "{delivery} waits, but its request {request} is not there"
        )),
        Err(Error::Damaged { .. } | Error::Backend(_)) => {
            stride.fault(format!("{delivery} waits, but its request {request} is damaged"));
        }
        Err(error) => return Err(error),
    }
    Ok(0)
}

/// A delivery's first row names the others, and the others belong to one that is there.
fn siblings_of(conn: &Connection, pending: &Pending, stride: &mut Stride) -> Result<()> {
    let delivery = pending.delivery;
    let first = pending.request.number() == delivery.number();
    match (first, ledger::entry(conn, delivery.number())) {
        (_, Err(Error::Damaged { what })) => stride.fault(format!("{delivery}: {what} is damaged")),
        (_, Err(error)) => return Err(error),
        (true, Ok(_)) => {}
        (false, Ok(entry)) => {
            let known = entry.is_some_and(|entry| {
                let mut parts = entry.parts.iter();
                parts.any(|part| part.request == pending.request)
            });
            if !known {
                stride.fault(format!(
                    "{} is in the ledger, but its delivery {delivery} does not know it",
                    pending.request
                ));
            }
        }
    }
    Ok(())
}

/// Deliveries of one subscription by how they are, counted by rows or kept as counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    delivered: i64,
    filtered: i64,
    failed: i64,
    pending: i64,
}

/// The counters against the rows. What waits is compared exactly. What has ended leaves with its segment, so
/// it is compared exactly as long as no segment has left, and otherwise there may only not be more of it than
/// was counted.
fn counters(conn: &Connection, company: Company) -> Result<Stride> {
    let mut stride = Stride::new(Area::Counters);
    stride.next = Some(Place::Components { after: 0 });
    let sum = "SELECT coalesce(sum(pending), 0), coalesce(sum(created - pending), 0) FROM counter";
    let (waiting, ended): (i64, i64) = conn.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let bounded = |rows: i64| company == Company::Router && rows > COUNTED_MAX;
    if bounded(waiting) {
        stride.remark = Some(format!(
            "not compared: {waiting} deliveries wait, more than the {COUNTED_MAX} that are counted beside a \
             serving router; stop it, or restore a backup elsewhere, and run it there"
        ));
        return Ok(stride);
    }
    let mut rows: BTreeMap<i64, Count> = BTreeMap::new();
    // The first row of a delivery has its number; the others are the same delivery's.
    let sql = "SELECT subscription, count(*) FROM pending WHERE request = delivery GROUP BY subscription";
    let mut query = conn.prepare(sql)?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        rows.entry(row.get(0)?).or_default().pending = row.get(1)?;
    }
    let history = match bounded(ended) {
        true => History::NotCounted,
        false => count_ended(conn, &mut rows)?,
    };
    stride.remark = Some(history.remark(ended));
    compare(conn, &rows, history, &mut stride)?;
    Ok(stride)
}

/// How much of what has ended could be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    /// All that ever ended is still there.
    Whole,
    /// Segments have left.
    Shortened,
    /// There is too much of it.
    NotCounted,
}

impl History {
    fn remark(self, ended: i64) -> String {
        match self {
            Self::Whole => "what waits and what has ended was compared exactly".to_owned(),
            Self::Shortened => {
                "what waits was compared exactly; of what has ended some has expired, so the rows must only \
                 not be more than were counted"
                    .to_owned()
            }
            Self::NotCounted => format!(
                "what waits was compared exactly; what has ended was not: {ended} deliveries are more than \
                 the {COUNTED_MAX} that are counted beside a serving router"
            ),
        }
    }
}

fn count_ended(conn: &Connection, rows: &mut BTreeMap<i64, Count>) -> Result<History> {
    let all = segments::load(conn)?;
    for segment in &all {
        let sql = format!(
            "SELECT subscription, state, count(*) FROM delivery_{} GROUP BY subscription, state",
            segment.n
        );
        let mut query = conn.prepare(&sql)?;
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            let count = rows.entry(row.get(0)?).or_default();
            let of = match row.get::<_, i64>(1)? {
                1 => &mut count.delivered,
                2 => &mut count.filtered,
                _ => &mut count.failed,
            };
            *of += row.get::<_, i64>(2)?;
        }
    }
    // Numbers of segments begin with 1, follow one another and are never used twice.
    let newest = all.iter().map(|segment| segment.n).max().unwrap_or(0);
    let whole = i64::try_from(all.len()).is_ok_and(|there| there == newest);
    Ok(if whole { History::Whole } else { History::Shortened })
}

fn compare(
    conn: &Connection,
    rows: &BTreeMap<i64, Count>,
    history: History,
    stride: &mut Stride,
) -> Result<()> {
    let mut kept: BTreeMap<i64, (i64, Count)> = BTreeMap::new();
    let sql = "SELECT subscription, created, delivered, filtered, failed, pending FROM counter";
    let mut query = conn.prepare(sql)?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let count = Count {
            delivered: row.get(2)?,
            filtered: row.get(3)?,
            failed: row.get(4)?,
            pending: row.get(5)?,
        };
        kept.insert(row.get(0)?, (row.get(1)?, count));
    }
    let subscriptions: BTreeSet<i64> = rows.keys().chain(kept.keys()).copied().collect();
    for number in subscriptions {
        let id = SubscriptionId::from_number(number);
        let counted = rows.get(&number).copied().unwrap_or_default();
        let (created, counter) = kept.get(&number).copied().unwrap_or_default();
        stride.looked_at += 1;
        let sum = counter.delivered + counter.filtered + counter.failed + counter.pending;
        if created != sum {
            stride.fault(format!(
                "{id}: created is {created}, but its parts add up to {sum}"
            ));
        }
        if counted.pending != counter.pending {
            stride.fault(format!(
                "{id}: pending is counted as {}, but {} are in the ledger",
                counter.pending, counted.pending
            ));
        }
        for (word, kept, counted) in [
            ("delivered", counter.delivered, counted.delivered),
            ("filtered", counter.filtered, counted.filtered),
            ("failed", counter.failed, counted.failed),
        ] {
            let wrong = match history {
                History::Whole => kept != counted,
                History::Shortened => kept < counted,
                History::NotCounted => false,
            };
            if wrong {
                stride.fault(format!(
                    "{id}: {word} is counted as {kept}, but there are {counted}"
                ));
            }
        }
    }
    Ok(())
}

/// One component; before the first, everything else that is configured.
fn component(conn: &Connection, after: i64) -> Result<Stride> {
    let mut stride = Stride::new(Area::Payloads);
    if after == 0 {
        for table in migrations::CONFIGURED {
            for damaged in sum::damaged(conn, table, "TRUE", [])? {
                stride.fault(format!("{damaged} is damaged"));
            }
        }
    }
    let sql = "SELECT rowid, digest FROM component WHERE rowid > ? ORDER BY rowid LIMIT 1";
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?));
    let Some((number, digest)) = conn.query_row(sql, [after], read).optional()? else {
        stride.next = Some(FIRST_PAYLOAD);
        return Ok(stride);
    };
    let digest = Digest::from_bytes(digest);
    match config_rows::component(conn, digest) {
        Ok(_) => {}
        Err(Error::Damaged { what }) => stride.fault(format!("{what} is damaged")),
        Err(error) => return Err(error),
    }
    stride.looked_at = 1;
    stride.next = Some(Place::Components { after: number });
    Ok(stride)
}

/// A page of payloads.
fn payloads(conn: &Connection, segment: i64, payload: Payload, after: i64) -> Result<Stride> {
    let mut stride = Stride::new(Area::Payloads);
    let all = segments::load(conn)?;
    // The first that is there; it may have left since the last stride.
    let Some(there) = all.iter().map(|known| known.n).filter(|n| *n >= segment).min() else {
        return Ok(stride);
    };
    let (payload, after) = match there == segment {
        true => (payload, after),
        false => (Payload::Event, 0),
    };
    let key = match payload {
        Payload::Attempt | Payload::Run => "delivery",
        Payload::Event | Payload::Request | Payload::Delivery | Payload::Reception => "id",
    };
    let kind = payload.as_str();
    let sql = format!("SELECT * FROM {kind}_{there} WHERE {key} > ? ORDER BY {key}");
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query([after])?;
    let (mut last, mut bytes, mut count) = (after, 0, 0);
    let mut full = false;
    while let Some(found) = rows.next()? {
        let number = found.get(0)?;
        // A delivery's attempts are in one stride.
        if number != last && (count >= ROWS || bytes >= BYTES) {
            full = true;
            break;
        }
        last = number;
        match length_of(payload, found) {
            Ok(length) => bytes += length,
            Err(Error::Damaged { .. } | Error::Backend(_)) => stride.fault(damaged(payload, found)?),
            Err(error) => return Err(error),
        }
        count += 1;
    }
    stride.looked_at = u64::try_from(count).unwrap_or(u64::MAX);
    let here = Place::Payloads {
        segment: there,
        payload,
        after: last,
    };
    stride.next = if full { Some(here) } else { behind(&here) };
    Ok(stride)
}

/// About how many bytes a row has, if it is what was written.
fn length_of(payload: Payload, found: &Row<'_>) -> Result<usize> {
    Ok(match payload {
        Payload::Event => row::event(found)?.event.data.len(),
        Payload::Request => row::request(found)?.body.len(),
        Payload::Attempt => match row::attempt(found)?.result {
            AttemptResult::Response { body, .. } => body.len(),
            AttemptResult::Error { detail, .. } => detail.len(),
        },
        Payload::Run => row::run(found)?.logs.len(),
        Payload::Delivery => {
            let finished = Finished::read(found)?;
            finished.parts.len() + finished.last.map_or(0, |_| PACKED_BYTES_MAX)
        }
        Payload::Reception => reception_rows::whole(found)?.body.map_or(0, |body| body.len()),
    })
}

/// What is said of a damaged row.
fn damaged(payload: Payload, found: &Row<'_>) -> Result<String> {
    let number: i64 = found.get(0)?;
    let delivery = DeliveryId::from_number(number);
    Ok(match payload {
        Payload::Event => format!("{} is damaged", EventId::from_number(number)),
        Payload::Request => {
            let (request, delivery) = (RequestId::from_number(number), found.get(1)?);
            format!("{request} of {} is damaged", DeliveryId::from_number(delivery))
        }
        Payload::Attempt => format!("an attempt of {delivery} is damaged"),
        Payload::Run => format!("a run of the plugins of {delivery} is damaged"),
        Payload::Delivery => format!("what became of {delivery} is damaged"),
        Payload::Reception => format!("{} is damaged", ReceptionId::from_number(number)),
    })
}
