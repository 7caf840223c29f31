//! Service bindings: the rules of version 3 (draft-ietf-happy-happyeyeballs-v3, sections 4 and 5) and of RFC 9460
//! for a race that asks for them. The names 1, 2, ... are what targets stand for.
use crate::script::*;
use happysock::race::*;

fn with_service() -> Settings {
    Settings { service: true, ..Settings::default() }
}

/// A race that asks for bindings, all questions asked.
#[track_caller]
fn asked_with(settings: Settings) -> Script {
    let mut script = Script::new(settings);
    script.expect("ask HTTPS, ask AAAA, ask A when free");
    script
}

#[track_caller]
fn begun() -> Script {
    asked_with(with_service())
}

fn binding_of(script: &Script, name: &str) -> Option<BindingId> {
    script.race.attempts()[script.attempt(name).0 as usize].binding
}

// Section 4.1: HTTPS, AAAA and A are asked as soon after one another as possible, in this order.
#[test]
fn service_is_asked_for_before_the_addresses() {
    begun();
}

// Without the option not one question is another.
#[test]
fn service_is_not_asked_for_unless_wanted() {
    asked(Settings::default()).answers(AAAA, "v6.1").expect("start v6.1");
}

// A host that is an address has no bindings.
#[test]
fn service_of_an_address_is_not_asked_for() {
    Script::towards("v6.1", with_service()).expect("start v6.1");
}

// Section 4.2: addresses, the preferred family's answer and the service's are there: it goes on at once.
#[test]
fn service_everything_that_is_waited_for_has_come() {
    begun()
        .at(30)
        .tells("1 .")
        .answers(AAAA, "v6.1 v6.2")
        .expect("start v6.1")
        .at(32)
        .answers(A, "v4.1 v4.2")
        .at(280)
        .expect("start v4.1");
}

// Section 4.2: addresses wait for the service's answer, which comes within the Resolution Delay.
#[test]
fn service_that_is_slightly_late_is_waited_for() {
    begun()
        .at(30)
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect_deadline(80)
        .at(40)
        .tells("1 .")
        .expect("start v6.1");
}

// Section 4.2: they wait no longer than that.
#[test]
fn service_that_is_very_late_is_not_waited_for() {
    begun().at(30).answers(AAAA, "v6.1").answers(A, "v4.1").idle_until(80).expect("start v6.1");
}

// Section 4.2: the delay counts from the first address; what comes later does not prolong it.
#[test]
fn service_and_the_preferred_family_are_waited_for_together() {
    begun().at(10).answers(A, "v4.1").at(50).answers(AAAA, "v6.1").idle_until(60).expect("start v6.1");
}

// Section 4.2: a negative answer for the service is an answer.
#[test]
fn service_without_bindings_is_as_if_there_were_none() {
    let tellers: [fn(&mut Script); 2] =
        [|script| _ = script.tells(""), |script| _ = script.fails_to_resolve(HTTPS, AGAIN)];
    for tell in tellers {
        let mut script = begun();
        script.at(30).answers(AAAA, "v6.1").expect_deadline(80).at(40);
        tell(&mut script);
        script.expect("start v6.1").answers(A, "v4.1").at(290).expect("start v4.1").connects("v4.1");
        assert_eq!(binding_of(&script, "v4.1"), None);
        script.expect("abandon v6.1, finish connected v4.1");
    }
}

// Section 4.2: hints are positive answers for the purpose of the algorithm.
#[test]
fn service_hints_of_both_families_start_at_once() {
    let mut script = begun();
    script.at(30).tells("1 . v6.1 v4.1").expect("start v6.1").at(80).expect("hasten A").at(280).expect("start v4.1");
    assert_eq!(binding_of(&script, "v6.1"), Some(BindingId(0)));
}

// A hint of the other family waits for the preferred one as an answer does.
#[test]
fn service_hints_of_ipv4_wait_for_ipv6() {
    begun().at(30).tells("1 . v4.1").expect_deadline(80).at(50).answers(AAAA, "v6.1").expect("start v6.1");
}

// Section 4.2.1: the target's own addresses take the place of its hints, family by family.
#[test]
fn service_hints_give_way_to_the_addresses_of_the_target() {
    begun()
        .at(30)
        .tells("1 . v6.1 v6.2 v4.1")
        .expect("start v6.1")
        .at(40)
        .answers(AAAA, "v6.3")
        .at(90)
        .expect("hasten A")
        .at(280)
        .expect("start v4.1")
        .idle_until(530)
        .expect("start v6.3");
}

// Our rule: where a target cannot be looked up, its hints are all that is known.
#[test]
fn service_hints_stay_where_the_target_is_not_answered() {
    begun().at(30).fails_to_resolve(AAAA, AGAIN).expect("hasten A").tells("1 . v6.1").expect("start v6.1");
}

// Section 4.2.1: A and AAAA of a target are asked for; section 5.2: its addresses go before the host's own.
#[test]
fn service_target_goes_before_the_host() {
    let mut script = begun();
    script
        .at(30)
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .at(40)
        .tells("1 1")
        .expect("ask AAAA of 1, ask A of 1 when free")
        .at(60)
        .answers(of_target(1, AAAA), "v6.9")
        .expect("start v6.9")
        .at(62)
        .answers(of_target(1, A), "v4.9")
        .at(310)
        .expect("start v4.9")
        .at(560)
        .expect("start v6.1")
        .at(810)
        .expect("start v4.1");
    assert_eq!(
        ["v6.9", "v4.9", "v6.1", "v4.1"].map(|name| binding_of(&script, name)),
        [Some(BindingId(0)), Some(BindingId(0)), None, None]
    );
}

// Our rule: the host's own addresses, which RFC 9460 (section 3) has last, wait for those of a target as long as
// they would for the preferred family, and no longer.
#[test]
fn service_target_that_is_not_answered_does_not_hold_the_host_back() {
    begun()
        .at(30)
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .at(40)
        .tells("1 1")
        .expect("ask AAAA of 1, ask A of 1 when free")
        .idle_until(90)
        .expect("start v6.1");
}

// Section 4.2.1: the connection may begin with the host while another name is looked up.
#[test]
fn service_of_the_host_starts_while_a_target_is_looked_up() {
    begun()
        .at(30)
        .tells("1 . ; 1 1")
        .answers(AAAA, "v6.1 v6.2")
        .answers(A, "v4.1 v4.2")
        .expect("ask AAAA of 1, ask A of 1 when free, start v6.1")
        .at(60)
        .answers(of_target(1, AAAA), "v6.9")
        .answers(of_target(1, A), "v4.9")
        .at(280)
        .expect("start v4.1")
        .at(530)
        .expect("start v6.2")
        .at(780)
        .expect("start v4.2")
        .at(1030)
        .expect("start v6.9")
        .at(1280)
        .expect("start v4.9");
}

// Section 5.2: the lowest priority is sorted first, whatever stands first in the answer.
#[test]
fn service_lower_priority_goes_first() {
    let mut script = begun();
    script
        .at(30)
        .tells("2 1 v6.2 ; 1 2 v6.1")
        .expect("ask AAAA of 2, ask A of 2 when free, ask AAAA of 1, ask A of 1 when free, start v6.1")
        .at(80)
        .expect("hasten A, hasten A of 2, hasten A of 1")
        .at(280)
        .expect("start v6.2");
    // A binding is known by its place in the answer.
    assert_eq!((binding_of(&script, "v6.1"), binding_of(&script, "v6.2")), (Some(BindingId(1)), Some(BindingId(0))));
}

// Section 5.3: families alternate within a group, from its best address on.
#[test]
fn service_families_alternate_within_a_group() {
    begun()
        .at(10)
        .fails_to_resolve(AAAA, NODATA)
        .expect("hasten A")
        .fails_to_resolve(A, NODATA)
        .tells("1 1 v6.1 v6.2 v4.1 ; 2 2 v6.3 v6.4 v4.3")
        .expect("ask AAAA of 1, ask A of 1 when free, ask AAAA of 2, ask A of 2 when free, start v6.1")
        .at(260)
        .expect("start v4.1")
        .at(510)
        .expect("start v6.2")
        .at(760)
        .expect("start v6.3")
        .at(1010)
        .expect("start v4.3")
        .at(1260)
        .expect("start v6.4");
}

// RFC 9460, section 7.2: a record may have a port of its own. The host's own port stays the last resort.
#[test]
fn service_port_of_a_binding_is_used() {
    let mut script = begun();
    script
        .at(10)
        .tells("1 .@8443")
        .answers(AAAA, "v6.1")
        .expect("start v6.1@8443")
        .refuses("v6.1@8443")
        .expect("hasten A, start v6.1");
    assert_eq!((binding_of(&script, "v6.1@8443"), binding_of(&script, "v6.1")), (Some(BindingId(0)), None));
}

// An address that two bindings lead to is attempted once, as the better one's.
#[test]
fn service_address_of_two_bindings_is_attempted_once() {
    let mut script = begun();
    script.at(10).tells("2 . ; 1 1 v6.1").answers(AAAA, "v6.1").fails_to_resolve(A, NODATA);
    script.expect("ask AAAA of 1, ask A of 1 when free, start v6.1");
    assert_eq!(binding_of(&script, "v6.1"), Some(BindingId(1)));
    script.refuses("v6.1").expect("hasten A of 1").fails_to_resolve(of_target(1, AAAA), NODATA);
    script.fails_to_resolve(of_target(1, A), NODATA).expect("finish failed v6.1");
}

// Section 4.3: what comes while attempts run joins those that are left; an attempt to where a binding leads
// belongs to it.
#[test]
fn service_that_comes_later_joins_the_race() {
    let mut script = begun();
    script
        .at(0)
        .answers(AAAA, "v6.1 v6.2")
        .answers(A, "v4.1")
        .idle_until(50)
        .expect("start v6.1")
        .at(100)
        .tells("1 1 v6.9 ; 2 .")
        .expect("ask AAAA of 1, ask A of 1 when free")
        .at(300)
        .expect("start v6.9");
    assert_eq!((binding_of(&script, "v6.1"), binding_of(&script, "v6.9")), (Some(BindingId(1)), Some(BindingId(0))));
}

// A host without addresses may have a service elsewhere.
#[test]
fn service_may_be_all_that_a_host_has() {
    begun()
        .at(10)
        .fails_to_resolve(AAAA, NODATA)
        .expect("hasten A")
        .fails_to_resolve(A, NODATA)
        .expect_no_deadline()
        .at(20)
        .tells("1 1")
        .expect("ask AAAA of 1, ask A of 1 when free")
        .at(30)
        .answers(of_target(1, A), "v4.9")
        .expect_deadline(80)
        .at(40)
        .fails_to_resolve(of_target(1, AAAA), NODATA)
        .expect("start v4.9");
}

// What becomes of the host's lookups is what the caller is told.
#[test]
fn service_lookups_that_fail_do_not_hide_the_error_of_the_host() {
    begun()
        .at(10)
        .fails_to_resolve(AAAA, NONAME)
        .expect("hasten A")
        .fails_to_resolve(A, NONAME)
        .tells("1 1")
        .expect("ask AAAA of 1, ask A of 1 when free")
        .fails_to_resolve(of_target(1, AAAA), AGAIN)
        .expect("hasten A of 1")
        .fails_to_resolve(of_target(1, A), AGAIN)
        .expect("finish resolve -2");
}

// The winner ends the lookups of targets.
#[test]
fn service_lookups_are_abandoned_when_an_attempt_wins() {
    begun()
        .at(10)
        .tells("1 . v6.1 ; 2 1")
        .expect("ask AAAA of 1, ask A of 1 when free, start v6.1")
        .at(20)
        .connects("v6.1")
        .expect("drop AAAA, drop A, drop AAAA of 1, drop A of 1, finish connected v6.1");
}

// Our rule: no more than eight bindings are followed, the best ones.
#[test]
fn service_bindings_are_bounded() {
    let mut script = begun();
    let bindings: Vec<String> = (1..=20).rev().map(|number| format!("{number} {number}")).collect();
    let asked: Vec<String> = (1..=8).map(|name| format!("ask AAAA of {name}, ask A of {name} when free")).collect();
    script.tells(&bindings.join(";")).expect(&asked.join(", "));
}

// A family that is not asked of the host is not asked of targets.
#[test]
fn service_targets_are_asked_for_the_wanted_family_alone() {
    let mut script = Script::new(Settings { families: Families::Only(Family::V4), ..with_service() });
    script.expect("ask HTTPS, ask A").tells("1 1 v6.1 v4.1").expect("ask A of 1, start v4.1").at(250).expect("");
}

// Under a limit for lookups what has come by then is attempted.
#[test]
fn service_is_given_up_with_the_other_lookups() {
    let settings = Settings { resolve_limit: Some(ms(40)), ..with_service() };
    asked_with(settings).at(10).answers(AAAA, "v6.1").at(40).expect("drop HTTPS, drop A, start v6.1");
}
