//! Telling that a delivery failed for good, to those who subscribed to that.
//!
//! What is told is read from the history, after the end was committed: whoever ended it (an endpoint, a
//! plugin, housekeeping) need not know more than its id. A crash in between loses the event, never the
//! delivery's own state. Failed deliveries of Hookway's own events raise none: otherwise each would bring
//! the next.

use std::time::Duration;

use super::{Error, Ingest};
use crate::delivery::{AttemptResult, State};
use crate::id::{DeliveryId, TenantId};
use crate::own_event::{self, FailedDelivery, OwnEvent};
use crate::store;

/// Pause before a full or busy store is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is asked: ten seconds in all, since a delivery's permit waits for it.
const ASKED_MAX: u32 = 20;

impl Ingest {
    /// Tells that a delivery has failed, if a subscription of its tenant wants to know.
    pub async fn tell_failed(&self, tenant: TenantId, delivery: DeliveryId) {
        if !self
            .registry
            .snapshot()
            .table
            .is_wanted(tenant, own_event::DELIVERY_FAILED)
        {
            return;
        }
        for _ in 1..ASKED_MAX {
            match self.try_to_tell_failed(tenant, delivery).await {
                Err(Error::Store(store::Error::Full(_) | store::Error::Busy)) => {
                    tokio::time::sleep(AGAIN).await;
                }
                ended => return log(delivery, ended),
            }
        }
        log(delivery, self.try_to_tell_failed(tenant, delivery).await);
    }

    async fn try_to_tell_failed(&self, tenant: TenantId, id: DeliveryId) -> Result<(), Error> {
        let Some(detail) = self.store.delivery(id).await? else {
            return Ok(());
        };
        let summary = &detail.summary;
        let State::Failed { at, reason } = &summary.state else {
            // A person sent it again in between.
            return Ok(());
        };
        if own_event::is_own(&summary.event_type) {
            return Ok(());
        }
        let route = self.registry.route(summary.subscription);
        let last = detail.attempts.iter().max_by_key(|attempt| attempt.started_at);
        let (status_code, error) = match last.map(|attempt| &attempt.result) {
            Some(AttemptResult::Response { status, .. }) => (Some(*status), None),
            Some(AttemptResult::Error { kind, detail }) => {
                (None, Some(format!("{}: {detail}", kind.as_str())))
            }
            None => (None, None),
        };
        // An event that has expired follows from nothing that anybody could still derive from.
        let hops = self
            .store
            .event(summary.event)
            .await?
            .map_or(0, |stored| stored.event.hops);
        let failed = FailedDelivery {
            id,
            event_id: summary.event,
            event_type: &summary.event_type,
            subscription_id: summary.subscription,
            subscription_name: route.as_ref().map(|route| route.subscription().name.as_str()),
            cause: summary.cause,
            reason,
            attempts: summary.attempts,
            status_code,
            error,
            failed_at: *at,
        };
        self.tell(tenant, OwnEvent::delivery_failed(&failed, hops)).await
    }
}

fn log(delivery: DeliveryId, told: Result<(), Error>) {
    if let Err(error) = told {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, delivery.id = %delivery, "a delivery failed, but that could not be told");
    }
}
