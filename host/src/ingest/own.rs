//! The way in for what Hookway tells of itself: an event like any other, durable when the call answers,
//! but with nobody outside who could have brought it.

use std::sync::Arc;

use super::{Error, Ingest};
use crate::id::TenantId;
use crate::own_event::{Kept, OwnEvent};
use crate::render::HOPS_MAX;
use crate::source::Conflict;
use crate::store::{Accept, Series};

impl Ingest {
    /// Accepts an event of Hookway's own. One that nobody wants is stored only if it is part of the history,
    /// and one that follows from too many others not at all: what plugins and failures make of one another
    /// comes to an end.
    pub async fn tell(&self, tenant: TenantId, own: OwnEvent) -> Result<(), Error> {
        let kept = own.kept();
        let wanted = || self.registry.snapshot().table.is_wanted(tenant, own.event_type);
        if own.hops > HOPS_MAX || kept == Kept::IfWanted && !wanted() {
            return Ok(());
        }
        let now = self.clock.now();
        let new = self.route(Arc::new(own.into_event(self.ids.next(now), tenant, now)), now);
        if kept == Kept::IfWanted && new.deliveries.is_empty() {
            return Ok(());
        }
        let call = Accept {
            tenant,
            idempotency: None,
            events: vec![new],
            now,
            window: self.idempotency_window,
            series: Series::Api,
            on_conflict: Conflict::Refuse,
            reception: None,
        };
        self.commit(call).await.map(|_accepted| ())
    }
}
