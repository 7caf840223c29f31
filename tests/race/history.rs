//! What earlier connects have taught: RFC 8305, sections 4 and 5, and our rules about a family that does not
//! answer. What a history remembers, and for how long, is `src/history`'s.
use crate::script::*;
use happysock::race::*;

fn unanswered(destination: &str) -> Route {
    Route { unanswered: true, ..usual_route(address(destination).ip()) }
}

// RFC 8305, section 5: "the delay [...] should correspond to the time when the previous attempt is sending
// its second TCP SYN".
#[test]
fn section_5_the_delay_is_the_time_of_the_first_retransmission_where_it_is_known() {
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .expects_handshake("v6.1", 140)
        .expect_deadline(140)
        .idle_until(140)
        .expect("start v6.2")
        // Of this one nothing is known.
        .expect_deadline(390)
        .idle_until(390)
        .expect("start v6.3");
}

// RFC 8305, section 5: "The recommended minimum value is 100 milliseconds" "The Connection Attempt Delay
// SHOULD have an upper bound [...]. The current recommended value is 2 seconds."
#[test]
fn section_5_a_delay_that_is_computed_stays_within_what_is_recommended() {
    for (expected, delay) in [(1, 100), (99, 100), (101, 101), (1_999, 1_999), (60_000, 2_000)] {
        Script::towards("v6.1 v6.2", Settings::default())
            .expect("start v6.1")
            .expects_handshake("v6.1", expected)
            .expect_deadline(delay);
    }
    // Who sets less than is recommended gets less.
    for (expected, delay) in [(1, 30), (29, 30), (31, 31)] {
        let settings = Settings { connection_attempt_delay: ms(30), ..Settings::default() };
        Script::towards("v6.1 v6.2", settings)
            .expect("start v6.1")
            .expects_handshake("v6.1", expected)
            .expect_deadline(delay);
    }
}

// Our rule: the delay is that of the latest attempt.
#[test]
fn section_5_what_is_known_of_an_earlier_attempt_changes_nothing() {
    Script::towards("v6.1 v6.2 v6.3", Settings::default())
        .expect("start v6.1")
        .at(250)
        .expect("start v6.2")
        .expects_handshake("v6.1", 110)
        .expect_deadline(500);
    // Loopback answers at once whatever is known.
    Script::towards("loop6 loop4", Settings::default())
        .expect("start loop6")
        .expects_handshake("loop6", 900)
        .expect_deadline(10);
}

// RFC 8305, section 3: a positive answer waits for the preferred family's; our rule: one that does not answer
// is not preferred.
#[test]
fn a_race_begins_with_the_other_family_where_the_preferred_one_does_not_answer() {
    let settings = Settings { unanswered: Some(Family::V6), trace: true, ..Settings::default() };
    let mut script = Script::new(settings);
    script.route("v6.1", unanswered("v6.1")).route("v6.2", unanswered("v6.2"));
    script
        .expect("ask A, ask AAAA when free")
        // What comes first of it waits for the other.
        .at(5)
        .answers(AAAA, "v6.1 v6.2")
        .expect_deadline(55)
        .at(20)
        .answers(A, "v4.1 v4.2")
        .expect("start v4.1")
        // It is kept one attempt behind.
        .at(270)
        .expect("start v6.1")
        .at(520)
        .expect("start v4.2")
        .at(530)
        .connects("v6.1")
        .expect("abandon v4.1, abandon v4.2, finish connected v6.1");
    let told = script.trace().into_iter().filter(|(_, kind)| matches!(kind, TraceKind::FamilyUnanswered { .. }));
    assert_eq!(told.collect::<Vec<_>>(), [(0, TraceKind::FamilyUnanswered { family: Family::V6 })]);
}

// Our rule: what goes unanswered goes behind what does not, whatever rules 2 to 10 of RFC 6724 say; and
// before what has no way at all.
#[test]
fn an_address_on_a_network_that_does_not_answer_goes_behind_the_others() {
    let mut script = Script::towards("v6.1 v6.2 v6.3", Settings { trace: true, ..Settings::default() });
    script.route("v6.1", unanswered("v6.1")).source("v6.2", "");
    script.expect("start v6.3").at(250).expect("start v6.1").at(500).expect("start v6.2");
    let family = Family::V6;
    assert!(script.trace().contains(&(0, TraceKind::FamilyUnanswered { family })));
    assert!(script.race.is_unanswered(family) && !script.race.is_unanswered(Family::V4));
}

/// IPv6 is attempted at 0, IPv4 after 250 ms; IPv4 connects at `connected`.
fn silent_v6(connected: u64) -> Script {
    let mut script = asked(Settings { trace: true, ..Settings::default() });
    script
        .answers(AAAA, "v6.1")
        .answers(A, "v4.1")
        .expect("start v6.1")
        .at(250)
        .expect("start v4.1")
        .at(connected)
        .connects("v4.1")
        .expect("abandon v6.1, finish connected v4.1");
    script
}

// RFC 8305, section 9: the race hides that a family is broken; our rule: it says so.
#[test]
fn section_9_a_family_that_does_not_answer_is_told() {
    let mut script = silent_v6(270);
    assert!(
        script.race.went_unanswered(script.attempt("v6.1")) && !script.race.went_unanswered(script.attempt("v4.1"))
    );
    assert!(script.race.is_unanswered(Family::V6) && !script.race.is_unanswered(Family::V4));
    let trace = script.trace();
    let told = trace.iter().position(|(_, kind)| *kind == TraceKind::FamilyUnanswered { family: Family::V6 });
    assert_eq!(told, Some(trace.len() - 2), "before the end, once");
}

// Our rule: an attempt has gone unanswered only if the other family has taken less than half of its time.
#[test]
fn section_9_a_slow_network_is_not_taken_for_a_broken_one() {
    assert!(silent_v6(499).race.is_unanswered(Family::V6));
    assert!(!silent_v6(500).race.is_unanswered(Family::V6));
    // Nor one that had no time to answer.
    let mut script = Script::towards("v6.1 v4.1", Settings { connection_attempt_delay: ms(99), ..Settings::default() });
    script.expect("start v6.1").at(99).expect("start v4.1").at(100).connects("v4.1");
    script.expect("abandon v6.1, finish connected v4.1");
    assert!(!script.race.is_unanswered(Family::V6));
    // Nor an address beside others of its family.
    let mut script = Script::towards("v6.1 v6.2", Settings::default());
    script.expect("start v6.1").at(250).expect("start v6.2").at(260).connects("v6.2");
    script.expect("abandon v6.1, finish connected v6.2");
    assert!(!script.race.is_unanswered(Family::V6));
    // Nor one that refuses.
    let mut script = Script::towards("v6.1 v4.1", Settings::default());
    script.expect("start v6.1").at(240).refuses("v6.1").expect("start v4.1").at(250).connects("v4.1");
    script.expect("finish connected v4.1");
    assert!(!script.race.is_unanswered(Family::V6));
    // Nor a race that came to nothing.
    let mut script = Script::towards("v6.1 v4.1", Settings { open_limit: Some(ms(400)), ..Settings::default() });
    script.expect("start v6.1").at(250).expect("start v4.1").at(400);
    script.expect("abandon v6.1, abandon v4.1, finish timed out Open");
    assert!(!script.race.is_unanswered(Family::V6) && !script.race.is_unanswered(Family::V4));
}
