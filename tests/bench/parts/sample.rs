//! The event and the subscriptions that all parts are measured with: those of the benchmark of the whole.

use std::sync::Arc;

use bytes::Bytes;
use hookway::digest::Digest;
use hookway::event::Event;
use hookway::id::{EventId, SubscriptionId, TenantId};
use hookway::profile::{self, Choice, Edition};
use hookway::routing::Route;
use hookway::secret::Secret;
use hookway::subscription::{Endpoint, Envelope, Isolation, SigningSecret, Status, Subscription};
use hookway::time::Timestamp;

/// The time at which everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_779_208_200_000);
/// Whose everything is: the tenant that every store has.
pub(crate) const TENANT: TenantId = TenantId::from_number(1);
/// Size of an event's data.
const DATA_BYTES: usize = 1_024;
/// With which deliveries are signed.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// An alert of 1 KiB, as the Slack plugin likes it.
pub(crate) fn data() -> Bytes {
    let with = |filler: &str| {
        format!(
            r#"{{"id":"alert_xyz789","title":"Stock of 3 articles is low","severity":"critical","status":"active","projectId":"proj_def456","area":"Inventario","createdAt":"2026-05-19T16:30:00.000Z","note":"{filler}"}}"#
        )
    };
    let filler = "x".repeat(DATA_BYTES.saturating_sub(with("").len()));
    Bytes::from(with(&filler))
}

/// What a producer sends: the event as the API reads it.
pub(crate) fn body() -> String {
    let data = data();
    let data = String::from_utf8_lossy(&data);
    format!(r#"{{"id":"5f0c6c0e-6d0b-4d5e-9a53-0d9f3f4a7c11","type":"alert.created","data":{data}}}"#)
}

/// The event with this id, of a producer that gives random ids.
pub(crate) fn event(id: EventId, event_type: &str) -> Event {
    // Digests are as random as ids of producers are, and the same in every run.
    let producer_id = Digest::of(&id.number().to_be_bytes()).to_string();
    Event {
        id,
        tenant: TENANT,
        source: "api".to_owned(),
        producer_id: Some(producer_id),
        event_type: event_type.to_owned(),
        subject: None,
        time: NOW,
        received_at: NOW,
        content_type: "application/json".to_owned(),
        extensions: Vec::new(),
        headers: Vec::new(),
        data: data(),
        hops: 0,
    }
}

/// A subscription to one pattern.
pub(crate) fn subscription(number: i64, pattern: String) -> Subscription {
    Subscription {
        id: SubscriptionId::from_number(number),
        tenant: TENANT,
        key: None,
        name: format!("bench {number}"),
        status: Status::Enabled,
        events: vec![pattern],
        filter: None,
        plugins: Vec::new(),
        endpoint: Endpoint {
            url: Secret::new("https://hooks.example.com/in"),
            headers: Vec::new(),
            secrets: vec![SigningSecret::newest(Secret::new(SECRET))],
            max_in_flight: None,
            rate_limit: None,
            disable_on_gone: true,
        },
        profile: Choice::default(),
        retry: None,
        timeout_seconds: None,
        envelope: Envelope::Auto,
        isolation: Isolation::Subscription,
        version: 1,
        created_at: NOW,
        updated_at: NOW,
    }
}

/// The same, compiled.
pub(crate) fn route(number: i64, pattern: String) -> Arc<Route> {
    let edition = Edition::unstored(profile::usual().clone(), NOW);
    let subscription = Arc::new(subscription(number, pattern));
    let route = Route::compile(subscription, Arc::new(edition), Arc::from("default"));
    Arc::new(route.expect("the pattern is one"))
}
