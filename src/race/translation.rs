//! What a race knows of the network's translator (NAT64), and which addresses it concerns.
use super::nat64::{Nat64, Nat64Prefix, is_translated};
use super::settings::{Families, Settings};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Where the translation of IPv4 addresses stands in a race that is to do it.
#[derive(Debug)]
pub(super) struct Translation {
    /// Those of the network's translator, none if it has none; None: not known yet.
    pub(super) prefixes: Option<Arc<Vec<Nat64Prefix>>>,
    /// Whether IPv4 has a network; None: not known yet.
    pub(super) ipv4: Option<bool>,
    /// IPv4 addresses that are not attempted before the prefixes are known.
    pub(super) held: Vec<SocketAddr>,
    /// The prefixes were asked for.
    pub(super) asked: bool,
}

impl Translation {
    /// None where addresses are left as they are. A translator is reached over IPv6 and leads to IPv4, so it
    /// is of no use to one who wants a family alone.
    pub(super) fn new(settings: &Settings) -> Option<Box<Translation>> {
        let prefixes = match &settings.nat64 {
            Nat64::Off => return None,
            Nat64::Discover => None,
            Nat64::Prefixes(prefixes) => Some(Arc::clone(prefixes)),
        };
        let both = settings.families == Families::Both;
        both.then(|| Box::new(Translation { prefixes, ipv4: None, held: Vec::new(), asked: false }))
    }

    /// Whether an address is, or may be, another one because of the translator.
    pub(super) fn concerns(&self, address: &SocketAddr) -> bool {
        match (address.ip().to_canonical(), &self.prefixes) {
            (IpAddr::V4(v4), None) => is_translated(v4),
            (IpAddr::V4(v4), Some(prefixes)) => prefixes.iter().any(|prefix| prefix.synthesize(v4).is_some()),
            (IpAddr::V6(_), _) => self.extract(address).is_some(),
        }
    }

    /// The IPv4 address that an IPv6 address stands for.
    pub(super) fn extract(&self, address: &SocketAddr) -> Option<Ipv4Addr> {
        let SocketAddr::V6(address) = address else { return None };
        self.prefixes.iter().flat_map(|prefixes| prefixes.iter()).find_map(|prefix| prefix.extract(*address.ip()))
    }
}
