//! The three limits, with the meaning that CRuby gives them, and how they meet.
use crate::script::*;
use happysock::race::*;

fn open(limit: u64) -> Settings {
    Settings { open_limit: Some(ms(limit)), ..Settings::default() }
}

fn resolve(limit: u64) -> Settings {
    Settings { resolve_limit: Some(ms(limit)), ..Settings::default() }
}

fn connect(limit: u64) -> Settings {
    Settings { connect_limit: Some(ms(limit)), ..Settings::default() }
}

// CRuby's rule: open_timeout counts from the start of the race, over everything.
#[test]
fn open_limit_ends_everything() {
    let mut script = asked(open(400));
    script
        .at(10)
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .expect("start v6.1")
        .at(60)
        .expect("hasten A")
        .expect_deadline(260)
        .at(260)
        .expect("start v6.2")
        .expect_deadline(400)
        .idle_until(400)
        .expect("abandon v6.1, abandon v6.2, drop A, finish timed out Open")
        .expect_no_deadline();
    for name in ["v6.1", "v6.2"] {
        assert_eq!(script.outcome_of(name), AttemptOutcome::TimedOut(Limit::Open));
    }
}

// CRuby's rule: open_timeout counts from the start of the race, over everything.
// Pain: a connect timeout that does not include the lookup.
#[test]
fn open_limit_counts_the_lookup() {
    asked(open(400)).expect_deadline(400).idle_until(400).expect("drop AAAA, drop A, finish timed out Open");
}

// Our rule: a limit of zero is over before anything starts.
#[test]
fn open_limit_of_zero_ends_before_anything_is_asked() {
    Script::new(open(0)).expect("finish timed out Open").expect_no_deadline();
    Script::towards("v6.1", open(0)).expect("finish timed out Open");
}

// Our rule: what ended by itself in the wake-up of a limit counts more than the limit.
#[test]
fn a_success_in_the_wake_up_of_the_open_limit_is_a_success() {
    Script::towards("v6.1", open(400)).expect("start v6.1").at(400).connects("v6.1").expect("finish connected v6.1");
}

// Our rule: what ended by itself in the wake-up of a limit counts more than the limit.
#[test]
fn the_last_failure_in_the_wake_up_of_the_open_limit_is_told() {
    Script::towards("v6.1", open(400)).expect("start v6.1").at(400).refuses("v6.1").expect("finish failed v6.1");
}

// CRuby's rule: resolv_timeout counts from the start of resolution.
#[test]
fn resolve_limit_gives_up_the_pending_lookups() {
    asked(resolve(300)).expect_deadline(300).idle_until(300).expect("drop AAAA, drop A, finish timed out Resolve");
}

// CRuby's rule: resolv_timeout counts from the start of resolution.
#[test]
fn resolve_limit_leaves_what_was_answered() {
    asked(resolve(300))
        .at(100)
        .answers(AAAA, "v6.1 v6.2")
        .expect("start v6.1")
        .at(150)
        .expect("hasten A")
        .expect_deadline(300)
        .at(300)
        .expect("drop A")
        .expect_deadline(350)
        .at(350)
        .expect("start v6.2")
        .expect_no_deadline()
        .at(9_000)
        .refuses("v6.1")
        .connects("v6.2")
        .expect("finish connected v6.2");
}

// RFC 8305, section 3: "If a negative AAAA response (no valid AAAA records) is received within the
// Resolution Delay period or the AAAA response has not been received by the end of the Resolution Delay
// period, the client SHOULD proceed to sorting addresses (see Section 4) and staggered connection attempts"
#[test]
fn resolve_limit_ends_the_resolution_delay() {
    asked(resolve(300)).at(280).answers(A, "v4.1").expect_deadline(300).at(300).expect("drop AAAA, start v4.1");
}

// Our rule: a race that ends without a connection tells what took its last hope.
#[test]
fn a_failure_after_the_resolve_limit_is_the_failure_of_the_attempt() {
    asked(resolve(300))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(300)
        .expect("drop A")
        .at(400)
        .refuses("v6.1")
        .expect("finish failed v6.1");
}

// Our rule: a race that ends without a connection tells what took its last hope.
#[test]
fn a_failure_before_the_resolve_limit_ends_in_the_limit() {
    asked(resolve(300))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .refuses("v6.1")
        .expect_deadline(300)
        .at(300)
        .expect("drop A, finish timed out Resolve");
}

// Our rule: what ended by itself in the wake-up of a limit counts more than the limit.
#[test]
fn an_answer_in_the_wake_up_of_the_resolve_limit_counts() {
    asked(resolve(300)).at(300).answers(A, "v4.1").expect("drop AAAA, start v4.1");
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn an_answer_after_the_resolve_limit_is_ignored() {
    asked(resolve(300))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(300)
        .expect("drop A")
        .at(301)
        .answers(A, "v4.1")
        .at(900)
        .expect_no_deadline();
}

// Our rule: a limit of zero is over before anything starts.
#[test]
fn resolve_limit_of_zero_asks_nothing() {
    Script::new(resolve(0)).expect("finish timed out Resolve");
}

// CRuby's rule: resolv_timeout counts from the start of resolution. Without one it has nothing to limit.
#[test]
fn resolve_limit_has_no_effect_on_numeric_addresses() {
    Script::towards("v6.1", resolve(0)).expect("start v6.1").expect_no_deadline();
    Script::towards("v6.1 v6.2", resolve(10)).expect("start v6.1").expect_deadline(250);
}

// Our rule: the lookup of the local address is resolution too.
#[test]
fn resolve_limit_bounds_the_local_lookup_too() {
    let settings = Settings { local: true, ..resolve(300) };
    Script::towards("v6.1", settings.clone())
        .expect("ask local")
        .expect_deadline(300)
        .at(300)
        .expect("drop local, finish timed out Resolve");
    Script::new(settings)
        .expect("ask AAAA, ask A when free, ask local")
        .answers(AAAA, "v6.1")
        .at(50)
        .expect("hasten A")
        .at(300)
        .expect("drop A, drop local, finish timed out Resolve");
    let settings = Settings { local: true, ..resolve(0) };
    Script::towards("v6.1", settings).expect("finish timed out Resolve");
}

// CRuby's rule: resolv_timeout counts from the start of resolution.
#[test]
fn resolve_limit_with_the_local_answer_goes_on() {
    let settings = Settings { local: true, ..resolve(300) };
    Script::new(settings)
        .expect("ask AAAA, ask A when free, ask local")
        .answers(AAAA, "v6.1")
        .answers(LOCAL, "v6.9")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(300)
        .expect("drop A")
        .expect_no_deadline();
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn connect_limit_counts_from_the_start_of_the_last_candidates_attempt() {
    let mut script = Script::towards("v6.1 v6.2", connect(1_000));
    script
        .expect("start v6.1")
        .expect_deadline(250)
        .at(250)
        .expect("start v6.2")
        .expect_deadline(1_250)
        .idle_until(1_250)
        .expect("abandon v6.1, abandon v6.2, finish timed out Connect");
    for name in ["v6.1", "v6.2"] {
        assert_eq!(script.outcome_of(name), AttemptOutcome::TimedOut(Limit::Connect));
    }
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn connect_limit_does_not_run_while_a_candidate_is_left() {
    Script::towards("v6.1 v6.2", connect(100))
        .expect("start v6.1")
        .idle_until(250)
        .expect("start v6.2")
        .expect_deadline(350)
        .at(350)
        .expect("abandon v6.1, abandon v6.2, finish timed out Connect");
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn connect_limit_does_not_run_without_an_attempt() {
    asked(connect(100))
        .expect_no_deadline()
        .at(500)
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(550)
        .expect("hasten A")
        .expect_deadline(600);
    asked(connect(100))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .refuses("v6.1")
        .expect("hasten A")
        .expect_no_deadline()
        .at(5_000)
        .fails_to_resolve(A, NONAME)
        .expect("finish failed v6.1");
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn connect_limit_leaves_the_pending_lookups_which_may_bring_more() {
    asked(connect(100))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .expect("abandon v6.1")
        .expect_no_deadline()
        .at(2_000)
        .answers(A, "v4.1")
        .expect("start v4.1")
        .at(2_100)
        .expect("abandon v4.1, finish timed out Connect");
}

// Our rule: an attempt that a limit has ended pulls the next one forward, as any other end does.
#[test]
fn connect_limit_reached_lets_the_next_candidate_start_at_once() {
    asked(connect(100))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .expect("abandon v6.1")
        .at(110)
        .answers(A, "v4.1")
        .expect("start v4.1");
}

// Our rule: a race that ends without a connection tells what took its last hope.
#[test]
fn after_the_connect_limit_a_lookup_without_an_answer_ends_in_the_limit() {
    asked(connect(100))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .expect("abandon v6.1")
        .at(2_000)
        .fails_to_resolve(A, NONAME)
        .expect("finish timed out Connect");
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn a_candidate_that_comes_in_time_stops_the_connect_limit() {
    asked(connect(100))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .expect_deadline(100)
        .at(90)
        .answers(A, "v4.1")
        .expect_deadline(250)
        .idle_until(250)
        .expect("start v4.1")
        .expect_deadline(350);
}

// Our rule: a limit of zero is over before anything starts.
#[test]
fn connect_limit_of_zero_starts_no_attempt() {
    Script::towards("v6.1", connect(0)).expect("finish timed out Connect");
    asked(connect(0))
        .expect_no_deadline()
        .at(30)
        .answers(A, "v4.1")
        .expect("")
        .at(80)
        .expect("drop AAAA, finish timed out Connect");
    let mut script = Script::towards("v6.1", connect(0));
    script.permits.attempts = false;
    script.expect("finish timed out Connect");
}

// Our rule: a limit that had nothing to end is not what ended the race.
#[test]
fn connect_limit_of_zero_leaves_a_failed_lookup_its_error() {
    asked(connect(0)).fails_to_resolve(AAAA, NONAME).fails_to_resolve(A, NONAME).expect("finish resolve -2");
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn connect_limit_counts_from_the_last_candidate_under_a_cap_too() {
    let settings = Settings { max_attempts: 1, ..connect(100) };
    let mut script = Script::towards("v6.1 v6.2", settings);
    script
        .expect("start v6.1")
        .expect_deadline(250)
        .at(250)
        .expect("abandon v6.1, start v6.2")
        .expect_deadline(350)
        .at(350)
        .expect("abandon v6.2, finish timed out Connect");
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Abandoned);
    assert_eq!(script.outcome_of("v6.2"), AttemptOutcome::TimedOut(Limit::Connect));
}

// Our rule: what ended by itself in the wake-up of a limit counts more than the limit.
#[test]
fn a_success_in_the_wake_up_of_the_connect_limit_is_a_success() {
    Script::towards("v6.1", connect(100)).expect("start v6.1").at(100).connects("v6.1").expect("finish connected v6.1");
}

// Our rule: a race that ends without a connection tells what took its last hope.
#[test]
fn a_failure_after_the_connect_limit_is_told() {
    asked(connect(100))
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .expect("abandon v6.1")
        .answers(A, "v4.1")
        .expect("start v4.1")
        .at(150)
        .refuses("v4.1")
        .expect("finish failed v4.1");
}

// CRuby's rule: resolv_timeout and connect_timeout each have their own start.
#[test]
fn the_limits_are_independent() {
    // The lookups use up nearly all of theirs; the attempts have all of theirs.
    let settings = Settings { resolve_limit: Some(ms(300)), ..connect(300) };
    asked(settings.clone())
        .at(290)
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(300)
        .expect("drop A")
        .expect_deadline(590)
        .at(590)
        .expect("abandon v6.1, finish timed out Connect");
    // The attempts end first; the lookup then ends in its own limit, which is the last to be reached.
    let settings = Settings { connect_limit: Some(ms(100)), ..settings };
    asked(settings)
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .expect("abandon v6.1")
        .expect_deadline(300)
        .at(300)
        .expect("drop A, finish timed out Resolve");
}

// Our rule: a race that ends without a connection tells what took its last hope.
#[test]
fn both_limits_in_one_moment_end_once() {
    let settings = Settings { resolve_limit: Some(ms(100)), ..connect(100) };
    asked(settings)
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .expect("abandon v6.1, drop A, finish timed out Resolve");
}

// Our rule: a limit that no clock can reach is none.
#[test]
fn a_limit_past_the_end_of_the_clock_is_none() {
    let endless = Some(std::time::Duration::MAX);
    let settings =
        Settings { open_limit: endless, resolve_limit: endless, connect_limit: endless, ..Settings::default() };
    asked(settings).answers(AAAA, "v6.1").expect("start v6.1").at(50).expect("hasten A").expect_no_deadline();
}
