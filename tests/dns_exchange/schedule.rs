//! Which server is asked when: the retry schedule of resolv.conf(5), as seen with time stamps.
use crate::packets::*;
use crate::script::*;
use happysock::dns::schedule::{Schedule, Serial};
use happysock::dns::walk::Walk;
use std::sync::Arc;
use std::time::Duration;

const ONE: &str = "nameserver 192.0.2.1\n";
const TWO: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2\n";
const THREE: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";

/// The seconds and servers of the questions if nobody ever answers, and when that ends.
fn silent(lines: &str) -> String {
    let told = Script::new(lines, ONLY_A, "www.test").silence();
    let (end, told) = told.split_last().unwrap();
    let (failure, sends) = told.split_last().unwrap();
    assert!(failure.ends_with("A ! AGAIN"), "{failure}");
    let sends: Vec<String> = sends.iter().map(|send| send.replace(": A www.test ", "")).collect();
    format!("{} end {}", sends.join(" "), end.split(':').next().unwrap())
}

#[test]
fn one_server_is_waited_for_5_and_5_seconds() {
    assert_eq!(silent(ONE), "0@0 5@0 end 10");
}

#[test]
fn two_servers_are_waited_for_5_seconds_each_time() {
    assert_eq!(silent(TWO), "0@0 5@1 10@0 15@1 end 20");
}

#[test]
fn three_servers_are_waited_for_5_3_and_6_seconds() {
    assert_eq!(silent(THREE), "0@0 5@1 8@2 14@0 19@1 22@2 end 28");
}

#[test]
fn a_timeout_of_3_makes_it_3_2_and_4_seconds() {
    assert_eq!(silent(&format!("{THREE}options timeout:3")), "0@0 3@1 5@2 9@0 12@1 14@2 end 18");
}

#[test]
fn a_timeout_of_0_is_one_second_each() {
    assert_eq!(silent(&format!("{THREE}options timeout:0 attempts:1")), "0@0 1@1 2@2 end 3");
}

#[test]
fn attempts_are_rounds() {
    assert_eq!(silent(&format!("{TWO}options timeout:1 attempts:3")), "0@0 1@1 2@0 3@1 4@0 5@1 end 6");
}

#[test]
fn no_attempts_fail_at_once_without_a_packet() {
    for families in [ONLY_A, ONLY_AAAA] {
        let told = Script::new(&format!("{ONE}options attempts:0"), families, "www.test").silence();
        assert_eq!(told.len(), 2);
        assert!(told[0].ends_with("! AGAIN"), "{told:?}");
    }
}

#[test]
fn the_wait_depends_on_the_place_in_the_file_also_with_rotate() {
    let conf = conf(&format!("{THREE}options rotate attempts:1"));
    let walk = Walk::new(b"www.test", ONLY_A, DNS.into(), Arc::new(conf), 2);
    let told = Script::start(walk, ONLY_A).silence();
    assert_eq!(told[..3], ["0: A www.test @2", "6: A www.test @0", "11: A www.test @1"]);
    assert_eq!(told[3], "14: A ! AGAIN");
}

#[test]
fn rotate_goes_on_with_each_name_of_the_search_list() {
    let conf = conf(&format!("{TWO}options rotate\nsearch a.test b.test"));
    let walk = Walk::new(b"www", ONLY_A, DNS.into(), Arc::new(conf), 1);
    let mut script = Script::start(walk, ONLY_A);
    script.expect("A www.a.test @1").says(1, A, "nxdomain");
    script.expect("A www.b.test @0").says(0, A, "nxdomain").expect("A www @1");
}

#[test]
fn without_rotate_every_name_begins_with_the_first_server() {
    let conf = conf(TWO);
    let walk = Walk::new(b"www.test", ONLY_A, DNS.into(), Arc::new(conf), 1);
    Script::start(walk, ONLY_A).expect("A www.test @0");
}

#[test]
fn both_families_are_asked_at_once_ipv6_first() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").at(5_000).expect("AAAA www.test @1, A www.test @1");
}

#[test]
fn a_server_that_fails_is_left_at_once() {
    for words in ["servfail", "refused", "notimp", "bare servfail", "bare refused", "lame", "short"] {
        let mut script = Script::new(TWO, ONLY_A, "www.test");
        script.expect("A www.test @0").at(10).says(0, A, words).expect("A www.test @1");
        script.at(20).says(1, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
    }
}

#[test]
fn a_server_that_fails_is_asked_again_in_the_next_round() {
    let mut script = Script::new(ONE, ONLY_A, "www.test");
    script.expect("A www.test @0").at(10).says(0, A, "servfail").expect("A www.test @0");
    script.at(20).says(0, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

#[test]
fn an_icmp_error_leads_to_the_next_server_at_once() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    script.at(1).unreachable(AAAA).expect("AAAA www.test @1, A www.test @1");
}

#[test]
fn an_empty_datagram_leads_to_the_next_server_and_is_nothing_heard() {
    // For glibc recvfrom(2) has failed: where no server says more, there is none (ECONNREFUSED), and the search
    // list ends.
    let mut script = Script::new("nameserver 192.0.2.1\nsearch a.test b.test\noptions attempts:1\n", ONLY_AAAA, "www");
    script.expect("AAAA www.a.test @0").datagram(0, b"").expect("AAAA ! AGAIN, finish");
    // After an octet the list ends as well, but the name as it is gets its turn.
    let mut script = Script::new("nameserver 192.0.2.1\nsearch a.test b.test\noptions attempts:1\n", ONLY_AAAA, "www");
    script.expect("AAAA www.a.test @0").datagram(0, b"x").expect("AAAA www @0");
    // From a server that was left it changes nothing.
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    script.expect("A www.test @0").unreachable(A).expect("A www.test @1").datagram(0, b"").expect("");
}

#[test]
fn an_icmp_error_about_a_former_packet_changes_nothing() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    let [first, second] = [AAAA, A].map(|family| script.transmission(family));
    use happysock::dns::walk::Event;
    script.event(Event::Unreachable { transmission: first }).expect("AAAA www.test @1, A www.test @1");
    script.event(Event::Unreachable { transmission: second }).expect("");
}

#[test]
fn unreachable_servers_all_round_are_a_failure_at_once() {
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    for server in [0, 1, 0, 1] {
        script.expect(&format!("A www.test @{server}")).unreachable(A);
    }
    script.expect("A ! AGAIN, finish");
}

#[test]
fn the_first_server_that_knows_of_no_such_name_has_the_last_word() {
    // systemd/systemd#26290, rthalley/dnspython#1175: users of VPNs wish it otherwise; glibc does it so.
    for (words, code) in [("nxdomain", "NONAME"), ("nodata", "NODATA"), ("formerr", "NONAME")] {
        let mut script = Script::new(TWO, ONLY_A, "www.test");
        script.expect("A www.test @0").says(0, A, words).expect(&format!("A ! {code}, finish"));
    }
}

#[test]
fn a_late_answer_of_a_server_that_was_left_is_good() {
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    script.expect("A www.test @0").at(5_000).expect("A www.test @1");
    script.at(5_100).says(0, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

#[test]
fn a_late_failure_of_a_server_that_was_left_changes_nothing() {
    for words in ["servfail", "refused", "lame", "truncated", "short"] {
        let mut script = Script::new(TWO, ONLY_A, "www.test");
        script.expect("A www.test @0").at(5_000).expect("A www.test @1");
        script.at(5_100).says(0, A, words).expect("").at(10_000).expect("A www.test @0");
    }
}

#[test]
fn what_answered_is_not_asked_again_when_the_other_family_goes_on() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "2001:db8::1").expect("AAAA = 2001:db8::1");
    script.unreachable(A).expect("A www.test @1").says(1, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

// One server answers one family and fails at the other: glibc does not leave it for that
// (tst-resolv-semi-failure).

#[test]
fn a_server_that_answers_one_family_is_not_left_for_failing_at_the_other() {
    for words in ["servfail", "refused", "notimp", "lame"] {
        let mut script = Script::new(TWO, BOTH, "www.test");
        script.expect("AAAA www.test @0, A www.test @0").says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
        script.says(0, AAAA, words).expect("AAAA ! AGAIN, finish");
    }
}

#[test]
fn a_failure_for_one_family_waits_for_the_answer_to_the_other() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "servfail").expect("");
    script.at(100).says(0, A, "192.0.2.1").expect("A = 192.0.2.1, AAAA ! AGAIN, finish");
}

#[test]
fn a_failure_for_one_family_and_silence_for_the_other_lead_on_after_the_wait() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "servfail");
    script.at(5_000).expect("AAAA www.test @1, A www.test @1");
}

#[test]
fn failures_for_both_families_lead_on_at_once() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says_to_both(0, "servfail");
    script.expect("AAAA www.test @1, A www.test @1");
}

#[test]
fn an_unanswered_aaaa_question_beside_an_answered_a_question_is_repeated_twice() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").at(100).says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
    script.at(5_000).expect("AAAA www.test @0").at(10_000).expect("AAAA www.test @0");
    script.at(15_000).expect("AAAA ! AGAIN, finish");
}

#[test]
fn a_lost_answer_is_made_good_by_the_repetition() {
    let mut script = Script::new(ONE, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
    script.at(5_000).expect("AAAA www.test @0").at(5_100).says(0, AAAA, "2001:db8::1");
    script.expect("AAAA = 2001:db8::1, finish");
}

#[test]
fn an_unanswered_a_question_beside_an_answered_aaaa_question_is_repeated_once_and_put_to_the_next_server() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "2001:db8::1").expect("AAAA = 2001:db8::1");
    script.at(5_000).expect("A www.test @0").at(10_000).expect("A www.test @1");
    script.says(1, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

#[test]
fn an_empty_answer_does_not_hold_if_its_server_keeps_silent_about_a_records() {
    // Seen with glibc 2.36: EAI_AGAIN, not EAI_NODATA.
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "nodata").expect("");
    script.at(5_000).expect("A www.test @0").at(10_000).expect("AAAA www.test @1, A www.test @1");
    let lines = "nameserver 192.0.2.1\noptions attempts:1\n";
    let mut script = Script::new(lines, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "nodata").expect("");
    script.at(5_000).expect("A www.test @0").at(10_000).expect("AAAA ! AGAIN, A ! AGAIN, finish");
}

#[test]
fn an_empty_answer_holds_if_its_server_keeps_silent_about_aaaa_records() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, A, "nodata").expect("");
    script.at(5_000).expect("AAAA www.test @0").at(10_000).expect("AAAA www.test @0");
    script.at(15_000).expect("AAAA ! NODATA, A ! NODATA, finish");
}

#[test]
fn an_empty_answer_is_asked_for_again_if_its_server_turns_out_unreachable() {
    let mut script = Script::new(TWO, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "nodata").unreachable(A);
    script.expect("AAAA www.test @1, A www.test @1");
}

#[test]
fn junk_does_not_lead_to_another_server_or_put_off_the_deadline() {
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    script.expect("A www.test @0");
    for time in 1..100 {
        let mut junk = script.message(A).rcode(SERVFAIL).octets;
        junk[0] ^= 0x80;
        script.at(time * 40).datagram(0, &junk).expect("");
    }
    script.at(5_000).expect("A www.test @1");
}

#[test]
fn a_late_wake_up_takes_one_step_and_not_several() {
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    script.expect("A www.test @0");
    // What was ready when the driver woke up counts before the time does.
    script.says(0, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

#[test]
fn the_wait_of_any_settings_is_at_least_a_second() {
    for timeout in 0..=30 {
        for servers in 1..=3 {
            let schedule = Schedule { servers, timeout, attempts: 1, use_vc: false, serial: Serial::No };
            for server in 0..servers {
                assert!(schedule.wait(server) >= Duration::from_secs(1));
                assert!(schedule.wait(server) <= Duration::from_secs(60));
            }
        }
    }
}
