//! RFC 8305, section 6: DNS answer changes during the race.
use crate::script::*;
use happysock::race::*;

// RFC 8305, section 6: "If the removed address had not yet had a connection attempt started, it SHOULD be
// removed from the list of addresses to try."
#[test]
fn section_6_an_address_that_disappears_is_dropped_if_it_was_not_started() {
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .at(100)
        .withdraws("v6.2")
        .idle_until(250)
        .expect("start v6.3");
}

// RFC 8305, section 6: "If an address is removed from the list that already had a connection attempt
// started, the connection attempt SHOULD NOT be canceled, but rather be allowed to continue."
#[test]
fn section_6_an_address_that_disappears_keeps_its_running_attempt() {
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script
        .expect("start v6.1")
        .at(100)
        .withdraws("v6.1")
        .expect("")
        .at(200)
        .connects("v6.1")
        .expect("finish connected v6.1");
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn section_6_an_unknown_address_that_disappears_changes_nothing() {
    Script::towards("v6.1 v6.2", Settings::default())
        .expect("start v6.1")
        .withdraws("v6.9")
        .withdraws("v4.1")
        .at(250)
        .expect("start v6.2");
}

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

// Our rule: a race with nothing left to try or to wait for has ended.
#[test]
fn section_6_when_all_addresses_disappear_the_race_ends_as_without_data() {
    asked(Settings::default())
        .at(10)
        .answers(A, "v4.1")
        .expect("")
        .fails_to_resolve(AAAA, NODATA)
        .withdraws("v4.1")
        .expect("finish resolve -5");
    Script::towards("v4.1", Settings::default()).withdraws("v4.1").expect("finish resolve -5");
}
