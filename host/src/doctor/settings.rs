//! Checks of the configuration: doors that are open, and what is said to the world in plain text.

use crate::checkup::Check;
use crate::config::{AllowWhat, Config};

/// A rule of `egress.allow` for a network with a shorter prefix than this opens more than a site's own
/// networks: 10.0.0.0/8 is the largest of those.
const PREFIX_WELL: u8 = 8;

/// All of them.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    vec![egress(config), listen(config)]
}

/// Which addresses may be reached that production keeps shut.
fn egress(config: &Config) -> Check {
    let egress = &config.egress;
    let mut open = Vec::new();
    if egress.allow_http {
        open.push("egress.allow_http: payloads may leave without encryption".to_owned());
    }
    if egress.allow_private_networks {
        let what = "egress.allow_private_networks: whoever may write subscriptions reaches this network";
        open.push(what.to_owned());
    }
    for rule in &egress.allow {
        if let AllowWhat::Network(network) = &rule.what
            && network.prefix_len() < PREFIX_WELL
        {
            open.push(format!("egress.allow lets {network} through, which is very much"));
        }
    }
    if open.is_empty() {
        let rules = match egress.allow.len() {
            0 => "nothing else".to_owned(),
            1 => "what one rule of egress.allow names".to_owned(),
            more => format!("what {more} rules of egress.allow name"),
        };
        return Check::ok("egress", format!("public addresses over HTTPS, and {rules}"));
    }
    let todo = "outside of development, switch them off and name what is needed in egress.allow";
    Check::warn("egress", open.join("; "), todo)
}

/// Whether keys and payloads cross a network in plain text.
fn listen(config: &Config) -> Check {
    let server = &config.server;
    let address = server.listen;
    if address.ip().is_loopback() {
        return Check::ok("listen", format!("{address}, this machine only"));
    }
    let secure = (server.public_url.as_deref()).is_some_and(|url| url.starts_with("https://"));
    if secure || !server.trusted_proxies.is_empty() {
        return Check::ok("listen", format!("{address}, behind a proxy that speaks TLS"));
    }
    Check::warn(
        "listen",
        format!("{address}, beyond this machine and without TLS: keys and payloads can be read on the way"),
        "listen on 127.0.0.1 behind a proxy that speaks TLS; if there is one, name it in \
         server.trusted_proxies, and its address in server.public_url",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Outcome;

    #[test]
    fn open_doors_are_named() {
        let mut config = Config::default();
        let outcome = |config: &Config| {
            let checks = checks(config);
            (checks[0].outcome, checks[1].outcome)
        };
        assert_eq!(outcome(&config), (Outcome::Ok, Outcome::Ok));
        config.egress.allow_http = true;
        config.server.listen = "0.0.0.0:8080".parse().unwrap();
        assert_eq!(outcome(&config), (Outcome::Warn, Outcome::Warn));
        config.egress.allow_http = false;
        config.server.public_url = Some("https://hooks.example.com".to_owned());
        assert_eq!(outcome(&config), (Outcome::Ok, Outcome::Ok));
    }
}
