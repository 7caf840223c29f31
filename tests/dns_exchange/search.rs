//! The search list: which names are asked, and which error counts.
use crate::script::*;

const LIST: &str = "nameserver 192.0.2.1\nsearch a.test b.test\noptions attempts:1 timeout:1\n";

/// The names that are asked one after the other if `answer` is what the servers say, with what is told in the
/// end.
fn asked(lines: &str, name: &str, answer: impl Fn(&str) -> &'static str) -> String {
    let mut script = Script::new(lines, ONLY_AAAA, name);
    let mut line = Vec::new();
    for _ in 0..20 {
        let told = given(&mut script);
        match told.strip_prefix("AAAA ").and_then(|rest| rest.strip_suffix(" @0")) {
            Some(question) => {
                line.push(question.to_owned());
                match answer(question) {
                    "unreachable" => script.unreachable(AAAA),
                    "silence" => script.at(script.deadline().unwrap().as_millis() as u64),
                    words => script.says(0, AAAA, words),
                };
            }
            None => {
                line.push(told);
                return line.join(" ");
            }
        }
    }
    panic!("no end of names: {line:?}");
}

/// The one thing that is given now, `finish` aside.
fn given(script: &mut Script) -> String {
    let mut told = script.take();
    if told.last().is_some_and(|last| last == "finish") {
        told.pop();
    }
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0).trim_start_matches("AAAA ! ").into()
}

fn nobody(_: &str) -> &'static str {
    "nxdomain"
}

#[test]
fn a_name_with_few_dots_is_asked_in_the_list_first() {
    assert_eq!(asked(LIST, "www", nobody), "www.a.test www.b.test www NONAME");
}

#[test]
fn a_name_with_enough_dots_is_asked_as_it_is_first() {
    assert_eq!(asked(LIST, "www.x", nobody), "www.x www.x.a.test www.x.b.test NONAME");
    let ndots = format!("{LIST}options ndots:2\n");
    assert_eq!(asked(&ndots, "www.x", nobody), "www.x.a.test www.x.b.test www.x NONAME");
    assert_eq!(asked(&ndots, "www.x.y", nobody), "www.x.y www.x.y.a.test www.x.y.b.test NONAME");
}

#[test]
fn ndots_of_zero_asks_every_name_as_it_is_first() {
    // golang/go#15419, moby/moby#20335.
    assert_eq!(asked(&format!("{LIST}options ndots:0\n"), "www", nobody), "www www.a.test www.b.test NONAME");
}

#[test]
fn a_dot_at_the_end_keeps_the_list_out() {
    assert_eq!(asked(LIST, "www.", nobody), "www NONAME");
    assert_eq!(asked(LIST, "www.x.", |_| "servfail"), "www.x AGAIN");
}

#[test]
fn without_a_list_the_name_is_asked_once() {
    let lines = "nameserver 192.0.2.1\noptions attempts:1\n";
    assert_eq!(asked(lines, "www", nobody), "www NONAME");
    assert_eq!(asked(&format!("{lines}options no-tld-query\n"), "www", nobody), "www NONAME");
}

#[test]
fn no_tld_query_leaves_a_name_without_a_dot_to_the_list() {
    let lines = format!("{LIST}options no-tld-query\n");
    assert_eq!(asked(&lines, "www", nobody), "www.a.test www.b.test NONAME");
    assert_eq!(asked(&format!("{lines}options ndots:2\n"), "www.x", nobody), "www.x.a.test www.x.b.test www.x NONAME");
}

#[test]
fn the_root_in_the_list_is_the_name_as_it_is() {
    // golang/go#54124: not "www..".
    for domain in [".", "a.test ."] {
        let lines = format!("nameserver 192.0.2.1\nsearch {domain}\noptions attempts:1\n");
        let first = if domain == "." { "" } else { "www.a.test " };
        assert_eq!(asked(&lines, "www", nobody), format!("{first}www NONAME"));
    }
    // Seen with glibc 2.36: with enough dots it is asked as it is, and again in the root.
    let lines = "nameserver 192.0.2.1\nsearch .\noptions attempts:1\n";
    assert_eq!(asked(lines, "www.x", nobody), "www.x www.x NONAME");
}

#[test]
fn a_dot_before_a_domain_of_the_list_is_not_part_of_it() {
    let lines = "nameserver 192.0.2.1\nsearch .a.test\noptions attempts:1\n";
    assert_eq!(asked(lines, "www", nobody), "www.a.test www NONAME");
}

#[test]
fn the_list_goes_on_after_an_answer_that_there_is_nothing() {
    for words in ["nxdomain", "nodata"] {
        let answer = move |name: &str| if name == "www.b.test" { "2001:db8::1" } else { words };
        assert_eq!(asked(LIST, "www", answer), "www.a.test www.b.test AAAA = 2001:db8::1");
    }
}

#[test]
fn the_list_goes_on_after_servfail() {
    // c-ares stopped there (c-ares/c-ares#852), Go too (golang/go#12712, #12778).
    let answer = |name: &str| if name == "www.b.test" { "2001:db8::1" } else { "servfail" };
    assert_eq!(asked(LIST, "www", answer), "www.a.test www.b.test AAAA = 2001:db8::1");
}

#[test]
fn the_list_ends_after_other_failures_and_the_name_is_asked_as_it_is() {
    // Seen with glibc 2.36, for each of them.
    for words in ["refused", "notimp", "lame", "silence", "formerr"] {
        let answer = move |name: &str| if name == "www" { "nxdomain" } else { words };
        assert_eq!(asked(LIST, "www", answer), "www.a.test www NONAME", "{words}");
    }
}

#[test]
fn without_any_server_everything_stops() {
    assert_eq!(asked(LIST, "www", |_| "unreachable"), "www.a.test AGAIN");
    assert_eq!(asked(LIST, "www.x", |_| "unreachable"), "www.x www.x.a.test AGAIN");
}

#[test]
fn records_of_any_kind_end_the_search() {
    let answer = |name: &str| if name == "www.a.test" { "cname" } else { "2001:db8::1" };
    assert_eq!(asked(LIST, "www", answer), "www.a.test NONAME");
    let answer = |name: &str| if name == "www.a.test" { "cut off" } else { "2001:db8::1" };
    assert_eq!(asked(LIST, "www", answer), "www.a.test NONAME");
}

#[test]
fn the_error_of_the_name_as_it_is_wins_if_it_was_asked_first() {
    let answer = |name: &str| if name == "www.x" { "nodata" } else { "nxdomain" };
    assert_eq!(asked(LIST, "www.x", answer), "www.x www.x.a.test www.x.b.test NODATA");
    let answer = |name: &str| if name == "www.x" { "servfail" } else { "nodata" };
    assert_eq!(asked(LIST, "www.x", answer), "www.x www.x.a.test www.x.b.test AGAIN");
    let answer = |name: &str| if name == "www.x" { "nxdomain" } else { "nodata" };
    assert_eq!(asked(LIST, "www.x", answer), "www.x www.x.a.test www.x.b.test NONAME");
}

#[test]
fn silence_at_the_end_of_the_list_does_not_change_the_code() {
    // Seen with glibc 2.36, for IPv4 too, whose code depends on the status otherwise.
    for (words, code) in [("nxdomain", "NONAME"), ("formerr", "NONAME"), ("nodata", "NODATA"), ("servfail", "AGAIN")] {
        for (families, family) in [(ONLY_A, A), (ONLY_AAAA, AAAA)] {
            let lines = "nameserver 192.0.2.1\nsearch a.test\noptions attempts:1\n";
            let mut script = Script::new(lines, families, "www.x");
            let kind = family_name(family);
            script.expect(&format!("{kind} www.x @0")).says(0, family, words);
            script.expect(&format!("{kind} www.x.a.test @0")).at(5_000).expect(&format!("{kind} ! {code}, finish"));
            assert_eq!(script.failures[0].status, happysock::dns::failure::Status::Unavailable);
        }
    }
}

#[test]
fn otherwise_no_data_wins_then_a_failed_server_then_the_last_error() {
    let answer = |name: &str| match name {
        "www.a.test" => "nodata",
        "www.b.test" => "servfail",
        _ => "nxdomain",
    };
    assert_eq!(asked(LIST, "www", answer), "www.a.test www.b.test www NODATA");
    let answer = |name: &str| if name == "www.a.test" { "servfail" } else { "nxdomain" };
    assert_eq!(asked(LIST, "www", answer), "www.a.test www.b.test www AGAIN");
    let answer = |name: &str| if name == "www" { "servfail" } else { "nxdomain" };
    assert_eq!(asked(LIST, "www", answer), "www.a.test www.b.test www AGAIN");
}

#[test]
fn a_name_that_is_too_long_with_a_domain_ends_the_list_without_a_packet() {
    let label = "x".repeat(63);
    let long = format!("{label}.{label}.{label}.{}", "y".repeat(56));
    assert_eq!(long.len(), 248);
    let lines = "nameserver 192.0.2.1\nsearch a.test\noptions attempts:1 ndots:9\n";
    assert_eq!(asked(lines, &long, nobody), format!("{long} NONAME"));
    // One label less in the domain, and it fits.
    let lines = "nameserver 192.0.2.1\nsearch test\noptions attempts:1 ndots:9\n";
    assert_eq!(asked(lines, &long, nobody), format!("{long}.test {long} NONAME"));
}

#[test]
fn a_domain_that_is_no_name_ends_the_list_without_a_packet() {
    let lines = "nameserver 192.0.2.1\nsearch a..test b.test\noptions attempts:1\n";
    assert_eq!(asked(lines, "www", nobody), "www NONAME");
}

#[test]
fn the_facts_of_glibcs_tst_resolv_search() {
    let lines = "nameserver 192.0.2.1\nsearch usersys.example.com corp.example.com example.com\noptions attempts:1\n";
    let answer = |name: &str| match name {
        "file.corp.example.com" | "file.corp" | "file.example.com" | "www.example.com" => "2001:db8::1",
        "servfail-usersys.usersys.example.com" | "servfail-corp.corp.example.com" => "servfail",
        "servfail-usersys.corp.example.com" | "servfail-corp.usersys.example.com" => "2001:db8::1",
        "example.com" | "usersys.example.com" | "corp.example.com" => "nodata",
        _ => "nxdomain",
    };
    let found = |name: &str| {
        let asked = asked(lines, name, answer);
        asked.strip_suffix(" AAAA = 2001:db8::1").unwrap_or(&asked).rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(found("file"), "file.corp.example.com");
    assert_eq!(found("www"), "www.example.com");
    assert_eq!(found("servfail-usersys"), "servfail-usersys.corp.example.com");
    assert_eq!(found("servfail-corp"), "servfail-corp.usersys.example.com");
    assert_eq!(found("file.corp"), "file.corp");
}

#[test]
fn a_domain_is_left_only_when_both_families_had_nothing_there() {
    let mut script = Script::new(LIST, BOTH, "www");
    script.expect("AAAA www.a.test @0, A www.a.test @0").says(0, AAAA, "nxdomain").expect("");
    script.says(0, A, "nodata").expect("AAAA www.b.test @0, A www.b.test @0");
    script.says(0, A, "192.0.2.1").expect("A = 192.0.2.1");
    script.says(0, AAAA, "nxdomain").expect("AAAA ! NONAME, finish");
}
