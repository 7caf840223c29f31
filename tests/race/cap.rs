//! Our own rule for the cap on attempts in flight: the attempt that has had its Connection Attempt Delay
//! makes room, so a dead address never hides the ones behind it.
use crate::script::*;
use happysock::race::*;

fn cap(max_attempts: u32) -> Settings {
    Settings { max_attempts, ..Settings::default() }
}

// Our rule: under a cap of one, a dead first address is left for the second once it has had its delay.
#[test]
fn a_dead_first_address_makes_room_for_the_second() {
    let mut script = Script::towards("v6.1 v6.2", cap(1));
    script
        .expect("start v6.1")
        .expect_deadline(250)
        .idle_until(250)
        .expect("abandon v6.1, start v6.2")
        .at(300)
        .connects("v6.2")
        .expect("finish connected v6.2");
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Abandoned);
}

// Our rule: the one that was started longest ago goes; the last candidates keep running.
#[test]
fn the_oldest_attempt_goes_and_the_last_keep_running() {
    Script::towards("v6.1 v6.2 v6.3 v6.4", cap(2))
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(500)
        .expect("abandon v6.1, start v6.3")
        .at(750)
        .expect("abandon v6.2, start v6.4")
        .idle_until(100_000)
        .expect_no_deadline()
        .connects("v6.3")
        .expect("abandon v6.4, finish connected v6.3");
}

// RFC 8305, section 5 pulls the next attempt forward after a failure, which makes room by itself.
#[test]
fn a_failure_makes_room_by_itself() {
    Script::towards("v6.1 v6.2 v6.3 v6.4", cap(2))
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(300)
        .refuses("v6.1")
        .expect("start v6.3")
        .expect_deadline(550)
        .at(550)
        .expect("abandon v6.2, start v6.4")
        .expect_no_deadline();
}

// RFC 8305, section 5: "Starting a new connection attempt does not affect previous attempts"
#[test]
fn below_the_cap_nothing_is_abandoned() {
    Script::towards("v6.1 v6.2 v6.3", cap(3))
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(500)
        .expect("start v6.3")
        .expect_no_deadline();
}

// Our rule: the last candidates keep running.
#[test]
fn the_only_candidate_runs_for_as_long_as_it_takes() {
    Script::towards("v6.1", cap(1)).expect("start v6.1").idle_until(100_000).expect_no_deadline();
}

// Our rule: a candidate that comes after the delay finds a cap that is due to be relieved.
#[test]
fn a_late_answer_takes_the_place_of_an_attempt_that_had_its_delay() {
    asked(cap(1))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(400)
        .answers(A, "v4.1")
        .expect("abandon v6.1, start v4.1")
        .at(500)
        .refuses("v4.1")
        .expect("finish failed v4.1");
}

// RFC 8305, section 5: "connection attempts SHOULD NOT be made simultaneously". Nor is one abandoned before
// its time.
#[test]
fn nothing_makes_room_before_its_delay_is_over() {
    Script::towards("v6.1 v6.2", cap(1))
        .expect("start v6.1")
        .at(249)
        .expect("")
        .connects("v6.1")
        .expect("finish connected v6.1");
}

// Our rule: everything that is ready counts before anything is decided.
#[test]
fn a_success_in_the_wake_up_that_would_abandon_it_is_a_success() {
    Script::towards("v6.1 v6.2", cap(1)).expect("start v6.1").at(250).connects("v6.1").expect("finish connected v6.1");
}

// Our rule: without the permit for the next attempt none is given up for it.
#[test]
fn nothing_makes_room_without_a_permit() {
    let mut script = Script::towards("v6.1 v6.2", cap(1));
    script.expect("start v6.1");
    script.permits.attempts = false;
    script.at(250).expect_no_deadline();
    assert_eq!(script.wanted(), "attempt");
    script.at(300);
    script.permits.attempts = true;
    script.expect("abandon v6.1, start v6.2");
}

// Our rule: the lateness of the timer is not passed on, with a cap as without.
#[test]
fn the_delay_counts_on_from_when_it_was_due() {
    Script::towards("v6.1 v6.2 v6.3", cap(1))
        .expect("start v6.1")
        .late_at(253)
        .expect("abandon v6.1, start v6.2")
        .expect_deadline(500)
        .at(500)
        .expect("abandon v6.2, start v6.3");
}
