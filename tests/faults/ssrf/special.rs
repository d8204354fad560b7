//! Which addresses are nobody's on the public internet, written down a second time.
//!
//! The list is of networks in their usual spelling, from the registries of IANA and the rules for embedding
//! IPv4 in IPv6, and shares nothing with the router's own table. A million addresses are judged by both
//! (`HOOKWAY_FAULTS=long`; a fifth of that otherwise): half of them anywhere, half at the edges of blocks,
//! each of them as it is and in every embedding.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hookway::egress::{Reach, classify};
use ipnet::IpNet;

use crate::extent::Extent;

/// IPv4: what is not public.
const SPECIAL_V4: &str = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 \
    192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 \
    198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4";
/// IPv6: what of 2000::/3 is not public; nothing outside of it is.
const SPECIAL_V6: &str = "2001::/23 2001:db8::/32 2002::/16 3fff::/20";

/// The second opinion.
pub struct Special {
    v4: Vec<IpNet>,
    v6: Vec<IpNet>,
    global: IpNet,
    mapped: IpNet,
}

impl Special {
    /// The networks, read.
    pub fn new() -> Self {
        let read = |text: &str| {
            text.split_whitespace()
                .map(|net| net.parse().expect("a network"))
                .collect()
        };
        Self {
            v4: read(SPECIAL_V4),
            v6: read(SPECIAL_V6),
            global: "2000::/3".parse().expect("a network"),
            mapped: "::ffff:0:0/96".parse().expect("a network"),
        }
    }

    /// Whether the router may dial this address with nothing allowed.
    pub fn is_public(&self, address: IpAddr) -> bool {
        let within = |nets: &[IpNet], address: IpAddr| nets.iter().any(|net| net.contains(&address));
        match address {
            IpAddr::V4(_) => !within(&self.v4, address),
            IpAddr::V6(v6) if self.mapped.contains(&address) => {
                let [.., a, b, c, d] = v6.octets();
                self.is_public(Ipv4Addr::new(a, b, c, d).into())
            }
            // ISATAP puts an IPv4 address behind an interface id of its own, in any network.
            IpAddr::V6(v6) => {
                let isatap = matches!(v6.octets()[8..12], [0 | 2, 0, 0x5e, 0xfe]);
                self.global.contains(&address) && !within(&self.v6, address) && !isatap
            }
        }
    }
}

/// Numbers by chance, the same in every run (xorshift64*, Vigna 2016).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 32).expect("32 bits") % bound
    }

    fn v4(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).expect("32 bits")
    }

    fn v6(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// An address anywhere, or at the edge of a block or one beside it.
fn address(chance: &mut Chance, special: &Special) -> IpAddr {
    let beside = i32::try_from(chance.below(3)).expect("small") - 1;
    match chance.below(4) {
        0 => Ipv4Addr::from_bits(chance.v4()).into(),
        1 => Ipv6Addr::from_bits(chance.v6()).into(),
        2 => {
            let net = special.v4[chance.below(special.v4.len())];
            let edge = if chance.below(2) == 0 {
                net.network()
            } else {
                net.broadcast()
            };
            let IpAddr::V4(edge) = edge else { panic!("{edge}") };
            Ipv4Addr::from_bits(edge.to_bits().wrapping_add_signed(beside)).into()
        }
        _ => {
            let net = special.v6[chance.below(special.v6.len())];
            let edge = if chance.below(2) == 0 {
                net.network()
            } else {
                net.broadcast()
            };
            let IpAddr::V6(edge) = edge else { panic!("{edge}") };
            Ipv6Addr::from_bits(edge.to_bits().wrapping_add_signed(beside.into())).into()
        }
    }
}

/// An IPv4 address in every dress that there is, and whether that is ever public.
fn dresses(inner: Ipv4Addr, noise: u128) -> [(Ipv6Addr, bool); 9] {
    let bits = u128::from(inner.to_bits());
    let prefix = noise >> 3 << 64 | 1 << 125;
    let at = |bits: u128| Ipv6Addr::from_bits(bits);
    [
        (at(0xffff << 32 | bits), true),
        (at(bits), false),
        (at(0xffff << 48 | bits), false),
        (at(0x0064_ff9b << 96 | bits), false),
        (at(0x0064_ff9b_0001 << 80 | bits | noise & 0xffff << 32), false),
        (at(0x2002 << 112 | bits << 80 | noise & 0xffff), false),
        (
            at(0x2001 << 112 | noise & 0xffff_ffff << 64 | !bits & 0xffff_ffff),
            false,
        ),
        (at(prefix | 0x5efe << 32 | bits), false),
        (at(prefix | 0x0200_5efe << 32 | bits), false),
    ]
}

/// How many addresses the two opinions differ on, of how many; the first of them.
fn compare(count: usize, judge: impl Fn(IpAddr) -> bool) -> (usize, usize, Option<IpAddr>) {
    let special = Special::new();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (mut judged, mut wrong, mut first) = (0, 0, None);
    let mut check = |address: IpAddr, expected: bool| {
        judged += 1;
        if judge(address) != expected {
            wrong += 1;
            first.get_or_insert(address);
        }
    };
    for _ in 0..count {
        let address = address(&mut chance, &special);
        check(address, special.is_public(address));
        if let IpAddr::V4(inner) = address {
            for (dressed, may_be_public) in dresses(inner, chance.v6()) {
                check(dressed.into(), may_be_public && special.is_public(address));
            }
        }
    }
    (judged, wrong, first)
}

fn by_the_router(address: IpAddr) -> bool {
    classify(address) == Reach::Public
}

#[test]
fn both_tables_say_the_same_of_every_address() {
    let (judged, wrong, first) = compare(Extent::wanted().of(200_000, 2_000_000), by_the_router);
    assert_eq!((wrong, first), (0, None));
    assert!(judged > 1_000_000, "{judged}");
    println!("ssrf table: {judged} addresses and embeddings judged, {wrong} differently");
}

/// A table that forgets one block, or one embedding, is told from the other.
#[test]
fn control_a_forgotten_block_is_noticed() {
    let cgnat: IpNet = "100.64.0.0/10".parse().unwrap();
    let (.., first) = compare(20_000, |address| {
        cgnat.contains(&address) || by_the_router(address)
    });
    assert!(first.is_some_and(|address| cgnat.contains(&address)), "{first:?}");
    let (_, wrong, _) = compare(20_000, |address| match address {
        IpAddr::V6(v6) if v6.segments()[4..6] == [0x200, 0x5efe] => true,
        other => by_the_router(other),
    });
    assert!(wrong > 1_000, "{wrong}");
}
