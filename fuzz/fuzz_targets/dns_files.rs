//! Any bytes as nsswitch.conf, host.conf, resolv.conf, hosts, or a name: something comes out, within bounds, and what is written
//! after it counts as the rules say. The first byte chooses: 0 to 4.
#![no_main]
use happysock::dns::gate::{Facts, Gate, Leases, Variables, Verdict};
use happysock::dns::host_conf::HostConf;
use happysock::dns::hosts::Hosts;
use happysock::dns::names::{self, Form};
use happysock::dns::nsswitch::{HostsLine, Unwalkable};
use happysock::dns::resolv_conf::{MAX_SERVERS, ResolvConf};
use happysock::dns::{Families, Family};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;

const GLIBC: (u32, u32) = (2, 36);
const FAMILIES: [Families; 3] = [Families::Both, Families::Only(Family::V6), Families::Only(Family::V4)];

/// The text, with another one before it and after it.
fn between(before: &[u8], text: &[u8], after: &[u8]) -> Vec<u8> {
    [before, text, after].concat()
}

fn nsswitch(text: &[u8]) {
    let line = HostsLine::parse(Some(text), GLIBC);
    if let Ok(line) = &line {
        assert!((1..=text.len().max(2)).contains(&line.steps().len()));
    }
    // Only an unreadable line can keep a later one from counting.
    let later = HostsLine::parse(Some(&between(b"", text, b"\nhosts: dns\n")), GLIBC);
    assert!(later == Err(Unwalkable::Syntax) || later.unwrap().steps().len() == 1);
    // A comment, and a line that is not ended, do not count.
    let comment = between(b"# [\n", text, if text.ends_with(b"\n") { b"hosts: [" } else { b"" });
    assert_eq!(HostsLine::parse(Some(&comment), GLIBC), line);
    let _ = Gate::new(&facts(text, &resolv_conf(b"")), |_| true);
}

fn host_conf(text: &[u8]) {
    let conf = HostConf::parse(Some(text));
    let with = |line| HostConf::parse(Some(&between(b"", text, line)));
    assert_eq!(with(b"\nmulti on\nreorder off\n"), HostConf { multi: true, reorder: false });
    assert_eq!(HostConf::parse(Some(&between(b"# multi on\n", text, b"\n#multi on"))), conf);
}

fn resolv_conf(text: &[u8]) -> ResolvConf {
    ResolvConf::parse(Some(text), b"a.example", GLIBC, |name| (name == b"lo").then_some(1))
}

fn check_resolv_conf(text: &[u8]) {
    let conf = resolv_conf(text);
    assert!((1..=MAX_SERVERS).contains(&conf.servers.len()));
    assert!(conf.servers.iter().all(|server| server.port() == 53));
    assert!(conf.ndots <= 15 && conf.timeout <= 30 && conf.attempts <= 5);
    assert!(
        conf.search.iter().all(|domain| !domain.contains(&b' ') && !domain.contains(&b'\n') && !domain.contains(&0))
    );
    assert_eq!(resolv_conf(&between(b"; options rotate\n", text, b"\n search x\n#")), conf);
    let later = resolv_conf(&between(b"nameserver ::9\n", text, b"\nsearch x\noptions ndots:7\n"));
    assert_eq!(later.servers[0], "[::9]:53".parse().unwrap());
    assert_eq!((later.search, later.ndots), (vec![Box::from(&b"x"[..])], 7));
}

fn hosts(text: &[u8]) {
    let around = between(b"192.0.2.1 first x\n", text, b"\n192.0.2.2 x last\n");
    let index = Hosts::parse(around.clone()).unwrap();
    let find = |name: &[u8], families, multi| index.addresses(name, families, multi).collect::<Vec<IpAddr>>();
    let all = find(b"X", Families::Both, true);
    assert_eq!(all.first(), Some(&"192.0.2.1".parse().unwrap()));
    assert_eq!(all.last(), Some(&"192.0.2.2".parse().unwrap()));
    for word in around.split(u8::is_ascii_whitespace).take(50) {
        let mut counts = [0; 3];
        for (count, families) in counts.iter_mut().zip(FAMILIES) {
            let all = find(word, families, true);
            assert_eq!(find(word, families, false), all.iter().copied().take(1).collect::<Vec<_>>());
            assert_eq!(
                find(&word.to_ascii_uppercase(), families, true),
                find(&word.to_ascii_lowercase(), families, true)
            );
            *count = all.len();
        }
        let [both, v6, v4] = counts;
        assert!(v6 <= both && v4 <= both && both <= v6 + v4);
        assert!(both <= around.iter().filter(|&&byte| byte == b'\n').count());
    }
}

fn facts<'a>(nsswitch: &'a [u8], resolv_conf: &'a ResolvConf) -> Facts<'a> {
    Facts {
        glibc: Some(GLIBC),
        program_wants_libc: false,
        happysock_dns: None,
        secure: false,
        foreign_lookup: false,
        variables: Variables::default(),
        unreadable: false,
        nsswitch: Some(nsswitch),
        vendor_nsswitch: false,
        host_conf: HostConf::default(),
        resolv_conf,
        nscd_socket: false,
        mdns_allow: false,
        resolve_socket: true,
        resolve_tells_no_data: true,
        leases: Leases::None,
        node_name: b"a.example",
    }
}

fn name(name: &[u8]) {
    let resolv_conf = resolv_conf(b"");
    let line = b"hosts: mymachines files mdns4_minimal [NOTFOUND=return] dns myhostname\n";
    let gate = Gate::new(&facts(line, &resolv_conf), |_| true).unwrap();
    let form = names::form(name);
    if form == Form::HostName {
        assert!(!name.is_empty() && name.len() <= 254);
        assert!(name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)));
    }
    let mut asked = false;
    let verdict = gate.decide(name, Families::Both, 0, || {
        asked = true;
        false
    });
    assert!(!asked || !name.contains(&b'/'));
    assert_eq!(matches!(verdict, Verdict::Own(_)), asked || own_without_machine(name, form));
}

/// A name that cannot be a machine's, and is none that libc has to judge.
fn own_without_machine(name: &[u8], form: Form) -> bool {
    let judged = matches!(form, Form::HostName | Form::NotAHostName);
    let module = names::is_multicast(name) || names::is_my_host_name(name, b"a.example");
    judged && !module && !names::can_be_machine(name)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    match choice.wrapping_sub(b'0') % 5 {
        0 => nsswitch(text),
        1 => host_conf(text),
        2 => check_resolv_conf(text),
        3 => hosts(text),
        _ => name(text),
    }
});
