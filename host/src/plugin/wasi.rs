//! WASI 0.2 with nothing behind it, for plugins that an ordinary toolchain built.
//!
//! The standard library of Rust, Go and others imports `wasi:*` whether a plugin needs it or not.
//! These imports are met so that such plugins load, and grant nothing: no files, no arguments, no
//! environment, no network. The clock stands at the epoch and random numbers come from a fixed seed,
//! so that a run depends on its event alone. Standard output and error go to the plugin's log; `exit`
//! traps. Waiting is refused: the time of a guest is watched only while it computes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::sync;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiView};

use super::log::{Log, Stream};

/// Most bytes that a guest can write to a stream at once.
const WRITE_BYTES_MAX: usize = 64 * 1_024;
/// Most random bytes that a guest gets at once.
const RANDOM_BYTES_MAX: u64 = 64 * 1_024;
/// Most things of the host that a guest can hold (streams, errors).
const RESOURCES_MAX: usize = 256;
/// The seed of every instance's random numbers.
const SEED: u64 = 0x686f_6f6b_7761_7921;

/// The interfaces that are there. Everything else is refused when a plugin is loaded.
pub(super) const INTERFACES: [&str; 18] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
];
/// As [`INTERFACES`]: the weaker kinds of randomness.
pub(super) const INSECURE_RANDOM: [&str; 2] = ["wasi:random/insecure", "wasi:random/insecure-seed"];

/// What one instance holds of WASI.
pub(super) struct Inert {
    pub(super) ctx: WasiCtx,
    pub(super) table: ResourceTable,
}

impl Inert {
    /// A world with nothing in it but a log.
    pub(super) fn new(log: &Arc<Mutex<Log>>) -> Self {
        let mut builder = WasiCtx::builder();
        builder
            .stdout(ToLog(Arc::clone(log), Stream::Stdout))
            .stderr(ToLog(Arc::clone(log), Stream::Stderr))
            .secure_random(StdRng::seed_from_u64(SEED))
            .insecure_random(StdRng::seed_from_u64(SEED))
            .insecure_random_seed(u128::from(SEED))
            .max_random_size(RANDOM_BYTES_MAX)
            .wall_clock(Still)
            .monotonic_clock(Still)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self {
            ctx: builder.build(),
            table,
        }
    }
}

/// Gives every component that is linked by this linker the interfaces above, and no other.
pub(super) fn add_to_linker<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let l = linker;
    cli::environment::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, T::cli)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, T::clocks)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    sync::filesystem::types::add_to_linker::<T, WasiFilesystem>(l, T::filesystem)?;
    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.ctx().ctx.random())?;
    sync::io::error::add_to_linker::<T, Table>(l, |t| t.ctx().table)?;
    sync::io::poll::add_to_linker::<T, Table>(l, |t| t.ctx().table)?;
    sync::io::streams::add_to_linker::<T, Table>(l, |t| t.ctx().table)?;
    refuse_to_wait(l)
}

/// Replaces the two functions that wait: a guest could sleep in them for ever, and epochs do not
/// reach into the host.
fn refuse_to_wait<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut poll = linker.instance(POLL)?;
    poll.func_wrap(
        "poll",
        |_, (_,): (Vec<Resource<DynPollable>>,)| -> wasmtime::Result<(Vec<u32>,)> { Err(Waited.into()) },
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |_, (_,): (Resource<DynPollable>,)| -> wasmtime::Result<()> { Err(Waited.into()) },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The interface as wasmtime-wasi 48 names it; components with another 0.2 version find it too.
const POLL: &str = "wasi:io/poll@0.2.12";

/// A guest tried to sleep.
#[derive(Debug, thiserror::Error)]
#[error("a plugin must not wait: there is no clock and nothing to wait for")]
pub(super) struct Waited;

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// A clock that stands at zero.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// A standard stream that ends in the plugin's log.
#[derive(Clone)]
struct ToLog(Arc<Mutex<Log>>, Stream);

impl IsTerminal for ToLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for ToLog {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for ToLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(self.1, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ToLog {
    async fn ready(&mut self) {}
}
