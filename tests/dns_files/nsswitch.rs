use happysock::dns::failure::Status;
use happysock::dns::nsswitch::{Action, Actions, HostsLine, Source, Step, Unwalkable};

const GLIBC: (u32, u32) = (2, 36);

fn parse(text: &str) -> Result<HostsLine, Unwalkable> {
    HostsLine::parse(Some(text.as_bytes()), GLIBC)
}

/// The sources of a line that has no brackets.
fn sources(text: &str) -> Vec<Source> {
    let line = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    for step in line.steps() {
        assert_eq!(step.actions, Actions::DEFAULT, "{text:?}");
    }
    line.steps().iter().map(|step| step.source).collect()
}

/// The actions of the only source of a line, as NOTFOUND, UNAVAIL, TRYAGAIN; `r` and `c`.
fn actions(brackets: &str) -> String {
    let line = parse(&format!("hosts: dns{brackets}\n")).unwrap_or_else(|error| panic!("{brackets:?}: {error:?}"));
    let [Step { source: Source::Dns, actions }] = line.steps() else { panic!("{line:?}") };
    let letter = |status| if actions.after(status) == Action::Return { 'r' } else { 'c' };
    [Status::NotFound, Status::Unavailable, Status::TryAgain].map(letter).iter().collect()
}

const FILES_DNS: [Source; 2] = [Source::Files, Source::Dns];

/// Missing file, missing line: `files dns` since 2.35 (glibc bug 28700), before that another order, which
/// libc may walk.
#[test]
fn the_default_depends_on_the_version() {
    for text in [None, Some(&b""[..]), Some(b"passwd: files\n"), Some(b"\n\n# hosts: dns\n")] {
        let line = HostsLine::parse(text, (2, 35)).unwrap();
        assert_eq!(line.steps().iter().map(|step| step.source).collect::<Vec<_>>(), FILES_DNS);
        assert_eq!(HostsLine::parse(text, (2, 34)), Err(Unwalkable::NoLine));
    }
    assert!(HostsLine::parse(Some(b"hosts: files dns\n"), (2, 34)).is_ok());
}

/// Seen: the last line counts; blanks may stand before and after the name; the colon may be missing, or come
/// twice.
#[test]
fn lines_are_found() {
    for text in [
        "hosts: files dns\n",
        "hosts:files dns\n",
        "hosts files dns\n",
        "hosts :: files dns\n",
        " \t hosts\t:\tfiles\tdns\t\n",
        "hosts: dns\nhosts: files dns\n",
        "hosts: files dns\r\n",
        "hosts: files\x0bdns\x0c\n",
        "passwd: x\nhosts: files dns\nservices: files\n",
    ] {
        assert_eq!(sources(text), FILES_DNS, "{text:?}");
    }
    assert_eq!(sources("hosts: files dns\nhosts: dns\n"), [Source::Dns]);
}

/// Names of databases mind their case, and nothing else is the line of hosts.
#[test]
fn other_lines_are_not_the_line() {
    for text in ["HOSTS: dns\n", "Hosts: dns\n", "hosts.: dns\n", "#hosts: dns\n", "# hosts: dns\n", "host: dns\n"] {
        assert_eq!(sources(text), FILES_DNS, "{text:?}");
    }
}

/// Seen: a last line without a newline is not read, with the default in its place.
#[test]
fn a_line_without_a_newline_is_not_read() {
    assert_eq!(sources("hosts: dns"), FILES_DNS);
    assert_eq!(sources("hosts: dns\nhosts: files"), [Source::Dns]);
    assert_eq!(sources("hosts: dns [BOGUS=return]"), FILES_DNS);
}

/// Seen: a zero byte ends a line for glibc, which reads C strings, but not the file.
#[test]
fn a_zero_byte_ends_a_line() {
    assert_eq!(sources("hosts: dns\0 files [BOGUS=return]\n"), [Source::Dns]);
    assert_eq!(sources("\0hosts: dns\nhosts: dns files\n"), [Source::Dns, Source::Files]);
    // The name of the database is all there is: not even an empty line of it.
    assert_eq!(sources("hosts\0: dns\n"), FILES_DNS);
    assert_eq!(parse("hosts:\0 dns\n"), Err(Unwalkable::Empty));
}

/// Seen: `#` inside a line is a source of that name, which libc looks for as a module. So `files # dns` does
/// ask DNS, and `files #` ends in EBUSY instead of "not found": neither can be told without libc.
#[test]
fn a_comment_inside_a_line_is_a_source() {
    for text in ["hosts: files # dns\n", "hosts: files #dns\n", "hosts: files dns # as ever\n", "hosts: #\n"] {
        assert_eq!(parse(text), Err(Unwalkable::UnknownSource), "{text:?}");
    }
}

/// Any module might answer any name. Names of modules are names of files, so their case matters.
#[test]
fn unknown_sources_are_left_to_libc() {
    for name in [
        "wins", "nis", "db", "ldap", "sss", "hesiod", "cache", "compat", "custom", "DNS", "Files", "dns,", "mdns4_",
        "é",
    ] {
        assert_eq!(parse(&format!("hosts: files {name} dns\n")), Err(Unwalkable::UnknownSource), "{name}");
    }
}

#[test]
fn known_sources() {
    let all = "hosts: files dns resolve mdns_minimal mdns4_minimal mdns6_minimal mdns mdns4 mdns6 myhostname mymachines \
               libvirt libvirt_guest files\n";
    use Source::*;
    assert_eq!(
        sources(all),
        [
            Files,
            Dns,
            Resolve,
            MdnsMinimal,
            MdnsMinimal,
            MdnsMinimal,
            Mdns,
            Mdns,
            Mdns,
            MyHostname,
            MyMachines,
            Libvirt,
            Libvirt,
            Files
        ]
    );
}

/// glibc's grammar: `source [ "[" ( "!"? STATUS "=" ACTION )+ "]" ]`, with blanks nearly everywhere and any
/// case (nss/tst-nss-action-parse.c: also in a Turkish locale, whose capital of `i` is another letter).
#[test]
fn brackets() {
    for (text, expected) in [
        ("", "ccc"),
        ("[NOTFOUND=return]", "rcc"),
        (" [NOTFOUND=return]", "rcc"),
        (" [ notfound = RETURN ]", "rcc"),
        (" [UNAVAIL=return]", "crc"),
        (" [TRYAGAIN=return]", "ccr"),
        (" [NOTFOUND=return UNAVAIL=return]", "rrc"),
        (" [NOTFOUND=return\tTRYAGAIN=return  UNAVAIL=continue]", "rcr"),
        (" [NOTFOUND=return NOTFOUND=continue]", "ccc"),
        (" [SUCCESS=return]", "ccc"),
        (" [success=return notfound=continue unavail=continue tryagain=continue]", "ccc"),
        // The negation sets every other status, and leaves the one that it names as it was.
        (" [!UNAVAIL=return]", "rcr"),
        (" [!SUCCESS=return]", "rrr"),
        (" [!success=continue]", "ccc"),
        (" [NOTFOUND=return !NOTFOUND=return]", "rrr"),
        (" [!UNAVAIL=return UNAVAIL=return TRYAGAIN=continue]", "rrc"),
    ] {
        assert_eq!(actions(text), expected, "{text:?}");
    }
}

/// A success that does not end the walk: `[SUCCESS=continue]` throws the answer away, `merge` fails (seen:
/// differently for each family). The negation of another status sets it too.
#[test]
fn unusual_actions_are_left_to_libc() {
    for text in [
        "hosts: files [SUCCESS=continue] dns\n",
        "hosts: files [SUCCESS=merge] dns\n",
        "hosts: files [NOTFOUND=merge] dns\n",
        "hosts: files [!NOTFOUND=continue] dns\n",
        "hosts: files[!UNAVAIL=merge] dns\n",
    ] {
        assert_eq!(parse(text), Err(Unwalkable::UnusualAction), "{text:?}");
    }
}

/// Seen: EINVAL for every lookup.
#[test]
fn what_cannot_be_read_fails_in_libc() {
    for brackets in [
        "[BOGUS=return]",
        "[NOTFOUND=bogus]",
        "[NOTFOUND]",
        "[NOTFOUND=]",
        "[=return]",
        "[]",
        "[ ]",
        "[NOTFOUND=return",
        "[NOTFOUND=return ",
        "[! NOTFOUND=return]",
        "[!!NOTFOUND=return]",
        "[NOTFOUND==return]",
        "[NOTFOUND=return=]",
        "[NOTFOUND=return,UNAVAIL=return]",
        "[NOTFOUNDS=return]",
        "[UNAVAILABLE=return]",
        "[NOTFOUND=return[",
        "[",
    ] {
        assert_eq!(parse(&format!("hosts: files {brackets} dns\n")), Err(Unwalkable::Syntax), "{brackets:?}");
    }
}

/// Seen: so does such a line of another database, before or after; of something that is no database it does
/// not.
#[test]
fn another_database_that_cannot_be_read_fails_hosts_too() {
    assert_eq!(parse("hosts: dns\npasswd: files [BOGUS=return]\n"), Err(Unwalkable::Syntax));
    assert_eq!(parse("services: files [BOGUS=return]\nhosts: dns\n"), Err(Unwalkable::Syntax));
    assert_eq!(parse("hosts: dns [BOGUS=return]\nhosts: dns\n"), Err(Unwalkable::Syntax));
    assert_eq!(sources("sudoers: files [BOGUS=return]\nhosts: dns\n"), [Source::Dns]);
    // What they say is theirs.
    assert_eq!(sources("passwd: sss [SUCCESS=merge] files\nhosts: dns\n"), [Source::Dns]);
}

/// Seen: EBUSY for every lookup.
#[test]
fn a_line_without_sources_fails_in_libc() {
    for text in ["hosts:\n", "hosts\n", "hosts: \t \n", "hosts: files\nhosts:\n"] {
        assert_eq!(parse(text), Err(Unwalkable::Empty), "{text:?}");
    }
}

/// Seen: a bracket where a source is expected ends the line without an error.
#[test]
fn a_bracket_without_a_source_ends_the_line() {
    assert_eq!(parse("hosts: [x] files\n"), Err(Unwalkable::Empty));
    let line = parse("hosts: files [NOTFOUND=return][x] dns\n").unwrap();
    let actions = Actions { not_found: Action::Return, ..Actions::DEFAULT };
    assert_eq!(line.steps(), [Step { source: Source::Files, actions }]);
}
