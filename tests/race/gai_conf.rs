//! The policy table of RFC 6724, section 2.1, and what gai.conf(5) makes of it, read as glibc reads it.
use happysock::race::{Family, GaiConf, MissingNumber, PolicyTable};
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn read(text: &str) -> PolicyTable {
    GaiConf::read(text.as_bytes(), MissingNumber::Nothing).policy
}

// RFC 6724, section 2.1: the default policy table.
#[test]
fn the_default_table_is_that_of_rfc_6724_section_2_1() {
    let policy = PolicyTable::default();
    let table = [
        ("::1", 50, 0),
        ("2a00::1", 40, 1),
        ("::", 1, 3),
        ("::2", 1, 3),
        ("192.0.2.1", 35, 4),
        ("::ffff:192.0.2.1", 35, 4),
        ("2002::1", 30, 2),
        ("2001::1", 5, 5),
        ("2001:0:ffff::1", 5, 5),
        ("2001:1::1", 40, 1),
        ("fc00::1", 3, 13),
        ("fdff::1", 3, 13),
        ("fe00::1", 40, 1),
        ("fec0::1", 1, 11),
        ("feff::1", 1, 11),
        ("3ffe::1", 1, 12),
        ("3fff::1", 40, 1),
        ("::1:0:0", 40, 1),
    ];
    for (address, precedence, label) in table {
        assert_eq!((policy.precedence(ip(address)), policy.label(ip(address))), (precedence, label), "{address}");
    }
}

// gai.conf(5): the defaults of glibc, which has the table of RFC 3484 with rows for site-local, unique local
// and Teredo addresses.
#[test]
fn without_a_file_the_table_is_glibc_own() {
    let policy = PolicyTable::of_glibc();
    let table = [
        ("::1", 50, 0),
        ("2a00::1", 40, 1),
        ("::", 20, 3),
        ("::2", 20, 3),
        ("192.0.2.1", 10, 4),
        ("::ffff:192.0.2.1", 10, 4),
        ("2002::1", 30, 2),
        ("2001::1", 40, 7),
        ("2001:0:ffff::1", 40, 7),
        ("2001:1::1", 40, 1),
        ("fc00::1", 40, 6),
        ("fdff::1", 40, 6),
        ("fe00::1", 40, 1),
        ("fec0::1", 40, 5),
        ("feff::1", 40, 5),
        ("3ffe::1", 40, 1),
        ("::1:0:0", 40, 1),
    ];
    for (address, precedence, label) in table {
        assert_eq!((policy.precedence(ip(address)), policy.label(ip(address))), (precedence, label), "{address}");
        assert_eq!(policy.scope(ip(address)), PolicyTable::default().scope(ip(address)), "{address}");
    }
    assert_eq!(policy.preferred_family(), Family::V6);
}

// RFC 6724, sections 3.1 and 3.2: the scopes of IPv6 and IPv4 addresses.
#[test]
fn scopes_are_those_of_rfc_6724_section_3() {
    let policy = PolicyTable::default();
    let table = [
        ("::1", 2),
        ("fe80::1", 2),
        ("febf::1", 2),
        ("fec0::1", 5),
        ("feff::1", 5),
        ("fe7f::1", 14),
        ("2001:db8::1", 14),
        ("fd00::1", 14),
        ("ff00::1", 0),
        ("ff02::1", 2),
        ("ff18::1", 8),
        ("ffff::1", 15),
        ("127.0.0.1", 2),
        ("127.255.255.255", 2),
        ("169.254.1.1", 2),
        ("169.253.1.1", 14),
        ("10.0.0.1", 14),
        ("192.0.2.1", 14),
        // glibc: what is mapped does not count.
        ("::ffff:127.0.0.1", 14),
        ("::ffff:192.0.2.1", 14),
    ];
    for (address, scope) in table {
        assert_eq!(policy.scope(ip(address)), scope, "{address}");
    }
}

// gai.conf(5): what stands behind # is a comment.
#[test]
fn a_file_of_comments_changes_nothing() {
    assert_eq!(read(""), PolicyTable::of_glibc());
    assert_eq!(read("# precedence ::ffff:0:0/96 100\n\n   \n#label ::1/128 7\n"), PolicyTable::of_glibc());
}

// RFC 6724, section 2.1: ::/0 has precedence 40, ::ffff:0:0/96 has 35.
#[test]
fn ipv6_is_preferred_by_default() {
    assert_eq!(PolicyTable::default().preferred_family(), Family::V6);
}

// gai.conf(5): precedence ::ffff:0:0/96 100 is how an administrator prefers IPv4.
#[test]
fn the_usual_edit_prefers_ipv4() {
    let policy = read("precedence ::ffff:0:0/96  100\n");
    assert_eq!(policy.preferred_family(), Family::V4);
    // The line replaced the whole table: everything else has the precedence of ::/0.
    for address in ["2001:db8::1", "::1", "fd00::1", "2002::1"] {
        assert_eq!(policy.precedence(ip(address)), 40);
    }
    assert_eq!(policy.precedence(ip("192.0.2.1")), 100);
    // Labels were not touched.
    assert_eq!(policy.label(ip("fd00::1")), 6);
}

// Our rule: where the table does not rank IPv4 higher, section 3 of RFC 8305 stands: AAAA first.
#[test]
fn equal_precedence_prefers_ipv6() {
    assert_eq!(read("precedence ::ffff:0:0/96 40").preferred_family(), Family::V6);
    assert_eq!(read("precedence ::ffff:0:0/96 41").preferred_family(), Family::V4);
    assert_eq!(read("precedence ::/0 41\nprecedence ::ffff:0:0/96 41").preferred_family(), Family::V6);
}

// Our rule: what most global addresses of a family have decides, whichever rows say it.
#[test]
fn any_row_may_decide_which_family_is_preferred() {
    for (text, preferred) in [
        ("precedence 2000::/3 5\nprecedence ::ffff:0:0/96 10", Family::V4),
        ("precedence 2000::/3 50\nprecedence ::ffff:0:0/96 45", Family::V6),
        ("precedence 2000::/4 5\nprecedence 3000::/4 5\nprecedence ::ffff:0:0/96 10", Family::V4),
        ("precedence 2000::/4 50\nprecedence 3000::/5 50\nprecedence ::ffff:0:0/96 45", Family::V6),
        // Not where most addresses are.
        ("precedence 2001:db8::/32 5\nprecedence ::ffff:0:0/96 10", Family::V6),
        ("precedence fc00::/7 5\nprecedence ::ffff:0:0/96 10", Family::V6),
        ("precedence ::ffff:10.0.0.0/104 100", Family::V6),
        // Halves of IPv4.
        ("precedence ::ffff:0.0.0.0/97 100\nprecedence ::ffff:128.0.0.0/97 100", Family::V4),
        ("precedence ::/1 5\nprecedence ::ffff:0:0/96 10", Family::V4),
    ] {
        assert_eq!(read(text).preferred_family(), preferred, "{text}");
    }
}

// glibc: one line of a kind replaces the whole table of that kind.
#[test]
fn one_label_line_replaces_all_labels() {
    let policy = read("label 2001:db8::/32 9");
    assert_eq!(policy.label(ip("2001:db8::1")), 9);
    assert_eq!(policy.label(ip("fd00::1")), 1);
    assert_eq!(policy.label(ip("192.0.2.1")), 1);
    assert_eq!(policy.precedence(ip("192.0.2.1")), 10);
}

// RFC 6724, section 2.1: the entry with the longest matching prefix counts. glibc: of equals the first.
#[test]
fn the_longest_prefix_counts_and_among_equals_the_first_line() {
    let policy = read("label ::/0 7\nlabel 2001:db8::/32 8\nlabel 2001:db8::/48 9\nlabel 2001:db8::/32 10");
    assert_eq!(policy.label(ip("2001:db8:0:1::1")), 9);
    assert_eq!(policy.label(ip("2001:db8:1::1")), 8);
    assert_eq!(policy.label(ip("2001:db9::1")), 7);
}

// glibc: without a length the prefix is the whole address.
#[test]
fn a_prefix_without_a_length_is_one_address() {
    let policy = read("precedence 2001:db8::5 77");
    assert_eq!(policy.precedence(ip("2001:db8::5")), 77);
    assert_eq!(policy.precedence(ip("2001:db8::4")), 40);
}

// RFC 6724, section 2.1: only the bits of the prefix are compared.
#[test]
fn bits_beyond_the_prefix_do_not_count() {
    let policy = read("label 2001:db8:ffff::1/32 9");
    assert_eq!(policy.label(ip("2001:db8::1")), 9);
}

// glibc: what stands behind the value is ignored.
#[test]
fn words_after_the_second_value_and_comments_are_ignored() {
    let policy = read("\t label\t2001:db8::/32   9 more words # and a comment\n");
    assert_eq!(policy.label(ip("2001:db8::1")), 9);
    assert_eq!(read("label 2001:db8::/32 9#comment").label(ip("2001:db8::1")), 9);
}

// glibc before 2.41 reads numbers with strtoul(3), for which nothing is 0; since then it wants a number.
#[test]
fn a_missing_number_is_zero_or_spoils_the_line() {
    for (text, address, label) in [("label ::1/128", "::1", 0), ("label ::1/ 5", "2001:db8::1", 5)] {
        let before = GaiConf::read(text.as_bytes(), MissingNumber::Zero);
        assert_eq!(before.policy.label(ip(address)), label, "{text}");
        assert_eq!(read(text), PolicyTable::of_glibc(), "{text}");
    }
    let before = GaiConf::read(b"scopev4 10.0.0.0/ 5\nscopev4 10.1.0.0/16", MissingNumber::Zero).policy;
    assert_eq!((before.scope(ip("11.0.0.1")), before.scope(ip("10.1.0.1"))), (5, 0));
}

// strtoul(3): a sign may stand before a number, and a negative one is counted from the end of the range.
#[test]
fn numbers_are_those_of_strtoul() {
    for (number, value) in [("-0", 0), ("+7", 7), ("007", 7), ("+0", 0), (&format!("-{}", usize::MAX), 1)] {
        assert_eq!(read(&format!("label 2001:db8::/32 {number}")).label(ip("2001:db8::1")), value, "{number}");
    }
    for number in ["-", "+", "+-7", "-1", "7.0", "0x7", "-2147483647", "18446744073709551616", "7\u{e9}"] {
        assert_eq!(read(&format!("label 2001:db8::/32 {number}")), PolicyTable::of_glibc(), "{number}");
    }
}

// isspace(3): the vertical tab and the form feed are space, and a line is a C string.
#[test]
fn space_is_what_isspace_says_and_a_line_ends_at_a_zero_byte() {
    for text in ["label\u{b}2001:db8::/32\u{c}9", "\u{b}label 2001:db8::/32\r9\r", "label 2001:db8::/32 9\0 x"] {
        assert_eq!(read(text).label(ip("2001:db8::1")), 9, "{text:?}");
    }
    for text in ["label\u{a0}2001:db8::/32 9", "label 2001:db8::/32\0 9", "\0label 2001:db8::/32 9"] {
        assert_eq!(read(text), PolicyTable::of_glibc(), "{text:?}");
    }
    // Bytes that are no text spoil their word only.
    let read = GaiConf::read(b"label 2001:db8::/32 9 \xff\n\xff\nlabel 2001:db9::/32 8", MissingNumber::Nothing);
    assert_eq!((read.policy.label(ip("2001:db8::1")), read.policy.label(ip("2001:db9::1"))), (9, 8));
}

// gai.conf(5): "reload <yes|no>"; the last one counts, and what is not yes is no.
#[test]
fn a_file_may_ask_to_be_read_again() {
    let reload = |text: &str| GaiConf::read(text.as_bytes(), MissingNumber::Nothing).reload;
    assert_eq!(reload("label ::/0 1\n#reload yes"), None);
    assert_eq!(reload("reload yes"), Some(true));
    assert_eq!(reload("reload yes\nreload no"), Some(false));
    assert_eq!(reload("reload Yes"), Some(false));
    assert_eq!(reload("reload"), Some(false));
    assert_eq!(reload("reload no\n reload yes # always"), Some(true));
}

// glibc: a line that makes no sense is skipped.
#[test]
fn lines_that_libc_would_not_accept_are_skipped() {
    let bad = [
        "label",
        "label 192.0.2.0/24 5",
        "label 2001:db8::/129 5",
        "label 2001:db8::/x 5",
        "label 2001:db8::/32 x",
        "label 2001:db8::/32 5x",
        "label 2001:db8::/32 2147483648",
        "label 2001:db8::/32 99999999999999999999",
        "label 2001:db8::/32/4 5",
        "label nonsense 5",
        "Label 2001:db8::/32 5",
        "labels 2001:db8::/32 5",
        "precedence 2001:db8::/129 5",
        "scopev4 ::ffff:10.0.0.0/95 5",
        "scopev4 10.0.0.0/33 5",
        "scopev4 2001:db8::/112 5",
        "scopev4 10.0.0.0/8 x",
        "scopev4 10.0.0.0/8 2147483648",
        "reload yes",
        "unknown 2001:db8::/32 5",
    ];
    for line in bad {
        assert_eq!(read(line), PolicyTable::of_glibc(), "{line}");
    }
    assert_eq!(read(&bad.join("\n")), PolicyTable::of_glibc());
    assert_eq!(read("label 2001:db8::/32 2147483647").label(ip("2001:db8::1")), i32::MAX as u32);
    assert_eq!(read("label 2001:db8::1/128 5").label(ip("2001:db8::1")), 5);
}

// gai.conf(5): scopev4 lines replace the scopes of IPv4 addresses (RFC 6724, section 3.2).
#[test]
fn scopev4_replaces_the_scopes_of_ipv4() {
    for line in ["scopev4 ::ffff:10.0.0.0/104 5", "scopev4 10.0.0.0/8 5"] {
        let policy = read(line);
        assert_eq!(policy.scope(ip("10.1.2.3")), 5, "{line}");
        assert_eq!(policy.scope(ip("11.1.2.3")), 14, "{line}");
        assert_eq!(policy.scope(ip("127.0.0.1")), 14, "{line}");
        assert_eq!(policy.scope(ip("fe80::1")), 2, "{line}");
    }
    let policy = read("scopev4 0.0.0.0/0 3\nscopev4 192.0.2.1 4\nscopev4 ::ffff:192.0.2.2 6");
    assert_eq!(policy.scope(ip("192.0.2.1")), 4);
    assert_eq!(policy.scope(ip("192.0.2.2")), 6);
    assert_eq!(policy.scope(ip("192.0.2.3")), 3);
    assert_eq!(read("scopev4 ::ffff:0.0.0.0/96 3").scope(ip("192.0.2.3")), 3);
    assert_eq!(read("scopev4 0.0.0.0/32 3").scope(ip("0.0.0.0")), 3);
}

// gai.conf(5): the file may say what is the default anyway.
#[test]
fn glibc_own_default_table_can_be_written_out() {
    let policy = read(
        "label ::1/128 0\nlabel ::/0 1\nlabel 2002::/16 2\nlabel ::/96 3\nlabel ::ffff:0:0/96 4\nlabel fec0::/10 5\n\
         label fc00::/7 6\nlabel 2001:0::/32 7\nprecedence ::1/128 50\nprecedence ::/0 40\nprecedence 2002::/16 30\n\
         precedence ::/96 20\nprecedence ::ffff:0:0/96 10\n",
    );
    assert_eq!((policy.label(ip("fd00::1")), policy.precedence(ip("fd00::1"))), (6, 40));
    assert_eq!((policy.label(ip("192.0.2.1")), policy.precedence(ip("192.0.2.1"))), (4, 10));
    assert_eq!((policy.label(ip("::2")), policy.precedence(ip("::2"))), (3, 20));
    assert_eq!(policy.preferred_family(), Family::V6);
    let own = PolicyTable::of_glibc();
    for address in ["::1", "::2", "192.0.2.1", "2001:0::1", "2001:db8::1", "2002::1", "fd00::1", "fe80::1", "fec0::1"] {
        let ip = ip(address);
        assert_eq!((policy.label(ip), policy.precedence(ip)), (own.label(ip), own.precedence(ip)), "{address}");
    }
}

#[test]
fn a_caller_may_prefer_a_family_whatever_the_table_says() {
    let addresses =
        ["2001:db8::1", "::1", "fc00::1", "2002::1", "192.0.2.1", "127.0.0.1"].map(|text| text.parse().unwrap());
    for text in
        ["", "precedence ::ffff:0:0/96 100", "precedence ::/0 2147483647", "precedence ::ffff:0:0/96 2147483647"]
    {
        let table = read(text);
        for family in [Family::V4, Family::V6] {
            let preferring = table.preferring(family);
            assert_eq!(preferring.preferred_family(), family, "{text}");
            let (preferred, other): (Vec<IpAddr>, Vec<IpAddr>) =
                addresses.iter().partition(|address: &&IpAddr| address.is_ipv6() == (family == Family::V6));
            let of = |table: &PolicyTable, addresses: &[IpAddr]| -> Vec<u32> {
                addresses.iter().map(|&address| table.precedence(address)).collect()
            };
            assert!(of(&preferring, &preferred).iter().min() > of(&preferring, &other).iter().max(), "{text}");
            // Within a family nothing changes.
            let ranks =
                |precedences: Vec<u32>| -> Vec<bool> { precedences.windows(2).map(|two| two[0] > two[1]).collect() };
            assert_eq!(ranks(of(&preferring, &preferred)), ranks(of(&table, &preferred)));
            assert_eq!(of(&preferring, &other), of(&table, &other));
        }
    }
}
