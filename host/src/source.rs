//! The inbound source: a named address at which other services deliver their webhooks, and what it
//! takes for a request there to become events.
//!
//! Everything that differs between services is data: how a request proves where it comes from
//! ([`Verification`]), which requests are handshakes and what they are answered ([`Handshake`]), where
//! type, id and subject of an event stand ([`Mapping`]). A preset is a set of these for one service; a
//! source names a preset and may replace each part with its own ([`Settings`]).

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::{SourceId, TenantId};
use crate::secret::Secret;
use crate::subscription::{RateLimit, SigningSecret};
use crate::time::Timestamp;

mod answering;
mod attributes;
mod body;
mod compiled;
mod handshake;
mod kept;
mod mapping;
mod pointer;
pub mod preset;
mod request;
mod template;
mod verification;
mod verifier;
mod view;

pub use answering::{AnswerParts, Answered, CHALLENGE_BYTES_MAX, CONDITIONS_MAX, HANDSHAKES_MAX};
pub use attributes::{ALTERNATIVES_MAX, ITEMS_MAX};
pub use compiled::Compiled;
pub use handshake::{Answer, Condition, Handshake};
pub use kept::{KEPT_BYTES_MAX, KEPT_HEADERS_MAX, KEPT_VALUE_BYTES_MAX, kept_headers, shared_headers};
pub use mapping::{Conflict, Format, Mapping};
pub use request::{Refused, Request};
pub use verification::{Place, Verification};
pub use verifier::{Credentials, PLACES_MAX, SCHEMES_MAX, Unsigned, Verifier, VerifierFault};

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 256;
/// Longest public URL, in bytes.
pub const PUBLIC_URL_BYTES_MAX: usize = 2_048;
/// Largest body that a source may ask for, in bytes: it is held in memory whole while it is verified.
/// GitHub's payloads are the largest of the known services, 25 MB at the most.
pub const BODY_BYTES_LIMIT: u32 = 32 * 1_024 * 1_024;
/// Most entries of an address list.
pub const ADDRESSES_MAX: usize = 256;
/// Longest body of an answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 4_096;
/// Most headers of an answer.
pub const ANSWER_HEADERS_MAX: usize = 16;

/// A source, as the operator wrote it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// The owner.
    pub tenant: TenantId,
    /// A slug, unique per tenant: the last part of its address, and the `source` of its events.
    pub name: String,
    /// What it is for, for people.
    pub description: Option<String>,
    /// Whether requests are taken. One that is off answers 404, as if it were not there.
    pub enabled: bool,
    /// Name of the preset that says what the settings leave open.
    pub preset: String,
    /// What it does otherwise than its preset.
    pub settings: Settings,
    /// Why its stored settings cannot be read, where another version wrote them in another form. Then
    /// `settings` are not its own, and it must take nothing.
    pub unread: Option<String>,
    /// The secrets that its sender may use, newest first; the ones behind it are on their way out.
    pub secrets: Vec<SigningSecret>,
    /// What a handshake must show where that is not the secret itself (Meta's `hub.verify_token`).
    pub verify_token: Option<Secret>,
    /// Counts up with every change; the ETag.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What an operator sets; nothing of it is secret. What is left out is the preset's or a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How a request proves where it comes from, in place of the preset's way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The handshakes, in place of the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<Vec<Handshake>>,
    /// Where type, id and subject stand; each part that is given replaces the preset's.
    pub events: Mapping,
    /// The address as its sender knows it, where that is signed (Twilio) or shown: scheme, host and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Addresses that may send; all where the list is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_ips: Vec<IpNet>,
    /// Largest body, in bytes; the configured default where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u32>,
    /// Requests per time; who sends more is answered 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What a request that was taken is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Whether refused requests are answered as taken ones are, for services that switch a webhook off
    /// after refusals. They are refused all the same, and visible.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub always_ok: bool,
    /// Whether the bodies of refused requests are kept with their receptions, to look into a problem;
    /// those of up to 256 KiB.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_refused: bool,
}

/// What a request that was taken is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Response {
    /// The status, 200 to 299.
    pub status: u16,
    /// Headers, `content-type` among them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl Default for Response {
    /// 200 and nothing: what every service takes for "received".
    fn default() -> Self {
        Self {
            status: 200,
            headers: BTreeMap::new(),
            body: String::new(),
        }
    }
}
