//! What follows from the limits of the plugin runtime.
//!
//! The limits themselves are configuration: names, defaults, ranges and reasons are in [`crate::config`].
//! [`PluginLimits::validate`] refuses values with which the runtime could not keep its promises; nothing here
//! is adjusted in silence.

use std::time::Duration;

use super::fault::Allowed;
pub use crate::config::PluginLimits;
use crate::config::{Config, SETTINGS};

/// The size of a page of linear memory (WebAssembly core specification, 4.2.8).
pub(super) const PAGE_BYTES: usize = 64 * 1_024;
/// Guest threads per core where nothing is configured: a looping guest holds its thread until its
/// time-out, so there are more threads than cores.
const THREADS_PER_CORE: usize = 4;
/// Fewest guest threads where nothing is configured, so that one looping guest cannot be half of them.
const THREADS_MIN: usize = 4;

/// A limit with a value that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// Out of range.
    #[error("`{name}` {fault}")]
    Range {
        /// The limit.
        name: &'static str,
        /// What is wrong.
        fault: String,
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

    fn check_ranges(&self) -> Result<(), LimitsError> {
        let config = Config {
            plugins: self.clone(),
            ..Config::default()
        };
        for setting in SETTINGS
            .iter()
            .filter(|setting| setting.path.starts_with("plugins."))
        {
            let name = setting.path;
            setting
                .check(&config)
                .map_err(|fault| LimitsError::Range { name, fault })?;
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

    /// How long `describe` may take.
    pub(super) const fn for_describe(&self) -> Allowed {
        Allowed {
            setting: "plugins.describe_ms",
            ms: self.describe_ms,
        }
    }

    /// How long `configure` may take.
    pub(super) const fn for_configure(&self) -> Allowed {
        Allowed {
            setting: "plugins.configure_ms",
            ms: self.configure_ms,
        }
    }

    /// How long `transform` may take.
    pub(super) const fn for_transform(&self) -> Allowed {
        Allowed {
            setting: "plugins.transform_ms",
            ms: self.transform_ms,
        }
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
        assert_eq!(text, "`plugins.transform_ms` must be between 1ms and 1min");
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
