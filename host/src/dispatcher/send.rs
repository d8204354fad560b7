//! Sending one request: signed now, sent, judged, committed.

use std::sync::Arc;

use super::attempt::{abandon, hold, hold_unread, record};
use super::lane::Health;
use super::life;
use super::permit::{Fate, Report};
use super::tell::{self, End, Share};
use super::tools::{Stop, Tools};
use crate::delivery::{Attempt, AttemptResult, Cause, Change, ErrorKind, Next, Pending, Request};
use crate::egress;
use crate::event::Event;
use crate::metrics;
use crate::outbound;
use crate::own_event;
use crate::profile::Edition;
use crate::retry::{Counts, Decision};
use crate::routing::Route;
use crate::sentinel::Tried;
use crate::store;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// A row to be sent.
pub(super) struct Asked {
    pub(super) row: Pending,
    /// Whether a person asked for it.
    pub(super) resend: bool,
    /// How much of its delivery it is.
    pub(super) share: Share,
}

/// Sends a request and commits what came of it.
pub(super) async fn send(
    tools: &Tools,
    report: &mut Report,
    Asked { row, resend, share }: Asked,
    route: &Arc<Route>,
    event: &Arc<Event>,
    request: Option<&Request>,
) -> store::Result<Fate> {
    let subscription = route.subscription();
    // Its looks are those that it began with; what follows from an answer is today's business.
    let Some(look) = tools.registry.edition(row.profile, route) else {
        return Ok(hold_unread(tools, row, route, event.hops).await);
    };
    // Reached by who tries a held subscription every few seconds for days.
    let Some(number) = row.attempts.checked_add(1) else {
        let reason = format!(
            "given up after {} attempts, the most that are counted",
            row.attempts
        );
        return abandon(tools, row, Cause::AttemptsUsedUp, &reason).await;
    };
    let started_at = tools.clock.now();
    let (result, duration_ms, signature_headers) =
        match build(tools, route, &look, event, &row, request, started_at) {
            Ok((outbound, signature_headers)) => {
                let sent = tools.clock.mark();
                let reply = tools.egress.send(outbound).await;
                tools.metrics.took(metrics::Stage::Send, tools.clock.since(sent));
                report.sent = true;
                (reply.result, reply.duration_ms, signature_headers)
            }
            // The secrets of today are its subscription's business, not a fault of the delivery.
            Err(fault @ outbound::Fault::Secret { .. }) => {
                return Ok(hold(tools, row, route, cannot_sign(&row, &fault), event.hops).await);
            }
            Err(fault) => (
                AttemptResult::Error {
                    kind: ErrorKind::Invalid,
                    detail: fault.to_string(),
                },
                0,
                Vec::new(),
            ),
        };
    let now = tools.clock.now();
    report.health = health_of(&result);
    tools.metrics.attempted(&result);
    let decision = decide(tools, route, &row, &result, now);
    let attempt = Arc::new(Attempt {
        request: row.request,
        delivery: row.delivery,
        number,
        started_at,
        duration_ms,
        result,
        resend,
        signature_headers,
    });
    let next = next_of(decision, report, &row, (subscription, event.hops), tools, now).await;
    let sent = Pending {
        attempts: number,
        ..row
    };
    let sample = life::sample_of(&attempt, &next);
    let change = Change::Attempted {
        pending: row,
        attempt: Arc::clone(&attempt),
        next: next.clone(),
        at: now,
    };
    let recorded = record(tools, change).await?;
    tools
        .feed
        .tell(|| tell::attempted(&sent, event, &attempt, &next, now));
    if let Some(tried) = tried(&row, event, &next) {
        tools.gauges.attempted(row.subscription, tried, now);
    }
    let after = life::After {
        report: *report,
        recorded,
        sample,
        hops: event.hops,
    };
    life::follow(tools, route, after, now).await;
    let (status, reason) = match next {
        Next::Again {
            due_at,
            tries,
            throttles,
        } => {
            return Ok(Fate::Again(Pending {
                due_at,
                tries,
                throttles,
                ..sent
            }));
        }
        Next::Delivered => ("delivered", None),
        Next::Failed { reason, .. } => ("failed", Some(reason)),
    };
    let end = End {
        status,
        reason,
        at: now,
    };
    tell::ended(tools, &sent, event, share, end).await;
    Ok(Fate::Finished)
}

fn cannot_sign(row: &Pending, fault: &outbound::Fault) -> String {
    format!("the delivery {} cannot be signed: {fault}", row.delivery)
}

/// The request with its signature, ready to leave.
fn build(
    tools: &Tools,
    route: &Route,
    look: &Edition,
    event: &Event,
    row: &Pending,
    request: Option<&Request>,
    now: Timestamp,
) -> Result<(egress::Outbound, Vec<(String, String)>), outbound::Fault> {
    let prepared = tools.endpoints.of(route.subscription(), look, now)?;
    let endpoint = &prepared.endpoint;
    let about = route.about(event, row.delivery);
    let mut outbound = endpoint.request(&look.profile, about, now, request)?;
    let signature = endpoint.sign(&row.request.to_string(), &outbound, now);
    outbound::add_headers(&mut outbound.headers, &signature)?;
    let outbound::Outbound {
        method,
        url,
        headers,
        body,
    } = outbound;
    let timeout = route.timeout();
    let response_body_max = route.edition().profile.response_body_bytes_max;
    Ok((
        egress::Outbound {
            method,
            target: prepared.target(url),
            headers,
            spelling: prepared.spelling.clone(),
            body,
            timeout,
            response_body_max,
        },
        signature,
    ))
}

fn decide(tools: &Tools, route: &Route, row: &Pending, result: &AttemptResult, now: Timestamp) -> Decision {
    let disable_on_gone = route.subscription().endpoint.disable_on_gone;
    let classes = &route.edition().profile.classes;
    let verdict = classes.verdict(result, disable_on_gone, now);
    // The operator's word is above all others'.
    let schedule = tools.schedule.as_ref().unwrap_or_else(|| route.schedule());
    let counts = Counts {
        tries: row.tries,
        throttles: row.throttles,
    };
    schedule.decide(counts, verdict, now, rand::random())
}

async fn next_of(
    decision: Decision,
    report: &mut Report,
    row: &Pending,
    (subscription, hops): (&Subscription, u8),
    tools: &Tools,
    now: Timestamp,
) -> Next {
    let (how, reason) = match decision {
        Decision::Again {
            due_at,
            tries,
            throttles,
        } => {
            if throttles > row.throttles {
                report.pause = Some(due_at);
            }
            return Next::Again {
                due_at,
                tries,
                throttles,
            };
        }
        Decision::Delivered => return Next::Delivered,
        Decision::Failed { reason } => {
            return Next::Failed {
                cause: reason.cause(),
                given_up: reason.given_up(),
                reason: reason.to_string(),
            };
        }
        Decision::Hold { reason, probe_after } => {
            let probe_at = probe_after.map(|after| now.plus(after));
            (Stop::Hold { probe_at }, reason)
        }
        Decision::Disable { reason } => (Stop::Disable, reason),
    };
    report.stops = true;
    let stopped = tools
        .steward
        .stop(subscription, how, reason.to_string(), hops)
        .await;
    Next::Again {
        due_at: stopped.due_at(now),
        tries: row.tries,
        throttles: row.throttles,
    }
}

/// What an attempt says about its endpoint, for alerts: nothing where it was asked to wait, and nothing where
/// it was told of Hookway itself, for an alert must not follow from alerts.
fn tried(row: &Pending, event: &Event, next: &Next) -> Option<Tried> {
    match next {
        _ if own_event::is_own(&event.event_type) => None,
        Next::Delivered => Some(Tried::Well),
        Next::Again { throttles, .. } if *throttles > row.throttles => None,
        Next::Again { .. } | Next::Failed { .. } => Some(Tried::Badly),
    }
}

fn health_of(result: &AttemptResult) -> Health {
    match result {
        AttemptResult::Response { status, .. } if *status >= 500 => Health::Sick,
        AttemptResult::Response { .. } => Health::Well,
        AttemptResult::Error { .. } => Health::Sick,
    }
}
