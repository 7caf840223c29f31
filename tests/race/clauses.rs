//! The table of clauses, clauses.md: the scripts that it names are there, and every clause says what holds.
use std::collections::BTreeSet;
use std::path::Path;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/race"))
}

/// The names of all tests of this folder.
fn scripts() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("#[test]\nfn ").skip(1);
            names.extend(after.map(|rest| rest.split('(').next().unwrap().to_owned()));
        }
    }
    names
}

/// The rows: clause, requirement, what holds, and the scripts.
fn rows(text: &str) -> Vec<[&str; 4]> {
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        <[&str; 4]>::try_from(cells).unwrap_or_else(|cells| panic!("not four cells: {cells:?}"))
    })
    .collect()
}

#[test]
fn every_script_that_the_table_names_is_there() {
    let text = std::fs::read_to_string(folder().join("clauses.md")).unwrap();
    let scripts = scripts();
    let rows = rows(&text);
    for [clause, requirement, holds, named] in &rows {
        assert!(!requirement.is_empty() && !holds.is_empty(), "clause {clause} does not say what holds");
        let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        for name in &named {
            assert!(scripts.contains(*name), "clause {clause}: there is no script {name}");
        }
        // What holds is shown; what does not says no or why it cannot arise.
        let shown = !named.is_empty();
        assert!(shown != (holds.starts_with("no") || holds.starts_with("does not")), "clause {clause}: {holds}");
    }
    let clauses: BTreeSet<&str> = rows.iter().map(|[clause, ..]| clause.split('.').next().unwrap()).collect();
    assert!(clauses.into_iter().eq(["3", "4", "5", "6", "7", "8", "9"]), "a section is missing");
}
