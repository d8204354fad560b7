//! The answer that shows something with a version: its ETag, and where it is if it was just made.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// Answers with what is at `place` and has this version.
pub(super) fn versioned(status: StatusCode, version: u64, place: &str, shown: impl Serialize) -> Response {
    let mut answer = (status, Json(shown)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        answer.headers_mut().insert(ETAG, etag);
    }
    if let (StatusCode::CREATED, Ok(place)) = (status, HeaderValue::from_str(place)) {
        answer.headers_mut().insert(LOCATION, place);
    }
    answer
}
