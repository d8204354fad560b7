//! The verbs on plugins: upload a version, remove a name, try one on an event.
//!
//! A new version takes over for every subscription that names no digest. So each of their
//! configurations is checked against it first; what would break is told and nothing changes, unless
//! the caller insists: then those subscriptions are held, with the reason, until they are changed.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::subscriptions::Mover;
use super::{Control, Error, Result, check};
use crate::catalogue;
use crate::digest::Digest;
use crate::event::Event;
use crate::id::{SubscriptionId, TenantId};
use crate::json::{self, Faults};
use crate::own_event::OwnEvent;
use crate::plugin::{ConfigError, Manifest, Plugin, Run};
use crate::routing::Route;
use crate::store::PluginVersion;
use crate::subscription::{PluginStep, Status};
use crate::workbench;

/// Most versions of one tenant's plugins: each is kept whole.
pub const VERSIONS_MAX: usize = 1_000;
/// Names that are offered where one is not known.
const NAMES_SHOWN: usize = 20;

/// What became of an upload.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The version.
    pub version: PluginVersion,
    /// Whether it is new; else it was the current one before.
    pub new: bool,
    /// Subscriptions that are held now because their configuration does not suit it.
    pub held: Vec<SubscriptionId>,
}

/// A plugin as the catalogue knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The name that subscriptions use.
    pub name: String,
    /// Its versions, newest first; none of a first-party plugin that was never uploaded.
    pub versions: Vec<PluginVersion>,
    /// Today's component.
    pub current: Digest,
    /// Whether a component of this name is in the binary.
    pub first_party: bool,
    /// Subscriptions that use the name, in any version.
    pub used_by: Vec<SubscriptionId>,
}

impl Control {
    /// Adds a version of a plugin and makes it today's.
    pub async fn upload_plugin(
        &self,
        tenant: TenantId,
        name: &str,
        component: Bytes,
        force: bool,
    ) -> Result<Uploaded> {
        let mut faults = Faults::default();
        check::slug(name, "/name", &mut faults);
        faults.or(())?;
        // Before the others wait: compiling takes its time and changes nothing.
        let plugin = match self.parts.runtime.load(component.clone()).await {
            Ok(plugin) => plugin,
            Err(error) if error.is_of_plugin() => return Err(Faults::one("", told(&error)).into()),
            Err(error) => return Err(Error::Plugin(error)),
        };
        let _one_at_a_time = self.changing.lock().await;
        let known = self.parts.catalogue.uploaded(tenant);
        let same = |version: &&PluginVersion| version.name == name && version.digest == plugin.digest();
        if let Some(current) = known.iter().find(|version| same(version) && version.current) {
            return Ok(Uploaded {
                version: current.clone(),
                new: false,
                held: Vec::new(),
            });
        }
        if known.len() >= VERSIONS_MAX {
            let detail = format!("there are {VERSIONS_MAX} versions of plugins, the most that are allowed");
            return Err(Error::conflict(detail));
        }
        let (breaks, broken) = self.broken_by(tenant, name, &plugin).await;
        if !broken.is_empty() && !force {
            let who = match broken.len() {
                1 => "1 subscription has a configuration".to_owned(),
                more => format!("{more} subscriptions have configurations"),
            };
            let detail = format!(
                "{who} that this version does not take; nothing was changed (`?force`, on the command \
                 line `--force`, takes the version all the same and holds what it breaks)"
            );
            return Err(Error::Conflict { detail, breaks });
        }
        let version = PluginVersion {
            tenant,
            name: name.to_owned(),
            digest: plugin.digest(),
            size: component.len() as u64,
            // Texts, lists and a JSON value always serialise.
            manifest: serde_json::to_string(plugin.manifest()).unwrap_or_default(),
            uploaded_at: self.parts.clock.now(),
            current: true,
        };
        self.parts.store.add_plugin(version.clone(), component).await?;
        self.parts.catalogue.keep(&plugin);
        self.parts.catalogue.refresh().await?;
        let held = self.hold(&broken, name).await?;
        for route in self.followers(tenant, name) {
            self.parts.runtime.forget(route.subscription().id);
        }
        Ok(Uploaded {
            version,
            new: true,
            held,
        })
    }

    /// Removes a name with all its versions, if nobody uses it.
    pub async fn remove_plugin(&self, tenant: TenantId, name: &str) -> Result<()> {
        let _one_at_a_time = self.changing.lock().await;
        let known = self.plugin(tenant, name).ok_or(Error::Missing("plugin"))?;
        if known.versions.is_empty() {
            return Err(Error::conflict("it is part of the router and cannot be removed"));
        }
        if !known.used_by.is_empty() {
            let mut breaks = Faults::default();
            for id in &known.used_by {
                breaks.add(format!("/subscriptions/{id}/plugins"), format!("uses `{name}`"));
            }
            let detail = format!("{} subscriptions use it", known.used_by.len());
            return Err(Error::Conflict { detail, breaks });
        }
        self.parts.store.remove_plugin(tenant, name.to_owned()).await?;
        Ok(self.parts.catalogue.refresh().await?)
    }

    /// A plugin by its name.
    pub fn plugin(&self, tenant: TenantId, name: &str) -> Option<Known> {
        let current = self.parts.catalogue.digest_of(tenant, name, None).ok()?;
        let mut versions = self.parts.catalogue.uploaded(tenant);
        versions.retain(|version| version.name == name);
        let uses = |route: &Arc<Route>| route.subscription().plugins.iter().any(|step| step.name == name);
        Some(Known {
            name: name.to_owned(),
            versions,
            current,
            first_party: self.parts.catalogue.first_party(name).is_some(),
            used_by: self
                .subscriptions(tenant)
                .into_iter()
                .filter(uses)
                .map(|route| route.subscription().id)
                .collect(),
        })
    }

    /// What a plugin says of itself; loads it where only the binary has it.
    pub async fn manifest(&self, tenant: TenantId, name: &str, digest: Digest) -> Result<Manifest> {
        Ok(self
            .parts
            .catalogue
            .resolve(tenant, name, Some(digest))
            .await?
            .manifest()
            .clone())
    }

    /// Runs a plugin on an event and sends nothing.
    pub async fn run_plugin(
        &self,
        name: &str,
        digest: Option<Digest>,
        config: &str,
        event: Arc<Event>,
    ) -> Result<(Arc<Plugin>, Run)> {
        let tenant = event.tenant;
        let plugin = self.parts.catalogue.resolve(tenant, name, digest).await?;
        let mut faults = Faults::default();
        for fault in self.config_faults(&plugin, config).await.into_vec() {
            faults.add(format!("/config{}", fault.pointer), fault.detail);
        }
        faults.or(())?;
        let now = self.parts.clock.now();
        let call = workbench::alone(
            &plugin,
            config,
            event,
            self.tenant_name(tenant).unwrap_or_default(),
            self.parts.ids.next(now),
            self.parts.ids.next(now),
        );
        Ok((plugin, self.parts.runtime.run(call).await))
    }

    /// The plugin of a step; what is wrong with its name or digest goes to the faults.
    pub(super) async fn plugin_for_step(
        &self,
        tenant: TenantId,
        step: &PluginStep,
        pointer: &str,
        faults: &mut Faults,
    ) -> Result<Option<Arc<Plugin>>> {
        match self
            .parts
            .catalogue
            .resolve(tenant, &step.name, step.digest)
            .await
        {
            Ok(plugin) => return Ok(Some(plugin)),
            Err(catalogue::Error::Unknown { .. }) => {
                let names = self.parts.catalogue.names(tenant);
                let names: Vec<&str> = names.iter().map(String::as_str).take(NAMES_SHOWN).collect();
                let hint = match json::nearest(&step.name, &names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.is_empty() => "there are none yet".to_owned(),
                    None => format!("there are {}", names.join(", ")),
                };
                faults.add(
                    format!("{pointer}/name"),
                    format!("is not a known plugin; {hint}"),
                );
            }
            Err(catalogue::Error::UnknownDigest { .. }) => {
                faults.add(format!("{pointer}/digest"), "is not a version of this plugin");
            }
            Err(catalogue::Error::Load(error)) if error.is_of_plugin() => {
                faults.add(
                    format!("{pointer}/name"),
                    format!("cannot be loaded: {}", told(&error)),
                );
            }
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    /// What a plugin has against a configuration; pointers are into the configuration.
    pub(super) async fn config_faults(&self, plugin: &Arc<Plugin>, config: &str) -> Faults {
        let mut faults = Faults::default();
        match self.parts.runtime.check_config(plugin, config.as_bytes()).await {
            Ok(()) => {}
            Err(ConfigError::Problems(problems)) => {
                for problem in problems {
                    faults.add(problem.pointer, problem.detail);
                }
            }
            Err(error @ ConfigError::Fault(_)) => faults.add("", told(&error)),
        }
        faults
    }

    /// Subscriptions that a new version of a name would take over.
    fn followers(&self, tenant: TenantId, name: &str) -> Vec<Arc<Route>> {
        let follows = |step: &PluginStep| step.name == name && step.digest.is_none();
        let mut routes = self.subscriptions(tenant);
        routes.retain(|route| route.subscription().plugins.iter().any(follows));
        routes
    }

    /// Which followers have a configuration that this version does not take, and what is wrong.
    async fn broken_by(
        &self,
        tenant: TenantId,
        name: &str,
        plugin: &Arc<Plugin>,
    ) -> (Faults, Vec<Arc<Route>>) {
        let (mut breaks, mut broken) = (Faults::default(), Vec::new());
        for route in self.followers(tenant, name) {
            let mut sound = true;
            for (place, step) in route.subscription().plugins.iter().enumerate() {
                if step.name != name || step.digest.is_some() {
                    continue;
                }
                for fault in self.config_faults(plugin, step.config.get()).await.into_vec() {
                    sound = false;
                    let id = route.subscription().id;
                    let pointer = format!("/subscriptions/{id}/plugins/{place}/config{}", fault.pointer);
                    breaks.add(pointer, fault.detail);
                }
            }
            if !sound {
                broken.push(route);
            }
        }
        (breaks, broken)
    }

    async fn hold(&self, broken: &[Arc<Route>], name: &str) -> Result<Vec<SubscriptionId>> {
        let mut held = Vec::with_capacity(broken.len());
        for route in broken {
            let reason =
                format!("the new version of plugin `{name}` does not take its configuration; change it");
            // What a person switched off stays theirs to switch on.
            if !matches!(route.subscription().status, Status::Disabled { .. }) {
                let since = self.parts.clock.now();
                let own = OwnEvent::plugin_held(route.subscription(), name, &reason);
                let status = Status::Held {
                    since,
                    reason,
                    probe_at: None,
                };
                self.set_status(route, status, Mover::Router { after: None })
                    .await?;
                self.announce(route.subscription().tenant, own).await;
                held.push(route.subscription().id);
            }
        }
        Ok(held)
    }
}

/// The words of an error and of its causes, for the plugin's author.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a string cannot fail.
        let _written = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}
