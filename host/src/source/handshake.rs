//! Handshakes: requests by which a service makes sure that somebody it knows listens, and that are
//! answered at once and become no events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One handshake: which requests, and what they are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// A name for people, such as `url_verification`.
    pub name: String,
    /// The method, in upper case.
    pub method: String,
    /// Whether the request must have passed the verification first.
    pub verified: bool,
    /// What must hold, all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Condition>,
    /// What it is answered.
    pub answer: Answer,
}

/// One condition on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is looked at, such as `{query:hub.mode}`.
    pub value: String,
    /// What it must be; it must only be there where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
    /// Whether it must be the source's verify token (its newest secret where it has none), compared in
    /// constant time. A request that fulfils the other conditions but not this one is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_verify_token: bool,
}

/// The answer to a handshake. Echoes are plain text that no browser takes for anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The media type; values are escaped for JSON where it is `application/json`.
    #[serde(default = "plain")]
    pub content_type: String,
    /// Further headers, as templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, as a template.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

const fn ok() -> u16 {
    200
}

fn plain() -> String {
    "text/plain".to_owned()
}
