//! What an answer tells.

use super::{Case, Code, Finding, SLOW_AFTER, Signature};
use crate::event;

/// Most of an answer that is searched, in bytes: stack traces say what they are at their beginning.
const SEARCHED_BYTES_MAX: usize = 16 * 1_024;

/// What runtimes say where code compares a signature with one that has another length, or with none. In
/// small letters.
const THROWN: [&str; 8] = [
    "rangeerror",
    "typeerror",
    "timingsafeequal",
    "timing_safe_equal",
    "input buffers must have the same byte length",
    "compare_digest",
    "comparing strings with non-ascii characters",
    "first argument must be of type string or an instance of buffer",
];
/// What Python says where code encodes what is bytes already.
const ENCODES_BYTES: &str = "'bytes' object has no attribute 'encode'";
/// What n8n says of an address for which no workflow is active.
const N8N_NOT_REGISTERED: &str = "is not registered";

pub(super) fn findings(
    case: &Case<'_>,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<Finding> {
    let text = String::from_utf8_lossy(&body[..body.len().min(SEARCHED_BYTES_MAX)]).to_ascii_lowercase();
    let mut findings: Vec<Finding> = of_status(case, status, headers, &text).into_iter().collect();
    let refused = matches!(status, 400..=599);
    if refused && event::essence(case.content_type).starts_with("application/cloudevents") {
        findings.push(Finding::new(
            Code::CloudEventsMediaType,
            format!("the body was sent as `{}`", case.content_type),
            "`express.json()` and many other parsers pass over this media type, so the receiver sees no body: \
             let them take it, `express.json({ type: ['application/json', 'application/cloudevents+json'] })`, or \
             choose a profile that sends `application/json`",
        ));
    }
    if (200..300).contains(&status) && is_page(headers, &text) {
        findings.push(Finding::new(
            Code::HtmlAnswer,
            format!("the answer is {status} with a page for people"),
            "this is what a login page, a single-page application or a parked domain answers to anything: check that \
             the URL is the one that takes webhooks",
        ));
    }
    if case.duration > SLOW_AFTER {
        findings.push(Finding::new(
            Code::SlowAnswer,
            format!("the answer took {:.1} s of {} s", case.duration.as_secs_f32(), case.timeout.as_secs()),
            "answer first (200) and do the work afterwards: what is slow now runs into the time-out under load",
        ));
    }
    findings
}

fn of_status(case: &Case<'_>, status: u16, headers: &[(String, String)], text: &str) -> Option<Finding> {
    let finding = |code, detail: &str, hint: &str| Some(Finding::new(code, detail, hint));
    match status {
        300..=399 => Some(redirect(case, status, headers)),
        401 | 403 | 407 if case.signature == Signature::NoSecret => Some(unsigned(status)),
        401 | 403 | 407 => Some(refused(case, status)),
        404 if text.contains(N8N_NOT_REGISTERED) && text.contains("webhook") => finding(
            Code::N8nNotActive,
            "n8n does not know this webhook",
            "activate the workflow in n8n, and compare path and method with its Webhook node",
        ),
        404 => finding(
            Code::NotFound,
            "there is nothing at this path",
            "compare the path with the receiver's route, upper and lower case and the slash at the end too",
        ),
        405 => finding(
            Code::MethodNotAllowed,
            "the path is there, but takes another method",
            "let the receiver take POST at this path; a slash at the end of the URL can make the difference",
        ),
        410 => finding(
            Code::Gone,
            "the receiver says that the address is gone for good",
            "get a new URL. What a delivery would do is the verdict beside this: the subscription is disabled only where \
             the verdict is `disable`, else its profile goes on as with any other failure",
        ),
        413 => Some(Finding::new(
            Code::BodyTooLarge,
            format!("the receiver does not take a body of {} bytes", case.body_bytes),
            "raise the receiver's body limit (Express takes 100 kB where nothing is said: \
             `express.json({ limit: '1mb' })`; nginx: `client_max_body_size`), or send less with a plugin",
        )),
        415 => Some(Finding::new(
            Code::MediaType,
            format!("the receiver does not take `{}`", case.content_type),
            "choose a profile that sends what the receiver takes, mostly `application/json`",
        )),
        429 => finding(
            Code::RateLimited,
            "the receiver takes no more requests now",
            "give the subscription a `rate_limit` that the receiver can bear",
        ),
        400 | 422 => finding(
            Code::Rejected,
            "the receiver read the request and does not accept it",
            "its answer mostly says why: the body has another form than it expects, or the signature does not fit",
        ),
        500..=599 => Some(thrown(case, status, text)),
        _ => None,
    }
}

fn redirect(case: &Case<'_>, status: u16, headers: &[(String, String)]) -> Finding {
    let location = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("location"))
        .and_then(|(_, value)| case.url.join(value).ok());
    let detail = match &location {
        // Paths of endpoints are secrets; the host is not.
        Some(to) => format!(
            "the receiver sends us on to {} with status {status}",
            to.origin().ascii_serialization()
        ),
        None => format!("the receiver sends us on with status {status}, and does not say where"),
    };
    let same_host = location.as_ref().is_some_and(|to| to.host() == case.url.host());
    let hint = if same_host
        && location
            .as_ref()
            .is_some_and(|to| to.scheme() != case.url.scheme())
    {
        "redirects are not followed: use the https URL itself"
    } else if same_host {
        "redirects are not followed: use the address that the receiver sends us to; often only a slash at the end \
         is missing, or it is a login page"
    } else {
        "redirects are not followed: use the final URL itself, if that host is the one that you mean"
    };
    Finding::new(Code::Redirect, detail, hint)
}

fn refused(case: &Case<'_>, status: u16) -> Finding {
    let hint = match case.signature {
        Signature::Signed => {
            "check that the receiver has exactly this signing secret (no line break, nothing missing), and that it \
             verifies the bytes of the body as they came, not a body that it parsed and wrote again"
        }
        Signature::NoSecret | Signature::NotWanted => {
            "nothing was signed: if the receiver wants credentials, give them as `headers`, or choose a profile that \
             signs"
        }
    };
    Finding::new(
        Code::CredentialsRefused,
        format!("the receiver answered {status}: it does not accept signature or credentials"),
        hint,
    )
}

fn unsigned(status: u16) -> Finding {
    Finding::new(
        Code::Unsigned,
        format!("the request was not signed, and the receiver answered {status}"),
        "the profile signs only with a secret: give the subscription the one that the receiver verifies with, or let \
         the receiver take requests without a signature",
    )
}

fn thrown(case: &Case<'_>, status: u16, text: &str) -> Finding {
    if text.contains(ENCODES_BYTES) {
        return Finding::new(
            Code::BodyIsBytes,
            format!("the receiver answered {status}: it calls `encode()` on a body that is bytes already"),
            "pass the body to the verification as it came, `payload` in place of `payload.encode()`; the snippet that \
             WorkFlux publishes has this fault",
        );
    }
    let threw = THROWN.iter().find(|mark| text.contains(**mark));
    match (threw, case.signature) {
        (Some(_), Signature::NoSecret) => unsigned(status),
        (Some(mark), _) => Finding::new(
            Code::SignatureMismatch,
            format!(
                "the receiver answered {status} with `{mark}`: its comparison of the signatures probably threw"
            ),
            "probably the secrets differ or the header has another form than the receiver expects: \
             `timingSafeEqual` and `compare_digest` throw where the two have different lengths or one is missing. \
             Compare secret and header name first; then let the receiver answer 401 in such a case",
        ),
        (None, _) => Finding::new(
            Code::ServerError,
            format!("the receiver answered {status}"),
            "look into the receiver's log. If it fails where it verifies the signature, the secret or the header is \
             another one than it expects: many snippets throw then and answer 500",
        ),
    }
}

fn is_page(headers: &[(String, String)], text: &str) -> bool {
    let content_type = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| event::essence(value));
    let start = text.trim_start();
    // Express answers `res.send("OK")` as HTML: the media type alone makes no page.
    let tagged = start.starts_with("<!doctype html") || start.starts_with("<html");
    tagged && content_type.is_none_or(|essence| essence.eq_ignore_ascii_case("text/html"))
}
