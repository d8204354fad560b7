//! Rows of a segment as values of the domain, and the few values that have a form of their own.
//!
//! Payloads are compared with the hash that was stored beside them: SQLite has no checksums of its
//! pages, and wrong bytes must never be sent.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Row;

use super::fingerprint::{self, Fingerprint};
use super::{ledger, pack, sum};
use crate::delivery::{
    Attempt, AttemptResult, ErrorKind, FaultKind, LogLevel, LogLine, Pending, PluginRun, Request, RunOutcome,
    Stage,
};
use crate::digest::Digest;
use crate::event::Event;
use crate::id::{DeliveryId, EventId, RequestId, TenantId};
use crate::store::{Error, Result, StoredEvent};
use crate::time::Timestamp;

fn damaged(what: impl Into<String>) -> Error {
    Error::Damaged { what: what.into() }
}

fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<Option<&'r [u8]>> {
    let value = row.get_ref(column)?;
    Ok(value.as_blob_or_null().map_err(rusqlite::Error::from)?)
}

/// A row of `event_<n>`, whole.
pub(super) fn event(row: &Row<'_>) -> Result<StoredEvent> {
    let event = Event {
        id: EventId::from_number(row.get(0)?),
        tenant: TenantId::from_number(row.get(1)?),
        source: row.get(2)?,
        producer_id: row.get(3)?,
        event_type: row.get(4)?,
        subject: row.get(5)?,
        time: Timestamp::from_millis(row.get(6)?),
        received_at: Timestamp::from_millis(row.get(7)?),
        content_type: row.get(8)?,
        extensions: pack::read_pairs(blob(row, 9)?)?,
        // No part of what is delivered: where they are damaged, the event is not.
        headers: pack::read_pairs(blob(row, 14)?).unwrap_or_default(),
        hops: row.get(10)?,
        data: Bytes::copy_from_slice(blob(row, 13)?.unwrap_or_default()),
    };
    let hash: Fingerprint = row.get(12)?;
    let matched = row.get(11)?;
    let content = fingerprint::of_event(&event);
    // Earlier versions kept the hash of the content alone.
    if fingerprint::of_event_row(&event, matched, &content) != hash && content != hash {
        return Err(damaged(event.id.to_string()));
    }
    Ok(StoredEvent {
        event: Arc::new(event),
        matched,
    })
}

/// A row of `request_<n>`, whole.
pub(super) fn request(row: &Row<'_>) -> Result<Request> {
    let request = Request {
        id: RequestId::from_number(row.get(0)?),
        delivery: DeliveryId::from_number(row.get(1)?),
        method: row.get(2)?,
        path: row.get(3)?,
        headers: pack::read_pairs(blob(row, 4)?)?,
        not_before: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        body: Bytes::copy_from_slice(blob(row, 7)?.unwrap_or_default()),
    };
    let hash: Fingerprint = row.get(6)?;
    // As with events.
    if fingerprint::of_request_row(&request) != hash && fingerprint::of_request(&request) != hash {
        return Err(damaged(request.id.to_string()));
    }
    Ok(request)
}

/// A row of `attempt_<n>`, whole.
pub(super) fn attempt(row: &Row<'_>) -> Result<Attempt> {
    let delivery = DeliveryId::from_number(row.get(0)?);
    sum::check(row, 13, || format!("an attempt of {delivery}"))?;
    let result = match row.get::<_, Option<u16>>(7)? {
        Some(status) => AttemptResult::Response {
            status,
            headers: pack::read_pairs(blob(row, 10)?)?,
            truncated: row.get(11)?,
            body: Bytes::copy_from_slice(blob(row, 12)?.unwrap_or_default()),
        },
        None => AttemptResult::Error {
            kind: error_kind(&row.get::<_, String>(8)?)?,
            detail: row.get(9)?,
        },
    };
    Ok(Attempt {
        delivery,
        request: RequestId::from_number(row.get(1)?),
        number: row.get(2)?,
        started_at: Timestamp::from_millis(row.get(3)?),
        duration_ms: row.get(4)?,
        result,
        resend: row.get(5)?,
        signature_headers: pack::read_pairs(blob(row, 6)?)?,
    })
}

pub(super) fn error_kind(word: &str) -> Result<ErrorKind> {
    let all = [
        ErrorKind::Dns,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Timeout,
        ErrorKind::Protocol,
        ErrorKind::Refused,
        ErrorKind::Invalid,
    ];
    let found = all.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| damaged(format!("error kind {word:?}")))
}

/// The parts of an ended delivery: of each its number, its stage and its attempts.
pub(super) fn parts(parts: &[Pending]) -> Vec<u8> {
    pack::numbers(parts.iter().flat_map(|part| {
        [
            part.request.number(),
            ledger::stage_number(part.stage),
            i64::from(part.attempts),
        ]
    }))
}

/// What [`parts`] wrote.
pub(super) fn read_parts(bytes: &[u8]) -> Result<Vec<(RequestId, Stage, u16)>> {
    let numbers = pack::read_numbers(bytes)?;
    let (triples, _) = numbers.as_chunks::<3>();
    let read = |[request, stage, attempts]: &[i64; 3]| {
        let attempts = u16::try_from(*attempts).map_err(|_| damaged("attempts of a part"))?;
        Ok((RequestId::from_number(*request), ledger::stage(*stage)?, attempts))
    };
    triples.iter().map(read).collect()
}

/// The columns that an outcome of a run fills.
#[derive(Debug, Default)]
pub(super) struct OutcomeColumns<'a> {
    pub(super) number: i64,
    pub(super) first: Option<i64>,
    pub(super) second: Option<i64>,
    pub(super) fault: Option<&'static str>,
    pub(super) reason: Option<&'a str>,
}

/// An outcome as columns.
pub(super) fn outcome(outcome: &RunOutcome) -> OutcomeColumns<'_> {
    let plain = |number, reason| OutcomeColumns {
        number,
        reason: Some(reason),
        ..OutcomeColumns::default()
    };
    match outcome {
        RunOutcome::Deliver { requests, events } => OutcomeColumns {
            number: 0,
            first: Some(i64::from(*requests)),
            second: Some(i64::from(*events)),
            ..OutcomeColumns::default()
        },
        RunOutcome::Filtered { reason } => plain(1, reason),
        RunOutcome::Reject { reason } => plain(2, reason),
        RunOutcome::Retry { reason, after_ms } => OutcomeColumns {
            first: after_ms.map(i64::from),
            ..plain(3, reason)
        },
        RunOutcome::Misconfigured { reason } => plain(4, reason),
        RunOutcome::Fault { kind, detail } => OutcomeColumns {
            fault: Some(fault_word(*kind)),
            ..plain(5, detail)
        },
    }
}

const FAULTS: [(FaultKind, &str); 7] = [
    (FaultKind::Trap, "trap"),
    (FaultKind::Timeout, "timeout"),
    (FaultKind::Memory, "memory"),
    (FaultKind::Stack, "stack"),
    (FaultKind::OutputTooLarge, "output_too_large"),
    (FaultKind::InvalidOutput, "invalid_output"),
    (FaultKind::Unavailable, "unavailable"),
];

const fn fault_word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Trap => FAULTS[0].1,
        FaultKind::Timeout => FAULTS[1].1,
        FaultKind::Memory => FAULTS[2].1,
        FaultKind::Stack => FAULTS[3].1,
        FaultKind::OutputTooLarge => FAULTS[4].1,
        FaultKind::InvalidOutput => FAULTS[5].1,
        FaultKind::Unavailable => FAULTS[6].1,
    }
}

/// A row of `run_<n>`, whole.
pub(super) fn run(row: &Row<'_>) -> Result<PluginRun> {
    let delivery = DeliveryId::from_number(row.get(0)?);
    sum::check(row, 15, || format!("a run of the plugins of {delivery}"))?;
    let reason = || row.get::<_, String>(12);
    let outcome = match row.get::<_, i64>(8)? {
        0 => RunOutcome::Deliver {
            requests: row.get(9)?,
            events: row.get(10)?,
        },
        1 => RunOutcome::Filtered { reason: reason()? },
        2 => RunOutcome::Reject { reason: reason()? },
        3 => RunOutcome::Retry {
            reason: reason()?,
            after_ms: row.get(9)?,
        },
        4 => RunOutcome::Misconfigured { reason: reason()? },
        _ => {
            let word: String = row.get(11)?;
            let kind = FAULTS.iter().find(|(_, known)| *known == word);
            let (kind, _) = kind.ok_or_else(|| damaged(format!("fault {word:?}")))?;
            RunOutcome::Fault {
                kind: *kind,
                detail: reason()?,
            }
        }
    };
    Ok(PluginRun {
        run: row.get(1)?,
        step: row.get(2)?,
        plugin: row.get(3)?,
        digest: Digest::from_bytes(row.get(4)?),
        started_at: Timestamp::from_millis(row.get(5)?),
        duration_us: row.get::<_, i64>(6)?.unsigned_abs(),
        memory_bytes: row.get::<_, i64>(7)?.unsigned_abs(),
        outcome,
        logs: read_logs(blob(row, 13)?)?,
        logs_dropped: row.get(14)?,
    })
}

const LEVELS: [LogLevel; 5] = [
    LogLevel::Trace,
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
];

/// Log lines as bytes: the level, then the text.
pub(super) fn logs(lines: &[LogLine]) -> Option<Vec<u8>> {
    if lines.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for line in lines {
        let level = match line.level {
            LogLevel::Trace => 0,
            LogLevel::Debug => 1,
            LogLevel::Info => 2,
            LogLevel::Warn => 3,
            LogLevel::Error => 4,
        };
        bytes.push(level);
        pack::put(&mut bytes, &line.message);
    }
    Some(bytes)
}

fn read_logs(bytes: Option<&[u8]>) -> Result<Vec<LogLine>> {
    let mut rest = bytes.unwrap_or_default();
    let mut lines = Vec::new();
    while let Some((level, after)) = rest.split_first() {
        rest = after;
        let level = LEVELS
            .get(usize::from(*level))
            .ok_or_else(|| damaged("a log level"))?;
        lines.push(LogLine {
            level: *level,
            message: pack::take(&mut rest)?,
        });
    }
    Ok(lines)
}
