//! The core reads no clock, does no I/O, and imports nothing of ours: checked in its
//! sources.
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
