//! What a producer is told of an accepted event besides: that a receiver may see it otherwise, or refuse it.
//!
//! The profiles of the matched subscriptions are asked, each once, and each text is told once. A warning
//! that concerns one subscription alone names it.

use crate::event::Event;
use crate::id::SubscriptionId;
use crate::profile::Profile;

/// A warning of an accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warned {
    /// The only subscription that it is about; none where it is about several.
    pub subscription: Option<SubscriptionId>,
    /// What may go wrong, and what would help.
    pub detail: String,
}

/// What the profiles of the subscriptions that get an event warn of.
pub(super) fn warned<'p>(
    event: &Event,
    matched: impl IntoIterator<Item = (SubscriptionId, &'p Profile)>,
) -> Vec<Warned> {
    let mut asked: Vec<(&Profile, Option<SubscriptionId>)> = Vec::new();
    for (subscription, profile) in matched {
        let same = |known: &Profile| known.name == profile.name && known.version == profile.version;
        match asked.iter_mut().find(|(known, _)| same(known)) {
            Some((_, only)) => *only = None,
            None => asked.push((profile, Some(subscription))),
        }
    }
    let mut told: Vec<Warned> = Vec::new();
    for (profile, subscription) in asked {
        for warning in profile.warnings(event) {
            match told.iter_mut().find(|known| known.detail == warning.detail) {
                Some(known) => known.subscription = None,
                None => told.push(Warned {
                    subscription,
                    detail: warning.detail,
                }),
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::Id;
    use crate::profile::{self, BODY_BYTES_WARNED, Mode};
    use crate::time::Timestamp;

    fn event(data: String) -> Event {
        Event {
            id: Id::from_number(1),
            tenant: Id::from_number(1),
            source: "api".to_owned(),
            producer_id: None,
            event_type: "a".to_owned(),
            subject: None,
            time: Timestamp::from_millis(0),
            received_at: Timestamp::from_millis(0),
            content_type: "application/json".to_owned(),
            extensions: Vec::new(),
            headers: Vec::new(),
            data: Bytes::from(data),
            hops: 0,
        }
    }

    #[test]
    fn each_text_is_told_once_and_names_a_subscription_where_it_is_the_only_one() {
        let plain = profile::built_in("plain").unwrap();
        let stable = Profile {
            name: "stable".to_owned(),
            body: Mode::JsStableJson,
            ..plain.clone()
        };
        let (a, b, c) = (Id::from_number(1), Id::from_number(2), Id::from_number(3));
        let big = event(format!(
            "[9007199254740993,\"{}\"]",
            "x".repeat(BODY_BYTES_WARNED)
        ));
        let told = warned(&big, [(a, plain), (b, &stable), (c, plain)]);
        let [size, number] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(size.subscription, None);
        assert!(size.detail.contains("100 kB"), "{}", size.detail);
        assert_eq!(number.subscription, Some(b));
        assert!(number.detail.contains("`/0`"), "{}", number.detail);
        assert_eq!(warned(&big, [(a, plain)])[0].subscription, Some(a));
        assert_eq!(warned(&big, [(b, &stable), (c, &stable)])[1].subscription, None);
        assert_eq!(warned(&event("[1]".to_owned()), [(a, plain), (b, &stable)]), []);
        assert_eq!(warned(&big, []), []);
    }
}
