//! The ways out of the router, and whom each of them reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::special::Special;
use crate::private_network::{Dialled, PrivateNetwork};

/// Ways that send to an endpoint, or fetch from one.
pub const SENDING: [&str; 12] = [
    "retry",
    "delivery",
    "test of a subscription",
    "resend",
    "resend of many",
    "recovery",
    "replay",
    "what Hookway tells of itself",
    "new subscription",
    "changed subscription",
    "test before saving",
    "certificate of a source",
];
/// What takes a URL, and fetches nothing from it whatever is allowed.
pub const FETCHING_NOTHING: &str = "reference in a schema";

/// What was tried on one way, and who was reached by it.
#[derive(Debug, Default)]
pub struct Way {
    /// Calls, deliveries or subscriptions.
    pub tries: usize,
    /// Whoever was reached, public or not.
    pub reached: Vec<Dialled>,
}

impl Way {
    /// Those of them that are not public.
    pub fn forbidden(&self) -> BTreeSet<Dialled> {
        forbidden(&self.reached)
    }
}

/// Who of these is not public.
pub fn forbidden(reached: &[Dialled]) -> BTreeSet<Dialled> {
    let special = Special::new();
    let inside = |(address, _): &&(IpAddr, u16)| !special.is_public(*address);
    reached.iter().filter(inside).copied().collect()
}

/// All of them, in a network whose canaries say who was reached.
pub struct Ways<'network> {
    network: &'network PrivateNetwork,
    gone: BTreeMap<&'static str, Way>,
}

impl<'network> Ways<'network> {
    /// None has been gone; who was reached until now is forgotten.
    pub fn new(network: &'network PrivateNetwork) -> Self {
        network.dialled();
        Self {
            network,
            gone: BTreeMap::new(),
        }
    }

    /// So much was tried on this way, by which everybody was reached who was since the last time.
    pub fn note(&mut self, name: &'static str, tries: usize) {
        let way = self.gone.entry(name).or_default();
        way.tries += tries;
        way.reached.extend(self.network.dialled());
    }

    /// What was tried on each.
    pub fn gone(&self) -> &BTreeMap<&'static str, Way> {
        &self.gone
    }

    /// Who was reached, on whichever way.
    pub fn reached(&self) -> Vec<Dialled> {
        self.gone.values().flat_map(|way| way.reached.clone()).collect()
    }
}
