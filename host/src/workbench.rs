//! Plugins tried without a router: what `hookway plugin test`, `run` and `inspect` stand on, and how the
//! router tries one when it is asked to.
//!
//! It is the runtime that serves, with its checks and its limits; only nothing is stored and nothing is
//! sent. An event is checked as the way in checks it, and a run belongs to no subscription: a fresh
//! instance that is gone after it. The caller gives the directory for compiled plugins and removes it;
//! the key that authenticates them is made here and lives as long as the bench.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::{Draft, Event};
use crate::id::{DeliveryId, Generator, SubscriptionId, TenantId};
use crate::ingest::{self, DraftFault};
use crate::plugin::{
    Compiler, ConfigError, InstanceKey, LoadError, Plugin, PluginLimits, Run, RunCall, Runtime,
    RuntimeOptions, StartError,
};
use crate::subscription::Isolation;
use crate::time::Timestamp;

/// The tenant of what is tried without a router.
const TENANT: &str = "default";

/// A runtime of its own, for as long as it is wanted.
pub struct Workbench {
    runtime: Runtime,
}

/// What it is opened with.
pub struct Options {
    /// The limits that a router would have.
    pub limits: PluginLimits,
    /// An empty directory for compiled plugins.
    pub directory: PathBuf,
    /// Who compiles.
    pub compiler: Compiler,
}

impl Workbench {
    /// Starts the runtime.
    pub fn open(options: Options) -> Result<Self, StartError> {
        let runtime = Runtime::start(RuntimeOptions {
            limits: options.limits,
            artefact_dir: options.directory,
            artefact_key: rand::random(),
            compiler: options.compiler,
        })?;
        Ok(Self { runtime })
    }

    /// Makes a plugin of a component, as an upload does.
    pub async fn load(&self, component: Bytes) -> Result<Arc<Plugin>, LoadError> {
        self.runtime.load(component).await
    }

    /// Runs a plugin on an event, after its configuration was checked as on saving a subscription. The
    /// same event gives the same ids, so that what a plugin makes of them can be compared.
    pub async fn run(
        &self,
        plugin: &Arc<Plugin>,
        config: &str,
        event: Arc<Event>,
    ) -> Result<Run, ConfigError> {
        self.runtime.check_config(plugin, config.as_bytes()).await?;
        let id = event.id;
        let call = alone(
            plugin,
            config,
            event,
            TENANT.to_owned(),
            id.same_number(),
            id.same_number(),
        );
        Ok(self.runtime.run(call).await)
    }
}

/// An event of a draft, checked as on its way in; `now` is when it came.
pub fn event(draft: Draft, now: Timestamp) -> Result<Arc<Event>, Vec<DraftFault>> {
    let id = Generator::new(0).next(now);
    ingest::event_of(draft, TenantId::from_number(1), id, now).map(Arc::new)
}

/// A run for nobody: on a fresh instance that is gone after it.
pub fn alone(
    plugin: &Arc<Plugin>,
    config: &str,
    event: Arc<Event>,
    tenant: String,
    subscription: SubscriptionId,
    delivery: DeliveryId,
) -> RunCall {
    RunCall {
        plugin: Arc::clone(plugin),
        key: InstanceKey {
            subscription,
            step: 0,
            version: 0,
        },
        config: config.as_bytes().into(),
        isolation: Isolation::Event,
        data: event.data.clone(),
        content_type: event.content_type.clone(),
        tenant,
        subscription_key: None,
        delivery,
        run_number: 1,
        event,
    }
}

#[cfg(test)]
mod tests;
