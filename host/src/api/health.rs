//! `/healthz` and `/readyz`: whether the process lives, and whether it takes events.
//!
//! Both are open to everybody and say nothing but that.

use axum::Json;
use axum::extract::State;
use futures_util::FutureExt as _;
use serde::Serialize;

use super::Shared;
use super::problem::{Kind, Problem};

/// How it is.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// The process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "health", operation_id = "health", security(()),
    responses((status = 200, description = "It lives", body = Health))
)]
pub async fn alive() -> Json<Health> {
    Json(OK)
}

/// The router takes events: it is not shutting down, its database answers and can be written, and there is
/// room on its disk.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readiness", security(()),
    responses(
        (status = 200, description = "It takes events", body = Health),
        (status = 503, description = "It does not"),
    )
)]
pub async fn ready(State(state): State<Shared>) -> Result<Json<Health>, Problem> {
    if *state.draining.borrow() {
        return Err(Problem::new(Kind::Unavailable, "the router is shutting down"));
    }
    // What is there can be read still, but nothing can be accepted.
    if state.store.ended().now_or_never().is_some() {
        return Err(Problem::new(
            Kind::Unavailable,
            "the database is closed or has failed; the log says how",
        ));
    }
    if let Err(low) = state.ingest.space.check() {
        return Err(Problem::new(Kind::Unavailable, low.to_string()));
    }
    match state.store.counters(None).await {
        Ok(_) => Ok(Json(OK)),
        Err(error) => Err(Problem::new(Kind::Unavailable, "the database does not answer").with_cause(error)),
    }
}
