//! `/backup`: everything in one file, for whoever administers the router.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};

use super::Shared;
use super::extract::{May, Query, ToAdminister};
use super::problem::{Kind, Problem};
use crate::backup::{self, Key};

/// What a backup is sent as.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-tar");
/// When to come again while another backup is made, in seconds.
const BUSY_AGAIN_SECONDS: u32 = 30;

/// A tar archive.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the body, which is a stream")]
pub struct Archive(Vec<u8>);

/// Makes a backup and sends it: a tar archive with the database, the key if `key=true`, and a manifest with
/// the hash of each, which comes last. One that ends without its manifest is not whole.
///
/// What was accepted before the call is in it. Only for keys that are bound to no tenant: it holds all of
/// them.
#[utoipa::path(
    get, path = "/api/v1/backup", tag = "backup", operation_id = "backup",
    security(("key" = ["admin", "router"])),
    params(("key" = Option<bool>, Query, description = "Whether the key that opens all secrets goes in; not where nothing is said")),
    responses((status = 200, description = "The archive", body = Archive, content_type = "application/x-tar"))
)]
pub async fn make(
    caller: May<ToAdminister>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Response, Problem> {
    let key = match query.switch("key")? {
        true => Key::Included,
        false => Key::LeftOut,
    };
    query.finish()?;
    caller.must_be_the_routers()?;
    let mut chunks = state.backups.begin(key).await?;
    let body = Body::from_stream(stream::poll_fn(move |context| chunks.poll_recv(context)));
    let mut answer = body.into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"hookway-backup.tar\""),
    );
    Ok(answer)
}

impl From<backup::Error> for Problem {
    fn from(error: backup::Error) -> Self {
        match error {
            error @ backup::Error::NoRoom { .. } => Self::new(Kind::StorageFull, error.to_string()),
            error @ backup::Error::Busy => Self::new(Kind::Overloaded, error.to_string())
                .with_header(RETRY_AFTER, BUSY_AGAIN_SECONDS.into()),
            error @ backup::Error::Interrupted => Self::new(Kind::Unavailable, error.to_string()),
            backup::Error::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}
