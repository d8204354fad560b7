//! Which rows a list shall have. Lists are newest first, and the id of the last entry of one is the
//! cursor for the next. Ids are sorted by time, so a time is a bound of ids. Deliveries can also be
//! walked through from the oldest on, by what works through all of them.

use crate::delivery::Cause;
use crate::id::{DeliveryId, EventId, ReceptionId, SourceId, SubscriptionId, TenantId};
use crate::routing::Pattern;
use crate::time::Timestamp;
use crate::verdict::Statuses;

/// In which order to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By id, the greatest first: as people read lists.
    #[default]
    NewestFirst,
    /// By id, the least first: as one works through them.
    OldestFirst,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only this subscription's.
    pub subscription: Option<SubscriptionId>,
    /// Only this event's.
    pub event: Option<EventId>,
    /// Only these states.
    pub state: Option<StateFilter>,
    /// Only those of events of these types.
    pub event_type: Option<Pattern>,
    /// Only those that failed of this.
    pub cause: Option<Cause>,
    /// Only those that have ended and whose last answer had one of these statuses.
    pub code: Option<Statuses>,
    /// Only those made at this time or later.
    pub since: Option<Timestamp>,
    /// Only those made before this time.
    pub until: Option<Timestamp>,
    /// Only those with a lesser id than this one (the cursor of [`Order::NewestFirst`]).
    pub before: Option<DeliveryId>,
    /// Only those with a greater id than this one (the cursor of [`Order::OldestFirst`]).
    pub after: Option<DeliveryId>,
    /// In which order.
    pub order: Order,
    /// Whether each is wanted with its last attempt, which costs a look-up each.
    pub last_attempts: bool,
    /// At the most so many.
    pub limit: usize,
}

/// Which dead letters to group by cause. Times are those at which the deliveries were made, as in lists.
#[derive(Clone, Debug, Default)]
pub struct CauseQuery {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only this subscription's.
    pub subscription: Option<SubscriptionId>,
    /// Only those of events of these types.
    pub event_type: Option<Pattern>,
    /// Only those made at this time or later.
    pub since: Option<Timestamp>,
    /// Only those made before this time.
    pub until: Option<Timestamp>,
}

/// A state without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// Pending, held ones included.
    Pending,
    /// Delivered.
    Delivered,
    /// Filtered.
    Filtered,
    /// Failed.
    Failed,
}

/// Which events to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only this type.
    pub event_type: Option<String>,
    /// Only this source's.
    pub source: Option<String>,
    /// Only those received at this time or later.
    pub since: Option<Timestamp>,
    /// Only those received before this time.
    pub until: Option<Timestamp>,
    /// Only those older than this one (the cursor).
    pub before: Option<EventId>,
    /// At the most so many.
    pub limit: usize,
}

/// Which receptions to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct ReceptionQuery {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only this source's.
    pub source: Option<SourceId>,
    /// Only those with which this became of the request.
    pub outcome: Option<OutcomeFilter>,
    /// Only those older than this one (the cursor).
    pub before: Option<ReceptionId>,
    /// At the most so many.
    pub limit: usize,
}

/// What became of a request to a source, without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeFilter {
    /// It became events, or repeated earlier ones.
    Accepted,
    /// It was a handshake.
    Handshake,
    /// It was refused.
    Refused,
}
