//! RFC 6052: IPv4 addresses within IPv6 addresses; RFC 7050: the prefixes that a network tells.
use happysock::race::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

fn prefix(text: &str) -> Nat64Prefix {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The prefixes that an answer for ipv4only.arpa tells.
fn discovered(addresses: &[&str]) -> Vec<String> {
    let answer: Vec<SocketAddr> = addresses.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
    Nat64Prefix::discover(&answer).iter().map(Nat64Prefix::to_string).collect()
}

// RFC 6052, section 2.4, "Text Representation of IPv4-Embedded IPv6 Addresses Using Network-Specific
// Prefixes".
#[test]
fn the_examples_of_rfc_6052() {
    for (of, address) in [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ] {
        assert_eq!(prefix(of).synthesize(v4("192.0.2.33")), Some(v6(address)), "{of}");
        assert_eq!(prefix(of).extract(v6(address)), Some(v4("192.0.2.33")), "{of}");
        assert_eq!(prefix(of).to_string(), of);
    }
    assert_eq!(Nat64Prefix::WELL_KNOWN.extract(v6("64:ff9b::192.0.2.33")), Some(v4("192.0.2.33")));
    assert_eq!(Nat64Prefix::WELL_KNOWN, prefix("64:ff9b::/96"));
}

// RFC 6052, section 2.2: bits 64 to 71 "MUST be set to zero"; the bits behind the IPv4 address "SHOULD be set
// to zero".
#[test]
fn a_native_address_under_a_short_prefix_is_not_taken_for_a_synthesized_one() {
    for (of, address) in [
        ("2001:db8::/32", "2001:db8:c000:221::1"),
        ("2001:db8:122::/48", "2001:db8:122:c000:102:2100::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:1"),
        ("2001:db8:122:344::/96", "2001:db8:122:345::192.0.2.33"),
    ] {
        assert_eq!(prefix(of).extract(v6(address)), None, "{address}");
    }
}

// RFC 6052, section 3.1: "The Well-Known Prefix MUST NOT be used to represent non-global IPv4 addresses".
#[test]
fn the_well_known_prefix_stands_before_global_addresses_alone() {
    let other = prefix("2001:db8:64::/96");
    for address in [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
    ] {
        assert_eq!(Nat64Prefix::WELL_KNOWN.synthesize(v4(address)), None, "{address}");
        assert!(other.synthesize(v4(address)).is_some(), "{address}");
    }
    for address in ["1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1"] {
        assert!(Nat64Prefix::WELL_KNOWN.synthesize(v4(address)).is_some(), "{address}");
    }
}

// Version 3, "Handling NAT64 Networks": "Some IPv4 prefixes are scoped to a given host or network and do not
// require synthesis, such as 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, and 255.255.255.255/32."
#[test]
fn what_is_this_host_or_this_link_alone_is_never_synthesized() {
    for address in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "169.254.1.1", "255.255.255.255", "224.0.0.1"] {
        assert_eq!(prefix("2001:db8:64::/96").synthesize(v4(address)), None, "{address}");
    }
}

// RFC 7050, section 3: the prefix is what stands before a well-known IPv4 address, in any place where RFC
// 6052 allows one.
#[test]
fn a_prefix_of_every_length_is_discovered() {
    for text in [
        "2001:db8::/32",
        "2001:db8:100::/40",
        "2001:db8:122::/48",
        "2001:db8:122:300::/56",
        "2001:db8:122:344::/64",
        "2001:db8:122:344::/96",
        "2001:db8:c000:aa::/64",
    ] {
        for address in ["192.0.0.170", "192.0.0.171"] {
            let answer = prefix(text).synthesize(v4(address)).unwrap().to_string();
            assert_eq!(discovered(&[&answer]), [text], "{answer}");
        }
    }
    // The Well-Known Prefix too, although the addresses are not global.
    assert_eq!(discovered(&["64:ff9b::192.0.0.170"]), ["64:ff9b::/96"]);
}

// RFC 7050, section 3: one answer may tell several prefixes, and each by both of the well-known addresses.
#[test]
fn several_prefixes_are_discovered_each_once_in_the_order_of_the_answer() {
    let answer =
        ["2001:db8:64::192.0.0.171", "64:ff9b::192.0.0.170", "2001:db8:64::192.0.0.170", "64:ff9b::192.0.0.171"];
    assert_eq!(discovered(&answer), ["2001:db8:64::/96", "64:ff9b::/96"]);
}

// RFC 7050, section 3: an address without a well-known IPv4 address tells nothing.
#[test]
fn an_answer_without_a_well_known_address_tells_no_prefix() {
    assert!(discovered(&["2001:db8::1", "64:ff9b::192.0.0.172", "192.0.0.170", "::"]).is_empty());
}

// Our rule: an answer of any length makes no more candidates than so many for each address.
#[test]
fn no_more_prefixes_are_discovered_than_are_made_use_of() {
    let answer: Vec<String> = (0..100).map(|n| format!("2001:db8:{n:x}::192.0.0.170")).collect();
    let answer: Vec<&str> = answer.iter().map(String::as_str).collect();
    assert_eq!(discovered(&answer).len(), MOST_PREFIXES);
}

#[test]
fn what_is_no_prefix_is_refused() {
    for (text, error) in [
        ("", InvalidNat64::Malformed),
        ("64:ff9b::", InvalidNat64::Malformed),
        ("64:ff9b::/", InvalidNat64::Malformed),
        ("64:ff9b::/+96", InvalidNat64::Malformed),
        ("192.0.2.0/96", InvalidNat64::Malformed),
        ("discover,64:ff9b::/96", InvalidNat64::Malformed),
        ("64:ff9b::/96,", InvalidNat64::Malformed),
        ("64:ff9b::/95", InvalidNat64::Length),
        ("64:ff9b::/128", InvalidNat64::Length),
        ("64:ff9b::/999", InvalidNat64::Length),
        ("64:ff9b::1/96", InvalidNat64::Bits),
        ("2001:db8:1::/32", InvalidNat64::Bits),
        ("2001:db8::100:0:0:0/96", InvalidNat64::Bits),
        ("a::/96,b::/96,c::/96,d::/96,e::/96,f::/96,a1::/96,a2::/96,a3::/96", InvalidNat64::TooMany),
    ] {
        assert_eq!(text.parse::<Nat64>(), Err(error), "{text}");
    }
    assert_eq!("discover".parse(), Ok(Nat64::Discover));
    let two = vec![Nat64Prefix::WELL_KNOWN, prefix("2001:db8::/32")];
    assert_eq!("64:ff9b::/96,2001:db8::/32".parse(), Ok(Nat64::Prefixes(two.into())));
    let eight = "a::/96,b::/96,c::/96,d::/96,e::/96,f::/96,a1::/96,a2::/96";
    assert!(matches!(eight.parse(), Ok(Nat64::Prefixes(prefixes)) if prefixes.len() == MOST_PREFIXES));
}

#[test]
fn an_error_says_what_is_wrong() {
    for (error, word) in [
        (InvalidNat64::Malformed, "discover"),
        (InvalidNat64::Length, "length"),
        (InvalidNat64::Bits, "bit"),
        (InvalidNat64::TooMany, "more than 8"),
    ] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // RFC 6052, section 2.3: both directions are one another's inverse, for every length.
    #[test]
    fn what_is_synthesized_is_extracted_again(bits: u128, length in prop::sample::select(vec![32u8, 40, 48, 56, 64, 96]), address: u32) {
        let kept = (u128::MAX << (128 - length)) & !(0xff << 56);
        let prefix = Nat64Prefix::new(Ipv6Addr::from_bits(bits & kept), length).unwrap();
        let address = Ipv4Addr::from(address);
        match prefix.synthesize(address) {
            Some(synthesized) => {
                prop_assert_eq!(prefix.extract(synthesized), Some(address));
                prop_assert_eq!(synthesized.octets()[8], 0);
                prop_assert_eq!(prefix.to_string().parse::<Nat64Prefix>(), Ok(prefix));
            }
            None => prop_assert!(!is_translated(address) || prefix == Nat64Prefix::WELL_KNOWN),
        }
    }
}
