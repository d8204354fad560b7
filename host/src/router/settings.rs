//! From the configuration to what each room calls its own limits. One function a room.

use std::time::Duration;

use crate::config::{AllowWhat, Config, MetricsFor, UnknownTypes, Validate};
use crate::dispatcher::QueueLimits;
use crate::egress::{AllowRule, AllowTarget, Policy};
use crate::registry::event_types::{Checks, Strictness};
use crate::retry::{JITTER_DEFAULT, RETRY_AFTER_SPREAD_MAX, Schedule, ScheduleFault, THROTTLES_MAX_DEFAULT};
use crate::store::Retention;
use crate::store::sqlite::SqliteOptions;
use crate::time::Timestamp;
use crate::verdict::RETRY_AFTER_MAX;
use crate::{alert, api, egress, housekeeping, intake};

/// Due rows in memory for one subscription; more are read from the ledger when there is room.
const LANE_ROWS_MAX: usize = 10_000;
/// Slow requests under way in all: each holds a connection and its body.
const SLOW_MAX: usize = 4_096;

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

/// What events of the API are held to.
pub(super) fn checks(config: &Config) -> Checks {
    Checks {
        payloads: match config.ingest.validate {
            Validate::Off => Strictness::Off,
            Validate::Refuse => Strictness::Refuse,
        },
        unknown_types: match config.ingest.unknown_types {
            UnknownTypes::Accept => Strictness::Off,
            UnknownTypes::Refuse => Strictness::Refuse,
        },
    }
}

/// How connections to endpoints are made and kept.
pub(super) fn egress(config: &Config) -> egress::Limits {
    egress::Limits {
        connect_timeout: config.egress.connect_timeout,
        pool_idle_timeout: config.egress.pool_idle_timeout,
        pool_idle_per_host_max: config.egress.pool_idle_per_host_max,
    }
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

/// What takes the place of the schedules of subscriptions and profiles, if anything does.
pub(super) fn schedule(config: &Config) -> Result<Option<Schedule>, ScheduleFault> {
    let of = |waits| Schedule::new(waits, JITTER_DEFAULT, THROTTLES_MAX_DEFAULT);
    config.dispatch.retry_waits.clone().map(of).transpose()
}

/// The longest that anything but a schedule may ask a delivery to wait: an endpoint, or a plugin.
pub(super) fn wait_max(config: &Config) -> Duration {
    let plugin = Duration::from_millis(config.plugins.delay_ms.into());
    plugin.max(RETRY_AFTER_MAX + RETRY_AFTER_SPREAD_MAX)
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
        history: Retention {
            age: config.store.retention,
            bytes: config.store.retention_bytes,
        },
        held_max: config.dispatch.held_max,
    }
}

/// From where on something is wrong.
pub(super) fn alerts(config: &Config) -> alert::Limits {
    let limits = &config.alerts;
    alert::Limits {
        error_rate_percent: limits.error_rate_percent,
        error_rate_attempts_min: limits.error_rate_attempts_min,
        retry_lag: limits.retry_lag,
        duplicates_percent: limits.duplicates_percent,
        duplicates_events_min: limits.duplicates_events_min,
        subscription_disabled: limits.subscription_disabled,
        calm: limits.calm,
    }
}

/// What a request to a source may cost.
pub(super) fn intake(config: &Config) -> intake::Limits {
    intake::Limits {
        body_bytes_max: config.sources.body_bytes_max,
        commit_timeout: config.sources.commit_timeout,
        events_max: config.ingest.events_per_call_max,
    }
}

/// What a request of the API may cost.
pub(super) fn api(config: &Config) -> api::Limits {
    api::Limits {
        body_bytes_max: config.server.body_bytes_max,
        component_bytes_max: config.plugins.component_bytes,
        events_max: config.ingest.events_per_call_max,
        body_timeout: config.server.body_timeout,
        answer_timeout: config.server.answer_timeout,
        watchers_max: config.server.watchers_max,
        trusted_proxies: config.server.trusted_proxies.clone(),
    }
}

/// Who may read `/metrics`.
pub(super) fn metrics_for(config: &Config) -> api::metrics::Readers {
    match config.server.metrics {
        MetricsFor::Key => api::metrics::Readers::Keyed,
        MetricsFor::Open => api::metrics::Readers::Everybody,
    }
}

/// What the listener allows.
pub(super) fn server(config: &Config) -> api::server::Limits {
    api::server::Limits {
        connections_max: config.server.connections_max,
        head_timeout: config.server.header_timeout,
        send_timeout: config.server.send_timeout,
        drain_timeout: config.dispatch.drain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, layers};

    #[test]
    fn rules_of_the_configuration_are_rules_of_egress() {
        let text = "[egress]\nallow_http = true\nallow = [{ cidr = \"10.0.0.0/8\", http = true }, { host = \"N8N.lan\" }]";
        let file = Some(("hookway.toml".into(), text.to_owned()));
        let config = layers::resolve(&Given {
            file,
            ..Given::default()
        })
        .unwrap()
        .config;
        let policy = policy(&config);
        assert!(policy.allow_http && !policy.allow_private_networks);
        let network = AllowTarget::Cidr("10.0.0.0/8".parse().unwrap());
        let host = AllowTarget::Host("n8n.lan".to_owned());
        let expected = [
            AllowRule {
                target: network,
                http: true,
            },
            AllowRule {
                target: host,
                http: false,
            },
        ];
        assert_eq!(policy.allow, expected);
    }
}
