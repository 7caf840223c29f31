//! Our own rules for the second family's lookup, since RFC 8305 knows one race and not thousands that share
//! their workers: it is asked at once (section 3) but gives way to the lookups of others, until there is
//! reason to think it is needed.
use crate::script::*;
use happysock::race::*;

// Our rule: the preferred family is asked now, the other one, while the first is pending, when somebody is
// free.
#[test]
fn the_other_family_gives_way_while_the_preferred_one_is_pending() {
    Script::new(Settings::default()).expect("ask AAAA, ask A when free");
    let settings = Settings { preferred_family: Family::V4, ..Settings::default() };
    Script::new(settings).expect("ask A, ask AAAA when free");
}

// Our rule: what is asked alone is asked now.
#[test]
fn one_family_both_in_one_and_the_local_address_give_way_to_none() {
    let only = |family| Settings { families: Families::Only(family), ..Settings::default() };
    Script::new(only(Family::V4)).expect("ask A");
    Script::new(only(Family::V6)).expect("ask AAAA");
    let local = Settings { local: true, ..Settings::default() };
    Script::new(local.clone()).expect("ask AAAA, ask A when free, ask local");
    Script::new(Settings { fast_fallback: false, ..local }).expect("ask any, ask local");
}

/// A race of which the permit for lookups ended between the two questions.
fn half_asked() -> (Race, std::time::Instant) {
    let now = std::time::Instant::now();
    let mut race = Race::new(Settings::default(), now);
    let ask = Action::Ask { lookup: LookupId(0), question: AAAA, urgency: Urgency::Now };
    assert_eq!(race.next_action(now, Permits::ALL), Some(ask));
    (race, now)
}

// Our rule: once the first has ended the second is all there is, and is asked now.
#[test]
fn asked_after_the_first_has_ended_it_gives_way_to_none() {
    let (mut race, now) = half_asked();
    race.handle(now, Event::LookupFailed { lookup: LookupId(0), error: LookupError::NO_DATA, by: AnsweredBy::Nobody });
    let ask = Action::Ask { lookup: LookupId(1), question: A, urgency: Urgency::Now };
    assert_eq!(race.next_action(now, Permits::ALL), Some(ask));
    assert_eq!(race.next_action(now, Permits::ALL), None);
    assert_eq!(race.deadline(), None);
}

// Our rule: it gives way because the first is pending, not because they were asked together.
#[test]
fn asked_late_but_while_the_first_is_pending_it_gives_way() {
    let (mut race, now) = half_asked();
    let ask = Action::Ask { lookup: LookupId(1), question: A, urgency: Urgency::WhenFree };
    assert_eq!(race.next_action(now + ms(9), Permits::ALL), Some(ask));
}

// Our rule: a failed lookup of the race hastens at once what gives way.
#[test]
fn it_is_hastened_when_the_first_lookup_fails() {
    asked(Settings::default()).at(20).fails_to_resolve(AAAA, AGAIN).expect("hasten A").expect_no_deadline();
    // An answer of no use is a failure.
    asked(Settings::default()).at(20).answers(AAAA, "").expect("hasten A");
    asked(Settings::default()).at(20).answers(AAAA, "v4.1").expect("hasten A");
}

// Our rule: a failed attempt hastens at once what gives way.
#[test]
fn it_is_hastened_when_an_attempt_fails() {
    asked(Settings::default())
        .at(5)
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .expect("start v6.1")
        .at(15)
        .refuses("v6.1")
        .expect("hasten A, start v6.2")
        .expect_deadline(265);
}

// Our rule: it is hastened HASTEN_AFTER after an answer.
#[test]
fn it_is_hastened_50_ms_after_the_answer() {
    assert_eq!(HASTEN_AFTER, RESOLUTION_DELAY);
    asked(Settings::default())
        .at(5)
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .expect_deadline(55)
        .idle_until(55)
        .expect("hasten A")
        .expect_no_deadline();
}

// Our rule: without an answer there is nothing that could make it needless, and nothing that makes it needed.
#[test]
fn without_an_answer_it_waits() {
    asked(Settings::default()).idle_until(60_000).expect_no_deadline();
}

// Our rule: the time counts anew from the start of each attempt.
#[test]
fn the_time_counts_anew_from_each_attempt() {
    let settings = Settings { connection_attempt_delay: ms(30), ..Settings::default() };
    asked(settings)
        .answers(AAAA, "v6.1 v6.2 v6.3")
        .expect("start v6.1")
        .at(30)
        .expect("start v6.2")
        .at(60)
        .expect("start v6.3")
        .expect_deadline(110)
        .idle_until(110)
        .expect("hasten A");
    // Due at the same moment as the next attempt, it does not wait for that one too.
    let settings = Settings { connection_attempt_delay: ms(50), ..Settings::default() };
    asked(settings).answers(AAAA, "v6.1 v6.2").expect("start v6.1").at(50).expect("hasten A, start v6.2");
}

// Our rule: the time counts anew from the start of each attempt.
#[test]
fn an_attempt_that_waits_for_the_local_answer_counts_from_its_start() {
    let settings = Settings { local: true, ..Settings::default() };
    let mut script = Script::new(settings);
    script.expect("ask AAAA, ask A when free, ask local").answers(AAAA, "v6.1").expect_deadline(50);
    script.at(40).answers(LOCAL, "v6.9 v4.9").expect("start v6.1").expect_deadline(90).at(90).expect("hasten A");
}

// Our rule: the answer of the local address counts too, so a silent first family does not hold up the second.
#[test]
fn it_is_hastened_50_ms_after_the_local_answer() {
    let settings = Settings { local: true, ..Settings::default() };
    let mut script = Script::new(settings);
    script.expect("ask AAAA, ask A when free, ask local").at(3).answers(LOCAL, "v4.9").at(53).expect("hasten A");
}

// Our rule: each lookup is hastened at most once.
#[test]
fn it_is_hastened_once() {
    let mut script = asked(Settings::default());
    script.answers(AAAA, "v6.1 v6.2").expect("start v6.1").at(50).expect("hasten A").at(60);
    script.refuses("v6.1").expect("start v6.2").expect_no_deadline().at(70);
    script.refuses("v6.2").expect_no_deadline();
}

// Our rule: what has ended is not hastened, and leaves no deadline behind.
#[test]
fn an_answer_in_time_leaves_nothing_to_hasten() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(49)
        .answers(A, "v4.1")
        .expect_deadline(250);
    asked(Settings::default()).answers(AAAA, "v6.1").answers(A, "").expect("start v6.1").expect_no_deadline();
    // The preferred family is never hastened: it was asked now.
    asked(Settings::default()).fails_to_resolve(A, NODATA).expect_no_deadline();
}

// Our rule: what has ended is not hastened.
#[test]
fn what_is_given_up_is_not_hastened() {
    let settings = Settings { resolve_limit: Some(ms(50)), ..Settings::default() };
    asked(settings).answers(AAAA, "v6.1").expect("start v6.1").at(50).expect("drop A").expect_no_deadline();
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(50)
        .connects("v6.1")
        .expect("drop A, finish connected v6.1");
}

// Our rule: the permit was for asking; hastening starts nothing.
#[test]
fn it_needs_no_permit() {
    let mut script = asked(Settings::default());
    script.permits = Permits { lookups: false, attempts: false };
    script.answers(AAAA, "v6.1").at(50).expect("hasten A");
}

// Our rule: what changes the order in which lookups are served is told.
#[test]
fn the_trace_tells_of_it() {
    let mut script = asked(Settings { trace: true, ..Settings::default() });
    script.answers(AAAA, "v6.1").expect("start v6.1").at(50).expect("hasten A");
    let hastened = TraceKind::LookupHastened { lookup: LookupId(1), question: A };
    assert_eq!(script.trace().last(), Some(&(50, hastened)));
}
