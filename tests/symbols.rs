//! The symbol ledger, include/happysock.symbols: what the shared library exports, no more and no less, and
//! since when.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The ledger: symbol and the version it arrived in.
fn ledger() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("include/happysock.symbols")).expect("include/happysock.symbols");
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [symbol, version] => (symbol.to_string(), version.to_string()),
            _ => panic!("include/happysock.symbols: not `symbol version`: {line}"),
        })
        .collect()
}

/// The shared library that cargo built together with this test.
fn library_of_cargo() -> PathBuf {
    let library = std::env::current_exe().unwrap().parent().unwrap().join("libhappysock.so");
    assert!(library.exists(), "{} does not exist", library.display());
    library
}

/// The shared library as it is installed: linked from the archive that cargo built together with this test.
fn library_to_install() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libhappysock.so");
        let archive = std::env::current_exe().unwrap().parent().unwrap().join("libhappysock.a");
        let output = Command::new(root().join("scripts/link-shared")).args([&archive, &library]).output().unwrap();
        assert!(output.status.success(), "scripts/link-shared: {}", String::from_utf8_lossy(&output.stderr));
        library
    })
}

fn output_of(program: &str, arguments: &[&str], library: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(library)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/install-packages test installs it"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The version of a symbol that arrived in a release: HAPPYSOCK_0.1 for 0.1.0.
fn symbol_version(since: &str) -> String {
    let numbers: Vec<&str> = since.split('.').collect();
    format!("HAPPYSOCK_{}.{}", numbers[0], numbers[1])
}

#[test]
#[cfg_attr(not(feature = "capi"), ignore = "the exports are behind the feature capi")]
fn the_shared_library_exports_what_the_ledger_says() {
    let mut exported: Vec<String> =
        output_of("nm", &["--dynamic", "--defined-only", "--format=posix"], &library_of_cargo())
            .lines()
            .map(|line| line.split_whitespace().next().unwrap().to_string())
            .collect();
    exported.sort();
    // Its name is the same whatever the features are, and cargo does not notice that it is another one.
    assert!(!exported.is_empty(), "it was built without the feature capi last; cargo clean -p happysock");
    let recorded: Vec<String> = ledger().into_iter().map(|(symbol, _)| symbol).collect();
    let unrecorded: Vec<_> = exported.iter().filter(|symbol| !recorded.contains(symbol)).collect();
    let missing: Vec<_> = recorded.iter().filter(|symbol| !exported.contains(symbol)).collect();
    assert!(
        unrecorded.is_empty() && missing.is_empty(),
        "exported but not in include/happysock.symbols: {unrecorded:?}; there but not exported: {missing:?}"
    );
}

/// The library that is installed exports the same, each symbol in the version in which it arrived.
#[test]
#[cfg_attr(not(feature = "capi"), ignore = "the exports are behind the feature capi")]
fn each_symbol_has_its_version() {
    let mut exported: Vec<String> = output_of("readelf", &["--dyn-syms", "--wide"], library_to_install())
        .lines()
        .filter(|line| line.contains(" FUNC ") && !line.contains(" UND "))
        .map(|line| line.split_whitespace().last().unwrap().to_string())
        .collect();
    exported.sort();
    let mut recorded: Vec<String> =
        ledger().into_iter().map(|(symbol, since)| format!("{symbol}@@{}", symbol_version(&since))).collect();
    recorded.sort();
    assert_eq!(exported, recorded);
}

/// include/happysock.map says what the ledger says, a node for each version, each on top of the one before.
#[test]
fn the_version_script_is_that_of_the_ledger() {
    let mut versions: BTreeMap<Vec<u32>, Vec<String>> = BTreeMap::new();
    for (symbol, since) in ledger() {
        let numbers = since.split('.').take(2).map(|number| number.parse().unwrap()).collect();
        versions.entry(numbers).or_default().push(symbol);
    }
    let mut expected = String::new();
    let mut before = None;
    for (numbers, symbols) in versions {
        let version = format!("HAPPYSOCK_{}.{}", numbers[0], numbers[1]);
        expected.push_str(&format!("{version} {{\n    global:\n"));
        symbols.iter().for_each(|symbol| expected.push_str(&format!("        {symbol};\n")));
        expected.push_str(&match &before {
            None => "    local:\n        *;\n};\n".to_string(),
            Some(before) => format!("}} {before};\n"),
        });
        before = Some(version);
    }
    let script = std::fs::read_to_string(root().join("include/happysock.map")).expect("include/happysock.map");
    let (_, nodes) = script.split_once("*/\n").expect("a comment at the top");
    assert_eq!(nodes, expected, "include/happysock.map is to be, below its comment:\n{expected}");
}

#[test]
fn the_ledger_is_sorted_and_its_versions_are_no_later_than_this_one() {
    let version = |text: &str| -> Vec<u32> { text.split('.').map(|number| number.parse().unwrap()).collect() };
    let ledger = ledger();
    assert!(ledger.windows(2).all(|pair| pair[0].0 < pair[1].0), "include/happysock.symbols is not sorted");
    for (symbol, since) in &ledger {
        let current = version(env!("CARGO_PKG_VERSION"));
        assert!(version(since) <= current, "{symbol} arrived in {since}, this is {}", env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn the_shared_library_has_its_soname_and_stays_loaded() {
    for library in [&library_of_cargo(), library_to_install()] {
        let dynamic = output_of("readelf", &["--dynamic", "--wide"], library);
        assert!(dynamic.contains("[libhappysock.so.0]"), "no SONAME libhappysock.so.0:\n{dynamic}");
        assert!(dynamic.contains("NODELETE"), "not linked with -z nodelete:\n{dynamic}");
    }
}

/// Panics stop at the boundary because the body of every export is one call of `export!`. A new export that
/// forgets it is found here.
#[test]
fn the_body_of_every_export_is_the_export_macro() {
    let mut bodies = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("src/capi")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("#[unsafe(no_mangle)]").skip(1) {
            let (signature, rest) = part.split_once('{').expect("a body");
            let name = signature.split_once("fn ").unwrap().1.split('(').next().unwrap().trim().to_string();
            bodies.insert(name, rest.trim_start().lines().next().unwrap().to_string());
        }
    }
    let without: Vec<_> = bodies.iter().filter(|(_, body)| !body.starts_with("export!")).collect();
    assert!(without.is_empty(), "without export!: {without:#?}");
    let recorded: Vec<String> = ledger().into_iter().map(|(symbol, _)| symbol).collect();
    assert_eq!(bodies.into_keys().collect::<Vec<_>>(), recorded, "src/capi and include/happysock.symbols differ");
}
