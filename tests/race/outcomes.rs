//! How a race ends when nobody connects, and the order in which it says so.
use crate::script::*;
use happysock::race::*;

// CRuby's rule: when every attempt has failed, the error of the last is raised.
#[test]
fn every_attempt_failed_gives_the_one_that_failed_last() {
    let mut script = Script::towards("v6.1 v6.2 v6.3", Settings::default());
    script.expect("start v6.1").at(250).expect("start v6.2").at(500).expect("start v6.3");
    script.at(600).refuses("v6.3").refuses("v6.1").expect("").at(700).refuses("v6.2").expect("finish failed v6.2");
    assert_eq!(script.race.outcome(), Some(Outcome::AttemptsFailed { last: AttemptId(1) }));
}

// Our rule: an attempt was nearer to a connection than a lookup.
#[test]
fn attempts_that_failed_count_more_than_a_lookup_that_failed() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .refuses("v6.1")
        .expect("hasten A")
        .expect_no_deadline()
        .fails_to_resolve(A, SYSTEM)
        .expect("finish failed v6.1");
}

// RFC 8305, section 3: "the client SHOULD treat DNS resolution as asynchronous."
#[test]
fn one_family_failing_to_resolve_does_not_end_the_race() {
    asked(Settings::default())
        .fails_to_resolve(AAAA, FAIL)
        .expect("hasten A")
        .expect_no_deadline()
        .answers(A, "v4.1")
        .expect("start v4.1");
}

// Our rule: of two errors that one is told which says more about what to repair; of equals the first.
#[test]
fn of_two_lookup_errors_the_more_telling_one_is_told() {
    let told = |first, second| {
        let mut script = asked(Settings::default());
        script.fails_to_resolve(AAAA, first).fails_to_resolve(A, second);
        script
    };
    // From the least telling to the most telling.
    let ranks = [vec![NONAME], vec![NODATA, -9], vec![AGAIN, FAIL], vec![SERVICE], vec![MEMORY], vec![SYSTEM]];
    for (place, better) in ranks.iter().enumerate() {
        for worse in ranks[..place].iter().flatten() {
            for code in better {
                told(*worse, *code).expect(&format!("finish resolve {code}"));
                told(*code, *worse).expect(&format!("finish resolve {code}"));
            }
        }
        // Of equals the first.
        told(better[0], better[better.len() - 1]).expect(&format!("finish resolve {}", better[0]));
        told(better[better.len() - 1], better[0]).expect(&format!("finish resolve {}", better[better.len() - 1]));
    }
}

// getaddrinfo(3): EAI_SYSTEM is "Other system error; errno is set to indicate the error."
#[test]
fn the_errno_of_a_failed_lookup_is_kept() {
    let error = LookupError::system(12);
    assert_eq!(error, LookupError { gai_error: SYSTEM, sys_errno: 12 });
    let mut script = asked(Settings::default());
    script
        .fails_to_resolve(AAAA, NONAME)
        .event(Event::LookupFailed { lookup: LookupId(1), error, by: AnsweredBy::Nobody })
        .expect("finish resolve -11");
    assert_eq!(script.race.outcome(), Some(Outcome::ResolveFailed { error }));
}

// RFC 8305, section 3: "a negative AAAA response (no valid AAAA records)" Both together are what EAI_NODATA
// means.
#[test]
fn two_empty_answers_are_no_data() {
    asked(Settings::default()).answers(AAAA, "").answers(A, "").expect("finish resolve -5");
}

// Our rule: a race with nothing left to try or to wait for has ended.
#[test]
fn no_address_at_all_is_no_data() {
    Script::towards("", Settings::default()).expect("finish resolve -5");
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn a_failure_for_a_question_that_was_not_asked_is_ignored() {
    Script::new(Settings::default())
        .fails_to_resolve(AAAA, NONAME)
        .fails_to_resolve(LOCAL, NONAME)
        .expect("ask AAAA, ask A when free")
        .fails_to_resolve(ANY, SYSTEM)
        .fails_to_resolve(LOCAL, SYSTEM)
        .expect_no_deadline();
}

// Our rule: a cancel ends the race at once, whatever it was doing.
#[test]
fn cancel_abandons_everything_at_once() {
    let mut script = asked(Settings::default());
    script
        .answers(AAAA, "v6.1 v6.2")
        .expect("start v6.1")
        .at(50)
        .expect("hasten A")
        .at(250)
        .expect("start v6.2")
        .at(260)
        .event(Event::Cancelled)
        .expect("abandon v6.1, abandon v6.2, drop A, finish cancelled")
        .expect_no_deadline();
    assert_eq!(script.outcome_of("v6.1"), AttemptOutcome::Abandoned);
}

// Our rule: a cancel ends the race at once, whatever it was doing.
#[test]
fn cancel_before_the_first_action_asks_nothing() {
    Script::new(Settings::default()).event(Event::Cancelled).expect("finish cancelled");
}

// Our rule: the first end stands, so a connection that was made is never lost.
#[test]
fn the_first_of_success_and_cancel_stands() {
    let running = || {
        let mut script = Script::towards("v6.1", Settings::default());
        script.expect("start v6.1");
        script
    };
    running().connects("v6.1").event(Event::Cancelled).expect("finish connected v6.1");
    running().event(Event::Cancelled).connects("v6.1").expect("abandon v6.1, finish cancelled");
}

// Our rule: a driver that cannot go on ends the race with its errno.
#[test]
fn a_broken_driver_ends_the_race() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .event(Event::Broken { sys_errno: 24 })
        .expect("abandon v6.1, drop A, finish broken 24");
}

// Our rule: a race ends in exactly one outcome, announced once, after all else was wound up.
#[test]
fn finish_is_given_once_and_the_outcome_is_there_from_then_on() {
    let now = std::time::Instant::now();
    let mut race = Race::with_addresses(Settings::default(), &addresses("v6.1"), now);
    assert!(matches!(race.next_action(now, Permits::ALL), Some(Action::StartAttempt { .. })));
    race.handle(now, Event::Cancelled);
    assert_eq!(race.outcome(), None);
    // Something is to be done, so the race is due.
    assert!(race.deadline().is_some_and(|deadline| deadline <= now));
    assert_eq!(race.next_action(now, Permits::ALL), Some(Action::AbandonAttempt { attempt: AttemptId(0) }));
    assert_eq!(race.outcome(), None);
    assert_eq!(race.next_action(now, Permits::ALL), Some(Action::Finish(Outcome::Cancelled)));
    assert_eq!(race.outcome(), Some(Outcome::Cancelled));
    for _ in 0..3 {
        assert_eq!(race.next_action(now, Permits::ALL), None);
        assert_eq!(race.deadline(), None);
    }
}

// Our rule: a race that waits costs little, since thousands of them wait at once.
#[test]
fn a_race_is_small() {
    // Thousands of them wait on one thread. What grows is on the heap, and only once it is needed.
    let size = size_of::<Race>();
    assert!(size < 500, "{size} bytes");
}
