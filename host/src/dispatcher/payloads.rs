//! Payloads of rows that wait, so that what was just accepted is not read again.
//!
//! They lie within a budget of bytes, and the oldest give way: a row whose payload is not here reads it
//! from the store.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::Event;
use crate::id::EventId;

/// Payloads kept for rows that wait, in bytes; rows without one read theirs from the store.
const PAYLOAD_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// What an event costs beside its data, about, in bytes.
const PAYLOAD_OVERHEAD: usize = 512;
/// Ids of events that are gone may stand in the order before it is cleaned.
const GONE_MAX: usize = 16_384;

/// Payloads of rows that wait, within a budget of bytes; the oldest give way. A row whose payload is
/// not here reads it from the store.
#[derive(Default)]
pub(super) struct Payloads {
    events: HashMap<EventId, (Arc<Event>, usize)>,
    /// In the order in which they came; ids that are gone are skipped.
    order: VecDeque<EventId>,
    bytes: usize,
}

impl Payloads {
    /// Keeps an event for so many rows.
    pub(super) fn keep(&mut self, event: Arc<Event>, rows: usize) {
        if rows == 0 {
            return;
        }
        self.bytes += event.data.len() + PAYLOAD_OVERHEAD;
        self.order.push_back(event.id);
        self.events.insert(event.id, (event, rows));
        if self.order.len() > 2 * self.events.len() + GONE_MAX {
            self.order.retain(|id| self.events.contains_key(id));
        }
        while let Some(oldest) = self.order.front().copied() {
            if self.bytes <= PAYLOAD_BYTES_MAX && self.events.contains_key(&oldest) {
                break;
            }
            self.order.pop_front();
            self.forget(oldest);
        }
    }

    /// The event for one of its rows.
    pub(super) fn take(&mut self, id: EventId) -> Option<Arc<Event>> {
        let (event, rows) = self.events.get_mut(&id)?;
        let event = event.clone();
        *rows -= 1;
        if *rows == 0 {
            self.forget(id);
        }
        Some(event)
    }

    fn forget(&mut self, id: EventId) {
        if let Some((event, _)) = self.events.remove(&id) {
            self.bytes -= event.data.len() + PAYLOAD_OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::Id;
    use crate::time::Timestamp;

    fn event(number: i64, bytes: usize) -> Arc<Event> {
        Arc::new(Event {
            id: Id::from_number(number),
            tenant: Id::from_number(1),
            source: "api".to_owned(),
            producer_id: None,
            event_type: "a".to_owned(),
            subject: None,
            time: Timestamp::default(),
            received_at: Timestamp::default(),
            content_type: "text/plain".to_owned(),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: Bytes::from(vec![0; bytes]),
            hops: 0,
        })
    }

    #[test]
    fn a_payload_goes_with_its_last_row() {
        let mut payloads = Payloads::default();
        payloads.keep(event(1, 10), 2);
        payloads.keep(event(2, 10), 0);
        assert!(payloads.take(Id::from_number(1)).is_some());
        assert!(payloads.take(Id::from_number(1)).is_some());
        assert!(payloads.take(Id::from_number(1)).is_none());
        assert!(payloads.take(Id::from_number(2)).is_none(), "nobody waits for it");
        assert_eq!(payloads.bytes, 0);
    }

    #[test]
    fn the_oldest_give_way_and_nothing_grows() {
        let mut payloads = Payloads::default();
        let large = PAYLOAD_BYTES_MAX / 2;
        for number in 1..=3 {
            payloads.keep(event(number, large - PAYLOAD_OVERHEAD), 1);
        }
        assert!(payloads.take(Id::from_number(1)).is_none());
        assert!(payloads.take(Id::from_number(3)).is_some());
        // One that nobody takes does not keep the order of the others from being cleaned.
        for number in 10..60_000 {
            payloads.keep(event(number, 0), 1);
            payloads.take(Id::from_number(number));
        }
        assert!(payloads.order.len() <= GONE_MAX + 8, "{}", payloads.order.len());
    }
}
