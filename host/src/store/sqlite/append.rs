//! Appending to history: requests, attempts and runs go to the open segment and are never changed.

use rusqlite::params;

use super::fingerprint::Fingerprint;
use super::work::Work;
use super::{pack, row, sum};
use crate::delivery::{Attempt, AttemptResult, Pending, PluginRun, Request};
use crate::store::Result;
use crate::time::Timestamp;

pub(super) fn request(work: &mut Work<'_>, request: &Request, hash: &Fingerprint) -> Result<()> {
    work.statement(&work.tally.sql.request)?.execute(params![
        request.id.number(),
        request.delivery.number(),
        request.method,
        request.path,
        pack::pairs(&request.headers),
        request.not_before.map(Timestamp::as_millis),
        hash,
        &request.body[..],
    ])?;
    work.stored(request.id.number(), request.body.len());
    Ok(())
}

pub(super) fn attempt(work: &mut Work<'_>, attempt: &Attempt) -> Result<()> {
    let (status, error, detail, headers, truncated, body) = match &attempt.result {
        AttemptResult::Response {
            status,
            headers,
            body,
            truncated,
        } => (
            Some(*status),
            None,
            None,
            pack::pairs(headers),
            Some(*truncated),
            Some(&body[..]),
        ),
        AttemptResult::Error { kind, detail } => {
            (None, Some(kind.as_str()), Some(detail.as_str()), None, None, None)
        }
    };
    let values = params![
        attempt.delivery.number(),
        attempt.request.number(),
        attempt.number,
        attempt.started_at.as_millis(),
        attempt.duration_ms,
        attempt.resend,
        pack::pairs(&attempt.signature_headers),
        status,
        error,
        detail,
        headers,
        truncated,
        // An empty body is the common case and needs no value.
        body.filter(|body| !body.is_empty()),
    ];
    sum::insert(&mut *work.statement(&work.tally.sql.attempt)?, values)?;
    work.stored(attempt.delivery.number(), body.map_or(0, <[u8]>::len));
    Ok(())
}

pub(super) fn runs(work: &mut Work<'_>, pending: &Pending, runs: &[PluginRun]) -> Result<()> {
    for run in runs {
        let outcome = row::outcome(&run.outcome);
        let logs = row::logs(&run.logs);
        let bytes = logs.as_ref().map_or(0, Vec::len);
        let values = params![
            pending.delivery.number(),
            run.run,
            run.step,
            run.plugin,
            run.digest.as_bytes(),
            run.started_at.as_millis(),
            i64::try_from(run.duration_us).unwrap_or(i64::MAX),
            i64::try_from(run.memory_bytes).unwrap_or(i64::MAX),
            outcome.number,
            outcome.first,
            outcome.second,
            outcome.fault,
            outcome.reason,
            logs,
            run.logs_dropped,
        ];
        sum::insert(&mut *work.statement(&work.tally.sql.run)?, values)?;
        work.stored(pending.delivery.number(), bytes);
    }
    Ok(())
}
