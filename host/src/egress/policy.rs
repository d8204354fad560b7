//! What the operator allows beyond the public internet over HTTPS.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Host;

use super::address::{Reach, behind_nat64, classify};

/// What may be reached. The default: public addresses over HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Exceptions, each for one network or one host.
    pub allow: Vec<AllowRule>,
    /// Plain HTTP everywhere; for development.
    pub allow_http: bool,
    /// Loopback and private networks, all of them; for development.
    pub allow_private_networks: bool,
}

/// One exception; written `{ cidr = "10.0.0.0/8" }` or `{ host = "n8n.lan", http = true }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct AllowRule {
    /// What it opens.
    pub target: AllowTarget,
    /// Whether plain HTTP is allowed there too. For a network this counts for URLs that have the address
    /// itself; a name needs a rule of its own.
    pub http: bool,
}

/// What an exception opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowTarget {
    /// A network, such as `10.0.0.0/8`, or a single address.
    Cidr(IpNet),
    /// Exactly this host name, whatever private address it resolves to.
    Host(String),
}

/// What is wrong with an exception.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// Not exactly one of both.
    #[error("a rule of egress.allow needs either `cidr` or `host`")]
    Target,
    /// Not a network.
    #[error("`{text}` is not a network such as 10.0.0.0/8, nor an address")]
    Cidr {
        /// What was written.
        text: String,
    },
    /// Not a host name.
    #[error("`{text}` is not a host name; a rule names one host, without scheme, port or `*`")]
    Host {
        /// What was written.
        text: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(default)]
    http: bool,
}

impl TryFrom<Written> for AllowRule {
    type Error = RuleFault;

    fn try_from(written: Written) -> Result<Self, RuleFault> {
        let target = match (written.cidr, written.host) {
            (Some(text), None) => match crate::network::parse(&text) {
                Some(net) => AllowTarget::Cidr(net),
                None => return Err(RuleFault::Cidr { text }),
            },
            (None, Some(text)) => match Host::parse(&text) {
                // In the spelling that URLs have: lower case, punycode.
                Ok(Host::Domain(name)) if !name.contains('*') => AllowTarget::Host(name),
                _ => return Err(RuleFault::Host { text }),
            },
            (Some(_), Some(_)) | (None, None) => return Err(RuleFault::Target),
        };
        Ok(Self {
            target,
            http: written.http,
        })
    }
}

impl From<AllowRule> for Written {
    fn from(rule: AllowRule) -> Self {
        let (cidr, host) = match rule.target {
            AllowTarget::Cidr(net) => (Some(net.to_string()), None),
            AllowTarget::Host(name) => (None, Some(name)),
        };
        Self {
            cidr,
            host,
            http: rule.http,
        }
    }
}

/// Why an address may not be reached, and the line that would change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    host: String,
    literal: Option<IpAddr>,
    reach: Reach,
}

impl Policy {
    /// Whether a connection to `address` may be made for a URL whose host is `host`.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let reach = classify(address);
        let allowed = match reach {
            Reach::Public => true,
            // No switch and no rule opens these.
            Reach::Never(_) => false,
            Reach::Private(_) => self.allow_private_networks || self.names(host) || self.covers(address),
            Reach::Special(_) => match address {
                // A site with DNS64 allows the prefix; what is behind it is judged as itself.
                IpAddr::V6(outer) if self.covers(address) => {
                    behind_nat64(outer).is_none_or(|inner| self.check_address(host, inner.into()).is_ok())
                }
                IpAddr::V6(_) => false,
                IpAddr::V4(_) => self.covers(address),
            },
        };
        if allowed {
            return Ok(());
        }
        Err(Refusal {
            host: host.to_owned(),
            literal: host.trim_matches(['[', ']']).parse().ok(),
            reach,
        })
    }

    /// Whether a name that is not a public one may be used at all.
    pub(super) fn allows_inside_names(&self, host: &str) -> bool {
        self.allow_private_networks || self.names(host)
    }

    /// Whether plain HTTP may be spoken to this host.
    pub(super) fn allows_http(&self, host: &str, literal: Option<IpAddr>) -> bool {
        self.allow_http
            || self.allow.iter().any(|rule| {
                rule.http
                    && match &rule.target {
                        AllowTarget::Host(name) => same_name(name, host),
                        AllowTarget::Cidr(net) => {
                            literal.is_some_and(|address| net.contains(&address.to_canonical()))
                        }
                    }
            })
    }

    fn names(&self, host: &str) -> bool {
        let named =
            |rule: &AllowRule| matches!(&rule.target, AllowTarget::Host(name) if same_name(name, host));
        self.allow.iter().any(named)
    }

    fn covers(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let covered =
            |rule: &AllowRule| matches!(&rule.target, AllowTarget::Cidr(net) if net.contains(&address));
        self.allow.iter().any(covered)
    }
}

/// Whole names only: `example.com` opens neither `evilexample.com` nor `example.com.evil.net`.
fn same_name(rule: &str, host: &str) -> bool {
    rule.trim_end_matches('.')
        .eq_ignore_ascii_case(host.trim_end_matches('.'))
}

impl Refusal {
    /// Whether no configuration opens the address.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.reach, Reach::Never(_))
    }

    /// The switch that opens the address as well, for who only tries things on one machine. It stands
    /// before the line for the configuration, which is there to be copied.
    fn switch(&self) -> &'static str {
        match self.reach {
            Reach::Private(_) => "use `hookway serve --allow-private-networks` to develop, or ",
            Reach::Public | Reach::Special(_) | Reach::Never(_) => "",
        }
    }
}

/// Does not say which address a name has: who chose the name need not learn what our resolver knows.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.reach.what();
        match (self.literal, self.reach) {
            (Some(address), Reach::Never(_)) => write!(f, "{address} is {what}; it can never be reached"),
            (None, Reach::Never(_)) => write!(f, "`{}` leads to {what}; it can never be reached", self.host),
            (Some(address), _) => {
                let address = address.to_canonical();
                let length = if address.is_ipv4() { 32 } else { 128 };
                write!(
                    f,
                    "{address} is {what}; to allow it, {}add to the configuration: \
                     egress.allow = [{{ cidr = \"{address}/{length}\" }}]",
                    self.switch()
                )
            }
            (None, Reach::Special(_)) => write!(
                f,
                "`{}` leads to an address that is {what}; to allow it, add its network to the configuration: \
                 egress.allow = [{{ cidr = \"…\" }}]",
                self.host
            ),
            (None, _) => write!(
                f,
                "`{0}` leads to {what}; to allow it, {1}add to the configuration: \
                 egress.allow = [{{ host = \"{0}\" }}]",
                self.host,
                self.switch()
            ),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        toml::from_str(text).unwrap()
    }

    fn check(policy: &Policy, host: &str, address: &str) -> Result<(), String> {
        policy
            .check_address(host, address.parse().unwrap())
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn the_line_that_is_printed_opens_what_was_refused() {
        for (host, address) in [
            ("10.0.0.5", "10.0.0.5"),
            ("[fd12::5]", "fd12::5"),
            ("n8n.lan", "192.168.0.7"),
        ] {
            let refused = check(&Policy::default(), host, address).unwrap_err();
            let (_, line) = refused.split_once("egress.").unwrap();
            assert_eq!(check(&policy(line), host, address), Ok(()), "{refused}");
        }
        let refused = check(&Policy::default(), "10.0.0.5", "10.0.0.5").unwrap_err();
        assert!(
            refused.ends_with(r#"egress.allow = [{ cidr = "10.0.0.5/32" }]"#),
            "{refused}"
        );
        let hidden = check(&Policy::default(), "n8n.lan", "192.168.0.7").unwrap_err();
        assert!(!hidden.contains("192.168"), "{hidden}");
    }

    #[test]
    fn rules_are_checked_and_survive_being_written() {
        let rules = policy("allow = [{ cidr = \"10.0.0.5\" }, { host = \"Bücher.example\", http = true }]");
        assert_eq!(policy(&toml::to_string(&rules).unwrap()), rules);
        assert_eq!(check(&rules, "xn--bcher-kva.example", "10.9.9.9"), Ok(()));
        for text in [
            "{}",
            "{ cidr = \"10.0.0.0/40\" }",
            "{ host = \"*.example.com\" }",
            "{ host = \"https://a.b\" }",
            "{ host = \"10.0.0.1\" }",
            "{ host = \"a.b\", cidr = \"10.0.0.0/8\" }",
            "{ host = \"a.b\", color = 1 }",
        ] {
            assert!(
                toml::from_str::<Policy>(&format!("allow = [{text}]")).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn metadata_is_never_opened() {
        let all = policy(
            r#"
            allow_http = true
            allow_private_networks = true
            allow = [{ cidr = "0.0.0.0/0", http = true }, { cidr = "::/0" }, { host = "metadata.internal" }]
        "#,
        );
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "0.0.0.0",
            "224.0.0.1",
        ] {
            assert!(check(&all, "metadata.internal", address).is_err(), "{address}");
            assert!(
                check(&all, address, address).unwrap_err().contains("never"),
                "{address}"
            );
        }
        assert_eq!(check(&all, "127.0.0.1", "127.0.0.1"), Ok(()));
    }

    #[test]
    fn rules_open_what_they_name_and_no_more() {
        let rules = policy("allow = [{ cidr = \"10.1.0.0/16\" }, { host = \"example.com\", http = true }]");
        assert_eq!(check(&rules, "a.b", "10.1.2.3"), Ok(()));
        assert_eq!(check(&rules, "[::ffff:10.1.2.3]", "::ffff:10.1.2.3"), Ok(()));
        assert!(check(&rules, "a.b", "10.2.0.1").is_err());
        assert_eq!(check(&rules, "Example.com.", "192.168.0.1"), Ok(()));
        for host in [
            "evilexample.com",
            "example.com.evil.net",
            "a.example.com",
            "exаmple.com",
        ] {
            assert!(check(&rules, host, "192.168.0.1").is_err(), "{host}");
            assert!(!rules.allows_http(host, None), "{host}");
        }
        assert!(rules.allows_http("example.com", None));
        // A rule for a host is about private networks; it does not open what is special.
        assert!(check(&rules, "example.com", "240.0.0.1").is_err());
    }

    #[test]
    fn nat64_is_opened_by_its_prefix_and_judged_by_what_is_behind() {
        let site = policy("allow = [{ cidr = \"64:ff9b::/96\" }]");
        assert_eq!(check(&site, "a.b", "64:ff9b::5db8:d822"), Ok(()));
        assert!(check(&Policy::default(), "a.b", "64:ff9b::5db8:d822").is_err());
        assert!(check(&site, "a.b", "64:ff9b::a00:1").is_err());
        assert!(check(&site, "a.b", "64:ff9b::a9fe:a9fe").is_err());
    }
}
