//! Which event a subscription is tried with: what the caller gave, else the sample of a type that it takes.

use bytes::Bytes;
use serde::Serialize;

use super::Wanted;
use crate::event_type::{Definition, catalogue};
use crate::registry::event_types::Types;
use crate::routing::Pattern;
use crate::subscription::Subscription;

/// The type of a test where nothing else is known.
pub const GENERIC_TYPE: &str = "test.event";
/// The payload of a test where there is no sample.
const GENERIC_DATA: &str = r#"{"id":"test_1","message":"This is a test event from Hookway."}"#;

/// Where the payload of a test is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The caller.
    Given,
    /// The tenant's own event type.
    EventType,
    /// The built-in catalogue that is named as the profile is.
    Catalogue,
    /// There is no sample of the type.
    Generic,
}

/// A test event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) event_type: String,
    pub(super) data: Bytes,
    pub(super) from: From,
}

/// Chooses the event.
pub(super) fn of(subscription: &Subscription, wanted: Wanted, types: &Types) -> Sample {
    let built_in = catalogue::built_in(&subscription.profile.name);
    let listed = built_in
        .map(|catalogue| catalogue.event_types.as_slice())
        .unwrap_or_default();
    let event_type = wanted
        .event_type
        .unwrap_or_else(|| taken(subscription, types, listed));
    let sample_of = |definition: &Definition| {
        let raw = definition.sample.as_ref()?;
        Some(Bytes::copy_from_slice(raw.get().as_bytes()))
    };
    let own = types.get(&event_type).map(|known| &known.event_type.definition);
    let listed = listed.iter().find(|definition| definition.name == event_type);
    let (data, from) = wanted
        .data
        .map(|data| (data, From::Given))
        .or_else(|| Some((sample_of(own?)?, From::EventType)))
        .or_else(|| Some((sample_of(listed?)?, From::Catalogue)))
        .unwrap_or((Bytes::from_static(GENERIC_DATA.as_bytes()), From::Generic));
    Sample {
        event_type,
        data,
        from,
    }
}

/// A type that the subscription takes: the first that it names, else the first known one that it matches.
fn taken(subscription: &Subscription, types: &Types, listed: &[Definition]) -> String {
    let patterns: Vec<Pattern> = subscription
        .events
        .iter()
        .filter_map(|text| Pattern::parse(text).ok())
        .collect();
    let exact = patterns.iter().find_map(|pattern| match pattern {
        Pattern::Exact(name) => Some(name.as_str()),
        Pattern::Below(_) | Pattern::All => None,
    });
    let matched = |name: &&str| patterns.iter().any(|pattern| pattern.matches(name));
    exact
        .or_else(|| types.keys().map(String::as_str).find(matched))
        .or_else(|| {
            listed
                .iter()
                .map(|definition| definition.name.as_str())
                .find(matched)
        })
        .unwrap_or(GENERIC_TYPE)
        .to_owned()
}
