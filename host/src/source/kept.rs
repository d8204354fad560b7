//! Which headers of a request are kept, and how: for plugins that want them and for whoever looks into a
//! problem later. Credentials are masked; what only concerned the connection is left out.

use http::HeaderMap;

use super::verification::Verification;

/// Most headers that are kept of one request.
pub const KEPT_HEADERS_MAX: usize = 64;
/// Longest value of a header that is kept, in bytes; the rest is cut off.
pub const KEPT_VALUE_BYTES_MAX: usize = 1_024;
/// Most bytes of headers that one request adds to its events, all together: each of its events has them.
pub const KEPT_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// What stands in place of a credential.
const MASK: &str = "…";

/// What the name of a header has in it whose value is a credential, whatever a source verifies: proxies and
/// services invent such names, and nobody can list them all.
const CREDENTIALS: [&str; 8] = [
    "api-key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "password",
    "secret",
    "token",
];
/// What makes such a name harmless: Twilio's `I-Twilio-Idempotency-Token` is an id.
const NO_CREDENTIAL: &str = "idempotency";
/// Headers of the connection, and those that say what the event says itself.
const DROPPED: [&str; 14] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];

/// The headers of a request that are kept.
pub fn kept_headers(headers: &HeaderMap, verification: &Verification) -> Vec<(String, String)> {
    let is_token = |name: &str| {
        verification
            .secret_headers()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let kept = headers
        .iter()
        .filter(|(name, _)| !DROPPED.contains(&name.as_str()));
    kept.take(KEPT_HEADERS_MAX)
        .map(|(name, value)| {
            let name = name.as_str();
            if is_credential(name) || is_token(name) {
                return (name.to_owned(), MASK.to_owned());
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            let end = (0..=value.len().min(KEPT_VALUE_BYTES_MAX))
                .rev()
                .find(|end| value.is_char_boundary(*end));
            (name.to_owned(), value[..end.unwrap_or(0)].to_owned())
        })
        .collect()
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|part| name.contains(part)) && !name.contains(NO_CREDENTIAL)
}

/// Of the headers that are kept, those that each of so many events of one request can have: a small
/// request that is split into a thousand events must not become a thousand times its size.
pub fn shared_headers(kept: &[(String, String)], events: usize) -> Vec<(String, String)> {
    let mut left = KEPT_BYTES_MAX / events.max(1);
    let fits = |(name, value): &&(String, String)| {
        let rest = left.checked_sub(name.len() + value.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    kept.iter().filter(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::super::verification::Place;
    use super::*;

    #[test]
    fn credentials_are_masked_and_the_connection_is_left_out() {
        let mut headers = HeaderMap::new();
        let long = "é".repeat(KEPT_VALUE_BYTES_MAX);
        for (name, value) in [
            ("host", "x"),
            ("authorization", "Bearer abc"),
            ("x-my-token", "abc"),
            ("x-github-event", "push"),
            ("x-long", &long),
        ] {
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers.append("x-odd", HeaderValue::from_bytes(b"\xff").unwrap());
        let place = Place::Header {
            header: "X-My-Token".to_owned(),
            prefix: String::new(),
        };
        let kept = kept_headers(&headers, &Verification::Token { places: vec![place] });
        let value = |name: &str| {
            kept.iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("host"), None);
        assert_eq!(
            (value("authorization"), value("x-my-token")),
            (Some("…"), Some("…"))
        );
        assert_eq!(
            (value("x-github-event"), value("x-odd")),
            (Some("push"), Some("\u{fffd}"))
        );
        assert_eq!(value("x-long").map(str::len), Some(KEPT_VALUE_BYTES_MAX));
    }

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "x-gitlab-token",
            "x-goog-channel-token",
            "x-amz-security-token",
            "x-hook-secret",
            "x-forwarded-access-token",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "x-github-event",
            "i-twilio-idempotency-token",
            "idempotency-key",
            "x-hub-signature-256",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn the_headers_of_many_events_are_bounded_together() {
        let header = |n: usize, bytes| (format!("x-{n:02}"), "v".repeat(bytes));
        let kept: Vec<_> = (0..60)
            .map(|n| header(n, KEPT_VALUE_BYTES_MAX))
            .chain([header(99, 1)])
            .collect();
        assert_eq!(shared_headers(&kept, 1), kept);
        assert_eq!(shared_headers(&kept, 10), kept);
        let shared = shared_headers(&kept, 1_000);
        let bytes: usize = shared.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes * 1_000 <= KEPT_BYTES_MAX, "{bytes}");
        assert_eq!(
            shared.last(),
            kept.last(),
            "a small one behind large ones still fits"
        );
    }
}
