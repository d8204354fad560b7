//! How a source is shown: never its secrets, but for the one that was just made.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use crate::api::rate_limit::RateLimitShown;
use crate::api::versioned::versioned;
use crate::api::{PREFIX, State};
use crate::id::SourceId;
use crate::intake::Entry;
use crate::source::{Handshake, Mapping, Response as Configured, Verification};
use crate::time::Timestamp;

/// What is said of a source that takes anything.
const OPEN: &str = "nothing is verified: whoever knows the address can send events";

/// A source.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SourceOut {
    /// Its id.
    #[schema(value_type = String)]
    id: SourceId,
    /// The last part of its address and the `source` of its events.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Where its sender delivers, below the router's address.
    path: String,
    /// The whole address, where the router knows its own (`server.public_url`) or the source says it.
    url: Option<String>,
    /// The whole address as the sender knows it, if the source says it.
    public_url: Option<String>,
    /// The service that sends.
    preset: String,
    /// Whether requests are taken.
    enabled: bool,
    /// How a request proves where it comes from.
    #[schema(value_type = serde_json::Value)]
    verification: Verification,
    /// Requests that are answered and become no events.
    #[schema(value_type = Vec<serde_json::Value>)]
    handshakes: Vec<Handshake>,
    /// Where type, id and subject of events stand.
    #[schema(value_type = serde_json::Value)]
    events: Mapping,
    /// Who may send; everybody where the list is empty.
    allowed_ips: Vec<String>,
    /// Largest body, in bytes.
    body_bytes_max: usize,
    /// Requests per time.
    rate_limit: Option<RateLimitShown>,
    /// What a taken request is answered.
    #[schema(value_type = serde_json::Value)]
    response: Configured,
    /// Whether refused requests are answered as taken ones.
    always_ok: bool,
    /// Whether the bodies of refused requests are kept.
    keep_refused: bool,
    /// How many secrets it accepts.
    secrets: usize,
    /// When the older secrets cease to be accepted beside the newest.
    #[schema(value_type = Vec<String>)]
    old_secrets_until: Vec<Timestamp>,
    /// Whether it has a verify token of its own.
    has_verify_token: bool,
    /// The secret, if it was made here: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Where the secret is entered, or found, at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_hint: Option<&'static str>,
    /// Why it takes nothing although it is enabled: it was stored by a version with other rules. It is
    /// answered 503 until it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// What to think of.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// Counts up with every change; also the ETag.
    version: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl SourceOut {
    pub(super) fn new(entry: &Entry, state: &State) -> Self {
        let (source, compiled) = (entry.source(), entry.compiled());
        let path = if source.tenant == state.control.default_tenant() {
            format!("/webhooks/{}", source.name)
        } else {
            let tenant = state.control.tenant_name(source.tenant).unwrap_or_default();
            format!("/webhooks/{tenant}/{}", source.name)
        };
        let settings = &source.settings;
        let preset = compiled.preset();
        let below_router = || {
            state
                .intake
                .public_url
                .as_ref()
                .map(|router| format!("{router}{path}"))
        };
        let own = settings.verification.as_ref();
        let verification = own.unwrap_or_else(|| compiled.verification()).clone();
        let handshakes = settings
            .handshakes
            .clone()
            .unwrap_or_else(|| preset.handshakes.clone());
        Self {
            id: source.id,
            name: source.name.clone(),
            description: source.description.clone(),
            url: settings.public_url.clone().or_else(below_router),
            public_url: settings.public_url.clone(),
            path,
            preset: source.preset.clone(),
            enabled: source.enabled,
            fault: entry.fault().map(str::to_owned),
            note: (verification == Verification::None && entry.fault().is_none()).then_some(OPEN),
            // What a preset says of its secret is wrong where the source verifies in another way.
            secret_hint: preset
                .secret
                .as_deref()
                .filter(|_| verification == preset.verification),
            verification,
            handshakes,
            events: settings.events.over(&preset.events),
            allowed_ips: settings.allowed_ips.iter().map(ToString::to_string).collect(),
            body_bytes_max: state.intake.body_bytes_max(entry),
            rate_limit: settings.rate_limit.map(RateLimitShown::from),
            response: settings
                .response
                .clone()
                .or_else(|| preset.response.clone())
                .unwrap_or_default(),
            always_ok: settings.always_ok,
            keep_refused: settings.keep_refused,
            secrets: source.secrets.len(),
            old_secrets_until: source.secrets.iter().filter_map(|secret| secret.until).collect(),
            has_verify_token: source.verify_token.is_some(),
            secret: None,
            version: source.version,
            created_at: source.created_at,
            updated_at: source.updated_at,
        }
    }

    /// With the newest secret, for the answer that made it.
    pub(super) fn with_secret(mut self, entry: &Entry) -> Self {
        let newest = entry.source().secrets.first();
        self.secret = newest.map(|newest| newest.secret.reveal().to_owned());
        self
    }

    pub(super) fn answer(self, status: StatusCode) -> Response {
        let place = format!("{PREFIX}/sources/{}", self.id);
        versioned(status, self.version, &place, self)
    }
}
