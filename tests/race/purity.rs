//! The core reads no clock, does no I/O, imports nothing of ours and goes round in no circle: checked in its
//! sources.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const FORBIDDEN: [&str; 14] = [
    "::now()",
    "SystemTime",
    "std::thread",
    "std::sync::Mutex",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "TcpStream",
    "UdpSocket",
    "crate::",
    "extern ",
    "println!",
    "parking_lot",
];

// Our rule: the machine takes the time and events, and answers with actions; nothing else goes in or out.
#[test]
fn the_core_is_pure() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/race");
    let mut seen = 0;
    for entry in fs::read_dir(&room).unwrap() {
        let path = entry.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        for (number, line) in source.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            let place = || format!("{}:{}: {line}", path.display(), number + 1);
            for word in FORBIDDEN {
                assert!(!line.contains(word), "{}", place());
            }
            // Of libc only the numbers that name a failed lookup.
            assert!(line.matches("libc::").count() == line.matches("libc::EAI_").count(), "{}", place());
        }
        seen += 1;
    }
    assert!(seen >= 10, "the sources were not found");
    assert!(fs::read_to_string(room.join("mod.rs")).unwrap().contains("#![forbid(unsafe_code)]"));
}

/// What each file of the room uses of the others.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/race");
    let mut imports = BTreeMap::new();
    for entry in fs::read_dir(&room).unwrap() {
        let path = entry.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
        let used = code.flat_map(|line| line.split("super::").skip(1)).map(|rest| {
            let end = rest.find(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric());
            rest[..end.unwrap_or(rest.len())].to_string()
        });
        imports.insert(path.file_stem().unwrap().to_str().unwrap().to_string(), used.collect());
    }
    imports
}

// Our rule: each file names what it uses of which other file, and no two files import each other, however far
// around.
#[test]
fn no_two_files_import_each_other() {
    let mut left = imports();
    assert!(left["machine"].contains("lookups"), "the imports were not found");
    for (file, used) in &left {
        assert!(used.iter().all(|other| other != "mod" && left.contains_key(other)), "{file} uses {used:?}");
    }
    // Files that use none of those left can be taken away, until none is left or those that are go round in a
    // circle.
    while !left.is_empty() {
        let leaves: Vec<String> = left
            .iter()
            .filter(|(_, used)| !used.iter().any(|other| left.contains_key(other)))
            .map(|(file, _)| file.clone())
            .collect();
        assert!(!leaves.is_empty(), "a circle among {:?}", left.keys());
        left.retain(|file, _| !leaves.contains(file));
    }
}
