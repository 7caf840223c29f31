//! The page that says which clause of RFC 8305 holds, docs/guide/rfc8305.md: the scripts that it names are there.
use std::path::Path;

#[test]
fn every_script_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/guide/rfc8305.md")).unwrap();
    let named: Vec<(&str, &str)> =
        page.split('`').skip(1).step_by(2).filter_map(|name| name.split_once("::")).collect();
    assert!(named.len() > 20, "the scripts were not found");
    for (file, script) in named {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("#[test]\nfn {script}() {{")), "{file} has no script {script}");
    }
    for section in ["3", "4", "5", "6", "7", "8", "9"] {
        assert!(page.contains(&format!("## Section {section}: ")), "section {section} is missing");
    }
}
