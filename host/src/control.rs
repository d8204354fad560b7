//! The verbs on configuration: subscriptions, plugins, keys, tenants.
//!
//! Every verb does the same: check everything and name what is wrong by its place, write to the
//! store, then change what the hot path knows (registry, catalogue, keyring, instances). Verbs that
//! change something run one after another, so that what was checked still holds when it is written.
//! Between the write and the change in memory nothing may be cut off; the callers (doors) see to it
//! that a verb, once begun, runs to its end.

pub mod check;
pub mod event_types;
mod holds;
pub mod keyring;
pub mod keys;
pub mod plugins;
pub mod profiles;
pub mod set;
pub mod sources;
pub mod steward;
pub mod subscriptions;
pub mod tenants;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore};

use self::keyring::Keyring;

use crate::auth::KeyPrefix;
use crate::catalogue::{self, Catalogue};
use crate::clock::Clock;
use crate::digest::Digest;
use crate::egress::Policy;
use crate::id::{Generator, TenantId};
use crate::ingest::Ingest;
use crate::intake::Sources;
use crate::json::Faults;
use crate::own_event::OwnEvent;
use crate::plugin::{LoadError, Runtime};
use crate::registry::Registry;
use crate::store::{self, Store, Tenant};

/// Why a verb was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is wrong.
    #[error("what was asked for is not valid")]
    Faults(Faults),
    /// There is no such thing, or it is another tenant's.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// It contradicts what is there.
    #[error("{detail}")]
    Conflict {
        /// How.
        detail: String,
        /// What would break, if that is known piece by piece.
        breaks: Faults,
    },
    /// It has another version than the one that was named.
    #[error("it was changed in between")]
    Changed,
    /// The plugin runtime failed, and it is not the plugin's fault.
    #[error("the plugin runtime failed")]
    Plugin(#[source] LoadError),
    /// The store says no.
    #[error("the configuration could not be stored")]
    Store(#[source] store::Error),
}

impl Error {
    fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict {
            detail: detail.into(),
            breaks: Faults::default(),
        }
    }

    /// What was given at this place is somebody else's already.
    fn taken(pointer: &str, detail: &str) -> Self {
        Self::Conflict {
            detail: format!("`{pointer}` {detail}"),
            breaks: Faults::one(pointer, detail),
        }
    }
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Changed => Self::Changed,
            store::Error::Missing { what } => Self::Missing(what),
            store::Error::Taken { what } => Self::conflict(format!("{what} is taken")),
            other => Self::Store(other),
        }
    }
}

impl From<catalogue::Error> for Error {
    fn from(error: catalogue::Error) -> Self {
        match error {
            catalogue::Error::Unknown { .. } | catalogue::Error::UnknownDigest { .. } => {
                Self::Missing("plugin")
            }
            catalogue::Error::Load(error) => Self::Plugin(error),
            catalogue::Error::Store(error) => Self::Store(error),
        }
    }
}

/// What verbs give.
pub type Result<T> = std::result::Result<T, Error>;

/// What the verbs work on; handed over by the wiring.
pub struct Parts {
    /// Where configuration is kept.
    pub store: Arc<dyn Store>,
    /// What the hot path knows of subscriptions.
    pub registry: Arc<Registry>,
    /// Which sources there are.
    pub sources: Arc<Sources>,
    /// Which plugins there are.
    pub catalogue: Arc<Catalogue>,
    /// Runs plugins, to check them and their configurations.
    pub runtime: Runtime,
    /// Which endpoints may be reached.
    pub policy: Arc<Policy>,
    /// Makes ids.
    pub ids: Arc<Generator>,
    /// Tells the time.
    pub clock: Clock,
    /// SHA-256 of the operator's admin key (`auth::hash_key`).
    pub operator_key: Option<Digest>,
    /// Where it is told what was changed.
    pub ingest: Arc<Ingest>,
    /// How new keys begin.
    pub key_prefix: KeyPrefix,
}

/// The verbs.
pub struct Control {
    parts: Parts,
    keyring: Keyring,
    tenants: ArcSwap<Vec<Tenant>>,
    /// Verbs that change something run one after another.
    changing: Mutex<()>,
    /// Which holds were told.
    holds: std::sync::Mutex<holds::Holds>,
    /// Who may check event types now.
    checks: Arc<Semaphore>,
}

impl Control {
    /// Reads keys, tenants and event types from the store, which has the default tenant from its start.
    pub async fn open(parts: Parts) -> store::Result<Arc<Self>> {
        let keyring = Keyring::new(parts.operator_key);
        keyring.replace(&parts.store.keys().await?);
        let tenants = parts.store.tenants().await?;
        let known = event_types::known(parts.store.event_types().await?);
        parts.registry.event_types().put(known);
        for tenant in &tenants {
            let payloads = tenant.settings.validate_events;
            parts.registry.event_types().hold_tenant_to(tenant.id, payloads);
        }
        Ok(Arc::new(Self {
            parts,
            keyring,
            tenants: ArcSwap::from_pointee(tenants),
            changing: Mutex::default(),
            holds: std::sync::Mutex::default(),
            checks: Arc::new(Semaphore::new(event_types::CHECKS_AT_ONCE_MAX)),
        }))
    }

    /// The keys that open something now.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// How keys that are made now begin.
    pub fn key_prefix(&self) -> &KeyPrefix {
        &self.parts.key_prefix
    }

    /// Tells of a change that is stored already: what cannot be told now changes nothing about it. A verb
    /// tells before it lets the next one begin, so that events come in the order of the changes.
    async fn announce(&self, tenant: TenantId, own: OwnEvent) {
        let (event_type, subject) = (own.event_type, own.subject.clone());
        if let Err(error) = self.parts.ingest.tell(tenant, own).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                event_type,
                subject,
                "a change was made, but could not be told"
            );
        }
    }

    /// The catalogue of plugins.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.parts.catalogue
    }
}
