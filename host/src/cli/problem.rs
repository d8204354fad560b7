//! Problem documents (RFC 9457) as people read them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::output::clean;
use crate::api::problem::Kind;

const NOT_FOUND: u16 = 404;

/// What the router says when it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// Names the kind of problem: a link to its page.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    pub detail: Option<String>,
    /// Names the call in the router's log.
    pub request_id: Option<String>,
    /// Faults in single places of what was sent.
    pub errors: Vec<FieldError>,
}

/// A fault in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldError {
    /// Where: a JSON Pointer.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl Problem {
    /// Reads an answer that is no success. What is no problem document (a proxy's page, say) becomes
    /// one with the status and nothing else.
    pub fn from_answer(status: u16, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status;
        if problem.title.is_empty() {
            problem.title = http::StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("unknown status")
                .to_owned();
        }
        problem
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", clean(&self.pointer))?;
        }
        write!(f, "{}", paragraph(&self.detail))
    }
}

/// Text of one or more lines. Those behind the first are indented, so that none looks like our own.
fn paragraph(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    lines.join("\n    ")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail.as_deref().filter(|detail| *detail != self.title);
        // "There is no such thing" adds nothing to what is not there.
        let (title, detail) = match detail {
            Some(detail) if self.status == NOT_FOUND => (detail, None),
            detail => (self.title.as_str(), detail),
        };
        write!(f, "{} ({})", clean(title), self.status)?;
        match (self.errors.as_slice(), detail) {
            // The detail says it already, in other words.
            ([only], Some(detail)) if detail.ends_with(&only.detail) => write!(f, ": {only}")?,
            (errors, detail) => {
                if let Some(detail) = detail {
                    write!(f, ": {}", clean(detail))?;
                }
                errors.iter().try_for_each(|error| write!(f, "\n  {error}"))?;
            }
        }
        if let Some(id) = &self.request_id {
            write!(f, "\n  request {}", clean(id))?;
        }
        // A kind that this program does not know (a newer router's) it cannot explain.
        let known = Kind::ALL.iter().find(|kind| kind.reference() == self.kind);
        known.map_or(Ok(()), |kind| {
            write!(f, "\n  more: hookway explain {}", kind.slug())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_every_place() {
        let body = br#"{"type":"/problems/invalid","title":"The request is invalid",
            "status":422,"detail":"2 fields are wrong","request_id":"r1",
            "errors":[{"pointer":"/events/0","detail":"must not be empty"},{"pointer":"","detail":"x\u001b[31m"}],
            "extra":1}"#;
        assert_eq!(
            Problem::from_answer(422, body).to_string(),
            "The request is invalid (422): 2 fields are wrong\n  /events/0: must not be empty\n  \
             x\\u{1b}[31m\n  request r1\n  more: hookway explain invalid"
        );
        for kind in ["/problems/of-tomorrow", "about:blank", "/problems/\u{1b}[31m"] {
            let body = serde_json::json!({"type": kind, "title": "t", "detail": "d"}).to_string();
            let shown = Problem::from_answer(400, body.as_bytes()).to_string();
            assert_eq!(shown, "t (400): d", "what is not known is not offered");
        }
    }

    #[test]
    fn nothing_is_said_twice() {
        let shown = |status: u16, detail: &str, errors: &[(&str, &str)]| {
            let errors = errors.iter().map(|(pointer, detail)| FieldError {
                pointer: (*pointer).to_owned(),
                detail: (*detail).to_owned(),
            });
            let problem = Problem {
                title: "The title".to_owned(),
                status,
                detail: Some(detail.to_owned()),
                errors: errors.collect(),
                ..Problem::default()
            };
            problem.to_string()
        };
        assert_eq!(
            shown(404, "there is no such event", &[]),
            "there is no such event (404)"
        );
        assert_eq!(
            shown(422, "`/url` is bad", &[("/url", "is bad")]),
            "The title (422): /url: is bad"
        );
        assert_eq!(
            shown(422, "the body is bad", &[("", "is bad")]),
            "The title (422): is bad"
        );
        assert_eq!(
            shown(
                422,
                "`/filter` is bad",
                &[("/filter", "line 1\n| x = 1\n  request r1")]
            ),
            "The title (422): `/filter` is bad\n  /filter: line 1\n    | x = 1\n      request r1"
        );
        assert_eq!(
            shown(409, "1 is held", &[("/a", "b")]),
            "The title (409): 1 is held\n  /a: b"
        );
    }

    #[test]
    fn what_is_no_problem_document_still_says_something() {
        for body in [&b"<html>"[..], b"", b"[]", b"{\"title\":5}"] {
            assert_eq!(Problem::from_answer(502, body).to_string(), "Bad Gateway (502)");
        }
        assert_eq!(Problem::from_answer(799, b"").to_string(), "unknown status (799)");
    }
}
