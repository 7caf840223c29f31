//! The arrows between the rooms of `src`, and within each room: which may name which, and that the pure ones
//! are pure. ARCHITECTURE.md says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and what it may name of ours.
const ROOMS: [(&str, &[&str]); 7] = [
    ("capi", &["drive", "race", "lookup", "history", "sys"]),
    ("drive", &["race", "lookup", "history", "sys"]),
    // Pure but for its lock and the question whether it is another process's.
    ("history", &["sys"]),
    // Of the race it has what both speak of: the error of a lookup, and the order of addresses.
    ("lookup", &["race", "dns", "sys"]),
    ("race", &[]),
    ("dns", &[]),
    ("sys", &[]),
];

/// The rooms that take the time and events and answer with actions, with the numbers of libc that each may
/// name.
const PURE: [(&str, &[&str]); 2] = [("race", &["EAI_"]), ("dns", &["E", "AF_", "AI_"])];

/// What reads a clock, waits, or reaches the world outside.
const IMPURE: [&str; 14] = [
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
    "extern ",
    "println!",
    "parking_lot",
    // Nothing of ours lies below them.
    "crate::",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a folder and below, by their path in it without the ending: `multi/turn`.
fn files(room: &str) -> BTreeMap<String, String> {
    fn gather(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
            if path.is_dir() {
                gather(&path, &format!("{name}/"), into);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                // What tests name is theirs; and words in comments are no names.
                let text = text.split("#[cfg(all(test").next().unwrap().split("#[cfg(test)]").next().unwrap();
                let code = text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
                into.insert(name, code);
            }
        }
    }
    let mut found = BTreeMap::new();
    gather(&source().join(room), "", &mut found);
    assert!(!found.is_empty(), "the sources of {room} were not found");
    found
}

/// What follows each place where `before` stands: the name, or the names in braces.
fn names_after(code: &str, before: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        let end = text.find(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric());
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut names = BTreeSet::new();
    for rest in code.split(before).skip(1) {
        match rest.strip_prefix('{') {
            // One level is enough: what is named within an item in braces belongs to that item.
            Some(list) => {
                let mut depth = 0;
                let mut item = true;
                for (place, letter) in list.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => item = true,
                        letter if item && (letter == '_' || letter.is_ascii_alphanumeric()) => {
                            names.insert(word(&list[place..]));
                            item = false;
                        }
                        _ => {}
                    }
                }
            }
            None => drop(names.insert(word(rest))),
        }
    }
    names
}

#[test]
fn a_room_names_only_what_lies_below_it() {
    for (room, may_name) in ROOMS {
        for (file, code) in files(room) {
            let named: BTreeSet<String> =
                names_after(&code, "crate::").into_iter().filter(|name| name != room && name != "__").collect();
            for name in named.iter().filter(|name| ROOMS.iter().any(|(other, _)| other == name)) {
                assert!(may_name.contains(&name.as_str()), "{room}/{file} names {name}");
            }
        }
    }
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    for (room, numbers) in PURE {
        let files = files(room);
        assert!(files["mod"].contains("#![forbid(unsafe_code)]"), "{room} does not forbid unsafe code");
        for (file, code) in files {
            for line in code.lines() {
                for word in IMPURE {
                    assert!(!line.contains(word), "{room}/{file}: {line}");
                }
                for name in line.split("libc::").skip(1) {
                    assert!(numbers.iter().any(|prefix| name.starts_with(prefix)), "{room}/{file}: {line}");
                }
            }
        }
    }
}

#[test]
fn of_the_race_lookups_have_the_error_and_the_order_only() {
    let order = ["AnsweredBy", "LookupError", "Family", "GaiConf", "MissingNumber", "PolicyTable", "Route", "order"];
    for (file, code) in files("lookup") {
        let named = names_after(&code, "crate::race::");
        assert!(named.iter().all(|name| order.contains(&name.as_str())), "lookup/{file} names {named:?}");
    }
}

/// The files of its own room that a file names. `super` is the folder that the file is in; `mod` names the
/// items of its files only to pass them on.
fn neighbours(room: &str, file: &str, code: &str, all: &BTreeMap<String, String>) -> BTreeSet<String> {
    let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut named: BTreeSet<String> =
        names_after(code, "super::").into_iter().map(|name| format!("{folder}{name}")).collect();
    named.extend(names_after(code, &format!("crate::{room}::")));
    named.retain(|name| all.contains_key(name) && name != file);
    named
}

#[test]
fn no_two_files_of_a_room_import_each_other() {
    for (room, _) in ROOMS {
        let all = files(room);
        let mut left: BTreeMap<&String, BTreeSet<String>> = all
            .iter()
            .filter(|(file, _)| *file != "mod")
            .map(|(file, code)| (file, neighbours(room, file, code, &all)))
            .collect();
        assert!(left.values().any(|named| !named.is_empty()), "the imports of {room} were not found");
        for (file, code) in &all {
            assert!(!code.contains("use super::*"), "{room}/{file} hides what it names");
        }
        // Files that name none of those left can be taken away, until none is left or those that are go round in a
        // circle.
        while !left.is_empty() {
            let leaves: Vec<&String> = left
                .iter()
                .filter(|(_, named)| !named.iter().any(|other| left.contains_key(other)))
                .map(|(file, _)| *file)
                .collect();
            assert!(!leaves.is_empty(), "{room}: a circle among {:?}", left);
            left.retain(|file, _| !leaves.contains(file));
        }
    }
}
