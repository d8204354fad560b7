//! `/metrics`: what Prometheus reads.
//!
//! The numbers are of the whole router, whoever's subscriptions they come from. So they are for whoever runs
//! it: for a key with the scope `metrics`, which opens nothing else, or `read`, that is bound to no tenant,
//! or to the one that every router has. That holds for requests from the same machine too, since those that a
//! proxy passes on look the same. `server.metrics = "open"` is for networks in which everybody who reaches
//! the router may know how busy it is.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::Shared;
use super::extract::{May, ToScrape};
use super::problem::{Kind, Problem};
use crate::metrics::exposition::{Format, write};
use crate::store::DEFAULT_TENANT;

/// Who may read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Who has a key with which one may see what is the whole router's.
    Keyed,
    /// Everybody.
    Everybody,
}

/// Metrics of the whole router, for Prometheus.
///
/// In the text format, or as OpenMetrics where `Accept` names `application/openmetrics-text`. Needs a key
/// with the scope `metrics` (or `read`, `manage`, `admin`) that is bound to no tenant or to `default`, unless
/// the router is configured to show them to everybody (`server.metrics`).
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    security(("key" = ["metrics"])),
    responses((status = 200, description = "One line a value", body = String, content_type = "text/plain"))
)]
pub async fn show(
    caller: Result<May<ToScrape>, Problem>,
    State(state): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if state.metrics_for == Readers::Keyed {
        let tenant = caller?.principal.tenant;
        if tenant.is_some_and(|tenant| tenant != DEFAULT_TENANT) {
            let detail = "metrics are of all tenants; use a key of the router, or of the tenant `default`";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
    }
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let mut families = state.scrape.families(state.clock.now()).await;
    families.extend(state.traffic.families());
    let mut answer = write(families, format)
        .map_err(Problem::internal)?
        .into_response();
    let fixed = HeaderValue::from_static;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, fixed(format.media_type()));
    answer.headers_mut().insert(CACHE_CONTROL, fixed("no-store"));
    Ok(answer)
}
