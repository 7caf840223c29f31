//! RFC 8305, section 4: sorting addresses. What RFC 6724 says of two destinations is in `rfc_6724`.
use crate::script::*;
use happysock::race::*;

/// A race with both families answered at once.
fn answered(v6: &str, v4: &str, settings: Settings) -> Script {
    let mut script = asked(settings);
    script.answers(AAAA, v6).answers(A, v4);
    script
}

fn first_address_family_count(count: u32) -> Settings {
    Settings { first_address_family_count: count, ..Settings::default() }
}

// RFC 8305, section 4: "the client SHOULD modify the ordered list to interleave address families."
#[test]
fn section_4_the_families_alternate() {
    answered("v6.1 v6.2", "v4.1 v4.2", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v4.1")
        .at(500)
        .expect("start v6.2")
        .at(750)
        .expect("start v4.2");
}

// Our rule: an IPv4-mapped address is IPv4 to the network, whatever socket it takes.
#[test]
fn section_4_ipv4_mapped_addresses_take_the_turns_of_ipv4() {
    Script::towards("v6.1 v6.2 ::ffff:192.0.2.7 ::ffff:192.0.2.8", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start ::ffff:192.0.2.7")
        .at(500)
        .expect("start v6.2")
        .at(750)
        .expect("start ::ffff:192.0.2.8");
}

// Our rule: when a family has no more addresses its turns pass to the other.
#[test]
fn section_4_the_rest_of_a_family_follows_when_the_other_has_no_more() {
    answered("v6.1 v6.2 v6.3", "v4.1", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v4.1")
        .at(500)
        .expect("start v6.2")
        .at(750)
        .expect("start v6.3");
}

// RFC 8305, section 4: "An implementation MAY choose to favor one address family more by allowing multiple
// addresses of that family to be attempted before trying the next."
#[test]
fn section_4_first_address_family_count_tries_so_many_of_the_first_family() {
    answered("v6.1 v6.2 v6.3", "v4.1 v4.2", first_address_family_count(2))
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(500)
        .expect("start v4.1")
        .at(750)
        .expect("start v6.3")
        .at(1_000)
        .expect("start v4.2");
}

// RFC 8305, section 4: "Whichever address family is first in the list should be followed by an address of
// the other address family"
#[test]
fn section_4_first_address_family_count_of_zero_counts_as_one() {
    answered("v6.1 v6.2", "v4.1", first_address_family_count(0)).expect("start v6.1").at(250).expect("start v4.1");
}

// RFC 8305, section 4: "The number of contiguous addresses of the first address family is referred to as the
// 'First Address Family Count'" What follows the other family is not contiguous.
#[test]
fn section_4_first_address_family_count_is_over_once_the_other_family_was_tried() {
    // The only IPv6 address goes first, then IPv4; what comes later of IPv6 takes turns.
    asked(first_address_family_count(4))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(300)
        .answers(A, "v4.1 v4.2 v4.3")
        .expect("start v4.1")
        .at(550)
        .expect("start v4.2")
        .at(800)
        .expect("start v4.3");
    asked(first_address_family_count(9))
        .at(10)
        .answers(A, "v4.1 v4.2 v4.3")
        .at(60)
        .expect("start v4.1")
        .at(70)
        .answers(AAAA, "v6.1 v6.2")
        .idle_until(310)
        .expect("start v6.1")
        .at(560)
        .expect("start v6.2")
        .at(810)
        .expect("start v4.2");
}

// RFC 8305, section 4: "It is important that the ordered list involve all addresses from both families that
// have been received by this point"
#[test]
fn section_4_the_order_is_restored_over_the_merged_list() {
    // Only IPv4 has a source: rule 1 puts it first although AAAA was answered first, in the same wake-up.
    let mut script = asked(Settings::default());
    script.source("v6.1", "").source("v6.2", "");
    script.answers(AAAA, "v6.1 v6.2").answers(A, "v4.1").expect("start v4.1").at(250).expect("start v6.1");
}

// RFC 8305, section 6: "If an address is added to the list, it should be sorted into the list of addresses
// not yet attempted according to the rules above"
#[test]
fn section_4_the_order_is_restored_again_when_a_late_answer_arrives() {
    let mut script = asked(Settings::default());
    script.source("v6.1", "").source("v6.2", "2001:db8:ffff::1").source("v6.3", "2001:db8::ffff");
    script
        .answers(A, "v4.1 v4.2")
        .at(50)
        .expect("start v4.1")
        .at(60)
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .idle_until(300)
        .expect("start v6.3")
        .at(550)
        .expect("start v6.2")
        .at(800)
        .expect("start v4.2")
        .at(1_050)
        .expect("start v6.1");
}

// RFC 8305, section 4: "the client SHOULD modify the ordered list to interleave address families." Version
// 3, section 7: a late answer takes the turns that it would have had.
#[test]
fn section_4_a_late_answer_takes_its_turn() {
    asked(Settings::default())
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(250)
        .expect("start v6.2")
        .at(260)
        .answers(A, "v4.1 v4.2")
        .idle_until(500)
        .expect("start v4.1")
        .at(750)
        .expect("start v4.2")
        .at(1_000)
        .expect("start v6.3");
}

// RFC 8305, section 4: "the client MUST sort the addresses received up to this point using Destination
// Address Selection ([RFC6724], Section 6)."
#[test]
fn section_4_routes_are_asked_for_when_two_candidates_need_an_order() {
    let mut script = asked(Settings::default());
    script.show_routes = true;
    script.answers(AAAA, "v6.1 v6.2").expect("route v6.1, route v6.2, start v6.1");
    // Two again: only the new one is asked for.
    script.at(10).answers(A, "v4.1").expect("route v4.1");
    script.at(250).expect("start v4.1");
}

// Our rule: one address is in order.
#[test]
fn section_4_one_candidate_needs_no_route() {
    let mut script = asked(Settings::default());
    script.show_routes = true;
    script.answers(AAAA, "v6.1").expect("start v6.1").at(10).answers(A, "v4.1").expect("").at(250).expect("start v4.1");
}

// RFC 6724, section 6: "Rule 1: Avoid unusable destinations."
#[test]
fn section_4_a_route_never_found_counts_as_none() {
    let mut race = Race::with_addresses(Settings::default(), &addresses("v6.1 v6.2"), std::time::Instant::now());
    let now = std::time::Instant::now();
    let ask = |race: &mut Race| race.next_action(now, Permits::ALL);
    assert!(matches!(ask(&mut race), Some(Action::FindRoute { candidate: CandidateId(0), .. })));
    assert!(matches!(ask(&mut race), Some(Action::FindRoute { candidate: CandidateId(1), .. })));
    race.handle(now, Event::RouteFound { candidate: CandidateId(1), route: usual_route(address("v6.2").ip()) });
    race.handle(now, Event::RouteFound { candidate: CandidateId(7), route: Route::default() });
    let destination = address("v6.2");
    assert_eq!(ask(&mut race), Some(Action::StartAttempt { attempt: AttemptId(0), destination }));
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn section_4_a_route_that_was_not_asked_for_is_ignored() {
    let now = std::time::Instant::now();
    let mut race = Race::with_addresses(Settings::default(), &addresses("v6.1 v6.2"), now);
    race.handle(now, Event::RouteFound { candidate: CandidateId(1), route: Route::default() });
    assert!(matches!(race.next_action(now, Permits::ALL), Some(Action::FindRoute { candidate: CandidateId(0), .. })));
    assert!(matches!(race.next_action(now, Permits::ALL), Some(Action::FindRoute { candidate: CandidateId(1), .. })));
}

// RFC 8305, section 4: "it SHOULD add a Destination Address Selection rule between rules 8 and 9 that
// prefers addresses with lower RTTs."
#[test]
fn section_4_a_lower_round_trip_time_goes_first() {
    let mut script = asked(Settings::default());
    let history = |milliseconds| Route { round_trip: Some(ms(milliseconds)), ..usual_route(address("v6.1").ip()) };
    script.route("v6.1", history(90)).route("v6.2", history(20)).route("v6.3", history(60));
    script
        .answers(AAAA, "v6.9 v6.1 v6.2 v6.3")
        .expect("start v6.2")
        .at(50)
        .expect("hasten A")
        .at(250)
        .expect("start v6.3")
        .at(500)
        .expect("start v6.1")
        .at(750)
        .expect("start v6.9");
}

// RFC 8305, section 4: "it SHOULD add another Destination Address Selection rule between the RTT rule and
// rule 9, which prefers used addresses over unused ones."
#[test]
fn section_4_used_addresses_go_before_unused_ones() {
    let mut script = asked(Settings::default());
    script.route("v6.2", Route { used_before: true, ..usual_route(address("v6.2").ip()) });
    script.answers(AAAA, "v6.1 v6.2").expect("start v6.2").at(50).expect("hasten A").at(250).expect("start v6.1");
}

// Our rule: an address is tried once, however often it is listed.
#[test]
fn section_4_duplicates_are_removed() {
    asked(Settings::default())
        .answers(AAAA, "v6.1 v6.1 v6.2 v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(250)
        .expect("start v6.2")
        .at(500)
        .expect_no_deadline();
}

// Our rule: an address is tried once, however often it is listed.
#[test]
fn section_4_an_address_that_was_tried_is_not_tried_again() {
    asked(Settings::default())
        .answers(A, "v4.1 v4.2 v4.2")
        .at(50)
        .expect("start v4.1")
        .refuses("v4.1")
        .expect("start v4.2")
        .refuses("v4.2")
        .expect("")
        .fails_to_resolve(AAAA, NODATA)
        .expect("finish failed v4.2");
}

// Our rule: an address on another link is another address (RFC 4007, section 6).
#[test]
fn section_4_the_same_address_with_another_port_or_scope_is_another_candidate() {
    let two: Vec<std::net::SocketAddr> = vec!["[fe80::1%1]:80".parse().unwrap(), "[fe80::1%2]:80".parse().unwrap()];
    let now = std::time::Instant::now();
    let mut race = Race::with_addresses(Settings::default(), &two, now);
    let routes = std::iter::from_fn(|| race.next_action(now, Permits::ALL))
        .filter(|action| matches!(action, Action::FindRoute { .. }))
        .count();
    assert_eq!(routes, 2);
}
