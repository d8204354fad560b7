//! The plugin runtime: everything that touches wasmtime.
//!
//! ```text
//! load:  bytes → check (cheap bounds) → contract (imports, exports) → artefact on disk, or compile in
//!        a process of its own → deserialize → link → describe → Plugin, once per digest
//! run:   queue → guest thread → kept instance, or a new one that is configured → transform → output
//!        checked → instance kept or thrown away
//! ```
//!
//! A guest is stopped in time (epochs, advanced by a thread that runs only while guests do), memory
//! (a limiter that sums), stack (threads of our own), output (hostcall fuel, then our own checks) and
//! log volume. Its imports are all that it can reach. Whatever it does is its own fault: a [`Fault`]
//! ends the run and the instance, nothing else.
//!
//! This room knows pure rooms only: no store, no API, no time of day.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use bytes::Bytes;
use jsonschema::Validator;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::delivery::{FaultKind, LogLine};
use crate::digest::Digest;
use crate::event::Event;
use crate::id::DeliveryId;
use crate::subscription::Isolation;

use self::artefact::Artefacts;
use self::bindings::TransformerPre;
use self::bindings::exports::hookway::plugin::transform;
use self::check::Facts;
use self::contract::Link;
use self::instance::{Instance, Linkers, State, Stillborn};
use self::kept::{Keep as _, Kept};
use self::threads::{Lost, Owner, Threads};
use self::ticker::Ticker;

mod artefact;
mod bindings;
mod check;
mod compile;
mod contract;
mod engine;
mod fault;
mod instance;
mod kept;
mod limiter;
mod limits;
mod log;
mod manifest;
mod output;
mod stopwatch;
#[cfg(test)]
mod tests;
mod threads;
mod ticker;
mod wasi;

pub use self::artefact::ArtefactError;
pub use self::check::CheckError;
pub use self::compile::{CompileError, Compiler, compile_worker};
pub use self::contract::{ContractError, Missing};
pub use self::fault::Fault;
pub use self::kept::InstanceKey;
pub use self::limits::{LimitsError, PluginLimits};
pub use self::manifest::{Manifest, ManifestError, Problem};
pub use self::output::{GuestEvent, GuestOutcome, GuestOutput, GuestRequest};

/// What the runtime is started with.
pub struct RuntimeOptions {
    /// The limits.
    pub limits: PluginLimits,
    /// Where compiled plugins are kept; made where it is not there.
    pub artefact_dir: PathBuf,
    /// The key that authenticates them.
    pub artefact_key: [u8; 32],
    /// Who compiles.
    pub compiler: Compiler,
}

/// The runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A limit cannot be.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The directory of artefacts cannot be used.
    #[error(transparent)]
    Artefacts(#[from] ArtefactError),
    /// No threads.
    #[error("cannot start the threads that run plugins")]
    Threads(#[source] std::io::Error),
    /// The engine cannot be made on this machine.
    #[error("cannot start the WebAssembly engine: {detail}")]
    Engine {
        /// wasmtime's words.
        detail: String,
    },
}

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

/// A configuration that a plugin does not take.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It breaks the schema, or the plugin refused it.
    #[error("the configuration is not valid ({} problems)", .0.len())]
    Problems(Vec<Problem>),
    /// The plugin broke a rule while it looked at it.
    #[error("the plugin failed while it read the configuration")]
    Fault(#[source] Fault),
}

/// A loaded plugin. Shared; never changes.
pub struct Plugin {
    digest: Digest,
    manifest: Manifest,
    validator: Option<Validator>,
    facts: Facts,
    bytes: usize,
    pre: TransformerPre<State>,
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

/// One run to be made.
#[derive(Clone, Debug)]
pub struct RunCall {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Whose instance.
    pub key: InstanceKey,
    /// The configuration of this step, JSON; one per key.
    pub config: Arc<[u8]>,
    /// Whether instances are kept.
    pub isolation: Isolation,
    /// The event.
    pub event: Arc<Event>,
    /// The data that the guest sees: the event's, or what the plugin before it made.
    pub data: Bytes,
    /// The media type of `data`.
    pub content_type: String,
    /// The tenant's name.
    pub tenant: String,
    /// The subscription's own key.
    pub subscription_key: Option<String>,
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1 for the first run for this delivery.
    pub run_number: u32,
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the plugin decided, or what it broke.
    pub result: Result<GuestOutcome, Fault>,
    /// How long it ran, in microseconds, without waiting for a thread.
    pub duration_us: u64,
    /// The linear memory of the instance after it, in bytes.
    pub memory_bytes: u64,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// Lines that did not fit.
    pub logs_dropped: u32,
}

/// The runtime. Clones share it; its threads end with the last one.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    limits: PluginLimits,
    engine: Engine,
    linkers: Linkers,
    ticker: Ticker,
    threads: Threads,
    artefacts: Arc<Artefacts>,
    compiler: Compiler,
    /// One component is compiled and loaded at a time.
    loading: Semaphore,
    loaded: Mutex<HashMap<Digest, Weak<Plugin>>>,
    kept: Kept<Instance>,
}

impl Runtime {
    /// Makes the engine and starts the threads.
    pub fn start(options: RuntimeOptions) -> Result<Self, StartError> {
        let RuntimeOptions {
            limits,
            artefact_dir,
            artefact_key,
            compiler,
        } = options;
        limits.validate()?;
        let engine_error = |error: wasmtime::Error| StartError::Engine {
            detail: format!("{error:#}"),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = limits.threads_on(cores);
        let engine = engine::host(&limits, threads).map_err(engine_error)?;
        let artefacts = Artefacts::open(
            artefact_dir,
            artefact_key,
            engine::compatibility(&engine),
            limits.artefact_directory_bytes,
        )?;
        let threads =
            Threads::start(threads, limits.queue, limits.stack_bytes).map_err(StartError::Threads)?;
        Ok(Self(Arc::new(Inner {
            linkers: Linkers::new(&engine).map_err(engine_error)?,
            ticker: Ticker::start(&engine, limits.tick()).map_err(StartError::Threads)?,
            threads,
            artefacts: Arc::new(artefacts),
            compiler,
            loading: Semaphore::new(1),
            loaded: Mutex::default(),
            kept: Kept::new(&limits),
            engine,
            limits,
        })))
    }

    /// Makes a plugin of a component, or finds the one that was made of the same bytes.
    pub async fn load(&self, component: Bytes) -> Result<Arc<Plugin>, LoadError> {
        let inner = &self.0;
        let (limits, bytes) = (inner.limits.clone(), component.clone());
        let look = move || {
            let facts = check::check(&bytes, &limits)?;
            let link = contract::audit(&facts.imports, &facts.exports)?;
            Ok::<_, LoadError>((Digest::of(&bytes), facts, link))
        };
        let looked = tokio::task::spawn_blocking(look).await;
        let (digest, facts, link) = looked.map_err(|_| LoadError::Internal)??;
        let _one = inner.loading.acquire().await.map_err(|_| LoadError::Internal)?;
        if let Some(plugin) = inner.loaded(digest) {
            return Ok(plugin);
        }
        let bytes = component.len();
        let compiled = inner.component(component).await?;
        let pre = inner.link(&compiled, link)?;
        let (manifest, validator) = inner.describe(digest, &pre).await?;
        let plugin = Arc::new(Plugin {
            digest,
            manifest,
            validator,
            facts,
            bytes,
            pre,
        });
        inner.remember(&plugin);
        Ok(plugin)
    }

    /// Says whether a plugin takes a configuration: its schema first, then its own opinion.
    pub async fn check_config(&self, plugin: &Arc<Plugin>, config: &[u8]) -> Result<(), ConfigError> {
        let owner = Owner {
            plugin: plugin.digest,
            subscription: None,
        };
        let (inner, plugin, config) = (Arc::clone(&self.0), Arc::clone(plugin), config.to_vec());
        let check = move || inner.check_config(&plugin, &config);
        let checked = self.0.threads.run(owner, check).await;
        checked.unwrap_or_else(|lost| Err(ConfigError::Fault(lost_fault(&lost))))
    }

    /// Makes a run. Waits for a thread, in order, while all are busy.
    pub async fn run(&self, call: RunCall) -> Run {
        let owner = Owner {
            plugin: call.plugin.digest,
            subscription: Some(call.key.subscription),
        };
        let inner = Arc::clone(&self.0);
        let run = self.0.threads.run(owner, move || inner.run(&call)).await;
        run.unwrap_or_else(|lost| Run {
            result: Err(lost_fault(&lost)),
            duration_us: 0,
            memory_bytes: 0,
            logs: Vec::new(),
            logs_dropped: 0,
        })
    }

    /// Lets go of a subscription's instances: it was changed or removed.
    pub fn forget(&self, subscription: crate::id::SubscriptionId) {
        drop(self.0.kept.forget(subscription));
    }

    /// How many instances are kept, and their linear memory together in bytes.
    pub fn kept(&self) -> (usize, usize) {
        self.0.kept.size()
    }

    /// How many threads run guests.
    pub fn threads(&self) -> usize {
        self.0.threads.count()
    }
}

fn lost_fault(lost: &Lost) -> Fault {
    Fault {
        kind: FaultKind::Unavailable,
        detail: lost.to_string(),
    }
}

impl Inner {
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
            let mut instance = Instance::new(&pre, limits, limits.describe_ms)
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

    fn check_config(&self, plugin: &Plugin, config: &[u8]) -> Result<(), ConfigError> {
        let problems = manifest::problems(plugin.validator.as_ref(), config);
        if !problems.is_empty() {
            return Err(ConfigError::Problems(problems));
        }
        let _running = self.ticker.run();
        let limits = &self.limits;
        let mut instance = Instance::new(&plugin.pre, limits, limits.configure_ms)
            .map_err(|stillborn| ConfigError::Fault(stillborn.fault))?;
        match instance.configure(config, limits).map_err(ConfigError::Fault)? {
            Ok(()) => Ok(()),
            Err(problems) => Err(ConfigError::Problems(manifest::complaints(problems))),
        }
    }

    /// Makes a run on this thread.
    fn run(&self, call: &RunCall) -> Run {
        let started = stopwatch::now();
        let running = self.ticker.run();
        let digest = call.plugin.digest;
        let (kept, taken) = match call.isolation {
            Isolation::Subscription => {
                let (kept, taken) = self.kept.take(call.key, digest);
                (kept, Some(taken))
            }
            Isolation::Event => (None, None),
        };
        let mut run = Run {
            result: Ok(GuestOutcome::Deliver(GuestOutput::default())),
            duration_us: 0,
            memory_bytes: 0,
            logs: Vec::new(),
            logs_dropped: 0,
        };
        let mut instance = None;
        match kept.map_or_else(|| self.fresh(call), |kept| Ok((kept, None))) {
            Ok((mut fresh, refusal)) => {
                run.result = refusal.map_or_else(|| self.transform(&mut fresh, call), Ok);
                (run.logs, run.logs_dropped) = fresh.take_logs();
                run.memory_bytes = fresh.bytes() as u64;
                instance = Some(fresh);
            }
            Err(stillborn) => {
                (run.logs, run.logs_dropped) = stillborn.logs;
                run.memory_bytes = stillborn.memory_bytes as u64;
                run.result = Err(stillborn.fault);
            }
        }
        drop(running);
        let ended = stopwatch::now();
        run.duration_us = u64::try_from((ended - started).as_micros()).unwrap_or(u64::MAX);
        if let (Some(instance), Some(taken), true) = (instance, taken, is_sound(&run.result))
            && instance.is_fit(&self.limits)
        {
            drop(self.kept.put(call.key, digest, taken, instance, ended));
        }
        run
    }

    /// A new instance, configured; with an outcome where it refused its configuration.
    fn fresh(&self, call: &RunCall) -> Result<(Instance, Option<GuestOutcome>), Box<Stillborn>> {
        let limits = &self.limits;
        let mut instance = Instance::new(&call.plugin.pre, limits, limits.configure_ms)?;
        match instance.configure(&call.config, limits) {
            Ok(Ok(())) => Ok((instance, None)),
            Ok(Err(problems)) => {
                let lines: Vec<_> = manifest::complaints(problems)
                    .into_iter()
                    .map(|Problem { pointer, detail }| format!("{pointer}: {detail}"))
                    .collect();
                let reason = log::clean(&lines.join("; "), limits.reason_bytes);
                Ok((instance, Some(GuestOutcome::Misconfigured(reason))))
            }
            Err(fault) => Err(Box::new(Stillborn {
                fault,
                memory_bytes: instance.bytes(),
                logs: instance.take_logs(),
            })),
        }
    }

    fn transform(&self, instance: &mut Instance, call: &RunCall) -> Result<GuestOutcome, Fault> {
        let event = &call.event;
        let (id, time) = (event.cloudevents_id(), event.time.to_string());
        let attributes: Vec<(&str, &str)> = event
            .extensions
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let seen = transform::Event {
            id: &id,
            source: &event.source,
            event_type: &event.event_type,
            subject: event.subject.as_deref(),
            time: &time,
            content_type: &call.content_type,
            attributes: &attributes,
            tenant: &call.tenant,
            data: &call.data,
        };
        let (subscription, delivery) = (call.key.subscription.to_string(), call.delivery.to_string());
        let context = transform::Context {
            subscription_id: &subscription,
            subscription_key: call.subscription_key.as_deref(),
            delivery_id: &delivery,
            run_number: call.run_number,
        };
        let result = instance.transform(seen, context, &self.limits)?;
        output::check(result, &self.limits)
    }
}

/// Whether the instance can be trusted with another event.
const fn is_sound(result: &Result<GuestOutcome, Fault>) -> bool {
    match result {
        Ok(
            GuestOutcome::Deliver(_)
            | GuestOutcome::Filtered(_)
            | GuestOutcome::Reject(_)
            | GuestOutcome::Retry { .. },
        ) => true,
        Ok(GuestOutcome::Misconfigured(_)) | Err(_) => false,
    }
}

fn unfit(error: &wasmtime::Error) -> LoadError {
    LoadError::Unfit {
        detail: format!("{error:#}"),
    }
}
