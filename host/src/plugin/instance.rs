//! One running copy of a plugin: its store, its limits, its three functions.
//!
//! Every limit is set before the first instruction runs, because instantiating runs guest code too.
//! After any error an instance is of no further use; its owner drops it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::delivery::{FaultKind, LogLevel, LogLine};

use super::bindings::exports::hookway::plugin::{plugin as guest, transform};
use super::bindings::hookway::plugin::{log as import, types};
use super::bindings::{Transformer, TransformerPre};
use super::contract::Link;
use super::fault::{Allowed, Fault, classify};
use super::kept::Keep;
use super::limiter::Limiter;
use super::limits::PluginLimits;
use super::log::Log;
use super::wasi::{self, Inert};

/// What the host knows of an instance while its code runs.
pub(super) struct State {
    limiter: Limiter,
    log: Arc<Mutex<Log>>,
    /// Made when the guest first calls WASI: most that import it never do.
    wasi: Option<Box<Inert>>,
    /// How long the call that runs may take.
    allowed: Allowed,
}

impl State {
    fn lines(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl import::Host for State {
    fn log(&mut self, level: import::Level, message: String) {
        let level = match level {
            import::Level::Trace => LogLevel::Trace,
            import::Level::Debug => LogLevel::Debug,
            import::Level::Info => LogLevel::Info,
            import::Level::Warn => LogLevel::Warn,
            import::Level::Error => LogLevel::Error,
        };
        self.lines().add(level, &message);
    }

    fn max_level(&mut self) -> import::Level {
        import::Level::Trace
    }
}

impl types::Host for State {}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let log = &self.log;
        let inert = self.wasi.get_or_insert_with(|| Box::new(Inert::new(log)));
        WasiCtxView {
            ctx: &mut inert.ctx,
            table: &mut inert.table,
        }
    }
}

/// What components are linked with: the contract alone where that is all they import.
pub(super) struct Linkers {
    contract: Linker<State>,
    contract_and_wasi: Linker<State>,
}

impl Linkers {
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut contract = Linker::new(engine);
        Transformer::add_to_linker::<_, HasSelf<_>>(&mut contract, |state: &mut State| state)?;
        let mut contract_and_wasi = contract.clone();
        wasi::add_to_linker(&mut contract_and_wasi)?;
        Ok(Self {
            contract,
            contract_and_wasi,
        })
    }

    /// Resolves everything that can be resolved once for all instances.
    pub(super) fn link(&self, component: &Component, link: Link) -> wasmtime::Result<TransformerPre<State>> {
        let linker = match link {
            Link::Contract => &self.contract,
            Link::ContractAndWasi => &self.contract_and_wasi,
        };
        TransformerPre::new(linker.instantiate_pre(component)?)
    }
}

/// One instance.
pub(super) struct Instance {
    store: Store<State>,
    guest: Transformer,
    runs: u32,
}

impl Keep for Instance {
    fn bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }
}

/// An instance that could not be made, with what its start function logged.
pub(super) struct Stillborn {
    pub(super) fault: Fault,
    pub(super) memory_bytes: usize,
    pub(super) logs: (Vec<LogLine>, u32),
}

impl Instance {
    /// Makes an instance; `allowed` bounds its start functions.
    pub(super) fn new(
        pre: &TransformerPre<State>,
        limits: &PluginLimits,
        allowed: Allowed,
    ) -> Result<Self, Box<Stillborn>> {
        let state = State {
            limiter: Limiter::new(limits),
            log: Arc::new(Mutex::new(Log::new(limits))),
            wasi: None,
            allowed,
        };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.output_bytes);
        store.set_max_component_handles(limits.resource_handles);
        store.set_epoch_deadline(limits.ticks(allowed.ms));
        match pre.instantiate(&mut store) {
            Ok(guest) => Ok(Self {
                store,
                guest,
                runs: 0,
            }),
            Err(error) => {
                let mut fault = sort(&mut store, &error);
                if fault.kind == FaultKind::InvalidOutput {
                    // There is no output yet: the machine could not make the instance.
                    fault.kind = FaultKind::Unavailable;
                }
                let logs = store.data().lines().take();
                let memory_bytes = store.data().limiter.memory_bytes();
                Err(Box::new(Stillborn {
                    fault,
                    memory_bytes,
                    logs,
                }))
            }
        }
    }

    /// Asks who the plugin is.
    pub(super) fn describe(&mut self, limits: &PluginLimits) -> Result<guest::Manifest, Fault> {
        self.allow(limits.for_describe(), limits);
        let result = self.guest.hookway_plugin_plugin().call_describe(&mut self.store);
        result.map_err(|error| sort(&mut self.store, &error))
    }

    /// Hands the configuration over.
    pub(super) fn configure(
        &mut self,
        config: &[u8],
        limits: &PluginLimits,
    ) -> Result<Result<(), Vec<guest::Problem>>, Fault> {
        self.allow(limits.for_configure(), limits);
        let result = self
            .guest
            .hookway_plugin_plugin()
            .call_configure(&mut self.store, config);
        result.map_err(|error| sort(&mut self.store, &error))
    }

    /// Has an event reshaped.
    pub(super) fn transform(
        &mut self,
        event: transform::Event<'_>,
        context: transform::Context<'_>,
        limits: &PluginLimits,
    ) -> Result<Result<types::Outcome, types::Failure>, Fault> {
        self.runs = self.runs.saturating_add(1);
        // A refusal that the guest got over in an earlier run says nothing about this one.
        self.store.data_mut().limiter.take_refused();
        self.allow(limits.for_transform(), limits);
        let transform = self.guest.hookway_plugin_transform();
        let result = transform.call_transform(&mut self.store, event, context);
        result.map_err(|error| sort(&mut self.store, &error))
    }

    /// Bounds the next call.
    fn allow(&mut self, allowed: Allowed, limits: &PluginLimits) {
        self.store.data_mut().allowed = allowed;
        self.store.set_epoch_deadline(limits.ticks(allowed.ms));
    }

    /// Takes the log out.
    pub(super) fn take_logs(&mut self) -> (Vec<LogLine>, u32) {
        self.store.data().lines().take()
    }

    /// Whether it may serve another event.
    pub(super) fn is_fit(&self, limits: &PluginLimits) -> bool {
        self.runs < limits.kept_runs && self.bytes() <= limits.kept_instance_bytes
    }
}

fn sort(store: &mut Store<State>, error: &wasmtime::Error) -> Fault {
    let state = store.data_mut();
    let refused = state.limiter.take_refused();
    classify(error, state.allowed, refused, state.lines().last_error())
}
