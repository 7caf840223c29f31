//! A driver of many races holds lookups and attempts back; what is held back starts no busy loop.
use crate::script::*;
use happysock::race::*;

// Our rule: what is held back starts no timer and is not asked.
#[test]
fn nothing_is_asked_without_a_permit() {
    let mut script = Script::new(Settings::default());
    script.permits.lookups = false;
    script.expect_no_deadline();
    assert_eq!(script.wanted(), "lookup");
    script.at(500).expect_no_deadline();
    script.permits.lookups = true;
    script.expect("ask AAAA, ask A when free");
    assert_eq!(script.wanted(), "nothing");
}

// Our rule: what is held back starts no timer, and the delay counts from the start that then happens.
#[test]
fn no_attempt_starts_without_a_permit() {
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script.permits.attempts = false;
    script.expect_no_deadline();
    assert_eq!(script.wanted(), "attempt");
    script.at(70).expect_no_deadline();
    script.permits.attempts = true;
    script.expect("start v6.1").expect_deadline(320);
    assert_eq!(script.wanted(), "nothing");
    script.permits.attempts = false;
    script.expect_deadline(320);
    assert_eq!(script.wanted(), "nothing");
    script.at(320).expect_no_deadline();
    assert_eq!(script.wanted(), "attempt");
    script.permits.attempts = true;
    script.expect("start v6.2");
}

// Our rule: who has ended waits for no permit.
#[test]
fn a_race_that_has_ended_wants_nothing() {
    let mut script = Script::new(Settings::default());
    script.permits = Permits { lookups: false, attempts: false };
    script.event(Event::Cancelled).expect("finish cancelled");
    assert_eq!(script.wanted(), "nothing");
    let mut script = Script::towards("v6.1", Settings::default());
    script.permits.attempts = false;
    script.expect("").event(Event::Cancelled).expect("finish cancelled");
    assert_eq!(script.wanted(), "nothing");
}

// Our rule: the two permits are independent.
#[test]
fn both_permits_can_be_missing_and_each_alone_lets_the_race_go_on() {
    // The permit for lookups ends between the two questions.
    let now = std::time::Instant::now();
    let mut race = Race::new(Settings::default(), now);
    // Once the first is answered the second is not one that may turn out not to be needed.
    let ask = |id, question| Action::Ask { lookup: LookupId(id), question, urgency: Urgency::Now };
    assert_eq!(race.next_action(now, Permits::ALL), Some(ask(0, AAAA)));
    let none = Permits { lookups: false, attempts: false };
    assert_eq!(race.next_action(now, none), None);
    assert_eq!(race.wants_permit(), Wanted { lookup: true, attempt: false });
    race.handle(now, Event::Answered { lookup: LookupId(0), addresses: &addresses("v6.1"), by: AnsweredBy::Nobody });
    assert_eq!(race.next_action(now, none), None);
    assert_eq!(race.wants_permit(), Wanted { lookup: true, attempt: true });
    let (attempt, destination) = (AttemptId(0), address("v6.1"));
    let start = Action::StartAttempt { attempt, destination };
    assert_eq!(race.next_action(now, Permits { lookups: false, attempts: true }), Some(start));
    assert_eq!(race.next_action(now, none), None);
    assert_eq!(race.wants_permit(), Wanted { lookup: true, attempt: false });
    assert_eq!(race.next_action(now, Permits { lookups: true, attempts: false }), Some(ask(1, A)));
}

// CRuby's rule: open_timeout counts over everything.
#[test]
fn the_open_limit_counts_while_a_permit_is_missing() {
    let mut script = Script::new(Settings { open_limit: Some(ms(100)), ..Settings::default() });
    script.permits.lookups = false;
    script.expect_deadline(100).at(100).expect("finish timed out Open");
}

// CRuby's rule: resolv_timeout counts from the start of resolution, be it asked or held back.
#[test]
fn the_resolve_limit_counts_while_a_permit_is_missing() {
    let mut script = Script::new(Settings { resolve_limit: Some(ms(100)), ..Settings::default() });
    script.permits.lookups = false;
    script.expect_deadline(100).at(100).expect("finish timed out Resolve");
}

// Our rule: attempts cannot hold the very permits that their race waits for, without end.
#[test]
fn the_connect_limit_counts_from_when_the_attempt_would_have_started() {
    let mut script = Script::towards("v6.1 v6.2", Settings { connect_limit: Some(ms(100)), ..Settings::default() });
    script.expect("start v6.1");
    script.permits.attempts = false;
    script.expect_deadline(250).at(250).expect_deadline(350).at(300).expect_deadline(350);
    script.at(350).expect("abandon v6.1").expect_no_deadline();
    assert_eq!(script.wanted(), "attempt");
    script.at(400);
    script.permits.attempts = true;
    script.expect("start v6.2").expect_deadline(500);
}

// CRuby's rule: connect_timeout counts from the start of the last candidate's attempt.
#[test]
fn a_permit_that_comes_stops_the_connect_limit() {
    let mut script =
        Script::towards("v6.1 v6.2 v6.3", Settings { connect_limit: Some(ms(400)), ..Settings::default() });
    script.expect("start v6.1");
    script.permits.attempts = false;
    script.at(250).expect_deadline(650).at(300);
    script.permits.attempts = true;
    script.expect("start v6.2").expect_deadline(550);
    script.permits.attempts = false;
    script.at(550).expect_deadline(950);
}

// RFC 8305, section 5: "Once one of the connection attempts succeeds [...], all other connections attempts
// that have not yet succeeded SHOULD be canceled."
#[test]
fn a_missing_permit_does_not_hold_a_success_back() {
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script.expect("start v6.1");
    script.permits = Permits { lookups: false, attempts: false };
    script.at(300).expect("").connects("v6.1").expect("finish connected v6.1");
}
