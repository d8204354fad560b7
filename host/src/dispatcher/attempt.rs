//! One row, from the moment it may start to the commit of its outcome.
//!
//! ```text
//! accepted ─► plugins ─► requests committed ─┐
//! rendered ──────────────────────────────────┴─► envelope ─► signature ─► egress ─► verdict ─► committed
//! ```
//!
//! The permit is held until the outcome is committed, so that after a crash at most the rows under
//! way are sent again. A store that is full or busy is asked again; one that has failed ends the
//! dispatcher.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt as _;

use super::lane::Health;
use super::permit::{Fate, Permit, Report};
use super::send::{Asked, send};
use super::tell::{self, End, Share};
use super::tools::{STOP_RETRY, Stop, Stopped, Tools};
use crate::delivery::{AfterRun, Cause, Change, NewEvent, Pending, PluginRun, Request, RunOutcome, Stage};
use crate::event::Event;
use crate::metrics::{self, Came, Via};
use crate::render::{self, Rendered};
use crate::routing::Route;
use crate::store::{self, AcceptedEvent, Recorded};
use crate::time::Timestamp;

/// A row under way for longer gives its permit to others.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Wait before plugins that are not available are asked for again; it costs no run.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(30);
/// Pause before a row is tried again whose data the store could not give now.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// Most runs of the plugins of one delivery that ended in `retry` or a passing fault.
const RUNS_MAX: u16 = 5;
/// Wait after a run that asked to be run again and named no time; doubles with each run.
const RUN_RETRY: Duration = Duration::from_secs(5);

/// Sees a row through. One that takes long, in a plugin or at an endpoint, gives its permit to others.
pub(super) async fn run(tools: Arc<Tools>, mut permit: Permit, event: Option<Arc<Event>>) {
    let (row, resend) = (permit.row, permit.resend);
    let mut report = Report::default();
    let seen = {
        let mut seeing = std::pin::pin!(see_through(&tools, row, resend, event, &mut report));
        match tokio::time::timeout(SLOW_AFTER, &mut seeing).await {
            Ok(seen) => seen,
            Err(_slow) => {
                permit.became_slow();
                seeing.await
            }
        }
    };
    permit.report = report;
    permit.fate = Some(match seen {
        Ok(fate) => fate,
        Err(error) => Box::pin(after_store_error(&tools, row, error)).await,
    });
}

/// What becomes of a row whose store call failed. One row's trouble is its own; a store that has
/// failed for good ends the dispatcher.
async fn after_store_error(tools: &Tools, row: Pending, error: store::Error) -> Fate {
    let shown = &error as &dyn std::error::Error;
    match &error {
        // Somebody ended it in between, such as housekeeping, or our reading of it was old.
        store::Error::Missing { .. } => Fate::Misread,
        store::Error::Damaged { what } if *what != store::WHOLE_DATABASE => {
            tracing::error!(delivery.id = %row.delivery, what, "stored data is damaged; the delivery fails");
            let reason = format!("stored data is damaged: {what}");
            match abandon(tools, row, Cause::Damaged, &reason).await {
                Ok(fate) => fate,
                Err(_) => Fate::Unrecorded,
            }
        }
        store::Error::Full(_) | store::Error::Busy => Fate::Again(later(tools, row)),
        _ => {
            tracing::error!(error = shown, delivery.id = %row.delivery, "the store failed");
            Fate::Unrecorded
        }
    }
}

/// The row again, a little later; the ledger still has it as it was.
fn later(tools: &Tools, row: Pending) -> Pending {
    Pending {
        due_at: tools.clock.now().plus(STORE_RETRY),
        ..row
    }
}

async fn see_through(
    tools: &Tools,
    row: Pending,
    resend: bool,
    event: Option<Arc<Event>>,
    report: &mut Report,
) -> store::Result<Fate> {
    let Some(route) = tools.registry.route(row.subscription) else {
        return abandon(
            tools,
            row,
            Cause::SubscriptionDeleted,
            "the subscription was deleted",
        )
        .await;
    };
    let event = match event {
        Some(event) => Some(event),
        None => tools.loader.event(row.event).await?,
    };
    let Some(event) = event else {
        return abandon(tools, row, Cause::Expired, "the event's payload has expired").await;
    };
    let (row, requests, share): (_, Option<Arc<[Request]>>, _) = match row.stage {
        // What was sent once without plugins stays what it was: the same id never carries other bytes.
        Stage::Accepted if row.attempts == 0 && !route.subscription().plugins.is_empty() => {
            match Box::pin(run_plugins(tools, row, &route, &event, report)).await? {
                Ready::Send(row, requests) => (row, Some(requests), Share::Whole),
                Ready::Ended(fate) => return Ok(fate),
            }
        }
        Stage::Accepted => (row, None, Share::Whole),
        Stage::Rendered => match tools.store.request(row.request).await? {
            Some(request) => (row, Some([request].into()), Share::Perhaps),
            None => return abandon(tools, row, Cause::Expired, "the request's body has expired").await,
        },
        // The ledger keeps these for the count only; nothing is left to be done for them.
        Stage::PartDelivered | Stage::PartFailed => return Ok(Fate::Finished),
    };
    let asked = Asked { row, resend, share };
    let request = requests.as_deref().and_then(<[Request]>::first);
    send(tools, report, asked, &route, &event, request).await
}

enum Ready {
    /// The row, and the one request that it is.
    Send(Pending, Arc<[Request]>),
    Ended(Fate),
}

/// Runs the plugins and commits what they made, before anything of it is sent.
async fn run_plugins(
    tools: &Tools,
    mut row: Pending,
    route: &Arc<Route>,
    event: &Arc<Event>,
    report: &mut Report,
) -> store::Result<Ready> {
    let Some(look) = tools.registry.edition(row.profile, route) else {
        return Ok(Ready::Ended(hold_unread(tools, row, route, event.hops).await));
    };
    row.runs = row.runs.saturating_add(1);
    let rendering = tools.renderer.render(route, event, row.delivery, row.runs);
    let render::Rendering {
        runs,
        result,
        emitted,
    } = rendering.await;
    tools.metrics.ran(&runs);
    let now = tools.clock.now();
    let emitted = emitted
        .into_iter()
        .map(|event| tools.ingest.route(event, now))
        .collect::<Vec<_>>();
    if runs
        .iter()
        .any(|run| matches!(run.outcome, RunOutcome::Fault { .. }))
    {
        report.health = Health::Sick;
    }
    // Why the plugins are to run once more, where they are.
    let again = match &result {
        Rendered::Unavailable { reason }
        | Rendered::Again { reason, .. }
        | Rendered::Misconfigured { reason } => reason.clone(),
        Rendered::Requests(_) | Rendered::Filtered { .. } | Rendered::Failed { .. } => String::new(),
    };
    let plugin = runs.last().map(|run| run.plugin.clone()).unwrap_or_default();
    let fate = match result {
        Rendered::Requests(made) => {
            let about = route.about(event, row.delivery);
            let envelope = route.subscription().envelope;
            let requests = match render::requests_of(made, envelope, &look.profile, about, &tools.ids, now) {
                Ok(requests) => requests,
                Err(reason) => return fail(tools, row, event, runs, reason, now).await,
            };
            let rows: Vec<Pending> = requests
                .iter()
                .map(|request| rendered_row(row, request, now))
                .collect();
            let requests: Arc<[Request]> = requests.into();
            let change = Change::Rendered {
                pending: row,
                tenant: event.tenant,
                runs: runs.into(),
                requests: Arc::clone(&requests),
                emitted: emitted.clone(),
                at: now,
            };
            record(tools, change).await?;
            enter(tools, emitted, now);
            if let [only] = rows[..]
                && only.due_at <= now
            {
                return Ok(Ready::Send(only, requests));
            }
            return Ok(Ready::Ended(Fate::Parts(rows)));
        }
        Rendered::Filtered { reason } => AfterRun::Filtered { reason },
        Rendered::Failed { cause, reason } => AfterRun::Failed { cause, reason },
        Rendered::Unavailable { reason } => {
            tracing::warn!(delivery.id = %row.delivery, reason, "a plugin is not available");
            AfterRun::Again {
                due_at: now.plus(UNAVAILABLE_RETRY),
            }
        }
        Rendered::Again { reason, .. } if row.runs >= RUNS_MAX => AfterRun::Failed {
            cause: Cause::PluginGaveUp,
            reason: format!("given up after {RUNS_MAX} plugin runs: {reason}"),
        },
        Rendered::Again { after, .. } => {
            let doubled = RUN_RETRY * 2_u32.saturating_pow(u32::from(row.runs.saturating_sub(1)));
            AfterRun::Again {
                due_at: now.plus(after.unwrap_or(doubled)),
            }
        }
        Rendered::Misconfigured { reason } => {
            let how = Stop::HoldForPlugin {
                plugin: plugin.clone(),
            };
            let stopped = tools
                .steward
                .stop(route.subscription(), how, reason, event.hops)
                .await;
            AfterRun::Again {
                due_at: stopped.due_at(now),
            }
        }
    };
    record(
        tools,
        Change::Ran {
            pending: row,
            runs,
            next: fate.clone(),
            emitted: emitted.clone(),
            at: now,
        },
    )
    .await?;
    enter(tools, emitted, now);
    let (status, reason) = match fate {
        AfterRun::Filtered { reason } => ("filtered", Some(reason)),
        AfterRun::Failed { reason, .. } => ("failed", Some(reason)),
        AfterRun::Again { due_at } => {
            let row = Pending { due_at, ..row };
            tell::run_failed(tools, &row, event, plugin, again, now);
            return Ok(Ready::Ended(Fate::Again(row)));
        }
    };
    let end = End {
        status,
        reason,
        at: now,
    };
    // A row that is not rendered is all that its delivery has.
    tell::ended(tools, &row, event, Share::Whole, end).await;
    Ok(Ready::Ended(Fate::Finished))
}

/// Ends a row whose plugins made what cannot be sent; nothing that they made enters.
async fn fail(
    tools: &Tools,
    row: Pending,
    event: &Arc<Event>,
    runs: Vec<PluginRun>,
    reason: String,
    now: Timestamp,
) -> store::Result<Ready> {
    let change = Change::Ran {
        pending: row,
        runs,
        next: AfterRun::Failed {
            cause: Cause::Invalid,
            reason: reason.clone(),
        },
        emitted: Vec::new(),
        at: now,
    };
    record(tools, change).await?;
    let end = End {
        status: "failed",
        reason: Some(reason),
        at: now,
    };
    tell::ended(tools, &row, event, Share::Whole, end).await;
    Ok(Ready::Ended(Fate::Finished))
}

fn rendered_row(row: Pending, request: &Request, now: Timestamp) -> Pending {
    Pending {
        request: request.id,
        stage: Stage::Rendered,
        due_at: request.not_before.map_or(now, |time| time.max(now)),
        ..row
    }
}

fn enter(tools: &Tools, emitted: Vec<NewEvent>, now: Timestamp) {
    tools.metrics.came(Via::Plugin, came(&emitted));
    let accepted: Vec<AcceptedEvent> = emitted
        .iter()
        .map(|new| AcceptedEvent {
            id: new.event.id,
            matched: u32::try_from(new.deliveries.len()).unwrap_or(u32::MAX),
            duplicate: false,
        })
        .collect();
    tools.ingest.hand_over(emitted, &accepted, now);
}

fn came(emitted: &[NewEvent]) -> Came {
    Came {
        new: emitted.len() as u64,
        duplicate: 0,
        bytes: emitted.iter().map(|new| new.event.data.len() as u64).sum(),
    }
}

/// Ends a row without an attempt.
pub(super) async fn abandon(tools: &Tools, row: Pending, cause: Cause, reason: &str) -> store::Result<Fate> {
    let now = tools.clock.now();
    let change = Change::Abandoned {
        pending: row,
        cause,
        reason: reason.to_owned(),
        at: now,
    };
    record(tools, change).await?;
    tell::abandoned(tools, &row).await;
    Ok(Fate::Finished)
}

/// Holds the subscription of a row that cannot be sent as things are configured, until a person has seen to
/// it. The row stays as it is, and no attempt is counted. `hops` are those of its event.
pub(super) async fn hold(tools: &Tools, row: Pending, route: &Route, reason: String, hops: u8) -> Fate {
    let how = Stop::Hold { probe_at: None };
    let stopped = tools.steward.stop(route.subscription(), how, reason, hops).await;
    let now = tools.clock.now();
    let due_at = match stopped {
        Stopped::Done => now,
        // Whatever it is by now may not be able to send either: not at once.
        Stopped::MovedOn | Stopped::Unwritten => now.plus(STOP_RETRY),
    };
    Fate::Again(Pending { due_at, ..row })
}

/// Holds the subscription of a row whose version of the profile cannot be read: another binary can.
pub(super) async fn hold_unread(tools: &Tools, row: Pending, route: &Route, hops: u8) -> Fate {
    let number = row.profile.unwrap_or(route.edition().number);
    let shelf = tools.registry.shelf();
    let version = match shelf.unread(number) {
        Some(unread) => unread.to_string(),
        None => format!("number {number}"),
    };
    let reason = format!(
        "the delivery {} looks like the profile's version {version}, which this version of Hookway cannot read; \
         run one that can, and enable the subscription",
        row.delivery
    );
    hold(tools, row, route, reason, hops).await
}

/// Commits a change; waits where the store has no room now, because an outcome must not be lost.
pub(super) async fn record(tools: &Tools, change: Change) -> store::Result<Recorded> {
    let (store, stalled) = (&tools.store, &tools.stalled);
    let began = tools.clock.mark();
    let write = || {
        let writing = store.record(store.epoch(), vec![change.clone()]);
        writing.inspect_err(|error| tools.metrics.unwritten(error.unwritten()))
    };
    let recorded = stalled.written(write).await?;
    tools
        .metrics
        .took(metrics::Stage::Record, tools.clock.since(began));
    Ok(recorded.into_iter().next().unwrap_or_default())
}
