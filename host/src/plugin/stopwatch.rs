//! The monotonic clock, for how long a run took and how long an instance has been idle.
//!
//! This is the only place in this room that reads a clock. What it gives is shown and compared with
//! limits, never stored as a time, so the router's own clock is not needed.

use std::time::Instant;

/// Now, on a clock that never goes back.
#[expect(
    clippy::disallowed_methods,
    reason = "how long something took is no time of day"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
