//! `/events`: bringing events in, and their history.
//!
//! The hot path of the API: a body is read once, split into raw values, and `data` stays a slice of
//! it, byte for byte. Nothing is parsed that the router does not need.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Shared;
use super::extract::{JsonBody, May, Query, ToIngest, ToRead};
use super::page::{List, Page, cursor};
use super::problem::{Kind, Problem};
use crate::digest::Digest;
use crate::event::{self, Event};
use crate::id::{EventId, SubscriptionId};
use crate::ingest::{self, Draft};
use crate::json::{self, Faults, Fields, Given, Unreadable};
use crate::routing::Explanation;
use crate::store::{AcceptedEvent, EventQuery, Idempotency, StoredEvent};
use crate::time::Timestamp;

/// Most events of one call: they are one transaction, which everybody behind it waits for.
pub const EVENTS_MAX: usize = 1_000;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Covers a whole call (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What is said where nobody wanted the event, so that a mistyped type is noticed.
const NOBODY: &str = "no subscription matches; GET /api/v1/events/{id}/matches says why";

/// An event to be accepted. Exactly one of `data` and `data_base64`.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read without a copy")]
pub struct EventIn {
    /// Such as `alert.created`.
    #[schema(rename = "type")]
    event_type: String,
    /// The payload, any JSON; delivered byte for byte.
    data: Option<serde_json::Value>,
    /// The payload where it is not JSON.
    data_base64: Option<String>,
    /// Your own id: the same one within 24 hours is accepted once.
    id: Option<String>,
    /// Where it happened; `api` where nothing is said.
    source: Option<String>,
    /// What it is about.
    subject: Option<String>,
    /// When it happened, RFC 3339.
    time: Option<String>,
    /// The media type of the payload; `application/json` where nothing is said.
    datacontenttype: Option<String>,
    /// CloudEvents extension attributes.
    extensions: Option<std::collections::BTreeMap<String, String>>,
}

/// One event or many.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
pub enum EventsIn {
    /// One.
    One(EventIn),
    /// Up to 1,000, accepted whole or refused whole.
    Many(Vec<EventIn>),
}

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
}

impl From<&AcceptedEvent> for AcceptedOut {
    fn from(accepted: &AcceptedEvent) -> Self {
        Self {
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
            matched: stored.matched,
            data_bytes: event.data.len(),
            data: None,
            data_base64: None,
        }
    }

    fn whole(stored: &StoredEvent) -> Self {
        let (data, data_base64) = shown_data(&stored.event);
        Self { data, data_base64, ..Self::summary(stored) }
    }
}

/// The payload as it came if it is JSON, else in base64.
fn shown_data(event: &Event) -> (Option<Box<RawValue>>, Option<String>) {
    let text = event.is_json().then(|| str::from_utf8(&event.data).ok()).flatten();
    match text.and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok()) {
        Some(raw) => (Some(raw), None),
        None => (None, Some(BASE64.encode(&event.data))),
    }
}

/// Accepts one event, or up to 1,000 whole or not at all. Durable when it answers.
#[utoipa::path(
    post, path = "/api/v1/events", tag = "events", operation_id = "create_events",
    request_body = EventsIn,
    params(("Idempotency-Key" = Option<String>, Header, description = "Covers the whole call: the same key with the same body gives the first answer again")),
    responses((status = 202, description = "Accepted, and durable", body = AcceptedOut))
)]
pub async fn create(
    caller: May<ToIngest>,
    State(state): State<Shared>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let idempotency = idempotency(&headers, &body.bytes)?;
    let many = json::kind_of(body.text()) == "an array";
    let drafts = drafts(&body, many)?;
    let accepted = state.ingest.accept(caller.tenant, drafts, idempotency).await;
    let accepted = accepted.map_err(|error| problem_of(error, many))?;
    let mut shown: Vec<AcceptedOut> = accepted.iter().map(AcceptedOut::from).collect();
    let answer = match (many, shown.pop()) {
        (false, Some(one)) => Json(one).into_response(),
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

fn idempotency(headers: &HeaderMap, body: &Bytes) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let good = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.to_str().is_ok();
    if !good {
        let detail = format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
        return Err(Problem::parameter("Idempotency-Key", &detail));
    }
    Ok(Some(Idempotency { key: Digest::of(key.as_bytes()), content: Digest::of(body) }))
}

fn drafts(body: &JsonBody, many: bool) -> Result<Vec<Draft>, Problem> {
    if !many {
        return Ok(vec![draft(body.text(), "", &body.bytes)?]);
    }
    let items = json::items(body.text(), "", EVENTS_MAX)?;
    if items.is_empty() {
        return Err(Faults::one("", "must have at least one event").into());
    }
    let mut drafts = Vec::with_capacity(items.len());
    let mut faults = Faults::default();
    for (place, item) in items.into_iter().enumerate() {
        match draft(item.get(), &format!("/{place}"), &body.bytes) {
            Ok(draft) => drafts.push(draft),
            Err(error) => faults.append(error.into_faults()),
        }
    }
    Ok(faults.or(drafts)?)
}

/// Reads one event. `body` is what `text` lies in: data that needs no decoding is a slice of it.
pub(super) fn draft(text: &str, base: &str, body: &Bytes) -> Result<Draft, Unreadable> {
    let mut faults = Faults::default();
    let mut fields = Fields::of(text, base)?;
    let event_type = fields.text("type", &mut faults);
    if event_type.is_none() && faults.is_empty() {
        faults.add(fields.pointer("type"), "must be given, such as `alert.created`");
    }
    let content_type = fields.text("datacontenttype", &mut faults);
    let data = data(&mut fields, content_type.as_deref(), body, &mut faults);
    let draft = Draft {
        event_type: event_type.unwrap_or_default(),
        id: fields.text("id", &mut faults),
        source: fields.text("source", &mut faults),
        subject: fields.text("subject", &mut faults),
        time: fields.read("time", "an RFC 3339 time such as 2026-05-19T16:30:00Z", &mut faults),
        extensions: extensions(&mut fields, &mut faults),
        content_type,
        data,
    };
    fields.finish(&mut faults);
    Ok(faults.or(draft)?)
}

fn data(fields: &mut Fields<'_>, content_type: Option<&str>, body: &Bytes, faults: &mut Faults) -> Bytes {
    let json = event::is_json(content_type.unwrap_or(event::JSON));
    match (fields.given("data"), fields.given("data_base64")) {
        (Given::Absent, Given::Absent | Given::Null) => {
            faults.add(fields.pointer("data"), "must be given (null is allowed), or `data_base64`");
            Bytes::new()
        }
        (Given::Null, Given::Absent | Given::Null) => Bytes::from_static(b"null"),
        (Given::Value(raw), Given::Absent | Given::Null) if json => body.slice_ref(raw.get().as_bytes()),
        (Given::Value(raw), Given::Absent | Given::Null) => {
            let expected = "a string where `datacontenttype` is not JSON (or use `data_base64`)";
            let text: Option<String> = json::read(raw, &fields.pointer("data"), expected, faults);
            text.unwrap_or_default().into()
        }
        (Given::Absent, Given::Value(raw)) => {
            let pointer = fields.pointer("data_base64");
            let text: Option<String> = json::read(raw, &pointer, "a string", faults);
            decoded(&text.unwrap_or_default(), json, &pointer, faults)
        }
        (Given::Null | Given::Value(_), Given::Value(_)) => {
            faults.add(fields.pointer("data_base64"), "cannot be given beside `data`");
            Bytes::new()
        }
    }
}

/// Data that says it is JSON is JSON, whichever way it came: envelopes rely on it.
fn decoded(text: &str, json: bool, pointer: &str, faults: &mut Faults) -> Bytes {
    let Ok(bytes) = BASE64.decode(text.as_bytes()) else {
        faults.add(pointer, "is not base64 (standard alphabet, with padding)");
        return Bytes::new();
    };
    if json && serde_json::from_slice::<&RawValue>(&bytes).is_err() {
        faults.add(pointer, "is not JSON; say what it is in `datacontenttype`");
    } else if json && json::check_depth(&bytes).is_err() {
        faults.add(pointer, json::TooDeep.to_string());
    }
    bytes.into()
}

fn extensions(fields: &mut Fields<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let Given::Value(raw) = fields.given("extensions") else { return Vec::new() };
    let base = fields.pointer("extensions");
    let members = match Fields::of(raw.get(), &base) {
        Ok(fields) => fields.into_members(),
        Err(error) => {
            faults.append(error.into_faults());
            return Vec::new();
        }
    };
    let read = |(name, raw): (std::borrow::Cow<'_, str>, &RawValue)| {
        let value = json::read(raw, &json::pointer(&base, &name), "a string", faults)?;
        Some((name.into_owned(), value))
    };
    members.into_iter().filter_map(read).collect()
}

pub(super) fn problem_of(error: ingest::Error, many: bool) -> Problem {
    match error {
        ingest::Error::Drafts(found) => {
            let mut faults = Faults::default();
            for fault in found {
                let base = if many { format!("/{}", fault.index) } else { String::new() };
                faults.add(json::pointer(&base, fault.attribute), fault.detail);
            }
            faults.into()
        }
        ingest::Error::KeyConflict => Problem::new(
            Kind::IdempotencyConflict,
            "this Idempotency-Key came before with another body; nothing was accepted",
        ),
        ingest::Error::EventConflict { index } => {
            let pointer = if many { format!("/{index}/id") } else { "/id".to_owned() };
            let detail = "an event of this source had this id and other content; nothing was accepted";
            Problem::new(Kind::IdempotencyConflict, detail)
                .with_faults(Faults::one(pointer, "came before with other content"))
        }
        ingest::Error::Store(error) => error.into(),
    }
}

/// Lists events, newest first, without their payloads.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events",
    params(
        ("type" = Option<String>, Query, description = "Only this type"),
        ("source" = Option<String>, Query, description = "Only from this source"),
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
        tenant: Some(caller.tenant),
        event_type: query.text("type"),
        source: query.text("source"),
        before: query.cursor(List::Events)?.map(EventId::from_number),
        limit: limit + 1,
    };
    query.finish()?;
    let mut stored = state.store.events(wanted).await?;
    let more = stored.len() > limit;
    stored.truncate(limit);
    let next = stored.last().filter(|_| more).map(|last| cursor(List::Events, last.event.id.number()));
    Ok(Json(Page { data: stored.iter().map(EventOut::summary).collect(), next }))
}

/// Shows one event with its payload.
#[utoipa::path(
    get, path = "/api/v1/events/{id}", tag = "events", operation_id = "get_event",
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

fn explained(state: &Shared, event: &Event) -> Vec<MatchOut> {
    let snapshot = state.registry.snapshot();
    let explained = snapshot.table.explain(event).into_iter();
    let shown = explained.filter_map(|(id, explanation)| {
        Some(MatchOut {
            subscription_id: id,
            name: snapshot.routes.get(&id)?.subscription().name.clone(),
            matched: matches!(explanation, Explanation::Matched { .. }),
            reason: reason(explanation),
        })
    });
    shown.collect()
}

fn reason(explanation: Explanation) -> String {
    match explanation {
        Explanation::Matched { pattern } => format!("`{pattern}` matches the type, and no filter says no"),
        Explanation::NoPattern => "no pattern matches the type".to_owned(),
        Explanation::FilterFalse => "the filter says no".to_owned(),
        Explanation::FilterError { detail } => format!("the filter failed, which counts as no: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Draft, Vec<(String, String)>> {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let text = str::from_utf8(&body).unwrap();
        draft(text, "", &body).map_err(|error| {
            error.into_faults().into_vec().into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
        })
    }

    #[test]
    fn data_stays_the_bytes_it_was_and_shares_the_body() {
        let body = Bytes::from_static(br#"{"type":"a.b", "data" : {"n": 1.0,  "big":12345678901234567890123} }"#);
        let text = str::from_utf8(&body).unwrap();
        let draft = draft(text, "", &body).unwrap();
        assert_eq!(&draft.data[..], br#"{"n": 1.0,  "big":12345678901234567890123}"#);
        assert!(body.as_ptr_range().contains(&draft.data.as_ptr()), "a slice, not a copy");
    }

    #[test]
    fn data_is_given_once_and_in_the_format_that_is_named() {
        assert_eq!(&read(r#"{"type":"a","data":null}"#).unwrap().data[..], b"null");
        assert_eq!(&read(r#"{"type":"a","data_base64":"e30="}"#).unwrap().data[..], b"{}");
        let text = read(r#"{"type":"a","datacontenttype":"text/plain","data":"a\nb"}"#).unwrap();
        assert_eq!(&text.data[..], b"a\nb");
        for (bad, pointer) in [
            (r#"{"type":"a"}"#, "/data"),
            (r#"{"type":"a","data":1,"data_base64":"e30="}"#, "/data_base64"),
            (r#"{"type":"a","data_base64":"e30"}"#, "/data_base64"),
            (r#"{"type":"a","data_base64":"/w=="}"#, "/data_base64"),
            (r#"{"type":"a","datacontenttype":"text/plain","data":{}}"#, "/data"),
            (r#"{"data":1}"#, "/type"),
            (r#"{"type":5,"data":1}"#, "/type"),
            (r#"{"type":"a","data":1,"time":"yesterday"}"#, "/time"),
            (r#"{"type":"a","data":1,"tpye":"a"}"#, "/tpye"),
            (r#"{"type":"a","data":1,"extensions":{"x":1}}"#, "/extensions/x"),
            (r#"{"type":"a","data":1,"extensions":[]}"#, "/extensions"),
        ] {
            let faults = read(bad).unwrap_err();
            assert_eq!(faults.iter().map(|fault| fault.0.as_str()).collect::<Vec<_>>(), [pointer], "{bad}");
        }
    }

    #[test]
    fn faults_of_an_array_name_the_event() {
        let bytes = Bytes::from_static(br#"[{"type":"a","data":1},{"type":"b","data":1,"x":0},7]"#);
        let problem = drafts(&JsonBody { bytes }, true).unwrap_err();
        assert_eq!(problem.kind(), Kind::Invalid);
        let text = format!("{problem:?}");
        assert!(text.contains("\"/1/x\"") && text.contains("\"/2\""), "{text}");
        let many = format!("[{}]", vec![r#"{"type":"a","data":1}"#; EVENTS_MAX + 1].join(","));
        assert!(drafts(&JsonBody { bytes: many.into() }, true).is_err());
        assert!(drafts(&JsonBody { bytes: Bytes::from_static(b"[]") }, true).is_err());
    }
}
