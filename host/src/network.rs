//! Networks as people write them: `10.0.0.0/8`, or one address alone.
//!
//! An address of IPv4 has two spellings, and whoever connects is always compared in the short one
//! (`192.0.2.7`, not `::ffff:192.0.2.7`), so networks are read into that one too. Else a rule in the long
//! spelling would never hold.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Bits before an address of IPv4 in the spelling of IPv6 (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// The network that a text says; one of a single address where it is an address.
pub fn parse(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).map(canonical)
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(long) = network else {
        return network;
    };
    let short = long.addr().to_ipv4_mapped();
    let bits = long.prefix_len().checked_sub(MAPPED_BITS);
    let short = short
        .zip(bits)
        .and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    short.map_or(network, IpNet::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_in_one_spelling() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "x", "10.0.0.0/33", " 10.0.0.1", "10.0.0.1:80"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
