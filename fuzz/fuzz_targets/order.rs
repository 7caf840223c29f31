//! Any destinations, routes and policy: the order is one.
#![no_main]
use happysock::race::order::{Rank, first};
use happysock::race::{PolicyTable, Route};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const POLICIES: [&str; 4] = [
    "",
    "precedence ::ffff:0:0/96 40",
    "precedence ::ffff:0:0/96 100",
    "label ::/0 1\nprecedence ::/0 1\nscopev4 0.0.0.0/0 14",
];

/// Prefixes that the tables and scopes tell apart.
const PREFIXES: [u16; 10] = [0x2001, 0x2a00, 0x2002, 0x3ffe, 0xfc00, 0xfec0, 0xfe80, 0xff05, 0xff0e, 0];

fn address(bytes: &[u8]) -> IpAddr {
    match bytes[0] % 3 {
        0 => IpAddr::from([bytes[1], bytes[2], bytes[3], bytes[4]]),
        _ => {
            let prefix = PREFIXES[usize::from(bytes[0] / 3) % PREFIXES.len()];
            let [a, b, c, d] = [bytes[1], bytes[2], bytes[3], bytes[4]].map(u16::from);
            Ipv6Addr::new(prefix, a << 8, b, 0, 0, 0, c, d).into()
        }
    }
}

fn route(bytes: &[u8]) -> Route {
    let source = (bytes[0] % 8 != 0).then(|| address(&bytes[1..6]));
    Route {
        source,
        source_deprecated: bytes[0] & 0x10 != 0,
        round_trip: (bytes[0] & 0x20 != 0).then(|| Duration::from_millis(u64::from(bytes[6] % 4))),
        used_before: bytes[0] & 0x40 != 0,
    }
}

/// The places of `ranks` in order.
fn order(ranks: &[&Rank]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..ranks.len()).collect();
    let mut order = Vec::new();
    while let Some(place) = first(left.iter().enumerate().map(|(place, &index)| (place, ranks[index]))) {
        order.push(left.remove(place));
    }
    order
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&policy, rest)) = bytes.split_first() else { return };
    let policy = PolicyTable::from_gai_conf(POLICIES[usize::from(policy) % POLICIES.len()]);
    let ranks: Vec<Rank> = rest
        .chunks_exact(12)
        .take(12)
        .map(|chunk| Rank::new(address(&chunk[..5]), &route(&chunk[5..]), &policy))
        .collect();
    let ranks: Vec<&Rank> = ranks.iter().collect();

    let places = order(&ranks);
    let mut every_place = places.clone();
    every_place.sort_unstable();
    assert!(every_place.iter().copied().eq(0..ranks.len()), "something was lost or doubled");

    let sorted: Vec<&Rank> = places.iter().map(|&place| ranks[place]).collect();
    assert!(order(&sorted).into_iter().eq(0..sorted.len()), "what is in order changes");
    assert!(sorted.is_sorted_by_key(|rank| !rank.is_usable()), "a way stands behind none");
    for (place, earlier) in sorted.iter().enumerate() {
        for later in &sorted[place + 1..] {
            assert_eq!(order(&[earlier, later]), [0, 1], "two of the list stand the other way round alone");
        }
    }
});
