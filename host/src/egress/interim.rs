//! Interim answers (1xx): a server may send some before its answer, and one that never stops would keep a
//! thread of ours reading for as long as the attempt may take. So they are counted, and too many of them
//! end the exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;
use tokio::sync::Notify;

/// Most interim answers to one request. Servers send one `100 Continue`, or a few `103 Early Hints`.
pub(super) const INTERIM_MAX: u32 = 32;

/// Those of one request so far.
#[derive(Default)]
struct Count {
    seen: AtomicU32,
    enough: Notify,
}

/// Ends when more of them came than may. Before that it waits.
pub(super) fn too_many<B>(request: &mut Request<B>) -> impl Future<Output = ()> + use<B> {
    let count = Arc::new(Count::default());
    let counting = Arc::clone(&count);
    hyper::ext::on_informational(request, move |_| {
        // One permit is kept for who waits, so that it does not matter which comes first.
        if counting.seen.fetch_add(1, Ordering::Relaxed) == INTERIM_MAX {
            counting.enough.notify_one();
        }
    });
    async move { count.enough.notified().await }
}
