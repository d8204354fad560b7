//! Which URLs a profile sends to: the products that say "HTTPS only" mean it, and still have to be tried
//! out on the machine of whoever builds for them.
//!
//! Invariant: what is not encrypted never leaves the machine under a profile that is for https only,
//! whatever the operator allows beside it.

use url::{Host, Url};

use super::Transport;

impl Transport {
    /// Whether a URL that the operator's egress policy allows is one that the profile sends to. Plain http
    /// to this very machine is: the policy allows it only where somebody develops (`--allow-http`).
    pub fn admits(self, url: &Url) -> bool {
        match self {
            Self::Policy => true,
            Self::HttpsOnly => url.scheme() == "https" || is_this_machine(url.host()),
        }
    }
}

/// Whether a host is a loopback address or the name that stands for one (RFC 6761, 6.3).
fn is_this_machine(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WF-04, WF-23, AE-01, WX-12.
    #[test]
    fn https_only_means_everything_but_this_machine() {
        let admitted = [
            "https://a.example/",
            "http://127.0.0.1:1/x",
            "http://[::1]/",
            "http://localhost:3000",
        ];
        let refused = [
            "http://a.example/",
            "http://10.0.0.1/",
            "http://localhost.a.example/",
            "http://[::ffff:a00:1]/",
            "http://0.0.0.0/",
        ];
        for (texts, expected) in [(&admitted[..], true), (&refused[..], false)] {
            for text in texts {
                let url = Url::parse(text).unwrap();
                assert_eq!(Transport::HttpsOnly.admits(&url), expected, "{text}");
                assert!(Transport::Policy.admits(&url), "{text}");
            }
        }
    }
}
