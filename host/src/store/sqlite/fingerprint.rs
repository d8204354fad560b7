//! Hashes that the store keeps: of content, to notice damage and changed repetitions, and of keys,
//! to find them again. All are made by the caller's task, never by the writer's thread.
//!
//! Sixteen bytes of SHA-256 are kept. A text is hashed behind its length, so that no two lists of
//! texts give the same bytes. What says when an event happened or arrived is not part of its content:
//! a producer that repeats a call without a time means the same event.

use sha2::{Digest as _, Sha256};

use crate::delivery::Request;
use crate::event::Event;
use crate::id::SourceId;
use crate::store::Idempotency;
use crate::time::Timestamp;

/// Bytes kept of a hash.
const BYTES: usize = 16;

/// The first half of a SHA-256.
pub(super) type Fingerprint = [u8; BYTES];

fn text(hasher: &mut Sha256, text: &[u8]) {
    hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    hasher.update(text);
}

fn optional(hasher: &mut Sha256, value: Option<&str>) {
    hasher.update([u8::from(value.is_some())]);
    text(hasher, value.unwrap_or_default().as_bytes());
}

fn pairs(hasher: &mut Sha256, pairs: &[(String, String)]) {
    hasher.update(u64::try_from(pairs.len()).unwrap_or(u64::MAX).to_be_bytes());
    for (name, value) in pairs {
        text(hasher, name.as_bytes());
        text(hasher, value.as_bytes());
    }
}

fn finish(hasher: Sha256) -> Fingerprint {
    let whole: [u8; 32] = hasher.finalize().into();
    let [first, ..] = whole.as_chunks::<BYTES>().0 else {
        return [0; BYTES];
    };
    *first
}

/// Of what an event says.
pub(super) fn of_event(event: &Event) -> Fingerprint {
    let mut hasher = Sha256::new();
    text(&mut hasher, event.event_type.as_bytes());
    optional(&mut hasher, event.subject.as_deref());
    text(&mut hasher, event.content_type.as_bytes());
    pairs(&mut hasher, &event.extensions);
    text(&mut hasher, &event.data);
    finish(hasher)
}

/// Of the row of an event: its content, and everything else of it that is ever shown or sent. Bytes are wrong
/// too where they are right and stand under another id, or say another time.
pub(super) fn of_event_row(event: &Event, matched: u32, content: &Fingerprint) -> Fingerprint {
    let mut hasher = Sha256::new();
    hasher.update(content);
    for number in [
        event.id.number(),
        event.tenant.number(),
        event.time.as_millis(),
        event.received_at.as_millis(),
        i64::from(event.hops),
        i64::from(matched),
    ] {
        hasher.update(number.to_be_bytes());
    }
    text(&mut hasher, event.source.as_bytes());
    optional(&mut hasher, event.producer_id.as_deref());
    finish(hasher)
}

/// Of the row of a request: what it sends, under which id and for which delivery.
pub(super) fn of_request_row(request: &Request) -> Fingerprint {
    let mut hasher = Sha256::new();
    hasher.update(of_request(request));
    for number in [
        request.id.number(),
        request.delivery.number(),
        request.not_before.map_or(i64::MIN, Timestamp::as_millis),
    ] {
        hasher.update(number.to_be_bytes());
    }
    finish(hasher)
}

/// Of what a request sends.
pub(super) fn of_request(request: &Request) -> Fingerprint {
    let mut hasher = Sha256::new();
    text(&mut hasher, request.method.as_bytes());
    optional(&mut hasher, request.path.as_deref());
    pairs(&mut hasher, &request.headers);
    text(&mut hasher, &request.body);
    finish(hasher)
}

/// Hashes keys with a secret of this database, so that nobody can choose keys that meet.
#[derive(Clone)]
pub(super) struct Keyed([u8; 32]);

impl Keyed {
    pub(super) const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The key under which an event was seen, if its producer named it. `came_to` is the inbound source
    /// that brought it: a CloudEvent says its `source` itself, and whoever may send to one inbound source
    /// must not use up the ids of another.
    pub(super) fn of_event(&self, event: &Event, came_to: Option<SourceId>) -> Option<Fingerprint> {
        let producer_id = event.producer_id.as_ref()?;
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(event.tenant.number().to_be_bytes());
        if let Some(source) = came_to {
            hasher.update(source.number().to_be_bytes());
        }
        text(&mut hasher, event.source.as_bytes());
        text(&mut hasher, producer_id.as_bytes());
        Some(finish(hasher))
    }

    /// The key under which a call was seen.
    pub(super) fn of_call(&self, tenant: i64, call: &Idempotency) -> Fingerprint {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(tenant.to_be_bytes());
        hasher.update(call.key.as_bytes());
        finish(hasher)
    }
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed(…)")
    }
}
