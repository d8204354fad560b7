//! Interim answers (1xx): a server may send some before its answer, and one that never stops would keep a
//! thread of ours reading for as long as the attempt may take. So they are counted, and too many of them
//! end the exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;

/// Most interim answers to one request. Servers send one `100 Continue`, or a few `103 Early Hints`.
pub(super) const INTERIM_MAX: u32 = 32;

/// Those of one request so far.
pub(super) struct Interim(Arc<AtomicU32>);

impl Interim {
    /// Counts those that come to a request.
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        let count = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&count);
        hyper::ext::on_informational(request, move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        Self(count)
    }

    /// Whether more came than may.
    pub(super) fn are_too_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) > INTERIM_MAX
    }
}
