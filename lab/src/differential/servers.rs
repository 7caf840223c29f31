//! The name servers that a case's resolv.conf may name. All stand on loopback, in the network of the case.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lab::name_server::Endpoint;

const fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

const fn v6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, last))
}

/// They answer over UDP and TCP.
pub const FULL: [IpAddr; 4] = [v4(1), v4(2), v4(3), v6(1)];
/// They refuse TCP.
pub const UDP_ONLY: [IpAddr; 2] = [v4(11), v4(12)];
/// Nobody listens there: ICMP port unreachable.
pub const DEAD: [IpAddr; 2] = [v4(21), v6(21)];
/// It takes every question and never replies.
pub const SILENT: IpAddr = v4(31);
/// There is no route: ENETUNREACH.
pub const UNREACHABLE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
/// The server of a system without resolv.conf(5).
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where the name server of a case has to listen.
pub fn endpoints() -> Vec<Endpoint> {
    let full = FULL.into_iter().chain([LOCAL, SILENT]).map(|address| Endpoint { address, tcp: true });
    full.chain(UDP_ONLY.into_iter().map(|address| Endpoint { address, tcp: false })).collect()
}

/// The lines for ip(8) that make every address of a case one of the machine's own.
pub fn network() -> Vec<String> {
    vec![
        "link set dev lo up".to_owned(),
        // Whole prefixes are local, so that a connection to any address of them is refused at once. What is
        // in neither has no route.
        "route add local 198.51.100.0/24 dev lo".to_owned(),
        "route add local 203.0.113.0/24 dev lo".to_owned(),
        "route add local 2001:db8::/32 dev lo".to_owned(),
        // Addresses that are configured, for AI_ADDRCONFIG.
        "address add 203.0.113.1/32 dev lo".to_owned(),
        "address add 2001:db8:53::1/128 dev lo nodad".to_owned(),
    ]
}
