//! Address families, and sets of them.
use std::net::{IpAddr, SocketAddr};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv6, `AF_INET6`.
    V6,
    /// IPv4, `AF_INET`.
    V4,
}

impl Family {
    /// The family of an address. IPv4-mapped IPv6 is IPv6: that is the kind of socket it takes.
    pub fn of(address: &SocketAddr) -> Family {
        match address.ip() {
            IpAddr::V6(_) => Family::V6,
            IpAddr::V4(_) => Family::V4,
        }
    }

    /// The family whose network leads to an address. IPv4-mapped IPv6 is IPv4: that is what its packets are.
    pub fn of_packets(address: &SocketAddr) -> Family {
        match address.ip().to_canonical() {
            IpAddr::V6(_) => Family::V6,
            IpAddr::V4(_) => Family::V4,
        }
    }

    /// The one that this is not.
    pub fn other(self) -> Family {
        match self {
            Family::V6 => Family::V4,
            Family::V4 => Family::V6,
        }
    }
}

/// A set of address families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FamilySet {
    v6: bool,
    v4: bool,
}

impl FamilySet {
    pub(super) fn insert(&mut self, family: Family) {
        match family {
            Family::V6 => self.v6 = true,
            Family::V4 => self.v4 = true,
        }
    }

    pub(super) fn contains(self, family: Family) -> bool {
        match family {
            Family::V6 => self.v6,
            Family::V4 => self.v4,
        }
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> FamilySet {
        let mut set = FamilySet::default();
        families.into_iter().for_each(|family| set.insert(family));
        set
    }
}
