//! One test event, really rendered, really signed and really sent, of which nothing is kept: no event is
//! accepted, no delivery is made, no plugin's instance stays.
//!
//! It goes the way of a delivery ([`crate::render`], [`crate::outbound`], [`crate::egress`] with its guard),
//! but once and at once, and with the header `Hookway-Test: true`, which says of the request what no body
//! can. What came back is judged by the profile and looked through for the usual faults
//! ([`crate::diagnosis`]). Since it makes the router send requests to wherever the caller says, a tenant
//! may do it only so often.

mod allowance;
mod sample;
mod send;

use std::sync::Arc;

use bytes::Bytes;

pub use allowance::{AT_ONCE_MAX, BURST, PER_MINUTE, TENANT_AT_ONCE_MAX};
pub use sample::{From as SampleFrom, GENERIC_TYPE};
pub use send::{Exchange, TEST_HEADER, TIMEOUT_MAX};

use self::allowance::Allowance;
use crate::clock::Clock;
use crate::control::set::Set;
use crate::control::subscriptions::{Draft, Wish};
use crate::control::{self, Control};
use crate::delivery::PluginRun;
use crate::diagnosis::Finding;
use crate::egress::Egress;
use crate::event::{self, Event};
use crate::id::{Generator, TenantId};
use crate::ingest;
use crate::json::Faults;
use crate::render::{Rendered, Renderer, Rendering};
use crate::routing::Route;
use crate::secret::Secret;
use crate::subscription::{Isolation, Subscription};
use crate::time::Timestamp;

/// Where test events say that they come from.
const SOURCE: &str = "hookway-test";
/// Plugins run once.
const FIRST_RUN: u16 = 1;

/// Tries subscriptions.
pub struct Trial {
    control: Arc<Control>,
    renderer: Renderer,
    egress: Egress,
    ids: Arc<Generator>,
    clock: Clock,
    allowance: Allowance,
}

/// The event to try with.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its type; one that the subscription takes where none is given.
    pub event_type: Option<String>,
    /// Its payload, JSON; a sample where none is given.
    pub data: Option<Bytes>,
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many tests.
    #[error("more tests than are allowed")]
    Often {
        /// When there is room again.
        until: Timestamp,
    },
    /// Too many tests of the tenant are under way.
    #[error("more tests of the tenant are under way than are allowed")]
    TenantBusy {
        /// When to come again.
        until: Timestamp,
    },
    /// Too many tests of all tenants are under way.
    #[error("more tests are under way than are allowed")]
    RouterBusy {
        /// When to come again.
        until: Timestamp,
    },
    /// The subscription is not there, or not one that could be made.
    #[error("the subscription cannot be tried")]
    Control(#[from] control::Error),
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Self::Control(faults.into())
    }
}

/// What became of a test.
pub struct Tried {
    /// The subscription as it was tried.
    pub subscription: Arc<Subscription>,
    /// The signing secret, if it was made for this.
    pub generated: Option<Secret>,
    /// The event.
    pub event: Arc<Event>,
    /// Where its payload is from.
    pub sample: SampleFrom,
    /// What the plugins did.
    pub runs: Vec<PluginRun>,
    /// What followed.
    pub outcome: Outcome,
}

/// What followed from the plugins, or without any.
pub enum Outcome {
    /// A request was sent, or would have been if it could.
    Sent(Box<Exchange>),
    /// The plugins filtered it.
    Filtered {
        /// Why.
        reason: String,
    },
    /// The plugins gave nothing to send.
    PluginFailed {
        /// What a delivery would do then.
        verdict: &'static str,
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// What is probably wrong.
    pub fn diagnosis(&self) -> &[Finding] {
        match self {
            Self::Sent(exchange) => &exchange.diagnosis,
            Self::Filtered { .. } | Self::PluginFailed { .. } => &[],
        }
    }
}

impl Trial {
    /// A trial over these.
    pub fn new(
        control: Arc<Control>,
        renderer: Renderer,
        egress: Egress,
        ids: Arc<Generator>,
        clock: Clock,
    ) -> Self {
        Self {
            control,
            renderer,
            egress,
            ids,
            clock,
            allowance: Allowance::default(),
        }
    }

    /// Tries a subscription that is not stored, and is not by this.
    pub async fn unsaved(&self, tenant: TenantId, mut wish: Wish, wanted: Wanted) -> Result<Tried, Error> {
        let _one_of_few = self.allowance.take(tenant, self.clock.now())?;
        if matches!(wish.events, Set::Keep | Set::Clear) {
            let named = wanted.event_type.clone();
            wish.events = Set::To(vec![named.unwrap_or_else(|| GENERIC_TYPE.to_owned())]);
        }
        let Draft { route, generated } = self.control.draft_subscription(tenant, wish).await?;
        self.run(&route, generated, wanted).await
    }

    /// Tries a stored subscription as it is now, whatever its status.
    pub async fn stored(&self, tenant: TenantId, id_or_key: &str, wanted: Wanted) -> Result<Tried, Error> {
        let route = self
            .control
            .subscription(tenant, id_or_key)
            .ok_or(control::Error::Missing("subscription"))?;
        let _one_of_few = self.allowance.take(tenant, self.clock.now())?;
        self.run(&route, None, wanted).await
    }

    async fn run(
        &self,
        route: &Arc<Route>,
        generated: Option<Secret>,
        wanted: Wanted,
    ) -> Result<Tried, Error> {
        let route = alone(route);
        let subscription = Arc::clone(route.subscription());
        let types = self.control.event_types(subscription.tenant);
        let names = &route.edition().profile.operational_events;
        let now = self.clock.now();
        let sample = sample::of(&subscription, wanted, &types, names, now);
        let event = match sample.own {
            Some(own) => Arc::new(own.into_event(self.ids.next(now), subscription.tenant, now)),
            None => self.event(&subscription, sample.event_type, sample.data)?,
        };
        let delivery = self.ids.next(self.clock.now());
        let (mut runs, mut made) = (Vec::new(), None);
        let mut ended = None;
        if !subscription.plugins.is_empty() {
            let rendering = self.renderer.render(&route, &event, delivery, FIRST_RUN).await;
            let Rendering {
                runs: ran, result, ..
            } = rendering;
            runs = ran;
            match result {
                Rendered::Requests(requests) => made = Some(requests),
                other => ended = Some(without_request(other)),
            }
        }
        let outcome = match ended {
            Some(outcome) => outcome,
            None => Outcome::Sent(Box::new(self.exchange(&route, &event, delivery, made).await)),
        };
        Ok(Tried {
            subscription,
            generated,
            event,
            sample: sample.from,
            runs,
            outcome,
        })
    }

    fn event(
        &self,
        subscription: &Subscription,
        event_type: String,
        data: Bytes,
    ) -> Result<Arc<Event>, Error> {
        let now = self.clock.now();
        let draft = event::Draft {
            source: Some(SOURCE.to_owned()),
            event_type,
            data,
            ..event::Draft::default()
        };
        let event = ingest::event_of(draft, subscription.tenant, self.ids.next(now), now);
        event.map(Arc::new).map_err(|found| {
            let mut faults = Faults::default();
            for fault in found {
                faults.add("/event_type", fault.detail);
            }
            faults.into()
        })
    }
}

/// The subscription with plugins on instances of their own, which are gone afterwards.
fn alone(route: &Route) -> Arc<Route> {
    let subscription = Subscription {
        isolation: Isolation::Event,
        ..Subscription::clone(route.subscription())
    };
    let (edition, owner) = (Arc::clone(route.edition()), Arc::clone(route.owner()));
    Arc::new(route.with(Arc::new(subscription), edition, owner))
}

fn without_request(rendered: Rendered) -> Outcome {
    let failed = |verdict, reason| Outcome::PluginFailed { verdict, reason };
    match rendered {
        Rendered::Filtered { reason } => Outcome::Filtered { reason },
        Rendered::Failed { reason, .. } => failed("fail", reason),
        Rendered::Again { reason, .. } | Rendered::Unavailable { reason } => failed("retry", reason),
        Rendered::Misconfigured { reason } => failed("hold", reason),
        // Whoever calls has taken these out.
        Rendered::Requests(_) => failed("fail", "the plugins gave no request".to_owned()),
    }
}
