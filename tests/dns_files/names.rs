use happysock::dns::names::{Form, can_be_machine, form, is_multicast, is_my_host_name};

/// The table of resolv/tst-res_hnok.c, the names with escapes and the empty one aside.
#[test]
fn host_names() {
    let long = "z".repeat(63);
    let of_255 = [&long[..], &long, &long, &long[..61]].join(".");
    let host_names = [
        ".",
        "www",
        "www.",
        "example",
        "example.com",
        "www.example.com",
        "www.example.com.",
        "www-.example.com.",
        "www.-example.com.",
        &long,
        &format!("{long}."),
        &format!("{long}.example.com"),
        &of_255,
        &format!("{of_255}."),
        "x_y",
        "_x",
        "x-",
        "1.2.3.4.",
        "1x",
        "0x",
        "1.2.3.4.x",
    ];
    for name in host_names {
        assert_eq!(form(name.as_bytes()), Form::HostName, "{name}");
    }
    let others = [
        "..",
        "*.example.com",
        "-v",
        "-v.example.com",
        "**.example.com",
        &format!("{long}z"),
        &format!("{long}z.example.com"),
        &format!("{of_255}z"),
        &format!("{of_255}zz"),
        "hostmaster@mail.example.com",
        "with whitespace",
        "with\twhitespace",
        "with\nwhitespace",
        "with.whitespace ",
        "with.whitespace\t",
        "ü.y",
        ".y",
        "a..b",
        "a..",
        "x y",
        "x/y",
    ];
    for name in others {
        assert_eq!(form(name.as_bytes()), Form::NotAHostName, "{name}");
    }
}

/// The other tables of that file: which bytes may stand alone, and which inside.
#[test]
fn bytes_of_host_names() {
    for byte in 1..=255u8 {
        let letter = byte.is_ascii_alphanumeric();
        let special = matches!(byte, b'\\' | b':' | b'%');
        let alone = form(&[byte]);
        match byte {
            b'\\' => assert_eq!(alone, Form::Escaped),
            // A digit is an address to inet_aton(3).
            b':' | b'%' | b'0'..=b'9' => assert_eq!(alone, Form::Numeric),
            b'.' | b'_' => assert_eq!(alone, Form::HostName),
            _ => assert_eq!(alone == Form::HostName, letter, "{byte}"),
        }
        let inside = form(&[b"middle", &[byte][..], b"suffix"].concat());
        assert_eq!(inside == Form::HostName, letter || matches!(byte, b'.' | b'-' | b'_'), "{byte}");
        assert_eq!(inside == Form::NotAHostName, !(letter || special || matches!(byte, b'.' | b'-' | b'_')), "{byte}");
    }
}

/// What inet_aton(3) reads, what only looks like it (nss/digits_dots.c), and scopes.
#[test]
fn numeric_names() {
    for name in [
        "127.0.0.1",
        "127.1",
        "1",
        "0",
        "0x7f000001",
        "0X7F.1",
        "017.1",
        "1.2.3.4.5",
        "1..2",
        "1.2.3.256",
        "4294967296",
        "::1",
        "a:b",
        ":",
        "fe80::1%lo",
        "host%eth0",
        "1.2.3.0x4",
    ] {
        assert_eq!(form(name.as_bytes()), Form::Numeric, "{name}");
    }
    for name in ["1.2.3.4.", "1.", "0x", "0xg", "1e", "1.2.x", "0x1.2.3.4.5", "08x"] {
        assert_eq!(form(name.as_bytes()), Form::HostName, "{name}");
    }
}

#[test]
fn odd_forms() {
    assert_eq!(form(b""), Form::Empty);
    for name in ["x\\.y", "\\", "www.example.com\\", "with\\ blank", "\\:", "1.2.3.4\\"] {
        assert_eq!(form(name.as_bytes()), Form::Escaped, "{name}");
    }
}

/// nss-mdns's verify_name_allowed() without a configuration: names that end in `.local`. Old versions take
/// any number of labels, so it is not counted here.
#[test]
fn multicast_names() {
    for name in ["example.local", "example.local.", "Example.LOCAL", "a.b.local", "a.b.local.", ".local"] {
        assert!(is_multicast(name.as_bytes()), "{name}");
    }
    for name in
        ["local", "local.", "example.com", "example.local.com", "example.local.com.", "", ".", "xlocal", "a.local.."]
    {
        assert!(!is_multicast(name.as_bytes()), "{name}");
    }
}

/// nss-myhostname(8).
#[test]
fn names_of_this_machine() {
    let is = |name: &str| is_my_host_name(name.as_bytes(), b"Box.example.org");
    for name in [
        "localhost",
        "localhost.",
        "LocalHost",
        "localhost.localdomain",
        "localhost.localdomain.",
        "x.localhost",
        "x.localhost.",
        "x.y.localhost.localdomain",
        "x.localhost.localdomain.",
        "_gateway",
        "_gateway.",
        "gateway",
        "GATEWAY",
        "_outbound",
        "_outbound.",
        "Box.example.org",
        "box.example.org",
        "Box.example.org.",
    ] {
        assert!(is(name), "{name}");
    }
    for name in [
        "localhosts",
        "xlocalhost",
        "localhost.x",
        "localdomain",
        "box",
        "x.gateway",
        "outbound",
        "example.org",
        "",
        ".",
    ] {
        assert!(!is(name), "{name}");
    }
    assert!(is_my_host_name(b"box", b"box"));
    assert!(!is_my_host_name(b"box2", b"box"));
}

#[test]
fn names_of_machines() {
    for name in ["x", "x.y", "...", "x y"] {
        assert!(can_be_machine(name.as_bytes()));
    }
    for name in ["", ".", "..", "x/y", "/", "../x"] {
        assert!(!can_be_machine(name.as_bytes()), "{name}");
    }
}
