//! The bindings of a service as a race knows them, and what they lead to.
use super::family::Family;
use super::question::{HOST, NameId};
use std::net::SocketAddr;

/// How many bindings of a service are made use of at most, those of the best priority: each may lead to a name
/// that has to be looked up.
pub const MOST_BINDINGS: usize = 8;

/// A binding, numbered from 0 in the order in which the driver has told them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId(pub u32);

/// One way to a service, as far as the race has to know it: a record that the client can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `SvcPriority`: the lower, the sooner. Of equal ones the order in which they are told counts: version 3
    /// wants it shuffled, which is the driver's to do, since a race knows no chance.
    pub priority: u16,
    /// The name whose addresses count: [`HOST`], or another one, which is looked up then.
    pub target: NameId,
    /// The port, where it is another than the host's.
    pub port: Option<u16>,
    /// Addresses of the target, with the host's port: attempted until the target's own are known.
    pub hints: Vec<SocketAddr>,
}

/// What a race that asks for bindings knows of them.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// By priority.
    pub(super) bindings: Vec<(BindingId, Binding)>,
    /// What names have been answered with, and in which family.
    pub(super) answers: Vec<(NameId, Family, Vec<SocketAddr>)>,
    /// The Resolution Delay has begun, which counts from the first address.
    pub(super) delayed: bool,
}

/// What a binding leads to, in the order of the bindings' priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group(u8);

/// The host's own addresses, to which no binding leads.
pub(super) const UNBOUND: Group = Group(u8::MAX);

impl Service {
    fn answer(&self, name: NameId, family: Family) -> Option<&[SocketAddr]> {
        let of_name = |answer: &&(NameId, Family, Vec<SocketAddr>)| answer.0 == name && answer.1 == family;
        self.answers.iter().find(of_name).map(|(.., addresses)| &addresses[..])
    }

    /// All that can be attempted of some families by what is known, best group first, each address once.
    pub(super) fn endpoints(&self, families: &[Family]) -> Vec<(SocketAddr, Group)> {
        let mut endpoints: Vec<(SocketAddr, Group)> = Vec::new();
        let mut add = |address: SocketAddr, group| {
            if !endpoints.iter().any(|(known, _)| *known == address) {
                endpoints.push((address, group));
            }
        };
        for (place, (_, binding)) in self.bindings.iter().enumerate() {
            for &family in families {
                // Of the hints those go whose place the target's own addresses have taken.
                let addresses = self.answer(binding.target, family).unwrap_or(&binding.hints);
                for &address in addresses.iter().filter(|address| Family::of(address) == family) {
                    let port = binding.port.unwrap_or(address.port());
                    add(with_port(address, port), Group(place as u8));
                }
            }
        }
        for (name, _, addresses) in &self.answers {
            if *name == HOST {
                addresses.iter().for_each(|address| add(*address, UNBOUND));
            }
        }
        endpoints
    }

    /// The binding of a group.
    pub(super) fn binding(&self, group: Group) -> Option<BindingId> {
        self.bindings.get(usize::from(group.0)).map(|(id, _)| *id)
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
