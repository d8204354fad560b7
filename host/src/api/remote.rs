//! Who sent a request, where proxies stand in front.
//!
//! The other end of the connection is known for certain. Only if that is a proxy that the operator
//! trusts, its `X-Forwarded-For` counts, read from its end: each trusted proxy added whom it saw, so the
//! first address from there that is no trusted proxy is the sender. What the sender itself wrote into
//! the header stands further left and is never reached.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Written by proxies, one after another, joined by commas.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Most addresses that are looked at: more proxies in a row nobody has.
const HOPS_MAX: usize = 32;

/// The address that sent a request.
pub fn sender(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut sender = peer;
    if !is_trusted(&sender) {
        return sender;
    }
    // Several header lines are one list, in their order (RFC 9110, section 5.3).
    let lines: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        // What cannot be read ends the chain: who wrote it is the last that is known.
        let Some(address) = address_in(hop) else { break };
        sender = address;
        if !is_trusted(&sender) {
            break;
        }
    }
    sender
}

/// An address, alone or with a port, as some proxies write it.
fn address_in(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare.parse().ok();
    let with_port = || {
        hop.parse::<std::net::SocketAddr>()
            .ok()
            .map(|address| address.ip())
    };
    parsed
        .or_else(with_port)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_trusted_proxies_wrote_counts() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "127.0.0.1/32"]
            .map(|text| text.parse().unwrap())
            .into();
        let table: [(&str, &[&str], &str); 12] = [
            ("203.0.113.9", &[], "203.0.113.9"),
            ("203.0.113.9", &["192.0.2.1"], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            // The sender wrote the first entry itself.
            ("127.0.0.1", &["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["198.51.100.1, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
            ("127.0.0.1", &["198.51.100.1", "192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            ("127.0.0.1", &["192.0.2.1, nonsense"], "127.0.0.1"),
        ];
        for (peer, lines, expected) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
            }
            let found = sender(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }
}
