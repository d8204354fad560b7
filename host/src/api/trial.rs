//! Trying a subscription, stored or not: one test event is really sent, and nothing is kept.
//!
//! A receiver's fault is no fault of the call: it is answered 200 with what was sent, what came back and
//! what is probably wrong. Refused is only what could not be tried: a body that no subscription can be
//! made of, and too many tests.

mod body;
mod shown;

use axum::Json;
use axum::extract::{Path, State};
use http::HeaderValue;
use http::header::RETRY_AFTER;

use super::Shared;
use super::extract::{JsonBody, May, ToManage};
use super::problem::{Kind, Problem};
use crate::trial;

pub use body::{TestIn, UnsavedIn};
pub use shown::{ErrorOut, EventTried, FindingOut, RequestSent, ResponseGot, TestOut};

/// Sends a test event to a subscription that is not stored, and is not by this.
///
/// The body is that of `POST /subscriptions`; `name` and `events` may be missing. Beside it stand the type of
/// the event (`event_type`, or `event`) and its payload (`data`), which is a sample where none is given. The
/// request is really signed and carries the header `Hookway-Test: true`.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/test", tag = "subscriptions", operation_id = "test_subscription_unsaved",
    security(("key" = ["manage"])),
    request_body = UnsavedIn,
    responses((status = 200, description = "What was sent, what came back, and what is probably wrong", body = TestOut))
)]
pub async fn unsaved(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<Json<TestOut>, Problem> {
    let (wish, wanted) = body::unsaved(&body)?;
    let tried = state.trial.unsaved(caller.tenant, wish, wanted).await;
    Ok(Json(TestOut::from(
        tried.map_err(|error| problem(error, &state))?,
    )))
}

/// Sends a test event to a subscription as it is now, whatever its status. No event is accepted, and no
/// delivery is made.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/test", tag = "subscriptions", operation_id = "test_subscription",
    security(("key" = ["manage"])),
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<TestIn>,
    responses((status = 200, description = "What was sent, what came back, and what is probably wrong", body = TestOut))
)]
pub async fn stored(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Json<TestOut>, Problem> {
    let wanted = body::wanted(&body)?;
    let tried = state.trial.stored(caller.tenant, &id, wanted).await;
    Ok(Json(TestOut::from(
        tried.map_err(|error| problem(error, &state))?,
    )))
}

fn problem(error: trial::Error, state: &Shared) -> Problem {
    let (detail, until) = match error {
        trial::Error::Control(error) => return error.into(),
        trial::Error::Often { until } => {
            let (often, burst) = (trial::PER_MINUTE, trial::BURST);
            let detail = format!(
                "a tenant may try subscriptions {often} times a minute, {burst} right after one another; nothing was sent"
            );
            (detail, until)
        }
        trial::Error::TenantBusy { until } => {
            let most = trial::TENANT_AT_ONCE_MAX;
            let detail =
                format!("{most} tests of this tenant are under way, which is the most; nothing was sent");
            (detail, until)
        }
        trial::Error::RouterBusy { until } => {
            let most = trial::AT_ONCE_MAX;
            let detail =
                format!("{most} tests of all tenants are under way, which is the most; nothing was sent");
            (detail, until)
        }
    };
    let seconds = until.since(state.clock.now()).as_secs().saturating_add(1);
    Problem::new(Kind::RateLimited, detail).with_header(RETRY_AFTER, HeaderValue::from(seconds))
}
