//! The doctor: looks at a router from every side and says what is not well, and what to do about it.
//!
//! Two ways in. A router that serves looks at itself ([`Doctor`]): nobody opens the database beside it. Of
//! one that is stopped the data directory is looked at ([`stopped`]), under its lock. Both give the same
//! [`Checkup`]. Nothing is changed by looking, and nothing leaves the machine, unless somebody asks for the
//! names of endpoints to be looked up.

mod machine;
mod names;
mod settings;
pub mod stopped;
mod traffic;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::checkup::stride::{Place, Stride};
use crate::checkup::{Check, Checkup, Seen};
use crate::clock::Clock;
use crate::config::Config;
use crate::digest::Digest;
use crate::dispatcher::Dispatcher;
use crate::egress::Policy;
use crate::id::TenantId;
use crate::registry::Registry;
use crate::store::{self, Store};

/// Plugins that are tried: loading one that is not in the cache compiles it.
const PLUGINS_MAX: usize = 100;
/// Names of things that a line shows; the others are counted.
const SHOWN_MAX: usize = 5;
/// Longest wait for the dispatcher to say what waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the names of endpoints are looked up: that asks other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// They are.
    LookedUp,
    /// They are left alone.
    LeftAlone,
}

/// What a doctor looks at; handed over by the wiring.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The subscriptions.
    pub registry: Arc<Registry>,
    /// The plugins.
    pub catalogue: Arc<Catalogue>,
    /// Knows what waits.
    pub dispatcher: Dispatcher,
    /// Which addresses may be reached.
    pub policy: Policy,
    /// Tells the time.
    pub clock: Clock,
    /// How the router was started.
    pub config: Config,
}

/// Looks at the router that it belongs to.
pub struct Doctor {
    parts: Parts,
}

impl Doctor {
    /// A doctor of these parts.
    pub const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Looks at everything that can be seen in a moment.
    pub async fn checkup(&self, names: Names) -> store::Result<Checkup> {
        let Parts {
            store,
            registry,
            dispatcher,
            policy,
            clock,
            config,
            ..
        } = &self.parts;
        let mut checks = store.checks(clock.now()).await?;
        checks.extend(machine::checks(config));
        checks.push(self.plugins().await);
        let routes: Vec<_> = registry.snapshot().table.routes().cloned().collect();
        let subscriptions: Vec<_> = routes
            .iter()
            .map(|route| Arc::clone(route.subscription()))
            .collect();
        checks.push(traffic::subscriptions(&subscriptions));
        let waits = tokio::time::timeout(PATIENCE, dispatcher.waits()).await;
        let waits = waits.map_err(|_| "the dispatcher has no time to say what waits");
        let pending = store.counters(None).await?.pending;
        checks.push(traffic::lag(waits, pending, clock.now(), config.alerts.retry_lag));
        checks.extend(settings::checks(config));
        checks.push(match names {
            Names::LookedUp => names::check(policy, &subscriptions).await,
            Names::LeftAlone => Check::skipped("dns", "not looked up; --dns does"),
        });
        Ok(report(Seen::Serving, config, checks))
    }

    /// One stride through everything that is stored.
    pub async fn recount(&self, from: Place) -> store::Result<Stride> {
        self.parts.store.recount(from).await
    }

    /// Whether every plugin that is used, or could be by its name, loads.
    async fn plugins(&self) -> Check {
        let Parts {
            registry, catalogue, ..
        } = &self.parts;
        let mut wanted: BTreeSet<(TenantId, String, Option<Digest>)> = BTreeSet::new();
        for route in registry.snapshot().table.routes() {
            let subscription = route.subscription();
            for step in &subscription.plugins {
                wanted.insert((subscription.tenant, step.name.clone(), step.digest));
            }
        }
        let used = wanted.len();
        match self.parts.store.plugins().await {
            Ok(versions) => {
                let current = versions.into_iter().filter(|version| version.current);
                wanted.extend(current.map(|version| (version.tenant, version.name, None)));
            }
            Err(error) => return Check::fail("plugins", told(&error), "see the check of the database"),
        }
        let own = catalogue.all_first_party().iter();
        wanted.extend(own.map(|own| (store::DEFAULT_TENANT, own.name.to_owned(), Some(own.digest))));
        let (all, mut faults) = (wanted.len(), Vec::new());
        for (tenant, name, digest) in wanted.into_iter().take(PLUGINS_MAX) {
            if let Err(error) = catalogue.resolve(tenant, &name, digest).await {
                faults.push(format!("{name}: {}", told(&error)));
            }
        }
        if !faults.is_empty() {
            return Check::fail(
                "plugins",
                listed(&faults),
                "where compiling took too long, look again on a quieter machine or raise plugins.compile_wall_ms; \
                 else upload a version that loads (`hookway plugin push`). Deliveries that need it wait or fail",
            );
        }
        let left = all.saturating_sub(PLUGINS_MAX);
        let left = match left {
            0 => String::new(),
            left => format!("; {left} more were not tried"),
        };
        let tried = all.min(PLUGINS_MAX);
        Check::ok(
            "plugins",
            format!("{tried} load, {used} used by subscriptions{left}"),
        )
    }
}

fn report(seen: Seen, config: &Config, checks: Vec<Check>) -> Checkup {
    Checkup {
        seen,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data_dir: config.data_dir.display().to_string(),
        checks,
    }
}

/// An error with its causes, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str(&format!(": {line}"));
        }
        cause = error.source();
    }
    text
}

/// The first of many, and how many more there are.
fn listed(all: &[String]) -> String {
    let shown = all.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
