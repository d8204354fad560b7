//! What is probably wrong where a test request did not do what it should, and what to do about it.
//!
//! The usual faults of receivers look alike from outside: an exception in a signature check is a 500, a
//! body parser's limit is a 413, a login page is a 200. Here they are told apart by what was sent and what
//! came back. It is a guess, and says so; nothing that the router does depends on it. Pure.

mod answer;
mod failure;
#[cfg(test)]
mod tests;

use std::time::Duration;

use url::Url;

use crate::delivery::AttemptResult;

/// Body limit of Express's parsers where a receiver says nothing (`100kb`), in bytes. Many receivers are
/// written with it, so a body of this size is told of even where it was taken.
pub const EXPRESS_BODY_BYTES: usize = 100 * 1_024;
/// An answer that takes longer is told of: Slack gives up after 3 s, and what is slow in a test runs into
/// time-outs under load.
pub const SLOW_AFTER: Duration = Duration::from_secs(3);
/// How n8n's addresses begin that only work while somebody looks at the workflow.
const N8N_TEST_PATH: &str = "/webhook-test/";

/// A test request and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Where it went.
    pub url: &'a Url,
    /// Its media type.
    pub content_type: &'a str,
    /// The size of its body.
    pub body_bytes: usize,
    /// Whether it was signed.
    pub signature: Signature,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long it took.
    pub duration: Duration,
    /// What came back.
    pub result: &'a AttemptResult,
}

/// Whether a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// It was.
    Signed,
    /// The profile signs, but there is no secret to do it with.
    NoSecret,
    /// The profile does not sign.
    NotWanted,
}

/// One thing that is probably wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which of the known faults.
    pub code: Code,
    /// What was seen.
    pub detail: String,
    /// What to do.
    pub hint: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident $word:literal;)*) => {
        /// The known faults. A closed set, so that programs can branch on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $code,)* }

        impl Code {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$code,)*];
            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => $word,)* }
            }
        }
    };
}

codes! {
    /// The receiver's comparison of signatures threw, or said no.
    SignatureMismatch "signature_mismatch";
    /// 401, 403 or 407.
    CredentialsRefused "credentials_refused";
    /// Nothing was signed, and the receiver seems to want it.
    Unsigned "unsigned";
    /// The receiver encodes a body that is bytes already.
    BodyIsBytes "body_is_bytes";
    /// 413.
    BodyTooLarge "body_too_large";
    /// Larger than what many receivers take.
    BodyLarge "body_large";
    /// 3xx.
    Redirect "redirect";
    /// 404.
    NotFound "not_found";
    /// 405.
    MethodNotAllowed "method_not_allowed";
    /// 410.
    Gone "gone";
    /// 415.
    MediaType "media_type";
    /// A media type that common body parsers pass over.
    CloudEventsMediaType "cloudevents_media_type";
    /// 400 or 422.
    Rejected "rejected";
    /// 429.
    RateLimited "rate_limited";
    /// 5xx of another kind.
    ServerError "server_error";
    /// A page for people where a program should answer.
    HtmlAnswer "html_answer";
    /// It took long.
    SlowAnswer "slow_answer";
    /// An address of n8n's that is not for deliveries.
    N8nTestUrl "n8n_test_url";
    /// n8n does not know the address.
    N8nNotActive "n8n_not_active";
    /// The name has no address.
    Dns "dns";
    /// Nobody listens there.
    ConnectionRefused "connection_refused";
    /// No connection for another reason.
    Connection "connection";
    /// The certificate has expired, or is not valid yet.
    TlsExpired "tls_expired";
    /// The certificate is of nobody that is trusted.
    TlsUntrusted "tls_untrusted";
    /// The certificate is another host's.
    TlsWrongHost "tls_wrong_host";
    /// What listens there speaks no TLS.
    TlsNotSpoken "tls_not_spoken";
    /// No TLS for another reason.
    Tls "tls";
    /// No whole answer in time.
    Timeout "timeout";
    /// The answer is not HTTP, or the connection broke.
    Protocol "protocol";
    /// Our own guard refuses the address.
    AddressRefused "address_refused";
    /// The request could not be made.
    InvalidRequest "invalid_request";
}

/// What is probably wrong, the most telling first; nothing where all seems well.
pub fn diagnose(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = match case.result {
        AttemptResult::Response {
            status,
            headers,
            body,
            ..
        } => answer::findings(case, *status, headers, body),
        AttemptResult::Error { kind, detail } => vec![failure::finding(case, *kind, detail)],
    };
    if case.url.path().contains(N8N_TEST_PATH) {
        findings.insert(
            0,
            Finding::new(
                Code::N8nTestUrl,
                "the path has `/webhook-test/`, n8n's address for trying a workflow in its editor",
                "use the production URL of the Webhook node (`/webhook/…`) and activate the workflow: the test \
                 URL answers 404 as soon as the editor does not listen",
            ),
        );
    }
    let told = findings.iter().any(|finding| finding.code == Code::BodyTooLarge);
    if case.body_bytes >= EXPRESS_BODY_BYTES && !told {
        let size = case.body_bytes;
        findings.push(Finding::new(
            Code::BodyLarge,
            format!("the body has {size} bytes; Express takes {EXPRESS_BODY_BYTES} where nothing is said"),
            "raise the limit where the receiver parses bodies, `express.json({ limit: '1mb' })`, or send \
             less with a plugin",
        ));
    }
    findings
}

impl Finding {
    fn new(code: Code, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            hint: hint.into(),
        }
    }
}
