//! Questions over TCP: after a truncated answer, or from the start with `use-vc`.
use crate::packets::*;
use crate::script::*;
use happysock::dns::exchange::TcpFailure;
use happysock::dns::walk::Event;

const ONE: &str = "nameserver 192.0.2.1\n";
const TWO: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2\n";
const VC: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions use-vc";

#[test]
fn a_truncated_answer_is_asked_for_again_by_tcp_of_the_same_server() {
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    script.expect("A www.test @0").says(0, A, "truncated").expect("A www.test @0/tcp");
    script.connects(A).says_by_tcp(A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

#[test]
fn truncation_counts_whatever_else_the_message_says() {
    let mut script = Script::new(ONE, ONLY_A, "www.test");
    script.expect("A www.test @0");
    let partial = script.message(A).address(QUESTION, "192.0.2.9").truncated().rcode(NXDOMAIN).octets;
    script.datagram(0, &partial).expect("A www.test @0/tcp");
}

#[test]
fn a_truncated_answer_by_tcp_is_taken_as_it_is() {
    // golang/go#64896.
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp");
    let message = Message::answering(&script.packet(A)[2..]).address(QUESTION, "192.0.2.1").truncated();
    script.stream(A, &with_length(&message.octets)).expect("A = 192.0.2.1, finish");
}

#[test]
fn the_packet_has_its_length_before_it() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp");
    let packet = script.packet(A);
    assert_eq!(usize::from(u16::from_be_bytes([packet[0], packet[1]])), packet.len() - 2);
}

#[test]
fn the_answer_may_come_octet_by_octet() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp").connects(A);
    let message = in_words(&script.packet(A)[2..], "192.0.2.1");
    for octet in with_length(&message) {
        script.stream(A, &[octet]);
    }
    script.expect("A = 192.0.2.1, finish");
}

#[test]
fn a_message_that_answers_something_else_is_passed_over() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp");
    let good = in_words(&script.packet(A)[2..], "192.0.2.1");
    let mut foreign = good.clone();
    foreign[0] ^= 1;
    let both = [with_length(&foreign), with_length(&foreign), with_length(&good)].concat();
    let (first, rest) = both.split_at(40);
    script.stream(A, first).expect("").stream(A, rest).expect("A = 192.0.2.1, finish");
}

#[test]
fn each_server_gets_one_try_by_tcp_and_there_is_one_round() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp").tcp_fails(A, TcpFailure::Refused).expect("A www.test @1/tcp");
    script.tcp_fails(A, TcpFailure::Refused).expect("A ! AGAIN, finish");
}

#[test]
fn after_truncation_the_rest_of_the_round_goes_by_tcp_and_is_the_last() {
    let mut script = Script::new(TWO, ONLY_A, "www.test");
    script.expect("A www.test @0").says(0, A, "truncated").expect("A www.test @0/tcp");
    script.tcp_fails(A, TcpFailure::Refused).expect("A www.test @1/tcp");
    script.tcp_fails(A, TcpFailure::Refused).expect("A ! AGAIN, finish");
}

#[test]
fn a_server_that_closes_the_connection_is_a_failure_of_another_status() {
    // Seen with glibc 2.36: EAI_NONAME for IPv4, EAI_AGAIN for IPv6 and for both.
    for (families, code) in [(ONLY_A, "A ! NONAME"), (ONLY_AAAA, "AAAA ! AGAIN")] {
        let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc", families, "www.test");
        let family = if families == ONLY_A { A } else { AAAA };
        script.expect(&format!("{} www.test @0/tcp", family_name(family)));
        script.connects(family).tcp_fails(family, TcpFailure::Closed).expect(&format!("{code}, finish"));
    }
}

#[test]
fn a_reset_before_an_answer_opens_the_connection_once_more() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp").tcp_fails(A, TcpFailure::Reset).expect("A www.test @0/tcp");
    script.tcp_fails(A, TcpFailure::Reset).expect("A www.test @1/tcp");
}

#[test]
fn a_reset_within_an_answer_leads_to_the_next_server() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp").stream(A, &[0]).tcp_fails(A, TcpFailure::Reset).expect("A www.test @1/tcp");
    // What came by the former connection is forgotten.
    script.says_by_tcp(A, "192.0.2.1").expect("A = 192.0.2.1, finish");
}

#[test]
fn a_message_shorter_than_a_header_leads_to_the_next_server() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp").stream(A, &[0, 3, 1, 2, 3]).expect("A www.test @1/tcp");
}

#[test]
fn a_bare_header_by_tcp_is_the_answer_that_its_code_says() {
    // send_vc of glibc looks at the id alone.
    for words in ["bare nxdomain", "bare refused", "bare formerr"] {
        let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc\n", ONLY_A, "www.test.");
        script.expect("A www.test @0/tcp").connects(A).says_by_tcp(A, words).expect("A ! NONAME, finish");
    }
    let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc\n", ONLY_AAAA, "www.test.");
    script
        .expect("AAAA www.test @0/tcp")
        .connects(AAAA)
        .says_by_tcp(AAAA, "bare servfail")
        .expect("AAAA ! AGAIN, finish");
    // Records beside no question, or two, are none of which anything can be read.
    let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc\n", ONLY_A, "www.test.");
    script.expect("A www.test @0/tcp").connects(A);
    let message = Message::answering(&script.packet(A)[2..]).address(QUESTION, "192.0.2.1").count(0, 2);
    script.stream(A, &with_length(&message.octets)).expect("A ! NODATA, finish");
    // Beside an answer with records it is one that breaks off: first, it fails both.
    let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc\n", BOTH, "www.test.");
    script.expect("AAAA www.test @0/tcp, A www.test @0/tcp").connects(A).connects(AAAA);
    script.says_by_tcp(A, "bare notimp").expect("").says_by_tcp(AAAA, "2001:db8::1");
    script.expect("AAAA ! NONAME, A ! NONAME, finish");
    let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc\n", BOTH, "www.test.");
    script.expect("AAAA www.test @0/tcp, A www.test @0/tcp").connects(A).connects(AAAA);
    script.says_by_tcp(AAAA, "2001:db8::1").expect("AAAA = 2001:db8::1").says_by_tcp(A, "bare notimp");
    script.expect("A ! NONAME, finish");
}

#[test]
fn records_that_answer_another_question_are_not_taken_by_tcp_either() {
    let mut script = Script::new("nameserver 192.0.2.1\noptions use-vc\n", ONLY_A, "www.test.");
    script.expect("A www.test @0/tcp").connects(A);
    let mut message = Message::answering(&script.packet(A)[2..]).address(QUESTION, "192.0.2.1");
    message.octets[13] = b'x';
    let with_length = with_length(&message.octets);
    script.stream(A, &with_length).expect("").says_by_tcp(A, "192.0.2.2").expect("A = 192.0.2.2, finish");
}

#[test]
fn servfail_by_tcp_is_an_answer() {
    let mut script = Script::new(VC, ONLY_AAAA, "www.test");
    script.expect("AAAA www.test @0/tcp").says_by_tcp(AAAA, "servfail").expect("AAAA ! AGAIN, finish");
    let mut script = Script::new(VC, ONLY_AAAA, "www.test");
    script.expect("AAAA www.test @0/tcp").says_by_tcp(AAAA, "refused").expect("AAAA ! NONAME, finish");
}

#[test]
fn a_server_that_stalls_is_given_its_wait_for_the_connection_and_for_the_answer() {
    // glibc would wait for as long as the connection stands.
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp").at(4_000).connects(A).expect("");
    for time in 4..9 {
        // A trickle does not put it off.
        script.at(time * 1_000 + 10).stream(A, &[9]).expect("");
    }
    script.at(9_000).expect("A www.test @1/tcp").at(14_000).expect("A ! AGAIN, finish");
}

#[test]
fn what_comes_from_a_connection_that_was_given_up_is_ignored() {
    let mut script = Script::new(VC, ONLY_A, "www.test");
    script.expect("A www.test @0/tcp");
    let former = script.transmission(A);
    let message = in_words(&script.packet(A)[2..], "192.0.2.9");
    script.at(5_000).expect("A www.test @1/tcp");
    script.event(Event::TcpData { transmission: former, data: &with_length(&message) }).expect("");
    script.event(Event::TcpFailed { transmission: former, failure: TcpFailure::Refused }).expect("");
    script.event(Event::TcpConnected { transmission: former }).expect("");
}

#[test]
fn truncation_of_one_family_leaves_the_other_alone() {
    let mut script = Script::new(ONE, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "truncated").expect("AAAA www.test @0/tcp");
    script.says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
    script.says_by_tcp(AAAA, "2001:db8::1").expect("AAAA = 2001:db8::1, finish");
}

#[test]
fn truncation_of_one_family_takes_along_what_does_not_hold_by_itself() {
    for words in ["nodata", "servfail"] {
        let mut script = Script::new(ONE, BOTH, "www.test");
        script.expect("AAAA www.test @0, A www.test @0").says(0, A, words).expect("");
        script.says(0, AAAA, "truncated").expect("AAAA www.test @0/tcp, A www.test @0/tcp");
        script.says_by_tcp(A, "nodata").expect("").says_by_tcp(AAAA, "nodata");
        script.expect("AAAA ! NODATA, A ! NODATA, finish");
    }
}

#[test]
fn by_tcp_both_families_are_asked_at_once() {
    let mut script = Script::new(VC, BOTH, "www.test");
    script.expect("AAAA www.test @0/tcp, A www.test @0/tcp").says_by_tcp(A, "192.0.2.1").expect("A = 192.0.2.1");
    script.tcp_fails(AAAA, TcpFailure::Closed).expect("AAAA www.test @1/tcp");
    script.says_by_tcp(AAAA, "2001:db8::1").expect("AAAA = 2001:db8::1, finish");
}

#[test]
fn a_large_answer_is_taken_whole() {
    let mut script = Script::new(ONE, ONLY_AAAA, "www.test");
    script.expect("AAAA www.test @0").says(0, AAAA, "truncated").expect("AAAA www.test @0/tcp");
    let message = Message::answering(&script.packet(AAAA)[2..]);
    let message = (0..2_000).fold(message, |m, n| m.address(QUESTION, &format!("2001:db8::{n:x}")));
    script.stream(AAAA, &with_length(&message.octets));
    let told = script.silence();
    assert_eq!(told[0].split(' ').count(), 3 + 2_000);
}
