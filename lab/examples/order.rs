//! Tells the order of a host's addresses: as getaddrinfo(3) gives it, or as the library does for the same
//! addresses in the order in which they became known. `lab order-differential` runs it in systems of its own.
//!
//! ```text
//! order libc NAME
//! order library ADDRESS...
//! ```
//!
//! It prints a line for each list: `both`, `ipv6` and `ipv4` of libc; `sort` and `race` of the library.

use happysock::lookup::order::{Surroundings, sort};
use happysock::lookup::policy;
use happysock::race::{Action, Event, Failure, Operation, Permits, Race, Settings};
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Instant;

/// Any that is not 0.
const PORT: u16 = 80;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["libc", name] => {
            let name = CString::new(name).expect("an argument holds no zero byte");
            for (label, family) in [("both", libc::AF_UNSPEC), ("ipv6", libc::AF_INET6), ("ipv4", libc::AF_INET)] {
                print(label, getaddrinfo(&name, family));
            }
        }
        ["library", ref addresses @ ..] => {
            let mut addresses: Vec<SocketAddr> =
                addresses.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), PORT)).collect();
            print("race", attempts(&addresses));
            sort(&mut addresses, |address| *address);
            print("sort", addresses.into_iter().map(|address| address.ip()));
        }
        _ => {
            eprintln!("usage: order libc NAME | order library ADDRESS...");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print(label: &str, addresses: impl IntoIterator<Item = IpAddr>) {
    let addresses: Vec<String> = addresses.into_iter().map(|address| address.to_string()).collect();
    println!("{label} {}", addresses.join(" "));
}

/// The addresses in the order of getaddrinfo(3); none where it knows none of that family.
fn getaddrinfo(name: &CStr, family: libc::c_int) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    // SAFETY: all zeros is a valid addrinfo; the list that getaddrinfo(3) made is read while it lives, each
    // address as its family says, and freed once.
    unsafe {
        let mut hints: libc::addrinfo = std::mem::zeroed();
        (hints.ai_family, hints.ai_socktype) = (family, libc::SOCK_STREAM);
        let mut list = std::ptr::null_mut();
        if libc::getaddrinfo(name.as_ptr(), c"80".as_ptr(), &hints, &mut list) != 0 {
            return addresses;
        }
        let mut next = list;
        while let Some(node) = next.as_ref() {
            addresses.push(match node.ai_family {
                libc::AF_INET6 => Ipv6Addr::from((*node.ai_addr.cast::<libc::sockaddr_in6>()).sin6_addr.s6_addr).into(),
                _ => {
                    let address = (*node.ai_addr.cast::<libc::sockaddr_in>()).sin_addr.s_addr;
                    Ipv4Addr::from(address.to_ne_bytes()).into()
                }
            });
            next = node.ai_next;
        }
        libc::freeaddrinfo(list);
    }
    addresses
}

/// The addresses in the order in which a race attempts them, if every attempt fails. The routes are those of
/// the system; no attempt is made.
fn attempts(addresses: &[SocketAddr]) -> Vec<IpAddr> {
    let policy = policy();
    let settings = Settings { preferred_family: policy.preferred_family(), policy, ..Settings::default() };
    let now = Instant::now();
    let mut race = Race::with_addresses(settings, addresses, now);
    let mut surroundings = Surroundings::default();
    let mut attempts = Vec::new();
    while let Some(action) = race.next_action(now, Permits::ALL) {
        match action {
            Action::FindRoute { candidate, destination } => {
                let route = surroundings.route(&destination);
                race.handle(now, Event::RouteFound { candidate, route });
            }
            Action::StartAttempt { attempt, destination } => {
                attempts.push(destination.ip());
                let (sys_errno, operation) = (libc::ECONNREFUSED, Operation::Connect);
                let failure = Failure { sys_errno, operation, family_unreachable: false };
                race.handle(now, Event::AttemptFailed { attempt, failure });
            }
            _ => {}
        }
    }
    attempts
}
