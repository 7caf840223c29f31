//! Section 7: a network without IPv4, whose translator (NAT64) leads to it. What version 3 says is quoted
//! from "Handling NAT64 Networks" of draft-ietf-happy-happyeyeballs-v3.
//!
//! The prefix is 2001:db8:64::/96: `64:1` is where it leads to 192.0.2.1.
use crate::script::*;
use happysock::race::*;
use std::net::Ipv4Addr;

fn prefixes(text: &str) -> Settings {
    Settings { nat64: text.parse().unwrap(), ..Settings::default() }
}

fn discover() -> Settings {
    prefixes("discover")
}

fn given() -> Settings {
    prefixes("2001:db8:64::/96")
}

/// What a translator's network answers for ipv4only.arpa.
const TOLD: &str = "2001:db8:64::192.0.0.170 2001:db8:64::192.0.0.171";

/// A race by name on a network without IPv4, both questions asked.
#[track_caller]
fn without_ipv4(settings: Settings) -> Script {
    let mut script = asked(settings);
    script.ipv4 = false;
    script
}

/// A race towards addresses on a network without IPv4.
fn towards_without_ipv4(names: &str, settings: Settings) -> Script {
    let mut script = Script::towards(names, settings);
    script.ipv4 = false;
    script
}

// RFC 8305, section 7.1: an IPv4 literal on a network with IPv6 alone becomes the address of the network's
// translator.
#[test]
fn section_7_an_ipv4_literal_is_synthesized_on_a_network_without_ipv4() {
    towards_without_ipv4("v4.1", given()).expect("start 64:1");
}

// RFC 8305, section 7.1: the prefix for that is found by the name ipv4only.arpa.
#[test]
fn section_7_the_prefix_for_a_literal_is_discovered() {
    towards_without_ipv4("v4.1", discover())
        .expect("ask nat64")
        .expect_no_deadline()
        .at(20)
        .answers(PREFIX, TOLD)
        .expect("start 64:1");
}

// Version 3: addresses to synthesize "can come from DNS (via A records [...])".
#[test]
fn section_7_a_name_with_ipv4_alone_is_synthesized() {
    without_ipv4(given())
        .at(5)
        .fails_to_resolve(AAAA, NODATA)
        .expect("hasten A")
        .at(10)
        .answers(A, "v4.1 v4.2")
        .expect("start 64:1")
        .at(260)
        .expect("start 64:2");
}

// Version 3: "If a network with IPv6-only connectivity does not provide the prefix in a Router Advertisement,
// clients SHOULD send the DNS query to discover the prefix".
#[test]
fn section_7_the_prefix_for_a_name_is_discovered_once_ipv6_has_nothing() {
    without_ipv4(discover())
        .at(10)
        .answers(A, "v4.1")
        .expect_deadline(60)
        .at(20)
        .fails_to_resolve(AAAA, NODATA)
        .expect("ask nat64")
        .at(30)
        .answers(PREFIX, TOLD)
        .expect("start 64:1");
}

// Our rule: an AAAA answer that does not come within the Resolution Delay does not hold the translator back.
#[test]
fn section_7_the_prefix_is_asked_for_after_the_resolution_delay() {
    without_ipv4(discover())
        .at(10)
        .answers(A, "v4.1")
        .idle_until(60)
        .expect("ask nat64")
        .at(70)
        .answers(PREFIX, TOLD)
        .expect("start 64:1")
        .at(80)
        .answers(AAAA, "v6.1")
        .at(320)
        .expect("start v6.1");
}

// Our rule: the prefixes are asked for only when nothing else is left to attempt.
#[test]
fn section_7_nothing_is_discovered_where_ipv6_connects() {
    without_ipv4(discover())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .answers(A, "v4.1")
        .at(30)
        .connects("v6.1")
        .expect("finish connected v6.1");
}

// Version 3: a client "MUST send A queries in addition to AAAA queries [...] to receive any existing IPv4 A
// records and perform local NAT64 address synthesis". So broken AAAA records do not keep a host from being
// reached (RFC 8305, section 7.2).
#[test]
fn section_7_ipv4_addresses_follow_ipv6_addresses_that_do_not_answer() {
    without_ipv4(discover())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .answers(A, "v4.1")
        .expect_deadline(250)
        .idle_until(250)
        .expect("ask nat64")
        .at(255)
        .answers(PREFIX, TOLD)
        .expect("start 64:1");
}

// RFC 8305, section 5: a failure does not wait for the delay.
#[test]
fn section_7_ipv4_addresses_follow_a_failure_at_once() {
    without_ipv4(discover())
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .at(30)
        .refuses("v6.1")
        .expect("ask nat64")
        .at(40)
        .answers(PREFIX, TOLD)
        .expect("start 64:1")
        .at(50)
        .connects("64:1")
        .expect("finish connected 64:1");
}

// Version 3: "If the Happy Eyeballs client is attempting a connection to an IPv4 address when there is no
// IPv4 route that applies for that address": not where there is one.
#[test]
fn section_7_a_network_with_ipv4_synthesizes_nothing_and_asks_nothing() {
    for settings in [given(), discover()] {
        Script::towards("v4.1", settings.clone()).expect("start v4.1");
        asked(settings)
            .fails_to_resolve(AAAA, NODATA)
            .answers(A, "v4.1")
            .expect("start v4.1")
            .connects("v4.1")
            .expect("finish connected v4.1");
    }
}

// Our rule: off, it changes nothing: IPv4 is attempted as it is, and nobody is asked whether it has a
// network.
#[test]
fn section_7_without_the_option_ipv4_addresses_are_attempted_as_they_are() {
    let mut script = Script::towards("v4.1", Settings::default());
    script.ipv4 = false;
    script.expect("start v4.1");
    assert!(!script.connectivity_asked.contains(&Family::V4));
}

// Our rule: a race that has IPv6 addresses alone does not ask whether IPv4 has a network.
#[test]
fn section_7_ipv6_alone_asks_nothing() {
    let mut script = towards_without_ipv4("v6.1 v6.2", discover());
    script.expect("start v6.1").at(250).expect("start v6.2");
    assert!(script.connectivity_asked.is_empty());
}

// Our rule: on a network without a translator IPv4 is attempted as it is, and fails as it always has.
#[test]
fn section_7_without_a_translator_ipv4_addresses_are_attempted_as_they_are() {
    towards_without_ipv4("v4.1", discover())
        .expect("ask nat64")
        .at(10)
        .fails_to_resolve(PREFIX, NODATA)
        .expect("start v4.1")
        .is_unreachable("v4.1")
        .expect("finish failed v4.1");
    towards_without_ipv4("v4.1", discover()).expect("ask nat64").answers(PREFIX, "2001:db8::1").expect("start v4.1");
}

// Our rule: why the host could not be looked up is not told by the lookup of the prefixes.
#[test]
fn section_7_the_lookup_of_the_prefixes_hides_no_error() {
    without_ipv4(discover())
        .fails_to_resolve(AAAA, AGAIN)
        .expect("hasten A")
        .fails_to_resolve(A, AGAIN)
        .expect("finish resolve -3");
}

// Version 3: "Some IPv4 prefixes are scoped to a given host or network and do not require synthesis, such as
// 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, and 255.255.255.255/32."
#[test]
fn section_7_what_is_this_host_or_this_link_alone_is_attempted_as_it_is() {
    towards_without_ipv4("loop4", given()).expect("start loop4");
    towards_without_ipv4("169.254.1.1", discover()).expect("start 169.254.1.1");
}

// RFC 6052, section 3.1: "The Well-Known Prefix MUST NOT be used to represent non-global IPv4 addresses".
#[test]
fn section_7_a_private_address_does_not_go_behind_the_well_known_prefix() {
    towards_without_ipv4("10.0.0.1", prefixes("64:ff9b::/96")).expect("start 10.0.0.1");
    towards_without_ipv4("10.0.0.1", discover())
        .expect("ask nat64")
        .answers(PREFIX, "64:ff9b::192.0.0.170")
        .expect("start 10.0.0.1");
    towards_without_ipv4("1.1.1.1", prefixes("64:ff9b::/96")).expect("start 64:ff9b::101:101");
}

// RFC 7050, section 3: a network may have several prefixes; each leads to the address.
#[test]
fn section_7_every_prefix_is_attempted_in_the_order_of_the_answer() {
    towards_without_ipv4("v4.1 v4.2", prefixes("2001:db8:64::/96,2001:db8:65::/96"))
        .expect("start 64:1")
        .at(250)
        .expect("start 64:2")
        .at(500)
        .expect("start 2001:db8:65::c000:201")
        .at(750)
        .expect("start 2001:db8:65::c000:202");
}

// Version 3: synthesized addresses "MUST be de-synthesized into IPv4 addresses before being used by the Happy
// Eyeballs client for grouping and sorting": a native address goes first, and they take turns.
#[test]
fn section_7_synthesized_addresses_are_sorted_and_interleaved_as_ipv4() {
    towards_without_ipv4("v4.1 v4.2 v6.1 v6.2", given())
        .expect("start v6.1")
        .at(250)
        .expect("start 64:1")
        .at(500)
        .expect("start v6.2")
        .at(750)
        .expect("start 64:2");
}

// Version 3: "Clients that are aware of the PREF64 value MUST check to see if an IPv6 address received from
// DNS is actually an IPv4 address."
#[test]
fn section_7_an_address_that_dns64_has_made_is_sorted_as_ipv4() {
    let mut script = towards_without_ipv4("64:1 v6.1", given());
    script.expect("start v6.1").at(250).expect("start 64:1");
    let embedded: Vec<_> = script.race.attempts().iter().map(|attempt| attempt.embedded).collect();
    assert_eq!(embedded, [None, Some(Ipv4Addr::new(192, 0, 2, 1))]);
}

// Version 3: such addresses "MUST be de-synthesized into IPv4 addresses before [...] connecting. These
// addresses might be re-synthesized": not where IPv4 has a network.
#[test]
fn section_7_an_address_that_dns64_has_made_is_ipv4_again_where_there_is_ipv4() {
    asked(given()).answers(AAAA, "64:1").answers(A, "v4.1").expect("start v4.1").at(250).expect("");
}

// Our rule: what DNS64 has made and what is synthesized here is one address.
#[test]
fn section_7_an_address_that_dns64_has_made_too_is_attempted_once() {
    without_ipv4(given())
        .answers(AAAA, "64:1")
        .expect("start 64:1")
        .answers(A, "v4.1 v4.2")
        .at(250)
        .expect("start 64:2")
        .at(260)
        .refuses("64:1")
        .refuses("64:2")
        .expect("finish failed 64:2");
}

// Our rule: so is what DNS64 tells after the synthesized address was attempted.
#[test]
fn section_7_an_answer_of_dns64_that_is_late_is_not_attempted_again() {
    without_ipv4(given())
        .answers(A, "v4.1")
        .at(50)
        .expect("start 64:1")
        .at(60)
        .answers(AAAA, "64:1 v6.1")
        .at(300)
        .expect("start v6.1")
        .at(550)
        .expect("");
}

// Our rule: a translator is reached over IPv6 and leads to IPv4, so who wants one family alone is not led
// there.
#[test]
fn section_7_one_family_alone_is_not_translated() {
    let settings = Settings { families: Families::Only(Family::V4), ..given() };
    let mut script = Script::new(settings);
    script.ipv4 = false;
    script.expect("ask A").answers(A, "v4.1").expect("start v4.1");
}

// Our rule: without a race the addresses that can be reached go in the order given, then those by the
// translator.
#[test]
fn section_7_without_fast_fallback_synthesized_addresses_follow() {
    let settings = Settings { fast_fallback: false, ..discover() };
    let mut script = Script::new(settings);
    script.ipv4 = false;
    script
        .expect("ask any")
        .answers(ANY, "v4.1 v6.1")
        .expect("start v6.1")
        .expect_no_deadline()
        .refuses("v6.1")
        .expect("ask nat64")
        .answers(PREFIX, TOLD)
        .expect("start 64:1");
}

// Our rule: the resolve limit holds for the lookup of the prefixes as well; then IPv4 is attempted as it is.
#[test]
fn section_7_the_resolve_limit_ends_the_lookup_of_the_prefixes() {
    let settings = Settings { resolve_limit: Some(ms(100)), ..discover() };
    towards_without_ipv4("v4.1", settings.clone()).expect("ask nat64").at(100).expect("drop nat64, start v4.1");
    without_ipv4(settings).answers(AAAA, "v6.1").expect("start v6.1").answers(A, "v4.1").at(250).expect("start v4.1");
}

// Our rule: the end of a race ends the lookup of the prefixes too.
#[test]
fn section_7_a_race_that_ends_drops_the_lookup_of_the_prefixes() {
    towards_without_ipv4("v4.1", discover())
        .expect("ask nat64")
        .event(Event::Cancelled)
        .expect("drop nat64, finish cancelled");
}

// Our rule: the connect limit counts once no other attempt follows, and one may follow while the translator
// is looked for.
#[test]
fn section_7_the_connect_limit_waits_for_addresses_that_are_held() {
    let settings = Settings { connect_limit: Some(ms(100)), ..discover() };
    without_ipv4(settings)
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .idle_until(250)
        .expect("ask nat64")
        .at(260)
        .answers(PREFIX, TOLD)
        .expect("start 64:1")
        .at(360)
        .expect("abandon v6.1, abandon 64:1, finish timed out Connect");
}

// Our rule: a local address of IPv6 alone fits a translator's address.
#[test]
fn section_7_a_local_ipv6_address_reaches_an_ipv4_literal() {
    let mut script = towards_without_ipv4("v4.1", Settings { local: true, ..given() });
    script.expect("ask local").answers(LOCAL, "v6.9").expect("start 64:1");
}

// Our rule: the trace tells which address was synthesized, and from what.
#[test]
fn section_7_the_trace_tells_of_a_synthesized_address() {
    let mut script = towards_without_ipv4("v4.1", Settings { trace: true, ..given() });
    script.expect("start 64:1").connects("64:1").expect("finish connected 64:1");
    let (v4, v6) = (address("v4.1"), address("64:1"));
    let trace: Vec<TraceKind> = script.trace().into_iter().map(|(_, kind)| kind).collect();
    let (first, second) = (CandidateId(0), CandidateId(1));
    assert_eq!(
        trace[..4],
        [
            TraceKind::CandidateAdded { candidate: first, address: v4 },
            TraceKind::CandidateDropped { candidate: first, address: v4 },
            TraceKind::AddressSynthesized { candidate: second, address: v6, v4: Ipv4Addr::new(192, 0, 2, 1) },
            TraceKind::CandidateAdded { candidate: second, address: v6 },
        ]
    );
}
