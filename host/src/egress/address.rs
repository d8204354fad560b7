//! What an IP address is, judged by its bits alone.
//!
//! IPv4 is public unless it lies in a special block (the IANA special-purpose registry, multicast, the
//! reserved class E, and addresses that cloud platforms use for themselves). IPv6 is the other way
//! round: only 2000::/3 is public, without the blocks in it that are special. An IPv6 address that
//! carries an IPv4 address is judged as the worse of both, so that no spelling of 169.254.169.254 helps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches, and what stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// A public address.
    Public,
    /// The operator's own networks, which `allow_private_networks` opens.
    Private(&'static str),
    /// Something special that only a rule for this very network opens.
    Special(&'static str),
    /// Never: metadata services of cloud platforms, link-local, multicast, the unspecified address.
    Never(&'static str),
}

impl Reach {
    /// What the address is, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private(what) | Self::Special(what) | Self::Never(what) => what,
        }
    }
}

/// An IPv4 block: first address, prefix length, what it is.
const V4: [([u8; 4], u32, Reach); 24] = [
    ([168, 63, 129, 16], 32, Reach::Never("a metadata service (Azure)")),
    (
        [100, 100, 100, 200],
        32,
        Reach::Never("a metadata service (Alibaba Cloud)"),
    ),
    (
        [192, 0, 0, 192],
        32,
        Reach::Never("a metadata service (Oracle Cloud)"),
    ),
    (
        [169, 254, 0, 0],
        16,
        Reach::Never("link-local, where metadata services live"),
    ),
    ([0, 0, 0, 0], 8, Reach::Never("this host")),
    ([224, 0, 0, 0], 4, Reach::Never("multicast")),
    ([255, 255, 255, 255], 32, Reach::Never("broadcast")),
    ([127, 0, 0, 0], 8, Reach::Private("loopback")),
    ([10, 0, 0, 0], 8, Reach::Private("a private network")),
    ([172, 16, 0, 0], 12, Reach::Private("a private network")),
    ([192, 168, 0, 0], 16, Reach::Private("a private network")),
    ([100, 64, 0, 0], 10, Reach::Private("a shared network (CGNAT)")),
    ([192, 0, 0, 0], 24, Reach::Special("reserved for protocols")),
    ([192, 0, 2, 0], 24, Reach::Special("reserved for documentation")),
    (
        [198, 51, 100, 0],
        24,
        Reach::Special("reserved for documentation"),
    ),
    ([203, 0, 113, 0], 24, Reach::Special("reserved for documentation")),
    (
        [192, 31, 196, 0],
        24,
        Reach::Special("an anycast service (AS112)"),
    ),
    (
        [192, 175, 48, 0],
        24,
        Reach::Special("an anycast service (AS112)"),
    ),
    ([192, 52, 193, 0], 24, Reach::Special("an anycast service (AMT)")),
    ([192, 88, 99, 0], 24, Reach::Special("a 6to4 relay")),
    ([198, 18, 0, 0], 15, Reach::Special("reserved for benchmarks")),
    ([240, 0, 0, 0], 4, Reach::Special("reserved")),
    // Shown as a block of their own so that nobody wonders: both are inside 0.0.0.0/8.
    ([0, 0, 0, 0], 32, Reach::Never("the unspecified address")),
    ([0, 0, 0, 1], 32, Reach::Never("this host")),
];

/// An IPv6 block: first segments, prefix length, what it is.
const V6: [([u16; 8], u32, Reach); 16] = [
    (
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0],
        32,
        Reach::Never("a metadata service (AWS)"),
    ),
    (
        [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0],
        32,
        Reach::Never("a metadata service (Google Cloud)"),
    ),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Reach::Never("link-local")),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Reach::Never("multicast")),
    (
        [0, 0, 0, 0, 0, 0, 0, 0],
        128,
        Reach::Never("the unspecified address"),
    ),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Reach::Private("loopback")),
    (
        [0xfc00, 0, 0, 0, 0, 0, 0, 0],
        7,
        Reach::Private("a private network"),
    ),
    (
        [0xfec0, 0, 0, 0, 0, 0, 0, 0],
        10,
        Reach::Special("a site-local network"),
    ),
    (
        [0x0064, 0xff9b, 0, 0, 0, 0, 0, 0],
        96,
        Reach::Special("an IPv4 address behind NAT64"),
    ),
    (
        [0x0064, 0xff9b, 1, 0, 0, 0, 0, 0],
        48,
        Reach::Special("an IPv4 address behind local NAT64"),
    ),
    (
        [0x0100, 0, 0, 0, 0, 0, 0, 0],
        64,
        Reach::Special("the discard prefix"),
    ),
    (
        [0x2001, 0, 0, 0, 0, 0, 0, 0],
        23,
        Reach::Special("reserved for protocols (Teredo and others)"),
    ),
    (
        [0x2001, 0x0db8, 0, 0, 0, 0, 0, 0],
        32,
        Reach::Special("reserved for documentation"),
    ),
    (
        [0x2002, 0, 0, 0, 0, 0, 0, 0],
        16,
        Reach::Special("an IPv4 address by 6to4"),
    ),
    (
        [0x3fff, 0, 0, 0, 0, 0, 0, 0],
        20,
        Reach::Special("reserved for documentation"),
    ),
    (
        [0x5f00, 0, 0, 0, 0, 0, 0, 0],
        16,
        Reach::Special("reserved for segment routing"),
    ),
];

/// What an address is.
pub fn classify(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> Reach {
    let bits = address.to_bits();
    let within = |(first, length, _): &&([u8; 4], u32, Reach)| {
        let first = Ipv4Addr::from(*first).to_bits();
        (bits ^ first).leading_zeros() >= *length
    };
    V4.iter().find(within).map_or(Reach::Public, |(.., reach)| *reach)
}

fn classify_v6(address: Ipv6Addr) -> Reach {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return classify_v4(mapped);
    }
    let bits = address.to_bits();
    let within = |(first, length, _): &&([u16; 8], u32, Reach)| {
        let first = Ipv6Addr::from(*first).to_bits();
        (bits ^ first).leading_zeros() >= *length
    };
    let global = address.segments()[0] & 0xe000 == 0x2000;
    let block = match V6.iter().find(within) {
        Some((.., reach)) => *reach,
        None if global => Reach::Public,
        None => Reach::Special("outside of the public IPv6 space"),
    };
    embedded(address).map_or(block, |(inner, how)| {
        let inner = classify_v4(inner);
        // Who embeds an address means it to be reached by a way that we do not know.
        block.max(inner).max(Reach::Special(how))
    })
}

/// The IPv4 address inside an IPv6 address, for each way there is to put one there.
fn embedded(address: Ipv6Addr) -> Option<(Ipv4Addr, &'static str)> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low] => Some((v4(high, low), "an IPv4-compatible address")),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some((v4(high, low), "an IPv4 address by SIIT")),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((v4(high, low), "an IPv4 address behind NAT64")),
        [0x64, 0xff9b, 1, .., high, low] => Some((v4(high, low), "an IPv4 address behind local NAT64")),
        [0x2002, high, low, ..] => Some((v4(high, low), "an IPv4 address by 6to4")),
        [0x2001, 0, .., high, low] => Some((v4(!high, !low), "an IPv4 address by Teredo")),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some((v4(high, low), "an IPv4 address by ISATAP")),
        _ => None,
    }
}

/// The IPv4 address behind the well-known prefix of NAT64, for sites that have DNS64.
pub(super) fn behind_nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reach(text: &str) -> Reach {
        classify(text.parse().unwrap())
    }

    #[test]
    fn examples_of_each_kind() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700:4700::1111",
            "2a00::1",
            "2001:200::1",
        ] {
            assert_eq!(reach(text), Reach::Public, "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(
                matches!(reach(text), Reach::Private(_)),
                "{text}: {:?}",
                reach(text)
            );
        }
        for text in [
            "198.18.0.1",
            "192.0.2.1",
            "240.0.0.1",
            "64:ff9b::808:808",
            "2001:db8::1",
            "fec0::1",
            "4000::1",
            "::2",
        ] {
            assert!(
                !matches!(reach(text), Reach::Public | Reach::Private(_)),
                "{text}: {:?}",
                reach(text)
            );
        }
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "ff02::1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2::5601:5601",
            "2600:1::5efe:a9fe:a9fe",
            "::a9fe:a9fe",
        ] {
            assert!(
                matches!(reach(text), Reach::Never(_)),
                "{text}: {:?}",
                reach(text)
            );
        }
    }

    fn forbidden_v4() -> impl Strategy<Value = Ipv4Addr> {
        (0..V4.len(), any::<u32>()).prop_map(|(block, random)| {
            let (first, length, _) = V4[block];
            let mask = u32::MAX.checked_shr(length).unwrap_or(0);
            Ipv4Addr::from_bits(Ipv4Addr::from(first).to_bits() | random & mask)
        })
    }

    fn embeddings(inner: Ipv4Addr) -> Vec<Ipv6Addr> {
        let bits = inner.to_bits();
        let (high, low) = (
            u16::try_from(bits >> 16).unwrap(),
            u16::try_from(bits & 0xffff).unwrap(),
        );
        let mut all = vec![
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 7, 8, 9, high, low),
            Ipv6Addr::new(0x2002, high, low, 5, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x404, 0x404, 0, 0, !high, !low),
            Ipv6Addr::new(0x2600, 1, 2, 3, 0, 0x5efe, high, low),
            Ipv6Addr::new(0x2600, 1, 2, 3, 0x200, 0x5efe, high, low),
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5efe, high, low),
        ];
        all.push(Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low));
        all
    }

    proptest! {
        #[test]
        fn a_forbidden_address_is_forbidden_in_every_dress(inner in forbidden_v4()) {
            prop_assert_ne!(classify(inner.into()), Reach::Public);
            for dressed in embeddings(inner) {
                prop_assert_ne!(classify(dressed.into()), Reach::Public, "{}", dressed);
                if matches!(classify(inner.into()), Reach::Never(_)) && dressed != Ipv6Addr::LOCALHOST {
                    prop_assert!(matches!(classify(dressed.into()), Reach::Never(_)), "{}", dressed);
                }
            }
        }

        #[test]
        fn only_a_mapped_public_address_stays_public(bits: u32) {
            let inner = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(classify(inner.to_ipv6_mapped().into()), classify(inner.into()));
            for dressed in embeddings(inner).into_iter().skip(1) {
                prop_assert_ne!(classify(dressed.into()), Reach::Public, "{}", dressed);
            }
        }

        #[test]
        fn the_public_space_of_ipv6_is_public(bits: u128) {
            let address = Ipv6Addr::from_bits(bits >> 3 | 1 << 125);
            let s = address.segments();
            let special = s[0] == 0x2001 && (s[1] < 0x200 || s[1] == 0xdb8)
                || s[0] == 0x2002
                || s[0] == 0x3fff && s[1] < 0x1000
                || s[5] == 0x5efe && matches!(s[4], 0 | 0x200);
            prop_assert_eq!(classify(address.into()) == Reach::Public, !special, "{}", address);
        }

        #[test]
        fn nothing_outside_is(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            if address.segments()[0] & 0xe000 != 0x2000 && address.to_ipv4_mapped().is_none() {
                prop_assert_ne!(classify(address.into()), Reach::Public);
            }
        }
    }
}
