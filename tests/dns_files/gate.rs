use happysock::dns::failure::{Failure, HostError, Status};
use happysock::dns::gate::{Ask, Facts, Gate, Leases, PlanStep, Reason, Variables, Verdict};
use happysock::dns::host_conf::HostConf;
use happysock::dns::nsswitch::{Action, Actions, Source, Unwalkable};
use happysock::dns::resolv_conf::ResolvConf;
use happysock::dns::{Families, Family};
use std::sync::LazyLock;

static RESOLV_CONF: LazyLock<ResolvConf> = LazyLock::new(|| resolv_conf(""));

fn resolv_conf(text: &str) -> ResolvConf {
    ResolvConf::parse(Some(text.as_bytes()), b"box", (2, 36), |_| None)
}

/// A system where nothing stands in the way, with systemd-resolved.
fn facts(nsswitch: &str) -> Facts<'_> {
    Facts {
        glibc: Some((2, 36)),
        program_wants_libc: false,
        happysock_dns: None,
        secure: false,
        foreign_lookup: false,
        variables: Variables::default(),
        unreadable: false,
        nsswitch: Some(nsswitch.as_bytes()),
        vendor_nsswitch: false,
        host_conf: HostConf { multi: true, reorder: false },
        resolv_conf: &RESOLV_CONF,
        nscd_socket: false,
        mdns_allow: false,
        resolve_socket: true,
        resolve_tells_no_data: true,
        leases: Leases::NoDirectory,
        node_name: b"box",
    }
}

fn gate(facts: Facts) -> Result<Gate, Reason> {
    Gate::new(&facts, |_| true)
}

/// The sources that are asked about a name, or why libc is.
fn decide(nsswitch: &str, name: &str) -> Result<String, Reason> {
    let gate = gate(facts(nsswitch))?;
    describe(gate.decide(name.as_bytes(), Families::Both, 0, || false))
}

fn describe(verdict: Verdict) -> Result<String, Reason> {
    match verdict {
        Verdict::Libc(reason) => Err(reason),
        Verdict::Own(steps) => Ok(steps.iter().map(word).collect::<Vec<_>>().join(" ")),
    }
}

fn word(step: &PlanStep) -> String {
    let word = match step.ask {
        Ask::Files { multi: true } => "files",
        Ask::Files { multi: false } => "first-of-files",
        Ask::Dns => "dns",
        Ask::Resolve { tells_no_data: true } => "resolve",
        Ask::Resolve { tells_no_data: false } => "old-resolve",
        Ask::Nobody(Failure::HOST_NOT_FOUND) => "not-found",
        Ask::Nobody(Failure { status: Status::Unavailable, error: HostError::NoRecovery }) => "unavailable",
        Ask::Nobody(other) => panic!("{other:?}"),
    };
    let actions = [
        (step.actions.not_found, "notfound"),
        (step.actions.unavailable, "unavail"),
        (step.actions.try_again, "tryagain"),
    ];
    let returns = actions.iter().filter(|(action, _)| *action == Action::Return).map(|(_, status)| *status);
    let returns = returns.collect::<Vec<_>>().join("+");
    if returns.is_empty() { word.to_string() } else { format!("{word}[{returns}]") }
}

#[test]
fn the_usual_line() {
    assert_eq!(decide("hosts: files dns\n", "example.com"), Ok("files dns".to_string()));
    assert_eq!(decide("", "example.com"), Ok("files dns".to_string()));
    assert_eq!(decide("hosts: dns files\n", "x"), Ok("dns files".to_string()));
    assert_eq!(decide("hosts: dns [!UNAVAIL=return] files\n", "x"), Ok("dns[notfound+tryagain] files".to_string()));
    assert_eq!(decide("hosts: files [NOTFOUND=return] dns\n", "x"), Ok("files[notfound] dns".to_string()));
    // No module among the sources: such names are like any other.
    for name in ["x.local", "localhost", "_gateway", "box", "x.localhost"] {
        assert_eq!(decide("hosts: files dns\n", name), Ok("files dns".to_string()), "{name}");
    }
}

/// Without `multi` the first line of hosts(5) counts.
#[test]
fn host_conf_goes_with_files() {
    let facts = Facts { host_conf: HostConf::default(), ..facts("hosts: files dns\n") };
    let gate = gate(facts).unwrap();
    assert_eq!(describe(gate.decide(b"x", Families::Both, 0, || false)), Ok("first-of-files dns".to_string()));
}

/// The `hosts` lines that systems ship, for a name that is no module's.
#[test]
fn lines_of_distributions() {
    for (line, expected) in [
        // Debian, Ubuntu server, containers.
        ("files dns", "files dns"),
        ("files mdns4_minimal [NOTFOUND=return] dns", "files dns"),
        ("files mdns4_minimal [NOTFOUND=return] dns mymachines", "files dns unavailable"),
        ("files myhostname mdns4_minimal [NOTFOUND=return] dns mdns4", "files dns unavailable"),
        ("files mymachines myhostname resolve [!UNAVAIL=return] dns", "files resolve[notfound+tryagain] dns"),
        // Fedora.
        ("files myhostname resolve [!UNAVAIL=return] dns", "files resolve[notfound+tryagain] dns"),
        (
            "files myhostname libvirt libvirt_guest mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns",
            "files resolve[notfound+tryagain] dns",
        ),
        // RHEL, and the containers of Fedora.
        ("files dns myhostname", "files dns not-found"),
        // Arch, and older systemd.
        ("mymachines resolve [!UNAVAIL=return] files myhostname dns", "resolve[notfound+tryagain] files dns"),
        // systemd.
        ("files mymachines resolve [!UNAVAIL=return] dns myhostname", "files resolve[notfound+tryagain] dns not-found"),
        // NixOS.
        ("files mymachines dns myhostname", "files dns not-found"),
        // openSUSE.
        ("files mdns_minimal [NOTFOUND=return] dns", "files dns"),
    ] {
        assert_eq!(decide(&format!("hosts: {line}\n"), "example.com"), Ok(expected.to_string()), "{line}");
    }
}

/// Go's TestConfHostLookupOrder, for glibc: with no special names where no module makes them special, with
/// one place to return to for each status, and libc where Go says cgo.
#[test]
fn order_of_go() {
    let own = |order: &str| Ok(order.to_string());
    let cases: [(&str, &str, Result<String, Reason>); 37] = [
        ("dns files", "x.com", own("dns files")),
        ("dns files something_custom", "x.com", Err(Reason::HostsLine(Unwalkable::UnknownSource))),
        ("files mdns4_minimal [NOTFOUND=return] dns mdns4", "foo.local", Err(Reason::Multicast)),
        ("files mdns4_minimal [NOTFOUND=return] dns mdns4", "foo.local.", Err(Reason::Multicast)),
        ("files mdns4_minimal [NOTFOUND=return] dns mdns4", "foo.LOCAL", Err(Reason::Multicast)),
        ("files mdns4_minimal [NOTFOUND=return] dns mdns4", "foo.LOCAL.", Err(Reason::Multicast)),
        ("files mdns4_minimal [NOTFOUND=return] dns mdns4", "google.com", own("files dns unavailable")),
        ("files mdns dns", "x.com", own("files dns")),
        ("files mdns dns", "x.local", Err(Reason::Multicast)),
        ("dns", "x.com", own("dns")),
        ("dns", "x\\.com", Err(Reason::Escaped)),
        ("dns", "foo.com%en0", Err(Reason::Numeric)),
        ("files dns", "x", own("files dns")),
        // Go gives .local to cgo even so; to glibc without nss-mdns it is a name like others.
        ("files dns", "x.local", own("files dns")),
        ("dns files", "x.local", own("dns files")),
        ("files dns myhostname", "x.com", own("files dns not-found")),
        ("files dns myhostname", "box", Err(Reason::MyHostName)),
        ("files dns myhostname", "Box", Err(Reason::MyHostName)),
        ("files dns myhostname", "box.", Err(Reason::MyHostName)),
        ("files dns myhostname", "gateway", Err(Reason::MyHostName)),
        ("files dns myhostname", "Gateway", Err(Reason::MyHostName)),
        ("files dns myhostname", "_gateway", Err(Reason::MyHostName)),
        ("files dns myhostname", "_outbound", Err(Reason::MyHostName)),
        ("files dns myhostname", "localhost", Err(Reason::MyHostName)),
        ("files dns myhostname", "Localhost", Err(Reason::MyHostName)),
        ("files dns myhostname", "anything.localhost", Err(Reason::MyHostName)),
        ("files dns myhostname", "Anything.localhost", Err(Reason::MyHostName)),
        ("files dns myhostname", "localhost.localdomain", Err(Reason::MyHostName)),
        ("files dns myhostname", "Localhost.Localdomain", Err(Reason::MyHostName)),
        ("files dns myhostname", "anything.localhost.localdomain", Err(Reason::MyHostName)),
        ("files dns myhostname", "Anything.Localhost.Localdomain", Err(Reason::MyHostName)),
        ("files dns myhostname", "somehostname", own("files dns not-found")),
        ("files dns myhostname", "", Err(Reason::EmptyName)),
        ("files myhostname mdns4_minimal [NOTFOUND=return] dns mdns4", "x.com", own("files dns unavailable")),
        ("files myhostname mdns4_minimal [NOTFOUND=return] dns mdns4", "box", Err(Reason::MyHostName)),
        (
            "dns [success=return notfound=continue unavail=continue tryagain=continue] files [notfound=return]",
            "x.com",
            own("dns files[notfound]"),
        ),
        // Go takes the rest for a comment.
        ("files dns # as ever", "x.com", Err(Reason::HostsLine(Unwalkable::UnknownSource))),
    ];
    for (line, name, expected) in cases {
        assert_eq!(decide(&format!("hosts: {line}\n"), name), expected, "{line}: {name}");
    }
}

/// Each fact that sends every name to libc, alone.
#[test]
fn facts_that_need_libc() {
    let usual = "hosts: files dns\n";
    let sortlist = resolv_conf("sortlist 192.0.2.0\n");
    let strict = ResolvConf { strict_error: true, ..resolv_conf("") };
    let unsure = resolv_conf("options ndots:-1\n");
    let variables = |name: &'static str| {
        // Whoever looks through the environment passes no other name on.
        assert!(Variables::BEGINNINGS.iter().any(|beginning| name.as_bytes().starts_with(beginning)));
        Variables::among([name.as_bytes()])
    };
    for (facts, reason) in [
        (Facts { glibc: None, ..facts(usual) }, Reason::AnotherLibc),
        (Facts { glibc: Some((2, 33)), ..facts(usual) }, Reason::OldGlibc),
        (Facts { program_wants_libc: true, ..facts(usual) }, Reason::Program),
        (Facts { happysock_dns: Some(b"libc"), ..facts(usual) }, Reason::Switch),
        (Facts { foreign_lookup: true, ..facts(usual) }, Reason::ForeignLookup),
        (Facts { variables: variables("RES_OPTIONS"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("LOCALDOMAIN"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("HOSTALIASES"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("RESOLV_HOST_CONF"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("RESOLV_MULTI"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("RESOLV_REORDER"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("RESOLV_ADD_TRIM_DOMAINS"), ..facts(usual) }, Reason::Environment),
        (Facts { variables: variables("RESOLV_OVERRIDE_TRIM_DOMAINS"), ..facts(usual) }, Reason::Environment),
        (Facts { unreadable: true, ..facts(usual) }, Reason::Unreadable),
        (Facts { nsswitch: None, vendor_nsswitch: true, ..facts(usual) }, Reason::VendorFile),
        (Facts { nsswitch: None, glibc: Some((2, 34)), ..facts(usual) }, Reason::HostsLine(Unwalkable::NoLine)),
        (facts("hosts: files [x\n"), Reason::HostsLine(Unwalkable::Syntax)),
        (facts("hosts:\n"), Reason::HostsLine(Unwalkable::Empty)),
        (facts("hosts: files [SUCCESS=merge] dns\n"), Reason::HostsLine(Unwalkable::UnusualAction)),
        (Facts { host_conf: HostConf { multi: true, reorder: true }, ..facts(usual) }, Reason::Reorder),
        (Facts { resolv_conf: &sortlist, ..facts(usual) }, Reason::Sortlist),
        (Facts { resolv_conf: &strict, ..facts(usual) }, Reason::StrictError),
        (Facts { resolv_conf: &unsure, ..facts(usual) }, Reason::UnsureOption),
        (Facts { nscd_socket: true, ..facts(usual) }, Reason::Nscd),
        (Facts { mdns_allow: true, ..facts("hosts: files mdns4 dns\n") }, Reason::MulticastAllow),
        (Facts { resolve_socket: false, ..facts("hosts: resolve dns\n") }, Reason::NoResolveSocket),
        (
            Facts { variables: variables("SYSTEMD_NSS_RESOLVE_CACHE"), ..facts("hosts: resolve dns\n") },
            Reason::ResolveEnvironment,
        ),
        (
            Facts { variables: variables("SYSTEMD_ACTIVATION_UNIT"), ..facts("hosts: resolve dns\n") },
            Reason::ResolveEnvironment,
        ),
        (Facts { leases: Leases::Some, ..facts("hosts: files libvirt dns\n") }, Reason::Leases),
    ] {
        assert_eq!(gate(facts), Err(reason));
        assert!(!reason.text().is_empty());
    }
}

/// The same facts where they change nothing.
#[test]
fn facts_that_do_not_matter() {
    let usual = "hosts: files dns\n";
    let rotating =
        resolv_conf("options rotate edns0 use-vc trust-ad no-aaaa no-reload single-request\nnameserver ::1\n");
    let variables = |name: &'static str| Variables::among([name.as_bytes(), b"PATH", b"RES_OPTION", b"XLOCALDOMAIN"]);
    for facts in [
        Facts { glibc: Some((2, 34)), ..facts(usual) },
        Facts { glibc: Some((3, 0)), ..facts(usual) },
        Facts { happysock_dns: Some(b""), ..facts(usual) },
        Facts { happysock_dns: Some(b"own"), ..facts(usual) },
        // The environment of a program with other privileges than its user's is not asked.
        Facts { happysock_dns: Some(b"libc"), secure: true, ..facts(usual) },
        Facts { variables: variables("SYSTEMD_NSS_RESOLVE_CACHE"), ..facts(usual) },
        Facts { variables: variables("res_options"), ..facts(usual) },
        Facts { vendor_nsswitch: true, ..facts(usual) },
        Facts { nsswitch: None, ..facts(usual) },
        Facts { resolv_conf: &rotating, ..facts(usual) },
        Facts { mdns_allow: true, ..facts(usual) },
        Facts { mdns_allow: true, ..facts("hosts: files mdns4_minimal [NOTFOUND=return] dns\n") },
        Facts { resolve_socket: false, ..facts(usual) },
        Facts { leases: Leases::Some, ..facts(usual) },
        Facts { leases: Leases::None, ..facts("hosts: files libvirt dns\n") },
        Facts { leases: Leases::NoDirectory, ..facts("hosts: libvirt_guest files dns\n") },
    ] {
        let gate = gate(facts).unwrap();
        assert_eq!(describe(gate.decide(b"example.com", Families::Both, 0, || false)), Ok("files dns".to_string()));
    }
}

/// A module that is skipped has its status all the same: an action on it holds. nss-mdns is Unavailable for
/// names that are not its own, so `[NOTFOUND=return]` does not fire; nss-myhostname knows that it does not
/// know.
#[test]
fn actions_after_modules() {
    for (line, expected) in [
        ("files mdns4_minimal [NOTFOUND=return] dns", Ok("files dns")),
        ("files mdns4_minimal [NOTFOUND=return TRYAGAIN=return] dns", Ok("files dns")),
        ("files mdns4 [NOTFOUND=return] dns", Ok("files dns")),
        ("mymachines [NOTFOUND=return] files", Ok("files")),
        ("files mdns4_minimal [UNAVAIL=return] dns", Err(Reason::ModuleAction)),
        ("files mdns4_minimal [!NOTFOUND=return] dns", Err(Reason::ModuleAction)),
        ("files myhostname [NOTFOUND=return] dns", Err(Reason::ModuleAction)),
        // If it is not installed it is Unavailable.
        ("files myhostname [UNAVAIL=return] dns", Err(Reason::ModuleAction)),
        ("files myhostname [TRYAGAIN=return] dns", Ok("files dns")),
        ("mymachines [UNAVAIL=return] files", Err(Reason::ModuleAction)),
        ("files libvirt [UNAVAIL=return] dns", Err(Reason::ModuleAction)),
        ("myhostname", Ok("not-found")),
        ("mdns4_minimal", Ok("unavailable")),
    ] {
        assert_eq!(decide(&format!("hosts: {line}\n"), "x"), expected.map(str::to_string), "{line}");
    }
    // Of libvirt it depends on the directory.
    let missing = facts("hosts: dns libvirt\n");
    for (leases, expected) in [(Leases::NoDirectory, "dns unavailable"), (Leases::None, "dns not-found")] {
        let gate = gate(Facts { leases, ..missing }).unwrap();
        assert_eq!(describe(gate.decide(b"x", Families::Both, 0, || false)), Ok(expected.to_string()));
    }
    let gate = gate(Facts { leases: Leases::None, ..facts("hosts: files libvirt [NOTFOUND=return] dns\n") });
    assert_eq!(gate, Err(Reason::ModuleAction));
}

/// Seen: a walk that ends with a module that is not there ends in EBUSY, so it has to be known whether it is.
#[test]
fn the_last_module_has_to_be_installed() {
    let ends_with_module = facts("hosts: files dns myhostname\n");
    let asked = |source| {
        assert_eq!(source, Source::MyHostname);
        false
    };
    assert_eq!(Gate::new(&ends_with_module, asked), Err(Reason::ModuleMissing));
    assert!(Gate::new(&ends_with_module, |_| true).is_ok());
    let not_asked = |_| panic!("the module is not the last source");
    assert!(Gate::new(&facts("hosts: files myhostname dns\n"), not_asked).is_ok());
}

/// A program whose libc has no nss-resolve (a 32-bit one, often) does not ask systemd-resolved.
#[test]
fn resolved_is_asked_only_where_its_module_is_installed() {
    for line in ["hosts: files resolve [!UNAVAIL=return] dns\n", "hosts: files resolve\n"] {
        let asked = |source| {
            assert_eq!(source, Source::Resolve);
            false
        };
        assert_eq!(Gate::new(&facts(line), asked), Err(Reason::ModuleMissing), "{line}");
    }
    let both_count = |missing| Gate::new(&facts("hosts: resolve dns myhostname\n"), move |source| source != missing);
    assert_eq!(both_count(Source::Resolve), Err(Reason::ModuleMissing));
    assert_eq!(both_count(Source::MyHostname), Err(Reason::ModuleMissing));
    assert!(both_count(Source::Mdns).is_ok());
}

#[test]
fn what_is_known_of_nss_resolve_goes_with_the_question_to_it() {
    let facts = Facts { resolve_tells_no_data: false, ..facts("hosts: resolve dns\n") };
    let gate = gate(facts).unwrap();
    assert_eq!(describe(gate.decide(b"x", Families::Both, 0, || false)), Ok("old-resolve dns".to_string()));
}

/// hosts(5) may have any name, and resolved judges for itself; DNS is not asked for what is no host name.
#[test]
fn names_that_dns_is_not_asked_about() {
    for name in ["-x", "a..b", "*.y", "ü.y", "x y"] {
        assert_eq!(decide("hosts: files dns\n", name), Ok("files not-found".to_string()), "{name}");
    }
    assert_eq!(
        decide("hosts: resolve [!UNAVAIL=return] dns [NOTFOUND=return] files\n", "-x"),
        Ok("resolve[notfound+tryagain] not-found[notfound] files".to_string())
    );
    for name in ["127.1", "1.2.3.4.5", "a:b", "fe80::1%lo"] {
        assert_eq!(decide("hosts: files dns\n", name), Err(Reason::Numeric), "{name}");
    }
}

/// Only a name with a file in /run/systemd/machines is a machine's, and only if its module is there to ask.
#[test]
fn machines() {
    let known = |name: &str, nsswitch: &str| {
        let gate = gate(facts(nsswitch)).unwrap();
        describe(gate.decide(name.as_bytes(), Families::Both, 0, || true))
    };
    assert_eq!(known("x", "hosts: mymachines dns\n"), Err(Reason::Machine));
    assert_eq!(known("x", "hosts: files dns\n"), Ok("files dns".to_string()));
    // Nobody looks for files elsewhere.
    assert_eq!(known("../x", "hosts: mymachines dns\n"), Ok("not-found".to_string()));
    assert_eq!(known(".", "hosts: mymachines dns\n"), Ok("dns".to_string()));
    assert_eq!(decide("hosts: mymachines dns\n", "x"), Ok("dns".to_string()));
}

#[test]
fn flags() {
    let gate = gate(facts("hosts: files dns\n")).unwrap();
    let decide = |families, flags| describe(gate.decide(b"x", families, flags, || false));
    let own = Ok("files dns".to_string());
    let v6 = Families::Only(Family::V6);
    let v4 = Families::Only(Family::V4);
    for flags in [libc::AI_PASSIVE, libc::AI_ADDRCONFIG, libc::AI_NUMERICSERV, libc::AI_PASSIVE | libc::AI_ADDRCONFIG] {
        for families in [Families::Both, v6, v4] {
            assert_eq!(decide(families, flags), own);
        }
    }
    // Mapping concerns IPv6 alone.
    for flags in [libc::AI_V4MAPPED, libc::AI_ALL, libc::AI_V4MAPPED | libc::AI_ALL | libc::AI_ADDRCONFIG] {
        assert_eq!(decide(Families::Both, flags), own);
        assert_eq!(decide(v4, flags), own);
        assert_eq!(decide(v6, flags), Err(Reason::Flags));
    }
    // netdb.h: AI_IDN, AI_CANONIDN, and bits without a meaning.
    for flags in [libc::AI_CANONNAME, libc::AI_NUMERICHOST, 0x40, 0x80, 0x1000, -1] {
        assert_eq!(decide(Families::Both, flags), Err(Reason::Flags), "{flags}");
    }
}

/// What the steps of a plan say when they have no brackets.
#[test]
fn plans_carry_the_actions() {
    let gate = gate(facts("hosts: files dns\n")).unwrap();
    let Verdict::Own(steps) = gate.decide(b"x", Families::Both, 0, || false) else { panic!() };
    let step = |ask| PlanStep { ask, actions: Actions::DEFAULT };
    assert_eq!(steps[..], [step(Ask::Files { multi: true }), step(Ask::Dns)]);
}
