//! RFC 8305, section 6: DNS answer changes during the race. A question is answered once, so addresses are
//! added and none is removed.
use crate::script::*;
use happysock::race::*;

// RFC 8305, section 6: "If an address is added to the list, it should be sorted into the list of addresses
// not yet attempted according to the rules above"
#[test]
fn section_6_a_new_address_is_sorted_among_those_not_tried() {
    let mut script = asked(Settings::default());
    script.source("v4.1", "");
    script
        .answers(AAAA, "v6.1 v6.2")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .answers(A, "v4.1 v4.2")
        .at(250)
        .expect("start v4.2")
        .at(500)
        .expect("start v6.2")
        .at(750)
        .expect("start v4.1");
}

// Version 3, section 7: "an IPv4 address endpoint should be placed next in the list of endpoints to attempt
// (to account for interleaving address families) ahead of any remaining IPv6 address endpoints, as if it had
// been available initially."
#[test]
fn section_6_a_family_that_answers_late_goes_next() {
    asked(Settings::default())
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .answers(A, "v4.1")
        .at(250)
        .expect("start v4.1")
        .at(500)
        .expect("start v6.2");
}

// Version 3, section 7: "its position SHOULD be determined by applying the sorting rules to the complete list
// of endpoints, including those previously received."
#[test]
fn section_6_a_family_that_answers_late_makes_up_for_the_turns_that_it_has_missed() {
    // Of v6.1 v4.1 v6.2 v4.2 v6.3 v4.3 v6.4 the IPv6 ones up to v6.3 were tried.
    asked(Settings::default())
        .answers(AAAA, "v6.1 v6.2 v6.3 v6.4")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(250)
        .expect("start v6.2")
        .at(500)
        .expect("start v6.3")
        .at(600)
        .answers(A, "v4.1 v4.2 v4.3 v4.4")
        .at(750)
        .expect("start v4.1")
        .at(1_000)
        .expect("start v4.2")
        .at(1_250)
        .expect("start v4.3")
        .at(1_500)
        .expect("start v6.4")
        .at(1_750)
        .expect("start v4.4");
}

// Version 3, section 7: "as if it had been available initially": the list begins with IPv6 then.
#[test]
fn section_6_the_preferred_family_begins_the_list_also_where_it_answers_late() {
    asked(Settings::default())
        .answers(A, "v4.1 v4.2 v4.3")
        .at(50)
        .expect("start v4.1")
        .at(60)
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .at(300)
        .expect("start v6.1")
        .at(550)
        .expect("start v6.2")
        .at(800)
        .expect("start v4.2")
        .at(1_050)
        .expect("start v6.3")
        .at(1_300)
        .expect("start v4.3");
}

// Version 3, section 7: the sorting rules apply to the complete list. What was tried alone has no route until
// then.
#[test]
fn section_6_the_address_that_was_tried_is_ranked_with_those_that_come_late() {
    // IPv6 has no way there, so that v4.1 is still the head.
    let mut script = asked(Settings::default());
    script.source("v6.1", "").source("v6.2", "");
    script.show_routes = true;
    script
        .answers(A, "v4.1 v4.2")
        .expect("route v4.1, route v4.2")
        .at(50)
        .expect("start v4.1")
        .at(60)
        .answers(AAAA, "v6.1 v6.2")
        .expect("route v6.1, route v6.2")
        .at(300)
        .expect("start v6.1")
        .at(550)
        .expect("start v4.2");
    // One address, tried before there was anything to sort. As long as the other family alone is left there
    // still is not.
    let mut script = asked(Settings::default());
    script.show_routes = true;
    script
        .answers(A, "v4.1")
        .at(50)
        .expect("start v4.1")
        .at(60)
        .answers(AAAA, "v6.1 ::ffff:203.0.113.7 v6.2")
        .expect("route v6.1, route ::ffff:203.0.113.7, route v6.2, route v4.1")
        .at(300)
        .expect("start v6.1")
        .at(550)
        .expect("start v6.2")
        .at(800)
        .expect("start ::ffff:203.0.113.7");
}
