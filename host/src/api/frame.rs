//! The frame around every handler: a request id, a time limit, problems written out, one line in the
//! log. It is the only layer; everything else is a value that a handler takes.
//!
//! A request that may change something runs to its end, even if the client leaves: between the commit in
//! the store and the hand-over in memory nothing may be cut off. So what is left of it when nobody waits for
//! its answer any more goes on in a task of its own.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE32_DNSSEC;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method};

use super::Shared;
use super::problem::{Kind, Problem};

/// The header that names a request; in every answer, and in every problem as `request_id`.
pub const REQUEST_ID: &str = "x-request-id";

/// Most characters of a path that stand in the log: it is anybody's text, as long as a request's head.
const PATH_CHARS_MAX: usize = 256;

/// Calls the handler and makes of what it gives the answer that the client sees.
pub async fn frame(State(state): State<Shared>, request: Request, next: Next) -> Response {
    // Ours, never the client's: what stands in the log must not be written from outside.
    let id = BASE32_DNSSEC.encode(&rand::random::<[u8; 10]>());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = state.clock.now();
    let counted = state.traffic.begin(&method, &path, &state.clock);
    let mut answer = run(request, next, state.limits.answer_timeout).await;
    if let Some(problem) = unshaped(&answer) {
        answer.extensions_mut().insert(Arc::new(problem));
    }
    if let Some(problem) = answer.extensions_mut().remove::<Arc<Problem>>() {
        counted.refused(problem.kind());
        if let Some(cause) = problem.chain() {
            tracing::error!(request.id = id, %method, path, cause, "a request failed");
        }
        let mut written = problem.answer(&id);
        // What axum knows of the path (`Allow`) stays.
        for (name, value) in answer.headers() {
            if name != http::header::CONTENT_LENGTH && name != http::header::CONTENT_TYPE {
                written.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
        }
        answer = written;
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    counted.answered(answer.status(), &state.clock);
    let (status, duration_ms) = (answer.status(), state.clock.now().since(started).as_millis());
    // Who is refused is given the request id, so it has to lead somewhere.
    if status.is_client_error() || status.is_server_error() {
        if let Some(before) = state.refusals.line(state.clock.now()) {
            let lines_left_out = (before > 0).then_some(before);
            let path: String = path.chars().take(PATH_CHARS_MAX).collect();
            let status = status.as_u16();
            tracing::info!(request.id = id, %method, path, status, duration_ms, lines_left_out, "refused");
        }
    } else {
        tracing::debug!(request.id = id, %method, path, status = status.as_u16(), duration_ms, "answered");
    }
    answer
}

/// The problem behind a refusal that axum made in a shape of its own: a path with broken escapes.
fn unshaped(answer: &Response) -> Option<Problem> {
    let status = answer.status();
    let shaped = answer.extensions().get::<Arc<Problem>>().is_some();
    if shaped || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status.is_client_error() {
        true => Problem::new(Kind::Malformed, "the path cannot be read"),
        false => Problem::new(Kind::Internal, "it has been logged under the request id"),
    })
}

async fn run(request: Request, next: Next, limit: Duration) -> Response {
    let reads_only = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let answer = if reads_only {
        tokio::time::timeout(limit, next.run(request)).await
    } else {
        tokio::time::timeout(limit, ToItsEnd::new(next.run(request))).await
    };
    answer.unwrap_or_else(|_elapsed| {
        let detail = "the answer took too long; what was asked for may still happen";
        Problem::new(Kind::Unavailable, detail).into_response()
    })
}

/// The answer of a handler that is not cut off. Where nobody waits for it any more, what is left of it is
/// handed to the runtime.
struct ToItsEnd(Option<BoxFuture<'static, Response>>);

impl ToItsEnd {
    fn new(handler: impl Future<Output = Response> + Send + 'static) -> Self {
        // A bug in a handler costs its own answer, and not the connection.
        let whole = AssertUnwindSafe(handler).catch_unwind();
        let answer = whole.map(|ended| ended.unwrap_or_else(|_| panicked().into_response()));
        Self(Some(answer.boxed()))
    }
}

/// What went wrong was printed by the panic itself.
fn panicked() -> Problem {
    Problem::internal(std::io::Error::other("a handler panicked"))
}

impl Future for ToItsEnd {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let Some(handler) = &mut self.0 else {
            return Poll::Pending;
        };
        let answer = handler.poll_unpin(context);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_goes_on_to_its_end() {
        let (go, wait) = oneshot::channel::<()>();
        let (done, seen) = oneshot::channel::<()>();
        let mut handler = ToItsEnd::new(async move {
            wait.await.unwrap();
            done.send(()).unwrap();
            StatusCode::OK.into_response()
        });
        assert!((&mut handler).now_or_never().is_none(), "it has begun and waits");
        drop(handler);
        go.send(()).unwrap();
        seen.await.unwrap();
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_an_answer() {
        let handler = ToItsEnd::new(async { panic!("a bug") });
        assert_eq!(handler.await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
