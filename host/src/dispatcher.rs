//! The dispatcher: takes what is due, lane by lane, and sees each row through to its next state.
//!
//! One task owns the [`queue`]; every row that starts gets a task of its own ([`attempt`]) which
//! holds a permit until its outcome is committed. What enters is handed over in memory, without a
//! second read; what does not fit stays in the ledger and is read when there is room. Nothing polls:
//! the loop sleeps until something enters, ends, changes or falls due.

mod attempt;
mod due;
mod endpoints;
mod lane;
mod life;
mod loader;
mod payloads;
mod permit;
mod place;
mod queue;
mod send;
mod stalled;
mod tell;
mod tools;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

pub use endpoints::Endpoints;
pub use lane::QueueLimits;
pub use life::disabled_by;
pub use loader::Loader;
pub use queue::{Lanes, Load, Waits};
pub use stalled::Stalled;
pub use tell::Told;
pub use tools::{Steward, Stop, Stopped, Tools};

use crate::clock::Following;
use crate::delivery::Pending;
use crate::event::Event;
use crate::id::RequestId;
use crate::ingest::{Handover, Wake};
use crate::store;
use payloads::Payloads;
use permit::{Ended, Fate, Outcome, Permit};
use place::Offered;
use queue::Queue;

/// Hand-overs that may wait for the loop; more are read from the ledger instead.
const INBOX_MAX: usize = 16_384;
/// Messages taken from the inbox before the loop looks at anything else.
const INBOX_BATCH: usize = 256;
/// Rows that ended, taken before the loop looks at anything else.
const OUTCOMES_BATCH: usize = 256;
/// Rows of the ledger in one page.
const LEDGER_PAGE: usize = 1_000;
/// Rows of which it is remembered that a person asked for them; it is only shown.
const ASKED_FOR_MAX: usize = 100_000;
/// Pause before the ledger is read again after the store failed to answer.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

/// The way to talk to the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    inbox: mpsc::Sender<Message>,
    lost: Arc<AtomicI64>,
    lost_some: Arc<Notify>,
    stop: Arc<watch::Sender<bool>>,
    settled: watch::Receiver<bool>,
    ended: watch::Receiver<bool>,
}

enum Message {
    Offer {
        event: Arc<Event>,
        rows: Vec<Pending>,
    },
    Queue {
        rows: Vec<Pending>,
    },
    Settled {
        answer: tokio::sync::oneshot::Sender<()>,
    },
    Load {
        answer: tokio::sync::oneshot::Sender<Load>,
    },
}

/// The loop, before it is started: the handle exists first because the way in needs it.
pub struct Loop {
    inbox: mpsc::Receiver<Message>,
    lost: Arc<AtomicI64>,
    lost_some: Arc<Notify>,
    stop: watch::Receiver<bool>,
    /// Whether nothing is under way, nothing is due that could start, and the ledger is read.
    settled: watch::Sender<bool>,
    /// Apart from the one above, which changes often: who waits for the end is not woken each time.
    ended: watch::Sender<bool>,
    limits: QueueLimits,
}

impl Dispatcher {
    /// The handle and the loop behind it.
    pub fn new(limits: QueueLimits) -> (Self, Loop) {
        let (inbox, receiver) = mpsc::channel(INBOX_MAX);
        let lost = Arc::new(AtomicI64::new(i64::MAX));
        let lost_some = Arc::new(Notify::new());
        let stop = Arc::new(watch::Sender::new(false));
        let (settled, watching) = watch::channel(false);
        let (ended, watching_end) = watch::channel(false);
        let work = Loop {
            inbox: receiver,
            lost: lost.clone(),
            lost_some: lost_some.clone(),
            stop: stop.subscribe(),
            settled,
            ended,
            limits,
        };
        (
            Self {
                inbox,
                lost,
                lost_some,
                stop,
                settled: watching,
                ended: watching_end,
            },
            work,
        )
    }

    /// Waits until the loop has ended: it was stopped, or the store has failed.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the loop is gone, which is what is waited for.
        let _gone = ended.wait_for(|ended| *ended).await;
    }

    /// Starts nothing more and waits until what is under way has ended and is committed.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.ended().await;
    }

    /// Waits until nothing is under way and nothing that is due could start.
    pub async fn settled(&self) {
        loop {
            // A message behind all others: what was offered before has been seen when it is answered.
            let (answer, answered) = tokio::sync::oneshot::channel();
            if self.inbox.send(Message::Settled { answer }).await.is_err() || answered.await.is_err() {
                return;
            }
            let mut settled = self.settled.clone();
            // The loop says so when it ends, too.
            if settled.wait_for(|settled| *settled).await.is_err() {
                return;
            }
            if self.inbox.capacity() == self.inbox.max_capacity() {
                return;
            }
        }
    }

    /// What waits longest for its turn, after everything that could start has. Nothing where nothing waits,
    /// or where the loop has no time to say so now.
    pub async fn waits(&self) -> Option<Waits> {
        self.load().await?.waits
    }

    /// How much there is to do. Nothing where the loop has ended.
    pub async fn load(&self) -> Option<Load> {
        let inbox = self.inbox.max_capacity() - self.inbox.capacity();
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.inbox.send(Message::Load { answer }).await.ok()?;
        let load = answered.await.ok()?;
        Some(Load { inbox, ..load })
    }

    fn send(&self, message: Message) {
        if let Err(refused) = self.inbox.try_send(message) {
            let rows = match refused.into_inner() {
                Message::Offer { rows, .. } | Message::Queue { rows } => rows,
                Message::Settled { .. } | Message::Load { .. } => Vec::new(),
            };
            let lowest = rows.iter().map(|row| row.request.number()).min();
            self.read_from(lowest.unwrap_or(i64::MAX));
        }
    }

    fn read_from(&self, number: i64) {
        self.lost.fetch_min(number, Ordering::SeqCst);
        self.lost_some.notify_one();
    }
}

impl Handover for Dispatcher {
    fn offer(&self, event: Arc<Event>, rows: Vec<Pending>) {
        self.send(Message::Offer { event, rows });
    }
}

impl Wake for Dispatcher {
    fn queue(&self, rows: Vec<Pending>) {
        self.send(Message::Queue { rows });
    }

    fn unread(&self, from: RequestId) {
        self.read_from(from.number());
    }
}

type Page = store::Result<Vec<Pending>>;

struct Running {
    tools: Arc<Tools>,
    queue: Queue,
    payloads: Payloads,
    tasks: JoinSet<()>,
    /// Rows whose next attempt a person asked for.
    asked_for: HashSet<RequestId>,
    outcomes: mpsc::Sender<Outcome>,
    /// Who wants to know how much there is to do.
    asking: Vec<tokio::sync::oneshot::Sender<Load>>,
    stopping: bool,
    reading_from: Option<RequestId>,
    /// What the queue has heard of the clock.
    following: Following,
}

impl Loop {
    /// Runs until it is stopped and everything under way has ended.
    pub async fn run(mut self, tools: Arc<Tools>) {
        // Every row under way sends two messages at the most, so sending never has to wait.
        let room = 2 * (self.limits.in_flight_max + self.limits.slow_max) + 16;
        let (outcomes, mut ended) = mpsc::channel(room);
        let mut running = Running {
            queue: Queue::new(self.limits),
            payloads: Payloads::default(),
            tasks: JoinSet::new(),
            asked_for: HashSet::new(),
            outcomes,
            asking: Vec::new(),
            stopping: false,
            reading_from: None,
            following: tools.clock.follow(),
            tools: tools.clone(),
        };
        let mut changes = tools.registry.watch();
        let mut page: Option<BoxFuture<'static, Page>> = None;
        let mut batch = Vec::with_capacity(INBOX_BATCH);
        let mut over = Vec::with_capacity(OUTCOMES_BATCH);
        let mut retry_at = None;
        let mut next_probe = life::next_probe(&tools.registry, tools.clock.now());
        loop {
            let now = running.follow_clock();
            let lost = self.lost.swap(i64::MAX, Ordering::SeqCst);
            if lost != i64::MAX {
                running.queue.unread(RequestId::from_number(lost));
            }
            // Before anything starts: a subscription that was just stopped gets nothing more.
            let probes = next_probe.is_some_and(|at| life::may_probe(at, now));
            if probes || changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                running.queue.refresh(now, |id| life::mode_of(&tools, id, now));
                next_probe = life::next_probe(&tools.registry, now);
            }
            running.queue.tick(now);
            if page.is_none()
                && retry_at.is_none_or(|at| at <= now || at > now.plus(LEDGER_RETRY))
                && !running.stopping
            {
                retry_at = None;
                page = running.begin_reading(now);
            }
            running.start_what_may(now);
            running.answer_who_asks();
            let under_way = running.queue.under_way();
            let settled = under_way == 0 && page.is_none() && retry_at.is_none();
            self.settled
                .send_if_modified(|state| std::mem::replace(state, settled) != settled);
            if running.stopping && under_way == 0 {
                break;
            }
            let wakes = [running.queue.next_due(), retry_at, next_probe]
                .into_iter()
                .flatten();
            let wake = wakes.min().filter(|_| !running.stopping);
            tokio::select! {
                biased;
                // The loop holds a sender, so there is always at least one.
                _count = ended.recv_many(&mut over, OUTCOMES_BATCH) => {
                    for outcome in over.drain(..) {
                        running.ended(outcome);
                    }
                }
                count = self.inbox.recv_many(&mut batch, INBOX_BATCH) => {
                    for message in batch.drain(..) {
                        running.take_in(message);
                    }
                    // Every handle is gone: nobody can hand anything over or stop us any more.
                    running.stopping |= count == 0;
                }
                read = async { page.as_mut().expect("guarded by the condition").await }, if page.is_some() => {
                    page = running.read(read, &mut retry_at);
                }
                // The top of the loop looks at what changed.
                Ok(()) = changes.changed() => changes.mark_changed(),
                // The top of the loop takes it up.
                () = self.lost_some.notified() => {}
                Ok(()) = self.stop.changed() => running.stopping = true,
                () = wait_until(&tools, wake) => {}
            }
        }
        self.settled.send_replace(true);
        self.ended.send_replace(true);
    }
}

async fn wait_until(tools: &Tools, due: Option<crate::time::Timestamp>) {
    match due {
        Some(due) => tools.clock.sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Running {
    fn take_in(&mut self, message: Message) {
        match message {
            Message::Offer { event, rows } => {
                let mut with_payload = 0;
                for row in rows {
                    let stuck = self.queue.is_stuck(row.subscription);
                    if self.offer(row) == Offered::Placed && !stuck {
                        with_payload += 1;
                    }
                }
                self.payloads.keep(event, with_payload);
            }
            Message::Queue { rows } => {
                let now = self.tools.clock.now();
                if self.asked_for.len() > ASKED_FOR_MAX {
                    self.asked_for.clear();
                }
                for row in rows {
                    self.asked_for.insert(row.request);
                    if !self.queue.hasten(row.request, now) {
                        // What the message says of it may be older than what happened since.
                        self.queue.unread(row.request);
                    }
                }
            }
            // Nobody waits any more: fine.
            Message::Settled { answer } => drop(answer.send(())),
            Message::Load { answer } => self.asking.push(answer),
        }
    }

    fn answer_who_asks(&mut self) {
        for answer in self.asking.drain(..) {
            // Nobody waits any more: fine.
            let _nobody = answer.send(self.queue.load());
        }
    }

    fn offer(&mut self, row: Pending) -> Offered {
        let now = self.follow_clock();
        let tools = &self.tools;
        let row = due::offered(tools, row, now);
        self.queue
            .offer(row, now, || life::mode_of(tools, row.subscription, now))
    }

    fn start_what_may(&mut self, now: crate::time::Timestamp) {
        while !self.stopping && !self.tools.stalled.is_stalled() {
            let Some(row) = self.queue.next(now) else { break };
            self.tools.metrics.waited(now.since(row.due_at));
            let event = self.payloads.take(row.event);
            let resend = self.asked_for.remove(&row.request);
            let permit = Permit::new(row, resend, self.outcomes.clone());
            self.tasks.spawn(attempt::run(self.tools.clone(), permit, event));
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn ended(&mut self, outcome: Outcome) {
        let now = self.follow_clock();
        match outcome {
            Outcome::BecameSlow(subscription) => self.queue.became_slow(subscription),
            Outcome::Ended(Ended {
                row,
                was_slow,
                report,
                fate,
            }) => {
                if !report.sent {
                    self.queue.sent_nothing(row.subscription);
                }
                self.queue.ended(row.subscription, was_slow, report.health);
                if let Some(until) = report.pause {
                    let until = until.min(now.plus(due::longest_wait(&self.tools, row)));
                    self.queue.pause(row.subscription, until);
                }
                match fate {
                    Fate::Finished => self.queue.finished(row.request),
                    Fate::Again(row) => self.queue.again(due::again(&self.tools, row, now), now),
                    Fate::Parts(rows) => {
                        self.queue.finished(row.request);
                        for part in rows {
                            self.queue.revive(part.request);
                            self.offer(part);
                        }
                    }
                    Fate::Misread => self.queue.misread(row.request, now),
                    Fate::Broken => {
                        self.queue.broken(row.request);
                        tracing::error!(
                            delivery.id = %row.delivery,
                            "a delivery ended in a bug of the router; it waits for the next start"
                        );
                    }
                    Fate::Unrecorded => {
                        // The store has failed for good. What was sent and not recorded is sent again
                        // after a restart; sending more would only add to that.
                        tracing::error!("an outcome could not be recorded; nothing more is sent");
                        self.stopping = true;
                    }
                }
            }
        }
    }

    fn begin_reading(&mut self, now: crate::time::Timestamp) -> Option<BoxFuture<'static, Page>> {
        let from = self.queue.read_from(now)?;
        self.queue.reading(from);
        Some(self.page_after(RequestId::from_number(from.number().saturating_sub(1))))
    }

    fn page_after(&mut self, after: RequestId) -> BoxFuture<'static, Page> {
        self.reading_from = Some(after);
        let store = self.tools.store.clone();
        Box::pin(async move { store.pending(after, LEDGER_PAGE).await })
    }

    fn read(
        &mut self,
        page: Page,
        retry_at: &mut Option<crate::time::Timestamp>,
    ) -> Option<BoxFuture<'static, Page>> {
        match page {
            Ok(rows) => {
                for row in &rows {
                    self.offer(*row);
                }
                match rows.last() {
                    Some(last) if rows.len() == LEDGER_PAGE && self.queue.has_no_room() => {
                        self.queue.read();
                        self.queue
                            .unread(RequestId::from_number(last.request.number() + 1));
                        None
                    }
                    Some(last) if rows.len() == LEDGER_PAGE => Some(self.page_after(last.request)),
                    _ => {
                        self.queue.read();
                        None
                    }
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the ledger could not be read");
                self.queue.read();
                self.queue
                    .unread(self.reading_from.unwrap_or(RequestId::from_number(0)));
                *retry_at = Some(self.tools.clock.now().plus(LEDGER_RETRY));
                None
            }
        }
    }
}
