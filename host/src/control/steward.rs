//! Stopping a subscription on the dispatcher's word, and letting it go on: its endpoint is gone, or its
//! configuration or its endpoint is at fault for now, or too many of its deliveries failed.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Control;
use crate::activity::{Activity, Feed, What};
use crate::clock::Clock;
use crate::dispatcher::{Steward, Stop, Stopped, disabled_by};
use crate::own_event::OwnEvent;
use crate::sentinel::Gauges;
use crate::store;
use crate::subscription::{Status, Subscription};

/// Stops subscriptions, and tells who is watching.
pub struct Keeper {
    /// Writes the new status.
    pub control: Arc<Control>,
    /// Tells the time.
    pub clock: Clock,
    /// Hears of it.
    pub feed: Feed,
    /// Counts it.
    pub gauges: Arc<Gauges>,
}

impl Keeper {
    /// Disables what should be disabled by its rule and is not, because the router ended between the
    /// last failure and its consequence. Called before anything is sent.
    pub async fn catch_up(&self) -> store::Result<()> {
        let parts = &self.control.parts;
        for (id, row) in parts.store.failing().await? {
            let route = parts.registry.route(id);
            let Some(route) = route.filter(|route| route.subscription().status.is_enabled()) else {
                continue;
            };
            if let Some(reason) = disabled_by(&route, row) {
                // It follows from no event of now.
                self.stop(route.subscription(), Stop::Disable, reason, 0).await;
            }
        }
        Ok(())
    }
}

impl Steward for Keeper {
    fn stop<'a>(
        &'a self,
        subscription: &'a Subscription,
        how: Stop,
        reason: String,
        hops: u8,
    ) -> BoxFuture<'a, Stopped> {
        Box::pin(async move {
            let id = subscription.id;
            let now = self.clock.now();
            // One that tried and cannot go on is held since the first time, and who watches knows it.
            let (since, is_news) = match &subscription.status {
                Status::Held { since, .. } if how != Stop::Disable => (*since, false),
                _ => (now, true),
            };
            let probe_at = match &how {
                Stop::Hold { probe_at } => *probe_at,
                Stop::HoldForPlugin { .. } | Stop::Disable => None,
            };
            let status = match &how {
                Stop::Hold { .. } | Stop::HoldForPlugin { .. } => Status::Held {
                    since,
                    reason: reason.clone(),
                    probe_at,
                },
                Stop::Disable => Status::Disabled {
                    since,
                    reason: reason.clone(),
                },
            };
            match self.control.stop(id, subscription.version, status, hops).await {
                Ok(None) => return Stopped::MovedOn,
                Ok(Some(stopped)) if is_news => {
                    self.gauges.stop(id);
                    if let Stop::HoldForPlugin { plugin } = &how {
                        let own = OwnEvent::plugin_held(&stopped, plugin, &reason).after(hops);
                        self.control.announce(stopped.tenant, own).await;
                    }
                    // The reason may be a plugin's words, which are for the subscription's owner, not the
                    // log.
                    tracing::warn!(subscription.id = %id, "the router stopped a subscription");
                    let what = What::Stopped {
                        subscription_id: id,
                        reason,
                    };
                    self.feed.tell(|| Activity {
                        time: now,
                        tenant: stopped.tenant,
                        what,
                    });
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        subscription.id = %id,
                        "a subscription that should stop could not be stopped"
                    );
                    return Stopped::Unwritten;
                }
            }
            Stopped::Done
        })
    }

    fn resume<'a>(&'a self, subscription: &'a Subscription, hops: u8) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let id = subscription.id;
            match self.control.resume(id, subscription.version, hops).await {
                Ok(Some(_)) => {
                    tracing::info!(subscription.id = %id, "a subscription that was held goes on");
                    true
                }
                Ok(None) => true,
                Err(error) => {
                    // It stays open for one request at a time, and the next one decides anew.
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        subscription.id = %id,
                        "a subscription that should go on could not be enabled"
                    );
                    false
                }
            }
        })
    }
}
