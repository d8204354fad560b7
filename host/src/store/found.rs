//! What the store answers: what a change came to, and what is found in history.

use std::sync::Arc;

use crate::delivery::{Attempt, Cause, Pending, PluginRun, Request, State};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, SubscriptionId, TenantId};
use crate::profile;
use crate::time::Timestamp;

/// What writing a change came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Where the change ended a delivery that failed at its endpoint: the row of failures with it, as it
    /// was after this change, whatever came behind it.
    pub failing: Option<InARow>,
}

/// Deliveries of a subscription that failed at the endpoint since the last one that it accepted, or
/// since a person enabled the subscription or its rule changed. What was under way then is not among
/// them: it began under another word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InARow {
    /// All of them.
    pub failed: u64,
    /// Those with which the retry schedule was at its end.
    pub exhausted: u64,
}

/// What a change of a subscription means for its row of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// It goes on.
    GoesOn,
    /// It begins with attempts that begin after the change.
    BeginsAnew,
}

/// A page of deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPage {
    /// The deliveries, in the order that was asked for.
    pub deliveries: Vec<DeliverySummary>,
    /// Where the walk goes on, to be given as `before` or `after`; none at its end. A page may be short,
    /// or empty, and have one: one call looks at a bounded number of rows.
    pub next: Option<DeliveryId>,
}

/// Dead letters that one call counts by cause: about a second of reading. Where there are more, the
/// oldest segments of history are left out, and the answer says so.
pub const DEAD_LETTERS_COUNTED_MAX: u64 = 1_000_000;

/// Dead letters, grouped.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    /// The groups, the largest first.
    pub groups: Vec<CauseGroup>,
    /// Whether there are more than [`DEAD_LETTERS_COUNTED_MAX`] and the oldest are not counted.
    pub truncated: bool,
}

/// Dead letters with the same cause and the same status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseGroup {
    /// Why they failed; none where they failed before causes were kept.
    pub cause: Option<Cause>,
    /// The status of the last answer; none where there was none.
    pub code: Option<u16>,
    /// How many.
    pub count: u64,
    /// When the first of them failed.
    pub first_at: Timestamp,
    /// When the last of them failed.
    pub last_at: Timestamp,
    /// The newest of them.
    pub sample: DeliveryId,
    /// Why that one failed, in words.
    pub sample_reason: String,
}

/// A delivery as history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySummary {
    /// Its id.
    pub id: DeliveryId,
    /// Its owner.
    pub tenant: TenantId,
    /// Its event.
    pub event: EventId,
    /// The type of its event.
    pub event_type: String,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// Where it stands (`held` is derived by whoever knows the subscription).
    pub state: State,
    /// Attempts so far, over all its requests.
    pub attempts: u32,
    /// The version of the profile that it looks like, as in [`Pending::profile`].
    pub profile: Option<profile::Number>,
    /// Why it failed, if it has; none where it failed before causes were kept.
    pub cause: Option<Cause>,
    /// The status of the last answer, if it has ended and there was one.
    pub code: Option<u16>,
    /// The last attempt, where a list was asked for it.
    pub last_attempt: Option<LastAttempt>,
}

/// The last attempt of a delivery, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

/// A delivery with everything that happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryDetail {
    /// The summary.
    pub summary: DeliverySummary,
    /// The requests that plugins made; empty where the body follows from event and profile.
    pub requests: Vec<Request>,
    /// Plugin runs in order.
    pub runs: Vec<PluginRun>,
    /// Attempts in order.
    pub attempts: Vec<Attempt>,
}

/// An event with how many subscriptions it matched.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// The event.
    pub event: Arc<Event>,
    /// How many subscriptions it matched.
    pub matched: u32,
}

/// What became of a wish to resend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resend {
    /// It is in the ledger again; these are its rows (a delivery with several requests has several).
    Queued(Vec<Pending>),
    /// It is still pending: its rows are due now.
    Hastened(Vec<Pending>),
    /// A plugin filtered it; there is no request that could be sent again.
    Filtered,
    /// Its body has expired.
    Expired,
    /// There is no such delivery of this tenant.
    Missing,
}

/// Counts of deliveries. `created` is the sum of the others, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// All that ever were.
    pub created: u64,
    /// Delivered.
    pub delivered: u64,
    /// Filtered by a plugin.
    pub filtered: u64,
    /// Dead letters.
    pub failed: u64,
    /// Still to be done.
    pub pending: u64,
}
