//! The policy table of RFC 6724, section 2.1, and what gai.conf(5) makes of it, read as glibc reads it.
use happysock::race::{Family, PolicyTable};
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn read(text: &str) -> PolicyTable {
    PolicyTable::from_gai_conf(text)
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
        ("::ffff:127.0.0.1", 2),
        ("::ffff:192.0.2.1", 14),
    ];
    for (address, scope) in table {
        assert_eq!(policy.scope(ip(address)), scope, "{address}");
    }
}

// gai.conf(5): what stands behind # is a comment.
#[test]
fn a_file_of_comments_changes_nothing() {
    assert_eq!(read(""), PolicyTable::default());
    assert_eq!(read("# precedence ::ffff:0:0/96 100\n\n   \n#label ::1/128 7\n"), PolicyTable::default());
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
    assert_eq!(policy.label(ip("fd00::1")), 13);
}

// Our rule: where the table does not rank IPv4 higher, section 3 of RFC 8305 stands: AAAA first.
#[test]
fn equal_precedence_prefers_ipv6() {
    assert_eq!(read("precedence ::ffff:0:0/96 40").preferred_family(), Family::V6);
    assert_eq!(read("precedence ::ffff:0:0/96 41").preferred_family(), Family::V4);
    assert_eq!(read("precedence ::/0 41\nprecedence ::ffff:0:0/96 41").preferred_family(), Family::V6);
}

// glibc: one line of a kind replaces the whole table of that kind.
#[test]
fn one_label_line_replaces_all_labels() {
    let policy = read("label 2001:db8::/32 9");
    assert_eq!(policy.label(ip("2001:db8::1")), 9);
    assert_eq!(policy.label(ip("fd00::1")), 1);
    assert_eq!(policy.label(ip("192.0.2.1")), 1);
    assert_eq!(policy.precedence(ip("192.0.2.1")), 35);
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

// glibc reads numbers with strtoul(3), for which nothing is 0.
#[test]
fn a_missing_number_is_zero() {
    // What strtoul(3) makes of nothing.
    assert_eq!(read("label ::1/128").label(ip("::1")), 0);
    assert_eq!(read("label ::1/ 5").label(ip("2001:db8::1")), 5);
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
        assert_eq!(read(line), PolicyTable::default(), "{line}");
    }
    assert_eq!(read(&bad.join("\n")), PolicyTable::default());
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
}

#[test]
fn a_caller_may_prefer_a_family_whatever_the_table_says() {
    let addresses =
        ["2001:db8::1", "::1", "fc00::1", "2002::1", "192.0.2.1", "127.0.0.1"].map(|text| text.parse().unwrap());
    for text in
        ["", "precedence ::ffff:0:0/96 100", "precedence ::/0 2147483647", "precedence ::ffff:0:0/96 2147483647"]
    {
        let table = PolicyTable::from_gai_conf(text);
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
