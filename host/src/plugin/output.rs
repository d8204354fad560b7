//! What a run gave, checked: nothing that a guest made goes further than this file unseen. Pure.
//!
//! A guest may choose path, headers and body of a request, never where it goes, nor a header by which
//! the host or the endpoint decides whom to trust. A joined path keeps scheme, host and port of any
//! endpoint; a property test says so.

use bytes::Bytes;

use crate::delivery::FaultKind;
use crate::event;

use super::bindings::hookway::plugin::types;
use super::fault::Fault;
use super::limits::PluginLimits;
use super::log::clean;

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

/// How a run ended, as the plugin meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestOutcome {
    /// Requests, events, or both.
    Deliver(GuestOutput),
    /// There is nothing to send, and why.
    Filtered(String),
    /// This event will never work, and why.
    Reject(String),
    /// To be run again later.
    Retry {
        /// Why.
        reason: String,
        /// Not before this many milliseconds; shortened to `plugins.delay_ms`.
        after_ms: Option<u32>,
    },
    /// The configuration is at fault, and how.
    Misconfigured(String),
}

/// What a run decided to send; at least one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestOutput {
    /// Requests for the subscription's endpoint.
    pub requests: Vec<GuestRequest>,
    /// Events that enter as new ones.
    pub events: Vec<GuestEvent>,
}

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

/// One event, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestEvent {
    /// The event type.
    pub event_type: String,
    /// The subject.
    pub subject: Option<String>,
    /// The media type of the data.
    pub content_type: String,
    /// Extension attributes.
    pub attributes: Vec<(String, String)>,
    /// The data.
    pub data: Bytes,
}

/// Checks what `transform` returned.
pub(super) fn check(
    result: Result<types::Outcome, types::Failure>,
    limits: &PluginLimits,
) -> Result<GuestOutcome, Fault> {
    let reason = |text: String| clean(&text, limits.reason_bytes);
    Ok(match result {
        Ok(types::Outcome::Deliver(output)) => GuestOutcome::Deliver(check_output(output, limits)?),
        Ok(types::Outcome::Filtered(why)) => GuestOutcome::Filtered(reason(why)),
        Err(types::Failure::Reject(why)) => GuestOutcome::Reject(reason(why)),
        Err(types::Failure::Retry((why, after_ms))) => GuestOutcome::Retry {
            reason: reason(why),
            after_ms: after_ms.map(|after| after.min(limits.delay_ms)),
        },
        Err(types::Failure::Misconfigured(why)) => GuestOutcome::Misconfigured(reason(why)),
    })
}

fn check_output(output: types::Output, limits: &PluginLimits) -> Result<GuestOutput, Fault> {
    if output.requests.is_empty() && output.events.is_empty() {
        return Err(invalid(
            "`deliver` with no request and no event; return `filtered` with a reason",
        ));
    }
    at_most(output.requests.len(), limits.requests, "requests", "requests")?;
    at_most(output.events.len(), limits.events, "events", "events")?;
    let mut checked = GuestOutput::default();
    for (number, request) in output.requests.into_iter().enumerate() {
        let request = check_request(request, limits).map_err(|fault| within(&fault, "request", number))?;
        checked.requests.push(request);
    }
    for (number, event) in output.events.into_iter().enumerate() {
        let event = check_event(event, limits).map_err(|fault| within(&fault, "event", number))?;
        checked.events.push(event);
    }
    Ok(checked)
}

fn check_request(request: types::Request, limits: &PluginLimits) -> Result<GuestRequest, Fault> {
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

fn check_event(event: types::EmittedEvent, limits: &PluginLimits) -> Result<GuestEvent, Fault> {
    let wrong = |what: &str, why: &dyn std::fmt::Display| invalid(&format!("{what}: {why}"));
    at_most(event.data.len(), limits.body_bytes, "bytes of data", "body_bytes")?;
    event::check_type(&event.event_type).map_err(|why| wrong("event-type", &why))?;
    if event.event_type.starts_with(event::OWN_TYPE_PREFIX) {
        return Err(invalid(
            "event-type: types that begin with `hookway.` are the host's own",
        ));
    }
    if let Some(subject) = &event.subject {
        event::check_text(subject, event::SUBJECT_BYTES_MAX).map_err(|why| wrong("subject", &why))?;
    }
    event::check_text(&event.content_type, event::CONTENT_TYPE_BYTES_MAX)
        .map_err(|why| wrong("content-type", &why))?;
    if event.attributes.len() > event::EXTENSIONS_MAX {
        return Err(invalid("more attributes than an event may have"));
    }
    for (name, value) in &event.attributes {
        event::check_extension_name(name)
            .map_err(|why| wrong(&format!("attribute {}", quoted(name)), &why))?;
        event::check_text(value, event::EXTENSION_BYTES_MAX)
            .map_err(|why| wrong(&format!("attribute {}", quoted(name)), &why))?;
    }
    Ok(GuestEvent {
        event_type: event.event_type,
        subject: event.subject,
        content_type: event.content_type,
        attributes: event.attributes,
        data: event.data.into(),
    })
}

fn invalid(detail: &str) -> Fault {
    Fault {
        kind: FaultKind::InvalidOutput,
        detail: detail.to_owned(),
    }
}

fn at_most(count: usize, most: usize, what: &str, limit: &str) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(Fault {
        kind: FaultKind::OutputTooLarge,
        detail: format!("{count} {what}; `plugins.{limit}` allows {most}"),
    })
}

fn within(fault: &Fault, what: &str, number: usize) -> Fault {
    Fault {
        kind: fault.kind,
        detail: format!("{what} {number}: {}", fault.detail),
    }
}

/// A guest's text in a message of ours.
fn quoted(text: &str) -> String {
    format!("`{}`", clean(text, 80))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(path: Option<&str>, headers: &[(&str, &str)]) -> types::Request {
        types::Request {
            method: None,
            path: path.map(str::to_owned),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: b"body".to_vec(),
            dedup_key: None,
            ordering_key: None,
            delay_ms: None,
        }
    }

    fn deliver(request: types::Request) -> Result<GuestOutcome, Fault> {
        let output = types::Output {
            requests: vec![request],
            events: Vec::new(),
        };
        check(Ok(types::Outcome::Deliver(output)), &PluginLimits::default())
    }

    fn event(event_type: &str, attributes: &[(&str, &str)]) -> Result<GuestOutcome, Fault> {
        let event = types::EmittedEvent {
            event_type: event_type.to_owned(),
            subject: None,
            content_type: event::JSON.to_owned(),
            attributes: attributes
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            data: b"{}".to_vec(),
        };
        let output = types::Output {
            requests: Vec::new(),
            events: vec![event],
        };
        check(Ok(types::Outcome::Deliver(output)), &PluginLimits::default())
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
            let fault = deliver(request(None, &[(name, "x")])).unwrap_err();
            assert_eq!(fault.kind, FaultKind::InvalidOutput, "{name}");
            assert!(
                fault.detail.starts_with("request 0: header `"),
                "{}",
                fault.detail
            );
        }
        for value in ["a\r\nhost: b", "a\nb", "a\0", "\t", "é", "\u{7f}"] {
            assert!(deliver(request(None, &[("x-a", value)])).is_err(), "{value:?}");
        }
        assert!(deliver(request(None, &[("x-a", "1"), ("X-A", "2")])).is_err());
        let Ok(GuestOutcome::Deliver(output)) =
            deliver(request(None, &[("Content-Type", "text/plain; a=b")]))
        else {
            panic!("an ordinary header is fine");
        };
        assert_eq!(output.requests[0].headers[0].0, "content-type");
        assert!(!output.requests[0].is_only_a_body());
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
            assert!(deliver(request(Some(path), &[])).is_err(), "{path:?}");
        }
        for path in [
            "/",
            "/a/b?c=d&e=//..",
            "/a..b/...",
            "/@a:b",
            "/v1/%20?x=%5B1%5D&u=https://a/b",
        ] {
            assert!(deliver(request(Some(path), &[])).is_ok(), "{path:?}");
        }
        assert!(deliver(request(Some(&format!("/{}", "a".repeat(4_096))), &[])).is_err());
    }

    #[test]
    fn sizes_are_bounded() {
        let many = vec![("x-a", "1"); 33];
        assert_eq!(
            deliver(request(None, &many)).unwrap_err().kind,
            FaultKind::OutputTooLarge
        );
        let long = "x".repeat(8_190);
        assert!(deliver(request(None, &[("x-a", &long)])).is_err());
        let mut large = request(None, &[]);
        large.body = vec![0; (256 << 10) + 1];
        assert!(deliver(large).unwrap_err().detail.contains("plugins.body_bytes"));
        let output = types::Output {
            requests: (0..17).map(|_| request(None, &[])).collect(),
            events: Vec::new(),
        };
        assert!(check(Ok(types::Outcome::Deliver(output)), &PluginLimits::default()).is_err());
        let nothing = types::Output {
            requests: Vec::new(),
            events: Vec::new(),
        };
        assert!(check(Ok(types::Outcome::Deliver(nothing)), &PluginLimits::default()).is_err());
        let long = types::Failure::Reject("x\n".repeat(10_000));
        let Ok(GuestOutcome::Reject(reason)) = check(Err(long), &PluginLimits::default()) else {
            panic!("a long reason is cut, not refused");
        };
        assert!(reason.len() <= 1_024 && reason.starts_with("x\\nx"));
    }

    #[test]
    fn emitted_events_keep_the_rules_of_events() {
        assert!(event("alert.critical", &[("severity", "high")]).is_ok());
        for bad in ["", "a b", "hookway.subscription.disabled"] {
            assert!(event(bad, &[]).is_err(), "{bad}");
        }
        assert!(event("a", &[("Not-A-Name", "x")]).is_err());
        assert!(event("a", &[("name", "")]).is_err());
        let many: Vec<_> = (0..33).map(|_| ("a", "b")).collect();
        assert!(event("a", &many).is_err());
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
