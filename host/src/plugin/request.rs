//! One request that a guest made, checked. Pure.
//!
//! A guest may choose path, headers and body, never where the request goes, nor a header by which the
//! host or the endpoint decides whom to trust. A joined path keeps scheme, host and port of any
//! endpoint; a property test says so.

use bytes::Bytes;

use crate::event;

use super::bindings::hookway::plugin::types;
use super::fault::Fault;
use super::limits::PluginLimits;
use super::output::{at_most, invalid, quoted};

/// Longest path with query, in bytes; more than most servers take.
const PATH_BYTES_MAX: usize = 4_096;
/// Longest dedup or ordering key, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// Headers that belong to the host, to the connection or to the endpoint's trust.
const HEADERS_DENIED: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "set-cookie",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// Families of headers that a plugin may not set: those of proxies, of the signature, our own.
const HEADER_PREFIXES_DENIED: [&str; 6] = [
    "hookway-",
    "proxy-",
    "webhook-",
    "x-forwarded-",
    "x-hookway-",
    "x-webhook-",
];

/// One request, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRequest {
    /// Upper-case method; the endpoint's own where none.
    pub method: Option<&'static str>,
    /// Path and query; the endpoint's own where none.
    pub path: Option<String>,
    /// Headers, names in lower case, each name once.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// A second request with the same key for the same subscription is dropped.
    pub dedup_key: Option<String>,
    /// Requests with the same key are sent in order.
    pub ordering_key: Option<String>,
    /// Not to be sent before this many milliseconds have passed; shortened to `plugins.delay_ms`.
    pub delay_ms: Option<u32>,
}

impl GuestRequest {
    /// Whether there is nothing but a body, as every plugin but the last one must give.
    pub fn is_only_a_body(&self) -> bool {
        let Self {
            method,
            path,
            headers,
            body: _,
            dedup_key,
            ordering_key,
            delay_ms,
        } = self;
        let keys = dedup_key.is_none() && ordering_key.is_none();
        method.is_none() && path.is_none() && headers.is_empty() && keys && delay_ms.is_none()
    }
}

/// Checks a request of a guest.
pub(super) fn check(request: types::Request, limits: &PluginLimits) -> Result<GuestRequest, Fault> {
    at_most(
        request.body.len(),
        limits.body_bytes,
        "bytes in the body",
        "body_bytes",
    )?;
    if let Some(path) = &request.path {
        check_path(path).map_err(|why| invalid(&format!("path {}: {why}", quoted(path))))?;
    }
    Ok(GuestRequest {
        method: request.method.map(method),
        headers: check_headers(request.headers, limits)?,
        path: request.path,
        body: request.body.into(),
        dedup_key: check_key(request.dedup_key, "dedup-key")?,
        ordering_key: check_key(request.ordering_key, "ordering-key")?,
        delay_ms: request.delay_ms.map(|delay| delay.min(limits.delay_ms)),
    })
}

const fn method(method: types::Method) -> &'static str {
    match method {
        types::Method::Post => "POST",
        types::Method::Put => "PUT",
        types::Method::Patch => "PATCH",
        types::Method::Delete => "DELETE",
        types::Method::Get => "GET",
    }
}

fn check_headers(
    headers: Vec<(String, String)>,
    limits: &PluginLimits,
) -> Result<Vec<(String, String)>, Fault> {
    at_most(headers.len(), limits.headers, "headers", "headers")?;
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    at_most(bytes, limits.header_bytes, "bytes of headers", "header_bytes")?;
    let mut checked: Vec<(String, String)> = Vec::with_capacity(headers.len());
    for (mut name, value) in headers {
        name.make_ascii_lowercase();
        check_header(&name, &value).map_err(|why| invalid(&format!("header {}: {why}", quoted(&name))))?;
        if checked.iter().any(|(other, _)| *other == name) {
            return Err(invalid(&format!("header {}: given twice", quoted(&name))));
        }
        checked.push((name, value));
    }
    Ok(checked)
}

/// Says what is wrong with a header, its name in lower case.
fn check_header(name: &str, value: &str) -> Result<(), &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("not a header name (RFC 9110, 5.1)");
    }
    let denied = HEADERS_DENIED.contains(&name)
        || HEADER_PREFIXES_DENIED
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if denied {
        return Err("belongs to the host; a subscription may set it, a plugin may not");
    }
    // Stricter than HTTP, which lets tabs and bytes above ASCII pass: endpoints disagree about them.
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("the value may only have visible ASCII characters and spaces");
    }
    Ok(())
}

/// Says what is wrong with a path and query.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Err("longer than 4096 bytes");
    }
    if !path.starts_with('/') {
        return Err("must begin with `/`; scheme, host and port are the subscription's");
    }
    // What RFC 3986 allows in paths and queries, so that every parser reads the same.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte);
    if !path.bytes().all(allowed) {
        return Err("a character that must be percent-encoded (or a fragment, which is never sent)");
    }
    let digits = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    if !path.split('%').skip(1).all(digits) {
        return Err("`%` without two hexadecimal digits");
    }
    let segments = path.split('?').next().unwrap_or_default();
    if segments.contains("//") {
        return Err("empty segments (`//`)");
    }
    let dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if segments.split('/').any(dots) {
        return Err("segments `.` and `..`");
    }
    Ok(())
}

fn check_key(key: Option<String>, what: &str) -> Result<Option<String>, Fault> {
    if let Some(text) = &key {
        event::check_text(text, KEY_BYTES_MAX).map_err(|why| invalid(&format!("{what}: {why}")))?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(path: Option<&str>, headers: &[(&str, &str)]) -> Result<GuestRequest, Fault> {
        let request = types::Request {
            method: Some(types::Method::Put),
            path: path.map(str::to_owned),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: b"body".to_vec(),
            dedup_key: None,
            ordering_key: None,
            delay_ms: Some(u32::MAX),
        };
        check(request, &PluginLimits::default())
    }

    #[test]
    fn headers_that_belong_to_others_are_refused() {
        for name in [
            "host",
            "Content-Length",
            "transfer-encoding",
            "Connection",
            "keep-alive",
            "proxy-authorization",
            "te",
            "trailer",
            "upgrade",
            "expect",
            "forwarded",
            "x-forwarded-for",
            "via",
            "cookie",
            "AUTHORIZATION",
            "webhook-id",
            "Webhook-Signature",
            "hookway-delivery",
            "x-hookway-a",
            "",
            "a b",
            "a:",
            "é",
            "a\r\nb",
        ] {
            let fault = given(None, &[(name, "x")]).unwrap_err();
            assert!(fault.detail.starts_with("header `"), "{name}: {fault}");
        }
        for value in ["a\r\nhost: b", "a\nb", "a\0", "\t", "é", "\u{7f}"] {
            assert!(given(None, &[("x-a", value)]).is_err(), "{value:?}");
        }
        assert!(given(None, &[("x-a", "1"), ("X-A", "2")]).is_err());
        let request = given(None, &[("Content-Type", "text/plain; a=b")]).unwrap();
        assert_eq!(request.headers[0].0, "content-type");
        assert_eq!(
            (request.method, request.delay_ms),
            (Some("PUT"), Some(86_400_000))
        );
        assert!(!request.is_only_a_body());
    }

    #[test]
    fn paths_stay_below_the_endpoint() {
        for path in [
            "",
            "a",
            "//evil.example",
            "/a//b",
            "/..",
            "/a/../b",
            "/a/%2e%2E/b",
            "/.",
            "/.%2e",
            "\\\\evil",
            "/\\evil",
            "@evil",
            "https://evil.example/",
            "/a#b",
            "/a b",
            "/a\r\nhost: evil",
            "/%",
            "/%2",
            "/%zz",
            "/é",
            "/a\0",
        ] {
            assert!(given(Some(path), &[]).is_err(), "{path:?}");
        }
        for path in [
            "/",
            "/a/b?c=d&e=//..",
            "/a..b/...",
            "/@a:b",
            "/v1/%20?x=%5B1%5D&u=https://a/b",
        ] {
            assert!(given(Some(path), &[]).is_ok(), "{path:?}");
        }
        assert!(given(Some(&format!("/{}", "a".repeat(4_096))), &[]).is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_path_never_leaves_the_origin(
            path in prop_oneof!["/[ -~]{0,12}", "[/.%2e@:a\\\\?#]{0,10}", "\\PC{0,8}"],
            base in prop_oneof![
                Just("https://hooks.example.com:8443/services/a?b=c"),
                Just("http://user:pass@[::1]/"),
                Just("https://a.example"),
            ],
        ) {
            if check_path(&path).is_ok() {
                let base = url::Url::parse(base).unwrap();
                let origin = base.origin();
                let joined = base.join(&path).unwrap();
                prop_assert_eq!(joined.origin(), origin.clone());
                prop_assert_eq!(joined.fragment(), None);
                let pasted = url::Url::parse(&format!("{}{path}", origin.ascii_serialization())).unwrap();
                prop_assert_eq!(pasted.origin(), origin);
                prop_assert_eq!(pasted.path(), joined.path());
                let sent = joined.query().map_or(joined.path().to_owned(), |q| format!("{}?{q}", joined.path()));
                prop_assert_eq!(sent.replace("%27", "'"), path.replace("%27", "'"));
            }
        }
    }
}
