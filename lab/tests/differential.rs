//! `lab differential`: that it passes where nothing differs, that it fails where something does, and says
//! what.
//!
//! The askers are the program that `HAPPYSOCK_ASK` names, or target/c/debug/ask: `make test` builds it first.

use std::process::{Command, Output, Stdio};

fn differential(arguments: &[&str]) -> Output {
    let ask = std::env::var("HAPPYSOCK_ASK")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/c/debug/ask").to_owned());
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.arg("differential").args(["--ask", &ask]).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// The numbers of the last line, "N passed, N failed".
fn counts(output: &Output) -> (usize, usize) {
    let lines = lines(output);
    let last = lines.last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let (passed, failed) = last.split_once(" passed, ").expect("the last line sums up");
    (passed.parse().unwrap(), failed.trim_end_matches(" failed").parse().unwrap())
}

#[test]
fn the_library_answers_as_libc_does() {
    let output = differential(&["--cases", "60", "--seed", "7"]);
    assert_eq!(counts(&output), (60, 0), "{}", lines(&output).join("\n"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn servers_that_reply_otherwise_to_the_library_are_found_out() {
    let output = differential(&["--cases", "60", "--seed", "7", "--fault", "--show", "1000"]);
    let (passed, failed) = counts(&output);
    assert_eq!((passed + failed, output.status.code()), (60, Some(1)));
    // A third of the cases never get to a server.
    assert!(failed >= 10, "{failed} of 60 failed");

    // A failure says how to see it again, alone; and so it does.
    let lines = lines(&output);
    let again = lines.iter().find_map(|line| line.strip_prefix("again: ")).expect("a failure can be repeated");
    let words: Vec<&str> = again.split(' ').collect();
    let seed = words[1 + words.iter().position(|word| *word == "--only").unwrap()];
    let alone = differential(&["--only", seed, "--fault"]);
    assert_eq!((counts(&alone), alone.status.code()), ((0, 1), Some(1)));
    let alone = self::lines(&alone).join("\n");
    for part in ["/etc/resolv.conf:", "/etc/hosts", "hints: ", "libc:", "asked ", "difference in "] {
        assert!(alone.contains(part), "{part} is not in\n{alone}");
    }
    // Without the fault the same case passes; not always at once, since libc itself may answer this way and that.
    let passes = || {
        let sound = differential(&["--only", seed]);
        (counts(&sound), sound.status.code()) == ((1, 0), Some(0))
    };
    assert!((0..5).any(|_| passes()));
}

#[test]
fn an_asker_that_dies_is_a_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    let output = command.args(["differential", "--cases", "3", "--ask", "/bin/false"]).output().unwrap();
    assert_eq!((counts(&output), output.status.code()), ((0, 3), Some(1)));
}
