//! The library on broken networks, by its C program `connect` and its JSON: what a user of the library would see.
//!
//! The program is built by `make connect` (or `make test`) into target/c/debug. Where a time is judged, it is by which of
//! two far apart things happened first, and not by a clock: exact times are what `make lab` is for.

use std::path::Path as FilePath;

use lab::{Family, Kind, Network, Path, Reply, Rule, SERVER_V4, SERVER_V6, Scenario};
use serde_json::Value;

/// getaddrinfo(3).
const EAI_NONAME: i64 = libc::EAI_NONAME as i64;

fn network(scenario: &str) -> Network {
    Network::new(&Scenario::parse(scenario).unwrap()).unwrap()
}

/// Connects to `host` at the network's port and answers with what the program says of it.
fn connect_with(network: &Network, host: &str, options: &[&str]) -> Value {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/c/debug/connect");
    assert!(FilePath::new(program).exists(), "{program} is missing: make PROFILE=debug target/c/debug/connect");
    let port = network.scenario().port.to_string();
    let mut command = network.command(program).unwrap();
    let output =
        command.args(["--json", "--read-timeout", "20000"]).args(options).args([host, &port]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), answer["connected"].as_bool().unwrap());
    answer
}

fn connect(network: &Network) -> Value {
    connect_with(network, "dual.test", &[])
}

/// The server that the client has really arrived at, by the server's own word.
fn arrived_at(answer: &Value) -> &str {
    let said = answer["server_said"].as_str().unwrap_or_else(|| panic!("{answer}"));
    said.split(' ').next().unwrap()
}

/// The destinations of the SYNs on the wire, in order.
fn attempts(network: &Network) -> Vec<std::net::IpAddr> {
    let packets = network.packets().unwrap().into_iter();
    let syns = packets.filter(|packet| packet.kind == Kind::Syn { again: false });
    syns.map(|packet| packet.destination.ip()).collect()
}

fn events(answer: &Value) -> Vec<&str> {
    answer["trace"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn ipv6_comes_first_and_alone_where_all_is_fine() {
    let network = network("{}");
    assert_eq!(arrived_at(&connect(&network)), "2001:db8:2::1");
    assert_eq!(attempts(&network), [SERVER_V6]);
}

#[test]
fn dead_ipv6_is_left_for_ipv4() {
    let network = network(r#"{"families": {"ipv6": {"black_hole": true}}}"#);
    assert_eq!(arrived_at(&connect(&network)), "203.0.113.1");
    assert_eq!(attempts(&network), [std::net::IpAddr::from(SERVER_V6), SERVER_V4.into()]);
}

#[test]
fn an_early_attempt_keeps_running_while_later_ones_start() {
    // IPv6 takes longer than the Connection Attempt Delay, and IPv4 never answers.
    let network = network(r#"{"families": {"ipv6": {"round_trip_ms": 600}, "ipv4": {"black_hole": true}}}"#);
    let answer = connect(&network);
    assert_eq!(arrived_at(&answer), "2001:db8:2::1");
    assert_eq!(attempts(&network), [std::net::IpAddr::from(SERVER_V6), SERVER_V4.into()]);
    assert_eq!(answer["attempts"].as_array().unwrap().len(), 2, "{answer}");
}

#[test]
fn a_refusal_pulls_the_next_attempt_forward() {
    let network = network(r#"{"servers": [{"address": "2001:db8:2::1", "listen": []}, {"address": "203.0.113.1"}]}"#);
    let answer = connect_with(&network, "dual.test", &["--attempt-delay", "2000"]);
    assert_eq!(arrived_at(&answer), "203.0.113.1");
    let elapsed = answer["elapsed_ms"].as_f64().unwrap();
    assert!(elapsed < 2000.0, "the refused attempt was waited for: {elapsed} ms");
}

#[test]
fn all_refused_names_the_last_address_and_error() {
    let network = network(
        r#"{"servers": [{"address": "2001:db8:2::1", "listen": []}, {"address": "203.0.113.1", "listen": []}]}"#,
    );
    let answer = connect(&network);
    assert_eq!((&answer["connected"], &answer["errno_name"]), (&Value::from(false), &Value::from("ECONNREFUSED")));
    assert_eq!((&answer["address"], &answer["port"]), (&Value::from("203.0.113.1"), &Value::from(8080)));
    assert_eq!(answer["attempts"].as_array().unwrap().len(), 2, "{answer}");
}

#[test]
fn nothing_answers_until_the_limit() {
    let network = network(r#"{"families": {"ipv6": {"black_hole": true}, "ipv4": {"black_hole": true}}}"#);
    let answer = connect_with(&network, "dual.test", &["--timeout", "500"]);
    assert_eq!(
        (&answer["connected"], &answer["errno_name"]),
        (&Value::from(false), &Value::from("ETIMEDOUT")),
        "{answer}"
    );
    assert!(answer["elapsed_ms"].as_f64().unwrap() >= 500.0, "{answer}");
}

#[test]
fn one_limit_covers_lookups_that_never_end() {
    let network = network(r#"{"dns": {"names": {"*": {"A": {"reply": "never"}, "AAAA": {"reply": "never"}}}}}"#);
    let answer = connect_with(&network, "mute.test", &["--timeout", "500"]);
    assert_eq!(answer["connected"], Value::from(false));
    // glibc itself would give up after two tries of 5 s.
    let elapsed = answer["elapsed_ms"].as_f64().unwrap();
    assert!((500.0..5000.0).contains(&elapsed), "{answer}");
    assert!(attempts(&network).is_empty());
}

#[test]
fn an_aaaa_that_never_comes_is_waited_for_no_longer_than_the_resolution_delay() {
    let network = network("{}");
    network.set_name("dual.test", "AAAA", Rule::reply(Reply::Never)).unwrap();
    let answer = connect(&network);
    assert_eq!(arrived_at(&answer), "203.0.113.1");
    assert!(events(&answer).contains(&"resolution_delay_expired"), "{answer}");
    assert!(answer["elapsed_ms"].as_f64().unwrap() < 5000.0, "{answer}");
}

#[test]
fn an_aaaa_within_the_resolution_delay_is_preferred() {
    let network = network("{}");
    network.set_name("dual.test", "AAAA", Rule::addresses([SERVER_V6.into()]).after(200.0)).unwrap();
    let answer = connect_with(&network, "dual.test", &["--resolution-delay", "5000"]);
    assert_eq!(arrived_at(&answer), "2001:db8:2::1");
    assert_eq!(attempts(&network), [SERVER_V6]);
    assert!(!events(&answer).contains(&"resolution_delay_expired"), "{answer}");
}

#[test]
fn a_late_answer_joins_while_the_first_family_is_dead() {
    let network = network(r#"{"families": {"ipv4": {"black_hole": true}}}"#);
    network.set_name("dual.test", "AAAA", Rule::addresses([SERVER_V6.into()]).after(400.0)).unwrap();
    assert_eq!(arrived_at(&connect(&network)), "2001:db8:2::1");
    assert_eq!(attempts(&network), [std::net::IpAddr::from(SERVER_V4), SERVER_V6.into()]);
}

#[test]
fn a_negative_or_failed_answer_for_one_family_is_no_obstacle() {
    for reply in [Reply::NoData, Reply::Nxdomain, Reply::Servfail, Reply::Refused] {
        for (failing, address) in [("AAAA", "203.0.113.1"), ("A", "2001:db8:2::1")] {
            let network = network("{}");
            network.set_name("dual.test", failing, Rule::reply(reply)).unwrap();
            assert_eq!(arrived_at(&connect(&network)), address, "{failing} {reply:?}");
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_said_to() {
    let answer = connect_with(&network("{}"), "nowhere.test", &[]);
    assert_eq!(
        (&answer["connected"], &answer["gai_error"]),
        (&Value::from(false), &Value::from(EAI_NONAME)),
        "{answer}"
    );
}

#[test]
fn a_family_without_a_route_costs_nothing() {
    for scenario in [
        r#"{"client": {"addresses": ["192.0.2.1"]}}"#,
        r#"{"client": {"no_default_route": ["ipv6"]}}"#,
        r#"{"client": {"unreachable": ["2001:db8:2::/48"]}}"#,
    ] {
        let network = network(scenario);
        let answer = connect_with(&network, "dual.test", &["--attempt-delay", "2000"]);
        assert_eq!(arrived_at(&answer), "203.0.113.1", "{scenario}");
        assert_eq!(attempts(&network), [SERVER_V4], "{scenario}");
        assert!(answer["elapsed_ms"].as_f64().unwrap() < 2000.0, "{scenario}: {answer}");
    }
}

#[test]
fn gai_conf_decides_which_family_comes_first() {
    let network = network(r#"{"etc": {"gai_conf": "precedence ::ffff:0:0/96 100\n"}}"#);
    // Long enough for both answers to be there before the first attempt.
    network.set_name("dual.test", "AAAA", Rule::addresses([SERVER_V6.into()]).after(100.0)).unwrap();
    network.set_family(Family::Ipv4, Path::black_hole());
    let answer = connect_with(&network, "dual.test", &["--resolution-delay", "5000"]);
    assert_eq!(arrived_at(&answer), "2001:db8:2::1");
    assert_eq!(attempts(&network), [std::net::IpAddr::from(SERVER_V4), SERVER_V6.into()]);
}

#[test]
fn truncated_aliased_and_searched_names_resolve() {
    let network = network(
        r#"{
            "etc": {"search": ["example.test"], "hosts": {"file.test": ["203.0.113.1"]}},
            "dns": {"names": {
                "tcp.test": {"A": {"addresses": ["203.0.113.1"], "truncated": true}},
                "alias.test": {"A": {"alias": "tcp.test"}, "AAAA": {"alias": "tcp.test"}},
                "short.example.test": {"A": {"addresses": ["203.0.113.1"]}}
            }}
        }"#,
    );
    for host in ["tcp.test", "alias.test", "short", "file.test"] {
        assert_eq!(arrived_at(&connect_with(&network, host, &[])), "203.0.113.1", "{host}");
    }
}

#[test]
fn driven_by_poll_it_does_the_same() {
    let network = network(r#"{"families": {"ipv6": {"black_hole": true}}}"#);
    assert_eq!(arrived_at(&connect_with(&network, "dual.test", &["--poll"])), "203.0.113.1");
    assert_eq!(attempts(&network), [std::net::IpAddr::from(SERVER_V6), SERVER_V4.into()]);
}

#[test]
fn a_fifth_of_all_packets_lost_delays_and_does_not_prevent() {
    let network = network(r#"{"seed": 3, "families": {"ipv4": {"loss_percent": 20}, "ipv6": {"loss_percent": 20}}}"#);
    for _ in 0..10 {
        assert_eq!(connect_with(&network, "dual.test", &["--read-timeout", "0"])["connected"], Value::from(true));
    }
}
