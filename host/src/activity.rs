//! What happens now, for who is watching: `GET /api/v1/tail` and nobody else.
//!
//! A broadcast that nobody has to listen to: it is bounded, a slow watcher misses the oldest entries
//! and is told how many, and while nobody watches it costs one atomic load.

use serde::Serialize;
use tokio::sync::broadcast;

use crate::delivery::Pending;
use crate::id::{DeliveryId, EventId, OperationId, SourceId, SubscriptionId, TenantId};
use crate::reception::{Outcome, Reception};
use crate::time::Timestamp;

/// Entries that a watcher may be behind.
const BEHIND_MAX: usize = 1_024;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Activity {
    /// When.
    pub time: Timestamp,
    /// Whose; not shown, it decides who may see it.
    #[serde(skip)]
    pub tenant: TenantId,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "activity", rename_all = "snake_case")]
pub enum What {
    /// An event was accepted.
    Accepted {
        /// The event.
        event_id: EventId,
        /// Its type.
        event_type: String,
        /// Where it entered.
        source: String,
        /// How many subscriptions it matched.
        matched: u32,
    },
    /// A request came to a source.
    Received {
        /// The source.
        source_id: SourceId,
        /// Its name.
        source: String,
        /// `accepted`, `duplicate`, `handshake` or `refused`.
        outcome: &'static str,
        /// Why it was refused: the word of the reception.
        reason: Option<&'static str>,
        /// The first event that it became, or repeated.
        event_id: Option<EventId>,
        /// The status that it was answered with.
        status: u16,
    },
    /// A request was sent and something, or nothing, came back.
    Attempted {
        /// The event.
        event_id: EventId,
        /// The delivery.
        delivery_id: DeliveryId,
        /// The subscription.
        subscription_id: SubscriptionId,
        /// Number of the attempt.
        number: u16,
        /// HTTP status, if there was an answer.
        status_code: Option<u16>,
        /// Why there was none.
        error: Option<String>,
        /// How long it took.
        duration_ms: u32,
        /// What the answer means for the request: `delivered`, `failed`, or `pending` where it is sent
        /// again, by itself or once its subscription is no longer held.
        outcome: &'static str,
        /// When it is tried again, if it is.
        next_attempt_at: Option<Timestamp>,
    },
    /// A plugin made nothing of a delivery now; it runs again later.
    RunFailed {
        /// The event.
        event_id: EventId,
        /// The delivery.
        delivery_id: DeliveryId,
        /// The subscription.
        subscription_id: SubscriptionId,
        /// Number of the run, from 1.
        number: u16,
        /// The plugin.
        plugin: String,
        /// What it said, or what was wrong with it.
        reason: String,
        /// When it runs again.
        next_run_at: Timestamp,
    },
    /// A delivery ended: all its requests did.
    Ended {
        /// The event.
        event_id: EventId,
        /// The delivery.
        delivery_id: DeliveryId,
        /// The subscription.
        subscription_id: SubscriptionId,
        /// `delivered`, `filtered` or `failed`.
        status: &'static str,
        /// Why, unless it was delivered.
        reason: Option<String>,
    },
    /// A subscription was held or disabled by the router.
    Stopped {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// Why.
        reason: String,
    },
    /// A background operation ended.
    OperationEnded {
        /// The operation.
        operation_id: OperationId,
        /// `recover` or `replay`.
        kind: &'static str,
        /// The only subscription that it was about, if it was only one.
        #[serde(skip_serializing_if = "Option::is_none")]
        subscription_id: Option<SubscriptionId>,
        /// `finished`, `cancelled` or `failed`.
        state: &'static str,
        /// Deliveries that it put in.
        done: u64,
        /// Deliveries that were wanted and not put in.
        skipped: u64,
    },
}

impl What {
    /// A request came to a source of this name.
    pub fn received(source: &str, reception: &Reception) -> Self {
        let (reason, event_id) = match &reception.outcome {
            Outcome::Accepted { first, .. } => (None, Some(*first)),
            Outcome::Handshake { .. } => (None, None),
            Outcome::Refused { reason, .. } => (Some(reason.as_str()), None),
        };
        Self::Received {
            source_id: reception.source,
            source: source.to_owned(),
            outcome: reception.outcome.as_str(),
            reason,
            event_id,
            status: reception.status,
        }
    }
}

impl Activity {
    /// A delivery ended.
    pub fn ended(
        tenant: TenantId,
        row: &Pending,
        status: &'static str,
        reason: Option<String>,
        time: Timestamp,
    ) -> Self {
        let what = What::Ended {
            event_id: row.event,
            delivery_id: row.delivery,
            subscription_id: row.subscription,
            status,
            reason,
        };
        Self { time, tenant, what }
    }
}

/// The broadcast. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed(broadcast::Sender<Activity>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Feed {
    /// Tells who is watching; makes the entry only if somebody is.
    pub fn tell(&self, entry: impl FnOnce() -> Activity) {
        if self.0.receiver_count() > 0 {
            // Nobody may be left by now, and that is fine.
            let _nobody_left = self.0.send(entry());
        }
    }

    /// How many are watching.
    pub fn watchers(&self) -> usize {
        self.0.receiver_count()
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<Activity> {
        self.0.subscribe()
    }
}
