//! That history keeps to its bounds while much comes in: nobody waits for the next round of housekeeping.

use std::time::Duration;

use hookway::store::sqlite::SEGMENT_BYTES_DEFAULT;
use serde_json::json;

use crate::support::TestRouter;

/// The test waits this long before it says that nothing happens.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of one event's data; a request takes a MiB at the most.
const DATA_BYTES: usize = 900 << 10;
/// Bytes that history may have.
const ALLOWED: u64 = 16 << 20;

#[tokio::test]
async fn what_is_over_the_bytes_goes_as_soon_as_a_segment_is_full() {
    let router = TestRouter::with(|config| config.store.retention_bytes = ALLOWED).await;
    let data = "x".repeat(DATA_BYTES);
    let first = router.send(&json!({"type": "a", "data": data})).await;
    let path = format!("/api/v1/events/{first}");
    router.get(&path).await.expect(200);
    // Three segments: when the second is full, the first is more than may be kept. The clock stands still.
    for _ in 0..3 * SEGMENT_BYTES_DEFAULT / DATA_BYTES as u64 {
        router.send(&json!({"type": "a", "data": data})).await;
    }
    let gone = async {
        while router.get(&path).await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, gone).await;
    assert!(waited.is_ok(), "the oldest event is still there");
}
