//! The workbench as commands use it: with this machine's configuration, and failures for people.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::plugins::run::RunResult;
use crate::cli::temporary::TemporaryDirectory;
use crate::cli::{Context, Failure};
use crate::event::Event;
use crate::plugin::{ConfigError, Plugin, PluginLimits};
use crate::router;
use crate::workbench::{Options, Workbench};

/// The outcome of a trial that did not come to a run: the plugin does not take the configuration.
pub(super) const REFUSED: &str = "refused_config";

/// A runtime for one command.
pub(super) struct Bench {
    // In this order: the runtime ends before its directory goes.
    workbench: Workbench,
    _directory: TemporaryDirectory,
    /// The limits that a router with this configuration has.
    pub(super) limits: PluginLimits,
}

impl Bench {
    /// Starts one.
    pub(super) fn open(context: &Context) -> Result<Self, Failure> {
        let config = context.load(Vec::new())?.config;
        let directory = TemporaryDirectory::make("plugins")?;
        let started = |error| Failure::because("the plugin runtime does not start", error);
        let workbench = Workbench::open(Options {
            limits: config.plugins.clone(),
            directory: directory.path().join("compiled"),
            compiler: router::compiler(&config)
                .map_err(|error| Failure::because("plugins cannot be compiled", error))?,
        });
        Ok(Self {
            workbench: workbench.map_err(started)?,
            _directory: directory,
            limits: config.plugins,
        })
    }

    /// Makes a plugin of a component. `what` is what the caller called it.
    pub(super) async fn load(&self, what: &str, component: Bytes) -> Result<Arc<Plugin>, Failure> {
        let loaded = self.workbench.load(component).await;
        loaded.map_err(|error| Failure::because(format!("{what} is no plugin for this router"), error))
    }

    /// Runs a plugin on an event: the record that a router would give. A configuration that the plugin
    /// does not take is an outcome too ([`REFUSED`]), with its problems.
    pub(super) async fn run(
        &self,
        plugin: &Arc<Plugin>,
        config: &str,
        event: &Arc<Event>,
    ) -> Result<Value, Failure> {
        match self.workbench.run(plugin, config, Arc::clone(event)).await {
            Ok(run) => serde_json::to_value(RunResult::new(plugin, run))
                .map_err(|error| Failure::because("the run cannot be shown", error)),
            Err(ConfigError::Problems(problems)) => Ok(json!({
                "digest": plugin.digest(),
                "outcome": REFUSED,
                "problems": problems,
            })),
            Err(error @ ConfigError::Fault(_)) => Err(Failure::because(
                format!("{} failed", plugin.manifest().name),
                error,
            )),
        }
    }
}
