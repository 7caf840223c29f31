//! `happy connect --service`: what the bindings of a service lead to (RFC 9460).

use crate::world::*;
use serde_json::json;

/// A stall while a reply is on its way is no reason to begin without it.
const UNHURRIED: [&str; 4] = ["--resolution-delay", "30000", "--attempt-delay", "2000"];

/// Connects to the name whose binding leads to a port; nothing listens at its own.
fn connect(port: u16, arguments: &[&str]) -> Said {
    run(&[&["connect", &format!("p{port}.test"), "80", "--service", "https"][..], &UNHURRIED, arguments].concat())
}

#[test]
fn the_binding_of_a_service_leads_to_another_name_and_port() {
    in_network!("30");
    name_server();
    let port = greeter();
    let said = connect(port, &["--alpn", "h2,http/1.1", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let value = json(&said);
    let attempt = &value["attempts"][0];
    assert_eq!((&attempt["address"], &attempt["port"]), (&json!(LIVE), &json!(port)), "{value}");
    let binding =
        json!({ "priority": 1, "target": "svc.test", "port": port, "alpn": ["h2", "http/1.1"], "ech": "fe0d" });
    assert_eq!(value["result"]["binding"], binding);
    let questions: Vec<_> =
        value["lookups"].as_array().expect("a list").iter().map(|lookup| lookup["question"].clone()).collect();
    assert_eq!(questions[..3], [json!("service"), json!("AAAA"), json!("A")]);
    assert!(questions.contains(&json!("A of target 1")), "{value}");
    // Such a race is drawn, too.
    let said = connect(port, &[]);
    assert!(said.words().contains("A binding of the service led to svc.test"), "{}", said.out);
    assert!(said.words().contains("bindings"), "{}", said.out);
}

#[test]
fn a_binding_without_a_common_protocol_is_left_out() {
    in_network!("30");
    name_server();
    let port = greeter();
    let said = connect(port, &["--alpn", "h3", "--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let value = json(&said);
    assert_eq!((&value["attempts"][0]["port"], value["result"].get("binding")), (&json!(80), None), "{value}");
}

#[test]
fn without_bindings_it_is_as_if_nobody_had_asked() {
    in_network!("30");
    name_server();
    let port = greeter().to_string();
    // hosts(5) has it; libc is asked; it is an address.
    for arguments in [&["live.test", &port][..], &["live.test", &port, "--libc"], &[LIVE, &port]] {
        let said = run(&[&["connect"], arguments, &["--service", "https", "--json"], &UNHURRIED].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(json(&said)["result"].get("binding"), None, "{said:?}");
    }
}

#[test]
fn without_the_option_no_bindings_are_asked_for() {
    in_network!("30");
    name_server();
    let said = run(&["connect", "p1.test", "80", "--json"]);
    let value = json(&said);
    let lookups = value["lookups"].as_array().expect("a list");
    assert!(lookups.iter().all(|lookup| lookup["question"] != "service"), "{value}");
}

#[test]
fn what_is_no_service_is_refused() {
    for arguments in [&["--service", "http"][..], &["--alpn", "h2"], &["--service", "https", "--alpn", ""]] {
        let said = run(&[&["connect", "many.test", "1"], arguments].concat());
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains("--service") || said.err.contains("--alpn"), "{said:?}");
    }
}
