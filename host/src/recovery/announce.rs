//! Who hears that an operation has ended.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::activity::{Activity, What};
use crate::id::{OperationId, SubscriptionId};
use crate::ingest::Ingest;
use crate::operation::{Kind, Operation, Skipped, State};
use crate::own_event::{OwnEvent, RECOVERY_FINISHED};
use crate::time::Timestamp;

/// Is told of every operation that has ended, once that is durable. A crash in between loses the news, not
/// the end.
pub trait Announce: Send + Sync + 'static {
    /// This one has, as it stands now.
    fn ended<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()>;
}

/// Tells who is watching, and raises an event.
pub struct Herald(pub Arc<Ingest>);

/// What the event says.
#[derive(Serialize)]
struct Told<'a> {
    id: OperationId,
    kind: Kind,
    state: State,
    subscription_id: Option<SubscriptionId>,
    total: Option<u64>,
    done: u64,
    skipped: &'a Skipped,
    error: Option<&'a str>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl Announce for Herald {
    fn ended<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, ()> {
        self.0.feed.tell(|| activity(operation));
        let progress = &operation.progress;
        let told = Told {
            id: operation.id,
            kind: operation.asked.kind,
            state: operation.state,
            subscription_id: operation.asked.subscription,
            total: progress.total,
            done: progress.done,
            skipped: &progress.skipped,
            error: progress.error.as_deref(),
            created_at: operation.created_at,
            ended_at: operation.ended_at,
        };
        let own = OwnEvent::new(RECOVERY_FINISHED, operation.id.to_string(), &told);
        Box::pin(async move {
            if let Err(error) = self.0.tell(operation.tenant, own).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    operation.id = %operation.id,
                    "an operation has ended, but that could not be told"
                );
            }
        })
    }
}

fn activity(operation: &Operation) -> Activity {
    Activity {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::operation::Asked;

    #[test]
    fn who_watches_is_told_of_the_end() {
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
        let told = serde_json::to_value(activity(&operation)).unwrap();
        assert_eq!(told["activity"], "operation_ended");
        assert_eq!(
            (&told["kind"], &told["state"]),
            (&"recover".into(), &"cancelled".into())
        );
        assert_eq!((&told["done"], &told["skipped"]), (&5.into(), &3.into()));
        assert!(told.get("subscription_id").is_none());
    }
}
