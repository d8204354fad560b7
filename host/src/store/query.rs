//! Which rows a list shall have. Lists are newest first, and the id of the last entry of one is the
//! cursor for the next.

use crate::id::{DeliveryId, EventId, ReceptionId, SourceId, SubscriptionId, TenantId};

/// Which deliveries to list, newest first.
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
    /// Only those older than this one (the cursor).
    pub before: Option<DeliveryId>,
    /// At the most so many.
    pub limit: usize,
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
