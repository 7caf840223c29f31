//! RFC 8305, section 3: hostname resolution query handling.
use crate::script::*;
use happysock::race::*;

// RFC 8305, section 3: "Both queries SHOULD be made as soon after one another as possible, with the AAAA
// query made first and immediately followed by the A query."
#[test]
fn section_3_asks_aaaa_then_a_at_once() {
    Script::new(Settings::default()).expect("ask AAAA, ask A when free").expect_no_deadline();
}

// Our rule: where gai.conf(5) ranks IPv4 higher, section 3 holds with the families exchanged.
#[test]
fn section_3_asks_the_preferred_family_first() {
    let settings = Settings { preferred_family: Family::V4, ..Settings::default() };
    Script::new(settings).expect("ask A, ask AAAA when free");
}

// RFC 8305, section 3: "If a positive AAAA response (a response containing at least one valid AAAA record)
// is received first, the first IPv6 connection attempt is immediately started."
#[test]
fn section_3_a_positive_aaaa_answer_starts_the_first_attempt_at_once() {
    asked(Settings::default()).at(7).answers(AAAA, "v6.1").expect("start v6.1");
}

// RFC 8305, section 3: "If a positive A response is received first due to reordering, the client SHOULD wait
// a short time for the AAAA response to ensure that preference is given to IPv6" "The recommended value for
// the Resolution Delay is 50 milliseconds."
#[test]
fn section_3_the_a_answer_waits_the_resolution_delay_from_the_a_answer() {
    asked(Settings::default()).at(30).answers(A, "v4.1").expect_deadline(80).idle_until(80).expect("start v4.1");
}

// RFC 8305, section 8: the values that the client uses are to be configurable.
#[test]
fn section_3_the_resolution_delay_is_as_set() {
    let settings = Settings { resolution_delay: ms(7), ..Settings::default() };
    asked(settings).at(30).answers(A, "v4.1").expect_deadline(37).idle_until(37).expect("start v4.1");
}

// RFC 8305, section 3: "If a positive AAAA response is received within the Resolution Delay period, the
// client immediately starts the IPv6 connection attempt."
#[test]
fn section_3_a_positive_aaaa_answer_within_the_resolution_delay_connects_at_once() {
    asked(Settings::default())
        .at(30)
        .answers(A, "v4.1")
        .at(50)
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .at(300)
        .expect("start v4.1");
}

// RFC 8305, section 3: "If a negative AAAA response (no valid AAAA records) is received within the
// Resolution Delay period or the AAAA response has not been received by the end of the Resolution Delay
// period, the client SHOULD proceed to sorting addresses (see Section 4) and staggered connection attempts"
#[test]
fn section_3_a_negative_aaaa_answer_ends_the_resolution_delay() {
    asked(Settings::default()).at(30).answers(A, "v4.1").at(40).fails_to_resolve(AAAA, NODATA).expect("start v4.1");
}

// RFC 8305, section 3: "a negative AAAA response (no valid AAAA records)"
#[test]
fn section_3_an_empty_aaaa_answer_ends_the_resolution_delay() {
    asked(Settings::default()).at(30).answers(A, "v4.1").at(40).answers(AAAA, "").expect("start v4.1");
}

// RFC 8305, section 3: "the newly received IPv6 addresses are incorporated into the list of available
// candidate addresses"
#[test]
fn section_3_a_late_aaaa_answer_joins_the_candidates_not_yet_tried() {
    asked(Settings::default())
        .answers(A, "v4.1 v4.2")
        .at(50)
        .expect("start v4.1")
        .at(100)
        .answers(AAAA, "v6.1")
        .idle_until(300)
        .expect("start v6.1")
        .at(550)
        .expect("start v4.2");
}

// RFC 8305, section 3: "Implementations SHOULD NOT wait for both families of answers to return before
// attempting connection establishment."
#[test]
fn section_3_never_waits_for_both_answers_before_connecting() {
    asked(Settings::default()).at(3_000).answers(AAAA, "v6.1").expect("start v6.1");
}

// RFC 8305, section 8: the values that the client uses are to be configurable.
#[test]
fn section_3_a_resolution_delay_of_zero_waits_for_nothing() {
    let settings = Settings { resolution_delay: ms(0), trace: true, ..Settings::default() };
    let mut script = asked(settings);
    script.answers(A, "v4.1").expect("start v4.1");
    assert!(!script.trace().iter().any(|(_, kind)| matches!(kind, TraceKind::ResolutionDelayStarted { .. })));
}

// Our rule: a delay that no clock can reach is one without end.
#[test]
fn section_3_a_resolution_delay_past_the_end_of_the_clock_waits_for_the_answer() {
    let settings = Settings { resolution_delay: std::time::Duration::MAX, ..Settings::default() };
    asked(settings)
        .answers(A, "v4.1")
        .idle_until(1_000_000)
        .expect("")
        .fails_to_resolve(AAAA, NODATA)
        .expect("start v4.1");
}

// RFC 8305, section 3: "If a negative AAAA response (no valid AAAA records) is received within the
// Resolution Delay period or the AAAA response has not been received by the end of the Resolution Delay
// period, the client SHOULD proceed to sorting addresses (see Section 4) and staggered connection attempts"
#[test]
fn section_3_the_resolution_delay_is_not_counted_again_when_aaaa_was_answered_before() {
    asked(Settings::default())
        .at(5)
        .fails_to_resolve(AAAA, NODATA)
        .expect("hasten A")
        .at(20)
        .answers(A, "v4.1")
        .expect("start v4.1");
}

// Our rule: everything that is ready counts before anything is decided, so the order within one wake-up
// decides nothing.
#[test]
fn section_3_both_answers_in_one_wake_up_start_at_once_whatever_their_order() {
    asked(Settings::default()).answers(A, "v4.1").answers(AAAA, "v6.1").expect("start v6.1");
    asked(Settings::default()).answers(AAAA, "v6.1").answers(A, "v4.1").expect("start v6.1");
}

// Our rule: what is not asked is not waited for.
#[test]
fn section_3_one_family_alone_has_no_resolution_delay() {
    let settings = Settings { families: Families::Only(Family::V4), ..Settings::default() };
    Script::new(settings).expect("ask A").answers(A, "v4.1").expect("start v4.1");
}

// RFC 8305, section 3: "When a client has both IPv4 and IPv6 connectivity [...], it needs to send out both
// AAAA and A DNS queries." The caller has said that it wants one.
#[test]
fn section_3_the_other_family_of_only_one_is_never_asked() {
    let settings = Settings { families: Families::Only(Family::V6), ..Settings::default() };
    Script::new(settings)
        .expect("ask AAAA")
        .answers(A, "v4.1")
        .expect_no_deadline()
        .answers(AAAA, "v6.1")
        .expect("start v6.1");
}

// Our rule: where gai.conf(5) ranks IPv4 higher, section 3 holds with the families exchanged.
#[test]
fn section_3_with_ipv4_preferred_the_aaaa_answer_waits_for_a() {
    let settings = Settings { preferred_family: Family::V4, ..Settings::default() };
    Script::new(settings)
        .expect("ask A, ask AAAA when free")
        .at(5)
        .answers(AAAA, "v6.1")
        .expect_deadline(55)
        .idle_until(55)
        .expect("start v6.1");
}

// Deliberate deviation: the RFC does not except loopback. Both its families are this one host, which answers
// or refuses at once.
// Pain: `localhost` where ::1 does not answer.
#[test]
fn section_3_loopback_pays_no_resolution_delay() {
    asked(Settings::default()).answers(A, "loop4").expect("start loop4");
    asked(Settings::default()).answers(A, "127.9.9.9").expect("start 127.9.9.9");
}

// RFC 8305, section 3: "If a positive A response is received first due to reordering, the client SHOULD wait
// a short time for the AAAA response to ensure that preference is given to IPv6"
#[test]
fn section_3_loopback_among_others_pays_the_resolution_delay() {
    asked(Settings::default()).answers(A, "loop4 v4.1").expect_deadline(50).at(50).expect("start loop4");
}

// RFC 8305, section 3: "a response containing at least one valid AAAA record" An IPv4 address is none.
#[test]
fn section_3_an_answer_of_the_wrong_family_counts_for_nothing() {
    asked(Settings::default())
        .answers(AAAA, "v4.1")
        .answers(A, "v4.2 v6.1")
        .expect("start v4.2")
        .refuses("v4.2")
        .expect("finish failed v4.2");
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn section_3_a_second_answer_to_the_same_question_is_ignored() {
    asked(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("start v6.1")
        .answers(AAAA, "v6.2")
        .fails_to_resolve(AAAA, NONAME)
        .fails_to_resolve(A, NONAME)
        .refuses("v6.1")
        .expect("finish failed v6.1");
}

// Our rule: an event about something that is unknown or has ended changes nothing.
#[test]
fn section_3_an_answer_before_the_question_is_ignored() {
    Script::new(Settings::default())
        .answers(AAAA, "v6.1")
        .expect("ask AAAA, ask A when free")
        .answers(AAAA, "v6.2")
        .expect("start v6.2")
        .at(50)
        .expect("hasten A")
        .answers(ANY, "v6.3")
        .answers(LOCAL, "v4.9")
        .at(1_000)
        .expect_no_deadline();
}

// Our rule: what needs no lookup is not asked.
#[test]
fn section_3_a_name_with_numeric_addresses_is_not_looked_up() {
    Script::towards("v4.1", Settings::default()).expect("start v4.1").expect_no_deadline();
}

// Our rule: known addresses are sorted and raced like answered ones; there is no answer to wait for.
#[test]
fn section_3_numeric_addresses_of_both_families_are_raced_without_a_resolution_delay() {
    Script::towards("v4.1 v6.1", Settings::default()).expect("start v6.1").at(250).expect("start v4.1");
}

// Version 3, section 4.2: "at least one non-loopback and non-link-local address of that address family from
// which to send packets, and at least one non-link local route". A family without them is not waited for.
#[test]
fn section_3_a_family_without_a_network_is_not_waited_for() {
    let mut script = asked(Settings::default());
    script.connected = false;
    script
        .at(10)
        .answers(A, "v4.1 v4.2")
        .expect("start v4.1")
        .at(30)
        .answers(AAAA, "v6.1")
        // Its addresses are candidates all the same.
        .at(260)
        .expect("start v6.1");
    // The other way round nothing is waited for anyway.
    let mut script = asked(Settings::default());
    script.connected = false;
    script.answers(AAAA, "v6.1").expect("start v6.1");
}

// Our rule: whether a family has a network is asked when it matters, and once.
#[test]
fn section_3_connectivity_is_asked_for_when_an_answer_would_be_waited_for() {
    let now = std::time::Instant::now();
    let asked_for = |first: QuestionKind, address: &str| -> Vec<Action> {
        let mut race = Race::new(Settings::default(), now);
        while race.next_action(now, Permits::ALL).is_some() {}
        let lookup = LookupId(u32::from(first == QuestionKind::A));
        race.handle(
            now,
            Event::Answered { lookup, addresses: &[crate::script::address(address)], by: AnsweredBy::Nobody },
        );
        let actions = std::iter::from_fn(|| race.next_action(now, Permits::ALL)).collect();
        assert_eq!(race.next_action(now, Permits::ALL), None);
        actions
    };
    assert_eq!(asked_for(QuestionKind::A, "v4.1"), [Action::FindConnectivity { family: Family::V6 }]);
    assert_eq!(asked_for(QuestionKind::A, "loop4").len(), 1, "loopback starts at once");
    assert!(matches!(asked_for(QuestionKind::Aaaa, "v6.1")[..], [Action::StartAttempt { .. }]));
}

// Version 3, section 4.2: a family without a network need not be asked for, where the caller allows that.
#[test]
fn section_3_a_family_without_a_network_need_not_be_asked() {
    let without_v6 = Settings { not_asked: Some(Family::V6), ..Settings::default() };
    // Nothing waits for what was not asked.
    Script::new(without_v6.clone()).expect("ask A").at(10).answers(A, "v4.1").expect("start v4.1");
    Script::new(without_v6.clone()).expect("ask A").fails_to_resolve(A, NODATA).expect("finish resolve -5");
    let plain = Settings { fast_fallback: false, ..without_v6.clone() };
    Script::new(plain).expect("ask A");
    // A family that is asked for by name is asked, and an address that needs no question is tried.
    let only_v6 = Settings { families: Families::Only(Family::V6), ..without_v6.clone() };
    Script::new(only_v6).expect("ask AAAA");
    Script::towards("v6.1", without_v6).expect("start v6.1");
}
