//! Any destinations, routes and policy: the order is one.
#![no_main]
use happysock::race::order::{Rank, sorted};
use happysock::race::{GaiConf, MissingNumber, Route};
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
        source_is_home: bytes[0] & 0x80 != 0,
        native: bytes[6] & 0x80 != 0,
        prefix_length: bytes[6] / 4 % 33,
        unanswered: bytes[6] & 0x40 != 0,
        round_trip: (bytes[0] & 0x20 != 0).then(|| Duration::from_millis(u64::from(bytes[6] % 4))),
        used_before: bytes[0] & 0x40 != 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&policy, rest)) = bytes.split_first() else { return };
    let policy = GaiConf::read(POLICIES[usize::from(policy) % POLICIES.len()].as_bytes(), MissingNumber::Nothing).policy;
    let ranks: Vec<Rank> = rest
        .chunks_exact(12)
        .take(12)
        .map(|chunk| Rank::new(address(&chunk[..5]), &route(&chunk[5..]), &policy))
        .collect();
    let ranks: Vec<&Rank> = ranks.iter().collect();

    let places = sorted(&ranks);
    let mut every_place = places.clone();
    every_place.sort_unstable();
    assert!(every_place.iter().copied().eq(0..ranks.len()), "something was lost or doubled");

    let ordered: Vec<&Rank> = places.iter().map(|&place| ranks[place]).collect();
    assert!(ordered.is_sorted_by_key(|rank| !rank.is_usable()), "a way stands behind none");
    // Within a family the rules are an order, and two of a list stand as they would alone. Where two families
    // tie they may go round in a circle.
    for family in [true, false] {
        let alike: Vec<&Rank> = ranks.iter().copied().filter(|rank| rank.is_ipv6() == family).collect();
        let alike: Vec<&Rank> = sorted(&alike).into_iter().map(|place| alike[place]).collect();
        assert!(sorted(&alike).into_iter().eq(0..alike.len()), "what is in order changes");
        for (place, earlier) in alike.iter().enumerate() {
            for later in &alike[place + 1..] {
                assert_eq!(sorted(&[earlier, later]), [0, 1], "two of the list stand the other way round alone");
            }
        }
    }
});
