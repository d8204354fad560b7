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

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::endpoints::Endpoints;
use super::queue::Health;
use crate::activity::{Activity, Feed, What};
use crate::clock::Clock;
use crate::delivery::{AfterRun, Attempt, AttemptResult, Change, ErrorKind, Next, Pending, Request, Stage};
use crate::egress::{self, Egress};
use crate::event::Event;
use crate::id::{Generator, SubscriptionId};
use crate::ingest::Ingest;
use crate::outbound;
use crate::profile::{self, Profile};
use crate::registry::Registry;
use crate::render::{self, Rendered, Renderer};
use crate::retry::{Counts, Decision, Schedule};
use crate::routing::Route;
use crate::store::{self, AcceptedEvent, Store};
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// A request under way for longer gives its permit to others.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// Pause before a full or busy store is asked again to record an outcome.
const RECORD_RETRY: Duration = Duration::from_millis(500);
/// Most runs of the plugins of one delivery that ended in `retry` or a passing fault.
const RUNS_MAX: u16 = 5;
/// Wait after a run that asked to be run again and named no time; doubles with each run.
const RUN_RETRY: Duration = Duration::from_secs(5);

/// Why the router stops a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It may be resumed: the endpoint or the configuration is at fault for now.
    Hold,
    /// The endpoint is gone.
    Disable,
}

/// Stops subscriptions on the dispatcher's word.
pub trait Steward: Send + Sync + 'static {
    /// Stops one, durably; nothing where it is stopped already.
    fn stop(&self, subscription: SubscriptionId, how: Stop, reason: String) -> BoxFuture<'_, ()>;
}

/// Everything that seeing a row through takes.
pub struct Tools {
    /// History and ledger.
    pub store: Arc<dyn Store>,
    /// The subscriptions.
    pub registry: Arc<Registry>,
    /// Runs plugins.
    pub renderer: Renderer,
    /// Sends requests.
    pub egress: Egress,
    /// Where emitted events enter.
    pub ingest: Arc<Ingest>,
    /// Makes ids.
    pub ids: Arc<Generator>,
    /// Tells the time.
    pub clock: Clock,
    /// Hears what happens.
    pub feed: Feed,
    /// Stops subscriptions.
    pub steward: Arc<dyn Steward>,
    /// Endpoints, prepared once.
    pub endpoints: Endpoints,
    /// In place of the profiles' own schedules, if the operator said so.
    pub schedule: Option<Schedule>,
}

pub(super) enum Outcome {
    BecameSlow(SubscriptionId),
    Ended(Ended),
}

pub(super) struct Ended {
    pub(super) row: Pending,
    pub(super) was_slow: bool,
    pub(super) health: Health,
    pub(super) pause: Option<Timestamp>,
    pub(super) fate: Fate,
}

pub(super) enum Fate {
    /// Gone from the ledger.
    Finished,
    /// In the ledger with this new state.
    Again(Pending),
    /// Replaced in the ledger by these rows.
    Parts(Vec<Pending>),
    /// The store has failed for good.
    Unrecorded,
}

/// The right to be under way. When it goes, however that happens, the loop hears of it.
pub(super) struct Permit {
    row: Pending,
    was_slow: bool,
    health: Health,
    pause: Option<Timestamp>,
    fate: Option<Fate>,
    outcomes: mpsc::Sender<Outcome>,
}

impl Permit {
    pub(super) fn new(row: Pending, outcomes: mpsc::Sender<Outcome>) -> Self {
        Self {
            row,
            was_slow: false,
            health: Health::Unknown,
            pause: None,
            fate: None,
            outcomes,
        }
    }

    fn became_slow(&mut self) {
        self.was_slow = true;
        self.send(Outcome::BecameSlow(self.row.subscription));
    }

    fn send(&self, outcome: Outcome) {
        // The channel has room for two messages of every row under way; only a loop that has ended
        // does not take it.
        let _loop_has_ended = self.outcomes.try_send(outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Without a fate the task panicked: a bug of ours, after which nothing is known.
        let fate = self.fate.take().unwrap_or(Fate::Unrecorded);
        let (row, was_slow, health, pause) = (self.row, self.was_slow, self.health, self.pause);
        self.send(Outcome::Ended(Ended {
            row,
            was_slow,
            health,
            pause,
            fate,
        }));
    }
}

/// Sees a row through.
pub(super) async fn run(tools: Arc<Tools>, mut permit: Permit, event: Option<Arc<Event>>) {
    let fate = see_through(&tools, &mut permit, event).await;
    permit.fate = Some(fate.unwrap_or_else(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            delivery.id = %permit.row.delivery,
            "a delivery could not go on because the store failed"
        );
        Fate::Unrecorded
    }));
}

async fn see_through(tools: &Tools, permit: &mut Permit, event: Option<Arc<Event>>) -> store::Result<Fate> {
    let row = permit.row;
    let Some(route) = tools.registry.route(row.subscription) else {
        return abandon(tools, row, "the subscription was deleted").await;
    };
    let event = match event {
        Some(event) => Some(event),
        None => tools
            .store
            .events_by_id(vec![row.event])
            .await?
            .into_iter()
            .next()
            .flatten(),
    };
    let Some(event) = event else {
        return abandon(tools, row, "the event's payload has expired").await;
    };
    match row.stage {
        Stage::Accepted if !route.subscription().plugins.is_empty() => {
            match run_plugins(tools, permit, &route, &event).await? {
                Ready::Send(row, request) => send(tools, permit, row, &route, &event, Some(request)).await,
                Ready::Ended(fate) => Ok(fate),
            }
        }
        Stage::Accepted => send(tools, permit, row, &route, &event, None).await,
        Stage::Rendered => match tools.store.request(row.request).await? {
            Some(request) => send(tools, permit, row, &route, &event, Some(request)).await,
            None => abandon(tools, row, "the request's body has expired").await,
        },
        // The ledger only keeps these for the count; they are never due.
        Stage::PartDelivered | Stage::PartFailed => Ok(Fate::Finished),
    }
}

enum Ready {
    Send(Pending, Request),
    Ended(Fate),
}

/// Runs the plugins and commits what they made, before anything of it is sent.
async fn run_plugins(
    tools: &Tools,
    permit: &mut Permit,
    route: &Arc<Route>,
    event: &Arc<Event>,
) -> store::Result<Ready> {
    let mut row = permit.row;
    row.runs = row.runs.saturating_add(1);
    let rendering = tools.renderer.render(route, event, row.delivery, row.runs);
    let render::Rendering {
        runs,
        result,
        emitted,
    } = rendering.await;
    let now = tools.clock.now();
    let emitted = emitted
        .into_iter()
        .map(|event| tools.ingest.route(event, now))
        .collect::<Vec<_>>();
    let fate = match result {
        Rendered::Requests(made) => {
            let requests = render::requests_of(made, row.delivery, &tools.ids, now);
            let rows: Vec<Pending> = requests
                .iter()
                .map(|request| rendered_row(row, request, now))
                .collect();
            let first = requests[0].clone();
            let change = Change::Rendered {
                pending: row,
                tenant: event.tenant,
                runs,
                requests,
                emitted: emitted.clone(),
                at: now,
            };
            record(tools, change).await?;
            enter(tools, emitted, now);
            if let [only] = rows[..]
                && only.due_at <= now
            {
                return Ok(Ready::Send(only, first));
            }
            return Ok(Ready::Ended(Fate::Parts(rows)));
        }
        Rendered::Filtered { reason } => AfterRun::Filtered { reason },
        Rendered::Failed { reason } => AfterRun::Failed { reason },
        Rendered::Again { reason, .. } if row.runs >= RUNS_MAX => AfterRun::Failed {
            reason: format!("given up after {RUNS_MAX} plugin runs: {reason}"),
        },
        Rendered::Again { after, .. } => {
            let doubled = RUN_RETRY * 2_u32.saturating_pow(u32::from(row.runs.saturating_sub(1)));
            AfterRun::Again {
                due_at: now.plus(after.unwrap_or(doubled)),
            }
        }
        Rendered::Misconfigured { reason } => {
            tools.steward.stop(row.subscription, Stop::Hold, reason).await;
            AfterRun::Again { due_at: now }
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
    Ok(Ready::Ended(match fate {
        AfterRun::Filtered { reason } => {
            tell_end(tools, &row, event, "filtered", Some(reason), now);
            Fate::Finished
        }
        AfterRun::Failed { reason } => {
            tell_end(tools, &row, event, "failed", Some(reason), now);
            Fate::Finished
        }
        AfterRun::Again { due_at } => Fate::Again(Pending { due_at, ..row }),
    }))
}

fn rendered_row(row: Pending, request: &Request, now: Timestamp) -> Pending {
    Pending {
        request: request.id,
        stage: Stage::Rendered,
        due_at: request.not_before.map_or(now, |time| time.max(now)),
        ..row
    }
}

fn enter(tools: &Tools, emitted: Vec<crate::delivery::NewEvent>, now: Timestamp) {
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

/// Sends a request and commits what came of it.
async fn send(
    tools: &Tools,
    permit: &mut Permit,
    row: Pending,
    route: &Arc<Route>,
    event: &Arc<Event>,
    request: Option<Request>,
) -> store::Result<Fate> {
    let subscription = route.subscription();
    let Some(profile) = profile::built_in(&subscription.profile) else {
        return abandon(tools, row, "the subscription's profile does not exist any more").await;
    };
    let started_at = tools.clock.now();
    let number = row.attempts.saturating_add(1);
    let (result, duration_ms, signature_headers) = match build(
        tools,
        subscription,
        profile,
        event,
        &row,
        request.as_ref(),
        started_at,
    ) {
        Ok((outbound, signature_headers)) => {
            let reply = watch_for_slowness(permit, tools.egress.send(outbound)).await;
            (reply.result, reply.duration_ms, signature_headers)
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
    permit.health = health_of(&result);
    let decision = decide(
        tools,
        profile,
        &row,
        subscription.endpoint.disable_on_gone,
        &result,
        now,
    );
    let attempt = Attempt {
        request: row.request,
        delivery: row.delivery,
        number,
        started_at,
        duration_ms,
        result,
        // The schedule starts anew when a person asks for another attempt.
        resend: row.attempts > 0 && row.tries == 0 && row.throttles == 0,
        signature_headers,
    };
    let mut row = Pending {
        attempts: number,
        ..row
    };
    let next = next_of(decision, permit, row.subscription, tools, now).await;
    tell_attempt(tools, &row, event, &attempt, &next, now);
    let change = Change::Attempted {
        pending: Pending {
            attempts: number - 1,
            ..row
        },
        attempt,
        next: next.clone(),
        at: now,
    };
    record(tools, change).await?;
    Ok(match next {
        Next::Again {
            due_at,
            tries,
            throttles,
        } => {
            row = Pending {
                due_at,
                tries,
                throttles,
                ..row
            };
            Fate::Again(row)
        }
        Next::Delivered | Next::PartDelivered => {
            tell_end(tools, &row, event, "delivered", None, now);
            Fate::Finished
        }
        Next::Failed { reason } => {
            tell_end(tools, &row, event, "failed", Some(reason), now);
            Fate::Finished
        }
        Next::PartFailed => Fate::Finished,
    })
}

/// The request with its signature, ready to leave.
fn build(
    tools: &Tools,
    subscription: &Subscription,
    profile: &Profile,
    event: &Event,
    row: &Pending,
    request: Option<&Request>,
    now: Timestamp,
) -> Result<(egress::Outbound, Vec<(String, String)>), outbound::Fault> {
    let endpoint = tools.endpoints.of(subscription, profile, now)?;
    let mut outbound = endpoint.request(subscription, profile, event, request)?;
    let signature = endpoint.sign(&row.request.to_string(), &outbound, now);
    outbound::add_headers(&mut outbound.headers, &signature)?;
    let outbound::Outbound {
        method,
        url,
        headers,
        body,
    } = outbound;
    let timeout = profile.timeout;
    let response_body_max = profile.response_body_bytes_max;
    Ok((
        egress::Outbound {
            method,
            url,
            headers,
            body,
            timeout,
            response_body_max,
        },
        signature,
    ))
}

fn decide(
    tools: &Tools,
    profile: &Profile,
    row: &Pending,
    disable_on_gone: bool,
    result: &AttemptResult,
    now: Timestamp,
) -> Decision {
    let verdict = profile.classes.verdict(result, disable_on_gone, now);
    let schedule = tools.schedule.as_ref().unwrap_or(&profile.schedule);
    let counts = Counts {
        tries: row.tries,
        throttles: row.throttles,
    };
    schedule.decide(counts, verdict, now, rand::random())
}

async fn next_of(
    decision: Decision,
    permit: &mut Permit,
    subscription: SubscriptionId,
    tools: &Tools,
    now: Timestamp,
) -> Next {
    let row = permit.row;
    let held = Next::Again {
        due_at: now,
        tries: row.tries,
        throttles: row.throttles,
    };
    match decision {
        Decision::Again {
            due_at,
            tries,
            throttles,
        } => {
            if throttles > row.throttles {
                permit.pause = Some(due_at);
            }
            Next::Again {
                due_at,
                tries,
                throttles,
            }
        }
        Decision::Delivered => Next::Delivered,
        Decision::Failed { reason } => Next::Failed {
            reason: reason.to_string(),
        },
        Decision::Hold { reason } => {
            tools
                .steward
                .stop(subscription, Stop::Hold, reason.to_string())
                .await;
            held
        }
        Decision::Disable { reason } => {
            tools
                .steward
                .stop(subscription, Stop::Disable, reason.to_string())
                .await;
            held
        }
    }
}

async fn watch_for_slowness<T>(permit: &mut Permit, sending: impl Future<Output = T>) -> T {
    let mut sending = std::pin::pin!(sending);
    match tokio::time::timeout(SLOW_AFTER, &mut sending).await {
        Ok(reply) => reply,
        Err(_slow) => {
            permit.became_slow();
            sending.await
        }
    }
}

fn health_of(result: &AttemptResult) -> Health {
    match result {
        AttemptResult::Response { status, .. } if *status >= 500 => Health::Sick,
        AttemptResult::Response { .. } => Health::Well,
        AttemptResult::Error { .. } => Health::Sick,
    }
}

async fn abandon(tools: &Tools, row: Pending, reason: &str) -> store::Result<Fate> {
    let change = Change::Abandoned {
        pending: row,
        reason: reason.to_owned(),
        at: tools.clock.now(),
    };
    record(tools, change).await?;
    Ok(Fate::Finished)
}

/// Commits a change; waits where the store has no room now, because an outcome must not be lost.
async fn record(tools: &Tools, change: Change) -> store::Result<()> {
    loop {
        match tools
            .store
            .record(tools.store.epoch(), vec![change.clone()])
            .await
        {
            Err(error @ (store::Error::Full(_) | store::Error::Busy)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an outcome waits to be recorded"
                );
                tokio::time::sleep(RECORD_RETRY).await;
            }
            other => return other,
        }
    }
}

fn tell_attempt(tools: &Tools, row: &Pending, event: &Event, attempt: &Attempt, next: &Next, now: Timestamp) {
    tools.feed.tell(|| {
        let (status_code, error) = match &attempt.result {
            AttemptResult::Response { status, .. } => (Some(*status), None),
            AttemptResult::Error { kind, detail } => (None, Some(format!("{}: {detail}", kind.as_str()))),
        };
        let next_attempt_at = match next {
            Next::Again { due_at, .. } => Some(*due_at),
            _ => None,
        };
        let what = What::Attempted {
            event_id: row.event,
            delivery_id: row.delivery,
            subscription_id: row.subscription,
            number: attempt.number,
            status_code,
            error,
            duration_ms: attempt.duration_ms,
            next_attempt_at,
        };
        Activity {
            time: now,
            tenant: event.tenant,
            what,
        }
    });
}

fn tell_end(
    tools: &Tools,
    row: &Pending,
    event: &Event,
    status: &'static str,
    reason: Option<String>,
    now: Timestamp,
) {
    tools.feed.tell(|| {
        let what = What::Ended {
            event_id: row.event,
            delivery_id: row.delivery,
            subscription_id: row.subscription,
            status,
            reason,
        };
        Activity {
            time: now,
            tenant: event.tenant,
            what,
        }
    });
}
