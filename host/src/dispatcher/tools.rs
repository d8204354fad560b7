//! What seeing a row through takes, and who stops subscriptions on the dispatcher's word.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::endpoints::Endpoints;
use super::loader::Loader;
use super::stalled::Stalled;
use super::tell::Told;
use crate::activity::Feed;
use crate::clock::Clock;
use crate::egress::Egress;
use crate::id::Generator;
use crate::ingest::Ingest;
use crate::meter::Meters;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::render::Renderer;
use crate::retry::Schedule;
use crate::sentinel::Gauges;
use crate::store::Store;
use crate::subscription::Subscription;
use crate::time::Timestamp;

/// Wait before a row of a subscription is tried again that could not be stopped.
pub(super) const STOP_RETRY: Duration = Duration::from_secs(5);

/// Why the router stops a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It may be resumed: the endpoint is at fault for now.
    Hold {
        /// When one delivery tries whether it can go on; only a person ends the hold where there is none.
        probe_at: Option<Timestamp>,
    },
    /// It may be resumed: a plugin cannot work with its configuration.
    HoldForPlugin {
        /// Which.
        plugin: String,
    },
    /// The endpoint is gone, or too much of what was sent there failed.
    Disable,
}

/// What became of the wish to stop a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It is stopped.
    Done,
    /// Nothing was done: it is gone, disabled, or has another version by now than the one that went wrong.
    MovedOn,
    /// It could not be written.
    Unwritten,
}

impl Stopped {
    /// When what could not go on is due again: it waits in its lane, or, where nothing could be written, a
    /// little.
    pub(super) fn due_at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Done | Self::MovedOn => now,
            Self::Unwritten => now.plus(STOP_RETRY),
        }
    }
}

/// Stops subscriptions on the dispatcher's word.
pub trait Steward: Send + Sync + 'static {
    /// Stops one, durably, if it still has the version that went wrong. `hops` are those of the event whose
    /// delivery it follows from: what is told of it must come to an end.
    fn stop<'a>(
        &'a self,
        subscription: &'a Subscription,
        how: Stop,
        reason: String,
        hops: u8,
    ) -> BoxFuture<'a, Stopped>;

    /// Lets one go on, durably, if it still has the version that was tried. False where it could not be.
    fn resume<'a>(&'a self, subscription: &'a Subscription, hops: u8) -> BoxFuture<'a, bool>;
}

/// Everything that seeing a row through takes.
pub struct Tools {
    /// History and ledger.
    pub store: Arc<dyn Store>,
    /// Reads payloads that were not handed over.
    pub loader: Loader,
    /// The subscriptions.
    pub registry: Arc<Registry>,
    /// Runs plugins.
    pub renderer: Renderer,
    /// Sends requests.
    pub egress: Egress,
    /// Where emitted events enter.
    pub ingest: Arc<Ingest>,
    /// Makes ids.
    pub ids: Arc<Generator>,
    /// Tells the time.
    pub clock: Clock,
    /// Hears what happens.
    pub feed: Feed,
    /// What it heard of ends, so that it hears none twice.
    pub told: Told,
    /// Counts attempts.
    pub meters: Arc<Meters>,
    /// Counts everything, and how long it took.
    pub metrics: Arc<Metrics>,
    /// Counts them for alerts.
    pub gauges: Arc<Gauges>,
    /// Stops subscriptions.
    pub steward: Arc<dyn Steward>,
    /// Requests in flight for a subscription about which nothing is said.
    pub in_flight: NonZeroU16,
    /// Outcomes that wait to be recorded.
    pub stalled: Stalled,
    /// Endpoints, prepared once.
    pub endpoints: Endpoints,
    /// In place of what subscriptions and profiles say, if the operator said so.
    pub schedule: Option<Schedule>,
    /// The longest that anything but a schedule may ask a row to wait.
    pub wait_max: Duration,
}
