//! Which holds are told: of a subscription whose endpoint swings between off and on one pair in [`QUIET`].
//!
//! A hold and its end are told together or not at all, so that who watches never hears of one without the
//! other. A hold that was not told and lasts is told by the first try after the quiet time. Only holds that
//! the router itself ends are quiet; what a person does is always told, and makes the next hold news.

use std::collections::HashMap;
use std::time::Duration;

use crate::id::SubscriptionId;
use crate::time::Timestamp;

/// How long nothing more is told of holds of a subscription after one was: long enough that subscriptions
/// whose endpoints swing cannot keep one another busy, short enough for whoever waits for the news.
pub(super) const QUIET: Duration = Duration::from_secs(5 * 60);

/// The holds that were told, and the others. At most one of each subscription.
#[derive(Debug, Default)]
pub(super) struct Holds(HashMap<SubscriptionId, Hold>);

#[derive(Clone, Copy, Debug)]
struct Hold {
    /// When the last hold was told.
    told_at: Timestamp,
    /// Whether the one that goes on was.
    told: bool,
}

impl Holds {
    /// The router holds one that was not held. Whether that is to be told.
    pub(super) fn begins(&mut self, id: SubscriptionId, now: Timestamp) -> bool {
        let told = self.0.get(&id).is_none_or(|hold| hold.is_over(now));
        let told_at = self.0.get(&id).filter(|_| !told).map_or(now, |hold| hold.told_at);
        self.0.insert(id, Hold { told_at, told });
        told
    }

    /// One that is held tried and could not go on. Whether its hold is to be told after all.
    pub(super) fn lasts(&mut self, id: SubscriptionId, now: Timestamp) -> bool {
        match self.0.get(&id) {
            Some(hold) if !hold.told => self.begins(id, now),
            // Told already, by this process or the one before.
            _ => false,
        }
    }

    /// The router ends a hold. Whether that is to be told.
    pub(super) fn ends(&self, id: SubscriptionId) -> bool {
        self.0.get(&id).is_none_or(|hold| hold.told)
    }

    /// A person changed its status, or it is gone.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        self.0.remove(&id);
    }
}

impl Hold {
    /// Whether the quiet time is. A clock that was set back ends it.
    fn is_over(self, now: Timestamp) -> bool {
        now < self.told_at || now.since(self.told_at) >= QUIET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_told_once_in_the_quiet_time_and_whole() {
        let (mut holds, id) = (Holds::default(), SubscriptionId::from_number(7));
        let at = |seconds| Timestamp::from_millis(0).plus(Duration::from_secs(seconds));
        assert!(holds.begins(id, at(0)));
        assert!(!holds.lasts(id, at(10)), "it was told");
        assert!(holds.ends(id));
        assert!(!holds.begins(id, at(20)));
        assert!(!holds.ends(id), "its begin was not told");
        assert!(!holds.begins(id, at(299)));
        assert!(!holds.lasts(id, at(299)));
        assert!(holds.lasts(id, at(300)), "told late rather than never");
        assert!(!holds.lasts(id, at(310)));
        assert!(holds.ends(id));
        assert!(!holds.begins(id, at(400)), "the quiet time began anew");
        let other = SubscriptionId::from_number(8);
        assert!(
            holds.ends(other) && holds.begins(other, at(400)),
            "each has its own"
        );
        holds.forget(id);
        assert!(holds.begins(id, at(410)), "a person's word makes it news");
        assert!(holds.begins(id, at(5)), "a clock that was set back");
    }
}
