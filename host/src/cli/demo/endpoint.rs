//! What the demonstration's receiver answers: 204, but for paths that end in `/flaky`, which answer 503
//! to the first two requests, as a service does while it restarts.

use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;

use crate::cli::receiver::{Replies, Reply};

/// Where requests fail at first.
pub(super) const FLAKY_PATH: &str = "/flaky";
/// How many requests fail there.
const FAILURES: u32 = 2;

/// The answers.
pub(super) fn replies() -> Replies {
    let failed = AtomicU32::new(0);
    Box::new(move |path| {
        let fails = path.ends_with(FLAKY_PATH) && failed.fetch_add(1, Ordering::Relaxed) < FAILURES;
        Reply::status(if fails {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::NO_CONTENT
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fails_twice_where_it_should() {
        let replies = replies();
        let answered = ["/a", "/flaky", "/flaky", "/b", "/flaky"].map(|path| replies(path).status.as_u16());
        assert_eq!(answered, [204, 503, 503, 204, 204]);
    }
}
