//! The subscription: event types, filter, plugins and endpoint; one row of the routing table.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::id::{SubscriptionId, TenantId};
use crate::profile::Choice;
use crate::retry::Schedule;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Most patterns in `events`.
pub const PATTERNS_MAX: usize = 64;
/// Most plugins that a subscription runs one after another.
pub const PLUGINS_MAX: usize = 4;
/// Most headers of its own.
pub const HEADERS_MAX: usize = 32;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 64;
/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4_096;
/// Most requests in flight that a subscription may ask for: one endpoint must not take the router's
/// whole share of sockets.
pub const IN_FLIGHT_MAX: u16 = 256;
/// Most requests per `per_seconds`, and the largest burst: beyond it a limit limits nothing.
pub const RATE_REQUESTS_MAX: u32 = 1_000_000;
/// Longest `per_seconds`: a day.
pub const RATE_SECONDS_MAX: u32 = 86_400;
/// Largest configuration of a plugin, in bytes.
pub const PLUGIN_CONFIG_BYTES_MAX: usize = 64 * 1_024;

/// One subscription, as the operator wrote it and as the router uses it.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// The owner.
    pub tenant: TenantId,
    /// A unique slug that may stand for the id in any path.
    pub key: Option<String>,
    /// A name for people.
    pub name: String,
    /// Whether deliveries go out.
    pub status: Status,
    /// Patterns of event types, checked on save (`routing::Pattern`).
    pub events: Vec<String>,
    /// A CEL expression over the event, checked on save (`routing::Filter`).
    pub filter: Option<String>,
    /// The plugins, in order.
    pub plugins: Vec<PluginStep>,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The profile that says how a delivery looks and behaves.
    pub profile: Choice,
    /// When attempts are made, in place of what the profile says.
    pub retry: Option<Schedule>,
    /// The whole time for one attempt, in place of the profile's; at most
    /// [`crate::profile::TIMEOUT_SECONDS_MAX`].
    pub timeout_seconds: Option<NonZeroU16>,
    /// Whether the profile's envelope is put around what a plugin made.
    pub envelope: Envelope,
    /// Whether instances of its plugins are kept between events.
    pub isolation: Isolation,
    /// Counts up with every change; the ETag.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Whether deliveries of a subscription go out. All but `Enabled` hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// They go out.
    Enabled,
    /// A person switched it off.
    Disabled {
        /// When.
        since: Timestamp,
        /// By whose word: a person's, or the endpoint's (410 Gone).
        reason: String,
    },
    /// The router holds it: a plugin's configuration is at fault, or the endpoint is off for now.
    Held {
        /// Since when.
        since: Timestamp,
        /// Why, and what would end it.
        reason: String,
        /// When one delivery tries whether it can go on, if the router tries by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        probe_at: Option<Timestamp>,
    },
}

impl Status {
    /// Whether deliveries go out.
    pub fn is_enabled(&self) -> bool {
        matches!(self, Self::Enabled)
    }

    /// Why they do not, where they do not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Enabled => None,
            Self::Disabled { reason, .. } | Self::Held { reason, .. } => Some(reason),
        }
    }

    /// When one delivery tries whether a subscription that is held can go on, if the router tries by
    /// itself.
    pub fn probe_at(&self) -> Option<Timestamp> {
        match self {
            Self::Held { probe_at, .. } => *probe_at,
            Self::Enabled | Self::Disabled { .. } => None,
        }
    }
}

/// One plugin of a subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginStep {
    /// The plugin's name.
    pub name: String,
    /// The one version to use; today's where none is named.
    pub digest: Option<Digest>,
    /// The configuration, JSON, checked on save.
    pub config: Box<RawValue>,
}

/// Where a subscription's requests go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// The URL, a secret: those of Slack and Teams carry the token.
    pub url: Secret,
    /// Headers added to every request; their values are secrets.
    pub headers: Vec<(String, Secret)>,
    /// Signing secrets, newest first; the ones behind it are on their way out.
    pub secrets: Vec<SigningSecret>,
    /// Requests in flight at once; what its profile or the router says where none are given.
    pub max_in_flight: Option<NonZeroU16>,
    /// Requests per time.
    pub rate_limit: Option<RateLimit>,
    /// Whether 410 Gone disables the subscription, as Standard Webhooks asks.
    pub disable_on_gone: bool,
}

/// A secret that requests are signed with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SigningSecret {
    /// The secret in its text form, such as `whsec_…`.
    pub secret: Secret,
    /// Signs beside the newest until then; for ever where none is given (the newest).
    pub until: Option<Timestamp>,
}

impl SigningSecret {
    /// A secret that signs until another takes its place.
    pub const fn newest(secret: Secret) -> Self {
        Self { secret, until: None }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Requests per `per_seconds`.
    pub requests: NonZeroU32,
    /// The time over which `requests` are spread, in seconds.
    pub per_seconds: NonZeroU32,
    /// Requests that may go at once after a pause.
    pub burst: NonZeroU32,
}

/// Whether the profile's envelope is put around what a plugin made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Without a plugin the profile's envelope, with one its body as it is.
    #[default]
    Auto,
    /// The profile's envelope also around what a plugin made.
    Profile,
}

/// Whether instances are kept between events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// An instance serves the subscription's events one after another, for a named number of runs.
    #[default]
    Subscription,
    /// Every event gets a fresh instance.
    Event,
}
