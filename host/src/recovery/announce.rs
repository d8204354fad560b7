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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::operation::{Asked, Kind, Skipped, State};
    use crate::time::Timestamp;

    #[tokio::test]
    async fn who_watches_is_told_of_the_end() {
        let feed = Feed::default();
        let mut watching = feed.watch();
        let now = Timestamp::from_millis(1_779_208_200_000);
        let asked = Asked::everything(Kind::Recover);
        let mut operation = Operation::new(Id::from_number(7), Id::from_number(1), asked, now);
        operation.state = State::Cancelled;
        operation.progress.done = 5;
        operation.progress.skipped = Skipped {
            expired: 2,
            pending: 1,
            ..Skipped::default()
        };
        ToFeed(feed).ended(&operation).await;
        let told = serde_json::to_value(watching.recv().await.unwrap()).unwrap();
        assert_eq!(told["activity"], "operation_ended");
        assert_eq!(
            (&told["kind"], &told["state"]),
            (&"recover".into(), &"cancelled".into())
        );
        assert_eq!((&told["done"], &told["skipped"]), (&5.into(), &3.into()));
        assert!(told.get("subscription_id").is_none());
    }
}
