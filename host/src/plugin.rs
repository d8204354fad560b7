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
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::delivery::FaultKind;
use crate::digest::Digest;
use crate::id::SubscriptionId;

use self::artefact::Artefacts;
use self::instance::{Instance, Linkers};
use self::kept::Kept;
use self::threads::{Lost, Owner, Size, Threads};
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
mod load;
mod log;
mod manifest;
mod output;
mod request;
mod run;
mod schema;
mod stopwatch;
#[cfg(test)]
mod tests;
mod threads;
mod ticker;
mod wasi;

pub use self::artefact::ArtefactError;
pub use self::check::CheckError;
pub use self::compile::{CompileError, Compiler, compile_worker};
pub use self::contract::{ContractError, Missing, grant};
pub use self::fault::Fault;
pub use self::kept::InstanceKey;
pub use self::limits::{LimitsError, PluginLimits};
pub use self::load::{LoadError, Plugin};
pub use self::manifest::{Manifest, ManifestError, Problem};
pub use self::output::{GuestEvent, GuestOutcome, GuestOutput};
pub use self::request::GuestRequest;
pub use self::run::{ConfigError, Run, RunCall};

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
        let threads = Threads::start(Size {
            count: threads,
            awake: cores,
            queue: limits.queue,
            guest_stack_bytes: limits.stack_bytes,
        })
        .map_err(StartError::Threads)?;
        let ticker = Ticker::start(&engine, limits.tick(), threads.ticking()).map_err(StartError::Threads)?;
        Ok(Self(Arc::new(Inner {
            linkers: Linkers::new(&engine).map_err(engine_error)?,
            ticker,
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
        self.0.load(component).await
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
    pub fn forget(&self, subscription: SubscriptionId) {
        drop(self.0.kept.forget(subscription));
    }

    /// How many instances are kept, and their linear memory together in bytes.
    pub fn kept(&self) -> (usize, usize) {
        self.0.kept.size()
    }

    /// How many of the threads run a guest now, and how many runs wait for one.
    pub fn busy(&self) -> (usize, usize) {
        self.0.threads.busy()
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
