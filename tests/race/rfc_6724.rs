//! RFC 6724, section 6: the order of destination addresses, and the examples of section 10.2.
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

const NO_WAY: Route = Route { source: None, source_deprecated: false, round_trip: None, used_before: false };

/// The destinations in the order in which a race would try them, families aside.
fn order(destinations: &[(&str, Route)], policy: &PolicyTable) -> Vec<String> {
    let mut left: Vec<(IpAddr, Rank)> = destinations
        .iter()
        .map(|(destination, route)| (ip(destination), Rank::new(ip(destination), route, policy)))
        .collect();
    let mut order = Vec::new();
    while let Some(place) = order::first(left.iter().enumerate().map(|(place, (_, rank))| (place, rank))) {
        order.push(left.remove(place).0.to_string());
    }
    order
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
    let examples = [
        // Prefer matching scope.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("198.51.100.121", from("169.254.13.78"))),
        (("198.51.100.121", from("198.51.100.117")), ("2001:db8:1::1", from("fe80::1"))),
        // Prefer higher precedence.
        (("2001:db8:1::1", from("2001:db8:1::2")), ("10.1.2.3", from("10.1.2.4"))),
        // Prefer smaller scope.
        (("fe80::1", from("fe80::2")), ("2001:db8:1::1", from("2001:db8:1::2"))),
        // Avoid deprecated addresses. (The example before it, home addresses, needs what a Route does not
        // tell.)
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
    let odd = Route { source_deprecated: true, ..NO_WAY };
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

// RFC 6724, section 6: "Rule 9: Use longest matching prefix." Section 2.2 counts bits up to the length of
// the source's prefix.
#[test]
fn rule_9_counts_no_more_than_64_bits() {
    leaves(("2001:db8::1", from("2001:db8::2")), ("2001:db8::8000:0:0:1", from("2001:db8::2")));
    prefers(("2001:db8::1", from("2001:db8::2")), ("2001:db8:0:1::1", from("2001:db8::2")));
}

// RFC 6724, section 6: "Rule 9: Use longest matching prefix."
// Deliberate deviation: an order by prefix would undo DNS round robin.
#[test]
fn rule_9_does_not_compare_ipv4_addresses() {
    leaves(("192.0.2.1", from("192.0.2.2")), ("203.0.113.1", from("192.0.2.2")));
}

// RFC 6724, section 6: "Rule 10: Otherwise, leave the order unchanged."
#[test]
fn rule_10_leaves_the_order_unchanged() {
    leaves(("2001:db8::1", from("2001:db8::9")), ("2001:db8::2", from("2001:db8::9")));
    leaves(("192.0.2.1", from("192.0.2.9")), ("192.0.2.2", from("192.0.2.9")));
}

// Our rule: where rules 9 and 10 would go round in a circle, the family listed first goes first.
#[test]
fn families_that_tie_go_as_listed_and_rule_9_chooses_within_ipv6() {
    // Compared pair by pair these three would go round in a circle: near before far (rule 9), far before IPv4
    // and IPv4 before near (rule 10).
    let policy = PolicyTable::from_gai_conf("precedence ::ffff:0:0/96 40");
    let far = ("2001:db9::1", from("2001:db8::9"));
    let near = ("2001:db8::1", from("2001:db8::9"));
    let v4 = ("192.0.2.1", from("192.0.2.9"));
    assert_eq!(order(&[far, v4, near], &policy), ["2001:db8::1", "2001:db9::1", "192.0.2.1"]);
    assert_eq!(order(&[v4, far, near], &policy), ["192.0.2.1", "2001:db8::1", "2001:db9::1"]);
    assert_eq!(order(&[near, v4, far], &policy), ["2001:db8::1", "192.0.2.1", "2001:db9::1"]);
}

// RFC 6724, section 3.2: IPv4 addresses have scopes of their own, and IPv4-mapped ones stand for them.
#[test]
fn ipv4_mapped_addresses_have_the_scope_of_ipv4() {
    prefers(("::ffff:169.254.1.1", from("::ffff:169.254.1.2")), ("::ffff:192.0.2.1", from("::ffff:192.0.2.9")));
    prefers(("::ffff:192.0.2.1", from("::ffff:192.0.2.9")), ("::ffff:192.0.2.2", from("::ffff:127.0.0.1")));
}

// RFC 6724, section 6: "Rule 1: Avoid unusable destinations."
#[test]
fn a_rank_tells_its_family_and_whether_there_is_a_way() {
    let policy = PolicyTable::default();
    let v6 = Rank::new(ip("2001:db8::1"), &from("2001:db8::9"), &policy);
    let v4 = Rank::new(ip("192.0.2.1"), &NO_WAY, &policy);
    assert_eq!((v6.family(), v6.is_usable()), (Family::V6, true));
    assert_eq!((v4.family(), v4.is_usable()), (Family::V4, false));
    assert_eq!(order::first(std::iter::empty::<(u8, &Rank)>()), None);
}
