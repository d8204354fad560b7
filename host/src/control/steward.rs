//! Stopping a subscription on the dispatcher's word: its endpoint is gone, or its configuration or its
//! endpoint is at fault for now.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Control;
use crate::activity::{Activity, Feed, What};
use crate::clock::Clock;
use crate::dispatcher::{Steward, Stop};
use crate::own_event::OwnEvent;
use crate::sentinel::Gauges;
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

impl Steward for Keeper {
    fn stop<'a>(&'a self, subscription: &'a Subscription, how: Stop, reason: String) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let id = subscription.id;
            let since = self.clock.now();
            let status = match &how {
                Stop::Hold | Stop::HoldForPlugin { .. } => Status::Held {
                    since,
                    reason: reason.clone(),
                },
                Stop::Disable => Status::Disabled {
                    since,
                    reason: reason.clone(),
                },
            };
            match self.control.stop(id, subscription.version, status).await {
                Ok(Some(stopped)) => {
                    self.gauges.stop(id);
                    if let Stop::HoldForPlugin { plugin } = &how {
                        let own = OwnEvent::plugin_held(&stopped, plugin, &reason);
                        self.control.announce(stopped.tenant, own).await;
                    }
                    // The reason may be a plugin's words, which are for the subscription's owner, not the log.
                    tracing::warn!(subscription.id = %id, "the router stopped a subscription");
                    let what = What::Stopped {
                        subscription_id: id,
                        reason,
                    };
                    self.feed.tell(|| Activity {
                        time: since,
                        tenant: stopped.tenant,
                        what,
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        subscription.id = %id,
                        "a subscription that should stop could not be stopped"
                    );
                    return false;
                }
            }
            true
        })
    }
}
