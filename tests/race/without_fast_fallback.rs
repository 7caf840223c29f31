//! Without fast fallback: one lookup, its addresses one after the other, no race.
use crate::script::*;
use happysock::race::*;

fn plain() -> Settings {
    Settings { fast_fallback: false, ..Settings::default() }
}

#[track_caller]
fn answered(names: &str, settings: Settings) -> Script {
    let mut script = Script::new(settings);
    script.expect("ask any").answers(ANY, names);
    script
}

// CRuby's rule: without fast_fallback it is one getaddrinfo(3) for both families.
#[test]
fn one_question_is_asked_for_both_families() {
    Script::new(plain()).expect("ask any").expect_no_deadline();
}

// CRuby's rule: without fast_fallback it is one getaddrinfo(3), of the family that was named.
#[test]
fn one_family_is_asked_for_by_its_own_question() {
    let settings = Settings { families: Families::Only(Family::V4), ..plain() };
    Script::new(settings).expect("ask A").answers(A, "v4.1 v4.2").expect("start v4.1").expect_no_deadline();
}

// CRuby's rule: without fast_fallback the addresses are tried one after the other, as getaddrinfo(3) has
// sorted them.
#[test]
fn the_addresses_are_tried_in_the_order_given_and_no_route_is_asked_for() {
    let mut script = answered("v4.2 v6.1 v4.1", plain());
    script.show_routes = true;
    script
        .expect("start v4.2")
        .idle_until(60_000)
        .expect_no_deadline()
        .refuses("v4.2")
        .expect("start v6.1")
        .refuses("v6.1")
        .expect("start v4.1")
        .refuses("v4.1")
        .expect("finish failed v4.1");
}

// CRuby's rule: without fast_fallback connect_timeout is that of each connect(2).
#[test]
fn the_connect_limit_counts_for_each_attempt() {
    let settings = Settings { connect_limit: Some(ms(100)), ..plain() };
    answered("v4.1 v4.2 v4.3", settings)
        .late_at(5)
        .expect("start v4.1")
        .expect_deadline(105)
        .at(105)
        .expect("abandon v4.1, start v4.2")
        .at(150)
        .refuses("v4.2")
        .expect("start v4.3")
        .expect_deadline(250)
        .at(250)
        .expect("abandon v4.3, finish timed out Connect");
}

// CRuby's rule: when every attempt has failed, the error of the last is raised.
#[test]
fn a_refused_last_address_is_told_although_the_limit_ended_the_first() {
    let settings = Settings { connect_limit: Some(ms(100)), ..plain() };
    answered("v4.1 v4.2", settings)
        .expect("start v4.1")
        .at(100)
        .expect("abandon v4.1, start v4.2")
        .refuses("v4.2")
        .expect("finish failed v4.2");
}

// CRuby's rule: without fast_fallback every address is tried.
#[test]
fn an_unreachable_family_does_not_shorten_the_list() {
    answered("v6.1 v6.2 v4.1", plain())
        .expect("start v6.1")
        .is_unreachable("v6.1")
        .expect("start v6.2")
        .is_unreachable("v6.2")
        .expect("start v4.1")
        .connects("v4.1")
        .expect("finish connected v4.1");
}

// CRuby's rule: without fast_fallback one attempt follows the other's end, however many there may be.
#[test]
fn the_cap_on_attempts_does_not_make_it_a_race() {
    let settings = Settings { max_attempts: 5, ..plain() };
    answered("v6.1 v6.2", settings).expect("start v6.1").expect_no_deadline();
}

// CRuby's rule: without fast_fallback the addresses are tried in the order given.
#[test]
fn numeric_addresses_keep_their_order_too() {
    Script::towards("v4.1 v6.1", plain()).expect("start v4.1").refuses("v4.1").expect("start v6.1");
}

// CRuby's rule: what getaddrinfo(3) answers is raised.
#[test]
fn the_lookup_that_fails_ends_the_race() {
    Script::new(plain()).expect("ask any").fails_to_resolve(ANY, NONAME).expect("finish resolve -2");
}

// Our rule: a socket is bound before it is connected, so no attempt starts without the local address.
#[test]
fn the_local_answer_is_awaited_too() {
    Script::new(Settings { local: true, ..plain() })
        .expect("ask any, ask local")
        .answers(ANY, "v6.1 v4.1")
        .expect("")
        .answers(LOCAL, "v4.9")
        .expect("start v4.1");
}

// CRuby's rule: resolv_timeout counts from the start of resolution.
#[test]
fn the_resolve_limit_ends_the_lookup() {
    let settings = Settings { resolve_limit: Some(ms(100)), ..plain() };
    Script::new(settings).expect("ask any").expect_deadline(100).at(100).expect("drop any, finish timed out Resolve");
}

fn shared(limit: u64) -> Settings {
    Settings { open_limit: Some(ms(limit)), share_open_limit: true, ..plain() }
}

// Go's rule (net.Dialer, dialSerial): each address gets an equal share of the time that is left.
#[test]
fn the_addresses_may_share_the_open_limit() {
    Script::new(shared(12_000))
        .expect("ask any")
        .at(3_000)
        .answers(ANY, "v4.1 v4.2 v4.3")
        .expect("start v4.1")
        .expect_deadline(6_000)
        .idle_until(6_000)
        .expect("abandon v4.1, start v4.2")
        .expect_deadline(9_000)
        // One that fails early leaves its time to the others, and the last one has all that is left.
        .at(7_000)
        .refuses("v4.2")
        .expect("start v4.3")
        .expect_deadline(12_000)
        .at(12_000)
        .expect("abandon v4.3, finish timed out Open");
}

// Go's rule: a share is two seconds at least, as long as so much is left.
#[test]
fn a_share_of_the_open_limit_is_at_least_two_seconds() {
    Script::towards("v4.1 v4.2 v4.3 v4.4", shared(5_000))
        .expect("start v4.1")
        .at(2_000)
        .expect("abandon v4.1, start v4.2")
        .at(4_000)
        .expect("abandon v4.2, start v4.3")
        .expect_deadline(5_000)
        .at(5_000)
        .expect("abandon v4.3, finish timed out Open");
    Script::towards("v4.1 v4.2", shared(1_500)).expect("start v4.1").expect_deadline(1_500);
}

// Our rule: without a limit there is nothing to share, and in a race nobody waits for another's end.
#[test]
fn nothing_is_shared_without_a_limit_or_in_a_race() {
    let settings = Settings { open_limit: None, ..shared(0) };
    Script::towards("v4.1 v4.2", settings).expect("start v4.1").expect_no_deadline();
    let settings = Settings { fast_fallback: true, ..shared(9_000) };
    let mut script = Script::towards("v4.1 v4.2", settings);
    script.expect("start v4.1").at(250).expect("start v4.2").idle_until(8_999).expect_deadline(9_000);
}
