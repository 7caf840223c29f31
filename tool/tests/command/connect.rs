//! `happy connect`: what it shows, how it ends.

use crate::world::*;

#[test]
fn a_dead_ipv6_is_shown_and_outrun() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["connect", "half.test", &port, "--attempt-delay", "2000"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with(&format!("half.test port {port}\n")), "{}", said.out);
    for text in [
        "2001:db8::77 no answer",
        "203.0.113.1  connected",
        &format!("Connected to 203.0.113.1 port {port} over IPv4"),
        "waiting for 2001:db8::77, which did not answer",
        "without a race, it would have taken",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&said.out).contains(&words(text)), "{text}: {}", said.out);
    }
    assert_eq!(said.err, "");
}

#[test]
fn every_end_has_its_exit_code() {
    in_network!();
    let port = greeter().to_string();
    let closed = closed_port().to_string();
    for (arguments, code, told) in [
        (vec!["connect", LIVE, &port], 0, "Connected to"),
        (vec!["connect", LIVE, &closed], 1, "connect(2) to 203.0.113.1:"),
        (vec!["connect", "198.51.100.1", "80"], 1, "Network is unreachable"),
        (vec!["connect", "four.test", "80", "-6"], 3, "Not connected"),
        (vec!["connect", "silent.test", "80", "--timeout", "60"], 4, "--timeout was reached"),
        (vec!["connect", "silent.test", "80", "--connect-timeout", "10", "-6"], 4, "--connect-timeout was reached"),
    ] {
        let said = run(&arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        assert!(said.out.contains(told), "{arguments:?}: {said:?}");
    }
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    in_network!();
    for (arguments, argument, right) in [
        (&["connect", "localhost"][..], "<PORT>", "Usage"),
        (&["connect", "localhost", "65536"], "PORT: ", "from 0 to 65535"),
        (&["connect", "", "80"], "HOST: ", "the host is empty"),
        (&["connect", "localhost", "80", "--timeout", "soon"], "--timeout", "number of milliseconds"),
        (&["connect", "localhost", "80", "--attempt-delay", "5"], "--attempt-delay", "from 10 to 2000"),
        (&["connect", "localhost", "80", "--first-family-count", "0"], "--first-family-count", "1"),
        (&["connect", "localhost", "80", "--prefer", "5"], "--prefer", "[possible values: 4, 6]"),
        (&["connect", "localhost", "80", "--local-v4", "::1"], "--local-v4", "192.0.2.1"),
        (&["connect", "localhost", "80", "--address", "half.test"], "--address", "invalid"),
        (&["connect", "localhost", "http", "--address", "::1"], "PORT", "has to be a number"),
        (&["connect", "localhost", "80", "--address", "::1", "-4"], "--address", "none of them is of the family"),
        (&["connect", "localhost", "80", "--timeout", "9", "--resolv-timeout", "9"], "--timeout", "--resolv-timeout"),
        (
            &["connect", "localhost", "80", "--local-host", "::1", "--local-v4", "127.0.0.1"],
            "--local-v4",
            "--local-host",
        ),
        (&["connect", "localhost", "80", "-", "--json"], "--json", "cannot be used with"),
    ] {
        let said = run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert_eq!(said.out, "", "{arguments:?}");
        assert!(said.err.contains(argument) && said.err.contains(right), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn its_options_reach_the_race() {
    in_network!();
    let port = greeter().to_string();
    let race = |arguments: &[&str]| {
        let said = run(&[&["connect", "--json"], arguments].concat());
        (said.code, json(&said))
    };
    let attempts = |value: &serde_json::Value| -> Vec<String> {
        let attempts = value["attempts"].as_array().expect("a list").iter();
        attempts.map(|attempt| attempt["address"].as_str().expect("a text").to_owned()).collect()
    };

    let (code, value) = race(&["half.test", &port, "-4"]);
    assert_eq!((code, attempts(&value)), (Some(0), vec![LIVE.to_owned()]));
    let (_, value) = race(&["live.test", &port, "--prefer", "4", "--attempt-delay", "2000"]);
    assert_eq!(attempts(&value), [LIVE]);
    let (_, value) = race(&["half.test", &port, "--attempt-delay", "10", "--resolution-delay", "1"]);
    assert_eq!(attempts(&value), ["2001:db8::77", LIVE]);
    let first = &value["attempts"][0];
    assert!(first["ended_ms"].as_f64() > Some(9.0) && first["outcome"] == "abandoned", "{value}");
    let (_, value) = race(&["nowhere", &port, "--address", "2001:db8::77", "--address", LIVE, "--attempt-delay", "10"]);
    assert_eq!(
        (attempts(&value), &value["lookups"]),
        (vec!["2001:db8::77".to_owned(), LIVE.to_owned()], &serde_json::json!([]))
    );
    // One address after the other: the second begins when the first has used up its limit.
    let (code, value) = race(&["half.test", &port, "--no-fast-fallback", "--connect-timeout", "30"]);
    assert_eq!((code, &value["attempts"][0]["outcome"]), (Some(0), &serde_json::json!("timed_out")));
    // What is bound to an address that is not here says so.
    let (code, value) = race(&[LIVE, &port, "--local-v4", "198.51.100.9"]);
    assert_eq!((code, &value["attempts"][0]["error"]["syscall"]), (Some(1), &serde_json::json!("bind(2)")));
    let (code, value) = race(&["[2001:db8:1::1]", &closed_port().to_string()]);
    assert_eq!((code, &value["attempts"][0]["error"]["errno_name"]), (Some(1), &serde_json::json!("ECONNREFUSED")));
}

#[test]
fn control_c_ends_it_with_what_is_known() {
    in_network!();
    for json_wanted in [false, true] {
        let arguments: &[&str] = if json_wanted { &["--json"] } else { &[] };
        let mut child = happy(&[&["connect", "silent.test", "80"], arguments].concat()).spawn().expect("it runs");
        wait_for_syn(&mut child);
        interrupt(&child);
        let said = Said::from(child.wait_with_output().expect("it ends"));
        assert_eq!(said.code, Some(130), "{said:?}");
        assert!(said.out.contains("2001:db8::77"), "{said:?}");
        if json_wanted {
            assert_eq!(json(&said)["result"]["status"], "cancelled");
        } else {
            assert!(said.out.contains("Not connected: ended before there was a connection."), "{said:?}");
        }
    }
}

#[test]
fn repeated_it_compares() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["connect", "live.test", &port, "-4", "--repeat", "3"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("IPv4 3 times: "), "{}", said.out);
    assert_eq!(said.out.matches("IPv4 203.0.113.1").count(), 3, "{}", said.out);
    let said = run(&["connect", "live.test", &port, "--repeat", "3", "--json"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let value: serde_json::Value = serde_json::from_str(line).expect("one object a line");
        assert_eq!(value["result"]["status"], "connected");
    }
}

#[test]
fn quiet_shows_nothing() {
    in_network!();
    let port = greeter().to_string();
    let said = run(&["connect", "--quiet", LIVE, &port]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
}

#[test]
fn repeated_it_learns_unless_it_may_not() {
    in_network!();
    let port = greeter().to_string();
    let first_families = |arguments: &[&str]| -> Vec<String> {
        // The winner takes less than the delay: otherwise the other one does not pass for unanswered.
        let of_each = ["connect", "half.test", &port, "--repeat", "4", "--json", "--attempt-delay", "2000"];
        let said = run(&[&of_each, arguments].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        let family = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            value["attempts"][0]["family"].as_str().expect("a text").to_owned()
        };
        said.out.lines().map(family).collect()
    };
    // A family that keeps silent goes first once or a few times, and then no more.
    let learnt = first_families(&[]);
    assert_eq!((learnt[0].as_str(), learnt[3].as_str()), ("IPv6", "IPv4"), "{learnt:?}");
    assert_eq!(first_families(&["--no-history"]), ["IPv6"; 4]);
    let said = run(&["connect", "half.test", &port, "--repeat", "4", "--attempt-delay", "2000"]);
    assert!(said.words().contains("Learnt: IPv6 does not answer in this network. Race"), "{}", said.out);
}
