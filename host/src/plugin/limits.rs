//! Every limit of the plugin runtime: its name, its default and why.
//!
//! This is configuration (`[plugins]` in `hookway.toml`), so it is plain numbers with the unit in the
//! name. [`PluginLimits::validate`] refuses values with which the runtime could not keep its promises;
//! nothing here is adjusted in silence.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The size of a page of linear memory (WebAssembly core specification, 4.2.8).
pub(super) const PAGE_BYTES: usize = 64 * 1_024;
/// Guest threads per core where nothing is configured: a looping guest holds its thread until its
/// time-out, so there are more threads than cores.
const THREADS_PER_CORE: usize = 4;
/// Fewest guest threads where nothing is configured, so that one looping guest cannot be half of them.
const THREADS_MIN: usize = 4;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr, $least:expr, $most:expr;)*) => {
        /// What the runtime grants to plugins and to itself.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct PluginLimits {$(
            $(#[$doc])*
            pub $name: $kind,
        )*}

        impl Default for PluginLimits {
            fn default() -> Self {
                Self {$($name: $default,)*}
            }
        }

        impl PluginLimits {
            fn check_ranges(&self) -> Result<(), LimitsError> {
                $({
                    const LEAST: $kind = $least;
                    const MOST: $kind = $most;
                    check(stringify!($name), self.$name as u64, LEAST as u64, MOST as u64)?;
                })*
                Ok(())
            }
        }
    };
}

limits! {
    /// Largest component, in bytes. A Rust plugin has 70 to 200 KiB; a whole jq has a few MiB.
    component_bytes: usize = 8 << 20, 1 << 10, 256 << 20;
    /// Largest body of one function, in bytes: compile time is quadratic in its control blocks, and
    /// this many of nothing else take the compiler's whole time. The largest function of a whole jq
    /// has 25 KiB.
    function_bytes: usize = 256 << 10, 1 << 10, 8 << 20;
    /// Deepest nesting of control blocks in one function: compile time explodes with it.
    control_depth: usize = 256, 16, 4_096;
    /// Most locals of one function: many live locals cost half a GiB while compiling.
    function_locals: usize = 2_000, 64, 50_000;
    /// Most functions of one component: artefacts grow to twenty times the input.
    functions: usize = 20_000, 16, 1_000_000;
    /// Most instances that instantiating one component makes, counted through nested components:
    /// two kilobytes of nesting can ask for gigabytes.
    flattened_instances: usize = 200, 8, 10_000;
    /// Longest wall-clock time for compiling one component, in milliseconds.
    compile_wall_ms: u64 = 20_000, 100, 600_000;
    /// Longest processor time for compiling one component, in seconds.
    compile_cpu_seconds: u64 = 10, 1, 600;
    /// Address space of the compiling process, in bytes.
    compile_address_space_bytes: u64 = 2 << 30, 256 << 20, 64 << 30;
    /// Largest compiled artefact, in bytes.
    artefact_bytes: usize = 64 << 20, 1 << 20, 1 << 30;
    /// All compiled artefacts on disk together, in bytes; the oldest are removed beyond it.
    artefact_directory_bytes: u64 = 1 << 30, 1 << 20, 1 << 40;

    /// Longest `describe`, in milliseconds.
    describe_ms: u64 = 200, 1, 60_000;
    /// Longest `configure`, in milliseconds. An instance is configured once.
    configure_ms: u64 = 200, 1, 60_000;
    /// Longest `transform`, in milliseconds of wall-clock time. A usual one takes a twentieth of one;
    /// the rest is room for a machine that is busy with something else.
    transform_ms: u64 = 100, 1, 60_000;
    /// How often the time of running guests is checked, in milliseconds. Only while one runs.
    tick_ms: u64 = 5, 1, 1_000;

    /// Linear memory of one instance, summed over its memories, in bytes.
    memory_bytes: usize = 32 << 20, 64 << 10, 1 << 30;
    /// Most linear memories of one instance. Compilers make one.
    memories: u32 = 1, 1, 16;
    /// Most tables of one instance. Compilers make one or two.
    tables: u32 = 8, 1, 64;
    /// Most elements of one table.
    table_elements: usize = 10_000, 16, 1_000_000;
    /// Most core instances of one component. Compilers make three or four.
    core_instances: u32 = 8, 1, 200;
    /// Stack of the guest, in bytes; the threads have eight times as much.
    stack_bytes: usize = 512 << 10, 64 << 10, 2 << 20;
    /// Most resource handles that one instance may hold at once.
    resource_handles: usize = 256, 16, 100_000;

    /// Most bytes that cross from the guest to the host in one call, by wasmtime's own counting.
    output_bytes: usize = 1_088 << 10, 1 << 10, 64 << 20;
    /// Most requests from one run.
    requests: usize = 16, 1, 1_000;
    /// Most events from one run.
    events: usize = 16, 0, 1_000;
    /// Largest body of one request, and largest data of one event, in bytes.
    body_bytes: usize = 256 << 10, 1, 16 << 20;
    /// Most headers of one request.
    headers: usize = 32, 0, 256;
    /// All header names and values of one request together, in bytes.
    header_bytes: usize = 8 << 10, 0, 64 << 10;
    /// Longest reason, in bytes; the rest is cut off.
    reason_bytes: usize = 1 << 10, 64, 64 << 10;
    /// Longest pause that a plugin may ask for, in milliseconds (`delay-ms` and `retry`).
    delay_ms: u32 = 86_400_000, 0, u32::MAX;
    /// Most log lines kept of one run; the others are counted.
    log_lines: usize = 64, 0, 10_000;
    /// Longest log line, in bytes; the rest is cut off.
    log_line_bytes: usize = 1 << 10, 16, 64 << 10;

    /// Threads that run guests; 0 means four for every core, and four at the least.
    threads: usize = 0, 0, 4_096;
    /// Most runs waiting for a thread; further callers wait their turn to queue.
    queue: usize = 1_024, 1, 100_000;
    /// Most instances kept between events. The pool of slots follows from it.
    kept_instances: usize = 1_000, 0, 30_000;
    /// Linear memory of all kept instances together, in bytes.
    kept_bytes: usize = 256 << 20, 0, 1 << 40;
    /// An instance is thrown away after this many runs.
    kept_runs: u32 = 10_000, 1, u32::MAX;
    /// An instance is thrown away when its memory has grown beyond this, in bytes.
    kept_instance_bytes: usize = 8 << 20, 64 << 10, 1 << 30;
    /// An instance is thrown away when nothing used it for this long, in milliseconds. Looked at
    /// when instances come and go, not by a timer.
    kept_idle_ms: u64 = 300_000, 1, 86_400_000;

    /// Memory of a slot of the pool that stays resident when its instance goes, in bytes. More than a
    /// guest touches costs more than it saves.
    pool_memory_resident_bytes: usize = 64 << 10, 0, 16 << 20;
    /// As `pool_memory_resident_bytes`, for tables.
    pool_table_resident_bytes: usize = 8 << 10, 0, 1 << 20;
    /// Slots that are given back to the kernel at once.
    pool_decommit_batch: usize = 16, 1, 1_024;
}

/// A limit with a value that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// Out of range.
    #[error("`plugins.{name}` is {value}; it must be {least} to {most}")]
    Range {
        /// The limit.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// Smaller than something that must fit into it.
    #[error("`plugins.{name}` is smaller than `plugins.{part}`, which must fit into it")]
    TooSmall {
        /// The limit.
        name: &'static str,
        /// What must fit.
        part: &'static str,
    },
}

fn check(name: &'static str, value: u64, least: u64, most: u64) -> Result<(), LimitsError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(LimitsError::Range {
            name,
            value,
            least,
            most,
        })
    }
}

impl PluginLimits {
    /// Says whether the runtime can work with these.
    pub fn validate(&self) -> Result<(), LimitsError> {
        self.check_ranges()?;
        if self.memory_bytes < self.kept_instance_bytes {
            return Err(LimitsError::TooSmall {
                name: "memory_bytes",
                part: "kept_instance_bytes",
            });
        }
        if self.output_bytes < self.body_bytes {
            return Err(LimitsError::TooSmall {
                name: "output_bytes",
                part: "body_bytes",
            });
        }
        Ok(())
    }

    /// How many threads run guests on a machine with this many cores.
    pub(super) fn threads_on(&self, cores: usize) -> usize {
        match self.threads {
            0 => (cores * THREADS_PER_CORE).max(THREADS_MIN),
            threads => threads,
        }
    }

    /// Slots of the pool: every thread may run one instance while all that may be kept are kept.
    pub(super) fn pool_slots(&self, threads: usize) -> u32 {
        u32::try_from(self.kept_instances + threads).unwrap_or(u32::MAX)
    }

    /// A time limit as a number of ticks. The first tick may come at once, so there is one more.
    pub(super) fn ticks(&self, limit_ms: u64) -> u64 {
        limit_ms.div_ceil(self.tick_ms) + 1
    }

    /// Between two ticks.
    pub(super) const fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_toml() {
        let limits = PluginLimits::default();
        assert_eq!(limits.validate(), Ok(()));
        let text = toml::to_string(&limits).unwrap();
        assert_eq!(toml::from_str::<PluginLimits>(&text).unwrap(), limits);
        assert_eq!(toml::from_str::<PluginLimits>("").unwrap(), limits);
        assert!(toml::from_str::<PluginLimits>("transfrom_ms = 5").is_err());
    }

    #[test]
    fn impossible_values_are_named() {
        let zero = PluginLimits {
            transform_ms: 0,
            ..PluginLimits::default()
        };
        let text = zero.validate().unwrap_err().to_string();
        assert_eq!(text, "`plugins.transform_ms` is 0; it must be 1 to 60000");
        let small = PluginLimits {
            memory_bytes: 1 << 20,
            ..PluginLimits::default()
        };
        assert!(matches!(small.validate(), Err(LimitsError::TooSmall { .. })));
    }

    #[test]
    fn a_deadline_is_never_early() {
        let limits = PluginLimits {
            tick_ms: 10,
            ..PluginLimits::default()
        };
        assert_eq!(limits.ticks(50), 6);
        assert_eq!(limits.ticks(51), 7);
        assert_eq!(limits.threads_on(1), 4);
        assert_eq!(limits.threads_on(8), 32);
    }
}
