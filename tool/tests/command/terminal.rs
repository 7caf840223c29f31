//! Colour, movement, letters and width: on terminals and in pipes.

use crate::world::*;
use std::process::Command;

const ESCAPE: char = '\u{1b}';

/// Runs the command on a terminal of its own, script(1)'s.
fn on_terminal(arguments: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new("script");
    command.args(["-qefc", &format!("{} {arguments}", env!("CARGO_BIN_EXE_happy")), "/dev/null"]);
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
    command.envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    let output = command.output().expect("script(1), of bsdutils, is there");
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}

#[test]
fn a_terminal_gets_colour_and_movement() {
    in_network!();
    let port = greeter();
    let said = on_terminal(&format!("connect -z half.test {port} --attempt-delay 1000"), &[]);
    assert!(said.contains("\u{1b}[36m"), "no colour: {said:?}");
    assert!(said.contains("\u{1b}[?25l") && said.ends_with("\u{1b}[?25h"), "the cursor: {said:?}");
    // While the race ran it was drawn more than once.
    assert!(said.contains("connecting") && said.matches("half.test port").count() > 2, "{said:?}");
}

#[test]
fn no_color_leaves_the_movement() {
    in_network!();
    let port = greeter();
    let said = on_terminal(&format!("connect -z half.test {port}"), &[("NO_COLOR", "1")]);
    assert!(!said.contains("[36m") && !said.contains("[2m") && !said.contains("[1m"), "{said:?}");
    assert!(said.contains("\u{1b}[?25l"), "{said:?}");
    // It is about those that are set to something.
    let said = on_terminal(&format!("connect -z half.test {port}"), &[("NO_COLOR", "")]);
    assert!(said.contains("[36m"), "{said:?}");
}

#[test]
fn a_dumb_terminal_gets_neither() {
    in_network!();
    let port = greeter();
    let said = on_terminal(&format!("connect -z half.test {port}"), &[("TERM", "dumb")]);
    assert!(!said.contains(ESCAPE), "{said:?}");
    assert_eq!(said.matches("half.test port").count(), 1, "{said:?}");
    let said = on_terminal(&format!("check half.test:{port} -t 200"), &[("TERM", "dumb")]);
    assert!(!said.contains(ESCAPE), "{said:?}");
}

#[test]
fn a_pipe_gets_neither_unless_it_wants_colour() {
    in_network!();
    let port = greeter().to_string();
    for arguments in [&["connect", "half.test", &port][..], &["check", "half.test", "-p", &port, "-t", "200"]] {
        let said = run(arguments);
        assert!(!said.out.contains(ESCAPE) && said.err.is_empty(), "{said:?}");
        let said = run(&[arguments, &["--color", "always"]].concat());
        assert!(said.out.contains("\u{1b}[3"), "{said:?}");
    }
}

#[test]
fn a_check_shows_its_progress_on_the_terminal_only() {
    in_network!();
    // The results go into a pipe, standard error is the terminal.
    let said = on_terminal(&format!("check {LIVE}:9 silent.test:80 -t 600 | cat"), &[]);
    assert!(said.contains("of 3, "), "{said:?}");
    // What was drawn is taken away before the results.
    let results = said.rsplit(ESCAPE).next().expect("there is always one");
    assert!(!results.contains("of 3, "), "{said:?}");
    let said = run(&["check", &format!("{LIVE}:9"), "silent.test:80", "-t", "100"]);
    assert_eq!(said.err, "");
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    in_network!();
    let port = greeter().to_string();
    let long = "a-host-with-a-name-that-is-much-too-long-for-any-column.test";
    let targets = ["half.test", "[2001:db8:1::1]:9", long];
    for width in ["40", "60", "80", "200"] {
        let said = run(&["connect", "half.test", &port, "--width", width]);
        let checked = run(&[&["check", "--width", width, "-t", "200", "-p", &port][..], &targets].concat());
        let failed = run(&["connect", long, "80", "--width", width]);
        for line in [said, checked, failed].iter().flat_map(|said| said.out.lines()) {
            let columns = console::measure_text_width(line);
            assert!(columns <= width.parse().expect("a number"), "{columns} columns of {width}: {line}");
        }
    }
}

#[test]
fn ascii_is_drawn_where_the_locale_does_not_say_utf8() {
    in_network!();
    let port = greeter().to_string();
    for (arguments, locale) in [(&["--ascii"][..], "C.UTF-8"), (&[], "C"), (&[], "")] {
        let arguments = [&["connect", "half.test", &port][..], arguments].concat();
        let said = Said::from(
            happy(&arguments)
                .env("LC_ALL", locale)
                .env_remove("LANG")
                .env_remove("LC_CTYPE")
                .output()
                .expect("it runs"),
        );
        assert!(said.out.is_ascii(), "{}", said.out);
        assert!(said.out.contains("+ 203.0.113.1") && said.out.contains('#'), "{}", said.out);
    }
}
