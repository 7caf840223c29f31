//! What counts as an answer: the codes of getaddrinfo(3) for IPv4, IPv6 and both, as seen with glibc 2.36.
use crate::packets::*;
use crate::script::*;
use happysock::dns::Families;

const ONE_SERVER: &str = "nameserver 192.0.2.53\noptions attempts:1";

/// What the walk of `www.test` ends with, if the one server says the same to every question: an answer or a
/// code.
fn outcome(families: Families, words: &str) -> String {
    let mut script = Script::new(ONE_SERVER, families, "www.test");
    match families {
        Families::Both => script.expect("AAAA www.test @0, A www.test @0").says_to_both(0, words),
        Families::Only(family) => script.expect(&format!("{} www.test @0", family_name(family))).says(0, family, words),
    };
    let told = script.silence();
    let codes: Vec<&str> = told.iter().filter_map(|line| Some(line.split_once("! ")?.1)).collect();
    match codes[..] {
        [code] => code.into(),
        [first, second] if first == second => first.into(),
        _ => panic!("no one code: {told:?}"),
    }
}

#[track_caller]
fn row(words: &str, only_a: &str, only_aaaa: &str, both: &str) {
    let codes = [ONLY_A, ONLY_AAAA, BOTH].map(|families| outcome(families, words));
    assert_eq!(codes, [only_a, only_aaaa, both], "{words}");
}

#[test]
fn the_table_of_codes() {
    row("nxdomain", "NONAME", "NONAME", "NONAME");
    row("cname nxdomain", "NONAME", "NONAME", "NONAME");
    row("nodata", "NODATA", "NODATA", "NODATA");
    row("servfail", "AGAIN", "AGAIN", "AGAIN");
    row("refused", "AGAIN", "AGAIN", "AGAIN");
    row("notimp", "AGAIN", "AGAIN", "AGAIN");
    row("bare servfail", "AGAIN", "AGAIN", "AGAIN");
    row("bare refused", "AGAIN", "AGAIN", "AGAIN");
    row("bare notimp", "AGAIN", "AGAIN", "AGAIN");
    row("lame", "AGAIN", "AGAIN", "AGAIN");
    row("formerr", "NONAME", "NONAME", "NONAME");
    row("yxdomain", "NONAME", "NONAME", "NONAME");
    row("cname", "NODATA", "NONAME", "NONAME");
    row("cut off", "NODATA", "NONAME", "NONAME");
    row("bare formerr", "AGAIN", "AGAIN", "AGAIN");
    row("bare nxdomain", "AGAIN", "AGAIN", "AGAIN");
    row("short", "AGAIN", "AGAIN", "AGAIN");
}

/// One question for A records, the answer made up: what is told.
fn answered(make: impl Fn(Message) -> Message) -> String {
    let mut script = Script::new(ONE_SERVER, ONLY_A, "www.test");
    script.expect("A www.test @0");
    let message = make(script.message(A)).octets;
    let told = script.datagram(0, &message).silence();
    told[0].split_once(": ").unwrap().1.into()
}

const NO_ANSWER: &str = "A ! NODATA";

#[test]
fn a_cname_record_moves_the_name_on_and_its_owner_is_not_looked_at() {
    let by_owner = answered(|m| m.cname(QUESTION, "b.test").address(&wire("b.test"), "192.0.2.1"));
    assert_eq!(by_owner, "A = 192.0.2.1");
    let foreign = answered(|m| m.cname(&wire("x.test"), "b.test").address(&wire("B.TEST"), "192.0.2.1"));
    assert_eq!(foreign, "A = 192.0.2.1");
}

#[test]
fn a_chain_of_cname_records_is_followed_in_the_order_of_the_message() {
    let forward = answered(|m| {
        m.cname(QUESTION, "b.test").cname(&wire("b.test"), "c.test").address(&wire("c.test"), "192.0.2.1")
    });
    assert_eq!(forward, "A = 192.0.2.1");
    let backward = answered(|m| {
        m.cname(&wire("b.test"), "c.test").cname(QUESTION, "b.test").address(&wire("c.test"), "192.0.2.1")
    });
    assert_eq!(backward, NO_ANSWER);
}

#[test]
fn an_address_before_its_cname_record_does_not_count() {
    assert_eq!(answered(|m| m.address(&wire("b.test"), "192.0.2.1").cname(QUESTION, "b.test")), NO_ANSWER);
}

#[test]
fn a_loop_of_cname_records_is_no_answer_and_no_endless_work() {
    assert_eq!(answered(|m| m.cname(QUESTION, "b.test").cname(&wire("b.test"), "www.test")), NO_ANSWER);
}

#[test]
fn a_cname_target_that_is_no_host_name_is_followed() {
    let odd = answered(|m| m.cname(QUESTION, "-odd .test").address(&wire("-odd .test"), "192.0.2.1"));
    assert_eq!(odd, "A = 192.0.2.1");
}

#[test]
fn a_cname_target_that_is_no_name_fails_the_answer() {
    assert_eq!(
        answered(|m| m.record(QUESTION, TYPE_CNAME, CLASS_IN, 60, &[0x80, 0]).address(QUESTION, "192.0.2.1")),
        NO_ANSWER
    );
    assert_eq!(answered(|m| m.record(QUESTION, TYPE_CNAME, CLASS_IN, 60, &[0xff, 0xff])), NO_ANSWER);
}

#[test]
fn records_of_another_owner_class_type_or_length_do_not_count() {
    assert_eq!(answered(|m| m.address(&wire("x.test"), "192.0.2.1")), NO_ANSWER);
    assert_eq!(answered(|m| m.record(QUESTION, TYPE_A, CLASS_CH, 60, &[192, 0, 2, 1])), NO_ANSWER);
    assert_eq!(answered(|m| m.address(QUESTION, "2001:db8::1")), NO_ANSWER);
    assert_eq!(answered(|m| m.record(QUESTION, TYPE_A, CLASS_IN, 60, &[192, 0, 2, 1, 9])), NO_ANSWER);
}

#[test]
fn good_records_beside_such_ones_count_in_their_order() {
    let mixed = answered(|m| {
        m.address(&wire("x.test"), "192.0.2.9")
            .address(QUESTION, "192.0.2.2")
            .record(QUESTION, TYPE_A, CLASS_IN, 60, &[192, 0, 2])
            .record(QUESTION, TYPE_RRSIG, CLASS_IN, 60, &[0; 30])
            .record(QUESTION, TYPE_A, CLASS_CH, 60, &[192, 0, 2, 8])
            .address(QUESTION, "192.0.2.1")
            .address(QUESTION, "192.0.2.2")
    });
    assert_eq!(mixed, "A = 192.0.2.2 192.0.2.1 192.0.2.2");
}

#[test]
fn a_hundred_addresses_are_all_taken() {
    let told = answered(|m| (0..100).fold(m, |m, n| m.address(QUESTION, &format!("192.0.2.{n}"))));
    assert_eq!(told.split(' ').count(), 2 + 100);
}

#[test]
fn more_answers_promised_than_there_are_fail_the_answer() {
    assert_eq!(answered(|m| m.address(QUESTION, "192.0.2.1").count(1, 2)), NO_ANSWER);
}

#[test]
fn fewer_answers_promised_than_there_are_hide_the_rest() {
    let told = answered(|m| m.address(QUESTION, "192.0.2.1").address(QUESTION, "192.0.2.2").count(1, 1));
    assert_eq!(told, "A = 192.0.2.1");
}

#[test]
fn counts_of_the_other_sections_are_not_looked_at() {
    // Seen in the wild: ovn counts an OPT record that it does not send.
    let told = answered(|m| m.address(QUESTION, "192.0.2.1").count(2, 77).count(3, 1));
    assert_eq!(told, "A = 192.0.2.1");
}

#[test]
fn the_qr_bit_is_not_looked_at() {
    assert_eq!(answered(|m| m.flags(0x01, 0x80).address(QUESTION, "192.0.2.1")), "A = 192.0.2.1");
}

#[test]
fn the_name_of_the_question_may_come_back_in_another_case() {
    let told = answered(|mut m| {
        m.octets[12..17].copy_from_slice(b"\x03wWw\x04");
        m.address(QUESTION, "192.0.2.1")
    });
    assert_eq!(told, "A = 192.0.2.1");
}

#[test]
fn what_does_not_match_the_question_is_dropped_and_does_not_end_the_wait() {
    // Go gave up on bogus packets once (golang/go#13281); hickory took a wrong id for an error (hickory-dns
    // PR 3526).
    let wrong: [fn(Message) -> Message; 8] = [
        |mut m| {
            m.octets[0] ^= 1;
            m.address(QUESTION, "192.0.2.9")
        },
        |mut m| {
            m.octets[13] = b'x';
            m.address(QUESTION, "192.0.2.9")
        },
        |mut m| {
            let end = m.octets.len();
            m.octets[end - 3] = 28;
            m.address(QUESTION, "192.0.2.9")
        },
        |mut m| {
            let end = m.octets.len();
            m.octets[end - 1] = 3;
            m.address(QUESTION, "192.0.2.9")
        },
        // The question goes on behind the end of the message: what glibc finds there lay in its buffer before.
        |mut m| {
            m.octets[12..14].copy_from_slice(&[0xc3, 0xff]);
            m.address(QUESTION, "192.0.2.9")
        },
        |m| Message { octets: m.octets[..20].to_vec() },
        |m| m.count(0, 2).address(QUESTION, "192.0.2.9"),
        |m| Message { octets: m.count(0, 0).octets[..12].to_vec() },
    ];
    for make in wrong {
        let mut script = Script::new(ONE_SERVER, ONLY_A, "www.test");
        script.expect("A www.test @0");
        let message = make(script.message(A)).octets;
        let deadline = script.deadline();
        script.at(100).datagram(0, &message).expect("");
        assert_eq!(script.deadline(), deadline, "junk does not put off the deadline");
        script.at(200).says(0, A, "192.0.2.1").expect("A = 192.0.2.1, finish");
    }
}

#[test]
fn what_is_no_name_in_the_place_of_the_question_is_an_answer_that_nothing_can_be_read_of() {
    // glibc's send_dg takes any value of res_queriesmatch but 0 for a match, and -1 is its "format error". Seen with
    // glibc 2.36: h_errno is NO_RECOVERY where records are promised, else what the code says.
    let no_name: [fn(&mut Message); 3] = [
        |m| m.octets[12] = 0xb9,
        // A pointer to itself.
        |m| m.octets[12..14].copy_from_slice(&[0xc0, 12]),
        // A pointer behind every buffer.
        |m| m.octets[12..14].copy_from_slice(&[0xc9, 0]),
    ];
    for spoil in no_name {
        let told = |families, make: fn(Message) -> Message| {
            let family = if families == ONLY_A { A } else { AAAA };
            let mut script = Script::new(ONE_SERVER, families, "www.test.");
            script.expect(&format!("{} www.test @0", family_name(family)));
            let mut message = make(script.message(family));
            spoil(&mut message);
            script.datagram(0, &message.octets).take().join(", ")
        };
        assert_eq!(told(ONLY_A, |m| m.address(QUESTION, "192.0.2.9")), "A ! NODATA, finish");
        assert_eq!(told(ONLY_AAAA, |m| m.address(QUESTION, "2001:db8::9")), "AAAA ! NONAME, finish");
        assert_eq!(told(ONLY_A, |m| m.rcode(3)), "A ! NONAME, finish");
        assert_eq!(told(ONLY_A, |m| m), "A ! NODATA, finish");
    }
    // Behind every buffer that one question has is not behind that of a pair.
    let mut script = Script::new(ONE_SERVER, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    let mut message = script.message(A).address(QUESTION, "192.0.2.9");
    message.octets[12..14].copy_from_slice(&[0xc4, 0]);
    script.datagram(0, &message.octets).expect("").says_to_both(0, "192.0.2.1 2001:db8::1").take();
}

#[test]
fn an_answer_of_one_family_is_none_for_the_other() {
    let mut script = Script::new(ONE_SERVER, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    // The id of the one with the question of the other (golang/go#35521: a server swaps parallel answers).
    let mut swapped = script.message(A).address(QUESTION, "192.0.2.9").octets;
    let id = script.packet(AAAA)[..2].to_vec();
    swapped[..2].copy_from_slice(&id);
    script.datagram(0, &swapped).expect("");
}

#[test]
fn two_questions_with_the_same_id_are_told_apart() {
    use happysock::dns::question::LONGEST_QUERY;
    // tst-resolv-txnid-collision of glibc.
    let mut script = Script::new(ONE_SERVER, BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    let mut packets = Vec::new();
    for family in [AAAA, A] {
        let mut buffer = [0; LONGEST_QUERY];
        let transmission = script.transmission(family);
        packets.push(script.walk.write_query(transmission, 0x7777, &mut buffer).unwrap().to_vec());
    }
    let a = in_words(&packets[1], "192.0.2.1");
    let aaaa = in_words(&packets[0], "2001:db8::1");
    script.datagram(0, &a).expect("A = 192.0.2.1").datagram(0, &aaaa).expect("AAAA = 2001:db8::1, finish");
}

#[test]
fn the_smallest_time_to_live_of_what_was_used_is_told() {
    use happysock::dns::message::{Asked, Records, Reply, Transport, read_reply};
    use happysock::dns::name_wire::WireName;
    use happysock::dns::question::RecordType;
    let mut script = Script::new(ONE_SERVER, ONLY_A, "www.test");
    script.expect("A www.test @0");
    let ttl = |message: Message| {
        let name = WireName::from_presentation(*b"www.test").unwrap();
        let asked = Asked { id: 0x5501, name: &name, record_type: RecordType::A, any_class: false };
        match read_reply(&message.octets, asked, Transport::Udp) {
            Reply::Answer(answer) if answer.records == Records::Addresses => answer.addresses.ttl,
            reply => panic!("{reply:?}"),
        }
    };
    let record = |m: Message, owner: &[u8], ttl| m.record(owner, TYPE_A, CLASS_IN, ttl, &[192, 0, 2, 1]);
    let cname = |m: Message, ttl| m.record(QUESTION, TYPE_CNAME, CLASS_IN, ttl, &wire("b.test"));
    let m = || script.message(A);
    assert_eq!(ttl(record(record(m(), QUESTION, 300), QUESTION, 200)), Some(200));
    assert_eq!(ttl(record(cname(m(), 100), &wire("b.test"), 200)), Some(100));
    assert_eq!(ttl(record(record(m(), &wire("x.test"), 1), QUESTION, 200)), Some(200));
    assert_eq!(ttl(record(m(), QUESTION, 0)), Some(0));
    // RFC 2181, section 8: with the highest bit set it counts as 0.
    assert_eq!(ttl(record(m(), QUESTION, 0x8000_0001)), Some(0));
}
