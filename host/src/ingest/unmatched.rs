//! Events that nobody wanted, in the log.
//!
//! An event that matches no subscription is accepted all the same, and often a mistyped type or filter
//! is behind it. So the log says it, with the command that tells why: once a type and [`QUIET`], so that
//! a producer of unwanted events cannot flood it. What is remembered is bounded; where more types come
//! than are remembered, the oldest may be told again sooner, within the [`Budget`] of all.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;

use crate::event::Event;
use crate::telemetry::Budget;
use crate::time::Timestamp;

/// After a type was told, it is not told again for so long.
const QUIET: Duration = Duration::from_secs(60);
/// Types that are remembered. A type has at most some hundred bytes.
const TYPES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// What was told lately.
#[derive(Debug)]
pub struct Unmatched {
    told: Mutex<LruCache<String, Told>>,
    budget: Budget,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    /// Events of the type that were passed over since.
    silent: u64,
}

impl Default for Unmatched {
    fn default() -> Self {
        Self {
            told: Mutex::new(LruCache::new(TYPES_MAX)),
            budget: Budget::default(),
        }
    }
}

impl Unmatched {
    /// Tells of an event that matched nothing, unless one of its type was told a moment ago.
    pub fn tell(&self, event: &Event, now: Timestamp) {
        let Some(silent) = self.turn(&event.event_type, now) else {
            return;
        };
        let Some(lines_left_out) = self.budget.line(now) else {
            return;
        };
        tracing::info!(
            event.id = %event.id,
            event.r#type = ?event.event_type,
            event.source = ?event.source,
            events_left_out = (silent > 0).then_some(silent),
            lines_left_out = (lines_left_out > 0).then_some(lines_left_out),
            "an event matched no subscription; `hookway events why {}` says why",
            event.id,
        );
    }

    /// Whether it is the type's turn: how many were passed over since the last time.
    fn turn(&self, event_type: &str, now: Timestamp) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = match told.get_mut(event_type) {
            // A clock that was set back does not silence a type for longer.
            Some(last) if now >= last.at && now.since(last.at) < QUIET => {
                last.silent += 1;
                return None;
            }
            Some(last) => last.silent,
            None => 0,
        };
        told.put(event_type.to_owned(), Told { at: now, silent: 0 });
        Some(silent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_type_is_told_once_a_minute_and_what_was_passed_over_is_counted() {
        let (unmatched, begun) = (Unmatched::default(), Timestamp::from_millis(1_000_000));
        let after = |seconds| begun.plus(Duration::from_secs(seconds));
        assert_eq!(unmatched.turn("a", begun), Some(0));
        assert_eq!(
            unmatched.turn("b", begun),
            Some(0),
            "another type has its own turn"
        );
        assert_eq!(unmatched.turn("a", after(1)), None);
        assert_eq!(unmatched.turn("a", after(59)), None);
        assert_eq!(unmatched.turn("a", after(60)), Some(2));
        assert_eq!(unmatched.turn("a", begun), Some(0), "the clock was set back");
    }

    /// Where the log of a test goes.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_line_names_the_event_and_what_to_ask() {
        let (log, unmatched) = (Log::default(), Unmatched::default());
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let event = Event {
            id: crate::id::EventId::from_number(5),
            tenant: crate::id::TenantId::from_number(1),
            source: "shop\nINFO forged".to_owned(),
            producer_id: None,
            event_type: "order.piad".to_owned(),
            subject: None,
            time: Timestamp::default(),
            received_at: Timestamp::default(),
            content_type: crate::event::JSON.to_owned(),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: bytes::Bytes::from_static(b"{\"card\":\"4242\"}"),
            hops: 0,
        };
        tracing::subscriber::with_default(subscriber, || {
            unmatched.tell(&event, Timestamp::default());
            unmatched.tell(&event, Timestamp::default());
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for expected in [
            &format!("hookway events why {}", event.id),
            "\"order.piad\"",
            "shop\\nINFO forged",
            " INFO ",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("4242"), "no payload in the log: {text}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let unmatched = Unmatched::default();
        for number in 0..1_000 {
            unmatched.turn(&format!("type.{number}"), Timestamp::default());
        }
        assert_eq!(unmatched.told.lock().unwrap().len(), TYPES_MAX.get());
    }
}
