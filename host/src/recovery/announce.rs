//! Who hears that an operation has ended.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::activity::{Activity, Feed, What};
use crate::ingest::Ingest;
use crate::operation::Operation;
use crate::own_event::OwnEvent;

/// Is told of every operation that has ended, once it is durable.
pub trait Announce: Send + Sync + 'static {
    /// This one has, as it stands now.
    fn ended<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()>;
}

/// Tells who is watching.
#[derive(Clone, Debug)]
pub struct ToFeed(pub Feed);

impl Announce for ToFeed {
    fn ended<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()> {
        self.0.tell(|| Activity {
            time: operation.ended_at.unwrap_or(operation.created_at),
            tenant: operation.tenant,
            what: What::OperationEnded {
                operation_id: operation.id,
                kind: operation.asked.kind.as_str(),
                subscription_id: operation.asked.subscription,
                state: operation.state.as_str(),
                done: operation.progress.done,
                skipped: operation.progress.skipped.sum(),
            },
        });
        Box::pin(std::future::ready(()))
    }
}

/// Tells who is watching, and everybody else by an event.
pub struct ToEvents {
    /// Who is watching.
    pub feed: ToFeed,
    /// Where the event enters.
    pub ingest: Arc<Ingest>,
}

impl Announce for ToEvents {
    fn ended<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.feed.ended(operation).await;
            let own = OwnEvent::recovery_finished(operation);
            if let Err(error) = self.ingest.tell(operation.tenant, own).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, operation.id = %operation.id, "an operation ended, but that could not be told");
            }
        })
    }
}
