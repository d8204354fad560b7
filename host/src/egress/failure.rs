//! What kind of trouble an error of the client is, told by the types in its chain of causes, never by
//! its text; and a text for people that shows nothing of the URL but its host.

use std::error::Error;
use std::io;

use rustls::pki_types::InvalidDnsNameError;
use tokio::time::error::Elapsed;

use super::guard::GuardError;
use crate::delivery::{AttemptResult, ErrorKind};

/// Longest detail that comes from somebody else's error, in characters.
const DETAIL_CHARS_MAX: usize = 300;

/// An attempt without an answer.
pub(super) fn failed(kind: ErrorKind, detail: impl Into<String>) -> AttemptResult {
    AttemptResult::Error {
        kind,
        detail: detail.into().chars().take(DETAIL_CHARS_MAX).collect(),
    }
}

/// The result that an error on the way to a connection stands for.
pub(super) fn from_dial(error: &(dyn Error + 'static)) -> AttemptResult {
    let chain = causes(error);
    if let Some(known) = of_the_way(&chain) {
        return known;
    }
    match io_kind(&chain) {
        Some(io::ErrorKind::TimedOut) => failed(ErrorKind::Timeout, "no connection in time"),
        _ if find::<Elapsed>(&chain).is_some() => failed(ErrorKind::Timeout, "no connection in time"),
        io => {
            let cause = io.map_or("unknown cause", in_words);
            failed(ErrorKind::Connect, format!("no connection: {cause}"))
        }
    }
}

/// What a refusal, a name or a certificate has to say, at whatever moment.
fn of_the_way(chain: &[&(dyn Error + 'static)]) -> Option<AttemptResult> {
    if let Some(guard) = find::<GuardError>(chain) {
        return Some(match guard {
            GuardError::Refused(refusal) => failed(ErrorKind::Refused, refusal.to_string()),
            GuardError::NoAddress => failed(ErrorKind::Dns, "the name has no address"),
            GuardError::Lookup(_) => failed(ErrorKind::Dns, "the name could not be looked up"),
        });
    }
    if let Some(tls) = find::<rustls::Error>(chain) {
        return Some(failed(ErrorKind::Tls, format!("the TLS handshake failed: {tls}")));
    }
    find::<InvalidDnsNameError>(chain).map(|_| {
        failed(
            ErrorKind::Tls,
            "the host is not a name that a certificate can have",
        )
    })
}

/// The innermost is what happened; those around it only say that something did.
fn io_kind(chain: &[&(dyn Error + 'static)]) -> Option<io::ErrorKind> {
    let innermost = chain
        .iter()
        .rev()
        .find_map(|error| error.downcast_ref::<io::Error>());
    innermost.map(io::Error::kind)
}

/// The result that an error of a connection, or of the body of an answer, stands for.
pub(super) fn from_connection(error: &(dyn Error + 'static)) -> AttemptResult {
    let chain = causes(error);
    if let Some(known) = of_the_way(&chain) {
        return known;
    }
    let io = io_kind(&chain);
    if io == Some(io::ErrorKind::TimedOut) {
        return failed(ErrorKind::Timeout, "no answer from the host");
    }
    // Of these too: the outermost may only say that a request was given up for it.
    let innermost = chain
        .iter()
        .rev()
        .find_map(|error| error.downcast_ref::<hyper::Error>());
    let Some(http) = innermost else {
        return failed(ErrorKind::Protocol, io.map_or("the connection broke", in_words));
    };
    let detail = if http.is_parse_too_large() {
        "the headers of the answer are too large"
    } else if http.is_parse() {
        "the answer is not HTTP/1.1"
    } else if http.is_incomplete_message() || io == Some(io::ErrorKind::UnexpectedEof) {
        "the connection was closed before the answer was whole"
    } else if matches!(io, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)) {
        // The decoder of bodies has no other way to say it.
        "the body of the answer is not HTTP/1.1: its chunks or trailers are malformed or too large"
    } else if io.is_none() && !http.is_canceled() && !http.is_closed() {
        "the host sent something before it was asked"
    } else {
        io.map_or("the other side closed the connection", in_words)
    };
    failed(ErrorKind::Protocol, detail)
}

/// The error and everything behind it. An `io::Error` hides what it wraps from `source`, so it is asked.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    // No chain is this long; the bound is for one that runs in a circle.
    const CAUSES_MAX: usize = 32;
    let mut chain: Vec<&'a (dyn Error + 'static)> = vec![error];
    while chain.len() < CAUSES_MAX {
        let last = chain[chain.len() - 1];
        let wrapped = last.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => last.source(),
        };
        match next {
            Some(next) => chain.push(next),
            None => break,
        }
    }
    chain
}

fn find<'a, E: Error + 'static>(chain: &[&'a (dyn Error + 'static)]) -> Option<&'a E> {
    chain.iter().find_map(|error| error.downcast_ref())
}

fn in_words(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset => "the other side reset the connection",
        io::ErrorKind::ConnectionAborted => "the connection was aborted",
        io::ErrorKind::BrokenPipe => "the other side closed the connection",
        io::ErrorKind::HostUnreachable => "the host is unreachable",
        io::ErrorKind::NetworkUnreachable => "the network is unreachable",
        io::ErrorKind::TimedOut => "no answer from the host",
        io::ErrorKind::UnexpectedEof => "the other side closed the connection",
        _ => "the connection failed",
    }
}
