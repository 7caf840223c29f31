//! `happy lookup`: what it finds, from whom, in which order and why.

use crate::world::*;
use serde_json::json;

fn order(value: &serde_json::Value) -> Vec<&str> {
    value["order"].as_array().expect("a list").iter().map(|one| one["address"].as_str().expect("a text")).collect()
}

#[test]
fn a_name_in_hosts_has_its_order_explained() {
    in_network!();
    let said = run(&["lookup", "half.test"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let words = said.words();
    for text in ["half.test IPv6 lookup 1 address", "1 2001:db8::77", "2 203.0.113.1 lower precedence (rule 6)"] {
        assert!(words.contains(text), "{text}: {words}");
    }
    // Whether this library reads the file or libc does is the machine's to say.
    assert!(words.contains("/etc/hosts") || words.contains("libc, since"), "{words}");
    let said = run(&["lookup", "half.test", "--prefer", "4", "--json"]);
    assert_eq!(order(&json(&said)), ["203.0.113.1", "2001:db8::77"]);
    let said = run(&["lookup", "half.test", "-6", "--json"]);
    assert_eq!(order(&json(&said)), ["2001:db8::77"]);
}

#[test]
fn libc_is_named_with_the_reason() {
    in_network!();
    let source = &json(&run(&["lookup", "half.test", "--json", "--libc"]))["lookups"][0]["source"];
    assert_eq!((&source["kind"], &source["reason"]), (&json!("libc"), &json!("the program asked for libc")));
    let said =
        Said::from(happy(&["lookup", "half.test", "--json"]).env("HAPPYSOCK_DNS", "libc").output().expect("it runs"));
    let source = &json(&said)["lookups"][0]["source"];
    assert_eq!(source["kind"], "libc");
    assert!(source["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{source}");
}

#[test]
fn what_a_name_server_says_is_sorted_as_getaddrinfo_sorts_it() {
    in_network!();
    name_server();
    let said = run(&["lookup", "many.test", "--compare", "--json"]);
    let value = json(&said);
    assert_eq!((said.code, &value["getaddrinfo"]["same"]), (Some(0), &json!(true)), "{}", said.out);
    let listed: Vec<&str> =
        value["getaddrinfo"]["addresses"].as_array().expect("a list").iter().filter_map(|one| one.as_str()).collect();
    assert_eq!((order(&value), listed.len()), (listed, 6));
    // What cannot be reached comes last, and says so.
    let last = value["order"].as_array().and_then(|order| order.last()).expect("there are six");
    assert_eq!((&last["usable"], &last["rule"]), (&json!(false), &json!(6)), "{value}");
    let rules: Vec<Option<u64>> =
        value["order"].as_array().expect("a list").iter().map(|one| one["rule"].as_u64()).collect();
    assert!(rules.contains(&Some(1)) && rules.contains(&Some(6)), "{rules:?}");
    // By turns between the families.
    let attempts: Vec<u64> =
        value["order"].as_array().expect("a list").iter().filter_map(|one| one["attempt"].as_u64()).collect();
    let mut all = attempts.clone();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    assert_ne!(attempts, all, "IPv4 does not wait for the last of IPv6");
    let said = run(&["lookup", "many.test", "--compare"]);
    assert!(said.words().contains("getaddrinfo(3) gives the same in the same order"), "{}", said.out);
}

#[test]
fn the_turns_that_it_tells_are_those_of_a_race() {
    in_network!();
    name_server();
    let told = json(&run(&["lookup", "many.test", "--json"]));
    let mut turns: Vec<(u64, &str)> = told["order"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["usable"] == true)
        .map(|one| (one["attempt"].as_u64().expect("a number"), one["address"].as_str().expect("a text")))
        .collect();
    turns.sort_unstable();
    // A port that nobody listens on, and a silent address: all are tried. What has no route is left out
    // at once.
    let race = json(&run(&[
        "connect",
        "many.test",
        &closed_port().to_string(),
        "--json",
        "-t",
        "8000",
        "--attempt-delay",
        "1000",
        // Of two answers either may be late.
        "--resolution-delay",
        "10000",
    ]));
    let tried: Vec<&str> = race["attempts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["address"].as_str().expect("a text"))
        .collect();
    assert!(
        turns.len() == 4 && tried.starts_with(&turns.iter().map(|(_, address)| *address).collect::<Vec<_>>()),
        "{turns:?} {tried:?}"
    );
}

#[test]
fn a_name_that_is_not_there_ends_with_3() {
    in_network!();
    name_server();
    let said = run(&["lookup", "nosuch.test", "--compare"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.words().contains("getaddrinfo(3) finds nothing either"), "{}", said.out);
    assert!(said.out.contains("Not found: the name is not known."), "{}", said.out);
    let value = json(&run(&["lookup", "nosuch.test", "--json"]));
    assert_eq!((&value["status"], order(&value).len()), (&json!("not_found"), 0));
}

#[test]
fn a_limit_and_control_c_end_it() {
    in_network!();
    name_server();
    let said = run(&["lookup", "late.test", "-t", "100"]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.words().contains("IPv6 lookup no answer"), "{}", said.out);
    let mut child = happy(&["lookup", "late.test", "--json"]).spawn().expect("it runs");
    wait_for_query(&mut child);
    interrupt(&child);
    let said = Said::from(child.wait_with_output().expect("it ends"));
    assert_eq!((said.code, &json(&said)["status"]), (Some(130), &json!("cancelled")));
}

#[test]
fn an_address_is_its_own_answer() {
    in_network!();
    let said = run(&["lookup", "[2001:db8::77]", "--compare", "--json"]);
    let value = json(&said);
    assert_eq!((said.code, order(&value), &value["lookups"]), (Some(0), vec!["2001:db8::77"], &json!([])));
    let said = run(&["lookup", ""]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("HOST: the host is empty"), "{}", said.err);
}

#[test]
fn bindings_of_a_service_are_told_with_what_they_are_good_for() {
    in_network!();
    name_server();
    let said = run(&["lookup", "alias.test", "--service", "https", "--alpn", "h2,http/1.1", "--json"]);
    let services = &json(&said)["services"];
    assert_eq!((&services["owner"], &services["aliases"]), (&json!("bound.test"), &json!(1)), "{services}");
    assert_eq!(services["ttl_s"], 60);
    let records = services["records"].as_array().expect("a list");
    let best = json!({
        "priority": 1, "target": "bound.test", "port": 8443, "alpn": ["h2", "http/1.1"], "ech": "fe0d", "usable": true,
        "ipv4_hints": ["192.0.2.77"], "ipv6_hints": ["2001:db8::77"],
    });
    assert_eq!(records[0], best);
    let usable: Vec<bool> = records.iter().filter_map(|record| record["usable"].as_bool()).collect();
    assert_eq!(usable, [true, false, false]);
    assert_eq!((&records[1]["target"], &records[1]["alpn"]), (&json!("cdn.test"), &json!(["h3"])));
    // For a client that speaks anything only what has to be understood in full is of no use.
    let said = run(&["lookup", "bound.test", "--service", "https", "--json"]);
    let value = json(&said);
    let records = value["services"]["records"].as_array().expect("a list").iter();
    let usable: Vec<bool> = records.filter_map(|record| record["usable"].as_bool()).collect();
    assert_eq!(usable, [true, true, false]);
    let said = run(&["lookup", "alias.test", "--service", "https"]);
    assert!(said.words().contains("by 1 alias those of bound.test"), "{}", said.out);
    assert!(said.words().contains("bound.test port 8443 h2,h3,http/1.1"), "{}", said.out);
}

#[test]
fn a_name_without_bindings_says_why() {
    in_network!();
    name_server();
    for (arguments, why) in [
        (["many.test", "--service", "https"], "the name servers have none"),
        (["many.test", "--service", "http"], "not a host and a service"),
        (["live.test", "--service", "https"], "the name is this machine's own"),
    ] {
        let said = run(&[&["lookup"][..], &arguments[..]].concat());
        assert_eq!(said.code, Some(0), "{}", said.out);
        assert!(said.words().contains(why), "{}", said.out);
    }
    // Without the option nobody is asked.
    let said = run(&["lookup", "many.test", "--json"]);
    assert_eq!(json(&said).get("services"), None);
}
