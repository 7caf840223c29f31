//! `AI_ADDRCONFIG` of getaddrinfo(3): the families that the system has an address of.

use super::query::{Hints, Query};
use crate::race::Family;
use crate::sys::netlink::Netlink;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The family to ask for. With `AI_ADDRCONFIG` only one that the system has an address of; None: the one that
/// is asked for it has not. 127.0.0.1 and ::1 do not count; where neither family is there, both are taken.
///
/// # Errors
/// The kernel does not tell its addresses.
pub(super) fn family_to_ask(hints: Hints) -> io::Result<Option<i32>> {
    if hints.flags & libc::AI_ADDRCONFIG == 0 {
        return Ok(Some(hints.family));
    }
    let addresses = Netlink::open()?.addresses()?;
    let has = |of: fn(&IpAddr) -> bool| addresses.iter().any(|address| of(&address.address));
    let v4 = has(|ip| ip.is_ipv4() && *ip != Ipv4Addr::LOCALHOST);
    let v6 = has(|ip| ip.is_ipv6() && *ip != Ipv6Addr::LOCALHOST);
    Ok(match hints.family {
        libc::AF_UNSPEC if v4 != v6 => Some(if v4 { libc::AF_INET } else { libc::AF_INET6 }),
        libc::AF_INET if !v4 => None,
        libc::AF_INET6 if !v6 => None,
        family => Some(family),
    })
}

/// What `AI_ADDRCONFIG` makes of a question about a host that a race is to ask for `family` (`AF_UNSPEC`:
/// for both): the question without the flag, and the family that is not asked for then. What only libc can
/// say, and what it refuses, keeps the flag.
pub fn by_configured_families(query: Query, family: i32) -> (Query, Option<Family>) {
    let hints = Hints { family, ..query.hints() };
    if hints.flags & libc::AI_ADDRCONFIG == 0 || query.is_for_libc() {
        return (query, None);
    }
    match family_to_ask(hints) {
        Ok(Some(asked)) => {
            let not_asked = match asked {
                libc::AF_INET if family == libc::AF_UNSPEC => Some(Family::V6),
                libc::AF_INET6 if family == libc::AF_UNSPEC => Some(Family::V4),
                _ => None,
            };
            (query.without_flags(libc::AI_ADDRCONFIG), not_asked)
        }
        Ok(None) | Err(_) => (query, None),
    }
}
