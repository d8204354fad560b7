//! How a subscription is shown: secrets whole for `manage`, masked for `read`, and the signing secret
//! only in the answer that made it.

use std::num::NonZeroU16;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::retry::RetryShown;
use crate::api::PREFIX;
use crate::api::extract::Caller;
use crate::api::rate_limit::RateLimitShown;
use crate::api::versioned::versioned;
use crate::digest::Digest;
use crate::id::SubscriptionId;
use crate::retry::Schedule;
use crate::secret::{Secret, masked_url};
use crate::store::Counters;
use crate::subscription::{Envelope, Isolation, PluginStep, Status, Subscription};
use crate::time::Timestamp;

/// What stands for a secret value.
const MASK: &str = "…";

/// A subscription.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SubscriptionOut {
    /// Its id.
    #[schema(value_type = String)]
    id: SubscriptionId,
    /// The slug that may stand for the id.
    key: Option<String>,
    /// For people.
    name: String,
    /// Whether deliveries go out.
    enabled: bool,
    /// `enabled`, `disabled` (by a person, by 410, or by a rule of its profile) or `held` (by the router).
    status: &'static str,
    /// Why it is not enabled.
    status_reason: Option<String>,
    /// Since when it is not enabled.
    #[schema(value_type = Option<String>, format = DateTime)]
    status_since: Option<Timestamp>,
    /// When one delivery tries whether it can go on, where it is held and the router tries by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    probe_at: Option<Timestamp>,
    /// Where it goes: whole for `manage`, masked for `read`.
    url: String,
    /// Patterns.
    events: Vec<String>,
    /// A CEL expression.
    filter: Option<String>,
    /// Its plugins, in order.
    plugins: Vec<StepOut>,
    /// How a delivery looks and behaves.
    profile: String,
    /// When attempts are made, in place of what the profile says; null where the profile counts.
    #[schema(value_type = Option<RetryShown>)]
    retry: Option<Schedule>,
    /// The whole time for one attempt, in place of the profile's; null where the profile counts.
    timeout_seconds: Option<u16>,
    /// `auto` or `profile`.
    #[schema(value_type = String)]
    envelope: Envelope,
    /// `subscription` or `event`.
    #[schema(value_type = String)]
    isolation: Isolation,
    /// Headers added to every request; values whole for `manage`, masked for `read`.
    headers: std::collections::BTreeMap<String, String>,
    /// Requests per time.
    rate_limit: Option<RateLimitShown>,
    /// Requests in flight at once.
    max_in_flight: Option<u16>,
    /// Whether 410 Gone disables it.
    disable_on_gone: bool,
    /// When the older secrets cease to sign beside the newest.
    #[schema(value_type = Vec<String>)]
    old_secrets_until: Vec<Timestamp>,
    /// The signing secret: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Counts up with every change; also the ETag.
    version: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// How many deliveries it has, by status; only where one subscription is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deliveries: Option<CountersOut>,
}

/// A plugin of a subscription.
#[derive(Serialize, utoipa::ToSchema)]
pub struct StepOut {
    /// Its name.
    name: String,
    /// The one version that it uses; today's where none is named.
    #[schema(value_type = Option<String>)]
    digest: Option<Digest>,
    /// Its configuration, which may hold tokens: for `manage` only.
    #[schema(value_type = Option<serde_json::Value>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Box<RawValue>>,
}

/// Counts of deliveries. `created` is the sum of the others.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CountersOut {
    created: u64,
    delivered: u64,
    filtered: u64,
    failed: u64,
    pending: u64,
}

impl From<Counters> for CountersOut {
    fn from(counters: Counters) -> Self {
        let Counters {
            created,
            delivered,
            filtered,
            failed,
            pending,
        } = counters;
        Self {
            created,
            delivered,
            filtered,
            failed,
            pending,
        }
    }
}

impl SubscriptionOut {
    pub(super) fn new(subscription: &Subscription, caller: &Caller) -> Self {
        let (status, reason, since) = match &subscription.status {
            Status::Enabled => ("enabled", None, None),
            Status::Disabled { since, reason } => ("disabled", Some(reason.clone()), Some(*since)),
            Status::Held { since, reason, .. } => ("held", Some(reason.clone()), Some(*since)),
        };
        let endpoint = &subscription.endpoint;
        let whole = caller.sees_secrets();
        let shown = |value: &Secret| {
            if whole {
                value.reveal().to_owned()
            } else {
                MASK.to_owned()
            }
        };
        let url = endpoint.url.reveal();
        Self {
            id: subscription.id,
            key: subscription.key.clone(),
            name: subscription.name.clone(),
            enabled: subscription.status.is_enabled(),
            status,
            status_reason: reason,
            status_since: since,
            probe_at: subscription.status.probe_at(),
            url: if whole { url.to_owned() } else { masked_url(url) },
            events: subscription.events.clone(),
            filter: subscription.filter.clone(),
            plugins: subscription
                .plugins
                .iter()
                .map(|step| StepOut::of(step, whole))
                .collect(),
            profile: subscription.profile.to_string(),
            retry: subscription.retry.clone(),
            timeout_seconds: subscription.timeout_seconds.map(NonZeroU16::get),
            envelope: subscription.envelope,
            isolation: subscription.isolation,
            headers: endpoint
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), shown(value)))
                .collect(),
            rate_limit: endpoint.rate_limit.map(RateLimitShown::from),
            max_in_flight: endpoint.max_in_flight.map(NonZeroU16::get),
            disable_on_gone: endpoint.disable_on_gone,
            old_secrets_until: endpoint
                .secrets
                .iter()
                .filter_map(|secret| secret.until)
                .collect(),
            secret: None,
            version: subscription.version,
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
            deliveries: None,
        }
    }

    /// With the newest secret, for the answer that made it.
    pub(super) fn with_secret(mut self, subscription: &Subscription) -> Self {
        self.secret = subscription
            .endpoint
            .secrets
            .first()
            .map(|newest| newest.secret.reveal().to_owned());
        self
    }

    pub(super) fn answer(self, status: StatusCode) -> Response {
        let place = format!("{PREFIX}/subscriptions/{}", self.id);
        versioned(status, self.version, &place, self)
    }
}

impl StepOut {
    fn of(step: &PluginStep, whole: bool) -> Self {
        Self {
            name: step.name.clone(),
            digest: step.digest,
            config: whole.then(|| step.config.clone()),
        }
    }
}
