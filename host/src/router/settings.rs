//! From the configuration to what each room calls its own limits. One function a room.

use std::time::Duration;

use crate::config::{AllowWhat, Config};
use crate::dispatcher::QueueLimits;
use crate::egress::{AllowRule, AllowTarget, Policy};
use crate::plugin::PluginLimits;
use crate::retry::{JITTER_DEFAULT, Schedule, ScheduleFault, THROTTLES_MAX_DEFAULT};
use crate::store::Retention;
use crate::store::sqlite::SqliteOptions;
use crate::time::Timestamp;
use crate::{api, housekeeping};

/// Due rows in memory for one subscription; more are read from the ledger when there is room.
const LANE_ROWS_MAX: usize = 10_000;
/// Slow requests under way in all: each holds a connection and its body.
const SLOW_MAX: usize = 4_096;
/// Within this time an answer of the API must begin; long enough for a large plugin to be compiled.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Most people who may watch at once; each holds a connection and an entry in the feed.
const WATCHERS_MAX: usize = 64;

/// What may be reached.
pub(super) fn policy(config: &Config) -> Policy {
    let rule = |rule: &crate::config::AllowRule| AllowRule {
        target: match &rule.what {
            AllowWhat::Network(network) => AllowTarget::Cidr(*network),
            AllowWhat::Host(host) => AllowTarget::Host(host.clone()),
        },
        http: rule.http,
    };
    Policy {
        allow: config.egress.allow.iter().map(rule).collect(),
        allow_http: config.egress.allow_http,
        allow_private_networks: config.egress.allow_private_networks,
    }
}

/// What is granted to plugins. The configuration and the runtime name the same limits, in a test.
pub(super) fn plugins(config: &Config) -> PluginLimits {
    let written = serde_json::to_value(&config.plugins).expect("plain numbers");
    serde_json::from_value(written).expect("both name the same limits, as a test shows")
}

/// How much is in memory and under way.
pub(super) fn queue(config: &Config) -> QueueLimits {
    QueueLimits {
        in_flight_max: config.dispatch.in_flight_max,
        slow_max: SLOW_MAX,
        rows_max: config.dispatch.queue_capacity,
        lane_rows_max: LANE_ROWS_MAX,
    }
}

/// What takes the place of the profiles' schedules, if anything does.
pub(super) fn schedule(config: &Config) -> Result<Option<Schedule>, ScheduleFault> {
    let of = |waits| Schedule::new(waits, JITTER_DEFAULT, THROTTLES_MAX_DEFAULT);
    config.dispatch.retry_waits.clone().map(of).transpose()
}

/// How the database is opened.
pub(super) fn store(config: &Config, now: Timestamp) -> SqliteOptions {
    SqliteOptions {
        dir: config.data_dir.clone(),
        segment_bytes: config.store.segment_bytes,
        readers: config.store.readers,
        now,
    }
}

/// How long things are kept.
pub(super) fn keeping(config: &Config) -> housekeeping::Keeping {
    housekeeping::Keeping {
        history: Retention { age: config.store.retention, bytes: config.store.retention_bytes },
        held_max: config.dispatch.held_max,
    }
}

/// What a request of the API may cost.
pub(super) fn api(config: &Config) -> api::Limits {
    api::Limits {
        body_bytes_max: config.server.body_bytes_max,
        component_bytes_max: config.plugins.component_bytes,
        events_max: config.ingest.events_per_call_max,
        body_timeout: config.server.body_timeout,
        answer_timeout: ANSWER_TIMEOUT,
        watchers_max: WATCHERS_MAX,
    }
}

/// What the listener allows.
pub(super) fn server(config: &Config) -> api::server::Limits {
    api::server::Limits {
        connections_max: config.server.connections_max,
        head_timeout: config.server.header_timeout,
        drain_timeout: config.dispatch.drain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_and_the_runtime_name_the_same_plugin_limits() {
        assert_eq!(plugins(&Config::default()), PluginLimits::default());
    }
}
