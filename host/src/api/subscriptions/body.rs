//! How a wish is read from a body: field by field, with the place of every fault.

use std::borrow::Cow;
use std::num::NonZeroU16;

use serde_json::value::RawValue;

use super::retry::{RetryIn, retry};
use crate::api::extract::JsonBody;
use crate::api::problem::Problem;
use crate::api::rate_limit::{RateLimitIn, rate_limit};
use crate::api::wishes::{Wishes, kept};
use crate::control::subscriptions::Wish;
use crate::json::{self, Faults, Fields, Given};
use crate::secret::Secret;
use crate::subscription::{PATTERNS_MAX, PLUGINS_MAX, PluginStep};

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
    /// How a delivery looks and behaves: the name of a profile, which follows its newest version, or
    /// `name@version`. The tenant's default where nothing is said, mostly `standard-webhooks`.
    profile: Option<String>,
    /// When attempts are made, in place of what the profile says; given as a whole. `null` for the profile's.
    retry: Option<RetryIn>,
    /// The whole time for one attempt, in place of the profile's: 1 to 300. `null` for the profile's.
    timeout_seconds: Option<u16>,
    /// `auto` (default) or `profile`.
    envelope: Option<String>,
    /// `subscription` (default) or `event`.
    isolation: Option<String>,
    /// The signing secret; made where nothing is said. `null` for none, where the profile lets requests go
    /// unsigned. Only for a new subscription.
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

/// Reads a wish.
pub(in crate::api) fn wish(body: &JsonBody) -> Result<Wish, Problem> {
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
        profile: wishes.set("profile", "the name of a profile, such as `plain` or `acme@2`"),
        retry: wishes.set_with("retry", retry),
        timeout_seconds: wishes.set("timeout_seconds", "a number from 1 to 300"),
        envelope: wishes.set("envelope", "`auto` or `profile`"),
        isolation: wishes.set("isolation", "`subscription` or `event`"),
        headers: wishes.set_with("headers", headers),
        max_in_flight: wishes.set::<NonZeroU16>("max_in_flight", "a number from 1 to 256"),
        rate_limit: wishes.set_with("rate_limit", rate_limit),
        disable_on_gone: wishes.set("disable_on_gone", "true or false"),
        enabled: wishes.set("enabled", "true or false"),
        secret: wishes.set("secret", "a string"),
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
pub(in crate::api) fn empty_config() -> Box<RawValue> {
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
