//! What the documents state is so: their C compiles, the commands and files that they name exist.

use std::path::{Path, PathBuf};
use std::process::Command;

const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_string()).collect()
}

/// What stands between backticks, code blocks aside.
fn names(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect::<Vec<_>>().join("");
    prose.split('`').skip(1).step_by(2).map(|name| name.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn their_c_compiles() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("documents");
    std::fs::create_dir_all(&directory).unwrap();
    let mut program = String::from(
        "#include <errno.h>\n#include <happysock.h>\n#include <poll.h>\n#include <stdio.h>\n#include <unistd.h>\n",
    );
    let snippets: Vec<String> = DOCUMENTS.iter().flat_map(|document| blocks(&read(document), "c")).collect();
    assert!(snippets.len() >= 3, "the documents show C");
    for (number, snippet) in snippets.iter().enumerate() {
        program.push_str(&format!(
            "void snippet_{number}(const char *host, const char *port);\nvoid snippet_{number}(const char *host, const char *port)\n{{\n{snippet}}}\n"
        ));
    }
    let path = directory.join("snippets.c");
    std::fs::write(&path, program).unwrap();
    let output = Command::new("gcc")
        .args(["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .args([root().join("include"), path])
        .output()
        .expect("gcc; scripts/install-packages test installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// All that the makefiles say.
fn makefiles() -> String {
    let mut text = read("Makefile");
    for room in ["c_tests", "lab", "ruby_ext", "bindings", "benches", "tests", "docs", "packaging", "tool"] {
        for entry in std::fs::read_dir(root().join(room)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "mk") {
                text.push_str(&read(&path));
            }
        }
    }
    text
}

#[test]
fn the_make_targets_that_they_name_exist() {
    let rules = makefiles();
    let is_target = |name: &str| {
        rules
            .lines()
            .filter(|line| !line.starts_with(['\t', ' ', '#']))
            .filter_map(|line| line.split_once(':'))
            .any(|(targets, _)| targets.split_whitespace().any(|target| target == name))
    };
    let mut seen = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let commands = blocks(&text, "console").join("\n");
        let in_blocks = commands.lines().filter_map(|line| line.trim_start_matches("$ ").strip_prefix("make "));
        let named = names(&text);
        let in_prose = named.iter().filter_map(|name| name.strip_prefix("make "));
        for command in in_blocks.chain(in_prose) {
            let target = command.split_whitespace().next().unwrap_or_default();
            if target.contains('=') || target.starts_with('#') {
                continue;
            }
            assert!(is_target(target), "{document}: there is no target {target}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "the documents name make targets");
}

#[test]
fn the_files_that_they_name_exist() {
    let mut seen = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_string());
        let rooms = [
            "src/",
            "tests/",
            "c_tests/",
            "include/",
            "scripts/",
            "lab/",
            "ruby_ext/",
            "bindings/",
            "benches/",
            "docs/",
            "tool/",
        ];
        let named = names(&text).into_iter().filter(|name| rooms.iter().any(|room| name.starts_with(room)));
        for path in links.filter(|link| !link.starts_with("http")).chain(named.filter(|name| !name.contains('*'))) {
            assert!(root().join(&path).exists(), "{document}: there is no {path}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "the documents name files");
}

#[test]
fn the_functions_and_constants_that_they_name_are_in_the_header() {
    let header = read("include/happysock.h");
    for document in DOCUMENTS {
        for name in names(&read(document)) {
            let name = name.trim_end_matches("()");
            let is_ours = name.starts_with("happy_") || name.starts_with("HAPPY_") || name.ends_with("_happy");
            assert!(!is_ours || header.contains(name), "{document}: {name} is not in the header");
        }
    }
}
