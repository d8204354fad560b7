//! What it tells that there was no answer.

use super::{Case, Code, Finding};
use crate::delivery::ErrorKind;

/// What stands in a detail, in small letters, which TLS fault it means, and what to do. These are the words
/// of rustls, as a test holds.
const TLS: [(&[&str], Code, &str); 4] = [
    (
        &["certificate expired", "expired", "not valid yet", "notvalidyet"],
        Code::TlsExpired,
        "renew the receiver's certificate, and see to it that this happens by itself; if it is new, compare the \
         clocks of both machines",
    ),
    (
        &["not valid for name", "notvalidforname"],
        Code::TlsWrongHost,
        "use a name that the certificate is for, or give the receiver a certificate for this one",
    ),
    (
        &[
            "unknownissuer",
            "unknown issuer",
            "causedasendentity",
            "badsignature",
            "unknown ca",
        ],
        Code::TlsUntrusted,
        "the certificate is self-signed, of a private authority, or the server does not send its intermediate \
         certificates: use one of a public authority (Let's Encrypt) and serve the whole chain",
    ),
    (
        &["invalidcontenttype", "corrupt message"],
        Code::TlsNotSpoken,
        "what listens there speaks plain HTTP, not TLS: compare scheme and port of the URL",
    ),
];

pub(super) fn finding(case: &Case<'_>, kind: ErrorKind, detail: &str) -> Finding {
    let (code, hint) = match kind {
        ErrorKind::Dns => (
            Code::Dns,
            "compare the host's name letter by letter, and ask whether it is known where the router runs".to_owned(),
        ),
        ErrorKind::Connect if detail.contains("refused") => (
            Code::ConnectionRefused,
            "nobody listens at this port: start the receiver, compare the port, and remember that `localhost` in a \
             container is the container itself"
                .to_owned(),
        ),
        ErrorKind::Connect => (
            Code::Connection,
            "the host cannot be reached from where the router runs: look at firewalls and routes between them".to_owned(),
        ),
        ErrorKind::Tls => {
            let text = detail.to_ascii_lowercase();
            let known = TLS
                .iter()
                .find(|(marks, _, _)| marks.iter().any(|mark| text.contains(mark)));
            let other = "look at the receiver's TLS set-up; it must speak TLS 1.2 or 1.3";
            known.map_or((Code::Tls, other.to_owned()), |(_, code, hint)| {
                (*code, (*hint).to_owned())
            })
        }
        ErrorKind::Timeout => (
            Code::Timeout,
            format!(
                "answer within {} s: take the request, answer 200, and do the work afterwards. If nothing arrives at \
                 the receiver at all, a firewall drops it silently",
                case.timeout.as_secs()
            ),
        ),
        ErrorKind::Protocol => (
            Code::Protocol,
            "the receiver, or a proxy before it, closed the connection or does not speak HTTP/1.1: look into its log"
                .to_owned(),
        ),
        ErrorKind::Refused => (
            Code::AddressRefused,
            "the router itself refuses this address. Its detail names the line that allows it, where one does"
                .to_owned(),
        ),
        ErrorKind::Invalid => (
            Code::InvalidRequest,
            "the request could not be made of what is configured; nothing was sent".to_owned(),
        ),
    };
    Finding::new(code, detail, hint)
}
