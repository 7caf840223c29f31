use happysock::dns::resolv_conf::ResolvConf;

const GLIBC: (u32, u32) = (2, 41);

/// As the tests of glibc have it: a host name with a domain, and two interfaces.
fn parse(text: impl AsRef<[u8]>) -> ResolvConf {
    ResolvConf::parse(Some(text.as_ref()), b"www.example.com", GLIBC, |name| match name {
        b"lo" => Some(1),
        b"eth0" => Some(7),
        _ => None,
    })
}

fn servers(text: &str) -> Vec<String> {
    parse(text).servers.iter().map(|server| server.to_string().trim_end_matches(":53").to_string()).collect()
}

fn search(text: impl AsRef<[u8]>) -> Vec<String> {
    let conf = parse(text);
    conf.search.iter().map(|domain| String::from_utf8_lossy(domain).into_owned()).collect()
}

/// What an `options` line changes, in the words of resolver(5).
fn options(line: &str) -> String {
    said(&parse(format!("options {line}\n")))
}

fn said(conf: &ResolvConf) -> String {
    let mut words = Vec::new();
    for (name, value, default) in
        [("ndots", conf.ndots, 1), ("timeout", conf.timeout, 5), ("attempts", conf.attempts, 2)]
    {
        if value != default {
            words.push(format!("{name}:{value}"));
        }
    }
    for (name, value) in [
        ("rotate", conf.rotate),
        ("edns0", conf.edns0),
        ("use-vc", conf.use_vc),
        ("trust-ad", conf.trust_ad),
        ("no-aaaa", conf.no_aaaa),
        ("no-tld-query", conf.no_tld_query),
        ("no-reload", conf.no_reload),
        ("strict-error", conf.strict_error),
        ("single-request", conf.single_request),
        ("single-request-reopen", conf.single_request_reopen),
        ("sortlist", conf.sortlist),
        ("unsure", conf.unsure),
    ] {
        if value {
            words.push(name.to_string());
        }
    }
    words.join(" ")
}

/// No file, an empty one: 127.0.0.1, and the domain of the host name, if it has one.
#[test]
fn defaults() {
    for text in [None, Some(&b""[..]), Some(b"\n \n# nameserver 192.0.2.1\n")] {
        let conf = ResolvConf::parse(text, b"www.example.com", GLIBC, |_| None);
        assert_eq!(conf.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(conf.search, [Box::from(&b"example.com"[..])]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts, said(&conf).as_str()), (1, 5, 2, ""));
    }
    let of = |host_name: &str| ResolvConf::parse(None, host_name.as_bytes(), GLIBC, |_| None).search;
    assert_eq!(of("example"), []);
    assert_eq!(of(""), []);
    assert_eq!(of("a.b.c"), [Box::from(&b"b.c"[..])]);
    assert_eq!(of("a."), [Box::from(&b""[..])]);
    // A search list, if only of one domain, takes its place.
    assert_eq!(search("search x\n"), ["x"]);
}

/// One case of resolv/tst-resolv-res_init-skeleton.c: its name, the file, and of it the servers, the list and
/// the options.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// The cases of resolv/tst-resolv-res_init-skeleton.c without environment variables (those are left to libc).
#[test]
fn res_init() {
    let cases: [Case; 18] = [
        (
            "basic",
            "search corp.example.com example.com\nnameserver 192.0.2.1\n",
            "192.0.2.1",
            "corp.example.com example.com",
            "",
        ),
        ("no-reload", "options no-reload\nsearch x y\nnameserver 192.0.2.1\n", "192.0.2.1", "x y", "no-reload"),
        (
            "whitespace",
            "# This test covers comment and whitespace processing  (trailing whitespace,\n# missing newline at end of file).\n\
             \n;search commented out\nsearch corp.example.com\texample.com \n#nameserver 192.0.2.3\nnameserver 192.0.2.1 \n\
             nameserver 192.0.2.2",
            "192.0.2.1 192.0.2.2",
            "corp.example.com example.com",
            "",
        ),
        ("domain", "domain example.net\nnameserver 192.0.2.1\n", "192.0.2.1", "example.net", ""),
        ("domain space", "domain example.net \nnameserver 192.0.2.1\n", "192.0.2.1", "example.net", ""),
        ("domain tab", "domain example.net\t\nnameserver 192.0.2.1\n", "192.0.2.1", "example.net", ""),
        (
            "domain override",
            "search example.com example.org\nnameserver 192.0.2.1\ndomain example.net",
            "192.0.2.1",
            "example.net",
            "",
        ),
        (
            "option values, multiple servers",
            "options\tinet6\tndots:3 edns0\tattempts:5\ttimeout:19\ndomain  example.net\n;domain comment\n\
             search corp.example.com\texample.com\nnameserver 192.0.2.1\nnameserver ::1\nnameserver 192.0.2.2\n",
            "192.0.2.1 [::1] 192.0.2.2",
            "corp.example.com example.com",
            "ndots:3 timeout:19 attempts:5 edns0",
        ),
        (
            "out-of-range option values",
            "options use-vc timeout:999 attempts:999 ndots:99\nsearch example.com\n",
            "127.0.0.1",
            "example.com",
            "ndots:15 timeout:30 attempts:5 use-vc",
        ),
        (
            "repeated directives",
            "options ndots:3 use-vc\noptions edns0 ndots:2\ndomain corp.example\n\
             search example.net corp.example.com example.com\nsearch example.org\nsearch\n",
            "127.0.0.1",
            "example.org",
            "ndots:2 edns0 use-vc",
        ),
        (
            "many name servers, sortlist",
            "options single-request\nsearch example.org example.com\nsortlist 192.0.2.0/255.255.255.0\n\
             nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
            "192.0.2.1 192.0.2.2 192.0.2.3",
            "example.org example.com",
            "single-request sortlist",
        ),
        (
            "IPv4 and IPv6 nameservers",
            "nameserver 192.0.2.1\nnameserver 2001:db8::2\nnameserver 192.0.2.3\nnameserver 2001:db8::4\n",
            "192.0.2.1 [2001:db8::2] 192.0.2.3",
            "example.com",
            "",
        ),
        (
            "garbage after nameserver",
            "nameserver 192.0.2.1 garbage\nnameserver 192.0.2.2:5353\nnameserver 192.0.2.3 5353\n",
            "192.0.2.1 192.0.2.3",
            "example.com",
            "",
        ),
        (
            "many search list entries (bug 19569)",
            "nameserver 192.0.2.1\nsearch a b c d e f g h\n",
            "192.0.2.1",
            "a b c d e f g h",
            "",
        ),
        ("trust-ad flag", "options trust-ad\nnameserver 192.0.2.1\n", "192.0.2.1", "example.com", "trust-ad"),
        ("no-aaaa flag", "options no-aaaa\nnameserver 192.0.2.1\n", "192.0.2.1", "example.com", "no-aaaa"),
        (
            "strict-error flag",
            "options strict-error\nnameserver 192.0.2.1\n",
            "192.0.2.1",
            "example.com",
            "strict-error",
        ),
        (
            "options can clear flags",
            "options ndots:2 use-vc no-aaaa edns0\noptions ndots:3 -edns0 -no-aaaa\nnameserver 192.0.2.1\n",
            "192.0.2.1",
            "example.com",
            "ndots:3 use-vc",
        ),
    ];
    for (name, text, expected_servers, expected_search, expected_options) in cases {
        assert_eq!(servers(text).join(" "), expected_servers, "{name}");
        assert_eq!(search(text).join(" "), expected_search, "{name}");
        assert_eq!(said(&parse(text)), expected_options, "{name}");
    }
    // "very long search list entries (bug 21475)"
    let domain = format!("{0}.{0}.example.org", "this-name-is-as-long-as-the-previous-name--that-is-63-characters");
    assert_eq!(search(format!("search example.com {domain} {domain}\n")), ["example.com", &domain, &domain]);
}

/// Comments and keywords stand in the first column; a blank or a tab follows a keyword; its case matters.
#[test]
fn keywords() {
    for line in [
        " nameserver 192.0.2.1",
        "\tnameserver 192.0.2.1",
        "#nameserver 192.0.2.1",
        ";nameserver 192.0.2.1",
        "# nameserver 192.0.2.1",
        "Nameserver 192.0.2.1",
        "nameserver:192.0.2.1",
        "nameserver=192.0.2.1",
        "nameserver",
        "nameserver ",
        "nameservers 192.0.2.1",
        "\u{feff}nameserver 192.0.2.1",
        "nameserver\0 192.0.2.1",
        "\0nameserver 192.0.2.1",
    ] {
        assert_eq!(servers(&format!("{line}\nnameserver 192.0.2.9\n")), ["192.0.2.9"], "{line:?}");
    }
    assert_eq!(servers("nameserver\t \t192.0.2.1\n"), ["192.0.2.1"]);
    assert_eq!(servers("# x\0\nnameserver 192.0.2.1\0 \n"), ["192.0.2.1"]);
}

/// A server is what inet_aton(3) reads, or IPv6; what follows a blank is not looked at.
#[test]
fn name_servers() {
    for (word, expected) in [
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.0x1", "127.0.0.1"),
        ("0177.0.0.010", "127.0.0.8"),
        ("1.2.65535", "1.2.255.255"),
        ("1.16777215", "1.255.255.255"),
        ("4294967295", "255.255.255.255"),
        ("0", "0.0.0.0"),
        ("192.0.2.1 # inline", "192.0.2.1"),
        ("192.0.2.1\tx", "192.0.2.1"),
        ("::1", "[::1]"),
        ("2001:DB8::1 x", "[2001:db8::1]"),
        ("::ffff:192.0.2.1", "[::ffff:192.0.2.1]"),
    ] {
        assert_eq!(servers(&format!("nameserver {word}\n")), [expected], "{word}");
    }
    for word in [
        "192.0.2.1:53",
        "192.0.2.1#53",
        "192.0.2.1;",
        "192.0.2.1,192.0.2.2",
        "[::1]",
        "[::1]:53",
        "192.0.2.256",
        "1.2.3.4.5",
        "1.2.3.",
        ".1",
        "08",
        "0x",
        "1.2.65536",
        "1.16777216",
        "4294967296",
        "99999999999999999999",
        "-1",
        "+1",
        "1e3",
        "256.1",
        "1.2.3.4\r",
        "example.com",
        "::1::",
        "12345::1",
        "%lo",
        "localhost",
    ] {
        assert_eq!(servers(&format!("nameserver {word}\nnameserver 192.0.2.9\n")), ["192.0.2.9"], "{word:?}");
    }
}

/// A scope is the name of an interface for link-local addresses, a number for all; any other is ignored, not
/// the server.
#[test]
fn scopes() {
    for (word, expected) in [
        ("fe80::1%eth0", "[fe80::1%7]"),
        ("febf::1%lo", "[febf::1%1]"),
        ("ff02::fb%eth0", "[ff02::fb%7]"),
        ("ff01::1%eth0", "[ff01::1%7]"),
        ("ff12::1%eth0", "[ff12::1%7]"),
        ("fe80::1%3", "[fe80::1%3]"),
        ("fe80::1%4294967295", "[fe80::1%4294967295]"),
        ("2001:db8::1%3", "[2001:db8::1%3]"),
        ("fe80::1%4294967296", "[fe80::1]"),
        ("fe80::1%wlan9", "[fe80::1]"),
        ("fe80::1%", "[fe80::1]"),
        ("fe80::1%-1", "[fe80::1]"),
        ("fe80::1%3x", "[fe80::1]"),
        ("fe80::1%3%4", "[fe80::1]"),
        ("fec0::1%eth0", "[fec0::1]"),
        ("ff05::1%eth0", "[ff05::1]"),
        ("2001:db8::1%eth0", "[2001:db8::1]"),
    ] {
        assert_eq!(servers(&format!("nameserver {word}\n")), [expected], "{word}");
    }
}

/// Seen: an if_nametoindex(3) that knows a name of digits is asked first.
#[test]
fn an_interface_may_be_named_by_a_number() {
    let conf = ResolvConf::parse(Some(b"nameserver fe80::1%3\n"), b"", GLIBC, |name| (name == b"3").then_some(9));
    assert_eq!(conf.servers, ["[fe80::1%9]:53".parse().unwrap()]);
}

/// `domain` and `search` set one list, and the last one counts; an empty one is none.
#[test]
fn search_lists() {
    assert_eq!(search("domain a b\n"), ["a"]);
    assert_eq!(search("search a b\ndomain c\n"), ["c"]);
    assert_eq!(search("domain c\nsearch a b\n"), ["a", "b"]);
    for empty in ["search\n", "search \n", "search \t\n", "domain \n", "search", "search \0a\n"] {
        assert_eq!(search(format!("search a\n{empty}")), ["a"], "{empty:?}");
        assert_eq!(search(empty), ["example.com"], "{empty:?}");
    }
    assert_eq!(search("search  a \t b\t\n"), ["a", "b"]);
    assert_eq!(search("search . a.\n"), [".", "a."]);
    // What is no blank belongs to the name, which then is no host name.
    assert_eq!(search("search a\r\n"), ["a\r"]);
    assert_eq!(search("search a # b\n"), ["a", "#", "b"]);
    assert_eq!(search("search a,b\n"), ["a,b"]);
    assert_eq!(search("search a\0 b\n"), ["a"]);
    assert_eq!(search(b"search \xff\n"), ["\u{fffd}"]);
}

/// Matched by how they begin; what is unknown, or was once known, is ignored.
#[test]
fn flags() {
    for (line, expected) in [
        ("rotate", "rotate"),
        ("\trotate \tedns0  ", "rotate edns0"),
        ("rotated", "rotate"),
        ("edns0,rotate", "edns0"),
        ("rotate\0 edns0", "rotate"),
        ("single-request", "single-request"),
        ("single-request-reopen", "single-request-reopen"),
        ("no-tld-query", "no-tld-query"),
        ("no_tld_query", "no-tld-query"),
        ("use-vc no-reload trust-ad no-aaaa", "use-vc trust-ad no-aaaa no-reload"),
        ("strict-error", "strict-error"),
        ("strict-error -strict-error", ""),
        ("rotate -rotated", ""),
        ("no-tld-query -no_tld_query", ""),
        ("--rotate", ""),
        ("- rotate", "rotate"),
        ("Rotate ROTATE xrotate edns debug inet6 ip6-bytestring ip6-dotint no-ip6-dotint no-check-names", ""),
        ("# rotate", "rotate"),
        ("rotate;edns0", "rotate"),
    ] {
        assert_eq!(options(line), expected, "{line:?}");
    }
    assert_eq!(said(&parse("options\n")), "");
    assert_eq!(said(&parse("options rotate")), "rotate");
}

/// Numbers are strtol(3)'s: blanks and a sign may stand before, anything after; then they are narrowed to an
/// int, and capped.
#[test]
fn numbers() {
    for (line, expected) in [
        ("ndots:0", "ndots:0"),
        ("ndots:15", "ndots:15"),
        ("ndots:16", "ndots:15"),
        ("ndots: 3", "ndots:3"),
        ("ndots:+3", "ndots:3"),
        ("ndots:3x", "ndots:3"),
        ("ndots:03", "ndots:3"),
        ("ndots:0x3", "ndots:0"),
        ("ndots:", "ndots:0"),
        ("ndots", ""),
        ("ndots=3", ""),
        ("ndots:-1", "ndots:0 unsure"),
        ("ndots:4294967298", "ndots:2"),
        ("ndots:99999999999999999999", "ndots:0 unsure"),
        ("-ndots:3", ""),
        ("ndots:2 ndots:4", "ndots:4"),
        ("timeout:1", "timeout:1"),
        ("timeout:0", "timeout:0"),
        ("timeout:30", "timeout:30"),
        ("timeout:31", "timeout:30"),
        ("timeout:-7", "timeout:0"),
        ("timeout:0.5", "timeout:0"),
        ("attempts:1", "attempts:1"),
        ("attempts:0", "attempts:0"),
        ("attempts:5", "attempts:5"),
        ("attempts:6", "attempts:5"),
        ("attempts:-1", "attempts:0"),
    ] {
        assert_eq!(options(line), expected, "{line:?}");
    }
}

/// Distributions carry options back into older versions: whether those know them cannot be told.
#[test]
fn options_younger_than_glibc_are_unsure() {
    let with = |line: &str, glibc| said(&ResolvConf::parse(Some(line.as_bytes()), b"", glibc, |_| None));
    assert_eq!(with("options no-aaaa\n", (2, 36)), "no-aaaa");
    assert_eq!(with("options no-aaaa\n", (2, 35)), "no-aaaa unsure");
    assert_eq!(with("options strict-error\n", (2, 40)), "strict-error unsure");
    assert_eq!(with("options rotate -rotate\n", (2, 40)), "unsure");
    assert_eq!(with("options -unknown\n", (2, 36)), "");
}

/// A sortlist of whatever is left to libc (which comes to no end with some).
#[test]
fn sort_lists() {
    assert_eq!(said(&parse("sortlist 192.0.2.0\n")), "sortlist");
    assert_eq!(said(&parse("sortlist\n")), "");
    assert_eq!(said(&parse("#sortlist 192.0.2.0\n")), "");
}
