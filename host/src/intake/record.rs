//! Keeps what was refused, and handshakes, within a rate: so many a minute for each source. More are
//! counted, and the next one that is kept says how many.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bucket::Bucket;
use crate::id::SourceId;
use crate::reception::Reception;
use crate::store::Store;
use crate::subscription::RateLimit;

/// Longest wait for the store. Slack wants its answer within three seconds.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Sources that are remembered; who has more starts counting anew.
const SOURCES_MAX: usize = 10_000;

struct Kept {
    bucket: Bucket,
    unrecorded: u32,
}

/// Writes receptions that brought no events.
pub struct Recorder {
    store: Arc<dyn Store>,
    limit: RateLimit,
    kept: Mutex<HashMap<SourceId, Kept>>,
}

impl Recorder {
    /// Keeps `per_minute` of each source.
    pub fn new(store: Arc<dyn Store>, per_minute: NonZeroU32) -> Self {
        let limit = RateLimit {
            requests: per_minute,
            per_seconds: NonZeroU32::MIN.saturating_add(59),
            burst: per_minute,
        };
        Self {
            store,
            limit,
            kept: Mutex::default(),
        }
    }

    /// Keeps a reception, or counts it. Trouble is logged: the sender has its answer either way.
    pub(super) async fn record(&self, mut reception: Reception) {
        match self.admit(&reception) {
            Some(unrecorded) => reception.unrecorded = unrecorded,
            None => return,
        }
        // The sender's answer waits for it, and a handshake has seconds.
        let recording = self.store.record_receptions(vec![reception]);
        match tokio::time::timeout(WAIT_MAX, recording).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a reception could not be kept"),
            Err(_elapsed) => tracing::warn!("keeping a reception takes too long; it may be kept later"),
        }
    }

    /// How many were not kept before this one, if this one is.
    fn admit(&self, reception: &Reception) -> Option<u32> {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SOURCES_MAX && !all.contains_key(&reception.source) {
            all.clear();
        }
        let now = reception.received_at;
        let kept = all.entry(reception.source).or_insert_with(|| Kept {
            bucket: Bucket::new(self.limit, now),
            unrecorded: 0,
        });
        match kept.bucket.take(now) {
            Ok(()) => Some(std::mem::take(&mut kept.unrecorded)),
            Err(_later) => {
                kept.unrecorded = kept.unrecorded.saturating_add(1);
                None
            }
        }
    }
}
