//! How the names of headers are spelled on the wire.
//!
//! Names of headers have no case, and [`http::HeaderName`] keeps none; but receivers exist that compare
//! them byte by byte, and signatures that a product documents as `X-WorkFlows-Signature`. hyper writes a
//! request in the spelling that its extensions carry, in a type of its own which nobody else can make:
//! it appears in requests that hyper's server has read. So a server reads one, from memory, and its
//! extensions are kept here and go with each request.
//!
//! A name that is not in the list leaves in lower case. Without any list everything does.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Extensions, HeaderName, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::client::REQUEST_HEADERS_MAX;
use crate::profile::FRAMING;

/// Longest name that is looked after; longer ones leave in lower case.
const NAME_BYTES_MAX: usize = 256;
/// How many names the client adds by itself.
const CLIENTS_OWN: usize = 2;
/// Most bytes of the request that is read for its spelling: as many names as there can be, each with its
/// value, and never less than the 8 KiB that hyper wants at least.
const REQUEST_BYTES_MAX: usize = REQUEST_HEADERS_MAX * (NAME_BYTES_MAX + 16) + 8 * 1_024;

/// The exact names of headers, for any number of requests. Cheap to clone. The default keeps nothing:
/// every name leaves in lower case.
#[derive(Clone, Debug, Default)]
pub struct Spelling(Option<Arc<Extensions>>);

impl Spelling {
    /// The spelling of these names, and of `Host` and `Content-Length`, which the client adds by itself.
    ///
    /// A name that stands here once is for the first header of that name; who sends two of them lists it
    /// twice. What is not the name of a header is ignored, and so are names that frame a request, which
    /// none can have ([`super::Outbound`]).
    pub fn of(names: &[impl AsRef<str>]) -> Self {
        let mut request = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n".to_vec();
        let ours = names.iter().map(AsRef::as_ref).filter(|name| is_ours(name));
        for name in ours.take(REQUEST_HEADERS_MAX - CLIENTS_OWN) {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": x\r\n");
        }
        request.extend_from_slice(b"\r\n");
        Self(read(&request).map(Arc::new))
    }

    /// What a request carries.
    pub(super) fn extensions(&self) -> Extensions {
        self.0.as_deref().cloned().unwrap_or_default()
    }
}

fn is_ours(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| !FRAMING.contains(&name.as_str()))
}

/// What hyper's server makes of the bytes of a request. Nothing here waits: the request is in memory, the
/// answer goes nowhere, and so the connection ends in the first poll.
fn read(request: &[u8]) -> Option<Extensions> {
    let read = RefCell::new(None);
    let keep = service_fn(|mut request: Request<Incoming>| {
        read.replace(Some(std::mem::take(request.extensions_mut())));
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let socket = TokioIo::new(tokio::io::join(request, tokio::io::sink()));
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .keep_alive(false)
        .auto_date_header(false)
        .header_read_timeout(None)
        .max_headers(REQUEST_HEADERS_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(socket, keep);
    // How the connection ended does not matter: either the request was read or it was not.
    let _ended = connection.now_or_never();
    read.take()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_none(spelling: &Spelling) -> bool {
        spelling.0.is_none()
    }

    #[test]
    fn names_are_kept_and_what_is_none_is_ignored() {
        assert!(is_none(&Spelling::default()));
        assert!(!is_none(&Spelling::of(&[] as &[&str])));
        let long = "X".repeat(70_000);
        let odd = [
            "X-WorkFlows-Signature",
            "",
            "two words",
            "a:b",
            "line\r\nbreak",
            "ünï",
            "Transfer-Encoding",
            "content-length",
            "Upgrade",
            "EXPECT",
            "Connection",
            &long,
        ];
        assert_eq!(Spelling::of(&odd).extensions().len(), 1);
        let many: Vec<String> = (0..1_000).map(|n| format!("X-{n}-{}", "Y".repeat(240))).collect();
        assert!(!is_none(&Spelling::of(&many)));
    }

    proptest! {
        #[test]
        fn any_list_gives_a_spelling(names: Vec<String>, tokens in prop::collection::vec("[!-~]{0,300}", 0..300)) {
            prop_assert!(!is_none(&Spelling::of(&names)));
            prop_assert!(!is_none(&Spelling::of(&tokens)));
        }
    }
}
