//! Walks: what operations look through, upwards by id, a bounded number of rows at a time.
//!
//! A walk has no hidden state. Whoever goes on gives the number behind which the last one ended.

use crate::id::{DeliveryId, EventId, OperationId, SubscriptionId, TenantId};
use crate::operation::Last;
use crate::time::Timestamp;

/// A part of a walk.
#[derive(Clone, Debug)]
pub struct Walked<T> {
    /// What was found, in the order of ids.
    pub found: Vec<T>,
    /// Rows looked at.
    pub looked_at: u64,
    /// Everything up to this number was looked at.
    pub up_to: i64,
    /// Whether that was all.
    pub end: bool,
}

/// Which failed deliveries to walk through.
#[derive(Clone, Debug)]
pub struct FailedWalk {
    /// Whose.
    pub tenant: TenantId,
    /// Only this subscription's.
    pub subscription: Option<SubscriptionId>,
    /// Only those with a greater number.
    pub after: i64,
    /// Only those up to this number.
    pub to: i64,
    /// Only those that had failed by then.
    pub failed_by: Timestamp,
    /// At the most so many are found.
    pub limit: usize,
    /// At the most so many rows are looked at.
    pub looked_at_max: usize,
}

/// A failed delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Its event.
    pub event: EventId,
    /// The type of its event.
    pub event_type: String,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// Why it failed, as one word, where that is known.
    pub cause: Option<String>,
    /// The status code of the last answer.
    pub code: Option<u16>,
    /// Whether everything that is needed to send it again is still kept.
    pub kept: bool,
}

/// Which events to walk through.
#[derive(Clone, Debug)]
pub struct EventWalk {
    /// Whose.
    pub tenant: TenantId,
    /// The only subscription that matters, if it is only one.
    pub subscription: Option<SubscriptionId>,
    /// Only those with a greater number.
    pub after: i64,
    /// Only those up to this number.
    pub to: i64,
    /// At the most so many are looked at.
    pub looked_at_max: usize,
    /// What is to be known of their earlier deliveries.
    pub earlier: Earlier,
}

/// What is to be known of the earlier deliveries of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Which are pending.
    Pending,
    /// What became of each.
    Everything,
}

/// An event whose body is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldEvent {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: String,
    /// What became last of it, for each subscription for which something is to be known.
    pub last: Vec<(SubscriptionId, Last)>,
}

/// Which operations to list, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct OperationQuery {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only those that have not ended.
    pub running: bool,
    /// Only those older than this one (the cursor).
    pub before: Option<OperationId>,
    /// At the most so many.
    pub limit: usize,
}
