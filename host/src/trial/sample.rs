//! Which event a subscription is tried with: what the caller gave, else the sample of a type that it takes.
//! Hookway's own events may be tried too, by their own names or the profile's.

use bytes::Bytes;
use serde::Serialize;

use super::Wanted;
use crate::event_type::{Definition, catalogue};
use crate::own_event::{self, OwnEvent};
use crate::profile::OperationalEvents;
use crate::registry::event_types::Types;
use crate::routing::Pattern;
use crate::subscription::Subscription;
use crate::time::Timestamp;

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
    /// Hookway, of whose own events it is one.
    OwnEvent,
    /// There is no sample of the type.
    Generic,
}

/// A test event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) event_type: String,
    pub(super) data: Bytes,
    pub(super) from: From,
    /// The rest of it, where it is one of Hookway's own.
    pub(super) own: Option<OwnEvent>,
}

/// Chooses the event. `names` are those of the profile for Hookway's own types.
pub(super) fn of(
    subscription: &Subscription,
    wanted: Wanted,
    types: &Types,
    names: &OperationalEvents,
    now: Timestamp,
) -> Sample {
    let built_in = catalogue::built_in(&subscription.profile.name);
    let listed = built_in
        .map(|catalogue| catalogue.event_types.as_slice())
        .unwrap_or_default();
    let event_type = wanted
        .event_type
        .unwrap_or_else(|| taken(subscription, types, listed, names));
    let described = types.contains_key(&event_type) || listed.iter().any(|one| one.name == event_type);
    let event_type = match names.own_type_of(&event_type) {
        Some(own) if !described => own.to_owned(),
        Some(_) | None => event_type,
    };
    if let Some(mut own) = own_event::sample(&event_type, subscription, now) {
        let from = match wanted.data {
            Some(data) => {
                own.data = data;
                From::Given
            }
            None => From::OwnEvent,
        };
        return Sample {
            event_type,
            data: own.data.clone(),
            from,
            own: Some(own),
        };
    }
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
        own: None,
    }
}

/// A type that the subscription takes: the first that it names, else the first known one that it matches.
fn taken(
    subscription: &Subscription,
    types: &Types,
    listed: &[Definition],
    names: &OperationalEvents,
) -> String {
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
        .or_else(|| {
            let mut own = own_event::ALL.into_iter();
            own.find(|own| matched(own) || matched(&names.shown_type(own)))
        })
        .unwrap_or(GENERIC_TYPE)
        .to_owned()
}
