//! RFC 8305, section 5: connection attempts.
use crate::script::*;
use happysock::race::*;

fn delay(milliseconds: u64) -> Settings {
    Settings { connection_attempt_delay: ms(milliseconds), ..Settings::default() }
}

// RFC 8305, section 5: "Starting a new connection attempt does not affect previous attempts, as multiple
// connection attempts may occur in parallel." "One recommended value for this delay is 250 milliseconds."
#[test]
fn section_5_the_next_attempt_starts_after_the_connection_attempt_delay_and_the_earlier_one_goes_on() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .expect_deadline(250)
        .idle_until(250)
        .expect("start v4.1")
        .at(900)
        .connects("v6.1")
        .expect("abandon v4.1, finish connected v6.1");
}

// RFC 8305, section 5: "Starting a new connection attempt does not affect previous attempts, as multiple
// connection attempts may occur in parallel."
// Pain: attempts that are aborted when the delay is over never succeed on a slow path.
#[test]
fn section_5_an_attempt_runs_for_as_long_as_it_takes() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .at(250)
        .expect("start v4.1")
        .idle_until(100_000)
        .expect_no_deadline()
        .connects("v6.1")
        .expect("abandon v4.1, finish connected v6.1");
}

// RFC 8305, section 8: the values that the client uses are to be configurable.
#[test]
fn section_5_the_connection_attempt_delay_is_as_set() {
    Script::towards("v6.1 v6.2", delay(100)).expect("start v6.1").expect_deadline(100).at(100).expect("start v6.2");
}

// RFC 8305, section 5: "a subsequent connection MUST NOT be started within 10 milliseconds of the previous
// attempt."
#[test]
fn section_5_the_connection_attempt_delay_is_never_below_10_ms() {
    Script::towards("v6.1 v6.2", delay(0)).expect("start v6.1").expect_deadline(10).at(10).expect("start v6.2");
}

// RFC 8305, section 5: "The Connection Attempt Delay SHOULD have an upper bound" "The current recommended
// value is 2 seconds."
#[test]
fn section_5_the_connection_attempt_delay_is_at_most_2_s() {
    Script::towards("v6.1 v6.2", delay(60_000))
        .expect("start v6.1")
        .expect_deadline(2_000)
        .at(2_000)
        .expect("start v6.2");
}

// RFC 8305, section 5: "one connection attempt to a single address is started first, followed by the others
// in the list, one at a time."
#[test]
fn section_5_the_delay_counts_from_the_start_of_the_latest_attempt() {
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .late_at(300)
        .expect("start v6.2")
        .expect_deadline(550)
        .idle_until(550)
        .expect("start v6.3");
}

// Our rule: the delay counts from when the timer was due, if it fired punctually.
// Otherwise ten attempts would add up the lateness of ten timers.
#[test]
fn section_5_a_timer_that_fires_a_little_late_does_not_shift_the_attempts_after_it() {
    Script::towards("v6.1 v6.2 v6.3 v6.4", Settings::default())
        .expect("start v6.1")
        .late_at(252)
        .expect("start v6.2")
        .expect_deadline(500)
        .late_at(505)
        .expect("start v6.3")
        .expect_deadline(750)
        // Later than that, it counts from the start: two attempts are not to come close together.
        .late_at(756)
        .expect("start v6.4")
        .expect_no_deadline();
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .late_at(256)
        .expect("start v6.2")
        .expect_deadline(506);
}

// Our rule: only a timer can be late. An answer that comes when the delay is over is not.
#[test]
fn section_5_an_attempt_that_an_answer_brought_counts_from_itself() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(253)
        .answers(A, "v4.1 v4.2")
        .expect("start v4.1")
        .expect_deadline(503)
        .idle_until(503)
        .expect("start v4.2");
}

// Our rule: only a timer can be late. A start that waited for none counts from when it happened.
#[test]
fn section_5_a_start_that_no_timer_brought_counts_from_itself() {
    Script::towards("v6.1 v6.2", Settings::default()).late_at(3).expect("start v6.1").expect_deadline(253);
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .at(3)
        .refuses("v6.1")
        .expect("start v6.2")
        .expect_deadline(253);
}

// RFC 8305, section 5: "a subsequent connection MUST NOT be started within 10 milliseconds of the previous
// attempt."
#[test]
fn section_5_a_late_timer_never_brings_two_attempts_within_10_ms() {
    Script::towards("v6.1 v6.2 v6.3", delay(10))
        .expect("start v6.1")
        .late_at(14)
        .expect("start v6.2")
        .expect_deadline(24)
        .idle_until(24)
        .expect("start v6.3");
}

// RFC 8305, section 3: "the newly received IPv6 addresses are incorporated into the list of available
// candidate addresses"
#[test]
fn section_5_a_candidate_that_comes_after_the_delay_starts_at_once() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(400)
        .answers(A, "v4.1")
        .expect("start v4.1");
}

// Our rule: a failed attempt pulls the next one forward. The delay is there for an attempt that may still
// succeed.
// Pain: a failed attempt does not pull the next one forward while another one runs.
#[test]
fn section_5_a_failure_pulls_the_next_attempt_forward_even_while_others_run() {
    asked(Settings::default())
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .at(250)
        .expect("start v4.1")
        .at(260)
        .refuses("v6.1")
        .expect("start v6.2")
        .expect_deadline(510)
        .idle_until(510)
        .expect("start v6.3");
}

// RFC 8305, section 5: "a subsequent connection MUST NOT be started within 10 milliseconds of the previous
// attempt." Our rule beside it: an attempt that has ended is nothing to keep apart from.
#[test]
fn section_5_a_failure_brings_no_attempt_within_10_ms_of_one_that_still_runs() {
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(251)
        .refuses("v6.1")
        .expect_deadline(260)
        .idle_until(260)
        .expect("start v6.3");
    // The other way round nothing that runs was started lately.
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(251)
        .refuses("v6.2")
        .expect("start v6.3");
    // While it waits the one that runs may end too.
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(251)
        .refuses("v6.1")
        .expect_deadline(260)
        .at(255)
        .refuses("v6.2")
        .expect("start v6.3");
}

// RFC 8305, section 5: "connection attempts SHOULD NOT be made simultaneously."
#[test]
fn section_5_two_failures_in_one_wake_up_pull_one_attempt_forward() {
    Script::towards("v6.1 v6.2 v6.3 v6.4", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .at(260)
        .refuses("v6.1")
        .refuses("v6.2")
        .expect("start v6.3")
        .expect_deadline(510);
}

// Our rule: a failed attempt pulls the next one forward. The delay is there for an attempt that may still
// succeed.
#[test]
fn section_5_a_failure_without_a_candidate_lets_the_next_candidate_start_at_once() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(10)
        .refuses("v6.1")
        .expect("hasten A")
        .expect_no_deadline()
        .at(20)
        .answers(A, "v4.1")
        .expect("start v4.1");
}

// RFC 8305, section 5: "connection attempts SHOULD NOT be made simultaneously."
#[test]
fn section_5_attempts_do_not_start_simultaneously() {
    let mut script = asked(Settings::default());
    script.answers(AAAA, "v6.1 v6.2").answers(A, "v4.1 v4.2").expect("start v6.1");
    for time in [1, 100, 249] {
        script.at(time).expect("");
    }
}

// RFC 8305, section 5: "Once one of the connection attempts succeeds [...], all other connections attempts
// that have not yet succeeded SHOULD be canceled." "Any address that was not yet attempted as a connection
// SHOULD be ignored."
#[test]
fn section_5_on_success_the_other_attempts_are_cancelled_and_the_untried_ignored() {
    let mut script = asked(Settings::default());
    script
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(250)
        .expect("start v6.2")
        .at(260)
        .connects("v6.2")
        .expect("abandon v6.1, drop A, finish connected v6.2")
        .expect_no_deadline();
    assert_eq!(script.outcome_of("v6.2"), AttemptOutcome::Connected);
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Abandoned);
    assert_eq!(script.race.attempts().len(), 2);
}

// Our rule: everything that is ready counts before anything is decided, so the order within one wake-up
// decides nothing.
// Pain: a success is missed when a failure is reported in the same wake-up.
#[test]
fn section_5_a_success_wins_over_a_failure_in_the_same_wake_up() {
    let two_running = || {
        let mut script = Script::towards("v6.1 v6.2 v6.3", Settings::default());
        script.expect("start v6.1").at(250).expect("start v6.2").at(300);
        script
    };
    two_running().refuses("v6.1").connects("v6.2").expect("finish connected v6.2");
    let mut script = two_running();
    script.connects("v6.2").refuses("v6.1").expect("abandon v6.1, finish connected v6.2");
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Abandoned);
}

// RFC 8305, section 5: "Once one of the connection attempts succeeds [...], all other connections attempts
// that have not yet succeeded SHOULD be canceled."
#[test]
fn section_5_the_first_of_two_successes_wins() {
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script.expect("start v6.1").at(250).expect("start v6.2").at(300);
    script.connects("v6.2").connects("v6.1").expect("abandon v6.1, finish connected v6.2");
}

// Our rule: an attempt that finds its family without a network retires the family, but for addresses to
// which a way is known.
#[test]
fn section_5_a_family_without_a_network_is_retired() {
    let mut script = asked(Settings::default());
    script.source("v6.2", "").source("v6.3", "");
    script
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .is_unreachable("v6.1")
        .expect("start v4.1")
        .refuses("v4.1")
        .expect("finish failed v4.1");
}

// Our rule: an attempt that finds its family without a network retires the family, but for addresses to
// which a way is known.
#[test]
fn section_5_a_retired_family_keeps_the_addresses_to_which_the_system_knows_a_way() {
    let mut script = asked(Settings::default());
    script.source("v6.2", "");
    script
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .is_unreachable("v6.1")
        .expect("start v4.1")
        .refuses("v4.1")
        .expect("start v6.3")
        .refuses("v6.3")
        .expect("finish failed v6.3");
}

// Our rule: an attempt that finds its family without a network retires the family, but for addresses to
// which a way is known.
#[test]
fn section_5_an_ordinary_failure_retires_nothing() {
    let mut script = asked(Settings::default());
    script.source("v6.2", "");
    script
        .answers(AAAA, "v6.1 v6.2")
        .fails_to_resolve(A, NODATA)
        .expect("start v6.1")
        .refuses("v6.1")
        .expect("start v6.2");
}

// Deliberate deviation: the RFC does not except loopback. Both its families are this one host, which answers
// or refuses at once.
// Pain: `localhost` where ::1 does not answer costs a whole delay.
#[test]
fn section_5_loopback_pays_the_least_connection_attempt_delay() {
    asked(Settings::default())
        .answers(AAAA, "loop6")
        .answers(A, "loop4")
        .expect("start loop6")
        .expect_deadline(10)
        .idle_until(10)
        .expect("start loop4");
    Script::towards("loop6 ::ffff:127.0.0.1", Settings::default()).expect("start loop6").expect_deadline(10);
}

// RFC 8305, section 5: "One recommended value for this delay is 250 milliseconds."
#[test]
fn section_5_loopback_among_others_pays_the_whole_delay() {
    Script::towards("loop6 v4.1", Settings::default()).expect("start loop6").expect_deadline(250);
    Script::towards("v6.1 loop4", Settings::default()).expect("start v6.1").expect_deadline(250);
    Script::towards("loop6 ::ffff:192.0.2.1", Settings::default()).expect("start loop6").expect_deadline(250);
    // A late answer makes it the whole delay, counted from the same start.
    asked(Settings::default())
        .answers(AAAA, "loop6")
        .expect("start loop6")
        .at(5)
        .answers(A, "v4.1 loop4")
        .expect_deadline(250);
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn section_5_events_about_unknown_or_ended_attempts_are_ignored() {
    let failure = Failure { sys_errno: ECONNREFUSED, operation: Operation::Connect, family_unreachable: true };
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script.expect("start v6.1").refuses("v6.1").expect("start v6.2");
    for attempt in [AttemptId(0), AttemptId(2), AttemptId(u32::MAX)] {
        script.event(Event::AttemptConnected { attempt }).event(Event::AttemptFailed { attempt, failure });
    }
    script.at(1_000).expect_no_deadline().connects("v6.2").expect("finish connected v6.2");
    // After the end nothing changes any more.
    script.event(Event::Cancelled).connects("v6.2").is_unreachable("v6.2").expect_no_deadline();
    assert_eq!(script.race.outcome(), Some(Outcome::Connected { attempt: AttemptId(1) }));
    assert!(matches!(script.outcome_of("v6.1"), AttemptOutcome::Failed(failure) if !failure.family_unreachable));
}

// Our rule: every attempt that was started has exactly one outcome (draft-kuehlewind-happy-qlog tells of it
// so).
#[test]
fn section_5_attempts_carry_their_times_and_outcomes() {
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script
        .late_at(5)
        .expect("start v6.1")
        .at(40)
        .refuses("v6.1")
        .expect("start v6.2")
        .at(70)
        .connects("v6.2")
        .expect("finish connected v6.2");
    let [first, second] = script.race.attempts() else { panic!("two attempts") };
    assert_eq!((first.destination, second.destination), (address("v6.1"), address("v6.2")));
    assert_eq!(first.ended.unwrap() - first.started, ms(35));
    assert_eq!(second.started, first.ended.unwrap());
    assert_eq!(second.ended.unwrap() - second.started, ms(30));
    let AttemptOutcome::Failed(failure) = first.outcome else { panic!("failed") };
    assert_eq!((failure.sys_errno, failure.operation), (ECONNREFUSED, Operation::Connect));
}

// Version 3, section 6: the delay may grow with each attempt.
#[test]
fn section_5_the_connection_attempt_delay_may_grow() {
    let settings = Settings { connection_attempt_delay: ms(300), growing_delay: true, ..Settings::default() };
    Script::towards("v6.1 v6.2 v6.3 v6.4 v6.5 v6.6", settings)
        .expect("start v6.1")
        .expect_deadline(300)
        .at(300)
        .expect("start v6.2")
        .expect_deadline(900)
        .at(900)
        .expect("start v6.3")
        .expect_deadline(2_100)
        .at(2_100)
        .expect("start v6.4")
        // RFC 8305, section 5: 2 seconds at most.
        .expect_deadline(4_100)
        .at(4_100)
        .expect("start v6.5")
        // A failure still starts the next one at once.
        .at(4_200)
        .refuses("v6.5")
        .expect("start v6.6");
}

// Our rule: what grows is the delay that the path asks for; loopback has none to speak of.
#[test]
fn section_5_a_delay_that_is_computed_grows_too() {
    let settings = Settings { growing_delay: true, ..Settings::default() };
    Script::towards("v6.1 v6.2 v6.3", settings.clone())
        .expect("start v6.1")
        .expects_handshake("v6.1", 120)
        .expect_deadline(120)
        .at(120)
        .expect("start v6.2")
        .expects_handshake("v6.2", 150)
        .expect_deadline(420);
    Script::towards("loop6 loop4 127.0.0.2", settings)
        .expect("start loop6")
        .at(10)
        .expect("start loop4")
        .expect_deadline(20);
}
