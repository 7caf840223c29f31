//! What is written as qlog is what qlog.cddl says, for every step that a race can take.

use crate::world::*;
use cddl_cat::context::{BasicContext, LookupContext};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

struct Schema(BasicContext);

impl Schema {
    fn new() -> Schema {
        let text = std::fs::read_to_string(root().join("tool/qlog.cddl")).expect("it is there");
        Schema(BasicContext::new(cddl_cat::flatten::flatten_from_str(&text).expect("it is CDDL")))
    }

    fn check(&self, rule: &str, value: &Value) -> Result<(), String> {
        let rule = self.0.lookup_rule(rule).expect("the schema has it");
        cddl_cat::json::validate_json(rule, value, &self.0).map_err(|error| format!("{error}: {value}"))
    }
}

/// The values of a sequence (RFC 7464), all but the first one an event, after they were checked.
fn checked(bytes: Vec<u8>) -> Vec<Value> {
    let text = String::from_utf8(bytes).expect("JSON is text");
    let mut pieces = text.split('\u{1e}');
    assert_eq!(pieces.next(), Some(""), "a record begins with its separator");
    let values: Vec<Value> = pieces
        .map(|value| {
            assert!(value.ends_with('\n'), "{value}");
            serde_json::from_str(value).unwrap_or_else(|error| panic!("{error}: {value}"))
        })
        .collect();
    let schema = Schema::new();
    schema.check("head", &values[0]).unwrap();
    for event in &values[1..] {
        schema.check("event", event).unwrap();
    }
    // What the draft asks for beyond the form of its events.
    let of = |name: &str| values.iter().filter(|value| value["name"] == name).collect::<Vec<_>>();
    let outcomes = of("hev3:attempt_outcome");
    for started in of("hev3:attempt_started") {
        let same = |event: &&&Value| {
            event["group_id"] == started["group_id"] && event["data"]["attempt_id"] == started["data"]["attempt_id"]
        };
        assert_eq!(outcomes.iter().filter(same).count(), 1, "{started}");
    }
    for selected in of("hev3:connection_selected") {
        let won = |event: &&Value| {
            event["group_id"] == selected["group_id"]
                && event["data"]["attempt_id"] == selected["data"]["attempt_id"]
                && event["data"]["result"] == "success"
        };
        assert!(outcomes.iter().any(won), "{selected}");
    }
    values
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["name"].as_str().expect("a text")).collect()
}

#[test]
fn a_race_is_told_step_by_step_in_the_drafts_events() {
    in_network!();
    let port = greeter().to_string();
    let file = Scratch::new("race.qlog");
    let said = run(&["connect", "half.test", &port, "--json", "--qlog", file.path()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let (race, values) = (json(&said), checked(file.bytes()));
    assert_eq!(values[0]["title"], format!("half.test port {port}"));
    // One event for each step, and the race's sum; the timer of the next attempt may end with the race.
    let steps = race["events"].as_array().expect("a list").len();
    let canceled = values.iter().filter(|event| event["name"] == "hev3:next_attempt_timer_canceled").count();
    assert_eq!(values.len(), 1 + steps + 1 + canceled);
    for event in &values[1..] {
        assert!(event["time"].as_f64() >= race["began_unix_ms"].as_f64(), "{event}");
    }
    let names = names(&values[1..]);
    for name in ["dns_query_started", "dns_query_finished", "candidate_discovered", "attempt_outcome"] {
        assert!(names.contains(&format!("hev3:{name}").as_str()), "{name}: {names:?}");
    }
    assert_eq!(names[names.len() - 2..], ["hev3:connection_selected", "hev3:metrics"]);
    let sum = &values.last().expect("it is not empty")["data"];
    assert_eq!(sum["first_success_family"], "ipv4", "{sum}");
    let answers = values.iter().filter(|event| event["name"] == "hev3:dns_query_finished");
    assert!(
        answers.flat_map(|event| event["data"]["results"].as_array()).flatten().any(|result| result["address"] == LIVE),
        "{values:?}"
    );
}

/// A race as `happy connect --json` stores it, that comes to an end with its last step.
fn race(lookups: &Value, attempts: &Value, events: &[Value], result: Value) -> Value {
    let events = events.iter().enumerate().map(|(number, event)| {
        let mut event = event.clone();
        event["time_ms"] = json!(number as f64 + 0.125);
        event
    });
    json!({
        "version": 1, "command": "connect", "host": "name.test", "port": "80", "began_unix_ms": 1_700_000_000_000_u64,
        "result": result, "lookups": lookups, "waits": [], "attempts": attempts, "events": events.collect::<Vec<_>>(),
    })
}

/// Races that have every step between them, each with whatever may be left out, and every end.
fn every_step() -> Vec<Value> {
    let no_name = json!({ "gai_error": -2, "gai_name": "EAI_NONAME", "message": "the name is not known" });
    let failed = json!({ "gai_error": -11, "gai_name": "EAI_SYSTEM", "errno": 24, "errno_name": "EMFILE",
                         "message": "Too many open files" });
    let refused = json!({ "errno": 111, "errno_name": "ECONNREFUSED", "syscall": "connect(2)",
                          "message": "Connection refused" });
    let mut events = Vec::new();
    let mut lookups = Vec::new();
    for question in ["AAAA", "A", "both", "local", "nat64-prefix", "service", "AAAA of target 1"] {
        for end in ["lookup_answered", "lookup_failed", "lookup_failed", "lookup_abandoned"] {
            let number = lookups.len();
            let error = if number % 2 == 0 { &no_name } else { &failed };
            lookups.push(json!({ "question": question, "started_ms": events.len() as f64, "outcome": "running",
                                 "addresses": ["2001:db8::1", "192.0.2.1"] }));
            events.push(json!({ "event": "lookup_started", "lookup": number, "question": question }));
            events.push(json!({ "event": "lookup_hastened", "lookup": number, "question": question }));
            let mut event = json!({ "event": end, "lookup": number, "question": question });
            match end {
                "lookup_answered" => event["count"] = json!(2),
                "lookup_failed" => event["error"] = error.clone(),
                _ => {}
            }
            events.push(event);
        }
    }
    events.push(json!({ "event": "resolution_delay_started", "delay_ms": 50.0 }));
    events.push(json!({ "event": "resolution_delay_expired" }));
    events.push(
        json!({ "event": "address_synthesized", "address": "64:ff9b::c000:201", "port": 80, "from": "192.0.2.1" }),
    );
    events.push(json!({ "event": "candidate_added", "address": "64:ff9b::c000:201", "port": 80 }));
    events.push(json!({ "event": "candidate_added", "address": "fe80::1%2", "port": 65535 }));
    events.push(json!({ "event": "candidate_dropped", "address": "192.0.2.1", "port": 80 }));
    events.push(json!({ "event": "family_unanswered", "family": "IPv6" }));
    let mut attempts = Vec::new();
    let ends = [("failed", Some(&refused)), ("timed_out", None), ("abandoned", None), ("connected", None)];
    for (attempt, (outcome, error)) in ends.into_iter().enumerate() {
        let address = if attempt % 2 == 0 { "2001:db8::1" } else { "192.0.2.1" };
        let mut entry = json!({ "address": address, "port": 80, "family": "IPv6", "started_ms": 1.5,
                                "ended_ms": 90.0, "outcome": outcome });
        if let Some(error) = error {
            entry["error"] = error.clone();
        }
        attempts.push(entry);
        let place = json!({ "attempt": attempt, "address": address, "port": 80 });
        for event in ["attempt_started", "next_attempt_timer_set", "next_attempt_timer_fired", "attempt_held"] {
            let mut step = place.clone();
            match event {
                "next_attempt_timer_set" => step = json!({ "delay_ms": 250.0 }),
                "next_attempt_timer_fired" => step = json!({}),
                _ => {}
            }
            step["event"] = json!(event);
            events.push(step);
        }
        let mut step = place;
        (step["event"], step["outcome"]) = (json!("attempt_ended"), json!(outcome));
        events.push(step);
    }
    let statuses = [
        "lookup_failed",
        "local_lookup_failed",
        "no_local_address",
        "attempts_failed",
        "timed_out",
        "cancelled",
        "broken",
        "connected",
    ];
    let mut races = Vec::new();
    for (number, status) in statuses.into_iter().enumerate() {
        // Half of them end while the next attempt has a time to start at.
        if number % 2 == 1 {
            events.push(json!({ "event": "next_attempt_timer_set", "delay_ms": 99.6 }));
        }
        events.push(json!({ "event": "finished", "status": status }));
        let mut result = json!({ "status": status, "message": "as it came", "total_ms": 99.0 });
        if status == "connected" {
            result["attempt"] = json!(3);
        }
        races.push(race(&json!(lookups), &json!(attempts), &events, result));
        events.pop();
    }
    races
}

/// Every step that is documented.
fn documented_steps() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("tool/json.md")).expect("it is there");
    let row = text.lines().find_map(|line| line.strip_prefix("| `events[].event` | ")).expect("it is documented");
    let mut steps = BTreeSet::new();
    let mut depth = 0;
    for word in row.split_inclusive(['(', ')', ',']) {
        let name = word.trim_matches([' ', ',', '(', ')', '|']);
        if depth == 0 && !name.is_empty() {
            steps.insert(name.to_owned());
        }
        depth += i32::from(word.ends_with('(')) - i32::from(word.ends_with(')'));
    }
    steps
}

/// Has the command write races that were stored, two at a time: the events.
fn drawn(races: &[Value], name: &str) -> Vec<Value> {
    let stored = [0, 1].map(|number| Scratch::new(&format!("{name}-{number}.json")));
    let file = Scratch::new(&format!("{name}.qlog"));
    let mut events = Vec::new();
    for pair in races.chunks(2) {
        for (scratch, race) in stored.iter().zip(pair) {
            std::fs::write(scratch.path(), race.to_string()).expect("a file of ours");
        }
        let said = run(&["draw", stored[0].path(), stored[1].path(), "--qlog", file.path()]);
        assert_eq!(said.code, Some(0), "{said:?}");
        events.extend(checked(file.bytes()).split_off(1));
    }
    events
}

#[test]
fn every_step_fits_the_schema() {
    let races = every_step();
    let steps = races.iter().flat_map(|race| race["events"].as_array().expect("a list"));
    let steps: BTreeSet<_> = steps.map(|event| event["event"].as_str().expect("a text").to_owned()).collect();
    assert_eq!(steps, documented_steps(), "what json.md names, and what this test has");
    let values = drawn(&races, "every-step");
    let written: BTreeSet<_> = names(&values).into_iter().map(str::to_owned).collect();
    // And the schema has nothing that is never written.
    let schema = std::fs::read_to_string(root().join("tool/qlog.cddl")).expect("it is there");
    let named =
        schema.split('"').skip(1).step_by(2).filter(|text| text.starts_with("hev3:") || text.starts_with("happysock:"));
    assert_eq!(written, named.map(str::to_owned).collect());
    let of = |name: &str, field: &str| -> BTreeSet<String> {
        let events = values.iter().filter(|event| event["name"] == name);
        events.filter_map(|event| event["data"][field].as_str()).map(str::to_owned).collect()
    };
    let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of("hev3:attempt_outcome", "result"), set(&["success", "failure", "timeout", "canceled"]));
    assert_eq!(of("hev3:attempt_outcome", "error_code"), set(&["ECONNREFUSED"]));
    assert_eq!(of("hev3:candidate_discovered", "source"), set(&["dns", "nat64_synthesis"]));
    assert_eq!(of("hev3:dns_query_finished", "answer_type"), set(&["positive", "negative", "error"]));
    assert_eq!(of("hev3:next_attempt_timer_canceled", "reason"), set(&["success", "abort"]));
    assert_eq!(of("hev3:metrics", "outcome"), set(&["success", "aborted"]));
    let success = values.iter().find(|event| event["data"]["outcome"] == "success").expect("one has connected");
    let sum = json!({ "he_session_id": "1", "outcome": "success", "total_duration_ms": success["data"]["total_duration_ms"],
        "tt_first_success_ms": 90, "first_success_family": "ipv4", "first_success_transport": "tcp",
        "attempts_total": 4, "attempts_success": 1, "attempts_failure": 3 });
    assert_eq!(success["data"], sum);
}

#[test]
fn the_schema_refuses_what_is_changed() {
    let schema = Schema::new();
    // One event of each form.
    let form = |event: &Value| {
        format!("{} {:?}", event["name"], event["data"].as_object().map(|data| data.keys().collect::<Vec<_>>()))
    };
    let events: BTreeMap<_, _> =
        drawn(&every_step(), "changed").into_iter().map(|event| (form(&event), event)).collect();
    for event in events.values() {
        let refused = |changed: Value| assert!(schema.check("event", &changed).is_err(), "{changed}");
        let fields = event["data"].as_object().expect("a map");
        let mut more = event.clone();
        more["data"]["something_else"] = json!(1);
        refused(more);
        let mut unknown = event.clone();
        unknown["name"] = json!("hev3:something_else");
        refused(unknown);
        for (name, value) in fields {
            let mut other = event.clone();
            // No field is a truth value.
            other["data"][name] = json!(true);
            refused(other);
            if matches!(name.as_str(), "error_code" | "connect_duration_ms") {
                continue;
            }
            let mut without = event.clone();
            without["data"].as_object_mut().expect("a map").remove(name);
            refused(without);
            if value.is_u64() {
                let mut fraction = event.clone();
                fraction["data"][name] = json!(1.5);
                refused(fraction);
            }
        }
    }
}
