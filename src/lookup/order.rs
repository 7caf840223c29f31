//! getaddrinfo(3)'s order of addresses on this system: the facts that [`crate::race::order`] wants, gathered
//! as glibc gathers them.

use super::policy::policy;
use crate::race::order::{Rank, sorted};
use crate::race::{Family, Route};
use crate::sys::netlink::{InterfaceAddress, Netlink};
use crate::sys::route::Probe;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Puts a list into the order in which getaddrinfo(3) would give its addresses, on the system as it is at
/// this moment: the network namespace of the calling thread, its routes, addresses and /etc/gai.conf.
///
/// `destination` tells an item's address; its port does not count. Items keep their places where no rule says
/// otherwise. Nothing is sent, and nothing is waited for. One item alone costs nothing; of more the kernel is
/// asked in no more system calls than glibc makes.
pub fn sort<T>(items: &mut Vec<T>, destination: impl Fn(&T) -> SocketAddr) {
    if items.len() < 2 {
        return;
    }
    let policy = policy();
    let mut surroundings = Surroundings::default();
    let destinations: Vec<SocketAddr> = items.iter().map(destination).collect();
    let mut routes: Vec<(Route, Option<u32>)> =
        destinations.iter().map(|destination| surroundings.route_and_interface(destination)).collect();
    // On one interface all transports are alike.
    if routes.iter().any(|(_, interface)| *interface != routes[0].1) {
        for (route, interface) in &mut routes {
            route.native = interface.is_some_and(|interface| surroundings.is_native(interface));
        }
    }
    let ranks: Vec<Rank> = std::iter::zip(&destinations, &routes)
        .map(|(destination, (route, _))| Rank::new(destination.ip(), route, &policy))
        .collect();
    let places = sorted(&ranks.iter().collect::<Vec<_>>());
    let mut left: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(places.into_iter().filter_map(|place| left[place].take()));
}

/// The ways to destinations, as the system knows them at one moment. What was asked of it is not asked again,
/// so it is kept no longer than for one list or one turn.
#[derive(Debug, Default)]
pub struct Surroundings {
    probe: Probe,
    /// None until it is needed.
    interfaces: Option<Interfaces>,
}

/// The addresses and interfaces of the system.
#[derive(Debug)]
struct Interfaces {
    /// None: the kernel does not tell.
    netlink: Option<Netlink>,
    /// By their bits.
    addresses: Vec<(u128, InterfaceAddress)>,
    /// The addresses that are not for the loopback or the link alone and have a subnet around them, and so a
    /// route.
    with_subnet: Vec<IpAddr>,
    /// Interfaces that were asked for, and whether they are native.
    native: Vec<(u32, bool)>,
}

impl Surroundings {
    /// The way to `destination`, all but its history.
    ///
    /// `::1` and 127.0.0.1 are taken for granted, and cost no system call: loopback is up, its addresses are
    /// not deprecated, and it is no tunnel.
    pub fn route(&mut self, destination: &SocketAddr) -> Route {
        let ip = destination.ip();
        if ip == Ipv6Addr::LOCALHOST || ip == Ipv4Addr::LOCALHOST {
            return Route { source: Some(ip), native: true, ..Route::default() };
        }
        let (route, interface) = self.route_and_interface(destination);
        Route { native: interface.is_some_and(|interface| self.is_native(interface)), ..route }
    }

    /// Whether a family has a network: an address to send from and a route, neither of them for the loopback
    /// or the link alone (version 3 of Happy Eyeballs, section 4.2). Where the system does not tell, it has.
    pub fn has_connectivity(&mut self, family: Family) -> bool {
        self.source_to_the_world(family).is_some() || self.interfaces().with_subnet(family).next().is_some()
    }

    /// The addresses that a family's packets may come from: the one towards the world, or without a way there
    /// those with a subnet.
    pub fn sources(&mut self, family: Family) -> Vec<IpAddr> {
        match self.source_to_the_world(family) {
            Some(source) => vec![source],
            None => self.interfaces().with_subnet(family).collect(),
        }
    }

    fn source_to_the_world(&mut self, family: Family) -> Option<IpAddr> {
        // Addresses that are routed in all the world and belong to nobody: those of the sinks for reverse
        // lookups of private addresses (RFC 7535). Nothing is sent there.
        let anywhere: IpAddr = match family {
            Family::V6 => Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 1).into(),
            Family::V4 => Ipv4Addr::new(192, 31, 196, 1).into(),
        };
        // Any port that is not 0.
        self.probe.source(&SocketAddr::new(anywhere, 53)).filter(|source| is_beyond_link(*source))
    }

    /// The way to `destination`, but for whether it is native, and the interface of its source address.
    fn route_and_interface(&mut self, destination: &SocketAddr) -> (Route, Option<u32>) {
        let Some(source) = self.probe.source(destination) else { return (Route::default(), None) };
        let Some(found) = self.interfaces().find(source) else {
            return (Route { source: Some(source), ..Route::default() }, None);
        };
        let flags = u32::from(found.flags);
        let route = Route {
            source: Some(source),
            source_deprecated: flags & (libc::IFA_F_DEPRECATED | libc::IFA_F_OPTIMISTIC) != 0,
            source_is_home: flags & libc::IFA_F_HOMEADDRESS != 0,
            prefix_length: found.prefix_length,
            ..Route::default()
        };
        (route, Some(found.interface))
    }

    fn is_native(&mut self, interface: u32) -> bool {
        self.interfaces().is_native(interface)
    }

    fn interfaces(&mut self) -> &mut Interfaces {
        self.interfaces.get_or_insert_with(Interfaces::ask)
    }
}

impl Interfaces {
    fn ask() -> Interfaces {
        let mut netlink = Netlink::open().ok();
        let addresses = netlink.as_mut().and_then(|netlink| netlink.addresses().ok());
        let with_subnet = match &addresses {
            // The kernel does not tell: there may be one of each.
            None => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
            Some(addresses) => addresses.iter().filter(|one| has_subnet(one)).map(|one| one.address).collect(),
        };
        Interfaces { netlink, addresses: known(addresses.unwrap_or_default()), with_subnet, native: Vec::new() }
    }

    fn with_subnet(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        self.with_subnet.iter().copied().filter(move |address| address.is_ipv6() == (family == Family::V6))
    }

    /// The entry of a source address. Where several interfaces have it, this is the one that bsearch(3) comes
    /// upon in glibc.
    fn find(&self, source: IpAddr) -> Option<&InterfaceAddress> {
        let wanted = match source {
            // The kernel takes all of 127.0.0.0/8 for the loopback's, and lists one address.
            IpAddr::V4(v4) if v4.is_loopback() => bits(Ipv4Addr::LOCALHOST.into()),
            source => bits(source),
        };
        let mut range = 0..self.addresses.len();
        while !range.is_empty() {
            let middle = (range.start + range.end) / 2;
            let (found, address) = &self.addresses[middle];
            match wanted.cmp(found) {
                std::cmp::Ordering::Less => range.end = middle,
                std::cmp::Ordering::Greater => range.start = middle + 1,
                std::cmp::Ordering::Equal => return Some(address),
            }
        }
        None
    }

    /// Whether an interface is no tunnel that wraps one protocol in the other (RFC 6724, section 6, rule 7).
    fn is_native(&mut self, interface: u32) -> bool {
        if let Some((_, native)) = self.native.iter().find(|(known, _)| *known == interface) {
            return *native;
        }
        let device_type = self.netlink.as_mut().and_then(|netlink| netlink.device_type(interface).ok());
        let native = device_type
            .is_some_and(|device| !matches!(device, libc::ARPHRD_TUNNEL | libc::ARPHRD_TUNNEL6 | libc::ARPHRD_SIT));
        self.native.push((interface, native));
        native
    }
}

/// What counts of the addresses of this system, in order. glibc counts none of them as long as no interface
/// but loopback has an IPv6 address (`make_request` in sysdeps/unix/sysv/linux/check_pf.c): then the subnets
/// of IPv4 are not known either, and rule 9 leaves IPv4 alone.
fn known(addresses: Vec<InterfaceAddress>) -> Vec<(u128, InterfaceAddress)> {
    let has_ipv6 = addresses.iter().any(|one| one.address.is_ipv6() && !one.address.is_loopback());
    if !has_ipv6 {
        return Vec::new();
    }
    let mut addresses: Vec<_> = addresses.into_iter().map(|one| (bits(one.address), one)).collect();
    addresses.sort_by_key(|(bits, _)| *bits);
    addresses
}

/// Whether an address is neither the loopback's nor of the link alone.
fn is_beyond_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
    }
}

fn has_subnet(address: &InterfaceAddress) -> bool {
    let bits = if address.address.is_ipv6() { 128 } else { 32 };
    is_beyond_link(address.address) && address.prefix_length < bits
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
