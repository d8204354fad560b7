//! Alerts: which condition of the router its operator should hear of, and when it begins and ends.
//!
//! A [`Condition`] is measured now and then; [`Limits::judge`] says what a measurement means, and
//! [`Episodes`] makes of many measurements one begin and one end. An alert begins with the first bad reading
//! and is over only after nothing but good ones for a while; good is clearly better than not quite bad
//! ([`GOOD_PERCENT`]), so that a value that swings about its limit is one alert and not twenty.
//!
//! Pure: who measures, keeps episodes over a restart and tells of them is the sentinel.

mod window;

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::id::{SubscriptionId, TenantId};
use crate::own_event::{self, OwnEvent};
use crate::time::Timestamp;

pub use window::{Counts, WINDOW, Window};

/// A value is good again at this much of its limit, in percent.
pub const GOOD_PERCENT: u64 = 80;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Attempts of a subscription fail.
    ErrorRate,
    /// What is due waits.
    RetryLag,
    /// Producers of a tenant repeat events.
    Duplicates,
    /// The router stopped a subscription.
    SubscriptionDisabled,
    /// There is hardly any room on the disk.
    DiskSpace,
}

impl Condition {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::ErrorRate,
        Self::RetryLag,
        Self::Duplicates,
        Self::SubscriptionDisabled,
        Self::DiskSpace,
    ];

    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::RetryLag => "retry_lag",
            Self::Duplicates => "duplicates",
            Self::SubscriptionDisabled => "subscription_disabled",
            Self::DiskSpace => "disk_space",
        }
    }

    /// The condition of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.as_str() == word)
    }

    /// The types of the events that tell of its begin and of its end.
    pub const fn event_types(self) -> (&'static str, &'static str) {
        match self {
            Self::ErrorRate => (own_event::ALERT_ERROR_RATE, own_event::ALERT_ERROR_RATE_OVER),
            Self::RetryLag => (own_event::ALERT_RETRY_LAG, own_event::ALERT_RETRY_LAG_OVER),
            Self::Duplicates => (own_event::ALERT_DUPLICATES, own_event::ALERT_DUPLICATES_OVER),
            Self::SubscriptionDisabled => (
                own_event::ALERT_SUBSCRIPTION_DISABLED,
                own_event::ALERT_SUBSCRIPTION_DISABLED_OVER,
            ),
            Self::DiskSpace => (own_event::ALERT_DISK_SPACE, own_event::ALERT_DISK_SPACE_OVER),
        }
    }
}

/// What an alert is about. There is at most one alert about the same at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct About {
    /// Who hears of it.
    pub tenant: TenantId,
    /// What is wrong.
    pub condition: Condition,
    /// With which subscription; none where it is about the tenant or the router.
    pub subscription: Option<SubscriptionId>,
}

/// An alert that was raised and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// What it is about.
    pub about: About,
    /// Since when.
    pub since: Timestamp,
}

/// From where on something is wrong. 0 switches a condition off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed attempts of a subscription within [`WINDOW`], in percent of all.
    pub error_rate_percent: u32,
    /// Fewer attempts say nothing.
    pub error_rate_attempts_min: u32,
    /// How long something that is due waits.
    pub retry_lag: Duration,
    /// Repeated events of a tenant within [`WINDOW`], in percent of all.
    pub duplicates_percent: u32,
    /// Fewer events say nothing.
    pub duplicates_events_min: u32,
    /// Whether it is told where the router stops a subscription.
    pub subscription_disabled: bool,
    /// An alert is over after so long without a bad reading.
    pub calm: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Attempts of a subscription, and those of them that failed.
    Attempts(Counts),
    /// How long the oldest thing that is due waits.
    Lag(Duration),
    /// Events of a tenant, and those of them that were repetitions.
    Events(Counts),
    /// Whether a subscription is stopped.
    Stopped(bool),
    /// Room on the disk. Whether it is too little was decided by who keeps events out for it.
    Room {
        /// Whether events are refused for it.
        low: bool,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are to stay free.
        mark: u64,
    },
}

/// What a measurement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// An alert begins with it, and goes on.
    Bad,
    /// Neither begins an alert nor ends one.
    Between,
    /// An alert may end.
    Good,
}

impl Limits {
    /// What a measurement means. One whose condition is switched off is good, so that an alert of before
    /// ends.
    pub fn judge(&self, measured: Measured) -> Reading {
        match measured {
            Measured::Attempts(counts) => {
                share(counts, self.error_rate_percent, self.error_rate_attempts_min)
            }
            Measured::Events(counts) => share(counts, self.duplicates_percent, self.duplicates_events_min),
            Measured::Lag(lag) => {
                let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                level(millis(lag), millis(self.retry_lag))
            }
            Measured::Stopped(true) if self.subscription_disabled => Reading::Bad,
            Measured::Room { low: true, .. } => Reading::Bad,
            Measured::Stopped(_) | Measured::Room { .. } => Reading::Good,
        }
    }
}

fn share(counts: Counts, percent: u32, all_min: u32) -> Reading {
    if counts.all < all_min.max(1) {
        return Reading::Good;
    }
    // In hundredths of a percent of all, so that nothing is rounded away.
    level(
        u64::from(counts.bad) * 100 * 100,
        u64::from(percent) * 100 * u64::from(counts.all),
    )
}

/// A value against the limit from which on it is bad; 0 for none.
fn level(value: u64, limit: u64) -> Reading {
    if limit == 0 || value.saturating_mul(100) <= limit.saturating_mul(GOOD_PERCENT) {
        Reading::Good
    } else if value < limit {
        Reading::Between
    } else {
        Reading::Bad
    }
}

/// A begin or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// An alert is to be raised.
    Begins(Episode),
    /// It is over.
    Ends(Episode),
}

/// The alerts that are not over.
#[derive(Clone, Debug, Default)]
pub struct Episodes(HashMap<About, Going>);

#[derive(Clone, Copy, Debug)]
struct Going {
    since: Timestamp,
    /// Since when every reading was good; none where the last one was not.
    good_since: Option<Timestamp>,
}

impl Episodes {
    /// Those that were going on when the router ended. Their calm begins anew: nobody knows what was
    /// meanwhile.
    pub fn resumed(episodes: impl IntoIterator<Item = Episode>) -> Self {
        let going = |episode: Episode| {
            let going = Going {
                since: episode.since,
                good_since: None,
            };
            (episode.about, going)
        };
        Self(episodes.into_iter().map(going).collect())
    }

    /// What those that go on are about, in order.
    pub fn going_on(&self) -> Vec<About> {
        let mut all: Vec<About> = self.0.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// What follows from a reading. Nothing has changed before [`Episodes::take`] is told so.
    pub fn turn(&mut self, about: About, reading: Reading, calm: Duration, now: Timestamp) -> Option<Turn> {
        let Some(going) = self.0.get_mut(&about) else {
            let begins = Turn::Begins(Episode { about, since: now });
            return (reading == Reading::Bad).then_some(begins);
        };
        let since = going.since;
        if reading != Reading::Good {
            going.good_since = None;
            return None;
        }
        // A clock that was set back begins the calm anew.
        let good_since = going.good_since.filter(|at| *at <= now).unwrap_or(now);
        going.good_since = Some(good_since);
        (now.since(good_since) >= calm).then_some(Turn::Ends(Episode { about, since }))
    }

    /// Takes note of a turn that was told.
    pub fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Begins(Episode { about, since }) => {
                let going = Going {
                    since,
                    good_since: None,
                };
                self.0.insert(about, going);
            }
            Turn::Ends(Episode { about, .. }) => {
                self.0.remove(&about);
            }
        }
    }
}

/// What is told of an alert. Members that say nothing about the condition are left out.
#[derive(Clone, Debug, Default, Serialize)]
struct Data<'a> {
    alert: &'static str,
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    over_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<SubscriptionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    free_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    free_min_bytes: Option<u64>,
}

/// What is known of the subscription that an alert is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// Its id, where the alert itself is about none: whose delivery waits longest, if it is the tenant's own.
    pub id: Option<SubscriptionId>,
    /// Its name.
    pub name: Option<&'a str>,
    /// Why it is stopped, if it is.
    pub reason: Option<&'a str>,
}

/// The event that tells of a turn. An alert without a subscription has the tenant as its subject.
pub fn told(turn: Turn, measured: Measured, subject: Subject<'_>, now: Timestamp) -> OwnEvent {
    let (episode, over_at) = match turn {
        Turn::Begins(episode) => (episode, None),
        Turn::Ends(episode) => (episode, Some(now)),
    };
    let About {
        tenant,
        condition,
        subscription,
    } = episode.about;
    let mut data = Data {
        alert: condition.as_str(),
        since: episode.since,
        over_at,
        subscription_id: subscription.or(subject.id),
        subscription_name: subject.name,
        ..Data::default()
    };
    match measured {
        Measured::Attempts(counts) => {
            data.window_seconds = Some(WINDOW.as_secs());
            (data.attempts, data.failed) = (Some(counts.all), Some(counts.bad));
        }
        Measured::Events(counts) => {
            data.window_seconds = Some(WINDOW.as_secs());
            (data.events, data.duplicates) = (Some(counts.all), Some(counts.bad));
        }
        Measured::Lag(lag) => data.lag_seconds = Some(lag.as_secs()),
        Measured::Stopped(_) => data.reason = subject.reason,
        Measured::Room { free, mark, .. } => {
            (data.free_bytes, data.free_min_bytes) = (Some(free), Some(mark));
        }
    }
    let (begins, ends) = condition.event_types();
    let event_type = if over_at.is_some() { ends } else { begins };
    let about = subscription.map_or_else(|| tenant.to_string(), |id| id.to_string());
    OwnEvent::new(event_type, about, &data)
}

#[cfg(test)]
mod tests;
