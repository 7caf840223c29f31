//! What is written as JSON is what json.md says, and all that it says is written somewhere.

use crate::tls::half_dead;
use crate::world::*;
use serde_json::Value;
use std::collections::BTreeSet;

/// The places of a value: `attempts[].error.errno`.
fn places(value: &Value, place: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                into.insert(place.clone());
                places(field, &place, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| places(value, &format!("{place}[]"), into)),
        _ => {}
    }
}

/// The first column of the tables under a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("tool/json.md")).expect("it is there");
    let chapter =
        text.split("\n## ").find(|chapter| chapter.starts_with(heading)).unwrap_or_else(|| panic!("{heading}"));
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().expect("a name").to_owned()).collect()
}

fn compare(heading: &str, outputs: &[Said]) {
    let mut written = BTreeSet::new();
    for said in outputs {
        for line in said.out.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(value["version"], 1);
            places(&value, "", &mut written);
        }
    }
    let documented = documented(heading);
    let unsaid: Vec<_> = written.difference(&documented).collect();
    assert!(unsaid.is_empty(), "json.md does not tell of {unsaid:?}");
    let unseen: Vec<_> = documented.difference(&written).collect();
    assert!(unseen.is_empty(), "nothing has {unseen:?}");
}

#[test]
fn of_connect_every_field_is_documented() {
    in_network!("30");
    let (port, closed) = (greeter().to_string(), closed_port().to_string());
    let half_dead = half_dead("json");
    name_server();
    compare(
        "happy connect",
        &[
            run(&["connect", "half.test", &port, "--json", "--repeat", "2"]),
            Said::from(
                happy(&["connect", "half.test", &port, "--json"])
                    .env("HAPPYSOCK_DNS", "libc")
                    .output()
                    .expect("it runs"),
            ),
            run(&[
                "connect",
                "dual.test",
                &half_dead.port,
                "--json",
                "--tls",
                "--tls-ca",
                half_dead.authorities.path(),
            ]),
            run(&["connect", "live.test", &closed, "--json"]),
            run(&["connect", "silent.test", "80", "--json", "--timeout", "300"]),
            run(&["connect", "nosuch.test", "80", "--json"]),
            run(&[
                "connect",
                &format!("p{port}.test"),
                "1",
                "--json",
                "--service",
                "https",
                "--resolution-delay",
                "30000",
            ]),
            // A lookup that fails with an errno: the name server's file cannot be what is meant here, so the
            // limit is.
            run(&["connect", LIVE, &port, "--json", "--local-v4", "198.51.100.9"]),
        ],
    );
}

#[test]
fn of_lookup_every_field_is_documented() {
    in_network!();
    name_server();
    compare(
        "happy lookup",
        &[
            run(&["lookup", "many.test", "--json", "--compare"]),
            run(&["lookup", "nosuch.test", "--json", "--compare"]),
            run(&["lookup", "alias.test", "--json", "--service", "https", "--alpn", "h2"]),
            run(&["lookup", "nosuch.test", "--json", "--service", "https"]),
            Said::from(
                happy(&["lookup", "half.test", "--json"]).env("HAPPYSOCK_DNS", "libc").output().expect("it runs"),
            ),
        ],
    );
}

#[test]
fn of_check_every_field_is_documented() {
    in_network!();
    let (port, closed) = (greeter(), closed_port());
    compare(
        "happy check",
        &[run(&["check", "--json", "-t", "2000", &format!("half.test:{port}"), &format!("live.test:{closed}")])],
    );
}
