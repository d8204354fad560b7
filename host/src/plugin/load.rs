//! From a component's bytes to a plugin that can be run: once per digest, one at a time.

use std::sync::{Arc, PoisonError, Weak};

use bytes::Bytes;
use jsonschema::Validator;
use wasmtime::component::Component;

use crate::digest::Digest;

use super::bindings::TransformerPre;
use super::check::{self, CheckError, Facts};
use super::compile::{self, CompileError};
use super::contract::{self, ContractError, Link};
use super::fault::Fault;
use super::instance::{Instance, State};
use super::manifest::{self, Manifest, ManifestError};
use super::threads::Owner;
use super::{Inner, limits};

/// A component that did not become a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not a component, or beyond a bound.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Its imports or exports do not fit this host.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It was compiled but does not fit the engine or the contract's types.
    #[error("the component does not fit this host: {detail}")]
    Unfit {
        /// wasmtime's words.
        detail: String,
    },
    /// It broke a rule while it described itself.
    #[error("the plugin failed while it described itself")]
    Describe(#[source] Fault),
    /// What it says of itself breaks the contract.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A thread of the router ended: our fault.
    #[error("the router failed while it loaded the plugin; please report it")]
    Internal,
}

impl LoadError {
    /// Whether the component is at fault, and not this machine.
    pub const fn is_of_plugin(&self) -> bool {
        !matches!(self, Self::Internal | Self::Compile(CompileError::Process(_)))
    }
}

/// A loaded plugin. Shared; never changes.
pub struct Plugin {
    pub(super) digest: Digest,
    manifest: Manifest,
    pub(super) validator: Option<Validator>,
    facts: Facts,
    bytes: usize,
    pub(super) pre: TransformerPre<State>,
}

impl Plugin {
    /// The digest of the component.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What it says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Everything that it imports: all that it can reach.
    pub fn imports(&self) -> &[String] {
        &self.facts.imports
    }

    /// Everything that it exports.
    pub fn exports(&self) -> &[String] {
        &self.facts.exports
    }

    /// The size of the component, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} {})", self.manifest.name, self.digest)
    }
}

impl Inner {
    /// See [`super::Runtime::load`].
    pub(super) async fn load(self: &Arc<Self>, component: Bytes) -> Result<Arc<Plugin>, LoadError> {
        let (inner, bytes) = (Arc::clone(self), component.clone());
        let looked = tokio::task::spawn_blocking(move || inner.look(&bytes)).await;
        let (digest, facts, link) = match looked.map_err(|_| LoadError::Internal)?? {
            Looked::Loaded(plugin) => return Ok(plugin),
            Looked::New(digest, facts, link) => (digest, facts, link),
        };
        let _one = self.loading.acquire().await.map_err(|_| LoadError::Internal)?;
        if let Some(plugin) = self.loaded(digest) {
            return Ok(plugin);
        }
        let bytes = component.len();
        let compiled = self.component(component).await?;
        let pre = self.link(&compiled, link)?;
        let (manifest, validator) = self.describe(digest, &pre).await?;
        let plugin = Arc::new(Plugin {
            digest,
            manifest,
            validator,
            facts,
            bytes,
            pre,
        });
        self.remember(&plugin);
        Ok(plugin)
    }

    /// Everything that is known before compiling.
    fn look(&self, bytes: &[u8]) -> Result<Looked, LoadError> {
        let digest = Digest::of(bytes);
        if let Some(plugin) = self.loaded(digest) {
            return Ok(Looked::Loaded(plugin));
        }
        let facts = check::check(bytes, &self.limits)?;
        let link = contract::audit(&facts.imports, &facts.exports)?;
        Ok(Looked::New(digest, facts, link))
    }

    fn loaded(&self, digest: Digest) -> Option<Arc<Plugin>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.get(&digest).and_then(Weak::upgrade)
    }

    fn remember(&self, plugin: &Arc<Plugin>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, plugin| plugin.strong_count() > 0);
        loaded.insert(plugin.digest, Arc::downgrade(plugin));
    }

    /// The compiled component: from disk, or compiled now.
    async fn component(&self, bytes: Bytes) -> Result<Component, LoadError> {
        let (artefacts, engine, component) =
            (Arc::clone(&self.artefacts), self.engine.clone(), bytes.clone());
        let load = move || artefacts.load(&engine, &component);
        let found = tokio::task::spawn_blocking(load).await;
        if let Some(component) = found.map_err(|_| LoadError::Internal)? {
            return Ok(component);
        }
        let artefact = compile::compile(&self.compiler, bytes.clone(), &self.limits).await?;
        let (artefacts, engine) = (Arc::clone(&self.artefacts), self.engine.clone());
        let store = move || artefacts.store(&engine, &bytes, &artefact);
        let stored = tokio::task::spawn_blocking(store).await;
        stored
            .map_err(|_| LoadError::Internal)?
            .map_err(|error| unfit(&error))
    }

    /// Pre-links, after a look at what one instance will need: the check before compiling cannot see
    /// how often a module is instantiated.
    fn link(&self, component: &Component, link: Link) -> Result<TransformerPre<State>, LoadError> {
        if let Some(needed) = component.resources_required() {
            let limits = &self.limits;
            let memory = needed
                .max_initial_memory_size
                .unwrap_or(0)
                .saturating_mul(limits::PAGE_BYTES as u64);
            let tables = needed.max_initial_table_size.unwrap_or(0);
            check::bound(
                u64::from(needed.num_memories),
                "linear memories",
                "memories",
                limits.memories.into(),
            )?;
            check::bound(
                memory,
                "bytes of memory at the start",
                "memory_bytes",
                limits.memory_bytes as u64,
            )?;
            check::bound(
                u64::from(needed.num_tables),
                "tables",
                "tables",
                limits.tables.into(),
            )?;
            check::bound(
                tables,
                "elements in a table",
                "table_elements",
                limits.table_elements as u64,
            )?;
        }
        self.linkers.link(component, link).map_err(|error| unfit(&error))
    }

    async fn describe(
        self: &Arc<Self>,
        plugin: Digest,
        pre: &TransformerPre<State>,
    ) -> Result<(Manifest, Option<Validator>), LoadError> {
        let (inner, pre) = (Arc::clone(self), pre.clone());
        let describe = move || {
            let _running = inner.ticker.run();
            let limits = &inner.limits;
            let mut instance = Instance::new(&pre, limits, limits.for_describe())
                .map_err(|stillborn| LoadError::Describe(stillborn.fault))?;
            let manifest = instance.describe(limits).map_err(LoadError::Describe)?;
            Ok(manifest::check(manifest)?)
        };
        let owner = Owner {
            plugin,
            subscription: None,
        };
        let described = self.threads.run(owner, describe).await;
        described.unwrap_or(Err(LoadError::Internal))
    }
}

/// What the first look at a component showed.
enum Looked {
    Loaded(Arc<Plugin>),
    New(Digest, Facts, Link),
}

fn unfit(error: &wasmtime::Error) -> LoadError {
    LoadError::Unfit {
        detail: format!("{error:#}"),
    }
}
