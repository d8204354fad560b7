//! `/receptions`: every request that came to a source, the refused ones too, with the reason.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use data_encoding::BASE64;
use serde::Serialize;

use super::Shared;
use super::extract::{Caller, May, Query, ToRead};
use super::page::{List, Page};
use super::problem::Problem;
use crate::digest::Digest;
use crate::id::{EventId, ReceptionId, SourceId};
use crate::reception::{Outcome, Reception};
use crate::store::{OutcomeFilter, ReceptionQuery};
use crate::time::Timestamp;

/// One request to a source.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ReceptionOut {
    /// Its id.
    #[schema(value_type = String)]
    id: ReceptionId,
    /// The source.
    #[schema(value_type = String)]
    source_id: SourceId,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// Who sent it, as far as trusted proxies say.
    remote: String,
    /// Its method.
    method: String,
    /// The status it was answered with.
    status: u16,
    /// How many bytes its body had.
    bytes: u64,
    /// Of the body, to compare with what the sender has.
    #[schema(value_type = Option<String>)]
    sha256: Option<Digest>,
    /// `accepted`, `duplicate` (nothing in it was new), `handshake` or `refused`.
    outcome: &'static str,
    /// Why it was refused, as a word of a closed set.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Why it was refused, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Which handshake it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake: Option<String>,
    /// The first event that it became, or repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    event_id: Option<EventId>,
    /// How many new events it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u32>,
    /// How many of its events had been accepted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u32>,
    /// How many of these repetitions had other content.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<u32>,
    /// Its headers, credentials masked; of an accepted one they are with its events.
    headers: BTreeMap<String, String>,
    /// Refusals of the source before this one that were counted but not kept.
    #[serde(skip_serializing_if = "is_zero")]
    unrecorded: u32,
    /// The body of a refused one, where the source keeps them; only where one is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl From<Reception> for ReceptionOut {
    fn from(reception: Reception) -> Self {
        let outcome = reception.outcome.as_str();
        let mut shown = Self {
            id: reception.id,
            source_id: reception.source,
            received_at: reception.received_at,
            remote: reception.remote.to_string(),
            method: reception.method,
            status: reception.status,
            bytes: reception.bytes,
            sha256: reception.digest,
            outcome,
            reason: None,
            detail: None,
            handshake: None,
            event_id: None,
            events: None,
            duplicates: None,
            changed: None,
            headers: reception.headers.into_iter().collect(),
            unrecorded: reception.unrecorded,
            body_base64: reception.body.map(|body| BASE64.encode(&body)),
        };
        match reception.outcome {
            Outcome::Accepted {
                first,
                events,
                duplicates,
                changed,
            } => {
                shown.event_id = Some(first);
                (shown.events, shown.duplicates) = (Some(events), Some(duplicates));
                shown.changed = Some(changed).filter(|changed| *changed > 0);
            }
            Outcome::Handshake { name } => shown.handshake = Some(name),
            Outcome::Refused { reason, detail } => {
                (shown.reason, shown.detail) = (Some(reason.as_str()), Some(detail));
            }
        }
        shown
    }
}

/// Lists requests to a source, newest first.
#[utoipa::path(
    get, path = "/api/v1/sources/{id}/receptions", tag = "sources", operation_id = "list_source_receptions",
    security(("key" = ["read"])),
    params(
        ("id" = String, Path, description = "`src_…` or its name"),
        ("outcome" = Option<String>, Query, description = "Only `accepted` (repetitions too), `handshake` or `refused`"),
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<ReceptionOut>))
)]
pub async fn list_of_source(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Page<ReceptionOut>>, Problem> {
    let known = state.control.source(caller.tenant, &id);
    let id = known.map(|entry| entry.source().id);
    let id = id.ok_or_else(|| Problem::not_found("source"))?;
    page(&caller, &state, Some(id), query).await
}

/// Lists requests to all sources, newest first.
#[utoipa::path(
    get, path = "/api/v1/receptions", tag = "sources", operation_id = "list_receptions",
    security(("key" = ["read"])),
    params(
        ("outcome" = Option<String>, Query, description = "Only `accepted` (repetitions too), `handshake` or `refused`"),
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<ReceptionOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    query: Query,
) -> Result<Json<Page<ReceptionOut>>, Problem> {
    page(&caller, &state, None, query).await
}

async fn page(
    caller: &Caller,
    state: &Shared,
    source: Option<SourceId>,
    mut query: Query,
) -> Result<Json<Page<ReceptionOut>>, Problem> {
    let limit = query.limit()?;
    let outcome = match query.text("outcome").as_deref() {
        None => None,
        Some("accepted") => Some(OutcomeFilter::Accepted),
        Some("handshake") => Some(OutcomeFilter::Handshake),
        Some("refused") => Some(OutcomeFilter::Refused),
        Some(_) => {
            return Err(Problem::parameter(
                "outcome",
                "must be accepted, handshake or refused",
            ));
        }
    };
    let wanted = ReceptionQuery {
        tenant: Some(caller.tenant),
        source,
        outcome,
        before: query.cursor(List::Receptions)?.map(ReceptionId::from_number),
        limit: limit + 1,
    };
    query.finish()?;
    let found = state.store.receptions(wanted).await?;
    let number = |reception: &Reception| reception.id.number();
    Ok(Json(Page::cut(
        List::Receptions,
        found,
        limit,
        number,
        ReceptionOut::from,
    )))
}

/// Shows one request to a source.
#[utoipa::path(
    get, path = "/api/v1/receptions/{id}", tag = "sources", operation_id = "get_reception",
    security(("key" = ["read"])),
    params(("id" = String, Path, description = "`rcp_…`")),
    responses((status = 200, description = "The request", body = ReceptionOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ReceptionOut>, Problem> {
    let id: ReceptionId = id.parse().map_err(|_| Problem::not_found("reception"))?;
    let found = state.store.reception(id).await?;
    let own = found.filter(|reception| reception.tenant == caller.tenant);
    let reception = own.ok_or_else(|| Problem::not_found("reception"))?;
    Ok(Json(reception.into()))
}
