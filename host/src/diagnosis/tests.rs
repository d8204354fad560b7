//! Tables of what was seen of real receivers, and what is made of it.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::delivery::ErrorKind;

const URL: &str = "https://hooks.example.com/in?token=s3cret";

struct Seen {
    url: &'static str,
    content_type: &'static str,
    body_bytes: usize,
    signature: Signature,
    duration: Duration,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            url: URL,
            content_type: "application/json",
            body_bytes: 300,
            signature: Signature::Signed,
            duration: Duration::from_millis(40),
        }
    }
}

impl Seen {
    fn findings(&self, result: &AttemptResult) -> Vec<Finding> {
        let url = Url::parse(self.url).unwrap();
        diagnose(&Case {
            url: &url,
            content_type: self.content_type,
            body_bytes: self.body_bytes,
            signature: self.signature,
            timeout: Duration::from_secs(10),
            duration: self.duration,
            result,
        })
    }

    fn codes(&self, result: &AttemptResult) -> Vec<&'static str> {
        let found = self.findings(result);
        found.iter().map(|finding| finding.code.as_str()).collect()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> AttemptResult {
    AttemptResult::Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        truncated: false,
    }
}

fn error(kind: ErrorKind, detail: &str) -> AttemptResult {
    AttemptResult::Error {
        kind,
        detail: detail.to_owned(),
    }
}

/// Answers as the products' published snippets give them on Express 4 and Flask 3, in development mode.
/// WF-06, IB-06, AE-07.
#[test]
fn thrown_comparisons_are_recognised() {
    let signed = Seen::default();
    for body in [
        "<pre>RangeError [ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH]: Input buffers must have the same byte length<br> \
         &nbsp; at Object.timingSafeEqual</pre>",
        "<pre>TypeError [ERR_INVALID_ARG_TYPE]: The first argument must be of type string or an instance of \
         Buffer, ArrayBuffer, or Array or an Array-like Object. Received undefined</pre>",
        "TypeError: unsupported operand types(s) or combination of types: 'NoneType' and 'str'",
        "return hmac.compare_digest(signature, expected)",
        "TypeError: comparing strings with non-ASCII characters is not supported",
        "{\"error\":\"Input buffers must have the same byte length\"}",
    ] {
        assert_eq!(
            signed.codes(&answer(500, &[], body)),
            ["signature_mismatch"],
            "{body}"
        );
        assert_eq!(
            signed.codes(&answer(502, &[], body)),
            ["signature_mismatch"],
            "{body}"
        );
        let without = Seen {
            signature: Signature::NoSecret,
            ..Seen::default()
        };
        assert_eq!(without.codes(&answer(500, &[], body)), ["unsigned"], "{body}");
    }
    let bytes = "AttributeError: 'bytes' object has no attribute 'encode'";
    assert_eq!(signed.codes(&answer(500, &[], bytes)), ["body_is_bytes"]);
    let silent = signed.findings(&answer(500, &[], "Internal Server Error"));
    assert_eq!(silent[0].code, Code::ServerError);
    assert!(silent[0].hint.contains("signature"), "{silent:?}");
}

#[test]
fn statuses_mean_the_usual_faults() {
    let signed = Seen::default();
    for (status, code) in [
        (301, "redirect"),
        (308, "redirect"),
        (400, "rejected"),
        (401, "credentials_refused"),
        (403, "credentials_refused"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (410, "gone"),
        (413, "body_too_large"),
        (415, "media_type"),
        (422, "rejected"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
    ] {
        assert_eq!(signed.codes(&answer(status, &[], "")), [code], "{status}");
    }
    for well in [200, 201, 202, 204] {
        assert!(signed.codes(&answer(well, &[], "OK")).is_empty(), "{well}");
    }
    let without = Seen {
        signature: Signature::NoSecret,
        ..Seen::default()
    };
    assert_eq!(
        without.codes(&answer(401, &[], "Invalid signature")),
        ["unsigned"]
    );
    let plain = Seen {
        signature: Signature::NotWanted,
        ..Seen::default()
    };
    let found = plain.findings(&answer(401, &[], ""));
    assert!(found[0].hint.contains("`headers`"), "{found:?}");
}

#[test]
fn a_redirect_names_the_host_and_no_path() {
    let signed = Seen {
        url: "http://hooks.example.com/in",
        ..Seen::default()
    };
    for (location, host, hint) in [
        (
            "https://hooks.example.com/in/t0ken",
            "https://hooks.example.com ",
            "https URL",
        ),
        ("/in/t0ken/", "http://hooks.example.com ", "slash"),
        (
            "https://login.example.org/t0ken",
            "https://login.example.org ",
            "final URL",
        ),
    ] {
        let found = signed.findings(&answer(302, &[("Location", location)], ""));
        assert!(found[0].detail.contains(host), "{found:?}");
        assert!(!found[0].detail.contains("t0ken"), "{found:?}");
        assert!(found[0].hint.contains(hint), "{found:?}");
    }
    let nowhere = signed.findings(&answer(302, &[], ""));
    assert!(nowhere[0].detail.contains("does not say where"), "{nowhere:?}");
}

#[test]
fn large_bodies_are_told_of_once() {
    let large = Seen {
        body_bytes: EXPRESS_BODY_BYTES,
        ..Seen::default()
    };
    assert_eq!(large.codes(&answer(200, &[], "")), ["body_large"]);
    assert_eq!(large.codes(&answer(413, &[], "")), ["body_too_large"]);
    let less = Seen {
        body_bytes: EXPRESS_BODY_BYTES - 1,
        ..Seen::default()
    };
    assert!(less.codes(&answer(200, &[], "")).is_empty());
}

#[test]
fn media_types_pages_slowness_and_n8n() {
    let cloudevents = Seen {
        content_type: "application/cloudevents+json; charset=utf-8",
        ..Seen::default()
    };
    assert_eq!(
        cloudevents.codes(&answer(401, &[], "")),
        ["credentials_refused", "cloudevents_media_type"]
    );
    assert!(cloudevents.codes(&answer(200, &[], "")).is_empty());
    let signed = Seen::default();
    let html = [("content-type", "text/html; charset=utf-8")];
    assert_eq!(
        signed.codes(&answer(200, &html, "\n<!DOCTYPE html><title>Sign in")),
        ["html_answer"]
    );
    assert!(
        signed.codes(&answer(200, &html, "OK")).is_empty(),
        "what `res.send(\"OK\")` answers"
    );
    assert!(signed.codes(&answer(404, &html, "<!DOCTYPE html><pre>Cannot POST /in</pre>")) == ["not_found"]);
    // WF-21.
    let slow = Seen {
        duration: Duration::from_millis(3_100),
        ..Seen::default()
    };
    assert_eq!(slow.codes(&answer(200, &[], "")), ["slow_answer"]);
    let n8n = Seen {
        url: "https://n8n.example.com/webhook-test/1",
        ..Seen::default()
    };
    assert_eq!(n8n.codes(&answer(200, &[], "")), ["n8n_test_url"]);
    let inactive = r#"{"code":404,"message":"The requested webhook \"POST 1\" is not registered."}"#;
    assert_eq!(
        n8n.codes(&answer(404, &[], inactive)),
        ["n8n_test_url", "n8n_not_active"]
    );
}

/// The words of the TLS library as it says them today: where it says them otherwise, this fails.
#[test]
fn tls_faults_are_told_apart_by_the_librarys_own_words() {
    use rustls::{CertificateError, InvalidMessage};
    let certificate = |error| rustls::Error::InvalidCertificate(error);
    for (fault, code) in [
        (certificate(CertificateError::Expired), "tls_expired"),
        (certificate(CertificateError::NotValidYet), "tls_expired"),
        (certificate(CertificateError::NotValidForName), "tls_wrong_host"),
        (certificate(CertificateError::UnknownIssuer), "tls_untrusted"),
        (
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
            "tls_not_spoken",
        ),
        (rustls::Error::HandshakeNotComplete, "tls"),
    ] {
        let detail = format!("the TLS handshake failed: {fault}");
        assert_eq!(
            Seen::default().codes(&error(ErrorKind::Tls, &detail)),
            [code],
            "{detail}"
        );
    }
    for (words, code) in [
        (
            "invalid peer certificate: certificate expired: verification time 1 (UNIX), but certificate is not valid \
          after 0",
            "tls_expired",
        ),
        (
            "invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid for \
          DnsName(\"b\")",
            "tls_wrong_host",
        ),
        (
            "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
            "tls_untrusted",
        ),
    ] {
        assert_eq!(
            Seen::default().codes(&error(ErrorKind::Tls, words)),
            [code],
            "{words}"
        );
    }
}

#[test]
fn what_never_answered_is_told_apart() {
    let signed = Seen::default();
    for (kind, detail, code) in [
        (ErrorKind::Dns, "the name has no address", "dns"),
        (ErrorKind::Connect, "no connection: refused", "connection_refused"),
        (
            ErrorKind::Connect,
            "no connection: the host is unreachable",
            "connection",
        ),
        (ErrorKind::Timeout, "no whole answer within 10 s", "timeout"),
        (ErrorKind::Protocol, "the answer is not HTTP/1.1", "protocol"),
        (
            ErrorKind::Refused,
            "egress.allow = [{ host = \"n8n.lan\" }]",
            "address_refused",
        ),
        (
            ErrorKind::Invalid,
            "the endpoint's URL cannot be parsed",
            "invalid_request",
        ),
    ] {
        let found = signed.findings(&error(kind, detail));
        assert_eq!(found[0].code.as_str(), code);
        assert_eq!(found[0].detail, detail);
    }
    let late = signed.findings(&error(ErrorKind::Timeout, ""));
    assert!(late[0].hint.contains("within 10 s"), "{late:?}");
}

#[test]
fn codes_are_words_that_programs_can_branch_on() {
    let mut words: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Code::ALL.len());
    let word = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    assert!(words.into_iter().all(word));
}

proptest! {
    #[test]
    fn any_answer_is_diagnosed_without_the_url(status: u16, body in ".{0,80}", header in ".{0,40}") {
        let found = Seen::default().findings(&answer(status, &[("location", &header)], &body));
        prop_assert!(found.iter().all(|finding| !finding.detail.contains("s3cret")));
        prop_assert!(found.iter().all(|finding| !finding.hint.is_empty()));
    }
}
