//! Our own rules for a success that is more than TCP: an attempt that has connected is held until the caller
//! says whether it wins.
use crate::script::*;
use happysock::race::*;

fn confirm() -> Settings {
    Settings { confirm: true, ..Settings::default() }
}

// Our rule: the first connection that the caller wants wins, and all others are closed.
#[test]
fn what_is_confirmed_wins_and_the_others_are_abandoned() {
    let mut script = Script::towards("v6.1 v6.2", confirm());
    script
        .expect("start v6.1")
        .at(100)
        .connects("v6.1")
        .expect_deadline(250)
        .at(250)
        .expect("start v6.2")
        .at(300)
        .connects("v6.2")
        .expect_no_deadline()
        .at(400)
        .confirms("v6.2")
        .expect("abandon v6.1, finish connected v6.2");
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Abandoned);
    assert_eq!(script.outcome_of("v6.2"), AttemptOutcome::Connected);
}

// Our rule: the Connection Attempt Delay runs on while one is held, as if it were connecting still.
#[test]
fn the_delay_runs_on_while_an_attempt_is_held() {
    Script::towards("v6.1 v6.2 v6.3", confirm())
        .expect("start v6.1")
        .at(10)
        .connects("v6.1")
        .expect_deadline(250)
        .at(250)
        .expect("start v6.2")
        .expect_deadline(500)
        .at(500)
        .expect("start v6.3")
        .idle_until(100_000)
        .expect_no_deadline()
        .confirms("v6.1")
        .expect("abandon v6.2, abandon v6.3, finish connected v6.1");
}

// Our rule: where nothing else is left to do the race waits for the word.
#[test]
fn the_last_one_is_waited_for() {
    Script::towards("v6.1", confirm())
        .expect("start v6.1")
        .at(10)
        .connects("v6.1")
        .idle_until(100_000)
        .expect_no_deadline()
        .confirms("v6.1")
        .expect("finish connected v6.1");
}

// Our rule: a no counts as a failed attempt. RFC 8305, section 5: the next one waits for the delay or a
// failure.
#[test]
fn what_is_rejected_has_failed_and_pulls_the_next_forward() {
    let mut script = Script::towards("v6.1 v6.2", confirm());
    script
        .expect("start v6.1")
        .at(20)
        .connects("v6.1")
        .expect_deadline(250)
        .at(60)
        .rejects("v6.1")
        .expect("start v6.2")
        .at(80)
        .connects("v6.2")
        .at(90)
        .rejects("v6.2")
        .expect("finish failed v6.2");
    let failure = Failure { sys_errno: ECONNABORTED, operation: Operation::Confirm, family_unreachable: false };
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Failed(failure));
}

// RFC 8305, section 5: "MUST NOT be started within 10 milliseconds of the previous attempt", after a no as
// after any failure.
#[test]
fn a_no_keeps_the_next_apart_from_what_is_in_flight() {
    Script::towards("v6.1 v6.2 v6.3", confirm())
        .expect("start v6.1")
        .at(100)
        .connects("v6.1")
        .at(250)
        .expect("start v6.2")
        .at(253)
        .rejects("v6.1")
        .expect_deadline(260)
        .at(260)
        .expect("start v6.3");
}

// Our rule: a held attempt may hold up nothing: a failure of another pulls the next forward.
#[test]
fn a_failure_beside_a_held_attempt_pulls_the_next_forward() {
    Script::towards("v6.1 v6.2 v6.3", confirm())
        .expect("start v6.1")
        .at(100)
        .connects("v6.1")
        .at(250)
        .expect("start v6.2")
        .at(300)
        .refuses("v6.2")
        .expect("start v6.3");
}

// Our rule: a word on an attempt that is not held changes nothing.
#[test]
fn a_word_too_early_or_too_late_is_ignored() {
    Script::towards("v6.1 v6.2", confirm())
        .expect("start v6.1")
        .confirms("v6.1")
        .event(Event::AttemptConfirmed { attempt: AttemptId(7) })
        .expect_deadline(250)
        .connects("v6.1")
        .at(50)
        .rejects("v6.1")
        .confirms("v6.1")
        .connects("v6.1")
        .expect("start v6.2");
}

// Our rule: without the option a connection is enough, and there is nothing to confirm.
#[test]
fn without_it_a_connection_wins_at_once() {
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script.expect("start v6.1").confirms("v6.1").expect_deadline(250).at(30).connects("v6.1");
    script.expect("finish connected v6.1");
    let attempt = &script.race.attempts()[0];
    assert_eq!((attempt.connected, attempt.is_held()), (attempt.ended, false));
}

// Our rule: connect_timeout counts on from the start of the last candidate's attempt: the word is part of
// connecting.
#[test]
fn the_connect_limit_ends_what_is_held() {
    let mut script = Script::towards("v6.1 v6.2", Settings { connect_limit: Some(ms(1000)), ..confirm() });
    script
        .expect("start v6.1")
        .at(100)
        .connects("v6.1")
        .at(250)
        .expect("start v6.2")
        .expect_deadline(1250)
        .at(1000)
        .connects("v6.2")
        .expect_deadline(1250)
        .at(1250)
        .expect("abandon v6.1, abandon v6.2, finish timed out Connect");
    assert_eq!(script.outcome_of("v6.2"), AttemptOutcome::TimedOut(Limit::Connect));
}

// Our rule: open_timeout is over everything.
#[test]
fn the_open_limit_ends_what_is_held() {
    Script::towards("v6.1", Settings { open_limit: Some(ms(500)), ..confirm() })
        .expect("start v6.1")
        .at(10)
        .connects("v6.1")
        .expect_deadline(500)
        .at(500)
        .expect("abandon v6.1, finish timed out Open");
}

// Our rule: what is ready counts before a limit: a yes in the wake-up of the limit is a success.
#[test]
fn a_yes_in_the_wake_up_of_the_limit_wins() {
    Script::towards("v6.1", Settings { open_limit: Some(ms(500)), ..confirm() })
        .expect("start v6.1")
        .connects("v6.1")
        .at(500)
        .confirms("v6.1")
        .expect("finish connected v6.1");
}

// Our rule: a held attempt is in flight. Under a cap it makes room once it has had its delay, as any other.
#[test]
fn under_a_cap_a_held_attempt_makes_room() {
    Script::towards("v6.1 v6.2", Settings { max_attempts: 1, ..confirm() })
        .expect("start v6.1")
        .at(10)
        .connects("v6.1")
        .expect_deadline(250)
        .at(250)
        .expect("abandon v6.1, start v6.2");
}

// Our rule: one address after the other, the next only when the one before has failed: a held one has not.
#[test]
fn without_fast_fallback_the_next_waits_for_the_word() {
    Script::towards("v6.1 v6.2", Settings { fast_fallback: false, ..confirm() })
        .expect("start v6.1")
        .at(10)
        .connects("v6.1")
        .idle_until(10_000)
        .expect_no_deadline()
        .rejects("v6.1")
        .expect("start v6.2");
}

// Our rule: answers that come while one is held join the race.
#[test]
fn lookups_go_on_while_an_attempt_is_held() {
    asked(confirm())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(20)
        .connects("v6.1")
        .at(50)
        .expect("hasten A")
        .at(400)
        .answers(A, "v4.1")
        .expect("start v4.1")
        .at(430)
        .connects("v4.1")
        .confirms("v4.1")
        .expect("abandon v6.1, finish connected v4.1");
}

// Our rule: a cancel ends the race at once, whatever it was doing; a word that comes after it is too late.
#[test]
fn a_cancel_closes_what_is_held() {
    Script::towards("v6.1", confirm())
        .expect("start v6.1")
        .connects("v6.1")
        .event(Event::Cancelled)
        .confirms("v6.1")
        .expect("abandon v6.1, finish cancelled");
}

// Our rule: an attempt that has connected was answered, whatever became of it then.
#[test]
fn a_family_that_was_held_is_not_silent() {
    let ending = |connects: bool| {
        let mut script = Script::towards("v6.1 v4.1", confirm());
        script.expect("start v6.1");
        if connects {
            script.at(100).connects("v6.1");
        }
        script.at(250).expect("start v4.1").at(270).connects("v4.1").at(300).confirms("v4.1");
        script.expect("abandon v6.1, finish connected v4.1");
        script.race.is_unanswered(Family::V6)
    };
    assert!(ending(false));
    assert!(!ending(true));
}

// Our rule: how long the caller took is no time of the network: the winner's handshake counts to its
// connection.
#[test]
fn the_time_of_the_word_is_not_the_handshakes() {
    let mut script = Script::towards("v6.1 v4.1", confirm());
    script.expect("start v6.1").at(250).expect("start v4.1").at(270).connects("v4.1").at(2000).confirms("v4.1");
    script.expect("abandon v6.1, finish connected v4.1");
    assert!(script.race.is_unanswered(Family::V6), "20 ms against 2 s without an answer");
}

// Our rule: the trace tells when an attempt is held; its end tells what was said of it.
#[test]
fn the_trace_tells_of_held_confirmed_and_rejected_ones() {
    let mut script = Script::towards("v6.1 v6.2", Settings { trace: true, ..confirm() });
    script.expect("start v6.1").at(20).connects("v6.1").expect("").at(60).rejects("v6.1").expect("start v6.2");
    script.at(90).connects("v6.2").expect("").at(99).confirms("v6.2").expect("finish connected v6.2");
    let (first, second) = (AttemptId(0), AttemptId(1));
    let failure = Failure { sys_errno: ECONNABORTED, operation: Operation::Confirm, family_unreachable: false };
    let ended = |attempt, name, outcome| TraceKind::AttemptEnded { attempt, address: address(name), outcome };
    let told: Vec<_> = script
        .trace()
        .into_iter()
        .filter(|(_, kind)| matches!(kind, TraceKind::AttemptHeld { .. } | TraceKind::AttemptEnded { .. }))
        .collect();
    assert_eq!(
        told,
        [
            (20, TraceKind::AttemptHeld { attempt: first, address: address("v6.1") }),
            (60, ended(first, "v6.1", AttemptOutcome::Failed(failure))),
            (90, TraceKind::AttemptHeld { attempt: second, address: address("v6.2") }),
            (99, ended(second, "v6.2", AttemptOutcome::Connected)),
        ]
    );
}
