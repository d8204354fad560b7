//! Who hears that an operation has ended.

use futures_util::future::BoxFuture;

use crate::activity::{Activity, Feed, What};
use crate::operation::Operation;

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
