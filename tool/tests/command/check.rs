//! `happy check`: what it finds, and what it says of the network.

use crate::world::*;
use std::io::{BufRead, BufReader, Read};

#[test]
fn every_state_is_told_apart() {
    in_network!();
    let (port, closed) = (greeter(), closed_port());
    let targets = [
        format!("half.test:{port}"),
        format!("live.test:{closed}"),
        format!("{LIVE}:{port}"),
        "silent.test:80".to_owned(),
        "198.51.100.7:80".to_owned(),
        "nosuch.test:80".to_owned(),
    ];
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let said = run(&[&["check", "--json", "-t", "6000"][..], &targets].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    let value = json(&said);
    let states = |family: &str| -> Vec<String> {
        let targets = value["targets"].as_array().expect("a list").iter();
        targets.map(|target| target[family]["state"].as_str().expect("a text").to_owned()).collect()
    };
    assert_eq!(states("ipv6"), ["silent", "refused", "not_checked", "silent", "not_checked", "lookup_failed"]);
    assert_eq!(states("ipv4"), ["reachable", "refused", "reachable", "silent", "no_route", "lookup_failed"]);
    // Whoever tries one address after the other waits for the silent one until the system gives up.
    let waits: Vec<f64> = value["targets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|target| target["wait_without_race_ms"].as_f64().expect("a number"))
        .collect();
    assert!(waits[0] >= 1000.0 && waits[1..].iter().all(|wait| *wait == 0.0), "{waits:?}");
    assert_eq!((&value["complete"], &value["ipv4"]["reachable"]), (&serde_json::json!(true), &serde_json::json!(2)));
    let advice = value["advice"].to_string();
    assert!(advice.contains("Path: ") && advice.contains("DNS: ") && advice.contains("Port: "), "{advice}");
}

#[test]
fn a_network_with_a_broken_ipv6_is_called_that() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["check", "half.test", "-p", &port, "-t", "6000"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let words = said.words();
    assert!(words.contains("IPv6 is broken: there is a route, and nothing comes back"), "{words}");
    assert!(words.contains("IPv4 works (1 of 1 answer"), "{words}");
    assert!(words.contains("Without Happy Eyeballs 1 target would take"), "{words}");
    assert!(words.contains("ICMPv6"), "{words}");
}

#[test]
fn a_network_that_works_ends_with_0() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["check", LIVE, "-p", &port]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.words().contains("IPv4 works (1 of 1 answer"), "{}", said.out);
    let said = run(&["check", LIVE, "-p", &port, "--problems"]);
    assert!(!said.out.contains(LIVE), "what works is no problem: {}", said.out);
}

#[test]
fn a_long_list_comes_from_standard_input() {
    in_network!();
    let port = greeter();
    let mut list = String::from("# a list\n\n");
    for number in 0..1500 {
        list.push_str(&format!("{LIVE}:{port} {}\n", if number % 2 == 0 { "# even" } else { "" }));
    }
    list.push_str(&format!("half.test:{port} live.test:{port}\n"));
    let said = run_with_input(&["check", "--json", "-t", "15000", "--parallel", "300"], list.as_bytes());
    let value = json(&said);
    assert_eq!(value["targets"].as_array().expect("a list").len(), 1502);
    assert_eq!(value["ipv4"]["reachable"], 1502, "{}", said.out.chars().take(400).collect::<String>());
}

#[test]
fn what_is_no_target_is_refused_by_its_line() {
    in_network!();
    let said = run_with_input(&["check"], b"example.test\nexample.test:http\n");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("line 2: \"example.test:http\"") && said.err.contains("from 1 to 65535"), "{}", said.err);
    let said = run_with_input(&["check", "-"], b"# nothing\n");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("there is none in the list"), "{}", said.err);
    let said = run(&["check", "::1:80:x"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("TARGET \"::1:80:x\""), "{}", said.err);
}

#[test]
fn a_watch_says_a_line_a_round_and_then_the_verdict() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["check", LIVE, "-p", &port, "--watch", "1", "--rounds", "2"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.out.matches("IPv4 1 of 1").count(), 2, "{}", said.out);
    assert!(said.out.contains("IPv4 works"), "{}", said.out);
    let said = run(&["check", LIVE, "-p", &port, "--watch", "1", "--rounds", "2", "--json"]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
}

#[test]
fn control_c_ends_it_with_what_is_known() {
    in_network!();
    let port = greeter();
    let mut child = happy(&["check", "silent.test:80", &format!("{LIVE}:{port}"), "-t", "60000", "--json"])
        .spawn()
        .expect("it runs");
    wait_for_syn(&mut child);
    interrupt(&child);
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!(said.code, Some(130), "{said:?}");
    let value = json(&said);
    assert_eq!(
        (&value["complete"], &value["targets"][0]["ipv6"]["state"]),
        (&serde_json::json!(false), &serde_json::json!("not_checked"))
    );
}

#[test]
fn control_c_ends_a_watch_with_the_verdict() {
    in_network!();
    let port = greeter().to_string();
    let mut child = happy(&["check", LIVE, "-p", &port, "--watch", "3600"]).spawn().expect("it runs");
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a round has its line");
    assert!(line.contains("IPv4 1 of 1"), "{line}");
    interrupt(&child);
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("it ends");
    assert!(rest.contains("IPv4 works"), "{rest}");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}
