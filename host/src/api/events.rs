//! `/events`: bringing events in, and their history.
//!
//! The hot path of the API: a body is read once, split into raw values, and `data` stays a slice of
//! it, byte for byte. Nothing is parsed that the router does not need.

mod body;
mod posted;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Shared;
use super::deliveries::read_time;
use super::extract::{May, Query, ToIngest, ToRead};
use super::page::{List, Page};
use super::problem::{Kind, Problem};
pub(crate) use body::draft;
pub use body::{CloudEventIn, EventIn, EventsIn};
pub(super) use posted::Form;
pub use posted::Posted;

use crate::digest::Digest;
use crate::event::Event;
use crate::id::{EventId, SubscriptionId};
use crate::ingest::{self, Taken};
use crate::json::Faults;
use crate::routing::Explanation;
use crate::store::{EventQuery, Idempotency, StoredEvent};
use crate::time::Timestamp;

/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Covers a whole call (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What is said where nobody wanted the event, so that a mistyped type is noticed.
const NOBODY: &str = "no subscription matches; GET /api/v1/events/{id}/matches says why";

/// An accepted event.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AcceptedOut {
    /// Its id.
    #[schema(value_type = String)]
    id: EventId,
    /// How many subscriptions it matched.
    matched: u32,
    /// Whether it had been accepted before; then this is the first answer again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    /// What to look at where it matched none.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// What receivers may see otherwise, or refuse; each said once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningOut>,
}

/// What a receiver may see otherwise than it was sent, or refuse.
#[derive(Serialize, utoipa::ToSchema)]
pub struct WarningOut {
    /// The subscription, where it is about one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    subscription_id: Option<SubscriptionId>,
    /// What, and what would help.
    detail: String,
}

impl From<Taken> for AcceptedOut {
    fn from(Taken { accepted, warnings }: Taken) -> Self {
        let warnings = warnings.into_iter().map(|warned| WarningOut {
            subscription_id: warned.subscription,
            detail: warned.detail,
        });
        Self {
            warnings: warnings.collect(),
            id: accepted.id,
            matched: accepted.matched,
            duplicate: accepted.duplicate,
            note: (accepted.matched == 0).then_some(NOBODY),
        }
    }
}

/// An event as history shows it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EventOut {
    /// Its id.
    #[schema(value_type = String)]
    id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// Where it entered.
    source: String,
    /// The id that its producer gave.
    producer_id: Option<String>,
    /// What it is about.
    subject: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// The media type of the payload.
    datacontenttype: String,
    /// CloudEvents extension attributes.
    extensions: std::collections::BTreeMap<String, String>,
    /// Headers of the request to a source that brought it, credentials masked; only where one event is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// How many plugins, one after another, derived it from another event; none of one that came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    hops: Option<u8>,
    /// How many subscriptions it matched.
    matched: u32,
    /// Size of the payload, in bytes.
    data_bytes: usize,
    /// The payload, if it is JSON; only where one event is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Box<RawValue>>,
    /// The payload, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl EventOut {
    fn summary(stored: &StoredEvent) -> Self {
        let event = &stored.event;
        Self {
            id: event.id,
            event_type: event.event_type.clone(),
            source: event.source.clone(),
            producer_id: event.producer_id.clone(),
            subject: event.subject.clone(),
            time: event.time,
            received_at: event.received_at,
            datacontenttype: event.content_type.clone(),
            extensions: event.extensions.iter().cloned().collect(),
            headers: None,
            hops: Some(event.hops).filter(|hops| *hops > 0),
            matched: stored.matched,
            data_bytes: event.data.len(),
            data: None,
            data_base64: None,
        }
    }

    fn whole(stored: &StoredEvent) -> Self {
        let (data, data_base64) = shown_data(&stored.event);
        let headers = &stored.event.headers;
        Self {
            headers: (!headers.is_empty()).then(|| headers.iter().cloned().collect()),
            data,
            data_base64,
            ..Self::summary(stored)
        }
    }
}

/// The payload as it came if it is JSON, else in base64.
fn shown_data(event: &Event) -> (Option<Box<RawValue>>, Option<String>) {
    let text = event
        .is_json()
        .then(|| str::from_utf8(&event.data).ok())
        .flatten();
    match text.and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok()) {
        Some(raw) => (Some(raw), None),
        None => (None, Some(BASE64.encode(&event.data))),
    }
}

/// Accepts one event, or up to 1,000 whole or not at all. Durable when it answers.
///
/// CloudEvents 1.0 are taken in all three modes of their HTTP binding: structured and batched by the media
/// type, binary by the header `ce-specversion`; then the attributes are in headers `ce-…`, and the body, of
/// any media type, is the data. A batch is answered as an array is: `{"data": […]}`, in its order.
#[utoipa::path(
    post, path = "/api/v1/events", tag = "events", operation_id = "create_events",
    security(("key" = ["ingest"])),
    request_body(content(
        (EventsIn = "application/json"),
        (CloudEventIn = "application/cloudevents+json"),
        (Vec<CloudEventIn> = "application/cloudevents-batch+json"),
        (String = "*/*"),
    )),
    params(
        ("ce-specversion" = Option<String>, Header, description = "`1.0`: a CloudEvent in binary mode. Every attribute has a header of its own, percent-encoded"),
        ("ce-id" = Option<String>, Header, description = "In binary mode: `id`"),
        ("ce-source" = Option<String>, Header, description = "In binary mode: `source`"),
        ("ce-type" = Option<String>, Header, description = "In binary mode: `type`"),
        ("ce-subject" = Option<String>, Header, description = "In binary mode: `subject`"),
        ("ce-time" = Option<String>, Header, description = "In binary mode: `time`, RFC 3339"),
        ("Idempotency-Key" = Option<String>, Header, description = "Covers the whole call: the same key with the same body gives the first answer again"),
    ),
    responses((status = 202, description = "Accepted, and durable", body = AcceptedOut))
)]
pub async fn create(
    caller: May<ToIngest>,
    State(state): State<Shared>,
    posted: Posted,
) -> Result<Response, Problem> {
    let idempotency = idempotency(&posted)?;
    let (drafts, form) = posted.drafts(state.limits.events_max)?;
    let accepted = state.ingest.accept(caller.tenant, drafts, idempotency).await;
    let accepted = accepted.map_err(|error| problem_of(error, form))?;
    let mut shown: Vec<AcceptedOut> = accepted.into_iter().map(AcceptedOut::from).collect();
    let answer = match (form, shown.pop()) {
        (Form::One | Form::Headers, Some(one)) => Json(one).into_response(),
        (_, last) => {
            shown.extend(last);
            Json(Batch { data: shown }).into_response()
        }
    };
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

/// The answers to an array, in its order.
#[derive(Serialize)]
struct Batch {
    data: Vec<AcceptedOut>,
}

fn idempotency(posted: &Posted) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = posted.headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let good = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.to_str().is_ok();
    if !good {
        let detail = format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
        return Err(Problem::parameter("Idempotency-Key", &detail));
    }
    Ok(Some(Idempotency {
        key: Digest::of(key.as_bytes()),
        content: posted.fingerprint(),
    }))
}

pub(super) fn problem_of(error: ingest::Error, form: Form) -> Problem {
    match error {
        ingest::Error::Drafts(found) => {
            let mut faults = Faults::default();
            for fault in found {
                faults.add(
                    form.below(fault.index, fault.attribute, &fault.below),
                    fault.detail,
                );
            }
            faults.into()
        }
        ingest::Error::KeyConflict => Problem::new(
            Kind::IdempotencyConflict,
            "this Idempotency-Key came before with another body; nothing was accepted",
        ),
        ingest::Error::EventConflict { index } => {
            let detail = "an event of this source had this id and other content; nothing was accepted";
            Problem::new(Kind::IdempotencyConflict, detail).with_faults(Faults::one(
                form.place(index, "id"),
                "came before with other content",
            ))
        }
        ingest::Error::Low(low) => low.into(),
        ingest::Error::Store(error) => error.into(),
    }
}

/// Lists events, newest first, without their payloads.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events",
    security(("key" = ["read"])),
    params(
        ("type" = Option<String>, Query, description = "Only this type"),
        ("source" = Option<String>, Query, description = "Only from this source"),
        ("since" = Option<String>, Query, description = "Received at this time or later (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Received before this time (RFC 3339)"),
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<EventOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<EventOut>>, Problem> {
    let limit = query.limit()?;
    let wanted = EventQuery {
        since: read_time(&mut query, "since")?,
        until: read_time(&mut query, "until")?,
        tenant: Some(caller.tenant),
        event_type: whole_type(query.text("type"))?,
        source: query.text("source"),
        before: query.cursor(List::Events)?.map(EventId::from_number),
        limit: limit + 1,
    };
    query.finish()?;
    let stored = state.store.events(wanted).await?;
    let number = |stored: &StoredEvent| stored.event.id.number();
    let page = Page::cut(List::Events, stored, limit, number, |stored| {
        EventOut::summary(&stored)
    });
    Ok(Json(page))
}

/// Shows one event with its payload.
#[utoipa::path(
    get, path = "/api/v1/events/{id}", tag = "events", operation_id = "get_event",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, description = "The event", body = EventOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<EventOut>, Problem> {
    Ok(Json(EventOut::whole(&stored(&state, &caller, &id).await?)))
}

async fn stored(state: &Shared, caller: &super::extract::Caller, id: &str) -> Result<StoredEvent, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::not_found("event"))?;
    let stored = state.store.event(id).await?;
    let own = stored.filter(|stored| stored.event.tenant == caller.tenant);
    own.ok_or_else(|| Problem::not_found("event"))
}

/// Why a subscription gets an event, or does not.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MatchOut {
    /// The subscription.
    #[schema(value_type = String)]
    subscription_id: SubscriptionId,
    /// Its name.
    name: String,
    /// Whether it would get the event as it is configured now.
    matched: bool,
    /// Why, or why not.
    reason: String,
}

/// Says for each subscription, as it is now, whether it matches an event and why.
#[utoipa::path(
    get, path = "/api/v1/events/{id}/matches", tag = "events", operation_id = "explain_event",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`evt_…`")),
    responses((status = 200, description = "One entry a subscription", body = Page<MatchOut>))
)]
pub async fn matches(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Page<MatchOut>>, Problem> {
    let event: Arc<Event> = stored(&state, &caller, &id).await?.event;
    Ok(Json(Page::whole(explained(&state, &event))))
}

/// A type to list by. A pattern would be no type of any event, and its empty list a wrong answer.
fn whole_type(text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.contains('*') => Err(Problem::parameter(
            "type",
            "takes one whole type, such as order.paid, and no pattern",
        )),
        text => Ok(text),
    }
}

fn explained(state: &Shared, event: &Event) -> Vec<MatchOut> {
    let snapshot = state.registry.snapshot();
    let explained = snapshot.table.explain(event).into_iter();
    let shown = explained.filter_map(|(id, explanation)| {
        let subscription = snapshot.routes.get(&id)?.subscription();
        Some(MatchOut {
            subscription_id: id,
            name: subscription.name.clone(),
            matched: matches!(explanation, Explanation::Matched { .. }),
            reason: reason(explanation, &subscription.events),
        })
    });
    shown.collect()
}

/// Most patterns that are named where none of them matches.
const PATTERNS_SHOWN_MAX: usize = 5;

fn reason(explanation: Explanation, patterns: &[String]) -> String {
    match explanation {
        Explanation::Matched { pattern } => format!("`{pattern}` matches the type, and no filter says no"),
        Explanation::AboutItself => "it is about this very subscription, which is not told".to_owned(),
        Explanation::NoPattern => {
            let shown = patterns.iter().take(PATTERNS_SHOWN_MAX);
            let mut named: Vec<String> = shown.map(|pattern| format!("`{pattern}`")).collect();
            if patterns.len() > PATTERNS_SHOWN_MAX {
                named.push("…".to_owned());
            }
            format!("no pattern matches the type: {}", named.join(", "))
        }
        Explanation::FilterFalse => "the filter says no".to_owned(),
        Explanation::FilterError { detail } => format!("the filter failed, which counts as no: {detail}"),
    }
}
