//! The manual pages and the completions come from what the parser knows.

use crate::world::*;

#[test]
fn pages_and_completions_know_every_command_and_option() {
    let directory = std::env::temp_dir().join(format!("happy-test-{}-generated", std::process::id()));
    let said = run(&["generate", directory.to_str().expect("its name is plain")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let read =
        |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let help = run(&["connect", "--help"]).out;
    let words = help.split(|letter: char| letter.is_whitespace() || letter == ',');
    let options: Vec<&str> = words
        .filter(|word| word.len() > 2 && word.starts_with("--") && word.ends_with(|c: char| c.is_ascii_alphanumeric()))
        .collect();
    assert!(options.len() > 20, "{options:?}");
    let page = read("happy-connect.1").replace("\\-", "-");
    let completions = [read("happy.bash"), read("_happy"), read("happy.fish")];
    for option in options {
        assert!(page.contains(option), "{option} is not in the manual page");
        for text in &completions {
            assert!(text.contains(option.trim_start_matches("--")), "{option} is not completed");
        }
    }
    let page = read("happy.1");
    for text in ["NO_COLOR", "130", "happy-connect", "happy-check", "happy-draw", "happy-run"] {
        assert!(page.replace("\\-", "-").contains(text), "{text} is not in happy.1");
    }
    assert!(!page.contains("generate"), "what only makefiles use is no command for people");
    std::fs::remove_dir_all(directory).expect("a folder of ours");
}
