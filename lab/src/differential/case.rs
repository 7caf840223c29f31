//! A case: a system's configuration, what its name servers say, and one question. All of it follows from a
//! seed.

use std::fmt;

use fastrand::Rng;

use super::chance::{mix, one_of, percent, weighted};
use super::etc::{Etc, Wishes};
use super::world::World;

/// One case in so many has servers that keep silent: each of its questions takes a second or more.
const SLOW_ONE_IN: u32 = 40;

/// Flags of getaddrinfo(3) by name. AI_IDN and AI_CANONIDN are GNU's; the last one does not exist.
const FLAGS: [(&str, i32); 11] = [
    ("AI_PASSIVE", libc::AI_PASSIVE),
    ("AI_CANONNAME", libc::AI_CANONNAME),
    ("AI_NUMERICHOST", libc::AI_NUMERICHOST),
    ("AI_V4MAPPED", libc::AI_V4MAPPED),
    ("AI_ALL", libc::AI_ALL),
    ("AI_ADDRCONFIG", libc::AI_ADDRCONFIG),
    ("AI_IDN", 0x40),
    ("AI_CANONIDN", 0x80),
    ("AI_NUMERICSERV", libc::AI_NUMERICSERV),
    ("0x1000", 0x1000),
    ("0x8000", 0x8000),
];

/// The hints of getaddrinfo(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    pub flags: i32,
    pub family: i32,
    pub socktype: i32,
    pub protocol: i32,
}

impl fmt::Display for Hints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            libc::AF_UNSPEC => "AF_UNSPEC",
            libc::AF_INET => "AF_INET",
            libc::AF_INET6 => "AF_INET6",
            _ => "another family",
        };
        let set = FLAGS.iter().filter(|(_, bit)| self.flags & bit != 0).map(|(name, _)| *name);
        let flags = set.collect::<Vec<_>>().join("|");
        let flags = if flags.is_empty() { "0" } else { &flags };
        write!(
            formatter,
            "{family} ({}), socktype {}, protocol {}, flags {flags}",
            self.family, self.socktype, self.protocol
        )
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub node: Option<String>,
    pub service: Option<String>,
    pub hints: Option<Hints>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    pub etc: Etc,
    pub world: World,
    pub asked: Asked,
    /// Environment variables that libc's resolver reads.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// The seed of the case with this number, in a run of many.
pub fn seed_of(run: u64, number: u64) -> u64 {
    mix(run, &[&number.to_le_bytes()])
}

impl Case {
    /// The case of this seed.
    pub fn draw(seed: u64) -> Case {
        let rng = &mut Rng::with_seed(seed);
        let slow = rng.u32(0..SLOW_ONE_IN) == 0;
        let node = if percent(rng, 1) { None } else { Some(node(rng)) };
        let mut names = vec!["www.example.test".to_owned(), "box".to_owned(), "db.corp.test".to_owned()];
        // What cannot be written into a line of a file is asked all the same, and not found there.
        if let Some(node) = node.as_ref().filter(|node| !node.is_empty() && !node.contains([' ', '\n', '#'])) {
            names = vec![node.clone(), node.clone(), node.clone(), names.swap_remove(0)];
        }
        let (etc, alike) = Etc::draw(rng, Wishes { names: &names, slow });
        let world = World { seed: rng.u64(..), servers_differ: !alike && percent(rng, 40), slow };
        let asked = Asked { node, service: service(rng), hints: hints(rng) };
        Case { seed, etc, world, asked, environment: environment(rng) }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "node: {:?}, service: {:?}", self.asked.node, self.asked.service)?;
        match self.asked.hints {
            Some(hints) => writeln!(formatter, "hints: {hints}")?,
            None => writeln!(formatter, "hints: none")?,
        }
        self.environment.iter().try_for_each(|(name, value)| writeln!(formatter, "environment: {name}={value}"))?;
        write!(formatter, "{}", self.etc)
    }
}

fn label(rng: &mut Rng) -> String {
    let fixed =
        ["www", "box", "db", "a", "x-y", "under_score", "mail", "n1", "0day", "trail-", "longer-label-of-a-host"];
    if percent(rng, 60) { format!("h{}", rng.u16(..)) } else { one_of(rng, &fixed).to_owned() }
}

fn node(rng: &mut Rng) -> String {
    let domain = one_of(rng, &["example.test", "corp.test", "test", "sub.corp.test"]);
    let mut name = match rng.u32(0..100) {
        0..50 => format!("{}.{domain}", label(rng)),
        50..66 => label(rng),
        66..76 => format!("{}.{}.{}.{domain}", label(rng), label(rng), label(rng)),
        76..81 => local_name(rng),
        81..84 => one_of(rng, &["printer.local", "a.b.local", "local", "printer.local."]).to_owned(),
        84..90 => numeric(rng),
        _ => odd_name(rng),
    };
    match rng.u32(0..100) {
        0..8 => name.push('.'),
        8..14 => name.make_ascii_uppercase(),
        _ => (),
    }
    name
}

fn local_name(rng: &mut Rng) -> String {
    let names = [
        "localhost",
        "LocalHost",
        "localhost.localdomain",
        "foo.localhost",
        "foo.bar.localhost.localdomain",
        "ip6-localhost",
        "box.corp.test",
        "_gateway",
        "_outbound",
    ];
    one_of(rng, &names).to_owned()
}

fn numeric(rng: &mut Rng) -> String {
    let names = [
        "203.0.113.7",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "1234567890",
        "99999999999",
        "1.2.3.4.5",
        "1.2.3.",
        "256.1.1.1",
        "1.2.3.4.test",
        "2001:db8::7",
        "::1",
        "::",
        "::ffff:203.0.113.7",
        "fe80::1%lo",
        "fe80::1%1",
        "fe80::1%nosuch",
        "2001:db8::7%lo",
        "[::1]",
        "a:b",
        "1:2",
        "0",
        "1e3",
        "203.0.113.7 ",
        " 203.0.113.7",
    ];
    one_of(rng, &names).to_owned()
}

fn odd_name(rng: &mut Rng) -> String {
    let names = [
        "",
        ".",
        "..",
        "a..b",
        ".leading.test",
        "-leading.test",
        "trailing-.test",
        "a.-b.test",
        "*.test",
        "with space.test",
        "tab\there.test",
        "\u{fc}ml.test",
        "\u{65e5}\u{672c}.test",
        "xn--mgbaam7a8h.test",
        "back\\slash.test",
        "esc\\046aped.test",
        "per%cent.test",
        "at@sign.test",
        "slash/ed.test",
        "plus+.test",
        "under_.test",
        "_srv._tcp.test",
        "new\nline.test",
        "#hash.test",
        "quote\".test",
        "del\u{7f}.test",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.test",
    ];
    match rng.u32(0..40) {
        0 => format!("{}.test", "l".repeat(63)),
        1 => format!("{}.test", "l".repeat(64)),
        2 => "long.".repeat(50) + "test",
        3 => "long.".repeat(51) + "test",
        4 => "long.".repeat(48) + "test",
        5 => "x".repeat(1100),
        6 => "y.".repeat(700),
        _ => one_of(rng, &names).to_owned(),
    }
}

fn service(rng: &mut Rng) -> Option<String> {
    let odd = [
        "65535",
        "65536",
        "0",
        "-1",
        "+80",
        " 80",
        "80 ",
        "0x50",
        "080",
        "",
        "nosuch",
        "HTTP",
        "99999999999999999999",
        "ssh",
        "ntp",
        "80a",
    ];
    match rng.u32(0..100) {
        0..30 => None,
        30..70 => Some("80".to_owned()),
        70..80 => Some("http".to_owned()),
        80..85 => Some("domain".to_owned()),
        _ => Some(one_of(rng, &odd).to_owned()),
    }
}

fn hints(rng: &mut Rng) -> Option<Hints> {
    if percent(rng, 10) {
        return None;
    }
    let mut flags = 0;
    if percent(rng, 40) {
        for _ in 0..rng.usize(1..=3) {
            let (_, flag) =
                weighted(rng, &FLAGS.map(|flag| if flag.0.starts_with("AI_") { (8, flag) } else { (1, flag) }));
            flags |= flag;
        }
    }
    let families = [(45, libc::AF_UNSPEC), (27, libc::AF_INET), (27, libc::AF_INET6), (1, libc::AF_UNIX)];
    let family = weighted(rng, &families);
    let types =
        [(25, 0), (65, libc::SOCK_STREAM), (7, libc::SOCK_DGRAM), (2, libc::SOCK_RAW), (1, libc::SOCK_SEQPACKET)];
    let socktype = weighted(rng, &types);
    let protocol = weighted(rng, &[(90, 0), (6, libc::IPPROTO_TCP), (3, libc::IPPROTO_UDP), (1, 99)]);
    Some(Hints { flags, family, socktype, protocol })
}

fn environment(rng: &mut Rng) -> Vec<(&'static str, &'static str)> {
    let all = [
        ("RES_OPTIONS", "ndots:3 timeout:1 attempts:1"),
        ("LOCALDOMAIN", "corp.test"),
        ("LOCALDOMAIN", ""),
        ("HOSTALIASES", "/etc/nosuch"),
        ("RESOLV_MULTI", "off"),
        ("RESOLV_HOST_CONF", "/etc/nosuch"),
    ];
    if percent(rng, 3) { vec![one_of(rng, &all)] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_the_same_case_again() {
        for number in 0..500 {
            let seed = seed_of(1, number);
            let (one, two) = (Case::draw(seed), Case::draw(seed));
            assert_eq!((one.etc, one.asked, one.world.seed), (two.etc, two.asked, two.world.seed));
        }
        assert_eq!(seed_of(3, 9), seed_of(3, 9));
        assert_ne!(seed_of(3, 9), seed_of(4, 9));
    }

    #[test]
    fn cases_are_of_every_kind() {
        let cases: Vec<Case> = (0..20_000).map(|number| Case::draw(seed_of(1, number))).collect();
        let nodes: BTreeSet<_> = cases.iter().map(|case| &case.asked.node).collect();
        assert!(nodes.len() > 5000, "{} names", nodes.len());
        assert!(nodes.contains(&None));
        let some = |what: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| what(case)).count();
        let slow = some(&|case| case.world.slow);
        assert!((350..650).contains(&slow), "{slow} slow cases");
        assert!(some(&|case| case.world.servers_differ) > 1000);
        assert!(some(&|case| case.asked.hints.is_none()) > 1000);
        for (name, flag) in FLAGS {
            let count = some(&|case| case.asked.hints.is_some_and(|hints| hints.flags & flag != 0));
            assert!(count > 50, "{count} cases with {name}");
        }
        // Nobody knows which server a resolver begins with that rotates them.
        let rotating = |case: &Case| case.etc.to_string().contains("rotate");
        assert!(some(&|case| rotating(case)) > 500);
        assert_eq!(some(&|case| rotating(case) && case.world.servers_differ), 0);
    }
}
