//! RFC 6724, section 6: the order of destination addresses, the examples of section 10.2, and where glibc has
//! it otherwise.
use happysock::race::order::{self, Rank};
use happysock::race::*;
use std::net::IpAddr;
use std::time::Duration;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn from(source: &str) -> Route {
    Route { source: Some(ip(source)), ..Route::default() }
}

/// From an address of a subnet of that many bits.
fn within(source: &str, prefix_length: u8) -> Route {
    Route { prefix_length, ..from(source) }
}

const NO_WAY: Route = Route {
    source: None,
    source_deprecated: false,
    source_is_home: false,
    native: false,
    prefix_length: 0,
    unanswered: false,
    round_trip: None,
    used_before: false,
};

/// The destinations in the order in which a race would try them, families aside.
fn order(destinations: &[(&str, Route)], policy: &PolicyTable) -> Vec<String> {
    let ranks: Vec<Rank> =
        destinations.iter().map(|(destination, route)| Rank::new(ip(destination), route, policy)).collect();
    let places = order::sorted(&ranks.iter().collect::<Vec<_>>());
    places.into_iter().map(|place| destinations[place].0.to_owned()).collect()
}

/// The first destination goes before the second, whichever of them is listed first.
#[track_caller]
fn prefers(first: (&str, Route), second: (&str, Route)) {
    let policy = PolicyTable::default();
    let expected = [first.0, second.0];
    assert_eq!(order(&[first, second], &policy), expected);
    assert_eq!(order(&[second, first], &policy), expected);
}

/// Neither goes before the other: they stay as listed.
#[track_caller]
fn leaves(one: (&str, Route), other: (&str, Route)) {
    let policy = PolicyTable::default();
    assert_eq!(order(&[one, other], &policy), [one.0, other.0]);
    assert_eq!(order(&[other, one], &policy), [other.0, one.0]);
}

// RFC 6724, section 10.2: the examples of destination address selection, each with the rule that decides it.
#[test]
fn section_10_2_examples() {
    let deprecated = Route { source_deprecated: true, ..from("fe80::2") };
    let home = Route { source_is_home: true, ..from("2001:db8:3::1") };
    let examples = [
        // Prefer matching scope.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("198.51.100.121", from("169.254.13.78"))),
        (("198.51.100.121", from("198.51.100.117")), ("2001:db8:1::1", from("fe80::1"))),
        // Prefer higher precedence.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("10.1.2.3", from("10.1.2.4"))),
        // Prefer smaller scope.
        (("fe80::1", from("fe80::2")), ("2001:db8:1::1", from("2001:db8:1::2"))),
        // Prefer home addresses.
        (("2001:db8:1::1", home), ("fe80::1", from("fe80::2"))),
        // Avoid deprecated addresses.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("fe80::1", deprecated)),
        // Longest matching prefix.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("2001:db8:3ffe::1", from("2001:db8:3f44::2"))),
        // Prefer matching label.
        (("2002:c633:6401::1", from("2002:c633:6401::2")), ("2001:db8:1::1", from("2002:c633:6401::2"))),
        // Prefer higher precedence.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("2002:c633:6401::1", from("2002:c633:6401::2"))),
    ];
    for (first, second) in examples {
        prefers(first, second);
    }
}

// RFC 6724, section 6: "Rule 1: Avoid unusable destinations."
#[test]
fn rule_1_avoids_unusable_destinations() {
    prefers(("192.0.2.1", from("192.0.2.9")), ("2001:db8::1", NO_WAY));
    // What is said of a source that does not exist counts for nothing.
    let odd = Route { source_deprecated: true, source_is_home: true, native: true, prefix_length: 24, ..NO_WAY };
    leaves(("2001:db8::1", NO_WAY), ("2001:db8::2", odd));
    // Without a source on either side the later rules decide.
    prefers(("2001:db8::1", NO_WAY), ("192.0.2.1", NO_WAY));
}

// RFC 6724, section 6: "Rule 2: Prefer matching scope."
#[test]
fn rule_2_prefers_matching_scope_over_a_deprecated_source() {
    let deprecated = Route { source_deprecated: true, ..from("2001:db8::9") };
    prefers(("2001:db8::1", deprecated), ("2001:db8::2", from("fe80::9")));
}

// RFC 6724, section 6: "Rule 3: Avoid deprecated addresses."
#[test]
fn rule_3_avoids_deprecated_sources_over_a_label() {
    let deprecated = Route { source_deprecated: true, ..from("2001:db8::9") };
    prefers(("2001:db8::1", from("2002:c633:6401::2")), ("2001:db8::2", deprecated));
}

// RFC 6724, section 6: "Rule 4: Prefer home addresses."
#[test]
fn rule_4_prefers_home_addresses_over_a_label_and_below_rule_3() {
    let home = Route { source_is_home: true, ..from("2002:c633:6401::2") };
    prefers(("2001:db8::1", home), ("2001:db8::2", from("2001:db8::9")));
    let deprecated = Route { source_deprecated: true, ..home };
    prefers(("2001:db8::2", from("2001:db8::9")), ("2001:db8::1", deprecated));
}

// RFC 6724, section 6: "Rule 5: Prefer matching label."
#[test]
fn rule_5_prefers_a_matching_label_over_precedence() {
    prefers(("192.0.2.1", from("192.0.2.9")), ("2001:db8::1", from("2002:c633:6401::2")));
}

// RFC 6724, section 6: "Rule 6: Prefer higher precedence."
#[test]
fn rule_6_prefers_higher_precedence_over_a_smaller_scope() {
    prefers(("2001:db8::1", from("2001:db8::9")), ("169.254.1.1", from("169.254.1.2")));
    // Unique local addresses stand below IPv4.
    prefers(("192.0.2.1", from("192.0.2.9")), ("fd00::1", from("fd00::9")));
    prefers(("::1", from("::1")), ("127.0.0.1", from("127.0.0.1")));
}

// RFC 6724, section 6: "Rule 7: Prefer native transport."
#[test]
fn rule_7_prefers_native_transport_over_scope_and_below_rule_6() {
    let native = |source| Route { native: true, ..from(source) };
    prefers(("192.0.2.1", native("192.0.2.9")), ("169.254.1.1", from("169.254.1.2")));
    prefers(("2001:db8::1", from("2001:db8::9")), ("192.0.2.1", native("192.0.2.9")));
}

// RFC 6724, section 6: "Rule 8: Prefer smaller scope."
#[test]
fn rule_8_prefers_a_smaller_scope_over_a_longer_prefix() {
    // Multicast of one label and precedence, neither with a source of its scope: site-local before
    // organisation-local, although that one has 7 bits in common with its source.
    prefers(("ff05::1", from("2001:db8::9")), ("ff08::1", from("fe80::9")));
    prefers(("169.254.1.1", from("169.254.1.2")), ("192.0.2.1", from("192.0.2.9")));
}

// RFC 8305, section 4: "it SHOULD add a Destination Address Selection rule between rules 8 and 9 that
// prefers addresses with lower RTTs." "it SHOULD add another Destination Address Selection rule between the
// RTT rule and rule 9, which prefers used addresses over unused ones."
#[test]
fn history_stands_between_rules_8_and_9() {
    let near = from("2001:db8::9");
    let far = from("2001:db9::9");
    let round_trip = |milliseconds, route| Route { round_trip: Some(Duration::from_millis(milliseconds)), ..route };
    let used = |route| Route { used_before: true, ..route };
    // Rule 9 alone.
    prefers(("2001:db8::1", near), ("2001:db8::2", far));
    // A round-trip time goes over it, a lower one over a higher one, any over none.
    prefers(("2001:db8::1", round_trip(5, far)), ("2001:db8::2", round_trip(6, near)));
    prefers(("2001:db8::1", round_trip(5, far)), ("2001:db8::2", near));
    // Use goes over rule 9, and under the round-trip time.
    prefers(("2001:db8::1", used(far)), ("2001:db8::2", near));
    prefers(("2001:db8::1", round_trip(5, far)), ("2001:db8::2", used(near)));
    prefers(("2001:db8::1", round_trip(5, used(far))), ("2001:db8::2", round_trip(5, near)));
    // Precedence and scope go over history.
    prefers(("2001:db8::1", far), ("192.0.2.1", round_trip(1, used(from("192.0.2.9")))));
    prefers(("169.254.1.1", from("169.254.1.2")), ("192.0.2.1", round_trip(1, used(from("192.0.2.9")))));
}

// RFC 6724, section 6: "Rule 9: Use longest matching prefix."
// Deliberate deviation, as in glibc: bits beyond the source's prefix count too.
#[test]
fn rule_9_counts_every_bit_of_ipv6() {
    prefers(("2001:db8::1", from("2001:db8::2")), ("2001:db8::8000:0:0:1", from("2001:db8::2")));
    prefers(("2001:db8::1", from("2001:db8::2")), ("2001:db8:0:1::1", from("2001:db8::2")));
    prefers(("2001:db8::3", from("2001:db8::2")), ("2001:db8::4", from("2001:db8::2")));
    // Each with its own source.
    prefers(("2001:db8::4", from("2001:db8::5")), ("2001:db8::3", from("2001:db8::9")));
}

// RFC 6724, section 6: "Rule 9: Use longest matching prefix." Deliberate deviation, as in glibc: beyond the
// source's subnet an order by prefix would undo DNS round robin.
#[test]
fn rule_9_compares_ipv4_within_the_subnet_of_the_source() {
    let office = |bits| within("192.0.2.2", bits);
    leaves(("198.51.100.1", office(24)), ("203.0.113.1", office(24)));
    prefers(("192.0.2.200", office(24)), ("203.0.113.1", office(24)));
    prefers(("192.0.2.3", office(24)), ("192.0.2.200", office(24)));
    leaves(("192.0.2.100", office(25)), ("192.0.2.101", office(25)));
    // The subnet decides which bits count at all.
    leaves(("192.0.2.130", office(25)), ("203.0.113.1", office(25)));
    leaves(("192.0.2.3", office(32)), ("203.0.113.1", office(32)));
    prefers(("192.0.2.2", office(32)), ("192.0.2.3", office(32)));
    // Not known: only the source itself is within it.
    leaves(("192.0.2.3", office(0)), ("203.0.113.1", office(0)));
    prefers(("192.0.2.2", office(0)), ("192.0.2.3", office(0)));
    prefers(("10.1.2.3", within("10.9.9.9", 8)), ("11.1.2.3", within("10.9.9.9", 8)));
    prefers(("10.1.2.3", within("10.9.9.9", 1)), ("11.1.2.3", within("10.9.9.9", 1)));
}

// RFC 6724, section 6: "Rule 10: Otherwise, leave the order unchanged."
#[test]
fn rule_10_leaves_the_order_unchanged() {
    leaves(("2001:db8::1", from("2001:db8::9")), ("2001:db8::2", from("2001:db8::9")));
    leaves(("192.0.2.1", from("192.0.2.9")), ("192.0.2.2", from("192.0.2.9")));
}

// glibc: where rules 9 and 10 go round in a circle, the comparisons that its sort makes decide.
#[test]
fn families_that_tie_go_as_the_sort_of_glibc_finds_them() {
    // Compared pair by pair these three go round in a circle: near before far (rule 9), far before IPv4 and
    // IPv4 before near (rule 10).
    let policy = GaiConf::read(b"precedence ::ffff:0:0/96 40", MissingNumber::Nothing).policy;
    let far = ("2001:db9::1", from("2001:db8::9"));
    let near = ("2001:db8::1", from("2001:db8::9"));
    let v4 = ("192.0.2.1", from("192.0.2.9"));
    // The first one is compared with the merged rest.
    assert_eq!(order(&[far, v4, near], &policy), ["2001:db9::1", "192.0.2.1", "2001:db8::1"]);
    assert_eq!(order(&[v4, far, near], &policy), ["192.0.2.1", "2001:db8::1", "2001:db9::1"]);
    assert_eq!(order(&[near, v4, far], &policy), ["2001:db8::1", "192.0.2.1", "2001:db9::1"]);
    assert_eq!(order(&[far, near, v4], &policy), ["2001:db8::1", "2001:db9::1", "192.0.2.1"]);
}

// glibc: an IPv4-mapped address is an IPv6 address of global scope.
#[test]
fn ipv4_mapped_addresses_are_of_global_scope() {
    leaves(("::ffff:169.254.1.1", from("::ffff:169.254.1.1")), ("::ffff:192.0.2.1", from("::ffff:192.0.2.1")));
    // They have the precedence of IPv4 all the same.
    prefers(("2001:db8::1", from("2001:db8::9")), ("::ffff:192.0.2.1", from("::ffff:192.0.2.9")));
}

// RFC 6724, section 6: "Rule 1: Avoid unusable destinations."
#[test]
fn a_rank_tells_whether_there_is_a_way() {
    let policy = PolicyTable::default();
    let v6 = Rank::new(ip("2001:db8::1"), &from("2001:db8::9"), &policy);
    let v4 = Rank::new(ip("192.0.2.1"), &NO_WAY, &policy);
    assert_eq!((v6.is_usable(), v4.is_usable()), (true, false));
    assert_eq!(order::sorted(&[]), [0; 0]);
}
