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

#[test]
fn there_is_no_resolution_delay_for_a_family_that_the_local_address_does_not_have() {
    asked_all().answers(LOCAL, "v4.9").at(10).answers(A, "v4.1").expect("start v4.1");
    asked_all().at(10).answers(A, "v4.1").at(20).answers(LOCAL, "v4.9").expect("start v4.1");
    asked_all().answers(LOCAL, "v6.9 v4.9").at(10).answers(A, "v4.1").expect_deadline(60);
}

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

#[test]
fn without_a_candidate_it_is_the_remote_lookup_that_failed() {
    asked_all()
        .answers(LOCAL, "v4.9")
        .fails_to_resolve(AAAA, NONAME)
        .fails_to_resolve(A, NONAME)
        .expect("finish resolve -2");
}

#[test]
fn a_failed_local_lookup_ends_the_race_at_once() {
    asked_all().answers(AAAA, "v6.1").fails_to_resolve(LOCAL, NONAME).expect("drop A, finish local -2");
    asked_all().answers(LOCAL, "").expect("drop AAAA, drop A, finish local -5");
}

#[test]
fn failed_remote_lookups_do_not_wait_for_the_local_one() {
    asked_all().fails_to_resolve(AAAA, NONAME).fails_to_resolve(A, NONAME).expect("drop local, finish resolve -2");
}

#[test]
fn only_loopback_pays_no_resolution_delay_with_a_local_address_either() {
    asked_all().answers(LOCAL, "v4.9 v6.9").answers(A, "loop4").expect("start loop4");
}
