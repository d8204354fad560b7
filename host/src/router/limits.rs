//! From the configuration to what each room takes. Rooms do not know each other, so this is wiring.

use crate::api;
use crate::config::{AllowWhat, Config, Egress};
use crate::egress::{AllowRule, AllowTarget, Limits, Policy};

impl Config {
    /// What a call of the API may cost.
    pub(super) fn api_limits(&self) -> api::Limits {
        api::Limits {
            body_bytes_max: self.server.body_bytes_max,
            component_bytes_max: self.plugins.component_bytes,
            body_timeout: self.server.body_timeout,
            answer_timeout: self.server.answer_timeout,
            watchers_max: self.server.watchers_max,
        }
    }

    /// What the listener allows.
    pub(super) fn server_limits(&self) -> api::server::Limits {
        api::server::Limits {
            connections_max: self.server.connections_max,
            head_timeout: self.server.header_timeout,
            drain_timeout: self.dispatch.drain,
        }
    }
}

impl Egress {
    /// Where requests may go.
    pub(crate) fn policy(&self) -> Policy {
        let rules = self.allow.iter().map(|rule| AllowRule {
            target: match &rule.what {
                AllowWhat::Network(network) => AllowTarget::Cidr(*network),
                AllowWhat::Host(name) => AllowTarget::Host(name.clone()),
            },
            http: rule.http,
        });
        Policy {
            allow: rules.collect(),
            allow_http: self.allow_http,
            allow_private_networks: self.allow_private_networks,
        }
    }

    /// How connections are made and kept.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connect_timeout: self.connect_timeout,
            pool_idle_timeout: self.pool_idle_timeout,
            pool_idle_per_host_max: self.pool_idle_per_host_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Given, layers};

    use super::*;

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
        let policy = config.egress.policy();
        assert!(policy.allow_http && !policy.allow_private_networks);
        let expected = [
            AllowRule {
                target: AllowTarget::Cidr("10.0.0.0/8".parse().unwrap()),
                http: true,
            },
            AllowRule {
                target: AllowTarget::Host("n8n.lan".to_owned()),
                http: false,
            },
        ];
        assert_eq!(policy.allow, expected);
    }
}
