//! The two questions of a name as glibc takes them together: what one answer does to the other, and how the
//! options for servers that cannot have two questions at once work.
use crate::packets::*;
use crate::script::*;
use happysock::dns::walk::Walk;
use std::sync::Arc;

const ONE: &str = "nameserver 192.0.2.1\noptions attempts:1\n";
const TWO: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions attempts:1\n";

fn as_libc(lines: &str) -> Script {
    Script::start(Walk::new(b"www.test", BOTH, DNS.into(), Arc::new(conf(lines)), 0).like_libc(), BOTH)
}

/// What is told if the A question is answered first, then the AAAA question.
fn told(a: impl Fn(Message) -> Message, aaaa: impl Fn(Message) -> Message) -> Vec<String> {
    let mut script = as_libc(ONE);
    script.expect("A www.test @0, AAAA www.test @0");
    let (a, aaaa) = (a(script.message(A)), aaaa(script.message(AAAA)));
    script.datagram(0, &a.octets).datagram(0, &aaaa.octets).take()
}

fn v4(message: Message) -> Message {
    message.address(QUESTION, "192.0.2.1")
}

fn v6(message: Message) -> Message {
    message.address(QUESTION, "2001:db8::1")
}

// `res_query` of glibc looks at the code of an answer only if neither answer is NOERROR with records;
// `gaih_getanswer` of nss_dns never does.

#[test]
fn records_beside_a_code_count_if_the_other_answer_has_records() {
    for code in [FORMERR, NXDOMAIN, YXDOMAIN] {
        assert_eq!(told(v4, |m| v6(m).rcode(code)), ["A = 192.0.2.1", "AAAA = 2001:db8::1", "finish"]);
        assert_eq!(told(|m| v4(m).rcode(code), v6), ["AAAA = 2001:db8::1", "A = 192.0.2.1", "finish"]);
        let alias = |m: Message| m.cname(QUESTION, "b.test");
        assert_eq!(told(|m| v4(m).rcode(code), alias), ["A = 192.0.2.1", "AAAA ! NONAME", "finish"]);
    }
}

#[test]
fn records_beside_a_code_do_not_count_if_the_other_answer_has_none() {
    let nodata = |m: Message| m;
    assert_eq!(told(|m| v4(m).rcode(NXDOMAIN), nodata), ["AAAA ! NONAME", "A ! NONAME", "finish"]);
    assert_eq!(told(nodata, |m| v6(m).rcode(NXDOMAIN)), ["AAAA ! NONAME", "A ! NONAME", "finish"]);
    let both = told(|m| v4(m).rcode(NXDOMAIN), |m| v6(m).rcode(NXDOMAIN));
    assert_eq!(both, ["AAAA ! NONAME", "A ! NONAME", "finish"]);
}

#[test]
fn a_code_without_records_leaves_the_other_answer_alone() {
    assert_eq!(told(|m| m.rcode(FORMERR), v6), ["AAAA = 2001:db8::1", "A ! NONAME", "finish"]);
    assert_eq!(told(v4, |m| m.rcode(NXDOMAIN)), ["A = 192.0.2.1", "AAAA ! NONAME", "finish"]);
}

#[test]
fn a_first_answer_that_breaks_off_fails_both_whatever_its_code() {
    for code in [0, NXDOMAIN] {
        let broken = |m: Message| v4(m).count(1, 2).rcode(code);
        assert_eq!(told(broken, v6), ["AAAA ! NONAME", "A ! NONAME", "finish"]);
        let behind = |m: Message| v6(m).count(1, 2).rcode(code);
        assert_eq!(told(v4, behind), ["A = 192.0.2.1", "AAAA = 2001:db8::1", "finish"]);
    }
}

#[test]
fn a_race_is_told_what_was_held_back_too() {
    let mut script = Script::new(ONE, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    let (a, aaaa) = (v4(script.message(A)).octets, v6(script.message(AAAA)).rcode(NXDOMAIN).octets);
    script.datagram(0, &aaaa).expect("").datagram(0, &a).expect("A = 192.0.2.1, AAAA = 2001:db8::1, finish");
}

// `single-request`: send_dg sends the second question when the first is answered.

#[test]
fn with_single_request_the_second_question_waits_for_the_answer_to_the_first() {
    for option in ["single-request", "single-request-reopen"] {
        let lines = format!("{ONE}options {option}\n");
        let mut script = as_libc(&lines);
        script.expect("A www.test @0").says(0, A, "192.0.2.1").expect("AAAA www.test @0");
        script.says(0, AAAA, "2001:db8::1").expect("A = 192.0.2.1, AAAA = 2001:db8::1, finish");
        // A race asks both at once, each from a port of its own.
        Script::new(&lines, BOTH, "www.test").expect("AAAA www.test @0, A www.test @0");
        Script::new(&lines, ONLY_AAAA, "www.test").expect("AAAA www.test @0");
    }
}

#[test]
fn with_single_request_a_server_that_fails_at_the_first_question_is_left_before_the_second() {
    let mut script = as_libc(&format!("{TWO}options single-request\n"));
    script.expect("A www.test @0").says(0, A, "servfail").expect("A www.test @1");
    script.says(1, A, "192.0.2.1").expect("AAAA www.test @1").says(1, AAAA, "servfail");
    script.expect("A = 192.0.2.1, AAAA ! AGAIN, finish");
    let mut script = as_libc(&format!("{TWO}options single-request\n"));
    script.expect("A www.test @0").unreachable(A).expect("A www.test @1");
    script.at(5_000).expect("AAAA ! AGAIN, A ! AGAIN, finish");
}

#[test]
fn with_single_request_both_questions_share_one_wait() {
    let mut script = as_libc(&format!("{ONE}options single-request\n"));
    script.expect("A www.test @0").at(4_000).says(0, A, "192.0.2.1").expect("AAAA www.test @0");
    // Once more, with a wait of its own; with -reopen that has been tried already.
    script.at(5_000).expect("AAAA www.test @0").at(10_000).expect("A = 192.0.2.1, AAAA ! AGAIN, finish");
    let mut script = as_libc(&format!("{ONE}options single-request-reopen\n"));
    script.expect("A www.test @0").at(4_000).says(0, A, "192.0.2.1").expect("AAAA www.test @0");
    script.at(5_000).expect("A = 192.0.2.1, AAAA ! AGAIN, finish");
}

#[test]
fn by_tcp_single_request_has_no_effect() {
    let mut script = as_libc(&format!("{ONE}options single-request\n"));
    script.expect("A www.test @0").says(0, A, "truncated").expect("A www.test @0/tcp, AAAA www.test @0/tcp");
    as_libc(&format!("{ONE}options single-request use-vc\n")).expect("A www.test @0/tcp, AAAA www.test @0/tcp");
}
