use happysock::dns::hosts::{Hosts, LARGEST_FILE};
use happysock::dns::{Families, Family};
use std::net::IpAddr;

const V4: Families = Families::Only(Family::V4);
const V6: Families = Families::Only(Family::V6);
const BOTH: Families = Families::Both;

fn find(text: impl AsRef<[u8]>, name: impl AsRef<[u8]>, families: Families, multi: bool) -> Vec<String> {
    let hosts = Hosts::parse(text.as_ref().to_vec()).unwrap();
    hosts.addresses(name.as_ref(), families, multi).map(|address: IpAddr| address.to_string()).collect()
}

/// With multi, all lines, for both families.
fn all(text: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Vec<String> {
    find(text, name, BOTH, true)
}

const LOCAL: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n";

#[test]
fn families_are_separate() {
    assert_eq!(find(LOCAL, "localhost", V4, true), ["127.0.0.1", "127.0.0.1"]);
    assert_eq!(find(LOCAL, "localhost", V6, true), ["::1"]);
    assert_eq!(find(LOCAL, "localhost", BOTH, true), ["127.0.0.1", "::1"]);
    assert_eq!(find("127.0.0.1 four\n", "four", V6, true), [""; 0]);
    assert_eq!(find("2001:db8::1 six\n", "six", V4, true), [""; 0]);
}

/// Seen: without multi the first matching line only, for each family; for both families together that is one
/// address.
#[test]
fn without_multi_the_first_line_counts() {
    assert_eq!(find(LOCAL, "localhost", V4, false), ["127.0.0.1"]);
    assert_eq!(find(LOCAL, "localhost", V6, false), ["::1"]);
    assert_eq!(find(LOCAL, "localhost", BOTH, false), ["127.0.0.1"]);
    assert_eq!(find("::1 x\n127.0.0.1 x\n", "x", BOTH, false), ["::1"]);
    assert_eq!(find("192.0.2.1 x\n192.0.2.2 x\n", "x", V4, false), ["192.0.2.1"]);
}

/// The order of the file, and what is there twice is given twice.
#[test]
fn order_and_duplicates_are_kept() {
    let text = "192.0.2.9 x\n192.0.2.1 y x\n2001:db8::1 x\n192.0.2.9 x\n192.0.2.5 X\n";
    assert_eq!(all(text, "x"), ["192.0.2.9", "192.0.2.1", "2001:db8::1", "192.0.2.9", "192.0.2.5"]);
    // One line counts once, however often it names the host.
    assert_eq!(all("192.0.2.1 x x X y x\n", "x"), ["192.0.2.1"]);
}

/// Seen, and nss/tst-nss-files-hosts-v4mapped: a mapped address serves both families, `::1` is 127.0.0.1 for
/// those who ask for IPv4 alone, and no other IPv6 address is converted.
#[test]
fn converted_addresses() {
    let mapped = "::ffff:192.168.0.1 mapped\n";
    assert_eq!(find(mapped, "mapped", V4, true), ["192.168.0.1"]);
    assert_eq!(find(mapped, "mapped", V6, true), ["::ffff:192.168.0.1"]);
    assert_eq!(find(mapped, "mapped", BOTH, true), ["::ffff:192.168.0.1"]);
    assert_eq!(find("::1 six\n", "six", V4, true), ["127.0.0.1"]);
    assert_eq!(find("::1 six\n", "six", BOTH, true), ["::1"]);
    for other in ["::2", "::", "::192.0.2.1", "64:ff9b::192.0.2.1", "fe80::1"] {
        assert_eq!(find(format!("{other} six\n"), "six", V4, true), [""; 0], "{other}");
    }
}

/// The whole name, but for the case of letters: no dot is added or taken away, and there is no search list.
#[test]
fn names_match_in_full() {
    let text = "192.0.2.1 Dot.Test. plain UPPER under_score\n";
    for name in ["dot.test.", "DOT.TEST.", "plain", "PLAIN", "upper", "under_score"] {
        assert_eq!(all(text, name), ["192.0.2.1"], "{name}");
    }
    for name in ["dot.test", "plain.", "plai", "plainn", "dot", "test.", "", "192.0.2.1", "plain UPPER", "under-score"]
    {
        assert_eq!(all(text, name), [""; 0], "{name}");
    }
}

/// Names are not looked at: not only host names can be there. Letters outside ASCII have no case.
#[test]
fn names_are_not_checked() {
    let text = "192.0.2.1 ü.example -x *.y a..b .z 1.2.3.4.5\n".as_bytes();
    for name in ["ü.example", "-x", "*.y", "a..b", ".z", "1.2.3.4.5"] {
        assert_eq!(all(text, name), ["192.0.2.1"], "{name}");
    }
    assert_eq!(all(text, "Ü.example"), [""; 0]);
    assert_eq!(all(b"192.0.2.1 \xff\xfe\n", b"\xff\xfe"), ["192.0.2.1"]);
}

/// `#` cuts a line wherever it stands, also inside a word.
#[test]
fn comments() {
    let text = "#192.0.2.1 a\n192.0.2.2 b#c d\n192.0.2.3 #e\n192.0.2#.4 f\n  # g\n192.0.2.5 h # a\n";
    assert_eq!(all(text, "b"), ["192.0.2.2"]);
    assert_eq!(all(text, "h"), ["192.0.2.5"]);
    for name in ["a", "c", "d", "e", "f", "g", "b#c", "#e", "#"] {
        assert_eq!(all(text, name), [""; 0], "{name}");
    }
}

#[test]
fn blanks() {
    for text in [
        "192.0.2.1 x\n",
        "  \t192.0.2.1 x\n",
        "192.0.2.1\t\tx   y\n",
        "192.0.2.1 y\tx",
        "192.0.2.1 x\r\n",
        "\r\n\x0b192.0.2.1\x0cx\n",
        "\n\n192.0.2.1 x \t\n\n",
    ] {
        assert_eq!(all(text, "x"), ["192.0.2.1"], "{text:?}");
    }
}

/// Only what inet_pton(3) reads is an address; other lines are skipped.
#[test]
fn odd_lines_are_skipped() {
    for address in [
        "127.1",
        "1.2.3",
        "0x7f000001",
        "1.2.3.4.",
        "1.2.3.256",
        "1.2.3.04",
        "1.2.3.4/32",
        "fe80::1%lo",
        "fe80::1%1",
        "[::1]",
        "1::2::3",
        "12345::",
        "1.2.3.4x",
        "x",
        "\u{ff11}.2.3.4",
    ] {
        let text = format!("{address} x\n192.0.2.7 x\n");
        assert_eq!(all(&text, "x"), ["192.0.2.7"], "{address}");
    }
    for address in ["::", "::1", "1::", "::FFFF:1.2.3.4", "FE80::1", "1:2:3:4:5:6:7::", "0.0.0.0", "255.255.255.255"] {
        assert_eq!(all(format!("{address} x\n"), "x").len(), 1, "{address}");
    }
    assert_eq!(all("192.0.2.1\n192.0.2.2 \nx\n192.0.2.3 x\n", "x"), ["192.0.2.3"]);
}

/// A zero byte ends a line for C, not the file.
#[test]
fn zero_bytes() {
    let text = "192.0.2.1 a\0 b\n\x00192.0.2.2 b\n192.0.2.3 b\n";
    assert_eq!(all(text, "a"), ["192.0.2.1"]);
    assert_eq!(all(text, "b"), ["192.0.2.3"]);
}

/// Seen: leading blanks of a last line without a newline bring as many bytes of its end once more, since
/// glibc moves the text without the zero behind it.
#[test]
fn a_moved_last_line_repeats_its_end() {
    assert_eq!(all("192.0.2.1 abcd", "abcd"), ["192.0.2.1"]);
    assert_eq!(all("  192.0.2.1 abcd", "abcdcd"), ["192.0.2.1"]);
    assert_eq!(all("  192.0.2.1 abcd", "abcd"), [""; 0]);
    assert_eq!(all("\n  192.0.2.1 abcd # x", "abcd"), ["192.0.2.1"]);
    assert_eq!(all("   192.0.2.1 ab c", "ab"), ["192.0.2.1"]);
    assert_eq!(all("   192.0.2.1 ab c", "cb"), ["192.0.2.1"]);
    assert_eq!(all("   192.0.2.1 ab c", "c"), ["192.0.2.1"]);
}

/// nss/tst-nss-files-hosts-long: no line is too long.
#[test]
fn long_lines() {
    let names: Vec<String> = (0..50_000).map(|number| format!("host{number}.example")).collect();
    let text = format!("192.0.2.1 {}\n2001:db8::1 {}\n", names.join(" "), names.join("\t"));
    for name in ["host0.example", "host49999.example", "HOST777.example"] {
        assert_eq!(all(&text, name), ["192.0.2.1", "2001:db8::1"]);
    }
    let long = "x".repeat(100_000);
    assert_eq!(all(format!("192.0.2.1 {long}\n"), &long), ["192.0.2.1"]);
}

/// nss/tst-nss-files-hosts-multi: thousands of addresses of one name, among others.
#[test]
fn many_addresses() {
    let mut text = String::from(LOCAL);
    for number in 0..2_000 {
        let (high, low) = (number / 256, number % 256);
        text.push_str(&format!("10.4.{high}.{low} www4.example.com\n10.46.{high}.{low} www.example.com\n"));
        text.push_str(&format!("192.0.2.1 alias.example.com v4-{number}.example.com\n"));
        text.push_str(&format!("2001:db8::46:{number:x} www.example.com\n"));
    }
    let hosts = Hosts::parse(text.into_bytes()).unwrap();
    let count = |name: &str, families, multi| hosts.addresses(name.as_bytes(), families, multi).count();
    assert_eq!(count("www4.example.com", V4, true), 2_000);
    assert_eq!(count("www4.example.com", V6, true), 0);
    assert_eq!(count("www.example.com", BOTH, true), 4_000);
    assert_eq!(count("www.example.com", BOTH, false), 1);
    assert_eq!(count("alias.example.com", V4, true), 2_000);
    assert_eq!(count("v4-1999.example.com", BOTH, true), 1);
    let last = hosts.addresses(b"www.example.com", BOTH, true).last().unwrap();
    assert_eq!(last, "2001:db8::46:7cf".parse::<IpAddr>().unwrap());
}

#[test]
fn size_is_bounded() {
    assert!(Hosts::parse(vec![b'#'; LARGEST_FILE]).is_some());
    assert!(Hosts::parse(vec![b'#'; LARGEST_FILE + 1]).is_none());
    assert_eq!(all("", "x"), [""; 0]);
    assert_eq!(Hosts::default().addresses(b"x", BOTH, true).count(), 0);
}
