//! The store in the language of the domain: what is accepted, what is due, what happened.
//!
//! This is the only door to the database; nothing outside this room knows SQL. Every backend must
//! pass the same contract suite (`store/contract.rs`). Invariants that each keeps:
//!
//! - A call that returned `Ok` is durable: it was synced before the answer.
//! - An event, its de-duplication keys, its deliveries and its reception are one transaction; so are an attempt and
//!   the next state, and a run, its requests and its emitted events.
//! - `created = delivered + filtered + failed + pending`, as counters kept in these transactions.
//! - `now` is an argument. The store has no clock.
//! - An outcome is written only under the epoch of its owner: a second owner makes the writes of the
//!   first fail with [`Error::Fenced`].

mod candidates;
mod condition;
mod configured;
#[cfg(test)]
mod contract;
mod copies;
pub mod files;
mod found;
mod inspection;
mod query;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::alert;
use crate::delivery::{Change, NewEvent, Pending, Request};
use crate::digest::Digest;
use crate::event::Event;
use crate::event_type::EventType;
use crate::id::{DeliveryId, EventId, KeyId, ReceptionId, RequestId, SourceId, SubscriptionId, TenantId};
use crate::metrics::Unwritten;
use crate::profile;
use crate::reception::Reception;
use crate::source::{Conflict, Source};
use crate::subscription::Subscription;
use crate::time::Timestamp;

pub use self::candidates::{
    Earlier, EventWalk, FailedDelivery, FailedWalk, OldEvent, OperationQuery, Operations, Walked,
};
pub use self::condition::{Committed, Condition};
pub use self::configured::{Key, NewProfile, PluginVersion, StoredProfile, Tenant, TenantSettings};
pub use self::copies::{Copies, Snapshot};
pub use self::found::{
    CauseGroup, Causes, Counters, DEAD_LETTERS_COUNTED_MAX, DeliveryDetail, DeliveryPage, DeliverySummary,
    InARow, LastAttempt, Recorded, Resend, Row, StoredEvent,
};
pub use self::inspection::Inspection;
pub use self::query::{
    CauseQuery, DeliveryQuery, EventQuery, Order, OutcomeFilter, ReceptionQuery, StateFilter,
};

/// [`Error::Damaged`] of everything at once.
pub const WHOLE_DATABASE: &str = "the database file hookway.db";

/// What can go wrong in a store. A variant exists because somebody branches on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No room left on the device; nothing of the call was kept.
    #[error("the disk that holds the database is full")]
    Full(#[source] BoxError),
    /// Too much is waiting to be written; try again.
    #[error("too much is waiting to be written")]
    Busy,
    /// Another process owns what was to be written.
    #[error("another process took over")]
    Fenced,
    /// The store is closing or its writer has stopped after a failed sync.
    #[error("the store is closed")]
    Closed,
    /// A unique name is taken.
    #[error("{what} is taken")]
    Taken {
        /// Which name.
        what: String,
    },
    /// The row was changed by somebody else in between (ETag).
    #[error("it was changed in between")]
    Changed,
    /// There is no such row.
    #[error("there is no such {what}")]
    Missing {
        /// What.
        what: &'static str,
    },
    /// Stored bytes are not what was stored.
    #[error("stored data is damaged: {what}")]
    Damaged {
        /// Which.
        what: String,
    },
    /// Everything else that the backend says.
    #[error("the database failed")]
    Backend(#[source] BoxError),
}

impl Error {
    /// The word for it among the reasons why something was not written.
    pub fn unwritten(&self) -> Unwritten {
        match self {
            Self::Full(_) => Unwritten::Full,
            Self::Busy => Unwritten::Busy,
            Self::Fenced => Unwritten::Fenced,
            Self::Closed => Unwritten::Closed,
            Self::Damaged { .. } => Unwritten::Damaged,
            Self::Taken { .. } | Self::Changed | Self::Missing { .. } => Unwritten::Stale,
            Self::Backend(_) => Unwritten::Backend,
        }
    }

    /// The same error once more, for the next of several who wait for one answer.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Full(source) => Self::Full(source.to_string().into()),
            Self::Busy => Self::Busy,
            Self::Fenced => Self::Fenced,
            Self::Closed => Self::Closed,
            Self::Taken { what } => Self::Taken { what: what.clone() },
            Self::Changed => Self::Changed,
            Self::Missing { what } => Self::Missing { what },
            Self::Damaged { what } => Self::Damaged { what: what.clone() },
            Self::Backend(source) => Self::Backend(source.to_string().into()),
        }
    }
}

/// A cause from a backend.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// What store calls give.
pub type Result<T> = std::result::Result<T, Error>;

/// The tenant that every store has from its first start. No generator makes so small a number.
pub const DEFAULT_TENANT: TenantId = TenantId::from_number(1);
/// Its name.
pub const DEFAULT_TENANT_NAME: &str = "default";

/// A call that brings events in, accepted whole or refused whole.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The owner.
    pub tenant: TenantId,
    /// `Idempotency-Key` of the call, if it has one.
    pub idempotency: Option<Idempotency>,
    /// The events, with a delivery for each matching subscription.
    pub events: Vec<NewEvent>,
    /// Now.
    pub now: Timestamp,
    /// Within this time an id or key counts as seen.
    pub window: Duration,
    /// Among which ids and keys it is looked for.
    pub series: Series,
    /// What follows where an id comes again with other content.
    pub on_conflict: Conflict,
    /// The request to a source that brought the events; it is written with them. Whatever its outcome
    /// says, the store puts there what became of the events, unless there are none. A call that
    /// conflicts leaves no reception: its caller records the refusal.
    pub reception: Option<Box<Reception>>,
}

/// The ids and keys that a call can repeat. Each series has a window of its own, so that a long one
/// costs the other nothing. An id that came in one series is not looked for in the other: an event by
/// the API and one by a source of the same name are two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// Of calls of the API.
    Api,
    /// Of requests to sources: services repeat webhooks for days.
    Sources,
}

impl Series {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Api, Self::Sources];
}

/// A key that covers a whole call.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency {
    /// Of the key.
    pub key: Digest,
    /// Of the body of the call.
    pub content: Digest,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// One entry an event, in their order. New events are durable now.
    Done(Vec<AcceptedEvent>),
    /// The call's `Idempotency-Key` was used before with another body; nothing was stored.
    KeyConflict,
    /// An event with this id came before with other content, and the call asked to refuse that; nothing
    /// was stored.
    EventConflict {
        /// Its place in the call.
        index: usize,
    },
}

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedEvent {
    /// Its id; the first one's where it is a duplicate.
    pub id: EventId,
    /// How many subscriptions it matched when it was first accepted.
    pub matched: u32,
    /// Whether it had been accepted before.
    pub duplicate: bool,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Events and history older than this may go.
    pub age: Duration,
    /// The newest segments may hold so many bytes together; older ones may go.
    pub bytes: u64,
}

/// What an expiry removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Segments dropped.
    pub segments: u32,
    /// Events carried over because something of them is still pending.
    pub carried: u64,
    /// Whether there is more to do, with which the next call goes on.
    pub more: bool,
}

/// The store. Calls may be made from any task; writes are batched into one transaction.
pub trait Store: Operations + Copies + Inspection + Send + Sync + 'static {
    /// The epoch under which this process owns what it writes.
    fn epoch(&self) -> u64;

    /// The greatest id number that any row has, for [`crate::id::Generator::observe`].
    fn newest_id(&self) -> BoxFuture<'_, Result<i64>>;

    /// Accepts events. Durable when it answers.
    fn accept(&self, call: Accept) -> BoxFuture<'_, Result<Accepted>>;

    /// Writes receptions that brought no events: handshakes and refusals. Durable when it answers.
    fn record_receptions(&self, receptions: Vec<Reception>) -> BoxFuture<'_, Result<()>>;
    /// One reception, with its body where that was kept.
    fn reception(&self, id: ReceptionId) -> BoxFuture<'_, Result<Option<Reception>>>;
    /// Receptions, newest first. Bodies are not read: each has `None` there, kept or not.
    fn receptions(&self, query: ReceptionQuery) -> BoxFuture<'_, Result<Vec<Reception>>>;

    /// Writes what happened to deliveries, all or nothing. Durable when it answers.
    ///
    /// [`Error::Missing`] where a row is not pending. Whether a delivery with several requests has
    /// ended is decided by the ledger, not by the caller's guess: it ends with the last open one, and
    /// is delivered if every request was. One entry a change, in their order.
    fn record(&self, epoch: u64, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Recorded>>>;
    /// Subscriptions with a row of failures.
    fn failing(&self) -> BoxFuture<'_, Result<Vec<(SubscriptionId, InARow)>>>;

    /// Rows of the ledger with a greater request number, in order; for the start and for refills.
    fn pending(&self, after: RequestId, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>>>;

    /// The bodies of events, in the order asked; `None` where one has expired. [`Error::Damaged`]
    /// names the first that is; ask for the others without it.
    fn events_by_id(&self, ids: Vec<EventId>) -> BoxFuture<'_, Result<Vec<Option<Arc<Event>>>>>;

    /// A stored request; `None` where it has expired or the delivery was not rendered.
    fn request(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>>>;

    /// Puts a finished delivery into the ledger again, or makes a pending one due now.
    ///
    /// The rows it gives are all of the delivery's. Of a failed delivery with several requests, those
    /// that were accepted stay [`crate::delivery::Stage::PartDelivered`].
    fn resend(
        &self,
        tenant: Option<TenantId>,
        id: DeliveryId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Resend>>;

    /// One event.
    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<StoredEvent>>>;
    /// Events, newest first.
    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<StoredEvent>>>;
    /// One delivery with everything that happened to it.
    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<DeliveryDetail>>>;
    /// Deliveries by id, in either order.
    fn deliveries(&self, query: DeliveryQuery) -> BoxFuture<'_, Result<DeliveryPage>>;
    /// Dead letters grouped by cause and status, each counted.
    fn causes(&self, query: CauseQuery) -> BoxFuture<'_, Result<Causes>>;
    /// Counts, of one subscription or of all.
    fn counters(&self, subscription: Option<SubscriptionId>) -> BoxFuture<'_, Result<Counters>>;
    /// How the store is.
    fn condition(&self) -> BoxFuture<'_, Result<Condition>>;

    /// All subscriptions.
    fn subscriptions(&self) -> BoxFuture<'_, Result<Vec<Subscription>>>;
    /// Adds a subscription. [`Error::Taken`] where its key is.
    fn add_subscription(&self, subscription: Arc<Subscription>) -> BoxFuture<'_, Result<()>>;
    /// Replaces the subscription that has this version, and says what becomes of its row of failures.
    /// [`Error::Changed`] where it has another.
    fn update_subscription(
        &self,
        subscription: Arc<Subscription>,
        version: u64,
        row: Row,
    ) -> BoxFuture<'_, Result<()>>;
    /// Removes a subscription. Its pending deliveries are failed by the dispatcher.
    fn remove_subscription(&self, id: SubscriptionId) -> BoxFuture<'_, Result<()>>;

    /// All sources.
    fn sources(&self) -> BoxFuture<'_, Result<Vec<Source>>>;
    /// Adds a source. [`Error::Taken`] where its tenant has one of this name.
    fn add_source(&self, source: Arc<Source>) -> BoxFuture<'_, Result<()>>;
    /// Replaces the source that has this version. [`Error::Changed`] where it has another,
    /// [`Error::Taken`] for the name.
    fn update_source(&self, source: Arc<Source>, version: u64) -> BoxFuture<'_, Result<()>>;
    /// Removes a source. What it brought stays.
    fn remove_source(&self, id: SourceId) -> BoxFuture<'_, Result<()>>;

    /// All types of events that are described, by tenant and name.
    fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventType>>>;
    /// Writes descriptions, all or none. One of version 1 is new ([`Error::Taken`] where its tenant has
    /// one of this name), any other replaces the version before ([`Error::Changed`], [`Error::Missing`]).
    fn put_event_types(&self, types: Vec<Arc<EventType>>) -> BoxFuture<'_, Result<()>>;
    /// Removes a description. Events of the type stay, and more may come.
    fn remove_event_type(&self, tenant: TenantId, name: String) -> BoxFuture<'_, Result<()>>;

    /// All versions of all profiles, in the order of their numbers; removed ones too, for deliveries may
    /// still look like them.
    fn profiles(&self) -> BoxFuture<'_, Result<Vec<StoredProfile>>>;
    /// Adds a version of a profile, which is never changed. [`Error::Taken`] where it is there.
    fn add_profile(&self, profile: NewProfile) -> BoxFuture<'_, Result<profile::Number>>;
    /// Gives deliveries from before there were versions of profiles the one that their subscription had
    /// then. Does it once; later calls change nothing.
    fn pin_profiles(&self, versions: Vec<(SubscriptionId, profile::Number)>) -> BoxFuture<'_, Result<()>>;
    /// Removes a tenant's profile with all its versions. [`Error::Missing`] where there is none.
    fn remove_profile(&self, tenant: TenantId, name: String, now: Timestamp) -> BoxFuture<'_, Result<()>>;

    /// All tenants.
    fn tenants(&self) -> BoxFuture<'_, Result<Vec<Tenant>>>;
    /// Adds a tenant. [`Error::Taken`] where its name is.
    fn add_tenant(&self, tenant: Tenant) -> BoxFuture<'_, Result<()>>;
    /// Replaces what a tenant has said about itself; its name stays.
    fn update_tenant(&self, tenant: Tenant) -> BoxFuture<'_, Result<()>>;

    /// All keys, revoked ones too.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<Key>>>;
    /// Adds a key.
    fn add_key(&self, key: Key) -> BoxFuture<'_, Result<()>>;
    /// Revokes a key; `false` where it was revoked before.
    fn revoke_key(&self, id: KeyId, now: Timestamp) -> BoxFuture<'_, Result<bool>>;

    /// Alerts that were raised and are not over. Those whose condition this version does not know are left
    /// out.
    fn alerts(&self) -> BoxFuture<'_, Result<Vec<alert::Episode>>>;
    /// Keeps an alert that was raised. One about the same that is kept already stays as it is.
    fn raise_alert(&self, episode: alert::Episode) -> BoxFuture<'_, Result<()>>;
    /// Forgets an alert that is over, if it is kept.
    fn end_alert(&self, about: alert::About) -> BoxFuture<'_, Result<()>>;

    /// All versions of all plugins.
    fn plugins(&self) -> BoxFuture<'_, Result<Vec<PluginVersion>>>;
    /// Adds a version and makes it the current one of its name.
    fn add_plugin(&self, version: PluginVersion, component: Bytes) -> BoxFuture<'_, Result<()>>;
    /// A component.
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>>>;
    /// Removes all versions of a name.
    fn remove_plugin(&self, tenant: TenantId, name: String) -> BoxFuture<'_, Result<()>>;

    /// Waits until there is something for [`Self::expire`] to do: a segment was closed since the last time
    /// that this was waited for.
    fn closed_segment(&self) -> BoxFuture<'_, ()>;

    /// Gives complete history the next of its indexes, which holds up everything else that is written for a
    /// moment. False where none is missing.
    fn index_history(&self) -> BoxFuture<'_, Result<bool>>;

    /// Rolls segments and drops what may go; work bounded per call.
    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired>>;

    /// Whether there was no room for what was to be written last: on the disk, or in a quota, of which the
    /// disk says nothing.
    fn is_full(&self) -> bool;

    /// Waits until nothing is written any more: the store was closed, or its writer has ended after a
    /// failed write or sync, which it does for good.
    fn ended(&self) -> BoxFuture<'_, ()>;

    /// Writes what is queued, checkpoints and closes. Later calls give [`Error::Closed`].
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
