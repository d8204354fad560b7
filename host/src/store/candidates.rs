//! What background operations need of a store: walks upwards by id, a bounded number of rows at a time,
//! steps, and the operations themselves.
//!
//! A walk has no hidden state. Whoever goes on gives the number behind which the last one ended.

use futures_util::future::BoxFuture;

use super::Result;
use crate::delivery::{Cause, Pending};
use crate::id::{DeliveryId, EventId, OperationId, SubscriptionId, TenantId};
use crate::operation::{self, Last, Operation, Renewed, Step, Stepped};
use crate::time::Timestamp;

/// The part of a store that background operations need.
pub trait Operations {
    /// Walks upwards through failed deliveries.
    fn failed_deliveries(&self, walk: FailedWalk) -> BoxFuture<'_, Result<Walked<FailedDelivery>>>;
    /// Walks upwards through events whose bodies are kept.
    fn old_events(&self, walk: EventWalk) -> BoxFuture<'_, Result<Walked<OldEvent>>>;
    /// Makes new deliveries of events that are stored, in the order given; `None` where the event has
    /// expired. How many subscriptions an event matched when it came stays as it was.
    fn renew(
        &self,
        tenant: TenantId,
        new: Vec<Renewed>,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Option<Pending>>>>;

    /// Adds an operation; `false` where [`operation::RUNNING_MAX`] of its tenant run.
    fn add_operation(&self, operation: Operation) -> BoxFuture<'_, Result<bool>>;
    /// One operation.
    fn operation(&self, id: OperationId) -> BoxFuture<'_, Result<Option<Operation>>>;
    /// Operations, newest first.
    fn operations(&self, query: OperationQuery) -> BoxFuture<'_, Result<Vec<Operation>>>;
    /// Puts in what a step says and moves its operation, all or nothing. Durable when it answers.
    fn step(&self, step: Step) -> BoxFuture<'_, Result<Stepped>>;
    /// Ends an operation between two steps; `None` where it has ended or there is none.
    fn end_operation(
        &self,
        id: OperationId,
        state: operation::State,
        error: Option<String>,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Option<Operation>>>;
}

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
    /// Why it failed, where that is known.
    pub cause: Option<Cause>,
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
