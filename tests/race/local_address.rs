//! The local address: attempts wait for it, and only its families are attempted.
use crate::script::*;
use happysock::race::*;

fn local() -> Settings {
    Settings { local: true, ..Settings::default() }
}

#[track_caller]
fn asked_all() -> Script {
    let mut script = Script::new(local());
    script.expect("ask AAAA, ask A when free, ask local");
    script
}

// Our rule: a socket is bound before it is connected, so no attempt starts without the local address.
#[test]
fn attempts_wait_for_the_local_answer() {
    asked_all()
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect_no_deadline()
        .at(1_000)
        .answers(LOCAL, "v6.9 v4.9")
        .expect("start v6.1")
        .at(1_250)
        .expect("start v4.1");
}

// RFC 6724, section 6: "Rule 1: Avoid unusable destinations." A socket bound to one family reaches no other.
#[test]
fn candidates_of_other_families_are_dropped() {
    asked_all()
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .answers(LOCAL, "v4.9")
        .expect("start v4.1")
        .refuses("v4.1")
        .expect("finish failed v4.1");
    // The same when the local answer comes first.
    asked_all()
        .answers(LOCAL, "v4.9")
        .answers(AAAA, "v6.1")
        .expect("")
        .answers(A, "v4.1")
        .expect("start v4.1")
        .at(250)
        .expect_no_deadline();
}

// RFC 8305, section 3: "to ensure that preference is given to IPv6" There is nothing to prefer where IPv6
// cannot be used.
#[test]
fn there_is_no_resolution_delay_for_a_family_that_the_local_address_does_not_have() {
    asked_all().answers(LOCAL, "v4.9").at(10).answers(A, "v4.1").expect("start v4.1");
    asked_all().at(10).answers(A, "v4.1").at(20).answers(LOCAL, "v4.9").expect("start v4.1");
    asked_all().answers(LOCAL, "v6.9 v4.9").at(10).answers(A, "v4.1").expect_deadline(60);
}

// RFC 8305, section 3: "If a positive A response is received first due to reordering, the client SHOULD wait
// a short time for the AAAA response to ensure that preference is given to IPv6"
#[test]
fn the_resolution_delay_runs_while_the_local_answer_is_awaited() {
    asked_all()
        .at(10)
        .answers(A, "v4.1")
        .at(40)
        .answers(LOCAL, "v6.9 v4.9")
        .expect_deadline(60)
        .at(60)
        .expect("start v4.1");
    asked_all().at(10).answers(A, "v4.1").at(90).answers(LOCAL, "v6.9 v4.9").expect("start v4.1");
}

// Our rule: who names a local address without the remote one's family is told so.
#[test]
fn no_candidate_of_a_local_family_is_an_outcome_of_its_own() {
    asked_all()
        .answers(LOCAL, "v4.9")
        .answers(AAAA, "v6.1")
        .expect("")
        .fails_to_resolve(A, NONAME)
        .expect("finish no local address");
    Script::towards("v6.1", local()).expect("ask local").answers(LOCAL, "v4.9").expect("finish no local address");
}

// Our rule: only a candidate that was there can have failed for want of a local address.
#[test]
fn without_a_candidate_it_is_the_remote_lookup_that_failed() {
    asked_all()
        .answers(LOCAL, "v4.9")
        .fails_to_resolve(AAAA, NONAME)
        .fails_to_resolve(A, NONAME)
        .expect("finish resolve -2");
}

// Our rule: without its local address no attempt can be made.
#[test]
fn a_failed_local_lookup_ends_the_race_at_once() {
    asked_all().answers(AAAA, "v6.1").fails_to_resolve(LOCAL, NONAME).expect("drop A, finish local -2");
    asked_all().answers(LOCAL, "").expect("drop AAAA, drop A, finish local -5");
}

// Our rule: a race with nothing left to try has ended, whatever else is asked.
#[test]
fn failed_remote_lookups_do_not_wait_for_the_local_one() {
    asked_all().fails_to_resolve(AAAA, NONAME).fails_to_resolve(A, NONAME).expect("drop local, finish resolve -2");
}

// Deliberate deviation: the RFC does not except loopback. Both its families are this one host, which answers
// or refuses at once.
#[test]
fn only_loopback_pays_no_resolution_delay_with_a_local_address_either() {
    asked_all().answers(LOCAL, "v4.9 v6.9").answers(A, "loop4").expect("start loop4");
}
