//! What the library does on a network, seen from a C program (c_tests/examples/connect.c) and from the wire.
//!
//! The program is the one that `HAPPYSOCK_CONNECT` names, or target/c/debug/connect: `make test` builds it
//! first. Times have wide margins: the machine may be busy. `lab measure` is what judges them closely.

use lab::{Family, Kind, Network, Path, Reply, Rule, SERVER_V4, SERVER_V6, Scenario, Server};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NAME: &str = "some.test";
/// How much later than planned a thing may be seen on a busy machine, in milliseconds.
const LATE: f64 = 10_000.0;
/// The other family is waited for, however late its answer is seen; and a connection, for as long as may be.
const PATIENT: [&str; 4] = ["--resolution-delay", "10000", "--attempt-delay", "2000"];

fn v6(number: u16) -> IpAddr {
    let mut segments = SERVER_V6.segments();
    segments[7] = number;
    Ipv6Addr::from(segments).into()
}

fn v4(number: u8) -> IpAddr {
    let [a, b, c, _] = SERVER_V4.octets();
    Ipv4Addr::new(a, b, c, number).into()
}

/// A network with these servers, whose addresses the name stands for.
fn network(servers: Vec<Server>) -> Network {
    network_with(servers, |_| ())
}

fn network_with(servers: Vec<Server>, change: impl FnOnce(&mut Scenario)) -> Network {
    let mut scenario = Scenario::default();
    let of = |family| servers.iter().map(|server| server.address).filter(move |address| Family::of(*address) == family);
    let rules =
        [("AAAA".to_owned(), Rule::addresses(of(Family::Ipv6))), ("A".to_owned(), Rule::addresses(of(Family::Ipv4)))];
    scenario.dns.names = [(NAME.to_owned(), rules.into())].into();
    scenario.servers = servers;
    change(&mut scenario);
    Network::new(&scenario).expect("a network can be made")
}

fn dead(address: IpAddr) -> Server {
    Server { path: Some(Path::black_hole()), ..Server::new(address) }
}

fn refusing(address: IpAddr) -> Server {
    Server { listen: Some(Vec::new()), ..Server::new(address) }
}

fn at_a_distance(address: IpAddr, round_trip_ms: f64) -> Server {
    Server { path: Some(Path::round_trip(round_trip_ms)), ..Server::new(address) }
}

/// What the C program reports, with the time that it took.
struct Report {
    json: Value,
    finished_ms: f64,
}

impl Report {
    fn address(&self) -> &str {
        self.json["address"].as_str().unwrap_or("")
    }
    fn attempts(&self) -> Vec<(&str, &str)> {
        let attempts = self.json["attempts"].as_array().expect("there is a list of attempts");
        attempts
            .iter()
            .map(|attempt| (attempt["address"].as_str().unwrap_or(""), attempt["outcome"].as_str().unwrap_or("")))
            .collect()
    }
    #[track_caller]
    fn assert_connected_to(&self, address: IpAddr) {
        assert_eq!(self.json["connected"], true, "{:#}", self.json);
        assert_eq!(self.address(), address.to_string(), "{:#}", self.json);
    }
    /// How many attempts have waited for their time, and were not pulled forward.
    fn timers_fired(&self) -> usize {
        let trace = self.json["trace"].as_array().expect("there is a trace");
        trace.iter().filter(|step| step["event"] == "next_attempt_timer_fired").count()
    }
    #[track_caller]
    fn assert_took(&self, from_ms: f64) {
        let took = self.finished_ms;
        assert!((from_ms..from_ms + LATE).contains(&took), "took {took} ms, not {from_ms}: {:#}", self.json);
    }
}

fn connect(network: &Network, options: &[&str]) -> Report {
    let program = std::env::var_os("HAPPYSOCK_CONNECT")
        .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/c/debug/connect").into());
    let port = network.scenario().port.to_string();
    let mut command = network.command(&program).expect("the client's side takes commands");
    command.args(["--json", "--read-timeout", "0"]).args(options).args([NAME, &port]);
    let output = command.output().unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}: is the connect program built? (make test builds it)"));
    let trace = json["trace"].as_array().expect("there is a trace");
    let finished = trace.iter().find(|step| step["event"] == "finished").expect("a race finishes");
    let finished_ms = finished["time_ms"].as_f64().expect("steps have times");
    Report { json, finished_ms }
}

/// When each SYN left for the first time, by destination, in the order of the wire.
fn syns(network: &Network) -> Vec<(IpAddr, f64)> {
    let mut syns: Vec<(IpAddr, f64)> = Vec::new();
    for packet in network.packets().expect("the wire was watched") {
        if packet.kind == (Kind::Syn { again: false })
            && !syns.iter().any(|(address, _)| *address == packet.destination.ip())
        {
            syns.push((packet.destination.ip(), network.milliseconds(packet.at)));
        }
    }
    syns
}

fn answered_at(network: &Network, record_type: &str) -> f64 {
    let questions = network.questions();
    let question = questions.iter().find(|question| question.record_type == record_type).expect("it was asked");
    network.milliseconds(question.answered.expect("it was answered"))
}

#[test]
fn both_families_fine_goes_over_ipv6_with_one_attempt() {
    for way in [&["--timeout", "5000"][..], &["--timeout", "5000", "--poll"]] {
        let network = network(vec![Server::new(v6(1)), Server::new(v4(1))]);
        let report = connect(&network, &[way, &PATIENT].concat());
        report.assert_connected_to(v6(1));
        assert_eq!(report.attempts().len(), 1);
    }
}

#[test]
fn a_dead_ipv6_costs_one_connection_attempt_delay() {
    for way in [&[][..], &["--poll"]] {
        let network = network(vec![dead(v6(1)), Server::new(v4(1))]);
        let report = connect(&network, &[way, &PATIENT[..2]].concat());
        report.assert_connected_to(v4(1));
        report.assert_took(250.0);
        let syns = syns(&network);
        assert_eq!(syns.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [v6(1), v4(1)]);
        let gap = syns[1].1 - syns[0].1;
        assert!((245.0..250.0 + LATE).contains(&gap), "gap of {gap} ms");
        assert_eq!(report.attempts()[0].1, "abandoned");
    }
}

#[test]
fn an_aaaa_that_never_comes_costs_one_resolution_delay_after_the_a_answer() {
    let network = network(vec![Server::new(v6(1)), Server::new(v4(1))]);
    network.set_name(NAME, "AAAA", Rule::reply(Reply::Never)).expect("a rule");
    network.set_name(NAME, "A", Rule::addresses([v4(1)]).after(100.0)).expect("a rule");
    let report = connect(&network, &[]);
    report.assert_connected_to(v4(1));
    let delay = syns(&network)[0].1 - answered_at(&network, "A");
    assert!((49.0..50.0 + LATE).contains(&delay), "{delay} ms after the A answer");
}

#[test]
fn an_aaaa_within_the_resolution_delay_is_connected_at_once() {
    let network = network(vec![Server::new(v6(1)), Server::new(v4(1))]);
    network.set_name(NAME, "AAAA", Rule::addresses([v6(1)]).after(100.0)).expect("a rule");
    let report = connect(&network, &PATIENT);
    report.assert_connected_to(v6(1));
    report.assert_took(100.0);
    assert_eq!(report.attempts().len(), 1);
}

#[test]
fn a_later_aaaa_joins_the_candidates() {
    let network = network(vec![Server::new(v6(1)), dead(v4(1))]);
    network.set_name(NAME, "AAAA", Rule::addresses([v6(1)]).after(3000.0)).expect("a rule");
    let report = connect(&network, &[]);
    report.assert_connected_to(v6(1));
    assert_eq!(report.attempts().len(), 2);
    // The first attempt starts 50 ms after the A answer, the second one when there is an address for it.
    report.assert_took(3000.0);
}

#[test]
fn a_refusal_pulls_the_next_attempt_forward_at_once() {
    let network = network(vec![refusing(v6(1)), refusing(v6(2)), Server::new(v4(1))]);
    let report = connect(&network, &["--attempt-delay", "2000"]);
    report.assert_connected_to(v4(1));
    assert_eq!(report.timers_fired(), 0, "{:#}", report.json);
}

#[test]
fn a_failure_pulls_forward_while_an_earlier_attempt_runs_on() {
    let network = network(vec![dead(v6(1)), refusing(v4(1)), Server::new(v6(2))]);
    let report = connect(&network, &["--attempt-delay", "500"]);
    report.assert_connected_to(v6(2));
    report.assert_took(500.0);
    assert_eq!(report.timers_fired(), 1, "{:#}", report.json);
    assert_eq!(report.attempts().len(), 3);
}

#[test]
fn earlier_attempts_keep_running() {
    let network = network(vec![at_a_distance(v6(1), 500.0), dead(v4(1))]);
    let report = connect(&network, &["--attempt-delay", "100"]);
    report.assert_connected_to(v6(1));
    report.assert_took(500.0);
}

#[test]
fn a_family_without_a_route_costs_nothing() {
    let network = network_with(vec![Server::new(v6(1)), Server::new(v4(1))], |scenario| {
        scenario.client.no_default_route = vec![Family::Ipv6];
    });
    let report = connect(&network, &["--attempt-delay", "2000"]);
    report.assert_connected_to(v4(1));
    assert_eq!(report.timers_fired(), 0, "{:#}", report.json);
}

#[test]
fn a_failure_of_one_family_leaves_the_other() {
    for (record_type, reply, left) in [
        ("AAAA", Reply::Servfail, v4(1)),
        ("AAAA", Reply::NoData, v4(1)),
        ("AAAA", Reply::Nxdomain, v4(1)),
        ("A", Reply::Servfail, v6(1)),
        ("A", Reply::Never, v6(1)),
    ] {
        let network = network(vec![Server::new(v6(1)), Server::new(v4(1))]);
        network.set_name(NAME, record_type, Rule::reply(reply)).expect("a rule");
        connect(&network, &["--timeout", "15000"]).assert_connected_to(left);
    }
}

#[test]
fn no_address_at_all_is_told_as_getaddrinfo_tells_it() {
    for (reply, gai_error) in [(Reply::Nxdomain, -2), (Reply::NoData, -5), (Reply::Servfail, -3), (Reply::Refused, -3)]
    {
        let network = network(vec![Server::new(v6(1))]);
        network.set_name(NAME, "AAAA", Rule::reply(reply)).expect("a rule");
        network.set_name(NAME, "A", Rule::reply(reply)).expect("a rule");
        let report = connect(&network, &[]);
        assert_eq!(report.json["status"], -7001, "{:#}", report.json);
        assert_eq!(report.json["gai_error"], gai_error, "{:#}", report.json);
        assert_eq!(report.json["argument"], "remote_host", "{:#}", report.json);
    }
}

#[test]
fn all_refused_gives_the_last_error_with_its_address() {
    let network = network(vec![refusing(v6(1)), refusing(v6(2)), refusing(v4(1))]);
    // Each failure is seen before the next attempt is due, so that the last to start is the last to fail.
    let report = connect(&network, &["--attempt-delay", "2000"]);
    assert_eq!(report.json["connected"], false);
    assert_eq!(report.json["errno_name"], "ECONNREFUSED", "{:#}", report.json);
    assert_eq!(report.json["syscall"], "connect(2)");
    let attempts = report.attempts();
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|attempt| attempt.1 == "failed"), "{attempts:?}");
    assert_eq!(report.address(), attempts[2].0);
}

#[test]
fn nothing_answers_ends_at_the_limit_asked() {
    let servers = || vec![dead(v6(1)), dead(v4(1))];
    for (options, took, limit, attempts) in [
        (["--timeout", "5000"], 5000.0, "open_timeout", 2),
        // From the start of the last candidate's attempt: one Connection Attempt Delay after the first.
        (["--connect-timeout", "100"], 350.0, "connect_timeout", 2),
    ] {
        let network = network(servers());
        let report = connect(&network, &options);
        assert_eq!(report.json["limit"], limit, "{:#}", report.json);
        assert_eq!(report.attempts().len(), attempts);
        assert!(report.attempts().iter().all(|attempt| attempt.1 == "timed out"), "{:#}", report.json);
        report.assert_took(took);
    }
    let network = network(servers());
    for record_type in ["AAAA", "A"] {
        network.set_name(NAME, record_type, Rule::reply(Reply::Never)).expect("a rule");
    }
    let report = connect(&network, &["--resolv-timeout", "300"]);
    assert_eq!(report.json["limit"], "resolv_timeout", "{:#}", report.json);
    report.assert_took(300.0);
}

#[test]
fn families_alternate_after_the_first_address_family_count() {
    for (count, expected) in
        [("1", [v6(1), v4(1), v6(2), v4(2), v6(3), v4(3)]), ("2", [v6(1), v6(2), v4(1), v6(3), v4(2), v4(3)])]
    {
        let mut servers: Vec<Server> = (1..=3).map(|n| dead(v6(n))).chain((1..=3).map(|n| dead(v4(n)))).collect();
        // The last one ends it.
        servers[5] = Server::new(v4(3));
        let network = network(servers);
        let options = ["--attempt-delay", "500", "--first-family-count", count];
        connect(&network, &[&options, &PATIENT[..2]].concat()).assert_connected_to(v4(3));
        assert_eq!(syns(&network).iter().map(|(address, _)| *address).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_cap_on_attempts_in_flight_holds() {
    let mut servers: Vec<Server> = (1..=4).map(|n| dead(v6(n))).collect();
    // The last one ends it.
    servers[3] = Server::new(v6(4));
    let network = network(servers);
    let report = connect(&network, &["--attempt-delay", "100", "--max-attempts", "2"]);
    report.assert_connected_to(v6(4));
    // Each in its turn, since the oldest makes room; and never three at once.
    assert_eq!(syns(&network).len(), 4);
    let attempts = report.json["attempts"].as_array().expect("there are attempts");
    for (earlier, later) in attempts.iter().zip(&attempts[2..]) {
        let (ended, started) = (earlier["ended_ms"].as_f64().unwrap(), later["started_ms"].as_f64().unwrap());
        assert!(ended <= started, "{:#}", report.json);
    }
}

#[test]
fn gai_conf_is_obeyed() {
    let network = network_with(vec![Server::new(v6(1)), Server::new(v4(1))], |scenario| {
        scenario.etc.gai_conf = "precedence ::ffff:0:0/96 100\n".to_owned();
    });
    let report = connect(&network, &PATIENT);
    report.assert_connected_to(v4(1));
    let started = report.json["trace"].as_array().expect("there is a trace");
    let first = started.iter().find(|step| step["event"] == "lookup_started").expect("a lookup");
    assert_eq!(first["family"], "IPv4", "the preferred family is asked first");
}

#[test]
fn without_fast_fallback_addresses_are_tried_one_after_the_other() {
    let network = network(vec![dead(v6(1)), Server::new(v4(1))]);
    let report = connect(&network, &["--no-fast-fallback", "--connect-timeout", "600"]);
    report.assert_connected_to(v4(1));
    report.assert_took(600.0);
    assert_eq!(report.attempts()[0].1, "timed out");
}

#[test]
fn one_limit_covers_a_lookup_that_never_ends() {
    let network = network(vec![Server::new(v6(1)), Server::new(v4(1))]);
    for record_type in ["AAAA", "A"] {
        network.set_name(NAME, record_type, Rule::reply(Reply::Never)).expect("the rule is valid");
    }
    let report = connect(&network, &["--timeout", "300"]);
    assert_eq!(report.json["connected"], false, "{:#}", report.json);
    // libc itself would give up after two tries of five seconds.
    report.assert_took(300.0);
    assert_eq!(syns(&network), []);
}

#[test]
fn an_alias_and_a_truncated_answer_lead_to_the_address() {
    let network = network(vec![Server::new(v6(1))]);
    let alias = Rule { alias: Some("other.test".to_owned()), ..Rule::default() };
    let truncated = Rule { truncated: true, ..Rule::addresses([v6(1)]) };
    network.set_name(NAME, "AAAA", alias).expect("the rule is valid");
    network.set_name("other.test", "AAAA", truncated.clone()).expect("the rule is valid");
    connect(&network, &[]).assert_connected_to(v6(1));
    network.set_name(NAME, "AAAA", truncated).expect("the rule is valid");
    connect(&network, &[]).assert_connected_to(v6(1));
    assert!(network.questions().iter().any(|question| question.tcp), "a truncated answer is asked for again over TCP");
}

#[test]
fn a_caller_with_a_poll_of_its_own_sees_the_same_race() {
    let network = network(vec![dead(v6(1)), Server::new(v4(1))]);
    let report = connect(&network, &["--poll"]);
    report.assert_connected_to(v4(1));
    report.assert_took(250.0);
}

#[test]
fn lost_packets_delay_and_do_not_prevent() {
    let network = network_with(vec![Server::new(v6(1)), Server::new(v4(1))], |scenario| {
        let path = Path { loss_percent: 20.0, ..Path::default() };
        scenario.families = [(Family::Ipv4, path), (Family::Ipv6, path)].into();
        scenario.seed = 3;
    });
    for _ in 0..10 {
        assert_eq!(connect(&network, &[]).json["connected"], true);
    }
}
