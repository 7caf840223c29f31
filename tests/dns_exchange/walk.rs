//! The walk through the sources of nsswitch.conf(5), family by family and as a whole.
use crate::packets::*;
use crate::script::*;
use happysock::dns::exchange::TcpFailure;
use happysock::dns::failure::{Failure, HostError, Status};
use happysock::dns::gate::{Ask, PlanStep};
use happysock::dns::nsswitch::{Action, Actions};
use happysock::dns::question::{LONGEST_QUERY, RecordType};
use happysock::dns::walk::{Event, Walk};
use happysock::dns::{Families, Family};

const ONE: &str = "nameserver 192.0.2.1\noptions attempts:1\n";

const FILES: PlanStep = step(Ask::Files { multi: true });
const SERVERS: PlanStep = step(Ask::Dns);
const ASK_RESOLVED: Ask = Ask::Resolve { tells_no_data: true };
const RESOLVE: PlanStep = step(ASK_RESOLVED);
const FILES_DNS: &[PlanStep] = &[FILES, SERVERS];

const UNAVAILABLE: Failure = Failure { status: Status::Unavailable, error: HostError::NoRecovery };
const TRY_AGAIN: Failure = Failure { status: Status::TryAgain, error: HostError::TryAgain };

const fn step(ask: Ask) -> PlanStep {
    PlanStep { ask, actions: Actions::DEFAULT }
}

const fn with(ask: Ask, actions: Actions) -> PlanStep {
    PlanStep { ask, actions }
}

/// `[!UNAVAIL=return]`
const UNLESS_UNAVAILABLE: Actions =
    Actions { not_found: Action::Return, unavailable: Action::Continue, try_again: Action::Return };

fn both(steps: &[PlanStep]) -> Script {
    Script::with_steps(ONE, BOTH, "www.test", steps)
}

#[test]
fn a_source_that_knows_the_name_in_one_family_ends_the_walk_for_both() {
    let mut script = both(FILES_DNS);
    script.expect("ask files { multi: true }").source_finds(&["192.0.2.1", "192.0.2.2"]);
    script.expect("AAAA ! NODATA, A = 192.0.2.1 192.0.2.2, finish");
    let mut script = both(FILES_DNS);
    script.expect("ask files { multi: true }").source_finds(&["::1"]).expect("AAAA = ::1, A ! NODATA, finish");
}

#[test]
fn the_addresses_of_a_source_keep_their_order_in_each_family() {
    let mut script = both(FILES_DNS);
    script.expect("ask files { multi: true }").source_finds(&["192.0.2.2", "2001:db8::2", "192.0.2.1", "2001:db8::1"]);
    script.expect("AAAA = 2001:db8::2 2001:db8::1, A = 192.0.2.2 192.0.2.1, finish");
}

#[test]
fn a_source_that_does_not_know_the_name_leads_to_the_next() {
    let mut script = both(FILES_DNS);
    script.expect("ask files { multi: true }").source_fails(Failure::HOST_NOT_FOUND);
    script.expect("AAAA www.test @0, A www.test @0").says_to_both(0, "nxdomain");
    script.expect("AAAA ! NONAME, A ! NONAME, finish");
}

#[test]
fn the_failure_of_the_last_source_is_told() {
    // Here the file is asked after the servers were silent: the name is not there, and that is what the
    // caller reads.
    let mut script = both(&[SERVERS, FILES]);
    script.expect("AAAA www.test @0, A www.test @0").at(5_000).expect("ask files { multi: true }");
    script.source_fails(Failure::HOST_NOT_FOUND).expect("AAAA ! NONAME, A ! NONAME, finish");
    // A module that does not know the name, likewise.
    let mut script = both(&[SERVERS, step(Ask::Nobody(UNAVAILABLE))]);
    script.expect("AAAA www.test @0, A www.test @0").at(5_000).expect("AAAA ! NONAME, A ! NONAME, finish");
}

#[test]
fn an_action_ends_the_walk_after_its_status() {
    let steps = [with(Ask::Dns, UNLESS_UNAVAILABLE), FILES];
    // The servers have said that there is no such name.
    both(&steps)
        .expect("AAAA www.test @0, A www.test @0")
        .says_to_both(0, "nxdomain")
        .expect("AAAA ! NONAME, A ! NONAME, finish");
    // Servers that fail, keep silent, or are not there are unavailable.
    let mut script = both(&steps);
    script.expect("AAAA www.test @0, A www.test @0").says_to_both(0, "servfail").expect("ask files { multi: true }");
    let mut script = both(&steps);
    script.expect("AAAA www.test @0, A www.test @0").at(5_000).expect("ask files { multi: true }");
    let mut script = both(&steps);
    script.expect("AAAA www.test @0, A www.test @0").unreachable(A).expect("ask files { multi: true }");
    // So is an answer that breaks off; one without an address is not.
    let mut script = Script::with_steps(ONE, ONLY_A, "www.test", &steps);
    script.expect("A www.test @0").says(0, A, "cut off").expect("ask files { multi: true }");
    let mut script = Script::with_steps(ONE, ONLY_A, "www.test", &steps);
    script.expect("A www.test @0").says(0, A, "cname").expect("A ! NODATA, finish");
    assert_eq!(script.failures, [Failure { status: Status::TryAgain, error: HostError::NoRecovery }]);
}

#[test]
fn resolved_is_asked_and_its_failure_counts_like_any_other() {
    let steps = [with(ASK_RESOLVED, UNLESS_UNAVAILABLE), SERVERS];
    both(&steps)
        .expect("ask resolve { tells_no_data: true }")
        .source_fails(TRY_AGAIN)
        .expect("AAAA ! AGAIN, A ! AGAIN, finish");
    both(&steps)
        .expect("ask resolve { tells_no_data: true }")
        .source_fails(UNAVAILABLE)
        .expect("AAAA www.test @0, A www.test @0");
    both(&[FILES, RESOLVE])
        .expect("ask files { multi: true }")
        .source_fails(Failure::HOST_NOT_FOUND)
        .expect("ask resolve { tells_no_data: true }");
}

#[test]
fn an_internal_failure_is_eai_system_with_its_errno() {
    let failure = Failure { status: Status::Unavailable, error: HostError::Internal { sys_errno: libc::EMFILE } };
    let mut script = both(&[FILES]);
    script.expect("ask files { multi: true }").source_fails(failure).expect("AAAA ! SYSTEM, A ! SYSTEM, finish");
    assert_eq!(failure.sys_errno(), libc::EMFILE);
    assert_eq!(Failure::NO_DATA.sys_errno(), 0);
}

#[test]
fn what_a_source_finds_of_families_that_are_not_wanted_does_not_count() {
    let mut script = Script::with_steps(ONE, ONLY_AAAA, "www.test", FILES_DNS);
    script.expect("ask files { multi: true }").source_finds(&["192.0.2.1"]).expect("AAAA www.test @0");
}

#[test]
fn a_source_that_was_not_asked_is_not_heard() {
    let mut script = both(&[SERVERS]);
    script.expect("AAAA www.test @0, A www.test @0").source_finds(&["192.0.2.9"]).source_fails(UNAVAILABLE).expect("");
    script.says_to_both(0, "nodata").expect("AAAA ! NODATA, A ! NODATA, finish");
    script.source_finds(&["192.0.2.9"]).expect("");
}

#[test]
fn without_a_source_nothing_is_known() {
    both(&[]).expect("AAAA ! NONAME, A ! NONAME, finish");
}

#[test]
fn the_first_answer_is_told_before_the_second_has_come() {
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0").at(20).says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
    script.at(60).says(0, AAAA, "2001:db8::1").expect("AAAA = 2001:db8::1, finish");
}

#[test]
fn an_empty_answer_waits_for_the_other_family_before_it_is_told() {
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "nodata").expect("");
    script.says(0, A, "192.0.2.1").expect("A = 192.0.2.1, AAAA ! NODATA, finish");
}

#[test]
fn answers_that_came_together_are_told_in_their_order() {
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0").says(0, A, "192.0.2.1").says(0, AAAA, "2001:db8::1");
    script.expect("A = 192.0.2.1, AAAA = 2001:db8::1, finish");
}

/// What getaddrinfo(3) returns for both families if the A answer comes first, as seen with glibc 2.36 in
/// every combination.
#[test]
fn pairs_of_failures() {
    let kinds = ["nxdomain", "nodata", "servfail", "formerr", "cname", "cut off"];
    let codes = [
        // With an AAAA answer of the kind at the head of the column: nxdomain  nodata    servfail  formerr
        // cname     cut off
        ["NONAME", "NONAME", "NONAME", "NONAME", "NONAME", "NONAME"], // A: nxdomain
        ["NONAME", "NODATA", "NODATA", "NONAME", "NONAME", "NONAME"], // nodata
        ["NONAME", "NODATA", "AGAIN", "NONAME", "NONAME", "NONAME"],  // servfail
        ["NONAME", "NONAME", "NONAME", "NONAME", "NONAME", "NONAME"], // formerr
        ["NONAME", "NONAME", "NONAME", "NONAME", "NONAME", "NONAME"], // cname
        ["NONAME", "NONAME", "NONAME", "NONAME", "NONAME", "NONAME"], // cut off
    ];
    for (a, row) in kinds.iter().zip(codes) {
        for (aaaa, code) in kinds.iter().zip(row) {
            let mut script = both(DNS);
            script.expect("AAAA www.test @0, A www.test @0").says(0, A, a).says(0, AAAA, aaaa);
            let told = script.take();
            assert_eq!(told, [format!("AAAA ! {code}"), format!("A ! {code}"), "finish".into()], "A {a}, AAAA {aaaa}");
        }
    }
}

#[test]
fn an_address_of_one_family_makes_good_any_failure_of_the_other() {
    // dnsmasq once answered NXDOMAIN for the other family (debian bug 511382), others NOTIMP or FORMERR.
    for words in ["nxdomain", "nodata", "servfail", "refused", "notimp", "formerr", "cname"] {
        let mut script = both(DNS);
        script.expect("AAAA www.test @0, A www.test @0").says(0, A, words).says(0, AAAA, "2001:db8::1");
        let told = script.take();
        assert!(told.contains(&"AAAA = 2001:db8::1".into()), "{words}: {told:?}");
        assert!(told.iter().any(|line| line.starts_with("A ! ")), "{words}: {told:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_fails_both_if_it_came_first() {
    // Seen with glibc 2.36: EAI_NONAME although the other answer is good.
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0").says(0, A, "cut off").says(0, AAAA, "2001:db8::1");
    script.expect("AAAA ! NONAME, A ! NONAME, finish");
}

#[test]
fn an_answer_that_breaks_off_gives_what_it_has_if_a_good_one_came_first() {
    // Seen with glibc 2.36.
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0").says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
    let broken = script.message(AAAA).address(QUESTION, "2001:db8::1").count(1, 5).octets;
    script.datagram(0, &broken).expect("AAAA = 2001:db8::1, finish");
}

#[test]
fn the_class_of_records_is_not_looked_at_in_answers_to_a_pair() {
    // Seen with glibc 2.36; for one family it is (see the answers).
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0").says(0, AAAA, "nodata");
    let chaos = script.message(A).record(QUESTION, TYPE_A, CLASS_CH, 60, &[192, 0, 2, 1]).octets;
    script.datagram(0, &chaos).expect("A = 192.0.2.1, AAAA ! NODATA, finish");
}

#[test]
fn no_aaaa_asks_for_a_records_and_tells_only_whether_the_name_exists() {
    // tst-resolv-noaaaa of glibc.
    let lines = format!("{ONE}options no-aaaa edns0\n");
    for (words, code) in [
        ("192.0.2.1", "NODATA"),
        ("nodata", "NODATA"),
        ("nxdomain", "NONAME"),
        ("cname", "NODATA"),
        ("servfail", "AGAIN"),
    ] {
        let mut script = Script::new(&lines, ONLY_AAAA, "www.test");
        script.expect("AAAA www.test @0");
        let packet = script.packet(AAAA);
        assert_eq!(packet[packet.len() - 4..], [0, 1, 0, 1], "an A question, and no OPT record after it");
        script.says(0, AAAA, words).expect(&format!("AAAA ! {code}, finish"));
    }
}

#[test]
fn no_aaaa_takes_what_was_heard_last_for_an_answer_unless_it_holds_the_question() {
    // `__res_handle_no_aaaa` gives res_query a buffer of zeros where no server was heard, and a reply without a
    // question as it is.
    let lines = format!("{ONE}options no-aaaa\n");
    let ends = |words: &str, code: &str| {
        let mut script = Script::new(&lines, ONLY_AAAA, "www.test.");
        script.expect("AAAA www.test @0");
        if !words.is_empty() {
            script.says(0, AAAA, words);
        }
        assert_eq!(script.silence()[0].split_once(": ").unwrap().1, format!("AAAA ! {code}"), "{words}");
        assert_eq!(script.failures[0].status, Status::Unavailable, "{words}");
    };
    ends("", "NODATA");
    ends("short", "NODATA");
    ends("bare servfail", "AGAIN");
    ends("bare refused", "NONAME");
    ends("refused", "AGAIN");
    ends("bare nxdomain", "NONAME");
    Script::new(&format!("{ONE}options no-aaaa attempts:0\n"), ONLY_AAAA, "www.test.").expect("AAAA ! NODATA, finish");
    // Records beside another question cannot be read; and the search list ends with them.
    let listed = format!("{lines}search a.test\n");
    let mut script = Script::new(&listed, ONLY_AAAA, "www.test");
    script.expect("AAAA www.test @0");
    let mut message = script.message(AAAA).address(QUESTION, "192.0.2.1").octets;
    message[18] ^= 1;
    message[23] = 99;
    script.datagram(0, &message).expect("").at(5_000).expect("AAAA ! NONAME, finish");
    // What came by UDP lies there too, when there is nothing by TCP.
    let mut script = Script::new(&lines, ONLY_AAAA, "www.test.");
    script.expect("AAAA www.test @0").says(0, AAAA, "truncated").expect("AAAA www.test @0/tcp");
    script.tcp_fails(AAAA, TcpFailure::Refused).expect("AAAA ! AGAIN, finish");
}

#[test]
fn a_file_that_is_missing_leaves_the_error_of_the_source_before_it() {
    // `files` of glibc answers UNAVAIL where there is no hosts(5), and says nothing about h_errno: so of one
    // family.
    for (words, code) in [("servfail", "AGAIN"), ("nodata", "NODATA"), ("nxdomain", "NONAME")] {
        let mut script = Script::with_steps(ONE, ONLY_AAAA, "www.test.", &[SERVERS, FILES]);
        script.expect("AAAA www.test @0").says(0, AAAA, words).expect("ask files { multi: true }");
        script.event(Event::SourceMissing).expect(&format!("AAAA ! {code}, finish"));
        assert_eq!(script.failures[0].status, Status::Unavailable);
        script.event(Event::SourceMissing).expect("");
    }
    // Of both it says that nobody knows the name.
    let mut script = both(&[SERVERS, FILES]);
    script.expect("AAAA www.test @0, A www.test @0").says_to_both(0, "servfail").expect("ask files { multi: true }");
    script.event(Event::SourceMissing).expect("AAAA ! NONAME, A ! NONAME, finish");
    // And so it is where nobody was asked before.
    let mut script = Script::with_steps(ONE, ONLY_A, "www.test", &[FILES]);
    script.expect("ask files { multi: true }").event(Event::SourceMissing).expect("A ! NODATA, finish");
}

#[test]
fn an_errno_that_a_missing_file_has_left_makes_an_unknown_name_one_without_data() {
    // Of IPv4 alone glibc's getaddrinfo asks gethostbyname2_r, which returns errno where the source is unavailable, and
    // takes anything but 0 for "the name is known"; nss_dns puts back the errno with which it was called.
    let lines = format!("{ONE}search corp.test\noptions attempts:1\n");
    let told = |families, steps: &[PlanStep], files: Option<Event<'_>>| {
        let mut script = Script::with_steps(&lines, families, "www.test", steps);
        if let Some(event) = files {
            script.expect("ask files { multi: true }").event(event);
        }
        let family = if families == ONLY_A { A } else { AAAA };
        script.expect(&format!("{} www.test @0", family_name(family))).says(0, family, "nxdomain");
        script.expect(&format!("{} www.test.corp.test @0", family_name(family)));
        script.silence().iter().filter_map(|line| Some(line.split_once("! ")?.1.to_owned())).next().unwrap()
    };
    let failed = Event::SourceFailed { failure: Failure::HOST_NOT_FOUND };
    assert_eq!(told(ONLY_A, &[FILES, SERVERS], Some(Event::SourceMissing)), "NODATA");
    assert_eq!(told(ONLY_A, &[FILES, SERVERS], Some(failed)), "NONAME");
    assert_eq!(told(ONLY_A, &[SERVERS], None), "NONAME");
    // Of IPv6 it does not hang on that.
    assert_eq!(told(ONLY_AAAA, &[FILES, SERVERS], Some(Event::SourceMissing)), "NONAME");
}

#[test]
fn no_aaaa_asks_one_question_for_both_families() {
    let lines = format!("{ONE}options no-aaaa\n");
    let mut script = Script::new(&lines, BOTH, "www.test");
    script.expect("A www.test @0").says(0, A, "192.0.2.1").expect("A = 192.0.2.1, AAAA ! NODATA, finish");
    let mut script = Script::new(&lines, BOTH, "www.test");
    script.expect("A www.test @0").says(0, A, "nxdomain").expect("AAAA ! NONAME, A ! NONAME, finish");
}

#[test]
fn a_query_is_as_glibc_writes_it() {
    let packet = |options: &str| {
        let mut script = Script::new(&format!("{ONE}options {options}\n"), ONLY_AAAA, "www.test");
        script.expect("AAAA www.test @0");
        script.packet(AAAA).to_vec()
    };
    let question = b"\x03www\x04test\x00\x00\x1c\x00\x01";
    let plain = [&b"\x55\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"[..], question].concat();
    assert_eq!(packet(""), plain);
    let trusting = [&b"\x55\x00\x01\x20\x00\x01\x00\x00\x00\x00\x00\x00"[..], question].concat();
    assert_eq!(packet("trust-ad"), trusting);
    let extended = [
        &b"\x55\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"[..],
        question,
        // The root, OPT, 1200 octets, no flags, no options.
        b"\x00\x00\x29\x04\xb0\x00\x00\x00\x00\x00\x00",
    ]
    .concat();
    assert_eq!(packet("edns0"), extended);
}

#[test]
fn the_longest_name_fits_the_buffer() {
    let label = "x".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "y".repeat(61));
    let lines = format!("{ONE}options edns0 use-vc\n");
    let mut script = Script::new(&lines, ONLY_A, &name);
    script.expect(&format!("A {name} @0/tcp"));
    assert_eq!(script.packet(A).len(), LONGEST_QUERY);
    Script::new(&lines, ONLY_A, &format!("{name}y")).expect("A ! NONAME, finish");
}

#[test]
fn only_the_latest_transmission_has_a_packet() {
    let mut script = Script::new("nameserver 192.0.2.1\n", BOTH, "www.test");
    script.expect("AAAA www.test @0, A www.test @0");
    let former = script.transmission(A);
    script.unreachable(A).expect("AAAA www.test @0, A www.test @0");
    let mut buffer = [0; LONGEST_QUERY];
    assert_eq!(script.walk.write_query(former, 1, &mut buffer), None);
}

#[test]
fn after_the_end_nothing_is_heard() {
    let mut script = both(DNS);
    script.expect("AAAA www.test @0, A www.test @0");
    let late = script.message(A).address(QUESTION, "192.0.2.9").octets;
    let transmission = script.transmission(A);
    script.says_to_both(0, "nodata").expect("AAAA ! NODATA, A ! NODATA, finish");
    script.datagram(0, &late).event(Event::Unreachable { transmission }).expect("");
    assert_eq!(script.deadline(), None);
}

#[test]
fn an_answer_without_the_packet_having_been_written_is_not_possible() {
    let now = std::time::Instant::now();
    let conf = std::sync::Arc::new(conf(ONE));
    let mut walk = Walk::new(b"www.test", Families::Only(Family::V4), DNS.into(), conf, 0);
    assert!(walk.next_action(now).is_some());
    assert_eq!(walk.id(Family::V4), None);
    let question = b"\0\0\x81\x83\0\x01\0\0\0\0\0\0\x03www\x04test\0\0\x01\0\x01";
    walk.handle(now, Event::Datagram { server: 0, message: question });
    assert!(walk.next_action(now).is_none());
}

#[test]
fn a_walk_is_small() {
    // What ten thousand names in flight cost: the walk with its name, and no more until something comes by
    // TCP.
    assert!(size_of::<Walk>() <= 240, "{}", size_of::<Walk>());
    assert_eq!(RecordType::of(Family::V6).code(), 28);
}
