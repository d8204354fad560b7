//! Problem documents (RFC 9457) as people read them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::output::clean;

/// What the router says when it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// A URI that names the kind of problem.
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", clean(&self.title), self.status)?;
        if let Some(detail) = self.detail.as_ref().filter(|detail| **detail != self.title) {
            write!(f, ": {}", clean(detail))?;
        }
        for error in &self.errors {
            let pointer = if error.pointer.is_empty() {
                "(the whole)"
            } else {
                &error.pointer
            };
            write!(f, "\n  {}: {}", clean(pointer), clean(&error.detail))?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "\n  request {}", clean(id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_with_every_place() {
        let body = br#"{"type":"https://hookway.dev/problems/invalid","title":"The request is invalid",
            "status":422,"detail":"2 fields are wrong","request_id":"r1",
            "errors":[{"pointer":"/events/0","detail":"must not be empty"},{"pointer":"","detail":"x\u001b[31m"}],
            "extra":1}"#;
        assert_eq!(
            Problem::from_answer(422, body).to_string(),
            "The request is invalid (422): 2 fields are wrong\n  /events/0: must not be empty\n  \
             (the whole): x\\u{1b}[31m\n  request r1"
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
