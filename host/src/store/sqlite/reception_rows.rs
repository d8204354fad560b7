//! Rows of receptions: what came to the sources and what became of it.
//!
//! They are written once, to the open segment, and leave with it; nothing carries them over. Those of
//! accepted requests are written in the transaction of their events. Bodies are read only where one
//! reception is asked for.

use std::net::IpAddr;

use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use super::newest::{Filter, Newest, by_newest};
use super::work::Work;
use super::{pack, segments, sum};
use crate::digest::Digest;
use crate::id::{EventId, ReceptionId, SourceId, TenantId};
use crate::reception::{DETAIL_BYTES_MAX, Outcome, Reception, Refusal};
use crate::store::{Error, OutcomeFilter, ReceptionQuery, Result};
use crate::time::Timestamp;

/// The numbers in `reception_<n>.outcome`.
const ACCEPTED: i64 = 0;
const HANDSHAKE: i64 = 1;
const REFUSED: i64 = 2;

/// All columns of `reception_<n>` but the body, with nothing in its place.
const WITHOUT_BODY: &str = "id, tenant, source, received_at, remote, method, headers, bytes, digest, status, \
                            outcome, first, events, duplicates, changed, word, detail, unrecorded, NULL";

/// About how many bytes a reception takes.
pub(super) fn weight(reception: &Reception) -> usize {
    512 + pack::length(&reception.headers) + reception.body.as_ref().map_or(0, Bytes::len)
}

/// The columns that an outcome fills.
#[derive(Default)]
struct OutcomeColumns<'a> {
    number: i64,
    first: Option<i64>,
    counts: [Option<u32>; 3],
    word: Option<&'a str>,
    detail: Option<&'a str>,
}

fn columns(outcome: &Outcome) -> OutcomeColumns<'_> {
    match outcome {
        Outcome::Accepted {
            first,
            events,
            duplicates,
            changed,
        } => OutcomeColumns {
            number: ACCEPTED,
            first: Some(first.number()),
            counts: [Some(*events), Some(*duplicates), Some(*changed)],
            ..OutcomeColumns::default()
        },
        Outcome::Handshake { name } => OutcomeColumns {
            number: HANDSHAKE,
            word: Some(name),
            ..OutcomeColumns::default()
        },
        Outcome::Refused { reason, detail } => OutcomeColumns {
            number: REFUSED,
            word: Some(reason.as_str()),
            detail: Some(&detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)]),
            ..OutcomeColumns::default()
        },
    }
}

/// Stores a reception that came without events.
pub(super) fn record(work: &mut Work<'_>, reception: &Reception) -> Result<()> {
    work.begin(reception.received_at)?;
    insert(work, reception, &reception.outcome)
}

/// Stores a reception with this outcome in the open segment.
pub(super) fn insert(work: &mut Work<'_>, reception: &Reception, outcome: &Outcome) -> Result<()> {
    let Reception {
        id,
        tenant,
        source,
        received_at,
        remote,
        method,
        headers,
        bytes,
        digest,
        status,
        outcome: _,
        body,
        unrecorded,
    } = reception;
    let (v4, v6);
    let remote: &[u8] = match remote {
        IpAddr::V4(address) => {
            v4 = address.octets();
            &v4
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            &v6
        }
    };
    let headers = pack::pairs(headers);
    let OutcomeColumns {
        number,
        first,
        counts: [events, duplicates, changed],
        word,
        detail,
    } = columns(outcome);
    let values = params![
        id.number(),
        tenant.number(),
        source.number(),
        received_at.as_millis(),
        remote,
        method,
        headers,
        i64::try_from(*bytes).unwrap_or(i64::MAX),
        digest.as_ref().map(Digest::as_bytes),
        status,
        number,
        first,
        events,
        duplicates,
        changed,
        word,
        detail,
        unrecorded,
        body.as_deref(),
    ];
    sum::insert(&mut *work.statement(&work.tally.sql.reception)?, values)?;
    let payload = headers.as_ref().map_or(0, Vec::len)
        + detail.map_or(0, str::len)
        + body.as_ref().map_or(0, Bytes::len);
    work.stored(id.number(), payload);
    Ok(())
}

fn damaged(id: i64) -> Error {
    Error::Damaged {
        what: ReceptionId::from_number(id).to_string(),
    }
}

fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<Option<&'r [u8]>> {
    let value = row.get_ref(column)?;
    Ok(value.as_blob_or_null().map_err(rusqlite::Error::from)?)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// A row of `reception_<n>`, whole.
pub(super) fn whole(row: &Row<'_>) -> Result<Reception> {
    let id = ReceptionId::from_number(row.get(0)?);
    sum::check(row, 19, || id.to_string())?;
    read(row)
}

/// A row of `reception_<n>`; the body may be left out, and with it the check of the sum.
fn read(row: &Row<'_>) -> Result<Reception> {
    let id: i64 = row.get(0)?;
    let outcome = match row.get::<_, i64>(10)? {
        ACCEPTED => Outcome::Accepted {
            first: EventId::from_number(row.get(11)?),
            events: row.get(12)?,
            duplicates: row.get(13)?,
            changed: row.get(14)?,
        },
        HANDSHAKE => Outcome::Handshake { name: row.get(15)? },
        _ => Outcome::Refused {
            reason: Refusal::of(&row.get::<_, String>(15)?).ok_or_else(|| damaged(id))?,
            detail: row.get(16)?,
        },
    };
    Ok(Reception {
        id: ReceptionId::from_number(id),
        tenant: TenantId::from_number(row.get(1)?),
        source: SourceId::from_number(row.get(2)?),
        received_at: Timestamp::from_millis(row.get(3)?),
        remote: address(blob(row, 4)?.unwrap_or_default()).ok_or_else(|| damaged(id))?,
        method: row.get(5)?,
        headers: pack::read_pairs(blob(row, 6)?)?,
        bytes: row.get::<_, i64>(7)?.unsigned_abs(),
        digest: row.get::<_, Option<[u8; 32]>>(8)?.map(Digest::from_bytes),
        status: row.get(9)?,
        outcome,
        unrecorded: row.get(17)?,
        body: blob(row, 18)?.map(Bytes::copy_from_slice),
    })
}

pub(super) fn reception(conn: &Connection, id: ReceptionId) -> Result<Option<Reception>> {
    let all = segments::load(conn)?;
    let found = segments::find(conn, &all, "reception", id.number(), whole)?;
    Ok(found.map(|(_, reception)| reception))
}

pub(super) fn receptions(conn: &Connection, query: &ReceptionQuery) -> Result<Vec<Reception>> {
    let outcome = query.outcome.map(|outcome| match outcome {
        OutcomeFilter::Accepted => ACCEPTED,
        OutcomeFilter::Handshake => HANDSHAKE,
        OutcomeFilter::Refused => REFUSED,
    });
    let mut filter = Filter::default();
    filter.add("id < ?", query.before.map(ReceptionId::number));
    filter.add("tenant = ?", query.tenant.map(TenantId::number));
    filter.add("source = ?", query.source.map(SourceId::number));
    filter.add("outcome = ?", outcome);
    let mut newest = Newest::new(query.limit);
    for segment in by_newest(conn)? {
        if newest.is_full(segment.high) {
            break;
        }
        let table = format!("reception_{}", segment.n);
        newest.ask(conn, (WITHOUT_BODY, &table, "id"), &filter, |row| {
            let reception = read(row)?;
            Ok((reception.id.number(), reception))
        })?;
    }
    Ok(newest.into_vec())
}
