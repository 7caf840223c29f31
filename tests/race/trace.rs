//! The trace: what happened, when, in the vocabulary of draft-kuehlewind-happy-qlog.
use crate::script::*;
use happysock::race::TraceKind::*;
use happysock::race::*;

fn traced() -> Settings {
    Settings { trace: true, ..Settings::default() }
}

const UNREACHABLE: AttemptOutcome =
    AttemptOutcome::Failed(Failure { sys_errno: ENETUNREACH, operation: Operation::Connect, family_unreachable: true });
const REFUSED: AttemptOutcome = AttemptOutcome::Failed(Failure {
    sys_errno: ECONNREFUSED,
    operation: Operation::Connect,
    family_unreachable: false,
});

// Our rule: a race that nobody watches keeps no trace.
#[test]
fn without_the_setting_there_is_no_trace() {
    let mut script = asked(Settings::default());
    script.answers(AAAA, "v6.1").expect("start v6.1");
    assert_eq!(script.trace(), []);
}

// draft-kuehlewind-happy-qlog has an event for each of these steps.
#[test]
fn a_whole_race_is_told() {
    let mut script = asked(traced());
    script
        .at(10)
        .answers(A, "v4.1 v4.2")
        .at(60)
        .expect("start v4.1")
        .at(100)
        .answers(AAAA, "v6.1 v6.2")
        .at(310)
        .expect("start v6.1")
        .at(320)
        .refuses("v4.1")
        .expect("start v6.2")
        .at(330)
        .is_unreachable("v6.2")
        .expect("start v4.2")
        .at(400)
        .connects("v6.1")
        .expect("abandon v4.2, finish connected v6.1");
    let (v4, v4b) = (address("v4.1"), address("v4.2"));
    let (v6, v6b) = (address("v6.1"), address("v6.2"));
    let [first, second, third, fourth] = [0, 1, 2, 3].map(AttemptId);
    let expected = [
        (0, LookupStarted { lookup: LookupId(0), question: AAAA, urgency: Urgency::Now }),
        (0, LookupStarted { lookup: LookupId(1), question: A, urgency: Urgency::WhenFree }),
        (10, LookupAnswered { lookup: LookupId(1), question: A, addresses: 2, by: AnsweredBy::Nobody }),
        (10, CandidateAdded { candidate: CandidateId(0), address: v4 }),
        (10, CandidateAdded { candidate: CandidateId(1), address: v4b }),
        (10, ResolutionDelayStarted { delay: ms(50) }),
        (60, ResolutionDelayExpired),
        (60, AttemptStarted { attempt: first, address: v4 }),
        (60, NextAttemptTimerSet { delay: ms(250) }),
        (100, LookupAnswered { lookup: LookupId(0), question: AAAA, addresses: 2, by: AnsweredBy::Nobody }),
        (100, CandidateAdded { candidate: CandidateId(2), address: v6 }),
        (100, CandidateAdded { candidate: CandidateId(3), address: v6b }),
        (310, NextAttemptTimerFired),
        (310, AttemptStarted { attempt: second, address: v6 }),
        (310, NextAttemptTimerSet { delay: ms(250) }),
        (320, AttemptEnded { attempt: first, address: v4, outcome: REFUSED }),
        (320, AttemptStarted { attempt: third, address: v6b }),
        (320, NextAttemptTimerSet { delay: ms(250) }),
        (330, AttemptEnded { attempt: third, address: v6b, outcome: UNREACHABLE }),
        (330, AttemptStarted { attempt: fourth, address: v4b }),
        (400, AttemptEnded { attempt: second, address: v6, outcome: AttemptOutcome::Connected }),
        (400, AttemptEnded { attempt: fourth, address: v4b, outcome: AttemptOutcome::Abandoned }),
        (400, Finished { outcome: Outcome::Connected { attempt: second }, address: Some(v6) }),
    ];
    assert_eq!(script.trace(), expected);
}

// draft-kuehlewind-happy-qlog tells of each query when it is started and when it is answered; our rule: or
// given up.
#[test]
fn lookups_that_fail_or_are_given_up_are_told() {
    let mut script = asked(Settings { resolve_limit: Some(ms(100)), ..traced() });
    script.at(10).fails_to_resolve(AAAA, NONAME).expect("hasten A").at(100).expect("drop A, finish timed out Resolve");
    let error = LookupError { gai_error: NONAME, sys_errno: 0 };
    let expected = [
        (10, LookupFailed { lookup: LookupId(0), question: AAAA, error, by: AnsweredBy::Nobody }),
        (10, LookupHastened { lookup: LookupId(1), question: A }),
        (100, LookupAbandoned { lookup: LookupId(1), question: A }),
        (100, Finished { outcome: Outcome::TimedOut { limit: Limit::Resolve }, address: None }),
    ];
    assert_eq!(script.trace()[2..], expected);
}

// RFC 8305, section 3: "If a positive AAAA response is received within the Resolution Delay period, the
// client immediately starts the IPv6 connection attempt."
#[test]
fn a_resolution_delay_cut_short_by_the_answer_does_not_expire() {
    let mut script = asked(traced());
    script.answers(A, "v4.1").at(20).answers(AAAA, "v6.1").expect("start v6.1").at(50).expect("");
    assert!(!script.trace().iter().any(|(_, kind)| *kind == ResolutionDelayExpired));
}

// draft-kuehlewind-happy-qlog tells when the timer of the next attempt is set, and when it fires.
#[test]
fn the_timer_is_set_when_a_candidate_comes_while_the_delay_runs() {
    let mut script = asked(traced());
    script
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(100)
        .answers(A, "v4.1")
        .expect("")
        .at(250)
        .expect("start v4.1");
    let trace = script.trace();
    assert!(trace.contains(&(100, NextAttemptTimerSet { delay: ms(150) })));
    assert!(trace.contains(&(250, NextAttemptTimerFired)));
    assert_eq!(trace.iter().filter(|(_, kind)| matches!(kind, NextAttemptTimerSet { .. })).count(), 1);
}

// draft-kuehlewind-happy-qlog tells when the timer of the next attempt is set, and when it fires.
#[test]
fn no_timer_fires_that_was_not_set() {
    // The delay is over when the candidate comes: nothing had to be waited for.
    let mut script = asked(traced());
    script
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(400)
        .answers(A, "v4.1")
        .expect("start v4.1");
    let timers = |(_, kind): &(u64, TraceKind)| matches!(kind, NextAttemptTimerSet { .. } | NextAttemptTimerFired);
    assert!(!script.trace().iter().any(timers));
}

// draft-kuehlewind-happy-qlog tells when the timer of the next attempt is set, and when it fires.
#[test]
fn no_timer_is_set_for_an_attempt_that_is_due_and_waits_for_a_permit() {
    let mut script = asked(traced());
    script.answers(AAAA, "v6.1").expect("start v6.1").at(50).expect("hasten A").at(250);
    script.permits.attempts = false;
    script.answers(A, "v4.1").expect("");
    assert!(!script.trace().iter().any(|(_, kind)| matches!(kind, NextAttemptTimerSet { .. })));
}

// Our rule: each candidate that is added is started, dropped, or left over when the race ends.
#[test]
fn candidates_that_no_attempt_can_reach_are_told() {
    let mut script = Script::towards("v6.1 v4.1", Settings { local: true, ..traced() });
    script.expect("ask local").at(5).answers(LOCAL, "v4.9").expect("start v4.1");
    assert!(script.trace().contains(&(5, CandidateDropped { candidate: CandidateId(0), address: address("v6.1") })));

    let mut script = Script::towards("v6.1 v6.2", traced());
    script.source("v6.2", "").expect("start v6.1").at(5).is_unreachable("v6.1").expect("finish failed v6.1");
    assert!(script.trace().contains(&(5, CandidateDropped { candidate: CandidateId(1), address: address("v6.2") })));
}

// Our rule: every attempt that was started has exactly one outcome.
#[test]
fn an_attempt_ended_by_a_limit_says_which() {
    let mut script = Script::towards("v6.1", Settings { connect_limit: Some(ms(100)), ..traced() });
    script.expect("start v6.1").at(100).expect("abandon v6.1, finish timed out Connect");
    let outcome = AttemptOutcome::TimedOut(Limit::Connect);
    let ended = AttemptEnded { attempt: AttemptId(0), address: address("v6.1"), outcome };
    assert!(script.trace().contains(&(100, ended)));
}

// RFC 8305, section 9.3: "It has been observed in practice that Happy Eyeballs can hide issues in networks."
#[test]
fn section_9_a_race_that_hides_broken_ipv6_tells_of_it() {
    let mut script = asked(traced());
    script
        .answers(AAAA, "v6.1 v6.2")
        .answers(A, "v4.1 v4.2")
        .expect("start v6.1")
        .at(100)
        .refuses("v6.1")
        .expect("start v4.1")
        .at(350)
        .expect("start v6.2")
        .at(360)
        .connects("v4.1")
        .expect("abandon v6.2, finish connected v4.1");
    assert_eq!(script.outcome_of("v6.1"), REFUSED);
    assert_eq!(script.outcome_of("v6.2"), AttemptOutcome::Abandoned);
    let trace = script.trace();
    let (attempt, address) = (AttemptId(0), address("v6.1"));
    assert!(trace.contains(&(100, AttemptEnded { attempt, address, outcome: REFUSED })));
}
