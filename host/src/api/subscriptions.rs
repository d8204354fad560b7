//! `/subscriptions` and `/webhooks`: the routing table, row by row.

use std::borrow::Cow;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::extract::{Caller, JsonBody, May, Query, ToManage, ToRead, if_match};
use super::page::{List, Page, cursor};
use super::problem::Problem;
use super::{PREFIX, Shared};
use crate::control::subscriptions::{OVERLAP_DEFAULT, Set, Wish};
use crate::digest::Digest;
use crate::id::SubscriptionId;
use crate::json::{self, Faults, Fields, Given};
use crate::secret::{Secret, masked_url};
use crate::store::Counters;
use crate::subscription::{
    Envelope, Isolation, PATTERNS_MAX, PLUGINS_MAX, PluginStep, RateLimit, Status, Subscription,
};
use crate::time::Timestamp;

/// What stands for a secret value.
const MASK: &str = "…";

/// A subscription as a caller wishes it. In a patch, absent means "as it is" and null "as if never given".
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct SubscriptionIn {
    /// For people.
    name: String,
    /// A unique slug that may stand for the id in any path.
    key: Option<String>,
    /// Where it goes; https unless the operator allows http.
    url: String,
    /// Patterns such as `alert.created`, `alert.*`, `*`.
    events: Vec<String>,
    /// A CEL expression over the event; an error in it counts as no match.
    filter: Option<String>,
    /// Up to four plugins, in order.
    plugins: Option<Vec<StepIn>>,
    /// How a delivery looks and behaves; `standard-webhooks` where nothing is said.
    profile: Option<String>,
    /// `auto` (default) or `profile`.
    envelope: Option<String>,
    /// `subscription` (default) or `event`.
    isolation: Option<String>,
    /// The signing secret; made where none is given. Only for a new subscription.
    secret: Option<String>,
    /// Headers added to every request, by name.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// Requests per time.
    rate_limit: Option<RateLimitIn>,
    /// Requests in flight at once.
    max_in_flight: Option<u16>,
    /// Whether 410 Gone disables it; it does where nothing is said.
    disable_on_gone: Option<bool>,
    /// Whether deliveries go out; they do where nothing is said.
    enabled: Option<bool>,
}

/// A plugin of a subscription.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct StepIn {
    /// Its name.
    name: String,
    /// The one version to use; today's where none is named.
    digest: Option<String>,
    /// Its configuration; `{}` where none is given.
    config: Option<serde_json::Value>,
}

/// A token bucket.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RateLimitIn {
    /// Requests per `per_seconds`.
    requests: u32,
    /// 1 where nothing is said.
    per_seconds: u32,
    /// Requests that may go at once after a pause; `requests` where nothing is said.
    burst: u32,
}

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
    /// `enabled`, `disabled` (by a person or by 410) or `held` (by the router).
    status: &'static str,
    /// Why it is not enabled.
    status_reason: Option<String>,
    /// Since when it is not enabled.
    #[schema(value_type = Option<String>, format = DateTime)]
    status_since: Option<Timestamp>,
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
    /// `auto` or `profile`.
    #[schema(value_type = String)]
    envelope: Envelope,
    /// `subscription` or `event`.
    #[schema(value_type = String)]
    isolation: Isolation,
    /// Headers added to every request; values whole for `manage`, masked for `read`.
    headers: std::collections::BTreeMap<String, String>,
    /// Requests per time.
    rate_limit: Option<RateLimitIn>,
    /// Requests in flight at once.
    max_in_flight: u16,
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
    deliveries: Option<CountersOut>,
}

/// A plugin of a subscription.
#[derive(Serialize, utoipa::ToSchema)]
pub struct StepOut {
    /// Its name.
    name: String,
    /// The one version that it uses; today's where none is named.
    #[schema(value_type = Option<String>)]
    digest: Option<Digest>,
    /// Its configuration.
    #[schema(value_type = serde_json::Value)]
    config: Box<RawValue>,
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
    fn new(subscription: &Subscription, caller: &Caller) -> Self {
        let (status, reason, since) = match &subscription.status {
            Status::Enabled => ("enabled", None, None),
            Status::Disabled { since, reason } => ("disabled", Some(reason.clone()), Some(*since)),
            Status::Held { since, reason } => ("held", Some(reason.clone()), Some(*since)),
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
            url: if whole { url.to_owned() } else { masked_url(url) },
            events: subscription.events.clone(),
            filter: subscription.filter.clone(),
            plugins: subscription.plugins.iter().map(StepOut::from).collect(),
            profile: subscription.profile.clone(),
            envelope: subscription.envelope,
            isolation: subscription.isolation,
            headers: endpoint
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), shown(value)))
                .collect(),
            rate_limit: endpoint.rate_limit.map(RateLimitIn::from),
            max_in_flight: endpoint.max_in_flight.get(),
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
    fn with_secret(mut self, subscription: &Subscription) -> Self {
        self.secret = subscription
            .endpoint
            .secrets
            .first()
            .map(|newest| newest.secret.reveal().to_owned());
        self
    }

    fn answer(self, status: StatusCode) -> Response {
        let (etag, location) = (
            format!("\"{}\"", self.version),
            format!("{PREFIX}/subscriptions/{}", self.id),
        );
        let mut answer = (status, Json(self)).into_response();
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            answer.headers_mut().insert(ETAG, etag);
        }
        if let (StatusCode::CREATED, Ok(location)) = (status, HeaderValue::from_str(&location)) {
            answer.headers_mut().insert(LOCATION, location);
        }
        answer
    }
}

impl From<&PluginStep> for StepOut {
    fn from(step: &PluginStep) -> Self {
        Self {
            name: step.name.clone(),
            digest: step.digest,
            config: step.config.clone(),
        }
    }
}

impl From<RateLimit> for RateLimitIn {
    fn from(rate: RateLimit) -> Self {
        Self {
            requests: rate.requests.get(),
            per_seconds: rate.per_seconds.get(),
            burst: rate.burst.get(),
        }
    }
}

/// Reads one field of a wish.
struct Wishes<'a, 'f> {
    fields: Fields<'a>,
    faults: &'f mut Faults,
}

impl<'a> Wishes<'a, '_> {
    fn set<T: DeserializeOwned>(&mut self, name: &'static str, expected: &str) -> Set<T> {
        self.set_with(name, |raw, pointer, faults| {
            json::read(raw, pointer, expected, faults)
        })
    }

    fn set_with<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue, &str, &mut Faults) -> Option<T>,
    ) -> Set<T> {
        match self.fields.given(name) {
            Given::Absent => Set::Keep,
            Given::Null => Set::Clear,
            Given::Value(raw) => match read(raw, &self.fields.pointer(name), self.faults) {
                Some(value) => Set::To(value),
                None => Set::Keep,
            },
        }
    }
}

fn wish(body: &JsonBody) -> Result<Wish, Problem> {
    let mut faults = Faults::default();
    let mut wishes = Wishes {
        fields: Fields::of(body.text(), "")?,
        faults: &mut faults,
    };
    let wish = Wish {
        name: wishes.set("name", "a string"),
        key: wishes.set("key", "a string"),
        url: wishes.set("url", "a string"),
        events: wishes.set_with("events", patterns),
        filter: wishes.set("filter", "a string"),
        plugins: wishes.set_with("plugins", steps),
        profile: wishes.set("profile", "a string"),
        envelope: wishes.set("envelope", "`auto` or `profile`"),
        isolation: wishes.set("isolation", "`subscription` or `event`"),
        headers: wishes.set_with("headers", headers),
        max_in_flight: wishes.set::<NonZeroU16>("max_in_flight", "a number from 1 to 256"),
        rate_limit: wishes.set_with("rate_limit", rate_limit),
        disable_on_gone: wishes.set("disable_on_gone", "true or false"),
        enabled: wishes.set("enabled", "true or false"),
        secret: match wishes.set("secret", "a string") {
            Set::To(secret) => Some(secret),
            Set::Keep | Set::Clear => None,
        },
    };
    wishes.fields.finish(wishes.faults);
    Ok(faults.or(wish)?)
}

fn patterns(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Vec<String>> {
    let items = kept(json::items(raw.get(), pointer, PATTERNS_MAX), faults)?;
    let read = items.into_iter().enumerate();
    read.map(|(place, item)| json::read(item, &format!("{pointer}/{place}"), "a string", faults))
        .collect()
}

fn steps(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Vec<PluginStep>> {
    let items = kept(json::items(raw.get(), pointer, PLUGINS_MAX), faults)?;
    let read = items.into_iter().enumerate();
    // All of them, so that every fault is told.
    let steps: Vec<_> = read
        .map(|(place, item)| step(item, &format!("{pointer}/{place}"), faults))
        .collect();
    steps.into_iter().collect()
}

fn step(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<PluginStep> {
    let mut fields = kept(Fields::of(raw.get(), pointer), faults)?;
    let name = fields.text("name", faults);
    if name.is_none() {
        faults.add(format!("{pointer}/name"), "must be given");
    }
    let digest = fields.read(
        "digest",
        "64 hexadecimal digits, with or without `sha256:` before them",
        faults,
    );
    let config = match fields.given("config") {
        Given::Value(raw) => raw.to_owned(),
        Given::Absent | Given::Null => empty_config(),
    };
    fields.finish(faults);
    Some(PluginStep {
        name: name?,
        digest,
        config,
    })
}

/// The configuration of a plugin that was given none.
pub(super) fn empty_config() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

fn headers(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<Vec<(String, Secret)>> {
    let members = kept(Fields::of(raw.get(), pointer), faults)?.into_members();
    let read = |(name, raw): (Cow<'_, str>, &RawValue)| {
        let value = json::read::<Secret>(raw, &json::pointer(pointer, &name), "a string", faults)?;
        Some((name.into_owned(), value))
    };
    members.into_iter().map(read).collect()
}

fn rate_limit(raw: &RawValue, pointer: &str, faults: &mut Faults) -> Option<RateLimit> {
    let mut fields = kept(Fields::of(raw.get(), pointer), faults)?;
    let number = "a number from 1";
    let requests: Option<NonZeroU32> = fields.read("requests", number, faults);
    let per_seconds: Option<NonZeroU32> = fields.read("per_seconds", number, faults);
    let burst: Option<NonZeroU32> = fields.read("burst", number, faults);
    if requests.is_none() && faults.is_empty() {
        faults.add(fields.pointer("requests"), "must be given");
    }
    fields.finish(faults);
    let requests = requests?;
    let (per_seconds, burst) = (per_seconds.unwrap_or(NonZeroU32::MIN), burst.unwrap_or(requests));
    Some(RateLimit {
        requests,
        per_seconds,
        burst,
    })
}

fn kept<T>(read: Result<T, json::Unreadable>, faults: &mut Faults) -> Option<T> {
    read.map_err(|error| faults.append(error.into_faults())).ok()
}

/// Makes a subscription. The answer is the only one that shows its secret.
#[utoipa::path(
    post, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "create_subscription",
    request_body = SubscriptionIn,
    responses((status = 201, description = "Made", body = SubscriptionOut))
)]
pub async fn create(
    caller: May<ToManage>,
    State(state): State<Shared>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let made = state
        .control
        .create_subscription(caller.tenant, wish(&body)?)
        .await?;
    Ok(SubscriptionOut::new(&made, &caller)
        .with_secret(&made)
        .answer(StatusCode::CREATED))
}

/// Lists subscriptions, newest first.
#[utoipa::path(
    get, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    params(
        ("limit" = Option<usize>, Query, description = "1 to 250; 50 where nothing is said"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Page<SubscriptionOut>))
)]
pub async fn list(
    caller: May<ToRead>,
    State(state): State<Shared>,
    mut query: Query,
) -> Result<Json<Page<SubscriptionOut>>, Problem> {
    let (limit, before) = (
        query.limit()?,
        query.cursor(List::Subscriptions)?.unwrap_or(i64::MAX),
    );
    query.finish()?;
    let mut routes = state.control.subscriptions(caller.tenant);
    routes.retain(|route| route.subscription().id.number() < before);
    let more = routes.len() > limit;
    routes.truncate(limit);
    let last = routes.last().filter(|_| more);
    let next = last.map(|last| cursor(List::Subscriptions, last.subscription().id.number()));
    let data = routes
        .iter()
        .map(|route| SubscriptionOut::new(route.subscription(), &caller))
        .collect();
    Ok(Json(Page { data, next }))
}

/// Shows one subscription, with counts of its deliveries.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription",
    params(("id" = String, Path, description = "`sub_…` or its key")),
    responses((status = 200, description = "The subscription", body = SubscriptionOut))
)]
pub async fn show(
    caller: May<ToRead>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let route = state
        .control
        .subscription(caller.tenant, &id)
        .ok_or_else(|| Problem::not_found("subscription"))?;
    let counters = state.store.counters(Some(route.subscription().id)).await?;
    let mut shown = SubscriptionOut::new(route.subscription(), &caller);
    shown.deliveries = Some(counters.into());
    Ok(shown.answer(StatusCode::OK))
}

/// Changes what is given; null takes away (RFC 7396). `If-Match` guards against changes in between.
#[utoipa::path(
    patch, path = "/api/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "update_subscription",
    params(
        ("id" = String, Path, description = "`sub_…` or its key"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = SubscriptionIn,
    responses((status = 200, description = "Changed", body = SubscriptionOut))
)]
pub async fn update(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let version = if_match(&headers)?;
    let changed = state
        .control
        .update_subscription(caller.tenant, &id, wish(&body)?, version)
        .await?;
    Ok(SubscriptionOut::new(&changed, &caller).answer(StatusCode::OK))
}

/// Removes a subscription. Deliveries that are still pending fail.
#[utoipa::path(
    delete, path = "/api/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "delete_subscription",
    params(("id" = String, Path, description = "`sub_…` or its key")),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    state
        .control
        .delete_subscription(caller.tenant, &id, if_match(&headers)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets deliveries go out again, those that were held first.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/enable", tag = "subscriptions", operation_id = "enable_subscription",
    params(("id" = String, Path, description = "`sub_…` or its key")),
    responses((status = 200, description = "Enabled", body = SubscriptionOut))
)]
pub async fn enable(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let changed = state.control.enable_subscription(caller.tenant, &id).await?;
    Ok(SubscriptionOut::new(&changed, &caller).answer(StatusCode::OK))
}

/// Why a subscription is switched off.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct DisableIn {
    /// For whoever wonders later.
    reason: Option<String>,
}

/// Holds deliveries until it is enabled again. Nothing is lost.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/disable", tag = "subscriptions", operation_id = "disable_subscription",
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<DisableIn>,
    responses((status = 200, description = "Disabled", body = SubscriptionOut))
)]
pub async fn disable(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut reason = None;
    if !body.is_empty() {
        let mut faults = Faults::default();
        let mut fields = Fields::of(body.text(), "")?;
        reason = fields.text("reason", &mut faults);
        fields.finish(&mut faults);
        faults.or(())?;
    }
    let changed = state
        .control
        .disable_subscription(caller.tenant, &id, reason)
        .await?;
    Ok(SubscriptionOut::new(&changed, &caller).answer(StatusCode::OK))
}

/// How a secret is changed.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body, which is read field by field")]
pub struct RotateIn {
    /// The new secret; made where none is given.
    secret: Option<String>,
    /// How long the old one signs beside it: 86,400 where nothing is said, 0 for not at all.
    overlap_seconds: Option<u32>,
}

/// Puts a new secret first; the old one signs beside it for a while. The answer shows the new one.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/rotate-secret", tag = "subscriptions",
    operation_id = "rotate_subscription_secret",
    params(("id" = String, Path, description = "`sub_…` or its key")),
    request_body = Option<RotateIn>,
    responses((status = 200, description = "Rotated", body = SubscriptionOut))
)]
pub async fn rotate_secret(
    caller: May<ToManage>,
    State(state): State<Shared>,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (mut secret, mut overlap) = (None, OVERLAP_DEFAULT);
    if !body.is_empty() {
        let mut faults = Faults::default();
        let mut fields = Fields::of(body.text(), "")?;
        secret = fields.read("secret", "a string", &mut faults);
        let seconds: Option<u32> = fields.read("overlap_seconds", "a number of seconds", &mut faults);
        fields.finish(&mut faults);
        faults.or(())?;
        overlap = seconds.map_or(overlap, |seconds| Duration::from_secs(seconds.into()));
    }
    let changed = state
        .control
        .rotate_secret(caller.tenant, &id, secret, overlap)
        .await?;
    Ok(SubscriptionOut::new(&changed, &caller)
        .with_secret(&changed)
        .answer(StatusCode::OK))
}
