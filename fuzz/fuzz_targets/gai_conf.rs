//! Any text as gai.conf(5): a table comes out, and what libc ignores changes nothing.
#![no_main]
use happysock::race::{Family, GaiConf, MissingNumber, PolicyTable};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;

const ADDRESSES: [&str; 8] =
    ["::1", "2001:db8::1", "2002::1", "fd00::1", "fe80::1", "127.0.0.1", "192.0.2.1", "::ffff:10.0.0.1"];

fn read(text: &str) -> PolicyTable {
    GaiConf::read(text.as_bytes(), MissingNumber::Nothing).policy
}

fuzz_target!(|text: &str| {
    let policy = read(text);
    for address in ADDRESSES {
        let address: IpAddr = address.parse().unwrap();
        for value in [policy.label(address), policy.precedence(address), policy.scope(address)] {
            assert!(value <= i32::MAX as u32);
        }
    }
    let lines = |change: fn(&str) -> String| text.lines().map(change).collect::<Vec<_>>().join("\n");
    let same = [
        lines(|line| format!("{line} # comment")),
        lines(|line| format!("  {line}\n\n# label ::/0 9\nreload yes")),
        lines(|line| line.split('#').next().unwrap_or_default().to_string()),
    ];
    for other in same {
        assert_eq!(read(&other), policy);
    }
    // A line that ranks IPv4 above everything, before all others, prefers it whatever the rest says.
    let first = format!("precedence ::ffff:0:0/96 2147483647\nprecedence ::/0 1\n{text}");
    if !text.contains("precedence") {
        assert_eq!(read(&first).preferred_family(), Family::V4);
    }
});
