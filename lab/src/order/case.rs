//! Random systems: interfaces, addresses, routes, a gai.conf, and a host with many addresses.

use std::fmt;
use std::net::IpAddr;

use fastrand::Rng;

use crate::differential::chance::{mix, one_of, percent, weighted};

/// The types of device that an interface may be: one without a link layer, and those that glibc takes for
/// tunnels (`ARPHRD_NONE`, `_TUNNEL`, `_TUNNEL6`, `_SIT` of linux/if_arp.h).
const DEVICE_TYPES: [(u32, u32); 4] = [(80, 0xfffe), (7, 768), (7, 769), (6, 776)];

/// One interface besides loopback.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    pub name: String,
    pub device_type: u32,
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub seed: u64,
    pub interfaces: Vec<Interface>,
    /// Lines for ip(8). One that the kernel refuses is left out, for libc and the library alike.
    pub lines: Vec<String>,
    /// Below /proc/sys.
    pub sysctls: Vec<(&'static str, &'static str)>,
    /// None: there is no such file.
    pub gai_conf: Option<String>,
    /// In the order in which they become known.
    pub destinations: Vec<IpAddr>,
}

/// The seed of the `number`th case of a series.
pub fn seed_of(series: u64, number: u64) -> u64 {
    mix(series, &[b"order", &number.to_le_bytes()])
}

impl Case {
    pub fn draw(seed: u64) -> Case {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let interfaces: Vec<Interface> = (0..weighted(rng, &[(4, 0), (40, 1), (40, 2), (16, 3)]))
            .map(|number| Interface { name: format!("lab{number}"), device_type: weighted(rng, &DEVICE_TYPES) })
            .collect();
        let mut lines = Vec::new();
        if percent(rng, 96) {
            lines.push("link set dev lo up".to_owned());
        }
        let mut near = Vec::new();
        for interface in &interfaces {
            lines.extend(addresses(rng, &interface.name, &mut near));
        }
        if percent(rng, 15) {
            let more = ["127.0.0.2/8", "10.255.0.1/32", "2001:db8:ff::1/128", "fd00:ff::1/128"];
            lines.push(format!("address add {} dev lo", one_of(rng, &more)));
        }
        lines.extend(routes(rng, &interfaces));
        let mut sysctls = Vec::new();
        if percent(rng, 5) {
            sysctls.push(("net/ipv6/bindv6only", "1"));
        }
        if percent(rng, 4) {
            sysctls.push(("net/ipv6/conf/all/disable_ipv6", "1"));
        }
        let gai_conf = if percent(rng, 45) { None } else { Some(gai_conf(rng)) };
        let destinations = (0..rng.usize(2..=12)).map(|_| destination(rng, &near)).collect();
        Case { seed, interfaces, lines, sysctls, gai_conf, destinations }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Interface { name, device_type } in &self.interfaces {
            writeln!(formatter, "interface {name} of type {device_type}")?;
        }
        self.lines.iter().try_for_each(|line| writeln!(formatter, "ip {line}"))?;
        self.sysctls.iter().try_for_each(|(name, value)| writeln!(formatter, "{name} = {value}"))?;
        match &self.gai_conf {
            None => writeln!(formatter, "no gai.conf")?,
            Some(text) => text.lines().try_for_each(|line| writeln!(formatter, "gai.conf: {line:?}"))?,
        }
        let destinations: Vec<String> = self.destinations.iter().map(IpAddr::to_string).collect();
        writeln!(formatter, "addresses: {}", destinations.join(" "))
    }
}

/// The lines that bring an interface up with addresses. `near` gets addresses of their subnets.
fn addresses(rng: &mut Rng, name: &str, near: &mut Vec<IpAddr>) -> Vec<String> {
    let mut lines = vec![format!("link set dev {name} addrgenmode none"), format!("link set dev {name} up")];
    for _ in 0..weighted(rng, &[(10, 0), (60, 1), (30, 2)]) {
        let network = ipv4(rng);
        let length =
            weighted(rng, &[(50, 24), (10, 16), (10, 30), (10, 32), (5, 8), (5, 12), (5, 25), (3, 31), (2, 1)]);
        near.extend([neighbour(rng, network, length), neighbour(rng, network, length), network]);
        let peer = if percent(rng, 8) { format!(" peer {}", neighbour(rng, network, 24)) } else { String::new() };
        let length = if peer.is_empty() { format!("/{length}") } else { String::new() };
        lines.push(format!("address add {network}{peer}{length} dev {name}{}", lifetime(rng)));
    }
    for _ in 0..weighted(rng, &[(15, 0), (50, 1), (35, 2)]) {
        let network = ipv6(rng);
        let length = weighted(rng, &[(60, 64), (12, 128), (8, 48), (8, 120), (6, 56), (6, 127)]);
        near.extend([neighbour(rng, network, length), neighbour(rng, network, length), network]);
        let peer = if percent(rng, 6) { format!(" peer {}", neighbour(rng, network, 64)) } else { String::new() };
        let length = if peer.is_empty() { format!("/{length}") } else { String::new() };
        let home = if percent(rng, 6) { " home" } else { "" };
        lines.push(format!("address add {network}{peer}{length} dev {name} nodad{home}{}", lifetime(rng)));
    }
    if percent(rng, 40) {
        lines.push(format!("address add fe80::{:x}/64 dev {name} nodad{}", rng.u16(1..9), lifetime(rng)));
    }
    lines
}

fn lifetime(rng: &mut Rng) -> &'static str {
    if percent(rng, 22) { " preferred_lft 0" } else { "" }
}

fn routes(rng: &mut Rng, interfaces: &[Interface]) -> Vec<String> {
    let mut lines = Vec::new();
    let kinds = ["unreachable", "blackhole", "prohibit"];
    for everything in ["0.0.0.0/0", "::/0"] {
        if !interfaces.is_empty() && percent(rng, 75) {
            lines.push(format!("route add {everything} dev {}", one_of(rng, interfaces).name));
        }
    }
    for _ in 0..rng.usize(0..4) {
        let prefixes = [
            "10.0.0.0/8",
            "192.0.2.0/24",
            "198.51.100.0/24",
            "203.0.113.128/25",
            "169.254.0.0/16",
            "127.5.0.0/16",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "2002::/16",
            "fd00::/8",
            "fec0::/10",
            "2001::/32",
            "2400::/6",
            "::ffff:0:0/96",
        ];
        let prefix = one_of(rng, &prefixes);
        if interfaces.is_empty() || percent(rng, 30) {
            lines.push(format!("route add {} {prefix}", one_of(rng, &kinds)));
        } else {
            lines.push(format!("route add {prefix} dev {}", one_of(rng, interfaces).name));
        }
    }
    lines
}

fn ipv4(rng: &mut Rng) -> IpAddr {
    let (a, b) = (rng.u8(..), rng.u8(1..255));
    weighted(
        rng,
        &[
            (20, [192, 0, 2, b]),
            (20, [198, 51, 100, b]),
            (20, [203, 0, 113, b]),
            (15, [10, a % 4, 0, b]),
            (8, [192, 168, a % 4, b]),
            (5, [169, 254, a, b]),
            (6, [172, 16, 0, b]),
            (6, [8, 8, a, b]),
        ],
    )
    .into()
}

fn ipv6(rng: &mut Rng) -> IpAddr {
    let (a, b) = (rng.u16(0..4), rng.u16(1..20));
    let far = rng.u16(..);
    weighted(
        rng,
        &[
            (30, [0x2001, 0xdb8, a, 0, 0, 0, 0, b]),
            (15, [0x2001, 0xdb8, a, far, 0, 0, 0, b]),
            (10, [0x2400 + (far & 0xaff), far, 0, 0, 0, 0, 0, b]),
            (8, [0x2002, 0xc000, 0x200 + b, 0, 0, 0, 0, b]),
            (8, [0x2001, 0, far, 0, 0, 0, 0, b]),
            (12, [0xfd00, a, 0, 0, 0, 0, 0, b]),
            (5, [0xfec0, a, 0, 0, 0, 0, 0, b]),
            (3, [0x3ffe, a, 0, 0, 0, 0, 0, b]),
        ],
    )
    .into()
}

/// Another address with the same first bits.
fn neighbour(rng: &mut Rng, address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => (v4.to_bits() ^ rng.u32(1..).checked_shr(length).unwrap_or(0)).to_be_bytes().into(),
        IpAddr::V6(v6) => {
            let low = u128::from(rng.u16(1..)) << if percent(rng, 30) { 48 } else { 0 };
            (v6.to_bits() ^ (low & u128::MAX.checked_shr(length).unwrap_or(0))).to_be_bytes().into()
        }
    }
}

fn destination(rng: &mut Rng, near: &[IpAddr]) -> IpAddr {
    let fixed = [
        "::1",
        "127.0.0.1",
        "127.0.0.2",
        "127.5.1.1",
        "169.254.7.7",
        "fe80::7",
        "fec0::7",
        "ff0e::7",
        "ff02::1",
        "224.0.0.5",
        "::2",
        "::",
        "0.0.0.0",
        "2001:0:53aa::1",
        "2002:c000:204::1",
        "fd00:9::9",
        "255.255.255.255",
    ];
    match rng.u32(0..100) {
        0..30 if !near.is_empty() => one_of(rng, near),
        0..58 => ipv4(rng),
        58..90 => ipv6(rng),
        _ => one_of(rng, &fixed).parse().expect("these are addresses"),
    }
}

/// Usual files, and such as nobody would write.
fn gai_conf(rng: &mut Rng) -> String {
    let whole = [
        "precedence ::ffff:0:0/96  100\n",
        "precedence ::ffff:0:0/96 40\n",
        "label ::1/128 0\nlabel ::/0 1\nlabel 2002::/16 2\nlabel ::/96 3\nlabel ::ffff:0:0/96 4\n",
        "precedence ::1/128 50\nprecedence ::/0 40\nprecedence 2002::/16 30\nprecedence ::/96 20\nprecedence ::ffff:0:0/96 10\n",
        "precedence 2000::/3 5\n",
        "reload yes\nprecedence ::ffff:0:0/96 100\n",
        "scopev4 ::ffff:169.254.0.0/112 2\nscopev4 ::ffff:127.0.0.0/104 2\nscopev4 ::ffff:10.0.0.0/104 5\nscopev4 ::ffff:0.0.0.0/96 14\n",
        "",
        "# nothing\n",
    ];
    if percent(rng, 50) {
        return one_of(rng, &whole).to_owned();
    }
    (0..rng.usize(1..7)).map(|_| line(rng)).collect()
}

fn line(rng: &mut Rng) -> String {
    let keyword = weighted(
        rng,
        &[
            (40, "label"),
            (40, "precedence"),
            (18, "scopev4"),
            (2, "reload"),
            (1, "Label"),
            (1, "labels"),
            (1, "#label"),
        ],
    );
    let length_of = |rng: &mut Rng, address: IpAddr, most: u32| {
        // Where a length is missing, libc before 2.41 reads what it has not written.
        let any = rng.u32(0..most);
        let length = weighted(rng, &[(30, 0), (30, most / 2), (25, most), (15, any)]);
        let text = weighted(
            rng,
            &[
                (80, length.to_string()),
                (4, format!("0{length}")),
                (4, format!("+{length}")),
                (4, String::new()),
                (3, "-0".to_owned()),
                (2, "129".to_owned()),
                (2, "x".to_owned()),
                (1, format!("{length}x")),
            ],
        );
        format!("{address}/{text}")
    };
    let prefix = match keyword {
        "scopev4" if rng.bool() => {
            let address = ipv4(rng);
            length_of(rng, address, 32)
        }
        "scopev4" => {
            let IpAddr::V4(v4) = ipv4(rng) else { unreachable!("ipv4 draws IPv4 addresses") };
            format!("{}/{}", v4.to_ipv6_mapped(), one_of(rng, &[95, 96, 97, 104, 112, 120, 128]))
        }
        "reload" => one_of(rng, &["yes", "no", "maybe"]).to_owned(),
        _ => match rng.u32(0..10) {
            0..5 => {
                let prefixes =
                    ["::/0", "::1/128", "2002::/16", "::/96", "::ffff:0:0/96", "fc00::/7", "2001:db8::/32", "2000::/3"];
                one_of(rng, &prefixes).to_owned()
            }
            5 => format!("::ffff:{}/{}", ipv4(rng), one_of(rng, &[96, 104, 112, 120, 128])),
            _ => {
                let address = ipv6(rng);
                length_of(rng, address, 64)
            }
        },
    };
    let value = weighted(
        rng,
        &[
            (20, "1"),
            (15, "2"),
            (15, "4"),
            (15, "14"),
            (10, "40"),
            (10, "100"),
            (4, "-0"),
            (3, "+5"),
            (3, ""),
            (2, "2147483647"),
            (2, "2147483648"),
            (2, "-1"),
            (2, "5x"),
            (1, "99999999999999999999999"),
        ],
    );
    let space = |rng: &mut Rng| one_of(rng, &[" ", " ", " ", "\t", "  ", "\u{b}", "\u{c}"]);
    let (first, second) = (space(rng), space(rng));
    let end = weighted(rng, &[(85, ""), (5, " # note"), (4, "#note"), (3, "\r"), (3, " more words")]);
    format!("{keyword}{first}{prefix}{second}{value}{end}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_case_again() {
        for seed in 0..500 {
            assert_eq!(Case::draw(seed), Case::draw(seed));
        }
        assert_ne!(Case::draw(1), Case::draw(2));
    }

    #[test]
    fn neighbours_share_the_prefix() {
        let rng = &mut Rng::with_seed(1);
        for _ in 0..1000 {
            let (v4, v6) = (ipv4(rng), ipv6(rng));
            let (near4, near6) = (neighbour(rng, v4, 24), neighbour(rng, v6, 64));
            let common = |one: IpAddr, other: IpAddr| match (one, other) {
                (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
                (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
                _ => unreachable!("a neighbour is of the same family"),
            };
            assert!(common(v4, near4) >= 24 && common(v6, near6) >= 64);
        }
    }
}
