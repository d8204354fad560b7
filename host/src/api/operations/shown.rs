//! Operations and previews as the API shows them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::delivery::Cause;
use crate::id::{Id, OperationId, SubscriptionId};
use crate::operation::{Asked, Kind, Operation, Skipped, State as Stands, Status};
use crate::recovery::Preview;
use crate::time::Timestamp;

/// A background operation.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OperationOut {
    /// Its id.
    #[schema(value_type = String)]
    id: OperationId,
    /// `recover` or `replay`.
    #[schema(value_type = String)]
    kind: Kind,
    /// `running`, `finished`, `cancelled` or `failed`.
    #[schema(value_type = String)]
    state: Stands,
    /// What was asked for.
    asked: AskedOut,
    /// How far it is.
    progress: ProgressOut,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

/// What was asked for.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AskedOut {
    /// Only for this subscription.
    #[schema(value_type = Option<String>)]
    subscription_id: Option<SubscriptionId>,
    /// Nothing older.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Nothing from this time on.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Patterns of types; all where there are none.
    types: Vec<String>,
    /// For a replay: `any`, `delivered`, `failed`, `filtered` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
    /// Causes of failure; all where there are none.
    #[schema(value_type = Vec<String>)]
    causes: Vec<Cause>,
    /// Status codes of the last answer; all where there are none.
    codes: Vec<u16>,
    /// Deliveries put in per second.
    rate: u32,
}

/// How far an operation is.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ProgressOut {
    /// Deliveries or events looked at, wanted or not.
    looked_at: u64,
    /// How many there were to put in at the start; null until they are counted.
    total: Option<u64>,
    /// Deliveries put in.
    done: u64,
    /// Those that were wanted and not put in.
    skipped: Skipped,
    /// The last delivery (recover) or event (replay) that was looked at.
    position: Option<PositionOut>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Where a walk stands.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PositionOut {
    /// The id up to which everything was looked at.
    id: String,
    /// When something with this id was made.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
}

/// What an operation would put in.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PreviewOut {
    /// How many.
    matches: u64,
    /// Those that are wanted and would not be put in.
    skipped: Skipped,
    /// How many of each type, most first.
    by_type: Vec<TypeCount>,
    /// How many of further types.
    other_types: u64,
}

/// How many of a type.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TypeCount {
    /// The type.
    #[serde(rename = "type")]
    event_type: String,
    /// How many.
    count: u64,
}

impl OperationOut {
    pub(super) fn new(operation: Operation) -> Self {
        let Operation {
            id,
            state,
            asked,
            progress,
            ..
        } = operation;
        let position = progress.position.map(|position| match asked.kind {
            Kind::Recover => position_of::<crate::id::DeliveryKind>(position.number),
            Kind::Replay => position_of::<crate::id::EventKind>(position.number),
        });
        Self {
            id,
            kind: asked.kind,
            state,
            progress: ProgressOut {
                looked_at: progress.looked_at,
                total: progress.total,
                done: progress.done,
                skipped: progress.skipped,
                position,
                error: progress.error,
            },
            asked: AskedOut::new(asked),
            created_at: operation.created_at,
            ended_at: operation.ended_at,
        }
    }

    pub(super) fn answer(self, status: StatusCode) -> Response {
        (status, Json(self)).into_response()
    }
}

fn position_of<K: crate::id::Kind>(number: i64) -> PositionOut {
    let id = Id::<K>::from_number(number);
    PositionOut {
        id: id.to_string(),
        time: id.time(),
    }
}

impl AskedOut {
    fn new(asked: Asked) -> Self {
        Self {
            subscription_id: asked.subscription,
            since: asked.since,
            until: asked.until,
            types: asked.types,
            status: (asked.kind == Kind::Replay).then_some(asked.status),
            causes: asked.causes,
            codes: asked.codes,
            rate: asked.rate,
        }
    }
}

impl PreviewOut {
    pub(super) fn new(preview: Preview) -> Self {
        let types = preview.by_type.into_iter();
        let mut by_type: Vec<TypeCount> = types
            .map(|(event_type, count)| TypeCount { event_type, count })
            .collect();
        by_type.sort_by_key(|each| std::cmp::Reverse(each.count));
        Self {
            matches: preview.matches,
            skipped: preview.skipped,
            by_type,
            other_types: preview.other_types,
        }
    }
}
