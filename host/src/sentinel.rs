//! The sentinel: looks every [`EVERY`] at how the router does, and tells of trouble by events of its own.
//!
//! What happens on the hot path is only counted ([`Gauges`]); here the counts, the dispatcher's longest wait
//! and the subscriptions that were stopped are measured and given to the pure rules of [`crate::alert`]. A
//! turn is first told as a durable event and then kept in the store, so that a restart raises no alert again;
//! a crash exactly in between tells it twice rather than not at all. What cannot be told now is told in the
//! next round.

mod gauges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use gauges::{Gauges, Tried};

use crate::alert::{self, About, Condition, Counts, Episodes, Limits, Measured, Subject, Turn};
use crate::clock::Clock;
use crate::dispatcher::{Dispatcher, Waits};
use crate::id::TenantId;
use crate::ingest::{self, Ingest};
use crate::registry::Registry;
use crate::space::Space;
use crate::store::{DEFAULT_TENANT, Store};
use crate::time::Timestamp;

/// Time between rounds.
pub const EVERY: Duration = Duration::from_secs(30);

/// What it looks at, and where it tells of it.
pub struct Sentinel {
    /// Keeps what was raised.
    pub store: Arc<dyn Store>,
    /// The subscriptions.
    pub registry: Arc<Registry>,
    /// Where alerts enter as events.
    pub ingest: Arc<Ingest>,
    /// Knows what waits.
    pub dispatcher: Dispatcher,
    /// What was counted.
    pub gauges: Arc<Gauges>,
    /// How much room the disk has.
    pub space: Arc<Space>,
    /// Tells the time.
    pub clock: Clock,
    /// From where on something is wrong.
    pub limits: Limits,
}

/// What one round found out.
struct Round {
    now: Timestamp,
    measured: BTreeMap<About, Measured>,
    waits: Option<Waits>,
}

impl Sentinel {
    /// Runs until it is told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut episodes = None;
        loop {
            let next = self.clock.now().plus(EVERY);
            if episodes.is_none() {
                episodes = self.resumed().await;
            }
            if let Some(episodes) = &mut episodes {
                self.round(episodes).await;
            }
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = self.gauges.something_stopped() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// The alerts that were going on. Without them none is raised, for it might have been before.
    async fn resumed(&self) -> Option<Episodes> {
        match self.store.alerts().await {
            Ok(episodes) => Some(Episodes::resumed(episodes)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the alerts that are going on could not be read");
                None
            }
        }
    }

    async fn round(&self, episodes: &mut Episodes) {
        let round = self.measure(episodes).await;
        for (about, measured) in &round.measured {
            let reading = self.limits.judge(*measured);
            let turn = episodes.turn(*about, reading, self.limits.calm, round.now);
            let Some(turn) = turn else { continue };
            if self.tell(turn, *measured, &round).await {
                episodes.take(turn);
            } else if let (Condition::SubscriptionDisabled, Some(id)) = (about.condition, about.subscription)
            {
                self.gauges.keep_stopped(id);
            }
        }
    }

    /// Everything that can be wrong now, and everything that was: that must come to its end too.
    async fn measure(&self, episodes: &Episodes) -> Round {
        // First of all: one that is stopped during the round is for the next.
        let stopped = self.gauges.take_stopped();
        let waits = self.dispatcher.waits().await;
        let now = self.clock.now();
        let mut measured = BTreeMap::new();
        for about in episodes.going_on() {
            measured.insert(about, self.nothing(about));
        }
        for (subscription, counts) in self.gauges.attempts(now) {
            if let Some(route) = self.registry.route(subscription) {
                let about = About {
                    tenant: route.subscription().tenant,
                    condition: Condition::ErrorRate,
                    subscription: Some(subscription),
                };
                measured.insert(about, Measured::Attempts(counts));
            }
        }
        for (tenant, counts) in self.gauges.events(now) {
            let about = About {
                tenant,
                condition: Condition::Duplicates,
                subscription: None,
            };
            measured.insert(about, Measured::Events(counts));
        }
        for subscription in stopped {
            let Some(route) = self.registry.route(subscription) else {
                continue;
            };
            let about = About {
                tenant: route.subscription().tenant,
                condition: Condition::SubscriptionDisabled,
                subscription: Some(subscription),
            };
            measured.insert(about, self.nothing(about));
        }
        let waited = waits.map_or(Duration::ZERO, |waits| now.since(waits.since));
        for tenant in self.hear_of_lag(waits, episodes) {
            let lag = About {
                tenant,
                condition: Condition::RetryLag,
                subscription: None,
            };
            measured.insert(lag, Measured::Lag(waited));
        }
        let room = About {
            tenant: DEFAULT_TENANT,
            condition: Condition::DiskSpace,
            subscription: None,
        };
        measured.insert(room, self.nothing(room));
        Round { now, measured, waits }
    }

    /// Who hears of lag: whoever runs the router, who has the tenant that every router has; whose delivery
    /// waits longest; and who has heard of it, until it is over for the router. Another tenant's shorter wait
    /// is not known.
    fn hear_of_lag(&self, waits: Option<Waits>, episodes: &Episodes) -> BTreeSet<TenantId> {
        let going_on = episodes.going_on().into_iter();
        let heard = going_on.filter(|about| about.condition == Condition::RetryLag);
        let mut tenants: BTreeSet<TenantId> = heard.map(|about| about.tenant).collect();
        tenants.insert(DEFAULT_TENANT);
        let longest = waits.and_then(|waits| self.registry.route(waits.subscription));
        tenants.extend(longest.map(|route| route.subscription().tenant));
        tenants
    }

    /// What is measured where nothing was counted.
    fn nothing(&self, about: About) -> Measured {
        match about.condition {
            Condition::ErrorRate => Measured::Attempts(Counts::default()),
            Condition::Duplicates => Measured::Events(Counts::default()),
            Condition::RetryLag => Measured::Lag(Duration::ZERO),
            Condition::DiskSpace => {
                let seen = self.space.now();
                Measured::Room {
                    low: self.space.is_low(),
                    free: seen.free,
                    mark: seen.mark,
                }
            }
            Condition::SubscriptionDisabled => {
                let route = about.subscription.and_then(|id| self.registry.route(id));
                Measured::Stopped(route.is_some_and(|route| !route.subscription().status.is_enabled()))
            }
        }
    }

    /// Tells of a turn, and keeps it. False where it could not be told.
    async fn tell(&self, turn: Turn, measured: Measured, round: &Round) -> bool {
        let (Turn::Begins(episode) | Turn::Ends(episode)) = turn;
        let about = episode.about;
        let waiting = round.waits.filter(|_| about.condition == Condition::RetryLag);
        let route = about
            .subscription
            .or(waiting.map(|waits| waits.subscription))
            .and_then(|id| self.registry.route(id));
        // No tenant hears of another's subscriptions.
        let subscription = route.as_ref().map(|route| route.subscription());
        let subscription = subscription.filter(|subscription| subscription.tenant == about.tenant);
        let subject = Subject {
            id: subscription.map(|subscription| subscription.id),
            name: subscription.map(|subscription| subscription.name.as_str()),
            reason: subscription.and_then(|subscription| subscription.status.reason()),
        };
        let own = alert::told(turn, measured, subject, round.now);
        let (event_type, subject) = (own.event_type, own.subject.clone());
        if let Err(error) = self.ingest.tell(about.tenant, own).await {
            let error: &ingest::Error = &error;
            tracing::error!(
                error = error as &dyn std::error::Error,
                event_type,
                "an alert could not be told; it is tried again"
            );
            return false;
        }
        let kept = match turn {
            Turn::Begins(episode) => {
                tracing::warn!(alert = about.condition.as_str(), subject, "an alert was raised");
                self.store.raise_alert(episode).await
            }
            Turn::Ends(_) => {
                tracing::info!(alert = about.condition.as_str(), subject, "an alert is over");
                self.store.end_alert(about).await
            }
        };
        if let Err(error) = kept {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "an alert was told but not kept; after a restart it may be told again"
            );
        }
        true
    }
}
